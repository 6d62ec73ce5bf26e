/** Where sessions, early data and their secrets come to an end. */
import { beforeAll, describe, expect, it, vi } from "vitest";
import { concat, utf8 } from "../../src/bytes/bytes.ts";
import { resolveClient } from "../../src/engine/client-options.ts";
import { everyFeature } from "../../src/engine/features/index.ts";
import {
  type ClientOptions,
  type ServerOptions,
  type SessionCache,
  sealedCookies,
  sealedTickets,
  sessionCache,
  storedTickets,
  strikeRegister,
} from "../../src/engine/index.ts";
import { decodeSession, type Session } from "../../src/handshake/session.ts";
import { ticketPsk } from "../../src/schedule/secrets.ts";
import { deliver, type End, exchange, exchangeLate, failure } from "../support/pair.ts";
import { createWorld, identityOf, provider, type World } from "../support/world.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
});

const DAY = 86_400_000;

function meet(client: Partial<ClientOptions>, server: Partial<ServerOptions>): [End, End] {
  const ends: [End, End] = [world.honestClient(client), world.honestServer(server)];
  exchange(...ends);
  return ends;
}

function resumed([client, server]: readonly [End, End]): boolean | undefined {
  expect(failure(client)).toBeUndefined();
  expect(failure(server)).toBeUndefined();
  return client.engine.result?.resumed;
}

/** A cache that changes what it gives. */
function changing(change: (session: Session) => Session): SessionCache {
  const kept = sessionCache();
  return {
    put: kept.put,
    take: (scope) => {
      const session = kept.take(scope) as Session | undefined;
      return session && change(session);
    },
  };
}

describe("a session ends", () => {
  const first = new Uint8Array(32).fill(1);
  const second = new Uint8Array(32).fill(2);
  const holding = (key: Uint8Array) => ({ psks: [{ identity: "a", key }] });

  it("with the external key that it stands on, though another takes its name", () => {
    const tickets = { store: sealedTickets() };
    const sessions = sessionCache();
    const client = { identities: [], sessions };
    const server = { tickets, identities: [], clientAuth: "off" } as const;
    expect(resumed(meet({ ...client, ...holding(first) }, { ...server, ...holding(first) }))).toBe(false);
    expect(resumed(meet({ ...client, ...holding(first) }, { ...server, ...holding(first) }))).toBe(true);
    const [near, far] = meet({ ...client, ...holding(first) }, { ...server, ...holding(second) });
    expect(failure(far)?.code).toBe("ERR_SSL_BINDER_DOES_NOT_VERIFY");
    expect(near.engine.result).toBeUndefined();
  });

  it("with the client's external key, before it is offered", () => {
    const server = { tickets: { store: sealedTickets() }, identities: [], clientAuth: "off" } as const;
    const client = { identities: [], sessions: sessionCache() };
    meet({ ...client, ...holding(first) }, { ...server, ...holding(first) });
    const ends = meet({ ...client, ...holding(second) }, { ...server, ...holding(second) });
    expect(resumed(ends)).toBe(false);
    expect(ends[0].engine.result?.psk?.kind).toBe("external");
  });

  it.each([
    ["less than seven days", 7 * DAY - 60_000, true],
    ["seven days", 7 * DAY, false],
  ])("for a client that saw the server's key used %s ago", (_, age, goesOn) => {
    const sessions = changing((session) => ({ ...session, authenticatedAt: session.authenticatedAt - age }));
    const server = { tickets: { store: sealedTickets(), maxAge: 1e9 } };
    meet({ sessions }, server);
    expect(resumed(meet({ sessions }, server))).toBe(goesOn);
  });

  it("with the name that a strict server no longer has", () => {
    const tickets = { store: sealedTickets() };
    const sessions = sessionCache();
    meet({ sessions }, { tickets, strictServerName: true });
    expect(resumed(meet({ sessions }, { tickets, strictServerName: true }))).toBe(true);
    const [, far] = meet({ sessions }, { tickets, strictServerName: true, identities: [identityOf(world.client)] });
    expect(failure(far)?.alert).toBe("unrecognized_name");
  });

  it.each([
    ["client", "ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM"],
    ["server", "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE"],
  ])("with the signature scheme that a %s no longer accepts", (side, code) => {
    const sessions = sessionCache();
    const server = { tickets: { store: sealedTickets() } };
    const [near] = meet({ sessions }, server);
    expect(near.engine.result?.peerSignatureScheme).toBe("ecdsa_secp256r1_sha256");
    const other = { signatureSchemes: ["ed25519"] } as const;
    const ends = meet({ sessions, ...(side === "client" && other) }, { ...server, ...(side === "server" && other) });
    // No resumption, and then no scheme in common.
    expect(ends.map((end) => end.engine.error?.code)).toContain(code);
  });

  it("with the version of the library that sealed it, and a handshake takes its place", () => {
    const store = { issue: () => Uint8Array.of(1), redeem: () => Uint8Array.of(255, 1, 2, 3) };
    const sessions = sessionCache();
    meet({ sessions }, { tickets: { store } });
    expect(resumed(meet({ sessions }, { tickets: { store } }))).toBe(false);
  });

  it("with the process where functions decide, though the cache outlives it", async () => {
    const scopes: string[] = [];
    const sessions: SessionCache = { put: () => {}, take: (scope) => void scopes.push(scope) };
    const options = { ...world.clientOptions, sessions, authorize: () => true };
    await resolveClient(options, everyFeature).preSharedKeys?.sessions?.take();
    await resolveClient(options, everyFeature).preSharedKeys?.sessions?.take();
    vi.resetModules();
    const another = await import("../../src/engine/features/index.ts");
    await resolveClient(options, another.everyFeature).preSharedKeys?.sessions?.take();
    expect(scopes[1]).toBe(scopes[0]);
    expect(scopes[2]).not.toBe(scopes[0]);
  });

  it("and needs no randomness while a context is made, which some runtimes have in requests only", () => {
    const random = () => {
      throw new Error("no randomness here");
    };
    const options = { ...world.clientOptions, sessions: sessionCache(), authorize: () => true };
    expect(
      resolveClient({ ...options, provider: { ...provider, random } }, everyFeature).preSharedKeys?.sessions,
    ).toBeDefined();
  });
});

