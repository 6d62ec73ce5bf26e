/** Damage to bytes, records and handshake messages, blind and with knowledge of their structure. */
import { concat, join } from "../../src/bytes/bytes.ts";
import { annotate, leaves } from "../../src/codec/annotate.ts";
import { BODIES, messageName } from "../../src/codec/messages.ts";
import { decode, encode, type Schema, type Shape } from "../../src/codec/schema.ts";
import { TlsError } from "../../src/errors.ts";
import type { Random } from "../support/random.ts";
import type { OutgoingRecord } from "../support/rogue.ts";
import { rawMessage } from "../support/world.ts";

/** Bytes changed, lost, repeated or added anywhere. */
export function mutateBytes(random: Random, bytes: Uint8Array): Uint8Array {
  if (bytes.length === 0) return random.bytes(random.integer(8));
  const at = random.integer(bytes.length);
  const to = at + random.integer(Math.min(64, bytes.length - at)) + 1;
  switch (random.integer(6)) {
    case 0:
      return bytes.map((byte, index) => (index === at ? byte ^ (1 << random.integer(8)) : byte));
    case 1: {
      const value = random.pick([0, 1, 0x7f, 0x80, 0xff]);
      return bytes.map((byte, index) => (index === at ? value : byte));
    }
    case 2:
      return bytes.subarray(0, at);
    case 3:
      return concat(bytes.subarray(0, at), bytes.subarray(to));
    case 4:
      return concat(bytes.subarray(0, to), bytes.subarray(at));
    default:
      return concat(bytes.subarray(0, at), random.bytes(random.integer(20)), bytes.subarray(at));
  }
}

/** Whole records changed, lost, repeated, exchanged or added, or bytes of any. */
export function mutateStream(random: Random, stream: Uint8Array): Uint8Array {
  const records = splitRecords(stream);
  const at = random.integer(records.length);
  const record = records[at] ?? new Uint8Array(0);
  switch (random.integer(7)) {
    case 0:
      records.splice(at, 1);
      break;
    case 1:
      records.splice(at, 0, record);
      break;
    case 2:
      records.splice(random.integer(records.length), 0, ...records.splice(at, 1));
      break;
    case 3:
      records.splice(at, 0, random.pick(STRAYS));
      break;
    case 4: {
      const header = random.integer(5);
      records[at] = record.map((byte, index) => (index === header ? byte + 1 + random.integer(255) : byte));
      break;
    }
    default:
      return mutateBytes(random, stream);
  }
  return join(records);
}

const STRAYS = [
  Uint8Array.of(20, 3, 3, 0, 1, 1),
  Uint8Array.of(20, 3, 3, 0, 1, 2),
  Uint8Array.of(21, 3, 3, 0, 2, 1, 0),
  Uint8Array.of(21, 3, 3, 0, 2, 1, 90),
  Uint8Array.of(21, 3, 3, 0, 2, 2, 40),
  Uint8Array.of(21, 3, 3, 0, 0),
  Uint8Array.of(22, 3, 3, 0, 0),
  Uint8Array.of(22, 3, 3, 0, 4, 0, 0, 0, 0),
  Uint8Array.of(23, 3, 3, 0, 0),
  concat(Uint8Array.of(23, 3, 3, 0, 40), new Uint8Array(40)),
  Uint8Array.of(24, 3, 3, 0, 1, 1),
];

function splitRecords(stream: Uint8Array): Uint8Array[] {
  const records: Uint8Array[] = [];
  for (let at = 0; at < stream.length; ) {
    const length = 5 + (((stream[at + 3] ?? 0) << 8) | (stream[at + 4] ?? 0));
    records.push(stream.subarray(at, at + length));
    at += length;
  }
  return records;
}

/** Records before protection: type, padding, fragments and what stands between them. */
export function mutateRecord(random: Random, record: OutgoingRecord): readonly OutgoingRecord[] {
  const { content } = record;
  const at = random.integer(content.length + 1);
  const stray: OutgoingRecord = random.pick([
    { type: 21, content: Uint8Array.of(1, 90) },
    { type: 23, content: random.bytes(3) },
    { type: 20, content: Uint8Array.of(1), plain: true },
    { type: 22, content: new Uint8Array(0) },
    { type: 0, content: new Uint8Array(3) },
  ]);
  switch (random.integer(6)) {
    case 0:
      return [{ ...record, padding: random.integer(300) }];
    case 1:
      return [{ ...record, type: random.integer(256) }];
    case 2:
      return [
        { ...record, content: content.subarray(0, at) },
        { ...record, content: content.subarray(at) },
      ];
    case 3:
      return [{ ...record, content: content.subarray(0, at) }, stray, { ...record, content: content.subarray(at) }];
    case 4:
      return random.chance(0.5) ? [stray, record] : [record, stray];
    default:
      return [{ ...record, content: mutateBytes(random, content) }];
  }
}

