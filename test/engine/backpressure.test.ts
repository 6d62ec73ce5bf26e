/** Every queue has its mark, whatever the peer sends and whatever this side leaves lying. */
import { beforeAll, describe, expect, it } from "vitest";
import { equal, join } from "../../src/bytes/bytes.ts";
import { type End, exchange, failure } from "../support/pair.ts";
import { confront, type Rogue } from "../support/rogue.ts";
import { createWorld, rawMessage, type World } from "../support/world.ts";

const MARK = 0x24000;
const RECORD = 0x4000;
let world: World;
beforeAll(async () => {
  world = await createWorld();
});

function connected(): [End, Rogue] {
  const victim = world.honestServer({ highWaterMark: MARK });
  const rogue = world.rogueClient();
  confront(victim, rogue);
  expect(victim.engine.state).toBe("CONNECTED");
  return [victim, rogue];
}

/** Offers bytes without ever reading; gives how many were taken. */
function offer({ engine }: End, bytes: Uint8Array): number {
  let taken = 0;
  for (;;) {
    const more = engine.receive(bytes.subarray(taken, taken + 5000));
    if (more === 0) return taken;
    taken += more;
    expect(engine.room).toBeLessThanOrEqual(MARK);
    if (taken === bytes.length) return taken;
  }
}

/** Reads until nothing is there, without offering more. */
function readAll({ engine }: End): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let chunk = engine.read(); chunk !== undefined; chunk = engine.read()) chunks.push(chunk);
  return chunks;
}

describe("plaintext that nobody reads", () => {
  it("stops what comes in at one record over the mark, and at the mark undecrypted", () => {
    const [victim, rogue] = connected();
    const plaintext = new Uint8Array(0x100000).map((_, index) => index * 7);
    for (let at = 0; at < plaintext.length; at += RECORD)
      rogue.send({ type: 23, content: plaintext.subarray(at, at + RECORD) });
    const stream = rogue.takeOutput();
    const read: Uint8Array[] = [];
    let taken = offer(victim, stream);
    expect(taken).toBeLessThanOrEqual(2 * MARK + RECORD + 200);
    expect(taken).toBeGreaterThan(MARK);
    expect(victim.engine.receive(stream.subarray(taken))).toBe(0);
    // Nothing is lost for having had to wait.
    while (taken < stream.length) {
      const chunk = victim.engine.read();
      if (chunk !== undefined) read.push(chunk);
      taken += victim.engine.receive(stream.subarray(taken));
    }
    read.push(...readAll(victim));
    expect([failure(victim), equal(join(read), plaintext)]).toEqual([undefined, true]);
  });

  it("does not keep the padding it came with", () => {
    const [victim, rogue] = connected();
    for (let i = 0; i < 100; i++) rogue.send({ type: 23, content: Uint8Array.of(i), padding: 0x3ff0 });
    const stream = rogue.takeOutput();
    let held = 0;
    let bytes = 0;
    for (let taken = 0; taken < stream.length; ) {
      taken += victim.engine.receive(stream.subarray(taken));
      for (const chunk of readAll(victim)) {
        held += chunk.buffer.byteLength;
        bytes += chunk.length;
      }
    }
    expect([failure(victim), bytes]).toEqual([undefined, 100]);
    expect(held).toBeLessThan(100 * 64);
  });

  it("in tiny records counts for the memory it takes", () => {
    const [victim, rogue] = connected();
    for (let i = 0; i < 10_000; i++) rogue.send({ type: 23, content: Uint8Array.of(i) });
    const taken = offer(victim, rogue.takeOutput());
    // 23 bytes a record: so many are decrypted, and the mark's worth is not.
    expect(taken).toBeLessThanOrEqual(MARK + (MARK / 128 + 2) * 23);
    expect(readAll(victim).length).toBeGreaterThan(MARK / 23);
    expect(failure(victim)).toBeUndefined();
  });
});

describe("output that nobody takes", () => {
  it("stops writing at the mark", () => {
    const [victim] = connected();
    let written = 0;
    for (;;) {
      const taken = victim.engine.write(new Uint8Array(0x8000));
      if (taken === 0) break;
      written += taken;
      expect(victim.engine.outputLength).toBeLessThanOrEqual(MARK + 0x1000);
    }
    expect(written).toBeLessThanOrEqual(MARK);
    expect(victim.engine.writable).toBe(0);
    victim.engine.takeOutput();
    expect(victim.engine.writable).toBe(MARK);
  });

  it("stops writing at the mark before the handshake, too", () => {
    const client = world.honestClient({ highWaterMark: MARK });
    const hello = client.engine.outputLength;
    expect(client.engine.write(new Uint8Array(0x100000))).toBe(MARK - hello);
    expect([client.engine.write(new Uint8Array(1)), client.engine.writable]).toEqual([0, 0]);
    const server = world.honestServer();
    exchange(client, server);
    expect([failure(client), join(server.received).length]).toEqual([undefined, MARK - hello]);
  });

  it("does not grow by what the peer asks for", () => {
    const [victim, rogue] = connected();
    for (let round = 0; round < 50; round++) {
      for (let i = 0; i < 30; i++) rogue.sendMessage(rawMessage(24, Uint8Array.of(1))).updateWriteKey();
      rogue.send({ type: 23, content: Uint8Array.of(round) });
      victim.engine.receive(rogue.takeOutput());
      readAll(victim);
      expect(victim.engine.outputLength).toBe(0);
    }
    // One KeyUpdate answers all 1,500.
    expect(victim.engine.takeOutput().length).toBe(5 + 5 + 1 + 16);
    expect(failure(victim)).toBeUndefined();
  });
});

describe("the handshake", () => {
  it("takes no message beyond its limit, however patiently it comes", () => {
    const victim = world.honestServer({ maxHandshakeMessage: 1000 });
    const rogue = world.rogueClient({ fragment: 10 }, { alpn: new Array(100).fill("a protocol with a long name") });
    confront(victim, rogue);
    expect(failure(victim)).toMatchObject({ code: "ERR_SSL_EXCESSIVE_MESSAGE_SIZE", stage: "START" });
  });
});
