/**
 * The sans-IO engine: bytes in, bytes and events out. It runs a handshake flow, joins its effects to records, and owns what
 * lives after the handshake. No socket, no timer, no clock and no randomness of its own.
 */
import { join } from "../bytes/bytes.ts";
import { fault, type Side, type TlsError } from "../errors.ts";
import type { StateName } from "../flow.ts";
import type { HandshakeResult } from "../handshake/config.ts";
import type { ExporterSecret } from "../handshake/io.ts";
import type { Aftermath } from "./after.ts";
import { Connection, type StartFlow } from "./connection.ts";
import type { EngineEvent } from "./events.ts";
import { exportFrom } from "./exporter.ts";
import type { EngineLimits } from "./limits.ts";
import { recheck, type VerdictLimit } from "./recheck.ts";

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
  readonly #connection: Connection;
  readonly #aftermath: Aftermath;
  readonly #highWaterMark: number;

  constructor(side: Side, start: StartFlow, limits: EngineLimits, aftermath: Aftermath = {}) {
    this.side = side;
    this.#aftermath = aftermath;
    this.#highWaterMark = limits.highWaterMark;
    this.#connection = new Connection(side, start, limits, aftermath);
  }

  /**
   * Where events go and what is called after anything may have changed: look at output, plaintext and room then.
   * Set before {@link TlsEngine.start}.
   */
  listen(onEvent: (event: EngineEvent) => void, onProgress?: () => void): void {
    this.#connection.events.listen(onEvent, onProgress);
  }

  /** Begins: a client's ClientHello is in the output afterwards, unless its key share is still a promise. */
  start(): void {
    if (this.#connection.started) return;
    this.#connection.started = true;
    this.#connection.run.start();
    this.#connection.process();
  }

  /** The state of RFC 8446 Appendix A. */
  get state(): StateName {
    return this.#connection.state;
  }

  /** Set once this side has finished. */
  get result(): HandshakeResult | undefined {
    return this.#connection.result;
  }

  /**
   * Client: the server has sent data or a ticket since this side's last flight was taken, so it has judged this side. A
   * server that sends data before it has read that flight can still mislead. Server: same as having finished.
   */
  get accepted(): boolean {
    return this.#connection.accepted;
  }

  /** What ended the connection, if it failed. */
  get error(): TlsError | undefined {
    return this.#connection.error;
  }

  /** The peer has sent close_notify and everything before it was read. */
  get ended(): boolean {
    return this.#connection.intake.closed && this.#connection.inbound.empty;
  }

  /** This side has sent close_notify, or failed. */
  get finished(): boolean {
    return this.#connection.outbound.closed;
  }

  /** Nothing more will come out of or go into this engine but the output that is left. */
  get done(): boolean {
    return this.#connection.done;
  }

  /** There is a peer for {@link TlsEngine.recheck} to judge. */
  get judgeable(): boolean {
    return !this.done && (this.result !== undefined || this.#connection.standing !== undefined);
  }

  /** Something asynchronous is under way: an operation of the handshake, or records in protection. */
  get busy(): boolean {
    return this.#connection.run.busy || this.#connection.incoming.busy || this.#connection.outgoing.busy;
  }

  /** Bytes that {@link TlsEngine.receive} would take now. */
  get room(): number {
    return Math.max(0, this.#highWaterMark - this.#connection.incoming.reader.buffered);
  }

  /** Bytes that {@link TlsEngine.write} would take now. */
  get writable(): number {
    return this.#connection.outbound.room;
  }

  /** Bytes of output waiting. */
  get outputLength(): number {
    return this.#connection.outgoing.length;
  }

  /**
   * Takes bytes from the peer. Never throws for what they are: that becomes an alert and a `failed` event.
   *
   * @param bytes - Copied as far as taken.
   * @returns How many were taken; offer the rest again after {@link TlsEngine.read} or the next progress.
   */
  receive(bytes: Uint8Array): number {
    // RFC 8446 6.1: what follows a closure alert is ignored.
    if (this.#connection.error !== undefined || this.#connection.intake.closed) return bytes.length;
    const taken = Math.min(bytes.length, this.room);
    // A Buffer's `slice` would not copy.
    this.#connection.incoming.reader.push(new Uint8Array(bytes.buffer, bytes.byteOffset, taken));
    try {
      this.#connection.process();
    } finally {
      this.#connection.incoming.reader.keep();
    }
    return taken;
  }

  /** The byte stream from the peer has ended. Without close_notify before it, that is a truncation. */
  receiveEnd(): void {
    this.#connection.intake.end();
    this.#connection.process();
  }

  /** Takes the plaintext that is there, in order; `undefined` when there is none. The arrays are the caller's. */
  read(): Uint8Array | undefined {
    const chunk = this.#connection.inbound.read();
    if (chunk !== undefined) this.#connection.process();
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
    if (this.#connection.error !== undefined) throw this.#connection.error;
    if (this.#connection.outbound.closing) throw this.#connection.own("ERR_TLS_CLOSED");
    let taken = 0;
    this.#connection.guard(() => {
      taken = this.#connection.outbound.write(data, !this.#connection.run.running);
    });
    this.#connection.settle();
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
    const hash = this.#connection.outgoing.suite?.hash;
    const secret = this.#connection.result?.exporterSecret;
    return this.#export(hash && secret && { hash, secret }, length, label, context);
  }

  /**
   * The same from the early exporter: what is made of it may be made of a replayed ClientHello, too (RFC 8446 7.5, E.5).
   *
   * @throws TlsError `ERR_TLS_OPTION` as above; `ERR_TLS_CLOSED` where early data was neither offered, by a client, nor
   * accepted, by a server, and when the connection is over.
   */
  exportEarlyKeyingMaterial(length: number, label: string, context: Uint8Array = new Uint8Array(0)): Uint8Array {
    return this.#export(this.#connection.earlyExporter, length, label, context);
  }

  #export(from: ExporterSecret | undefined, length: number, label: string, context: Uint8Array): Uint8Array {
    if (from === undefined || this.done) throw this.#connection.own("ERR_TLS_CLOSED");
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
    return this.#connection.outbound.earlyRoom;
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
    this.#connection.guard(() => {
      taken = this.#connection.outbound.writeEarlyData(data);
    });
    this.#connection.settle();
    return taken;
  }

  /** Server: takes early data that is there, in order; it may be a replay, and comes before the client has finished. */
  readEarlyData(): Uint8Array | undefined {
    const chunk = this.#connection.inbound.readEarlyData();
    if (chunk !== undefined) this.#connection.process();
    return chunk;
  }

  /** Takes the bytes to send to the peer. The array is the caller's. */
  takeOutput(): Uint8Array {
    const records = this.takeOutputs();
    return records.length === 1 ? (records[0] as Uint8Array) : join(records);
  }

  /** The same as {@link TlsEngine.takeOutput} without joining: one array for each record, in order, for a gathering write. */
  takeOutputs(): Uint8Array[] {
    if (!this.#connection.run.running && this.#connection.error === undefined)
      this.#connection.guard(() => this.#connection.outbound.pay());
    const output = this.#connection.outgoing.take((error) => this.#connection.end(error));
    if (this.#connection.result !== undefined && !this.#connection.outgoing.flightBusy)
      this.#connection.flightTaken = true;
    // Protection that has failed meanwhile is found here and nowhere else.
    if (this.#connection.events.waiting) this.#connection.settle();
    return output;
  }

  /** Sends close_notify after everything written so far (RFC 8446 6.1). Reading goes on. */
  close(): void {
    if (this.#connection.error !== undefined || this.#connection.outbound.closing) return;
    this.#connection.outbound.close();
    this.#connection.flushOutbound();
    this.#connection.settle();
  }

  /** Ends the connection at once, with user_canceled or the alert of `error`. */
  abort(error: TlsError = fault("ERR_TLS_ABORTED")): void {
    if (this.done) return;
    if (!this.#connection.run.abort(error)) this.#connection.end(error);
    this.#connection.settle();
  }

  /**
   * Moves this side's sending key on (RFC 8446 4.6.3), and the peer's too when asked. While a request is unanswered no
   * other is made (RFC 9846 4.7.3).
   */
  updateKeys(request: "update_requested" | "update_not_requested" = "update_not_requested"): void {
    const after = this.#connection.after;
    if (after === undefined || this.#connection.outbound.closed) throw this.#connection.own("ERR_TLS_CLOSED");
    this.#connection.guard(() => after.updateKeys(request));
    this.#connection.settle();
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
    const after = this.#connection.after;
    if (after === undefined || this.done || this.#connection.outbound.closing)
      throw this.#connection.own("ERR_TLS_CLOSED");
    const { context, send } = after.requestClientCertificate();
    this.#connection.guard(send);
    this.#connection.settle();
    return context;
  }

  /**
   * Judges the peer again, by what the context says now: whom to trust, revocation, the time, pre-shared keys,
   * `authorize`. One that does not hold ends the connection, with the alert that says why. Before the handshake is done,
   * that is who data is exchanged with already: a client that sends early data, a server that reads it or answers.
   *
   * @param limit - How long that may take. Default: any time.
   * @returns Whether the peer still holds; rejects with `ERR_TLS_CLOSED` where there is none yet, and after the connection.
   */
  recheck(limit?: VerdictLimit): Promise<boolean> {
    return recheck(this.#connection, this.#aftermath.recheck, limit);
  }
}
