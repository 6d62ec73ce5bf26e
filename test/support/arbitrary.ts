/** Generators of values for every schema, derived from its shape. */
import fc from "fast-check";
import { EXTENSIONS, type ExtensionName } from "../../src/codec/extensions.ts";
import { encode, type Schema, type Shape } from "../../src/codec/schema.ts";

/** Values that `schema` can encode. */
export function arbitraryOf<T>(schema: Schema<T>): fc.Arbitrary<T> {
  return fromShape(schema.shape).filter((value) => fits(schema, value as T)) as fc.Arbitrary<T>;
}

/** What is generated for long fields beyond their lower bound, in bytes or items. */
const ROOM = 24;

function fromShape(shape: Shape): fc.Arbitrary<unknown> {
  switch (shape.kind) {
    case "uint":
      return fc.integer({ min: 0, max: 2 ** (8 * shape.width) - 1 });
    case "fixed":
      return fc.uint8Array({ minLength: shape.length, maxLength: shape.length });
    case "opaque":
      return fc.uint8Array({ minLength: shape.min, maxLength: Math.min(shape.max, shape.min + ROOM) });
    case "rest":
      return fc.uint8Array({ maxLength: ROOM });
    case "empty":
      return fc.constant(true);
    case "optional":
      return fc.option(arbitraryOf(shape.body), { nil: undefined });
    case "list": {
      const minLength = Math.ceil(shape.min / leastSize(shape.item.shape));
      return fc.array(arbitraryOf(shape.item), { minLength, maxLength: minLength + 4 });
    }
    case "struct":
      return fc.record(Object.fromEntries(shape.fields.map(([name, field]) => [name, arbitraryOf(field)])));
    case "tagged":
      return taggedBlock(shape);
  }
}

function taggedBlock(shape: Extract<Shape, { kind: "tagged" }>): fc.Arbitrary<unknown> {
  const known = shape.codes.map((code) =>
    arbitraryOf(shape.form(code) as Schema<unknown>).map((value) => ({ name: shape.registry.name(code), code, value })),
  );
  const unknown = fc
    .record({
      name: fc.constant(undefined),
      code: fc.integer({ min: 0, max: 0xffff }),
      value: fromShape({ kind: "rest" }),
    })
    .filter(({ code }) => shape.registry.name(code) === undefined);
  const last = EXTENSIONS.pre_shared_key.code;
  return fc
    .uniqueArray(fc.oneof(unknown, ...known), { maxLength: 6, selector: ({ code }) => code })
    .map((block) => [...block].sort((a, b) => Number(a.code === last) - Number(b.code === last)));
}

/** The fewest bytes an encoding of this shape has. */
function leastSize(shape: Shape): number {
  switch (shape.kind) {
    case "uint":
      return shape.width;
    case "fixed":
      return shape.length;
    case "opaque":
    case "list":
    case "tagged":
      return shape.width + shape.min;
    case "struct":
      return shape.fields.reduce((sum, [, field]) => sum + leastSize(field.shape), 0);
    default:
      return 0;
  }
}

/** True when what follows the last field belongs to it, so that more or fewer bytes may still be legal. */
export function openEnded(shape: Shape): boolean {
  if (shape.kind === "struct") return openEnded(shape.fields.at(-1)?.[1].shape ?? { kind: "empty" });
  return shape.kind === "rest" || shape.kind === "optional";
}

/** Every schema inside `schema`, itself included, with a name for messages. */
export function nodesOf(name: string, schema: Schema<unknown>): [string, Schema<unknown>][] {
  const { shape } = schema;
  const inside = (() => {
    switch (shape.kind) {
      case "optional":
        return nodesOf(name, shape.body);
      case "list":
        return nodesOf(`${name}.${shape.itemName}`, shape.item);
      case "struct":
        return shape.fields.flatMap(([field, node]) => nodesOf(`${name}.${field}`, node));
      case "tagged":
        return shape.codes.flatMap((code) =>
          nodesOf(`${name}.${shape.registry.name(code) as ExtensionName}`, shape.form(code) as Schema<unknown>),
        );
      default:
        return [];
    }
  })();
  return [[name, schema], ...inside];
}

function fits<T>(schema: Schema<T>, value: T): boolean {
  try {
    encode(schema, value);
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}
