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

/** A TransformStream would do, but Node 20's calls an algorithm that is gone when a reader cancels before a waiting writer. */
function direction(highWaterMark: number): ByteStream {
  let reading!: ReadableStreamDefaultController<Uint8Array>;
  let writing!: WritableStreamDefaultController;
  let wake: (() => void) | undefined;
  const readable = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        reading = controller;
      },
      pull() {
        wake?.();
      },
      cancel(reason) {
        writing.error(reason ?? new Error("the other end does not read any more"));
        wake?.();
      },
    },
    new ByteLengthQueuingStrategy({ highWaterMark }),
  );
  const writable = new WritableStream<Uint8Array>({
    start(controller) {
      writing = controller;
      controller.signal.addEventListener("abort", () => wake?.());
    },
    async write(chunk) {
      reading.enqueue(chunk);
      if ((reading.desiredSize ?? 0) > 0) return;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    },
    close() {
      reading.close();
    },
    abort(reason) {
      reading.error(reason ?? new Error("the other end is gone"));
    },
  });
  return { readable, writable };
}
