/**
 * Strict DER (X.690): definite minimal lengths, single-byte tags, no BER leniency. A view over the input, nothing is
 * copied. Errors are `ERR_TLS_PEM`; whoever reads a peer's DER renames them.
 */
import { fault, type TlsError } from "../errors.ts";
import { concat } from "./bytes.ts";

/** Identifier octets of the universal types in use; constructed bit included where DER demands it. */
export const Tag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  printableString: 0x13,
  teletexString: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  universalString: 0x1c,
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const;

/** The identifier octet of `[number] IMPLICIT` over a primitive type. */
export function contextPrimitive(number: number): number {
  return 0x80 | number;
}

/** The identifier octet of `[number] EXPLICIT`, or of `[number] IMPLICIT` over a constructed type. */
export function contextConstructed(number: number): number {
  return 0xa0 | number;
}

/** Any element: its identifier octet, the whole encoding, and a reader over the contents. */
export interface DerElement {
  readonly tag: number;
  /** Tag, length and contents. */
  readonly raw: Uint8Array;
  readonly content: DerReader;
}

/** A BIT STRING; the last `unusedBits` bits of `bytes` are zero. */
export interface BitString {
  readonly bytes: Uint8Array;
  readonly unusedBits: number;
}

/** An OBJECT IDENTIFIER longer than this is refused; the longest in use (a UUID arc) take 20 bytes. */
const MAX_OID_BYTES = 64;

/**
 * Reads one level of DER elements from `bytes` between `position` and `end`. Nesting is the caller's recursion, so
 * depth is bounded by the structure that is read.
 *
 * @example
 * ```ts
 * const reader = new DerReader(fromHex("3003020105"));
 * const sequence = reader.sequence();
 * reader.finish("the input");
 * console.log(sequence.integer()[0]); // 5
 * ```
 */
export class DerReader {
  readonly bytes: Uint8Array;
  position: number;
  readonly end: number;

  constructor(bytes: Uint8Array, position = 0, end = bytes.length) {
    this.bytes = bytes;
    this.position = position;
    this.end = end;
  }

  get remaining(): number {
    return this.end - this.position;
  }

  /** The identifier octet of the next element, or `undefined` at the end. */
  peek(): number | undefined {
    return this.position < this.end ? this.bytes[this.position] : undefined;
  }

  /** A reader over the contents of the next element, whose identifier octet must be `tag`. */
  read(tag: number): DerReader {
    const found = this.peek();
    if (found !== tag) {
      throw malformed(`expected tag ${hexOctet(tag)}, found ${found === undefined ? "the end" : hexOctet(found)}`);
    }
    return this.#next();
  }

  /** As {@link DerReader.read} where the element is there, otherwise `undefined`. */
  optional(tag: number): DerReader | undefined {
    return this.peek() === tag ? this.#next() : undefined;
  }

  /** The next element whatever it is. */
  element(): DerElement {
    const start = this.position;
    const content = this.#next();
    return { tag: this.bytes[start] as number, raw: this.bytes.subarray(start, this.position), content };
  }

  /** The whole encoding of the next element, a view. */
  raw(): Uint8Array {
    const start = this.position;
    this.#next();
    return this.bytes.subarray(start, this.position);
  }

  /** Past the next element. A view costs more than anything else here, so none is made of what nobody looks at. */
  skip(): void {
    this.#next();
  }

  /** All bytes that are left, a view: the contents of a primitive element. */
  rest(): Uint8Array {
    const start = this.position;
    this.position = this.end;
    return this.bytes.subarray(start, this.end);
  }

  sequence(): DerReader {
    return this.read(Tag.sequence);
  }

  set(): DerReader {
    return this.read(Tag.set);
  }

  /** INTEGER contents: two's complement, minimal, a view. `tag` for an IMPLICIT one. */
  integer(tag: number = Tag.integer): Uint8Array {
    return this.read(tag).#integer();
  }

