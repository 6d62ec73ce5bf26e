import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { latin1 } from "../../src/bytes/bytes.ts";
import { annotate, type Field, leaves } from "../../src/codec/annotate.ts";
import { Alert, BODIES, LegacyServerHello, Record as TlsRecord } from "../../src/codec/messages.ts";
import { decode, encode, fixed, type Schema, uint } from "../../src/codec/schema.ts";
import { ImportedIdentity } from "../../src/engine/psk.ts";
import { CookieState } from "../../src/handshake/cookie.ts";
import { SessionState } from "../../src/handshake/session.ts";
import { HkdfLabel } from "../../src/schedule/hkdf.ts";
import { arbitraryOf, nodesOf, openEnded } from "../support/arbitrary.ts";
import { codeOf } from "../support/errors.ts";

const SCHEMAS: readonly [string, Schema<unknown>][] = Object.entries({
  ...BODIES,
  alert: Alert,
  record: TlsRecord,
  legacy_server_hello: LegacyServerHello,
  hkdf_label: HkdfLabel,
  session_state: SessionState,
  cookie_state: CookieState,
  imported_identity: ImportedIdentity,
}) as [string, Schema<unknown>][];

const RUNS = { numRuns: 60 };

describe.each(SCHEMAS)("%s", (name, schema) => {
  const value = arbitraryOf(schema);

  it("decodes what it encodes", () => {
    fc.assert(
      fc.property(value, (given) => {
        const bytes = encode(schema, given);
        const decoded = decode(schema, bytes);
        expect(decoded).toEqual(given);
        expect(encode(schema, decoded)).toEqual(bytes);
      }),
      RUNS,
    );
  });

  it("annotates with leaves that tile the bytes and say what was decoded", () => {
    fc.assert(
      fc.property(value, fc.nat(9), (given, offset) => {
        const bytes = new Uint8Array(offset + encode(schema, given).length);
        bytes.set(encode(schema, given), offset);
        const field = annotate(schema, bytes, name, offset);
        let position = offset;
        for (const leaf of leaves(field)) {
          expect(leaf.start).toBe(position);
          expect(leaf.end).toBeGreaterThanOrEqual(leaf.start);
          position = leaf.end;
        }
        expect(position).toBe(bytes.length);
        expectSame(schema, field, given, bytes);
      }),
      RUNS,
    );
  });

  it("refuses every truncation and a byte too many", () => {
    fc.assert(
      fc.property(value, fc.integer({ min: 0, max: 255 }), (given, extra) => {
        const bytes = encode(schema, given);
        for (let length = 0; length < bytes.length; length++) {
          const cut = bytes.subarray(0, length);
          const code = codeOf(() => decode(schema, cut));
          // Legal only where the schema ends in what may be absent, and then it is another value's encoding.
          if (code === undefined && openEnded(schema.shape)) expect(encode(schema, decode(schema, cut))).toEqual(cut);
          else expect(code).toBe("ERR_TLS_DECODE_ERROR");
        }
        const longer = Uint8Array.of(...bytes, extra);
        const code = codeOf(() => decode(schema, longer));
        if (code === undefined && openEnded(schema.shape)) {
          expect(encode(schema, decode(schema, longer))).toEqual(longer);
        } else {
          expect(code).toBe("ERR_TLS_DECODE_ERROR");
        }
      }),
      { numRuns: 20 },
    );
  });

  it("throws nothing but a TlsError, and annotates whatever it decodes, whatever the bytes", () => {
    const damaged = fc.tuple(value, fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 3 }));
    fc.assert(
      fc.property(damaged, ([given, changes]) => {
        const bytes = encode(schema, given);
        if (bytes.length === 0) return;
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
        const code = codeOf(() => decode(schema, bytes));
        if (code === undefined) {
          const decoded = decode(schema, bytes);
          expect(encode(schema, decoded)).toEqual(bytes);
          expectSame(schema, annotate(schema, bytes, name), decoded, bytes);
        } else {
          expect(["ERR_TLS_DECODE_ERROR", "ERR_TLS_ILLEGAL_PARAMETER"]).toContain(code);
        }
      }),
      RUNS,
    );
  });
});

