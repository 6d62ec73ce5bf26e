/** A responder's side of OCSP: requests read strictly, answers made and signed (RFC 6960 4, RFC 5019, RFC 9654). */
import * as asn1js from "asn1js";
import * as pkijs from "pkijs";
import { contextConstructed, DerReader } from "../bytes/der.ts";
import { nobleSymmetric } from "../crypto/noble-symmetric.ts";
import { sha1 } from "../crypto/sha1.ts";
import { fault, type TlsError } from "../errors.ts";
import { KeyPurpose } from "../x509/certificate.ts";
import type { RevocationReason } from "../x509/crl.ts";
import { readExtensions } from "../x509/extensions.ts";
import { type CertId, identifies, keyBits, OCSP_STATUSES, readCertId } from "../x509/ocsp.ts";
import { parseCertificate } from "../x509/parse.ts";
import { bufferOf, fromDer, isWritable, octetString, signedSequence, tagged, toDer, wholeSeconds } from "./asn1.ts";
import { enumerated } from "./crl.ts";
import { encodeExtensions } from "./extensions.ts";
import type { CertificateSigner } from "./keys.ts";
import { signatureProblem } from "./strength.ts";

/** Bytes of one request. Without a signature one certificate takes about 80. */
const MAX_REQUEST = 8 * 1024;
/** Certificates in one request. */
const MAX_CERTIFICATES = 32;
/** RFC 9654 2.1 */
const MAX_NONCE = 128;

const NONCE = "1.3.6.1.5.5.7.48.1.2";
/** What may be asked for besides and left undone: AcceptableResponses, ServiceLocator, PreferredSignatureAlgorithms. */
const IGNORED = ["1.3.6.1.5.5.7.48.1.4", "1.3.6.1.5.5.7.48.1.7", "1.3.6.1.5.5.7.48.1.8"];

/** One certificate that is asked about. */
export interface RequestedStatus extends CertId {
  /** CertID, DER: it goes back as it came. */
  readonly der: Uint8Array;
}

/** What a client asks. */
export interface OcspRequest {
  readonly certificates: readonly RequestedStatus[];
  /** 1 to 128 bytes, to go back in the answer. */
  readonly nonce: Uint8Array | undefined;
}

/**
 * Reads an OCSPRequest (RFC 6960 4.1). A signature over it is read past: who asks makes no difference.
 *
 * @param der - At most 8 KiB, about 32 certificates at most.
 * @throws TlsError `ERR_TLS_PEM` when it is malformed: the answer is `malformedRequest`.
 *
 * @example
 * ```ts
 * const [certificate] = certificates.map(parseCertificate);
 * const { certificates: asked } = readOcspRequest(encodeOcspRequest(certificate!, certificate!));
 * console.log(asked.length); // 1
 * ```
 */
export function readOcspRequest(der: Uint8Array): OcspRequest {
  if (der.length > MAX_REQUEST) throw malformed(`a request of more than ${MAX_REQUEST} bytes`);
  const input = new DerReader(der);
  const outer = input.sequence();
  input.finish("the OCSPRequest");
  const request = outer.sequence();
  outer.optional(contextConstructed(0));
  outer.finish("the OCSPRequest");

  const version = request.optional(contextConstructed(0));
  if (version !== undefined && version.smallInteger() !== 0) throw malformed("the version is not known");
  version?.finish("the version");
  request.optional(contextConstructed(1));
  const list = request.sequence();
  const extensions = request.optional(contextConstructed(2));
  request.finish("the TBSRequest");
  const certificates: RequestedStatus[] = [];
  while (list.remaining > 0) {
    if (certificates.length === MAX_CERTIFICATES) throw malformed(`more than ${MAX_CERTIFICATES} certificates`);
    certificates.push(readSingle(list.sequence()));
  }
  if (certificates.length === 0) throw malformed("a request for nothing");
  return { certificates, nonce: extensions && readNonce(extensions) };
}

function readSingle(single: DerReader): RequestedStatus {
  const der = single.raw();
  const extensions = single.optional(contextConstructed(0));
  single.finish("a request");
  if (extensions !== undefined) readKnown(extensions);
  return { der, ...readCertId(new DerReader(der).sequence()) };
}

