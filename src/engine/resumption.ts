/** What resumption and 0-RTT lean on: ticket stores and strike registers for servers, session caches for clients. */
import { fromHex, toHex } from "../bytes/hex.ts";
import { type Awaitable, after } from "../flow.ts";
import type { CookieProtector } from "../handshake/cookie.ts";
import type { Session } from "../handshake/session.ts";
import type { AntiReplay, TicketStore } from "../handshake/tickets.ts";
import { SealingKeys } from "./sealing.ts";
import { within } from "./within.ts";

/** Options of {@link sealedTickets}. */
export interface SealedTicketsOptions {
  /**
   * 32 bytes each, shared by all servers that shall open each other's tickets: the first seals, all open. Default: keys of
   * this process, which rotate.
   */
  readonly keys?: readonly Uint8Array[] | undefined;
  /** Seconds after which a key of this process is followed by the next. Default 43200. */
  readonly rotateAfter?: number | undefined;
}

/** Tickets that carry their own state; keys can be replaced while connections run. */
export interface SealedTickets extends TicketStore {
  /** Seals with the first and opens with all from now on. Throws `ERR_TLS_OPTION` unless each is 32 bytes. */
  setKeys(keys: readonly Uint8Array[]): void;
}

const MAX_SECONDS = 2 ** 31;
/** Seconds: a ticket outlives the key that sealed it by this much at most. */
const MAX_TICKET_SECONDS = 604_800;

/**
 * Stateless tickets: the session is in the ticket, sealed with AES-256-GCM under a subkey of its own. They can be used
 * more than once while they live (RFC 8446 8.1), so early data still needs a strike register.
 *
 * @throws TlsError `ERR_TLS_OPTION` for numbers out of range, and keys of another length than 32 bytes.
 * @example
 * ```ts
 * const tickets = { store: sealedTickets() };
 * const context = serverContext({ provider, clock: Date.now, identities: [{ cert, key }], tickets });
 * console.log(context.engine().state); // START
 * ```
 */
export function sealedTickets(options: SealedTicketsOptions = {}): SealedTickets {
  const { keys } = options;
  const rotateAfter = within(options.rotateAfter, 1, MAX_SECONDS, 43_200, "rotateAfter");
  const ring = new SealingKeys("mutls ticket", { keys, rotateAfter, lifetime: MAX_TICKET_SECONDS });
  return {
    issue: (state, _expires, { provider, now }) => ring.seal(provider, state, now),
    redeem: (ticket, { provider, now }) => ring.open(provider, ticket, now),
    setKeys: (replaced) => ring.replace(replaced),
  };
}

/** Where the state behind {@link storedTickets} is kept; may be shared by several servers. */
export interface TicketStorage {
  /** @param expires - ms since the epoch; to be dropped then at the latest. */
  put(id: string, state: Uint8Array, expires: number): Awaitable<void>;
  /** Takes the state out: a second call with the same id finds nothing. */
  take(id: string): Awaitable<Uint8Array | undefined>;
}

const TICKET_ID_LENGTH = 32;

/**
 * Single-use tickets that name a state kept here (RFC 8446 8.1).
 *
 * @param storage - Default: this process's memory, for 10,000 tickets or 32 MiB, the oldest of which give way.
 *
 * @example
 * ```ts
 * const tickets = { store: storedTickets(), count: 1 };
 * const context = serverContext({ provider, clock: Date.now, identities: [{ cert, key }], tickets });
 * console.log(context.engine().state); // START
 * ```
 */
export function storedTickets(storage: TicketStorage = memoryStorage()): TicketStore {
  return {
    async issue(state, expires, { provider }) {
      const ticket = provider.random(TICKET_ID_LENGTH);
      await storage.put(toHex(ticket), state, expires);
      return ticket;
    },
    redeem: (ticket) => (ticket.length === TICKET_ID_LENGTH ? storage.take(toHex(ticket)) : undefined),
  };
}

/** Clients decide how long the chains are that states hold: so their bytes are bounded, too. */
function memoryStorage(capacity = 10_000, capacityBytes = 0x2000000): TicketStorage {
  const states = new Map<string, Uint8Array>();
  let bytes = 0;
  const take = (id: string) => {
    const state = states.get(id);
    if (states.delete(id)) bytes -= state?.length ?? 0;
    return state;
  };
  return {
    put(id, state) {
      states.set(id, state.slice());
      bytes += state.length;
      for (const oldest of states.keys()) {
        if (states.size <= capacity && bytes <= capacityBytes) return;
        take(oldest);
      }
    },
    take,
  };
}

function dropOldest(map: Map<unknown, unknown>, capacity: number): void {
  for (const key of map.keys()) {
    if (map.size <= capacity) return;
    map.delete(key);
  }
}

/** Options of {@link strikeRegister}. */
export interface StrikeRegisterOptions {
  /** ClientHellos remembered; where more come within the window, early data is rejected. Default 100000. */
  readonly capacity?: number | undefined;
  /**
   * Seconds for which a ClientHello is remembered; where its age is off by half of that or more, early data is rejected.
   * So: at least twice the tolerance of `acceptEarlyData`. Default 60.
   */
  readonly window?: number | undefined;
  /** ms since the epoch. Default `Date.now`. */
  readonly clock?: (() => number) | undefined;
}

