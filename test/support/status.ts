/** CRLs and OCSP responses for tests: right in everything but what a test asks to be wrong. */
import { createHash } from "node:crypto";
import { utf8 } from "../../src/bytes/bytes.ts";
import { contextConstructed, contextPrimitive, DerReader, derEncode, Tag } from "../../src/bytes/der.ts";
import type { CertificateSigner } from "../../src/pki/keys.ts";
import { parseCertificate } from "../../src/x509/parse.ts";
import {
  type ExtensionInput,
  encodeBitString,
  encodeExtension,
  encodeNumber,
  encodeOid,
  encodeSequence,
  encodeTime,
  extension,
  generalName,
} from "./der.ts";
import { DAY, type TestCertificate } from "./pki.ts";

/** Contents of a certificate's serial number. */
export function serialOf({ der }: Pick<TestCertificate, "der">): Uint8Array {
  return parseCertificate(der).serialNumber;
}

/** One entry: the certificate, or its serial number. */
export interface TestEntry {
  readonly serial: Uint8Array;
  /** Number of the CRLReason. */
  readonly reason?: number;
  /** certificateIssuer: whose certificate it is. */
  readonly issuer?: TestCertificate;
  readonly extensions?: readonly ExtensionInput[];
}

export interface TestCrlOptions {
  readonly issuer: TestCertificate;
  readonly entries?: readonly TestEntry[];
  readonly thisUpdate?: number;
  /** `undefined`: in a day; `null`: none. */
  readonly nextUpdate?: number | null;
  /** `null`: none. */
  readonly number?: number | null;
  readonly base?: number;
  readonly scope?: ExtensionInput;
  readonly extensions?: readonly ExtensionInput[];
  readonly signer?: CertificateSigner;
  /** Contents of the version; `null`: version 1. */
  readonly version?: number | null;
}

export async function makeCrl(options: TestCrlOptions): Promise<Uint8Array> {
  const { issuer, entries = [], thisUpdate = Date.now() - DAY, nextUpdate = Date.now() + DAY } = options;
  const { number = 1, version = 1 } = options;
  const signer = options.signer ?? issuer.pair;
  const extensions = [
    extension.authorityKeyId(issuer.keyId),
    ...(number === null ? [] : [{ oid: "2.5.29.20", critical: false, value: encodeNumber(number) }]),
    ...(options.base === undefined ? [] : [{ oid: "2.5.29.27", critical: true, value: encodeNumber(options.base) }]),
    ...(options.scope === undefined ? [] : [options.scope]),
    ...(options.extensions ?? []),
  ];
  const tbs = encodeSequence(
    ...(version === null ? [] : [encodeNumber(version)]),
    signer.algorithm,
    issuer.name,
    encodeTime(thisUpdate),
    ...(nextUpdate === null ? [] : [encodeTime(nextUpdate)]),
    ...(entries.length === 0 ? [] : [derEncode(Tag.sequence, concatAll(entries.map(encodeEntry)))]),
    derEncode(contextConstructed(0), encodeSequence(...extensions.map(encodeExtension))),
  );
  return encodeSequence(tbs, signer.algorithm, encodeBitString(await signer.sign(tbs)));
}

