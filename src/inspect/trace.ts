/** From what an engine's observer sees to what people and tools want to read: records, messages, alerts, secrets, states. */
import { concat } from "../bytes/bytes.ts";
import { toHex } from "../bytes/hex.ts";
import { HANDSHAKE_HEADER_LENGTH, messageName } from "../codec/messages.ts";
import { AlertDescription, AlertLevel, ContentType } from "../codec/registry.ts";
import type { Direction, Observation, Observer } from "../engine/observer.ts";
import type { Side, TlsError } from "../errors.ts";
import type { HandshakeName, StateName } from "../flow.ts";
import type { Epoch, SecretLabel } from "../handshake/io.ts";
import {
  type Description,
  describeAlert,
  describeContentType,
  describeMessage,
  describeSecret,
  describeState,
  secretInForce,
} from "./describe.ts";
import { alertFields, messageFields, type TraceField } from "./fields.ts";
import { plainFields, RECORD_HEADER, sealedFields, unopenedFields } from "./record-fields.ts";

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
  /** Name of the traffic secret that protects it (RFC 8446 7.1). */
  readonly secret: string | undefined;
  readonly wire: Uint8Array;
  /** Decrypted; empty for early data that was skipped. */
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

export type TraceItem = TraceRecord | TraceMessage | TraceAlert | TraceSecret | TraceState | TraceError;

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
  const streams = { sent: new Stream("sent", side, onItem), received: new Stream("received", peer, onItem) };
  return (observation) => {
    switch (observation.kind) {
      case "record":
        streams[observation.direction].record(observation);
        return;
      case "skipped":
        streams.received.skipped(observation.wire);
        return;
      case "secret": {
        const { label, secret } = observation;
        onItem({ kind: "secret", label, ...describeSecret(label), secret: secret.slice() });
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
export function traceJson(item: TraceItem): string {
  return JSON.stringify(item, (_, value: unknown) => (value instanceof Uint8Array ? toHex(value) : value));
}

const { handshake, alert, application_data, change_cipher_spec } = ContentType.codes;

type RecordObservation = Extract<Observation, { kind: "record" }>;

/** A message of which some bytes have come. */
interface Pending {
  readonly number: number;
  readonly header: number[];
  readonly chunks: Uint8Array[];
  readonly spans: TraceSpan[];
  length: number;
}

/** One direction. */
class Stream {
  readonly #direction: Direction;
  readonly #from: Side;
  readonly #onItem: (item: TraceItem) => void;
  #records = 0;
  #messages = 0;
  #offset = 0;
  #pending: Pending | undefined;

  constructor(direction: Direction, from: Side, onItem: (item: TraceItem) => void) {
    this.#direction = direction;
    this.#from = from;
    this.#onItem = onItem;
  }

  record(observation: RecordObservation): void {
    const { epoch, sequence, generation, padding, outerType, type } = observation;
    const wire = observation.wire.slice();
    const content = observation.content.slice();
    const number = ++this.#records;
    const start = this.#offset;
    this.#offset += wire.length;
    const followers: TraceItem[] = [];
    const parts =
      type === handshake ? this.#handshake(content, number, epoch, followers) : [whole(partName(type), content)];
    const warning = type === alert ? this.#alert(content, number) : undefined;
    if (warning !== undefined) followers.push(warning);
    this.#onItem({
      kind: "record",
      direction: this.#direction,
      from: this.#from,
      number,
      start,
      end: this.#offset,
      outerType: { code: outerType, name: ContentType.name(outerType) },
      type: { code: type, name: ContentType.name(type) },
      epoch,
      sequence,
      generation,
      padding,
      secret: sequence === undefined ? undefined : secretInForce(epoch, this.#from, generation),
      wire,
      content,
      fields: sequence === undefined ? plainFields(wire) : sealedFields(wire, content, type, padding),
      parts,
      alert: warning && (warning.description.name ?? String(warning.description.code)),
      ...describeContentType(outerType),
    });
    for (const item of followers) this.#onItem(item);
  }

  /** Early data that nobody reads: who was given the key to it does not want it any more, or nobody has it. */
  skipped(wireBytes: Uint8Array): void {
    const wire = wireBytes.slice();
    const start = this.#offset;
    this.#offset += wire.length;
    const type = { code: application_data, name: ContentType.name(application_data) };
    this.#onItem({
      kind: "record",
      direction: this.#direction,
      from: this.#from,
      number: ++this.#records,
      start,
      end: this.#offset,
      outerType: type,
      type,
      epoch: "early",
      sequence: undefined,
      generation: 0,
      padding: 0,
      secret: secretInForce("early", this.#from, 0),
      wire,
      content: new Uint8Array(0),
      fields: unopenedFields(wire),
      parts: [],
      alert: undefined,
      section: "RFC 8446 4.2.10",
      note: "early data that is not accepted: thrown away unopened",
    });
  }

  #handshake(content: Uint8Array, record: number, epoch: Epoch, followers: TraceItem[]): TracePart[] {
    const parts: TracePart[] = [];
    for (let at = 0; at < content.length; ) {
      this.#pending ??= { number: ++this.#messages, header: [], chunks: [], spans: [], length: 0 };
      const pending = this.#pending;
      const before = pending.length;
      const missing = HANDSHAKE_HEADER_LENGTH - pending.header.length;
      pending.header.push(...content.subarray(at, at + missing));
      const total = messageLength(pending.header);
      const end = Math.min(content.length, at + (total ?? Number.POSITIVE_INFINITY) - before);
      pending.chunks.push(content.subarray(at, end));
      pending.length += end - at;
      const span = { record, start: RECORD_HEADER + at, end: RECORD_HEADER + end };
      pending.spans.push(span);
      parts.push({
        what: "handshake",
        start: span.start,
        end: span.end,
        message: pending.number,
        messageStart: before,
        messageEnd: pending.length,
        messageLength: total,
      });
      at = end;
      if (pending.length === total) {
        this.#pending = undefined;
        followers.push(this.#message(pending, epoch));
      }
    }
    return parts;
  }

  #message({ number, chunks, spans }: Pending, epoch: Epoch): TraceMessage {
    const bytes = concat(...chunks);
    const type = messageName(bytes[0] as number, bytes.subarray(HANDSHAKE_HEADER_LENGTH));
    return {
      kind: "message",
      direction: this.#direction,
      from: this.#from,
      number,
      epoch,
      type,
      bytes,
      ...messageFields(type, bytes),
      spans,
      ...(type === undefined ? { section: "RFC 8446 4", note: "not a message of TLS 1.3" } : describeMessage(type)),
    };
  }

  #alert(content: Uint8Array, record: number): TraceAlert | undefined {
    const fields = alertFields(content);
    if (fields === undefined) return undefined;
    const [level, description] = content as unknown as [number, number];
    const name = AlertDescription.name(description);
    return {
      kind: "alert",
      direction: this.#direction,
      from: this.#from,
      record,
      level: { code: level, name: AlertLevel.name(level) },
      description: { code: description, name },
      fields,
      ...(name === undefined ? { section: "RFC 8446 6", note: "not an alert of TLS 1.3" } : describeAlert(name)),
    };
  }
}

function messageLength(header: readonly number[]): number | undefined {
  if (header.length < HANDSHAKE_HEADER_LENGTH) return undefined;
  const [, high, middle, low] = header as [number, number, number, number];
  return HANDSHAKE_HEADER_LENGTH + high * 0x10000 + middle * 0x100 + low;
}

function whole(what: TracePart["what"], content: Uint8Array): TracePart {
  return { what, start: RECORD_HEADER, end: RECORD_HEADER + content.length };
}

function partName(type: number): TracePart["what"] {
  switch (type) {
    case alert:
      return "alert";
    case change_cipher_spec:
      return "change_cipher_spec";
    case application_data:
      return "application_data";
    default:
      return "unknown";
  }
}
