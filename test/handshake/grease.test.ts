/** GREASE, RFC 8701: what is sent, that it disturbs nobody, and that nobody gets away with choosing it. */
import { beforeAll, describe, expect, it } from "vitest";
import { concat } from "../../src/bytes/bytes.ts";
import { type Extension, find } from "../../src/codec/extensions.ts";
import {
  Certificate,
  CertificateRequest,
  CertificateVerify,
  ClientHello,
  decodeBody,
  EncryptedExtensions,
  HelloRetryRequest,
  NewSessionTicket,
  ServerHello,
} from "../../src/codec/messages.ts";
import { isGrease } from "../../src/codec/registry.ts";
import { decode } from "../../src/codec/schema.ts";
import { type Observation, sealedTickets, sessionCache } from "../../src/engine/index.ts";
import { recordingSources, replayingSources, type TapeEntry } from "../../src/handshake/sources.ts";
import { exchange, failure } from "../support/pair.ts";
import { expectRefusal, verdict } from "../support/refusal.ts";
import { confront, type Tamper } from "../support/rogue.ts";
import { createWorld, edit, raw, rawMessage, type World, without, withRaw } from "../support/world.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
});

/** The messages of one handshake by name, as often as they came. */
function watching() {
  const seen = new Map<string, Uint8Array[]>();
  const observer = (observation: Observation) => {
    if (observation.kind !== "message") return;
    seen.set(observation.type, [...(seen.get(observation.type) ?? []), observation.bytes.slice()]);
  };
  const bodies = (name: string) => (seen.get(name) ?? []).map((message) => message.subarray(4));
  return { bodies, observer };
}

const greasy = (codes: readonly number[] = []): number[] => codes.filter(isGrease);
const unknownCodes = (block: readonly { readonly code: number }[]) => greasy(block.map(({ code }) => code));
/** RFC 8701 2 */
const MODES = [0x0b, 0x2a, 0x49, 0x68, 0x87, 0xa6, 0xc5, 0xe4];

/** A replay of what a greasing client drew last. */
function clientHello(): { readonly hello: ClientHello; readonly block: readonly Extension<"CH">[] } {
  const { bodies, observer } = watching();
  world.honestClient({ grease: true, sessions: sessionCache(), observer });
  const hello = decode(ClientHello, bodies("client_hello")[0] as Uint8Array);
  return { hello, block: hello.extensions ?? [] };
}

describe("a greasing client", () => {
  it("puts one value everywhere, and two extensions, the last of which is not empty", () => {
    for (let round = 0; round < 40; round++) {
      const { hello, block } = clientHello();
      expect(greasy(hello.cipher_suites)).toHaveLength(1);
      expect(greasy(find(block, "supported_groups"))).toHaveLength(1);
      expect(greasy(find(block, "supported_versions"))).toHaveLength(1);
      expect(greasy(find(block, "signature_algorithms"))).toHaveLength(1);
      const shares = find(block, "key_share") ?? [];
      expect(shares[0]).toEqual({
        group: greasy(find(block, "supported_groups"))[0],
        key_exchange: Uint8Array.of(0),
      });
      const protocols = find(block, "application_layer_protocol_negotiation") ?? [];
      expect(
        protocols.filter((p) => p.length === 2 && isGrease(((p[0] as number) << 8) | (p[1] as number))),
      ).toHaveLength(protocols.filter((p) => p.length === 2 && p[0] !== 0x68).length);
      expect(protocols).toHaveLength(3);
      const modes = find(block, "psk_key_exchange_modes") ?? [];
      expect(modes.filter((mode) => MODES.includes(mode))).toHaveLength(1);
      const codes = unknownCodes(block);
      expect([codes.length, new Set(codes).size, block[0]?.code, block.at(-1)?.code]).toEqual([2, 2, ...codes]);
      expect([block[0]?.value, block.at(-1)?.value]).toEqual([new Uint8Array(0), Uint8Array.of(0)]);
    }
  });

  it("draws from the sources alone, so that a handshake replays", () => {
    const tape: TapeEntry[] = [];
    const start = (
      config: (sources: Parameters<typeof recordingSources>[0]) => Parameters<typeof recordingSources>[0],
    ) => {
      const { bodies, observer } = watching();
      world.honestClient(
        { grease: true, observer },
        { config: (inner) => ({ ...inner, sources: config(inner.sources) }) },
      );
      return bodies("client_hello")[0];
    };
    const first = start((sources) => recordingSources(sources, tape));
    expect(tape.map(({ kind }) => kind)).toContain("grease");
    expect(start(() => replayingSources(tape))).toEqual(first);
  });

  it.each([
    ["without a retry", ["x25519"]],
    ["with a retry, and the same values", ["secp256r1"]],
  ] as const)("is served %s", (_what, groups) => {
    const { bodies, observer } = watching();
    const client = world.honestClient({ grease: true, observer });
    const server = world.honestServer({ groups });
    exchange(client, server);
    expect([failure(client), failure(server)]).toEqual([undefined, undefined]);
    const hellos = bodies("client_hello").map((body) => decode(ClientHello, body));
    expect(hellos).toHaveLength(groups[0] === "x25519" ? 1 : 2);
    const [before, after = before] = hellos.map((hello) => [
      greasy(hello.cipher_suites),
      unknownCodes(hello.extensions ?? []),
      greasy(find(hello.extensions ?? [], "supported_groups")),
    ]);
    expect(after).toEqual(before);
  });

  it("resumes", () => {
    const sessions = sessionCache();
    const options = { grease: true, sessions };
    const tickets = { store: sealedTickets() };
    for (const resumed of [false, true]) {
      const client = world.honestClient(options);
      const server = world.honestServer({ tickets, grease: true });
      exchange(client, server);
      expect([failure(client), failure(server), client.engine.result?.resumed]).toEqual([
        undefined,
        undefined,
        resumed,
      ]);
    }
  });
});

