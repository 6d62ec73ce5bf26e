/** OCSP requests and responses, DER (RFC 6960 4). */
import { concat, equal } from "../bytes/bytes.ts";
import { contextConstructed, contextPrimitive, DerReader, derEncode, Tag } from "../bytes/der.ts";
import { fromHex } from "../bytes/hex.ts";
import type { CryptoProvider, HashName, PublicKey } from "../crypto/provider.ts";
import { sha1 } from "../crypto/sha1.ts";
import { fault, type TlsError } from "../errors.ts";
import type { Certificate } from "./certificate.ts";
import { type RevocationReason, reasonName } from "./crl.ts";
import { DistinguishedName } from "./distinguished.ts";
import { readExtensions } from "./extensions.ts";

const MAX_RESPONSE = 1024 * 1024;
const MAX_SINGLE_RESPONSES = 1024;
const MAX_CERTIFICATES = 16;
const MAX_SERIAL = 64;

/** What a response is about, RFC 6960 4.1.1. */
export interface CertId {
  /** Dotted decimal, of the hash. */
  readonly hash: string;
  readonly issuerNameHash: Uint8Array;
  readonly issuerKeyHash: Uint8Array;
  /** Contents of the INTEGER as encoded: a name and not a number, so nothing is demanded of its form. */
  readonly serialNumber: Uint8Array;
}

/** RFC 6960 4.2.1 SingleResponse */
export interface SingleResponse {
  readonly certId: CertId;
  readonly status: "good" | "revoked" | "unknown";
  /** ms since the epoch; where revoked. */
  readonly revokedAt: number | undefined;
  readonly reason: RevocationReason | undefined;
  /** ms since the epoch. */
  readonly thisUpdate: number;
  /** ms since the epoch. */
  readonly nextUpdate: number | undefined;
}

/** A successful basic response, checked for syntax and not for trust. */
export interface OcspResponse {
  /** What is signed. */
  readonly tbs: Uint8Array;
  readonly signatureAlgorithm: Uint8Array;
  readonly signature: Uint8Array;
  readonly responder: { readonly name: DistinguishedName } | { readonly keyHash: Uint8Array };
  /** ms since the epoch. */
  readonly producedAt: number;
  readonly responses: readonly SingleResponse[];
  readonly nonce: Uint8Array | undefined;
  /** OIDs of critical extensions that nothing here understands. */
  readonly unhandledCritical: readonly string[];
  /** DER, as they came. */
  readonly certificates: readonly Uint8Array[];
}

const NONCE = "1.3.6.1.5.5.7.48.1.2";
/** AlgorithmIdentifier of SHA-1, which every responder knows (RFC 5019 2.1.1). */
const SHA1_IDENTIFIER = "300906052b0e03021a0500";
const NONCE_OID = "06092b0601050507300102";

/** OCSPResponseStatus by number, RFC 6960 4.2.1. */
export const OCSP_STATUSES = [
  "successful",
  "malformedRequest",
  "internalError",
  "tryLater",
  undefined,
  "sigRequired",
  "unauthorized",
] as const;

/** RFC 6960 4.4 and RFC 6962 3.3, RFC 9654: nothing in them changes what a status means. */
const RESPONSE_EXTENSIONS = [NONCE, "1.3.6.1.5.5.7.48.1.9"];
const SINGLE_EXTENSIONS = [
  "1.3.6.1.5.5.7.48.1.3", // crlReferences
  "1.3.6.1.5.5.7.48.1.6", // archiveCutoff
  "1.3.6.1.4.1.11129.2.4.5", // SignedCertificateTimestampList
];

/** What identifies a certificate to a responder. */
export type OcspSubject = Pick<Certificate, "issuer" | "serialNumber">;

/**
 * An OCSPRequest for one certificate (RFC 6960 4.1).
 *
 * @param nonce - 1 to 128 bytes (RFC 9654 2.1).
 */
export function encodeOcspRequest(
  subject: OcspSubject,
  issuer: { publicKey: PublicKey },
  nonce?: Uint8Array,
): Uint8Array {
  const { issuer: name, serialNumber } = subject;
  const certId = derEncode(
    Tag.sequence,
    fromHex(SHA1_IDENTIFIER),
    derEncode(Tag.octetString, sha1(name.der)),
    derEncode(Tag.octetString, sha1(keyBits(issuer.publicKey))),
    derEncode(Tag.integer, serialNumber),
  );
  const list = derEncode(Tag.sequence, derEncode(Tag.sequence, certId));
  const extensions = nonce === undefined ? new Uint8Array(0) : nonceExtension(nonce);
  return derEncode(Tag.sequence, derEncode(Tag.sequence, list, extensions));
}

