/** What a configuration wants done once a handshake is over. */
import { find } from "../codec/extensions.ts";
import type { NewSessionTicket } from "../codec/messages.ts";
import type { CryptoProvider } from "../crypto/provider.ts";
import { fault } from "../errors.ts";
import type { Flow } from "../flow.ts";
import { answerRequest } from "../handshake/client-answer.ts";
import { ClientRequests } from "../handshake/client-requests.ts";
import type { ClientConfig, HandshakeResult, ServerConfig } from "../handshake/config.ts";
import { call } from "../handshake/io.ts";
import { type Session, sessionFromTicket } from "../handshake/session.ts";
import { issueTickets } from "../handshake/tickets.ts";
import type { Aftermath } from "./after.ts";

export function serverAftermath(config: ServerConfig): Aftermath {
  return {
    ...(config.tickets && { tickets: (result) => issueTickets(config, result, suiteOf(config, result)) }),
    requests: (result) => new ClientRequests(config, result, suiteOf(config, result).hash),
  };
}

export function clientAftermath(config: ClientConfig): Aftermath {
  return {
    keep: (result, ticket) => keep(config, result, ticket),
    answer: (result, message, emit) => answerRequest(config, result, suiteOf(config, result).hash, message, emit),
  };
}

/**
 * A session is kept only where something vouches for the server that can be looked at again: its certificate, or the
 * external key.
 */
function* keep(config: ClientConfig, result: HandshakeResult, ticket: NewSessionTicket): Flow<Session | undefined> {
  const maxEarlyData = find(ticket.extensions, "early_data") ?? 0;
  const session = sessionFromTicket(result, suiteOf(config, result), ticket, maxEarlyData, config.now());
  const { sessions } = config;
  const known =
    session !== undefined && (session.peerCertificates.length > 0 || session.externalIdentity !== undefined);
  if (known && result.resumable && sessions !== undefined) {
    yield* call("session", "ERR_TLS_CALLBACK_FAILED", () => sessions.put(session));
  }
  return session;
}

function suiteOf({ provider }: { readonly provider: CryptoProvider }, { cipherSuite }: HandshakeResult) {
  const suite = provider.suites.find(({ name }) => name === cipherSuite);
  if (suite === undefined) throw fault("ERR_TLS_INTERNAL", `no cipher suite ${cipherSuite}`);
  return suite;
}