it("a greasing server puts values into CertificateRequest and tickets, which a client passes over (RFC 8701 4)", () => {
  const { bodies, observer } = watching();
  const sessions = sessionCache();
  const client = world.honestClient({ observer, sessions });
  const server = world.honestServer({ grease: true, tickets: { store: sealedTickets() } });
  exchange(client, server);
  expect([failure(client), failure(server)]).toEqual([undefined, undefined]);
  const request = decode(CertificateRequest, bodies("certificate_request")[0] as Uint8Array);
  expect(unknownCodes(request.extensions)).toHaveLength(1);
  expect(greasy(find(request.extensions, "signature_algorithms"))).toHaveLength(1);
  const tickets = bodies("new_session_ticket").map((body) => decode(NewSessionTicket, body));
  expect(tickets.map(({ extensions }) => unknownCodes(extensions).length)).toEqual([1, 1]);
  expect(client.events.filter(({ type }) => type === "ticket")).toHaveLength(2);
});

describe("a server that chooses the client's GREASE is refused with illegal_parameter", () => {
  /** The rogue reads the hello that it answers. */
  const choosing = (change: (message: Uint8Array, name: string, hello: ClientHello) => Uint8Array | undefined) => {
    const { bodies, observer } = watching();
    const client = world.honestClient({ grease: true, observer });
    const tamper: Tamper = (message, name) =>
      change(message, name, decode(ClientHello, bodies("client_hello")[0] as Uint8Array));
    return { client, tamper };
  };
  const code = (list: readonly number[] | undefined) => greasy(list)[0] as number;
  const two = (value: number) => [value >> 8, value & 0xff];

  it.each([
    [
      "suite",
      "WAIT_SH",
      (message, name, hello) =>
        name === "server_hello"
          ? edit(message, ServerHello, (s) => ({ ...s, cipher_suite: code(hello.cipher_suites) }))
          : undefined,
    ],
    [
      "version",
      "WAIT_SH",
      (message, name, hello) =>
        name === "server_hello"
          ? edit(message, ServerHello, (s) => ({
              ...s,
              extensions: withRaw(
                s.extensions,
                "supported_versions",
                ...two(code(find(hello.extensions ?? [], "supported_versions"))),
              ),
            }))
          : undefined,
    ],
    [
      "group",
      "WAIT_SH",
      (message, name, hello) =>
        name === "server_hello"
          ? edit(message, ServerHello, (s) => ({
              ...s,
              extensions: withRaw(
                s.extensions,
                "key_share",
                ...two(code(find(hello.extensions ?? [], "supported_groups"))),
                0,
                1,
                0,
              ),
            }))
          : undefined,
    ],
    [
      "extension in ServerHello",
      "WAIT_SH",
      (message, name, hello) =>
        name === "server_hello"
          ? edit(message, ServerHello, (s) => ({
              ...s,
              extensions: [...s.extensions, raw(unknownCodes(hello.extensions ?? [])[0] as number)],
            }))
          : undefined,
    ],
    [
      "extension in EncryptedExtensions",
      "WAIT_EE",
      (message, name, hello) =>
        name === "encrypted_extensions"
          ? edit(message, EncryptedExtensions, (e) => ({
              ...e,
              extensions: [...e.extensions, raw(unknownCodes(hello.extensions ?? [])[1] as number)],
            }))
          : undefined,
    ],
    [
      "protocol",
      "WAIT_EE",
      (message, name, hello) => {
        if (name !== "encrypted_extensions") return undefined;
        const [protocol] = find(hello.extensions ?? [], "application_layer_protocol_negotiation") ?? [];
        const data = [0, 3, 2, ...(protocol as Uint8Array)];
        return edit(message, EncryptedExtensions, (e) => ({
          ...e,
          extensions: withRaw(e.extensions, "application_layer_protocol_negotiation", ...data),
        }));
      },
    ],
    [
      "extension of a certificate",
      "WAIT_CERT",
      (message, name, hello) =>
        name === "certificate"
          ? edit(message, Certificate, (c) => ({
              ...c,
              certificate_list: c.certificate_list.map((entry) => ({
                ...entry,
                extensions: [raw(unknownCodes(hello.extensions ?? [])[0] as number)],
              })),
            }))
          : undefined,
    ],
    [
      "signature scheme",
      "WAIT_CV",
      (message, name, hello) =>
        name === "certificate_verify"
          ? edit(message, CertificateVerify, (v) => ({
              ...v,
              algorithm: code(find(hello.extensions ?? [], "signature_algorithms")),
            }))
          : undefined,
    ],
  ] as const satisfies readonly (readonly [string, string, Parameters<typeof choosing>[0]])[])(
    "%s",
    (_what, stage, change) => {
      const { client, tamper } = choosing(change);
      expectRefusal(client, world.rogueServer({ tamper }), verdict("ERR_TLS_ILLEGAL_PARAMETER", stage));
    },
  );

  it("group, in a HelloRetryRequest", () => {
    const { client, tamper } = choosing((message, name, hello) =>
      name === "hello_retry_request"
        ? edit(message, HelloRetryRequest, (r) => ({
            ...r,
            extensions: withRaw(
              without(r.extensions),
              "key_share",
              ...two(code(find(hello.extensions ?? [], "supported_groups"))),
            ),
          }))
        : undefined,
    );
    const server = world.rogueServer({ tamper }, { groups: ["secp256r1"] });
    expectRefusal(client, server, verdict("ERR_TLS_ILLEGAL_PARAMETER", "WAIT_SH"));
  });
});

