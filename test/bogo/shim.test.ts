/** The shim for BoringSSL's runner, with this library as the other side; and the runner itself where there is one. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { concat, utf8 } from "../../src/bytes/bytes.ts";
import { sealedTickets, sessionCache } from "../../src/engine/index.ts";
import { type End, failure } from "../support/pair.ts";
import { PemFiles } from "../support/pem-files.ts";
import { createWorld, type World } from "../support/world.ts";
import { buildShim, config, shim } from "./build.mjs";

const files = new PemFiles();
let world: World;
let server: Server;
/** Connections that nobody plays yet. */
let sockets: Socket[];
let arrived: () => void;

beforeAll(async () => {
  await buildShim();
  world = await createWorld();
  server = createServer({ pauseOnConnect: true }, (socket) => {
    sockets.push(socket);
    arrived();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});
beforeEach(() => {
  sockets = [];
  arrived = () => {};
});
afterAll(() => {
  files.remove();
  server.close();
});

/** What the shim exits with and says. */
async function start(...flags: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(shim, flags, { stdio: ["ignore", "pipe", "pipe"] });
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      output[name] += text;
    });
  }
  const [code] = (await once(child, "close")) as [number | null];
  return { code, ...output };
}

/** Plays the runner's part on the next connection: sends `hello`, and gives the shim's number and its answer. */
async function play({ engine, received }: End): Promise<{ id: bigint; answer: Uint8Array }> {
  if (sockets.length === 0) {
    await new Promise<void>((resolve) => {
      arrived = resolve;
    });
  }
  const socket = sockets.shift() as Socket;
  let head: Uint8Array = new Uint8Array(0);
  const move = () => {
    if (socket.writableEnded) return;
    for (let chunk = engine.read(); chunk !== undefined; chunk = engine.read()) received.push(chunk);
    const output = engine.takeOutput();
    if (output.length > 0) socket.write(output);
    if (concat(...received).length >= 5 || engine.error !== undefined) {
      engine.close();
      socket.end(engine.takeOutput());
    }
  };
  engine.start();
  engine.write(utf8("hello"));
  socket.on("data", (bytes) => {
    const missing = Math.max(0, 8 - head.length);
    head = concat(head, bytes.subarray(0, missing));
    engine.receive(bytes.subarray(missing));
    move();
  });
  socket.resume();
  move();
  await once(socket, "close");
  return { id: new DataView(head.buffer).getBigUint64(0, true), answer: concat(...received) };
}

const flipped = utf8("hello").map((byte) => byte ^ 0xff);
const port = () => String((server.address() as AddressInfo).port);
const credential = (identity: World["server"]) => [
  "-cert-file",
  files.path(identity.certificatePem),
  "-key-file",
  files.path(identity.privateKeyPem),
];

describe("the shim", () => {
  it("answers transports and flags that it does not know with 89, and says which", async () => {
    expect(await start("-port", "1", "-dtls")).toMatchObject({ code: 89 });
    expect(await start("-port", "1", "-quic")).toMatchObject({ code: 89 });
    expect(await start("-port", "1", "-no-such-flag")).toMatchObject({ code: 89, stderr: "Error: -no-such-flag\n" });
    expect(await start("-max-version", "771")).toMatchObject({ code: 89, stderr: "Error: -max-version\n" });
    expect(await start("-is-handshaker-supported")).toEqual({ code: 0, stdout: "No\n", stderr: "" });
  });

  it.each(["", "-async"])("is a client that names itself, resumes, and flips what it reads %s", async (async) => {
    const options = { clientAuth: "off", tickets: { store: sealedTickets() }, alpn: [] } as const;
    const flags = ["-port", port(), "-shim-id", "258", "-resume-count", "1", ...(async === "" ? [] : [async])];
    const outcome = start(...flags);
    for (const resumed of [false, true]) {
      const far = world.honestServer(options);
      expect(await play(far)).toEqual({ id: 258n, answer: flipped });
      expect(far.engine.result?.resumed).toBe(resumed);
    }
    expect(await outcome).toEqual({ code: 0, stdout: "", stderr: "" });
  });

  it.each(["", "-async"])("is a server that asks for certificates %s", async (async) => {
    const near = world.honestClient({ sessions: sessionCache(), alpn: [] });
    const flags = ["-port", port(), "-server", "-require-any-client-certificate", ...credential(world.server)];
    const outcome = start(...flags, ...(async === "" ? [] : [async]));
    expect(await play(near)).toEqual({ id: 0n, answer: flipped });
    expect(near.engine.result?.clientAuthRequested).toBe(true);
    expect(await outcome).toEqual({ code: 0, stdout: "", stderr: "" });
  });

  it("says what went wrong in the words that config.json maps", async () => {
    const near = world.honestClient({ alpn: [] });
    const flags = ["-port", port(), "-server", "-require-any-client-certificate", "-verify-fail"];
    const outcome = start(...flags, ...credential(world.server));
    await play(near);
    expect(failure(near)?.code).toBe("ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE");
    const { code, stderr } = await outcome;
    expect(code).toBe(1);
    expect(config().ErrorMap[":CERTIFICATE_VERIFY_FAILED:"]?.some((text) => stderr.includes(text))).toBe(true);
  });

  it("fails where an expectation is not met", async () => {
    const far = world.honestServer({ clientAuth: "off", tickets: { store: sealedTickets() }, alpn: [] });
    const outcome = start("-port", port(), "-expect-hrr");
    await play(far);
    expect(await outcome).toMatchObject({ code: 1, stderr: "Error: no HelloRetryRequest\n" });
  });
});

describe("README.md", () => {
  const readme = readFileSync(new URL("README.md", import.meta.url), "utf8");

  it("has a reason for every disabled test, and a run in which none failed and 1,100 passed", () => {
    for (const reason of Object.values(config().DisabledTests)) expect(reason.length).toBeGreaterThan(10);
    expect(readme).not.toContain("| ? |");
    const [, run, passed, failed] = /bogo: (\d+) run, (\d+) passed, (\d+) failed/.exec(readme) ?? [];
    expect([run, failed]).toEqual([passed, "0"]);
    expect(Number(passed)).toBeGreaterThanOrEqual(1100);
  });
});

// BoringSSL's source is not to be had in CI (README.md): this is the one test there that an absent peer may skip.
const runner = process.env.MUTLS_BOGO_RUNNER;
describe("BoringSSL's runner (MUTLS_BOGO_RUNNER)", () => {
  it.skipIf(runner === undefined)("passes at least 1,100 tests and fails none", { timeout: 1_800_000 }, async () => {
    const child = spawn("npm", ["run", "-s", "bogo", "--", runner as string], { stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
    await once(child, "close");
    const summary = output.trimEnd().split("\n").at(-1);
    const [, passed] = /^bogo: \d+ run, (\d+) passed, 0 failed, /.exec(summary ?? "") ?? [];
    expect(Number(passed), output).toBeGreaterThanOrEqual(1100);
  });
});
