/**
 * The last word about a peer. Whom to trust may be replaced at any moment: a verdict of before is given again under what
 * is in force now, so that nobody is authorized by a CA that is gone.
 */
import { fault } from "../errors.ts";
import type { Flow } from "../flow.ts";
import type { PeerIdentity } from "../x509/identity.ts";
import type { CertificateVerifier } from "../x509/verifier.ts";
import { type CommonConfig, generationOf, type Negotiated, type PeerFacts } from "./config.ts";
import { call } from "./io.ts";

/** A peer that is to be judged. */
export interface Case {
  readonly config: CommonConfig;
  /** Whose generation counts, beside the configuration's. */
  readonly verifier: CertificateVerifier;
  readonly negotiated: Negotiated;
  verify(): Flow<PeerIdentity>;
  /** What else it stands on must be in force: an external key, or that nobody need show a certificate. */
  readonly assertStanding: ((peer: PeerIdentity | undefined) => Flow<void>) | undefined;
}

/**
 * The peer, judged and authorized under what is in force.
 *
 * @param decided - `facts` are what this function gave before: only what has been replaced since is looked at again.
 */
export function* conclude(
  { config, verifier, negotiated, verify, assertStanding }: Case,
  facts: PeerFacts,
  decided: boolean,
): Flow<PeerFacts> {
  let current = facts;
  let authorizedUnder = decided ? facts.generation : undefined;
  for (;;) {
    // Taken before: what is replaced while a verdict is waited for counts.
    const generation = generationOf(config, verifier);
    if (authorizedUnder === generation) return current;
    if (assertStanding !== undefined) yield* assertStanding(current.peer);
    if (current.generation !== generation)
      current = { ...current, peer: current.peer && (yield* verify()), generation };
    const { peer } = current;
    const { authorize } = config;
    if (authorize !== undefined) {
      const allowed = yield* call("authorize", "ERR_TLS_CALLBACK_FAILED", () => authorize(peer, negotiated));
      if (allowed !== true) throw fault("ERR_TLS_ACCESS_DENIED", peer?.subject ?? "a peer without a certificate");
    }
    authorizedUnder = generation;
  }
}

/** What is known of a peer, of no generation: everything is looked at again. */
export function undecided(facts: PeerFacts): PeerFacts {
  return { ...facts, generation: -1 };
}

/** @param holds - The pre-shared key that a connection stands on is in use. */
export function assertKey(holds: boolean): void {
  if (!holds) throw fault("ERR_TLS_UNKNOWN_PSK", "the pre-shared key is not in use any more");
}