describe("a client that chooses the server's GREASE is refused with illegal_parameter", () => {
  /** The rogue client reads the request that it answers out of what it has received. */
  const requestOf = (messages: readonly Uint8Array[]) => {
    const flight = concat(...messages);
    for (let rest = flight; rest.length > 4; ) {
      const length = 4 + (((rest[1] as number) << 16) | ((rest[2] as number) << 8) | (rest[3] as number));
      if (rest[0] === 13) return decode(CertificateRequest, rest.subarray(4, length));
      rest = rest.subarray(length);
    }
    throw new Error("no CertificateRequest");
  };

  it.each([
    [
      "extension of a certificate",
      "WAIT_CERT",
      (message: Uint8Array, name: string, request: () => CertificateRequest) =>
        name === "certificate"
          ? edit(message, Certificate, (c) => ({
              ...c,
              certificate_list: c.certificate_list.map((entry) => ({
                ...entry,
                extensions: [raw(unknownCodes(request().extensions)[0] as number)],
              })),
            }))
          : undefined,
    ],
    [
      "signature scheme",
      "WAIT_CV",
      (message: Uint8Array, name: string, request: () => CertificateRequest) =>
        name === "certificate_verify"
          ? edit(message, CertificateVerify, (v) => ({
              ...v,
              algorithm: greasy(find(request().extensions, "signature_algorithms"))[0] as number,
            }))
          : undefined,
    ],
  ] as const)("%s", (_what, stage, change) => {
    const server = world.honestServer({ grease: true });
    const rogue = world.rogueClient({
      tamper: (message, name) =>
        change(message, name, () =>
          requestOf(rogue.received.filter((r) => r.isProtected && r.type === 22).map(({ content }) => content)),
        ),
    });
    expectRefusal(server, rogue, verdict("ERR_TLS_ILLEGAL_PARAMETER", stage));
  });
});

