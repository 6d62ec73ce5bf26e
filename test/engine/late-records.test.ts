/** Records of a provider that has nothing which answers at once: the handshake's, alerts and KeyUpdates, too. */
import { beforeAll, describe, expect, it } from "vitest";
import { concat, utf8 } from "../../src/bytes/bytes.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import {
  type ClientOptions,
  type Observation,
  type ServerOptions,
  sealedCookies,
  sealedTickets,
  sessionCache,
} from "../../src/engine/index.ts";
import { type HeldRecord, type HeldRecords, heldRecords } from "../support/held-records.ts";
import { lateProvider } from "../support/late-provider.ts";
import { deliver, type End, exchange, exchangeLate, failure, failures, type Wire } from "../support/pair.ts";
import { createWorld, provider, type World } from "../support/world.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
});

const later = (seed: number) => lateProvider(provider, { seed, records: "every" });

/** Two ends with whatever they come to. */
async function meet(
  client: Partial<ClientOptions>,
  server: Partial<ServerOptions>,
  ...wires: readonly Wire[]
): Promise<[End, End]> {
  const ends: [End, End] = [world.honestClient(client), world.honestServer(server)];
  await exchangeLate(...ends, ...wires);
  return ends;
}

/** Two connected ends that protect every record late, in an order that the seed decides. */
async function connected(seed: number, options: Partial<ClientOptions & ServerOptions> = {}): Promise<[End, End]> {
  const [a, b] = await meet({ provider: later(seed), ...options }, { provider: later(seed + 1000), ...options });
  expect([failure(a), failure(b), a.engine.state, b.engine.state]).toEqual([
    undefined,
    undefined,
    "CONNECTED",
    "CONNECTED",
  ]);
  return [a, b];
}

/** Lets everything that is held come, in the order of the calls or another, until nothing moves. */
async function release(a: End, b: End, held: HeldRecords, pick = (_waiting: readonly HeldRecord[]) => 0) {
  for (;;) {
    exchange(a, b);
    const next = held.waiting[pick(held.waiting)];
    if (next === undefined) return;
    await next.settle();
  }
}

const chunks = Array.from({ length: 30 }, (_, index) => new Uint8Array(1 + ((index * 977) % 2500)).fill(index));

