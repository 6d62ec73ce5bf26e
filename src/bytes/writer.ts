/** Growing output with length-prefixed blocks patched in afterwards. */

/** Writes big-endian structures (RFC 8446 3). A value that does not fit is a fault of this side and throws RangeError. */
export class Writer {
  #bytes: Uint8Array;
  #length = 0;

  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity);
  }

  get length(): number {
    return this.#length;
  }

  /** An unsigned big-endian integer of `width` bytes, 1 to 6. */
  uint(width: number, value: number): void {
    if (!Number.isInteger(value) || value < 0 || value >= 2 ** (8 * width)) {
      throw new RangeError(`${value} does not fit in ${width} bytes`);
    }
    const start = this.#reserve(width);
    this.#put(start, width, value);
  }

  bytes(value: Uint8Array): void {
    const start = this.#reserve(value.length);
    this.#bytes.set(value, start);
  }

  /** What `write` writes, preceded by its length in `width` bytes. Returns that length. */
  block(width: number, write: () => void): number {
    const start = this.#reserve(width);
    write();
    const length = this.#length - start - width;
    if (length >= 2 ** (8 * width)) throw new RangeError(`${length} bytes do not fit a ${width}-byte length`);
    this.#put(start, width, length);
    return length;
  }

  /** A copy of what was written. */
  result(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  #put(start: number, width: number, value: number): void {
    let rest = value;
    for (let i = width - 1; i >= 0; i--) {
      this.#bytes[start + i] = rest & 0xff;
      rest = Math.floor(rest / 256);
    }
  }

  #reserve(count: number): number {
    const start = this.#length;
    const needed = start + count;
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
      grown.set(this.#bytes.subarray(0, start));
      this.#bytes = grown;
    }
    this.#length = needed;
    return start;
  }
}
