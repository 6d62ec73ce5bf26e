/** Tickets and pre-shared keys between two honest ends: what goes on, what does not, and who is known on the other side. */
import { beforeAll, describe, expect, it } from "vitest";
import { concat, utf8 } from "../../src/bytes/bytes.ts";
import { find } from "../../src/codec/extensions.ts";
import { ClientHello } from "../../src/codec/messages.ts";
import { decode } from "../../src/codec/schema.ts";
import {
  type ClientOptions,
  type ServerOptions,
  sealedCookies,
  sealedTickets,
  sessionCache,
  storedTickets,
  strikeRegister,
} from "../../src/engine/index.ts";
import type { Session } from "../../src/handshake/session.ts";
import { createThrowawayAuthority } from "../../src/pki/index.ts";
import { type End, exchange, exchangeLate, failure } from "../support/pair.ts";
import { createWorld, identityOf, type World } from "../support/world.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
});

function meet(client: Partial<ClientOptions>, server: Partial<ServerOptions>): [End, End] {
  const ends: [End, End] = [world.honestClient(client), world.honestServer(server)];
  exchange(...ends);
  return ends;
}

async function meetLate(client: Partial<ClientOptions>, server: Partial<ServerOptions>): Promise<[End, End]> {
  const ends: [End, End] = [world.honestClient(client), world.honestServer(server)];
  await exchangeLate(...ends);
  return ends;
}

const resumed = ([client, server]: readonly [End, End]) => {
  expect(failure(client)).toBeUndefined();
  expect(failure(server)).toBeUndefined();
  expect(client.engine.result?.resumed).toBe(server.engine.result?.resumed);
  return client.engine.result?.resumed;
};

/** A client and a server that have met once. */
function acquainted(client: Partial<ClientOptions> = {}, server: Partial<ServerOptions> = {}) {
  const shared = {
    client: { sessions: sessionCache(), ...client },
    server: { tickets: { store: sealedTickets() }, ...server },
  };
  expect(resumed(meet(shared.client, shared.server))).toBe(false);
  return shared;
}

describe("resumption", () => {
  it("goes on with the identity of both sides known", () => {
    const { client, server } = acquainted();
    const ends = meet(client, server);
    expect(resumed(ends)).toBe(true);
    const [near, far] = ends;
    expect(near.engine.result?.peer?.commonName).toBe("localhost");
    expect(near.engine.result?.peer?.verified).toBe(true);
    expect(far.engine.result?.peer?.commonName).toBe("client");
    expect(far.engine.result?.peer?.verified).toBe(true);
    expect(far.engine.result?.peerCertificates).toEqual(world.client.certificates);
    expect(near.engine.result?.psk?.kind).toBe("resumption");
    expect(near.engine.result?.group).toBe("x25519");
    near.engine.write(utf8("hello"));
    far.engine.write(utf8("world"));
    exchange(near, far);
    expect(concat(...far.received)).toEqual(utf8("hello"));
    expect(concat(...near.received)).toEqual(utf8("world"));
  });

  it("goes on and on, as each resumption brings new tickets", () => {
    const { client, server } = acquainted();
    for (let round = 0; round < 8; round++) expect(resumed(meet(client, server))).toBe(true);
  });

  it("works without a key exchange where both sides say so", () => {
    const { client, server } = acquainted({ pskModes: ["psk_ke"] }, { pskModes: ["psk_dhe_ke", "psk_ke"] });
    const ends = meet(client, server);
    expect(resumed(ends)).toBe(true);
    expect(ends[0].engine.result?.group).toBeUndefined();
  });

  it("is refused without a common mode", () => {
    const { client, server } = acquainted({ pskModes: ["psk_ke"] });
    expect(resumed(meet(client, server))).toBe(false);
  });

  it("works over a retry", () => {
    const { client, server } = acquainted({ keyShares: ["x25519"] }, { groups: ["secp384r1"] });
    const ends = meet(client, server);
    expect(resumed(ends)).toBe(true);
    expect(ends[0].engine.result?.retried).toBe(true);
  });

  it("takes a stored ticket once, from an asynchronous store", async () => {
    const states = new Map<string, Uint8Array>();
    const store = storedTickets({
      put: async (id, state) => void states.set(id, state),
      take: async (id) => {
        const state = states.get(id);
        states.delete(id);
        return state;
      },
    });
    const server = { tickets: { store, count: 1 } };
    const sessions = sessionCache();
    await meetLate({ sessions }, server);
    const session = await Promise.resolve(world.honestClient({ sessions }));
    expect(states.size).toBe(1);
    const far = world.honestServer(server);
    await exchangeLate(session, far);
    expect(resumed([session, far])).toBe(true);
    // The new ticket is there, the old one gone.
    expect(states.size).toBe(1);
  });

  it("does not take a single-use ticket twice", async () => {
    const store = storedTickets();
    const taken: string[] = [];
    const kept = sessionCache();
    const replaying = {
      put: kept.put,
      take: async (scope: string) => {
        const session = await kept.take(scope);
        if (session !== undefined) await kept.put(scope, session);
        taken.push(scope);
        return session;
      },
    };
    const client = { sessions: replaying };
    const server = { tickets: { store, count: 1 } };
    expect(resumed(await meetLate(client, server))).toBe(false);
    const session = await kept.take(taken[0] as string);
    await kept.put(taken[0] as string, session as NonNullable<typeof session>);
    expect(resumed(await meetLate({ sessions: { ...replaying, put: () => {} } }, server))).toBe(true);
    expect(resumed(await meetLate({ sessions: { ...replaying, put: () => {} } }, server))).toBe(false);
  });
});