describe("records that are all protected late", () => {
  it.each(Array.from({ length: 12 }, (_, seed) => seed))(
    "arrive in order both ways across chains of KeyUpdates, seed %i",
    async (seed) => {
      const [a, b] = await connected(seed);
      for (const [index, chunk] of chunks.entries()) {
        for (const end of [a, b]) {
          end.engine.write(chunk);
          if (index % 3 === 0) end.engine.updateKeys(index % 2 === 0 ? "update_requested" : "update_not_requested");
          // Several in a row, with nothing between.
          if (index % 9 === 0) for (let i = 0; i < 3; i++) end.engine.updateKeys();
        }
        if (index % 5 === seed % 5) await exchangeLate(a, b);
      }
      a.engine.close();
      await exchangeLate(a, b);
      // The other direction is still open.
      b.engine.write(utf8("late"));
      b.engine.close();
      await exchangeLate(a, b);
      expect([failure(a), failure(b)]).toEqual([undefined, undefined]);
      expect(concat(...b.received)).toEqual(concat(...chunks));
      expect(concat(...a.received)).toEqual(concat(...chunks, utf8("late")));
      expect([a.engine.done, b.engine.done, a.engine.busy, b.engine.busy]).toEqual([true, true, false, false]);
      for (const end of [a, b]) {
        const updates = end.events.filter(({ type }) => type === "key_update").length;
        // Ten, and three times four, and the answers to what was asked for.
        expect(updates).toBeGreaterThanOrEqual(22);
      }
    },
  );

  it("are handed on in order, whatever the order in which they come", async () => {
    for (const order of permutations([0, 1, 2, 3])) {
      const held = heldRecords(provider);
      const [a, b] = [world.honestClient(), world.honestServer({ provider: held.provider })];
      await release(a, b, held);
      for (const byte of [0, 1, 2, 3]) a.engine.write(Uint8Array.of(byte));
      exchange(a, b);
      const records = [...held.waiting];
      expect(records.map(({ operation }) => operation)).toEqual(["open", "open", "open", "open"]);
      const settled = new Set<number>();
      for (const which of order) {
        await records[which]?.settle();
        settled.add(which);
        exchange(a, b);
        const inOrder = [0, 1, 2, 3].filter((_, index) =>
          [0, 1, 2, 3].slice(0, index + 1).every((i) => settled.has(i)),
        );
        expect([...concat(...b.received)]).toEqual(inOrder);
      }
    }
  });

  it("are sent in order, whatever the order in which they come, and close_notify last", async () => {
    for (const order of permutations([0, 1, 2, 3])) {
      const held = heldRecords(provider);
      const [a, b] = [world.honestClient(), world.honestServer({ provider: held.provider })];
      await release(a, b, held);
      for (const byte of [0, 1, 2]) b.engine.write(Uint8Array.of(byte));
      b.engine.close();
      expect([b.engine.finished, b.engine.takeOutput().length]).toEqual([true, 0]);
      expect(b.engine.outputLength).toBe(3 * (5 + 1 + 1 + 16) + 5 + 2 + 1 + 16);
      const records = [...held.waiting];
      for (const which of order) {
        await records[which]?.settle();
        exchange(a, b);
      }
      expect([...concat(...a.received)]).toEqual([0, 1, 2]);
      expect([a.engine.ended, failure(a), b.engine.outputLength]).toEqual([true, undefined, 0]);
    }
  });

  it("are opened one at a time as long as keys may change with each, then eight, and no more", async () => {
    const held = heldRecords(provider);
    const [a, b] = [world.honestClient(), world.honestServer({ provider: held.provider, tickets: undefined })];
    // In records of their own, so that there is something to open ahead.
    let most = 0;
    await release(a, b, held, (waiting) => {
      most = Math.max(most, waiting.filter(({ operation }) => operation === "open").length);
      return 0;
    });
    expect([a.engine.state, b.engine.state, most]).toEqual(["CONNECTED", "CONNECTED", 1]);
    for (let i = 0; i < 20; i++) a.engine.write(Uint8Array.of(i));
    exchange(a, b);
    expect([held.waiting.length, b.engine.busy]).toEqual([8, true]);
    await held.waiting[3]?.settle();
    expect(held.waiting).toHaveLength(7);
    await held.waiting[0]?.settle();
    expect(held.waiting).toHaveLength(7);
    await release(a, b, held);
    expect([...concat(...b.received)]).toEqual(Array.from({ length: 20 }, (_, i) => i));
  });

  it("wait for each other behind early data, too", async () => {
    const held = heldRecords(provider);
    const { client, server } = await acquainted(provider, provider);
    const [a, b] = [world.honestClient(client), world.honestServer({ ...server, provider: held.provider })];
    for (let i = 0; i < 5; i++) a.engine.writeEarlyData(Uint8Array.of(i));
    const early: Uint8Array[] = [];
    let most = 0;
    await release(a, b, held, (waiting) => {
      most = Math.max(most, waiting.filter(({ operation }) => operation === "open").length);
      for (let chunk = b.engine.readEarlyData(); chunk !== undefined; chunk = b.engine.readEarlyData())
        early.push(chunk);
      return 0;
    });
    expect([failure(a), failure(b), a.engine.result?.earlyData, most]).toEqual([undefined, undefined, "accepted", 1]);
    expect([...concat(...early)]).toEqual([0, 1, 2, 3, 4]);
  });

  it("are observed in the order of the wire", async () => {
    const seen: Observation[] = [];
    const observer = (observation: Observation) => {
      if (observation.kind === "record") seen.push({ ...observation, content: observation.content.slice() });
    };
    const [a, b] = await connected(3, { observer });
    seen.length = 0;
    for (const byte of [1, 2, 3]) a.engine.write(Uint8Array.of(byte));
    a.engine.updateKeys();
    a.engine.write(Uint8Array.of(4));
    await exchangeLate(a, b);
    const told = (direction: string) =>
      seen.flatMap((entry) =>
        entry.kind === "record" && entry.direction === direction
          ? [[entry.epoch, entry.type, entry.sequence, entry.generation, entry.content[0], entry.wire.length]]
          : [],
      );
    const expected = [
      ["application", 23, 0, 0, 1, 23],
      ["application", 23, 1, 0, 2, 23],
      ["application", 23, 2, 0, 3, 23],
      ["application", 22, 3, 0, 24, 27],
      ["application", 23, 0, 1, 4, 23],
    ];
    expect([told("sent"), told("received")]).toEqual([expected, expected]);
    expect(concat(...b.received)).toEqual(Uint8Array.of(1, 2, 3, 4));
  });

  it("obey the limit that a peer has set, and what exceeds it is refused", async () => {
    const [a, b] = await connected(4, { recordSizeLimit: 100 });
    const lengths: number[] = [];
    a.engine.write(new Uint8Array(1000));
    await exchangeLate(a, b, (bytes) => {
      for (let at = 0; at < bytes.length; at += 5 + lengthAt(bytes, at)) lengths.push(lengthAt(bytes, at));
      return [bytes];
    });
    expect([Math.max(...lengths), concat(...b.received).length]).toEqual([100 + 16, 1000]);
    const [victim, rogue] = [world.honestServer({ provider: later(5), recordSizeLimit: 100 }), world.rogueClient()];
    await converse(victim, rogue);
    rogue.send({ type: 23, content: new Uint8Array(17_000).subarray(0, 0x4000), padding: 2 });
    victim.engine.receive(rogue.takeOutput());
    await converse(victim, rogue);
    expect(failure(victim)).toMatchObject({ code: "ERR_SSL_PACKET_LENGTH_TOO_LONG", alert: "record_overflow" });
  });
});

