/** node:tls's TLSSocket over an engine: a Duplex on top of a socket, or of any other Duplex. */
import { X509Certificate } from "node:crypto";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type {
  CipherNameAndProtocol,
  DetailedPeerCertificate,
  EphemeralKeyInfo,
  TLSSocket as NodeTLSSocket,
  PeerCertificate,
} from "node:tls";
import { nodeProvider } from "../../crypto/node.ts";
import type { TlsEngine } from "../../engine/engine.ts";
import { fault, type TlsError } from "../../errors.ts";
import type { HandshakeResult } from "../../handshake/config.ts";
import type { Session } from "../../handshake/session.ts";
import { deriveSecret, hkdfExpandLabel } from "../../schedule/hkdf.ts";
import { holdFailedWrites } from "../../transport/node-socket.ts";
import { parseAddress } from "../../x509/address.ts";
import { referenceName } from "../../x509/names.ts";
import { chainOf, detailedCertificate, plainCertificate } from "./certificate.ts";
import { type ContextOptions, contextOf, SecureContext } from "./context.ts";
import { argumentError, nodeError, ownError } from "./errors.ts";
import { clientEngine, type Findings, serverEngine } from "./handshake.ts";
import { LayeredSocket } from "./layered.ts";
import { refusedMember, refuseListener, refuseOptions } from "./members.ts";
import { KEY_INFO, parseAlpn, signatureAlgorithmName } from "./names.ts";
import { type ClientPskCallback, offeredPsks, pskLookup, type ServerPskCallback } from "./psk.ts";
import { sessionBytes, sessionOf } from "./resumption.ts";
import { type ServerRole, serverChoice } from "./sni.ts";
import { type CheckServerIdentity, judge, nameCheck } from "./verify.ts";
import { Wire } from "./wire.ts";

const NOTHING = new Uint8Array(0);
/** Options of {@link TLSSocket}. */
export interface SocketOptions extends Omit<ServerRole, "ALPNCallback">, ContextOptions {
  /** Default false. */
  readonly isServer?: boolean | undefined;
  readonly secureContext?: unknown;
  readonly rejectUnauthorized?: boolean | undefined;
  readonly ALPNProtocols?: unknown;
  readonly allowHalfOpen?: boolean | undefined;
  readonly highWaterMark?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly handshakeTimeout?: number | undefined;
  readonly pauseOnConnect?: boolean | undefined;
  /** Client: what a `session` event gave. */
  readonly session?: unknown;
  /** Client: asks for the server's certificate status, stapled. */
  readonly requestOCSP?: boolean | undefined;
  readonly pskCallback?: ClientPskCallback | ServerPskCallback | undefined;
}

/** What `connect` knows besides. */
export interface ClientRole {
  /** The host that the certificate must name. */
  readonly hostname: string;
  readonly checkServerIdentity: CheckServerIdentity | undefined;
  /** The error for a server that hangs up during the handshake. */
  hangUp(): Error;
}

/**
 * One end of a TLS 1.3 connection, in the shape of node:tls's TLSSocket; what is supported is listed in `MEMBERS`.
 * Made by {@link connect} and by servers; made directly, a client verifies the server's name only by what the application
 * does itself.
 *
 * A client's certificate is sent only once the server is verified: `checkServerIdentity` runs before it. A server that
 * refuses a client's certificate says so with an alert.
 *
 * @example
 * ```ts
 * const tlsSocket = new TLSSocket(net.connect({ host: "localhost", port }), { ca });
 * tlsSocket.on("error", (error) => console.log(error.message));
 * tlsSocket.on("secure", () => tlsSocket.end());
 * ```
 */
