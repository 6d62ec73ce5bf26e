/** Which of the pre-shared keys that a client offers a server takes, and whether early data comes with it. */
import { equal } from "../bytes/bytes.ts";
import { find } from "../codec/extensions.ts";
import type { HandshakeMessage } from "../codec/messages.ts";
import { CipherSuiteId } from "../codec/registry.ts";
import type { CipherSuite } from "../crypto/provider.ts";
import { fault, TlsError } from "../errors.ts";
import type { Flow } from "../flow.ts";
import type { Transcript } from "../schedule/transcript.ts";
import { verifyClient } from "./client-authentication.ts";
import { generationOf, NOBODY, type PeerFacts, type ServerChoice, type ServerConfig } from "./config.ts";
import { carriesName } from "./identity.ts";
import { call } from "./io.ts";
import type { OpenedClientHello } from "./negotiate.ts";
import type { Opening } from "./opening.ts";
import {
  bindersLength,
  checkBinder,
  commonModes,
  isKey,
  keyFingerprint,
  type PreSharedKey,
  type PskMode,
} from "./psk.ts";
import { isProofAccepted, type Session } from "./session.ts";
import { redeemTicket } from "./tickets.ts";

/** Identities of one ClientHello that are looked up; those behind are ignored. */
const MAX_LOOKUPS = 8;

/** A pre-shared key that the client has proved to hold. */
export interface AcceptedPsk extends PreSharedKey {
  /** `selected_identity` */
  readonly index: number;
  /** Who the client is: verified again now, from the chain in its ticket. */
  readonly client: PeerFacts;
  readonly externalIdentity: Uint8Array | undefined;
  readonly externalFingerprint: Uint8Array | undefined;
  readonly authenticatedAt: number;
  readonly session: Session | undefined;
  /** Milliseconds since the ticket was issued, as the client sees it. */
  readonly age: number;
  readonly binder: Uint8Array;
}

/** What a choice is made from. `transcript` ends before `message`. */
interface PskQuestion {
  readonly config: ServerConfig;
  readonly choice: ServerChoice;
  readonly hello: OpenedClientHello;
  readonly message: HandshakeMessage;
  readonly transcript: Transcript;
  readonly suite: CipherSuite;
}

/** A client that wants certificates beside its external key, and a server that does both (RFC 8773). */
export function asksForBoth({ pskWithCertificates }: ServerConfig, { extensions }: OpenedClientHello): boolean {
  return pskWithCertificates && find(extensions, "tls_cert_with_extern_psk") !== undefined;
}

/** The first of our modes that the client offers beside a key; beside certificates there is one (RFC 8773 5.1). */
export function choosePskMode(config: ServerConfig, hello: OpenedClientHello): PskMode | undefined {
  if (hello.psks === undefined) return undefined;
  const both = asksForBoth(config, hello);
  return commonModes(config.pskModes, hello.pskModes).find((mode) => mode === "psk_dhe_ke" || !both);
}

/** A client's only key being an external one of one hash, the suite has to go with it (RFC 8446 4.2.11). */
export function* suitesFor(config: ServerConfig, hello: OpenedClientHello): Flow<readonly CipherSuite[]> {
  if (config.findPsk === undefined || choosePskMode(config, hello) === undefined) return config.suites;
  for (const { identity } of hello.psks?.identities.slice(0, MAX_LOOKUPS) ?? []) {
    const psk = yield* externalPsk(config, identity);
    const fitting = config.suites.filter(
      ({ name, hash }) => hash.name === psk?.hash && hello.raw.cipher_suites.includes(CipherSuiteId.codes[name]),
    );
    if (fitting.length > 0) return fitting;
  }
  return config.suites;
}

/**
 * The first usable key that the client offers. Unknown, expired and unfitting ones are passed over; the binder of the
 * one chosen must be right (RFC 8446 4.2.11).
 *
 * @throws TlsError `ERR_SSL_BINDER_DOES_NOT_VERIFY`
 */
export function* choosePsk(question: PskQuestion): Flow<AcceptedPsk | undefined> {
  const { hello, suite, message, transcript } = question;
  if (hello.psks === undefined) return undefined;
  const { identities, binders } = hello.psks;
  for (const [index, offered] of identities.slice(0, MAX_LOOKUPS).entries()) {
    const binder = binders[index] as Uint8Array;
    const found = yield* lookUp(question, index, offered.identity, offered.obfuscated_ticket_age, binder);
    if (found?.hash !== suite.hash.name) continue;
    const partial = message.bytes.subarray(0, message.bytes.length - bindersLength(binders));
    checkBinder(suite.hash, found, binder, transcript, partial);
    // Only now is the client who it says: nobody else makes us look at the chain.
    const client = found.session === undefined ? NOBODY : yield* verifyAgain(question, found.session);
    return client && { ...found, client };
  }
  return undefined;
}

type FoundPsk = Omit<AcceptedPsk, "client">;