describe("a peer that breaks such records", () => {
  const corrupting = (which: number) => {
    let count = 0;
    const wire: Wire = (bytes) => {
      const changed = bytes.slice();
      for (let at = 0; at < bytes.length; at += 5 + lengthAt(bytes, at)) {
        if (bytes[at] === 23 && count++ === which) {
          const last = at + 4 + lengthAt(bytes, at);
          changed[last] = (changed[last] as number) ^ 1;
        }
      }
      return [changed];
    };
    return { wire, reached: () => count > which };
  };
  const same: Wire = (bytes) => [bytes];

  it.each(["client", "server"] as const)("gets bad_record_mac for each of those that a %s opens", async (side) => {
    let reached = 0;
    for (let which = 0; ; which++) {
      const tamper = corrupting(which);
      const fragments = { maxFragment: 200 };
      const ends = await meet(
        { provider: later(which), ...fragments },
        { provider: later(which + 100), ...fragments },
        ...(side === "server" ? [tamper.wire] : [same, tamper.wire]),
      );
      if (!tamper.reached()) break;
      reached++;
      const [victim, other] = side === "server" ? [ends[1], ends[0]] : ends;
      expect([which, failure(victim)]).toMatchObject([
        which,
        { code: "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC", alert: "bad_record_mac", direction: "sent" },
      ]);
      expect(failure(other)).toMatchObject({ alert: "bad_record_mac", direction: "received" });
      expect([victim.engine.busy, failures(victim), victim.engine.outputLength]).toEqual([false, 1, 0]);
    }
    // A chain, a signature and a Finished in pieces of 200 bytes.
    expect(reached).toBeGreaterThanOrEqual(4);
  });

  it.each([0, 1, 15, 16])("in its turn, where there are %i bytes, too few for tag and type", async (length) => {
    const [a, b] = await connected(6);
    a.engine.write(utf8("before"));
    const wire = await sealed(a);
    deliver(b, concat(wire, Uint8Array.of(23, 3, 3, 0, length), new Uint8Array(length)));
    await exchangeLate(a, b);
    expect(concat(...b.received)).toEqual(utf8("before"));
    expect(failure(b)).toMatchObject({ code: "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC", alert: "bad_record_mac" });
  });

  it.each([
    ["a record type that does not exist", [99, 3, 3, 0, 1], "ERR_SSL_UNEXPECTED_MESSAGE"],
    ["a record that is too long", [23, 3, 3, 0xff, 0xff], "ERR_SSL_PACKET_LENGTH_TOO_LONG"],
    ["change_cipher_spec", [20, 3, 3, 0, 1, 1], "ERR_SSL_UNEXPECTED_MESSAGE"],
    ["an alert in the clear", [21, 3, 3, 0, 2, 1, 0], "ERR_SSL_UNEXPECTED_MESSAGE"],
  ] as const)("has what was good before %s", async (_what, stray, code) => {
    const [a, b] = await connected(7);
    for (const chunk of chunks.slice(0, 3)) a.engine.write(chunk);
    a.engine.updateKeys();
    a.engine.write(utf8("and a key later"));
    deliver(b, concat(await sealed(a), Uint8Array.from(stray)));
    await exchangeLate(a, b);
    expect(concat(...b.received)).toEqual(concat(...chunks.slice(0, 3), utf8("and a key later")));
    expect([failure(b)?.code, failures(b)]).toEqual([code, 1]);
  });

  it("is heard to its last whole record before the end of its stream is a truncation, in every state", async () => {
    const stages = new Set<string | undefined>();
    // A flight's length is not always the same (ECDSA signatures are not): the last round has the whole one, however long.
    for (let kept = 53, whole = false; !whole; kept += 53) {
      const held = heldRecords(provider);
      const [a, b] = [world.honestClient({ provider: held.provider }), world.honestServer()];
      deliver(b, a.engine.takeOutput());
      const flight = b.engine.takeOutput();
      whole = kept >= flight.length;
      deliver(a, flight.subarray(0, kept));
      a.engine.receiveEnd();
      while (held.waiting.length > 0) await held.waiting[0]?.settle();
      expect(failure(a)?.code).toBe("ERR_SSL_UNEXPECTED_EOF_WHILE_READING");
      stages.add(failure(a)?.stage);
      a.engine.takeOutput();
      expect([failures(a), a.engine.busy]).toEqual([1, false]);
    }
    expect([...stages]).toEqual(["WAIT_SH", "WAIT_EE", "CONNECTED"]);
  });
});

