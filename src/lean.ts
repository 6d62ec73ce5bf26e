/**
 * The same with WebCrypto alone, for who counts bytes: no elliptic curve, no ML-KEM and no RSA is bundled, and what the
 * platform lacks is not offered. A client is a mutual handshake; whatever else it shall do it is given as `features`.
 */
import {
  createLeanProvider,
  createWebCryptoProvider,
  type WebCryptoProvider,
  type WebCryptoProviderOptions,
} from "./crypto/webcrypto.ts";
import type { ClientFeature, ClientOptions } from "./engine/client-options.ts";
import {
  type ClientContext,
  type EngineContext,
  featuredClient,
  liveClient,
  serverContext as prepareServer,
  type ServerContext,
} from "./engine/context.ts";
import { fault } from "./errors.ts";
import {
  type AcceptOptions,
  type ClientConfiguration,
  type ConnectOptions,
  type Defaults,
  isContext,
  openClient,
  openServer,
  type ServerConfiguration,
  withDefaults,
} from "./transport/establish.ts";
import type { ClientSessionOptions, SessionOptions, TlsSession } from "./transport/session.ts";
import type { ByteStream } from "./transport/stream.ts";

export { explainErrors } from "./causes.ts";
export {
  createLeanProvider,
  createWebCryptoProvider,
  importPrivateKey,
  signerFromCryptoKey,
  type WebCryptoProvider,
  type WebCryptoProviderOptions,
} from "./crypto/webcrypto.ts";
export type { ClientFeature } from "./engine/client-options.ts";
export { compressedCertificates } from "./engine/features/compression.ts";
export { greasing } from "./engine/features/greasing.ts";
export { postHandshakeAuthentication } from "./engine/features/post-handshake.ts";
export { preSharedKeys } from "./engine/features/pre-shared-keys.ts";
export { recordLimits } from "./engine/features/record-limits.ts";
export * from "./transport/surface.ts";

/** What a client is made of. */
export interface Featured {
  /** What it can do beyond a mutual handshake; options for anything else are refused. Default: nothing. */
  readonly features?: readonly ClientFeature[] | undefined;
}

const prepareClient = ({ features = [], ...options }: ClientOptions & Featured) => featuredClient(options, features);

type Make = (options: WebCryptoProviderOptions) => WebCryptoProvider;

/** For single connections; contexts have one each, with a cache of imported keys that is theirs. */
let shared: Promise<WebCryptoProvider> | undefined;
function sharedProvider(): Promise<WebCryptoProvider> {
  shared ??= warmProvider(createLeanProvider, 0);
  return shared;
}

let sharedByServers: Promise<WebCryptoProvider> | undefined;
function serverProvider(): Promise<WebCryptoProvider> {
  sharedByServers ??= warmProvider(createWebCryptoProvider, 0);
  return sharedByServers;
}

/** Without a fallback, what is offered depends on the platform, which has to be tried out first. */
async function warmProvider(make: Make, keyCacheSize?: number): Promise<WebCryptoProvider> {
  const provider = make({ keyCacheSize });
  await provider.warmup();
  if (provider.groups.length === 0) throw fault("ERR_TLS_OPTION", "there is no WebCrypto here, and nothing else");
  return provider;
}

/** The provider to fall back on; none is made where the options have theirs. */
async function defaultFor(
  options: Defaults | EngineContext,
  standard: () => Promise<WebCryptoProvider>,
): Promise<() => WebCryptoProvider> {
  const provider = isContext(options) || options.provider !== undefined ? undefined : await standard();
  return () => provider as WebCryptoProvider;
}

/**
 * Tries out what the platform's WebCrypto has, before the first connection would.
 *
 * @example
 * ```ts
 * await warmup();
 * const session = await connect(stream, { serverName: "localhost", trust: ca, identities: [{ cert, key }] });
 * console.log(session.verified); // true
 * ```
 */
export async function warmup(): Promise<void> {
  await sharedProvider();
}

