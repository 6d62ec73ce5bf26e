/** What an OCSP response says of one certificate (RFC 6960 3.2, 4.2.2). */
import { equal } from "../bytes/bytes.ts";
import type { CryptoProvider } from "../crypto/provider.ts";
import { TlsError } from "../errors.ts";
import type { Flow } from "../flow.ts";
import { type Certificate, KeyPurpose, KeyUsage } from "./certificate.ts";
import { type CrlRules, type RevocationStatus, revokedText, staleness } from "./crl-validation.ts";
import { extensionValue, StatusExtension } from "./distribution.ts";
import {
  identifies,
  isResponder,
  type OcspResponse,
  type OcspSubject,
  parseOcspResponse,
  type SingleResponse,
} from "./ocsp.ts";
import { parseCertificate } from "./parse.ts";
import type { LegacySignatures } from "./path.ts";
import { isoTime, keyText } from "./rules.ts";
import { signatureProblem } from "./status-signature.ts";

/** What is asked. */
export interface OcspQuestion {
  readonly subject: OcspSubject & Pick<Certificate, "notBefore">;
  /** Who issued it: the responder, or the one that appointed the responder. */
  readonly issuer: Certificate;
  readonly rules: Pick<CrlRules, "time" | "tolerance" | "maxAge">;
  readonly provider: CryptoProvider;
  /** The request's; then the response must repeat it. */
  readonly nonce?: Uint8Array | undefined;
  readonly legacySignatures?: LegacySignatures | undefined;
  /** Bits of an appointed responder's RSA key below which it is refused. Default: any will do. */
  readonly minRsaBits?: number | undefined;
  /** Called before each signature is checked; false when no more may be. */
  countSignature?(): boolean;
  /** Why an appointed responder's certificate is not to be believed; asked where it has no id-pkix-ocsp-nocheck. */
  distrust?(responder: Certificate): Flow<string | undefined>;
}

/** An answer, with the time until which it counts. */
export type OcspVerdict = RevocationStatus & { readonly until?: number | undefined };

/** The answer in `der`, an OCSPResponse. Never throws on it: what is no answer is `unknown`, with the reason. */
export function* ocspStatus(der: Uint8Array, question: OcspQuestion): Flow<OcspVerdict> {
  try {
    return yield* judge(parseOcspResponse(der), question);
  } catch (error) {
    if (error instanceof TlsError && error.code === "ERR_TLS_PEM") return unknown(error.detail ?? error.message);
    throw error;
  }
}

function* judge(response: OcspResponse, question: OcspQuestion): Flow<OcspVerdict> {
  const { subject, issuer, rules, provider, nonce } = question;
  const { producedAt, unhandledCritical } = response;
  if (unhandledCritical.length > 0)
    return unknown(`critical extension ${unhandledCritical.join(", ")} is not understood`);
  if (!(producedAt <= rules.time + rules.tolerance)) return unknown(`it is from ${isoTime(producedAt)}, in the future`);
  if (producedAt + rules.tolerance < subject.notBefore) {
    return unknown(`it is from ${isoTime(producedAt)}, before the certificate was`);
  }
  if (nonce !== undefined && (response.nonce === undefined || !equal(response.nonce, nonce))) {
    return unknown("it does not repeat the nonce of the request");
  }
  const about = response.responses.filter(({ certId }) => identifies(certId, subject, issuer, provider));
  if (about.length === 0) return unknown("it is not about this certificate");
  const stale = about.map((single) => staleness(single, rules, "it"));
  const current = about.filter((_, index) => stale[index] === undefined);
  if (current.length === 0) return unknown(stale[0]?.reason ?? "it is not current");
  const problem = yield* responderProblem(response, question);
  if (problem !== undefined) return unknown(problem);
  return strictest(current, subject);
}

