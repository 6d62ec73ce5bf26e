/** Violations of RFC 8446's MUSTs that no other test has, by section. */
import { beforeAll, describe, expect, it } from "vitest";
import { concat, utf8 } from "../../src/bytes/bytes.ts";
import { find } from "../../src/codec/extensions.ts";
import { CertificateRequest, ClientHello, EncryptedExtensions, ServerHello } from "../../src/codec/messages.ts";
import { type ClientOptions, type ServerOptions, sealedTickets } from "../../src/engine/index.ts";
import type { HandshakeName } from "../../src/flow.ts";
import type { Session } from "../../src/handshake/session.ts";
import { exchange, failure } from "../support/pair.ts";
import { expectRefusal, verdict } from "../support/refusal.ts";
import { confront, type Tamper } from "../support/rogue.ts";
import { createWorld, edit, raw, rawMessage, type World, without, withRaw } from "../support/world.ts";

let world: World;
let session: Session;
const tickets = { store: sealedTickets() };
const server: Partial<ServerOptions> = { tickets, acceptEarlyData: { antiReplay: { claim: () => true } } };
const frozen = { take: () => session, put: () => {} };
const key = new Uint8Array(32).fill(7);
const psks = [{ identity: "a", key }];

beforeAll(async () => {
  world = await createWorld();
  const put = (_scope: string, kept: Session) => {
    session = kept;
  };
  exchange(world.honestClient({ sessions: { take: () => undefined, put } }), world.honestServer(server));
  expect(session.maxEarlyData).toBeGreaterThan(0);
});

const only =
  (wanted: HandshakeName, change: (message: Uint8Array) => ReturnType<Tamper>): Tamper =>
  (message, name) =>
    name === wanted ? change(message) : undefined;
const hello = (change: (body: ClientHello) => ClientHello) =>
  only("client_hello", (message) => edit(message, ClientHello, change));
const serverHello = (change: (body: ServerHello) => ServerHello) =>
  only("server_hello", (message) => edit(message, ServerHello, change));
const encrypted = (change: (body: EncryptedExtensions) => EncryptedExtensions) =>
  only("encrypted_extensions", (message) => edit(message, EncryptedExtensions, change));
const filters = (...data: number[]) =>
  only("certificate_request", (message) =>
    edit(message, CertificateRequest, (body) => ({
      ...body,
      extensions: withRaw(body.extensions, "oid_filters", data.length >> 8, data.length & 0xff, ...data),
    })),
  );

describe("4.1.3: legacy_version, and D.5: SSL 3.0 in any hello", () => {
  it.each([0x0300, 0x0200, 0x0002])("%i in a ClientHello is protocol_version", (legacy_version) => {
    const rogue = world.rogueClient({ tamper: hello((body) => ({ ...body, legacy_version })) });
    expectRefusal(world.honestServer(), rogue, verdict("ERR_SSL_UNSUPPORTED_PROTOCOL", "RECVD_CH"));
  });

  it.each([0x0300, 0x0200])("%i in a ServerHello is protocol_version", (legacy_version) => {
    const rogue = world.rogueServer({ tamper: serverHello((body) => ({ ...body, legacy_version })) });
    expectRefusal(world.honestClient(), rogue, verdict("ERR_SSL_UNSUPPORTED_PROTOCOL", "WAIT_SH"));
  });

  it("an SSL 2.0 CLIENT-HELLO is no TLS", () => {
    const victim = world.honestServer();
    victim.engine.receive(concat(Uint8Array.of(0x80, 0x2e, 1, 3, 1, 0, 0x15, 0, 0, 0, 0x10), new Uint8Array(37)));
    expect(failure(victim)).toMatchObject({ code: "ERR_SSL_WRONG_VERSION_NUMBER", alert: "unexpected_message" });
  });
});

describe("4.2: extensions of another message in EncryptedExtensions", () => {
  it.each([
    ["psk_key_exchange_modes", [1, 1], "ERR_TLS_ILLEGAL_PARAMETER"],
    ["post_handshake_auth", [], "ERR_TLS_ILLEGAL_PARAMETER"],
    ["oid_filters", [0, 0], "ERR_TLS_ILLEGAL_PARAMETER"],
    ["signature_algorithms", [0, 2, 4, 3], "ERR_TLS_ILLEGAL_PARAMETER"],
    ["key_share", [0, 23], "ERR_TLS_ILLEGAL_PARAMETER"],
    // status_request_v2 and truncated_hmac
    [17, [], "ERR_TLS_UNSUPPORTED_EXTENSION"],
    [4, [], "ERR_TLS_UNSUPPORTED_EXTENSION"],
  ] as const)("%s", (extension, data, code) => {
    const tamper = encrypted((body) => ({ extensions: withRaw(body.extensions, extension, ...data) }));
    expectRefusal(world.honestClient(), world.rogueServer({ tamper }), verdict(code, "WAIT_EE"));
  });
});

