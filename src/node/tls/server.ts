/** node:tls's Server: a TCP server whose connections are TLSSockets. */
import { Server as NetServer, type ServerOpts } from "node:net";
import type { Duplex } from "node:stream";
import type { Server as NodeServer, TLSSocket as NodeTLSSocket, TlsOptions } from "node:tls";
import { type ContextOptions, contextOf, createSecureContext, SecureContext } from "./context.ts";
import { argumentError, nodeError } from "./errors.ts";
import { refuseListener, refuseOptions } from "./members.ts";
import { parseAlpn } from "./names.ts";
import { TLSSocket } from "./socket.ts";

const HANDSHAKE_TIMEOUT_MS = 120_000;

/** node:tls's options, and keys that are not here. */
export type ServerOptions = Omit<TlsOptions, keyof ContextOptions | "secureContext"> &
  ContextOptions & { readonly secureContext?: unknown };

type Listener = (socket: TLSSocket) => void;

/**
 * A TLS 1.3 server in the shape of node:tls's. It survives whatever clients do; failures before `secureConnection` are
 * told as `tlsClientError`. A refused client certificate is `ECONNRESET` there, as in node:tls, with the reason as `cause`.
 *
 * @example
 * ```ts
 * const tlsServer = new Server({ cert, key }, (socket) => socket.end("hello"));
 * tlsServer.listen(0, () => tlsServer.close());
 * ```
 */
export class Server extends NetServer implements NodeServer {
  requestCert: boolean;
  rejectUnauthorized: boolean;
  readonly #options: ServerOptions;
  readonly #alpn: readonly string[];
  readonly #contexts: { readonly pattern: RegExp; readonly context: SecureContext }[] = [];
  #context: SecureContext;
  /** Contexts replaced so far. */
  #generation = 0;

  constructor(options?: ServerOptions | Listener | null, listener?: Listener) {
    const given: ServerOptions = typeof options === "function" || options == null ? {} : options;
    if (typeof given !== "object") throw argumentError("ERR_INVALID_ARG_TYPE", "options must be an object");
    refuseOptions("server", given);
    if (given.ALPNCallback && given.ALPNProtocols) {
      throw argumentError(
        "ERR_TLS_ALPN_CALLBACK_WITH_PROTOCOLS",
        "The ALPNCallback and ALPNProtocols TLS options are mutually exclusive",
      );
    }
    for (const name of ["SNICallback", "ALPNCallback"] as const) {
      if (given[name] && typeof given[name] !== "function") {
        throw argumentError("ERR_INVALID_ARG_TYPE", `options.${name} must be a function`);
      }
    }
    const timeout: unknown = given.handshakeTimeout ?? HANDSHAKE_TIMEOUT_MS;
    if (typeof timeout !== "number") {
      throw argumentError("ERR_INVALID_ARG_TYPE", "options.handshakeTimeout must be a number of milliseconds");
    }
    const alpn = parseAlpn(given.ALPNProtocols);
    const context = contextOf(given.secureContext, () => given);
    super(given as ServerOpts);
    this.#options = given;
    this.#alpn = alpn;
    this.#context = context;
    if (given.secureContext && given.ticketKeys) this.setTicketKeys(given.ticketKeys);
    this.requestCert = given.requestCert === true;
    this.rejectUnauthorized = given.rejectUnauthorized !== false;
    this.on("newListener", (event) => refuseListener("Server", event));
    this.on("connection", (socket) => this.#attend(socket));
    const accept = typeof options === "function" ? options : listener;
    if (accept !== undefined) this.on("secureConnection", accept as (socket: NodeTLSSocket) => void);
  }

  /**
   * Other credentials for connections from now on. Handshakes under way keep their certificate, and clients are judged by
   * the new `ca` and `crl`.
   */
  setSecureContext(options: ContextOptions): void {
    if (typeof options !== "object" || options === null) {
      throw argumentError("ERR_INVALID_ARG_TYPE", "options must be an object");
    }
    this.#context = createSecureContext(options);
    this.#generation++;
  }

  /** @param hostname - A name, in which `*` stands for any part of one label; later ones win. */
  addContext(hostname: string, context: ContextOptions | SecureContext | object): void {
    if (!hostname) {
      throw nodeError("ERR_TLS_REQUIRED_SERVER_NAME", '"servername" is required parameter for Server.addContext');
    }
    const escaped = hostname.replace(/([.^$+?\-\\[\]{}()|/])/g, "\\$1").replaceAll("*", "[^.]*");
    this.#contexts.unshift({
      pattern: new RegExp(`^${escaped}$`),
      context: context instanceof SecureContext ? context : createSecureContext(context),
    });
    this.#generation++;
  }

  /** 48 bytes, for other servers that shall resume this one's sessions. A secret. */
  getTicketKeys(): Buffer<ArrayBuffer> {
    return this.#context.ticketKeys.bytes as Buffer<ArrayBuffer>;
  }

  /** @param keys - 48 bytes. What was issued under others is not resumed. */
  setTicketKeys(keys: Buffer): void {
    this.#context.ticketKeys.bytes = keys;
  }

  /** node:tls does the same with what an async `secureConnection` listener rejects with. */
  [Symbol.for("nodejs.rejection")](error: Error, event: string, socket: Duplex): void {
    if (event === "secureConnection" || event === "connection") socket.destroy(error);
    else this.emit("error", error);
  }

  #attend(raw: Duplex): void {
    const { SNICallback, ALPNCallback, pskCallback, handshakeTimeout, pauseOnConnect } = this.#options;
    const socket = new TLSSocket(raw, {
      isServer: true,
      server: this,
      secureContext: this.#context,
      requestCert: this.requestCert,
      rejectUnauthorized: this.rejectUnauthorized,
      handshakeTimeout: handshakeTimeout ?? HANDSHAKE_TIMEOUT_MS,
      ALPNProtocols: this.#alpn,
      ALPNCallback,
      SNICallback: SNICallback as never,
      pskCallback: pskCallback as never,
      contextFor: (name) => this.#contexts.find(({ pattern }) => pattern.test(name))?.context,
      inForce: () => ({ context: this.#context, generation: this.#generation }),
      pauseOnConnect,
    });
    let told = false;
    const tell = (error: Error) => {
      if (told) return;
      told = true;
      this.emit("tlsClientError", error, socket as NodeTLSSocket);
    };
    if (this.listenerCount("keylog") > 0) {
      socket.on("keylog", (line) => this.emit("keylog", line, socket as NodeTLSSocket));
    }
    socket.on("secure", () => {
      told = true;
      this.emit("secureConnection", socket as NodeTLSSocket);
    });
    socket.on("_tlsError", tell);
    // Stays: an error on a connection that nobody listens to is no reason to end the process.
    socket.on("error", tell);
    socket.on("close", () => tell(nodeError("ECONNRESET", "socket hang up", { cause: socket.failure })));
  }
}

/**
 * A TLS 1.3 server: node:tls's function of the same name.
 *
 * @param options - node:tls's; see `MEMBERS` for what is refused.
 * @param listener - For `secureConnection`.
 * @throws TlsError as {@link createSecureContext}.
 * @example
 * ```ts
 * const tlsServer = createServer({ cert, key, ca, requestCert: true }, (socket) => {
 *   console.log(socket.getPeerCertificate().subject.CN);
 *   socket.end("hello");
 * });
 * tlsServer.listen(0, () => tlsServer.close());
 * ```
 */
export function createServer(options?: ServerOptions | Listener | null, listener?: Listener): Server {
  return new Server(options, listener);
}
