/**
 * BER to DER (X.690), as far as files from elsewhere need it: lengths that are indefinite or not minimal, and octet
 * strings in pieces, as Windows and Bouncy Castle write PKCS#12.
 */
import { join } from "../bytes/bytes.ts";
import { contextConstructed, contextPrimitive, DerReader, derEncode, Tag } from "../bytes/der.ts";
import { fault, type TlsError } from "../errors.ts";

/** Levels of nesting. PKCS#12 takes about ten. */
const MAX_DEPTH = 32;
/** Elements in one input. */
const MAX_ELEMENTS = 100_000;

const CONSTRUCTED = 0x20;
const OCTETS_IN_PIECES = Tag.octetString | CONSTRUCTED;

/**
 * The same element with lengths as DER has them, and octet strings whole. Contents of octet strings are not looked into.
 *
 * @param ber - One element.
 * @throws TlsError `ERR_TLS_PEM` when it is malformed, nested too deeply, or followed by anything.
 */
export function berToDer(ber: Uint8Array): Uint8Array {
  const input: Input = { bytes: ber, position: 0, elements: 0 };
  const der = element(input, ber.length, 0);
  if (input.position !== ber.length) throw malformed(`${ber.length - input.position} bytes left over after the input`);
  return der;
}

/**
 * The contents of `[number] IMPLICIT OCTET STRING`, whole or in pieces: what is read was DER's but for this tag, which
 * does not say that it is an octet string.
 */
export function implicitOctets(reader: DerReader, number: number): Uint8Array {
  const whole = reader.optional(contextPrimitive(number));
  if (whole !== undefined) return whole.rest();
  const pieces = reader.read(contextConstructed(number));
  const parts: Uint8Array[] = [];
  while (pieces.remaining > 0) parts.push(pieces.octetString());
  return join(parts);
}

interface Input {
  readonly bytes: Uint8Array;
  position: number;
  elements: number;
}

function element(input: Input, end: number, depth: number): Uint8Array {
  if (depth > MAX_DEPTH) throw malformed(`more than ${MAX_DEPTH} levels of nesting`);
  if (++input.elements > MAX_ELEMENTS) throw malformed(`more than ${MAX_ELEMENTS} elements`);
  const tag = octet(input, end);
  if ((tag & 0x1f) === 0x1f) throw malformed("a tag of several bytes");
  if (tag === 0) throw malformed("the tag 0 is reserved");
  const length = readLength(input, end);
  if ((tag & CONSTRUCTED) === 0) {
    if (length === undefined) throw malformed("a primitive element has an indefinite length");
    const start = input.position;
    input.position += length;
    return derEncode(tag, input.bytes.subarray(start, input.position));
  }
  const children = length === undefined ? untilEnd(input, end, depth) : upTo(input, input.position + length, depth);
  // Joined first: there may be more of them than arguments fit on a stack.
  if (tag !== OCTETS_IN_PIECES) return derEncode(tag, join(children));
  return derEncode(Tag.octetString, join(children.map((child) => new DerReader(child).octetString())));
}

function upTo(input: Input, end: number, depth: number): Uint8Array[] {
  const children: Uint8Array[] = [];
  while (input.position < end) children.push(element(input, end, depth + 1));
  return children;
}

/** Elements up to the two zero bytes of X.690 8.1.5. */
function untilEnd(input: Input, end: number, depth: number): Uint8Array[] {
  const children: Uint8Array[] = [];
  for (;;) {
    if (input.position + 2 > end) throw malformed("an indefinite length has no end");
    if (input.bytes[input.position] === 0 && input.bytes[input.position + 1] === 0) {
      input.position += 2;
      return children;
    }
    children.push(element(input, end, depth + 1));
  }
}

/** `undefined` where it is indefinite. */
function readLength(input: Input, end: number): number | undefined {
  const first = octet(input, end);
  if (first === 0x80) return undefined;
  let length = first;
  if (first > 0x80) {
    length = 0;
    for (let i = 0; i < (first & 0x7f); i++) {
      length = length * 256 + octet(input, end);
      // Leading zeros may be any number; beyond the input the rest does not matter.
      if (length > end) break;
    }
  }
  if (length > end - input.position) throw malformed("a length reaches beyond its structure");
  return length;
}

function octet(input: Input, end: number): number {
  if (input.position >= end) throw malformed("the data ends inside a tag or length");
  return input.bytes[input.position++] as number;
}

function malformed(detail: string): TlsError {
  return fault("ERR_TLS_PEM", detail);
}
