import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { certificateFiles, type Files, mutls, type Served, served } from "../support/cli.ts";

let files: Files;
let server: Served;

beforeAll(async () => {
  files = await certificateFiles();
  server = await served([...files.pair("server"), "--cacert", files.path("ca.pem"), "--client-auth", "on"]);
});
afterAll(async () => {
  await server.stop();
  files.remove();
});

interface Field {
  readonly name: string;
  readonly start: number;
  readonly end: number;
  readonly section: string;
  readonly children: readonly Field[];
}
interface Item {
  readonly kind: string;
  readonly connection?: number;
  readonly from?: string;
  readonly type?: string | { readonly name: string };
  readonly start: number;
  readonly end: number;
  readonly wire: string;
  readonly content: string;
  readonly bytes: string;
  readonly fields: readonly Field[];
  readonly parts: readonly { readonly start: number; readonly end: number }[];
  readonly code?: string;
}

const leaves = (fields: readonly Field[]): Field[] =>
  fields.flatMap((field) => (field.children.length === 0 ? [field] : leaves(field.children)));

function tiles(ranges: readonly { start: number; end: number }[], start: number, end: number): boolean {
  let at = start;
  for (const range of ranges) {
    if (range.start !== at) return false;
    at = range.end;
  }
  return at === end;
}

/** Every byte is accounted for exactly once, in each direction. */
function checkTiling(items: readonly Item[]): void {
  for (const from of ["client", "server"]) {
    const records = items.filter((item) => item.kind === "record" && item.from === from);
    expect(records.length).toBeGreaterThan(3);
    expect(tiles(records, 0, records.at(-1)?.end as number)).toBe(true);
    for (const { start, end, wire, content, fields, parts } of records) {
      expect(wire.length / 2).toBe(end - start);
      expect(tiles(leaves(fields), 0, end - start)).toBe(true);
      expect(tiles(parts, 5, 5 + content.length / 2)).toBe(true);
    }
  }
  const messages = items.filter(({ kind }) => kind === "message");
  for (const { bytes, fields } of messages) {
    expect(tiles(leaves(fields), 0, bytes.length / 2)).toBe(true);
    for (const { section } of leaves(fields)) expect(section).toMatch(/^RFC \d+ /);
  }
}

const parseLines = (text: string): Item[] =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Item);

const connect = (...args: string[]) =>
  mutls(["connect", `localhost:${server.port}`, "--cacert", files.path("ca.pem"), ...args], {
    input: "GET / HTTP/1.0\r\n\r\n",
  });

describe("connect --json", () => {
  it.each(["node", "noble"])("has nothing but JSON on stdout, every byte in it: %s", async (provider) => {
    const { status, stdout, stderr } = await connect(...files.pair("client"), "--json", "--provider", provider);
    expect([status, stderr]).toEqual([0, ""]);
    const items = parseLines(stdout.toString());
    checkTiling(items);
    expect(new Set(items.map(({ kind }) => kind))).toEqual(new Set(["record", "message", "secret", "state", "alert"]));
    const data = items.filter(
      ({ kind, from, type }) =>
        kind === "record" && from === "server" && typeof type === "object" && type.name === "application_data",
    );
    expect(Buffer.from(data.map(({ content }) => content).join(""), "hex").toString()).toMatch(/^HTTP\/1\.0 200 OK/);
  });

  it("ends with the error where there is one", async () => {
    const { status, stdout, stderr } = await connect("--json");
    expect(status).toBe(98);
    expect(parseLines(stdout.toString()).at(-1)).toMatchObject({
      kind: "error",
      code: "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED",
      alert: "certificate_required",
      direction: "received",
    });
    expect(stderr).toContain("certificate_required");
  });
});

describe("connect --trace", () => {
  it("explains on stderr, with the data alone on stdout", async () => {
    const { status, stdout, stderr } = await connect(...files.pair("client"), "--trace");
    expect(status).toBe(0);
    expect(stdout.toString()).toMatch(/^HTTP\/1\.0 200 OK[^→←]*$/);
    for (const expected of [
      "→ client  record 1  handshake",
      "ClientHello  handshake message 1",
      "encrypted under server_handshake_traffic_secret, sequence number 0",
      "CN=localhost, issued by CN=mutls throwaway root",
      "CertificateRequest  handshake message",
      "encrypted under client_application_traffic_secret_0",
      "Alert  close_notify",
      "RFC 8446 4.4.3",
    ])
      expect(stderr).toContain(expected);
    expect(stderr).not.toContain("\x1b");
  });

  it("shows all bytes with --full", async () => {
    const { stderr } = await connect(...files.pair("client"), "--trace", "--full");
    expect(stderr).not.toContain(" … ");
    expect(stderr).toMatch(/msg_type +01 +client_hello/);
  });

  it("ends with the error where there is one", async () => {
    const { stderr } = await connect("--trace", "--servername", "other.example");
    expect(stderr).toMatch(
      /✗ the certificate does not name the host.*\n {2}ERR_TLS_CERT_ALTNAME_INVALID, alert bad_certificate sent/,
    );
  });
});

describe("serve --trace and --json", () => {
  it("keeps stdout to its one line, and numbers connections", async () => {
    const traced = await served([...files.pair("server"), "--json"]);
    const ask = (...args: string[]) =>
      mutls(["connect", `localhost:${traced.port}`, ...args], { input: "GET / HTTP/1.0\r\n\r\n" });
    expect((await ask("--cacert", files.path("ca.pem"))).status).toBe(0);
    expect((await ask("--cacert", files.path("other-ca.pem"))).status).toBe(60);
    const { stdout, stderr } = await traced.stop();
    expect(stdout.toString()).toMatch(/^listening on [^\n]+\n$/);
    const items = parseLines(stderr);
    checkTiling(items.filter(({ connection }) => connection === 1));
    expect(items.filter(({ connection }) => connection === 2).at(-1)).toMatchObject({
      kind: "error",
      code: "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA",
    });
    expect(items.every(({ connection }) => connection === 1 || connection === 2)).toBe(true);
  });

  it("traces for people, too", async () => {
    const traced = await served([...files.pair("server"), "--trace", "--mode", "echo"]);
    const args = ["connect", `localhost:${traced.port}`, "--cacert", files.path("ca.pem")];
    expect((await mutls(args, { input: "hello" })).stdout.toString()).toBe("hello");
    const { stdout, stderr } = await traced.stop();
    expect(stdout.toString()).toMatch(/^listening on [^\n]+\n$/);
    expect(stderr).toMatch(/^\[1\] ← client {2}record 1 {2}handshake/m);
    expect(stderr).toMatch(/^\[1\] → server {2}record 1 {2}handshake/m);
  });
});
