/** Moves bytes between an engine and a Duplex: no promise on the way, backpressure both ways, an orderly end. */
import type { Duplex } from "node:stream";
import type { TlsEngine } from "../../engine/engine.ts";
import { fault, type TlsError } from "../../errors.ts";
import type { HandshakeResult } from "../../handshake/config.ts";
import type { Session } from "../../handshake/session.ts";

/** How much and how long is thrown away after the last alert, lest a reset destroys it on its way: bytes and ms. */
const LINGER_BYTES = 0x40000;
const LINGER_MS = 2000;

type Callback = (error?: Error | null) => void;

/** What the wire tells its socket. */
export interface WireHooks {
  established(result: HandshakeResult): void;
  /** A client has been given a ticket. */
  session(session: Session): void;
  /** Plaintext; false when no more is wanted for now. */
  plaintext(chunk: Buffer): boolean;
  /** The peer will send nothing more: by close_notify, or because the stream underneath has ended. */
  ended(): void;
  /** The handshake or the session has failed; what there is to say to the peer is on its way. */
  failed(error: TlsError): void;
  /** Bytes moved. */
  active(): void;
}

export class Wire {
  readonly #raw: Duplex;
  readonly #engine: TlsEngine;
  readonly #hooks: WireHooks;
  /** Received, and the engine had no room for it. */
  #rest: Uint8Array | undefined;
  #wanted = true;
  #inputEnded = false;
  #endTold = false;
  #writing: { data: Uint8Array; readonly done: Callback } | undefined;
  #ending: Callback | undefined;
  #turning = false;
  #again = false;
  #draining = false;
  #released = false;
  #lingering = false;
  #lingered = 0;
  #lost = false;
  /** Most plaintext in one record, in bytes; the engine's own limit where that is lower. */
  maxFragment = Number.POSITIVE_INFINITY;

  constructor(raw: Duplex, engine: TlsEngine, hooks: WireHooks) {
    this.#raw = raw;
    this.#engine = engine;
    this.#hooks = hooks;
  }

  /**
   * Whether an error of the stream underneath is nobody's loss: it could not take what this side says of itself, such as
   * tickets for a client that has gone. node:tls is silent about that too.
   */
  isHarmless(error: NodeJS.ErrnoException): boolean {
    return error.syscall === "write" && !this.#lost && this.#writing === undefined && !this.#raw.writableEnded;
  }

