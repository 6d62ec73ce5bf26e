/** Byte streams that can be watched and cut. */
import type { ByteStream } from "../../src/index.ts";

/** A byte stream with a hand on it. */
export interface Tap {
  readonly stream: ByteStream;
  /** Ends what comes from the peer, as a lost connection does that nobody says good-bye on. */
  end(): void;
  /** Fails what comes from the peer. */
  fail(error: Error): void;
}

/**
 * @param onChunk - Told of each piece before it goes on, by direction.
 */
export function tap(stream: ByteStream, onChunk: (direction: "in" | "out", chunk: Uint8Array) => void = () => {}): Tap {
  let incoming!: TransformStreamDefaultController<Uint8Array>;
  let over = false;
  const input = new TransformStream<Uint8Array, Uint8Array>({
    start(controller) {
      incoming = controller;
    },
    transform(chunk, controller) {
      onChunk("in", chunk);
      if (!over) controller.enqueue(chunk);
    },
  });
  const output = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      onChunk("out", chunk);
      controller.enqueue(chunk);
    },
  });
  stream.readable.pipeTo(input.writable).catch(() => {});
  output.readable.pipeTo(stream.writable).catch(() => {});
  return {
    stream: { readable: input.readable, writable: output.writable },
    end() {
      over = true;
      incoming.terminate();
    },
    fail(error) {
      over = true;
      incoming.error(error);
    },
  };
}

/** Lets everything that is ready happen: until `sample` has stayed the same for a while of the event loop's turns. */
export async function settled(sample: () => unknown): Promise<void> {
  let last = sample();
  for (let quiet = 0; quiet < 50; quiet++) {
    await new Promise<void>((resolve) => setImmediate(resolve));
    const now = sample();
    if (now !== last) quiet = 0;
    last = now;
  }
}
