/** What a configuration wants done once a handshake is over. */
import type { CipherSuite, CryptoProvider } from "../crypto/provider.ts";
import { fault } from "../errors.ts";
import { ClientRequests } from "../handshake/client-requests.ts";
import type { ClientConfig, HandshakeResult, ServerConfig } from "../handshake/config.ts";
import { issueTickets } from "../handshake/tickets.ts";
import type { Aftermath } from "./after.ts";
import type { ClientFeature } from "./client-options.ts";
import { Requests } from "./requests.ts";

export function serverAftermath(config: ServerConfig): Aftermath {
  return {
    ...(config.tickets && { tickets: (result) => issueTickets(config, result, suiteOf(config, result)) }),
    authentication: (host, result) =>
      new Requests(host, new ClientRequests(config, result, suiteOf(config, result).hash)),
  };
}

export function clientAftermath(config: ClientConfig, features: readonly ClientFeature[]): Aftermath {
  return Object.assign({}, ...features.map((feature) => feature.aftermath?.(config)));
}

export function suiteOf(
  { provider }: { readonly provider: CryptoProvider },
  { cipherSuite }: HandshakeResult,
): CipherSuite {
  const suite = provider.suites.find(({ name }) => name === cipherSuite);
  if (suite === undefined) throw fault("ERR_TLS_INTERNAL", `no cipher suite ${cipherSuite}`);
  return suite;
}
