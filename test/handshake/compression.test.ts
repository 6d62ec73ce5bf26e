/** RFC 8879: certificates compressed in both directions, and every way in which a CompressedCertificate may be wrong. */
import * as zlib from "node:zlib";
import { beforeAll, describe, expect, it } from "vitest";
import { concat } from "../../src/bytes/bytes.ts";
import { Certificate, CertificateRequest, ClientHello, CompressedCertificate } from "../../src/codec/messages.ts";
import { decode, encode, type ValueOf } from "../../src/codec/schema.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import type { Observation } from "../../src/engine/index.ts";
import type { Side } from "../../src/errors.ts";
import type { CertificateCompression } from "../../src/handshake/compression.ts";
import { webZlibCompression as webZlib } from "../../src/index.ts";
import { brotliCompression, zlibCompression, zstdCompression } from "../../src/node/index.ts";
import { type End, exchange, exchangeLate, failure } from "../support/pair.ts";
import { expectRefusal, verdict } from "../support/refusal.ts";
import { confront, type Rogue, type Tamper } from "../support/rogue.ts";
import { createWorld, edit, provider, rawMessage, type World } from "../support/world.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld(2);
});

const HAS_ZSTD = "zstdCompressSync" in zlib;
const ALGORITHMS: readonly (readonly [string, number, () => CertificateCompression])[] = [
  ["node's zlib", 1, zlibCompression],
  ["node's brotli", 2, brotliCompression],
  ...(HAS_ZSTD ? [["node's zstd", 3, zstdCompression] as const] : []),
  ["the web's zlib", 1, webZlib],
];

/** Names and algorithms of the certificate messages that an end saw, in order. */
function watching() {
  const seen: [string, string, number | undefined][] = [];
  const observer = (observation: Observation) => {
    if (observation.kind !== "message" || !/certificate$/.test(observation.type)) return;
    const compressed = observation.type === "compressed_certificate";
    const algorithm = compressed ? decode(CompressedCertificate, observation.bytes.subarray(4)).algorithm : undefined;
    seen.push([observation.direction, observation.type, algorithm]);
  };
  return { seen, observer };
}

describe.each([provider, nobleProvider])("compressed certificates, $name", (crypto) => {
  it.each(ALGORITHMS)("%s goes both ways", async (_what, code, algorithm) => {
    const { seen, observer } = watching();
    const certificateCompression = [algorithm()];
    const client = world.honestClient({ provider: crypto, certificateCompression, observer });
    const server = world.honestServer({ provider: crypto, certificateCompression });
    await exchangeLate(client, server);
    expect([failure(client), failure(server)]).toEqual([undefined, undefined]);
    expect(seen).toEqual([
      ["received", "compressed_certificate", code],
      ["sent", "compressed_certificate", code],
    ]);
    expect(client.engine.result?.peer?.verified).toBe(true);
    expect(server.engine.result?.peerCertificates).toEqual(world.client.certificates);
  });
});

describe("the algorithm", () => {
  const both = () => [brotliCompression(), zlibCompression()];

  it.each([
    ["is the sender's preference among what the peer offers", both(), [zlibCompression(), brotliCompression()], 2],
    ["is one that both have", both(), [zlibCompression()], 1],
  ] as const)("%s", (_what, server, client, code) => {
    const { seen, observer } = watching();
    const ends = [
      world.honestClient({ certificateCompression: client, observer }),
      world.honestServer({ certificateCompression: server, clientAuth: "off" }),
    ] as const;
    exchange(...ends);
    expect(ends.map(failure)).toEqual([undefined, undefined]);
    expect(seen).toEqual([["received", "compressed_certificate", code]]);
  });

  it.each([
    ["the peer has none", [zlibCompression()], undefined],
    ["there is none in common", [zlibCompression()], [brotliCompression()]],
    ["the sender has none", undefined, [zlibCompression()]],
  ] as const)("is none where %s", (_what, client, server) => {
    const { seen, observer } = watching();
    const ends = [
      world.honestClient({ certificateCompression: client, observer }),
      world.honestServer({ certificateCompression: server }),
    ] as const;
    exchange(...ends);
    expect(ends.map(failure)).toEqual([undefined, undefined]);
    expect(seen.map(([, type]) => type)).toEqual(["certificate", "certificate"]);
  });

  it("is not used where it makes the certificate longer", () => {
    const { seen, observer } = watching();
    const padded = { algorithm: 1, compress: (c: Uint8Array) => concat(c, c) };
    exchange(
      world.honestClient({ certificateCompression: [zlibCompression()], observer }),
      world.honestServer({ certificateCompression: [padded], clientAuth: "off" }),
    );
    expect(seen).toEqual([["received", "certificate", undefined]]);
  });

  it("that fails to compress is this side's fault", () => {
    const broken = {
      algorithm: 1,
      compress: () => {
        throw new Error("broken");
      },
    };
    const client = world.honestClient({ certificateCompression: [zlibCompression()] });
    const server = world.honestServer({ certificateCompression: [broken] });
    exchange(client, server);
    expect(failure(server)).toMatchObject({ code: "ERR_TLS_CALLBACK_FAILED", alert: "internal_error" });
  });
});

