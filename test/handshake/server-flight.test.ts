/** Every check that a client makes of a server's messages, each broken alone. */
import { beforeAll, describe, expect, it } from "vitest";
import { concat, utf8 } from "../../src/bytes/bytes.ts";
import type { ExtensionName } from "../../src/codec/extensions.ts";
import { find } from "../../src/codec/extensions.ts";
import {
  CertificateRequest,
  ClientHello,
  EncryptedExtensions,
  HelloRetryRequest,
  ServerHello,
} from "../../src/codec/messages.ts";
import { decode } from "../../src/codec/schema.ts";
import type { HandshakeName } from "../../src/flow.ts";
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

/** Changes every message of one name. */
const only =
  (wanted: HandshakeName, change: (message: Uint8Array) => ReturnType<Tamper>): Tamper =>
  (message, name) =>
    name === wanted ? change(message) : undefined;

const serverHello = (change: (hello: ServerHello) => ServerHello) =>
  only("server_hello", (message) => edit(message, ServerHello, change));
const helloExtension = (extension: ExtensionName | number, ...data: number[]) =>
  serverHello((hello) => ({ ...hello, extensions: withRaw(hello.extensions, extension, ...data) }));
const legacyHello = (version: number, sentinel: string) =>
  only("server_hello", (message) =>
    edit(message, ServerHello, (hello) => ({
      ...hello,
      legacy_version: version,
      random: concat(hello.random.subarray(0, 32 - sentinel.length), utf8(sentinel)),
      // A TLS 1.2 server's renegotiation_info and session_ticket.
      extensions: [raw(0xff01, 0), raw(35)],
    })),
  );

const IN_SERVER_HELLO: readonly [string, Code, Tamper][] = [
  ["legacy_version 0x0304", "ERR_SSL_UNSUPPORTED_PROTOCOL", serverHello((h) => ({ ...h, legacy_version: 0x0304 }))],
  [
    "another legacy_session_id_echo",
    "ERR_TLS_ILLEGAL_PARAMETER",
    serverHello((h) => ({ ...h, legacy_session_id_echo: new Uint8Array(32) })),
  ],
  [
    "no legacy_session_id_echo",
    "ERR_TLS_ILLEGAL_PARAMETER",
    serverHello((h) => ({ ...h, legacy_session_id_echo: new Uint8Array(0) })),
  ],
  ["a cipher suite nobody offered", "ERR_TLS_ILLEGAL_PARAMETER", serverHello((h) => ({ ...h, cipher_suite: 0x1304 }))],
  ["a TLS 1.2 cipher suite", "ERR_TLS_ILLEGAL_PARAMETER", serverHello((h) => ({ ...h, cipher_suite: 0xc02f }))],
  ["compression", "ERR_TLS_ILLEGAL_PARAMETER", serverHello((h) => ({ ...h, legacy_compression_method: 1 }))],
  ["selected_version TLS 1.2", "ERR_TLS_ILLEGAL_PARAMETER", helloExtension("supported_versions", 3, 3)],
  ["selected_version beyond TLS 1.3", "ERR_TLS_ILLEGAL_PARAMETER", helloExtension("supported_versions", 3, 5)],
  ["a share for an unknown group", "ERR_TLS_ILLEGAL_PARAMETER", helloExtension("key_share", 0x6a, 0x6a, 0, 1, 0)],
  [
    "a share for a group that got none",
    "ERR_TLS_ILLEGAL_PARAMETER",
    helloExtension("key_share", 0, 23, 0, 65, 4, ...new Array(64).fill(1)),
  ],
  [
    "no key_share",
    "ERR_TLS_MISSING_EXTENSION",
    serverHello((h) => ({ ...h, extensions: without(h.extensions, "key_share") })),
  ],
  [
    "no supported_versions",
    "ERR_SSL_UNSUPPORTED_PROTOCOL",
    serverHello((h) => ({ ...h, extensions: without(h.extensions, "supported_versions") })),
  ],
  ["an unrequested pre_shared_key", "ERR_TLS_UNSUPPORTED_EXTENSION", helloExtension("pre_shared_key", 0, 0)],
  ["an unknown extension", "ERR_TLS_UNSUPPORTED_EXTENSION", helloExtension(0x0a0a)],
  [
    "an extension of EncryptedExtensions",
    "ERR_TLS_ILLEGAL_PARAMETER",
    helloExtension("application_layer_protocol_negotiation", 0, 3, 2, 0x68, 0x32),
  ],
  ["a cookie", "ERR_TLS_ILLEGAL_PARAMETER", helloExtension("cookie", 0, 1, 0)],
  [
    "the same extension twice",
    "ERR_TLS_ILLEGAL_PARAMETER",
    serverHello((h) => ({ ...h, extensions: [...h.extensions, raw("supported_versions", 3, 4)] })),
  ],
  ["an empty share", "ERR_TLS_DECODE_ERROR", helloExtension("key_share", 0, 29, 0, 0)],
  [
    "a byte too many",
    "ERR_TLS_DECODE_ERROR",
    only("server_hello", (m) => editBytes(m, (b) => concat(b, b.subarray(0, 1)))),
  ],
  ["a byte too few", "ERR_TLS_DECODE_ERROR", only("server_hello", (m) => editBytes(m, (b) => b.subarray(0, -1)))],
  ["nothing in it", "ERR_TLS_DECODE_ERROR", only("server_hello", (m) => editBytes(m, () => new Uint8Array(0)))],
  ["TLS 1.2", "ERR_SSL_UNSUPPORTED_PROTOCOL", legacyHello(0x0303, "")],
  ["TLS 1.0", "ERR_SSL_UNSUPPORTED_PROTOCOL", legacyHello(0x0301, "")],
  ["TLS 1.2 and a sentinel", "ERR_TLS_DOWNGRADE", legacyHello(0x0303, "DOWNGRD\x01")],
  ["TLS 1.1 and a sentinel", "ERR_TLS_DOWNGRADE", legacyHello(0x0302, "DOWNGRD\x00")],
];

