/** Every check around pre-shared keys, early data and cookies, each broken alone, by either side. */
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { concat, utf8 } from "../../src/bytes/bytes.ts";
import { find } from "../../src/codec/extensions.ts";
import {
  ClientHello,
  EncryptedExtensions,
  HelloRetryRequest,
  NewSessionTicket,
  ServerHello,
} from "../../src/codec/messages.ts";
import { type ClientOptions, type ServerOptions, sealedCookies, sealedTickets } from "../../src/engine/index.ts";
import type { HandshakeName } from "../../src/flow.ts";
import type { Session } from "../../src/handshake/session.ts";
import { type End, exchange, failure } from "../support/pair.ts";
import { expectRefusal, verdict } from "../support/refusal.ts";
import { confront, type OutgoingRecord, type Tamper } from "../support/rogue.ts";
import { createWorld, edit, editBytes, raw, rawMessage, type World, without, withRaw } from "../support/world.ts";

type Code = Parameters<typeof verdict>[0];

let world: World;
let session: Session;
const store = sealedTickets();
const always = { claim: () => true };
const key = new Uint8Array(32).fill(7);
const server: Partial<ServerOptions> = { tickets: { store }, acceptEarlyData: { antiReplay: always, maxSize: 100 } };

/** Every client here goes on from the same connection. */
const sessions = {
  take: () => session,
  put: (_scope: string, kept: Session) => {
    session = kept;
  },
};
const frozen = { take: () => session, put: () => {} };

beforeAll(async () => {
  world = await createWorld();
});
beforeEach(() => {
  const ends: [End, End] = [world.honestClient({ sessions }), world.honestServer(server)];
  exchange(...ends);
  expect(ends.map(failure)).toEqual([undefined, undefined]);
});

const only =
  (wanted: HandshakeName, change: (message: Uint8Array) => ReturnType<Tamper>): Tamper =>
  (message, name) =>
    name === wanted ? change(message) : undefined;
const hello = (change: (hello: ClientHello) => ClientHello) =>
  only("client_hello", (message) => edit(message, ClientHello, change));
const serverHello = (change: (hello: ServerHello) => ServerHello) =>
  only("server_hello", (message) => edit(message, ServerHello, change));
const encrypted = (change: (body: EncryptedExtensions) => EncryptedExtensions) =>
  only("encrypted_extensions", (message) => edit(message, EncryptedExtensions, change));

