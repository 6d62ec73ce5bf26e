/** One row: what a rogue peer breaks, and what the victim must make of it. */
import { expect } from "vitest";
import type { AlertName, TlsErrorCode } from "../../src/errors.ts";
import type { StateName } from "../../src/flow.ts";
import { type End, failure, failures } from "./pair.ts";
import { confront, type Rogue } from "./rogue.ts";

/** What a fault is called, the alert it sends, and where. */
export interface Verdict {
  readonly code: TlsErrorCode;
  readonly alert: AlertName;
  readonly stage: StateName;
}

const ALERTS = {
  ERR_TLS_DECODE_ERROR: "decode_error",
  ERR_TLS_ILLEGAL_PARAMETER: "illegal_parameter",
  ERR_TLS_MISSING_EXTENSION: "missing_extension",
  ERR_TLS_UNSUPPORTED_EXTENSION: "unsupported_extension",
  ERR_SSL_UNEXPECTED_MESSAGE: "unexpected_message",
  ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC: "bad_record_mac",
  ERR_SSL_PACKET_LENGTH_TOO_LONG: "record_overflow",
  ERR_SSL_UNSUPPORTED_PROTOCOL: "protocol_version",
  ERR_TLS_DOWNGRADE: "illegal_parameter",
  ERR_SSL_NO_SHARED_CIPHER: "handshake_failure",
  ERR_SSL_NO_SUITABLE_KEY_SHARE: "handshake_failure",
  ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM: "handshake_failure",
  ERR_SSL_NO_APPLICATION_PROTOCOL: "no_application_protocol",
  ERR_TLS_UNRECOGNIZED_NAME: "unrecognized_name",
  ERR_SSL_DIGEST_CHECK_FAILED: "decrypt_error",
  ERR_SSL_BINDER_DOES_NOT_VERIFY: "decrypt_error",
  ERR_TLS_TOO_MUCH_EARLY_DATA: "unexpected_message",
  ERR_SSL_BAD_SIGNATURE: "decrypt_error",
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: "certificate_required",
  ERR_SSL_EXCESSIVE_MESSAGE_SIZE: "illegal_parameter",
  ERR_TLS_TOO_MANY_KEY_UPDATES: "unexpected_message",
  ERR_TLS_TOO_MANY_EMPTY_RECORDS: "unexpected_message",
  ERR_TLS_TOO_MANY_WARNINGS: "unexpected_message",
  ERR_TLS_CERT_DECOMPRESSION: "bad_certificate",
  CERT_CHAIN_TOO_LONG: "bad_certificate",
  CERT_PARSE_ERROR: "bad_certificate",
  ERR_TLS_ACCESS_DENIED: "access_denied",
} as const satisfies Partial<Record<TlsErrorCode, AlertName>>;

/** The verdict for a code, its alert written out here once more. */
export function verdict(code: keyof typeof ALERTS, stage: StateName): Verdict {
  return { code, alert: ALERTS[code], stage };
}

/** Lets both talk; the victim must fail once, exactly so, and the rogue must get that alert and no other. */
export function expectRefusal(victim: End, rogue: Rogue, expected: Verdict): void {
  confront(victim, rogue);
  expectFailed(victim, rogue, expected);
}

export function expectFailed(victim: End, rogue: Rogue, { code, alert, stage }: Verdict): void {
  expect(failure(victim)).toEqual({ code, alert, direction: "sent", stage });
  expect(victim.engine.error?.side).toBe(victim.engine.side);
  expect(failures(victim)).toBe(1);
  expect(rogue.alerts).toEqual([alert]);
}
