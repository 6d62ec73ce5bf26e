/** Chains of which one certificate is not as RFC 5280 4.1 and X.690 want it written. */
import { concat, utf8 } from "../../src/bytes/bytes.ts";
import { derEncode, Tag } from "../../src/bytes/der.ts";
import { encodeBitString, encodeNumber, encodeOid, encodeSequence, extension, generalName } from "../support/der.ts";
import { type ChainKind, kind } from "./chain.ts";
import { HOST, type MakeOptions, unknownExtension } from "./maker.ts";

const time = (tag: number, value: string): Uint8Array => derEncode(tag, utf8(value));
const utcTime = (value: string) => time(Tag.utcTime, value);
const generalizedTime = (value: string) => time(Tag.generalizedTime, value);

const replaced =
  (oid: string, value: Uint8Array): NonNullable<MakeOptions["rework"]> =>
  (list) =>
    list.map((each) => (each.oid === oid ? { ...each, value } : each));

const leaf = (title: string, options: MakeOptions): ChainKind => kind(title, { leaf: options });
/** Where the names are lost as well, so that nobody can miss them. */
const nameless = (title: string, options: MakeOptions): ChainKind => kind(title, { leaf: options }, "client");

/** The first of these bytes changed. */
function altered(der: Uint8Array, from: readonly number[], to: readonly number[]): Uint8Array {
  const at = der.findIndex((_, index) => from.every((byte, offset) => der[index + offset] === byte));
  if (at < 0) throw new RangeError("nothing to change");
  return concat(der.subarray(0, at), Uint8Array.from(to), der.subarray(at + from.length));
}

const TIMES: readonly ChainKind[] = [
  leaf("time without seconds", { notBefore: utcTime("3504010000Z") }),
  leaf("time with an offset from UTC", { notBefore: utcTime("350401000000+0100") }),
  leaf("time without Z", { notBefore: generalizedTime("20350401000000") }),
  leaf("time with fractions of a second", { notBefore: generalizedTime("20350401000000.5Z") }),
  leaf("time in the 13th month", { notBefore: utcTime("351301000000Z") }),
  leaf("time on the 30th of February", { notBefore: utcTime("350230000000Z") }),
  leaf("time that is a number", { notBefore: encodeNumber(35) }),
];

const SERIALS: readonly ChainKind[] = [
  leaf("serial number 0", { serial: encodeNumber(0) }),
  leaf("serial number negative", { serial: derEncode(Tag.integer, Uint8Array.of(0xc0, 1, 2)) }),
  leaf("serial number of 21 octets", { serial: derEncode(Tag.integer, new Uint8Array(21).fill(0x41)) }),
  leaf("serial number of 80 octets", { serial: derEncode(Tag.integer, new Uint8Array(80).fill(0x41)) }),
  leaf("serial number with a superfluous zero", { serial: derEncode(Tag.integer, Uint8Array.of(0, 0x41)) }),
  leaf("serial number without octets", { serial: derEncode(Tag.integer) }),
];

const VERSIONS: readonly ChainKind[] = [
  nameless("extensions in a certificate of version 1", {
    version: null,
    extensions: [extension.subjectAltName([generalName.dns(HOST)])],
  }),
  nameless("extensions in a certificate of version 2", {
    version: 1,
    extensions: [extension.subjectAltName([generalName.dns(HOST)])],
  }),
  leaf("version 4", { version: 3, extensions: [extension.subjectAltName([generalName.dns(HOST)])] }),
  nameless("version 1 written out", { version: 0 }),
];