/** Several answers about one certificate: revoked counts before unknown, and that before good. */
function strictest(answers: readonly SingleResponse[], { serialNumber }: OcspSubject): OcspVerdict {
  const revoked = answers.find(({ status }) => status === "revoked");
  if (revoked !== undefined) {
    const text = revokedText(serialNumber, revoked.revokedAt ?? 0, revoked.reason);
    return { status: "revoked", code: "CERT_REVOKED", reason: `${text}, as its OCSP responder says` };
  }
  if (answers.some(({ status }) => status === "unknown")) return unknown("the responder does not know the certificate");
  return { status: "good", until: answers[0]?.nextUpdate };
}

/** RFC 6960 4.2.2.2: the issuer itself, or who has its certificate for this from the issuer directly. */
function* responderProblem(response: OcspResponse, question: OcspQuestion): Flow<string | undefined> {
  const { issuer } = question;
  if (isResponder(response, issuer)) {
    const problem = yield* counted(response, issuer, question);
    if (problem === undefined) return undefined;
  }
  let last = "its responder is neither the issuer nor among the certificates in it";
  for (const der of response.certificates) {
    const responder = readCertificate(der);
    if (responder === undefined || !isResponder(response, responder)) continue;
    const problem =
      appointmentProblem(responder, question) ??
      (yield* counted(responder, issuer, question)) ??
      (yield* counted(response, responder, question)) ??
      (yield* revocationProblem(responder, question));
    if (problem === undefined) return undefined;
    last = `its responder ${responder.subject.text}: ${problem}`;
  }
  return isResponder(response, issuer) && response.certificates.length === 0 ? "it is not signed by the issuer" : last;
}

/** A response brings its own responders, sixteen of them: that is work like any other. */
function* counted(
  signed: Parameters<typeof signatureProblem>[0],
  { publicKey }: Certificate,
  { provider, legacySignatures, countSignature }: OcspQuestion,
): Flow<string | undefined> {
  if (countSignature?.() === false) return "more signatures were to be checked than may be";
  return yield* signatureProblem(signed, publicKey, provider, legacySignatures);
}

function appointmentProblem(
  { issuer: name, extendedKeyUsage, keyUsage, notBefore, notAfter, unhandledCritical, publicKey }: Certificate,
  { issuer, rules: { time }, minRsaBits = 0 }: OcspQuestion,
): string | undefined {
  if (!name.equals(issuer.subject)) return "its certificate is not from the issuer of the certificate in question";
  // RFC 6960 4.2.2.2: written out; anyExtendedKeyUsage is not enough.
  if (extendedKeyUsage === undefined || !extendedKeyUsage.includes(KeyPurpose.ocspSigning)) {
    return "its certificate is not for OCSPSigning";
  }
  const signing = KeyUsage.digitalSignature | KeyUsage.nonRepudiation;
  if (keyUsage !== undefined && (keyUsage & signing) === 0) return "its keyUsage has no digitalSignature";
  if (unhandledCritical.length > 0) return `critical extension ${unhandledCritical.join(", ")} is not understood`;
  const { algorithm } = publicKey;
  if ("bits" in algorithm && algorithm.bits < minRsaBits) {
    return `its key is ${keyText(algorithm)}, the least accepted is ${minRsaBits} bits`;
  }
  if (!(time >= notBefore && time < notAfter + 1000)) {
    return `its certificate is for ${isoTime(notBefore)} to ${isoTime(notAfter)}`;
  }
  return undefined;
}

/** RFC 6960 4.2.2.2.1 */
function* revocationProblem(responder: Certificate, question: OcspQuestion): Flow<string | undefined> {
  if (extensionValue(responder.extensions, StatusExtension.ocspNoCheck) !== undefined) return undefined;
  return question.distrust === undefined ? undefined : yield* question.distrust(responder);
}

/** One that cannot be read is no responder's. */
function readCertificate(der: Uint8Array): Certificate | undefined {
  try {
    return parseCertificate(der);
  } catch (error) {
    if (error instanceof TlsError) return undefined;
    throw error;
  }
}

function unknown(reason: string): OcspVerdict {
  return {
    status: "unknown",
    code: "ERR_TLS_STATUS_RESPONSE",
    reason: `the OCSP response is not acceptable: ${reason}`,
  };
}