function nonceExtension(nonce: Uint8Array): Uint8Array {
  const value = derEncode(Tag.octetString, derEncode(Tag.octetString, nonce));
  const extension = derEncode(Tag.sequence, concat(fromHex(NONCE_OID), value));
  return derEncode(contextConstructed(2), derEncode(Tag.sequence, extension));
}

/** True when `certId` names the certificate, whichever hash it uses. */
export function identifies(
  certId: CertId,
  subject: OcspSubject,
  issuer: { publicKey: PublicKey },
  { hashes }: Pick<CryptoProvider, "hashes">,
): boolean {
  const name = HASHES[certId.hash];
  const hash = name === "sha1" ? { digest: sha1 } : name && hashes[name];
  return (
    hash !== undefined &&
    equal(certId.serialNumber, subject.serialNumber) &&
    equal(certId.issuerNameHash, hash.digest(subject.issuer.der)) &&
    equal(certId.issuerKeyHash, hash.digest(keyBits(issuer.publicKey)))
  );
}

const HASHES: Readonly<Record<string, HashName | "sha1">> = {
  "1.3.14.3.2.26": "sha1",
  "2.16.840.1.101.3.4.2.1": "sha256",
  "2.16.840.1.101.3.4.2.2": "sha384",
  "2.16.840.1.101.3.4.2.3": "sha512",
};

/** True when the responder says that it is this one: by name, or by the SHA-1 of its key (RFC 6960 4.2.1). */
export function isResponder({ responder }: OcspResponse, { subject, publicKey }: Certificate): boolean {
  return "name" in responder ? responder.name.equals(subject) : equal(responder.keyHash, sha1(keyBits(publicKey)));
}

/**
 * A response as a value.
 *
 * @param der - OCSPResponse, at most 1 MiB.
 * @throws TlsError `ERR_TLS_PEM` when it is malformed, of another type than basic, or says that there is no answer.
 */
export function parseOcspResponse(der: Uint8Array): OcspResponse {
  if (der.length > MAX_RESPONSE) throw malformed(`more than ${MAX_RESPONSE} bytes`);
  const input = new DerReader(der);
  const response = input.sequence();
  input.finish("the OCSPResponse");
  const status = response.smallInteger(Tag.enumerated);
  const wrapped = response.optional(contextConstructed(0));
  response.finish("the OCSPResponse");
  if (status !== 0) throw malformed(`the responder answers ${OCSP_STATUSES[status] ?? status}`);
  if (wrapped === undefined) throw malformed("a successful response without content");
  const bytes = wrapped.sequence();
  wrapped.finish("the response's bytes");
  const type = bytes.oid();
  if (type !== "1.3.6.1.5.5.7.48.1.1") throw malformed(`a response of type ${type}`);
  const basic = bytes.octetString();
  bytes.finish("the response's bytes");
  return readBasic(basic);
}

/** BasicOCSPResponse */
function readBasic(der: Uint8Array): OcspResponse {
  const input = new DerReader(der);
  const basic = input.sequence();
  input.finish("the BasicOCSPResponse");
  const tbs = basic.raw();
  const signatureAlgorithm = basic.raw();
  const signature = basic.bitStringBytes();
  const certificates: Uint8Array[] = [];
  const field = basic.optional(contextConstructed(0));
  basic.finish("the BasicOCSPResponse");
  const list = field?.sequence();
  field?.finish("the certificates");
  while (list !== undefined && list.remaining > 0) {
    if (certificates.length === MAX_CERTIFICATES) throw malformed(`more than ${MAX_CERTIFICATES} certificates`);
    certificates.push(list.raw());
  }
  return { tbs, signatureAlgorithm, signature, certificates, ...readData(tbs) };
}

