import { beforeAll, describe, expect, it } from "vitest";
import { concat } from "../../src/bytes/bytes.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import type { Aead, BulkAead, CryptoProvider, LateAead, PromptAead } from "../../src/crypto/provider.ts";
import { clientContext, type Observation, serverContext } from "../../src/engine/index.ts";
import { createTestIdentities, identityOptions, type TestIdentities } from "../support/identities.ts";
import { BULK_THRESHOLD, lateProvider } from "../support/late-provider.ts";
import { deliver, type End, end, exchangeLate, failure } from "../support/pair.ts";

let identities: TestIdentities;
beforeAll(async () => {
  identities = await createTestIdentities();
});

/** Two connected engines whose records of 512 bytes and more are protected late and out of order. */
async function connected(
  seed: number,
  options: { padding?: (type: number) => number; observer?: (observation: Observation) => void } = {},
): Promise<[End, End]> {
  const common = { provider: lateProvider(nobleProvider, { seed }), clock: Date.now, groups: ["x25519"] } as const;
  const a = end(clientContext({ ...common, ...options, trust: identities.ca, serverName: "localhost" }).engine());
  const b = end(serverContext({ ...common, identities: [identityOptions(identities.server())] }).engine());
  await exchangeLate(a, b);
  expect([failure(a), failure(b)]).toEqual([undefined, undefined]);
  return [a, b];
}

/** Chunk sizes around the threshold, and the bytes in them. */
function chunks(seed: number): Uint8Array[] {
  return Array.from({ length: 40 }, (_, index) => {
    const length = (index * 7919 * (seed + 1)) % (3 * BULK_THRESHOLD) || 1;
    return new Uint8Array(length).fill(index);
  });
}

