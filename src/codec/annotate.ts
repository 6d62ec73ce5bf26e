/** The third interpreter of the schemas: decoding that keeps name, place and children of every field. Not in an engine's way. */
import { latin1 } from "../bytes/bytes.ts";
import { Reader } from "../bytes/reader.ts";
import { boundedLength, rest, type Schema, type Shape } from "./schema.ts";

/** One field of a structure and where it stands. Leaves tile the structure exactly once. */
export interface Field {
  readonly name: string;
  /** First byte, counted from the start of the buffer that was annotated. */
  readonly start: number;
  /** The byte after the last one. */
  readonly end: number;
  /** What the field says; for a structure with children its RFC type name or item count. */
  readonly value: number | string | Uint8Array | undefined;
  /** The registry's name of a numeric value. */
  readonly label?: string | undefined;
  readonly children: readonly Field[];
}

/**
 * Decodes `bytes` from `offset` on into a tree of fields.
 *
 * @throws TlsError `ERR_TLS_DECODE_ERROR` where the plain decoder would.
 */
export function annotate(
  schema: Schema<unknown>,
  bytes: Uint8Array,
  name: string,
  offset = 0,
  end = bytes.length,
): Field {
  const reader = new Reader(bytes, offset, end);
  const field = visit(schema.shape, reader, name);
  reader.finish(name);
  return field;
}

/** The leaves of a tree, in order. */
export function leaves(field: Field): readonly Field[] {
  return field.children.length === 0 ? [field] : field.children.flatMap(leaves);
}

function visit(shape: Shape, reader: Reader, name: string): Field {
  const start = reader.position;
  const done = (value: Field["value"], children: readonly Field[] = [], label?: string): Field => ({
    name,
    start,
    end: reader.position,
    value,
    label,
    children,
  });
  switch (shape.kind) {
    case "uint": {
      const value = reader.uint(shape.width);
      return done(value, [], shape.registry?.name(value));
    }
    case "fixed":
      return done(reader.take(shape.length));
    case "rest":
      return done(reader.take(reader.remaining));
    case "empty":
      return done(undefined);
    case "optional":
      return reader.remaining === 0 ? done(undefined) : visit(shape.body.shape, reader, name);
    case "struct":
      return done(
        shape.name,
        shape.fields.map(([key, schema]) => visit(schema.shape, reader, key)),
      );
    case "opaque": {
      const length = boundedLength(reader, shape.width, shape.min, shape.max);
      const prefix: Field = { name: "length", start, end: reader.position, value: length, children: [] };
      const from = reader.position;
      const content = reader.take(length);
      const value = shape.text && /^[\x20-\x7e]*$/.test(latin1(content)) ? latin1(content) : content;
      if (length === 0) return done(value, [prefix]);
      return done(value, [prefix, { name: "data", start: from, end: reader.position, value, children: [] }]);
    }
    case "list": {
      const length = boundedLength(reader, shape.width, shape.min, shape.max);
      const children: Field[] = [{ name: "length", start, end: reader.position, value: length, children: [] }];
      const inner = reader.nested(length);
      while (inner.remaining > 0) children.push(visit(shape.item.shape, inner, shape.itemName));
      return done(`${children.length - 1} × ${shape.itemName}`, children);
    }
    case "tagged": {
      const length = boundedLength(reader, shape.width, shape.min, shape.max);
      const children: Field[] = [{ name: "length", start, end: reader.position, value: length, children: [] }];
      const inner = reader.nested(length);
      while (inner.remaining > 0) children.push(visitTagged(shape, inner));
      return done(`${children.length - 1} × extension`, children);
    }
  }
}

function visitTagged(shape: Extract<Shape, { kind: "tagged" }>, reader: Reader): Field {
  const start = reader.position;
  const code = reader.uint(2);
  const type: Field = {
    name: "extension_type",
    start,
    end: reader.position,
    value: code,
    label: shape.registry.name(code),
    children: [],
  };
  const lengthStart = reader.position;
  const length = reader.uint(2);
  const prefix: Field = { name: "length", start: lengthStart, end: reader.position, value: length, children: [] };
  const inner = reader.nested(length);
  const schema = shape.form(code) ?? rest;
  const name = shape.registry.name(code) ?? `extension ${code}`;
  const children = [type, prefix];
  const kind = schema.shape.kind;
  if (length > 0 || (kind !== "empty" && kind !== "rest")) children.push(visit(schema.shape, inner, "extension_data"));
  inner.finish(name);
  return { name, start, end: reader.position, value: undefined, label: undefined, children };
}
