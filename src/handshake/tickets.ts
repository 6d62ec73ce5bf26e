/** A server's tickets: what it issues after a handshake, and what it makes of one that comes back (RFC 8446 4.6.1). */
import { wipe } from "../bytes/bytes.ts";
import type { Extension } from "../codec/extensions.ts";
import { extension } from "../codec/extensions.ts";
import { encodeMessage, NewSessionTicket } from "../codec/messages.ts";
import type { CipherSuite, CryptoProvider } from "../crypto/provider.ts";
import { TlsError } from "../errors.ts";
import type { Awaitable, Flow } from "../flow.ts";
import type { HandshakeResult, ServerConfig } from "./config.ts";
import { withGrease } from "./grease.ts";
import { call } from "./io.ts";
import { decodeSession, encodeSession, isFresh, resumableFacts, type Session } from "./session.ts";

/** What a store is given to work with. */
export interface StoreContext {
  readonly provider: CryptoProvider;
  /** ms since the epoch. */
  readonly now: number;
}

/** Where the state behind tickets lives: in the ticket itself, or in a store that the ticket names. */
export interface TicketStore {
  /**
   * A ticket for a state, 1 to 65535 bytes, or `undefined` when there is to be none.
   *
   * @param state - Holds a secret.
   * @param expires - ms since the epoch.
   */
  issue(state: Uint8Array, expires: number, context: StoreContext): Awaitable<Uint8Array | undefined>;
  /** The state behind a ticket; `undefined` for what is unknown, used up or forged. Never throws on what a peer sends. */
  redeem(ticket: Uint8Array, context: StoreContext): Awaitable<Uint8Array | undefined>;
}

/** How tickets are issued. */
export interface TicketPolicy {
  readonly store: TicketStore;
  /** Tickets after each handshake. */
  readonly count: number;
  /** Seconds a ticket may be used. */
  readonly lifetime: number;
  /** Seconds after which a client has to prove again who it is, however often it has resumed. */
  readonly maxAge: number;
  /** Tickets of another version are not resumed. */
  readonly policy: string;
}

/** Notices a ClientHello that comes twice, RFC 8446 8. */
export interface AntiReplay {
  /**
   * True the first time only.
   *
   * @param id - Unique to a ClientHello.
   * @param sentAt - When it was sent, by the ticket's age: ms since the epoch, on this side's clock.
   * @param now - ms since the epoch.
   */
  claim(id: Uint8Array, sentAt: number, now: number): Awaitable<boolean>;
}

/** On what terms early data is accepted. */
export interface EarlyDataPolicy {
  /** Bytes a ticket allows. */
  readonly maxSize: number;
  readonly antiReplay: AntiReplay;
  /** ms by which a ClientHello's age may differ from what its ticket says. */
  readonly window: number;
}

/** Longer chains are not put into tickets: the client goes through a full handshake again. */
const MAX_STATE = 0x8000;

/** The tickets that follow a handshake, as messages. */
export function* issueTickets(config: ServerConfig, result: HandshakeResult, suite: CipherSuite): Flow<Uint8Array[]> {
  const { tickets } = config;
  const messages: Uint8Array[] = [];
  if (tickets === undefined || !result.resumable) return messages;
  // The connection may end, and wipe its own, while a store answers.
  const resumptionSecret = result.resumptionSecret.slice();
  try {
    for (let index = 0; index < tickets.count; index++) {
      const message = yield* issueTicket(config, result, suite, index, resumptionSecret);
      if (message !== undefined) messages.push(message);
    }
  } finally {
    wipe(resumptionSecret);
  }
  return messages;
}

function* issueTicket(
  config: ServerConfig,
  result: HandshakeResult,
  suite: CipherSuite,
  index: number,
  resumptionSecret: Uint8Array,
): Flow<Uint8Array | undefined> {
  const { store, policy, lifetime: standard, maxAge } = config.tickets as TicketPolicy;
  const createdAt = config.now();
  const lifetime = Math.min(standard, Math.floor((result.authenticatedAt - createdAt) / 1000) + maxAge);
  if (lifetime <= 0) return undefined;
  // Unique on this connection (RFC 8446 4.6.1).
  const ticket_nonce = Uint8Array.of(index >> 8, index & 0xff);
  const age = config.sources.random("ticket_age_add", 4);
  const ticket_age_add = new DataView(age.buffer, age.byteOffset).getUint32(0);
  const maxEarlyData = config.earlyData?.maxSize ?? 0;
  const session: Session = {
    ...resumableFacts(result, suite, ticket_nonce, resumptionSecret),
    ticket: new Uint8Array(0),
    createdAt,
    lifetime,
    ageAdd: ticket_age_add,
    maxEarlyData,
    policy,
  };
  const state = encodeSession(session);
  if (state.length > MAX_STATE) return undefined;
  const ticket = yield* call("ticket", "ERR_TLS_CALLBACK_FAILED", () =>
    config.sources.ticket(store, state, createdAt + 1000 * lifetime, { provider: config.provider, now: createdAt }),
  );
  if (ticket === undefined) return undefined;
  const early: Extension<"NST">[] = maxEarlyData > 0 ? [extension("early_data", maxEarlyData)] : [];
  const extensions = withGrease(config, early);
  return encodeMessage("new_session_ticket", NewSessionTicket, {
    ticket_lifetime: lifetime,
    ticket_age_add,
    ticket_nonce,
    ticket,
    extensions: config.arrange?.("NST", extensions) ?? extensions,
  });
}

/** The session behind a ticket, if it may still be used as far as time and policy go. */
export function* redeemTicket(config: ServerConfig, ticket: Uint8Array): Flow<Session | undefined> {
  const { tickets } = config;
  if (tickets === undefined) return undefined;
  const { provider } = config;
  const now = config.now();
  const state = yield* call("ticket", "ERR_TLS_CALLBACK_FAILED", () => tickets.store.redeem(ticket, { provider, now }));
  if (state === undefined) return undefined;
  const session = readState(state);
  if (session === undefined) return undefined;
  const tooOld = now - session.authenticatedAt >= 1000 * tickets.maxAge;
  return tooOld || session.policy !== tickets.policy || !isFresh(session, now) ? undefined : session;
}

/** `undefined` for the state of another version of this library, with which ticket keys may be shared. */
function readState(state: Uint8Array): Session | undefined {
  try {
    return decodeSession(state);
  } catch (error) {
    if (error instanceof TlsError && error.code === "ERR_TLS_DECODE_ERROR") return undefined;
    throw error;
  }
}
