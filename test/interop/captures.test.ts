/** Captures between this library, Wireshark's tools and tcpdump: theirs are read here, and ours there, decrypted. */
import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { createNodeProvider } from "../../src/crypto/node.ts";
import { embedKeyLog, type TraceItem } from "../../src/inspect/index.ts";
import { inspected, notesOf } from "../inspect/captures.ts";
import { messagesOf, recordsOf } from "../inspect/support.ts";
import { certificateFiles, type Files, mutls, served } from "../support/cli.ts";
import { missing } from "../support/needs.ts";
import { endOpenssl, type OpensslOptions, startClient, startServer } from "../support/openssl.ts";
import { connectSocket } from "../support/tcp.ts";

const has = (command: string) => spawnSync(command, ["--version"]).error === undefined;
const execute = promisify(execFile);

let folder: string;
let files: Files;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "mutls-captures-"));
  files = await certificateFiles();
});
afterAll(() => {
  endOpenssl();
  files.remove();
  rmSync(folder, { recursive: true, force: true });
});

const path = (name: string) => join(folder, name);
const read = (name: string) => new Uint8Array(readFileSync(path(name)));

/** What tshark says of a file, a line for each packet that passes the filter. */
async function tshark(name: string, port: number, filter: string, ...fields: readonly string[]): Promise<string[]> {
  const checks = ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"];
  const protocols = ["-d", `tcp.port==${port},tls`, "-d", `tls.port==${port},http`];
  const columns = fields.length === 0 ? [] : ["-T", "fields", ...fields.flatMap((field) => ["-e", field])];
  const { stdout } = await execute("tshark", ["-r", path(name), ...checks, ...protocols, "-Y", filter, ...columns]);
  return stdout.split("\n").filter((line) => line !== "");
}

const wrong = "tcp.checksum.status == 0 || ip.checksum.status == 0 || _ws.malformed || tcp.analysis.flags";

describe.skipIf(missing("tshark", has("tshark")))("tshark", () => {
  it("opens what connect and serve write, decrypted: HTTP, a KeyUpdate, early data", async () => {
    const flags = ["--cacert", files.path("ca.pem"), "--client-auth", "on", "--early-data", "16384"];
    const server = await served([...files.pair("server"), ...flags, "--pcapng", path("server.pcapng")]);
    const connect = (name: string, ...args: string[]) => {
      const common = ["--cacert", files.path("ca.pem"), ...files.pair("client"), "--pcapng", path(name)];
      return mutls(["connect", `localhost:${server.port}`, ...common, ...args], {
        input: args.includes("--early-data") ? "" : "GET /keyupdate HTTP/1.0\r\n\r\n",
      });
    };
    const request = files.write("request", "GET /early HTTP/1.0\r\n\r\n");
    const first = await connect("full.pcapng", "--sess-out", path("session"));
    const second = await connect("early.pcapng", "--sess-in", path("session"), "--early-data", request);
    await server.stop();
    expect([first.status, second.status, second.stderr]).toEqual([0, 0, expect.stringContaining("accepted")]);
    for (const [name, uris] of [
      ["full.pcapng", ["/keyupdate"]],
      ["early.pcapng", ["/early"]],
      ["server.pcapng", ["/keyupdate", "/early"]],
    ] as const) {
      expect(await tshark(name, server.port, wrong)).toEqual([]);
      expect(await tshark(name, server.port, "http.request", "http.request.uri")).toEqual(uris);
      expect(await tshark(name, server.port, "http.response", "http.response.code")).toEqual(uris.map(() => "200"));
      const types = await tshark(name, server.port, "tls.handshake", "tls.handshake.type");
      const all = types.join(",").split(",");
      // ClientHello, ServerHello, EncryptedExtensions, Finished of both, tickets.
      for (const type of ["1", "2", "8", "20", "4"]) expect(all).toContain(type);
      expect(all.includes("24")).toBe(uris.some((uri) => uri === "/keyupdate"));
      expect(all.includes("5")).toBe(uris.some((uri) => uri === "/early"));
    }
  });

  it("sees the messages that we see", async () => {
    const { items, connections } = inspected(read("full.pcapng"), { provider: createNodeProvider() });
    const port = Number(connections[0]?.server.split(":").at(-1));
    const theirs = (await tshark("full.pcapng", port, "tls.handshake", "tls.handshake.type")).join(",").split(",");
    const ours = messagesOf(items() as TraceItem[]).map(({ bytes }) => String(bytes[0]));
    expect([...theirs].sort()).toEqual([...ours].sort());
    expect(notesOf(items()).every((note) => note.startsWith("verified"))).toBe(true);
  });
});

/** Whether this user may capture on the loopback interface: no missing tool, but a matter of privileges. */
const allowed = has("tcpdump") && spawnSync("tcpdump", ["-i", "lo", "-L"]).status === 0;
if (!allowed) console.info("skipped: tests that capture on the loopback interface, which is not allowed here");

