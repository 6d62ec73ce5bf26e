/** A client's pre-shared keys: which it offers, which the server took, and the early data that comes with the first. */
import { equal } from "../bytes/bytes.ts";
import { find } from "../codec/extensions.ts";
import type { ServerHello } from "../codec/messages.ts";
import type { CipherSuite, Hash } from "../crypto/provider.ts";
import { fault, TlsError } from "../errors.ts";
import type { Flow } from "../flow.ts";
import { EarlySecret, type Held } from "../schedule/secrets.ts";
import type { Transcript } from "../schedule/transcript.ts";
import type { PeerIdentity } from "../x509/identity.ts";
import type { ClientConfig } from "./config.ts";
import { call, type HandshakeEffects } from "./io.ts";
import { earlyKeys } from "./keys.ts";
import type { Offer } from "./offer.ts";
import { isKey, keyFingerprint, type PreSharedKey } from "./psk.ts";
import { isFresh, isProofAccepted, MAX_TICKET_LIFETIME, type Session } from "./session.ts";

/** A key that may be offered. */
export interface KnownKey {
  readonly psk: PreSharedKey;
  /** For a ticket: the session, and who the server is by today's rules. */
  readonly resumes: { readonly session: Session; readonly peer: PeerIdentity | undefined } | undefined;
  readonly externalIdentity: Uint8Array | undefined;
  readonly externalFingerprint: Uint8Array | undefined;
  /** RFC 8446 4.2.11.1 */
  obfuscatedAge(now: number): number;
}

/** What a handshake may be begun with. */
export interface KnownKeys {
  readonly keys: readonly KnownKey[];
  /** Early data goes with the first of them. */
  readonly early: boolean;
}

/** A session's key first, since only the first may carry early data; then those from elsewhere. */
export function* knownKeys(config: ClientConfig): Flow<KnownKeys> {
  // RFC 8773 5.1: beside certificates, external keys alone.
  const session = config.pskWithCertificates ? undefined : yield* usableSession(config);
  const hashes = config.suites.map(({ hash }) => hash.name);
  const external = config.psks
    .filter(({ hash }) => hashes.includes(hash))
    .map((psk) => ({
      psk,
      resumes: undefined,
      externalIdentity: psk.identity,
      externalFingerprint: keyFingerprint(config.provider, psk),
      obfuscatedAge: () => 0,
    }));
  if (session === undefined) return { keys: external, early: false };
  const early =
    config.earlyData && allowsEarlyData(config, session.session) && (yield* stillAuthorized(config, session));
  return { keys: [session.key, ...external], early };
}

/** Early data goes out before the server is heard, so whether it may have any is asked under the session's parameters. */
function* stillAuthorized(config: ClientConfig, { session, key }: UsableSession): Flow<boolean> {
  const { authorize } = config;
  if (authorize === undefined) return true;
  const { cipherSuite, alpn, serverName } = session;
  const psk = { kind: key.psk.kind, identity: key.psk.identity };
  const facts = { cipherSuite, group: undefined, alpn, serverName, retried: false, psk };
  return (yield* call("authorize", "ERR_TLS_CALLBACK_FAILED", () => authorize(key.resumes?.peer, facts))) === true;
}

interface UsableSession {
  readonly session: Session;
  readonly key: KnownKey;
}

/**
 * A session that may go on: still fresh, for the name wanted, and of a server that today's trust, time and name check
 * accept, or that has a key which is still in use. Anything else is forgotten.
 */
function* usableSession(config: ClientConfig): Flow<UsableSession | undefined> {
  const { sessions } = config;
  if (sessions === undefined) return undefined;
  const session = yield* call("session", "ERR_TLS_CALLBACK_FAILED", () => sessions.take());
  if (session === undefined || session.serverName !== config.serverName) return undefined;
  const suite = config.suites.find(({ name }) => name === session.cipherSuite);
  const now = config.now();
  if (suite === undefined || !isFresh(session, now) || !isProofAccepted(session, config)) return undefined;
  // RFC 8446 4.6.1: however often it has gone on, at some time the server has to show its certificate's key again.
  if (now - session.authenticatedAt >= 1000 * MAX_TICKET_LIFETIME) return undefined;
  const { externalIdentity, externalFingerprint } = session;
  const keyInUse =
    externalIdentity !== undefined &&
    config.psks.some((psk) => equal(psk.identity, externalIdentity) && isKey(config, psk, externalFingerprint));
  let peer: PeerIdentity | undefined;
  if (!keyInUse) {
    if (session.peerCertificates.length === 0) return undefined;
    try {
      peer = yield* verifyServer(config, session.peerCertificates, session.peerOcspResponse);
    } catch (error) {
      if (error instanceof TlsError && error.rejection !== undefined) return undefined;
      throw error;
    }
  }
  return {
    session,
    key: {
      psk: { kind: "resumption", identity: session.ticket, key: session.key, hash: suite.hash.name },
      resumes: { session, peer },
      externalIdentity,
      externalFingerprint,
      obfuscatedAge: (now) => (ticketAge(session, now) + session.ageAdd) >>> 0,
    },
  };
}

