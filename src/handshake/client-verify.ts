/** What a client makes of a server: at its handshake, before every resumption, and of an open connection. */
import type { Flow } from "../flow.ts";
import type { PeerIdentity } from "../x509/identity.ts";
import type { ClientConfig, ExternalKey, HandshakeResult, Negotiated, PeerFacts } from "./config.ts";
import { conclude, undecided } from "./verdict.ts";

/**
 * Verifies the server's chain and name.
 *
 * @throws TlsError with a `rejection` where they are not to be believed.
 */
export function verifyServer(
  config: ClientConfig,
  certificates: readonly Uint8Array[],
  ocspResponse: Uint8Array | undefined,
): Flow<PeerIdentity> {
  return config.verifier.verify({
    certificates,
    ocspResponse,
    role: "server",
    name: config.checkName ? config.serverName : undefined,
    time: config.now(),
    provider: config.provider,
  });
}

/** A server that is to be judged. */
export interface ServerCase {
  readonly config: ClientConfig;
  readonly negotiated: Negotiated;
  /** That the handshake stands on, if it does. */
  readonly key: ExternalKey | undefined;
}

/** The server, judged and authorized under what is in force; see {@link conclude}. */
export function concludeServer(
  { config, negotiated, key }: ServerCase,
  facts: PeerFacts,
  decided = false,
): Flow<PeerFacts> {
  const verify = () => verifyServer(config, facts.peerCertificates, facts.peerOcspResponse);
  const assertStanding =
    key &&
    // biome-ignore lint/correctness/useYield: a client has its keys with it
    function* () {
      config.assertKey?.(config, key);
    };
  return conclude({ config, verifier: config.verifier, negotiated, verify, assertStanding }, facts, decided);
}

/** The server of an open connection under the configuration in force. */
export function recheckServer(config: ClientConfig, result: HandshakeResult): Flow<PeerFacts> {
  return concludeServer({ config, negotiated: result, key: result }, undecided(result));
}
