/** What TLS runs over, and a promise with its handles. */

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

/** For promises whose failure is reported elsewhere. */
export function ignore(): void {}