describe("a server refuses a client that", () => {
  /** The binder is the last thing in a ClientHello. */
  const lastByte = only("client_hello", (message) => editBytes(message, (body) => flip(body, body.length - 1)));

  it.each<[string, Code, Tamper]>([
    ["has another key", "ERR_SSL_BINDER_DOES_NOT_VERIFY", lastByte],
    [
      "changes what the binder covers",
      "ERR_SSL_BINDER_DOES_NOT_VERIFY",
      hello((h) => ({ ...h, random: new Uint8Array(32) })),
    ],
    [
      "sends pre_shared_key before another extension",
      "ERR_TLS_ILLEGAL_PARAMETER",
      hello((h) => ({ ...h, extensions: [...(h.extensions ?? []), raw(0x6a6a)] })),
    ],
    [
      "names no modes",
      "ERR_TLS_MISSING_EXTENSION",
      hello((h) => ({ ...h, extensions: without(h.extensions, "psk_key_exchange_modes") })),
    ],
    [
      "sends fewer binders than identities",
      "ERR_TLS_ILLEGAL_PARAMETER",
      hello((h) => {
        const offered = find(h.extensions ?? [], "pre_shared_key");
        const identities = [...(offered?.identities ?? []), { identity: utf8("more"), obfuscated_ticket_age: 0 }];
        return withPsks(h, { identities, binders: offered?.binders ?? [] });
      }),
    ],
    ["sends a binder of 31 bytes", "ERR_TLS_DECODE_ERROR", only("client_hello", (message) => shorterBinder(message))],
    [
      "sends no groups beside its key_share",
      "ERR_TLS_MISSING_EXTENSION",
      hello((h) => ({ ...h, extensions: without(h.extensions, "supported_groups") })),
    ],
    [
      "sends no key_share beside its groups",
      "ERR_TLS_MISSING_EXTENSION",
      hello((h) => ({ ...h, extensions: without(h.extensions, "key_share") })),
    ],
  ])("%s", (_, code, tamper) => {
    const rogue = world.rogueClient({ tamper }, { sessions: frozen });
    expectRefusal(world.honestServer(server), rogue, verdict(code, "RECVD_CH"));
  });

  it("has another external key", () => {
    const rogue = world.rogueClient({}, { psks: [{ identity: "a", key: new Uint8Array(32) }] });
    const victim = world.honestServer({ psks: [{ identity: "a", key }] });
    expectRefusal(victim, rogue, verdict("ERR_SSL_BINDER_DOES_NOT_VERIFY", "RECVD_CH"));
  });

  it.each<[string, string, Code, (records: OutgoingRecord) => readonly OutgoingRecord[]]>([
    [
      "leaves out EndOfEarlyData",
      "WAIT_EOED",
      "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
      (record) => (record.content[0] === 5 ? [] : [record]),
    ],
    [
      "sends EndOfEarlyData with content",
      "WAIT_EOED",
      "ERR_TLS_DECODE_ERROR",
      (record) => (record.content[0] === 5 ? [{ ...record, content: rawMessage(5, new Uint8Array(1)) }] : [record]),
    ],
    [
      "sends a Finished as early data",
      "WAIT_EOED",
      "ERR_SSL_UNEXPECTED_MESSAGE",
      (record) => (record.content[0] === 5 ? [{ ...record, content: rawMessage(20, new Uint8Array(32)) }] : [record]),
    ],
    [
      "sends anything behind EndOfEarlyData in its record",
      "WAIT_EOED",
      "ERR_SSL_UNEXPECTED_MESSAGE",
      (record) => (record.content[0] === 5 ? [{ ...record, content: concat(record.content, utf8("more")) }] : [record]),
    ],
    [
      "sends more early data than its ticket allows",
      "WAIT_EOED",
      "ERR_TLS_TOO_MUCH_EARLY_DATA",
      (record) => (record.content[0] === 5 ? [{ type: 23, content: new Uint8Array(101) }, record] : [record]),
    ],
    [
      "sends a KeyUpdate among its early data",
      "WAIT_EOED",
      "ERR_SSL_UNEXPECTED_MESSAGE",
      (record) => (record.content[0] === 5 ? [{ ...record, content: rawMessage(24, new Uint8Array(1)) }] : [record]),
    ],
    [
      "sends 33 empty records as early data",
      "WAIT_EOED",
      "ERR_TLS_TOO_MANY_EMPTY_RECORDS",
      (record) =>
        record.content[0] === 5
          ? [...new Array<OutgoingRecord>(33).fill({ type: 23, content: new Uint8Array(0), padding: 1 }), record]
          : [record],
    ],
  ])("%s", (_, stage, code, change) => {
    const records = (record: OutgoingRecord) => (record.type === 22 || record.type === 23 ? change(record) : [record]);
    const rogue = world.rogueClient({ records }, { sessions: frozen, offerEarlyData: true });
    expectRefusal(world.honestServer(server), rogue, verdict(code, stage as "WAIT_EOED"));
  });

  it("sends application data in the clear in place of early data", () => {
    const rogue = world.rogueClient({}, { sessions: frozen, offerEarlyData: true });
    const victim = world.honestServer(server);
    const flight = rogue.takeOutput();
    victim.engine.receive(flight);
    victim.engine.receive(Uint8Array.of(22, 3, 3, 0, 4, 5, 0, 0, 0));
    expect(failure(victim)).toMatchObject({ code: "ERR_SSL_UNEXPECTED_MESSAGE", alert: "unexpected_message" });
  });

  it.each([
    ["after a retry", { groups: ["secp384r1"] }],
    ["without", { acceptEarlyData: undefined }],
  ] as const)("sends more early data than is thrown away, %s", (_, change) => {
    const rogue = world.rogueClient({}, { sessions: frozen, offerEarlyData: true });
    const victim = world.honestServer({ ...server, ...change });
    const flight = rogue.takeOutput();
    victim.engine.receive(flight);
    for (let i = 0; i < 64; i++) rogue.send({ type: 23, content: new Uint8Array(240) });
    victim.engine.receive(rogue.takeOutput());
    expect(failure(victim)).toMatchObject({ code: "ERR_TLS_TOO_MUCH_EARLY_DATA", alert: "unexpected_message" });
  });

  it("offers early data again in its second ClientHello", () => {
    let count = 0;
    const change = hello((h) => (++count === 1 ? h : { ...h, extensions: withRawBeforeLast(h) }));
    // The part that a binder covers passes here too.
    const again: Tamper = (message, name) => (isWhole(message) ? change(message, name) : undefined);
    const rogue = world.rogueClient({ tamper: again }, { sessions: frozen, offerEarlyData: true });
    const victim = world.honestServer({ ...server, groups: ["secp384r1"] });
    expectRefusal(victim, rogue, verdict("ERR_TLS_ILLEGAL_PARAMETER", "RECVD_CH"));
  });

  it.each<[string, (h: ClientHello) => ClientHello]>([
    ["random", (h) => ({ ...h, random: new Uint8Array(32) })],
    ["cipher suites", (h) => ({ ...h, cipher_suites: h.cipher_suites.slice(1) })],
    ["an extension", (h) => ({ ...h, extensions: withRaw(h.extensions, 0x6a6a) })],
    ["its share, which was to stay", (h) => ({ ...h, extensions: withRaw(h.extensions, "key_share", 0, 0) })],
  ])("brings a cookie, and changes %s, to a server without memory", (_, change) => {
    const cookies = sealedCookies();
    let count = 0;
    const rogue = world.rogueClient({ tamper: hello((h) => (++count === 1 ? h : change(h))) });
    const first = world.honestServer({ cookies });
    first.engine.receive(rogue.takeOutput());
    rogue.receive(first.engine.takeOutput());
    const second = world.honestServer({ cookies });
    expectRefusal(second, rogue, verdict("ERR_TLS_ILLEGAL_PARAMETER", "RECVD_CH"));
  });

  it("brings a forged cookie", () => {
    const forged = hello((h) => ({ ...h, extensions: withRaw(h.extensions, "cookie", 0, 3, 1, 2, 3) }));
    const victim = world.honestServer({ cookies: sealedCookies() });
    expectRefusal(victim, world.rogueClient({ tamper: forged }), verdict("ERR_TLS_ILLEGAL_PARAMETER", "RECVD_CH"));
  });
});

