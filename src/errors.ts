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
 * Every cause this side can find, with the alert it sends (`undefined`: none). Where node:tls reports the same cause, the
 * code is node's, since retry code switches on it. What people are told of each is in causes.ts.
 */
const ALERTS = {
  ERR_TLS_DECODE_ERROR: "decode_error",
  ERR_TLS_ILLEGAL_PARAMETER: "illegal_parameter",
  ERR_TLS_MISSING_EXTENSION: "missing_extension",
  ERR_TLS_UNSUPPORTED_EXTENSION: "unsupported_extension",
  ERR_SSL_UNEXPECTED_MESSAGE: "unexpected_message",
  ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC: "bad_record_mac",
  ERR_SSL_PACKET_LENGTH_TOO_LONG: "record_overflow",
  ERR_SSL_EXCESSIVE_MESSAGE_SIZE: "illegal_parameter",
  ERR_SSL_HTTP_REQUEST: "unexpected_message",
  ERR_SSL_WRONG_VERSION_NUMBER: "unexpected_message",
  ERR_SSL_UNSUPPORTED_PROTOCOL: "protocol_version",
  ERR_TLS_DOWNGRADE: "illegal_parameter",
  ERR_SSL_NO_SHARED_CIPHER: "handshake_failure",
  ERR_SSL_NO_SUITABLE_KEY_SHARE: "handshake_failure",
  ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM: "handshake_failure",
  ERR_SSL_NO_APPLICATION_PROTOCOL: "no_application_protocol",
  ERR_TLS_UNRECOGNIZED_NAME: "unrecognized_name",
  ERR_SSL_DIGEST_CHECK_FAILED: "decrypt_error",
  ERR_SSL_BINDER_DOES_NOT_VERIFY: "decrypt_error",
  ERR_TLS_UNKNOWN_PSK: "unknown_psk_identity",
  ERR_TLS_TOO_MUCH_EARLY_DATA: "unexpected_message",
  ERR_SSL_BAD_SIGNATURE: "decrypt_error",
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: "certificate_required",
  ERR_TLS_TOO_MANY_KEY_UPDATES: "unexpected_message",
  ERR_TLS_TOO_MANY_EMPTY_RECORDS: "unexpected_message",
  ERR_TLS_TOO_MANY_WARNINGS: "unexpected_message",
  ERR_TLS_RECORD_LIMIT: "internal_error",
  ERR_SSL_UNEXPECTED_EOF_WHILE_READING: undefined,
  ERR_TLS_HANDSHAKE_TIMEOUT: "user_canceled",
  ERR_TLS_IDLE_TIMEOUT: undefined,
  ERR_TLS_MAX_LIFETIME: "general_error",
  ERR_TLS_ABORTED: "user_canceled",
  ERR_TLS_TRANSPORT: undefined,
  ERR_TLS_CLOSED: undefined,
  ERR_TLS_SIGNING_FAILED: "internal_error",
  ERR_TLS_CALLBACK_FAILED: "internal_error",
  ERR_TLS_INTERNAL: "internal_error",
  ERR_TLS_ACCESS_DENIED: "access_denied",
  ERR_TLS_POST_HANDSHAKE_AUTH: undefined,
  ERR_TLS_KEY: undefined,
  ERR_TLS_PASSPHRASE: undefined,
  ERR_TLS_PKCS12: undefined,
  ERR_OSSL_X509_KEY_VALUES_MISMATCH: undefined,
  ERR_TLS_PEM: undefined,
  ERR_TLS_CSR: undefined,
  ERR_TLS_CA_STATE: undefined,
  ERR_TLS_CAPTURE: undefined,
  ERR_TLS_OPTION: undefined,
  ERR_TLS_CERT_DECOMPRESSION: "bad_certificate",
  ERR_TLS_STATUS_RESPONSE: "bad_certificate_status_response",
  CERT_HAS_EXPIRED: "certificate_expired",
  CERT_NOT_YET_VALID: "certificate_expired",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "unknown_ca",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "unknown_ca",
  DEPTH_ZERO_SELF_SIGNED_CERT: "unknown_ca",
  SELF_SIGNED_CERT_IN_CHAIN: "unknown_ca",
  ERR_TLS_CERT_ALTNAME_INVALID: "bad_certificate",
  INVALID_PURPOSE: "unsupported_certificate",
  INVALID_CA: "unknown_ca",
  PATH_LENGTH_EXCEEDED: "unknown_ca",
  CERT_SIGNATURE_FAILURE: "bad_certificate",
  CERT_CHAIN_TOO_LONG: "bad_certificate",
  CERT_REVOKED: "certificate_revoked",
  UNABLE_TO_GET_CRL: "certificate_unknown",
  UNABLE_TO_GET_CRL_ISSUER: "certificate_unknown",
  CRL_SIGNATURE_FAILURE: "certificate_unknown",
  CRL_NOT_YET_VALID: "certificate_unknown",
  CRL_HAS_EXPIRED: "certificate_unknown",
  CRL_PARSE_ERROR: "certificate_unknown",
  KEYUSAGE_NO_CRL_SIGN: "certificate_unknown",
  UNHANDLED_CRITICAL_CRL_EXTENSION: "certificate_unknown",
  DIFFERENT_CRL_SCOPE: "certificate_unknown",
  OCSP_VERIFY_NEEDED: "bad_certificate_status_response",
  CERT_PARSE_ERROR: "bad_certificate",
  CERT_PIN_MISMATCH: "bad_certificate",
  CERT_POLICY_REQUIRED: "certificate_unknown",
  CERT_PROFILE_VIOLATION: "bad_certificate",
  CERT_UNHANDLED_CRITICAL_EXTENSION: "certificate_unknown",
  CERT_NAME_CONSTRAINT_VIOLATION: "certificate_unknown",
  EE_KEY_TOO_SMALL: "bad_certificate",
  CA_KEY_TOO_SMALL: "bad_certificate",
  CA_MD_TOO_WEAK: "bad_certificate",
  CERT_UNSUPPORTED_ALGORITHM: "unsupported_certificate",
  CERT_REJECTED: "certificate_unknown",
} as const satisfies Record<string, AlertName | undefined>;