const BOUNDED = SCHEMAS.flatMap(([name, schema]) => nodesOf(name, schema)).flatMap(([name, schema]) => {
  const { shape } = schema;
  return shape.kind === "opaque" || shape.kind === "list" || shape.kind === "tagged" ? [{ name, schema, shape }] : [];
});

describe("a value that cannot be expressed", () => {
  it.each([
    ["a number too large", uint(1), 256],
    ["a negative number", uint(2), -1],
    ["a fraction", uint(2), 0.5],
    ["fewer bytes than are fixed", fixed(32), new Uint8Array(31)],
    ["more bytes than are fixed", fixed(32), new Uint8Array(33)],
  ] as [string, Schema<unknown>, unknown][])("%s: RangeError, a fault of this side", (_what, schema, value) => {
    expect(() => encode(schema, value)).toThrow(RangeError);
  });
});

describe("bounds (RFC 8446 3.4)", () => {
  it("are there to be tested", () => expect(BOUNDED.length).toBeGreaterThan(60));

  it.each(BOUNDED)("$name", ({ schema, shape }) => {
    const { width, min, max } = shape;
    for (const length of [min - 1, max + 1]) {
      if (length < 0 || length >= 2 ** (8 * width)) continue;
      const bytes = new Uint8Array(width + length);
      for (let i = width - 1, rest = length; i >= 0; i--, rest >>>= 8) bytes[i] = rest & 0xff;
      expect(codeOf(() => decode(schema, bytes))).toBe("ERR_TLS_DECODE_ERROR");
      expect(() => decode(schema, bytes)).toThrow(`length ${length} is outside ${min}..${max}`);
      if (shape.kind === "opaque") expect(() => encode(schema, new Uint8Array(length))).toThrow(RangeError);
      else if (length < min) expect(() => encode(schema, [])).toThrow(RangeError);
    }
  });
});

/** Walks a tree of fields and the value decoded from the same bytes side by side. */
function expectSame(schema: Schema<unknown>, field: Field, value: unknown, bytes: Uint8Array): void {
  const { shape } = schema;
  const content = bytes.subarray(field.start, field.end);
  switch (shape.kind) {
    case "uint":
      expect(field.value).toBe(value);
      expect(field.label).toBe(shape.registry?.name(value as number));
      return;
    case "fixed":
    case "rest":
      expect([field.value, content]).toEqual([value, value]);
      return;
    case "opaque": {
      const data = value as Uint8Array;
      expect(content.subarray(shape.width)).toEqual(data);
      expect(field.children[0]?.value).toBe(data.length);
      const shown = field.value;
      if (typeof shown === "string") expect([shape.text, shown]).toEqual([true, latin1(data)]);
      else expect(shown).toEqual(data);
      return;
    }
    case "empty":
      expect([content.length, value]).toEqual([0, true]);
      return;
    case "optional":
      if (value === undefined) expect(content.length).toBe(0);
      else expectSame(shape.body, field, value, bytes);
      return;
    case "struct":
      expect(field.children.map(({ name }) => name)).toEqual(shape.fields.map(([name]) => name));
      shape.fields.forEach(([name, node], index) => {
        expectSame(node, field.children[index] as Field, (value as Record<string, unknown>)[name], bytes);
      });
      return;
    case "list": {
      const [prefix, ...items] = field.children;
      expect(prefix?.value).toBe(content.length - shape.width);
      expect(items.length).toBe((value as unknown[]).length);
      items.forEach((item, index) => {
        expectSame(shape.item, item, (value as unknown[])[index], bytes);
      });
      return;
    }
    case "tagged": {
      const [prefix, ...items] = field.children;
      const block = value as { name: string | undefined; code: number; value: unknown }[];
      expect(prefix?.value).toBe(content.length - shape.width);
      expect(items.map(({ children }) => children[0]?.value)).toEqual(block.map(({ code }) => code));
      items.forEach((item, index) => {
        const entry = block[index] as (typeof block)[number];
        const data = item.children[2];
        if (entry.name !== undefined) expect(item.name).toBe(entry.name);
        if (data === undefined) expect(item.children[1]?.value).toBe(0);
        else if (entry.name === undefined) expect(bytes.subarray(data.start, data.end)).toEqual(entry.value);
        else expectSame(shape.form(entry.code) as Schema<unknown>, data, entry.value, bytes);
      });
    }
  }
}