describe("the end of a connection with such records under way", () => {
  it.each([
    ["client", ["WAIT_EE seal", "WAIT_EE open", "WAIT_CERT open", "WAIT_CV open", "CONNECTED seal", "CONNECTED open"]],
    ["server", ["WAIT_CERT seal", "WAIT_CERT open", "WAIT_CV open", "CONNECTED seal", "CONNECTED open"]],
  ] as const)("may come from the %s at any time, and what comes later is ignored", async (side, all) => {
    const moments = new Set<string>();
    for (let lettingThrough = 0; ; lettingThrough++) {
      const held = heldRecords(provider);
      const options = { provider: held.provider, maxFragment: 150 };
      const [a, b] = [world.honestClient(options), world.honestServer(options)];
      const [self, other] = side === "client" ? [a, b] : [b, a];
      const plot = [
        () => [a, b].map(({ engine }) => engine.write(new Uint8Array(400))),
        () => [a, b].map(({ engine }) => engine.updateKeys("update_requested")),
        () => [a, b].map(({ engine }) => engine.close()),
      ];
      for (let i = 0; i <= lettingThrough; i++) {
        exchange(a, b);
        if (held.waiting.length === 0) plot.shift()?.();
        if (i < lettingThrough) await held.waiting[0]?.settle();
      }
      if (self.engine.done) break;
      moments.add(`${self.engine.state} ${held.waiting[0]?.operation}`);
      self.engine.abort();
      expect(failure(self)?.code).toBe("ERR_TLS_ABORTED");
      await release(a, b, held);
      expect([failures(self), failure(self)?.code, self.engine.busy]).toEqual([1, "ERR_TLS_ABORTED", false]);
      expect([self.engine.outputLength, other.engine.ended || failures(other) === 1]).toEqual([0, true]);
    }
    expect([...moments]).toEqual(all);
  });

  it("makes their late failures harmless", async () => {
    for (const operation of ["seal", "open"] as const) {
      const held = heldRecords(provider);
      const [a, b] = [world.honestClient(), world.honestServer({ provider: held.provider })];
      await release(a, b, held);
      if (operation === "seal") b.engine.write(utf8("from here"));
      else a.engine.write(utf8("to here"));
      exchange(a, b);
      expect(held.waiting.map((record) => record.operation)).toEqual([operation]);
      const [record] = held.waiting;
      b.engine.abort();
      await record?.fail(new Error("the accelerator is gone"));
      expect([failures(b), failure(b)?.code]).toEqual([1, "ERR_TLS_ABORTED"]);
      await release(a, b, held);
      expect([failures(b), b.engine.outputLength, b.engine.busy]).toEqual([1, 0, false]);
    }
  });

  it("is the failure of one that cannot be opened, told the peer", async () => {
    const held = heldRecords(provider);
    const [a, b] = [world.honestClient(), world.honestServer({ provider: held.provider })];
    await release(a, b, held);
    for (const byte of [1, 2, 3]) a.engine.write(Uint8Array.of(byte));
    exchange(a, b);
    const [first, second] = held.waiting;
    await second?.fail(new Error("the accelerator is gone"));
    expect(failures(b)).toBe(0);
    await first?.settle();
    await release(a, b, held);
    expect([...concat(...b.received)]).toEqual([1]);
    expect(failure(b)).toMatchObject({ code: "ERR_TLS_INTERNAL", alert: "internal_error", direction: "sent" });
    expect(failure(a)).toMatchObject({ alert: "internal_error", direction: "received" });
  });

  it("is the failure of one that cannot be sent, and leaves no output that never comes", async () => {
    const held = heldRecords(provider);
    const [a, b] = [world.honestClient(), world.honestServer({ provider: held.provider })];
    await release(a, b, held);
    for (const byte of [1, 2, 3]) b.engine.write(Uint8Array.of(byte));
    const [first, second] = held.waiting;
    await first?.settle();
    await second?.fail(new Error("the accelerator is gone"));
    exchange(a, b);
    expect([...concat(...a.received)]).toEqual([1]);
    expect(failure(b)).toMatchObject({ code: "ERR_TLS_INTERNAL", alert: "internal_error" });
    expect(b.events.at(-1)?.type).toBe("failed");
    while (held.waiting.length > 0) await held.waiting[0]?.fail(new Error("the accelerator is gone"));
    exchange(a, b);
    expect([b.engine.takeOutput().length, b.engine.outputLength, b.engine.busy, failures(b)]).toEqual([0, 0, false, 1]);
  });

  it("wipes what protected them once the last is on its way, and not before", async () => {
    const [a, b] = await connected(8);
    a.engine.write(utf8("last words"));
    a.engine.close();
    b.engine.write(utf8("likewise"));
    b.engine.close();
    await exchangeLate(a, b);
    expect([concat(...a.received), concat(...b.received)]).toEqual([utf8("likewise"), utf8("last words")]);
    for (const { engine } of [a, b]) {
      expect(engine.done).toBe(true);
      expect(engine.result?.exporterSecret.every((byte) => byte === 0)).toBe(true);
    }
  });
});

