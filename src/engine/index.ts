/** The sans-IO engine: for those who bring their own byte stream, loop and clock. */
import { clientHandshake } from "../handshake/client.ts";
import { serverHandshake } from "../handshake/server.ts";
import { clientAftermath, serverAftermath } from "./aftermath.ts";
import { TlsEngine } from "./engine.ts";
import { type ClientOptions, resolveClient, resolveLimits, resolveServer, type ServerOptions } from "./options.ts";

export type { EngineEvent } from "./engine.ts";
export { TlsEngine } from "./engine.ts";
export { type IdentityOptions, resolveIdentity } from "./identity.ts";
export type { Direction, Observation, Observer } from "./observer.ts";
export type { ClientOptions, EarlyDataOptions, ServerOptions, TicketOptions } from "./options.ts";
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

/** Options resolved once, keys and certificates read, for any number of connections. */
export interface EngineContext {
  /** A fresh engine. Nothing happens before {@link TlsEngine.start}. */
  engine(): TlsEngine;
}

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
  const config = resolveClient(options);
  const limits = resolveLimits(options);
  const aftermath = clientAftermath(config);
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