/** Not by spreading: there may be very many. */
function concatAll(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

function encodeEntry({ serial, reason, issuer, extensions = [] }: TestEntry): Uint8Array {
  const all = [
    ...(reason === undefined
      ? []
      : [{ oid: "2.5.29.21", critical: false, value: derEncode(Tag.enumerated, Uint8Array.of(reason)) }]),
    ...(issuer === undefined
      ? []
      : [{ oid: "2.5.29.29", critical: true, value: encodeSequence(directoryName(issuer)) }]),
    ...extensions,
  ];
  return encodeSequence(
    derEncode(Tag.integer, serial),
    encodeTime(Date.now() - DAY),
    ...(all.length === 0 ? [] : [encodeSequence(...all.map(encodeExtension))]),
  );
}

function directoryName({ name }: Pick<TestCertificate, "name">): Uint8Array {
  return derEncode(contextConstructed(4), name);
}

function fullName(names: readonly Uint8Array[]): Uint8Array {
  return derEncode(contextConstructed(0), derEncode(contextConstructed(0), ...names));
}

/** ReasonFlags as [number]: the bits are given from bit 0 on, of at most 8. */
function reasonFlags(number: number, bits: readonly number[]): Uint8Array {
  const byte = bits.reduce((sum, bit) => sum | (0x80 >> bit), 0);
  return derEncode(contextPrimitive(number), Uint8Array.of(31 - Math.clz32(byte & -byte), byte));
}

export interface TestScope {
  readonly url?: string;
  readonly user?: boolean;
  readonly ca?: boolean;
  readonly attribute?: boolean;
  readonly indirect?: boolean;
  readonly reasons?: readonly number[];
}

/** issuingDistributionPoint */
export function scope({ url, user, ca, attribute, indirect, reasons }: TestScope): ExtensionInput {
  const asserted = (number: number, on: boolean | undefined) =>
    on ? [derEncode(contextPrimitive(number), Uint8Array.of(0xff))] : [];
  const value = encodeSequence(
    ...(url === undefined ? [] : [fullName([generalName.uri(url)])]),
    ...asserted(1, user),
    ...asserted(2, ca),
    ...(reasons === undefined ? [] : [reasonFlags(3, reasons)]),
    ...asserted(4, indirect),
    ...asserted(5, attribute),
  );
  return { oid: "2.5.29.28", critical: true, value };
}

/** cRLDistributionPoints of one point. */
export function distributionPoint(
  url: string | undefined,
  crlIssuer?: TestCertificate,
  reasons?: readonly number[],
): ExtensionInput {
  const point = encodeSequence(
    ...(url === undefined ? [] : [fullName([generalName.uri(url)])]),
    ...(reasons === undefined ? [] : [reasonFlags(1, reasons)]),
    ...(crlIssuer === undefined ? [] : [derEncode(contextConstructed(2), directoryName(crlIssuer))]),
  );
  return { oid: "2.5.29.31", critical: false, value: encodeSequence(point) };
}

/** authorityInfoAccess with the address of an OCSP responder. */
export function ocspAccess(url: string): ExtensionInput {
  const description = encodeSequence(encodeOid("1.3.6.1.5.5.7.48.1"), generalName.uri(url));
  return { oid: "1.3.6.1.5.5.7.1.1", critical: false, value: encodeSequence(description) };
}

/** RFC 7633: status_request. */
export const mustStaple: ExtensionInput = {
  oid: "1.3.6.1.5.5.7.1.24",
  critical: false,
  value: encodeSequence(encodeNumber(5)),
};

export const ocspNoCheck: ExtensionInput = {
  oid: "1.3.6.1.5.5.7.48.1.5",
  critical: false,
  value: derEncode(Tag.null),
};

export interface TestOcspOptions {
  readonly certificate: Pick<TestCertificate, "der">;
  readonly issuer: TestCertificate;
  readonly status?: "good" | "revoked" | "unknown";
  readonly thisUpdate?: number;
  readonly nextUpdate?: number | null;
  readonly producedAt?: number;
  readonly hash?: "sha1" | "sha256";
  /** Whose certificate and key; the issuer's where left out. */
  readonly responder?: TestCertificate;
  readonly byKey?: boolean;
  readonly signer?: CertificateSigner;
  readonly certificates?: readonly Uint8Array[];
  readonly nonce?: Uint8Array;
  readonly extensions?: readonly ExtensionInput[];
  readonly singleExtensions?: readonly ExtensionInput[];
  readonly version?: number;
  /** Number of the OCSPResponseStatus. */
  readonly outcome?: number;
  readonly type?: string;
}

const HASH_OIDS = { sha1: "1.3.14.3.2.26", sha256: "2.16.840.1.101.3.4.2.1" };

/** GeneralizedTime, which OCSP has throughout. */
function generalized(time: number): Uint8Array {
  const digits = new Date(time).toISOString().replace(/[-:T]/g, "").slice(0, 14);
  return derEncode(Tag.generalizedTime, utf8(`${digits}Z`));
}

export async function makeOcspResponse(options: TestOcspOptions): Promise<Uint8Array> {
  const { issuer, hash = "sha1", status = "good", outcome = 0, responder = issuer } = options;
  const now = Date.now();
  const { thisUpdate = now - 3_600_000, nextUpdate = now + 3_600_000, producedAt = now - 3_600_000 } = options;
  const signer = options.signer ?? responder.pair;
  const digest = (data: Uint8Array) =>
    derEncode(Tag.octetString, new Uint8Array(createHash(hash).update(data).digest()));
  const certId = encodeSequence(
    encodeSequence(encodeOid(HASH_OIDS[hash]), derEncode(Tag.null)),
    digest(issuer.name),
    digest(keyBits(issuer)),
    derEncode(Tag.integer, serialOf(options.certificate)),
  );
  const statuses = {
    good: derEncode(contextPrimitive(0)),
    revoked: derEncode(
      contextConstructed(1),
      generalized(now - DAY),
      derEncode(contextConstructed(0), derEncode(Tag.enumerated, Uint8Array.of(1))),
    ),
    unknown: derEncode(contextPrimitive(2)),
  };
  const explicit = (number: number, extensions: readonly ExtensionInput[] = []) =>
    extensions.length === 0
      ? []
      : [derEncode(contextConstructed(number), encodeSequence(...extensions.map(encodeExtension)))];
  const single = encodeSequence(
    certId,
    statuses[status],
    generalized(thisUpdate),
    ...(nextUpdate === null ? [] : [derEncode(contextConstructed(0), generalized(nextUpdate))]),
    ...explicit(1, options.singleExtensions),
  );
  const nonce = options.nonce && {
    oid: "1.3.6.1.5.5.7.48.1.2",
    critical: false,
    value: derEncode(Tag.octetString, options.nonce),
  };
  const sha1 = derEncode(Tag.octetString, new Uint8Array(createHash("sha1").update(keyBits(responder)).digest()));
  const tbs = encodeSequence(
    ...(options.version === undefined ? [] : [derEncode(contextConstructed(0), encodeNumber(options.version))]),
    options.byKey ? derEncode(contextConstructed(2), sha1) : derEncode(contextConstructed(1), responder.name),
    generalized(producedAt),
    encodeSequence(single),
    ...explicit(1, [...(nonce === undefined ? [] : [nonce]), ...(options.extensions ?? [])]),
  );
  const certificates = options.certificates ?? (responder === issuer ? [] : [responder.der]);
  const basic = encodeSequence(
    tbs,
    signer.algorithm,
    encodeBitString(await signer.sign(tbs)),
    ...(certificates.length === 0 ? [] : [derEncode(contextConstructed(0), encodeSequence(...certificates))]),
  );
  const bytes = encodeSequence(encodeOid(options.type ?? "1.3.6.1.5.5.7.48.1.1"), derEncode(Tag.octetString, basic));
  return encodeSequence(
    derEncode(Tag.enumerated, Uint8Array.of(outcome)),
    ...(outcome === 0 ? [derEncode(contextConstructed(0), bytes)] : []),
  );
}

function keyBits({ pair }: TestCertificate): Uint8Array {
  const sequence = new DerReader(pair.spki).sequence();
  sequence.raw();
  return sequence.bitStringBytes();
}

/** An extension that nobody knows. */
export const unknownCritical: ExtensionInput = {
  oid: "1.2.3.4",
  critical: true,
  value: derEncode(Tag.null),
};
