/** What a record may hold, how many of a kind may come, and where keys may change: each limit from both sides. */
import { beforeAll, describe, expect, it } from "vitest";
import { concat, join, utf8 } from "../../src/bytes/bytes.ts";
import type { Side } from "../../src/errors.ts";
import type { StateName } from "../../src/flow.ts";
import { type End, exchange, failure } from "../support/pair.ts";
import { expectFailed, expectRefusal, verdict } from "../support/refusal.ts";
import { confront, type OutgoingRecord, type Rogue } from "../support/rogue.ts";
import { createWorld, rawMessage, type World } from "../support/world.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
});

const SIDES = ["client", "server"] as const;
const data = (length: number): OutgoingRecord => ({ type: 23, content: new Uint8Array(length).fill(7) });
const keyUpdate = (request = 0) => rawMessage(24, Uint8Array.of(request));

/** A victim and a rogue that have shaken hands. */
function connected(victimSide: Side): [End, Rogue] {
  const [victim, rogue] =
    victimSide === "client" ? [world.honestClient(), world.rogueServer()] : [world.honestServer(), world.rogueClient()];
  confront(victim, rogue);
  expect(victim.engine.state).toBe("CONNECTED");
  return [victim, rogue];
}

function received({ received: chunks }: End): number {
  return chunks.reduce((sum, chunk) => sum + chunk.length, 0);
}

