/**
 * TLS 1.3 with mutual authentication over any byte stream. Nothing here needs Node: the platform's WebCrypto does what it
 * can, noble the rest.
 */
import "./explained.ts";
import { nobleProvider } from "./crypto/noble.ts";
import { createWebCryptoProvider, type WebCryptoProvider } from "./crypto/webcrypto.ts";
import type { ClientOptions } from "./engine/client-options.ts";
import { featuredClient } from "./engine/context.ts";
import { everyFeature } from "./engine/features/index.ts";
import {
  type ClientContext,
  type EngineContext,
  clientContext as prepareClient,
  serverContext as prepareServer,
  type ServerContext,
} from "./engine/index.ts";
import {
  type AcceptOptions,
  type ClientConfiguration,
  type ConnectOptions,
  openClient,
  openServer,
  type ServerConfiguration,
  withDefaults,
} from "./transport/establish.ts";
import type { ClientSessionOptions, SessionOptions, TlsSession } from "./transport/session.ts";
import type { ByteStream } from "./transport/stream.ts";

export { nobleProvider } from "./crypto/noble.ts";
export {
  createWebCryptoProvider,
  importPrivateKey,
  signerFromCryptoKey,
  type WebCryptoProvider,
  type WebCryptoProviderOptions,
} from "./crypto/webcrypto.ts";
export * from "./transport/surface.ts";

/** For single connections; contexts have one each, with a cache of imported keys that is theirs. */
let shared: WebCryptoProvider | undefined;
function sharedProvider(): WebCryptoProvider {
  shared ??= createWebCryptoProvider({ fallback: nobleProvider, keyCacheSize: 0 });
  return shared;
}

/** One connection's options are not replaced: what that takes is in no bundle that has `connect` alone. */
const prepareOne = (options: ClientOptions) => featuredClient(options, everyFeature);
const ownProvider = () => createWebCryptoProvider({ fallback: nobleProvider });

/**
 * Does before the first connection what it would have to wait for: tries out what the platform's WebCrypto has, and
 * builds noble's tables for what it lacks, 50 to 100 ms for each curve. Never needed.
 *
 * @example
 * ```ts
 * await warmup();
 * const session = await connect(stream, { serverName: "localhost", trust: ca, identities: [{ cert, key }] });
 * console.log(session.verified); // true
 * ```
 */
export async function warmup(): Promise<void> {
  await sharedProvider().warmup();
}

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
  return prepareClient(withDefaults(options, ownProvider));
}

/**
 * Prepares a server for any number of connections: keys and certificates are read once.
 *
 * @throws TlsError `ERR_TLS_OPTION`, `ERR_TLS_KEY`, `ERR_TLS_PEM`, `CERT_PARSE_ERROR`.
 * @example
 * ```ts
 * const context = serverContext({ identities: [{ cert, key }], clientAuth: "on", trust: ca });
 * const [near, far] = memoryPair();
 * const accepting = accept(far, context);
 * await connect(near, { serverName: "localhost", trust: ca, identities: [{ cert, key }] });
 * console.log((await accepting).verified); // true
 * ```
 */
export function serverContext(options: ServerConfiguration): ServerContext {
  return prepareServer(withDefaults(options, ownProvider));
}

/**
 * A TLS 1.3 client over a byte stream. Resolves when this side has finished the handshake and the server is verified;
 * whether the server accepts this side's certificate is known later, see {@link TlsSession.accepted} (RFC 8446 2).
 *
 * @param stream - The session's from now on.
 * @param options - Or a {@link clientContext}, with what concerns this connection as third argument.
 * @throws TlsError `ERR_TLS_OPTION` and the like for the options; whatever makes the handshake fail; `ERR_TLS_ABORTED`,
 * `ERR_TLS_HANDSHAKE_TIMEOUT`, `ERR_TLS_TRANSPORT`.
 * @example
 * ```ts
 * const session = await connect(stream, { serverName: "localhost", trust: ca, identities: [{ cert, key }] });
 * const writer = session.writable.getWriter();
 * await writer.write(new TextEncoder().encode("hello"));
 * await writer.close();
 * console.log(await new Response(session.readable).text()); // hello
 * ```
 */
export async function connect(
  stream: ByteStream,
  options: ConnectOptions | EngineContext,
  session?: ClientSessionOptions,
): Promise<TlsSession> {
  return openClient(stream, options, session, { prepare: prepareOne, provider: sharedProvider });
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
  return openServer(stream, options, session, { prepare: prepareServer, provider: sharedProvider });
}