const EXTENSIONS: readonly ChainKind[] = [
  leaf("extension twice", { extensions: [unknownExtension(false), unknownExtension(false)] }),
  leaf("subjectAltName twice", { extensions: [extension.subjectAltName([generalName.dns("a.example.com")])] }),
  leaf("basicConstraints twice", { extensions: [extension.basicConstraints(true)] }),
  nameless("subjectAltName empty", { rework: replaced("2.5.29.17", encodeSequence()) }),
  leaf("subjectAltName with an address of 5 octets", {
    names: [generalName.dns(HOST), derEncode(0x87, new Uint8Array(5))],
  }),
  leaf("subjectAltName with bytes left over", {
    rework: replaced("2.5.29.17", concat(encodeSequence(generalName.dns(HOST)), Uint8Array.of(5, 0))),
  }),
  leaf("keyUsage that is no BIT STRING", { rework: replaced("2.5.29.15", encodeNumber(5)) }),
  leaf("extKeyUsage empty", { rework: replaced("2.5.29.37", encodeSequence()) }),
  leaf("BOOLEAN other than 00 and ff", {
    rework: replaced("2.5.29.19", encodeSequence(derEncode(Tag.boolean, Uint8Array.of(1)))),
  }),
  leaf("path length negative", {
    rework: replaced(
      "2.5.29.19",
      encodeSequence(derEncode(Tag.boolean, Uint8Array.of(0xff)), derEncode(Tag.integer, Uint8Array.of(0xff))),
    ),
  }),
  nameless("list of extensions empty", { rework: () => [], tbs: (tbs) => reopened(tbs) }),
];

/** The TBSCertificate with an empty list of extensions at its end. */
function reopened(tbs: Uint8Array): Uint8Array {
  const header = (tbs[1] as number) < 0x80 ? 2 : 2 + ((tbs[1] as number) & 0x7f);
  return derEncode(Tag.sequence, tbs.subarray(header), derEncode(0xa3, encodeSequence()));
}

const ENCODINGS: readonly ChainKind[] = [
  leaf("bytes after the certificate", { damage: (der) => concat(der, Uint8Array.of(0)) }),
  leaf("certificate cut short", { damage: (der) => der.subarray(0, der.length - 7) }),
  leaf("length in more octets than it needs", { damage: (der) => altered(der, [0x30, 0x82], [0x30, 0x83, 0]) }),
  leaf("length indefinite", {
    damage: (der) => concat(Uint8Array.of(0x30, 0x80), der.subarray(4), Uint8Array.of(0, 0)),
  }),
  leaf("random bytes", { damage: (der) => der.map((byte, index) => (index < 6 ? byte : (byte * 167 + index) & 0xff)) }),
  leaf("signature algorithm outside another than inside", {
    outerAlgorithm: encodeSequence(encodeOid("1.2.840.113549.1.1.12"), derEncode(Tag.null)),
  }),
  leaf("issuer without a name", { issuerName: encodeSequence() }),
  leaf("point that is not on its curve", {
    spki: encodeSequence(
      encodeSequence(encodeOid("1.2.840.10045.2.1"), encodeOid("1.2.840.10045.3.1.7")),
      encodeBitString(concat(Uint8Array.of(4), new Uint8Array(64).fill(9))),
    ),
  }),
  leaf("signature with unused bits", {
    damage: (der) => unusedBits(der),
  }),
  kind("intermediate with bytes after it", { intermediate: { damage: (der) => concat(der, Uint8Array.of(0)) } }),
];

/** The BIT STRING of the signature, which is the last element, says that its last bit is unused. */
function unusedBits(der: Uint8Array): Uint8Array {
  const header = 2 + ((der[1] as number) & 0x7f);
  let at = header;
  let last = at;
  while (at < der.length) {
    last = at;
    const first = der[at + 1] as number;
    const width = first < 0x80 ? 0 : first & 0x7f;
    const length =
      width === 0 ? first : der.subarray(at + 2, at + 2 + width).reduce((sum, byte) => sum * 256 + byte, 0);
    at += 2 + width + length;
  }
  const width = (der[last + 1] as number) < 0x80 ? 0 : (der[last + 1] as number) & 0x7f;
  const copy = der.slice();
  copy[last + 2 + width] = 1;
  copy[copy.length - 1] = (copy[copy.length - 1] as number) & 0xfe;
  return copy;
}

export const MALFORMED: readonly ChainKind[] = [...TIMES, ...SERIALS, ...VERSIONS, ...EXTENSIONS, ...ENCODINGS];
