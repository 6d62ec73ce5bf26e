/** The vocabulary in which faults are told: which message or record, and what becomes of it. */
import { concat, join } from "../../bytes/bytes.ts";
import { EXTENSIONS, type ExtensionName } from "../../codec/extensions.ts";
import { BODIES, encodeMessage, HANDSHAKE_HEADER_LENGTH, messageName } from "../../codec/messages.ts";
import { ContentType } from "../../codec/registry.ts";
import { decode, type Schema, type ValueOf } from "../../codec/schema.ts";
import type { Side } from "../../errors.ts";
import type { HandshakeName } from "../../flow.ts";
import type { ByteChange } from "./choices.ts";
import type { Passing, PlainRecord, Tampering } from "./middle.ts";

const { handshake, application_data } = ContentType.codes;
const HEADER = 5;

/** What becomes of a message: another, or several. */
export type Change = (message: Uint8Array) => Uint8Array | readonly Uint8Array[];

/** The messages of this name from this side, changed; the rest of their record stays. */
export function inMessage(from: Side, name: HandshakeName, change: Change): Tampering {
  return {
    plain(record) {
      if (record.from !== from || record.type !== handshake) return undefined;
      const messages = split(record.content);
      if (!messages.some((message) => nameOf(message) === name)) return undefined;
      const changed = messages.flatMap((message) => (nameOf(message) === name ? change(message) : message));
      return [{ ...record, content: join(changed) }];
    },
  };
}

/** The messages of these names from this side, left out. */
export function leavingOut(from: Side, ...names: readonly HandshakeName[]): Tampering {
  const isLeftOut = (message: Uint8Array) => names.includes(nameOf(message) as HandshakeName);
  return {
    plain(record) {
      if (record.from !== from || record.type !== handshake) return undefined;
      const messages = split(record.content);
      if (!messages.some(isLeftOut)) return undefined;
      return [{ ...record, content: join(messages.filter((message) => !isLeftOut(message))) }];
    },
  };
}

/** The first record for which `matches` holds, replaced. */
export function inRecord(
  matches: (record: Passing) => boolean,
  replace: (record: Passing) => readonly PlainRecord[],
): Tampering {
  let done = false;
  return {
    plain(record) {
      if (done || !matches(record)) return undefined;
      done = true;
      return replace(record);
    },
  };
}

/** The first record for which `matches` holds, as it travels. */
export function onWire(
  matches: (record: Passing) => boolean,
  replace: (bytes: Uint8Array) => readonly (Uint8Array | "end")[],
): Tampering {
  let done = false;
  return {
    wire(record, bytes) {
      if (done || !matches(record)) return undefined;
      done = true;
      return replace(bytes);
    },
  };
}

/** One byte, wherever it stands: what is not inside the protection is changed as it travels. */
export function inByte({ from, record: wanted, offset, value, where }: ByteChange): Tampering {
  const inside = (record: Passing) =>
    where === "inside" &&
    offset >= HEADER &&
    (record.epoch === "initial" || offset <= HEADER + record.content.length + (record.padding ?? 0));
  const here = (record: Passing) => record.from === from && record.number === wanted;
  return {
    plain(record) {
      if (!here(record) || !inside(record)) return undefined;
      const at = offset - HEADER;
      if (record.epoch === "initial") return [{ ...record, content: withByte(record.content, at, value) }];
      const inner = concat(record.content, Uint8Array.of(record.type), new Uint8Array(record.padding ?? 0));
      return [fromInner(withByte(inner, at, value))];
    },
    wire: (record, bytes) => (here(record) && !inside(record) ? [withByte(bytes, offset, value)] : undefined),
  };
}

/** TLSInnerPlaintext taken apart: its last byte that is not zero is the type (RFC 8446 5.4). */
function fromInner(inner: Uint8Array): PlainRecord {
  let at = inner.length - 1;
  while (at > 0 && inner[at] === 0) at--;
  return { type: inner[at] ?? 0, content: inner.subarray(0, at), padding: inner.length - at - 1 };
}

/** A copy with one byte set; the same where there is no such byte. */
function withByte(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = bytes.slice();
  if (at < copy.length) copy[at] = value;
  return copy;
}

/** A copy with one bit of one byte flipped; negative positions count from the end. */
export function flip(bytes: Uint8Array, at: number): Uint8Array {
  const place = at < 0 ? bytes.length + at : at;
  return withByte(bytes, place, (bytes[place] as number) ^ 1);
}

/** The handshake messages in a record; what is left of a last one stays in one piece. */
function split(content: Uint8Array): Uint8Array[] {
  const messages: Uint8Array[] = [];
  for (let at = 0; at < content.length; ) {
    const [, high = 0, middle = 0, low = 0] = content.subarray(at, at + HANDSHAKE_HEADER_LENGTH);
    const end = at + HANDSHAKE_HEADER_LENGTH + high * 0x10000 + middle * 0x100 + low;
    messages.push(content.subarray(at, end));
    at = end;
  }
  return messages;
}

function nameOf(message: Uint8Array): HandshakeName | undefined {
  return messageName(message[0] as number, message.subarray(HANDSHAKE_HEADER_LENGTH));
}

/** True for a handshake record with such a message in it. */
export function carries(record: Passing, name: HandshakeName): boolean {
  return record.type === handshake && split(record.content).some((message) => nameOf(message) === name);
}

/** A message of any type and body, with the length that it has. */
export function rawMessage(type: number, body: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(type, body.length >> 16, (body.length >> 8) & 0xff, body.length & 0xff), body);
}

/** A message whose body was changed as a value. */
export function edited<Name extends keyof typeof BODIES>(
  name: Name,
  change: (body: ValueOf<(typeof BODIES)[Name]>) => ValueOf<(typeof BODIES)[Name]>,
): Change {
  const schema = BODIES[name] as unknown as Schema<ValueOf<(typeof BODIES)[Name]>>;
  return (message) => encodeMessage(name, schema, change(decode(schema, message.subarray(HANDSHAKE_HEADER_LENGTH))));
}

/** An extension as bytes, legal or not. */
export function raw(extension: ExtensionName | number, ...data: readonly number[]) {
  return { name: undefined, code: codeOf(extension), value: Uint8Array.from(data) } as const;
}

type Coded = { readonly code: number };

export function without<E extends Coded>(block: readonly E[], gone: ExtensionName): E[] {
  return block.filter(({ code }) => code !== EXTENSIONS[gone].code);
}

/** The block with this extension's content replaced. */
export function withRaw<E extends Coded>(block: readonly E[], extension: ExtensionName, ...data: readonly number[]) {
  const replacement = raw(extension, ...data);
  return block.map((entry) => (entry.code === replacement.code ? replacement : entry));
}

function codeOf(extension: ExtensionName | number): number {
  return typeof extension === "number" ? extension : EXTENSIONS[extension].code;
}

/** Application data that nobody has asked for. */
export function applicationData(text: string, clear = false): PlainRecord {
  return { type: application_data, content: new TextEncoder().encode(text), clear };
}
