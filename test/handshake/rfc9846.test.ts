/** What RFC 9846 changes of RFC 8446, in the order of its section 1.2, each where it can be seen. */
import { beforeAll, describe, expect, it } from "vitest";
import { concat, utf8 } from "../../src/bytes/bytes.ts";
import { find } from "../../src/codec/extensions.ts";
import { CertificateRequest, ClientHello, NewSessionTicket } from "../../src/codec/messages.ts";
import { decode, encode } from "../../src/codec/schema.ts";
import { resolveClient } from "../../src/engine/client-options.ts";
import { TlsEngine } from "../../src/engine/engine.ts";
import { everyFeature } from "../../src/engine/features/index.ts";
import type { ClientOptions } from "../../src/engine/index.ts";
import { resolveLimits } from "../../src/engine/limits.ts";
import type { Observation } from "../../src/engine/observer.ts";
import { clientHandshake } from "../../src/handshake/client.ts";
import { end, exchange, failure } from "../support/pair.ts";
import { expectRefusal, verdict } from "../support/refusal.ts";
import { confront } from "../support/rogue.ts";
import { createWorld, provider, rawMessage, type World } from "../support/world.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
});

/** The ClientHellos that a client sends, the second behind a retry. */
function hellos(options: Partial<ClientOptions>, groups: ClientOptions["groups"] = ["x25519"]): ClientHello[] {
  const sent: ClientHello[] = [];
  const observer = (seen: Observation) => {
    if (seen.kind === "message" && seen.direction === "sent" && seen.type === "client_hello")
      sent.push(decode(ClientHello, seen.bytes.slice(4)));
  };
  exchange(world.honestClient({ ...options, observer }), world.honestServer({ groups }));
  return sent;
}

