/** Every check that a server makes of a ClientHello, first or second, each broken alone. */
import { beforeAll, describe, expect, it } from "vitest";
import { concat, utf8 } from "../../src/bytes/bytes.ts";
import type { ExtensionName } from "../../src/codec/extensions.ts";
import { ClientHello } from "../../src/codec/messages.ts";
import type { StateName } from "../../src/flow.ts";
import { liveSources } from "../../src/handshake/sources.ts";
import { failure } from "../support/pair.ts";
import { expectRefusal, verdict } from "../support/refusal.ts";
import { confront, longer, type Tamper } from "../support/rogue.ts";
import { createWorld, edit, editBytes, provider, raw, type World, without, withRaw } from "../support/world.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
});

type Code = Parameters<typeof verdict>[0];
type Change = (message: Uint8Array) => Uint8Array;

/** Changes the ClientHello of this number. */
const nth = (number: number, change: Change): Tamper => {
  let seen = 0;
  return (message, name) => (name === "client_hello" && ++seen === number ? change(message) : undefined);
};
const hello =
  (change: (hello: ClientHello) => ClientHello): Change =>
  (message) =>
    edit(message, ClientHello, change);
const extended = (extension: ExtensionName | number, ...data: number[]): Change =>
  hello((h) => ({ ...h, extensions: withRaw(h.extensions, extension, ...data) }));
const lacking = (...extensions: ExtensionName[]): Change =>
  hello((h) => ({ ...h, extensions: without(h.extensions, ...extensions) }));

const share = (group: number, length: number) => [
  group >> 8,
  group & 0xff,
  length >> 8,
  length & 0xff,
  ...new Array(length).fill(9),
];
const shares = (...entries: number[][]) => {
  const list = entries.flat();
  return extended("key_share", list.length >> 8, list.length & 0xff, ...list);
};

const serverName = (name: string) => {
  const { length } = name;
  return [(length + 3) >> 8, (length + 3) & 0xff, 0, length >> 8, length & 0xff, ...utf8(name)];
};

