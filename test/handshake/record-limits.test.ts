/** record_size_limit (RFC 8449) and max_fragment_length (RFC 6066 4), each way. */
import { beforeAll, describe, expect, it } from "vitest";
import type { ExtensionName } from "../../src/codec/extensions.ts";
import { ClientHello, EncryptedExtensions } from "../../src/codec/messages.ts";
import type { ClientOptions, Observation, ServerOptions } from "../../src/engine/index.ts";
import { padTo } from "../../src/engine/index.ts";
import type { Side } from "../../src/errors.ts";
import { exchange, failure } from "../support/pair.ts";
import { expectFailed, expectRefusal, verdict } from "../support/refusal.ts";
import { confront, type OutgoingRecord, type Tamper } from "../support/rogue.ts";
import { createWorld, edit, type World, without, withRaw } from "../support/world.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
});

/** Bytes of TLSInnerPlaintext of the protected records that an end sent, and of its records in the clear. */
function measuring() {
  const inner: number[] = [];
  const plain: number[] = [];
  const observer = (record: Observation) => {
    if (record.kind !== "record" || record.direction !== "sent") return;
    if (record.sequence !== undefined) inner.push(record.content.length + 1 + record.padding);
    else plain.push(record.content.length);
  };
  return { inner, plain, observer };
}

const DATA = new Uint8Array(20_000).map((_, i) => i);

/** A handshake and data both ways; the longest record of each side. */
function transfer(clientOptions: Partial<ClientOptions>, serverOptions: Partial<ServerOptions>) {
  const up = measuring();
  const down = measuring();
  const client = world.honestClient({ ...clientOptions, observer: up.observer });
  const server = world.honestServer({ ...serverOptions, observer: down.observer });
  exchange(client, server);
  client.engine.write(DATA);
  server.engine.write(DATA);
  client.engine.updateKeys("update_requested");
  exchange(client, server);
  client.engine.close();
  server.engine.close();
  exchange(client, server);
  expect([failure(client), failure(server)]).toEqual([undefined, undefined]);
  const received = (end: typeof client) => end.received.reduce((sum, { length }) => sum + length, 0);
  expect([received(client), received(server)]).toEqual([DATA.length, DATA.length]);
  return {
    up: Math.max(...up.inner),
    down: Math.max(...down.inner),
    downPlain: Math.max(...down.plain),
    server,
    client,
  };
}

describe("record_size_limit is obeyed", () => {
  it.each([
    [64, 64],
    [65, 300],
    [512, 16_385],
    [16_385, 512],
    [16_384, 1024],
  ])("client %i, server %i", (client, server) => {
    const { up, down } = transfer({ recordSizeLimit: client }, { recordSizeLimit: server });
    expect([up, down]).toEqual([server, client]);
  });

  it("by a server that has none of its own", () => {
    const { up, down } = transfer({ recordSizeLimit: 100 }, {});
    expect([up, down]).toEqual([16_385, 100]);
  });

  it("and a server's own is not said to clients that do not ask", () => {
    const { up, down } = transfer({}, { recordSizeLimit: 100 });
    expect([up, down]).toEqual([16_385, 16_385]);
  });

  it("with content, type and padding together", () => {
    const padding = padTo(256);
    const { up, down } = transfer({ recordSizeLimit: 200, padding }, { recordSizeLimit: 1000, padding });
    expect([up, down]).toEqual([1000, 200]);
  });

  it("together with a fragment length of this side's own", () => {
    const { up, down } = transfer(
      { recordSizeLimit: 1000, maxFragment: 99 },
      { recordSizeLimit: 5000, maxFragment: 2000 },
    );
    expect([up, down]).toEqual([100, 1000]);
  });
});

