/** From what an engine's observer sees to what people and tools want to read: records, messages, alerts, secrets, states. */
import { toHex } from "../bytes/hex.ts";
import type { Direction, Observer } from "../engine/observer.ts";
import type { Side, TlsError } from "../errors.ts";
import type { HandshakeName, StateName } from "../flow.ts";
import type { Epoch, SecretLabel } from "../handshake/io.ts";
import type { CertificateSummary } from "./certificate.ts";
import { type Description, describeSecret, describeState, secretInForce } from "./describe.ts";
import type { TraceField } from "./fields.ts";
import { TraceStream } from "./trace-stream.ts";

/** A number with its registered name. */
export interface Named {
  readonly code: number;
  readonly name: string | undefined;
}

/** A stretch of a record's content. The parts of a record tile its content. */
export interface TracePart {
  readonly what: "handshake" | "alert" | "change_cipher_spec" | "application_data" | "unknown";
  /** Byte range in the record as on the wire. */
  readonly start: number;
  readonly end: number;
  /** Of handshake parts: which message of its direction, from 1, and which of its bytes. */
  readonly message?: number;
  readonly messageStart?: number;
  readonly messageEnd?: number;
  /** The message's length with its header, where it is known already. */
  readonly messageLength?: number | undefined;
}

/** One record. */
export interface TraceRecord extends Description {
  readonly kind: "record";
  readonly direction: Direction;
  readonly from: Side;
  /** From 1, in its direction. */
  readonly number: number;
  /** Byte range in its direction's stream. */
  readonly start: number;
  readonly end: number;
  /** Content type as on the wire. */
  readonly outerType: Named;
  /** Content type after decryption. */
  readonly type: Named;
  readonly epoch: Epoch;
  /** The sequence number under its key; `undefined` where nothing is encrypted, or nothing was decrypted. */
  readonly sequence: number | undefined;
  /** KeyUpdates in this direction before it. */
  readonly generation: number;
  /** Bytes of padding. */
  readonly padding: number;
  /** Name of the traffic secret that protects it (RFC 8446 7.1); of all that may where nobody could open it. */
  readonly secret: string | undefined;
  readonly wire: Uint8Array;
  /** Decrypted; empty for what nobody has opened, whose `note` says why. */
  readonly content: Uint8Array;
  /** The record layer's own; they tile the record. */
  readonly fields: readonly TraceField[];
  readonly parts: readonly TracePart[];
  /** The alert it carries, which follows as an item of its own. */
  readonly alert: string | undefined;
}

/** Where bytes of a message stand: in which record of its direction, and where in that. */
export interface TraceSpan {
  readonly record: number;
  readonly start: number;
  readonly end: number;
}

/** One handshake message; follows the record in which it ends. */
export interface TraceMessage extends Description {
  readonly kind: "message";
  readonly direction: Direction;
  readonly from: Side;
  /** From 1, in its direction. */
  readonly number: number;
  readonly epoch: Epoch;
  readonly type: HandshakeName | undefined;
  /** Header and body. */
  readonly bytes: Uint8Array;
  /** They tile the message. */
  readonly fields: readonly TraceField[];
  /** Why it does not decode, if it does not. */
  readonly problem: string | undefined;
  readonly spans: readonly TraceSpan[];
}

/** One alert; follows its record. */
export interface TraceAlert extends Description {
  readonly kind: "alert";
  readonly direction: Direction;
  readonly from: Side;
  readonly record: number;
  readonly level: Named;
  readonly description: Named;
  readonly fields: readonly TraceField[];
}

/** A secret, as soon as it is known. */
export interface TraceSecret extends Description {
  readonly kind: "secret";
  /** As RFC 9850 spells it. */
  readonly label: SecretLabel;
  /** As RFC 8446 7.1 spells it. */
  readonly name: string;
  readonly secret: Uint8Array;
}