export class TLSSocket extends LayeredSocket implements NodeTLSSocket {
  readonly encrypted = true;
  authorized = false;
  /** A code, as in node:tls in spite of its type; `null` while there is nothing to say. */
  authorizationError: Error = null as unknown as Error;
  alpnProtocol: string | false | null = null;
  servername: string | false | null = null;
  /** The handshake is not done. */
  secureConnecting = true;
  /** The server that accepted this connection. */
  readonly server: unknown;
  readonly #options: SocketOptions;
  readonly #client: ClientRole | undefined;
  readonly #alpn: readonly string[];
  readonly #findings: Findings = { finished: undefined, peerFinished: undefined, onKeyLog: undefined };
  #context: SecureContext;
  #serverName: string | undefined;
  #sharedSchemes: readonly string[] = [];
  #wire: Wire | undefined;
  #result: HandshakeResult | undefined;
  /** Offered, and then that of the last ticket. */
  #session: Session | undefined;
  #verdict: Error | undefined;
  #failure: Error | undefined;
  #maxFragment = Number.POSITIVE_INFINITY;
  #ending: ((error?: Error | null) => void) | undefined;
  #writing: { readonly data: Uint8Array; readonly done: (error?: Error | null) => void } | undefined;
  #handshakeTimer: NodeJS.Timeout | undefined;

  /**
   * @param socket - What to run over, this socket's from now on; a TCP socket of its own where it is left out.
   * @param options - node:tls's.
   * @param client - For {@link connect}.
   */
  constructor(socket?: Duplex | null, options: SocketOptions = {}, client?: ClientRole) {
    refuseOptions("socket", options);
    const context = contextOf(options.secureContext, () => options);
    const { signal, highWaterMark } = options;
    const allowHalfOpen = socket ? socket.allowHalfOpen : options.allowHalfOpen;
    super(socket ?? new Socket(), {
      allowHalfOpen: allowHalfOpen ?? false,
      ...(signal === undefined ? {} : { signal }),
      ...(highWaterMark === undefined ? {} : { highWaterMark }),
    });
    this.#options = options;
    this.#context = context;
    this.#client = client;
    this.#alpn = parseAlpn(options.ALPNProtocols);
    this.server = options.server;
    this.on("newListener", (event) => refuseListener("TLSSocket", event));
    this.#adopt();
    if (options.pauseOnConnect) this.pause();
    if (options.session) this.setSession(options.session);
    const limit = options.handshakeTimeout ?? 0;
    if (limit > 0) {
      const late = () => this.#fail(nodeError("ERR_TLS_HANDSHAKE_TIMEOUT", "TLS handshake timeout"));
      this.#handshakeTimer = setTimeout(late, limit).unref();
    }
  }

  /** Why the handshake failed or was refused; for logs. node:tls has nothing like it. */
  get failure(): Error | undefined {
    return this.#failure ?? this.#verdict;
  }