const IN_CLIENT_HELLO: readonly [string, Code, Change][] = [
  ["no supported_versions", "ERR_SSL_UNSUPPORTED_PROTOCOL", lacking("supported_versions")],
  ["TLS 1.2 alone in supported_versions", "ERR_SSL_UNSUPPORTED_PROTOCOL", extended("supported_versions", 2, 3, 3)],
  ["no extensions at all", "ERR_SSL_UNSUPPORTED_PROTOCOL", hello((h) => ({ ...h, extensions: undefined }))],
  ["legacy_version 0x0302", "ERR_SSL_UNSUPPORTED_PROTOCOL", hello((h) => ({ ...h, legacy_version: 0x0302 }))],
  ["legacy_version 0x0304", "ERR_SSL_UNSUPPORTED_PROTOCOL", hello((h) => ({ ...h, legacy_version: 0x0304 }))],
  [
    "compression too",
    "ERR_TLS_ILLEGAL_PARAMETER",
    hello((h) => ({ ...h, legacy_compression_methods: Uint8Array.of(0, 1) })),
  ],
  [
    "compression alone",
    "ERR_TLS_ILLEGAL_PARAMETER",
    hello((h) => ({ ...h, legacy_compression_methods: Uint8Array.of(1) })),
  ],
  ["no supported_groups", "ERR_TLS_MISSING_EXTENSION", lacking("supported_groups")],
  ["no key_share", "ERR_TLS_MISSING_EXTENSION", lacking("key_share")],
  ["no signature_algorithms", "ERR_TLS_MISSING_EXTENSION", lacking("signature_algorithms")],
  ["two shares for a group", "ERR_TLS_ILLEGAL_PARAMETER", shares(share(29, 32), share(29, 32))],
  ["a share for a group it does not list", "ERR_TLS_ILLEGAL_PARAMETER", shares(share(29, 32), share(25, 133))],
  ["shares in another order than its groups", "ERR_TLS_ILLEGAL_PARAMETER", shares(share(23, 65), share(29, 32))],
  ["an empty share", "ERR_TLS_DECODE_ERROR", shares([0, 29, 0, 0])],
  ["no suite of ours", "ERR_SSL_NO_SHARED_CIPHER", hello((h) => ({ ...h, cipher_suites: [0x1304, 0xc02f] }))],
  [
    "no group of ours",
    "ERR_SSL_NO_SUITABLE_KEY_SHARE",
    hello((h) => ({
      ...h,
      extensions: withRaw(withRaw(h.extensions, "supported_groups", 0, 2, 0, 25), "key_share", 0, 0),
    })),
  ],
  [
    "no signature scheme that the certificate's key has",
    "ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM",
    extended("signature_algorithms", 0, 4, 8, 4, 4, 1),
  ],
  [
    "no protocol of ours",
    "ERR_SSL_NO_APPLICATION_PROTOCOL",
    extended("application_layer_protocol_negotiation", 0, 4, 3, 0x66, 0x74, 0x70),
  ],
  ["two names", "ERR_TLS_ILLEGAL_PARAMETER", extended("server_name", 0, 8, 0, 0, 1, 0x61, 0, 0, 1, 0x62)],
  ["a name of an unknown type", "ERR_TLS_ILLEGAL_PARAMETER", extended("server_name", 0, 4, 1, 0, 1, 0x61)],
  ["a name that is not ASCII", "ERR_TLS_ILLEGAL_PARAMETER", extended("server_name", 0, 4, 0, 0, 1, 0xe4)],
  ["an empty name", "ERR_TLS_DECODE_ERROR", extended("server_name", 0, 3, 0, 0, 0)],
  ["a name with a trailing dot", "ERR_TLS_ILLEGAL_PARAMETER", extended("server_name", ...serverName("localhost."))],
  ["an address for a name", "ERR_TLS_ILLEGAL_PARAMETER", extended("server_name", ...serverName("127.0.0.1"))],
  ["markup for a name", "ERR_TLS_ILLEGAL_PARAMETER", extended("server_name", ...serverName("<x>"))],
  [
    "a name longer than names are",
    "ERR_TLS_ILLEGAL_PARAMETER",
    extended("server_name", ...serverName(`${"a.".repeat(130)}a`)),
  ],
  [
    "pre_shared_key without psk_key_exchange_modes",
    "ERR_TLS_MISSING_EXTENSION",
    extended("pre_shared_key", 0, 7, 0, 1, 0x61, 0, 0, 0, 0, 0, 33, 32, ...new Array(32).fill(0)),
  ],
  ["an extension of CertificateRequest", "ERR_TLS_ILLEGAL_PARAMETER", extended("oid_filters", 0, 0)],
  [
    "the same extension twice",
    "ERR_TLS_ILLEGAL_PARAMETER",
    hello((h) => ({ ...h, extensions: [...(h.extensions ?? []), raw(0x0a0a), raw(0x0a0a)] })),
  ],
  [
    "no cipher suite",
    "ERR_TLS_DECODE_ERROR",
    (m) => editBytes(m, (b) => concat(b.subarray(0, 67), Uint8Array.of(0, 0))),
  ],
  ["a byte too many", "ERR_TLS_DECODE_ERROR", (m) => editBytes(m, (b) => concat(b, Uint8Array.of(0)))],
  ["a byte too few", "ERR_TLS_DECODE_ERROR", (m) => editBytes(m, (b) => b.subarray(0, -1))],
  ["nothing in it", "ERR_TLS_DECODE_ERROR", (m) => editBytes(m, () => new Uint8Array(0))],
];

