/** State that went out to peers, or onto a disk, and comes back changed: sessions, tickets, cookies. */
import { beforeAll, describe, expect, it } from "vitest";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { type SessionCache, sealedCookies, sealedTickets, storedTickets } from "../../src/engine/index.ts";

import { TlsError } from "../../src/errors.ts";
import type { CookieProtector } from "../../src/handshake/cookie.ts";
import { decodeSession, encodeSession, type Session } from "../../src/handshake/session.ts";
import type { TicketStore } from "../../src/handshake/tickets.ts";
import { exchange, failure } from "../support/pair.ts";
import { Random } from "../support/random.ts";
import { createWorld, provider, type World } from "../support/world.ts";
import { mutateBytes } from "./mutate.ts";

const ROUNDS = 250;

let world: World;
let session: Session;
const store = sealedTickets();
const acceptEarlyData = { antiReplay: { claim: () => true } };
const frozen: SessionCache = { take: () => session, put: () => {} };

beforeAll(async () => {
  world = await createWorld();
  const sessions: SessionCache = {
    take: () => undefined,
    put: (_scope, kept) => {
      session = kept;
    },
  };
  exchange(world.honestClient({ sessions }), world.honestServer({ tickets: { store }, acceptEarlyData }));
});

/** What is there, damaged once or twice, or nothing but noise. */
function* damaged(seed: number, bytes: Uint8Array): Generator<Uint8Array> {
  const random = new Random(seed);
  for (let round = 0; round < ROUNDS; round++) {
    if (random.chance(0.1)) yield random.bytes(random.integer(300));
    else yield random.chance(0.3) ? mutateBytes(random, mutateBytes(random, bytes)) : mutateBytes(random, bytes);
  }
}

it("a damaged session is refused with a TlsError, or is another session that is written as it was read", () => {
  let refused = 0;
  for (const bytes of damaged(1, encodeSession(session))) {
    let read: Session;
    try {
      read = decodeSession(bytes);
    } catch (error) {
      expect(error).toBeInstanceOf(TlsError);
      expect((error as TlsError).code).toBe("ERR_TLS_DECODE_ERROR");
      refused++;
      continue;
    }
    expect(encodeSession(read)).toHaveLength(bytes.length);
  }
  expect(refused).toBeGreaterThan(ROUNDS / 4);
});

describe.each([provider, nobleProvider])("with $name", (crypto) => {
  const context = { provider: crypto, now: Date.now() };
  const state = new Uint8Array(300).fill(5);

  it("a damaged ticket opens for nobody", () => {
    const tickets = sealedTickets();
    const ticket = tickets.issue(state, context.now + 1000, context) as Uint8Array;
    expect(tickets.redeem(ticket, context)).toEqual(state);
    for (const bytes of damaged(2, ticket)) {
      if (toText(bytes) !== toText(ticket)) expect(tickets.redeem(bytes, context)).toBeUndefined();
    }
  });

  it("a damaged name finds nothing in a store", async () => {
    const tickets = storedTickets();
    const ticket = (await tickets.issue(state, context.now + 1000, context)) as Uint8Array;
    for (const bytes of damaged(3, ticket)) {
      if (toText(bytes) !== toText(ticket)) expect(await tickets.redeem(bytes, context)).toBeUndefined();
    }
    expect(await tickets.redeem(ticket, context)).toEqual(state);
  });

  it("a damaged cookie opens for nobody", () => {
    const cookies = sealedCookies();
    const cookie = cookies.seal(state, context) as Uint8Array;
    expect(cookies.open(cookie, context)).toEqual(state);
    for (const bytes of damaged(4, cookie)) {
      if (toText(bytes) !== toText(cookie)) expect(cookies.open(bytes, context)).toBeUndefined();
    }
  });
});

/** As servers of other versions may have written it under keys that are shared. */
it("a ticket whose state is damaged is not resumed, or is, and nothing breaks", () => {
  const real = store.redeem(session.ticket, { provider, now: Date.now() }) as Uint8Array;
  let whole = 0;
  for (const bytes of damaged(5, real)) {
    const damagedStore: TicketStore = { issue: () => undefined, redeem: () => bytes };
    const client = world.honestClient({ sessions: frozen, offerEarlyData: true });
    const server = world.honestServer({ tickets: { store: damagedStore }, acceptEarlyData });
    exchange(client, server);
    const code = failure(server)?.code;
    // Another key, or certificates that are none of this client's: what they say is judged like any other.
    expect(["ERR_TLS_INTERNAL", "ERR_TLS_CALLBACK_FAILED"]).not.toContain(code);
    if (code === undefined) {
      expect(server.engine.state).toBe("CONNECTED");
      whole++;
    }
  }
  expect(whole).toBeGreaterThan(ROUNDS / 4);
});

it("a cookie whose state is damaged ends the handshake with an alert", () => {
  const cookies = sealedCookies();
  let real: Uint8Array | undefined;
  const watching: CookieProtector = {
    seal: (state, context) => {
      real = state.slice();
      return cookies.seal(state, context);
    },
    open: (cookie, context) => cookies.open(cookie, context),
  };
  exchange(world.honestClient(), world.honestServer({ cookies: watching }));
  for (const bytes of damaged(6, real as unknown as Uint8Array)) {
    const first = world.honestServer({ cookies });
    const client = world.honestClient();
    first.engine.receive(client.engine.takeOutput());
    client.engine.receive(first.engine.takeOutput());
    const second = world.honestServer({ cookies: { ...watching, open: () => bytes } });
    exchange(client, second);
    expect(failure(second)).toMatchObject({
      code: expect.stringMatching(/^ERR_TLS_(DECODE_ERROR|ILLEGAL_PARAMETER)$/),
      direction: "sent",
    });
  }
});

function toText(bytes: Uint8Array): string {
  return bytes.join();
}
