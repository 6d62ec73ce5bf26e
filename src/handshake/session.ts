/** What is kept of a connection so that a later one may resume it: by the client beside the ticket, by the server in it. */
import { latin1, utf8 } from "../bytes/bytes.ts";
import type { NewSessionTicket } from "../codec/messages.ts";
import { CipherSuiteId, type CipherSuiteName, SignatureScheme, type SignatureSchemeName } from "../codec/registry.ts";
import { decode, encode, list, opaque, struct, uint } from "../codec/schema.ts";
import type { CipherSuite } from "../crypto/provider.ts";
import { fault } from "../errors.ts";
import { ticketPsk } from "../schedule/secrets.ts";
import type { HandshakeResult } from "./config.ts";

/** Seconds that a ticket may be used, RFC 8446 4.6.1: seven days. */
export const MAX_TICKET_LIFETIME = 604_800;

/**
 * A connection that can be resumed. Holds a secret: who has it can resume in the name of whoever made it.
 */
export interface Session {
  /** The ticket as the server named it; empty on the server. */
  readonly ticket: Uint8Array;
  /** The pre-shared key. */
  readonly key: Uint8Array;
  readonly cipherSuite: CipherSuiteName;
  /** When the ticket was issued, or received: ms since the epoch. */
  readonly createdAt: number;
  /** When the peer last proved who it is with its certificate's key: ms since the epoch. Resumption does not renew it. */
  readonly authenticatedAt: number;
  /** The generation under which the peer was judged then: of the context, which counts from 0 in every process. */
  readonly generation: number;
  /** Seconds from `createdAt`. */
  readonly lifetime: number;
  /** `ticket_age_add` */
  readonly ageAdd: number;
  /** Bytes of early data that the ticket allows. */
  readonly maxEarlyData: number;
  readonly serverName: string | undefined;
  readonly alpn: string | undefined;
  /** The peer's chain, DER; empty when it presented none. */
  readonly peerCertificates: readonly Uint8Array[];
  readonly peerSignatureScheme: SignatureSchemeName | undefined;
  readonly peerOcspResponse: Uint8Array | undefined;
  readonly peerScts: readonly Uint8Array[];
  /** The name of the external key that stands in place of certificates. */
  readonly externalIdentity: Uint8Array | undefined;
  /** Which key had that name: the session does not outlive it. */
  readonly externalFingerprint: Uint8Array | undefined;
  /** The server's policy version when it was issued. */
  readonly policy: string;
}

const NOTHING = new Uint8Array(0);
const FORMAT = 3;
const text = opaque(0, 0xff);

export const SessionState = /* @__PURE__ */ struct("SessionState", {
  format: uint(1),
  cipher_suite: uint(2),
  created_at: uint(6),
  authenticated_at: uint(6),
  generation: uint(6),
  lifetime: uint(4),
  age_add: uint(4),
  max_early_data: uint(4),
  signature_scheme: uint(2),
  server_name: text,
  alpn: text,
  policy: text,
  key: opaque(32, 64),
  ticket: opaque(0, 0xffff),
  external_identity: opaque(0, 0xffff),
  external_fingerprint: opaque(0, 32),
  ocsp_response: opaque(0, 0xffffff),
  scts: list(opaque(1, 0xffff), "sct", 0, 0xffff),
  certificates: list(opaque(1, 0xffffff), "certificate", 0, 0xffffff),
});

/**
 * A session as bytes, secret included: keep them as you would keep a key.
 *
 * @example
 * ```ts
 * const kept: Uint8Array[] = [];
 * const sessions: SessionCache = {
 *   put: (_scope, session) => void kept.push(encodeSession(session)),
 *   take: () => kept.splice(0, 1).map(decodeSession)[0],
 * };
 * const tickets = { store: sealedTickets() };
 * for (let round = 0; round < 2; round++) {
 *   const [near, far] = memoryPair();
 *   const accepting = accept(far, { identities: [{ cert, key }], tickets });
 *   const client = await connect(near, { serverName: "localhost", trust: ca, sessions });
 *   await Promise.all([accepting, client.accepted]);
 *   console.log(client.resumed === (round > 0)); // true
 * }
 * ```
 */
export function encodeSession(session: Session): Uint8Array {
  return encode(SessionState, {
    format: FORMAT,
    cipher_suite: CipherSuiteId.codes[session.cipherSuite],
    created_at: session.createdAt,
    authenticated_at: session.authenticatedAt,
    generation: session.generation,
    lifetime: session.lifetime,
    age_add: session.ageAdd,
    max_early_data: session.maxEarlyData,
    signature_scheme:
      session.peerSignatureScheme === undefined ? 0 : SignatureScheme.codes[session.peerSignatureScheme],
    server_name: utf8(session.serverName ?? ""),
    alpn: utf8(session.alpn ?? ""),
    policy: utf8(session.policy),
    key: session.key,
    ticket: session.ticket,
    external_identity: session.externalIdentity ?? NOTHING,
    external_fingerprint: session.externalFingerprint ?? NOTHING,
    ocsp_response: session.peerOcspResponse ?? NOTHING,
    scts: session.peerScts,
    certificates: session.peerCertificates,
  });
}