describe("a ClientHello with", () => {
  it.each(IN_CLIENT_HELLO)("%s: %s", (_name, code, change) => {
    expectRefusal(world.honestServer(), world.rogueClient({ tamper: nth(1, change) }), verdict(code, "RECVD_CH"));
  });

  it("a share for a group listed twice, sent twice: illegal_parameter", () => {
    const change = hello((h) => ({
      ...h,
      extensions: withRaw(
        withRaw(h.extensions, "supported_groups", 0, 4, 0, 29, 0, 29),
        "key_share",
        ...[0, 72, ...share(29, 32), ...share(29, 32)],
      ),
    }));
    const client = world.rogueClient({ tamper: nth(1, change) });
    expectRefusal(world.honestServer(), client, verdict("ERR_TLS_ILLEGAL_PARAMETER", "RECVD_CH"));
  });

  it("a name that no identity has, where that is refused: unrecognized_name", () => {
    const server = world.honestServer({ strictServerName: true });
    const client = world.rogueClient({}, { serverName: "elsewhere.example" });
    expectRefusal(server, client, verdict("ERR_TLS_UNRECOGNIZED_NAME", "RECVD_CH"));
  });

  it("what nobody knows, in every list: it is ignored (9.3)", () => {
    const server = world.honestServer();
    const change = hello((h) => ({
      ...h,
      cipher_suites: [0x0a0a, ...h.cipher_suites, 0x00ff],
      extensions: [
        raw(0x0a0a),
        ...withRaw(
          withRaw(h.extensions, "supported_versions", 4, 0x7a, 0x7a, 3, 4),
          "signature_algorithms",
          0,
          4,
          0xfe,
          0xfe,
          4,
          3,
        ),
        raw(0x1a1a, 0),
      ],
    }));
    const client = world.rogueClient({ tamper: nth(1, change) });
    confront(server, client);
    expect([failure(server), client.error]).toEqual([undefined, undefined]);
    expect(server.engine.state).toBe("CONNECTED");
  });
});

const point = (length: number) => [4, ...new Array(length - 1).fill(1)];
const filled = (length: number, byte: number): number[] => new Array(length).fill(byte);
const BAD_SHARES = [
  ["x25519", "all zero", filled(32, 0)],
  ["x25519", "a point of small order", [1, ...filled(31, 0)]],
  ["x25519", "short", filled(31, 9)],
  ["x25519", "long", filled(33, 9)],
  ["secp256r1", "not on the curve", point(65)],
  ["secp256r1", "short", point(64)],
  ["secp256r1", "long", point(66)],
  ["secp256r1", "compressed", [2, ...filled(32, 7)]],
  ["secp256r1", "in hybrid form", [6, ...filled(64, 1)]],
  ["secp256r1", "the point at infinity", [0]],
  ["secp384r1", "not on the curve", point(97)],
  ["secp384r1", "of another curve's length", point(65)],
  ["secp521r1", "not on the curve", point(133)],
  ["secp521r1", "short", point(132)],
  ["X25519MLKEM768", "short", filled(1215, 9)],
  ["X25519MLKEM768", "long", filled(1217, 9)],
  ["X25519MLKEM768", "with coefficients beyond the modulus (FIPS 203 7.2)", filled(1216, 0xff)],
  ["X25519MLKEM768", "with an all-zero X25519 half", filled(1216, 0)],
] as const;

describe("a client's share", () => {
  it.each(BAD_SHARES)("for %s that is %s: illegal_parameter", (group, _what, bytes) => {
    const groups = [group];
    const code = { x25519: 29, secp256r1: 23, secp384r1: 24, secp521r1: 25, X25519MLKEM768: 0x11ec }[group];
    const change = shares([code >> 8, code & 0xff, bytes.length >> 8, bytes.length & 0xff, ...bytes]);
    expectRefusal(
      world.honestServer({ groups }),
      world.rogueClient({ tamper: nth(1, change) }, { groups, keyShares: groups }),
      verdict("ERR_TLS_ILLEGAL_PARAMETER", "NEGOTIATED"),
    );
  });
});

