/** What a server makes of the client of an open connection. */
import { fault } from "../errors.ts";
import type { Flow } from "../flow.ts";
import { concludeClient } from "./client-authentication.ts";
import type { HandshakeResult, PeerFacts, ServerConfig } from "./config.ts";
import { isKey } from "./psk.ts";
import { externalPsk } from "./server-psk.ts";
import { assertKey, undecided } from "./verdict.ts";

/** The client under the configuration in force. */
export function* recheckClient(config: ServerConfig, result: HandshakeResult): Flow<PeerFacts> {
  const { externalIdentity, externalFingerprint, peer } = result;
  const choice = result.choice ?? config;
  if (externalIdentity !== undefined) {
    const standing = yield* externalPsk(config, externalIdentity);
    assertKey(standing !== undefined && isKey(config, standing, externalFingerprint));
  } else if (peer === undefined) {
    // A callback's word is not asked for again.
    const { clientAuth } = config.onClientHello === undefined ? config : choice;
    if (clientAuth === "on") throw fault("ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE");
  }
  return yield* concludeClient(config, choice, undecided(result), result);
}