describe("records that are protected asynchronously", () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])("arrive in order among those that are not, seed %i", async (seed) => {
    const [a, b] = await connected(seed);
    for (const chunk of chunks(seed)) a.engine.write(chunk);
    await exchangeLate(a, b);
    expect(concat(...b.received)).toEqual(concat(...chunks(seed)));
    expect([failure(a), failure(b)]).toEqual([undefined, undefined]);
  });

  it.each([1, 2, 3, 4])("keep their keys across KeyUpdates, small and padded to bulk size, seed %i", async (seed) => {
    for (const padding of [() => 0, (type: number) => (type === 22 ? 2 * BULK_THRESHOLD : 0)]) {
      const [a, b] = await connected(seed, { padding });
      for (const [index, chunk] of chunks(seed).entries()) {
        a.engine.write(chunk);
        if (index % 5 === 0) a.engine.updateKeys();
      }
      await exchangeLate(a, b);
      expect([failure(a), failure(b)]).toEqual([undefined, undefined]);
      expect(concat(...b.received)).toEqual(concat(...chunks(seed)));
      expect(b.events.filter(({ type }) => type === "key_update")).toHaveLength(8);
      expect([failure(a), failure(b)]).toEqual([undefined, undefined]);
    }
  });

  it("do not mix with those of other connections of a context", async () => {
    const common = {
      provider: lateProvider(nobleProvider, { seed: 20 }),
      clock: Date.now,
      groups: ["x25519"],
    } as const;
    const padding = (type: number) => (type === 22 ? 2 * BULK_THRESHOLD : 0);
    const clients = clientContext({ ...common, padding, trust: identities.ca, serverName: "localhost" });
    const servers = serverContext({ ...common, identities: [identityOptions(identities.server())] });
    const pairs = Array.from({ length: 3 }, () => [end(clients.engine()), end(servers.engine())] as const);
    const move = () => Promise.all(pairs.map(([a, b]) => exchangeLate(a, b)));
    await move();
    const sent = pairs.map((_, which) => chunks(which).map((chunk) => chunk.fill(which + 1)));
    for (let index = 0; index < 40; index++) {
      for (const [which, [a]] of pairs.entries()) {
        a.engine.write(sent[which]?.[index] as Uint8Array);
        // Padded to the length of bulk records, so that those behind it are opened again.
        if (index % 7 === which) a.engine.updateKeys();
      }
      if (index % 10 === 9) await move();
    }
    await move();
    for (const [which, [a, b]] of pairs.entries()) {
      expect([failure(a), failure(b)]).toEqual([undefined, undefined]);
      expect(concat(...b.received)).toEqual(concat(...(sent[which] as Uint8Array[])));
    }
  });

  it("are in memory that is used again, by the same connection only", async () => {
    const seen = new Map<Aead, ArrayBufferLike[]>();
    const late = lateProvider(nobleProvider, { seed: 30 });
    const watching = late.suites.map((suite) => ({
      ...suite,
      aead(key: Uint8Array): Aead {
        const aead = suite.aead(key) as PromptAead;
        const bulk = aead.bulk as BulkAead;
        const open: BulkAead["open"] = (nonce, additionalData, ciphertext) => {
          seen.set(aead, [...(seen.get(aead) ?? []), ciphertext.buffer]);
          return bulk.open(nonce, additionalData, ciphertext);
        };
        return { ...aead, bulk: { ...bulk, open } };
      },
    }));
    const common = { clock: Date.now, groups: ["x25519"] } as const;
    const client = { ...common, provider: nobleProvider, trust: identities.ca, serverName: "localhost" };
    const identity = identityOptions(identities.server());
    const servers = serverContext({ ...common, provider: { ...late, suites: watching }, identities: [identity] });
    for (let i = 0; i < 2; i++) {
      const [a, b] = [end(clientContext(client).engine()), end(servers.engine())];
      await exchangeLate(a, b);
      for (let count = 0; count < 30; count++) a.engine.write(new Uint8Array(BULK_THRESHOLD).fill(count));
      await exchangeLate(a, b);
      expect([failure(b), concat(...b.received).length]).toEqual([undefined, 30 * BULK_THRESHOLD]);
    }
    const [first = [], second = []] = [...seen.values()];
    expect([first.length, second.length]).toEqual([30, 30]);
    expect([new Set(first).size, new Set(second).size].every((size) => size <= 9)).toBe(true);
    expect(second.filter((memory) => first.includes(memory))).toEqual([]);
  });

  it.each([
    ["an ArrayBuffer", (sealed: Uint8Array) => sealed.slice().buffer as unknown as Uint8Array],
    ["no tag", (sealed: Uint8Array) => sealed.subarray(0, -16)],
    ["too much", (sealed: Uint8Array) => concat(sealed, Uint8Array.of(0))],
  ])("whose ciphertext a provider gives as %s never go out", async (_what, spoil) => {
    const late = lateProvider(nobleProvider, { seed: 31, records: "every" });
    let spoiling = false;
    const suites = late.suites.map((suite) => ({
      ...suite,
      aead(key: Uint8Array): Aead {
        const aead = suite.aead(key) as LateAead;
        const seal: LateAead["seal"] = async (...given) => {
          const spoilt = spoiling;
          const sealed = await aead.seal(...given);
          return spoilt ? spoil(sealed) : sealed;
        };
        return { ...aead, seal };
      },
    }));
    const common = { clock: Date.now, groups: ["x25519"] } as const;
    const client = { ...common, provider: { ...late, suites }, trust: identities.ca, serverName: "localhost" };
    const server = { ...common, provider: nobleProvider, identities: [identityOptions(identities.server())] };
    const [a, b] = [end(clientContext(client).engine()), end(serverContext(server).engine())];
    await exchangeLate(a, b);
    expect([failure(a), failure(b)]).toEqual([undefined, undefined]);
    spoiling = true;
    a.engine.write(new Uint8Array(100).fill(0x5a));
    let wire = new Uint8Array(0) as Uint8Array;
    for (; a.engine.busy; wire = concat(wire, a.engine.takeOutput())) await new Promise((done) => setImmediate(done));
    expect(failure(a)).toMatchObject({ code: "ERR_TLS_INTERNAL", alert: "internal_error" });
    // Not even the alert, which would be spoilt likewise.
    expect([wire.length, a.engine.outputLength]).toEqual([0, 0]);
  });

  it("are all there before close_notify ends them", async () => {
    const [a, b] = await connected(9);
    for (const chunk of chunks(9)) a.engine.write(chunk);
    a.engine.close();
    expect(a.engine.outputLength).toBeGreaterThan(0);
    await exchangeLate(a, b);
    expect(concat(...b.received)).toEqual(concat(...chunks(9)));
    expect([b.engine.ended, failure(b)]).toEqual([true, undefined]);
  });

  it("are all there before the end of the byte stream is a truncation", async () => {
    const [a, b] = await connected(10);
    a.engine.write(new Uint8Array(5 * BULK_THRESHOLD));
    await exchangeLate(a, b, (bytes) => {
      queueMicrotask(() => b.engine.receiveEnd());
      return [bytes];
    });
    expect(concat(...b.received)).toHaveLength(5 * BULK_THRESHOLD);
    expect(failure(b)).toMatchObject({ code: "ERR_SSL_UNEXPECTED_EOF_WHILE_READING", alert: undefined });
  });

  it("are delivered up to the one that was tampered with", async () => {
    const [a, b] = await connected(11);
    const data = Array.from({ length: 6 }, (_, index) => new Uint8Array(BULK_THRESHOLD).fill(index));
    for (const chunk of data) a.engine.write(chunk);
    const record = 5 + BULK_THRESHOLD + 1 + 16;
    let wire = new Uint8Array(0) as Uint8Array;
    while (wire.length < 6 * record) {
      await new Promise((resolve) => setImmediate(resolve));
      wire = concat(wire, a.engine.takeOutput());
    }
    const at = 3 * record + 100;
    wire[at] = (wire[at] as number) ^ 1;
    deliver(b, wire);
    await exchangeLate(a, b);
    expect(concat(...b.received)).toEqual(concat(...data.slice(0, 3)));
    expect(failure(b)).toMatchObject({
      code: "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
      alert: "bad_record_mac",
      direction: "sent",
    });
    expect(failure(a)).toMatchObject({ alert: "bad_record_mac", direction: "received" });
  });

  it.each([
    ["a record type that does not exist", [99, 3, 3, 0, 1], "ERR_SSL_UNEXPECTED_MESSAGE"],
    ["a record that is too long", [23, 3, 3, 0xff, 0xff], "ERR_SSL_PACKET_LENGTH_TOO_LONG"],
  ] as const)("are delivered up to %s", async (_what, stray, code) => {
    const [a, b] = await connected(14);
    const data = new Uint8Array(BULK_THRESHOLD).fill(4);
    for (let i = 0; i < 3; i++) a.engine.write(data);
    let wire = new Uint8Array(0) as Uint8Array;
    for (; a.engine.busy; wire = concat(wire, a.engine.takeOutput())) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    deliver(b, concat(wire, a.engine.takeOutput(), Uint8Array.from(stray)));
    await exchangeLate(a, b);
    expect(concat(...b.received)).toEqual(concat(data, data, data));
    expect(failure(b)?.code).toBe(code);
  });

  it("that cannot be protected end the connection, and the listener hears of it", async () => {
    const broken: CryptoProvider = {
      ...nobleProvider,
      synchronous: false,
      suites: nobleProvider.suites.map((suite) => ({
        ...suite,
        aead: (key) => ({
          ...(suite.aead(key) as PromptAead),
          bulk: {
            late: true,
            threshold: BULK_THRESHOLD,
            seal: () => Promise.reject(new Error("the accelerator is gone")),
            open: () => Promise.reject(new Error("the accelerator is gone")),
          },
        }),
      })),
    };
    const common = { clock: Date.now, groups: ["x25519"] } as const;
    const client = { ...common, provider: broken, trust: identities.ca, serverName: "localhost" };
    const a = end(clientContext(client).engine());
    const server = { ...common, provider: nobleProvider, identities: [identityOptions(identities.server())] };
    const b = end(serverContext(server).engine());
    await exchangeLate(a, b);
    a.engine.write(new Uint8Array(BULK_THRESHOLD));
    await exchangeLate(a, b);
    expect(failure(a)).toMatchObject({ code: "ERR_TLS_INTERNAL", alert: "internal_error" });
    expect(a.events.at(-1)?.type).toBe("failed");
  });

  it("are observed in the order of the wire, as they were written", async () => {
    const seen: Observation[] = [];
    const [a, b] = await connected(12, { observer: (observation) => seen.push(observation) });
    seen.length = 0;
    const data = new Uint8Array(BULK_THRESHOLD).fill(1);
    a.engine.write(data);
    data.fill(2);
    a.engine.write(Uint8Array.of(3));
    await exchangeLate(a, b);
    expect(seen.map((entry) => entry.kind === "record" && [entry.direction, entry.sequence, entry.content[0]])).toEqual(
      [
        ["sent", 0, 1],
        ["sent", 1, 3],
      ],
    );
    expect(b.received.map((chunk) => chunk[0])).toEqual([1, 3]);
  });

  it("do not disturb an abort", async () => {
    const [a, b] = await connected(13);
    a.engine.write(new Uint8Array(4 * BULK_THRESHOLD));
    a.engine.abort();
    await exchangeLate(a, b);
    expect(failure(a)).toMatchObject({ code: "ERR_TLS_ABORTED" });
    expect(b.engine.error).toBeUndefined();
    expect(b.engine.ended).toBe(true);
  });
});
