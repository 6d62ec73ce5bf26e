/**
 * The sans-IO engine: bytes in, bytes and events out. It runs a handshake flow, joins its effects to records, and owns what
 * lives after the handshake. No socket, no timer, no clock and no randomness of its own.
 */
import { join } from "../bytes/bytes.ts";
import { Alert, decodeBody, type HandshakeMessage, KeyUpdate, NewSessionTicket } from "../codec/messages.ts";
import { AlertDescription, AlertLevel, ContentType, KeyUpdateRequest } from "../codec/registry.ts";
import { decode } from "../codec/schema.ts";
import { alertReceived, type CauseCode, fault, type Side, TlsError } from "../errors.ts";
import type { Flow, HandshakeName, StateName, Suspension } from "../flow.ts";
import type { HandshakeResult } from "../handshake/config.ts";
import type { HandshakeEffects, HandshakeEvent } from "../handshake/io.ts";
import { detached, type Observer } from "./observer.ts";
import { type InboundRecord, RecordConnection, type RecordOptions } from "./records.ts";

/** What the engine tells its user, in order, never while a flow is running. */
export type EngineEvent =
  /** This side has finished; a client has not been judged yet, see `accepted`. */
  | { readonly type: "handshake"; readonly result: HandshakeResult }
  /** Client only: the server has sent something after the handshake, so it has accepted this side. */
  | { readonly type: "accepted" }
  | { readonly type: "ticket"; readonly ticket: NewSessionTicket }
  | { readonly type: "key_update"; readonly requested: boolean }
  /** close_notify: the peer will send nothing more. This side may go on sending. */
  | { readonly type: "end" }
  /** Comes once; the engine is dead. An alert may still be in the output. */
  | { readonly type: "failed"; readonly error: TlsError }
  | HandshakeEvent;

/** Limits and hooks of the engine itself. */
export interface EngineLimits extends Omit<RecordOptions, "side" | "observer"> {
  /** High-water mark of undecrypted bytes, plaintext and output, each, in bytes. */
  readonly highWaterMark: number;
  readonly observer: Observer | undefined;
}

/** Starts the flow that an engine runs. */
export type StartFlow = (effects: HandshakeEffects) => Flow<HandshakeResult>;

/** Records without content, warnings and KeyUpdates that a peer may send in a row. */
const MAX_IN_A_ROW = 32;
/** What a queued chunk of plaintext counts besides its bytes: memory of a Uint8Array and its buffer. */
const CHUNK_COST = 128;
interface InARow {
  empty: number;
  warnings: number;
  keyUpdates: number;
}

const { change_cipher_spec, alert, handshake, application_data } = ContentType.codes;

/**
 * One end of a connection, made by a context. Every method is safe to call at any time, from event handlers and
 * callbacks too.
 *
 * @example
 * ```ts
 * const common = { provider: nobleProvider, clock: Date.now };
 * const client = clientContext({ ...common, serverName: "localhost", trust: ca }).engine();
 * const server = serverContext({ ...common, identities: [{ cert, key }] }).engine();
 * client.start();
 * server.start();
 * server.receive(client.takeOutput());
 * client.receive(server.takeOutput());
 * console.log(client.state); // CONNECTED
 * ```
 */
export class TlsEngine {
  readonly side: Side;
  readonly #limits: EngineLimits;
  readonly #records: RecordConnection;
  readonly #flow: Flow<HandshakeResult>;
  #suspension: Suspension | undefined;
  #running = false;
  #started = false;
  #processing = false;
  #state: StateName = "START";
  #result: HandshakeResult | undefined;
  #error: TlsError | undefined;
  #aborting: TlsError | undefined;
  #mayWrite = false;
  #accepted = false;
  #peerHello = false;
  #readClosed = false;
  #writeClosed = false;
  #closeRequested = false;
  #endOfInput = false;
  #keyUpdateOwed = false;
  #inARow: InARow = { empty: 0, warnings: 0, keyUpdates: 0 };
  #plaintext: Uint8Array[] = [];
  #plaintextLength = 0;
  #keyUpdateAwaited = false;
  #unsent: Uint8Array[] = [];
  #unsentLength = 0;
  #events: EngineEvent[] = [];
  #listener: ((event: EngineEvent) => void) | undefined;
  #progress: (() => void) | undefined;
  #draining = false;

  constructor(side: Side, start: StartFlow, limits: EngineLimits) {
    this.side = side;
    this.#limits = { ...limits, observer: detached(limits.observer) };
    this.#records = new RecordConnection({ ...this.#limits, side });
    this.#flow = start(this.#effects());
  }