describe("max_fragment_length", () => {
  it.each([512, 1024, 2048, 4096] as const)("%i is obeyed both ways, in the clear too", (length) => {
    const groups = { groups: ["X25519MLKEM768", "x25519"], keyShares: ["X25519MLKEM768"] } as const;
    const { up, down, downPlain } = transfer({ maxFragmentLength: length, ...groups }, { groups: groups.groups });
    expect([up, down]).toEqual([length, length]);
    // A ServerHello with ML-KEM's ciphertext takes more than one record of 512 bytes.
    expect(downPlain).toBeLessThanOrEqual(length);
    if (length <= 1024) expect(downPlain).toBe(length);
  });

  it("gives way to record_size_limit (RFC 8449 5)", () => {
    const { up, down } = transfer({ maxFragmentLength: 512, recordSizeLimit: 900 }, { recordSizeLimit: 700 });
    expect([up, down]).toEqual([700, 900]);
  });
});

const tampering =
  (of: "client_hello" | "encrypted_extensions", extension: ExtensionName, ...data: number[]): Tamper =>
  (message, name) => {
    if (name !== of) return undefined;
    return of === "client_hello"
      ? edit(message, ClientHello, (h) => ({ ...h, extensions: withRaw(h.extensions, extension, ...data) }))
      : edit(message, EncryptedExtensions, (e) => ({ ...e, extensions: withRaw(e.extensions, extension, ...data) }));
  };

describe("a server refuses", () => {
  it.each([
    ["record_size_limit 63", "record_size_limit", [0, 63], "ERR_TLS_ILLEGAL_PARAMETER"],
    ["record_size_limit 0", "record_size_limit", [0, 0], "ERR_TLS_ILLEGAL_PARAMETER"],
    ["record_size_limit of one byte", "record_size_limit", [64], "ERR_TLS_DECODE_ERROR"],
    ["max_fragment_length 0", "max_fragment_length", [0], "ERR_TLS_ILLEGAL_PARAMETER"],
    ["max_fragment_length 5", "max_fragment_length", [5], "ERR_TLS_ILLEGAL_PARAMETER"],
    ["max_fragment_length of two bytes", "max_fragment_length", [1, 1], "ERR_TLS_DECODE_ERROR"],
  ] as const)("%s", (_what, extension, data, code) => {
    const rogue = world.rogueClient({ tamper: tampering("client_hello", extension, ...data) });
    const stage = code === "ERR_TLS_DECODE_ERROR" ? "RECVD_CH" : "NEGOTIATED";
    expectRefusal(world.honestServer(), rogue, verdict(code, stage));
  });
});

it("a server lets larger limits pass than there are records (RFC 8449 4)", () => {
  const tamper = tampering("client_hello", "record_size_limit", 0xff, 0xff);
  const rogue = world.rogueClient({ tamper }, { recordSizeLimit: 16_385 });
  const server = world.honestServer();
  confront(server, rogue);
  server.engine.write(DATA);
  confront(server, rogue);
  expect([failure(server), rogue.data.length]).toEqual([undefined, DATA.length]);
});

describe("a client refuses", () => {
  const asked = { recordSizeLimit: 1000, maxFragmentLength: 512 } as const;
  it.each([
    ["record_size_limit 63", asked, "record_size_limit", [0, 63], "ERR_TLS_ILLEGAL_PARAMETER"],
    ["record_size_limit beyond TLS 1.3's", asked, "record_size_limit", [0x40, 2], "ERR_TLS_ILLEGAL_PARAMETER"],
    ["both answers", asked, "max_fragment_length", [1], "ERR_TLS_ILLEGAL_PARAMETER"],
    ["record_size_limit unasked", {}, "record_size_limit", [0x40, 1], "ERR_TLS_UNSUPPORTED_EXTENSION"],
    ["max_fragment_length unasked", {}, "max_fragment_length", [1], "ERR_TLS_UNSUPPORTED_EXTENSION"],
    [
      "another max_fragment_length",
      { maxFragmentLength: 512 },
      "max_fragment_length",
      [2],
      "ERR_TLS_ILLEGAL_PARAMETER",
    ],
  ] as const)("%s", (_what, options, extension, data, code) => {
    const rogue = world.rogueServer({ tamper: tampering("encrypted_extensions", extension, ...data) });
    expectRefusal(world.honestClient(options), rogue, verdict(code, "WAIT_EE"));
  });
});

