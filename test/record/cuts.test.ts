/** Whole handshakes over a stream that is cut anywhere: the same bytes out, whatever the cuts. */
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { concat, utf8 } from "../../src/bytes/bytes.ts";
import { resolveClient } from "../../src/engine/client-options.ts";
import { TlsEngine } from "../../src/engine/engine.ts";
import { everyFeature } from "../../src/engine/features/index.ts";
import { resolveLimits } from "../../src/engine/limits.ts";
import { resolveServer } from "../../src/engine/server-options.ts";
import { clientHandshake } from "../../src/handshake/client.ts";
import { serverHandshake } from "../../src/handshake/server.ts";
import {
  liveSources,
  recordingSources,
  replayingSources,
  type Sources,
  type TapeEntry,
} from "../../src/handshake/sources.ts";
import { deliver, type End, end, failure } from "../support/pair.ts";
import { confront } from "../support/rogue.ts";
import { createWorld, provider, type World } from "../support/world.ts";

let world: World;
/** What each side received and sent in one honest, retried, mutual handshake. */
const recorded = {
  client: { tape: [] as TapeEntry[], received: [] as Uint8Array[], sent: [] as Uint8Array[] },
  server: { tape: [] as TapeEntry[], received: [] as Uint8Array[], sent: [] as Uint8Array[] },
};
type Role = keyof typeof recorded;

/** An engine with these sources. */
function engineOf(role: Role, sources: Sources): End {
  const time = 1_700_000_000_000;
  if (role === "client") {
    const options = { ...world.clientOptions, clock: () => time };
    const config = { ...resolveClient(options, everyFeature), sources, verifier: anyone };
    return end(new TlsEngine("client", (effects) => clientHandshake(config, effects), resolveLimits(options)));
  }
  const options = { ...world.serverOptions, groups: ["secp256r1"] as const, clock: () => time };
  const config = { ...resolveServer(options), sources, verifier: anyone };
  return end(new TlsEngine("server", (effects) => serverHandshake(config, effects), resolveLimits(options)));
}

let anyone: ReturnType<typeof resolveClient>["verifier"];

beforeAll(async () => {
  world = await createWorld();
  anyone = resolveClient({ provider, clock: Date.now, rejectUnauthorized: false }, everyFeature).verifier;
  const record = (role: Role) => engineOf(role, recordingSources(liveSources(provider), recorded[role].tape));
  const [client, server] = [record("client"), record("server")];
  for (;;) {
    const up = client.engine.takeOutput();
    const down = server.engine.takeOutput();
    if (up.length + down.length === 0) break;
    for (const [from, to, bytes, receiver] of [
      ["client", "server", up, server],
      ["server", "client", down, client],
    ] as const) {
      if (bytes.length === 0) continue;
      recorded[from].sent.push(bytes);
      recorded[to].received.push(bytes);
      deliver(receiver, bytes);
    }
  }
  expect([failure(client), failure(server), server.engine.result?.retried]).toEqual([undefined, undefined, true]);
});

/** Replays one side with its input in these pieces; it must send what it sent then. */
function expectSameOutcome(role: Role, pieces: readonly Uint8Array[]): void {
  const side = engineOf(role, replayingSources(recorded[role].tape));
  const sent = [side.engine.takeOutput()];
  for (const piece of pieces) {
    deliver(side, piece);
    sent.push(side.engine.takeOutput());
  }
  expect([failure(side), side.engine.state]).toEqual([undefined, "CONNECTED"]);
  expect(concat(...sent)).toEqual(concat(...recorded[role].sent));
}

describe.each(["client", "server"] as const)("what a %s receives", (role) => {
  it("may be cut at any one place", () => {
    const stream = concat(...recorded[role].received);
    for (let place = 0; place <= stream.length; place++) {
      expectSameOutcome(role, [stream.subarray(0, place), stream.subarray(place)]);
    }
  });

  it("may come byte by byte", () => {
    const stream = concat(...recorded[role].received);
    expectSameOutcome(
      role,
      Array.from(stream, (byte) => Uint8Array.of(byte)),
    );
  });

  it("may be cut at any places", () => {
    const stream = concat(...recorded[role].received);
    fc.assert(
      fc.property(fc.array(fc.nat(stream.length), { maxLength: 30 }), (places) => {
        const sorted = places.sort((a, b) => a - b);
        expectSameOutcome(
          role,
          [...sorted, stream.length].map((place, index) => stream.subarray(sorted[index - 1] ?? 0, place)),
        );
      }),
      { numRuns: 100 },
    );
  });
});

describe("handshake messages", () => {
  const sizes = [1, 2, 3, 4, 5, 7, 16, 100, 255, 1000, 0x4000];

  it.each(sizes)(
    "may be fragmented into records of %i bytes, one message after the other or all together",
    (fragment) => {
      for (const coalesce of [false, true]) {
        const client = world.honestClient();
        const rogueServer = world.rogueServer({ fragment, coalesce });
        confront(client, rogueServer);
        expect([failure(client), rogueServer.error, client.engine.state]).toEqual([undefined, undefined, "CONNECTED"]);
        const server = world.honestServer();
        const rogueClient = world.rogueClient({ fragment, coalesce });
        confront(server, rogueClient);
        expect([failure(server), rogueClient.error, server.engine.state]).toEqual([undefined, undefined, "CONNECTED"]);
      }
    },
  );

  it("may be padded", () => {
    const client = world.honestClient({ padding: () => 1000 });
    const server = world.rogueServer({ records: (record) => [{ ...record, padding: 0x4000 - record.content.length }] });
    confront(client, server);
    client.engine.write(utf8("padded"));
    confront(client, server);
    expect([failure(client), server.error, server.data]).toEqual([undefined, undefined, utf8("padded")]);
  });

  it("of our own may be cut into records of any size", () => {
    for (const maxFragment of [1, 2, 13, 100]) {
      const client = world.honestClient({ maxFragment });
      const server = world.rogueServer();
      confront(client, server);
      client.engine.write(utf8("in pieces"));
      confront(client, server);
      expect([failure(client), server.data]).toEqual([undefined, utf8("in pieces")]);
      const longest = Math.max(...server.received.map(({ content }) => content.length));
      expect(longest).toBeLessThanOrEqual(maxFragment);
    }
  });
});
