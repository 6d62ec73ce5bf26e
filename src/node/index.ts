/** TLS 1.3 with mutual authentication in Node: over TCP as well as any byte stream, with native cryptography. */
import "../explained.ts";
import { connect as connectTcp } from "node:net";
import { createNodeProvider, nodeProvider } from "../crypto/node.ts";
import {
  type ClientContext,
  type EngineContext,
  clientContext as prepareClient,
  serverContext as prepareServer,
  type ServerContext,
} from "../engine/index.ts";
import {
  type AcceptOptions,
  type ClientConfiguration,
  type ConnectOptions,
  openClient,
  openServer,
  type ServerConfiguration,
  withDefaults,
} from "../transport/establish.ts";
import { socketStream } from "../transport/node-socket.ts";
import type { ClientSessionOptions, SessionOptions, TlsSession } from "../transport/session.ts";
import type { ByteStream } from "../transport/stream.ts";
import { listen, type ServeOptions, type SessionHandler, type TlsServer } from "./serve.ts";

export { nobleProvider } from "../crypto/noble.ts";
export { createNodeProvider, nodeProvider } from "../crypto/node.ts";
export * from "../pki/exchange.ts";
export { socketStream } from "../transport/node-socket.ts";
export * from "../transport/surface.ts";
export { brotliCompression, hasZstd, zlibCompression, zstdCompression } from "./compression.ts";
export {
  type CredentialChange,
  type CredentialFiles,
  type CredentialOptions,
  type CredentialPart,
  credentialFiles,
  type FileCredentials,
  type FollowOptions,
  type IdentityFiles,
} from "./credentials.ts";
export { readPkcs12Sync, readPrivateKeySync } from "./pkcs12.ts";
export type { ListenOptions, ServeOptions, SessionHandler, TlsServer } from "./serve.ts";
export { default } from "./tls/index.ts";
export { type PlatformSource, type PlatformTrustOptions, platformTrust } from "./trust.ts";
export type { FileWatch, WatchOptions } from "./watch.ts";

const client = { prepare: prepareClient, provider: () => nodeProvider };

/** {@link connect} over TCP. */
export type TcpConnectOptions = ConnectOptions & {
  /** Host name or IP address to connect to; also the `serverName`, unless that is given. */
  readonly host: string;
  readonly port: number;
};

/**
 * Prepares clients that share their configuration: keys and certificates are read once.
 *
 * @throws TlsError `ERR_TLS_OPTION`, `ERR_TLS_KEY`, `ERR_TLS_PEM`, `CERT_PARSE_ERROR`.
 * @example
 * ```ts
 * const context = clientContext({ serverName: "localhost", trust: ca, identities: [{ cert, key }] });
 * const session = await connect(stream, context);
 * console.log(session.verified); // true
 * ```
 */
export function clientContext(options: ClientConfiguration): ClientContext {
  return prepareClient(withDefaults(options, createNodeProvider));
}

/**
 * Prepares a server for any number of connections: keys and certificates are read once.
 *
 * @throws TlsError `ERR_TLS_OPTION`, `ERR_TLS_KEY`, `ERR_TLS_PEM`, `CERT_PARSE_ERROR`.
 * @example
 * ```ts
 * const context = serverContext({ identities: [{ cert, key }] });
 * const server = await serve({ host: "localhost", context }, (session) => session.readable.pipeTo(session.writable));
 * const session = await connect({ host: "localhost", port: server.port, trust: ca });
 * await session.close();
 * await server.close();
 * ```
 */
export function serverContext(options: ServerConfiguration): ServerContext {
  return prepareServer(withDefaults(options, createNodeProvider));
}

/**
 * A TLS 1.3 client over TCP, or over a byte stream. Resolves when this side has finished the handshake and the server
 * is verified; whether the server accepts this side's certificate is known later, see {@link TlsSession.accepted}
 * (RFC 8446 2). Connecting counts towards `handshakeTimeout`.
 *
 * @throws TlsError `ERR_TLS_OPTION` and the like for the options; whatever makes the handshake fail; `ERR_TLS_ABORTED`,
 * `ERR_TLS_HANDSHAKE_TIMEOUT`; `ERR_TLS_TRANSPORT` with Node's error as `cause`.
 * @example
 * ```ts
 * const session = await connect({ host: "localhost", port, trust: ca, identities: [{ cert, key }] });
 * const writer = session.writable.getWriter();
 * await writer.write(new TextEncoder().encode("hello"));
 * await writer.close();
 * console.log(await new Response(session.readable).text()); // hello
 * ```
 */
export async function connect(options: TcpConnectOptions): Promise<TlsSession>;
/**
 * @param stream - The session's from now on.
 * @param options - Or a {@link clientContext}, with what concerns this connection as third argument.
 */
export async function connect(
  stream: ByteStream,
  options: ConnectOptions | EngineContext,
  session?: ClientSessionOptions,
): Promise<TlsSession>;
export async function connect(
  to: ByteStream | TcpConnectOptions,
  options?: ConnectOptions | EngineContext,
  session?: ClientSessionOptions,
): Promise<TlsSession> {
  if ("readable" in to) return openClient(to, options as ConnectOptions, session, client);
  const { host, port, ...rest } = to;
  // Before anything is opened: an option that cannot be used costs no connection.
  const engineOptions = { ...rest, serverName: rest.serverName ?? host };
  return openClient(() => socketStream(connectTcp({ host, port })), engineOptions, session, client);
}

/**
 * A TLS 1.3 server over a byte stream. Resolves when the handshake is finished and the client, where it was asked,
 * verified.
 *
 * @param stream - The session's from now on.
 * @param options - Or a {@link serverContext}, with what concerns this connection as third argument.
 * @throws TlsError `ERR_TLS_OPTION` and the like for the options; whatever makes the handshake fail; `ERR_TLS_ABORTED`,
 * `ERR_TLS_HANDSHAKE_TIMEOUT`, `ERR_TLS_TRANSPORT`.
 * @example
 * ```ts
 * const [near, far] = memoryPair();
 * const [client, server] = await Promise.all([
 *   connect(near, { serverName: "localhost", trust: ca }),
 *   accept(far, { identities: [{ cert, key }] }),
 * ]);
 * await server.close();
 * console.log(client.peer?.commonName); // localhost
 * ```
 */
export async function accept(
  stream: ByteStream,
  options: AcceptOptions | EngineContext,
  session?: SessionOptions,
): Promise<TlsSession> {
  return openServer(stream, options, session, { prepare: prepareServer, provider: () => nodeProvider });
}

/**
 * A TLS 1.3 server on a TCP port. It survives whatever clients do: a connection that fails ends alone.
 *
 * @param handler - Called for each client that has finished the handshake; the session is closed when what it returns
 * is settled. When it throws, the client is sent internal_error.
 * @returns Resolves when it listens.
 * @throws TlsError `ERR_TLS_OPTION` and the like for the options; Node's error when it cannot listen.
 * @example
 * ```ts
 * const server = await serve({ host: "localhost", identities: [{ cert, key }] }, async (session) => {
 *   await session.readable.pipeTo(session.writable);
 * });
 * console.log(server.port > 0); // true
 * await server.close();
 * ```
 */
export async function serve(options: ServeOptions, handler: SessionHandler): Promise<TlsServer> {
  return listen(options, handler, createNodeProvider());
}