describe("a ticket's age", () => {
  /** Of the ticket in the ClientHello of a client whose clock gives these readings, ms after the ticket came. */
  function offeredAge(later: number, atHello = later): number {
    const start = Date.now();
    const readings: number[] = [];
    const clock = () => readings.shift() ?? start + atHello;
    let kept: Session | undefined;
    const sessions = {
      take: () => kept,
      put: (_scope: string, session: Session) => {
        kept = { ...session, createdAt: start };
      },
    };
    const { client } = acquainted({ sessions });
    // Whether the session may go on, whether its certificate is still good, and then the ClientHello.
    readings.push(start + later, start + later);
    const near = world.honestClient({ ...client, clock });
    const hello = decode(ClientHello, near.engine.takeOutput().subarray(5 + 4));
    const [identity] = find(hello.extensions ?? [], "pre_shared_key")?.identities ?? [];
    expect(identity?.identity).toEqual(kept?.ticket);
    return ((identity?.obfuscated_ticket_age ?? 0) - (kept?.ageAdd ?? 0)) >>> 0;
  }

  it.each([
    ["whole milliseconds, of which the first and the last may be cut", 1000, 999],
    ["none yet", 0, 0],
    ["a clock that counts finer", 7.25, 7],
  ])("is what has surely passed: %s", (_, passed, age) => {
    expect(offeredAge(passed)).toBe(age);
  });

  it("is nothing where the clock was set back meanwhile, and does not wrap", () => {
    expect(offeredAge(500, -20)).toBe(0);
  });
});

describe("a session stays with", () => {
  const cases: readonly [string, Partial<ClientOptions> | (() => Promise<Partial<ClientOptions>>)][] = [
    ["its server name", { serverName: "127.0.0.1", checkServerName: false }],
    ["its protocols", { alpn: ["h2"] }],
    ["its identities", { identities: [] }],
    ["its verifier", { rejectUnauthorized: false, trust: undefined }],
    ["its last word", { authorize: () => true }],
  ];
  it.each(cases)("%s", async (_, other) => {
    const { client, server } = acquainted({}, { clientAuth: "optional" });
    expect(resumed(meet({ ...client, ...(await (typeof other === "function" ? other() : other)) }, server))).toBe(
      false,
    );
    expect(resumed(meet(client, server))).toBe(true);
  });

  it("its trust", async () => {
    const { client, server } = acquainted();
    const other = await createThrowawayAuthority();
    const trust = [world.authority.certificatePem, other.certificatePem];
    expect(resumed(meet({ ...client, trust }, server))).toBe(false);
  });
});