describe("a client refuses a server that", () => {
  const resumption: Partial<ClientOptions> = { sessions: frozen };
  const early: Partial<ClientOptions> = { sessions: frozen, offerEarlyData: true };

  it.each<[string, Code, "WAIT_SH" | "WAIT_EE" | "WAIT_FINISHED", Partial<ClientOptions>, Tamper]>([
    [
      "selects an identity nobody offered",
      "ERR_TLS_ILLEGAL_PARAMETER",
      "WAIT_SH",
      resumption,
      serverHello((h) => ({ ...h, extensions: withRaw(h.extensions, "pre_shared_key", 0, 1) })),
    ],
    [
      "selects a key where none was offered",
      "ERR_TLS_UNSUPPORTED_EXTENSION",
      "WAIT_SH",
      {},
      serverHello((h) => ({ ...h, extensions: withRaw(h.extensions, "pre_shared_key", 0, 0) })),
    ],
    [
      "does without a key exchange unasked",
      "ERR_TLS_ILLEGAL_PARAMETER",
      "WAIT_SH",
      resumption,
      serverHello((h) => ({ ...h, extensions: without(h.extensions, "key_share") })),
    ],
    [
      "exchanges keys where that was not offered",
      "ERR_TLS_ILLEGAL_PARAMETER",
      "WAIT_SH",
      { ...resumption, pskModes: ["psk_ke"] },
      serverHello((h) => ({ ...h, extensions: withRaw(h.extensions, "pre_shared_key", 0, 0) })),
    ],
    [
      "selects a suite with another hash than the key's",
      "ERR_TLS_ILLEGAL_PARAMETER",
      "WAIT_SH",
      resumption,
      serverHello((h) => ({ ...h, cipher_suite: h.cipher_suite === 0x1302 ? 0x1301 : 0x1302 })),
    ],
    [
      "accepts early data that was not offered",
      "ERR_TLS_UNSUPPORTED_EXTENSION",
      "WAIT_EE",
      resumption,
      encrypted((b) => ({ ...b, extensions: withRaw(b.extensions, "early_data") })),
    ],
    [
      "accepts early data for another protocol",
      "ERR_TLS_ILLEGAL_PARAMETER",
      "WAIT_EE",
      early,
      encrypted((b) => ({
        ...b,
        extensions: withRaw(b.extensions, "application_layer_protocol_negotiation", 0, 9, 8, ...utf8("http/1.1")),
      })),
    ],
  ])("%s", (_, code, stage, options, tamper) => {
    const rogue = world.rogueServer({ tamper }, server);
    expectRefusal(world.honestClient(options), rogue, verdict(code, stage));
  });

  it("accepts early data without the key", () => {
    const accepting = encrypted((b) => ({ ...b, extensions: withRaw(b.extensions, "early_data") }));
    const rogue = world.rogueServer({ tamper: accepting }, { ...server, tickets: { store: sealedTickets() } });
    expectRefusal(world.honestClient(early), rogue, verdict("ERR_TLS_ILLEGAL_PARAMETER", "WAIT_EE"));
  });

  it("asks for a certificate beside a key", () => {
    const asking = only("finished", (message) => [
      rawMessage(13, Uint8Array.of(0, 0, 8, 0, 13, 0, 4, 0, 2, 4, 3)),
      message,
    ]);
    const rogue = world.rogueServer({ tamper: asking }, server);
    expectRefusal(world.honestClient(resumption), rogue, verdict("ERR_SSL_UNEXPECTED_MESSAGE", "WAIT_FINISHED"));
  });

  it("retries with early data's key still in its hands, and says nothing new", () => {
    const nothing = only("hello_retry_request", (message) =>
      edit(message, HelloRetryRequest, (h) => ({ ...h, extensions: without(h.extensions, "key_share") })),
    );
    const rogue = world.rogueServer({ tamper: nothing }, { ...server, groups: ["secp384r1"] });
    expectRefusal(world.honestClient(early), rogue, verdict("ERR_TLS_ILLEGAL_PARAMETER", "WAIT_SH"));
  });
});

