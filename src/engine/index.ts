/** The sans-IO engine: for those who bring their own byte stream, loop and clock. */
import "../explained.ts";
import type { ClientOptions } from "./client-options.ts";
import { type ClientContext, liveClient } from "./context.ts";
import { everyFeature } from "./features/index.ts";

export type { ClientOptions } from "./client-options.ts";
export {
  type ClientChanges,
  type ClientContext,
  type EngineContext,
  type ServerChanges,
  type ServerContext,
  serverContext,
} from "./context.ts";
export { TlsEngine } from "./engine.ts";
export type { Recheck } from "./engines.ts";
export type { EngineEvent } from "./events.ts";
export { type IdentityOptions, resolveIdentity } from "./identity.ts";
export type { ReplaceableContext } from "./live.ts";
export type { Direction, Observation, Observer } from "./observer.ts";
export { padTo } from "./padding.ts";
export type { PskOptions } from "./psk.ts";
export type { VerdictLimit } from "./recheck.ts";
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
 * context.replace({ identities: [{ cert, key }] });
 * console.log(context.generation); // 1
 * ```
 */
export function clientContext(options: ClientOptions): ClientContext {
  return liveClient(options, everyFeature);
}
