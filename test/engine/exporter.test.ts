/** Keying material for the application (RFC 8446 7.5) and channel bindings (RFC 9266). */
import { beforeAll, describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes/bytes.ts";
import { clientContext, sealedTickets, serverContext, sessionCache, strikeRegister } from "../../src/engine/index.ts";
import { type End, end, exchange } from "../support/pair.ts";
import { createWorld, type World } from "../support/world.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
});

function ends(): [End, End] {
  return [end(clientContext(world.clientOptions).engine()), end(serverContext(world.serverOptions).engine())];
}

function connected(): [End, End] {
  const [a, b] = ends();
  exchange(a, b);
  return [a, b];
}

const context = utf8("some context");

describe("exported keying material", () => {
  it("is the same at both ends, and another for each label, context and length", () => {
    const [a, b] = connected();
    const seen = new Set<string>();
    for (const [length, label, mixed] of [
      [32, "EXPORTER-one", undefined],
      [32, "EXPORTER-two", undefined],
      [32, "EXPORTER-one", context],
      [33, "EXPORTER-one", undefined],
    ] as const) {
      const material = a.engine.exportKeyingMaterial(length, label, mixed);
      expect(material).toHaveLength(length);
      expect(b.engine.exportKeyingMaterial(length, label, mixed)).toEqual(material);
      seen.add(String(material.subarray(0, 32)));
    }
    expect(seen.size).toBe(4);
    const none = a.engine.exportKeyingMaterial(32, "EXPORTER-one");
    expect(a.engine.exportKeyingMaterial(32, "EXPORTER-one", new Uint8Array(0))).toEqual(none);
  });

  it("is another on the next connection", () => {
    const [first] = connected();
    const [second] = connected();
    const label = "EXPORTER-one";
    expect(second.engine.exportKeyingMaterial(32, label)).not.toEqual(first.engine.exportKeyingMaterial(32, label));
  });

  it("has from 1 byte to 255 times the hash's length, and a label of 1 to 249 characters", () => {
    const [a] = connected();
    const most = 255 * (a.engine.result?.exporterSecret.length as number);
    const refused = expect.objectContaining({ code: "ERR_TLS_OPTION" });
    for (const length of [1, most]) expect(a.engine.exportKeyingMaterial(length, "x")).toHaveLength(length);
    for (const length of [0, -1, 1.5, Number.NaN, most + 1])
      expect(() => a.engine.exportKeyingMaterial(length, "x")).toThrow(refused);
    expect(a.engine.exportKeyingMaterial(1, "x".repeat(249))).toHaveLength(1);
    for (const label of ["", "x".repeat(250), "é"])
      expect(() => a.engine.exportKeyingMaterial(1, label)).toThrow(refused);
    expect(a.engine.error).toBeUndefined();
  });

  it("exists only while the connection does, and its secret is wiped", () => {
    const closed = expect.objectContaining({ code: "ERR_TLS_CLOSED" });
    for (const early of ends()) expect(() => early.engine.exportKeyingMaterial(32, "x")).toThrow(closed);
    const [a, b] = connected();
    a.engine.close();
    exchange(a, b);
    // One direction is still open.
    expect(a.engine.exportKeyingMaterial(32, "x")).toEqual(b.engine.exportKeyingMaterial(32, "x"));
    b.engine.close();
    exchange(a, b);
    const [c, d] = connected();
    c.engine.abort();
    exchange(c, d);
    for (const { engine } of [a, b, c]) {
      expect(() => engine.exportKeyingMaterial(32, "x")).toThrow(closed);
      expect(() => engine.channelBinding("tls-exporter")).toThrow(closed);
      expect(engine.result?.exporterSecret.some((byte) => byte !== 0)).toBe(false);
    }
  });
});

describe("a channel binding", () => {
  it("is RFC 9266's, and no other", () => {
    const [a, b] = connected();
    const binding = a.engine.channelBinding("tls-exporter");
    expect(binding).toEqual(b.engine.exportKeyingMaterial(32, "EXPORTER-Channel-Binding", new Uint8Array(0)));
    for (const type of ["tls-unique", "tls-server-end-point"])
      expect(() => a.engine.channelBinding(type as "tls-exporter")).toThrow(
        expect.objectContaining({ code: "ERR_TLS_OPTION" }),
      );
  });
});

describe("early keying material", () => {
  const earlyEnds = () => {
    const client = { ...world.clientOptions, sessions: sessionCache(), offerEarlyData: true };
    const server = {
      ...world.serverOptions,
      tickets: { store: sealedTickets() },
      acceptEarlyData: { antiReplay: strikeRegister() },
    };
    const meet = (): [End, End] => [end(clientContext(client).engine()), end(serverContext(server).engine())];
    exchange(...meet());
    return meet();
  };

  it("is the same at both ends from the ClientHello on, and another than the regular", () => {
    const [a, b] = earlyEnds();
    const early = a.engine.exportEarlyKeyingMaterial(32, "EXPORTER-one", context);
    exchange(a, b);
    expect(b.engine.exportEarlyKeyingMaterial(32, "EXPORTER-one", context)).toEqual(early);
    expect(a.engine.exportEarlyKeyingMaterial(32, "EXPORTER-one", context)).toEqual(early);
    expect(a.engine.exportKeyingMaterial(32, "EXPORTER-one", context)).not.toEqual(early);
  });

  it("is not there without early data, nor when all is over", () => {
    const closed = expect.objectContaining({ code: "ERR_TLS_CLOSED" });
    const [plain] = connected();
    expect(() => plain.engine.exportEarlyKeyingMaterial(32, "x")).toThrow(closed);
    const [a, b] = earlyEnds();
    exchange(a, b);
    a.engine.close();
    b.engine.close();
    exchange(a, b);
    expect(() => a.engine.exportEarlyKeyingMaterial(32, "x")).toThrow(closed);
  });
});
