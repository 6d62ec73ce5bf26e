/** node:tls's connect. */
import type { TcpNetConnectOpts } from "node:net";
import type { Duplex } from "node:stream";
import type { ConnectionOptions } from "node:tls";
import { type ContextOptions, contextOf } from "./context.ts";
import { argumentError, nodeError } from "./errors.ts";
import { refuseOptions } from "./members.ts";
import { TLSSocket } from "./socket.ts";
import type { CheckServerIdentity } from "./verify.ts";

/** node:tls's options with net's, and keys that are not here. */
export type ConnectOptions = Omit<ConnectionOptions, keyof ContextOptions | "secureContext"> &
  ContextOptions &
  Omit<Partial<TcpNetConnectOpts>, "onread"> & {
    readonly secureContext?: unknown;
    readonly highWaterMark?: number | undefined;
    /** Asks for the server's certificate status, stapled; told as `OCSPResponse`, and not judged. */
    readonly requestOCSP?: boolean | undefined;
  };

/**
 * A TLS 1.3 client: node:tls's function of the same name, in all its forms. The socket is verified, its name included,
 * before this side's certificate is sent; `secureConnect` does not mean that the server has accepted it (RFC 8446 2).
 *
 * @throws TlsError as {@link createSecureContext}. All else is an `error` of the socket.
 * @example
 * ```ts
 * const tlsSocket = connect({ host: "localhost", port, ca, cert, key, servername: "localhost" }, () => {
 *   console.log(tlsSocket.authorized); // true
 *   tlsSocket.end();
 * });
 * ```
 */
export function connect(options: ConnectOptions, secureConnectListener?: () => void): TLSSocket;
export function connect(
  port: number,
  host?: string,
  options?: ConnectOptions,
  secureConnectListener?: () => void,
): TLSSocket;
export function connect(port: number, options?: ConnectOptions, secureConnectListener?: () => void): TLSSocket;
export function connect(...args: unknown[]): TLSSocket {
  const { options, listener } = normalize(args);
  refuseOptions("connect", options);
  const { rejectUnauthorized = process.env.NODE_TLS_REJECT_UNAUTHORIZED !== "0", checkServerIdentity } = options;
  if (checkServerIdentity !== undefined && typeof checkServerIdentity !== "function") {
    throw argumentError("ERR_INVALID_ARG_TYPE", "checkServerIdentity must be a function");
  }
  const { socket: given, allowHalfOpen, signal, highWaterMark, ALPNProtocols, minDHSize } = options;
  const { session, requestOCSP, pskCallback } = options;
  const socket = new TLSSocket(
    given,
    {
      secureContext: contextOf(options.secureContext, () => options),
      rejectUnauthorized: rejectUnauthorized !== false,
      ALPNProtocols,
      allowHalfOpen,
      signal,
      highWaterMark,
      session,
      requestOCSP,
      pskCallback: pskCallback as never,
    },
    {
      hostname: hostnameOf(options),
      checkServerIdentity: checkServerIdentity as CheckServerIdentity | undefined,
      hangUp: () => hangUp(options),
    },
  );
  if (listener !== undefined) socket.once("secureConnect", listener);
  if (options.servername) socket.setServername(options.servername);
  if (!given) {
    if (options.timeout) socket.setTimeout(options.timeout);
    const { signal: _, onread: __, ...net } = options as ConnectOptions & { onread?: unknown };
    socket.connect(net as ConnectOptions);
  }
  socket.on("secure", () => {
    // As in node:tls, it is the handshake's outcome that is judged.
    const { type, size = 0 } = (socket.getEphemeralKeyInfo() ?? {}) as { type?: string; size?: number };
    if (minDHSize === undefined || type !== "DH" || size >= minDHSize) socket.emit("secureConnect");
    else socket.destroy(nodeError("ERR_TLS_DH_PARAM_SIZE", `DH parameter size ${size} is less than ${minDHSize}`));
  });
  return socket;
}

function hostnameOf({ servername, host, socket }: ConnectOptions): string {
  // Where net keeps what it was asked to connect to.
  const { _host } = (socket ?? {}) as { readonly _host?: string | null };
  return servername || host || _host || "localhost";
}

function hangUp({ path, host, port, localAddress }: ConnectOptions): Error {
  const message = "Client network socket disconnected before secure TLS connection was established";
  return Object.assign(nodeError("ECONNRESET", message), { path, host, port, localAddress });
}

/** `(options)`, `(port, options)`, `(port, host, options)` or a path first; the listener last. */
function normalize(args: readonly unknown[]): { options: ConnectOptions; listener: (() => void) | undefined } {
  const [first, second, third] = args;
  const last = args[args.length - 1];
  const target: Record<string, unknown> = {};
  if (typeof first === "object" && first !== null) Object.assign(target, first);
  else if (typeof first === "string" && !/^\d+$/.test(first)) target.path = first;
  else Object.assign(target, { port: first }, typeof second === "string" ? { host: second } : {});
  const options = typeof second === "object" ? second : typeof third === "object" ? third : undefined;
  return {
    options: Object.assign(target, options) as ConnectOptions & { readonly socket?: Duplex },
    listener: typeof last === "function" ? (last as () => void) : undefined,
  };
}
