/** DER of what certificates are made of (RFC 5280 4.1, 4.2). Values are this side's own, so nothing here is defensive. */
import { concat, utf8 } from "../../src/bytes/bytes.ts";
import {
  contextConstructed,
  contextPrimitive,
  derEncode,
  derNumber as encodeNumber,
  derOid as encodeOid,
  derSequence as encodeSequence,
  Tag,
} from "../../src/bytes/der.ts";
import { fault } from "../../src/errors.ts";
import { parseAddress } from "../../src/x509/address.ts";

export { derNumber as encodeNumber, derOid as encodeOid, derSequence as encodeSequence } from "../../src/bytes/der.ts";

/** INTEGER of a non-negative big-endian magnitude. */
export function encodeInteger(magnitude: Uint8Array): Uint8Array {
  const start = magnitude.findIndex((byte) => byte !== 0);
  const bytes = start < 0 ? Uint8Array.of(0) : magnitude.subarray(start);
  return derEncode(Tag.integer, (bytes[0] as number) >= 0x80 ? concat(Uint8Array.of(0), bytes) : bytes);
}

/** BIT STRING of whole bytes. */
export function encodeBitString(bytes: Uint8Array): Uint8Array {
  return derEncode(Tag.bitString, Uint8Array.of(0), bytes);
}

/** Time of RFC 5280 4.1.2.5: UTCTime through 2049, then GeneralizedTime. `time`: ms since the epoch, cut to seconds. */
export function encodeTime(time: number): Uint8Array {
  const digits = new Date(time).toISOString().replace(/[-:T]/g, "").slice(0, 14);
  const year = Number(digits.slice(0, 4));
  if (year >= 1950 && year < 2050) return derEncode(Tag.utcTime, utf8(`${digits.slice(2)}Z`));
  return derEncode(Tag.generalizedTime, utf8(`${digits}Z`));
}

/** Attributes of a distinguished name, in the order in which they are encoded. A string stands for the CN alone. */
export type SubjectInput = string | readonly (readonly [type: SubjectAttribute, value: string])[];

/** Attributes by their RFC 4514 names. */
export type SubjectAttribute = keyof typeof ATTRIBUTES;

const ATTRIBUTES = {
  C: "2.5.4.6",
  ST: "2.5.4.8",
  L: "2.5.4.7",
  O: "2.5.4.10",
  OU: "2.5.4.11",
  CN: "2.5.4.3",
  serialNumber: "2.5.4.5",
  emailAddress: "1.2.840.113549.1.9.1",
} as const;

/** A Name with one attribute in each RDN. */
export function encodeName(subject: SubjectInput): Uint8Array {
  const attributes = typeof subject === "string" ? ([["CN", subject]] as const) : subject;
  return encodeSequence(
    ...attributes.map(([type, value]) =>
      derEncode(Tag.set, encodeSequence(encodeOid(ATTRIBUTES[type]), derEncode(stringTag(type), utf8(value)))),
    ),
  );
}

/** RFC 5280 A.1: countryName and serialNumber are PrintableString, emailAddress is IA5String. */
function stringTag(type: SubjectAttribute): number {
  if (type === "C" || type === "serialNumber") return Tag.printableString;
  return type === "emailAddress" ? Tag.ia5String : Tag.utf8String;
}

/** GeneralName forms that can be issued (RFC 5280 4.2.1.6). */
export const generalName = {
  email: (name: string) => derEncode(contextPrimitive(1), utf8(name)),
  dns: (name: string) => derEncode(contextPrimitive(2), utf8(name)),
  directory: (subject: SubjectInput) => derEncode(contextConstructed(4), encodeName(subject)),
  uri: (name: string) => derEncode(contextPrimitive(6), utf8(name)),
  ip: (address: string) => {
    const bytes = parseAddress(address);
    if (bytes === undefined) throw fault("ERR_TLS_OPTION", `"${address}" is no IP address`);
    return derEncode(contextPrimitive(7), bytes);
  },
} as const;

/** An extension to be issued. `value`: DER of the extension's own type. */
export interface ExtensionInput {
  /** Dotted decimal. */
  readonly oid: string;
  readonly critical: boolean;
  readonly value: Uint8Array;
}

export function encodeExtension({ oid, critical, value }: ExtensionInput): Uint8Array {
  const flag = critical ? [derEncode(Tag.boolean, Uint8Array.of(0xff))] : [];
  return encodeSequence(encodeOid(oid), ...flag, derEncode(Tag.octetString, value));
}

/** Extensions as a conforming CA issues them (RFC 5280 4.2.1). */
export const extension = {
  basicConstraints: (ca: boolean, pathLength?: number): ExtensionInput => ({
    oid: "2.5.29.19",
    critical: true,
    value: encodeSequence(
      ...(ca ? [derEncode(Tag.boolean, Uint8Array.of(0xff))] : []),
      ...(pathLength === undefined ? [] : [encodeNumber(pathLength)]),
    ),
  }),
  /** `usage`: bits as in `KeyUsage`, bit 0 of the number being bit 0 of the string. */
  keyUsage: (usage: number): ExtensionInput => {
    const bytes = usage > 0xff ? [reverseBits(usage & 0xff), reverseBits(usage >> 8)] : [reverseBits(usage)];
    const last = bytes[bytes.length - 1] as number;
    // The named bits end at the last one set (X.690 11.2.2).
    const unusedBits = last === 0 ? 0 : 31 - Math.clz32(last & -last);
    return { oid: "2.5.29.15", critical: true, value: derEncode(Tag.bitString, Uint8Array.of(unusedBits, ...bytes)) };
  },
  extendedKeyUsage: (purposes: readonly string[]): ExtensionInput => ({
    oid: "2.5.29.37",
    critical: false,
    value: encodeSequence(...purposes.map(encodeOid)),
  }),
  /** Critical where the subject is empty (RFC 5280 4.2.1.6). */
  subjectAltName: (names: readonly Uint8Array[], critical = false): ExtensionInput => ({
    oid: "2.5.29.17",
    critical,
    value: encodeSequence(...names),
  }),
  subjectKeyId: (keyId: Uint8Array): ExtensionInput => ({
    oid: "2.5.29.14",
    critical: false,
    value: derEncode(Tag.octetString, keyId),
  }),
  authorityKeyId: (keyId: Uint8Array): ExtensionInput => ({
    oid: "2.5.29.35",
    critical: false,
    value: encodeSequence(derEncode(contextPrimitive(0), keyId)),
  }),
  /** `permitted`, `excluded`: encoded GeneralNames; for addresses with their mask. */
  nameConstraints: (permitted: readonly Uint8Array[], excluded: readonly Uint8Array[]): ExtensionInput => {
    const subtrees = (number: number, bases: readonly Uint8Array[]): Uint8Array[] =>
      bases.length === 0 ? [] : [derEncode(contextConstructed(number), ...bases.map((base) => encodeSequence(base)))];
    return {
      oid: "2.5.29.30",
      critical: true,
      value: encodeSequence(...subtrees(0, permitted), ...subtrees(1, excluded)),
    };
  },
} as const;

function reverseBits(byte: number): number {
  let reversed = 0;
  for (let bit = 0; bit < 8; bit++) if ((byte & (1 << bit)) !== 0) reversed |= 0x80 >> bit;
  return reversed;
}
