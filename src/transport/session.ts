/** A TLS connection over a byte stream: plaintext in and out, who the peer is, and how it ends. */

import { join } from "../bytes/bytes.ts";
import type { EngineEvent, Observer, TlsEngine } from "../engine/index.ts";
import { fault, TlsError } from "../errors.ts";
import type { HandshakeResult } from "../handshake/config.ts";
import type { PeerIdentity } from "../x509/identity.ts";
import { Drive } from "./drive.ts";
import { boundLifetime, type LifetimeOptions } from "./lifetime.ts";
import type { CertificateRequests } from "./requests.ts";
import { type ByteStream, bytesOf, deferred } from "./stream.ts";
import { timeLimit } from "./timers.ts";

/** What a session tells besides its data. */
export type SessionEvent = Extract<
  EngineEvent,
  {
    readonly type:
      | "identity_mismatch"
      | "ticket"
      | "ticket_failed"
      | "early_data"
      | "key_update"
      | "client_authenticated"
      | "identity_presented";
  }
>;

/** What one connection may be given besides its configuration. */
export interface SessionOptions extends LifetimeOptions {
  /** Aborts the connection at any time, from the first byte to the last. */
  readonly signal?: AbortSignal | undefined;
  /** ms that the handshake may take. Default 30000; 0: any time. */
  readonly handshakeTimeout?: number | undefined;
  /** ms after the handshake without a byte in either direction. Default 0: any time. */
  readonly idleTimeout?: number | undefined;
  /** Called from within the connection's work, never while the handshake runs. A throw ends the connection. */
  readonly onEvent?: ((event: SessionEvent) => void) | undefined;
  /** In place of the configuration's. */
  readonly observer?: Observer | undefined;
}

/** What a client's connection may be given besides. */
export interface ClientSessionOptions extends SessionOptions {
  /**
   * Sent with the ClientHello where a session allows all of it. It may be replayed and is not forward secret (RFC 8446
   * 2.3); {@link TlsSession.earlyData} says what became of it. A context needs `offerEarlyData` for it.
   */
  readonly earlyData?: Uint8Array | undefined;
}

/** What both sides agreed on, and who the peer is. */
export interface SessionFacts
  extends Pick<
    HandshakeResult,
    | "cipherSuite"
    | "group"
    | "alpn"
    | "serverName"
    | "retried"
    | "clientAuthRequested"
    | "generation"
    | "peer"
    | "peerCertificates"
    | "peerSignatureScheme"
    | "peerOcspResponse"
    | "peerScts"
    | "signatureScheme"
    | "psk"
    | "resumed"
    | "externalIdentity"
    | "authenticatedAt"
  > {
  readonly protocol: "TLSv1.3";
  /** The peer presented a certificate and it was verified; false with `rejectUnauthorized: false`. */
  readonly verified: boolean;
  /** Early data was sent or received, and accepted or not; what was rejected is the client's to send again. */
  readonly earlyData: "accepted" | "rejected" | undefined;
  /** Server: all of the client's early data, which may be a replay. Empty where there was none. */
  readonly receivedEarlyData: Uint8Array;
}

/** One connection. Every failure is one {@link TlsError}, the same on every promise and stream. */
export interface TlsSession extends SessionFacts {
  /**
   * Plaintext from the peer. Ends after close_notify only; a byte stream that ends without it is an error,
   * `ERR_SSL_UNEXPECTED_EOF_WHILE_READING`. Cancelling it throws away what still comes; writing goes on.
   */
  readonly readable: ReadableStream<Uint8Array>;
  /** Plaintext to the peer. Closing it is {@link TlsSession.close}, aborting it {@link TlsSession.abort}. */
  readonly writable: WritableStream<Uint8Array>;
  /**
   * Client: resolves when the server has sent something after the handshake. Only then has it accepted this side's
   * certificate, for in TLS 1.3 the client finishes first (RFC 8446 2); a late refusal rejects it. Server: resolved.
   */
  readonly accepted: Promise<void>;
  /** Resolves when both sides have closed and the byte stream is let go; rejects with what ended the connection. */
  readonly closed: Promise<void>;
  /**
   * Sends close_notify after everything written so far; reading goes on (RFC 8446 6.1).
   *
   * @returns Resolves when all is handed to the byte stream; rejects with the error that prevented it.
   */
  close(): Promise<void>;
  /**
   * Ends the connection at once. The peer is not told that the data is complete.
   *
   * @param reason - Becomes the `cause` of an `ERR_TLS_ABORTED`; a TlsError is used as it is, and its alert sent.
   */
  abort(reason?: unknown): void;
  /** Moves this side's key on (RFC 8446 4.6.3), and the peer's when asked. */
  updateKeys(request?: "update_requested" | "update_not_requested"): void;
  /**
   * Server: asks the client for a certificate now (RFC 8446 4.6.2), however it has come so far. Needs the option
   * `postHandshakeAuth` on both ends. The session's facts about the peer are those of its last certificate.
   *
   * @returns Who the client is; `undefined` when it would rather not say. What does not verify, or `authorize` refuses,
   * ends the connection, and rejects as everything else does.
   */
  requestClientCertificate(): Promise<PeerIdentity | undefined>;
  /**
   * Judges the peer again by what the context says now: whom to trust, revocation, the time, pre-shared keys,
   * `authorize`. One that does not hold is told by an alert, and ends the connection with the reason. So does a verdict
   * that takes longer than `handshakeTimeout`, with `ERR_TLS_CALLBACK_FAILED`.
   *
   * @returns Whether the peer still holds; rejects with `ERR_TLS_CLOSED` where the connection is over.
   */
  recheck(): Promise<boolean>;
  /** Keying material that both ends derive alike, RFC 8446 7.5: {@link TlsEngine.exportKeyingMaterial}. */
  exportKeyingMaterial(length: number, label: string, context?: Uint8Array): Uint8Array;
  /** What binds a protocol above to this connection, RFC 9266: {@link TlsEngine.channelBinding}. */
  channelBinding(type: "tls-exporter"): Uint8Array;
}

