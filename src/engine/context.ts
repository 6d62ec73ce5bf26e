/** Options resolved once, for any number of connections. */
import { clientHandshake } from "../handshake/client.ts";
import { clientAftermath } from "./aftermath.ts";
import { type ClientFeature, type ClientOptions, resolveClient } from "./client-options.ts";
import { resolveLimits } from "./common-options.ts";
import { TlsEngine } from "./engine.ts";

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