describe("a ServerHello with", () => {
  it.each(IN_SERVER_HELLO)("%s: %s", (_name, code, tamper) => {
    expectRefusal(world.honestClient(), world.rogueServer({ tamper }), verdict(code, "WAIT_SH"));
  });

  it("a suite that the library knows but this client did not offer: ERR_TLS_ILLEGAL_PARAMETER", () => {
    const client = world.honestClient({ cipherSuites: ["TLS_AES_128_GCM_SHA256"] });
    const tamper = serverHello((hello) => ({ ...hello, cipher_suite: 0x1302 }));
    expectRefusal(client, world.rogueServer({ tamper }), verdict("ERR_TLS_ILLEGAL_PARAMETER", "WAIT_SH"));
  });

  it("TLS 1.3 and a sentinel is fine: nothing was downgraded (4.1.3)", () => {
    const client = world.honestClient();
    const tamper = serverHello((hello) => ({
      ...hello,
      random: concat(hello.random.subarray(0, 24), utf8("DOWNGRD\x01")),
    }));
    confront(client, world.rogueServer({ tamper }));
    expect(failure(client)).toBeUndefined();
    expect(client.engine.state).toBe("CONNECTED");
  });
});

const point = (length: number) => [4, ...new Array(length - 1).fill(1)];
const zeros = (length: number): number[] => new Array(length).fill(0);
const BAD_SHARES = [
  ["x25519", "all zero", zeros(32)],
  ["x25519", "a point of small order", [1, ...zeros(31)]],
  ["x25519", "short", zeros(31).fill(9)],
  ["x25519", "long", zeros(33).fill(9)],
  ["secp256r1", "not on the curve", point(65)],
  ["secp256r1", "short", point(64)],
  ["secp256r1", "long", point(66)],
  ["secp256r1", "compressed", [2, ...zeros(32).fill(7)]],
  ["secp256r1", "the point at infinity", [0]],
  ["secp384r1", "not on the curve", point(97)],
  ["secp384r1", "of another curve's length", point(65)],
  ["secp521r1", "not on the curve", point(133)],
  ["secp521r1", "short", point(132)],
  ["X25519MLKEM768", "short", zeros(1119).fill(9)],
  ["X25519MLKEM768", "long", zeros(1121).fill(9)],
  ["X25519MLKEM768", "with an all-zero X25519 half", zeros(1120)],
] as const;