describe("what stands before and beside such records", () => {
  it("a client is not accepted by what comes while its own flight is still in encryption", async () => {
    const held = heldRecords(provider);
    const authorize = () => true;
    const [a, b] = [
      world.honestClient({ provider: held.provider }),
      world.honestServer({ clientAuth: "on", authorize }),
    ];
    const rogue = world.rogueServer({}, { clientAuth: "on" });
    rogue.receive(a.engine.takeOutput());
    deliver(a, rogue.takeOutput());
    while (held.waiting[0]?.operation === "open") await held.waiting[0].settle();
    expect([a.engine.state, held.waiting.every(({ operation }) => operation === "seal")]).toEqual(["CONNECTED", true]);
    expect(held.waiting.length).toBeGreaterThan(0);
    // The flight is made, nothing of it can be taken.
    expect(a.engine.takeOutput()).toHaveLength(6);
    rogue.send({ type: 23, content: utf8("before it could know") });
    deliver(a, rogue.takeOutput());
    await held.waiting.find(({ operation }) => operation === "open")?.settle();
    expect(a.engine.accepted).toBe(false);
    while (held.waiting.length > 0) await held.waiting[0]?.settle();
    expect(a.engine.takeOutput().length).toBeGreaterThan(0);
    rogue.send({ type: 23, content: utf8("now it may") });
    deliver(a, rogue.takeOutput());
    while (held.waiting.length > 0) await held.waiting[0]?.settle();
    expect(a.engine.accepted).toBe(true);
    expect(b.engine.accepted).toBe(false);
  });

  it.each([1, 2, 3])("a retry, sessions, early data and certificates after the handshake, seed %i", async (seed) => {
    const { client, server } = await acquainted(later(seed), later(seed + 10));
    const more = { postHandshakeAuth: true };
    const [a, b] = [world.honestClient({ ...client, ...more }), world.honestServer({ ...server, ...more })];
    await offering(a);
    expect(a.engine.writeEarlyData(utf8("early"))).toBe(5);
    await exchangeLate(a, b);
    expect([failure(a), failure(b)]).toEqual([undefined, undefined]);
    expect([a.engine.result?.resumed, a.engine.result?.earlyData]).toEqual([true, "accepted"]);
    expect(b.engine.readEarlyData()).toEqual(utf8("early"));
    b.engine.requestClientCertificate();
    await exchangeLate(a, b);
    expect(b.events.find(({ type }) => type === "client_authenticated")).toMatchObject({
      facts: { peer: { commonName: "client", verified: true } },
    });
    const retried = await meet(
      { provider: later(seed), keyShares: ["x25519"] },
      {
        provider: later(seed + 10),
        groups: ["secp256r1"],
        cookies: sealedCookies({ keys: [new Uint8Array(32).fill(seed)] }),
      },
    );
    expect(retried.map(failure)).toEqual([undefined, undefined]);
    expect(retried.map(({ engine }) => engine.result?.retried)).toEqual([true, true]);
  });

  it.each(["by trial", "by its type, before a second ClientHello"])("early data is thrown away %s", async (how) => {
    for (const seed of [1, 2, 3]) {
      const { client, server } = await acquainted(later(seed), later(seed + 10));
      const a = world.honestClient({ ...client, keyShares: ["x25519"] });
      await offering(a);
      for (let i = 0; i < 12; i++) expect(a.engine.writeEarlyData(new Uint8Array(50).fill(i))).toBe(50);
      const groups = how === "by trial" ? {} : ({ groups: ["secp256r1"] } as const);
      const b = world.honestServer({ ...server, ...groups, acceptEarlyData: undefined });
      await exchangeLate(a, b);
      expect([failure(a), failure(b)]).toEqual([undefined, undefined]);
      expect([a.engine.result?.earlyData, b.engine.readEarlyData()]).toEqual(["rejected", undefined]);
      a.engine.write(utf8("in earnest"));
      await exchangeLate(a, b);
      expect(concat(...b.received)).toEqual(utf8("in earnest"));
    }
  });

  it("more early data than is thrown away is too much", async () => {
    const { client, server } = await acquainted(provider, provider);
    const a = world.honestClient(client);
    const hello = a.engine.takeOutput();
    const b = world.honestServer({ ...server, provider: later(1), acceptEarlyData: undefined });
    deliver(b, hello);
    const record = concat(Uint8Array.of(23, 3, 3, 0x40, 0), new Uint8Array(0x4000));
    for (let i = 0; i < 8 && b.engine.error === undefined; i++) {
      deliver(b, record);
      await sealed(b);
    }
    expect(failure(b)).toMatchObject({ code: "ERR_TLS_TOO_MUCH_EARLY_DATA", alert: "unexpected_message" });
  });

  it("a fragment of a message, behind which early data is refused", async () => {
    const { client, server } = await acquainted(provider, provider);
    const a = world.honestClient(client);
    a.engine.writeEarlyData(utf8("early"));
    const wire = a.engine.takeOutput();
    const b = world.honestServer({ ...server, provider: later(1), acceptEarlyData: undefined });
    const hello = 5 + lengthAt(wire, 0);
    // Behind the ClientHello, in the clear, two bytes of another message.
    deliver(b, concat(wire.subarray(0, hello), Uint8Array.of(22, 3, 3, 0, 2, 11, 0), wire.subarray(hello)));
    await sealed(b);
    expect(failure(b)?.code).toBe("ERR_SSL_UNEXPECTED_MESSAGE");
  });

  it("providers that answer in either way understand each other", async () => {
    const [a, b] = await meet({ provider: later(1) }, { provider: nobleProvider });
    a.engine.write(utf8("up"));
    b.engine.write(utf8("down"));
    await exchangeLate(a, b);
    expect([concat(...a.received), concat(...b.received)]).toEqual([utf8("down"), utf8("up")]);
  });
});