/** A state that was entered, RFC 8446 Appendix A. */
export interface TraceState extends Description {
  readonly kind: "state";
  readonly side: Side;
  readonly state: StateName;
}

/** What ended the connection, see {@link traceError}. */
export interface TraceError {
  readonly kind: "error";
  readonly code: string;
  readonly message: string;
  readonly alert: string | undefined;
  readonly direction: Direction | undefined;
  readonly stage: string | undefined;
}

/** What whoever looks on from outside has to say: bytes that are missing, a Finished that is right. */
export interface TraceNote extends Description {
  readonly kind: "note";
  /** What it says about the connection, or about the capture. */
  readonly level: "verified" | "remark" | "problem";
  /** Whose bytes it is about. */
  readonly from: Side | undefined;
}

/** A certificate on its own, taken apart. */
export interface TraceCertificate extends Description {
  readonly kind: "certificate";
  /** From 1, in its input. */
  readonly number: number;
  /** DER. */
  readonly bytes: Uint8Array;
  /** They tile the certificate. */
  readonly fields: readonly TraceField[];
  /** The reason as text where it is no certificate by RFC 5280's rules. */
  readonly summary: CertificateSummary | string;
}

export type TraceItem = TraceRecord | TraceMessage | TraceAlert | TraceSecret | TraceState | TraceError;

/** Items of a trace, and what only captures and other inputs have. */
export type InspectItem = TraceItem | TraceNote | TraceCertificate;

/** RFC 8446 4.2.10 */
const SKIPPED = {
  epoch: "early",
  generation: 0,
  secret: secretInForce("early", "client", 0),
  section: "RFC 8446 4.2.10",
  note: "early data that is not accepted: thrown away unopened",
} as const;

/**
 * An observer that takes an engine's records apart.
 *
 * @param side - The engine's.
 * @param onItem - Gets each item in order, in memory of its own.
 * @example
 * ```ts
 * const items: TraceItem[] = [];
 * const observer = createTrace("client", (item) => items.push(item));
 * const context = clientContext({ provider: nobleProvider, clock: Date.now, serverName: "localhost", observer });
 * ```
 */
export function createTrace(side: Side, onItem: (item: TraceItem) => void): Observer {
  const peer = side === "client" ? "server" : "client";
  const streams = { sent: new TraceStream("sent", side, onItem), received: new TraceStream("received", peer, onItem) };
  return (observation) => {
    switch (observation.kind) {
      case "record":
        streams[observation.direction].record(observation);
        return;
      case "skipped":
        streams.received.unopened({ wire: observation.wire, ...SKIPPED });
        return;
      case "secret": {
        const { label, secret } = observation;
        onItem(traceSecret(label, secret));
        return;
      }
      case "state":
        onItem({ kind: "state", side, state: observation.state, ...describeState(observation.state, side) });
        return;
      default:
      // Messages are taken from the records themselves, since only they say which bytes carry which.
    }
  };
}

export function traceSecret(label: SecretLabel, secret: Uint8Array): TraceSecret {
  return { kind: "secret", label, ...describeSecret(label), secret: secret.slice() };
}

/**
 * The error that ended a connection as the last item of its trace.
 *
 * @example
 * ```ts
 * const error = await connect(stream, { serverName: "other.example", trust: ca }).catch((reason: TlsError) => reason);
 * console.log(error instanceof TlsError && traceError(error).code); // ERR_TLS_CERT_ALTNAME_INVALID
 * ```
 */
export function traceError({ code, message, alert, direction, stage }: TlsError): TraceError {
  return { kind: "error", code, message, alert, direction, stage };
}

/**
 * An item as JSON: bytes as hexadecimal.
 *
 * @example
 * ```ts
 * const observer = createTrace("client", (item) => process.stdout.write(`${traceJson(item)}\n`));
 * console.log(typeof observer); // function
 * ```
 */
export function traceJson(item: InspectItem): string {
  return JSON.stringify(item, (_, value: unknown) => (value instanceof Uint8Array ? toHex(value) : value));
}