describe("a server's share", () => {
  it.each(BAD_SHARES)("for %s that is %s: illegal_parameter", (group, _what, share) => {
    const groups = [group];
    const code = { x25519: 29, secp256r1: 23, secp384r1: 24, secp521r1: 25, X25519MLKEM768: 0x11ec }[group];
    const tamper = helloExtension(
      "key_share",
      code >> 8,
      code & 0xff,
      share.length >> 8,
      share.length & 0xff,
      ...share,
    );
    expectRefusal(
      world.honestClient({ groups, keyShares: groups }),
      world.rogueServer({ tamper }, { groups }),
      verdict("ERR_TLS_ILLEGAL_PARAMETER", "WAIT_SH"),
    );
  });
});

const retry = (change: (hello: HelloRetryRequest) => HelloRetryRequest) =>
  only("hello_retry_request", (message) => edit(message, HelloRetryRequest, change));
const retryExtension = (extension: ExtensionName | number, ...data: number[]) =>
  retry((hello) => ({ ...hello, extensions: withRaw(hello.extensions, extension, ...data) }));

const IN_RETRY: readonly [string, Code, Tamper][] = [
  [
    "nothing to change",
    "ERR_TLS_ILLEGAL_PARAMETER",
    retry((h) => ({ ...h, extensions: without(h.extensions, "key_share") })),
  ],
  ["a group that already has a share", "ERR_TLS_ILLEGAL_PARAMETER", retryExtension("key_share", 0, 29)],
  ["a group nobody offered", "ERR_TLS_ILLEGAL_PARAMETER", retryExtension("key_share", 0, 25)],
  ["an unknown group", "ERR_TLS_ILLEGAL_PARAMETER", retryExtension("key_share", 0x6a, 0x6a)],
  ["a whole share", "ERR_TLS_DECODE_ERROR", retryExtension("key_share", 0, 23, 0, 1, 0)],
  ["a suite nobody offered", "ERR_TLS_ILLEGAL_PARAMETER", retry((h) => ({ ...h, cipher_suite: 0x1304 }))],
  ["compression", "ERR_TLS_ILLEGAL_PARAMETER", retry((h) => ({ ...h, legacy_compression_method: 1 }))],
  ["legacy_version 0x0302", "ERR_SSL_UNSUPPORTED_PROTOCOL", retry((h) => ({ ...h, legacy_version: 0x0302 }))],
  [
    "another legacy_session_id_echo",
    "ERR_TLS_ILLEGAL_PARAMETER",
    retry((h) => ({ ...h, legacy_session_id_echo: new Uint8Array(32) })),
  ],
  ["selected_version TLS 1.2", "ERR_TLS_ILLEGAL_PARAMETER", retryExtension("supported_versions", 3, 3)],
  [
    "no supported_versions",
    "ERR_SSL_UNSUPPORTED_PROTOCOL",
    retry((h) => ({ ...h, extensions: without(h.extensions, "supported_versions") })),
  ],
  ["an unknown extension", "ERR_TLS_UNSUPPORTED_EXTENSION", retryExtension(0x0a0a)],
  ["an extension of ServerHello", "ERR_TLS_ILLEGAL_PARAMETER", retryExtension("pre_shared_key", 0, 0)],
  ["an empty cookie", "ERR_TLS_DECODE_ERROR", retryExtension("cookie", 0, 0)],
];