  /** Client only, before the handshake: the name to ask for. Addresses are not sent (RFC 6066 3). */
  setServername(name: string): void {
    if (typeof name !== "string") throw argumentError("ERR_INVALID_ARG_TYPE", "a server name is a string");
    if (this.#options.isServer)
      throw nodeError("ERR_TLS_SNI_FROM_SERVER", "Cannot issue SNI from a TLS server-side socket");
    this.#serverName = parseAddress(name) === undefined ? referenceName(name).text : undefined;
  }

  /** Other credentials than the context's: a server before its certificate is chosen, a client before it begins. */
  setKeyCert(context: unknown): void {
    const other = context instanceof SecureContext ? context : contextOf(undefined, () => context as ContextOptions);
    if (this.#result !== undefined) throw fault("ERR_TLS_OPTION", "setKeyCert after the handshake");
    if (!this.#options.isServer) {
      if (this.#wire !== undefined) throw fault("ERR_TLS_OPTION", "setKeyCert after a client's handshake has begun");
      // It began with other certificates, and would speak in their name.
      this.#session = undefined;
    }
    this.#context = this.#context.withIdentities(other.identities);
  }

  /** @param size - Most plaintext in one record, 512 to 16384 bytes. */
  setMaxSendFragment(size: number): boolean {
    if (!Number.isInteger(size)) throw argumentError("ERR_INVALID_ARG_TYPE", "a fragment size is an integer");
    if (size < 512 || size > 0x4000) return false;
    this.#maxFragment = size;
    if (this.#wire !== undefined) this.#wire.maxFragment = size;
    return true;
  }

  getPeerCertificate(detailed: true): DetailedPeerCertificate;
  getPeerCertificate(detailed?: false): PeerCertificate;
  getPeerCertificate(detailed?: boolean): PeerCertificate | DetailedPeerCertificate;
  getPeerCertificate(detailed = false): PeerCertificate | DetailedPeerCertificate {
    if (this.destroyed) return null as unknown as PeerCertificate;
    const [leaf] = this.#result?.peerCertificates ?? [];
    if (this.#result === undefined || leaf === undefined) return {} as PeerCertificate;
    if (!detailed) return plainCertificate(leaf);
    const { peer, peerCertificates } = this.#result;
    const path = peer && peer.path.length > 1 ? peer.path.map(({ der }) => der) : chainOf(peerCertificates);
    return detailedCertificate(path) ?? ({} as PeerCertificate);
  }

  getPeerX509Certificate(): X509Certificate | undefined {
    const [leaf] = this.#result?.peerCertificates ?? [];
    return leaf === undefined || this.destroyed ? undefined : new X509Certificate(leaf);
  }

  getCertificate(): PeerCertificate | object | null {
    if (this.destroyed) return null;
    const own = this.#ownCertificate();
    return own === undefined ? {} : plainCertificate(own);
  }

  getX509Certificate(): X509Certificate | undefined {
    const own = this.destroyed ? undefined : this.#ownCertificate();
    return own === undefined ? undefined : new X509Certificate(own);
  }

  getCipher(): CipherNameAndProtocol {
    const name = this.destroyed ? undefined : this.#result?.cipherSuite;
    if (name === undefined) return (this.destroyed ? null : undefined) as unknown as CipherNameAndProtocol;
    return { name, standardName: name, version: "TLSv1.3" };
  }

  /** Of a client; `null` on a server, as in node:tls. */
  getEphemeralKeyInfo(): EphemeralKeyInfo | object | null {
    if (this.destroyed || this.#options.isServer) return null;
    return (this.#result?.group && KEY_INFO[this.#result.group]) ?? {};
  }

  getProtocol(): string | null {
    return this.destroyed ? null : "TLSv1.3";
  }

  getFinished(): Buffer<ArrayBuffer> | undefined {
    const { finished } = this.#findings;
    return finished && Buffer.from(finished);
  }

  getPeerFinished(): Buffer<ArrayBuffer> | undefined {
    const { peerFinished } = this.#findings;
    return peerFinished && Buffer.from(peerFinished);
  }

  getSharedSigalgs(): string[] {
    return [...this.#sharedSchemes];
  }

  /** Client only: another connection may go on from it, of this side with the same certificates. Holds a secret. */
  getSession(): Buffer<ArrayBuffer> | undefined {
    const session = this.#session;
    return session === undefined || this.destroyed ? undefined : sessionBytes(session, this.#context.identities);
  }

  getTLSTicket(): Buffer<ArrayBuffer> | undefined {
    return this.#session && Buffer.from(this.#session.ticket);
  }

  /** With an external key too, which to TLS 1.3 looks the same. */
  isSessionReused(): boolean {
    return this.#result?.psk !== undefined;
  }

  /** Client only, before the handshake: what a `session` event gave. */
  setSession(session: unknown): void {
    this.#session = sessionOf(session, this.#context.identities);
  }

  /**
   * Keying material for another protocol, RFC 8446 7.5.
   *
   * @param length - In bytes.
   * @throws Error `ERR_TLS_INVALID_STATE` before the handshake is done.
   */
  exportKeyingMaterial(length: number, label: string, context: Uint8Array = NOTHING): Buffer<ArrayBuffer> {
    const result = this.#result;
    if (result === undefined || this.destroyed) {
      throw nodeError("ERR_TLS_INVALID_STATE", "TLS socket connection must be securely established");
    }
    const suite = nodeProvider.suites.find(({ name }) => name === result.cipherSuite);
    if (suite === undefined) throw fault("ERR_TLS_INTERNAL", result.cipherSuite);
    const { hash } = suite;
    if (!Number.isInteger(length) || length < 1 || length > 255 * hash.length) {
      throw Object.assign(new RangeError(`length ${length} is not 1 to ${255 * hash.length}`), {
        code: "ERR_OUT_OF_RANGE",
      });
    }
    const secret = deriveSecret(hash, result.exporterSecret, label, hash.digest(NOTHING));
    return Buffer.from(hkdfExpandLabel(hash, secret, "exporter", hash.digest(context), length));
  }

  disableRenegotiation(): void {}

  /** TLS 1.3 has no renegotiation: as in node:tls, `callback` gets an error and the answer is false. */
  renegotiate(_options: object, callback?: (error: Error | null) => void): boolean | undefined {
    if (this.destroyed) return undefined;
    const error = nodeError("ERR_SSL_WRONG_SSL_VERSION", "TLS 1.3 has no renegotiation");
    if (callback !== undefined) process.nextTick(callback, error);
    return false;
  }

  enableTrace(): void {
    throw refusedMember("TLSSocket", "enableTrace");
  }

  override _read(): void {
    this.#wire?.want();
  }

  override _write(chunk: Buffer | string, encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#send(typeof chunk === "string" ? Buffer.from(chunk, encoding) : chunk, done);
  }

  override _writev(
    chunks: { chunk: Buffer | string; encoding: BufferEncoding }[],
    done: (error?: Error | null) => void,
  ): void {
    // One record rather than one for each: small writes are common, and copying them is cheaper than sealing them.
    this.#send(
      Buffer.concat(
        chunks.map(({ chunk, encoding }) => (typeof chunk === "string" ? Buffer.from(chunk, encoding) : chunk)),
      ),
      done,
    );
  }

  override _final(done: (error?: Error | null) => void): void {
    if (this.#wire === undefined) this.#ending = done;
    else this.#wire.end(done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    clearTimeout(this.#handshakeTimer);
    if (this.#wire === undefined) {
      this.underneath.destroy();
      this.#writing?.done(error ?? fault("ERR_TLS_CLOSED"));
    } else {
      this.#wire.release(error);
    }
    this.finish(error, done);
  }

  #adopt(): void {
    const raw = this.underneath;
    // Each direction ends when TLS says so, not when the other does.
    raw.allowHalfOpen = true;
    // A server that refuses says so before it hangs up, which a failed write must not hide.
    if (raw instanceof Socket && !this.#options.isServer) holdFailedWrites(raw);
    raw.on("error", (error) => {
      if (this.destroyed) return;
      if (this.#wire?.isHarmless(error)) this.destroy();
      else this.#fail(error);
    });
    raw.once("close", () => this.destroy());
    this.whenConnected(() => this.#start());
  }

  #start(): void {
    if (this.destroyed) return;
    if (this.underneath.destroyed) {
      this.destroy();
      return;
    }
    let engine: TlsEngine;
    try {
      engine = this.#options.isServer ? this.#serverEngine() : this.#clientEngine();
    } catch (error) {
      // The application's pskCallback.
      this.#fail(error as Error);
      return;
    }
    const onKeyLog = (line: Buffer) => this.emit("keylog", line);
    if (this.listenerCount("keylog") > 0) this.#findings.onKeyLog = onKeyLog;
    const wire = new Wire(this.underneath, engine, {
      established: (result) => this.#establish(result),
      session: (session) => {
        this.#session = session;
        this.emit("session", sessionBytes(session, this.#context.identities));
      },
      plaintext: (chunk) => {
        this.countRead(chunk.length);
        return this.push(chunk) && !this.destroyed;
      },
      ended: () => this.#inputEnded(),
      failed: (error) => this.#handshakeFailed(error),
      active: () => this.active(),
    });
    wire.maxFragment = this.#maxFragment;
    this.#wire = wire;
    wire.start();
    if (this.#writing !== undefined) wire.write(this.#writing.data, this.#writing.done);
    this.#writing = undefined;
    if (this.#ending !== undefined) wire.end(this.#ending);
  }

  #clientEngine() {
    const client = this.#client;
    const verifier = judge({
      context: () => this.#context,
      reject: this.#options.rejectUnauthorized === true,
      check: client && nameCheck(client.hostname, client.checkServerIdentity),
      record: (error) => this.#judged(error),
    });
    const { requestOCSP: requestStatus = false, pskCallback } = this.#options;
    return clientEngine(
      {
        context: this.#context,
        verifier,
        serverName: this.#serverName,
        alpn: this.#alpn,
        session: this.#session,
        requestStatus,
        psks: offeredPsks(pskCallback as ClientPskCallback | undefined),
      },
      this.#findings,
    );
  }

  #serverEngine() {
    const { requestCert = false, rejectUnauthorized = false, pskCallback } = this.#options;
    const reject = rejectUnauthorized === true;
    return serverEngine(
      {
        context: this.#context,
        clientAuth: requestCert ? (reject ? "on" : "optional") : "off",
        alpn: this.#alpn,
        findPsk: pskLookup(pskCallback as ServerPskCallback | undefined, this),
        choose: (hello) =>
          serverChoice(
            this.#options,
            hello,
            () => this.#context,
            (schemes, trusted) => {
              this.servername = hello.serverName ?? false;
              this.#sharedSchemes = schemes.map(signatureAlgorithmName);
              return judge({ ...trusted, reject, record: (error) => this.#judged(error) });
            },
          ),
      },
      this.#findings,
    );
  }

  #judged(error: (Error & { code?: string }) | undefined): void {
    this.#verdict = error;
    this.authorizationError = (error === undefined ? null : (error.code ?? error.message)) as unknown as Error;
  }

  #establish(result: HandshakeResult): void {
    this.#result = result;
    clearTimeout(this.#handshakeTimer);
    this.alpnProtocol = result.alpn ?? false;
    this.servername ??= result.serverName ?? false;
    const { isServer, requestCert, requestOCSP } = this.#options;
    // Who has an external key needs no certificate.
    const known = result.peer !== undefined || result.externalIdentity !== undefined;
    if (!known && requestCert) this.authorizationError = "UNABLE_TO_GET_ISSUER_CERT" as unknown as Error;
    this.authorized = known && this.#verdict === undefined && (!isServer || requestCert === true);
    this.secureConnecting = false;
    if (requestOCSP && !isServer && result.psk === undefined) {
      this.emit("OCSPResponse", result.peerOcspResponse ? Buffer.from(result.peerOcspResponse) : null);
    }
    this.emit("secure");
  }

  #inputEnded(): void {
    if (this.#result === undefined) {
      if (this.#client === undefined) this.destroy();
      else this.#fail(this.#client.hangUp());
      return;
    }
    this.push(null);
    // A stream that nobody reads ends as well.
    this.read(0);
  }

  #handshakeFailed(error: TlsError): void {
    const mismatch = this.#verdict !== undefined && error.cause === this.#verdict;
    const own = mismatch ? (this.#verdict as Error) : ownError(error);
    this.#failure = own;
    // As node:tls: a server does not call it an error that it refused a client's certificate.
    if (this.#options.isServer && this.#verdict === error) this.destroy();
    else this.#fail(own);
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    // node:tls's servers listen to this one.
    this.emit("_tlsError", error);
    this.destroy(error);
  }

  #send(data: Uint8Array, done: (error?: Error | null) => void): void {
    const counted = (error?: Error | null) => {
      if (!error) this.countWritten(data.length);
      done(error);
    };
    if (this.#wire === undefined) this.#writing = { data, done: counted };
    else this.#wire.write(data, counted);
  }

  #ownCertificate(): Uint8Array | undefined {
    return (this.#result?.identity ?? this.#context.identities[0])?.certificates[0];
  }
}