it("4.4.2.1: status_request_v2 in a ClientHello is passed over", () => {
  const rogue = world.rogueClient({
    tamper: hello((body) => ({ ...body, extensions: withRaw(body.extensions, 17, 0, 7, 2, 0, 4, 0, 0, 0, 0) })),
  });
  const victim = world.honestServer();
  confront(victim, rogue);
  expect([failure(victim), rogue.error, victim.engine.state]).toEqual([undefined, undefined, "CONNECTED"]);
});

describe("4.2.5: OID filters", () => {
  const usage = [5, 6, 3, 0x55, 0x1d, 0x0f, 0, 4, 3, 2, 7, 0x80];
  const wrong = verdict("ERR_TLS_ILLEGAL_PARAMETER", "WAIT_FINISHED");

  it("one OID twice", () => {
    expectRefusal(world.honestClient(), world.rogueServer({ tamper: filters(...usage, ...usage) }), wrong);
  });

  it("anyExtendedKeyUsage", () => {
    const any = [5, 6, 3, 0x55, 0x1d, 0x25, 0, 8, 0x30, 6, 6, 4, 0x55, 0x1d, 0x25, 0];
    expectRefusal(world.honestClient(), world.rogueServer({ tamper: filters(...any) }), wrong);
  });

  it("that the certificate passes, or that nobody knows: it is presented", () => {
    const victim = world.honestClient();
    const unknown = [5, 6, 3, 0x55, 0x1d, 0x7f, 0, 0];
    const rogue = world.rogueServer({ tamper: filters(...usage, ...unknown) });
    confront(victim, rogue);
    expect([failure(victim), rogue.error, rogue.result?.peer?.commonName]).toEqual([undefined, undefined, "client"]);
  });

  it("that it does not pass: it is held back", () => {
    const victim = world.honestClient();
    const signing = [5, 6, 3, 0x55, 0x1d, 0x0f, 0, 4, 3, 2, 1, 2];
    const rogue = world.rogueServer({ tamper: filters(...signing) }, { clientAuth: "optional" });
    confront(victim, rogue);
    expect([failure(victim), rogue.error, rogue.result?.peer]).toEqual([undefined, undefined, undefined]);
  });
});

describe("4.2.9: key establishment modes", () => {
  it("a server may not go on without a key exchange where the client named psk_dhe_ke alone", () => {
    const client: Partial<ClientOptions> = { sessions: frozen, pskModes: ["psk_dhe_ke"] };
    const tamper = serverHello((body) => ({ ...body, extensions: without(body.extensions, "key_share") }));
    const rogue = world.rogueServer({ tamper }, server);
    expectRefusal(world.honestClient(client), rogue, verdict("ERR_TLS_ILLEGAL_PARAMETER", "WAIT_SH"));
  });
});

describe("4.2.10: early data", () => {
  it("without pre_shared_key is not taken", () => {
    const tamper = hello((body) => ({ ...body, extensions: [...(body.extensions ?? []), raw("early_data")] }));
    const rogue = world.rogueClient({ tamper });
    const victim = world.honestServer(server);
    confront(victim, rogue);
    expect([failure(victim), rogue.error, victim.engine.state]).toEqual([undefined, undefined, "CONNECTED"]);
    const accepted = [victim.engine.result?.earlyData, rogue.result?.earlyData];
    expect(accepted).not.toContain("accepted");
  });

  it("accepted under another key than the first", () => {
    const tamper: Tamper = (message, name) =>
      name === "server_hello"
        ? edit(message, ServerHello, (body) => ({
            ...body,
            extensions: withRaw(body.extensions, "pre_shared_key", 0, 1),
          }))
        : undefined;
    const client: Partial<ClientOptions> = { sessions: frozen, offerEarlyData: true, psks };
    const rogue = world.rogueServer({ tamper }, server);
    const victim = world.honestClient(client);
    confront(victim, rogue);
    // The keys are others from here on: whatever the server says next does not open.
    expect(failure(victim)).toMatchObject({ code: "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC", stage: "WAIT_EE" });
  });

  it("accepted under the second key, with every key right", () => {
    const accepting = encrypted((body) => ({ extensions: withRaw(body.extensions, "early_data") }));
    const client: Partial<ClientOptions> = { sessions: frozen, offerEarlyData: true, psks };
    const rogue = world.rogueServer({ tamper: accepting }, { psks, clientAuth: "off" });
    const victim = world.honestClient(client);
    confront(victim, rogue);
    expect(failure(victim)).toMatchObject({ code: "ERR_TLS_ILLEGAL_PARAMETER", direction: "sent", stage: "WAIT_EE" });
  });

  it("that does not decrypt is bad_record_mac once it is accepted", () => {
    const rogue = world.rogueClient({}, { sessions: frozen, offerEarlyData: true });
    const victim = world.honestServer(server);
    victim.engine.receive(rogue.takeOutput());
    const record = rogue.seal({ type: 23, content: utf8("early") });
    record[record.length - 1] = (record[record.length - 1] as number) ^ 1;
    victim.engine.receive(record);
    expect(failure(victim)).toMatchObject({
      code: "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
      alert: "bad_record_mac",
      stage: "WAIT_EOED",
    });
  });
});

