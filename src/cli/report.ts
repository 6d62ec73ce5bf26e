/** What a command tells people: errors, who the peer is, traces. */
import { toHex } from "../bytes/hex.ts";
import type { Observer } from "../engine/observer.ts";
import { type Side, TlsError } from "../errors.ts";
import { describeAlert } from "../inspect/describe.ts";
import { combineObservers } from "../inspect/keylog.ts";
import { createRenderer } from "../inspect/render.ts";
import { createTrace, type TraceItem, traceError, traceJson } from "../inspect/trace.ts";
import type { SessionFacts } from "../transport/session.ts";
import type { PeerIdentity } from "../x509/identity.ts";
import { CliError } from "./exit.ts";
import type { Arguments, Flag } from "./flags.ts";

export const TRACE_FLAGS: readonly Flag[] = [
  {
    name: "pcapng",
    value: "FILE",
    help: "write a capture with the connection's secrets inside, for Wireshark and mutls inspect; never in production",
  },
  { name: "trace", help: "explain every record, message and field on stderr as it passes" },
  { name: "full", help: "with --trace: every byte in hexadecimal, every field, whole secrets" },
];

/** Where a connection's trace goes. */
export interface TraceOutput {
  /** `undefined` where nothing is traced. */
  readonly observer: Observer | undefined;
  /** The error that ended the connection, as the trace's last item. */
  end(error: unknown): void;
}

/**
 * What `--trace`, `--json`, `--keylogfile` and `--pcapng` ask for.
 *
 * @param json - Where JSON lines go.
 * @param others - Who else observes, where anybody does.
 * @param connection - Number of the connection, where there are several.
 */
export function traceOutput(
  args: Arguments,
  side: Side,
  json: NodeJS.WriteStream,
  others: readonly (Observer | undefined)[],
  connection?: number,
): TraceOutput {
  const emit = args.has("json")
    ? (item: TraceItem) => void json.write(`${jsonLine(item, connection)}\n`)
    : args.has("trace")
      ? textOutput(args, connection)
      : undefined;
  const observers = [...others, emit && createTrace(side, emit)].filter((observer) => observer !== undefined);
  return {
    observer: observers.length === 0 ? undefined : combineObservers(...observers),
    end: (error) => {
      if (error instanceof TlsError) emit?.(traceError(error));
    },
  };
}

/** True where an output shows colours (no-color.org). */
export function wantsColor(stream: NodeJS.WriteStream): boolean {
  return stream.isTTY === true && (process.env.NO_COLOR ?? "") === "" && process.env.TERM !== "dumb";
}

/** Columns for a trace: what the terminal has, within reason. */
export function traceWidth(stream: NodeJS.WriteStream): number {
  return Math.min(120, stream.columns ?? 120);
}

function textOutput(args: Arguments, connection: number | undefined): (item: TraceItem) => void {
  const { stderr } = process;
  const prefix = connection === undefined ? "" : `[${connection}] `;
  const width = traceWidth(stderr) - prefix.length;
  const render = createRenderer({ color: wantsColor(stderr), width, full: args.has("full") });
  return (item) => {
    const text = render(item);
    stderr.write(prefix === "" ? text : text.replace(/^(?=.)/gm, prefix));
  };
}

function jsonLine(item: TraceItem, connection: number | undefined): string {
  const text = traceJson(item);
  return connection === undefined ? text : `{"connection":${connection},${text.slice(1)}`;
}

/** One line: what happened, its code, the alert, the state. */
export function errorLine(error: unknown): string {
  if (!(error instanceof TlsError)) return oneLine(error instanceof Error ? error.message : String(error));
  const { message, code, alert, direction, stage } = error;
  const facts = [
    code,
    alert === undefined ? "no alert" : `alert ${alert} ${direction}`,
    ...(stage === undefined ? [] : [`state ${stage}`]),
  ];
  return oneLine(`${message} (${facts.join(", ")})`);
}

/** The certificate paths that were tried and what would mend them; empty for other errors. */
export function rejectionLines(error: unknown): string[] {
  if (!(error instanceof TlsError) || error.rejection === undefined) return [];
  const { paths, remedy } = error.rejection;
  return [
    ...paths.map(({ path, certificate, code, reason }) =>
      oneLine(`tried ${path.join(" ← ")}: ${path.length > 1 ? `${certificate}: ` : ""}${reason} (${code})`),
    ),
    oneLine(`remedy: ${remedy}`),
  ];
}

/** Prints what ended a command. */
export function reportError(error: unknown, hint?: string): void {
  const { stderr } = process;
  stderr.write(`mutls: ${errorLine(error)}\n`);
  for (const line of rejectionLines(error)) stderr.write(`  ${line}\n`);
  const advice = hint ?? (error instanceof CliError ? error.hint : alertNote(error));
  if (advice !== undefined) stderr.write(`  ${advice}\n`);
}

/** What an alert from the peer means. */
function alertNote(error: unknown): string | undefined {
  if (!(error instanceof TlsError) || error.alert === undefined || error.direction !== "received") return undefined;
  const { note, section } = describeAlert(error.alert);
  return `${error.alert}: ${note} (${section})`;
}

/** What was negotiated and who the peer is, a line each. */
export function sessionLines(session: SessionFacts): string[] {
  const { protocol, cipherSuite, group, alpn, retried } = session;
  const exchange = group ?? "no key exchange (psk_ke), so no forward secrecy";
  return [
    `${protocol}, ${cipherSuite}, ${exchange}${retried ? " after a HelloRetryRequest" : ""}${alpn === undefined ? "" : `, ALPN ${alpn}`}`,
    ...(session.resumed ? [`resumed: goes on from a full handshake at ${utcOf(session.authenticatedAt)}`] : []),
    ...peerLines(session),
  ].map(oneLine);
}

function peerLines({ peer, verified, peerSignatureScheme, externalIdentity }: SessionFacts): string[] {
  if (externalIdentity !== undefined) return [`peer: holds the pre-shared key ${keyName(externalIdentity)}`];
  if (peer === undefined) return ["peer: no certificate"];
  return [
    `peer: ${nameOf(peer)}, issued by ${peer.issuer}, signed with ${peerSignatureScheme}`,
    `peer certificate: ${verified ? `verified, ${pathOf(peer)}` : "NOT VERIFIED: anybody could be there"}`,
    `peer certificate: SHA-256 ${peer.fingerprint256}, valid until ${utcOf(peer.notAfter)}`,
  ];
}

/** A pre-shared key's name: text where it is text, as names given on a command line are. */
export function keyName(identity: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(identity);
  } catch {
    return toHex(identity);
  }
}

function utcOf(time: number): string {
  return new Date(time).toISOString();
}

/** The subject, or what stands in its place. */
export function nameOf({ subject, names, spiffeId }: PeerIdentity): string {
  return subject || spiffeId || names.dns[0] || names.email[0] || names.uri[0] || names.ip[0] || "(no name)";
}

function pathOf({ issuerChain }: PeerIdentity): string {
  return issuerChain.length === 0 ? "it is itself a trust anchor" : `trusted through ${issuerChain.join(" ← ")}`;
}

/** Names come from the peer: nothing in them may begin a line or move a cursor. */
export function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ");
}