  start(): void {
    const raw = this.#raw;
    this.#engine.listen(
      (event) => {
        if (this.#released) return;
        if (event.type === "handshake") this.#hooks.established(event.result);
        else if (event.type === "ticket") this.#hooks.session(event.session);
        else if (event.type === "failed") this.#fail(event.error);
      },
      () => this.#turn(),
    );
    raw.on("data", (chunk: Buffer) => this.#receive(chunk));
    raw.on("end", () => this.#receiveEnd());
    this.#engine.start();
    if (!this.#released) raw.resume();
  }

  /** More plaintext is wanted. */
  want(): void {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#turn();
  }

  /** @param done - Called when all of it has been taken by the stream underneath. One write at a time. */
  write(data: Uint8Array, done: Callback): void {
    this.#writing = { data, done };
    this.#turn();
  }

  /** Sends close_notify, then ends the stream underneath. */
  end(done: Callback): void {
    this.#ending = done;
    this.#turn();
  }

  /** Lets go of everything; what is on its way to say goodbye still goes. */
  release(error: Error | null): void {
    if (this.#released) return;
    this.#released = true;
    // Wipes its secrets.
    this.#engine.abort(fault("ERR_TLS_CLOSED"));
    const { done } = this.#writing ?? {};
    this.#writing = undefined;
    done?.(error ?? fault("ERR_TLS_CLOSED"));
    if (!this.#lingering) this.#raw.destroy();
  }

  #receive(chunk: Uint8Array): void {
    if (this.#lingering) {
      this.#lingered += chunk.length;
      if (this.#lingered > LINGER_BYTES) this.#raw.destroy();
      return;
    }
    if (this.#released) return;
    this.#hooks.active();
    if (this.#rest !== undefined) {
      this.#rest = Buffer.concat([this.#rest, chunk]);
      return;
    }
    const taken = this.#engine.receive(chunk);
    if (taken < chunk.length) {
      this.#rest = chunk.subarray(taken);
      this.#turn();
    }
  }

  #receiveEnd(): void {
    this.#inputEnded = true;
    if (this.#lingering) this.#raw.destroy();
    else this.#turn();
  }

  /** Whatever changed, everyone who waits gets a chance. What is called from here may come back here. */
  #turn(): void {
    if (this.#turning) {
      this.#again = true;
      return;
    }
    if (this.#released) return;
    this.#turning = true;
    try {
      do {
        this.#again = false;
        this.#deliver();
        this.#send();
      } while (this.#again && !this.#released);
    } finally {
      this.#turning = false;
    }
  }

  #deliver(): void {
    const engine = this.#engine;
    for (;;) {
      while (this.#wanted && !this.#released) {
        const chunk = engine.read();
        if (chunk === undefined) break;
        this.#wanted = this.#hooks.plaintext(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
      }
      if (this.#released) return;
      const rest = this.#rest;
      if (rest === undefined || !this.#wanted) break;
      const taken = engine.receive(rest);
      this.#rest = taken < rest.length ? rest.subarray(taken) : undefined;
      if (taken === 0) break;
    }
    if (this.#released) return;
    if (this.#rest !== undefined || !this.#wanted) this.#raw.pause();
    else if (this.#raw.isPaused()) this.#raw.resume();
    // Without close_notify too, as node:tls.
    const ended = engine.ended || (this.#inputEnded && this.#wanted && this.#rest === undefined);
    if (ended && !this.#endTold) {
      this.#endTold = true;
      this.#hooks.ended();
    }
  }

  #send(): void {
    const engine = this.#engine;
    // What the peer does not read stays in the engine, where several answers to its KeyUpdates are one.
    if (this.#raw.writableNeedDrain) {
      this.#waitForDrain();
      return;
    }
    let written: Callback | undefined;
    const writing = this.#writing;
    if (writing !== undefined && engine.result !== undefined && engine.error === undefined && !engine.finished) {
      while (writing.data.length > 0 && this.#writing === writing) {
        const taken = engine.write(writing.data.subarray(0, this.maxFragment));
        writing.data = writing.data.subarray(taken);
        if (taken === 0) this.#flush();
      }
      if (this.#writing === writing) {
        this.#writing = undefined;
        written = writing.done;
      }
    }
    const ending = this.#ending;
    if (ending !== undefined && engine.result !== undefined && this.#writing === undefined) {
      this.#ending = undefined;
      engine.close();
      this.#flush(written);
      this.#raw.end(() => ending());
      return;
    }
    this.#flush(written);
  }

  #waitForDrain(): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#raw.once("drain", () => {
      this.#draining = false;
      this.#turn();
    });
  }

  #flush(written?: Callback): void {
    const output = this.#engine.takeOutputs();
    const last = output.pop();
    if (last === undefined) {
      written?.();
      return;
    }
    const raw = this.#raw;
    // The records of one flush go out in one gathering write.
    raw.cork();
    for (const record of output) raw.write(record);
    raw.write(last, (error) => {
      if (!error) this.#hooks.active();
      else if (written !== undefined) this.#lost = true;
      written?.(error);
    });
    raw.uncork();
  }

  /** What was read before stays readable; the alert goes out, and what still comes in is thrown away within bounds. */
  #fail(error: TlsError): void {
    const raw = this.#raw;
    this.#deliver();
    if (this.#released) return;
    const output = this.#engine.takeOutput();
    if (error.direction === "sent" && output.length > 0 && !raw.destroyed) {
      this.#lingering = true;
      raw.end(output);
      raw.resume();
      const timer = setTimeout(() => raw.destroy(), LINGER_MS).unref();
      raw.once("close", () => clearTimeout(timer));
      if (this.#inputEnded) raw.once("finish", () => raw.destroy());
    }
    this.#hooks.failed(error);
  }
}