describe("a ticket", () => {
  const ticketed = (change: (ticket: NewSessionTicket) => NewSessionTicket) => {
    const kept: Session[] = [];
    const rogue = world.rogueServer({}, {});
    const victim = world.honestClient({ sessions: { take: () => undefined, put: (_, s) => void kept.push(s) } });
    confront(victim, rogue);
    const ticket: NewSessionTicket = {
      ticket_lifetime: 60,
      ticket_age_add: 1,
      ticket_nonce: Uint8Array.of(0),
      ticket: Uint8Array.of(1),
      extensions: [],
    };
    const changed = change(ticket);
    rogue.sendMessage(edit(rawMessage(4, encoded(ticket)), NewSessionTicket, () => changed));
    confront(victim, rogue);
    return { victim, rogue, kept };
  };

  it("is used for seven days at most", () => {
    expect(ticketed((t) => ({ ...t, ticket_lifetime: 0xffffffff })).kept[0]?.lifetime).toBe(604_800);
  });

  it("with lifetime 0 is forgotten", () => {
    expect(ticketed((t) => ({ ...t, ticket_lifetime: 0 })).kept).toEqual([]);
  });

  it("with an unknown extension is kept", () => {
    expect(ticketed((t) => ({ ...t, extensions: [raw(0x6a6a, 1)] })).kept).toHaveLength(1);
  });

  it.each<[string, Code, Uint8Array]>([
    ["without a ticket", "ERR_TLS_DECODE_ERROR", Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)],
    [
      "with an extension of other messages",
      "ERR_TLS_ILLEGAL_PARAMETER",
      Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 7, 0, 4, 0, 51, 0, 0),
    ],
    [
      "that says early data twice",
      "ERR_TLS_ILLEGAL_PARAMETER",
      Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 7, 0, 16, 0, 42, 0, 4, 0, 0, 0, 1, 0, 42, 0, 4, 0, 0, 0, 1),
    ],
  ])("%s is refused", (_, code, body) => {
    const rogue = world.rogueServer();
    const victim = world.honestClient({ sessions: frozen });
    confront(victim, rogue);
    rogue.sendMessage(rawMessage(4, body));
    expectRefusal(victim, rogue, verdict(code, "CONNECTED"));
  });

  it("sent by a client is refused", () => {
    const rogue = world.rogueClient({}, {});
    const victim = world.honestServer(server);
    confront(victim, rogue);
    rogue.sendMessage(rawMessage(4, Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 7, 0, 0)));
    expectRefusal(victim, rogue, verdict("ERR_SSL_UNEXPECTED_MESSAGE", "CONNECTED"));
  });

  it("is not sent to a client that offers no mode for it", () => {
    const near = world.honestClient();
    const far = world.honestServer(server);
    exchange(near, far);
    expect(near.events.map(({ type }) => type)).not.toContain("ticket");
  });

  it("of a store that fails costs nothing but itself", () => {
    const failing = {
      issue: () => {
        throw new Error("the store is away");
      },
      redeem: () => undefined,
    };
    const near = world.honestClient({ sessions });
    const far = world.honestServer({ tickets: { store: failing } });
    exchange(near, far);
    expect([failure(near), failure(far)]).toEqual([undefined, undefined]);
    expect(far.events.map(({ type }) => type)).toContain("ticket_failed");
  });

  it("behind the sixteenth of a connection is not looked at", () => {
    const kept: Session[] = [];
    const rogue = world.rogueServer();
    const victim = world.honestClient({ sessions: { take: () => undefined, put: (_, s) => void kept.push(s) } });
    confront(victim, rogue);
    for (let i = 0; i < 40; i++)
      rogue.sendMessage(rawMessage(4, Uint8Array.of(0, 0, 0, 9, 0, 0, 0, 0, 1, i, 0, 1, 7, 0, 0)));
    confront(victim, rogue);
    expect(failure(victim)).toBeUndefined();
    expect(kept).toHaveLength(16);
  });
});