describe("a resumption is judged again", () => {
  it("by the server's trust: a removed CA stops authorizing at once", async () => {
    const { client, server } = acquainted();
    const other = await createThrowawayAuthority();
    const [near, far] = meet(client, { ...server, trust: other.certificatePem });
    // No resumption, and then the certificate is refused as at any handshake.
    expect(failure(far)?.alert).toBe("unknown_ca");
    expect(near.engine.error?.alert).toBe("unknown_ca");
  });

  it("by the server's clock: an expired certificate", () => {
    const { client, server } = acquainted({}, { tickets: { store: sealedTickets(), lifetime: 604_800, maxAge: 1e9 } });
    const late = () => Date.now() + 3 * 86_400_000;
    const [, far] = meet({ ...client }, { ...server, clock: late });
    expect(failure(far)?.alert).toBe("certificate_expired");
  });

  it("by the client's clock, before the session is offered", () => {
    const { client, server } = acquainted({}, { tickets: { store: sealedTickets(), lifetime: 604_800, maxAge: 1e9 } });
    const late = () => Date.now() + 3 * 86_400_000;
    const [near] = meet({ ...client, clock: late }, server);
    expect(failure(near)?.alert).toBe("certificate_expired");
  });

  it("by authorize, with the client's identity, before anything is said", () => {
    let allowed = true;
    const names: (string | undefined)[] = [];
    const { client, server } = acquainted(
      {},
      {
        authorize: (peer) => {
          names.push(peer?.commonName);
          return allowed;
        },
      },
    );
    allowed = false;
    const [near, far] = meet(client, server);
    expect(failure(far)).toMatchObject({ code: "ERR_TLS_ACCESS_DENIED", alert: "access_denied" });
    expect(near.engine.result).toBeUndefined();
    expect(names).toEqual(["client", "client"]);
  });

  it.each<[string, Partial<ServerOptions>]>([
    ["another policy version", { tickets: { store: sealedTickets(), policyVersion: "2" } }],
    ["client authentication switched off", { clientAuth: "off" }],
  ])("%s", (_, change) => {
    const store = sealedTickets();
    const { client, server } = acquainted({}, { tickets: { store, policyVersion: "1" } });
    const tickets = change.tickets && { ...change.tickets, store };
    expect(resumed(meet(client, { ...server, ...change, ...(tickets && { tickets }) }))).toBe(false);
  });

  it("where a certificate is required now and none was shown then", () => {
    const { client, server } = acquainted({ identities: [] }, { clientAuth: "off" });
    const [, far] = meet(client, { ...server, clientAuth: "on" });
    expect(failure(far)?.alert).toBe("certificate_required");
  });

  it("by age: a chain of resumptions ends", () => {
    let now = Date.now();
    const clock = () => now;
    const tickets = { store: sealedTickets(), maxAge: 600, lifetime: 400 };
    const { client, server } = acquainted({ clock }, { clock, tickets });
    now += 300_000;
    expect(resumed(meet(client, server))).toBe(true);
    now += 299_000;
    expect(resumed(meet(client, server))).toBe(true);
    now += 2_000;
    expect(resumed(meet(client, server))).toBe(false);
  });

  it("by ticket lifetime, on either side", () => {
    let now = Date.now();
    const tickets = { store: sealedTickets(), lifetime: 60 };
    const { client, server } = acquainted({ clock: () => now }, { clock: () => now, tickets });
    now += 59_000;
    expect(resumed(meet(client, server))).toBe(true);
    now += 61_000;
    expect(resumed(meet(client, server))).toBe(false);
  });
});