it("certificate entries' attachments and an empty chain travel compressed as well", () => {
  const { seen, observer } = watching();
  const client = world.honestClient({ certificateCompression: [zlibCompression()], identities: [], observer });
  const server = world.honestServer({ certificateCompression: [zlibCompression()], clientAuth: "optional" });
  exchange(client, server);
  expect([failure(client), failure(server)]).toEqual([undefined, undefined]);
  // Four bytes do not become fewer.
  expect(seen.map(([, type]) => type)).toEqual(["compressed_certificate", "certificate"]);
});

describe("the option", () => {
  it.each([
    ["an algorithm twice", [zlibCompression(), webZlib()]],
    ["a name", ["zlib" as unknown as CertificateCompression]],
    ["what neither compresses nor decompresses", [{ algorithm: 1 }]],
  ])("refuses %s", (_what, list) => {
    expect(() => world.honestClient({ certificateCompression: list })).toThrow(
      expect.objectContaining({ code: "ERR_TLS_OPTION" }),
    );
  });

  it.skipIf(HAS_ZSTD)("refuses zstd where Node has none", () => {
    expect(zstdCompression).toThrow(expect.objectContaining({ code: "ERR_TLS_OPTION" }));
  });
});

type Body = ValueOf<typeof CompressedCertificate>;

/** Changes the rogue's CompressedCertificate. */
const tampered =
  (change: (body: Body) => Body): Tamper =>
  (message, name) =>
    name === "compressed_certificate" ? edit(message, CompressedCertificate, change) : undefined;

const content = (message: Body): Uint8Array => zlib.inflateSync(message.compressed_certificate_message);
const deflated = (plain: Uint8Array, length = plain.length): Body => ({
  algorithm: 1,
  uncompressed_length: length,
  compressed_certificate_message: zlib.deflateSync(plain),
});

const BROKEN: readonly (readonly [string, Parameters<typeof verdict>[0], Tamper])[] = [
  ["an algorithm that was not offered", "ERR_TLS_ILLEGAL_PARAMETER", tampered((m) => ({ ...m, algorithm: 2 }))],
  ["an algorithm that does not exist", "ERR_TLS_ILLEGAL_PARAMETER", tampered((m) => ({ ...m, algorithm: 0x4a4a }))],
  [
    "a length that is too small by one",
    "ERR_TLS_CERT_DECOMPRESSION",
    tampered((m) => ({ ...m, uncompressed_length: m.uncompressed_length - 1 })),
  ],
  [
    "a length that is too large by one",
    "ERR_TLS_CERT_DECOMPRESSION",
    tampered((m) => ({ ...m, uncompressed_length: m.uncompressed_length + 1 })),
  ],
  ["a length of zero", "ERR_TLS_CERT_DECOMPRESSION", tampered((m) => ({ ...m, uncompressed_length: 0 }))],
  [
    "a length beyond the limit for messages",
    "ERR_TLS_CERT_DECOMPRESSION",
    tampered(() => deflated(new Uint8Array(0x20001))),
  ],
  [
    "16 MiB behind a small length",
    "ERR_TLS_CERT_DECOMPRESSION",
    tampered(() => deflated(new Uint8Array(1 << 24), 900)),
  ],
  [
    "what is not compressed at all",
    "ERR_TLS_CERT_DECOMPRESSION",
    tampered((m) => ({ ...m, compressed_certificate_message: content(m) })),
  ],
  [
    "compressed data that ends early",
    "ERR_TLS_CERT_DECOMPRESSION",
    tampered((m) => ({ ...m, compressed_certificate_message: m.compressed_certificate_message.subarray(0, -5) })),
  ],
  [
    "bytes behind the compressed data",
    "ERR_TLS_CERT_DECOMPRESSION",
    tampered((m) => ({
      ...m,
      compressed_certificate_message: concat(m.compressed_certificate_message, Uint8Array.of(0)),
    })),
  ],
  [
    "a wrong checksum",
    "ERR_TLS_CERT_DECOMPRESSION",
    tampered((m) => {
      const changed = m.compressed_certificate_message.slice();
      changed[changed.length - 1] = (changed[changed.length - 1] as number) ^ 1;
      return { ...m, compressed_certificate_message: changed };
    }),
  ],
  [
    "no compressed data",
    "ERR_TLS_DECODE_ERROR",
    (_message, name) =>
      name === "compressed_certificate" ? rawMessage(25, Uint8Array.of(0, 1, 0, 0, 4, 0, 0, 0)) : undefined,
  ],
  [
    "bytes behind the structure",
    "ERR_TLS_DECODE_ERROR",
    (message, name) =>
      name === "compressed_certificate" ? rawMessage(25, concat(message.subarray(4), Uint8Array.of(0))) : undefined,
  ],
  ["a Certificate that does not decode", "ERR_TLS_DECODE_ERROR", tampered(() => deflated(Uint8Array.of(0, 0, 0)))],
  [
    "a request context",
    "ERR_TLS_ILLEGAL_PARAMETER",
    tampered((m) =>
      deflated(
        encode(Certificate, { ...decode(Certificate, content(m)), certificate_request_context: Uint8Array.of(1) }),
      ),
    ),
  ],
  [
    "an entry's extension that was not asked for",
    "ERR_TLS_UNSUPPORTED_EXTENSION",
    tampered((m) => {
      const { certificate_list, ...rest } = decode(Certificate, content(m));
      const extensions = [{ name: undefined, code: 0xfe00, value: new Uint8Array(0) }];
      return deflated(
        encode(Certificate, { ...rest, certificate_list: certificate_list.map((e) => ({ ...e, extensions })) }),
      );
    }),
  ],
];

