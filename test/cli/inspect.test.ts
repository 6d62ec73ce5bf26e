import { chmodSync, existsSync, readFileSync, statSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { certificateFiles, type Files, mutls, type Served, served } from "../support/cli.ts";

let files: Files;
let server: Served;
/** Written by the server, the client, and for the client's without its secrets the key log. */
let captures: { readonly server: string; readonly client: string; readonly keys: string };

beforeAll(async () => {
  files = await certificateFiles();
  captures = { server: files.path("server.pcapng"), client: files.path("client.pcapng"), keys: files.path("keys.log") };
  const flags = ["--cacert", files.path("ca.pem"), "--client-auth", "on", "--pcapng", captures.server];
  server = await served([...files.pair("server"), ...flags]);
  const connect = (...args: string[]) =>
    mutls(["connect", `localhost:${server.port}`, "--cacert", files.path("ca.pem"), ...args], {
      input: "GET / HTTP/1.0\r\n\r\n",
    });
  const first = await connect(...files.pair("client"), "--pcapng", captures.client, "--keylogfile", captures.keys);
  expect([first.status, first.stderr]).toEqual([0, ""]);
  expect((await connect()).status).toBe(98);
  await server.stop();
});
afterAll(() => files.remove());

const inspect = (...args: string[]) => mutls(["inspect", ...args]);

interface Line {
  readonly kind: string;
  readonly connection?: number;
  readonly from?: string;
  readonly content?: string;
  readonly level?: string;
  readonly type?: { readonly name?: string };
}
const lines = (stdout: Buffer): Line[] =>
  stdout
    .toString()
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);

/** What one side sent through a connection. */
const data = (all: readonly Line[], from: string, connection = 1) =>
  all
    .filter((line) => line.connection === connection && line.from === from && line.type?.name === "application_data")
    .map(({ content = "" }) => Buffer.from(content, "hex").toString())
    .join("");

describe("connect --pcapng and serve --pcapng", () => {
  it("write what mutls inspect explains, decrypted", async () => {
    const { status, stdout, stderr } = await inspect(captures.client);
    expect([status, stderr]).toEqual([0, ""]);
    const text = stdout.toString();
    for (const expected of [
      /^=== connection 1: 127\.0\.0\.1:\d+ → 127\.0\.0\.1:\d+, \d+ packets, from .*Z, for localhost$/m,
      /^ {4}TLS 1\.3, TLS_AES_\w+$/m,
      /^→ client {2}record 1 {2}handshake/m,
      /encrypted under server_handshake_traffic_secret, sequence number 0/,
      /CN=alice, issued by CN=mutls throwaway root/,
      /✓ the client's Finished is right/,
      /encrypted under client_application_traffic_secret_0/,
      /"GET \/ HTTP\/1\.0\.\.\.\."/,
      /Alert {2}close_notify/,
    ])
      expect(text).toMatch(expected);
    expect(text).not.toContain("\x1b");
  });

  it("are for their owner's eyes", () => {
    for (const file of [captures.client, captures.server]) expect(statSync(file).mode & 0o077).toBe(0);
  });

  it("are so where others could read what was there before", async () => {
    const target = files.path("shared.pcapng");
    files.write("shared.pcapng", "before");
    chmodSync(target, 0o644);
    expect((await inspect(captures.client, "--pcapng", target)).status).toBe(0);
    expect(statSync(target).mode & 0o777).toBe(0o600);
  });

  it("have each of a server's connections, refused ones too", async () => {
    const all = lines((await inspect(captures.server, "--json")).stdout);
    expect(all.filter(({ kind }) => kind === "connection")).toMatchObject([
      { connection: 1, dissected: true, protocol: "TLS 1.3", serverName: "localhost" },
      { connection: 2, dissected: true },
    ]);
    expect(data(all, "server")).toMatch(/^HTTP\/1\.0 200 OK/);
    expect(data(all, "client")).toBe("GET / HTTP/1.0\r\n\r\n");
    expect(all.filter(({ kind, connection }) => kind === "alert" && connection === 2)).toMatchObject([
      { from: "server", description: { name: "certificate_required" } },
    ]);
    expect(all.filter(({ level }) => level === "verified")).toHaveLength(4);
  });

  it.each(["connect", "serve"])("refuse a file that cannot be written: %s", async (command) => {
    const target = files.path("nowhere/capture.pcapng");
    const args = command === "connect" ? ["127.0.0.1:1"] : files.pair("server");
    const { status, stderr } = await mutls([command, ...args, "--pcapng", target]);
    expect([status, stderr]).toEqual([23, expect.stringContaining("cannot write the capture")]);
  });
});

