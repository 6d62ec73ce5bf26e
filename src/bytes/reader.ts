/** Bounded reading of big-endian structures (RFC 8446 3). */
import { fault } from "../errors.ts";

/** Reads from `bytes` between `position` and `end`; running past the end is a decode_error. */
export class Reader {
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

  /** An unsigned big-endian integer of `width` bytes, 1 to 6. */
  uint(width: number): number {
    const start = this.position;
    if (start + width > this.end) throw fault("ERR_TLS_DECODE_ERROR", "the data ends inside an integer");
    let value = 0;
    for (let i = 0; i < width; i++) value = value * 256 + (this.bytes[start + i] as number);
    this.position = start + width;
    return value;
  }

  /** A view of the next `length` bytes. */
  take(length: number): Uint8Array {
    const start = this.position;
    if (start + length > this.end) throw fault("ERR_TLS_DECODE_ERROR", "the data ends inside a field");
    this.position = start + length;
    return this.bytes.subarray(start, this.position);
  }

  /** A reader over the next `length` bytes, which this one skips. */
  nested(length: number): Reader {
    const start = this.position;
    if (start + length > this.end) throw fault("ERR_TLS_DECODE_ERROR", "a length reaches beyond its structure");
    this.position = start + length;
    return new Reader(this.bytes, start, this.position);
  }

  /** Trailing bytes are a decode_error (RFC 9846 4.2). */
  finish(what: string): void {
    if (this.position !== this.end) {
      throw fault("ERR_TLS_DECODE_ERROR", `${this.remaining} bytes left over after ${what}`);
    }
  }
}
