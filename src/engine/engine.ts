/**
 * The sans-IO engine: bytes in, bytes and events out. It runs a handshake flow, joins its effects to records, and owns what
 * lives after the handshake. No socket, no timer, no clock and no randomness of its own.
 */
import { join, wipe } from "../bytes/bytes.ts";
import type { HandshakeMessage } from "../codec/messages.ts";
import { type CauseCode, fault, type Side, TlsError } from "../errors.ts";
import type { Flow, HandshakeName, StateName, Suspension } from "../flow.ts";
import type { HandshakeResult } from "../handshake/config.ts";
import type { ExporterSecret, HandshakeEffects, HandshakeEvent } from "../handshake/io.ts";
import { handshakeResult } from "../handshake/result.ts";
import { exportKeyingMaterial } from "../schedule/secrets.ts";
import { After, type AfterEvent, type Aftermath } from "./after.ts";
import { Inbound } from "./inbound.ts";
import { type IncomingOptions, IncomingRecords } from "./incoming.ts";
import { detached } from "./observer.ts";
import { Outbound } from "./outbound.ts";
import { type OutgoingOptions, OutgoingRecords } from "./outgoing.ts";

/** What the engine tells its user, in order, never while a flow is running. */
export type EngineEvent =
  /** This side has finished; a client has not been judged yet, see `accepted`. */
  | { readonly type: "handshake"; readonly result: HandshakeResult }
  /** Client only: the server has sent data or a ticket, so it has accepted this side; see {@link TlsEngine.accepted}. */
  | { readonly type: "accepted" }
  /** Client: what the server does with early data. Server: some can be read. */
  | { readonly type: "early_data"; readonly outcome: "accepted" | "rejected" }
  /** close_notify: the peer will send nothing more. This side may go on sending. */
  | { readonly type: "end" }
  /** Comes once; the engine is dead. An alert may still be in the output. */
  | { readonly type: "failed"; readonly error: TlsError }
  | AfterEvent
  | HandshakeEvent;

/** Limits and hooks of the engine itself. */
export interface EngineLimits extends Omit<OutgoingOptions, "side">, IncomingOptions {
  /** High-water mark of undecrypted bytes, plaintext and output, each, in bytes. */
  readonly highWaterMark: number;
  /** A server's first message may be a second ClientHello. */
  readonly statelessRetries: boolean;
}

