/** A client's pre-shared keys: which it offers, which the server took, and the early data that comes with the first. */
import { equal } from "../bytes/bytes.ts";
import { type Extension, extension, find } from "../codec/extensions.ts";
import type { ServerHello } from "../codec/messages.ts";
import { PskKeyExchangeMode } from "../codec/registry.ts";
import type { CipherSuite, Hash } from "../crypto/provider.ts";
import { fault, TlsError } from "../errors.ts";
import type { Flow } from "../flow.ts";
import { EarlySecret, type Held } from "../schedule/secrets.ts";
import type { Transcript } from "../schedule/transcript.ts";
import type { PeerIdentity } from "../x509/identity.ts";
import { concludeServer, verifyServer } from "./client-verify.ts";
import { type ClientConfig, type ClientKeys, generationOf, type Negotiated, NOBODY, type PeerFacts } from "./config.ts";
import { call, type HandshakeEffects } from "./io.ts";
import { earlyKeys } from "./keys.ts";
import type { Offer } from "./offer.ts";
import { bindersLength, isKey, keyFingerprint, type PreSharedKey, pskBinder } from "./psk.ts";
import { isFresh, isProofAccepted, MAX_TICKET_LIFETIME, type Session } from "./session.ts";
import { assertKey, undecided } from "./verdict.ts";

/** A key that may be offered. */
export interface KnownKey {
  readonly psk: PreSharedKey;
  /** For a ticket. */
  readonly session: Session | undefined;
  /** Who the server is by today's rules: nobody, unless the key comes from a session. */
  readonly server: PeerFacts;
  readonly externalIdentity: Uint8Array | undefined;
  readonly externalFingerprint: Uint8Array | undefined;
  /** When the server last proved who it is; `undefined`: by this key, now. */
  readonly authenticatedAt: number | undefined;
  /** RFC 8446 4.2.11.1 */
  obfuscatedAge(now: number): number;
}

/** Early data that was offered, with the session whose key protects it. */
export interface EarlyOffer {
  readonly key: KnownKey;
  readonly session: Session;
}

/** What a client's configuration has of pre-shared keys. */
export function clientKeys(how: Omit<ClientKeys, "offer">): Pick<ClientConfig, "preSharedKeys" | "assertKey"> {
  const keys: ClientKeys = { ...how, offer: (config) => offerKeys(config, keys) };
  return {
    preSharedKeys: keys,
    assertKey: (config, { externalIdentity, externalFingerprint }) =>
      assertKey(externalIdentity === undefined || isInUse(config, keys, externalIdentity, externalFingerprint)),
  };
}

/** A session's key first, since only the first may carry early data; then those from elsewhere. */
function* offerKeys(config: ClientConfig, keys: ClientKeys): Flow<OfferedKeys> {
  // RFC 8773 5.1: beside certificates, external keys alone.
  const session = keys.pskWithCertificates ? undefined : yield* usableSession(config, keys);
  const hashes = config.suites.map(({ hash }) => hash.name);
  const external = keys.psks
    .filter(({ hash }) => hashes.includes(hash))
    .map((psk) => ({
      psk,
      session: undefined,
      server: NOBODY,
      externalIdentity: psk.identity,
      externalFingerprint: keyFingerprint(config.provider, psk),
      authenticatedAt: undefined,
      obfuscatedAge: () => 0,
    }));
  if (session === undefined) return new OfferedKeys(config, keys, external, false);
  const early = keys.earlyData && allowsEarlyData(config, session) && (yield* stillAuthorized(config, session));
  return new OfferedKeys(config, keys, [session, ...external], early);
}

/** The keys of one handshake. */
export class OfferedKeys {
  /** Early data goes with the first of them. */
  readonly early: boolean;
  /** Tickets will be kept. */
  readonly resumable: boolean;
  readonly #config: ClientConfig;
  readonly #how: ClientKeys;
  /** In the order of the identities. */
  #keys: readonly KnownKey[];

  constructor(config: ClientConfig, how: ClientKeys, keys: readonly KnownKey[], early: boolean) {
    this.early = early;
    this.resumable = how.sessions !== undefined;
    this.#config = config;
    this.#how = how;
    this.#keys = keys;
  }