describe("RFC 9846", () => {
  it("forbids the reuse of key shares: connections of one configuration share none", () => {
    const keys = [0, 1, 2].map(() => find(hellos({})[0]?.extensions ?? [], "key_share")?.[0]?.key_exchange);
    expect(new Set(keys.map(String)).size).toBe(3);
  });

  it("forbids TLS 1.0 and 1.1: neither is offered, and a client that offers no more is refused", () => {
    expect(find(hellos({})[0]?.extensions ?? [], "supported_versions")).toEqual([0x0304]);
    const server = world.honestServer();
    server.engine.receive(oldHello());
    expect(failure(server)).toMatchObject({ code: "ERR_SSL_UNSUPPORTED_PROTOCOL", alert: "protocol_version" });
  });

  it("says which keys a second ClientHello offers: those with the hash of the suite chosen", () => {
    const psks = (["sha256", "sha384"] as const).map((hash) => ({ identity: hash, key: new Uint8Array(32), hash }));
    const [first, second] = hellos({ psks, cipherSuites: ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"] }, [
      "secp384r1",
    ]).map((hello) => find(hello.extensions ?? [], "pre_shared_key")?.identities.map(({ identity }) => identity));
    expect(first).toHaveLength(2);
    expect(second).toHaveLength(1);
  });

  it("has clients without resumption ignore tickets", () => {
    const rogue = world.rogueServer();
    const victim = world.honestClient();
    confront(victim, rogue);
    rogue.sendMessage(rawMessage(4, Uint8Array.of(0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 1, 7, 0, 0)));
    confront(victim, rogue);
    expect(failure(victim)).toBeUndefined();
  });

  it("demands a KeyUpdate before a key's limit", () => {
    const near = world.honestClient({ recordsPerKey: 4 });
    const far = world.honestServer();
    exchange(near, far);
    for (let i = 0; i < 9; i++) near.engine.write(Uint8Array.of(i));
    exchange(near, far);
    expect(far.events.filter(({ type }) => type === "key_update")).toHaveLength(2);
    expect(concat(...far.received)).toEqual(Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7, 8));
  });

  it("limits the KeyUpdates that are sent, has requests beyond ignored, and what comes is not limited", () => {
    const options = { ...world.clientOptions };
    const config = resolveClient(options, everyFeature);
    const limits = { ...resolveLimits(options), maxKeyUpdates: 2 };
    const near = end(new TlsEngine("client", (effects) => clientHandshake(config, effects), limits));
    const far = world.honestServer();
    exchange(near, far);
    for (let i = 0; i < 4; i++) {
      far.engine.updateKeys("update_requested");
      exchange(near, far);
      near.engine.write(utf8("on"));
      far.engine.write(utf8("on"));
      exchange(near, far);
    }
    expect(failure(near)).toBeUndefined();
    expect(far.events.filter(({ type }) => type === "key_update")).toHaveLength(2);
    expect(near.events.filter(({ type }) => type === "key_update")).toHaveLength(4);
    near.engine.updateKeys();
    expect(failure(near)).toMatchObject({ code: "ERR_TLS_RECORD_LIMIT", alert: "internal_error" });
  });

  it("sends close_notify as a warning, and user_canceled with close_notify behind it", () => {
    const alerts: number[][] = [];
    const observer = (seen: Observation) => {
      if (seen.kind === "record" && seen.direction === "sent" && seen.type === 21) alerts.push([...seen.content]);
    };
    const near = world.honestClient({ observer });
    near.engine.takeOutput();
    near.engine.abort();
    near.engine.takeOutput();
    const later = world.honestClient({ observer });
    exchange(later, world.honestServer());
    later.engine.close();
    later.engine.takeOutput();
    expect(alerts).toEqual([
      [1, 90],
      [1, 0],
      [1, 0],
    ]);
  });

  it("has user_canceled ignored, and close_notify end what it announced", () => {
    const rogue = world.rogueServer();
    const victim = world.honestClient();
    confront(victim, rogue);
    rogue.send({ type: 21, content: Uint8Array.of(1, 90) }).send({ type: 23, content: utf8("still") });
    rogue.send({ type: 21, content: Uint8Array.of(1, 0) });
    confront(victim, rogue);
    expect(failure(victim)).toBeUndefined();
    expect(concat(...victim.received)).toEqual(utf8("still"));
    expect(victim.engine.ended).toBe(true);
  });

  it("knows general_error", () => {
    const rogue = world.rogueServer();
    const victim = world.honestClient();
    confront(victim, rogue);
    rogue.send({ type: 21, content: Uint8Array.of(2, 117) });
    confront(victim, rogue);
    expect(failure(victim)).toMatchObject({ alert: "general_error", direction: "received" });
  });

  it("lets a CertificateRequest have no extensions, which then is missing one", () => {
    expect(decode(CertificateRequest, Uint8Array.of(0, 0, 0)).extensions).toEqual([]);
    const tamper = (message: Uint8Array, name: string) =>
      name === "certificate_request" ? rawMessage(13, Uint8Array.of(0, 0, 0)) : message;
    const rogue = world.rogueServer({ tamper });
    expectRefusal(world.honestClient(), rogue, verdict("ERR_TLS_MISSING_EXTENSION", "WAIT_CERT_CR"));
  });

  it("corrects the bounds of ClientHello's and NewSessionTicket's extensions", () => {
    const short = new Uint8Array([...new Uint8Array(2 + 32), 0, 0, 2, 0x13, 1, 1, 0, 0, 7, 0, 43, 0, 3, 2, 3, 4]);
    expect(decode(ClientHello, short).extensions).toHaveLength(1);
    const many = Array.from({ length: 3 }, (_, i) => ({
      name: undefined,
      code: 0x7000 + i,
      value: new Uint8Array(i < 2 ? 0x7000 : 0x1ff3),
    }));
    const ticket = { ticket_lifetime: 1, ticket_age_add: 0, ticket_nonce: new Uint8Array(0), ticket: Uint8Array.of(1) };
    const longest = encode(NewSessionTicket, { ...ticket, extensions: many });
    expect(decode(NewSessionTicket, longest).extensions).toHaveLength(3);
  });
});

/** A ClientHello of TLS 1.1, in a record. */
function oldHello(): Uint8Array {
  const body = concat(Uint8Array.of(3, 2), provider.random(32), Uint8Array.of(0, 0, 2, 0, 47, 1, 0));
  const message = rawMessage(1, body);
  return concat(Uint8Array.of(22, 3, 1, 0, message.length), message);
}
