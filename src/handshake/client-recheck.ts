/** What a server makes of a client that has shown who it is: in its handshake, and of an open connection. */
import { fault } from "../errors.ts";
import type { Flow } from "../flow.ts";
import type { PeerIdentity } from "../x509/identity.ts";
import { verifyClient } from "./client-authentication.ts";
import {
  type ExternalKey,
  generationOf,
  type HandshakeResult,
  type Negotiated,
  type PeerFacts,
  type ServerChoice,
  type ServerConfig,
} from "./config.ts";
import { isKey } from "./psk.ts";
import { externalPsk } from "./server-psk.ts";
import { assertKey, conclude, undecided } from "./verdict.ts";

/** A client that is to be judged. */
export interface ClientCase {
  readonly config: ServerConfig;
  readonly choice: ServerChoice;
  readonly negotiated: Negotiated;
  /** That the connection stands on, if it does. */
  readonly key: ExternalKey | undefined;
  /**
   * The configuration's generation under which the key was looked up: it is not looked up again before the next.
   * `undefined`: it is.
   */
  readonly since: number | undefined;
}

/** The client, judged and authorized under what is in force; see {@link conclude}. */
export function concludeClient(client: ClientCase, facts: PeerFacts, decided = false): Flow<PeerFacts> {
  const { config, choice, negotiated } = client;
  const { verifier } = choice;
  const verify = () => verifyClient(config, choice, facts.peerCertificates, facts.peerOcspResponse);
  const assertStanding = (peer: PeerIdentity | undefined) => assertClientStanding(client, peer);
  return conclude({ config, verifier, negotiated, verify, assertStanding }, facts, decided);
}

/** The client under the configuration in force. */
export function recheckClient(config: ServerConfig, result: HandshakeResult): Flow<PeerFacts> {
  const choice = result.choice ?? config;
  return concludeClient({ config, choice, negotiated: result, key: result, since: undefined }, undecided(result));
}

function* assertClientStanding({ config, choice, key, since }: ClientCase, peer: PeerIdentity | undefined): Flow<void> {
  if (generationOf(config, config.verifier) === since) return;
  if (key?.externalIdentity !== undefined) {
    const standing = yield* externalPsk(config, key.externalIdentity);
    assertKey(standing !== undefined && isKey(config, standing, key.externalFingerprint));
  } else if (peer === undefined && choice.clientAuth === "on") {
    throw fault("ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE");
  }
}
