/** The one error class, the causes it can have, and the alert that each cause sends (RFC 8446 6.2, RFC 9846 6.2). */

/** Alert descriptions, RFC 9846 6. */
export type AlertName =
  | "close_notify"
  | "unexpected_message"
  | "bad_record_mac"
  | "record_overflow"
  | "handshake_failure"
  | "bad_certificate"
  | "unsupported_certificate"
  | "certificate_revoked"
  | "certificate_expired"
  | "certificate_unknown"
  | "illegal_parameter"
  | "unknown_ca"
  | "access_denied"
  | "decode_error"
  | "decrypt_error"
  | "protocol_version"
  | "insufficient_security"
  | "internal_error"
  | "inappropriate_fallback"
  | "user_canceled"
  | "missing_extension"
  | "unsupported_extension"
  | "unrecognized_name"
  | "bad_certificate_status_response"
  | "unknown_psk_identity"
  | "certificate_required"
  | "general_error"
  | "no_application_protocol";

/** Which end of the connection reports the error. */
export type Side = "client" | "server";

/**
 * Every cause this side can find, with the alert it sends (`undefined`: none) and one line for people.
 * Where node:tls reports the same cause, the code is node's, since retry code switches on it.
 */
const CAUSES = {
  ERR_TLS_DECODE_ERROR: ["decode_error", "a message from the peer does not follow its syntax"],
  ERR_TLS_ILLEGAL_PARAMETER: ["illegal_parameter", "a field from the peer contradicts the protocol"],
  ERR_TLS_MISSING_EXTENSION: ["missing_extension", "the peer left out an extension that is mandatory here"],
  ERR_TLS_UNSUPPORTED_EXTENSION: ["unsupported_extension", "the peer answered with an extension nobody offered"],
  ERR_SSL_UNEXPECTED_MESSAGE: ["unexpected_message", "the peer sent a message that is not legal in this state"],
  ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC: ["bad_record_mac", "a record could not be decrypted"],
  ERR_SSL_PACKET_LENGTH_TOO_LONG: ["record_overflow", "a record is longer than the protocol allows"],
  ERR_SSL_EXCESSIVE_MESSAGE_SIZE: ["illegal_parameter", "a handshake message is longer than the configured limit"],
  ERR_SSL_HTTP_REQUEST: ["unexpected_message", "the peer speaks plain HTTP, not TLS"],
  ERR_SSL_WRONG_VERSION_NUMBER: ["unexpected_message", "the peer does not speak TLS"],
  ERR_SSL_UNSUPPORTED_PROTOCOL: ["protocol_version", "the peer does not speak TLS 1.3"],
  ERR_TLS_DOWNGRADE: ["illegal_parameter", "the server speaks TLS 1.3 but was made to answer with an older version"],
  ERR_SSL_NO_SHARED_CIPHER: ["handshake_failure", "no cipher suite in common"],
  ERR_SSL_NO_SUITABLE_KEY_SHARE: ["handshake_failure", "no key exchange group in common"],
  ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM: ["handshake_failure", "no signature scheme in common"],
  ERR_SSL_NO_APPLICATION_PROTOCOL: ["no_application_protocol", "no application protocol in common"],
  ERR_TLS_UNRECOGNIZED_NAME: ["unrecognized_name", "no identity for the name the client asked for"],
  ERR_SSL_DIGEST_CHECK_FAILED: ["decrypt_error", "the peer's Finished does not match the handshake"],
  ERR_SSL_BINDER_DOES_NOT_VERIFY: ["decrypt_error", "the binder is not one by the pre-shared key it names"],
  ERR_TLS_UNKNOWN_PSK: ["unknown_psk_identity", "no pre-shared key in common, and no certificate to do without"],
  ERR_TLS_TOO_MUCH_EARLY_DATA: ["unexpected_message", "the client sent more early data than it may"],
  ERR_SSL_BAD_SIGNATURE: ["decrypt_error", "the peer's CertificateVerify is not a signature by its certificate's key"],
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: ["certificate_required", "the client presented no certificate"],
  ERR_TLS_TOO_MANY_KEY_UPDATES: ["unexpected_message", "too many KeyUpdates without application data between them"],
  ERR_TLS_TOO_MANY_EMPTY_RECORDS: ["unexpected_message", "too many records without content in a row"],
  ERR_TLS_TOO_MANY_WARNINGS: ["unexpected_message", "too many warning alerts in a row"],
  ERR_TLS_RECORD_LIMIT: ["internal_error", "the record sequence number or AEAD limit is exhausted"],
  ERR_SSL_UNEXPECTED_EOF_WHILE_READING: [undefined, "the byte stream ended without close_notify: data may be missing"],
  ERR_TLS_HANDSHAKE_TIMEOUT: ["user_canceled", "the handshake did not finish in time"],
  ERR_TLS_IDLE_TIMEOUT: [undefined, "nothing was read or written for too long"],
  ERR_TLS_ABORTED: ["user_canceled", "aborted by this side"],
  ERR_TLS_TRANSPORT: [undefined, "the byte stream underneath failed"],
  ERR_TLS_CLOSED: [undefined, "the connection is closed"],
  ERR_TLS_SIGNING_FAILED: ["internal_error", "the private key's signer failed"],
  ERR_TLS_CALLBACK_FAILED: ["internal_error", "a callback of the application failed"],
  ERR_TLS_INTERNAL: ["internal_error", "a fault of this library"],
  ERR_TLS_ACCESS_DENIED: ["access_denied", "the peer is authenticated but not authorized"],
  ERR_TLS_POST_HANDSHAKE_AUTH: [undefined, "the client cannot be asked for a certificate"],
  ERR_TLS_KEY: [undefined, "a private key or public key cannot be used"],
  ERR_OSSL_X509_KEY_VALUES_MISMATCH: [undefined, "the private key does not belong to the certificate"],
  ERR_TLS_PEM: [undefined, "a PEM or DER input cannot be read"],
  ERR_TLS_OPTION: [undefined, "an option is unknown, contradictory or not supported"],
  ERR_TLS_CERT_DECOMPRESSION: ["bad_certificate", "a compressed certificate cannot be decompressed"],
  ERR_TLS_STATUS_RESPONSE: ["bad_certificate_status_response", "the stapled OCSP response is not acceptable"],
  CERT_HAS_EXPIRED: ["certificate_expired", "certificate has expired"],
  CERT_NOT_YET_VALID: ["certificate_expired", "certificate is not yet valid"],
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: ["unknown_ca", "no trust anchor issued this chain"],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: ["unknown_ca", "the issuer of the certificate is not known"],
  DEPTH_ZERO_SELF_SIGNED_CERT: ["unknown_ca", "self-signed certificate that is no trust anchor"],
  SELF_SIGNED_CERT_IN_CHAIN: ["unknown_ca", "the chain ends in a self-signed certificate that is no trust anchor"],
  ERR_TLS_CERT_ALTNAME_INVALID: ["bad_certificate", "the certificate does not name the host that was wanted"],
  INVALID_PURPOSE: ["unsupported_certificate", "the certificate is not meant for this purpose"],
  INVALID_CA: ["unknown_ca", "an issuer in the chain is not a CA"],
  PATH_LENGTH_EXCEEDED: ["unknown_ca", "the chain is longer than an issuer's path length allows"],
  CERT_SIGNATURE_FAILURE: ["bad_certificate", "a certificate's signature does not verify"],
  CERT_CHAIN_TOO_LONG: ["bad_certificate", "the chain is longer than the configured limit"],
  CERT_REVOKED: ["certificate_revoked", "certificate is revoked"],
  UNABLE_TO_GET_CRL: ["certificate_unknown", "whether a certificate is revoked is not known"],
  UNABLE_TO_GET_CRL_ISSUER: ["certificate_unknown", "the issuer of a CRL is not known or not to be trusted"],
  CRL_SIGNATURE_FAILURE: ["certificate_unknown", "a CRL's signature does not verify"],
  CRL_NOT_YET_VALID: ["certificate_unknown", "CRL is not yet valid"],
  CRL_HAS_EXPIRED: ["certificate_unknown", "CRL has expired"],
  CRL_PARSE_ERROR: ["certificate_unknown", "a CRL is not valid DER or not a valid CRL"],
  KEYUSAGE_NO_CRL_SIGN: ["certificate_unknown", "the issuer of a CRL may not sign CRLs"],
  UNHANDLED_CRITICAL_CRL_EXTENSION: ["certificate_unknown", "a critical extension of a CRL is not understood"],
  DIFFERENT_CRL_SCOPE: ["certificate_unknown", "the CRLs at hand do not cover the certificate"],
  OCSP_VERIFY_NEEDED: ["bad_certificate_status_response", "an OCSP response is wanted with the certificate"],
  CERT_PARSE_ERROR: ["bad_certificate", "a certificate is not valid DER or not a valid X.509 certificate"],
  CERT_PIN_MISMATCH: ["bad_certificate", "no key in the certificate's path is one of those pinned"],
  CERT_POLICY_REQUIRED: ["certificate_unknown", "no valid certificate policy, and one is required"],
  CERT_PROFILE_VIOLATION: ["bad_certificate", "a certificate breaks a rule of the profile asked for"],
  CERT_UNHANDLED_CRITICAL_EXTENSION: ["certificate_unknown", "a critical extension is not understood"],
  CERT_NAME_CONSTRAINT_VIOLATION: ["certificate_unknown", "a name lies outside an issuer's name constraints"],
  CERT_KEY_MISMATCH: ["unsupported_certificate", "the certificate's key cannot be used here"],
  EE_KEY_TOO_SMALL: ["bad_certificate", "the certificate's key is too weak"],
  CA_KEY_TOO_SMALL: ["bad_certificate", "an issuer's key is too weak"],
  CA_MD_TOO_WEAK: ["bad_certificate", "a certificate is signed with a weak algorithm"],
  CERT_UNSUPPORTED_ALGORITHM: ["unsupported_certificate", "a key or signature algorithm is not supported"],
  CERT_REJECTED: ["certificate_unknown", "the certificate was rejected"],
} as const satisfies Record<string, readonly [AlertName | undefined, string]>;