it("policy versions are ASCII, as they are compared", () => {
  const tickets = (policyVersion: string) => ({ tickets: { store: sealedTickets(), policyVersion } });
  expect(() => world.honestServer(tickets("régle"))).toThrow(/ASCII/);
  expect(() => world.honestServer(tickets("x".repeat(256)))).toThrow(/255/);
});

it("single-use tickets in memory are bounded by number and by bytes", async () => {
  const context = { provider, now: 0 };
  const kept = async (count: number, length: number) => {
    const store = storedTickets();
    const tickets: Uint8Array[] = [];
    for (let i = 0; i < count; i++) {
      tickets.push((await store.issue(new Uint8Array(length), 1000, context)) as Uint8Array);
    }
    const states = await Promise.all(tickets.map((ticket) => store.redeem(ticket, context)));
    expect(states.at(-1)).toHaveLength(length);
    return states.filter((state) => state !== undefined).length;
  };
  expect(await kept(10_005, 10)).toBe(10_000);
  expect(await kept(1030, 0x8000)).toBe(1024);
});

it.each<[string, () => unknown]>([
  ["a strike register's window", () => strikeRegister({ window: Number.NaN })],
  ["a strike register's capacity", () => strikeRegister({ capacity: Number.NaN })],
  ["a session cache's scopes", () => sessionCache({ scopes: Number.NaN })],
  ["a session cache's depth", () => sessionCache({ perScope: 0 })],
  ["a ticket key's age", () => sealedTickets({ rotateAfter: Number.NaN })],
  ["a cookie's lifetime", () => sealedCookies({ lifetime: -1 })],
])("what is no number of anything is refused: %s", (_, make) => {
  expect(make).toThrow(expect.objectContaining({ code: "ERR_TLS_OPTION" }));
});

describe("the strike register", () => {
  const id = new Uint8Array(32).fill(9);
  const register = () => strikeRegister({ window: 60, clock: () => 0 });

  it("remembers for as long as a ClientHello could pass, whatever its age says", () => {
    const seen = register();
    const claims = [100_000, 130_000, 161_000, 190_000].map((now) => seen.claim(id, 155_000, now));
    expect(claims.filter(Boolean)).toHaveLength(1);
  });

  it("does not forget when the clock is set forward and back", () => {
    const seen = register();
    expect(seen.claim(id, 100_000, 100_000)).toBe(true);
    expect(seen.claim(new Uint8Array(32), 900_000, 900_000)).toBe(true);
    expect(seen.claim(id, 100_000, 100_000)).toBe(false);
  });
});

