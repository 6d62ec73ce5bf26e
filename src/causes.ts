/** What people are told of each cause, and what would mend it. */
import { type Explanations, explainWith } from "./errors.ts";

/** The cause, and where a certificate is rejected for it, what would mend it. */
export const EXPLANATIONS = {
  ERR_TLS_DECODE_ERROR: ["a message from the peer does not follow its syntax"],
  ERR_TLS_ILLEGAL_PARAMETER: ["a field from the peer contradicts the protocol"],
  ERR_TLS_MISSING_EXTENSION: ["the peer left out an extension that is mandatory here"],
  ERR_TLS_UNSUPPORTED_EXTENSION: ["the peer answered with an extension nobody offered"],
  ERR_SSL_UNEXPECTED_MESSAGE: ["the peer sent a message that is not legal in this state"],
  ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC: ["a record could not be decrypted"],
  ERR_SSL_PACKET_LENGTH_TOO_LONG: ["a record is longer than the protocol allows"],
  ERR_SSL_EXCESSIVE_MESSAGE_SIZE: ["a handshake message is longer than the configured limit"],
  ERR_SSL_HTTP_REQUEST: ["the peer speaks plain HTTP, not TLS"],
  ERR_SSL_WRONG_VERSION_NUMBER: ["the peer does not speak TLS"],
  ERR_SSL_UNSUPPORTED_PROTOCOL: ["the peer does not speak TLS 1.3"],
  ERR_TLS_DOWNGRADE: ["the server speaks TLS 1.3 but was made to answer with an older version"],
  ERR_SSL_NO_SHARED_CIPHER: ["no cipher suite in common"],
  ERR_SSL_NO_SUITABLE_KEY_SHARE: ["no key exchange group in common"],
  ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM: ["no signature scheme in common"],
  ERR_SSL_NO_APPLICATION_PROTOCOL: ["no application protocol in common"],
  ERR_TLS_UNRECOGNIZED_NAME: ["no identity for the name the client asked for"],
  ERR_SSL_DIGEST_CHECK_FAILED: ["the peer's Finished does not match the handshake"],
  ERR_SSL_BINDER_DOES_NOT_VERIFY: ["the binder is not one by the pre-shared key it names"],
  ERR_TLS_UNKNOWN_PSK: ["no pre-shared key in common, and no certificate to do without"],
  ERR_TLS_TOO_MUCH_EARLY_DATA: ["the client sent more early data than it may"],
  ERR_SSL_BAD_SIGNATURE: ["the peer's CertificateVerify is not a signature by its certificate's key"],
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: ["the client presented no certificate"],
  ERR_TLS_TOO_MANY_KEY_UPDATES: ["too many KeyUpdates without application data between them"],
  ERR_TLS_TOO_MANY_EMPTY_RECORDS: ["too many records without content in a row"],
  ERR_TLS_TOO_MANY_WARNINGS: ["too many warning alerts in a row"],
  ERR_TLS_RECORD_LIMIT: ["the record sequence number or AEAD limit is exhausted"],
  ERR_SSL_UNEXPECTED_EOF_WHILE_READING: ["the byte stream ended without close_notify: data may be missing"],
  ERR_TLS_HANDSHAKE_TIMEOUT: ["the handshake did not finish in time"],
  ERR_TLS_IDLE_TIMEOUT: ["nothing was read or written for too long"],
  ERR_TLS_MAX_LIFETIME: ["the connection has lasted as long as it may"],
  ERR_TLS_ABORTED: ["aborted by this side"],
  ERR_TLS_TRANSPORT: ["the byte stream underneath failed"],
  ERR_TLS_CLOSED: ["the connection is closed"],
  ERR_TLS_SIGNING_FAILED: ["the private key's signer failed"],
  ERR_TLS_CALLBACK_FAILED: ["a callback of the application failed"],
  ERR_TLS_INTERNAL: ["a fault of this library"],
  ERR_TLS_ACCESS_DENIED: ["the peer is authenticated but not authorized"],
  ERR_TLS_POST_HANDSHAKE_AUTH: ["the client cannot be asked for a certificate"],
  ERR_TLS_KEY: ["a private key or public key cannot be used"],
  ERR_TLS_PASSPHRASE: ["a pass phrase is wrong, or one is missing"],
  ERR_TLS_PKCS12: ["a PKCS#12 file or an encrypted key cannot be used"],
  ERR_OSSL_X509_KEY_VALUES_MISMATCH: ["the private key does not belong to the certificate"],
  ERR_TLS_PEM: ["a PEM or DER input cannot be read"],
  ERR_TLS_CSR: ["a certification request is malformed, or not to be granted"],
  ERR_TLS_CA_STATE: ["the folder of the CA cannot be used"],
  ERR_TLS_CAPTURE: ["a capture, key log or dump cannot be read"],
  ERR_TLS_OPTION: ["an option is unknown, contradictory or not supported"],
  ERR_TLS_CERT_DECOMPRESSION: ["a compressed certificate cannot be decompressed"],
  ERR_TLS_STATUS_RESPONSE: [
    "the stapled OCSP response is not acceptable",
    "let the peer staple a current OCSP response for this certificate",
  ],
  CERT_HAS_EXPIRED: ["certificate has expired", "renew the certificate, or check this machine's clock"],
  CERT_NOT_YET_VALID: ["certificate is not yet valid", "check the clocks of this machine and of the issuer"],
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: [
    "no trust anchor issued this chain",
    "trust the root of this chain, or let the peer send the intermediate it leaves out",
  ],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: [
    "the issuer of the certificate is not known",
    "let the peer send its intermediate certificates, or trust the issuer",
  ],
  DEPTH_ZERO_SELF_SIGNED_CERT: [
    "self-signed certificate that is no trust anchor",
    "trust this very certificate if it is the one you expect",
  ],
  SELF_SIGNED_CERT_IN_CHAIN: [
    "the chain ends in a self-signed certificate that is no trust anchor",
    "trust the root of this chain if it is the one you expect",
  ],
  ERR_TLS_CERT_ALTNAME_INVALID: [
    "the certificate does not name the host that was wanted",
    "ask for one of the names offered, or have the name added to subjectAltName",
  ],
  INVALID_PURPOSE: [
    "the certificate is not meant for this purpose",
    "issue the certificate for this purpose: extKeyUsage and keyUsage must allow it",
  ],
  INVALID_CA: [
    "an issuer in the chain is not a CA",
    "reissue the issuer with basicConstraints CA:TRUE and keyUsage keyCertSign",
  ],
  PATH_LENGTH_EXCEEDED: [
    "the chain is longer than an issuer's path length allows",
    "issue directly from the constrained CA, or raise its path length",
  ],
  CERT_SIGNATURE_FAILURE: [
    "a certificate's signature does not verify",
    "an issuer of this name has another key: compare the trusted certificate with the one that signed",
  ],
  CERT_CHAIN_TOO_LONG: ["the chain is longer than the configured limit", "shorten the chain, or raise the limit"],
  CERT_REVOKED: ["certificate is revoked", "have a new certificate issued with a new key"],
  UNABLE_TO_GET_CRL: [
    "whether a certificate is revoked is not known",
    "supply a current CRL of this issuer or a way to fetch one, or use soft-fail",
  ],
  UNABLE_TO_GET_CRL_ISSUER: [
    "the issuer of a CRL is not known or not to be trusted",
    "supply the certificate of the CRL's issuer, valid under the same anchor",
  ],
  CRL_SIGNATURE_FAILURE: [
    "a CRL's signature does not verify",
    "fetch the CRL again: it is not signed by the key of this issuer",
  ],
  CRL_NOT_YET_VALID: ["CRL is not yet valid", "check this machine's clock and that of the CRL's issuer"],
  CRL_HAS_EXPIRED: ["CRL has expired", "supply a newer CRL of this issuer"],
  CRL_PARSE_ERROR: ["a CRL is not valid DER or not a valid CRL", "have the CRL reissued as RFC 5280 5 demands"],
  KEYUSAGE_NO_CRL_SIGN: [
    "the issuer of a CRL may not sign CRLs",
    "reissue the CRL issuer's certificate with keyUsage cRLSign",
  ],
  UNHANDLED_CRITICAL_CRL_EXTENSION: [
    "a critical extension of a CRL is not understood",
    "have the CRL issued without the extension, or not critical",
  ],
  DIFFERENT_CRL_SCOPE: [
    "the CRLs at hand do not cover the certificate",
    "supply the CRLs of the certificate's distribution points, for all reasons",
  ],
  OCSP_VERIFY_NEEDED: [
    "an OCSP response is wanted with the certificate",
    "let the peer staple an OCSP response, and ask for one",
  ],
  CERT_PARSE_ERROR: [
    "a certificate is not valid DER or not a valid X.509 certificate",
    "reissue the certificate as valid DER",
  ],
  CERT_PIN_MISMATCH: [
    "no key in the certificate's path is one of those pinned",
    "pin the new key beside the old one before it is used, or look for who is in the middle",
  ],
  CERT_POLICY_REQUIRED: [
    "no valid certificate policy, and one is required",
    "issue the certificates under the policy that is asked for, or do not ask for one",
  ],
  CERT_PROFILE_VIOLATION: [
    "a certificate breaks a rule of the profile asked for",
    "reissue the certificate by the profile, or verify without one",
  ],
  CERT_UNHANDLED_CRITICAL_EXTENSION: [
    "a critical extension is not understood",
    "reissue the certificate without the extension, or mark it non-critical",
  ],
  CERT_NAME_CONSTRAINT_VIOLATION: [
    "a name lies outside an issuer's name constraints",
    "issue the certificate from a CA that may issue for this name",
  ],
  EE_KEY_TOO_SMALL: ["the certificate's key is too weak", "reissue the certificate with a stronger key"],
  CA_KEY_TOO_SMALL: ["an issuer's key is too weak", "replace the issuer by one with a stronger key"],
  CA_MD_TOO_WEAK: [
    "a certificate is signed with a weak algorithm",
    "reissue the certificate with a SHA-256 signature or better",
  ],
  CERT_UNSUPPORTED_ALGORITHM: [
    "a key or signature algorithm is not supported",
    "use ECDSA on P-256, P-384 or P-521, Ed25519 or RSA, or a provider that has the algorithm",
  ],
  CERT_REJECTED: ["the certificate was rejected", "send only the certificates of one chain"],
} as const satisfies Required<Explanations>;

/** The codes of rejections: those for which there is a remedy. */
export type RejectionCode = {
  [Code in keyof typeof EXPLANATIONS]: (typeof EXPLANATIONS)[Code] extends readonly [string, string] ? Code : never;
}[keyof typeof EXPLANATIONS];

/**
 * From now on errors say what their code means, and rejected certificates what would mend it. Only the lean entry point
 * leaves this to the application: it takes two kilobytes.
 *
 * @example
 * ```ts
 * import { connect, explainErrors } from "mutls/lean";
 *
 * explainErrors();
 * try {
 *   await connect(stream, { serverName: "elsewhere.test", trust: ca });
 * } catch (error) {
 *   console.log(error instanceof TlsError && error.message.split(":")[0]); // the certificate does not name the host that was wanted
 * }
 * ```
 */
export function explainErrors(): void {
  explainWith(EXPLANATIONS);
}