const DEFAULT_HANDSHAKE_TIMEOUT = 30_000;
/** Longest delay that timers take, in ms. */
const MAX_DELAY = 0x7fffffff;

/**
 * Runs an engine over a byte stream up to the end of its handshake. The stream is the session's from now on.
 *
 * @param requests - A server's.
 * @throws TlsError what made the handshake fail; `ERR_TLS_ABORTED`, `ERR_TLS_HANDSHAKE_TIMEOUT`, `ERR_TLS_TRANSPORT`.
 */
export function establish(
  engine: TlsEngine,
  stream: ByteStream,
  options: ClientSessionOptions,
  requests: CertificateRequests | undefined,
): Promise<TlsSession> {
  return new Connection(engine, stream, options, requests).established;
}

class Connection {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  readonly #engine: TlsEngine;
  readonly #drive: Drive;
  readonly #options: ClientSessionOptions;
  readonly #established = deferred<TlsSession>();
  readonly #accepted = deferred();
  readonly #closed = deferred();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stopClocks: (() => void) | undefined;
  readonly #onAbort = () => this.abort(this.#options.signal?.reason);
  #readableController!: ReadableStreamDefaultController<Uint8Array>;
  #writableController!: WritableStreamDefaultController;
  #readableOver = false;
  #delivering = false;
  #listenerFailed = false;
  #pulled: (() => void) | undefined;
  #room: (() => void) | undefined;
  /** Chunks that the writable stream was given and has not passed on. */
  #queued = 0;
  #closing: Promise<void> | undefined;
  #idle: (() => void)[] = [];
  #earlyData: Uint8Array | undefined;
  #earlySent = false;
  #earlyReceived: Uint8Array[] = [];
  readonly #requests: CertificateRequests | undefined;

