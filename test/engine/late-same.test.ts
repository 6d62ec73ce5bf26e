/** Whether records answer at once or later makes no difference to anyone: the same bytes come to the same end. */
import { beforeAll, expect, it } from "vitest";
import { concat } from "../../src/bytes/bytes.ts";
import { toHex } from "../../src/bytes/hex.ts";
import type { CryptoProvider } from "../../src/crypto/provider.ts";
import { lateProvider } from "../support/late-provider.ts";
import { deliver, type End, failure, failures } from "../support/pair.ts";
import type { OutgoingRecord, Rogue } from "../support/rogue.ts";
import { createWorld, provider, type World } from "../support/world.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
});

/** One thing that a peer does; each is drawn from by the seed. */
type Act = (rogue: Rogue, fill: number) => void;

const KEY_UPDATE = Uint8Array.of(24, 0, 0, 1, 0);
const KEY_UPDATE_REQUESTED = Uint8Array.of(24, 0, 0, 1, 1);
const data =
  (length: number, padding = 0): Act =>
  (rogue, fill) =>
    void rogue.send({ type: 23, content: new Uint8Array(length).fill(fill), padding });
const update =
  (message: Uint8Array, padding = 0): Act =>
  (rogue) =>
    void rogue.send({ type: 22, content: message, padding }).updateWriteKey();
const record =
  (one: OutgoingRecord): Act =>
  (rogue) =>
    void rogue.send(one);

/** What an honest peer may do too. */
const LEGAL: readonly Act[] = [
  data(1),
  data(1),
  data(600),
  data(700),
  data(3, 700),
  data(0),
  update(KEY_UPDATE),
  update(KEY_UPDATE, 600),
  update(KEY_UPDATE_REQUESTED, 600),
  (rogue) => {
    rogue.send({ type: 22, content: KEY_UPDATE.subarray(0, 2), padding: 600 });
    rogue.send({ type: 22, content: KEY_UPDATE.subarray(2) }).updateWriteKey();
  },
];
/** What ends the connection in one way or the other. */
const LAST: readonly Act[] = [
  record({ type: 21, content: Uint8Array.of(1, 0) }),
  record({ type: 21, content: Uint8Array.of(1, 0), padding: 600 }),
  record({ type: 21, content: Uint8Array.of(2, 80), padding: 600 }),
  record({ type: 21, content: Uint8Array.of(2, 80), plain: true }),
  record({ type: 20, content: Uint8Array.of(1), plain: true }),
  record({ type: 23, content: Uint8Array.of(1), plain: true }),
  record({ type: 23, content: new Uint8Array(700), plain: true }),
  record({ type: 22, content: new Uint8Array(0) }),
  record({ type: 22, content: concat(KEY_UPDATE, KEY_UPDATE) }),
  record({ type: 22, content: Uint8Array.of(24, 0, 0, 1, 2), padding: 600 }),
  record({ type: 99, content: Uint8Array.of(1) }),
  record({ type: 0, content: new Uint8Array(600) }),
  // The key moves on and nobody says so, or the other way round.
  (rogue) => void rogue.updateWriteKey().send({ type: 23, content: new Uint8Array(2) }),
  (rogue, fill) => {
    const old = rogue.seal({ type: 23, content: new Uint8Array(5).fill(fill) });
    update(KEY_UPDATE, 600)(rogue, fill);
    rogue.sendRaw(old);
  },
  (rogue) => {
    const wire = rogue.seal({ type: 23, content: new Uint8Array(650) });
    wire[wire.length - 1] = (wire[wire.length - 1] as number) ^ 1;
    rogue.sendRaw(wire);
  },
  (rogue) => void rogue.sendRaw(Uint8Array.of(23, 3, 3, 0xff, 0xff)),
  (rogue) => void rogue.sendRaw(Uint8Array.of(99, 3, 3, 0, 1, 1)),
  (rogue) => {
    rogue.send({ type: 22, content: KEY_UPDATE.subarray(0, 2), padding: 600 });
    rogue.send({ type: 23, content: Uint8Array.of(1) });
  },
];

/** What has come of it, for the victim and for who confronts it. */
async function outcome(seed: number, of: CryptoProvider) {
  const random = generator(seed);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const victim = world.honestServer({ provider: of, clientAuth: "off", tickets: undefined });
  const rogue = world.rogueClient();
  const hear = () => {
    deliver(victim, new Uint8Array(0));
    const output = victim.engine.takeOutput();
    if (output.length > 0) rogue.receive(output);
    return output.length > 0;
  };
  const settle = async () => {
    for (let more = true; more; ) {
      more = hear() || victim.engine.busy;
      if (victim.engine.busy) await new Promise((done) => setImmediate(done));
    }
  };
  for (let up = rogue.takeOutput(); up.length > 0; up = rogue.takeOutput()) {
    deliver(victim, up);
    await settle();
  }
  expect([victim.engine.state, failure(victim), rogue.error]).toEqual(["CONNECTED", undefined, undefined]);
  const acts = [
    ...Array.from({ length: Math.floor(random() * 24) }, () => pick(LEGAL)),
    pick(LAST),
    pick(LEGAL),
    pick(LAST),
  ];
  let wire = new Uint8Array(0) as Uint8Array;
  for (const [index, act] of acts.entries()) {
    act(rogue, index + 1);
    wire = concat(wire, rogue.takeOutput());
  }
  for (let at = 0; at < wire.length; ) {
    const length = pick([1, 7, 100, 1000, 5000, 20_000]);
    deliver(victim, wire.subarray(at, at + length));
    at += length;
    if (random() < 0.3) await new Promise((done) => setImmediate(done));
  }
  victim.engine.receiveEnd();
  await settle();
  victim.engine.close();
  await settle();
  deliver(victim, new Uint8Array(0));
  return facts(victim, rogue);
}

function facts(victim: End, rogue: Rogue) {
  const { engine } = victim;
  const error = failure(victim);
  return {
    data: [...concat(...victim.received)]
      .join()
      .replace(/(\b\d+\b)(,\1\b)+/g, (run, fill) => `${fill}*${run.split(",").length}`),
    error: error && [error.code, error.alert, error.direction, error.stage],
    failures: failures(victim),
    events: victim.events.map(({ type }) => type),
    alerts: rogue.received.filter(({ type }) => type === 21).map(({ content }) => toHex(content)),
    last: rogue.received.at(-1)?.type,
    unreadable: rogue.error === undefined ? undefined : String(rogue.error),
    is: [engine.done, engine.ended, engine.finished, engine.busy, engine.outputLength],
  };
}

it("what a peer sends comes to the same, whenever it is opened", async () => {
  const endings = new Set<string>();
  for (let seed = 0; seed < 100; seed++) {
    const prompt = await outcome(seed, provider);
    for (const records of ["bulk", "every"] as const) {
      expect([seed, records, await outcome(seed, lateProvider(provider, { seed, records }))]).toEqual([
        seed,
        records,
        prompt,
      ]);
    }
    expect([prompt.failures <= 1, prompt.is[4], prompt.is[3], prompt.unreadable]).toEqual([true, 0, false, undefined]);
    expect(prompt.alerts.length).toBeLessThanOrEqual(1);
    endings.add(String(prompt.error));
  }
  expect(endings.size).toBeGreaterThanOrEqual(6);
}, 120_000);

function generator(seed: number): () => number {
  let state = seed + 1;
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return state / 0x80000000;
  };
}
