/** Which causes of OpenSSL and Go are the same as ours. */
import type { CauseCode } from "../../src/errors.ts";

/** Causes in the words of {@link Verdicts}. Empty: it has none of its own. */
const CAUSES: {
  readonly [Code in CauseCode]?: { readonly openssl: readonly string[]; readonly go: readonly string[] };
} = {
  CERT_HAS_EXPIRED: { openssl: ["certificate has expired"], go: ["Expired"] },
  CERT_NOT_YET_VALID: { openssl: ["certificate is not yet valid"], go: ["Expired"] },
  CERT_SIGNATURE_FAILURE: { openssl: ["certificate signature failure"], go: ["UnknownAuthority: signature"] },
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: {
    openssl: ["unable to get local issuer certificate"],
    go: ["UnknownAuthority", "UnknownAuthority: signature"],
  },
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: { openssl: ["unable to get local issuer certificate"], go: ["UnknownAuthority"] },
  DEPTH_ZERO_SELF_SIGNED_CERT: { openssl: ["self-signed certificate"], go: ["UnknownAuthority"] },
  SELF_SIGNED_CERT_IN_CHAIN: { openssl: ["self-signed certificate in certificate chain"], go: ["UnknownAuthority"] },
  INVALID_CA: {
    openssl: ["invalid CA certificate"],
    go: ["UnknownAuthority: not authorized to sign", "NotAuthorizedToSign"],
  },
  PATH_LENGTH_EXCEEDED: { openssl: ["path length constraint exceeded"], go: ["TooManyIntermediates"] },
  INVALID_PURPOSE: { openssl: ["unsuitable certificate purpose"], go: ["IncompatibleUsage"] },
  CERT_UNHANDLED_CRITICAL_EXTENSION: { openssl: ["unhandled critical extension"], go: ["UnhandledCriticalExtension"] },
  CERT_POLICY_REQUIRED: {
    openssl: ["no explicit policy", "invalid or inconsistent certificate policy extension"],
    go: ["NoValidChains"],
  },
  CERT_NAME_CONSTRAINT_VIOLATION: {
    openssl: [
      "permitted subtree violation",
      "excluded subtree violation",
      "unsupported or invalid name syntax",
      "unsupported name constraint type",
    ],
    go: ["CANotAuthorizedForThisName"],
  },
  ERR_TLS_CERT_ALTNAME_INVALID: { openssl: ["hostname mismatch", "IP address mismatch"], go: ["HostnameError"] },
  EE_KEY_TOO_SMALL: { openssl: ["EE certificate key too weak"], go: [] },
  CA_KEY_TOO_SMALL: { openssl: ["CA certificate key too weak"], go: [] },
  CA_MD_TOO_WEAK: { openssl: ["CA signature digest algorithm too weak"], go: ["UnknownAuthority: insecure algorithm"] },
  CERT_UNSUPPORTED_ALGORITHM: { openssl: [], go: ["UnknownAuthority: algorithm unimplemented"] },
  CERT_PARSE_ERROR: { openssl: ["malformed", "format error in certificate's notBefore field"], go: ["malformed"] },
};

/** True when both accept, or both refuse for the same cause. */
export function agrees(other: "openssl" | "go", ours: CauseCode | "ok", theirs: string): boolean {
  if (ours === "ok" || theirs === "ok") return ours === theirs;
  return CAUSES[ours]?.[other].includes(theirs) ?? false;
}