describe("early data", () => {
  const offers = (other: Partial<ServerOptions> = {}) => {
    const client: Partial<ClientOptions> = { sessions: sessionCache(), offerEarlyData: true };
    const server: Partial<ServerOptions> = {
      tickets: { store: sealedTickets() },
      acceptEarlyData: { antiReplay: strikeRegister() },
      ...other,
    };
    meet(client, server);
    return { client, server };
  };

  it("takes no KeyUpdate, however few records a key may protect", () => {
    const { client, server } = offers();
    const near = world.honestClient({ ...client, recordsPerKey: 2, maxFragment: 100 });
    expect(near.engine.writeEarlyData(new Uint8Array(1000))).toBe(1000);
    const far = world.honestServer(server);
    exchange(near, far);
    expect(resumed([near, far])).toBe(true);
    near.engine.write(new Uint8Array(1000));
    exchange(near, far);
    expect(concat(...far.received)).toHaveLength(1000);
  });

  it.each<[string, (terms: NonNullable<ServerOptions["acceptEarlyData"]>) => ServerOptions["acceptEarlyData"]]>([
    ["takes less now", (terms) => ({ ...terms, maxSize: 1000 })],
    ["takes none now", () => undefined],
  ])("as much as a ticket allows is thrown away by a server that %s", (_, change) => {
    const terms = { antiReplay: strikeRegister(), maxSize: 100_000 };
    const { client, server } = offers({ acceptEarlyData: terms });
    const near = world.honestClient(client);
    expect(near.engine.writeEarlyData(new Uint8Array(100_000))).toBe(100_000);
    const far = world.honestServer({ ...server, acceptEarlyData: change(terms) });
    exchange(near, far);
    expect(resumed([near, far])).toBe(true);
    expect(near.engine.result?.earlyData).toBe("rejected");
    expect(far.engine.readEarlyData()).toBeUndefined();
  });

  it("is not sent to whom the client's last word refuses", () => {
    let allowed = true;
    const asked: (string | undefined)[] = [];
    const authorize: ClientOptions["authorize"] = (peer, { psk }) => {
      asked.push(`${peer?.commonName} ${psk?.kind}`);
      return allowed;
    };
    const { server } = offers();
    const client = { sessions: sessionCache(), offerEarlyData: true, authorize };
    meet(client, server);
    expect(world.honestClient(client).engine.earlyDataRoom).toBeGreaterThan(0);
    allowed = false;
    const near = world.honestClient(client);
    expect(near.engine.earlyDataRoom).toBe(0);
    exchange(near, world.honestServer(server));
    expect(failure(near)?.code).toBe("ERR_TLS_ACCESS_DENIED");
    expect(asked.slice(1)).toEqual(Array(3).fill("localhost resumption"));
  });

  it("that is thrown away is bounded, empty records included", () => {
    const { client } = offers();
    const near = world.honestClient(client);
    const far = world.honestServer();
    deliver(far, near.engine.takeOutput());
    const empty = concat(...Array.from({ length: 4096 }, () => Uint8Array.of(23, 3, 3, 0, 0)));
    for (let round = 0; round < 8; round++) deliver(far, empty);
    expect(failure(far)).toMatchObject({ code: "ERR_TLS_TOO_MUCH_EARLY_DATA", alert: "unexpected_message" });
  });
});

describe("the secrets behind exporters and tickets are gone", () => {
  const secrets = ({ engine }: End) =>
    concat(engine.result?.exporterSecret ?? utf8("none"), engine.result?.resumptionSecret ?? utf8("none"));
  const wiped = new Uint8Array(64);

  it("when both sides have closed, and not before", () => {
    const [near, far] = meet({}, {});
    near.engine.close();
    exchange(near, far);
    expect(secrets(near)).not.toEqual(wiped);
    expect(secrets(near)).toEqual(secrets(far));
    far.engine.close();
    exchange(near, far);
    expect([secrets(near), secrets(far)]).toEqual([wiped, wiped]);
  });

  it("when a listener ends the connection", () => {
    const near = world.honestClient();
    near.engine.listen((event) => {
      if (event.type === "handshake") near.engine.abort();
    });
    exchange(near, world.honestServer());
    expect(near.engine.error?.code).toBe("ERR_TLS_ABORTED");
    expect(secrets(near)).toEqual(wiped);
  });

  it("and no ticket is made of what is left, when its store answers late", async () => {
    const states: Uint8Array[] = [];
    let answer = () => {};
    const answered = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const store = storedTickets({
      put: (_id, state) => {
        states.push(state);
        return answered;
      },
      take: () => undefined,
    });
    const [near, far] = meet({ sessions: sessionCache() }, { tickets: { store, count: 2 } });
    near.engine.close();
    far.engine.close();
    exchange(near, far);
    expect(far.engine.done).toBe(true);
    answer();
    await exchangeLate(near, far);
    const suite = provider.suites.find(({ name }) => name === far.engine.result?.cipherSuite);
    const { hash } = suite as NonNullable<typeof suite>;
    const keys = states.map((state) => decodeSession(state).key);
    expect(keys).toHaveLength(2);
    for (const index of [0, 1]) {
      expect(keys[index]).not.toEqual(ticketPsk(hash, new Uint8Array(hash.length), Uint8Array.of(0, index)));
    }
  });
});
