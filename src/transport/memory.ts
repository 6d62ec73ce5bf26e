/** Two ends of a byte stream in one process. */
import type { ByteStream } from "./stream.ts";

/** Options of {@link memoryPair}. */
export interface MemoryPairOptions {
  /** Bytes that each direction holds before its writer has to wait. Default 65536. */
  readonly highWaterMark?: number | undefined;
}

/**
 * Two connected byte streams: what is written to one is read from the other. Arrays are passed on, not copied.
 *
 * @example
 * ```ts
 * const [a, b] = memoryPair();
 * void a.writable.getWriter().write(Uint8Array.of(1, 2, 3));
 * const { value } = await b.readable.getReader().read();
 * console.log(value?.length); // 3
 * ```
 */
export function memoryPair({ highWaterMark = 0x10000 }: MemoryPairOptions = {}): [ByteStream, ByteStream] {
  const up = direction(highWaterMark);
  const down = direction(highWaterMark);
  return [
    { readable: down.readable, writable: up.writable },
    { readable: up.readable, writable: down.writable },
  ];
}

function direction(highWaterMark: number): TransformStream<Uint8Array, Uint8Array> {
  return new TransformStream<Uint8Array, Uint8Array>(
    undefined,
    new ByteLengthQueuingStrategy({ highWaterMark }),
    new ByteLengthQueuingStrategy({ highWaterMark: 0 }),
  );
}
