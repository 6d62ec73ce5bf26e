import tls from "node:tls";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { concat, utf8 } from "../../src/bytes/bytes.ts";
import { contextConstructed, contextPrimitive, DerReader, derEncode, Tag } from "../../src/bytes/der.ts";
import { toHex } from "../../src/bytes/hex.ts";
import { readPem } from "../../src/bytes/pem.ts";
import { TlsError } from "../../src/errors.ts";
import { KeyPurpose, KeyUsage } from "../../src/x509/certificate.ts";
import { parseCertificate } from "../../src/x509/parse.ts";
import { encodeExtension, encodeName, encodeOid, encodeSequence, extension, generalName } from "../support/der.ts";
import { makeAuthority, makeCertificate, type TestCertificate } from "../support/pki.ts";

let root: TestCertificate;
let leaf: TestCertificate;

beforeAll(async () => {
  root = await makeAuthority({
    pathLength: 3,
    extensions: [
      extension.nameConstraints([generalName.dns("example.com")], [derEncode(0x87, new Uint8Array(32))]),
      { oid: "1.2.3.4", critical: true, value: derEncode(Tag.null) },
    ],
  });
  leaf = await makeCertificate({
    issuer: root,
    subject: [
      ["C", "DE"],
      ["O", "Müller, Söhne"],
      ["CN", "leaf"],
    ],
    names: [
      generalName.dns("a.example"),
      generalName.dns("*.b.example"),
      generalName.ip("192.0.2.1"),
      generalName.ip("2001:db8::1"),
      generalName.email("a@b.example"),
      generalName.uri("spiffe://b.example/x"),
      generalName.directory("directory"),
      derEncode(contextConstructed(0), encodeOid("1.2.3"), derEncode(contextConstructed(0), derEncode(Tag.null))),
      derEncode(contextPrimitive(8), Uint8Array.of(42, 3)),
    ],
  });
});

/** Positions of the fields of TBSCertificate version 3. */
const Field = { version: 0, serial: 1, algorithm: 2, issuer: 3, validity: 4, subject: 5, spki: 6, extensions: 7 };

/** The certificate with fields of its TBSCertificate replaced; a signature is no concern of the parser. */
function altered(der: Uint8Array, change: (fields: Uint8Array[]) => Uint8Array[]): Uint8Array {
  const certificate = new DerReader(der).sequence();
  const body = certificate.sequence();
  const fields: Uint8Array[] = [];
  while (body.remaining > 0) fields.push(body.raw());
  return encodeSequence(encodeSequence(...change(fields)), certificate.rest());
}

const replaced = (field: number, value: Uint8Array) => (fields: Uint8Array[]) =>
  fields.map((old, index) => (index === field ? value : old));

const withExtensions = (...list: Uint8Array[]) =>
  replaced(Field.extensions, derEncode(contextConstructed(3), encodeSequence(...list)));

const withExtension = (oid: string, ...value: Uint8Array[]) =>
  withExtensions(encodeExtension({ oid, critical: false, value: concat(...value) }));

const validity = (from: string, to: string) =>
  replaced(Field.validity, encodeSequence(derEncode(Tag.utcTime, utf8(from)), derEncode(Tag.utcTime, utf8(to))));

