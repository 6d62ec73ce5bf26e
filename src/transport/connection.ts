/** Connections that read and write buffers, such as Deno's, as byte streams. */
import type { ByteStream } from "./stream.ts";

/** A connection like Deno's `Deno.TcpConn` and `Deno.UnixConn`. */
export interface BufferConnection {
  /** Reads into the buffer. Resolves with the number of bytes, `null` at the end. */
  read(into: Uint8Array): Promise<number | null>;
  /** Writes some of the bytes. Resolves with how many. */
  write(bytes: Uint8Array): Promise<number>;
  /** Ends what goes to the peer, and nothing else. */
  closeWrite(): Promise<void>;
  close(): void;
}

/** Bytes asked for at once: a few records. */
const READ_LENGTH = 0x10000;

/**
 * A connection as a byte stream whose directions end one by one. The `readable` and `writable` that Deno's connections
 * have of their own end both at once: what the peer still has to say, such as why it refuses, is lost.
 *
 * @param connection - The stream's from now on; closed when both directions have ended, or either has failed.
 * @example
 * ```ts
 * const queue = [new TextEncoder().encode("hello")];
 * const connection = {
 *   read: async (into: Uint8Array) => {
 *     const next = queue.shift();
 *     if (next !== undefined) into.set(next);
 *     return next?.length ?? null;
 *   },
 *   write: async (bytes: Uint8Array) => bytes.length,
 *   closeWrite: async () => {},
 *   close: () => {},
 * };
 * // In Deno: connectionStream(await Deno.connect({ hostname: "example.com", port: 443 }))
 * const { readable } = connectionStream(connection);
 * console.log(await new Response(readable).text()); // hello
 * ```
 */
export function connectionStream(connection: BufferConnection): ByteStream {
  let directions = 2;
  const close = () => {
    if (directions > 0) connection.close();
    directions = 0;
  };
  const end = () => {
    if (directions === 1) close();
    else directions--;
  };
  const readable = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const buffer = new Uint8Array(READ_LENGTH);
          const length = await connection.read(buffer);
          if (length !== null) return controller.enqueue(buffer.subarray(0, length));
        } catch (error) {
          close();
          throw error;
        }
        controller.close();
        end();
      },
      cancel: close,
    },
    { highWaterMark: 0 },
  );
  const writable = new WritableStream<Uint8Array>({
    async write(chunk) {
      try {
        for (let rest = chunk; rest.length > 0; ) rest = rest.subarray(await connection.write(rest));
      } catch (error) {
        // What can still be read may say why.
        end();
        throw error;
      }
    },
    async close() {
      try {
        await connection.closeWrite();
      } finally {
        end();
      }
    },
    abort: close,
  });
  return { readable, writable };
}