/**
 * Remembers ClientHellos in this process's memory (RFC 8446 8.2). One that was sent before the register was made may
 * have been seen by a process that is gone, and is refused. Servers that open each other's tickets need one register for
 * all of them, an {@link AntiReplay} over a store that they share.
 *
 * @throws TlsError `ERR_TLS_OPTION` for numbers out of range.
 * @example
 * ```ts
 * const register = strikeRegister();
 * const id = new Uint8Array(32);
 * const now = Date.now() + 1;
 * console.log(register.claim(id, now, now), register.claim(id, now, now)); // true false
 * ```
 */
export function strikeRegister(options: StrikeRegisterOptions = {}): AntiReplay {
  const { clock = Date.now } = options;
  const capacity = within(options.capacity, 1, 2 ** 24, 100_000, "capacity");
  const half = 500 * within(options.window, 1, MAX_SECONDS, 60, "window");
  let since = clock();
  const seen = new Map<string, number>();
  return {
    claim(id, sentAt, now) {
      for (const [key, time] of seen) {
        if (now - time < 2 * half) break;
        seen.delete(key);
      }
      // What is forgotten was sent before this, and stays refused though the clock be set back.
      since = Math.max(since, now - half);
      const key = toHex(id);
      if (sentAt < since || sentAt >= now + half || seen.has(key) || seen.size >= capacity) return false;
      seen.set(key, now);
      return true;
    },
  };
}

/** Where a client keeps sessions, by what they may be used for. */
export interface SessionCache {
  /** @param scope - Made of everything that must be the same when the session goes on. */
  put(scope: string, session: Session): Awaitable<void>;
  /** Takes one out: a ticket is used once (RFC 8446 C.4). */
  take(scope: string): Awaitable<Session | undefined>;
}

/** Options of {@link sessionCache}. */
export interface SessionCacheOptions {
  /** Sessions kept for one scope, the newest. Default 4. */
  readonly perScope?: number | undefined;
  /** Scopes; the one not used for longest gives way. Default 256. */
  readonly scopes?: number | undefined;
}

/**
 * Sessions in memory. One cache may serve any number of clients: a session is found again only under the same server
 * name, trust, identities and protocols.
 *
 * @throws TlsError `ERR_TLS_OPTION` for numbers out of range.
 * @example
 * ```ts
 * const sessions = sessionCache();
 * const options = { provider, clock: Date.now, serverName: "localhost", trust: ca, sessions };
 * console.log(clientContext(options).engine().state); // START
 * ```
 */
export function sessionCache(options: SessionCacheOptions = {}): SessionCache {
  const perScope = within(options.perScope, 1, 2 ** 24, 4, "perScope");
  const scopes = within(options.scopes, 1, 2 ** 24, 256, "scopes");
  const kept = new Map<string, Session[]>();
  return {
    put(scope, session) {
      const sessions = [...(kept.get(scope) ?? []), session].slice(-perScope);
      kept.delete(scope);
      kept.set(scope, sessions);
      dropOldest(kept, scopes);
    },
    take(scope) {
      const sessions = kept.get(scope);
      const session = sessions?.pop();
      if (sessions?.length === 0) kept.delete(scope);
      return session;
    },
  };
}

/** Options of {@link sealedCookies}. */
export interface SealedCookiesOptions {
  /** 32 bytes each, as for {@link sealedTickets}. */
  readonly keys?: readonly Uint8Array[] | undefined;
  /** Seconds within which the second ClientHello must come. Default 30. */
  readonly lifetime?: number | undefined;
}

const TIME_LENGTH = 6;

/**
 * Cookies for servers that keep nothing between the two ClientHellos of a retry (RFC 8446 4.2.2): any server with the
 * same keys can go on with the second, in an engine of its own.
 *
 * @throws TlsError `ERR_TLS_OPTION` for numbers out of range, and keys of another length than 32 bytes.
 * @example
 * ```ts
 * const cookies = sealedCookies({ lifetime: 10 });
 * const context = serverContext({ provider, clock: Date.now, identities: [{ cert, key }], cookies });
 * console.log(context.engine().state); // START
 * ```
 */
export function sealedCookies(options: SealedCookiesOptions = {}): CookieProtector {
  const { keys } = options;
  const lifetime = within(options.lifetime, 1, MAX_SECONDS, 30, "lifetime");
  const ring = new SealingKeys("mutls cookie", { keys, rotateAfter: 3600, lifetime });
  return {
    seal(state, { provider, now }) {
      const time = fromHex(
        Math.floor(now)
          .toString(16)
          .padStart(2 * TIME_LENGTH, "0"),
      );
      const dated = new Uint8Array(TIME_LENGTH + state.length);
      dated.set(time);
      dated.set(state, TIME_LENGTH);
      return ring.seal(provider, dated, now);
    },
    open(cookie, { provider, now }) {
      return after(ring.open(provider, cookie, now), (dated) => {
        if (dated === undefined) return undefined;
        const age = now - Number.parseInt(toHex(dated.subarray(0, TIME_LENGTH)), 16);
        return age >= 0 && age < 1000 * lifetime ? dated.subarray(TIME_LENGTH) : undefined;
      });
    },
  };
}
