import { readFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { CostRow } from "../../src/bench/costs.ts";
import { factsOf, type ScenarioFacts } from "../../src/bench/scenario.ts";
import { benchCommand, scenarios } from "../../src/cli/bench.ts";
import type { LiveReport } from "../../src/cli/bench-live.ts";
import { parseArguments } from "../../src/cli/flags.ts";
import { certificateFiles, type Files, finished, mutls, served, start } from "../support/cli.ts";
import { endOpenssl, startServer, withoutOpenssl } from "../support/openssl.ts";

let files: Files;
beforeAll(async () => {
  files = await certificateFiles();
});
afterAll(() => {
  endOpenssl();
  files.remove();
});

/** As little as can be measured. */
const QUICK = ["--rounds", "3", "--time-limit", "1"];

describe("mutls bench", () => {
  it("explains one mutual handshake", async () => {
    const { status, stdout, stderr } = await mutls(["bench", ...QUICK]);
    expect([status, stderr]).toEqual([0, ""]);
    const text = stdout.toString();
    expect(text).toMatch(
      /^mutual authentication, full handshake, x25519, TLS_AES_128_GCM_SHA256, ecdsa-p256 certificates/,
    );
    expect(text).toMatch(/^time of one handshake +client ms +share +calls +server ms +share +calls$/m);
    expect(text).toMatch(/^signing +[\d.]+ +\d+ % +1 +[\d.]+ +\d+ % +1$/m);
    expect(text).toMatch(/^CertificateVerify +79 /m);
    expect(text).toMatch(/^in 3 records +817 +in 3 records +845$/m);
    expect(text).toContain("an answer to its first byte after 2.");
    for (const line of text.split("\n")) expect(line.length).toBeLessThanOrEqual(130);
  });

  it("compares, in a table and as data", async () => {
    const file = files.path("costs.json");
    const args = ["bench", "--compare", "auth", "--json", file, ...QUICK];
    const { status, stdout } = await mutls(args);
    expect(status).toBe(0);
    const text = stdout.toString();
    const spread = String.raw`[\d.]+ \([\d.]+–[\d.]+\)`;
    expect(text).toMatch(/^ms a handshake +both ends +× one-way +client +× +server +× +CPU, all threads +×$/m);
    expect(text).toMatch(/^one-way +[\d.]+ +1 +[\d.]+ +1 +[\d.]+ +1 +[\d.]+ +1$/m);
    expect(text).toMatch(new RegExp(`^mutual +[\\d.]+ +${spread} .* ${spread}$`, "m"));
    expect(text).toMatch(/^signatures verified +2 +4$/m);
    const rows = JSON.parse(readFileSync(file, "utf8")) as CostRow[];
    expect(rows.map(({ name, ratio }) => [name, ratio?.against])).toEqual([
      ["one-way", undefined],
      ["mutual", "one-way"],
    ]);
  });

  it("writes data alone to stdout", async () => {
    const flags = ["--kind", "early", "--groups", "secp256r1", "--key-type", "ed25519", "--chain", "2"];
    const { status, stdout } = await mutls(["bench", ...flags, "--json", "-", ...QUICK]);
    expect(status).toBe(0);
    const [row] = JSON.parse(stdout.toString()) as CostRow[];
    const scenario = { kind: "early", group: "secp256r1", key: "ed25519", chain: 2, tickets: 1, provider: "node" };
    expect(row?.scenario).toMatchObject(scenario);
    expect(row?.exact.roundTrips.firstByteSent.client).toBe(0);
  });

  it.each([
    [["--compare", "auth"], ["one-way", "mutual"], {}],
    [["--compare", "kind"], ["full", "resumed", "early"], { tickets: 1 }],
    [["--compare", "kind", "--tickets", "2"], ["full", "resumed", "early"], { tickets: 2 }],
    [["--compare", "group"], ["x25519", "secp256r1", "secp384r1", "X25519MLKEM768"], {}],
    [["--compare", "group", "--groups", "P-256,x448", "--kind", "resumed"], ["secp256r1", "x448"], { kind: "resumed" }],
    [
      ["--compare", "suite", "--tls13-ciphers", "TLS_AES_128_CCM_SHA256:TLS_AES_128_GCM_SHA256"],
      ["TLS_AES_128_CCM_SHA256", "TLS_AES_128_GCM_SHA256"],
      {},
    ],
    [["--compare", "key", "--key-type", "ed25519,mldsa44", "--chain", "3"], ["ed25519", "mldsa44"], { chain: 3 }],
    [["--compare", "provider", "--hello-retry"], ["node", "noble", "webcrypto"], { helloRetry: true }],
    [["--auth", "one-way", "--cert-compression", "zlib"], ["handshake"], { auth: "one-way", compression: 1 }],
  ])("%j has these rows: %j", (flags, names, common) => {
    const args = parseArguments(benchCommand, flags);
    const rows = scenarios(args as NonNullable<typeof args>);
    expect(rows.map(({ name }) => name)).toEqual(names);
    for (const { scenario } of rows) expect(factsOf(scenario)).toMatchObject(common);
    const by = flags[0] === "--compare" ? ({ suite: "cipherSuite" }[flags[1] as string] ?? flags[1]) : undefined;
    if (by !== undefined)
      expect(rows.map(({ scenario }) => factsOf(scenario)[by as keyof ScenarioFacts])).toEqual(names);
  });

  it.each([
    [["--groups", "x25519,secp256r1"], "--groups: a handshake has one"],
    [["--key-type", "dsa"], "--key-type: there is no dsa"],
    [["--compare", "provider", "--provider", "noble"], "--compare provider and --provider: the rows are all of them"],
    [["--compare", "colour"], "is not auth, kind, group, provider, key or suite"],
    [["--kind", "resumed", "--tickets", "0"], "tickets of 0: it must be 1 to 16"],
    [["--kind", "early", "--hello-retry"], "which rejects it"],
    [["--provider", "noble", "--tls13-ciphers", "TLS_AES_128_CCM_SHA256"], "is not supported"],
    [["--rounds", "2"], "is not a whole number from 3 to 10000"],
    [["--time-limit", "0"], "is not a whole number from 1 to 3600"],
    [["--count", "3"], "--count is for measuring against a live server"],
    [["--cacert", "ca.pem"], "--cacert is for measuring against a live server"],
    [["localhost:1", "--auth", "mutual"], "--auth is not for measuring against a live server"],
    [["localhost:1", "--compare", "auth"], "--compare is not for measuring against a live server"],
    [["localhost"], "is not HOST:PORT"],
    [["a:1", "b:2"], '"b:2" is one argument too many'],
    [["localhost:1", "--concurrency", "257"], "is not a whole number from 1 to 256"],
  ])("refuses %j", async (argv, reason) => {
    const refused = async () => {
      const args = parseArguments(benchCommand, argv);
      if (args === undefined) throw new Error("help");
      return benchCommand.run(args);
    };
    await expect(refused()).rejects.toThrow(expect.objectContaining({ message: expect.stringContaining(reason) }));
  });

  it("cannot write where there is no folder", async () => {
    const { status, stderr } = await mutls(["bench", ...QUICK, "--json", files.path("no/folder.json")]);
    expect(status).toBe(23);
    expect(stderr).toContain("cannot write");
  });
});

describe("mutls bench HOST:PORT", () => {
  const bench = async (port: number, ...flags: string[]) => {
    const run = await mutls(["bench", `localhost:${port}`, "--cacert", files.path("ca.pem"), ...flags, "--json", "-"]);
    return { ...run, report: JSON.parse(run.stdout.toString() || "{}") as LiveReport };
  };

  it("counts handshakes, and what they take", async () => {
    const server = await served([...files.pair("server")]);
    const { status, report, stderr } = await bench(server.port, "--count", "20", "--concurrency", "16");
    expect([status, stderr]).toEqual([0, ""]);
    expect(report).toMatchObject({
      target: `localhost:${server.port}`,
      attempts: 20,
      completed: 20,
      resumed: 0,
      failed: {},
      stoppedBy: "count",
      negotiated: { cipherSuite: "TLS_AES_128_GCM_SHA256" },
    });
    expect(report.handshake?.p50).toBeLessThanOrEqual(report.handshake?.max as number);
    expect(report.bytes?.sent).toBeGreaterThan(200);
    const text = await mutls(["bench", `localhost:${server.port}`, "--cacert", files.path("ca.pem"), "--count", "5"]);
    expect(text.stdout.toString()).toMatch(/^[\d.]+ handshakes a second: 5 in [\d.]+ s, 0 of them resumed$/m);
    await server.stop();
  });

  it("goes on from tickets, with certificates on both sides", async () => {
    const server = await served([...files.pair("server"), "--cacert", files.path("ca.pem"), "--client-auth", "on"]);
    const flags = [...files.pair("client"), "--count", "12"];
    const full = await bench(server.port, ...flags);
    expect([full.status, full.report.completed, full.report.resumed]).toEqual([0, 12, 0]);
    const reused = await bench(server.port, ...flags, "--reuse");
    expect([reused.status, reused.report.completed, reused.report.resumed]).toEqual([0, 12, 12]);
    await server.stop();
  });

  it("says that a server without tickets has none", async () => {
    const server = await served([...files.pair("server"), "--tickets", "0"]);
    const { status, stderr } = await bench(server.port, "--count", "3", "--reuse", "--connect-timeout", "1");
    expect(status).toBe(28);
    expect(stderr).toContain("it may issue none: leave --reuse out");
    await server.stop();
  });

  it("counts failures by code: nobody's certificate, a stranger's, a server of somebody else, no server", async () => {
    const server = await served([...files.pair("server"), "--cacert", files.path("ca.pem"), "--client-auth", "on"]);
    const nobody = await bench(server.port, "--count", "3");
    expect([nobody.status, nobody.report.failed]).toEqual([98, { ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 3 }]);
    const stranger = await bench(server.port, "--count", "2", ...files.pair("stranger"));
    expect(stranger.report).toMatchObject({ completed: 0, attempts: 2 });
    expect(Object.keys(stranger.report.failed)).toEqual([expect.stringMatching(/^ERR_SSL_/)]);
    await server.stop();
    const gone = await bench(server.port, "--count", "2");
    expect([gone.status, gone.report.failed]).toEqual([7, { ECONNREFUSED: 2 }]);
    expect(gone.stderr).toContain(`cannot connect to localhost:${server.port}`);
    const wrong = await served([...files.pair("stranger")]);
    const refused = await bench(wrong.port, "--count", "2");
    expect([refused.status, refused.report.completed]).toEqual([60, 0]);
    expect(refused.stderr).toContain("remedy:");
    await wrong.stop();
  });

  it("ends when the time is up", async () => {
    const server = await served([...files.pair("server")]);
    const { status, report } = await bench(server.port, "--count", "1000000", "--time-limit", "1");
    expect([status, report.stoppedBy]).toEqual([0, "time"]);
    expect(report.completed).toBeGreaterThan(0);
    await server.stop();
  });

  it("gives up a server that says nothing, and is ended by a signal with what there is", async () => {
    const mute = createServer();
    const connected = () => new Promise<void>((resolve) => mute.once("connection", () => resolve()));
    await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", resolve));
    const { port } = mute.address() as AddressInfo;
    const late = await bench(port, "--count", "1", "--connect-timeout", "1");
    expect([late.status, late.report.failed]).toEqual([28, { ERR_TLS_HANDSHAKE_TIMEOUT: 1 }]);
    const begun = connected();
    const child = start(["bench", `localhost:${port}`, "--cacert", files.path("ca.pem"), "--json", "-"]);
    const end = finished(child);
    await begun;
    child.kill("SIGINT");
    const { status, stdout } = await end;
    expect(status).toBe(130);
    expect(JSON.parse(stdout.toString())).toMatchObject({ completed: 0, failed: {}, stoppedBy: "signal" });
    mute.close();
  });

  it.skipIf(withoutOpenssl)("measures openssl s_server, full and from tickets", async () => {
    const { port, server } = await startServer({
      "-cert": files.path("server.pem"),
      "-key": files.path("server.key"),
      "-CAfile": files.path("ca.pem"),
      "-Verify": 2,
      "-naccept": 100,
      // It says nothing of listening otherwise.
      "-brief": undefined,
    });
    await server.until(() => server.stdout().includes("ACCEPT"));
    const flags = [...files.pair("client"), "--count", "10"];
    const full = await bench(port, ...flags);
    expect([full.status, full.report.completed, full.report.resumed]).toEqual([0, 10, 0]);
    const reused = await bench(port, ...flags, "--reuse");
    expect([reused.status, reused.report.completed, reused.report.resumed]).toEqual([0, 10, 10]);
    server.process.kill();
    await server.exited;
  });
});
