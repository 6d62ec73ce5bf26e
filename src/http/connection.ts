/** One connection, and the exchanges on it, one after the other. */
import { utf8 } from "../bytes/bytes.ts";
import { TlsError } from "../errors.ts";
import type { TlsSession } from "../transport/session.ts";
import { bytesOf, ignore } from "../transport/stream.ts";
import { quietTimers } from "../transport/timers.ts";
import { type BodyReader, bodyReader } from "./body.ts";
import { HttpError } from "./errors.ts";
import { type HeadLimits, type ResponseHead, readHead } from "./head.ts";
import { encodeHead, type OutgoingBody, type OutgoingRequest } from "./request.ts";
import { ByteSource } from "./source.ts";

/** How long a server may take, in ms; 0: any time. */
export interface Patience {
  /** While the request goes out and its response's head is waited for: without a byte either way. */
  readonly headTimeout: number;
  /** While the body is waited for: without a byte. */
  readonly bodyTimeout: number;
}

/** A response whose body has not been read. */
export interface Incoming {
  readonly head: ResponseHead;
  readonly body: BodyReader;
}

export class HttpConnection {
  /** Of the context that it was made with. */
  readonly generation: number | undefined;
  /** Exchanges that have been completed. */
  used = 0;
  readonly #session: TlsSession;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #source: ByteSource;
  readonly #limits: HeadLimits & Patience;
  #watching: Promise<ReadableStreamReadResult<Uint8Array>> | undefined;
  #failure: { readonly reason: unknown } | undefined;
  #sent = true;
  /** A byte of the response has come. */
  #answered = false;
  /** Lets go of the request's body, whoever reads it. */
  #dropBody: (reason?: unknown) => void = ignore;
  /** Something has gone out or come in: the wait begins anew. */
  #touch: () => void = ignore;

  constructor(session: TlsSession, generation: number | undefined, limits: HeadLimits & Patience) {
    this.generation = generation;
    this.#session = session;
    this.#limits = limits;
    this.#reader = session.readable.getReader();
    this.#writer = session.writable.getWriter();
    this.#writer.closed.catch(ignore);
    this.#reader.closed.catch(ignore);
    session.closed.catch(ignore);
    session.accepted.catch(ignore);
    this.#source = new ByteSource(() => this.#read());
  }

  /** Ends the connection; what waits for it fails with `reason`. */
  fail(reason: unknown): void {
    this.#failure ??= { reason };
    this.#session.abort(reason);
    this.#dropBody(reason);
  }

  /** Ends it in order. */
  close(): void {
    this.#session.close().catch(ignore);
    this.#reader.cancel().catch(ignore);
    this.#dropBody();
  }