/**
 * The session that {@link encodeSession} wrote, in memory of its own.
 *
 * @throws TlsError `ERR_TLS_DECODE_ERROR` when the bytes are something else.
 * @example
 * ```ts
 * const sessions: SessionCache = { put: (_scope, session) => void keep(encodeSession(session)), take: () => undefined };
 * const keep = (bytes: Uint8Array) => console.log(decodeSession(bytes).serverName); // localhost
 * const [near, far] = memoryPair();
 * const accepting = accept(far, { identities: [{ cert, key }], tickets: { store: sealedTickets(), count: 1 } });
 * const client = await connect(near, { serverName: "localhost", trust: ca, sessions });
 * await Promise.all([accepting, client.accepted]);
 * ```
 */
export function decodeSession(bytes: Uint8Array): Session {
  const state = decode(SessionState, bytes.slice(), "the session");
  const cipherSuite = CipherSuiteId.name(state.cipher_suite);
  const scheme = state.signature_scheme === 0 ? undefined : SignatureScheme.name(state.signature_scheme);
  if (state.format !== FORMAT || cipherSuite === undefined || (state.signature_scheme !== 0 && scheme === undefined)) {
    throw fault("ERR_TLS_DECODE_ERROR", "the session is of another version");
  }
  return {
    ticket: state.ticket,
    externalIdentity: state.external_identity.length > 0 ? state.external_identity : undefined,
    externalFingerprint: state.external_fingerprint.length > 0 ? state.external_fingerprint : undefined,
    key: state.key,
    cipherSuite: cipherSuite as CipherSuiteName,
    createdAt: state.created_at,
    authenticatedAt: state.authenticated_at,
    generation: state.generation,
    lifetime: state.lifetime,
    ageAdd: state.age_add,
    maxEarlyData: state.max_early_data,
    serverName: latin1(state.server_name) || undefined,
    alpn: latin1(state.alpn) || undefined,
    peerOcspResponse: state.ocsp_response.length > 0 ? state.ocsp_response : undefined,
    peerScts: state.scts,
    peerCertificates: state.certificates,
    peerSignatureScheme: scheme as SignatureSchemeName | undefined,
    policy: latin1(state.policy),
  };
}

/** True while the ticket may be used. */
export function isFresh(session: Session, now: number): boolean {
  const lifetime = Math.min(session.lifetime, MAX_TICKET_LIFETIME);
  const age = now - session.createdAt;
  return age >= 0 && age < lifetime * 1000;
}

/** The scheme that the peer has proved itself by is still accepted. */
export function isProofAccepted(
  { peerSignatureScheme: scheme }: Session,
  { signatureSchemes }: { readonly signatureSchemes: readonly SignatureSchemeName[] },
): boolean {
  return scheme === undefined || signatureSchemes.includes(scheme);
}

/** What both sides keep of a connection, whichever of them it is. */
export function resumableFacts(
  result: HandshakeResult,
  suite: CipherSuite,
  nonce: Uint8Array,
  resumptionSecret = result.resumptionSecret,
): Omit<Session, "ticket" | "createdAt" | "lifetime" | "ageAdd" | "maxEarlyData" | "policy"> {
  return {
    key: ticketPsk(suite.hash, resumptionSecret, nonce),
    cipherSuite: suite.name,
    serverName: result.serverName,
    alpn: result.alpn,
    peerCertificates: result.peerCertificates,
    peerSignatureScheme: result.peerSignatureScheme,
    peerOcspResponse: result.peerOcspResponse,
    peerScts: result.peerScts,
    authenticatedAt: result.authenticatedAt,
    generation: result.generation,
    externalIdentity: result.externalIdentity,
    externalFingerprint: result.externalFingerprint,
  };
}

/** The session that a NewSessionTicket begins, or `undefined` when the server does not want it used (RFC 8446 4.6.1). */
export function sessionFromTicket(
  result: HandshakeResult,
  suite: CipherSuite,
  message: NewSessionTicket,
  maxEarlyData: number,
  now: number,
): Session | undefined {
  if (message.ticket_lifetime === 0) return undefined;
  return {
    ...resumableFacts(result, suite, message.ticket_nonce),
    ticket: message.ticket.slice(),
    createdAt: now,
    lifetime: Math.min(message.ticket_lifetime, MAX_TICKET_LIFETIME),
    ageAdd: message.ticket_age_add,
    maxEarlyData,
    policy: "",
  };
}