describe("records beyond this side's own limit are record_overflow", () => {
  const meet = (victim: Side, options: { recordSizeLimit?: number; maxFragmentLength?: 512 }) => {
    const fragment = 50;
    const { recordSizeLimit } = options;
    const server = { recordSizeLimit };
    const [end, rogue] =
      victim === "client"
        ? [world.honestClient(options), world.rogueServer({ fragment }, { recordSizeLimit: 16_385 })]
        : [
            world.honestServer(server),
            world.rogueClient(
              { fragment },
              { ...options, recordSizeLimit: options.maxFragmentLength ? undefined : 16_385 },
            ),
          ];
    confront(end, rogue);
    expect([failure(end), rogue.error]).toEqual([undefined, undefined]);
    return [end, rogue] as const;
  };
  const record = (length: number, padding = 0): OutgoingRecord => ({
    type: 23,
    content: new Uint8Array(length),
    padding,
  });

  it.each(["client", "server"] as const)("at a %s: content, type and padding count", (victim) => {
    for (const [fits, tooLong] of [
      [record(99), record(100)],
      [record(40, 59), record(40, 60)],
    ] as const) {
      const [end, rogue] = meet(victim, { recordSizeLimit: 100 });
      rogue.send(fits);
      confront(end, rogue);
      expect(failure(end)).toBeUndefined();
      rogue.send(tooLong);
      confront(end, rogue);
      expectFailed(end, rogue, verdict("ERR_SSL_PACKET_LENGTH_TOO_LONG", "CONNECTED"));
    }
  });

  it.each(["client", "server"] as const)("at a %s with max_fragment_length: 512 bytes of content pass", (victim) => {
    const [end, rogue] = meet(victim, { maxFragmentLength: 512 });
    rogue.send(record(512));
    confront(end, rogue);
    expect(failure(end)).toBeUndefined();
    rogue.send(record(513));
    confront(end, rogue);
    expectFailed(end, rogue, verdict("ERR_SSL_PACKET_LENGTH_TOO_LONG", "CONNECTED"));
  });

  it("at a client: the very record that brings the server's answer", () => {
    const client = world.honestClient({ recordSizeLimit: 100 });
    const server = world.rogueServer({ coalesce: true }, { recordSizeLimit: 100 });
    expectRefusal(client, server, verdict("ERR_SSL_PACKET_LENGTH_TOO_LONG", "WAIT_EE"));
  });

  it("at a server: in the client's flight", () => {
    const server = world.honestServer({ recordSizeLimit: 100 });
    const client = world.rogueClient({}, { recordSizeLimit: 16_385 });
    expectRefusal(server, client, verdict("ERR_SSL_PACKET_LENGTH_TOO_LONG", "WAIT_CERT"));
  });

  it("and are none where the server has not answered", () => {
    const tamper: Tamper = (message, name) =>
      name === "encrypted_extensions"
        ? edit(message, EncryptedExtensions, (e) => ({ ...e, extensions: without(e.extensions, "record_size_limit") }))
        : undefined;
    const client = world.honestClient({ recordSizeLimit: 100 });
    const server = world.rogueServer({ tamper, coalesce: true }, { recordSizeLimit: 100 });
    confront(client, server);
    server.send(record(16_384));
    confront(client, server);
    expect(failure(client)).toBeUndefined();
  });
});

describe("options", () => {
  it.each([
    { recordSizeLimit: 63 },
    { recordSizeLimit: 16_386 },
    { recordSizeLimit: 100.5 },
    { recordSizeLimit: 0 },
    { maxFragmentLength: 511 as 512 },
  ])("%o is refused", (options) => {
    expect(() => world.honestClient(options)).toThrow(expect.objectContaining({ code: "ERR_TLS_OPTION" }));
  });

  it.each([1, 0, 16_385, 2.5, Number.NaN])("padTo(%d) is refused", (block) => {
    expect(() => padTo(block)).toThrow(expect.objectContaining({ code: "ERR_TLS_OPTION" }));
  });

  it("padTo gives multiples", () => {
    const lengths = [0, 1, 127, 128, 129, 16_384].map((length) => length + padTo(128)(23, length));
    expect(lengths).toEqual([0, 128, 128, 128, 256, 16_384]);
  });
});
