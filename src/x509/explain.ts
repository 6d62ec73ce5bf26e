/** Turns the paths that failed into an error that explains itself. */
import { fault, remedyFor, type TlsError } from "../errors.ts";
import { formatAddress } from "./address.ts";
import type { Certificate } from "./certificate.ts";
import type { Violation } from "./rules.ts";

/** A certificate, or what stands for one that cannot be read. */
type Named = Certificate | string;

/** A path that ended without reaching an anchor. */
export interface FailedPath extends Omit<Violation, "certificate"> {
  readonly certificate: Named;
  /** End entity first; the certificate at fault is the last, or follows it. */
  readonly path: readonly Named[];
  /** How telling this failure is beside others: the highest gives the error its code. */
  readonly rank: number;
}

/**
 * The error for a certificate that no path verifies.
 *
 * @param failures - At least one; the first gives the code.
 */
export function rejection(failures: readonly FailedPath[], cause?: TlsError): TlsError {
  const [worst] = failures;
  if (worst === undefined) throw fault("ERR_TLS_INTERNAL", "a rejection without a reason");
  const certificate = describe(worst.certificate);
  return fault(worst.code, clip(`${certificate}: ${worst.reason}`), {
    cause,
    rejection: {
      paths: failures.map(({ path, certificate: at, code, reason }) => ({
        path: path.map(describe),
        certificate: describe(at),
        code,
        reason: clip(reason),
      })),
      remedy: remedyFor(worst.code),
    },
  });
}

/** The subject; where it is empty, the first name there is. */
function describe(certificate: Named): string {
  if (typeof certificate === "string") return certificate;
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