/** Node 20 passes over bytes behind a stream's end, against the Compression Streams standard. */
const LATE = BROKEN.filter(([what, code]) => code === "ERR_TLS_CERT_DECOMPRESSION" && !what.startsWith("bytes behind"));

function against(victim: Side, tamper: Tamper, decompressor = zlibCompression): [End, Rogue] {
  const ours = { certificateCompression: [decompressor()] };
  const theirs = { certificateCompression: [zlibCompression()] };
  return victim === "client"
    ? [world.honestClient(ours), world.rogueServer({ tamper }, theirs)]
    : [world.honestServer(ours), world.rogueClient({ tamper }, theirs)];
}

describe.each(["client", "server"] as const)("a %s given a CompressedCertificate with", (victim) => {
  it.each(BROKEN)("%s: %s", (_what, code, tamper) => {
    const [end, rogue] = against(victim, tamper);
    expectRefusal(end, rogue, verdict(code, "WAIT_CERT"));
  });

  it.each(LATE)("%s, asynchronously: %s", async (_, code, tamper) => {
    const [end, rogue] = against(victim, tamper, webZlib);
    const deadline = performance.now() + 10_000;
    while (failure(end) === undefined && performance.now() < deadline) {
      confront(end, rogue);
      await new Promise((resolve) => setImmediate(resolve));
    }
    confront(end, rogue);
    expect(failure(end)).toMatchObject({ code, alert: "bad_certificate", stage: "WAIT_CERT" });
    expect(rogue.alerts).toEqual(["bad_certificate"]);
  });
});

describe("a CompressedCertificate that nobody asked for is unexpected_message", () => {
  it("at a client", () => {
    const client = world.honestClient();
    const tamper: Tamper = (message, name) =>
      name === "certificate" ? rawMessage(25, encode(CompressedCertificate, deflated(message.subarray(4)))) : undefined;
    const server = world.rogueServer({ tamper });
    expectRefusal(client, server, verdict("ERR_SSL_UNEXPECTED_MESSAGE", "WAIT_CERT"));
  });

  it("at a server", () => {
    const server = world.honestServer();
    const tamper: Tamper = (message, name) =>
      name === "certificate" ? rawMessage(25, encode(CompressedCertificate, deflated(message.subarray(4)))) : undefined;
    expectRefusal(server, world.rogueClient({ tamper }), verdict("ERR_SSL_UNEXPECTED_MESSAGE", "WAIT_CERT"));
  });
});

describe("compress_certificate", () => {
  const extended = (data: readonly number[]): { name: undefined; code: number; value: Uint8Array } => ({
    name: undefined,
    code: 27,
    value: Uint8Array.from(data),
  });
  const wrong: readonly (readonly [string, readonly number[]])[] = [
    ["without an algorithm", [0]],
    ["with half an algorithm", [1, 0]],
    ["with bytes behind it", [2, 0, 1, 0]],
  ];

  it.each(wrong)("%s in a ClientHello is decode_error", (_what, data) => {
    const tamper: Tamper = (message, name) =>
      name === "client_hello"
        ? edit(message, ClientHello, (h) => ({ ...h, extensions: [...(h.extensions ?? []), extended(data)] }))
        : undefined;
    expectRefusal(world.honestServer(), world.rogueClient({ tamper }), verdict("ERR_TLS_DECODE_ERROR", "RECVD_CH"));
  });

  it.each(wrong)("%s in a CertificateRequest is decode_error", (_what, data) => {
    const tamper: Tamper = (message, name) =>
      name === "certificate_request"
        ? edit(message, CertificateRequest, (r) => ({ ...r, extensions: [...r.extensions, extended(data)] }))
        : undefined;
    expectRefusal(world.honestClient(), world.rogueServer({ tamper }), verdict("ERR_TLS_DECODE_ERROR", "WAIT_CERT_CR"));
  });

  it("with algorithms that nobody knows is passed over", () => {
    const tamper: Tamper = (message, name) =>
      name === "client_hello"
        ? edit(message, ClientHello, (h) => ({
            ...h,
            extensions: [...(h.extensions ?? []), extended([2, 0x4a, 0x4a])],
          }))
        : undefined;
    const server = world.honestServer({ certificateCompression: [zlibCompression()], clientAuth: "off" });
    const client = world.rogueClient({ tamper });
    confront(server, client);
    expect([failure(server), client.error]).toEqual([undefined, undefined]);
  });
});