/** Starts the flow that an engine runs. */
export type StartFlow = (effects: HandshakeEffects) => Flow<HandshakeResult>;

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
  readonly #incoming: IncomingRecords;
  readonly #outgoing: OutgoingRecords;
  readonly #inbound: Inbound;
  readonly #outbound: Outbound;
  readonly #aftermath: Aftermath;
  readonly #flow: Flow<HandshakeResult>;
  #after: After | undefined;
  #suspension: Suspension | undefined;
  #running = false;
  #started = false;
  #processing = false;
  #state: StateName = "START";
  #result: HandshakeResult | undefined;
  #earlyExporter: ExporterSecret | undefined;
  #error: TlsError | undefined;
  #aborting: TlsError | undefined;
  #accepted = false;
  #flightTaken = false;
  #readClosed = false;
  #endOfInput = false;
  #events: EngineEvent[] = [];
  #listener: ((event: EngineEvent) => void) | undefined;
  #progress: (() => void) | undefined;
  #draining = false;

  constructor(side: Side, start: StartFlow, limits: EngineLimits, aftermath: Aftermath = {}) {
    this.side = side;
    this.#aftermath = aftermath;
    this.#limits = { ...limits, observer: detached(limits.observer) };
    this.#incoming = new IncomingRecords(this.#limits, () => this.#process());
    this.#outgoing = new OutgoingRecords({ ...this.#limits, side }, () => this.#settle());
    this.#inbound = new Inbound(side, this.#incoming, limits.highWaterMark, limits.statelessRetries);
    this.#outbound = new Outbound(this.#outgoing, limits.highWaterMark);
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

  /**
   * Client: the server has sent data or a ticket since this side's last flight was taken, so it has judged this side. A
   * server that sends data before it has read that flight can still mislead. Server: same as having finished.
   */
  get accepted(): boolean {
    return this.#accepted;
  }

  /** What ended the connection, if it failed. */
  get error(): TlsError | undefined {
    return this.#error;
  }

  /** The peer has sent close_notify and everything before it was read. */
  get ended(): boolean {
    return this.#readClosed && this.#inbound.empty;
  }

  /** This side has sent close_notify, or failed. */
  get finished(): boolean {
    return this.#outbound.closed;
  }

  /** Nothing more will come out of or go into this engine but the output that is left. */
  get done(): boolean {
    return this.#error !== undefined || (this.#readClosed && this.#outbound.closed);
  }

  /** Something asynchronous is under way: an operation of the handshake, or records in protection. */
  get busy(): boolean {
    return this.#suspension?.need === "promise" || this.#incoming.busy || this.#outgoing.busy;
  }

  /** Bytes that {@link TlsEngine.receive} would take now. */
  get room(): number {
    return Math.max(0, this.#limits.highWaterMark - this.#incoming.reader.buffered);
  }

  /** Bytes that {@link TlsEngine.write} would take now. */
  get writable(): number {
    return this.#outbound.room;
  }

  /** Bytes of output waiting. */
  get outputLength(): number {
    return this.#outgoing.length;
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
    // A Buffer's `slice` would not copy.
    this.#incoming.reader.push(new Uint8Array(bytes.buffer, bytes.byteOffset, taken));
    try {
      this.#process();
    } finally {
      this.#incoming.reader.keep();
    }
    return taken;
  }

  /** The byte stream from the peer has ended. Without close_notify before it, that is a truncation. */
  receiveEnd(): void {
    this.#endOfInput = true;
    this.#process();
  }

  /** Takes the plaintext that is there, in order; `undefined` when there is none. The arrays are the caller's. */
  read(): Uint8Array | undefined {
    const chunk = this.#inbound.read();
    if (chunk !== undefined) this.#process();
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
    if (this.#outbound.closing) throw this.#own("ERR_TLS_CLOSED");
    let taken = 0;
    this.#guard(() => {
      taken = this.#outbound.write(data, !this.#running);
    });
    this.#settle();
    return taken;
  }

  /**
   * Keying material that both ends derive alike and nobody else can (RFC 8446 7.5).
   *
   * @param length - In bytes, 1 to 255 times the hash's length.
   * @param label - 1 to 249 ASCII characters, registered or private ("EXPORTER-...").
   * @param context - Mixed in; none is the same as an empty one.
   * @throws TlsError `ERR_TLS_OPTION` for other lengths and labels, `ERR_TLS_CLOSED` before the handshake is done and
   * when the connection is over: the secret is gone then.
   */
  exportKeyingMaterial(length: number, label: string, context: Uint8Array = new Uint8Array(0)): Uint8Array {
    const hash = this.#outgoing.suite?.hash;
    const secret = this.#result?.exporterSecret;
    return this.#export(hash && secret && { hash, secret }, length, label, context);
  }

  /**
   * The same from the early exporter: what is made of it may be made of a replayed ClientHello, too (RFC 8446 7.5, E.5).
   *
   * @throws TlsError `ERR_TLS_OPTION` as above; `ERR_TLS_CLOSED` where early data was neither offered, by a client, nor
   * accepted, by a server, and when the connection is over.
   */
  exportEarlyKeyingMaterial(length: number, label: string, context: Uint8Array = new Uint8Array(0)): Uint8Array {
    return this.#export(this.#earlyExporter, length, label, context);
  }

  #export(from: ExporterSecret | undefined, length: number, label: string, context: Uint8Array): Uint8Array {
    if (from === undefined || this.done) throw this.#own("ERR_TLS_CLOSED");
    const { hash, secret } = from;
    if (!Number.isInteger(length) || length < 1 || length > 255 * hash.length)
      throw fault("ERR_TLS_OPTION", `${length} bytes of keying material, not 1 to ${255 * hash.length}`);
    if (!/^[\x20-\x7e]{1,249}$/.test(label)) throw fault("ERR_TLS_OPTION", "a label is 1 to 249 ASCII characters");
    return exportKeyingMaterial(hash, secret, label, context, length);
  }

  /**
   * 32 bytes that are this connection's alone, for a protocol above to bind its authentication to (RFC 9266). In TLS 1.3
   * they always exist once the handshake is done; never during early data.
   *
   * @throws TlsError `ERR_TLS_OPTION` for types other than "tls-exporter", which TLS 1.3 has not; `ERR_TLS_CLOSED` as
   * for {@link TlsEngine.exportKeyingMaterial}.
   */
  channelBinding(type: "tls-exporter"): Uint8Array {
    if (type !== "tls-exporter") throw fault("ERR_TLS_OPTION", `channel binding ${String(type)} in TLS 1.3`);
    return this.exportKeyingMaterial(32, "EXPORTER-Channel-Binding");
  }

  /** Bytes of early data that {@link TlsEngine.writeEarlyData} would take now; none unless a session allows it. */
  get earlyDataRoom(): number {
    return this.#outbound.earlyRoom;
  }

  /**
   * Client: sends data that an attacker may replay and that is not forward secret (RFC 8446 2.3), after
   * {@link TlsEngine.start} and until the server has answered. An `early_data` event says what became of it; what was
   * rejected is the caller's to send again.
   *
   * @returns How many bytes were taken.
   */
  writeEarlyData(data: Uint8Array): number {
    let taken = 0;
    this.#guard(() => {
      taken = this.#outbound.writeEarlyData(data);
    });
    this.#settle();
    return taken;
  }

  /** Server: takes early data that is there, in order; it may be a replay, and comes before the client has finished. */
  readEarlyData(): Uint8Array | undefined {
    const chunk = this.#inbound.readEarlyData();
    if (chunk !== undefined) this.#process();
    return chunk;
  }

  /** Takes the bytes to send to the peer. The array is the caller's. */
  takeOutput(): Uint8Array {
    const records = this.takeOutputs();
    return records.length === 1 ? (records[0] as Uint8Array) : join(records);
  }

  /** The same as {@link TlsEngine.takeOutput} without joining: one array for each record, in order, for a gathering write. */
  takeOutputs(): Uint8Array[] {
    if (!this.#running && this.#error === undefined) this.#guard(() => this.#outbound.pay());
    if (this.#result !== undefined) this.#flightTaken = true;
    let output: Uint8Array[] = [];
    this.#guard(() => {
      output = this.#outgoing.take();
    });
    // Protection that has failed meanwhile is found here and nowhere else.
    if (this.#events.length > 0) this.#settle();
    return output;
  }

  /** Sends close_notify after everything written so far (RFC 8446 6.1). Reading goes on. */
  close(): void {
    if (this.#error !== undefined || this.#outbound.closing) return;
    this.#outbound.close();
    this.#flushOutbound();
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
    const after = this.#after;
    if (after === undefined || this.#outbound.closed) throw this.#own("ERR_TLS_CLOSED");
    this.#guard(() => after.updateKeys(request));
    this.#settle();
  }

  /**
   * Server: asks the client for a certificate, any number of times (RFC 8446 4.6.2). The answer comes as a
   * `client_authenticated` event; one that does not verify, or that `authorize` refuses, ends the connection.
   *
   * @returns certificate_request_context, which the event repeats.
   * @throws TlsError `ERR_TLS_POST_HANDSHAKE_AUTH` where the client has not offered it, the option `postHandshakeAuth` is
   * not set, or 16 requests are open; `ERR_TLS_CLOSED` before and after the connection.
   */
  requestClientCertificate(): Uint8Array {
    const after = this.#after;
    if (after === undefined || this.done || this.#outbound.closing) throw this.#own("ERR_TLS_CLOSED");
    const { context, send } = after.requestClientCertificate();
    this.#guard(send);
    this.#settle();
    return context;
  }

  #effects(): HandshakeEffects {
    const incoming = this.#incoming;
    const outgoing = this.#outgoing;
    const observer = this.#limits.observer;
    return {
      send: (epoch, message) => {
        this.#assertWanted();
        outgoing.sendHandshake(epoch, message);
      },
      install: (direction, epoch, suite, secret) => {
        this.#assertWanted();
        if (direction === "read") incoming.install(epoch, suite, secret);
        else outgoing.install(epoch, suite, secret);
      },
      assertAligned: () => incoming.assertAligned(),
      discard: () => outgoing.discard(),
      openEarlyData: (limit, exporter) => {
        this.#earlyExporter = exporter;
        if (this.side === "client") this.#outbound.allowEarlyData(limit);
        else this.#inbound.allowEarlyData(limit);
      },
      closeEarlyData: (outcome) => {
        this.#outbound.allowEarlyData(0);
        this.#events.push({ type: "early_data", outcome });
      },
      skipEarlyData: (how, limit) => incoming.skipEarlyData(how, limit),
      limitRecords: (direction, limit, unprotected) => {
        if (direction === "read") incoming.limit(limit);
        else outgoing.limit(limit, unprotected);
      },
      compatibilityMode: () => outgoing.wantCompatibility(),
      allowApplicationData: () => {
        this.#outbound.allowed = true;
      },
      enter: (state) => this.#enter(state),
      reveal: (label, clientRandom, secret) => observer?.({ kind: "secret", label, clientRandom, secret }),
      emit: (event) => this.#events.push(event),
    };
  }

  /** A callback may have aborted: then the flow must not go on to say who this side is. */
  #assertWanted(): void {
    if (this.#aborting !== undefined) throw this.#aborting;
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
      if (this.#aborting === undefined) this.#outgoing.flush();
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
    this.#flushOutbound();
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
    // Through a real promise, which unwraps thenables of thenables and settles once.
    Promise.resolve(promise).then(
      (value) => settle(() => this.#flow.next(value)),
      (reason) => settle(() => this.#flow.throw(reason)),
    );
  }

  #complete(result: HandshakeResult): void {
    this.#result = result;
    this.#enter("CONNECTED");
    if (this.side === "server") this.#accepted = true;
    this.#events.push({ type: "handshake", result });
    this.#after = new After(
      {
        side: this.side,
        aftermath: this.#aftermath,
        incoming: this.#incoming,
        outgoing: this.#outgoing,
        inbound: this.#inbound,
        outbound: this.#outbound,
        emit: (event) => this.#events.push(event),
        noteAccepted: () => this.#noteAccepted(),
        guard: (action) => {
          if (this.#error === undefined && !this.#outbound.closed) this.#guard(action);
        },
        identified: (facts) => this.#identify(facts),
        fail: (cause) => {
          if (!this.done) this.#fail(cause);
        },
        settle: () => this.#settle(),
      },
      result,
    );
    this.#after.begin();
  }

  #identify(facts: Partial<HandshakeResult>): void {
    const result = this.#result as HandshakeResult;
    this.#result = handshakeResult({ ...result, ...facts }, result);
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
    const message = this.#incoming.messages.next();
    if (message !== undefined) {
      this.#deliver(message);
      return true;
    }
    if (this.#inbound.full) return false;
    const record = this.#incoming.next();
    if (record !== undefined) {
      const outcome = this.#inbound.accept(record, this.#result !== undefined);
      if (outcome === "data") this.#noteAccepted();
      if (outcome === "early_data") this.#events.push({ type: "early_data", outcome: "accepted" });
      if (outcome === "closed") {
        this.#readClosed = true;
        this.#incoming.wipe();
        this.#events.push({ type: "end" });
      }
      return true;
    }
    if (this.#endOfInput && !this.#incoming.busy)
      throw fault("ERR_SSL_UNEXPECTED_EOF_WHILE_READING", this.#result ? undefined : "during the handshake");
    return false;
  }

  /** The only place that holds a message against what is legal. */
  #deliver(message: HandshakeMessage): void {
    const expecting = this.#expecting();
    this.#limits.observer?.({
      kind: "message",
      direction: "received",
      epoch: this.#incoming.epoch,
      type: message.type,
      bytes: message.bytes,
    });
    if (!expecting.includes(message.type)) {
      throw fault(
        "ERR_SSL_UNEXPECTED_MESSAGE",
        `${message.type} in state ${this.#state}, which expects ${expecting.join(" or ") || "nothing"}`,
      );
    }
    if (this.#after !== undefined) {
      this.#after.deliver(message);
      return;
    }
    this.#inbound.peerHello = true;
    this.#step(() => this.#flow.next(message));
  }

  #expecting(): readonly HandshakeName[] {
    if (this.#after !== undefined) return this.#after.expecting;
    return this.#suspension?.need === "message" ? this.#suspension.expecting : [];
  }

  #noteAccepted(): void {
    // What came before this side's last flight was taken was sent before it could be judged.
    const judged = this.#flightTaken || this.#result?.clientAuthRequested !== true;
    if (this.#accepted || !judged) return;
    this.#accepted = true;
    this.#events.push({ type: "accepted" });
  }

  #flushOutbound(): void {
    if (this.#running || this.#error !== undefined) return;
    this.#guard(() => this.#outbound.flush());
    if (this.#outbound.closed) this.#outgoing.wipe();
  }

  /** Ends everything with one error, and with one alert where this side found the fault. */
  #fail(cause: unknown): void {
    if (this.#error !== undefined) return;
    const error = cause instanceof TlsError ? cause : fault("ERR_TLS_INTERNAL", String(cause), { cause });
    error.side ??= this.side;
    error.stage ??= this.#state;
    this.#error = error;
    this.#suspension = undefined;
    if (!this.#running) this.#flow.return(undefined as never);
    try {
      this.#outbound.fail(error, this.#result !== undefined);
    } finally {
      this.#incoming.wipe();
      this.#outgoing.wipe();
      this.#events.push({ type: "failed", error });
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
      // Here, since a listener may have ended the connection.
      if (this.done) wipe(this.#result?.exporterSecret, this.#result?.resumptionSecret, this.#earlyExporter?.secret);
    }
    this.#progress?.();
  }
}
