/** A certificate in one line. */
import { printable } from "../bytes/text.ts";
import { TlsError } from "../errors.ts";
import { formatAddress } from "../x509/address.ts";
import type { Certificate } from "../x509/certificate.ts";
import { parseCertificate } from "../x509/parse.ts";
import { keyText } from "../x509/rules.ts";

/** What people look for in a certificate. */
export interface CertificateSummary {
  /** RFC 4514 string. */
  readonly subject: string;
  /** RFC 4514 string. */
  readonly issuer: string;
  /** ISO 8601. */
  readonly notBefore: string;
  /** ISO 8601. */
  readonly notAfter: string;
  /** `DNS:localhost`, `IP:127.0.0.1`, `URI:…`, `email:…` */
  readonly names: readonly string[];
  /** Kind of its key: `P-256`, `ed25519`, `RSA 2048`. */
  readonly key: string;
}

/**
 * Subject, issuer, validity, names and key.
 *
 * @param der - A certificate; not checked for trust.
 * @returns The reason as text where it cannot be read.
 * @example
 * ```ts
 * const summary = summarizeCertificate(certificates[0] as Uint8Array);
 * console.log(typeof summary === "object" && summary.subject); // CN=localhost
 * ```
 */
export function summarizeCertificate(der: Uint8Array): CertificateSummary | string {
  let certificate: Certificate;
  try {
    certificate = parseCertificate(der);
  } catch (error) {
    if (error instanceof TlsError) return error.message;
    throw error;
  }
  const { dns = [], ip = [], email = [], uri = [] } = certificate.subjectAltName ?? {};
  return {
    subject: certificate.subject.text,
    issuer: certificate.issuer.text,
    notBefore: isoTime(certificate.notBefore),
    notAfter: isoTime(certificate.notAfter),
    names: [
      ...dns.map((name) => `DNS:${printable(name)}`),
      ...ip.map((address) => `IP:${formatAddress(address)}`),
      ...email.map((name) => `email:${printable(name)}`),
      ...uri.map((name) => `URI:${printable(name)}`),
    ],
    key: keyText(certificate.publicKey.algorithm),
  };
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString().replace(".000Z", "Z");
}