describe("ticket keys", () => {
  it("shared by a fleet, open each other's tickets, and rotate with overlap", () => {
    const keys = [1, 2, 3].map((value) => new Uint8Array(32).fill(value));
    const one = sealedTickets({ keys: keys.slice(0, 1) });
    const two = sealedTickets({ keys: keys.slice(0, 2) });
    const { client } = acquainted({}, { tickets: { store: one } });
    expect(resumed(meet(client, { tickets: { store: two } }))).toBe(true);
    two.setKeys([keys[1] as Uint8Array, keys[0] as Uint8Array]);
    expect(resumed(meet(client, { tickets: { store: two } }))).toBe(true);
    expect(resumed(meet(client, { tickets: { store: two } }))).toBe(true);
    two.setKeys([keys[2] as Uint8Array]);
    expect(resumed(meet(client, { tickets: { store: two } }))).toBe(false);
  });

  it("of one process rotate by themselves, and old ones open until their tickets have expired", () => {
    let now = Date.now();
    const clock = () => now;
    const tickets = { store: sealedTickets({ rotateAfter: 60 }), lifetime: 3600, maxAge: 36_000, count: 1 };
    const { client, server } = acquainted({ clock }, { clock, tickets });
    now += 3_000_000;
    expect(resumed(meet(client, server))).toBe(true);
  });

  it("must be 32 bytes", () => {
    expect(() => sealedTickets({ keys: [new Uint8Array(16)] })).toThrow(/32 bytes/);
    expect(() => sealedTickets({ keys: [] })).toThrow(/32 bytes/);
  });
});

describe("external pre-shared keys", () => {
  const key = new Uint8Array(32).fill(7);
  it.each<[string, Partial<ClientOptions>, Partial<ServerOptions>]>([
    ["as they are", { psks: [{ identity: "a", key }] }, { psks: [{ identity: "a", key }] }],
    ["SHA-384", { psks: [{ identity: "a", key, hash: "sha384" }] }, { psks: [{ identity: "a", key, hash: "sha384" }] }],
    [
      "imported (RFC 9258)",
      { psks: [{ identity: "a", key, importer: { context: utf8("here") } }] },
      { psks: [{ identity: "a", key, importer: { context: utf8("here") } }] },
    ],
    [
      "the second of several",
      {
        psks: [
          { identity: "b", key },
          { identity: "a", key },
        ],
      },
      { psks: [{ identity: "a", key }] },
    ],
    [
      "found by a callback",
      { psks: [{ identity: "a", key }] },
      { findPsk: (identity) => (identity[0] === 0x61 ? { identity: "a", key } : undefined) },
    ],
    [
      "without a key exchange",
      { psks: [{ identity: "a", key }], pskModes: ["psk_ke"] },
      { psks: [{ identity: "a", key }], pskModes: ["psk_ke"] },
    ],
    [
      "with a cookie and without a key exchange",
      { psks: [{ identity: "a", key }], pskModes: ["psk_ke"] },
      { psks: [{ identity: "a", key }], pskModes: ["psk_ke"], cookies: sealedCookies() },
    ],
    ["with a cookie", { psks: [{ identity: "a", key }] }, { psks: [{ identity: "a", key }], cookies: sealedCookies() }],
  ])("%s", (_, client, server) => {
    const [near, far] = meet({ ...client, identities: [] }, { ...server, identities: [], clientAuth: "off" });
    expect(failure(near)).toBeUndefined();
    expect(failure(far)).toBeUndefined();
    expect(near.engine.result?.psk).toEqual(far.engine.result?.psk);
    expect(near.engine.result?.psk).toBeDefined();
    expect(near.engine.result?.peer).toBeUndefined();
    expect(near.engine.result?.resumed).toBe(false);
    near.engine.write(utf8("hello"));
    exchange(near, far);
    expect(concat(...far.received)).toEqual(utf8("hello"));
  });

  it("unknown: the certificate does instead", () => {
    const [near, far] = meet({ psks: [{ identity: "b", key }] }, { psks: [{ identity: "a", key }] });
    expect(failure(far)).toBeUndefined();
    expect(near.engine.result?.psk).toBeUndefined();
    expect(near.engine.result?.peer?.commonName).toBe("localhost");
  });

  it("unknown, and no certificate: unknown_psk_identity", () => {
    const [, far] = meet({ psks: [{ identity: "b", key }] }, { psks: [{ identity: "a", key }], identities: [] });
    expect(failure(far)).toMatchObject({ code: "ERR_TLS_UNKNOWN_PSK", alert: "unknown_psk_identity" });
  });

  it("none offered, and no certificate: handshake_failure", () => {
    const [, far] = meet({}, { psks: [{ identity: "a", key }], identities: [] });
    expect(failure(far)).toMatchObject({ code: "ERR_SSL_NO_SHARED_CIPHER", alert: "handshake_failure" });
  });

  it.each<[string, Partial<ClientOptions>]>([
    ["another key", { psks: [{ identity: "a", key: new Uint8Array(32) }] }],
    ["imported on one side only", { psks: [{ identity: "a", key, importer: {} }] }],
  ])("%s does not pass", (_, client) => {
    const imported = client.psks?.[0]?.importer !== undefined;
    const [, far] = meet(client, {
      psks: [{ identity: "a", key }],
      identities: imported ? [] : [identityOf(world.server)],
    });
    expect(failure(far)?.alert).toBe(imported ? "unknown_psk_identity" : "decrypt_error");
  });

  it.each<[string, ClientOptions["psks"], RegExp]>([
    ["too short", [{ identity: "a", key: new Uint8Array(15) }], /at least 16/],
    ["nameless", [{ identity: "", key }], /identity of 0 bytes/],
    [
      "named twice",
      [
        { identity: "a", key },
        { identity: "a", key },
      ],
      /same identity/,
    ],
  ])("%s is no option", (_, psks, message) => {
    expect(() => world.honestClient({ psks })).toThrow(message);
  });
});

