/** One direction of a trace: records and what they carry, numbered and in their places. */
import { join } from "../bytes/bytes.ts";
import { HANDSHAKE_HEADER_LENGTH, messageName } from "../codec/messages.ts";
import { AlertDescription, AlertLevel, ContentType } from "../codec/registry.ts";
import type { Direction, Observation } from "../engine/observer.ts";
import type { Side } from "../errors.ts";
import type { Epoch } from "../handshake/io.ts";
import { type Description, describeAlert, describeContentType, describeMessage, secretInForce } from "./describe.ts";
import { alertFields, messageFields } from "./fields.ts";
import { plainFields, RECORD_HEADER, sealedFields, unopenedFields } from "./record-fields.ts";
import type { TraceAlert, TraceItem, TraceMessage, TracePart, TraceSpan } from "./trace.ts";

const { handshake, alert, application_data, change_cipher_spec } = ContentType.codes;

type RecordObservation = Omit<Extract<Observation, { kind: "record" }>, "kind" | "direction">;

/** A record that nobody has opened, and the reason as its note. */
export interface UnopenedRecord extends Description {
  readonly wire: Uint8Array;
  readonly epoch: Epoch;
  readonly generation: number;
  /** What it is protected under, or may be. */
  readonly secret: string | undefined;
}

/** One direction. */
export class TraceStream {
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

  /** A protected record whose content is not known. */
  unopened({ wire: wireBytes, epoch, generation, secret, section, note }: UnopenedRecord): void {
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
      epoch,
      sequence: undefined,
      generation,
      padding: 0,
      secret,
      wire,
      content: new Uint8Array(0),
      fields: unopenedFields(wire),
      parts: [],
      alert: undefined,
      section,
      note,
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
    const bytes = join(chunks);
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

/** A message of which some bytes have come. */
interface Pending {
  readonly number: number;
  readonly header: number[];
  readonly chunks: Uint8Array[];
  readonly spans: TraceSpan[];
  length: number;
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