const running = new Set<ChildProcess>();
afterAll(() => {
  for (const child of running) child.kill();
});

/** Starts a capture tool; resolves once it captures. */
async function capturing(command: string, args: readonly string[]): Promise<() => Promise<void>> {
  const child = spawn(command, args, { stdio: ["ignore", "ignore", "pipe"] });
  running.add(child);
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  let said = "";
  await new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", () => reject(new Error(`${command}: ${said}`)));
    child.stderr.on("data", (chunk: Buffer) => {
      said += chunk;
      if (/listening on|^File: /m.test(said)) resolve();
    });
  });
  return async () => {
    child.kill("SIGINT");
    await ended;
    running.delete(child);
  };
}

describe.skipIf(missing("tcpdump", has("tcpdump")) || !allowed)(
  "OpenSSL with itself, captured from the network",
  () => {
    const tcpdump = ["--immediate-mode", "-U", "-Z", "root", "-w"];
    const tools: readonly (readonly [what: string, command: string, args: (file: string, port: number) => string[]])[] =
      [
        ["pcap", "tcpdump", (file, port) => ["-i", "lo", ...tcpdump, file, "tcp", "port", `${port}`]],
        ["nanoseconds", "tcpdump", (file, port) => ["-i", "lo", "--nano", ...tcpdump, file, "tcp", "port", `${port}`]],
        ["any interface", "tcpdump", (file, port) => ["-i", "any", ...tcpdump, file, "tcp", "port", `${port}`]],
        [
          "cooked",
          "tcpdump",
          (file, port) => ["-i", "any", "-y", "LINUX_SLL", ...tcpdump, file, "tcp", "port", `${port}`],
        ],
        ["pcapng", "dumpcap", (file, port) => ["-i", "lo", "-w", file, "-f", `tcp port ${port}`]],
      ];

    // The kernel may drop a packet on its way to the tool, as the tool's own files then show: another try.
    it.each(tools)("is read: %s of %s", { retry: 4 }, async (what, command, args) => {
      const name = what.replace(" ", "-");
      const pair = (of: string) => ({ "-cert": files.path(`${of}.pem`), "-key": files.path(`${of}.key`) });
      const trust: OpensslOptions = { "-CAfile": files.path("ca.pem") };
      const { port, server } = await startServer({
        ...pair("server"),
        ...trust,
        "-Verify": 1,
        "-rev": true,
        "-naccept": 2,
        "-keylogfile": path(`${name}.log`),
      });
      // It takes one connection to know that it listens.
      (await connectSocket(port, server)).destroy();
      const stop = await capturing(command, args(path(name), port));
      const client = startClient(port, { ...pair("client"), ...trust });
      client.process.stdin.write("stressed\n");
      await client.until(() => client.stdout().includes("desserts"));
      client.process.stdin.end();
      await Promise.all([client.exited, server.exited]);
      const look = () => {
        const keyLog = readFileSync(path(`${name}.log`), "utf8");
        const { items, connections, notes } = inspected(read(name), { keyLog, provider: createNodeProvider() });
        const text = (from: string) =>
          recordsOf(items(connections.length) as TraceItem[])
            .filter((record) => record.from === from && record.type.name === "application_data")
            .map(({ content }) => new TextDecoder().decode(content))
            .join("");
        return { text, notes, checks: notesOf(items(connections.length)), connections };
      };
      // The tool may be a little behind; what it has written by then is whole.
      await vi.waitFor(() => expect(look().text("server")).toBe("desserts\n"), { timeout: 5000, interval: 50 });
      await stop();
      const { text, notes, checks, connections } = look();
      expect([text("client"), text("server"), notes]).toEqual(["stressed\n", "desserts\n", []]);
      expect(connections.at(-1)).toMatchObject({ protocol: "TLS 1.3", server: `127.0.0.1:${port}` });
      expect(checks.map((note) => note.split(" ", 3).join(" "))).toEqual([
        "verified the server's",
        "verified the client's",
      ]);

      const keyLog = readFileSync(path(`${name}.log`), "utf8");
      const parts: Uint8Array[] = [];
      expect(embedKeyLog(read(name), keyLog, (bytes) => parts.push(bytes))).toBe(1);
      writeFileSync(path(`${name}.whole`), Buffer.concat(parts));
      const decrypted = "tls.handshake.type == 20";
      expect((await tshark(`${name}.whole`, port, decrypted)).length).toBeGreaterThan(0);
      // And their way of putting a key log inside is read here.
      await execute("editcap", [
        "--inject-secrets",
        `tls,${path(`${name}.log`)}`,
        path(name),
        path(`${name}.injected`),
      ]);
      expect(inspected(read(`${name}.injected`), { provider: createNodeProvider() }).items(connections.length)).toEqual(
        inspected(new Uint8Array(Buffer.concat(parts)), { provider: createNodeProvider() }).items(connections.length),
      );
    });
  },
);