  /** Nothing is asked now: whatever comes, data, an end or an error, makes it useless. */
  watch(useless: () => void): void {
    const next = this.#reader.read();
    this.#watching = next;
    const tell = () => {
      if (this.#watching === next) useless();
    };
    next.then(tell, tell);
  }

  /**
   * Sends a request and reads the head of its response.
   *
   * @throws HttpError `ERR_HTTP_CLOSED` when the connection ends before a byte of the response.
   */
  async exchange(request: OutgoingRequest): Promise<Incoming> {
    this.#sent = false;
    this.#answered = false;
    let refusal: { readonly reason: unknown } | undefined;
    const sending = this.#send(request);
    sending.then(
      () => {
        this.#sent = true;
      },
      (reason: unknown) => {
        // A body that breaks is no fault of the server's. Where the connection does, reading says why.
        if (!(reason instanceof BrokenBody)) return;
        refusal = { reason: reason.cause };
        this.fail(reason.cause);
      },
    );
    try {
      const head = await this.#within("headTimeout", () => readHead(this.#source, request.method, this.#limits));
      if (head === undefined) throw this.#closed();
      const read = bodyReader(this.#source, head.framing, this.#limits);
      return { head, body: () => this.#within("bodyTimeout", read) };
    } catch (error) {
      this.fail(error);
      throw refusal?.reason ?? (this.#answered || !isCut(error) ? error : this.#closed(error));
    }
  }

  /** Many servers say nothing when they refuse a certificate, and they judge it after the handshake (RFC 8446 2). */
  #closed(cause?: unknown): HttpError {
    const { clientAuthRequested, signatureScheme, psk } = this.#session;
    const shown = signatureScheme === undefined ? "that it got none" : "this side's";
    const why =
      this.used === 0 && clientAuthRequested && psk === undefined
        ? `: it asked for a certificate, and may have refused ${shown}`
        : "";
    return new HttpError("ERR_HTTP_CLOSED", `the server closed the connection without a response${why}`, { cause });
  }

  /** True when the next exchange can follow the one whose response has been read to its end. */
  reusable({ persistent, framing }: ResponseHead): boolean {
    return persistent && framing.type !== "close" && this.#sent && !this.#source.pending && this.#failure === undefined;
  }

  async #within<T>(name: keyof Patience, run: () => Promise<T>): Promise<T> {
    const time = this.#limits[name];
    const late = () => this.fail(new HttpError("ERR_HTTP_TIMEOUT", `${name}: nothing in ${time} ms`));
    let timer: unknown;
    this.#touch = () => {
      if (timer !== undefined) quietTimers.clear(timer);
      if (time > 0) timer = quietTimers.set(late, time);
    };
    this.#touch();
    try {
      return await run();
    } catch (error) {
      // Of an abort, what it was for.
      const reason = this.#failure === undefined ? error : this.#failure.reason;
      this.fail(reason);
      throw reason;
    } finally {
      this.#touch = ignore;
      quietTimers.clear(timer);
    }
  }

  async #read(): Promise<Uint8Array | undefined> {
    const next = this.#watching ?? this.#reader.read();
    this.#watching = undefined;
    const { done, value } = await next;
    this.#touch();
    this.#answered ||= !done;
    return done ? undefined : value;
  }

  async #send(request: OutgoingRequest): Promise<void> {
    const { body } = request;
    await this.#writer.write(encodeHead(request));
    if (body !== undefined) await this.#sendBody(body);
  }

  async #sendBody({ length, open }: OutgoingBody): Promise<void> {
    const reader = readerOf(open);
    let left = length ?? 0;
    let dropped = false;
    this.#dropBody = (reason) => {
      dropped = true;
      reader.cancel(reason).catch(ignore);
    };
    try {
      for (;;) {
        const chunk = await nextOf(reader);
        // It looks like its end, and must not be told as such.
        if (dropped) throw new Error("the rest of the body is not wanted");
        if (chunk === undefined) break;
        if (chunk.length === 0) continue;
        left -= chunk.length;
        this.#touch();
        if (length !== undefined && left < 0) throw new BrokenBody(new TypeError("the body is longer than it was"));
        if (length !== undefined) await this.#writer.write(chunk);
        else await this.#writeChunk(chunk);
      }
      if (length !== undefined && left > 0) throw new BrokenBody(new TypeError("the body is shorter than it was"));
      if (length === undefined) await this.#writer.write(utf8("0\r\n\r\n"));
    } catch (error) {
      reader.cancel(error).catch(ignore);
      throw error;
    } finally {
      this.#dropBody = ignore;
    }
  }

  async #writeChunk(chunk: Uint8Array): Promise<void> {
    const size = utf8(`${chunk.length.toString(16)}\r\n`);
    const framed = new Uint8Array(size.length + chunk.length + 2);
    framed.set(size);
    framed.set(chunk, size.length);
    framed.set([0x0d, 0x0a], size.length + chunk.length);
    await this.#writer.write(framed);
  }
}

/** The request's body, not the connection. */
class BrokenBody extends Error {
  constructor(cause: unknown) {
    super("the request's body broke", { cause });
  }
}

/** Without a word: neither an alert nor close_notify. */
function isCut(error: unknown): boolean {
  return error instanceof TlsError && error.code === "ERR_SSL_UNEXPECTED_EOF_WHILE_READING";
}

function readerOf(open: OutgoingBody["open"]): ReadableStreamDefaultReader<Uint8Array> {
  try {
    return open().getReader();
  } catch (error) {
    throw new BrokenBody(error);
  }
}

async function nextOf(reader: ReadableStreamDefaultReader<unknown>): Promise<Uint8Array | undefined> {
  try {
    const { done, value } = await reader.read();
    return done ? undefined : bytesOf(value);
  } catch (error) {
    throw new BrokenBody(error);
  }
}
