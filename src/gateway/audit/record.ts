/** What an audit log says: one JSON object a line, with nothing in it that could begin another. */
import { TlsError } from "../../errors.ts";
import type { PeerIdentity } from "../../x509/identity.ts";

/** One event; `undefined` members are left out. */
export type AuditRecord = { readonly event: AuditEvent } & Readonly<Record<string, unknown>>;

/** What is told of. */
export type AuditEvent =
  /** A handshake is done. */
  | "accepted"
  /** A handshake that this side ended, or the client. */
  | "refused"
  /** A connection that broke off before its handshake was done. */
  | "lost"
  /** A connection that had been accepted is over. */
  | "ended"
  | "request"
  /** What was no request. */
  | "malformed"
  /** Another policy is in force. */
  | "policy"
  /** The server behind failed. */
  | "upstream"
  /** Records that nobody took. */
  | "dropped"
  | "started"
  | "stopped"
  | "reloaded";

/** Characters of one string. */
const MAX_STRING = 1024;
/** Entries of one list. */
const MAX_LIST = 16;

/** One line without its end. Control and format characters, line separators and lone surrogates are escaped. */
export function auditLine(record: AuditRecord, time: number): string {
  const text = JSON.stringify({ time: new Date(time).toISOString(), ...record }, (_, value: unknown) => bounded(value));
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/gu, (character) =>
    Array.from({ length: character.length }, (_, index) => escaped(character.charCodeAt(index))).join(""),
  );
}

function escaped(unit: number): string {
  return `\\u${unit.toString(16).padStart(4, "0")}`;
}

function bounded(value: unknown): unknown {
  if (typeof value === "string" && value.length > MAX_STRING) return `${value.slice(0, MAX_STRING)}…`;
  if (Array.isArray(value) && value.length > MAX_LIST) {
    return [...value.slice(0, MAX_LIST), `and ${value.length - MAX_LIST} more`];
  }
  return value;
}

/** Who a client is; `null` where it has not said so. */
export function identityFacts(client: PeerIdentity | undefined): Readonly<Record<string, unknown>> | null {
  if (client === undefined) return null;
  const { verified, subject, spiffeId, serialNumber, issuer, fingerprint256 } = client;
  return { verified, subject, spiffeId, serial: serialNumber, issuer, sha256: fingerprint256 };
}

/** Why a connection ended: for certificates with each path that was tried, and what would mend it. */
export function errorFacts(error: unknown): Readonly<Record<string, unknown>> {
  if (!(error instanceof TlsError)) {
    const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
    return { code: typeof code === "string" ? code : "ERR_UNKNOWN", message: String(message ?? error) };
  }
  const { code, message, alert, direction, stage, rejection } = error;
  const tried = rejection?.paths.map(({ path, certificate, code: cause, reason }) => ({
    path,
    certificate,
    code: cause,
    reason,
  }));
  return { code, message, alert, direction, state: stage, tried, remedy: rejection?.remedy };
}
