import { describe, expect, it } from "vitest";
import {
  contextConstructed,
  contextPrimitive,
  DerReader,
  derContent,
  derEncode,
  derNumber,
  derOid,
  Tag,
} from "../../src/bytes/der.ts";
import { fromHex, toHex } from "../../src/bytes/hex.ts";
import { TlsError } from "../../src/errors.ts";
import { codeOf } from "../support/errors.ts";

/** The detail of the `ERR_TLS_PEM` that `read` throws. */
function refusal(read: () => unknown): string | undefined {
  try {
    read();
  } catch (error) {
    if (error instanceof TlsError && error.code === "ERR_TLS_PEM") return error.detail;
    throw error;
  }
  return undefined;
}

const reader = (hex: string) => new DerReader(fromHex(hex));
const text = (value: string) => toHex(new TextEncoder().encode(value));
const time = (tag: "17" | "18", value: string) => tag + value.length.toString(16).padStart(2, "0") + text(value);

describe("elements", () => {
  it.each([
    ["nothing", ""],
    ["a tag alone", "30"],
    ["contents cut short", "3003020105".slice(0, 8)],
    ["an indefinite length", "30800201050000"],
    ["a length in long form below 128", "308103020105"],
    ["a length with a leading zero", `30820080${"00".repeat(128)}`],
    ["a length of five bytes", "30850000000001ff"],
    ["the reserved length ff", "30ff"],
    ["a length cut short", "3082ff"],
    ["a length far beyond the end", "3084ffffffff00"],
    ["a tag of several bytes", "1f8101020105"],
    ["the tag zero", "0000"],
  ])("refuses %s", (_, hex) => {
    expect(refusal(() => reader(hex).element())).toBeTypeOf("string");
    expect(refusal(() => reader(hex).raw())).toBeTypeOf("string");
  });

  it("an inner length may not reach beyond the outer element", () => {
    expect(refusal(() => reader("3003020205aa").sequence().integer())).toContain("beyond");
  });

  it("reads what derEncode writes, at every width of length", () => {
    for (const length of [0, 1, 127, 128, 255, 256, 65535, 65536, 70000]) {
      const content = new Uint8Array(length).fill(7);
      const encoded = derEncode(Tag.octetString, content);
      const outer = new DerReader(encoded);
      expect(outer.octetString()).toEqual(content);
      outer.finish("the element");
    }
    expect(toHex(derEncode(Tag.sequence, Uint8Array.of(5, 0), Uint8Array.of(5, 0)))).toBe("300405000500");
  });

  it("walks siblings, views and optional elements", () => {
    const sequence = reader("300b02010a8101ffa1030101ff").sequence();
    expect(sequence.peek()).toBe(Tag.integer);
    expect(toHex(sequence.raw())).toBe("02010a");
    expect(sequence.optional(contextPrimitive(0))).toBeUndefined();
    expect(sequence.optional(contextPrimitive(1))?.remaining).toBe(1);
    const element = sequence.element();
    expect([element.tag, toHex(element.raw), element.content.boolean()]).toEqual([
      contextConstructed(1),
      "a1030101ff",
      true,
    ]);
    expect(sequence.peek()).toBeUndefined();
    expect(refusal(() => sequence.read(Tag.null))).toContain("the end");
    sequence.finish("the sequence");
  });

  it("refuses another tag and bytes left over", () => {
    expect(refusal(() => reader("020105").sequence())).toBe("expected tag 0x30, found 0x02");
    expect(refusal(() => derContent(fromHex("300000"), Tag.sequence, "it"))).toBe("1 bytes left over after it");
    expect(refusal(() => reader("050101").null())).toBeTypeOf("string");
  });
});

describe("INTEGER", () => {
  it.each([
    ["empty", "0200"],
    ["a zero byte too many", "0202007f"],
    ["an ff byte too many", "0202ff80"],
  ])("refuses one that is %s", (_, hex) => {
    expect(refusal(() => reader(hex).integer())).toBeTypeOf("string");
  });

  it("gives the magnitude of what is not negative", () => {
    expect(toHex(reader("02020080").unsigned())).toBe("80");
    expect(toHex(reader("020100").unsigned())).toBe("00");
    expect(toHex(reader("02020080").integer())).toBe("0080");
    expect(toHex(reader("0201ff").integer())).toBe("ff");
    expect(refusal(() => reader("0201ff").unsigned())).toContain("negative");
  });

  it("gives small numbers up to 2^31 - 1", () => {
    expect(reader("02047fffffff").smallInteger()).toBe(0x7fffffff);
    expect(refusal(() => reader("02050080000000").smallInteger())).toContain("too large");
    expect(refusal(() => reader(`0211${"7f".repeat(17)}`).smallInteger())).toContain("too large");
  });
});

describe("INTEGER of a number", () => {
  it.each([
    [0, "020100"],
    [127, "02017f"],
    [128, "02020080"],
    [600_000, "02030927c0"],
    [2 ** 32, "02050100000000"],
  ])("writes %d", (value, hex) => {
    expect(toHex(derNumber(value))).toBe(hex);
  });
});

