/** A Node socket as a byte stream. */
import type { Socket } from "node:net";
import type { ByteStream } from "./stream.ts";

/** How long a socket that cannot be written to is still read from, in ms. */
const LAST_WORDS_MS = 1000;

/**
 * A Node socket, connected or connecting, as a byte stream. Both directions end apart from each other (the socket's
 * `allowHalfOpen` is set) and small writes are not held back (`setNoDelay`). The socket is destroyed when both are over.
 *
 * Node destroys a socket when a write fails, and with it what the peer had sent before it went: often the alert that
 * says why. Here a failed write leaves the reading side open, for a second at most.
 *
 * @param socket - The stream's from now on: nothing else may read from it or write to it.
 *
 * @example
 * ```ts
 * const socket = net.connect({ host: "localhost", port });
 * const session = await connect(socketStream(socket), { serverName: "localhost", trust: ca });
 * await session.close();
 * ```
 */
export function socketStream(socket: Socket): ByteStream {
  socket.allowHalfOpen = true;
  socket.setNoDelay(true);
  const failedWrite = holdFailedWrites(socket);
  return { readable: readableOf(socket), writable: writableOf(socket, failedWrite) };
}

function readableOf(socket: Socket): ReadableStream<Uint8Array> {
  let failure: Error | undefined;
  let ended = socket.readableEnded;
  let wake: (() => void) | undefined;
  const changed = () => wake?.();
  const onError = (error: Error) => {
    failure ??= error;
    changed();
  };
  socket.on("error", onError);
  socket.on("readable", changed);
  socket.on("close", changed);
  socket.on("end", () => {
    ended = true;
    changed();
  });
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        for (;;) {
          const chunk: Uint8Array | null = socket.read();
          if (chunk !== null) {
            // A Buffer's slice is a view; whoever reads this expects a copy.
            controller.enqueue(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength));
            return;
          }
          if (ended) {
            controller.close();
            return;
          }
          if (failure !== undefined || socket.destroyed) {
            controller.error(failure ?? new Error("the socket is closed"));
            return;
          }
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      },
      cancel() {
        if (socket.writableEnded || socket.errored !== null) {
          socket.destroy();
          return;
        }
        // The writer goes on; what comes meanwhile is thrown away.
        socket.off("readable", changed);
        socket.on("data", () => {});
      },
    },
    { highWaterMark: 0 },
  );
}

function writableOf(socket: Socket, failedWrite: Promise<never>): WritableStream<Uint8Array> {
  let broken: Error | undefined;
  let rejectPending: ((error: Error) => void) | undefined;
  // One reaction for the socket's life: a race for every write would leave one behind each time.
  failedWrite.catch((error: Error) => {
    broken = error;
    rejectPending?.(error);
  });
  const pending = (begin: (resolve: () => void, reject: (error: Error) => void) => void): Promise<void> =>
    new Promise<void>((resolve, reject) => {
      if (broken !== undefined) {
        reject(broken);
        return;
      }
      rejectPending = reject;
      begin(resolve, reject);
    }).finally(() => {
      rejectPending = undefined;
    });
  return new WritableStream<Uint8Array>({
    start(controller) {
      // Before `abort`, which waits for a write under way.
      controller.signal.addEventListener("abort", () => socket.destroy());
      socket.on("error", (error) => controller.error(error));
      socket.on("close", () => controller.error(new Error("the socket is closed")));
    },
    write: (chunk) =>
      pending((resolve, reject) => {
        socket.write(chunk, (error) => (error ? reject(error) : resolve()));
      }),
    close: () =>
      pending((resolve, reject) => {
        socket.once("error", reject);
        socket.once("close", resolve);
        socket.end(resolve);
      }),
    abort() {
      socket.destroy();
    },
  });
}

/** Rejects when a write fails, while the socket learns of it only after the peer's last words or the time for them. */
export function holdFailedWrites(socket: Socket): Promise<never> {
  let fail!: (error: Error) => void;
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  failed.catch(() => {});
  type Callback = (error?: Error | null) => void;
  const hold = (callback: Callback) => (error?: Error | null) => {
    if (error === undefined || error === null || socket.readableEnded || socket.destroyed) {
      callback(error);
      return;
    }
    fail(error);
    const release = () => {
      clearTimeout(timer);
      socket.off("end", release);
      callback(error);
    };
    const timer = setTimeout(release, LAST_WORDS_MS);
    socket.once("end", release);
    socket.once("close", () => clearTimeout(timer));
  };
  const write = socket._write.bind(socket);
  socket._write = (chunk, encoding, callback) => write(chunk, encoding, hold(callback));
  const writev = socket._writev?.bind(socket);
  if (writev !== undefined) socket._writev = (chunks, callback) => writev(chunks, hold(callback));
  return failed;
}