/** Causes found by this side. */
export type CauseCode = keyof typeof CAUSES;

/** Codes for alerts received from the peer, as node:tls spells them. */
const RECEIVED = {
  close_notify: "ERR_SSL_TLSV1_ALERT_CLOSE_NOTIFY",
  unexpected_message: "ERR_SSL_SSLV3_ALERT_UNEXPECTED_MESSAGE",
  bad_record_mac: "ERR_SSL_SSLV3_ALERT_BAD_RECORD_MAC",
  record_overflow: "ERR_SSL_TLSV1_ALERT_RECORD_OVERFLOW",
  handshake_failure: "ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE",
  bad_certificate: "ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE",
  unsupported_certificate: "ERR_SSL_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
  certificate_revoked: "ERR_SSL_SSLV3_ALERT_CERTIFICATE_REVOKED",
  certificate_expired: "ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED",
  certificate_unknown: "ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN",
  illegal_parameter: "ERR_SSL_SSLV3_ALERT_ILLEGAL_PARAMETER",
  unknown_ca: "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA",
  access_denied: "ERR_SSL_TLSV1_ALERT_ACCESS_DENIED",
  decode_error: "ERR_SSL_TLSV1_ALERT_DECODE_ERROR",
  decrypt_error: "ERR_SSL_TLSV1_ALERT_DECRYPT_ERROR",
  protocol_version: "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION",
  insufficient_security: "ERR_SSL_TLSV1_ALERT_INSUFFICIENT_SECURITY",
  internal_error: "ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR",
  inappropriate_fallback: "ERR_SSL_TLSV1_ALERT_INAPPROPRIATE_FALLBACK",
  user_canceled: "ERR_SSL_TLSV1_ALERT_USER_CANCELLED",
  missing_extension: "ERR_SSL_TLSV13_ALERT_MISSING_EXTENSION",
  unsupported_extension: "ERR_SSL_TLSV1_UNSUPPORTED_EXTENSION",
  unrecognized_name: "ERR_SSL_TLSV1_UNRECOGNIZED_NAME",
  bad_certificate_status_response: "ERR_SSL_TLSV1_BAD_CERTIFICATE_STATUS_RESPONSE",
  unknown_psk_identity: "ERR_SSL_TLSV1_ALERT_UNKNOWN_PSK_IDENTITY",
  certificate_required: "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED",
  general_error: "ERR_SSL_TLSV13_ALERT_GENERAL_ERROR",
  no_application_protocol: "ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL",
} as const satisfies Record<AlertName, string>;

