/** The sans-IO engine: for those who bring their own byte stream, loop and clock. */
import { serverHandshake } from "../handshake/server.ts";
import { serverAftermath } from "./aftermath.ts";
import type { ClientOptions } from "./client-options.ts";
import { resolveLimits } from "./common-options.ts";
import { type EngineContext, featuredClient } from "./context.ts";
import { TlsEngine } from "./engine.ts";
import { everyFeature } from "./features/index.ts";
import { resolveServer, type ServerOptions } from "./server-options.ts";

export type { ClientOptions } from "./client-options.ts";
export type { EngineContext } from "./context.ts";
export type { EngineEvent } from "./engine.ts";
export { TlsEngine } from "./engine.ts";
export { type IdentityOptions, resolveIdentity } from "./identity.ts";
export type { Direction, Observation, Observer } from "./observer.ts";
export { padTo } from "./padding.ts";
export type { PskOptions } from "./psk.ts";
export {
  type SealedCookiesOptions,
  type SealedTickets,
  type SealedTicketsOptions,
  type SessionCache,
  type SessionCacheOptions,
  type StrikeRegisterOptions,
  sealedCookies,
  sealedTickets,
  sessionCache,
  storedTickets,
  strikeRegister,
  type TicketStorage,
} from "./resumption.ts";
export type { EarlyDataOptions, ServerOptions, TicketOptions } from "./server-options.ts";

/**
 * Prepares clients that share their options.
 *
 * @throws TlsError `ERR_TLS_OPTION`, `ERR_TLS_KEY`, `ERR_TLS_PEM` for options that cannot be used.
 * @example
 * ```ts
 * const context = clientContext({ provider: nobleProvider, clock: Date.now, serverName: "localhost", trust: ca });
 * const client = context.engine();
 * client.listen((event) => console.log(event.type));
 * client.start();
 * const clientHello = client.takeOutput();
 * ```
 */
export function clientContext(options: ClientOptions): EngineContext {
  return featuredClient(options, everyFeature);
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