  constructor(
    engine: TlsEngine,
    stream: ByteStream,
    options: ClientSessionOptions,
    requests: CertificateRequests | undefined,
  ) {
    const { signal, handshakeTimeout = DEFAULT_HANDSHAKE_TIMEOUT } = options;
    this.#engine = engine;
    this.#requests = requests;
    this.#options = options;
    this.#earlyData = options.earlyData;
    this.#drive = new Drive(engine, stream, {
      onEvent: (event) => this.#onEvent(event),
      onProgress: () => this.#onProgress(),
    });
    this.readable = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#readableController = controller;
        },
        pull: () => this.#pull(),
        cancel: () => this.#discard(),
      },
      { highWaterMark: 0 },
    );
    this.writable = new WritableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#writableController = controller;
          // Later, since Node does not expect a stream's abort to end in its error.
          controller.signal.addEventListener("abort", () => queueMicrotask(() => this.abort(controller.signal.reason)));
        },
        write: (chunk) => this.#write(chunk),
        close: () => this.#closeEngine(),
      },
      {
        highWaterMark: 1,
        size: () => {
          this.#queued++;
          return 1;
        },
      },
    );
    void this.#drive.released.then(() => this.#release());
    if (signal?.aborted) {
      this.#drive.cut(this.#abortion(signal.reason, true));
      return;
    }
    signal?.addEventListener("abort", this.#onAbort);
    if (handshakeTimeout > 0) {
      this.#timer = setTimeout(() => {
        this.#drive.cut(fault("ERR_TLS_HANDSHAKE_TIMEOUT", `${handshakeTimeout} ms, in state ${engine.state}`));
      }, handshakeTimeout);
    }
    this.#drive.start();
  }

  get established(): Promise<TlsSession> {
    return this.#established.promise;
  }

  async close(): Promise<void> {
    if (this.#engine.error !== undefined) throw this.#engine.error;
    if (this.#closing !== undefined) return this.#closing;
    if (!this.writable.locked) return this.writable.close();
    // Someone holds a writer: what it has written so far goes first.
    if (this.#queued > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
    return this.#closeEngine();
  }

  abort(reason?: unknown): void {
    this.#drive.cut(this.#abortion(reason, this.#engine.result !== undefined));
  }

  /** After the handshake a close_notify would tell the peer that it has everything: `silent`. */
  #abortion(reason: unknown, silent: boolean): TlsError {
    if (reason instanceof TlsError) return reason;
    const detail = reason === undefined ? undefined : reason instanceof Error ? reason.message : String(reason);
    const context = reason === undefined ? {} : { cause: reason };
    const error = fault("ERR_TLS_ABORTED", detail, context);
    return silent ? new TlsError(error.code, error.message, { ...context, detail }) : error;
  }

  #session(result: HandshakeResult): TlsSession {
    const { readable, writable } = this;
    // A certificate may come later.
    const now = () => this.#engine.result ?? result;
    return {
      protocol: "TLSv1.3",
      cipherSuite: result.cipherSuite,
      group: result.group,
      alpn: result.alpn,
      serverName: result.serverName,
      retried: result.retried,
      clientAuthRequested: result.clientAuthRequested,
      get generation() {
        return now().generation;
      },
      get peer() {
        return now().peer;
      },
      get peerCertificates() {
        return now().peerCertificates;
      },
      get peerSignatureScheme() {
        return now().peerSignatureScheme;
      },
      get peerOcspResponse() {
        return now().peerOcspResponse;
      },
      get peerScts() {
        return now().peerScts;
      },
      get verified() {
        return now().peer?.verified ?? false;
      },
      get authenticatedAt() {
        return now().authenticatedAt;
      },
      signatureScheme: result.signatureScheme,
      psk: result.psk,
      resumed: result.resumed,
      externalIdentity: result.externalIdentity,
      earlyData: this.#engine.side === "server" || this.#earlySent ? result.earlyData : undefined,
      receivedEarlyData: join(this.#earlyReceived.splice(0)),
      readable,
      writable,
      accepted: this.#accepted.promise,
      closed: this.#closed.promise,
      close: () => this.close(),
      abort: (reason) => this.abort(reason),
      updateKeys: (request) => this.#engine.updateKeys(request),
      requestClientCertificate: async () => {
        if (this.#requests !== undefined) return this.#requests.ask();
        throw fault("ERR_TLS_POST_HANDSHAKE_AUTH", "this is a client");
      },
      recheck: () => this.#recheck(),
      exportKeyingMaterial: (length, label, context) => this.#engine.exportKeyingMaterial(length, label, context),
      channelBinding: (type) => this.#engine.channelBinding(type),
    };
  }

  /** A verdict may take as long then as it may in a handshake. */
  #recheck(): Promise<boolean> {
    const { handshakeTimeout = DEFAULT_HANDSHAKE_TIMEOUT } = this.#options;
    return this.#engine.recheck(handshakeTimeout > 0 ? timeLimit(handshakeTimeout) : undefined);
  }

  #onEvent(event: EngineEvent): void {
    this.#requests?.take(event);
    switch (event.type) {
      case "handshake":
        if (this.#listenerFailed) return;
        clearTimeout(this.#timer);
        this.#watchIdle();
        this.#stopClocks = boundLifetime(
          this.#options,
          (error) => this.#drive.cut(error),
          async () => !this.#engine.done && this.#recheck(),
        );
        // What came in one piece with the client's Finished.
        this.#moveEarlyData();
        if (this.#engine.accepted) this.#accepted.resolve();
        this.#established.resolve(this.#session(event.result));
        return;
      case "accepted":
        this.#accepted.resolve();
        return;
      case "failed":
        this.#fail(event.error);
        return;
      case "end":
        return;
      default:
        this.#tell(event);
    }
  }

  #tell(event: SessionEvent): void {
    try {
      this.#options.onEvent?.(event);
    } catch (cause) {
      this.#listenerFailed = true;
      this.#drive.cut(fault("ERR_TLS_CALLBACK_FAILED", "onEvent", { cause }));
    }
  }

  #fail(error: TlsError): void {
    this.#unwatch();
    this.#established.reject(error);
    this.#accepted.reject(error);
    this.#closed.reject(error);
    this.#requests?.drop(error);
    this.#writableController.error(error);
    for (const wake of this.#idle.splice(0)) wake();
  }

  #release(): void {
    this.#unwatch();
    const error = this.#engine.error ?? fault("ERR_TLS_CLOSED");
    this.#established.reject(error);
    this.#accepted.reject(error);
    this.#requests?.drop(error);
    this.#closed.resolve();
    this.#onProgress();
  }

  #unwatch(): void {
    clearTimeout(this.#timer);
    this.#stopClocks?.();
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
  }

  #watchIdle(): void {
    const { idleTimeout = 0 } = this.#options;
    if (idleTimeout === 0) return;
    const left = this.#drive.lastActivity + idleTimeout - performance.now();
    this.#timer = setTimeout(
      () => {
        if (this.#drive.lastActivity + idleTimeout > performance.now()) this.#watchIdle();
        else this.#drive.cut(fault("ERR_TLS_IDLE_TIMEOUT", `${idleTimeout} ms`));
      },
      Math.max(1, left),
    );
  }

  #onProgress(): void {
    this.#moveEarlyData();
    if (this.#readableOver) {
      while (this.#engine.read() !== undefined) {
        // Nobody reads any more.
      }
    } else if (this.#pulled !== undefined || this.#engine.ended) {
      if (this.#deliver()) {
        this.#pulled?.();
        this.#pulled = undefined;
      }
    }
    if (this.#engine.writable > 0 || this.#engine.finished) this.#room?.();
  }

  /** All of it or nothing: half of a request is no use to anyone. */
  #moveEarlyData(): void {
    const data = this.#earlyData;
    if (data !== undefined && data.length > 0 && this.#engine.earlyDataRoom > 0) {
      this.#earlyData = undefined;
      this.#earlySent = this.#engine.earlyDataRoom >= data.length;
      if (this.#earlySent) this.#engine.writeEarlyData(data);
    }
    for (let chunk = this.#engine.readEarlyData(); chunk !== undefined; chunk = this.#engine.readEarlyData()) {
      this.#earlyReceived.push(chunk);
    }
  }

  #pull(): Promise<void> | undefined {
    if (this.#deliver()) return undefined;
    return new Promise((resolve) => {
      this.#pulled = resolve;
    });
  }

  /** Hands on one chunk, the end or the error. Reading makes progress, which asks for the next. */
  #deliver(): boolean {
    if (this.#readableOver || this.#delivering) return false;
    this.#delivering = true;
    const chunk = this.#engine.read();
    this.#delivering = false;
    if (chunk !== undefined) {
      this.#readableController.enqueue(chunk);
      return true;
    }
    const { ended, error } = this.#engine;
    if (!ended && error === undefined) return false;
    this.#readableOver = true;
    if (ended) this.#readableController.close();
    else this.#readableController.error(error);
    return true;
  }

  #discard(): void {
    this.#readableOver = true;
    this.#drive.discard();
  }

  async #write(chunk: unknown): Promise<void> {
    try {
      for (let rest = this.#checked(chunk); rest.length > 0; ) {
        if (this.#engine.writable === 0 && !this.#engine.finished) {
          await new Promise<void>((resolve) => {
            this.#room = resolve;
          });
          this.#room = undefined;
        }
        rest = rest.subarray(this.#engine.write(rest));
      }
    } finally {
      this.#queued--;
      if (this.#queued === 0) for (const wake of this.#idle.splice(0)) wake();
    }
  }

  #checked(chunk: unknown): Uint8Array {
    try {
      return bytesOf(chunk);
    } catch (error) {
      this.abort(error);
      throw error;
    }
  }

  #closeEngine(): Promise<void> {
    this.#closing ??= this.#flushAndClose();
    return this.#closing;
  }

  async #flushAndClose(): Promise<void> {
    this.#engine.close();
    await this.#drive.flushed;
    if (this.#engine.error !== undefined) throw this.#engine.error;
  }
}

/** @throws TlsError `ERR_TLS_OPTION` when a delay is none that timers take. */
export function checkDelays(options: SessionOptions): void {
  for (const name of ["handshakeTimeout", "idleTimeout", "maxLifetime", "recheckInterval"] as const) {
    const value = options[name] ?? 0;
    if (!(value >= 0 && value <= MAX_DELAY)) {
      throw fault("ERR_TLS_OPTION", `${name} ${value} is not 0 to ${MAX_DELAY} ms`);
    }
  }
}
