/** Turns the paths that failed into an error that explains itself. */
import { type CauseCode, fault, type TlsError } from "../errors.ts";
import { formatAddress } from "./address.ts";
import type { Certificate } from "./certificate.ts";
import type { Violation } from "./rules.ts";

/** A path that ended without reaching an anchor. */
export interface FailedPath extends Violation {
  /** End entity first; the certificate at fault is the last, or follows it. */
  readonly path: readonly Certificate[];
  /** How telling this failure is beside others: the highest gives the error its code. */
  readonly rank: number;
}

/** What would mend each cause, for whoever reads the log. */
const REMEDIES: { readonly [Code in CauseCode]?: string } = {
  CERT_HAS_EXPIRED: "renew the certificate, or check this machine's clock",
  CERT_NOT_YET_VALID: "check the clocks of this machine and of the issuer",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    "trust the root of this chain, or let the peer send the intermediate it leaves out",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "let the peer send its intermediate certificates, or trust the issuer",
  DEPTH_ZERO_SELF_SIGNED_CERT: "trust this very certificate if it is the one you expect",
  SELF_SIGNED_CERT_IN_CHAIN: "trust the root of this chain if it is the one you expect",
  ERR_TLS_CERT_ALTNAME_INVALID: "ask for one of the names offered, or have the name added to subjectAltName",
  INVALID_PURPOSE: "issue the certificate for this purpose: extKeyUsage and keyUsage must allow it",
  INVALID_CA: "reissue the issuer with basicConstraints CA:TRUE and keyUsage keyCertSign",
  PATH_LENGTH_EXCEEDED: "issue directly from the constrained CA, or raise its path length",
  CERT_SIGNATURE_FAILURE:
    "an issuer of this name has another key: compare the trusted certificate with the one that signed",
  CERT_CHAIN_TOO_LONG: "shorten the chain, or raise the limit",
  CERT_REVOKED: "have a new certificate issued with a new key",
  UNABLE_TO_GET_CRL: "supply a current CRL of this issuer or a way to fetch one, or use soft-fail",
  UNABLE_TO_GET_CRL_ISSUER: "supply the certificate of the CRL's issuer, valid under the same anchor",
  CRL_SIGNATURE_FAILURE: "fetch the CRL again: it is not signed by the key of this issuer",
  CRL_NOT_YET_VALID: "check this machine's clock and that of the CRL's issuer",
  CRL_HAS_EXPIRED: "supply a newer CRL of this issuer",
  CRL_PARSE_ERROR: "have the CRL reissued as RFC 5280 5 demands",
  KEYUSAGE_NO_CRL_SIGN: "reissue the CRL issuer's certificate with keyUsage cRLSign",
  UNHANDLED_CRITICAL_CRL_EXTENSION: "have the CRL issued without the extension, or not critical",
  DIFFERENT_CRL_SCOPE: "supply the CRLs of the certificate's distribution points, for all reasons",
  OCSP_VERIFY_NEEDED: "let the peer staple an OCSP response, and ask for one",
  ERR_TLS_STATUS_RESPONSE: "let the peer staple a current OCSP response for this certificate",
  CERT_PARSE_ERROR: "reissue the certificate as valid DER",
  CERT_PROFILE_VIOLATION: "reissue the certificate by the profile, or verify without one",
  CERT_UNHANDLED_CRITICAL_EXTENSION: "reissue the certificate without the extension, or mark it non-critical",
  CERT_PIN_MISMATCH: "pin the new key beside the old one before it is used, or look for who is in the middle",
  CERT_POLICY_REQUIRED: "issue the certificates under the policy that is asked for, or do not ask for one",
  CERT_NAME_CONSTRAINT_VIOLATION: "issue the certificate from a CA that may issue for this name",
  EE_KEY_TOO_SMALL: "reissue the certificate with a stronger key",
  CA_KEY_TOO_SMALL: "replace the issuer by one with a stronger key",
  CA_MD_TOO_WEAK: "reissue the certificate with a SHA-256 signature or better",
  CERT_UNSUPPORTED_ALGORITHM:
    "use ECDSA on P-256, P-384 or P-521, Ed25519 or RSA, or a provider that has the algorithm",
  CERT_REJECTED: "send only the certificates of one chain",
};

/**
 * The error for a certificate that no path verifies.
 *
 * @param failures - At least one; the first gives the code.
 */
export function rejection(failures: readonly FailedPath[]): TlsError {
  const [worst] = failures;
  if (worst === undefined) throw fault("ERR_TLS_INTERNAL", "a rejection without a reason");
  const certificate = describe(worst.certificate);
  return fault(worst.code, clip(`${certificate}: ${worst.reason}`), {
    rejection: {
      paths: failures.map(({ path, certificate: at, code, reason }) => ({
        path: path.map(describe),
        certificate: describe(at),
        code,
        reason: clip(reason),
      })),
      remedy: REMEDIES[worst.code] ?? "see the reason",
    },
  });
}

/** The subject; where it is empty, the first name there is. */
function describe(certificate: Certificate): string {
  return clip(certificate.subject.empty ? firstName(certificate) : certificate.subject.text);
}

function firstName(certificate: Certificate): string {
  const names = certificate.subjectAltName;
  if (names?.dns[0] !== undefined) return `DNS:${names.dns[0]}`;
  if (names?.uri[0] !== undefined) return `URI:${names.uri[0]}`;
  if (names?.email[0] !== undefined) return `email:${names.email[0]}`;
  return names?.ip[0] === undefined ? "a certificate without a name" : `IP:${formatAddress(names.ip[0])}`;
}

/** Characters of one text: a peer's certificate must not fill the log. */
const MAX_TEXT = 1000;

function clip(text: string): string {
  return text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT)}…`;
}