/**
 * Whole ms that have surely passed since the ticket came (RFC 8446 4.2.11.1; the sum with ticket_age_add is modulo 2^32).
 * Two readings of a clock that counts whole ms may differ by one more than has passed, and there are servers that refuse
 * early data with a ticket older than they know it to be. Where the clock was set back, nothing has passed.
 */
function ticketAge(session: Session, now: number): number {
  return Math.max(0, Math.ceil(now - session.createdAt) - 1);
}

/** RFC 8446 4.2.10: early data is sent under the parameters of the session. */
function allowsEarlyData({ alpn }: ClientConfig, session: Session): boolean {
  return session.maxEarlyData > 0 && (session.alpn === undefined || alpn.includes(session.alpn));
}

/** Verifies the server's chain and name, at the first handshake and before every resumption. */
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

/** The key that the server took, RFC 8446 4.2.11. */
export function selectedKey(offer: Offer, serverHello: ServerHello, hash: Hash): KnownKey | undefined {
  const index = find(serverHello.extensions, "pre_shared_key");
  if (index === undefined) return undefined;
  const key = offer.keys[index];
  if (key === undefined) throw fault("ERR_TLS_ILLEGAL_PARAMETER", `selected_identity ${index} was not offered`);
  if (key.psk.hash !== hash.name) {
    throw fault("ERR_TLS_ILLEGAL_PARAMETER", `a key for ${key.psk.hash} beside a cipher suite with ${hash.name}`);
  }
  return key;
}

/**
 * Whether certificates are shown beside the key, RFC 8773 5. A client that asked for both is content with nothing less.
 */
export function certificatesBesideKey(
  { pskWithCertificates }: ClientConfig,
  serverHello: ServerHello,
  key: KnownKey | undefined,
): boolean {
  const both = find(serverHello.extensions, "tls_cert_with_extern_psk") !== undefined;
  if (both && key === undefined) throw fault("ERR_TLS_ILLEGAL_PARAMETER", "tls_cert_with_extern_psk without a key");
  if (pskWithCertificates && !both) throw fault("ERR_TLS_MISSING_EXTENSION", "tls_cert_with_extern_psk");
  return both;
}

/** Early data that was offered, with the session whose key protects it. */
export interface EarlyOffer {
  readonly key: KnownKey;
  readonly session: Session;
}

/** Opens the window for early data, under the first key's session (RFC 8446 4.2.10). */
export function openEarlyData(
  config: ClientConfig,
  effects: HandshakeEffects,
  transcript: Transcript,
  held: Held,
  offer: Offer,
): EarlyOffer {
  const key = offer.keys[0];
  const session = key?.resumes?.session;
  const suite = config.suites.find(({ name }) => name === session?.cipherSuite);
  if (key === undefined || session === undefined || suite === undefined) {
    throw fault("ERR_TLS_INTERNAL", "early data without a session");
  }
  const { hash } = suite;
  const early = new EarlySecret(hash, key.psk.key);
  held.push(early);
  const secrets = earlyKeys({ hash, transcript, effects, clientRandom: offer.hello.random, held }, early);
  effects.install("write", "early", suite, secrets.client.slice());
  effects.openEarlyData(session.maxEarlyData, { hash, secret: secrets.exporter.slice() });
  return { key, session };
}

/** What must hold where the server says that it has accepted early data, RFC 8446 4.2.10. */
export function checkAcceptedEarlyData(
  early: EarlyOffer | undefined,
  suite: CipherSuite,
  alpn: string | undefined,
): void {
  if (early === undefined) throw fault("ERR_TLS_ILLEGAL_PARAMETER", "early_data accepted without its key");
  const { cipherSuite, alpn: before } = early.session;
  if (cipherSuite !== suite.name) {
    throw fault("ERR_TLS_ILLEGAL_PARAMETER", `early data is under ${cipherSuite}, the handshake under ${suite.name}`);
  }
  if (before !== alpn) {
    throw fault("ERR_TLS_ILLEGAL_PARAMETER", `early data was for protocol ${before ?? "none"}, not ${alpn ?? "none"}`);
  }
}
