/** Options resolved once, for any number of connections. */

import { clientHandshake } from "../handshake/client.ts";
import { recheckClient } from "../handshake/client-recheck.ts";
import { recheckServer } from "../handshake/client-verify.ts";
import type { ClientConfig, HandshakeResult } from "../handshake/config.ts";
import { serverHandshake } from "../handshake/server.ts";
import { clientAftermath, serverAftermath } from "./aftermath.ts";
import { type ClientFeature, type ClientOptions, resolveClient } from "./client-options.ts";
import type { Trusted } from "./common-options.ts";
import { TlsEngine } from "./engine.ts";
import { resolveLimits } from "./limits.ts";
import { LiveContext, type ReplaceableContext } from "./live.ts";
import type { Observer } from "./observer.ts";
import { resolveServer, type ServerOptions } from "./server-options.ts";

/** Options resolved once, keys and certificates read, for any number of connections. */
export interface EngineContext {
  /**
   * A fresh engine. Nothing happens before {@link TlsEngine.start}.
   *
   * @param own - What is this connection's alone: an observer in place of the context's.
   */
  engine(own?: { readonly observer?: Observer | undefined }): TlsEngine;
}

const COMMON_CHANGES = ["identities", "trust", "verifier", "authorize", "psks"] as const;
const CLIENT_CHANGES = [...COMMON_CHANGES, "selectIdentity"] as const;
const SERVER_CHANGES = [
  ...COMMON_CHANGES,
  "clientAuth",
  "sendAuthorities",
  "strictServerName",
  "findPsk",
  "tickets",
  "onClientHello",
] as const;

/** What can be replaced in a client's context. */
export type ClientChanges = Partial<Pick<ClientOptions, (typeof CLIENT_CHANGES)[number]>>;
/** What can be replaced in a server's context. */
export type ServerChanges = Partial<Pick<ServerOptions, (typeof SERVER_CHANGES)[number]>>;
/** Made by {@link clientContext}. */
export type ClientContext = ReplaceableContext<ClientChanges>;
/** Made by {@link serverContext}. */
export type ServerContext = ReplaceableContext<ServerChanges>;

/** Prepares one client that can do what is among its features, and refuses options for anything else. */
export function featuredClient(options: ClientOptions, features: readonly ClientFeature[]): EngineContext {
  const config = resolveClient(options, features);
  const limits = resolveLimits(options);
  const aftermath = {
    ...clientAftermath(config, features),
    recheck: (result: HandshakeResult) => recheckServer(config, result),
  };
  return {
    engine: ({ observer = limits.observer } = {}) =>
      new TlsEngine("client", (effects) => clientHandshake(config, effects), { ...limits, observer }, aftermath),
  };
}

/** The same for any number of them, whose options can be replaced. */
export function liveClient(options: ClientOptions, features: readonly ClientFeature[]): ClientContext {
  const role = {
    side: "client",
    replaceable: CLIENT_CHANGES,
    resolve: (given: ClientOptions, first: Trusted) => resolveClient(given, features, first),
    handshake: clientHandshake,
    aftermath: (config: ClientConfig) => clientAftermath(config, features),
    recheck: recheckServer,
  } as const;
  return new LiveContext(role, options);
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
export function serverContext(options: ServerOptions): ServerContext {
  const role = {
    side: "server",
    replaceable: SERVER_CHANGES,
    resolve: resolveServer,
    handshake: serverHandshake,
    aftermath: serverAftermath,
    recheck: recheckClient,
  } as const;
  return new LiveContext(role, options);
}