describe("inspect", () => {
  it("prints what --trace prints for the same connection", async () => {
    const live = await served([...files.pair("server")]);
    const args = ["connect", `localhost:${live.port}`, "--cacert", files.path("ca.pem")];
    const file = files.path("same.pcapng");
    const { stderr } = await mutls([...args, "--trace", "--pcapng", file], { input: "GET / HTTP/1.0\r\n\r\n" });
    await live.stop();
    const { stdout } = await inspect(file);
    // States are not on the wire, and what was checked is not in a live trace.
    const told = (text: string) => text.split("\n").filter((line) => !/^ {2}[·✓] |^===|^ {4}TLS 1\.3|^$/.test(line));
    expect(told(stdout.toString())).toEqual(told(stderr));
  });

  it("takes a key log beside the capture, or puts it inside", async () => {
    const bare = files.path("bare.pcapng");
    // Blocks of secrets become blocks of a type that nobody knows.
    const bytes = readFileSync(captures.client);
    for (let at = 0; at < bytes.length; at += bytes.readUInt32LE(at + 4)) {
      if (bytes.readUInt32LE(at) === 0x0a) bytes.writeUInt32LE(0x0bad, at);
    }
    files.write("bare.pcapng", bytes);
    const closed = await inspect(bare);
    expect(closed.stdout.toString()).toContain("there is no key log to decrypt it with");
    expect(closed.stderr).toMatch(/^mutls: nothing is decrypted without its secrets: give them with --keylogfile/);
    const open = await inspect(bare, "--keylogfile", captures.keys);
    expect([open.status, open.stderr]).toEqual([0, ""]);
    expect(open.stdout).toEqual((await inspect(captures.client)).stdout);
    const whole = files.path("whole.pcapng");
    const written = await inspect(bare, "--keylogfile", captures.keys, "--pcapng", whole);
    expect([written.status, written.stdout.toString()]).toEqual([0, ""]);
    expect(written.stderr).toContain("the secrets of 1 connections; whoever has it can read them");
    expect(statSync(whole).mode & 0o077).toBe(0);
    expect((await inspect(whole)).stdout).toEqual(open.stdout);
  });

  it("says what a key log is where it is none", async () => {
    const other = files.write("other.log", "CLIENT_RANDOM 00 11\nnonsense\n");
    const bare = files.path("bare.pcapng");
    const { stderr } = await inspect(bare, "--keylogfile", other);
    expect(stderr).toBe("mutls: no secret of TLS 1.3 in the key log: 2 lines are no such ones (RFC 9850 2)\n");
  });

  it("takes one connection, every byte, colours, JSON, and stdin", async () => {
    const second = lines((await inspect(captures.server, "--stream", "2", "--json")).stdout);
    expect(new Set(second.map(({ connection }) => connection))).toEqual(new Set([2]));
    expect((await inspect(captures.client, "--full")).stdout.toString()).toMatch(/msg_type +01 +client_hello/);
    expect((await inspect(captures.client, "--color", "always")).stdout.toString()).toContain("\x1b[1;36m→ client");
    const piped = await mutls(["inspect", "-"], { input: readFileSync(captures.client) });
    expect(piped.stdout).toEqual((await inspect(captures.client)).stdout);
    expect((await inspect(captures.client, "--provider", "noble")).stdout).toEqual(piped.stdout);
  });

  it("explains dumps and certificates", async () => {
    const dump = await mutls(["inspect", "-"], {
      input: "00000000: 1503 0300 0202 28                           ......(\n",
    });
    expect([dump.status, dump.stderr]).toEqual([0, ""]);
    expect(dump.stdout.toString()).toMatch(/Alert {2}handshake_failure/);
    const certificate = await inspect(files.path("server.pem"));
    expect(certificate.stdout.toString()).toMatch(/subject .*RFC 5280 4\.1\.2\.6$/m);
    const json = lines((await inspect(files.path("server.pem"), "--json")).stdout);
    expect(json[0]).toMatchObject({ kind: "certificate", summary: { subject: "CN=localhost" } });
  });

  it.each([
    ["a file that is not there", () => ["/nowhere"], 26, "cannot read /nowhere"],
    ["a file without end", () => ["/dev/zero"], 26, "more than 268435456 bytes: cut the capture with editcap"],
    ["a directory", () => [files.path(".")], 26, "cannot read"],
    ["a key log that is not there", () => [captures.client, "--keylogfile", "/nowhere"], 26, "cannot read /nowhere"],
    [
      "a file that is nothing of the kind",
      () => [files.write("words.txt", "hello")],
      26,
      "neither a capture, nor TLS records",
    ],
    ["a key log in place of a capture", () => [captures.keys], 26, "it is a key log, which goes with a capture"],
    ["a private key", () => [files.path("server.key")], 26, "only certificates are taken apart"],
    ["a stream that is not there", () => [captures.client, "--stream", "7"], 2, "there are 1 connections"],
    ["a stream of what is no capture", () => [files.path("server.pem"), "--stream", "1"], 2, "--stream is of captures"],
    [
      "a copy of what is no capture",
      () => [files.path("server.pem"), "--pcapng", files.path("x")],
      2,
      "copies captures",
    ],
    [
      "a copy that cannot be written",
      () => [captures.client, "--pcapng", "/nowhere/x"],
      23,
      "cannot write the capture",
    ],
    ["both forms", () => [captures.client, "--json", "--full"], 2, "--full is of text"],
    ["no file", () => [], 2, "mutls inspect needs FILE"],
  ] satisfies [string, () => string[], number, string][])("refuses %s", async (_, args, status, message) => {
    const run = await inspect(...args());
    expect([run.status, run.stderr]).toEqual([status, expect.stringContaining(message)]);
    expect(existsSync(files.path("x"))).toBe(false);
  });

  it("says so where there is nothing to explain", async () => {
    const header = Buffer.alloc(24);
    header.writeUInt32LE(0xa1b2c3d4, 0);
    header.writeUInt16LE(2, 4);
    header.writeUInt32LE(1, 20);
    const { status, stdout, stderr } = await inspect(files.write("empty.pcap", header));
    expect([status, stdout.toString(), stderr]).toEqual([0, "", "mutls: no TCP connection with data in there\n"]);
  });

  it("is in the help", async () => {
    const { status, stdout } = await mutls(["inspect", "--help"]);
    expect(status).toBe(0);
    for (const flag of ["--keylogfile", "--stream", "--json", "--pcapng", "--color"])
      expect(stdout.toString()).toContain(flag);
    expect((await mutls(["--help"])).stdout.toString()).toMatch(/^ {2}inspect FILE +Explains/m);
  });
});
