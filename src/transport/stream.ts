/** What TLS runs over, and what handling it takes. */

/** A pair of byte streams: what comes from the peer and what goes to it. Sockets, WebSockets, pipes, memory. */
export interface ByteStream {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
}

/** A promise to be settled from outside; a rejection that nobody awaits is no unhandled one. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(reason: unknown): void;
}

export function deferred<T = void>(): Deferred<T> {
  let resolve!: (value: T) => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  promise.catch(ignore);
  return { promise, resolve, reject };
}

/**
 * A chunk of a stream as plain bytes: a Buffer's `slice` does not copy, and who knows what else comes.
 *
 * @throws TypeError when it is no view of bytes.
 */
export function bytesOf(chunk: unknown): Uint8Array {
  if (!ArrayBuffer.isView(chunk)) throw new TypeError("a byte stream's chunks are Uint8Arrays");
  return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}

/** For promises whose failure is reported elsewhere. */
export function ignore(): void {}
