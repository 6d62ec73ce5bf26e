/** A client's feature: resumption, external keys and early data. */
import { find } from "../../codec/extensions.ts";
import type { NewSessionTicket } from "../../codec/messages.ts";
import { fault } from "../../errors.ts";
import type { Flow } from "../../flow.ts";
import { clientKeys } from "../../handshake/client-psk.ts";
import type { ClientConfig, ClientKeys, HandshakeResult } from "../../handshake/config.ts";
import { call } from "../../handshake/io.ts";
import { type Session, sessionFromTicket } from "../../handshake/session.ts";
import { suiteOf } from "../aftermath.ts";
import type { ClientFeature, ClientOptions } from "../client-options.ts";
import { resolvePskModes, resolvePsks } from "../psk.ts";
import { scopedSessions, sessionScope } from "../scope.ts";

/**
 * Resumption, external pre-shared keys and early data, for a client's `features`: the options `sessions`,
 * `offerEarlyData`, `psks`, `pskModes` and `pskWithCertificates`.
 *
 * @example
 * ```ts
 * import { connect, preSharedKeys, sessionCache } from "mutls/lean";
 *
 * const options = { serverName: "localhost", trust: ca, features: [preSharedKeys], sessions: sessionCache() };
 * const session = await connect(stream, options);
 * console.log(session.resumed); // false
 * ```
 */
export const preSharedKeys: ClientFeature = {
  options: ["sessions", "offerEarlyData", "psks", "pskModes", "pskWithCertificates"],
  configure(options, config) {
    const pskModes = resolvePskModes(options.pskModes);
    if (options.pskWithCertificates === true && !(pskModes.includes("psk_dhe_ke") && options.psks?.length))
      throw fault("ERR_TLS_OPTION", "pskWithCertificates needs psks and psk_dhe_ke");
    if (options.offerEarlyData === true && options.sessions === undefined)
      throw fault("ERR_TLS_OPTION", "early data without sessions that it could go with");
    return clientKeys({
      psks: resolvePsks(options.psks ?? [], options.provider),
      sessions: sessionsOf(options, config),
      pskModes,
      pskWithCertificates: options.pskWithCertificates ?? false,
      earlyData: options.offerEarlyData ?? false,
    });
  },
  aftermath: (config) => ({ keep: (result, ticket) => keep(config, result, ticket) }),
};

function sessionsOf(options: ClientOptions, config: ClientConfig): ClientKeys["sessions"] {
  return options.sessions && scopedSessions(options.sessions, () => sessionScope(options, config));
}

/**
 * A session is kept only where something vouches for the server that can be looked at again: its certificate, or the
 * external key.
 */
function* keep(config: ClientConfig, result: HandshakeResult, ticket: NewSessionTicket): Flow<Session | undefined> {
  const sessions = config.preSharedKeys?.sessions;
  const maxEarlyData = find(ticket.extensions, "early_data") ?? 0;
  const session = sessionFromTicket(result, suiteOf(config, result), ticket, maxEarlyData, config.now());
  const known =
    session !== undefined && (session.peerCertificates.length > 0 || session.externalIdentity !== undefined);
  if (known && result.resumable && sessions !== undefined) {
    yield* call("session", "ERR_TLS_CALLBACK_FAILED", () => sessions.put(session));
  }
  return session;
}