describe.each(SIDES)("a connected %s", (side) => {
  const refused = (code: Parameters<typeof verdict>[0], ...records: OutgoingRecord[]) => {
    const [victim, rogue] = connected(side);
    for (const record of records) rogue.send(record);
    expectRefusal(victim, rogue, verdict(code, "CONNECTED"));
  };
  const accepted = (...records: OutgoingRecord[]) => {
    const [victim, rogue] = connected(side);
    for (const record of records) rogue.send(record);
    confront(victim, rogue);
    expect([failure(victim), rogue.alerts]).toEqual([undefined, []]);
    return victim;
  };

  it("takes 2^14 bytes of plaintext in a record, and not one more", () => {
    expect(received(accepted(data(0x4000)))).toBe(0x4000);
    refused("ERR_SSL_PACKET_LENGTH_TOO_LONG", data(0x4001));
  });

  it("counts padding: TLSInnerPlaintext is 2^14 + 1 at most", () => {
    expect(received(accepted({ ...data(1), padding: 0x3fff }))).toBe(1);
    refused("ERR_SSL_PACKET_LENGTH_TOO_LONG", { ...data(1), padding: 0x4000 });
  });

  it("refuses ciphertext beyond 2^14 + 256 on seeing its header", () => {
    const [victim, rogue] = connected(side);
    rogue.sendRaw(Uint8Array.of(23, 3, 3, 0x41, 0x01));
    expectRefusal(victim, rogue, verdict("ERR_SSL_PACKET_LENGTH_TOO_LONG", "CONNECTED"));
  });

  it("refuses a record of padding alone", () => {
    refused("ERR_SSL_UNEXPECTED_MESSAGE", { type: 0, content: new Uint8Array(0) });
    refused("ERR_SSL_UNEXPECTED_MESSAGE", { type: 0, content: new Uint8Array(100) });
  });

  it.each([1, 19, 24, 255])("refuses content type %i", (type) => {
    refused("ERR_SSL_UNEXPECTED_MESSAGE", { type, content: Uint8Array.of(1) });
  });

  it.each([0, 1, 15, 16])("refuses ciphertext of %i bytes, too few for tag and type", (length) => {
    const [victim, rogue] = connected(side);
    rogue.sendRaw(concat(Uint8Array.of(23, 3, 3, 0, length), new Uint8Array(length)));
    expectRefusal(victim, rogue, verdict("ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC", "CONNECTED"));
  });

  it("refuses a record of which any bit has changed, the header's included", () => {
    const [, probe] = connected(side);
    const { length } = probe.seal(data(20));
    for (let at = 0; at < length; at++) {
      // Byte 0 makes another type of it, byte 3 another length; both are other errors.
      if (at === 0 || at === 3 || at === 4) continue;
      const [victim, rogue] = connected(side);
      const record = rogue.seal(data(20));
      record[at] = (record[at] as number) ^ 0x10;
      rogue.sendRaw(record);
      expectRefusal(victim, rogue, verdict("ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC", "CONNECTED"));
    }
  });

  it("refuses a record that comes twice, one left out, and two exchanged", () => {
    for (const order of [[0, 0], [1], [1, 0]]) {
      const [victim, rogue] = connected(side);
      const records = [rogue.seal(data(1)), rogue.seal(data(2))];
      for (const index of order) rogue.sendRaw(records[index] as Uint8Array);
      expectRefusal(victim, rogue, verdict("ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC", "CONNECTED"));
    }
  });

  it("takes 32 empty records in a row, and not one more", () => {
    const empty = new Array<OutgoingRecord>(32).fill({ ...data(0), padding: 5 });
    expect(received(accepted(...empty, data(1), ...empty, data(1)))).toBe(2);
    refused("ERR_TLS_TOO_MANY_EMPTY_RECORDS", ...empty, data(0));
  });

  it("does not count the change_cipher_spec of the handshake among them", () => {
    let sent = false;
    const records = (record: OutgoingRecord, epoch: string): readonly OutgoingRecord[] => {
      if (sent || epoch !== "handshake") return [record];
      sent = true;
      return [{ type: 20, content: Uint8Array.of(1), plain: true }, record];
    };
    const [victim, rogue]: [End, Rogue] =
      side === "client"
        ? [world.honestClient(), world.rogueServer({ records })]
        : [world.honestServer(), world.rogueClient({ records })];
    confront(victim, rogue);
    for (let i = 0; i < 32; i++) rogue.send(data(0));
    rogue.send(data(1));
    confront(victim, rogue);
    expect([failure(victim), received(victim)]).toEqual([undefined, 1]);
  });

  it("takes 4 warnings in a row, and not one more", () => {
    const canceled = new Array<OutgoingRecord>(4).fill({ type: 21, content: Uint8Array.of(1, 90) });
    accepted(...canceled, data(1), ...canceled);
    refused("ERR_TLS_TOO_MANY_WARNINGS", ...canceled, { type: 21, content: Uint8Array.of(1, 90) });
  });

  it("takes 32 KeyUpdates in a row, and not one more; many requests get one answer", () => {
    const [victim, rogue] = connected(side);
    for (let i = 0; i < 32; i++) rogue.sendMessage(keyUpdate(1)).updateWriteKey();
    confront(victim, rogue);
    expect(failure(victim)).toBeUndefined();
    const answers = () => rogue.received.filter(({ type, content }) => type === 22 && content[0] === 24);
    expect(answers().map(({ content }) => content)).toEqual([keyUpdate(0)]);
    rogue.send(data(1));
    for (let i = 0; i < 32; i++) rogue.sendMessage(keyUpdate(0)).updateWriteKey();
    confront(victim, rogue);
    expect([failure(victim), answers().length]).toEqual([undefined, 1]);
    rogue.sendMessage(keyUpdate(0)).updateWriteKey();
    expectRefusal(victim, rogue, verdict("ERR_TLS_TOO_MANY_KEY_UPDATES", "CONNECTED"));
  });

  it("refuses a KeyUpdate with a value that does not exist, and one with two", () => {
    refused("ERR_TLS_ILLEGAL_PARAMETER", { type: 22, content: keyUpdate(2) });
    refused("ERR_TLS_DECODE_ERROR", { type: 22, content: rawMessage(24, Uint8Array.of(0, 0)) });
    refused("ERR_TLS_DECODE_ERROR", { type: 22, content: rawMessage(24, Uint8Array.of()) });
  });

  it("refuses what follows a KeyUpdate in its record, and old keys after it", () => {
    refused("ERR_SSL_UNEXPECTED_MESSAGE", { type: 22, content: concat(keyUpdate(), keyUpdate()) });
    refused("ERR_SSL_UNEXPECTED_MESSAGE", { type: 22, content: concat(keyUpdate(), Uint8Array.of(24)) });
    refused("ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC", { type: 22, content: keyUpdate() }, data(1));
  });

  it("refuses a message longer than its limit when it sees the header", () => {
    refused("ERR_SSL_EXCESSIVE_MESSAGE_SIZE", { type: 22, content: Uint8Array.of(24, 2, 0, 1) });
  });

  it("reads nothing after close_notify, and may go on writing", () => {
    const [victim, rogue] = connected(side);
    rogue
      .send(data(3))
      .send({ type: 21, content: Uint8Array.of(1, 0) })
      .send(data(5))
      .sendRaw(Uint8Array.of(99, 99));
    confront(victim, rogue);
    victim.engine.write(utf8("still here"));
    confront(victim, rogue);
    expect([failure(victim), received(victim), victim.engine.ended]).toEqual([undefined, 3, true]);
    expect(rogue.data).toEqual(utf8("still here"));
  });
});

describe("change_cipher_spec during the handshake", () => {
  const ccs: OutgoingRecord = { type: 20, content: Uint8Array.of(1), plain: true };

  it.each(SIDES)("is dropped 32 times by a %s, and not once more", (side) => {
    for (const count of [31, 32, 33]) {
      let sent = false;
      const records = (record: OutgoingRecord, epoch: string) => {
        if (sent || epoch !== "handshake") return [record];
        sent = true;
        return [...new Array<OutgoingRecord>(count).fill(ccs), record];
      };
      const [victim, rogue, stage]: [End, Rogue, StateName] =
        side === "client"
          ? [world.honestClient(), world.rogueServer({ records }), "WAIT_EE"]
          : [world.honestServer(), world.rogueClient({ records }), "WAIT_CERT"];
      confront(victim, rogue);
      if (count <= 32) expect([failure(victim), victim.engine.state]).toEqual([undefined, "CONNECTED"]);
      else expectFailed(victim, rogue, verdict("ERR_TLS_TOO_MANY_EMPTY_RECORDS", stage));
    }
  });
});