/** Causes found by this side. */
export type CauseCode = keyof typeof ALERTS;

/** For people: what each cause is, and what would mend it. */
export type Explanations = Readonly<Partial<Record<CauseCode, readonly [cause: string, remedy?: string]>>>;

let explanations: Explanations = {};

/** Has errors say more than their code from now on. */
export function explainWith(known: Explanations): void {
  explanations = known;
}

/** What would mend a cause, where that is known. */
export function remedyFor(code: CauseCode): string {
  return explanations[code]?.[1] ?? "see the reason";
}

/** How node:tls spells the codes for alerts received from the peer, where it is not `ERR_SSL_TLSV1_ALERT_…`. */
const FAMILIES = {
  SSLV3_ALERT: [
    "unexpected_message",
    "bad_record_mac",
    "handshake_failure",
    "bad_certificate",
    "unsupported_certificate",
    "certificate_revoked",
    "certificate_expired",
    "certificate_unknown",
    "illegal_parameter",
  ],
  TLSV13_ALERT: ["missing_extension", "certificate_required", "general_error"],
  TLSV1: ["unsupported_extension", "unrecognized_name", "bad_certificate_status_response"],
} as const satisfies Record<string, readonly AlertName[]>;
type Family = keyof typeof FAMILIES;
type Upper<Name extends AlertName> = Name extends "user_canceled" ? "USER_CANCELLED" : Uppercase<Name>;
type ReceivedCode =
  | { [F in Family]: `ERR_SSL_${F}_${Upper<(typeof FAMILIES)[F][number]>}` }[Family]
  | `ERR_SSL_TLSV1_ALERT_${Upper<Exclude<AlertName, (typeof FAMILIES)[Family][number]>>}`;

/** Every `code` a {@link TlsError} can have. */
export type TlsErrorCode = CauseCode | ReceivedCode | "ERR_SSL_UNKNOWN_ALERT_TYPE";

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
  const alert = ALERTS[code];
  const text = explanations[code]?.[0] ?? code;
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
  const families = Object.keys(FAMILIES) as Family[];
  const family = families.find((name) => (FAMILIES[name] as readonly AlertName[]).includes(alert)) ?? "TLSV1_ALERT";
  const name = alert === "user_canceled" ? "USER_CANCELLED" : alert.toUpperCase();
  const code = `ERR_SSL_${family}_${name}` as ReceivedCode;
  return new TlsError(code, `the peer refused: ${alert}`, { alert, direction: "received" });
}