describe("4.2.11: binders", () => {
  it("of an external key that is right for another identity", () => {
    const rogue = world.rogueClient({}, { psks: [{ identity: "b", key }] });
    const victim = world.honestServer({ psks: [{ identity: "b", key: new Uint8Array(32).fill(9) }, ...psks] });
    expectRefusal(victim, rogue, verdict("ERR_SSL_BINDER_DOES_NOT_VERIFY", "RECVD_CH"));
  });

  it("and none at all", () => {
    const tamper = hello((body) => {
      const identity = find(body.extensions ?? [], "pre_shared_key")?.identities[0]?.identity ?? new Uint8Array(0);
      const identities = [(identity.length + 6) >> 8, (identity.length + 6) & 0xff];
      const entry = [identity.length >> 8, identity.length & 0xff, ...identity, 0, 0, 0, 0];
      return { ...body, extensions: withRaw(body.extensions, "pre_shared_key", ...identities, ...entry, 0, 0) };
    });
    const rogue = world.rogueClient({ tamper }, { sessions: frozen });
    expectRefusal(world.honestServer(server), rogue, verdict("ERR_TLS_DECODE_ERROR", "RECVD_CH"));
  });
});

describe("4.4.2: a client's Certificate", () => {
  it("that nobody asked for", () => {
    const certificate = rawMessage(11, Uint8Array.of(0, 0, 0, 0));
    const tamper = only("finished", (message) => [certificate, message]);
    const rogue = world.rogueClient({ tamper });
    const victim = world.honestServer({ clientAuth: "off" });
    expectRefusal(victim, rogue, verdict("ERR_SSL_UNEXPECTED_MESSAGE", "WAIT_FINISHED"));
  });
});

describe("4.6.3: new keys", () => {
  it.each(["client", "server"] as const)("before the KeyUpdate that announces them, at a %s", (side) => {
    const victim = side === "client" ? world.honestClient() : world.honestServer();
    const rogue = side === "client" ? world.rogueServer() : world.rogueClient();
    confront(victim, rogue);
    rogue.updateWriteKey().send({ type: 23, content: utf8("too soon") });
    expectRefusal(victim, rogue, verdict("ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC", "CONNECTED"));
  });

  it.each(["client", "server"] as const)("for the KeyUpdate itself, at a %s", (side) => {
    const victim = side === "client" ? world.honestClient() : world.honestServer();
    const rogue = side === "client" ? world.rogueServer() : world.rogueClient();
    confront(victim, rogue);
    rogue.updateWriteKey().sendMessage(rawMessage(24, Uint8Array.of(0)));
    expectRefusal(victim, rogue, verdict("ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC", "CONNECTED"));
  });
});

describe("4.4.4: what follows a Finished", () => {
  it.each(["client", "server"] as const)("under the handshake's keys, at a %s", (side) => {
    const late = { type: 23, content: utf8("late") };
    const victim = side === "client" ? world.honestClient() : world.honestServer();
    const records = (record: { type: number; content: Uint8Array }) => {
      if (record.content[0] !== 20) return [record];
      return [record, late];
    };
    const rogue = side === "client" ? world.rogueServer({ records }) : world.rogueClient({ records });
    confront(victim, rogue);
    expect(failure(victim)).toMatchObject({
      code: "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
      alert: "bad_record_mac",
    });
  });
});

describe("E.1: an external key beside certificates", () => {
  it("a server that authenticates with it does not ask for a certificate", () => {
    const asking = only("finished", (message) => [
      rawMessage(13, Uint8Array.of(0, 0, 8, 0, 13, 0, 4, 0, 2, 4, 3)),
      message,
    ]);
    const rogue = world.rogueServer({ tamper: asking }, { psks, clientAuth: "off" });
    expectRefusal(world.honestClient({ psks }), rogue, verdict("ERR_SSL_UNEXPECTED_MESSAGE", "WAIT_FINISHED"));
  });

  it("nor presents one", () => {
    const presenting = only("finished", (message) => [rawMessage(11, Uint8Array.of(0, 0, 0, 0)), message]);
    const rogue = world.rogueServer({ tamper: presenting }, { psks, clientAuth: "off" });
    expectRefusal(world.honestClient({ psks }), rogue, verdict("ERR_SSL_UNEXPECTED_MESSAGE", "WAIT_FINISHED"));
  });
});