  /**
   * Where events go and what is called after anything may have changed: look at output, plaintext and room then.
   * Set before {@link TlsEngine.start}.
   */
  listen(onEvent: (event: EngineEvent) => void, onProgress?: () => void): void {
    this.#listener = onEvent;
    this.#progress = onProgress;
  }

  /** Begins: a client's ClientHello is in the output afterwards, unless its key share is still a promise. */
  start(): void {
    if (this.#started) return;
    this.#started = true;
    this.#step(() => this.#flow.next());
    this.#process();
  }

  /** The state of RFC 8446 Appendix A. */
  get state(): StateName {
    return this.#state;
  }

  /** Set once this side has finished. */
  get result(): HandshakeResult | undefined {
    return this.#result;
  }

  /** Client: the server has sent something after the handshake. Server: same as having finished. */
  get accepted(): boolean {
    return this.#accepted;
  }

  /** What ended the connection, if it failed. */
  get error(): TlsError | undefined {
    return this.#error;
  }

  /** The peer has sent close_notify and everything before it was read. */
  get ended(): boolean {
    return this.#readClosed && this.#plaintextLength === 0;
  }

  /** This side has sent close_notify, or failed. */
  get finished(): boolean {
    return this.#writeClosed;
  }

  /** Nothing more will come out of or go into this engine but the output that is left. */
  get done(): boolean {
    return this.#error !== undefined || (this.#readClosed && this.#writeClosed);
  }

  /** Bytes that {@link TlsEngine.receive} would take now. */
  get room(): number {
    return Math.max(0, this.#limits.highWaterMark - this.#records.reader.buffered);
  }

  /** Bytes that {@link TlsEngine.write} would take now. */
  get writable(): number {
    if (this.#writeClosed || this.#closeRequested) return 0;
    return Math.max(0, this.#limits.highWaterMark - this.#records.outputLength - this.#unsentLength);
  }

  /** Bytes of output waiting. */
  get outputLength(): number {
    return this.#records.outputLength;
  }

  /**
   * Takes bytes from the peer. Never throws for what they are: that becomes an alert and a `failed` event.
   *
   * @param bytes - Copied as far as taken.
   * @returns How many were taken; offer the rest again after {@link TlsEngine.read} or the next progress.
   */
  receive(bytes: Uint8Array): number {
    // RFC 8446 6.1: what follows a closure alert is ignored.
    if (this.#error !== undefined || this.#readClosed) return bytes.length;
    const taken = Math.min(bytes.length, this.room);
    this.#records.reader.push(bytes.subarray(0, taken));
    this.#process();
    return taken;
  }

  /** The byte stream from the peer has ended. Without close_notify before it, that is a truncation. */
  receiveEnd(): void {
    this.#endOfInput = true;
    this.#process();
  }

  /** Takes the plaintext that is there, in order; `undefined` when there is none. The arrays are the caller's. */
  read(): Uint8Array | undefined {
    const chunk = this.#plaintext.shift();
    if (chunk === undefined) return undefined;
    this.#plaintextLength -= chunk.length + CHUNK_COST;
    this.#process();
    return chunk;
  }

  /**
   * Sends application data, or keeps it until the handshake allows.
   *
   * @param data - Copied or encrypted before this returns.
   * @returns How many bytes were taken, bounded by the high-water mark.
   * @throws TlsError the error that ended the connection, or `ERR_TLS_CLOSED` after close.
   */
  write(data: Uint8Array): number {
    if (this.#error !== undefined) throw this.#error;
    if (this.#writeClosed || this.#closeRequested) throw this.#own("ERR_TLS_CLOSED");
    const taken = Math.min(data.length, this.writable);
    if (taken === 0) return 0;
    if (this.#mayWrite && !this.#running && this.#unsentLength === 0) {
      this.#guard(() => {
        this.#payKeyUpdate();
        this.#records.sendApplicationData(data.subarray(0, taken));
      });
    } else {
      this.#unsent.push(data.slice(0, taken));
      this.#unsentLength += taken;
    }
    this.#settle();
    return taken;
  }

  /** Takes the bytes to send to the peer. The array is the caller's. */
  takeOutput(): Uint8Array {
    if (!this.#running && this.#error === undefined) this.#guard(() => this.#payKeyUpdate());
    return join(this.#records.takeOutput());
  }

  /** Sends close_notify after everything written so far (RFC 8446 6.1). Reading goes on. */
  close(): void {
    if (this.#error !== undefined || this.#closeRequested) return;
    this.#closeRequested = true;
    this.#flushUnsent();
    this.#settle();
  }

  /** Ends the connection at once, with user_canceled or the alert of `error`. */
  abort(error: TlsError = fault("ERR_TLS_ABORTED")): void {
    if (this.done) return;
    if (this.#running) this.#aborting = error;
    else this.#fail(error);
    this.#settle();
  }

  /**
   * Moves this side's sending key on (RFC 8446 4.6.3), and the peer's too when asked. While a request is unanswered no
   * other is made (RFC 9846 4.7.3).
   */
  updateKeys(request: "update_requested" | "update_not_requested" = "update_not_requested"): void {
    if (this.#result === undefined || this.#writeClosed) throw this.#own("ERR_TLS_CLOSED");
    const ask = request === "update_requested" && !this.#keyUpdateAwaited;
    if (ask) this.#keyUpdateAwaited = true;
    this.#guard(() => this.#records.updateWriteKey(ask ? request : "update_not_requested"));
    this.#settle();
  }

  #effects(): HandshakeEffects {
    const records = this.#records;
    const observer = this.#limits.observer;
    return {
      send: (epoch, message) => records.sendHandshake(epoch, message),
      install: (direction, epoch, suite, secret) => {
        if (direction === "read") records.installRead(epoch, suite, secret);
        else records.installWrite(epoch, suite, secret);
      },
      compatibilityMode: () => records.wantCompatibility(),
      allowApplicationData: () => {
        this.#mayWrite = true;
      },
      enter: (state) => this.#enter(state),
      reveal: (label, clientRandom, secret) => observer?.({ kind: "secret", label, clientRandom, secret }),
      emit: (event) => this.#events.push(event),
    };
  }

  #enter(state: StateName): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#limits.observer?.({ kind: "state", state });
  }

  /** Runs the flow up to its next suspension. */
  #step(resume: () => IteratorResult<Suspension, HandshakeResult>): void {
    // An observer may have ended it meanwhile.
    if (this.#error !== undefined) return;
    this.#suspension = undefined;
    this.#running = true;
    let step: IteratorResult<Suspension, HandshakeResult>;
    try {
      step = resume();
      this.#records.flush();
    } catch (error) {
      this.#running = false;
      this.#fail(error);
      return;
    }
    this.#running = false;
    // Before an abort takes effect: an abandoned promise needs its handlers too.
    if (!step.done) this.#suspend(step.value);
    if (this.#aborting !== undefined) this.#fail(this.#aborting);
    else if (step.done) this.#complete(step.value);
    this.#flushUnsent();
  }

  #suspend(suspension: Suspension): void {
    this.#suspension = suspension;
    if (suspension.need === "message") {
      this.#enter(suspension.state);
      return;
    }
    const { operation, promise } = suspension;
    this.#limits.observer?.({ kind: "operation", operation, phase: "suspended" });
    // An abandoned promise keeps its handlers, and its late result finds another suspension or none.
    const settle = (resume: () => IteratorResult<Suspension, HandshakeResult>) => {
      if (this.#suspension !== suspension) return;
      this.#limits.observer?.({ kind: "operation", operation, phase: "resumed" });
      this.#step(resume);
      this.#process();
    };
    promise.then(
      (value) => settle(() => this.#flow.next(value)),
      (reason) => settle(() => this.#flow.throw(reason)),
    );
  }

  #complete(result: HandshakeResult): void {
    this.#result = result;
    this.#enter("CONNECTED");
    if (this.side === "server") this.#accepted = true;
    this.#events.push({ type: "handshake", result });
  }

  /** Works through what has been received as far as states and queues allow, then tells the listener. */
  #process(): void {
    if (!this.#processing && !this.#running) {
      this.#processing = true;
      try {
        while (this.#advance()) {
          // Until nothing moves.
        }
      } catch (error) {
        this.#fail(error);
      } finally {
        this.#processing = false;
      }
    }
    this.#settle();
  }

  /** One message or record; false when there is nothing to do now. */
  #advance(): boolean {
    if (this.#error !== undefined || this.#readClosed || !this.#started) return false;
    if (this.#suspension?.need === "promise") return false;
    const message = this.#records.messages.next();
    if (message !== undefined) {
      this.#deliver(message);
      return true;
    }
    if (this.#plaintextLength >= this.#limits.highWaterMark) return false;
    const record = this.#records.next();
    if (record !== undefined) {
      this.#accept(record);
      return true;
    }
    if (this.#endOfInput)
      throw fault("ERR_SSL_UNEXPECTED_EOF_WHILE_READING", this.#result ? undefined : "during the handshake");
    return false;
  }

  /** The only place that holds a message against what is legal. */
  #deliver(message: HandshakeMessage): void {
    const expecting = this.#expecting();
    this.#limits.observer?.({
      kind: "message",
      direction: "received",
      epoch: this.#records.readEpoch,
      type: message.type,
      bytes: message.bytes,
    });
    if (!expecting.includes(message.type)) {
      throw fault(
        "ERR_SSL_UNEXPECTED_MESSAGE",
        `${message.type} in state ${this.#state}, which expects ${expecting.join(" or ") || "nothing"}`,
      );
    }
    if (this.#result === undefined) {
      this.#peerHello = true;
      this.#step(() => this.#flow.next(message));
    } else if (message.type === "key_update") {
      this.#receiveKeyUpdate(message);
    } else {
      this.#noteAccepted();
      this.#events.push({ type: "ticket", ticket: decodeBody(NewSessionTicket, message) });
    }
  }

  #expecting(): readonly HandshakeName[] {
    if (this.#result !== undefined)
      return this.side === "client" ? ["new_session_ticket", "key_update"] : ["key_update"];
    return this.#suspension?.need === "message" ? this.#suspension.expecting : [];
  }

  /** RFC 8446 4.6.3 */
  #receiveKeyUpdate(message: HandshakeMessage): void {
    const { request_update } = decodeBody(KeyUpdate, message);
    if (KeyUpdateRequest.name(request_update) === undefined) {
      throw fault("ERR_TLS_ILLEGAL_PARAMETER", `request_update ${request_update}`);
    }
    // An answer is not counted: this side decides how many there are.
    if (this.#keyUpdateAwaited) this.#keyUpdateAwaited = false;
    else this.#count("keyUpdates", "ERR_TLS_TOO_MANY_KEY_UPDATES");
    this.#records.updateReadKey();
    const requested = request_update === KeyUpdateRequest.codes.update_requested;
    // Several requests while this side is silent get one answer.
    if (requested) this.#keyUpdateOwed = true;
    this.#events.push({ type: "key_update", requested });
  }

  #payKeyUpdate(): void {
    if (!this.#keyUpdateOwed || this.#writeClosed) return;
    this.#keyUpdateOwed = false;
    this.#records.updateWriteKey("update_not_requested");
  }

  #accept(record: InboundRecord): void {
    switch (record.type) {
      case handshake:
        if (this.#records.readEpoch !== "initial" && !record.isProtected)
          throw this.#unexpectedRecord("an unprotected handshake record");
        // RFC 8446 5.1: no zero-length handshake fragments.
        if (record.content.length === 0) throw this.#unexpectedRecord("an empty handshake record");
        this.#records.messages.push(record.content);
        return;
      case alert:
        this.#receiveAlert(record);
        return;
      case change_cipher_spec:
        this.#receiveChangeCipherSpec(record);
        return;
      case application_data:
        this.#receiveApplicationData(record);
        return;
      default:
        throw this.#unexpectedRecord(`content type ${record.type}`);
    }
  }

  /** RFC 8446 5: dropped between the first ClientHello and the peer's Finished, an error anywhere else. */
  #receiveChangeCipherSpec(record: InboundRecord): void {
    const early = this.side === "server" && !this.#peerHello;
    if (record.isProtected || early || this.#result !== undefined) throw this.#unexpectedRecord("change_cipher_spec");
    if (record.content.length !== 1 || record.content[0] !== 1)
      throw this.#unexpectedRecord("change_cipher_spec other than 1");
    this.#assertNoPartialMessage();
    this.#count("empty", "ERR_TLS_TOO_MANY_EMPTY_RECORDS");
  }

  #receiveApplicationData(record: InboundRecord): void {
    if (!record.isProtected || this.#result === undefined)
      throw this.#unexpectedRecord("application data before the handshake is done");
    this.#assertNoPartialMessage();
    if (record.content.length === 0) {
      this.#count("empty", "ERR_TLS_TOO_MANY_EMPTY_RECORDS");
      return;
    }
    this.#inARow = { empty: 0, warnings: 0, keyUpdates: 0 };
    this.#noteAccepted();
    // Padding is not kept: behind one byte there may be 16 KiB of it.
    this.#plaintext.push(record.padding > record.content.length ? record.content.slice() : record.content);
    this.#plaintextLength += record.content.length + CHUNK_COST;
  }

  /** RFC 8446 6. The level is ignored. */
  #receiveAlert(record: InboundRecord): void {
    // A client that failed before it had keys can only say so in the clear.
    if (
      !record.isProtected &&
      this.#records.readEpoch !== "initial" &&
      !(this.side === "server" && this.#records.beforeProtected)
    ) {
      throw this.#unexpectedRecord("an unprotected alert");
    }
    const { description } = decode(Alert, record.content, "the alert");
    const name = AlertDescription.name(description);
    if (name === "user_canceled") {
      this.#assertNoPartialMessage();
      // RFC 9846 6.1: a close_notify follows.
      this.#count("warnings", "ERR_TLS_TOO_MANY_WARNINGS");
      return;
    }
    if (name !== "close_notify" || this.#result === undefined) throw alertReceived(name ?? description);
    this.#assertNoPartialMessage();
    this.#noteAccepted();
    this.#readClosed = true;
    this.#events.push({ type: "end" });
  }

  #noteAccepted(): void {
    if (this.#accepted) return;
    this.#accepted = true;
    this.#events.push({ type: "accepted" });
  }

  /** RFC 8446 5.1: nothing may stand between the fragments of a message. */
  #assertNoPartialMessage(): void {
    if (this.#records.messages.buffered > 0)
      throw this.#unexpectedRecord("a record between the fragments of a handshake message");
  }

  #count(what: keyof InARow, code: CauseCode): void {
    if (++this.#inARow[what] > MAX_IN_A_ROW) throw fault(code);
  }

  #unexpectedRecord(detail: string): TlsError {
    return fault("ERR_SSL_UNEXPECTED_MESSAGE", detail);
  }

  #flushUnsent(): void {
    if (!this.#mayWrite || this.#running || this.#error !== undefined || this.#writeClosed) return;
    this.#guard(() => {
      const unsent = this.#unsent;
      this.#unsent = [];
      this.#unsentLength = 0;
      for (const data of unsent) {
        this.#payKeyUpdate();
        this.#records.sendApplicationData(data);
      }
      if (this.#closeRequested) {
        this.#writeClosed = true;
        this.#records.sendAlert(AlertLevel.codes.warning, AlertDescription.codes.close_notify);
      }
    });
  }

  /** Ends everything with one error, and with one alert where this side found the fault. */
  #fail(cause: unknown): void {
    if (this.#error !== undefined) return;
    const error = cause instanceof TlsError ? cause : fault("ERR_TLS_INTERNAL", String(cause), { cause });
    error.side ??= this.side;
    error.stage ??= this.#state;
    this.#error = error;
    this.#suspension = undefined;
    this.#unsent = [];
    this.#unsentLength = 0;
    if (!this.#running) this.#flow.return(undefined as never);
    if (error.alert !== undefined && error.direction === "sent" && !this.#writeClosed) this.#sendFailure(error);
    this.#writeClosed = true;
    this.#records.wipe();
    this.#events.push({ type: "failed", error });
  }

  #sendFailure(error: TlsError): void {
    const { warning, fatal } = AlertLevel.codes;
    const { user_canceled, close_notify } = AlertDescription.codes;
    try {
      if (error.alert === "user_canceled") {
        // RFC 9846 6.1: followed by close_notify; after the handshake close_notify alone is right.
        if (this.#result === undefined) this.#records.sendAlert(warning, user_canceled);
        this.#records.sendAlert(warning, close_notify);
      } else if (error.alert !== undefined) {
        this.#records.sendAlert(fatal, AlertDescription.codes[error.alert]);
      }
    } catch (cause) {
      // The AEAD is exhausted: there is no key left to send an alert with, and the first error is the one to report.
      if (!(cause instanceof TlsError && cause.code === "ERR_TLS_RECORD_LIMIT")) throw cause;
    }
  }

  #own(code: CauseCode): TlsError {
    const error = fault(code);
    error.side = this.side;
    error.stage = this.#state;
    return error;
  }

  #guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Hands out queued events and the word that something may have changed. */
  #settle(): void {
    if (this.#running || this.#processing || this.#draining) return;
    this.#draining = true;
    try {
      for (let event = this.#events.shift(); event !== undefined; event = this.#events.shift()) this.#listener?.(event);
    } finally {
      this.#draining = false;
    }
    this.#progress?.();
  }
}