/** ResponseData */
function readData(tbs: Uint8Array) {
  const data = new DerReader(tbs).sequence();
  const version = data.optional(contextConstructed(0));
  // Version 1 written out is no DER, but changes nothing.
  if (version !== undefined) {
    if (version.smallInteger() !== 0) throw malformed("the version is not known");
    version.finish("the version");
  }
  const { tag, content } = data.element();
  const producedAt = readTime(data);
  const list = data.sequence();
  const field = data.optional(contextConstructed(1));
  data.finish("the ResponseData");
  const unhandled = new Set<string>();
  const responses: SingleResponse[] = [];
  while (list.remaining > 0) {
    if (responses.length === MAX_SINGLE_RESPONSES) throw malformed(`more than ${MAX_SINGLE_RESPONSES} responses`);
    responses.push(readSingle(list.sequence(), unhandled));
  }
  const nonce = readKnownExtensions(field, RESPONSE_EXTENSIONS, unhandled);
  return { responder: readResponder(tag, content), producedAt, responses, nonce, unhandledCritical: [...unhandled] };
}

function readResponder(tag: number, content: DerReader): OcspResponse["responder"] {
  if (tag === contextConstructed(1)) return { name: new DistinguishedName(content.rest()) };
  if (tag !== contextConstructed(2)) throw malformed("a responder that is neither a name nor a key");
  const keyHash = content.octetString();
  content.finish("the responder");
  return { keyHash };
}

function readSingle(single: DerReader, unhandled: Set<string>): SingleResponse {
  const certId = readCertId(single.sequence());
  const { tag, content } = single.element();
  const thisUpdate = readTime(single);
  const next = single.optional(contextConstructed(0));
  const nextUpdate = next === undefined ? undefined : readTime(next);
  next?.finish("nextUpdate");
  readKnownExtensions(single.optional(contextConstructed(1)), SINGLE_EXTENSIONS, unhandled);
  single.finish("a response");
  return { certId, ...readStatus(tag, content), thisUpdate, nextUpdate };
}

/** CertID's contents. */
export function readCertId(sequence: DerReader): CertId {
  const algorithm = sequence.sequence();
  const hash = algorithm.oid();
  // NULL or nothing.
  if (algorithm.remaining > 0) algorithm.null();
  algorithm.finish("the hash algorithm");
  const issuerNameHash = sequence.octetString();
  const issuerKeyHash = sequence.octetString();
  const serialNumber = sequence.read(Tag.integer).rest();
  sequence.finish("a certID");
  if (serialNumber.length === 0 || serialNumber.length > MAX_SERIAL) throw malformed("a serial number of a bad length");
  return { hash, issuerNameHash, issuerKeyHash, serialNumber };
}

function readStatus(tag: number, content: DerReader): Pick<SingleResponse, "status" | "revokedAt" | "reason"> {
  if (tag === contextPrimitive(0) || tag === contextPrimitive(2)) {
    content.finish("a status");
    return { status: tag === contextPrimitive(0) ? "good" : "unknown", revokedAt: undefined, reason: undefined };
  }
  if (tag !== contextConstructed(1)) throw malformed("a status that is not known");
  const revokedAt = readTime(content);
  const field = content.optional(contextConstructed(0));
  const number = field?.smallInteger(Tag.enumerated);
  field?.finish("the reason");
  content.finish("a status");
  const reason = number === undefined ? undefined : reasonName(number);
  if (number !== undefined && reason === undefined) throw malformed(`reason ${number} is not known`);
  return { status: "revoked", revokedAt, reason };
}

/** The nonce among them, if any. */
function readKnownExtensions(
  field: DerReader | undefined,
  known: readonly string[],
  unhandled: Set<string>,
): Uint8Array | undefined {
  if (field === undefined) return undefined;
  const list = field.sequence();
  field.finish("the extensions");
  let nonce: Uint8Array | undefined;
  for (const { oid, critical, value } of readExtensions(list)) {
    if (critical && !known.includes(oid)) unhandled.add(oid);
    // Older responders put the bytes there bare (RFC 9654 2.1).
    if (oid === NONCE) nonce = value[0] === Tag.octetString ? new DerReader(value).octetString() : value;
  }
  return nonce;
}

/** RFC 6960 4.2.1: GeneralizedTime everywhere. */
function readTime(reader: DerReader): number {
  if (reader.peek() !== Tag.generalizedTime) throw malformed("expected GeneralizedTime");
  return reader.time();
}

/** Contents of the key's BIT STRING, which certIDs and responders hash. */
export function keyBits({ spki }: Pick<PublicKey, "spki">): Uint8Array {
  const sequence = new DerReader(spki).sequence();
  sequence.raw();
  return sequence.bitStringBytes();
}

function malformed(detail: string): TlsError {
  return fault("ERR_TLS_PEM", detail);
}