function* lookUp(
  { config, choice, hello }: PskQuestion,
  index: number,
  identity: Uint8Array,
  obfuscatedAge: number,
  binder: Uint8Array,
): Flow<FoundPsk | undefined> {
  const external = yield* externalPsk(config, identity);
  if (external !== undefined) {
    const externalFingerprint = keyFingerprint(config.provider, external);
    const facts = { externalIdentity: external.identity, externalFingerprint, authenticatedAt: config.now() };
    return { ...external, ...facts, index, session: undefined, age: 0, binder };
  }
  const session = yield* redeemTicket(config, identity);
  if (session !== undefined && asksForBoth(config, hello)) {
    throw fault("ERR_TLS_ILLEGAL_PARAMETER", "a ticket beside tls_cert_with_extern_psk (RFC 8773 5.1)");
  }
  if (session === undefined || !mayResume(session, config, choice, hello)) return undefined;
  const { externalIdentity, externalFingerprint } = session;
  if (externalIdentity !== undefined) {
    const standing = yield* externalPsk(config, externalIdentity);
    if (standing === undefined || !isKey(config, standing, externalFingerprint)) return undefined;
  }
  const hash = config.suites.find(({ name }) => name === session.cipherSuite)?.hash.name;
  if (hash === undefined) return undefined;
  return {
    kind: "resumption",
    identity: identity.slice(),
    key: session.key,
    hash,
    index,
    session,
    externalIdentity,
    externalFingerprint,
    authenticatedAt: session.authenticatedAt,
    // RFC 8446 4.2.11.1: modulo 2^32.
    age: (obfuscatedAge - session.ageAdd) >>> 0,
    binder,
  };
}

/** The external key of this name. */
export function* externalPsk({ findPsk }: ServerConfig, identity: Uint8Array) {
  if (findPsk === undefined) return undefined;
  const psk = yield* call("find_psk", "ERR_TLS_CALLBACK_FAILED", () => findPsk(identity));
  return psk !== undefined && equal(psk.identity, identity) ? psk : undefined;
}

/** A session goes on under the name it was made for, and only where as much is known of the client as is asked for. */
function mayResume(
  session: Session,
  config: ServerConfig,
  choice: ServerChoice,
  { serverName }: OpenedClientHello,
): boolean {
  if (session.serverName !== serverName || !isProofAccepted(session, config)) return false;
  if (session.externalIdentity !== undefined) return true;
  if (config.strictServerName && !choice.identities.some((identity) => carriesName(identity, serverName))) return false;
  const known = session.peerCertificates.length > 0;
  return known ? choice.clientAuth !== "off" : choice.clientAuth !== "on";
}

/**
 * The client behind a session under today's trust, time and rules; `undefined` when it has to show its certificate
 * again, and be refused then.
 */
function* verifyAgain({ config, choice }: PskQuestion, session: Session): Flow<PeerFacts | undefined> {
  const { peerCertificates, peerSignatureScheme, peerOcspResponse, peerScts } = session;
  if (peerCertificates.length === 0) return NOBODY;
  const generation = generationOf(config, choice.verifier);
  try {
    const peer = yield* verifyClient(config, choice, peerCertificates, peerOcspResponse);
    return { generation, peer, peerCertificates, peerSignatureScheme, peerOcspResponse, peerScts };
  } catch (error) {
    if (error instanceof TlsError && error.rejection !== undefined) return undefined;
    throw error;
  }
}

/**
 * RFC 8446 4.2.10 and 8: what must hold before early data is read at all.
 *
 * @returns How many bytes of it are accepted; 0: none.
 */
export function* acceptedEarlyData(
  config: ServerConfig,
  {
    hello,
    retried,
    psk,
    suite,
    alpn,
  }: Pick<Opening, "hello" | "retried" | "psk" | "suite"> & { alpn: string | undefined },
): Flow<number> {
  const { earlyData: policy, provider } = config;
  const session = psk?.session;
  if (policy === undefined || !hello.earlyData || retried || psk === undefined || session === undefined) return 0;
  if (psk.index !== 0 || session.cipherSuite !== suite.name || session.alpn !== alpn) return 0;
  // From when more was allowed. The client may send all of that, so it is all or nothing.
  if (session.maxEarlyData > policy.maxSize) return 0;
  const now = config.now();
  const sentAt = session.createdAt + psk.age;
  if (Math.abs(now - sentAt) > policy.window) return 0;
  // RFC 8446 8.2: the binder is unique to a ClientHello.
  const id = provider.hashes.sha256.digest(psk.binder);
  const first = yield* call("anti_replay", "ERR_TLS_CALLBACK_FAILED", () => policy.antiReplay.claim(id, sentAt, now));
  return first === true ? session.maxEarlyData : 0;
}

/**
 * Bytes of ciphertext that a client may have sent as early data before it learns that they are thrown away: what tickets
 * allow, with room for tags, and something for those who bring another server's ticket.
 */
export function skippedEarlyData({ earlyData }: ServerConfig, session?: Session): number {
  const allowed = Math.max(earlyData?.maxSize ?? 0, session?.maxEarlyData ?? 0);
  return Math.max(0x4000, allowed + Math.floor(allowed / 8));
}
