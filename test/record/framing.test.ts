import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { join } from "../../src/bytes/bytes.ts";
import { HandshakeReader, MAX_CIPHERTEXT, MAX_PLAINTEXT, RecordReader } from "../../src/record/framing.ts";
import { codeOf } from "../support/errors.ts";
import { rawMessage } from "../support/world.ts";

const record = (type: number, content: Uint8Array) =>
  join([Uint8Array.of(type, 3, 3, content.length >> 8, content.length & 0xff), content]);
const header = (type: number, length: number) => Uint8Array.of(type, 3, 3, length >> 8, length & 0xff);

/** Records and messages as data, out of pieces. */
function recordsOf(pieces: readonly Uint8Array[]): { type: number; fragment: Uint8Array }[] {
  const reader = new RecordReader();
  const records: { type: number; fragment: Uint8Array }[] = [];
  for (const piece of pieces) {
    reader.push(piece);
    for (let found = reader.next(true); found !== undefined; found = reader.next(true)) {
      records.push({ type: found.type, fragment: found.fragment.slice() });
    }
  }
  expect(reader.buffered).toBe(0);
  return records;
}

function messagesOf(pieces: readonly Uint8Array[]): Uint8Array[] {
  const reader = new HandshakeReader(0x20000);
  const messages: Uint8Array[] = [];
  for (const piece of pieces) {
    reader.push(piece);
    for (let found = reader.next(); found !== undefined; found = reader.next()) messages.push(found.bytes);
  }
  expect(reader.buffered).toBe(0);
  return messages;
}

/** The bytes in pieces, cut at these places. */
function cutAt(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const sorted = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [...sorted, bytes.length].map((place, index) => bytes.subarray(sorted[index - 1] ?? 0, place));
}

const content = fc.uint8Array({ maxLength: 600 });
const cuts = fc.array(fc.nat(), { maxLength: 40 });
const someRecords = fc.array(fc.tuple(fc.constantFrom(20, 21, 22, 23), content), { minLength: 1, maxLength: 6 });
const someMessages = fc.array(fc.tuple(fc.constantFrom(1, 2, 4, 8, 11, 13, 15, 20, 24), content), {
  minLength: 1,
  maxLength: 6,
});

describe("records", () => {
  it("come out whole, however the stream is cut", () => {
    fc.assert(
      fc.property(someRecords, cuts, (given, places) => {
        const stream = join(given.map(([type, data]) => record(type, data)));
        const expected = given.map(([type, fragment]) => ({ type, fragment }));
        expect(recordsOf(cutAt(stream, places))).toEqual(expected);
        expect(recordsOf(Array.from(stream, (byte) => Uint8Array.of(byte)))).toEqual(expected);
      }),
      { numRuns: 50 },
    );
  });

  it.each([
    ["plaintext", false, 22, MAX_PLAINTEXT],
    ["ciphertext", true, 23, MAX_CIPHERTEXT],
    ["an unprotected record among protected ones", true, 21, MAX_PLAINTEXT],
    ["application data before there are keys", false, 23, MAX_PLAINTEXT],
  ])("of %s have a longest length, held against the header alone", (_what, keyed, type, most) => {
    const reader = new RecordReader();
    reader.push(header(type, most));
    expect(reader.next(keyed)).toBeUndefined();
    reader.push(new Uint8Array(most));
    expect(reader.next(keyed)?.fragment.length).toBe(most);
    reader.push(header(type, most + 1));
    expect(codeOf(() => reader.next(keyed))).toBe("ERR_SSL_PACKET_LENGTH_TOO_LONG");
  });

  it("carry any legacy version: it is ignored (RFC 8446 5.1)", () => {
    const reader = new RecordReader();
    reader.push(Uint8Array.of(22, 0x99, 0x99, 0, 1, 7));
    expect(reader.next(false)?.fragment).toEqual(Uint8Array.of(7));
  });

  it.each([0, 19, 24, 128, 255])("of type %i do not exist", (type) => {
    const fresh = new RecordReader();
    fresh.push(Uint8Array.of(type));
    expect(codeOf(() => fresh.next(false))).toBe("ERR_SSL_WRONG_VERSION_NUMBER");
    const later = new RecordReader();
    later.push(Uint8Array.of(22, 3, 3, 0, 1, 7, type));
    later.next(false);
    expect(codeOf(() => later.next(false))).toBe("ERR_SSL_UNEXPECTED_MESSAGE");
  });

  it.each(["GET / HTTP/1.1\r\n", "POST /x HTTP/1.0\r\n", "PRI * HTTP/2.0\r\n", "CONNECT a:1 HTTP/1.1\r\n"])(
    "are not %j, whole or byte by byte",
    (text) => {
      for (const pieces of [[text], [...text]]) {
        const reader = new RecordReader();
        const codes = pieces.map((piece) => {
          reader.push(new TextEncoder().encode(piece));
          return codeOf(() => reader.next(false));
        });
        expect(codes.find((code) => code !== undefined)).toBe("ERR_SSL_HTTP_REQUEST");
      }
    },
  );

  it("are not what only begins like HTTP", () => {
    const reader = new RecordReader();
    reader.push(new TextEncoder().encode("GE"));
    expect(reader.next(false)).toBeUndefined();
    reader.push(new TextEncoder().encode("E"));
    expect(codeOf(() => reader.next(false))).toBe("ERR_SSL_WRONG_VERSION_NUMBER");
  });
});

