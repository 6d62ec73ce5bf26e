/** Options resolved once, for any number of connections. */
import { clientHandshake } from "../handshake/client.ts";
import { serverHandshake } from "../handshake/server.ts";
import { clientAftermath, serverAftermath } from "./aftermath.ts";
import { type ClientFeature, type ClientOptions, resolveClient } from "./client-options.ts";
import { TlsEngine } from "./engine.ts";
import { resolveLimits } from "./limits.ts";
import { resolveServer, type ServerOptions } from "./server-options.ts";

/** Options resolved once, keys and certificates read, for any number of connections. */
export interface EngineContext {
  /** A fresh engine. Nothing happens before {@link TlsEngine.start}. */
  engine(): TlsEngine;
}

/** Prepares clients that can do what is among their features, and refuse options for anything else. */
export function featuredClient(options: ClientOptions, features: readonly ClientFeature[]): EngineContext {
  const config = resolveClient(options, features);
  const limits = resolveLimits(options);
  const aftermath = clientAftermath(config, features);
  return { engine: () => new TlsEngine("client", (effects) => clientHandshake(config, effects), limits, aftermath) };
}

/**
 * Prepares a server for any number of connections.
 *
 * @throws TlsError `ERR_TLS_OPTION`, `ERR_TLS_KEY`, `ERR_TLS_PEM` for options that cannot be used.
 * @example
 * ```ts
 * const context = serverContext({ provider: nobleProvider, clock: Date.now, identities: [{ cert, key }] });
 * const server = context.engine();
 * server.start();
 * server.receive(clientHello);
 * const flight = server.takeOutput();
 * ```
 */
export function serverContext(options: ServerOptions): EngineContext {
  const config = resolveServer(options);
  const limits = resolveLimits(options);
  const aftermath = serverAftermath(config);
  return { engine: () => new TlsEngine("server", (effects) => serverHandshake(config, effects), limits, aftermath) };
}