/** RFC 9654 2.1: 1 to 128 octets, whatever is longer or empty is malformed. */
function readNonce(field: DerReader): Uint8Array | undefined {
  const value = readKnown(field).find(({ oid }) => oid === NONCE)?.value;
  if (value === undefined) return undefined;
  const input = new DerReader(value);
  const nonce = input.octetString();
  input.finish("the nonce");
  if (nonce.length === 0 || nonce.length > MAX_NONCE)
    throw malformed(`a nonce of ${nonce.length} bytes (RFC 9654 2.1)`);
  return nonce;
}

function readKnown(field: DerReader) {
  const list = readExtensions(field.sequence());
  field.finish("the extensions");
  const unknown = list.find(({ oid, critical }) => critical && oid !== NONCE && !IGNORED.includes(oid));
  if (unknown !== undefined) throw malformed(`the critical extension ${unknown.oid}`);
  return list;
}

/**
 * True when a request is about a certificate of this issuer's, whichever hash it uses.
 *
 * @param issuer - The issuer's certificate, DER.
 *
 * @example
 * ```ts
 * const own = parseCertificate(authority.certificate);
 * const [asked] = readOcspRequest(encodeOcspRequest(own, own)).certificates;
 * console.log(isIssuedBy(asked!, authority.certificate)); // true
 * ```
 */
export function isIssuedBy(certId: CertId, issuer: Uint8Array): boolean {
  const { subject, publicKey } = parseCertificate(issuer);
  const { serialNumber } = certId;
  return identifies(certId, { issuer: subject, serialNumber }, { publicKey }, nobleSymmetric());
}

/** The answer for one certificate. */
export interface CertificateStatus {
  readonly certificate: RequestedStatus;
  readonly status:
    | "good"
    | "unknown"
    | { /** ms since the epoch. */ readonly revokedAt: number; readonly reason?: RevocationReason | undefined };
}

/** What a responder says. */
export interface OcspAnswer {
  readonly statuses: readonly CertificateStatus[];
  /** ms since the epoch; now by default. */
  readonly thisUpdate?: number | undefined;
  /** ms since the epoch; an hour later by default. */
  readonly nextUpdate?: number | undefined;
  readonly nonce?: Uint8Array | undefined;
}

/** Who answers: the issuer itself, or whom it has certified for this (RFC 6960 4.2.2.2). */
export interface OcspResponder {
  /** The issuer of the certificates that are asked about, DER. */
  readonly issuer: Uint8Array;
  /** The responder's own certificate, DER; the issuer's where left out. */
  readonly certificate?: Uint8Array | undefined;
  readonly signer: CertificateSigner;
}

const HOUR = 3_600_000;

/**
 * A signed answer: OCSPResponse, DER, of type id-pkix-ocsp-basic.
 *
 * @throws TlsError `ERR_TLS_OPTION` when the responder's certificate is not one of the issuer's for OCSP; `ERR_TLS_KEY`
 * when the signer is not the responder's.
 *
 * @example
 * ```ts
 * const key = await generateKeyPair("P-256");
 * const issuer = await createRoot({ subject: "example root" }, key);
 * const { certificates: asked } = readOcspRequest(encodeOcspRequest(parseCertificate(issuer), parseCertificate(issuer)));
 * const answer = { statuses: asked.map((certificate) => ({ certificate, status: "good" as const })) };
 * const response = parseOcspResponse(await createOcspResponse(answer, { issuer, signer: key }));
 * console.log(response.responses[0]?.status); // good
 * ```
 */