describe("early data", () => {
  const offers = (client: Partial<ClientOptions> = {}, server: Partial<ServerOptions> = {}) =>
    acquainted(
      { offerEarlyData: true, ...client },
      { tickets: { store: sealedTickets(), count: 1 }, acceptEarlyData: { antiReplay: strikeRegister() }, ...server },
    );

  function sendEarly(client: Partial<ClientOptions>, server: Partial<ServerOptions>, data = utf8("early")): [End, End] {
    const near = world.honestClient(client);
    expect(near.engine.writeEarlyData(data)).toBe(Math.min(data.length, 0x4000));
    const far = world.honestServer(server);
    exchange(near, far);
    return [near, far];
  }

  const outcomes = ({ events }: End) =>
    events.filter((event) => event.type === "early_data").map(({ outcome }) => outcome);

  it("is read apart, and the connection goes on", () => {
    const { client, server } = offers();
    const [near, far] = sendEarly(client, server);
    expect(resumed([near, far])).toBe(true);
    expect(far.engine.readEarlyData()).toEqual(utf8("early"));
    expect(far.received).toEqual([]);
    expect(outcomes(near)).toEqual(["accepted"]);
    expect(near.engine.result?.earlyData).toBe("accepted");
    expect(far.engine.result?.earlyData).toBe("accepted");
    near.engine.write(utf8("late"));
    exchange(near, far);
    expect(far.received).toEqual([utf8("late")]);
  });

  it("may be none at all", () => {
    const { client, server } = offers();
    const ends = meet(client, server);
    expect(resumed(ends)).toBe(true);
    expect(ends[0].engine.result?.earlyData).toBe("accepted");
  });

  it.each<[string, Partial<ServerOptions>]>([
    ["a server that does not want it", { acceptEarlyData: undefined }],
    ["a server that retries", { groups: ["secp384r1"] }],
    ["a server that sends cookies", { cookies: sealedCookies() }],
    ["another protocol", { alpn: ["http/1.1"] }],
    ["a ClientHello that came before", { acceptEarlyData: { antiReplay: { claim: () => false } } }],
    ["a ticket nobody knows", { tickets: { store: sealedTickets() } }],
    ["a server without tickets", { tickets: undefined, acceptEarlyData: undefined }],
    ["a clock that runs ahead", { clock: () => Date.now() + 11_000 }],
    ["a clock that runs behind", { clock: () => Date.now() - 11_000 }],
  ])("is thrown away by %s", (_, change) => {
    const { client, server } = offers();
    const [near, far] = sendEarly(client, { ...server, ...change }, new Uint8Array(12_000));
    resumed([near, far]);
    expect(far.engine.readEarlyData()).toBeUndefined();
    expect(outcomes(near)).toEqual(["rejected"]);
    expect(near.engine.result?.earlyData).toBe("rejected");
    near.engine.write(utf8("late"));
    exchange(near, far);
    expect(far.received).toEqual([utf8("late")]);
  });

  it("does not stand between the fragments of a second ClientHello", () => {
    const { client, server } = offers();
    const near = world.honestClient(client);
    const far = world.honestServer({ ...server, groups: ["secp384r1"] });
    near.engine.writeEarlyData(utf8("early"));
    far.engine.receive(near.engine.takeOutput());
    near.engine.receive(far.engine.takeOutput());
    const second = near.engine.takeOutput();
    expect(second[0]).toBe(22);
    const record = (type: number, content: Uint8Array) =>
      concat(Uint8Array.of(type, 3, 3, content.length >> 8, content.length & 0xff), content);
    far.engine.receive(record(23, new Uint8Array(40)));
    far.engine.receive(record(22, second.subarray(5, 25)));
    expect(failure(far)).toBeUndefined();
    far.engine.receive(record(23, new Uint8Array(40)));
    expect(failure(far)?.code).toBe("ERR_SSL_UNEXPECTED_MESSAGE");
  });

  it("is bounded by the ticket", () => {
    const { client, server } = offers({}, { acceptEarlyData: { antiReplay: strikeRegister(), maxSize: 100 } });
    const near = world.honestClient(client);
    expect(near.engine.earlyDataRoom).toBe(100);
    expect(near.engine.writeEarlyData(new Uint8Array(1000))).toBe(100);
    expect(near.engine.writeEarlyData(new Uint8Array(1000))).toBe(0);
    const far = world.honestServer(server);
    exchange(near, far);
    expect(far.engine.readEarlyData()?.length).toBe(100);
  });

  it("of a replayed ClientHello is thrown away", () => {
    const { client, server } = offers();
    const near = world.honestClient(client);
    near.engine.writeEarlyData(utf8("early"));
    const flight = near.engine.takeOutput();
    const first = world.honestServer(server);
    const second = world.honestServer(server);
    for (const far of [first, second]) far.engine.receive(flight);
    expect(first.engine.readEarlyData()).toEqual(utf8("early"));
    expect(second.engine.readEarlyData()).toBeUndefined();
    expect(failure(second)).toBeUndefined();
  });

  it("needs what it is made with", () => {
    expect(() => world.honestClient({ offerEarlyData: true })).toThrow(/without sessions/);
    expect(() => world.honestServer({ acceptEarlyData: { antiReplay: strikeRegister() } })).toThrow(/without tickets/);
  });
});

