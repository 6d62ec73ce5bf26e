import { beforeAll, describe, expect, it } from "vitest";
import { type ClientOptions, resolveClient } from "../../src/engine/client-options.ts";
import { TlsEngine } from "../../src/engine/engine.ts";
import { everyFeature } from "../../src/engine/features/index.ts";
import { resolveLimits } from "../../src/engine/limits.ts";
import { resolveServer } from "../../src/engine/server-options.ts";
import { clientHandshake } from "../../src/handshake/client.ts";
import type { HandshakeEffects } from "../../src/handshake/io.ts";
import { serverHandshake } from "../../src/handshake/server.ts";
import { type End, end, exchange } from "../support/pair.ts";
import { createWorld, type World } from "../support/world.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
});

/** Two engines, and every traffic secret that either was given, by direction and epoch. */
function watched(options: Partial<ClientOptions> = {}): { a: End; b: End; secrets: Map<string, Uint8Array> } {
  const secrets = new Map<string, Uint8Array>();
  const watch = (side: string, effects: HandshakeEffects): HandshakeEffects => ({
    ...effects,
    install(direction, epoch, suite, secret) {
      secrets.set(`${side} ${direction} ${epoch}`, secret);
      effects.install(direction, epoch, suite, secret);
    },
  });
  const clientOptions = { ...world.clientOptions, ...options };
  const client = resolveClient(clientOptions, everyFeature);
  const server = resolveServer(world.serverOptions);
  const a = end(
    new TlsEngine(
      "client",
      (effects) => clientHandshake(client, watch("client", effects)),
      resolveLimits(clientOptions),
    ),
  );
  const b = end(
    new TlsEngine(
      "server",
      (effects) => serverHandshake(server, watch("server", effects)),
      resolveLimits(world.serverOptions),
    ),
  );
  exchange(a, b);
  return { a, b, secrets };
}

const live = (secrets: Map<string, Uint8Array>) =>
  [...secrets]
    .filter(([, secret]) => secret.some((byte) => byte !== 0))
    .map(([name]) => name)
    .sort();

describe("traffic secrets", () => {
  it("of the handshake are gone when it is done, and each direction's when it is closed", () => {
    const { a, b, secrets } = watched();
    const both = ["read application", "write application"];
    expect(live(secrets)).toEqual(["client", "server"].flatMap((side) => both.map((name) => `${side} ${name}`)));
    a.engine.close();
    exchange(a, b);
    expect(live(secrets)).toEqual(["client read application", "server write application"]);
    b.engine.close();
    exchange(a, b);
    expect(live(secrets)).toEqual([]);
    expect(secrets.size).toBe(8);
  });

  it("are gone on both sides when one fails", () => {
    const { a, b, secrets } = watched();
    a.engine.abort();
    b.engine.receiveEnd();
    exchange(a, b);
    expect(live(secrets)).toEqual([]);
  });

  it("are gone on both sides when the handshake fails in the middle", () => {
    const { secrets } = watched({ trust: [], rejectUnauthorized: true });
    expect(live(secrets)).toEqual([]);
    expect(secrets.size).toBeGreaterThan(0);
  });
});
