import { beforeAll, describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes/bytes.ts";
import { toHex } from "../../src/bytes/hex.ts";
import { fault } from "../../src/errors.ts";
import { createRenderer, type TraceItem, traceError } from "../../src/inspect/index.ts";
import { exchange } from "../support/pair.ts";
import { opened, recordsOf, type Traced, traced } from "./support.ts";

let plain: Traced;
let small: Traced;

beforeAll(async () => {
  const finish = (ends: Traced) => {
    ends.client.engine.write(utf8("hello\x1b[31m"));
    exchange(ends.client, ends.server);
    ends.server.engine.close();
    exchange(ends.client, ends.server);
    return ends;
  };
  plain = finish(await traced());
  small = finish(await traced({ server: { maxFragment: 61, padding: () => 3 } }));
});

const text = (items: readonly TraceItem[], options = {}) => items.map(createRenderer(options)).join("");

/** The bytes that a full rendering shows of each record, in the order of the text. */
function shown(rendered: string): string[] {
  return rendered
    .split(/^(?=[→←])/m)
    .slice(1)
    .map((record) =>
      Array.from(
        record.matchAll(/^(?: {2}\[ *\d+\.\. *\d+\).{34}|\s{50}) ((?:[0-9a-f]{2} ?)+)(?:\s|$)/gm),
        ([, hex]) => hex,
      )
        .join("")
        .replace(/ /g, ""),
    );
}

describe("a rendered trace", () => {
  it("explains a handshake", () => {
    const lines = text(plain.clientItems).split("\n");
    const has = (pattern: RegExp) =>
      expect(
        lines.filter((line) => pattern.test(line)),
        String(pattern),
      ).not.toEqual([]);
    has(/^→ client {2}record 1 {2}handshake, \d+ bytes, \[0\.\.\d+\) of its stream +RFC 8446 5\.1$/);
    has(/^ {2}in the clear$/);
    has(/^ {2}encrypted under server_handshake_traffic_secret, sequence number 0$/);
    has(/^ {2}ClientHello {2}handshake message 1, \d+ bytes +RFC 8446 4\.1\.2$/);
    has(/^ {2}\[ {4}9\.\. {3}11\) +legacy_version +03 03 +TLS 1\.2$/);
    has(/host_name +00 09 6c 6f 63 … 73 74 +"localhost"$/);
    has(/CN=localhost, issued by CN=mutls throwaway root\\, intermediate 1, P-256$/);
    has(/valid .*Z to .*Z, for DNS:localhost, IP:127\.0\.0\.1$/);
    has(/^ {2}key {2}client_handshake_traffic_secret: /);
    has(/^ {2}· client WAIT_SH: /);
    has(/^ {2}Alert {2}close_notify /);
    has(/"hello\.\[31m"$/);
  });

  it("fits the terminal", () => {
    for (const width of [100, 120]) {
      const long = text(plain.clientItems, { width })
        .split("\n")
        .filter((line) => line.length > width);
      // An extension's name and the authority's own may be longer than their columns.
      expect(long.filter((line) => !/application_layer|issued by|valid|extension \d+:/.test(line))).toEqual([]);
    }
  });

  it("explains each thing once", () => {
    const rendered = text(plain.clientItems);
    expect(rendered.split("a signature over the handshake so far").length).toBe(2);
    expect(rendered.match(/CertificateVerify {2}handshake message/g)?.length).toBe(2);
  });

  it("shows every byte when asked, each once and in order", () => {
    for (const items of [plain.clientItems, plain.serverItems]) {
      const records = recordsOf(items);
      expect(shown(text(items, { full: true }))).toEqual(records.map((record) => toHex(opened(record))));
    }
  });

  it("shows messages that span records with the record in which they end", () => {
    const rendered = text(small.clientItems);
    expect(rendered).toMatch(/handshake message \d +.*bytes \[0\.\.\d+\) of \d+, goes on in the next record/);
    expect(rendered).toMatch(/handshake message \d +.*bytes \[\d+\.\.\d+\) of \d+, complete/);
    expect(rendered).toMatch(
      /ServerHello {2}handshake message 1, \d+ bytes, in records 1 to \d+; its bytes are counted/,
    );
    expect(rendered).toContain("3 bytes of padding");
    expect(rendered).toMatch(/zeros +00 00 00 +3 +RFC 8446 5\.4/);
  });

  it("has colours only when asked", () => {
    const colored = text(plain.clientItems, { color: true });
    const bare = text(plain.clientItems);
    expect(bare).not.toContain("\x1b");
    expect(colored).toContain("\x1b[1;36m→ client");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours
    expect(colored.replace(/\x1b\[[\d;]*m/g, "")).toBe(bare);
  });

  it("ends with the error", () => {
    const rendered = text([traceError(fault("CERT_HAS_EXPIRED", "CN=a\x1b[2J"))]);
    expect(rendered).toContain("✗ certificate has expired: CN=a?[2J");
    expect(rendered).toContain("CERT_HAS_EXPIRED, alert certificate_expired sent");
  });
});
