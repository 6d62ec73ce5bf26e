/** Moves bytes between an engine and a byte stream: with backpressure both ways, and an orderly end. */
import type { EngineEvent, TlsEngine } from "../engine/index.ts";
import { fault, type TlsError } from "../errors.ts";
import { type ByteStream, bytesOf, deferred, ignore } from "./stream.ts";

/**
 * How much and how long is read and thrown away after this side has said its last word, so that no TCP reset destroys
 * that word on its way: bytes and ms.
 */
const LINGER_BYTES = 0x40000;
const LINGER_MS = 2000;
/** How long a peer to which nothing can be written any more may take to say why, in ms. */
const LAST_WORDS_MS = 1000;

/** What the driver tells its user. */
export interface DriveHooks {
  onEvent(event: EngineEvent): void;
  /** Something may have changed: plaintext, room to write, an end. Never called while it runs. */
  onProgress(): void;
}

export class Drive {
  readonly #engine: TlsEngine;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #hooks: DriveHooks;
  readonly #inputDone = deferred();
  readonly #outputDone = deferred();
  readonly #released = deferred();
  readonly #limit = deferred();
  #room: (() => void) | undefined;
  #turning = false;
  #again = false;
  #pumping = false;
  #outputOver = false;
  #peerEnded = false;
  #discarding = false;
  #finishing = false;
  #cut = false;
  #outputBroken: TlsError | undefined;
  #isReleased = false;
  #lingered = 0;
  /** When bytes last moved, ms of `performance.now()`. */
  lastActivity = performance.now();

  constructor(engine: TlsEngine, stream: ByteStream, hooks: DriveHooks) {
    this.#engine = engine;
    this.#hooks = hooks;
    this.#reader = stream.readable.getReader();
    this.#writer = stream.writable.getWriter();
    this.#writer.closed.catch(ignore);
    this.#reader.closed.catch(ignore);
    engine.listen(
      (event) => {
        if (event.type === "end") this.#peerEnded = true;
        if (!this.#isReleased) hooks.onEvent(event);
      },
      () => this.#turn(),
    );
  }

  start(): void {
    this.#engine.start();
    void this.#receive();
  }

  /** Resolves when everything sent has reached the byte stream and its writable side is closed, or has failed. */
  get flushed(): Promise<void> {
    return this.#outputDone.promise;
  }

  /** Resolves when the byte stream has been let go. */
  get released(): Promise<void> {
    return this.#released.promise;
  }

  /** What still comes is of no interest: once this side has closed, all is over. */
  discard(): void {
    this.#discarding = true;
    this.#turn();
  }

  /** Ends at once, without anything said to the peer but what the error's alert says. */
  cut(error: TlsError): void {
    this.#cut = error.direction !== "sent";
    if (this.#engine.done) this.#release();
    else this.#engine.abort(error);
  }

  /** Whatever changed, everyone who waits gets a chance. Engine methods called from here come back here. */
  #turn(): void {
    if (this.#turning) {
      this.#again = true;
      return;
    }
    this.#turning = true;
    try {
      do {
        this.#again = false;
        this.#hooks.onProgress();
        this.#room?.();
        void this.#pump();
      } while (this.#again);
    } finally {
      this.#turning = false;
    }
    const over = this.#engine.done || (this.#discarding && this.#engine.finished);
    if (over && !this.#finishing) void this.#finish();
  }

  async #pump(): Promise<void> {
    if (this.#pumping || this.#outputOver) return;
    this.#pumping = true;
    try {
      for (;;) {
        const chunk = this.#engine.takeOutput();
        if (chunk.length === 0) break;
        // The engine has room again.
        this.#turn();
        await this.#writer.write(chunk);
        this.lastActivity = performance.now();
      }
      if (this.#engine.finished && this.#engine.outputLength === 0) {
        this.#outputOver = true;
        await this.#writer.close();
        this.#outputDone.resolve();
      }
    } catch (cause) {
      this.#outputOver = true;
      void this.#outputFailed(transportFault(cause));
    } finally {
      this.#pumping = false;
    }
  }

  /** The peer may have refused and gone; then its alert is among what can still be read, and says more. */
  async #outputFailed(error: TlsError): Promise<void> {
    this.#outputBroken = error;
    if (!this.#engine.done) {
      const timer = setTimeout(this.#limit.resolve, LAST_WORDS_MS);
      await Promise.race([this.#inputDone.promise, this.#limit.promise]);
      clearTimeout(timer);
    }
    this.#outputDone.reject(this.#engine.error ?? error);
    if (!this.#engine.done) this.cut(error);
  }

  async #receive(): Promise<void> {
    try {
      for (;;) {
        const { done, value } = await this.#reader.read();
        if (this.#isReleased) break;
        if (done) {
          this.#engine.receiveEnd();
          break;
        }
        this.lastActivity = performance.now();
        const bytes = bytesOf(value);
        if (this.#finishing) {
          this.#lingered += bytes.length;
          if (this.#lingered > LINGER_BYTES) this.#limit.resolve();
        }
        await this.#feed(bytes);
      }
    } catch (cause) {
      // After close_notify there is nothing left to miss.
      if (!this.#peerEnded && !this.#isReleased) this.cut(transportFault(cause));
    }
    this.#inputDone.resolve();
  }

  async #feed(bytes: Uint8Array): Promise<void> {
    let rest = bytes.subarray(this.#engine.receive(bytes));
    while (rest.length > 0) {
      if (this.#engine.room === 0) {
        await new Promise<void>((resolve) => {
          this.#room = resolve;
        });
        this.#room = undefined;
      }
      rest = rest.subarray(this.#engine.receive(rest));
    }
  }

  /** The engine is done: its last output goes out, what comes in is thrown away within bounds, the stream let go. */
  async #finish(): Promise<void> {
    this.#finishing = true;
    const { error } = this.#engine;
    const linger = error === undefined || error.direction === "sent";
    if (!this.#cut && this.#outputBroken === undefined) {
      const timer = setTimeout(this.#limit.resolve, LINGER_MS);
      const settled = this.#outputDone.promise.catch(ignore);
      await Promise.race([this.#limit.promise, Promise.all([settled, linger ? this.#inputDone.promise : undefined])]);
      clearTimeout(timer);
    }
    this.#release();
  }

  #release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#finishing = true;
    this.#outputOver = true;
    // Wipes its secrets.
    this.#engine.abort(fault("ERR_TLS_CLOSED"));
    const { error } = this.#engine;
    this.#room?.();
    this.#writer.abort(error).catch(ignore);
    this.#reader.cancel(error).catch(ignore);
    this.#outputDone.reject(error ?? this.#outputBroken ?? fault("ERR_TLS_CLOSED"));
    this.#released.resolve();
  }
}

/** An error of the byte stream as ours. */
function transportFault(cause: unknown): TlsError {
  return fault("ERR_TLS_TRANSPORT", cause instanceof Error ? cause.message : String(cause), { cause });
}