/**
 * Prepares clients that share their configuration, for this platform: keys and certificates are read once.
 *
 * @throws TlsError `ERR_TLS_OPTION`, `ERR_TLS_KEY`, `ERR_TLS_PEM`, `CERT_PARSE_ERROR`.
 * @example
 * ```ts
 * import { clientContext, connect } from "mutls/lean";
 *
 * const context = await clientContext({ serverName: "localhost", trust: ca, identities: [{ cert, key }] });
 * const session = await connect(stream, context);
 * console.log(session.verified); // true
 * ```
 */
export async function clientContext(options: ClientConfiguration & Featured): Promise<ClientContext> {
  const { features = [], ...rest } = options;
  const provider = options.provider ?? (await warmProvider(createLeanProvider));
  const given = withDefaults(rest, () => provider);
  return liveClient(given, features);
}

/**
 * Prepares a server for any number of connections, for this platform: keys and certificates are read once.
 *
 * @throws TlsError `ERR_TLS_OPTION`, `ERR_TLS_KEY`, `ERR_TLS_PEM`, `CERT_PARSE_ERROR`.
 * @example
 * ```ts
 * import { accept, connect, memoryPair, serverContext } from "mutls/lean";
 *
 * const context = await serverContext({ identities: [{ cert, key }], clientAuth: "on", trust: ca });
 * const [near, far] = memoryPair();
 * const accepting = accept(far, context);
 * await connect(near, { serverName: "localhost", trust: ca, identities: [{ cert, key }] });
 * console.log((await accepting).verified); // true
 * ```
 */
export async function serverContext(options: ServerConfiguration): Promise<ServerContext> {
  const provider = options.provider ?? (await warmProvider(createWebCryptoProvider));
  return prepareServer(withDefaults(options, () => provider));
}

/**
 * A TLS 1.3 client over a byte stream, as the root entry point's `connect`. Without a `provider` of its own it offers
 * what this platform's WebCrypto has, and of cipher suites TLS_AES_128_GCM_SHA256 alone, which every server must have
 * (RFC 8446 9.1): {@link createWebCryptoProvider} makes one with TLS_AES_256_GCM_SHA384, too.
 *
 * @param stream - The session's from now on.
 * @param options - Or a {@link clientContext}, with what concerns this connection as third argument.
 * @throws TlsError `ERR_TLS_OPTION` and the like for the options; whatever makes the handshake fail; `ERR_TLS_ABORTED`,
 * `ERR_TLS_HANDSHAKE_TIMEOUT`, `ERR_TLS_TRANSPORT`.
 * @example
 * ```ts
 * import { connect } from "mutls/lean";
 *
 * const session = await connect(stream, { serverName: "localhost", trust: ca, identities: [{ cert, key }] });
 * const writer = session.writable.getWriter();
 * await writer.write(new TextEncoder().encode("hello"));
 * await writer.close();
 * console.log(await new Response(session.readable).text()); // hello
 * ```
 */
export async function connect(
  stream: ByteStream,
  options: (ConnectOptions & Featured) | EngineContext,
  session?: ClientSessionOptions,
): Promise<TlsSession> {
  return openClient(stream, options, session, {
    prepare: prepareClient,
    provider: await defaultFor(options, sharedProvider),
  });
}

/**
 * A TLS 1.3 server over a byte stream, as the root entry point's `accept`. Without a `provider` of its own it takes
 * what this platform's WebCrypto has.
 *
 * @param stream - The session's from now on.
 * @param options - Or a {@link serverContext}, with what concerns this connection as third argument.
 * @throws TlsError `ERR_TLS_OPTION` and the like for the options; whatever makes the handshake fail; `ERR_TLS_ABORTED`,
 * `ERR_TLS_HANDSHAKE_TIMEOUT`, `ERR_TLS_TRANSPORT`.
 * @example
 * ```ts
 * import { accept, connect, memoryPair } from "mutls/lean";
 *
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
  return openServer(stream, options, session, {
    prepare: prepareServer,
    provider: await defaultFor(options, serverProvider),
  });
}