  #integer(): Uint8Array {
    const content = this.rest();
    const first = content[0];
    if (first === undefined) throw malformed("an INTEGER is empty");
    const second = content[1];
    if (second !== undefined && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80))) {
      throw malformed("an INTEGER is not minimal");
    }
    return content;
  }

  /** The magnitude of a non-negative INTEGER without leading zeros (zero itself is one zero byte), a view. */
  unsigned(tag: number = Tag.integer): Uint8Array {
    return this.read(tag).#unsigned();
  }

  #unsigned(): Uint8Array {
    const content = this.#integer();
    if ((content[0] as number) >= 0x80) throw malformed("an INTEGER is negative");
    return content.length > 1 && content[0] === 0 ? content.subarray(1) : content;
  }

  /** An INTEGER between 0 and 2^31 - 1. */
  smallInteger(tag: number = Tag.integer): number {
    const { bytes, position, end } = this.read(tag);
    if (end - position === 1 && (bytes[position] as number) < 0x80) return bytes[position] as number;
    const content = new DerReader(bytes, position, end).#unsigned();
    const value = content.length > 4 ? Number.POSITIVE_INFINITY : content.reduce((sum, byte) => sum * 256 + byte, 0);
    if (value > 0x7fffffff) throw malformed("an INTEGER is too large here");
    return value;
  }

  boolean(tag: number = Tag.boolean): boolean {
    const { bytes, position, end } = this.read(tag);
    const value = bytes[position];
    if (end - position !== 1 || (value !== 0 && value !== 0xff)) throw malformed("a BOOLEAN is neither 00 nor ff");
    return value === 0xff;
  }

  null(): void {
    this.read(Tag.null).finish("NULL");
  }

  octetString(tag: number = Tag.octetString): Uint8Array {
    return this.read(tag).rest();
  }

  bitString(tag: number = Tag.bitString): BitString {
    const content = this.read(tag);
    const { bytes, position, end } = content;
    const unusedBits = content.peek();
    const last = end - position > 1 ? (bytes[end - 1] as number) : 0;
    if (unusedBits === undefined || unusedBits > 7 || (end - position === 1 && unusedBits > 0)) {
      throw malformed("a BIT STRING has a wrong number of unused bits");
    }
    if ((last & ((1 << unusedBits) - 1)) !== 0) throw malformed("a BIT STRING has unused bits that are not zero");
    return { bytes: bytes.subarray(position + 1, end), unusedBits };
  }

  /** A BIT STRING of whole bytes: signatures and public keys. */
  bitStringBytes(): Uint8Array {
    const { bytes, unusedBits } = this.bitString();
    if (unusedBits !== 0) throw malformed("a BIT STRING does not hold whole bytes");
    return bytes;
  }

  /** Dotted decimal. */
  oid(tag: number = Tag.oid): string {
    return decodeOid(this.read(tag));
  }

  /** Time of RFC 5280 4.1.2.5 (UTCTime or GeneralizedTime, seconds, Z), in milliseconds since 1970. */
  time(): number {
    const tag = this.peek();
    if (tag !== Tag.utcTime && tag !== Tag.generalizedTime) throw malformed("expected UTCTime or GeneralizedTime");
    return decodeTime(this.#next(), tag === Tag.utcTime);
  }

  /** Nothing may be left. */
  finish(what: string): void {
    if (this.position !== this.end) throw malformed(`${this.remaining} bytes left over after ${what}`);
  }

  #next(): DerReader {
    const { bytes, end } = this;
    let position = this.position;
    if (position + 2 > end) throw malformed("the data ends inside a tag or length");
    const tag = bytes[position++] as number;
    if ((tag & 0x1f) === 0x1f) throw malformed("a tag of several bytes");
    if (tag === 0) throw malformed("the tag 0 is reserved");
    let length = bytes[position++] as number;
    if (length >= 0x80) {
      const width = length & 0x7f;
      if (width === 0) throw malformed("a length is indefinite");
      if (width > 4) throw malformed("a length is too large");
      if (position + width > end) throw malformed("the data ends inside a length");
      length = 0;
      for (let i = 0; i < width; i++) length = length * 256 + (bytes[position++] as number);
      if (length < 0x80 || length < 256 ** (width - 1)) throw malformed("a length is not minimal");
    }
    if (length > end - position) throw malformed("a length reaches beyond its structure");
    this.position = position + length;
    return new DerReader(bytes, position, this.position);
  }
}

/** A reader over the one element with identifier octet `tag` that makes up all of `der`. */
export function derContent(der: Uint8Array, tag: number, what: string): DerReader {
  const reader = new DerReader(der);
  const content = reader.read(tag);
  reader.finish(what);
  return content;
}

/**
 * One DER element.
 *
 * @param tag - The identifier octet.
 * @param parts - The contents, joined.
 */
export function derEncode(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const octets: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest & 0xff);
  const header = length < 0x80 ? [tag, length] : [tag, 0x80 | octets.length, ...octets];
  return concat(Uint8Array.from(header), ...parts);
}