/** A handshake message changed in its header, its fields or its lists; or repeated, lost, or among others. */
export function mutateMessage(random: Random, message: Uint8Array): readonly Uint8Array[] {
  const type = message[0] as number;
  const body = message.subarray(4);
  switch (random.integer(12)) {
    case 0:
      return [message, message];
    case 1:
      return [];
    case 2:
      return [rawMessage(random.integer(256), random.bytes(random.integer(40))), message];
    case 3:
      return [rawMessage(random.pick([1, 2, 4, 5, 8, 11, 13, 15, 20, 24]), body)];
    case 4:
      return [concat(mutateBytes(random, message.subarray(0, 4)).subarray(0, 4), body)];
    case 5:
    case 6:
      return [rawMessage(type, mutateBytes(random, body))];
    case 7:
    case 8:
    case 9:
      return [rawMessage(type, mutateField(random, message))];
    default:
      return [rawMessage(type, mutateValue(random, message))];
  }
}

function schemaOf(message: Uint8Array): Schema<unknown> | undefined {
  const name = messageName(message[0] as number, message.subarray(4));
  return name && (BODIES[name] as Schema<unknown>);
}

/** One field's bytes replaced, lengths among them, and no other touched. */
function mutateField(random: Random, message: Uint8Array): Uint8Array {
  const body = message.slice(4);
  const schema = schemaOf(message);
  if (schema === undefined) return mutateBytes(random, body);
  const fields = leaves(annotate(schema, body, "body")).filter(({ start, end }) => end > start);
  if (fields.length === 0) return mutateBytes(random, body);
  const lengths = fields.filter(({ name }) => name === "length");
  const field = lengths.length > 0 && random.chance(0.5) ? random.pick(lengths) : random.pick(fields);
  const { start, end, name, value } = field;
  if (name === "length" && typeof value === "number") {
    const other = random.pick([0, 1, value - 1, value + 1, 2 * value, random.integer(0x10000), 0xffffff]);
    for (let i = end - 1, rest = Math.max(0, other); i >= start; i--, rest >>>= 8) body[i] = rest & 0xff;
  } else {
    body.set(
      random.chance(0.3) ? new Uint8Array(end - start).fill(random.pick([0, 0xff])) : random.bytes(end - start),
      start,
    );
  }
  return body;
}

/** A list's items lost, repeated, exchanged, with every length right. */
function mutateValue(random: Random, message: Uint8Array): Uint8Array {
  const body = message.subarray(4);
  const schema = schemaOf(message);
  if (schema === undefined) return mutateBytes(random, body);
  const lists: { items: unknown[] }[] = [];
  const value = copied(schema.shape, decode(schema, body), lists);
  if (lists.length === 0) return mutateBytes(random, body);
  const { items } = random.pick(lists);
  const at = random.integer(items.length);
  switch (random.integer(4)) {
    case 0:
      items.splice(at, 1);
      break;
    case 1:
      items.splice(at, 0, ...items.slice(at, at + 1));
      break;
    case 2:
      items.splice(random.integer(items.length), 0, ...items.splice(at, 1));
      break;
    default:
      items.length = 0;
  }
  try {
    return encode(schema, value);
  } catch (error) {
    // The bounds forbid it, and what a peer could still send is the other mutations' business.
    if (error instanceof RangeError || error instanceof TlsError) return mutateBytes(random, body);
    throw error;
  }
}

/** The value with lists that may be changed, which are gathered. */
function copied(shape: Shape, value: unknown, lists: { items: unknown[] }[]): unknown {
  switch (shape.kind) {
    case "optional":
      return value === undefined ? undefined : copied(shape.body.shape, value, lists);
    case "struct":
      return Object.fromEntries(
        shape.fields.map(([name, field]) => [
          name,
          copied(field.shape, (value as Record<string, unknown>)[name], lists),
        ]),
      );
    case "list": {
      const items = (value as unknown[]).map((item) => copied(shape.item.shape, item, lists));
      lists.push({ items });
      return items;
    }
    case "tagged": {
      const items = (value as { name?: string; code: number; value: unknown }[]).map((entry) => {
        const form = entry.name === undefined ? undefined : shape.form(entry.code);
        return form === undefined ? entry : { ...entry, value: copied(form.shape, entry.value, lists) };
      });
      lists.push({ items });
      return items;
    }
    default:
      return value;
  }
}