const IN_SECOND: readonly [string, Code, Change, StateName?][] = [
  ["another random", "ERR_TLS_ILLEGAL_PARAMETER", hello((h) => ({ ...h, random: new Uint8Array(32) }))],
  [
    "another legacy_session_id",
    "ERR_TLS_ILLEGAL_PARAMETER",
    hello((h) => ({ ...h, legacy_session_id: new Uint8Array(32) })),
  ],
  ["no legacy_session_id", "ERR_TLS_ILLEGAL_PARAMETER", hello((h) => ({ ...h, legacy_session_id: new Uint8Array(0) }))],
  [
    "a cipher suite less",
    "ERR_TLS_ILLEGAL_PARAMETER",
    hello((h) => ({ ...h, cipher_suites: h.cipher_suites.slice(0, -1) })),
  ],
  [
    "its cipher suites in another order",
    "ERR_TLS_ILLEGAL_PARAMETER",
    hello((h) => ({ ...h, cipher_suites: [...h.cipher_suites].reverse() })),
  ],
  [
    "another protocol",
    "ERR_TLS_ILLEGAL_PARAMETER",
    extended("application_layer_protocol_negotiation", 0, 3, 2, 0x68, 0x32),
  ],
  ["another name", "ERR_TLS_ILLEGAL_PARAMETER", extended("server_name", 0, 4, 0, 0, 1, 0x61)],
  ["an extension less", "ERR_TLS_ILLEGAL_PARAMETER", lacking("signature_algorithms_cert")],
  ["an extension more", "ERR_TLS_ILLEGAL_PARAMETER", extended(0x0a0a)],
  [
    "its extensions in another order",
    "ERR_TLS_ILLEGAL_PARAMETER",
    hello((h) => ({ ...h, extensions: [...(h.extensions ?? [])].reverse() })),
  ],
  ["other groups", "ERR_TLS_ILLEGAL_PARAMETER", extended("supported_groups", 0, 2, 0, 23)],
  ["early_data", "ERR_TLS_ILLEGAL_PARAMETER", extended("early_data")],
  ["its first share again", "ERR_TLS_ILLEGAL_PARAMETER", shares(share(29, 32))],
  ["a share more", "ERR_TLS_ILLEGAL_PARAMETER", shares(share(23, 65), share(24, 97))],
  ["no share", "ERR_TLS_ILLEGAL_PARAMETER", shares()],
  ["a cookie nobody gave it", "ERR_TLS_ILLEGAL_PARAMETER", extended("cookie", 0, 1, 7)],
  ["TLS 1.2 alone", "ERR_SSL_UNSUPPORTED_PROTOCOL", extended("supported_versions", 2, 3, 3)],
  [
    "compression",
    "ERR_TLS_ILLEGAL_PARAMETER",
    hello((h) => ({ ...h, legacy_compression_methods: Uint8Array.of(0, 1) })),
  ],
  ["a byte too many", "ERR_TLS_DECODE_ERROR", (m) => editBytes(m, (b) => concat(b, Uint8Array.of(0)))],
];

describe("a second ClientHello with", () => {
  const groups = ["secp256r1"] as const;

  it.each(IN_SECOND)("%s: %s", (_name, code, change) => {
    const client = world.rogueClient({ tamper: nth(2, change) });
    expectRefusal(world.honestServer({ groups }), client, verdict(code, "RECVD_CH"));
  });

  it("a point that is not on the curve: illegal_parameter", () => {
    const client = world.rogueClient({ tamper: nth(2, shares([0, 23, 0, 65, ...point(65)])) });
    expectRefusal(world.honestServer({ groups }), client, verdict("ERR_TLS_ILLEGAL_PARAMETER", "NEGOTIATED"));
  });

  it("its beginning in the record of the first: unexpected_message (5.1)", () => {
    expectRefusal(
      world.honestServer({ groups }),
      world.rogueClient({ records: longer() }),
      verdict("ERR_SSL_UNEXPECTED_MESSAGE", "RECVD_CH"),
    );
  });

  it("padding, which may change (4.1.2): accepted", () => {
    const server = world.honestServer({ groups });
    const client = world.rogueClient({ tamper: nth(2, extended("padding", 0, 0, 0)) });
    confront(server, client);
    expect([failure(server), server.engine.result?.retried]).toEqual([undefined, true]);
  });

  const config = <C extends { sources: ReturnType<typeof liveSources> }>(given: C): C => ({
    ...given,
    sources: { ...liveSources(provider), cookie: () => utf8("cookie") },
  });

  it.each([
    ["no cookie", lacking("cookie")],
    ["another cookie", extended("cookie", 0, 6, ...utf8("cooked"))],
    ["more of a cookie", extended("cookie", 0, 7, ...utf8("cookies"))],
  ])("%s where one was given: illegal_parameter", (_name, change) => {
    const client = world.rogueClient({ tamper: nth(2, change) });
    const server = world.honestServer({ groups }, { config });
    expectRefusal(server, client, verdict("ERR_TLS_ILLEGAL_PARAMETER", "RECVD_CH"));
  });

  it("the cookie that was given: accepted", () => {
    const server = world.honestServer({ groups }, { config });
    confront(server, world.rogueClient());
    expect([failure(server), server.engine.result?.retried]).toEqual([undefined, true]);
  });
});