describe("BOOLEAN", () => {
  it("is 00 or ff", () => {
    expect(reader("0101ff").boolean()).toBe(true);
    expect(reader("010100").boolean()).toBe(false);
    for (const hex of ["0100", "010101", "0102ffff"]) expect(refusal(() => reader(hex).boolean())).toContain("BOOLEAN");
  });
});

describe("BIT STRING", () => {
  it("checks its unused bits", () => {
    expect(reader("030204b0").bitString()).toEqual({ bytes: fromHex("b0"), unusedBits: 4 });
    expect(reader("030100").bitString()).toEqual({ bytes: new Uint8Array(0), unusedBits: 0 });
    expect(toHex(reader("030300ffff").bitStringBytes())).toBe("ffff");
    for (const hex of ["0300", "030101", "03020800", "030204b8", "0302ff00"]) {
      expect(
        refusal(() => reader(hex).bitString()),
        hex,
      ).toBeTypeOf("string");
    }
    expect(refusal(() => reader("030204b0").bitStringBytes())).toContain("whole bytes");
  });
});

describe("OBJECT IDENTIFIER", () => {
  it.each([
    ["06082a8648ce3d030107", "1.2.840.10045.3.1.7"],
    ["060100", "0.0"],
    ["060127", "0.39"],
    ["06014f", "1.39"],
    ["060150", "2.0"],
    ["06028837", "2.999"],
    ["06017f", "2.47"],
    ["06058fffffff7f", "2.4294967215"],
  ])("reads %s", (hex, dotted) => {
    expect(reader(hex).oid()).toBe(dotted);
    expect(toHex(derOid(dotted))).toBe(hex);
  });

  it("reads arcs beyond 2^53: a UUID (X.667)", () => {
    const uuid = 0xf81d4fae_7dec_11d0_a765_00a0c91e6bf6n;
    const septets = uuid.toString(2).padStart(133, "0").match(/.{7}/g) ?? [];
    const arc = septets.map((bits, i) => Number.parseInt(bits, 2) | (i < 18 ? 0x80 : 0));
    const hex = toHex(derEncode(Tag.oid, Uint8Array.of(0x69, ...arc)));
    expect(reader(hex).oid()).toBe("2.25.329800735698586629295641978511506172918");
    expect(toHex(derOid("2.25.329800735698586629295641978511506172918"))).toBe(hex);
  });

  it("is not written without two arcs", () => {
    expect(codeOf(() => derOid("1"))).toBe("ERR_TLS_OPTION");
  });

  it.each([
    ["nothing", "0600"],
    ["an arc that does not end", "06022a86"],
    ["an arc that is not minimal", "06032a8001"],
    ["a first arc that is not minimal", "06028001"],
    ["a long arc, then one that is not minimal", "060d2a8fffffffffffffffff7f8001"],
    ["more than 64 bytes", `0641${"2a".repeat(65)}`],
  ])("refuses %s", (_, hex) => {
    expect(refusal(() => reader(hex).oid())).toContain("OBJECT IDENTIFIER");
  });
});

describe("times of RFC 5280 4.1.2.5", () => {
  it.each([
    [time("17", "500101000000Z"), "1950-01-01T00:00:00.000Z"],
    [time("17", "491231235959Z"), "2049-12-31T23:59:59.000Z"],
    [time("17", "240229120000Z"), "2024-02-29T12:00:00.000Z"],
    [time("18", "20500101000000Z"), "2050-01-01T00:00:00.000Z"],
    [time("18", "99991231235959Z"), "9999-12-31T23:59:59.000Z"],
    [time("18", "00010203040506Z"), "0001-02-03T04:05:06.000Z"],
  ])("reads %s", (hex, iso) => {
    expect(new Date(reader(hex).time()).toISOString()).toBe(iso);
  });

  it.each([
    ["no seconds", time("17", "2401010000Z")],
    ["no Z", time("17", "2401010000000")],
    ["an offset", time("17", "240101000000+0100")],
    ["a fraction", time("18", "20240101000000.5Z")],
    ["two digits of year as GeneralizedTime", time("18", "240101000000Z")],
    ["four as UTCTime", time("17", "20240101000000Z")],
    ["a sign", time("17", "-40101000000Z")],
    ["a space", time("17", " 40101000000Z")],
    ["the month 13", time("17", "241301000000Z")],
    ["the month 0", time("17", "240001000000Z")],
    ["the day 0", time("17", "240100000000Z")],
    ["the 30th of February", time("17", "240230000000Z")],
    ["the 29th of February in 2023", time("17", "230229000000Z")],
    ["the hour 24", time("17", "240101240000Z")],
    ["the minute 60", time("17", "240101006000Z")],
    ["a leap second", time("17", "240630235960Z")],
    ["another type", "0c0d3234303130313030303030305a"],
    ["nothing", ""],
  ])("refuses %s", (_, hex) => {
    expect(refusal(() => reader(hex).time())).toBeTypeOf("string");
  });
});