/** Every `code` a {@link TlsError} can have. */
export type TlsErrorCode = CauseCode | (typeof RECEIVED)[AlertName] | "ERR_SSL_UNKNOWN_ALERT_TYPE";

/** One certificate path that was tried and the rule that it failed. */
export interface RejectedPath {
  /** Subjects from the end entity upwards, RFC 4514 strings. */
  readonly path: readonly string[];
  /** The subject of the certificate that failed. */
  readonly certificate: string;
  readonly code: TlsErrorCode;
  /** The rule with its values: which name was wanted and which were offered, by how long it expired. */
  readonly reason: string;
}

/** Why a certificate was not accepted: for the local log, never for the peer. */
export interface CertificateRejection {
  readonly paths: readonly RejectedPath[];
  /** One line on what would mend it. */
  readonly remedy: string;
}

/** What a {@link TlsError} knows besides its code. */
export interface TlsErrorContext {
  readonly alert?: AlertName | undefined;
  /** `sent`: this side found the fault. `received`: the peer did. */
  readonly direction?: "sent" | "received" | undefined;
  readonly side?: Side | undefined;
  /** The state of RFC 8446 Appendix A in which it happened. */
  readonly stage?: string | undefined;
  readonly detail?: string | undefined;
  readonly rejection?: CertificateRejection | undefined;
  readonly cause?: unknown;
}

