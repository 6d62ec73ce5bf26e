/**
 * A dozen combinators in which every structure of RFC 8446 is declared once. A node reads and writes its value; its `shape`
 * says the same as data, for the cold interpreters: annotated decoding (annotate.ts) and the generators of the tests.
 */
import { Reader } from "../bytes/reader.ts";
import { Writer } from "../bytes/writer.ts";
import { fault } from "../errors.ts";
import type { Registry } from "./registry.ts";

/** What a node is, as data. Lengths are in bytes, `width` is that of the length prefix. */
export type Shape =
  | { readonly kind: "uint"; readonly width: number; readonly registry?: Registry<string> | undefined }
  | { readonly kind: "fixed"; readonly length: number }
  | {
      readonly kind: "opaque";
      readonly width: number;
      readonly min: number;
      readonly max: number;
      readonly text: boolean;
    }
  | { readonly kind: "rest" }
  | { readonly kind: "empty" }
  | {
      readonly kind: "list";
      readonly width: number;
      readonly min: number;
      readonly max: number;
      readonly item: Schema<unknown>;
      readonly itemName: string;
    }
  | { readonly kind: "struct"; readonly name: string; readonly fields: readonly (readonly [string, Schema<unknown>])[] }
  | { readonly kind: "optional"; readonly body: Schema<unknown> }
  | {
      readonly kind: "tagged";
      readonly width: number;
      readonly min: number;
      readonly max: number;
      /** The schema of the item whose tag is `code`; the raw bytes where there is none. */
      readonly form: (code: number) => Schema<unknown> | undefined;
      readonly codes: readonly number[];
      readonly registry: Registry<string>;
    };

/** A structure: how it is read, written, and (as `shape`) described. */
export interface Schema<T> {
  readonly shape: Shape;
  /** Views into the reader's bytes, never copies. Throws `ERR_TLS_DECODE_ERROR` on any violation of the syntax. */
  read(reader: Reader): T;
  /** Throws RangeError when the value cannot be expressed: a fault of this side. */
  write(writer: Writer, value: T): void;
}

/** The value type of a schema. */
export type ValueOf<S> = S extends Schema<infer T> ? T : never;

/** Decodes all of `bytes`; anything left over is a decode_error. */
export function decode<T>(schema: Schema<T>, bytes: Uint8Array, what = "the structure"): T {
  const reader = new Reader(bytes);
  const value = schema.read(reader);
  reader.finish(what);
  return value;
}

/** The encoding of `value`. */
export function encode<T>(schema: Schema<T>, value: T): Uint8Array {
  const writer = new Writer();
  schema.write(writer, value);
  return writer.result();
}

/** An unsigned integer of `width` bytes, with the names of its values if they have any. */
export function uint(width: number, registry?: Registry<string>): Schema<number> {
  return {
    shape: { kind: "uint", width, registry },
    read: (reader) => reader.uint(width),
    write: (writer, value) => writer.uint(width, value),
  };
}

/** `opaque name[length]` */
export function fixed(length: number): Schema<Uint8Array> {
  return {
    shape: { kind: "fixed", length },
    read: (reader) => reader.take(length),
    write: (writer, value) => {
      if (value.length !== length) throw new RangeError(`${value.length} bytes where ${length} belong`);
      writer.bytes(value);
    },
  };
}

/** `opaque name<min..max>`; the width of the prefix follows from `max`. `text` only affects how it is shown. */
export function opaque(min: number, max: number, text = false): Schema<Uint8Array> {
  const width = prefixWidth(max);
  return {
    shape: { kind: "opaque", width, min, max, text },
    read: (reader) => reader.take(boundedLength(reader, width, min, max)),
    write: (writer, value) => {
      assertBounds(value.length, min, max);
      writer.uint(width, value.length);
      writer.bytes(value);
    },
  };
}

/** All that is left of the enclosing structure. */
export const rest: Schema<Uint8Array> = {
  shape: { kind: "rest" },
  read: (reader) => reader.take(reader.remaining),
  write: (writer, value) => writer.bytes(value),
};

/** A structure without content; presence is its meaning. */
export const empty: Schema<true> = {
  shape: { kind: "empty" },
  read: () => true,
  write: () => {},
};

/** `Item name<min..max>`, bounds in bytes as in the RFC. */
export function list<T>(item: Schema<T>, itemName: string, min: number, max: number): Schema<readonly T[]> {
  const width = prefixWidth(max);
  return {
    shape: { kind: "list", width, min, max, item: item as Schema<unknown>, itemName },
    read: (reader) => {
      const inner = reader.nested(boundedLength(reader, width, min, max));
      const items: T[] = [];
      while (inner.remaining > 0) items.push(item.read(inner));
      return items;
    },
    write: (writer, items) => {
      const length = writer.block(width, () => {
        for (const value of items) item.write(writer, value);
      });
      assertBounds(length, min, max);
    },
  };
}

type Fields = Readonly<Record<string, Schema<never> | Schema<unknown>>>;
type StructValue<F> = { readonly [K in keyof F]: ValueOf<F[K]> };

/** `struct { … } name`, fields in the order of the object's keys. */
export function struct<F extends Record<string, unknown>>(
  name: string,
  fields: { readonly [K in keyof F]: Schema<F[K]> },
): Schema<{ readonly [K in keyof F]: F[K] }> {
  const entries = Object.entries(fields as Fields) as unknown as readonly (readonly [string, Schema<unknown>])[];
  type Value = StructValue<{ readonly [K in keyof F]: Schema<F[K]> }>;
  return {
    shape: { kind: "struct", name, fields: entries },
    read: (reader) => {
      const value: Record<string, unknown> = {};
      for (const [key, schema] of entries) value[key] = schema.read(reader);
      return value as Value;
    },
    write: (writer, value) => {
      for (const [key, schema] of entries) schema.write(writer, (value as Record<string, unknown>)[key]);
    },
  };
}

/** `body`, or nothing at all when the enclosing structure ends here: TLS 1.2's way of omitting extensions. */
export function optional<T>(body: Schema<T>): Schema<T | undefined> {
  return {
    shape: { kind: "optional", body: body as Schema<unknown> },
    read: (reader) => (reader.remaining === 0 ? undefined : body.read(reader)),
    write: (writer, value) => {
      if (value !== undefined) body.write(writer, value);
    },
  };
}

/** Reads a length prefix and holds it against its bounds (RFC 8446 3.4: out of range is a decode_error). */
export function boundedLength(reader: Reader, width: number, min: number, max: number): number {
  const length = reader.uint(width);
  if (length < min || length > max) {
    throw fault("ERR_TLS_DECODE_ERROR", `length ${length} is outside ${min}..${max}`);
  }
  return length;
}

/** Guards an encoder against values the RFC's bounds exclude. */
export function assertBounds(length: number, min: number, max: number): void {
  if (length < min || length > max) throw new RangeError(`length ${length} is outside ${min}..${max}`);
}

function prefixWidth(max: number): number {
  return max < 0x100 ? 1 : max < 0x10000 ? 2 : 3;
}