describe("a HelloRetryRequest with", () => {
  const groups = ["secp256r1"] as const;

  it.each(IN_RETRY)("%s: %s", (_name, code, tamper) => {
    expectRefusal(world.honestClient(), world.rogueServer({ tamper }, { groups }), verdict(code, "WAIT_SH"));
  });

  it("the beginning of a ServerHello in its record: unexpected_message (5.1)", () => {
    const server = world.rogueServer({ records: longer() }, { groups });
    expectRefusal(world.honestClient(), server, verdict("ERR_SSL_UNEXPECTED_MESSAGE", "WAIT_SH"));
  });

  it("another after it: unexpected_message", () => {
    let first: Uint8Array | undefined;
    const tamper: Tamper = (message, name) => {
      if (name === "hello_retry_request") first = message;
      return name === "server_hello" ? first : undefined;
    };
    const server = world.rogueServer({ tamper }, { groups });
    expectRefusal(world.honestClient(), server, verdict("ERR_SSL_UNEXPECTED_MESSAGE", "WAIT_SH"));
  });

  it("another suite in the ServerHello after it: illegal_parameter", () => {
    const tamper = serverHello((hello) => ({
      ...hello,
      cipher_suite: hello.cipher_suite === 0x1303 ? 0x1301 : 0x1303,
    }));
    const server = world.rogueServer({ tamper }, { groups });
    expectRefusal(world.honestClient(), server, verdict("ERR_TLS_ILLEGAL_PARAMETER", "WAIT_SH"));
  });

  it("another group in the ServerHello after it: illegal_parameter", () => {
    const tamper = helloExtension("key_share", 0, 29, 0, 32, ...zeros(32).fill(9));
    const server = world.rogueServer({ tamper }, { groups });
    expectRefusal(world.honestClient(), server, verdict("ERR_TLS_ILLEGAL_PARAMETER", "WAIT_SH"));
  });

  it("a cookie: the client gives it back, and the handshake goes on", () => {
    const cookie = utf8("a cookie");
    const config = <C extends { sources: ReturnType<typeof liveSources> }>(given: C): C => ({
      ...given,
      sources: { ...liveSources(provider), cookie: () => cookie },
    });
    const client = world.honestClient();
    const server = world.rogueServer({}, { groups }, { config });
    confront(client, server);
    expect([failure(client), server.error]).toEqual([undefined, undefined]);
    expect([client.engine.result?.retried, client.engine.result?.group]).toEqual([true, "secp256r1"]);
  });

  it("a cookie alone: the second ClientHello is the first with the cookie", () => {
    const client = world.honestClient();
    const tamper = retry((hello) => ({
      ...hello,
      extensions: [...without(hello.extensions, "key_share"), raw("cookie", 0, 2, 7, 7)],
    }));
    const server = world.rogueServer({ tamper }, { groups });
    confront(client, server);
    const [first, second] = server.received
      .filter(({ type, content }) => type === 22 && content[0] === 1)
      .map(({ content }) => decode(ClientHello, content.subarray(4)));
    expect(find(second?.extensions ?? [], "cookie")).toEqual(Uint8Array.of(7, 7));
    expect({ ...second, extensions: without(second?.extensions, "cookie") }).toEqual(first);
  });
});

const encrypted = (change: (body: EncryptedExtensions) => EncryptedExtensions) =>
  only("encrypted_extensions", (message) => edit(message, EncryptedExtensions, change));
const encryptedExtension = (extension: ExtensionName | number, ...data: number[]) =>
  encrypted((body) => ({ extensions: withRaw(body.extensions, extension, ...data) }));
const alpn = (...names: string[]) => {
  const list = names.flatMap((name) => [name.length, ...utf8(name)]);
  return encryptedExtension("application_layer_protocol_negotiation", list.length >> 8, list.length & 0xff, ...list);
};

const IN_ENCRYPTED_EXTENSIONS: readonly [string, Code, Tamper][] = [
  ["a protocol nobody offered", "ERR_TLS_ILLEGAL_PARAMETER", alpn("spdy/3")],
  ["two protocols", "ERR_TLS_ILLEGAL_PARAMETER", alpn("h2", "http/1.1")],
  ["an empty protocol list", "ERR_TLS_DECODE_ERROR", alpn()],
  ["an empty protocol", "ERR_TLS_DECODE_ERROR", alpn("")],
  ["unrequested early_data", "ERR_TLS_UNSUPPORTED_EXTENSION", encryptedExtension("early_data")],
  ["an unrequested record_size_limit", "ERR_TLS_UNSUPPORTED_EXTENSION", encryptedExtension("record_size_limit", 64, 0)],
  ["an unknown extension", "ERR_TLS_UNSUPPORTED_EXTENSION", encryptedExtension(0x0a0a)],
  ["an extension of TLS 1.2", "ERR_TLS_UNSUPPORTED_EXTENSION", encryptedExtension("extended_master_secret")],
  ["an extension of ServerHello", "ERR_TLS_ILLEGAL_PARAMETER", encryptedExtension("supported_versions", 3, 4)],
  ["a name in server_name", "ERR_TLS_DECODE_ERROR", encryptedExtension("server_name", 0)],
  [
    "the same extension twice",
    "ERR_TLS_ILLEGAL_PARAMETER",
    encrypted(({ extensions }) => ({ extensions: [...extensions, raw("server_name")] })),
  ],
  ["no block", "ERR_TLS_DECODE_ERROR", only("encrypted_extensions", (m) => editBytes(m, () => new Uint8Array(0)))],
  [
    "a byte too many",
    "ERR_TLS_DECODE_ERROR",
    only("encrypted_extensions", (m) => editBytes(m, (b) => concat(b, b.subarray(0, 1)))),
  ],
];

