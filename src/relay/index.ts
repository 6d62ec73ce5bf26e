/** A relay from WebSockets to TCP for Node: what pages need that speak TLS themselves. */
import "../explained.ts";

export type { RelayTarget } from "./allow.ts";
export type { RelayResolver } from "./dial.ts";
export { createRelay, type Relay, type RelayedConnection, type RelayServerOptions } from "./relay.ts";
export { type ListeningRelay, type RelayListenOptions, serveRelay } from "./serve.ts";