  /** What a ClientHello says besides the keys themselves. */
  get extensions(): readonly Extension<"CH">[] {
    const block: Extension<"CH">[] = [];
    // Without it a server would send no tickets either.
    if (this.#keys.length > 0 || this.resumable) {
      const modes = this.#how.pskModes.map((mode) => PskKeyExchangeMode.codes[mode]);
      block.push(extension("psk_key_exchange_modes", modes));
    }
    if (this.#how.pskWithCertificates) block.push(extension("tls_cert_with_extern_psk", true));
    if (this.early) block.push(extension("early_data", true));
    return block;
  }

  /** The last extension of a ClientHello (RFC 8446 4.2.11), with room for binders. */
  identities(): readonly Extension<"CH">[] {
    if (this.#keys.length === 0) return [];
    const identities = this.#keys.map(({ psk, obfuscatedAge }) => ({
      identity: psk.identity,
      obfuscated_ticket_age: obfuscatedAge(this.#config.now()),
    }));
    return [extension<"CH", "pre_shared_key">("pre_shared_key", { identities, binders: this.#emptyBinders() })];
  }

  /** Fills in the binders at the end of a ClientHello. */
  bind(message: Uint8Array, transcript: Transcript): void {
    if (this.#keys.length === 0) return;
    let position = message.length - bindersLength(this.#emptyBinders());
    const partial = message.slice(0, position);
    position += 2;
    for (const { psk } of this.#keys) {
      const binder = pskBinder(this.#hashOf(psk), psk, transcript, partial);
      message.set(binder, position + 1);
      position += 1 + binder.length;
    }
  }

  /** RFC 8446 4.1.2: after a retry, keys that do not go with the suite chosen are left out, and no early data goes. */
  retry({ hash }: CipherSuite): void {
    this.#keys = this.#keys.filter(({ psk }) => psk.hash === hash.name);
  }

  /** The key that the server took, RFC 8446 4.2.11. */
  selected(serverHello: ServerHello, hash: Hash): KnownKey | undefined {
    const index = find(serverHello.extensions, "pre_shared_key");
    if (index === undefined) return undefined;
    const key = this.#keys[index];
    if (key === undefined) throw fault("ERR_TLS_ILLEGAL_PARAMETER", `selected_identity ${index} was not offered`);
    if (key.psk.hash !== hash.name) {
      throw fault("ERR_TLS_ILLEGAL_PARAMETER", `a key for ${key.psk.hash} beside a cipher suite with ${hash.name}`);
    }
    return key;
  }

  /**
   * Whether certificates are shown beside the key, RFC 8773 5. A client that asked for both is content with nothing less.
   */
  besideCertificates(serverHello: ServerHello, key: KnownKey | undefined): boolean {
    const both = find(serverHello.extensions, "tls_cert_with_extern_psk") !== undefined;
    if (both && key === undefined) throw fault("ERR_TLS_ILLEGAL_PARAMETER", "tls_cert_with_extern_psk without a key");
    if (this.#how.pskWithCertificates && !both) throw fault("ERR_TLS_MISSING_EXTENSION", "tls_cert_with_extern_psk");
    return both;
  }

  /** A key alone, without a key exchange (RFC 8446 4.2.9). */
  standAlone(serverHello: ServerHello, key: KnownKey | undefined): boolean {
    if (key === undefined) return false;
    const alone = find(serverHello.extensions, "key_share") === undefined;
    if (this.#how.pskModes.includes(alone ? "psk_ke" : "psk_dhe_ke")) return alone;
    throw fault(
      "ERR_TLS_ILLEGAL_PARAMETER",
      alone ? "no key_share, which psk_dhe_ke needs" : "a key_share beside a key that was offered without (psk_ke)",
    );
  }

  /** Opens the window for early data, under the first key's session (RFC 8446 4.2.10). */
  openEarlyData(effects: HandshakeEffects, transcript: Transcript, held: Held, { hello }: Offer): EarlyOffer {
    const key = this.#keys[0];
    const session = key?.session;
    const suite = this.#config.suites.find(({ name }) => name === session?.cipherSuite);
    if (key === undefined || session === undefined || suite === undefined) {
      throw fault("ERR_TLS_INTERNAL", "early data without a session");
    }
    const { hash } = suite;
    const early = new EarlySecret(hash, key.psk.key);
    held.push(early);
    const secrets = earlyKeys({ hash, transcript, effects, clientRandom: hello.random, held }, early);
    effects.install("write", "early", suite, secrets.client.slice());
    const judged = { config: this.#config, negotiated: negotiatedBefore(key.psk, session), key };
    effects.standOn(() => concludeServer(judged, undecided(key.server)));
    effects.openEarlyData(session.maxEarlyData, { hash, secret: secrets.exporter.slice() });
    return { key, session };
  }

  /** What must hold where the server says that it has accepted early data, RFC 8446 4.2.10. */
  checkEarlyData(early: EarlyOffer | undefined, suite: CipherSuite, alpn: string | undefined): void {
    if (early === undefined) throw fault("ERR_TLS_ILLEGAL_PARAMETER", "early_data accepted without its key");
    const { cipherSuite, alpn: before } = early.session;
    if (cipherSuite !== suite.name) {
      throw fault("ERR_TLS_ILLEGAL_PARAMETER", `early data is under ${cipherSuite}, the handshake under ${suite.name}`);
    }
    if (before !== alpn) {
      throw fault(
        "ERR_TLS_ILLEGAL_PARAMETER",
        `early data was for protocol ${before ?? "none"}, not ${alpn ?? "none"}`,
      );
    }
  }

  #hashOf({ hash }: PreSharedKey): Hash {
    const found = this.#config.provider.hashes[hash];
    if (found === undefined) throw fault("ERR_TLS_INTERNAL", `a key for ${hash}, which the provider has not`);
    return found;
  }

  #emptyBinders(): Uint8Array[] {
    return this.#keys.map(({ psk }) => new Uint8Array(this.#hashOf(psk).length));
  }
}

/** Early data goes out before the server is heard, so whether it may have any is asked under the session's parameters. */
function* stillAuthorized({ authorize }: ClientConfig, { psk, session, server }: UsableKey): Flow<boolean> {
  if (authorize === undefined) return true;
  const facts = negotiatedBefore(psk, session);
  return (yield* call("authorize", "ERR_TLS_CALLBACK_FAILED", () => authorize(server.peer, facts))) === true;
}

function negotiatedBefore({ kind, identity }: PreSharedKey, { cipherSuite, alpn, serverName }: Session): Negotiated {
  return { cipherSuite, group: undefined, alpn, serverName, retried: false, psk: { kind, identity } };
}

interface UsableKey extends KnownKey {
  readonly session: Session;
}

/**
 * A session that may go on: still fresh, for the name wanted, and of a server that today's trust, time and name check
 * accept, or that has a key which is still in use. Anything else is forgotten.
 */
function* usableSession(config: ClientConfig, keys: ClientKeys): Flow<UsableKey | undefined> {
  const { sessions } = keys;
  if (sessions === undefined) return undefined;
  const session = yield* call("session", "ERR_TLS_CALLBACK_FAILED", () => sessions.take());
  if (session === undefined || session.serverName !== config.serverName) return undefined;
  const suite = config.suites.find(({ name }) => name === session.cipherSuite);
  const now = config.now();
  if (suite === undefined || !isFresh(session, now) || !isProofAccepted(session, config)) return undefined;
  // RFC 8446 4.6.1: however often it has gone on, at some time the server has to show its certificate's key again.
  if (now - session.authenticatedAt >= 1000 * MAX_TICKET_LIFETIME) return undefined;
  const { externalIdentity, externalFingerprint, peerCertificates, peerOcspResponse } = session;
  const keyInUse = externalIdentity !== undefined && isInUse(config, keys, externalIdentity, externalFingerprint);
  const generation = generationOf(config, config.verifier);
  let peer: PeerIdentity | undefined;
  if (!keyInUse) {
    if (peerCertificates.length === 0) return undefined;
    try {
      peer = yield* verifyServer(config, peerCertificates, peerOcspResponse);
    } catch (error) {
      if (error instanceof TlsError && error.rejection !== undefined) return undefined;
      throw error;
    }
  }
  const { peerSignatureScheme, peerScts } = session;
  return {
    psk: { kind: "resumption", identity: session.ticket, key: session.key, hash: suite.hash.name },
    session,
    server: { generation, peer, peerCertificates, peerSignatureScheme, peerOcspResponse, peerScts },
    externalIdentity,
    externalFingerprint,
    authenticatedAt: session.authenticatedAt,
    obfuscatedAge: (now) => (ticketAge(session, now) + session.ageAdd) >>> 0,
  };
}

/** The external key that had this name then. */
function isInUse(
  config: ClientConfig,
  { psks }: ClientKeys,
  identity: Uint8Array,
  fingerprint: Uint8Array | undefined,
): boolean {
  return psks.some((psk) => equal(psk.identity, identity) && isKey(config, psk, fingerprint));
}

/** RFC 8446 4.2.10: early data is sent under the parameters of the session. */
function allowsEarlyData({ alpn }: ClientConfig, { session }: UsableKey): boolean {
  return session.maxEarlyData > 0 && (session.alpn === undefined || alpn.includes(session.alpn));
}

/**
 * Whole ms that have surely passed since the ticket came (RFC 8446 4.2.11.1; the sum with ticket_age_add is modulo 2^32).
 * Two readings of a clock that counts whole ms may differ by one more than has passed, and there are servers that refuse
 * early data with a ticket older than they know it to be. Where the clock was set back, nothing has passed.
 */
function ticketAge(session: Session, now: number): number {
  return Math.max(0, Math.ceil(now - session.createdAt) - 1);
}