describe("handshake messages", () => {
  it("come out whole, whatever fragments they came in", () => {
    fc.assert(
      fc.property(someMessages, cuts, (given, places) => {
        const messages = given.map(([type, body]) => rawMessage(type, body));
        expect(messagesOf(cutAt(join(messages), places))).toEqual(messages);
        expect(messagesOf(Array.from(join(messages), (byte) => Uint8Array.of(byte)))).toEqual(messages);
      }),
      { numRuns: 50 },
    );
  });

  it("have a longest length, held against the header alone", () => {
    const reader = new HandshakeReader(1000);
    reader.push(Uint8Array.of(11, 0, 3, 0xe8));
    expect(reader.next()).toBeUndefined();
    reader.push(new Uint8Array(1000));
    expect(reader.next()?.body.length).toBe(1000);
    reader.push(Uint8Array.of(11, 0, 3, 0xe9));
    expect(codeOf(() => reader.next())).toBe("ERR_SSL_EXCESSIVE_MESSAGE_SIZE");
  });

  it.each([0, 3, 6, 99, 254, 255])("of type %i do not exist, which their first byte tells", (type) => {
    const reader = new HandshakeReader(1000);
    reader.push(Uint8Array.of(type));
    expect(codeOf(() => reader.next())).toBe("ERR_SSL_UNEXPECTED_MESSAGE");
  });

  it("are copies: nothing that comes later changes them", () => {
    const reader = new HandshakeReader(1000);
    reader.push(rawMessage(20, Uint8Array.of(1, 2, 3)));
    const message = reader.next();
    for (let i = 0; i < 2000; i++) reader.push(Uint8Array.of(8));
    expect(message?.bytes).toEqual(Uint8Array.of(20, 0, 0, 3, 1, 2, 3));
  });
});

/** Bytes that `run` copies with `set` and `slice`: a measure of work that no busy machine changes. */
function copiedBy(run: () => void): number {
  const { set, slice } = Uint8Array.prototype;
  let copied = 0;
  Uint8Array.prototype.set = function (source, offset) {
    copied += source.length;
    set.call(this, source, offset);
  };
  Uint8Array.prototype.slice = function (start, end) {
    const result = slice.call(this, start, end);
    copied += result.length;
    return result;
  };
  try {
    run();
  } finally {
    Uint8Array.prototype.set = set;
    Uint8Array.prototype.slice = slice;
  }
  return copied;
}

describe("work is linear", () => {
  const MIB = 0x100000;

  it("in a megabyte of records that comes byte by byte", () => {
    const stream = join(Array.from({ length: 64 }, () => record(23, new Uint8Array(0x3ffb))));
    expect(stream.length).toBe(MIB);
    let records = 0;
    const copied = copiedBy(() => {
      const reader = new RecordReader();
      for (let i = 0; i < stream.length; i++) {
        reader.push(stream.subarray(i, i + 1));
        while (reader.next(true) !== undefined) records++;
      }
    });
    expect(records).toBe(64);
    expect(copied).toBeGreaterThanOrEqual(MIB);
    expect(copied).toBeLessThan(6 * MIB);
  });

  it("in a megabyte of tiny records that comes at once", () => {
    const stream = join(Array.from({ length: MIB / 8 }, () => record(23, new Uint8Array(3))));
    const copied = copiedBy(() => {
      const reader = new RecordReader();
      reader.push(stream);
      let records = 0;
      while (reader.next(true) !== undefined) records++;
      expect(records).toBe(MIB / 8);
    });
    expect(copied).toBeLessThan(3 * MIB);
  });

  it("in a message of 128 KiB that comes in fragments of one byte", () => {
    const message = rawMessage(11, new Uint8Array(0x20000));
    let found: Uint8Array | undefined;
    const copied = copiedBy(() => {
      const reader = new HandshakeReader(0x20000);
      for (let i = 0; i < message.length; i++) {
        reader.push(message.subarray(i, i + 1));
        found ??= reader.next()?.bytes;
      }
    });
    expect(found).toEqual(message);
    expect(copied).toBeLessThan(6 * message.length);
  });

  it("in as many tiny messages", () => {
    const messages = join(Array.from({ length: 0x8000 }, () => rawMessage(20, new Uint8Array(0))));
    const copied = copiedBy(() => {
      const reader = new HandshakeReader(0x20000);
      reader.push(messages);
      let count = 0;
      while (reader.next() !== undefined) count++;
      expect(count).toBe(0x8000);
    });
    expect(copied).toBeLessThan(4 * messages.length);
  });
});