function flip(bytes: Uint8Array, index: number): Uint8Array {
  const copy = bytes.slice();
  copy[index] = (copy[index] as number) ^ 1;
  return copy;
}

type Offered = NonNullable<ReturnType<typeof find<"CH", "pre_shared_key">>>;

function withPsks(h: ClientHello, value: Offered): ClientHello {
  const extensions = (h.extensions ?? []).map((entry) =>
    entry.name === "pre_shared_key" ? { ...entry, value } : entry,
  );
  return { ...h, extensions };
}

/** The last binder loses a byte, and all lengths around it with it. */
function shorterBinder(message: Uint8Array): Uint8Array {
  const binderLength = find(decodeHello(message).extensions ?? [], "pre_shared_key")?.binders[0]?.length ?? 0;
  const cut = message.slice(0, message.length - (binderLength - 31));
  const lower = (position: number, by: number) => {
    const value = ((cut[position] as number) << 8) | (cut[position + 1] as number);
    cut[position] = (value - by) >> 8;
    cut[position + 1] = (value - by) & 0xff;
  };
  const by = binderLength - 31;
  lower(2, by);
  const list = message.length - binderLength - 1 - 2;
  cut[list + 2] = 31;
  lower(list, by);
  const identities = find(decodeHello(message).extensions ?? [], "pre_shared_key")?.identities ?? [];
  const offered = 2 + identities.reduce((sum, { identity }) => sum + 2 + identity.length + 4, 0);
  lower(list - offered - 2, by);
  const hello = decodeHello(message);
  const fixed = 4 + 2 + 32 + 1 + hello.legacy_session_id.length + 2 + 2 * hello.cipher_suites.length + 2;
  lower(fixed, by);
  return cut;
}

function isWhole(message: Uint8Array): boolean {
  return 4 + (((message[2] as number) << 8) | (message[3] as number)) === message.length;
}

function decodeHello(message: Uint8Array): ClientHello {
  let seen: ClientHello | undefined;
  edit(message, ClientHello, (h) => {
    seen = h;
    return h;
  });
  return seen as ClientHello;
}

/** early_data put where it was, before pre_shared_key. */
function withRawBeforeLast(h: ClientHello): ClientHello["extensions"] {
  const block = h.extensions ?? [];
  return [...block.slice(0, -1), raw("early_data"), ...block.slice(-1)];
}

function encoded(ticket: NewSessionTicket): Uint8Array {
  return concat(Uint8Array.of(0, 0, 0, ticket.ticket_lifetime, 0, 0, 0, ticket.ticket_age_add, 1, 0, 0, 1, 1, 0, 0));
}