describe("a record that goes on where keys change (RFC 8446 5.1)", () => {
  const cases: [Side, string, number, StateName][] = [
    ["server", "ClientHello", 1, "NEGOTIATED"],
    ["client", "ServerHello", 2, "WAIT_SH"],
    ["client", "the server's Finished", 20, "WAIT_FINISHED"],
    ["server", "the client's Finished", 20, "WAIT_FINISHED"],
  ];
  for (const [side, what, type, stage] of cases) {
    for (const [more, extra] of [
      ["the first byte of a message", Uint8Array.of(8)],
      ["a whole message", rawMessage(8, Uint8Array.of(0, 0))],
    ] as const) {
      it(`${what} with ${more} after it: unexpected_message`, () => {
        const records = (record: OutgoingRecord) =>
          record.content[0] === type ? [{ ...record, content: concat(record.content, extra) }] : [record];
        const [victim, rogue] =
          side === "client"
            ? [world.honestClient(), world.rogueServer({ records })]
            : [world.honestServer(), world.rogueClient({ records })];
        expectRefusal(victim, rogue, verdict("ERR_SSL_UNEXPECTED_MESSAGE", stage));
      });
    }
  }
});

describe("keys that are used up (RFC 9846 5.5)", () => {
  it("are updated by themselves, in both directions, and both sides go on", () => {
    const a = world.honestClient({ recordsPerKey: 3, maxFragment: 10 });
    const b = world.honestServer({ recordsPerKey: 2, maxFragment: 10 });
    exchange(a, b);
    const text = utf8("forty-two bytes are five records of ten each");
    for (let i = 0; i < 3; i++) {
      a.engine.write(text);
      b.engine.write(text);
      exchange(a, b);
    }
    expect([failure(a), failure(b)]).toEqual([undefined, undefined]);
    for (const end of [a, b]) expect(join(end.received)).toEqual(concat(text, text, text));
    // 15 records; two of data and a KeyUpdate use up a key of three, one and a KeyUpdate a key of two.
    const updates = (end: End) => end.events.filter(({ type }) => type === "key_update").length;
    expect([updates(b), updates(a)]).toEqual([7, 14]);
  });

  it("never protect more records than they may", () => {
    for (const recordsPerKey of [2, 3, 7]) {
      const perKey = new Map<number, number>();
      const a = world.honestClient({
        recordsPerKey,
        maxFragment: 1,
        observer: (seen) => {
          if (seen.kind !== "record" || seen.direction !== "sent" || seen.epoch !== "application") return;
          perKey.set(seen.generation, (perKey.get(seen.generation) ?? 0) + 1);
        },
      });
      const b = world.honestServer();
      exchange(a, b);
      a.engine.write(new Uint8Array(50));
      exchange(a, b);
      a.engine.close();
      exchange(a, b);
      expect([failure(a), failure(b), received(b)]).toEqual([undefined, undefined, 50]);
      expect(perKey.size).toBeGreaterThan(5);
      expect(Math.max(...perKey.values())).toBeLessThanOrEqual(recordsPerKey);
    }
  });

  it("are updated on request as often as the application likes: answers do not count as a flood", () => {
    const a = world.honestClient();
    const b = world.honestServer();
    exchange(a, b);
    for (let i = 0; i < 100; i++) {
      b.engine.updateKeys("update_requested");
      b.engine.write(Uint8Array.of(i));
      exchange(a, b);
    }
    expect([failure(a), failure(b), received(a)]).toEqual([undefined, undefined, 100]);
  });

  it("are not asked for again before the answer has come (RFC 9846 4.7.3)", () => {
    const [victim, rogue] = connected("client");
    for (let i = 0; i < 3; i++) victim.engine.updateKeys("update_requested");
    confront(victim, rogue);
    const asked = rogue.received.filter(({ type, content }) => type === 22 && content[0] === 24);
    expect(asked.map(({ content }) => content[4])).toEqual([1, 0, 0]);
    rogue.sendMessage(keyUpdate(0)).updateWriteKey();
    confront(victim, rogue);
    victim.engine.updateKeys("update_requested");
    confront(victim, rogue);
    const later = rogue.received.filter(({ type, content }) => type === 22 && content[0] === 24);
    expect(later.map(({ content }) => content[4])).toEqual([1, 0, 0, 1]);
  });
});
