/**
 * The sans-IO engine: bytes in, bytes and events out. It runs a handshake flow, joins its effects to records, and owns what
 * lives after the handshake. No socket, no timer, no clock and no randomness of its own.
 */
import { join, wipe } from "../bytes/bytes.ts";
import { type CauseCode, fault, type Side, TlsError } from "../errors.ts";
import type { Flow, StateName } from "../flow.ts";
import type { HandshakeResult } from "../handshake/config.ts";
import type { ExporterSecret, HandshakeEffects } from "../handshake/io.ts";
import { handshakeResult } from "../handshake/result.ts";
import { After, type AfterHost, type Aftermath } from "./after.ts";
import { type EffectsHost, effectsOn } from "./effects.ts";
import { type EngineEvent, Events } from "./events.ts";
import { exportFrom } from "./exporter.ts";
import { Inbound } from "./inbound.ts";
import { IncomingRecords } from "./incoming.ts";
import { Intake, type IntakeHost } from "./intake.ts";
import type { EngineLimits } from "./limits.ts";
import { detached } from "./observer.ts";
import { Outbound } from "./outbound.ts";
import { OutgoingRecords } from "./outgoing.ts";
import { HandshakeRun, type RunHost } from "./run.ts";

/** Starts the flow that an engine runs. */
export type StartFlow = (effects: HandshakeEffects) => Flow<HandshakeResult>;

/** What the parts of the engine see of it. */
type Parts = EffectsHost & RunHost & IntakeHost & AfterHost;

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
  readonly #parts: Parts;
  readonly #run: HandshakeRun;
  readonly #intake: Intake;
  readonly #events = new Events();
  #after: After | undefined;
  #started = false;
  #state: StateName = "START";
  #result: HandshakeResult | undefined;
  #earlyExporter: ExporterSecret | undefined;
  #error: TlsError | undefined;
  #accepted = false;
  #flightTaken = false;

  constructor(side: Side, start: StartFlow, limits: EngineLimits, aftermath: Aftermath = {}) {
    this.side = side;
    this.#aftermath = aftermath;
    this.#limits = { ...limits, observer: detached(limits.observer) };
    this.#incoming = new IncomingRecords(this.#limits, () => this.#process());
    this.#outgoing = new OutgoingRecords({ ...this.#limits, side }, () => this.#settle());
    this.#inbound = new Inbound(side, this.#incoming, limits.highWaterMark, limits.statelessRetries);
    this.#outbound = new Outbound(this.#outgoing, limits.highWaterMark);
    this.#parts = this.#makeParts();
    this.#run = new HandshakeRun(start(effectsOn(this.#parts)), this.#parts);
    this.#intake = new Intake(this.#parts);
  }

  /**
   * Where events go and what is called after anything may have changed: look at output, plaintext and room then.
   * Set before {@link TlsEngine.start}.
   */
  listen(onEvent: (event: EngineEvent) => void, onProgress?: () => void): void {
    this.#events.listen(onEvent, onProgress);
  }

  /** Begins: a client's ClientHello is in the output afterwards, unless its key share is still a promise. */
  start(): void {
    if (this.#started) return;
    this.#started = true;
    this.#run.start();
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
    return this.#intake.closed && this.#inbound.empty;
  }

  /** This side has sent close_notify, or failed. */
  get finished(): boolean {
    return this.#outbound.closed;
  }

  /** Nothing more will come out of or go into this engine but the output that is left. */
  get done(): boolean {
    return this.#error !== undefined || (this.#intake.closed && this.#outbound.closed);
  }

  /** Something asynchronous is under way: an operation of the handshake, or records in protection. */
  get busy(): boolean {
    return this.#run.busy || this.#incoming.busy || this.#outgoing.busy;
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
    if (this.#error !== undefined || this.#intake.closed) return bytes.length;
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
    this.#intake.end();
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
      taken = this.#outbound.write(data, !this.#run.running);
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
    return exportFrom(from, length, label, context);
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
    if (!this.#run.running && this.#error === undefined) this.#guard(() => this.#outbound.pay());
    if (this.#result !== undefined) this.#flightTaken = true;
    let output: Uint8Array[] = [];
    this.#guard(() => {
      output = this.#outgoing.take();
    });
    // Protection that has failed meanwhile is found here and nowhere else.
    if (this.#events.waiting) this.#settle();
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
    if (!this.#run.abort(error)) this.#fail(error);
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

  #makeParts(): Parts {
    const engine = this;
    return {
      side: this.side,
      observer: this.#limits.observer,
      incoming: this.#incoming,
      outgoing: this.#outgoing,
      inbound: this.#inbound,
      outbound: this.#outbound,
      events: this.#events,
      get state() {
        return engine.#state;
      },
      get dead() {
        return engine.#error !== undefined;
      },
      get alive() {
        return engine.#started && engine.#error === undefined;
      },
      get run() {
        return engine.#run;
      },
      get after() {
        return engine.#after;
      },
      assertWanted: () => this.#run.assertWanted(),
      enter: (state) => this.#enter(state),
      keepEarlyExporter: (exporter) => {
        this.#earlyExporter = exporter;
      },
      flush: () => this.#outgoing.flush(),
      complete: (result) => this.#complete(result),
      stepped: () => this.#flushOutbound(),
      resumed: () => this.#process(),
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
    };
  }

  #enter(state: StateName): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#limits.observer?.({ kind: "state", state });
  }

  #complete(result: HandshakeResult): void {
    this.#result = result;
    this.#enter("CONNECTED");
    if (this.side === "server") this.#accepted = true;
    this.#events.push({ type: "handshake", result });
    this.#after = new After(this.#parts, this.#aftermath, result);
    this.#after.begin();
  }

  #identify(facts: Partial<HandshakeResult>): void {
    const result = this.#result as HandshakeResult;
    this.#result = handshakeResult({ ...result, ...facts }, result);
  }

  /** Works through what has been received, then tells the listener. */
  #process(): void {
    this.#intake.process();
    this.#settle();
  }

  #noteAccepted(): void {
    // What came before this side's last flight was taken was sent before it could be judged.
    const judged = this.#flightTaken || this.#result?.clientAuthRequested !== true;
    if (this.#accepted || !judged) return;
    this.#accepted = true;
    this.#events.push({ type: "accepted" });
  }

  #flushOutbound(): void {
    if (this.#run.running || this.#error !== undefined) return;
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
    this.#run.end();
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

  /** Hands out events, unless this comes from within the engine's own work. */
  #settle(): void {
    if (this.#run.running || this.#intake.processing) return;
    this.#events.drain(() => {
      if (this.done) wipe(this.#result?.exporterSecret, this.#result?.resumptionSecret, this.#earlyExporter?.secret);
    });
  }
}