describe("parseCertificate", () => {
  it("reads every field", () => {
    const certificate = parseCertificate(leaf.der);
    expect(certificate).toMatchObject({
      version: 3,
      basicConstraints: { ca: false, pathLength: undefined },
      keyUsage: KeyUsage.digitalSignature,
      extendedKeyUsage: [KeyPurpose.serverAuth, KeyPurpose.clientAuth],
      unhandledCritical: [],
      authorityKeyId: root.keyId,
      subjectKeyId: leaf.keyId,
      publicKey: { spki: leaf.pair.spki, algorithm: { type: "ec", curve: "P-256" } },
    });
    expect(certificate.subject.text).toBe("CN=leaf,O=Müller\\, Söhne,C=DE");
    expect(certificate.issuer.text).toBe("CN=test CA");
    expect(certificate.notAfter - certificate.notBefore).toBe(2 * 86_400_000);
    expect(certificate.subjectAltName).toMatchObject({
      dns: ["a.example", "*.b.example"],
      email: ["a@b.example"],
      uri: ["spiffe://b.example/x"],
      unread: [8],
    });
    expect(certificate.subjectAltName?.ip.map(({ length }) => length)).toEqual([4, 16]);
    expect(certificate.subjectAltName?.directory.map(({ text }) => text)).toEqual(["CN=directory"]);
    expect(certificate.subjectAltName?.other).toEqual([{ type: "1.2.3", value: Uint8Array.of(5, 0) }]);
    const tbs = new DerReader(leaf.der).sequence().raw();
    expect(toHex(certificate.tbs)).toBe(toHex(tbs));
  });

  it("reads an authority's extensions", () => {
    const certificate = parseCertificate(root.der);
    expect(certificate.basicConstraints).toEqual({ ca: true, pathLength: 3 });
    expect(certificate.keyUsage).toBe(KeyUsage.keyCertSign | KeyUsage.cRLSign);
    expect(certificate.nameConstraints?.permitted.dns).toEqual(["example.com"]);
    expect(certificate.nameConstraints?.excluded.ip.map(({ length }) => length)).toEqual([32]);
    expect(certificate.unhandledCritical).toEqual(["1.2.3.4"]);
  });

  it("reads versions 1 and 2", () => {
    const one = altered(leaf.der, (fields) => fields.slice(Field.serial, Field.extensions));
    expect(parseCertificate(one)).toMatchObject({ version: 1, extensions: [], keyUsage: undefined });
    const two = altered(leaf.der, (fields) => [
      derEncode(contextConstructed(0), Uint8Array.of(2, 1, 1)),
      ...fields.slice(Field.serial, Field.extensions),
      derEncode(contextPrimitive(1), Uint8Array.of(0, 1)),
    ]);
    expect(parseCertificate(two).version).toBe(2);
  });

  it("reads every root that Node carries", () => {
    for (const pem of tls.rootCertificates) {
      const [block] = readPem(pem);
      const { subject, basicConstraints } = parseCertificate(block?.der as Uint8Array);
      expect(subject.text).not.toBe("");
      expect(basicConstraints?.ca ?? true).toBe(true);
    }
  });

  const nested = (depth: number): Uint8Array =>
    depth === 0 ? derEncode(Tag.null) : derEncode(Tag.sequence, nested(depth - 1));

  it.each<[string, (fields: Uint8Array[]) => Uint8Array[], RegExp]>([
    ["version 4", replaced(Field.version, derEncode(contextConstructed(0), Uint8Array.of(2, 1, 3))), /version 4/],
    [
      "an explicit version 1",
      replaced(Field.version, derEncode(contextConstructed(0), Uint8Array.of(2, 1, 0))),
      /version 1/,
    ],
    [
      "extensions in version 2",
      replaced(Field.version, derEncode(contextConstructed(0), Uint8Array.of(2, 1, 1))),
      /version 2/,
    ],
    ["extensions in version 1", (fields) => fields.slice(1), /version 1/],
    ["a serial number that is not minimal", replaced(Field.serial, derEncode(2, Uint8Array.of(0, 1))), /not minimal/],
    ["a serial number of 65 bytes", replaced(Field.serial, derEncode(2, new Uint8Array(65).fill(1))), /65 bytes/],
    [
      "an inner signature algorithm that differs",
      replaced(Field.algorithm, encodeSequence(encodeOid("1.2.3"))),
      /differ/,
    ],
    ["an issuer without a name", replaced(Field.issuer, encodeSequence()), /issuer has no name/],
    ["an empty RDN", replaced(Field.subject, encodeSequence(derEncode(Tag.set))), /RDN is empty/],
    [
      "a name of 65 attributes",
      replaced(Field.subject, encodeName(Array(65).fill(["CN", "x"]))),
      /more than 64 attributes/,
    ],
    ["a month of 13", validity("261301000000Z", "270101000000Z"), /no such date/],
    ["a 30th of February", validity("260230000000Z", "270101000000Z"), /no such date/],
    ["a time without seconds", validity("2601010000Z", "270101000000Z"), /4\.1\.2\.5/],
    ["a time zone", validity("260101000000+0100", "270101000000Z"), /4\.1\.2\.5/],
    ["something after the extensions", (fields) => [...fields, derEncode(Tag.null)], /left over/],
    ["no extension in the list", withExtensions(), /empty/],
    [
      "65 extensions",
      withExtensions(
        ...Array.from({ length: 65 }, (_, i) =>
          encodeExtension({ oid: `1.2.3.${i}`, critical: false, value: derEncode(Tag.null) }),
        ),
      ),
      /more than 64 extensions/,
    ],
    [
      "an extension twice",
      withExtensions(encodeExtension(extension.keyUsage(1)), encodeExtension(extension.keyUsage(2))),
      /2\.5\.29\.15 occurs twice/,
    ],
    [
      "a critical flag that is neither true nor false",
      withExtensions(
        encodeSequence(encodeOid("1.2.3"), derEncode(Tag.boolean, Uint8Array.of(1)), derEncode(Tag.octetString)),
      ),
      /BOOLEAN/,
    ],
    [
      "a negative path length",
      withExtension("2.5.29.19", encodeSequence(Uint8Array.of(1, 1, 255, 2, 1, 255))),
      /negative/,
    ],
    [
      "something after basicConstraints",
      withExtension("2.5.29.19", encodeSequence(), derEncode(Tag.null)),
      /left over/,
    ],
    ["an empty extKeyUsage", withExtension("2.5.29.37", encodeSequence()), /extKeyUsage is empty/],
    ["an empty subjectAltName", withExtension("2.5.29.17", encodeSequence()), /list of names is empty/],
    ["a subjectAltName that is no DER", withExtension("2.5.29.17", utf8("localhost")), /expected tag/],
    [
      "a DNS name with a NUL",
      withExtension("2.5.29.17", encodeSequence(generalName.dns("a.example\0.b"))),
      /not ASCII/,
    ],
    ["a DNS name in UTF-8", withExtension("2.5.29.17", encodeSequence(generalName.dns("bücher.example"))), /not ASCII/],
    [
      "an address of 5 bytes",
      withExtension("2.5.29.17", encodeSequence(derEncode(0x87, new Uint8Array(5)))),
      /5 bytes/,
    ],
    ["a name of an unknown form", withExtension("2.5.29.17", encodeSequence(derEncode(0x89))), /unknown tag/],
    [
      "1,025 names",
      withExtension("2.5.29.17", encodeSequence(...Array(1025).fill(generalName.dns("a")))),
      /more than 1024 names/,
    ],
    ["empty name constraints", withExtension("2.5.29.30", encodeSequence()), /nameConstraints is empty/],
    ["an empty list of subtrees", withExtension("2.5.29.30", encodeSequence(derEncode(0xa0))), /subtrees is empty/],
    [
      "a subtree with a minimum",
      withExtension(
        "2.5.29.30",
        encodeSequence(derEncode(0xa0, encodeSequence(generalName.dns("a"), Uint8Array.of(0x80, 1, 1)))),
      ),
      /left over/,
    ],
    [
      "a mask with holes",
      withExtension(
        "2.5.29.30",
        encodeSequence(derEncode(0xa0, encodeSequence(derEncode(0x87, Uint8Array.of(10, 0, 0, 0, 255, 0, 255, 0))))),
      ),
      /malformed/,
    ],
    [
      "a key usage of three bytes",
      withExtension("2.5.29.15", derEncode(Tag.bitString, Uint8Array.of(0, 1, 1, 1))),
      /more bits/,
    ],
    ["nesting without end", withExtension("2.5.29.35", nested(400)), /expected|left over/],
    [
      "a P-256 point that is compressed",
      (fields) =>
        replaced(
          Field.spki,
          Uint8Array.from((fields[Field.spki] as Uint8Array).map((byte, i) => (i === 26 ? 2 : byte))),
        )(fields),
      /uncompressed/,
    ],
  ])("refuses %s", (_title, change, reason) => {
    const error = caught(() => parseCertificate(altered(leaf.der, change)));
    expect(error).toMatchObject({ code: "CERT_PARSE_ERROR", alert: "bad_certificate" });
    expect(error.message).toMatch(reason);
  });

  it("understands critical certificatePolicies as far as their qualifiers are known", () => {
    const policies = (qualifier: string) => {
      const qualifiers = encodeSequence(encodeSequence(encodeOid(qualifier), derEncode(Tag.ia5String, utf8("x"))));
      const value = encodeSequence(encodeSequence(encodeOid("1.2.3")), encodeSequence(encodeOid("1.2.4"), qualifiers));
      return altered(leaf.der, withExtensions(encodeExtension({ oid: "2.5.29.32", critical: true, value })));
    };
    expect(parseCertificate(policies("1.3.6.1.5.5.7.2.1")).unhandledCritical).toEqual([]);
    expect(parseCertificate(policies("1.2.5")).unhandledCritical).toEqual(["2.5.29.32"]);
  });

  it("refuses an explicit FALSE nowhere, since issuers write it", () => {
    const off = derEncode(Tag.boolean, Uint8Array.of(0));
    const value = derEncode(Tag.octetString, encodeSequence(off));
    const change = withExtensions(encodeSequence(encodeOid("2.5.29.19"), off, value));
    expect(parseCertificate(altered(leaf.der, change)).basicConstraints).toEqual({ ca: false, pathLength: undefined });
  });

  it("refuses bytes after the certificate, and too many of them", () => {
    expect(caught(() => parseCertificate(concat(leaf.der, Uint8Array.of(0)))).message).toMatch(/left over/);
    expect(caught(() => parseCertificate(new Uint8Array(200_000))).message).toMatch(/more than 131072 bytes/);
  });

  it("throws nothing but CERT_PARSE_ERROR at any mutation", () => {
    const seeds = [
      leaf.der,
      root.der,
      ...tls.rootCertificates.slice(0, 4).map((pem) => readPem(pem)[0]?.der as Uint8Array),
    ];
    const edit = fc.record({
      at: fc.nat(),
      kind: fc.constantFrom("flip", "cut", "insert", "length"),
      byte: fc.nat(255),
    });
    fc.assert(
      fc.property(fc.constantFrom(...seeds), fc.array(edit, { minLength: 1, maxLength: 4 }), (seed, edits) => {
        let bytes = seed;
        for (const { at, kind, byte } of edits) {
          const index = at % (bytes.length + 1);
          if (kind === "cut") bytes = bytes.slice(0, index);
          else if (kind === "insert")
            bytes = concat(bytes.subarray(0, index), Uint8Array.of(byte), bytes.subarray(index));
          else bytes = bytes.map((old, i) => (i === index ? (kind === "flip" ? old ^ (byte || 1) : byte) : old));
        }
        try {
          const certificate = parseCertificate(bytes);
          expect(certificate.subject.text).toBeTypeOf("string");
          expect(certificate.issuer.key).toBeTypeOf("string");
        } catch (error) {
          if (!(error instanceof TlsError)) throw error;
          expect(error.code).toBe("CERT_PARSE_ERROR");
        }
      }),
      { numRuns: 5000 },
    );
  });
});

function caught(action: () => unknown): TlsError {
  try {
    action();
  } catch (error) {
    if (error instanceof TlsError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}