export async function createOcspResponse(answer: OcspAnswer, responder: OcspResponder): Promise<Uint8Array> {
  const { statuses, nonce, thisUpdate = Date.now(), nextUpdate = thisUpdate + HOUR } = answer;
  const own = await responderKey(responder);
  if (![thisUpdate, nextUpdate].every(isWritable) || nextUpdate <= thisUpdate) {
    throw fault("ERR_TLS_OPTION", "the next answer would be due before this one");
  }
  const singles = statuses.map(({ certificate, status }) => {
    const fields = [statusOf(status), generalizedTime(thisUpdate), tagged(0, generalizedTime(nextUpdate))];
    return new asn1js.Sequence({ value: [fromDer(certificate.der) as asn1js.BaseBlock, ...fields] });
  });
  const extensions = nonce === undefined ? [] : [{ oid: NONCE, critical: false, value: toDer(octetString(nonce)) }];
  // ResponseData, RFC 6960 4.2.1; the responder by the SHA-1 of its key.
  const data = new asn1js.Sequence({
    value: [
      tagged(2, octetString(sha1(keyBits({ spki: own })))),
      generalizedTime(Date.now()),
      new asn1js.Sequence({ value: singles }),
      ...(extensions.length === 0
        ? []
        : [tagged(1, new pkijs.Extensions({ extensions: encodeExtensions(extensions) }).toSchema())]),
    ],
  });
  const { certificate } = responder;
  const chain =
    certificate === undefined
      ? []
      : [tagged(0, new asn1js.Sequence({ value: [fromDer(certificate) as asn1js.BaseBlock] }))];
  const basic = await signedSequence(data, responder.signer, ...chain);
  await checkSigner(basic, own);
  return toDer(
    new pkijs.OCSPResponse({
      responseStatus: new asn1js.Enumerated({ value: 0 }),
      responseBytes: new pkijs.ResponseBytes({
        responseType: "1.3.6.1.5.5.7.48.1.1",
        response: octetString(basic),
      }),
    }),
  );
}

/**
 * Why there is no answer: an OCSPResponse without content, DER, which nobody signs (RFC 6960 4.2.1).
 *
 * @example
 * ```ts
 * console.log(toHex(ocspRefusal("unauthorized"))); // 30030a0106
 * ```
 */
export function ocspRefusal(status: "malformedRequest" | "internalError" | "tryLater" | "unauthorized"): Uint8Array {
  return toDer(new asn1js.Sequence({ value: [new asn1js.Enumerated({ value: OCSP_STATUSES.indexOf(status) })] }));
}

/** The key that answers are verified with: RFC 6960 4.2.2.2 says whose it may be. */
async function responderKey({ issuer, certificate }: OcspResponder): Promise<Uint8Array> {
  const parent = parseCertificate(issuer);
  if (certificate === undefined) return parent.publicKey.spki;
  const own = parseCertificate(certificate);
  const isDelegated =
    own.extendedKeyUsage?.includes(KeyPurpose.ocspSigning) === true && own.issuer.equals(parent.subject);
  const now = Date.now();
  if (now < own.notBefore || now > own.notAfter) {
    const [from, until] = [own.notBefore, own.notAfter].map((time) => new Date(time).toISOString());
    throw fault("ERR_TLS_OPTION", `the responder's certificate is valid from ${from} to ${until}, and not now`);
  }
  const problem = isDelegated
    ? await signatureProblem(parent.publicKey.spki, own.signatureAlgorithm, own.tbs, own.signature)
    : "it is not one of that issuer's for OCSP";
  if (problem !== undefined) throw fault("ERR_TLS_OPTION", `the responder's certificate: ${problem}`);
  return own.publicKey.spki;
}

async function checkSigner(basic: Uint8Array, spki: Uint8Array): Promise<void> {
  const sequence = new DerReader(basic).sequence();
  const tbs = sequence.raw();
  const identifier = sequence.raw();
  const problem = await signatureProblem(spki, identifier, tbs, sequence.bitStringBytes());
  if (problem !== undefined) throw fault("ERR_TLS_KEY", `the signer is not the responder's: ${problem}`);
}

/** CertStatus, all of whose forms are IMPLICIT. */
function statusOf(status: CertificateStatus["status"]): asn1js.BaseBlock {
  if (typeof status === "string") {
    const number = status === "good" ? 0 : 2;
    return new asn1js.Primitive({ idBlock: { tagClass: 3, tagNumber: number }, valueHex: bufferOf(new Uint8Array()) });
  }
  const { revokedAt, reason = "unspecified" } = status;
  return tagged(1, generalizedTime(revokedAt), ...(reason === "unspecified" ? [] : [tagged(0, enumerated(reason))]));
}

/** RFC 6960 4.2.1: GeneralizedTime everywhere. */
function generalizedTime(time: number): asn1js.GeneralizedTime {
  return new asn1js.GeneralizedTime({ valueDate: wholeSeconds(time) });
}

function malformed(detail: string): TlsError {
  return fault("ERR_TLS_PEM", detail);
}
