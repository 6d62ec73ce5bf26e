/** A TLS session as a stream that node:http serves and speaks over. */
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import type { TlsSession } from "../../transport/session.ts";

/** How long a peer may take to close after this side has, in ms. */
const LINGER_MS = 2000;
const MAX_DELAY = 0x7fffffff;

type Done = (error?: Error | null) => void;

/** What is known of a session before it is a stream. */
export interface SessionSocketOptions {
  /** Plaintext that came before what the session still has: early data. */
  readonly first?: Uint8Array | undefined;
  /** Each direction ends by itself; otherwise this side ends when the other does. */
  readonly allowHalfOpen: boolean;
}

/** Of the socket underneath, what node:http asks for. */
export class SessionSocket extends Duplex {
  readonly session: TlsSession;
  readonly encrypted = true;
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  bytesRead = 0;
  bytesWritten = 0;
  timeout = 0;
  readonly #raw: Socket;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  #first: Uint8Array | undefined;
  #idle: NodeJS.Timeout | undefined;

  /**
   * @param raw - What the session runs over.
   */
  constructor(session: TlsSession, raw: Socket, { first, allowHalfOpen }: SessionSocketOptions) {
    super({ allowHalfOpen });
    this.session = session;
    this.#raw = raw;
    this.#first = first;
    this.remoteAddress = raw.remoteAddress;
    this.remotePort = raw.remotePort;
    this.#reader = session.readable.getReader();
    this.#writer = session.writable.getWriter();
    // Whatever ends the session ends this, whether or not anybody reads or writes.
    this.#reader.closed.catch(() => {});
    this.#writer.closed.catch(() => {});
    session.closed.catch((error: Error) => this.destroy(error));
  }

  override _read(): void {
    if (this.#first !== undefined) {
      this.#take(this.#first);
      this.#first = undefined;
      return;
    }
    this.#reader.read().then(
      ({ done, value }) => {
        if (!done) {
          this.#take(value);
          return;
        }
        this.push(null);
        // One that nobody reads ends as well.
        this.read(0);
      },
      (error: Error) => this.destroy(error),
    );
  }

  override _write(chunk: Buffer | string, encoding: BufferEncoding, done: Done): void {
    this.#send(typeof chunk === "string" ? Buffer.from(chunk, encoding) : chunk, done);
  }

  override _writev(chunks: { chunk: Buffer | string; encoding: BufferEncoding }[], done: Done): void {
    const parts = chunks.map(({ chunk, encoding }) =>
      typeof chunk === "string" ? Buffer.from(chunk, encoding) : chunk,
    );
    this.#send(Buffer.concat(parts), done);
  }

  override _final(done: Done): void {
    this.session.close().then(() => done(), done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    clearTimeout(this.#idle);
    // After this side's close_notify the end is orderly, whoever speaks last; before, the peer learns that it is none.
    if (error === null && this.writableFinished) this.#reader.cancel().catch(() => {});
    else this.session.abort(error ?? undefined);
    done(error);
  }

  /** Ends this side, and the other after a moment: node:http's last word on a connection. */
  destroySoon(): void {
    const leave = () => {
      if (this.destroyed) return;
      this.resume();
      const timer = setTimeout(() => this.destroy(), LINGER_MS).unref();
      this.once("close", () => clearTimeout(timer));
    };
    if (this.writable) this.end();
    if (this.writableFinished) leave();
    else this.once("finish", leave);
  }

  /** `timeout` is emitted after so many ms without a byte in either direction; 0: never. */
  setTimeout(timeout: number, callback?: () => void): this {
    clearTimeout(this.#idle);
    this.#idle = undefined;
    this.timeout = timeout;
    if (callback !== undefined) {
      if (timeout === 0) this.removeListener("timeout", callback);
      else this.once("timeout", callback);
    }
    if (timeout > 0 && !this.destroyed) {
      this.#idle = setTimeout(() => this.emit("timeout"), Math.min(timeout, MAX_DELAY)).unref();
    }
    return this;
  }

  setNoDelay(noDelay?: boolean): this {
    this.#raw.setNoDelay(noDelay);
    return this;
  }

  setKeepAlive(enable?: boolean, delay?: number): this {
    this.#raw.setKeepAlive(enable, delay);
    return this;
  }

  ref(): this {
    this.#raw.ref();
    return this;
  }

  unref(): this {
    this.#raw.unref();
    return this;
  }

  #take(bytes: Uint8Array): void {
    this.bytesRead += bytes.length;
    this.#idle?.refresh();
    this.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  }

  #send(bytes: Uint8Array, done: Done): void {
    this.#writer.write(bytes).then(() => {
      this.bytesWritten += bytes.length;
      this.#idle?.refresh();
      done();
    }, done);
  }
}