describe("stateless retries", () => {
  it("go on in another engine", () => {
    const keys = [new Uint8Array(32).fill(1)];
    const near = world.honestClient();
    const first = world.honestServer({ cookies: sealedCookies({ keys }) });
    first.engine.receive(near.engine.takeOutput());
    near.engine.receive(first.engine.takeOutput());
    const second = world.honestServer({ cookies: sealedCookies({ keys }) });
    exchange(near, second);
    expect(failure(near)).toBeUndefined();
    expect(failure(second)).toBeUndefined();
    expect(near.engine.result?.retried).toBe(true);
    expect(second.engine.result?.peer?.commonName).toBe("client");
  });

  it("go on in another engine with another group, and with a session", () => {
    const { client, server } = acquainted({}, { groups: ["secp384r1"], cookies: sealedCookies() });
    const near = world.honestClient(client);
    const first = world.honestServer(server);
    first.engine.receive(near.engine.takeOutput());
    near.engine.receive(first.engine.takeOutput());
    const second = world.honestServer(server);
    exchange(near, second);
    expect(resumed([near, second])).toBe(true);
  });

  it.each<[string, number, number]>([
    ["too late", 31_000, 1],
    ["from the future", -1, 1],
    ["under another key", 0, 2],
  ])("end with a cookie %s", (_, later, value) => {
    const now = Date.now();
    const near = world.honestClient();
    const key = (byte: number) => sealedCookies({ keys: [new Uint8Array(32).fill(byte)] });
    const first = world.honestServer({ cookies: key(1), clock: () => now });
    first.engine.receive(near.engine.takeOutput());
    near.engine.receive(first.engine.takeOutput());
    const second = world.honestServer({ cookies: key(value), clock: () => now + later });
    exchange(near, second);
    expect(failure(second)).toMatchObject({ code: "ERR_TLS_ILLEGAL_PARAMETER", alert: "illegal_parameter" });
  });
});
