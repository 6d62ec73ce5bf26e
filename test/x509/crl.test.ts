/** CRLs as values: what is read, what is refused, and in what time (RFC 5280 5). */
import { beforeAll, describe, expect, it } from "vitest";
import { DerReader, derEncode, Tag } from "../../src/bytes/der.ts";
import { TlsError } from "../../src/errors.ts";
import { parseCrl } from "../../src/x509/crl.ts";
import { parseCertificate } from "../../src/x509/parse.ts";
import { mutateBytes } from "../fuzz/mutate.ts";
import { encodeBitString, encodeSequence } from "../support/der.ts";
import { makeAuthority, makeCertificate, type TestCertificate } from "../support/pki.ts";
import { Random } from "../support/random.ts";
import { makeCrl, scope, serialOf, type TestCrlOptions, unknownCritical } from "../support/status.ts";

let root: TestCertificate;
let other: TestCertificate;
let leaf: TestCertificate;

beforeAll(async () => {
  root = await makeAuthority({ subject: "test root" });
  other = await makeAuthority({ subject: "other" });
  leaf = await makeCertificate({ issuer: root });
});

const serial = (...bytes: number[]) => Uint8Array.from(bytes);

describe("a CRL", () => {
  it("is read whole", async () => {
    const invalidity = {
      oid: "2.5.29.24",
      critical: false,
      value: derEncode(Tag.generalizedTime, ascii("20200101000000Z")),
    };
    const crl = parseCrl(
      await makeCrl({
        issuer: root,
        number: 300,
        entries: [
          { serial: serialOf(leaf), reason: 1, extensions: [invalidity] },
          { serial: serial(5), reason: 6 },
          { serial: serial(0xff), reason: 9 },
        ],
        scope: scope({ url: "http://a.test/crl", user: true, reasons: [1, 6] }),
      }),
    );
    const { issuer } = parseCertificate(root.der);
    expect(crl).toMatchObject({
      version: 2,
      crlNumber: 300n,
      baseCrlNumber: undefined,
      size: 3,
      unhandledCritical: [],
    });
    expect(crl.issuer.text).toBe("CN=test root");
    expect(crl.scope).toMatchObject({ onlyContainsUserCerts: true, indirectCRL: false, reasons: (1 << 1) | (1 << 6) });
    expect(crl.find(issuer, serialOf(leaf))).toMatchObject({
      reason: "keyCompromise",
      invalidityDate: Date.UTC(2020, 0, 1),
    });
    expect(crl.find(issuer, serial(5))?.reason).toBe("certificateHold");
    expect(crl.find(issuer, serial(0xff))?.reason).toBe("privilegeWithdrawn");
    expect(crl.find(issuer, serial(6))).toBeUndefined();
    expect(crl.find(parseCertificate(other.der).subject, serial(5))).toBeUndefined();
  });

  it("of several CAs keeps them apart, each entry's issuer being that of the entry before (RFC 5280 5.3.3)", async () => {
    const entries = [
      { serial: serial(1) },
      { serial: serial(2), issuer: other },
      { serial: serial(3) },
      { serial: serial(4), issuer: root },
    ];
    const crl = parseCrl(await makeCrl({ issuer: root, entries, scope: scope({ indirect: true }) }));
    const listed = ({ der }: TestCertificate) =>
      [1, 2, 3, 4].filter((number) => crl.find(parseCertificate(der).subject, serial(number)) !== undefined);
    expect(listed(root)).toEqual([1, 4]);
    expect(listed(other)).toEqual([2, 3]);
  });

  it("names the critical extensions that make it useless", async () => {
    const ofCrl = parseCrl(await makeCrl({ issuer: root, extensions: [unknownCritical] }));
    const entries = [{ serial: serial(1), extensions: [unknownCritical] }];
    const ofEntry = parseCrl(await makeCrl({ issuer: root, entries }));
    expect([ofCrl.unhandledCritical, ofEntry.unhandledCritical]).toEqual([["1.2.3.4"], ["1.2.3.4"]]);
    const many = Array.from({ length: 60 }, (_, i) => ({
      serial: serial(i + 1),
      extensions: [{ ...unknownCritical, oid: `1.2.3.${i}` }],
    }));
    expect(parseCrl(await makeCrl({ issuer: root, entries: many })).unhandledCritical).toHaveLength(16);
  });

  const reasonOf = (number: number) => ({ entries: [{ serial: serial(1), reason: number }] });
  const REFUSED: readonly (readonly [string, RegExp, (issuer: TestCertificate) => Partial<TestCrlOptions>])[] = [
    ["of version 3", /version number 2/, () => ({ version: 2 })],
    ["of version 1, written out", /version number 0/, () => ({ version: 0 })],
    ["of version 1 with extensions", /extensions in a CRL of version 1/, () => ({ version: null })],
    ["with a negative number", /negative/, () => ({ number: null, extensions: [ofNumber(Uint8Array.of(0xff))] })],
    [
      "with a number of 21 octets",
      /20 octets/,
      () => ({ number: null, extensions: [ofNumber(new Uint8Array(21).fill(1))] }),
    ],
    ["with an empty scope", /empty issuing distribution point/, () => ({ scope: scope({}) })],
    ["for users only and CAs only", /only two kinds/, () => ({ scope: scope({ user: true, ca: true }) })],
    ["with reason 7", /reason 7/, () => reasonOf(7)],
    ["with reason 11", /reason 11/, () => reasonOf(11)],
    ["with a serial number of 65 bytes", /65 bytes/, () => ({ entries: [{ serial: new Uint8Array(65).fill(1) }] })],
    ["with a serial number that is not minimal", /not minimal/, () => ({ entries: [{ serial: serial(0, 1) }] })],
    [
      "with another issuer's entry though not indirect",
      /not indirect/,
      (issuer) => ({ entries: [{ serial: serial(1), issuer }] }),
    ],
    ["with an extension twice", /occurs twice/, () => ({ extensions: [unknownCritical, unknownCritical] })],
  ];
  it.each(REFUSED)("%s is refused", async (_, reason, options) => {
    const der = await makeCrl({ issuer: root, ...options(other) });
    expect(() => parseCrl(der)).toThrow(
      expect.objectContaining({ code: "CRL_PARSE_ERROR", detail: expect.stringMatching(reason) }),
    );
  });

  it("with a list of revoked certificates that is empty is refused (RFC 5280 5.1.2.6)", async () => {
    const nobody = derEncode(Tag.sequence);
    const tbs = new DerReader(await makeCrl({ issuer: root })).sequence().sequence();
    const parts: Uint8Array[] = [];
    while (tbs.remaining > 0) parts.push(tbs.raw());
    // Before the extensions.
    parts.splice(-1, 0, nobody);
    const listing = encodeSequence(...parts);
    const signature = encodeBitString(await root.pair.sign(listing));
    expect(() => parseCrl(encodeSequence(listing, root.pair.algorithm, signature))).toThrow(/an empty list/);
  });

  it("with bytes after it, or with another algorithm inside, is refused", async () => {
    const der = await makeCrl({ issuer: root });
    expect(() => parseCrl(Uint8Array.from([...der, 0]))).toThrow(/left over/);
    const swapped = await makeCrl({
      issuer: root,
      signer: { ...root.pair, algorithm: encodeSequence(derEncode(Tag.oid, Uint8Array.of(42, 3))) },
    });
    // With its tag and length: a single byte may be in the signature, too.
    const at = Buffer.from(swapped).lastIndexOf(Buffer.of(Tag.oid, 2, 42, 3));
    swapped[at + 3] = 4;
    expect(() => parseCrl(swapped)).toThrow(/two signature algorithms differ/);
  });

  it("of 100,000 entries is read in time that grows with its length, and looked up at once", async () => {
    const entriesOf = (count: number) =>
      Array.from({ length: count }, (_, i) => ({ serial: serial(1, i >> 16, (i >> 8) & 0xff, i & 0xff), reason: 1 }));
    const crl = parseCrl(await makeCrl({ issuer: root, entries: entriesOf(100_000) }));
    expect(crl.size).toBe(100_000);
    // Lookups that went through all entries would take minutes.
    for (let i = 0; i < 20_000; i++) expect(crl.find(crl.issuer, serial(1, 0, i >> 8, i & 0xff))).toBeDefined();
  }, 60_000);

  it("damaged at random throws TlsErrors alone", async () => {
    const der = await makeCrl({
      issuer: root,
      entries: [
        { serial: serial(1), reason: 1 },
        { serial: serial(2), issuer: other },
        { serial: serial(3), reason: 8 },
      ],
      scope: scope({ url: "http://a.test/crl", indirect: true, reasons: [1, 2] }),
      base: 1,
    });
    const random = new Random(5280);
    for (let i = 0; i < 5000; i++) {
      try {
        parseCrl(mutateBytes(random, der));
      } catch (error) {
        expect(error).toBeInstanceOf(TlsError);
      }
    }
  });
});

function ofNumber(contents: Uint8Array) {
  return { oid: "2.5.29.20", critical: false, value: derEncode(Tag.integer, contents) };
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
