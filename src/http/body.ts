/** The body of a response, taken out of its framing (RFC 9112 6 and 7). */
import { HttpError, invalid } from "./errors.ts";
import { type Framing, type HeadLimits, readFields } from "./head.ts";
import type { ByteSource } from "./source.ts";

/** The next bytes of a body, never none; `undefined` when it is complete. */
export type BodyReader = () => Promise<Uint8Array | undefined>;

/** Bytes handed on at once. */
const MAX_PIECE = 0x10000;
/** Bytes of a chunk's first line: its size, and extensions that nobody reads. */
const MAX_SIZE_LINE = 256;
const SIZE_LINE = /^([0-9A-Fa-f]{1,12})[\t ]*(?:;[\t\x20-\x7e\x80-\xff]*)?$/;
/** What may not come after the body, since it says how to read it (RFC 9110 6.5.1). */
const NO_TRAILERS: readonly string[] = ["content-length", "transfer-encoding", "content-encoding", "trailer", "host"];

export function bodyReader(source: ByteSource, framing: Framing, limits: HeadLimits): BodyReader {
  switch (framing.type) {
    case "length":
      return exactly(source, framing.length);
    case "chunked":
      return chunked(source, limits);
    case "close":
      return () => source.some(MAX_PIECE);
  }
}

function exactly(source: ByteSource, length: number): BodyReader {
  let left = length;
  return async () => {
    if (left === 0) return undefined;
    const piece = await take(source, left);
    left -= piece.length;
    return piece;
  };
}

function chunked(source: ByteSource, limits: HeadLimits): BodyReader {
  let left = 0;
  let over = false;
  return async () => {
    if (over) return undefined;
    if (left === 0) {
      left = await readSize(source);
      if (left === 0) {
        over = true;
        await readTrailers(source, limits);
        return undefined;
      }
    }
    const piece = await take(source, left);
    left -= piece.length;
    if (left === 0) await readCrlf(source);
    return piece;
  };
}

async function readSize(source: ByteSource): Promise<number> {
  const line = await source.line(MAX_SIZE_LINE, "a chunk's size");
  if (line === undefined) throw new HttpError("ERR_HTTP_TRUNCATED", "the connection ended within the body");
  const [, size] = SIZE_LINE.exec(line) ?? [];
  if (size === undefined) throw invalid("a wrong chunk size");
  return Number.parseInt(size, 16);
}

async function readCrlf(source: ByteSource): Promise<void> {
  for (const expected of [0x0d, 0x0a]) {
    const [byte] = await take(source, 1);
    if (byte !== expected) throw invalid("a chunk longer than its size");
  }
}

/** Read over: fetch has no place for them. */
async function readTrailers(source: ByteSource, { maxHeadBytes, maxFields }: HeadLimits): Promise<void> {
  const fields = await readFields(source, { left: maxHeadBytes, fields: maxFields }, "the trailers");
  const wrong = fields.find(([name]) => NO_TRAILERS.includes(name));
  if (wrong !== undefined) throw invalid(`${wrong[0]} among the trailers`);
}

async function take(source: ByteSource, left: number): Promise<Uint8Array> {
  const piece = await source.some(Math.min(left, MAX_PIECE));
  if (piece === undefined) throw new HttpError("ERR_HTTP_TRUNCATED", "the connection ended within the body");
  return piece;
}