/**
 * The one error of this library.
 *
 * @example
 * ```ts
 * try {
 *   parsePrivateKey("not a key");
 * } catch (error) {
 *   if (error instanceof TlsError) console.log(error.code); // ERR_TLS_KEY
 * }
 * ```
 */
export class TlsError extends Error {
  override readonly name = "TlsError";
  /** Stable; switch on this. */
  readonly code: TlsErrorCode;
  /** The alert that was sent or received, if any. */
  readonly alert: AlertName | undefined;
  readonly direction: "sent" | "received" | undefined;
  side: Side | undefined;
  stage: string | undefined;
  readonly detail: string | undefined;
  readonly rejection: CertificateRejection | undefined;

  constructor(code: TlsErrorCode, message: string, context: TlsErrorContext = {}) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause });
    this.code = code;
    this.alert = context.alert;
    this.direction = context.direction;
    this.side = context.side;
    this.stage = context.stage;
    this.detail = context.detail;
    this.rejection = context.rejection;
  }
}

/**
 * An error found by this side; the alert follows from the code.
 *
 * @param detail - The values involved, for the local log.
 */
export function fault(
  code: CauseCode,
  detail?: string,
  context?: { readonly cause?: unknown; readonly rejection?: CertificateRejection },
): TlsError {
  const [alert, text] = CAUSES[code];
  return new TlsError(code, detail === undefined ? text : `${text}: ${detail}`, {
    ...context,
    alert,
    direction: alert === undefined ? undefined : "sent",
    detail,
  });
}

/**
 * The error for an alert from the peer.
 *
 * @param alert - The description by name, or its number where it has none.
 */
export function alertReceived(alert: AlertName | number): TlsError {
  if (typeof alert === "number") {
    return new TlsError("ERR_SSL_UNKNOWN_ALERT_TYPE", `the peer sent alert ${alert}`, { direction: "received" });
  }
  return new TlsError(RECEIVED[alert], `the peer refused: ${alert}`, { alert, direction: "received" });
}
