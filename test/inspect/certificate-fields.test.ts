/** Certificates byte by byte. */
import { readdirSync, readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { concat, utf8 } from "../../src/bytes/bytes.ts";
import { derEncode, derOid, derSequence } from "../../src/bytes/der.ts";
import { readPem } from "../../src/bytes/pem.ts";
import { TlsError } from "../../src/errors.ts";
import { certificateFields, createRenderer, type TraceField, traceJson } from "../../src/inspect/index.ts";
import { createThrowawayAuthority } from "../../src/pki/index.ts";

let der: Uint8Array;

beforeAll(async () => {
  const authority = await createThrowawayAuthority();
  const { certificates } = await authority.issue({
    subject: "leaf",
    dnsNames: ["localhost"],
    ipAddresses: ["127.0.0.1", "::1"],
    uris: ["spiffe://example.org/leaf"],
  });
  der = certificates[0] as Uint8Array;
});

const leaves = (fields: readonly TraceField[]): TraceField[] =>
  fields.flatMap((field) => (field.children.length === 0 ? [field] : leaves(field.children)));
const every = (fields: readonly TraceField[]): TraceField[] =>
  fields.flatMap((field) => [field, ...every(field.children)]);

/** Every byte once, in order. */
function tiles(bytes: Uint8Array, fields: readonly TraceField[]): boolean {
  let at = 0;
  for (const { start, end } of leaves(fields)) {
    if (start !== at || end < start) return false;
    at = end;
  }
  return at === bytes.length;
}

const labels = (fields: readonly TraceField[], name: string) =>
  every(fields).flatMap((field) => (field.name === name ? [field.label] : []));

describe("a certificate's fields", () => {
  it("tile it, each named, with its section", () => {
    const { fields, bytes } = certificateFields(der);
    expect(tiles(bytes, fields)).toBe(true);
    const named = every(fields).filter(({ name }) => name !== "length" && name !== "data");
    expect(named.length).toBeGreaterThan(40);
    expect(named.filter(({ section }) => !/^RFC \d{4} \d+(\.\d+)*$/.test(section))).toEqual([]);
  });

  it("say what they say", () => {
    const { fields } = certificateFields(der);
    expect(labels(fields, "dNSName")).toEqual(['"localhost"']);
    expect(labels(fields, "iPAddress")).toEqual(["127.0.0.1", "::1"]);
    expect(labels(fields, "uniformResourceIdentifier")).toEqual(['"spiffe://example.org/leaf"']);
    expect(labels(fields, "extnID")).toContain("subjectAltName (2.5.29.17)");
    expect(labels(fields, "KeyUsage")).toEqual(["digitalSignature"]);
    expect(labels(fields, "KeyPurposeId").join()).toContain("1.3.6.1.5.5.7.3.");
    expect(labels(fields, "number")).toEqual(["2"]);
    expect(labels(fields, "notAfter")[0]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    const text = createRenderer()(certificateFields(der, 3));
    expect(text).toMatch(/^ {2}Certificate 3, \d+ bytes +RFC 5280 4\.1$/m);
    expect(text).toMatch(/serialNumber .* INTEGER, \d+ bytes +RFC 5280 4\.1\.2\.2$/m);
    expect(text).toContain("for DNS:localhost, IP:127.0.0.1");
  });

  it("show every byte when asked", () => {
    const text = createRenderer({ full: true })(certificateFields(der));
    const shown = Array.from(
      text.matchAll(/^(?: {2}\[ *\d+\.\. *\d+\).{34}|\s{50}) ((?:[0-9a-f]{2} ?)+)(?:\s|$)/gm),
      ([, hex]) => hex,
    );
    expect(shown.join("").replace(/ /g, "")).toBe(Buffer.from(der).toString("hex"));
  });

  it("are found in certificates of all kinds, and of those that break the rules", () => {
    const fixtures = new URL("../fuzz/fixtures/", import.meta.url);
    let count = 0;
    for (const name of readdirSync(fixtures)) {
      const found = readFileSync(new URL(name, fixtures), "utf8").match(
        /-----BEGIN CERTIFICATE-----[^"]*?-----END CERTIFICATE-----/g,
      );
      for (const pem of found ?? []) {
        for (const block of readPem(pem.replace(/\\n/g, "\n"))) {
          const { bytes, fields } = certificateFields(block.der);
          expect(tiles(bytes, fields)).toBe(true);
          count++;
        }
      }
    }
    expect(count).toBeGreaterThan(1);
  });

  it("are ASN.1's where nobody knows better: extensions that are no DER, types that are none of the table's", () => {
    const extension = (oid: string, value: Uint8Array) => derSequence(derOid(oid), derEncode(4, value));
    const odd = derSequence(
      derEncode(0xa0, derEncode(2, Uint8Array.of(2))),
      derEncode(0x1e, Uint8Array.of(0, 72, 0, 105)),
      derEncode(0x0c, utf8("naïve\x1b[2J")),
      derEncode(0x01, Uint8Array.of(7)),
      derEncode(0x85, Uint8Array.of(1, 2)),
      derEncode(0x42, Uint8Array.of(1)),
      derEncode(
        0xa3,
        derSequence(extension("1.2.3.4", Uint8Array.of(0xff)), extension("2.5.29.15", Uint8Array.of(3, 2, 9, 1))),
      ),
    );
    const item = certificateFields(derSequence(odd));
    expect(tiles(item.bytes, item.fields)).toBe(true);
    expect(typeof item.summary).toBe("string");
    const all = every(item.fields).map(({ label }) => label);
    expect(all).toEqual(expect.arrayContaining(['"Hi"', "1.2.3.4"]));
    const text = createRenderer()(item);
    expect(text).toContain("breaks the rules: ");
    expect(text).not.toContain("\x1b");
    expect(JSON.parse(traceJson(item)).kind).toBe("certificate");
  });

  it("go no deeper than is good", () => {
    let nested: Uint8Array = derSequence();
    for (let i = 0; i < 5000; i++) nested = derSequence(nested);
    const { bytes, fields } = certificateFields(nested);
    expect(tiles(bytes, fields)).toBe(true);
    const depth = (field: TraceField): number => 1 + Math.max(0, ...field.children.map(depth));
    expect(Math.max(...fields.map(depth))).toBeLessThan(40);
  });

  it.each([
    ["nothing", new Uint8Array(0)],
    ["trailing bytes", Uint8Array.of(0x30, 0, 0)],
    ["a length beyond the end", Uint8Array.of(0x30, 5, 1)],
    ["an identifier that ends inside", derSequence(derEncode(6, Uint8Array.of(0x80)))],
    ["a long tag", Uint8Array.of(0x30, 3, 0x1f, 1, 0)],
  ])("are refused where there is no DER: %s", (_, bytes) => {
    let error: unknown;
    try {
      certificateFields(concat(bytes));
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(TlsError);
    expect(error).toMatchObject({ code: "ERR_TLS_PEM" });
  });
});