/** A client that has a session with a server, which takes early data on it. */
async function acquainted(
  ofClient: ClientOptions["provider"],
  ofServer: ServerOptions["provider"],
): Promise<{ client: Partial<ClientOptions>; server: Partial<ServerOptions> }> {
  const client = { provider: ofClient, sessions: sessionCache(), offerEarlyData: true };
  const server = {
    provider: ofServer,
    tickets: { store: sealedTickets(), count: 1 },
    acceptEarlyData: { antiReplay: { claim: () => true }, maxSize: 1000 },
  };
  const [near, far] = await meet(client, server);
  expect([failure(near), failure(far)]).toEqual([undefined, undefined]);
  expect(near.events.map(({ type }) => type)).toContain("ticket");
  return { client, server };
}

/** Until a client's ClientHello is out, and early data may follow it. */
async function offering({ engine }: End): Promise<void> {
  while (engine.earlyDataRoom === 0) await new Promise((resolve) => setImmediate(resolve));
}

/** All that an end has to say, once it is there. */
async function sealed({ engine }: End): Promise<Uint8Array> {
  let wire = engine.takeOutput();
  while (engine.busy) {
    await new Promise((resolve) => setImmediate(resolve));
    wire = concat(wire, engine.takeOutput());
  }
  return wire;
}

/** Talks to a rogue until neither says more. */
async function converse(victim: End, rogue: ReturnType<World["rogueClient"]>): Promise<void> {
  for (let idle = 0; idle < 20; idle++) {
    const [up, down] = [rogue.takeOutput(), victim.engine.takeOutput()];
    if (down.length > 0) rogue.receive(down);
    deliver(victim, up);
    if (up.length + down.length > 0 || victim.engine.busy) idle = 0;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function lengthAt(bytes: Uint8Array, at: number): number {
  return ((bytes[at + 3] as number) << 8) | (bytes[at + 4] as number);
}

function permutations(items: readonly number[]): number[][] {
  if (items.length < 2) return [[...items]];
  return items.flatMap((first) =>
    permutations(items.filter((other) => other !== first)).map((rest) => [first, ...rest]),
  );
}