describe("EncryptedExtensions with", () => {
  it.each(IN_ENCRYPTED_EXTENSIONS)("%s: %s", (_name, code, tamper) => {
    expectRefusal(world.honestClient(), world.rogueServer({ tamper }), verdict(code, "WAIT_EE"));
  });

  it("ALPN where the client had none: unsupported_extension", () => {
    const client = world.honestClient({ alpn: [] });
    expectRefusal(
      client,
      world.rogueServer({ tamper: alpn("h2") }),
      verdict("ERR_TLS_UNSUPPORTED_EXTENSION", "WAIT_EE"),
    );
  });
});

const request = (change: (body: CertificateRequest) => CertificateRequest) =>
  only("certificate_request", (message) => edit(message, CertificateRequest, change));
const requestExtension = (extension: ExtensionName | number, ...data: number[]) =>
  request((body) => ({ ...body, extensions: withRaw(body.extensions, extension, ...data) }));

const IN_REQUEST: readonly [string, Code, Tamper][] = [
  [
    "no signature_algorithms",
    "ERR_TLS_MISSING_EXTENSION",
    request((body) => ({ ...body, extensions: without(body.extensions, "signature_algorithms") })),
  ],
  ["no extensions at all", "ERR_TLS_MISSING_EXTENSION", request((body) => ({ ...body, extensions: [] }))],
  ["empty signature_algorithms", "ERR_TLS_DECODE_ERROR", requestExtension("signature_algorithms", 0, 0)],
  [
    "a context",
    "ERR_TLS_ILLEGAL_PARAMETER",
    request((body) => ({ ...body, certificate_request_context: Uint8Array.of(1) })),
  ],
  ["an extension of ClientHello alone", "ERR_TLS_ILLEGAL_PARAMETER", requestExtension("psk_key_exchange_modes", 1, 1)],
  [
    "an extension of EncryptedExtensions",
    "ERR_TLS_ILLEGAL_PARAMETER",
    requestExtension("application_layer_protocol_negotiation", 0, 3, 2, 0x68, 0x32),
  ],
  [
    "an empty name among its authorities",
    "ERR_TLS_DECODE_ERROR",
    requestExtension("certificate_authorities", 0, 2, 0, 0),
  ],
];

describe("a CertificateRequest with", () => {
  it.each(IN_REQUEST)("%s: %s", (_name, code, tamper) => {
    expectRefusal(world.honestClient(), world.rogueServer({ tamper }), verdict(code, "WAIT_CERT_CR"));
  });

  it("an OID filter that is not DER: decode_error, once an identity is to be chosen", () => {
    const tamper = requestExtension("oid_filters", 0, 5, 2, 6, 0x7f, 0, 0);
    const server = world.rogueServer({ tamper });
    expectRefusal(world.honestClient(), server, verdict("ERR_TLS_DECODE_ERROR", "WAIT_FINISHED"));
  });

  it("extensions that nobody knows: they are ignored (4.3.2)", () => {
    const client = world.honestClient();
    const server = world.rogueServer({ tamper: requestExtension(0x0a0a, 1, 2, 3) });
    confront(client, server);
    expect([failure(client), server.error]).toEqual([undefined, undefined]);
    expect(server.result?.peer?.commonName).toBe("client");
  });
});
