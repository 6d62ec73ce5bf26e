/** Exit statuses are curl's; this is the table of causes and theirs. */
import { TlsError } from "../errors.ts";

export const ExitStatus = {
  ok: 0,
  /** A fault of this program. */
  fault: 1,
  usage: 2,
  resolve: 6,
  connect: 7,
  write: 23,
  read: 26,
  timeout: 28,
  handshake: 35,
  send: 55,
  receive: 56,
  localCertificate: 58,
  peerCertificate: 60,
  caFile: 77,
  crlFile: 82,
  pin: 90,
  certificateStatus: 91,
  clientCertificateRequired: 98,
} as const;

/** Ends the command with a status and a message for people. */
export class CliError extends Error {
  readonly status: number;
  /** What would mend it, in one line. */
  readonly hint: string | undefined;

  constructor(status: number, message: string, hint?: string) {
    super(message);
    this.status = status;
    this.hint = hint;
  }
}

/** A wrong command line. */
export function usage(message: string, hint?: string): CliError {
  return new CliError(ExitStatus.usage, message, hint);
}

/** Codes that do not mean that the handshake failed, when a certificate is not at fault. */
const BY_CODE: Readonly<Record<string, number>> = {
  ERR_TLS_OPTION: ExitStatus.usage,
  CERT_PIN_MISMATCH: ExitStatus.pin,
  OCSP_VERIFY_NEEDED: ExitStatus.certificateStatus,
  ERR_TLS_STATUS_RESPONSE: ExitStatus.certificateStatus,
  ERR_TLS_KEY: ExitStatus.localCertificate,
  ERR_TLS_PASSPHRASE: ExitStatus.localCertificate,
  ERR_TLS_CSR: ExitStatus.read,
  ERR_TLS_CAPTURE: ExitStatus.read,
  ERR_TLS_CA_STATE: ExitStatus.caFile,
  ERR_TLS_SIGNING_FAILED: ExitStatus.localCertificate,
  ERR_TLS_HANDSHAKE_TIMEOUT: ExitStatus.timeout,
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: ExitStatus.clientCertificateRequired,
};

/** A certificate rejection, and the codes that a certificate can have without one. */
const CERTIFICATE_CODE = /^(?:CERT_|CA_|EE_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|INVALID_|PATH_LENGTH_|ERR_TLS_CERT_)/;

/**
 * The status for an error of a connection.
 *
 * @param accepted - The server had accepted this side: from then on it is no handshake that fails.
 */
export function exitStatus(error: unknown, accepted: boolean): number {
  if (error instanceof CliError) return error.status;
  if (!(error instanceof TlsError)) return ExitStatus.fault;
  const known = BY_CODE[error.code];
  if (known !== undefined) return known;
  if (error.rejection !== undefined || CERTIFICATE_CODE.test(error.code)) return ExitStatus.peerCertificate;
  return accepted ? ExitStatus.receive : ExitStatus.handshake;
}