describe("what is not known is passed over (RFC 8446 4.2 and 9.3)", () => {
  it("in CertificateRequest, with data", () => {
    const tamper: Tamper = (message, name) =>
      name === "certificate_request"
        ? edit(message, CertificateRequest, (r) => ({ ...r, extensions: [...r.extensions, raw(0xfe01, 1, 2, 3)] }))
        : undefined;
    const client = world.honestClient();
    const server = world.rogueServer({ tamper });
    confront(client, server);
    expect([failure(client), server.error, client.engine.state]).toEqual([undefined, undefined, "CONNECTED"]);
  });

  it("in NewSessionTicket", () => {
    const client = world.honestClient();
    const server = world.rogueServer();
    confront(client, server);
    const ticket = [0, 0, 0, 9, 0, 0, 0, 1, 1, 1, 0, 1, 7, 0, 6, 0xfe, 1, 0, 2, 5, 5];
    server.sendMessage(rawMessage(4, Uint8Array.from(ticket)));
    confront(client, server);
    expect([failure(client), client.events.at(-1)?.type]).toEqual([undefined, "ticket"]);
  });

  it("but an extension of another message is illegal_parameter in NewSessionTicket", () => {
    const client = world.honestClient();
    const server = world.rogueServer();
    confront(client, server);
    const ticket = [0, 0, 0, 9, 0, 0, 0, 1, 1, 1, 0, 1, 7, 0, 4, 0, 43, 0, 0];
    server.sendMessage(rawMessage(4, Uint8Array.from(ticket)));
    expectRefusal(client, server, verdict("ERR_TLS_ILLEGAL_PARAMETER", "CONNECTED"));
  });

  it.each([
    ["ticket_request (RFC 9149)", raw("ticket_request", 1, 1)],
    ["ticket_request that is longer than today's", raw("ticket_request", 1, 1, 1, 1)],
    ["one unknown", raw(0xfe01, 1, 2, 3)],
    ["status_request for a kind of status that nobody knows", raw("status_request", 9, 0, 0, 0, 0)],
  ])("in ClientHello: %s", (_what, extra) => {
    const tamper: Tamper = (message, name) =>
      name === "client_hello"
        ? edit(message, ClientHello, (h) => ({ ...h, extensions: [...(h.extensions ?? []), extra] }))
        : undefined;
    const server = world.honestServer();
    const client = world.rogueClient({ tamper });
    confront(server, client);
    expect([failure(server), client.error]).toEqual([undefined, undefined]);
  });

  it("supported_groups in EncryptedExtensions is taken note of, and server_name acknowledged", () => {
    const { bodies, observer } = watching();
    const tamper: Tamper = (message, name) =>
      name === "encrypted_extensions"
        ? edit(message, EncryptedExtensions, (e) => ({
            ...e,
            extensions: withRaw(e.extensions, "supported_groups", 0, 4, 0xfe, 0xfe, 0, 23),
          }))
        : undefined;
    const client = world.honestClient({ observer });
    const server = world.rogueServer({ tamper });
    confront(client, server);
    expect([failure(client), server.error]).toEqual([undefined, undefined]);
    const encrypted = bodies("encrypted_extensions").map((body) =>
      decodeBody(EncryptedExtensions, { type: "encrypted_extensions", bytes: body, body }),
    );
    expect(encrypted.map(({ extensions }) => find(extensions, "server_name"))).toEqual([true]);
  });
});