function decodeOid({ bytes, position, end }: DerReader): string {
  const length = end - position;
  if (length === 0 || length > MAX_OID_BYTES) throw malformed("an OBJECT IDENTIFIER has a bad length");
  if ((bytes[end - 1] as number) >= 0x80) throw malformed("an OBJECT IDENTIFIER ends inside an arc");
  let text = "";
  let arc = 0;
  let start = true;
  for (let i = position; i < end; i++) {
    const byte = bytes[i] as number;
    if (start && byte === 0x80) throw malformed("an OBJECT IDENTIFIER has an arc that is not minimal");
    arc = arc * 128 + (byte & 0x7f);
    start = byte < 0x80;
    if (arc >= 2 ** 46) return decodeLargeOid(bytes.subarray(position, end));
    if (!start) continue;
    if (text !== "") text = `${text}.${arc}`;
    else text = arc < 80 ? `${arc < 40 ? 0 : 1}.${arc % 40}` : `2.${arc - 80}`;
    arc = 0;
  }
  return text;
}

/** Arcs beyond what a number holds, such as 2.25.UUID. */
function decodeLargeOid(content: Uint8Array): string {
  let text = "";
  let arc = 0n;
  let start = true;
  for (const byte of content) {
    if (start && byte === 0x80) throw malformed("an OBJECT IDENTIFIER has an arc that is not minimal");
    arc = (arc << 7n) | BigInt(byte & 0x7f);
    start = byte < 0x80;
    if (!start) continue;
    text = text === "" ? firstArcs(arc) : `${text}.${arc}`;
    arc = 0n;
  }
  return text;
}

/** X.690 8.19.4 */
function firstArcs(value: bigint): string {
  if (value < 80n) return value < 40n ? `0.${value}` : `1.${value - 40n}`;
  return `2.${value - 80n}`;
}

function decodeTime({ bytes, position, end }: DerReader, utc: boolean): number {
  const yearDigits = utc ? 2 : 4;
  if (end - position !== yearDigits + 11 || bytes[end - 1] !== 0x5a) {
    throw malformed("a time does not have the form of RFC 5280 4.1.2.5");
  }
  const written = digits(bytes, position, yearDigits);
  const year = utc ? written + (written >= 50 ? 1900 : 2000) : written;
  const at = position + yearDigits;
  const month = digits(bytes, at, 2);
  const day = digits(bytes, at + 2, 2);
  const hour = digits(bytes, at + 4, 2);
  const minute = digits(bytes, at + 6, 2);
  const second = digits(bytes, at + 8, 2);
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  // A month of 13 or a 30th of February rolls over, and then does not read back.
  if (month < 1 || date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) throw malformed("no such date");
  if (hour > 23 || minute > 59 || second > 59) throw malformed("no such time of day");
  return date.getTime() + ((hour * 60 + minute) * 60 + second) * 1000;
}

function digits(bytes: Uint8Array, start: number, count: number): number {
  let value = 0;
  for (let i = start; i < start + count; i++) {
    const digit = (bytes[i] as number) - 0x30;
    if (digit < 0 || digit > 9) throw malformed("a time holds something other than digits");
    value = value * 10 + digit;
  }
  return value;
}

function hexOctet(value: number): string {
  return `0x${value.toString(16).padStart(2, "0")}`;
}

function malformed(detail: string): TlsError {
  return fault("ERR_TLS_PEM", detail);
}

/** A non-negative INTEGER of a big-endian magnitude, leading zeros or not. */
export function derUnsigned(magnitude: Uint8Array): Uint8Array {
  let start = 0;
  while (start < magnitude.length - 1 && magnitude[start] === 0) start++;
  const sign = (magnitude[start] as number) >= 0x80 ? Uint8Array.of(0) : new Uint8Array(0);
  return derEncode(Tag.integer, sign, magnitude.subarray(start));
}

/** An INTEGER from 0 to 2^53 - 1. */
export function derNumber(value: number): Uint8Array {
  const bytes: number[] = [];
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return derUnsigned(Uint8Array.from(bytes.length === 0 ? [0] : bytes));
}

/**
 * An OBJECT IDENTIFIER from dotted decimal.
 *
 * @throws TlsError `ERR_TLS_OPTION` when there are no two arcs.
 */
export function derOid(oid: string): Uint8Array {
  const [first, second, ...rest] = oid.split(".").map(BigInt);
  if (first === undefined || second === undefined) throw fault("ERR_TLS_OPTION", `"${oid}" is no object identifier`);
  return derEncode(Tag.oid, ...[first * 40n + second, ...rest].map(base128));
}

function base128(value: bigint): Uint8Array {
  const bytes = [Number(value & 0x7fn)];
  for (let rest = value >> 7n; rest > 0n; rest >>= 7n) bytes.unshift(Number(rest & 0x7fn) | 0x80);
  return Uint8Array.from(bytes);
}

export function derSequence(...parts: readonly Uint8Array[]): Uint8Array {
  return derEncode(Tag.sequence, ...parts);
}
