/** Where configuration, callbacks and the order of events decide who is let in: each must fail closed. */
import { beforeAll, describe, expect, it } from "vitest";
import { concat, utf8 } from "../../src/bytes/bytes.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { createWebCryptoProvider } from "../../src/crypto/webcrypto.ts";
import { clientContext, serverContext, type TlsEngine } from "../../src/engine/index.ts";
import { trustStore } from "../../src/x509/trust.ts";
import { trustVerifier } from "../../src/x509/verifier.ts";
import { deliver, end, exchange, exchangeLate, failure, failures } from "../support/pair.ts";
import { createWorld, type World } from "../support/world.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
});

describe("a ClientHello callback", () => {
  it("cannot weaken client authentication by a word that nobody knows", () => {
    const client = world.honestClient({ identities: [] });
    const server = world.honestServer({ onClientHello: () => ({ clientAuth: "required" as never }) });
    exchange(client, server);
    expect(failure(server)).toMatchObject({ code: "ERR_TLS_CALLBACK_FAILED", alert: "internal_error" });
    expect(failure(client)).toMatchObject({ alert: "internal_error", direction: "received" });
  });

  it("may put a verifier in the place of trust anchors, and the other way round", () => {
    const trust = trustStore(world.authority.certificatePem);
    const replacements = [{ verifier: trustVerifier({ trust }) }, { trust }];
    for (const [index, replaced] of replacements.entries()) {
      const own = index === 0 ? {} : { trust: undefined, verifier: trustVerifier({ trust }) };
      const server = world.honestServer({ ...own, onClientHello: () => replaced });
      exchange(world.honestClient(), server);
      expect([failure(server), server.engine.result?.peer?.verified]).toEqual([undefined, true]);
    }
  });
});

describe("a server that only decides whom to serve", () => {
  it("sends nothing before it has decided", () => {
    const client = world.honestClient();
    const server = world.honestServer({ clientAuth: "off", authorize: () => false });
    server.engine.write(utf8("secret"));
    exchange(client, server);
    expect(client.received).toEqual([]);
    expect(failure(client)).toMatchObject({ alert: "access_denied", direction: "received" });
  });
});

describe("an abort from a callback", () => {
  it("keeps the client from saying who it is", () => {
    let engine: TlsEngine | undefined;
    const client = world.honestClient({
      authorize: () => {
        engine?.abort();
        return true;
      },
    });
    engine = client.engine;
    const server = world.honestServer();
    exchange(client, server);
    expect([failures(client), failure(client)?.code]).toEqual([1, "ERR_TLS_ABORTED"]);
    expect(server.engine.result).toBeUndefined();
    expect(failure(server)).toBeDefined();
  });
});

describe("accepted", () => {
  it("is not what a server sends before it can have read the client's certificate", () => {
    const client = world.honestClient();
    const rogue = world.rogueServer();
    rogue.receive(client.engine.takeOutput());
    deliver(client, rogue.takeOutput());
    // Data right behind its flight, while the client's is not even on the wire.
    rogue.send({ type: 23, content: utf8("early") });
    deliver(client, rogue.takeOutput());
    expect([client.engine.state, concat(...client.received)]).toEqual(["CONNECTED", utf8("early")]);
    expect(client.engine.accepted).toBe(false);
    rogue.receive(client.engine.takeOutput());
    rogue.send({ type: 23, content: utf8("later") });
    deliver(client, rogue.takeOutput());
    expect(client.engine.accepted).toBe(true);
  });

  it("is not a close_notify", () => {
    const client = world.honestClient();
    const server = world.honestServer();
    exchange(client, server);
    server.engine.close();
    exchange(client, server);
    expect([client.engine.ended, client.engine.accepted]).toEqual([true, false]);
  });
});

describe("bytes that a caller reuses", () => {
  it("are the engine's own once taken, a Buffer's too, on the asynchronous path", async () => {
    const common = { provider: createWebCryptoProvider({ fallback: nobleProvider }), clock: Date.now } as const;
    const options = { ...common, trust: world.authority.certificatePem, groups: ["x25519"] } as const;
    const padding = (type: number) => (type === 22 ? 8000 : 0);
    const a = end(clientContext({ ...options, serverName: "localhost", padding }).engine());
    const b = end(
      serverContext({
        ...common,
        identities: [{ cert: world.server.certificates, key: world.server.privateKey }],
      }).engine(),
    );
    await exchangeLate(a, b);
    expect([failure(a), failure(b)]).toEqual([undefined, undefined]);
    a.engine.updateKeys();
    const data = new Uint8Array(24_000).fill(7);
    a.engine.write(data);
    let wire = new Uint8Array(0) as Uint8Array;
    while (a.engine.busy) {
      await new Promise((resolve) => setImmediate(resolve));
      wire = concat(wire, a.engine.takeOutput());
    }
    const lent = Buffer.from(wire);
    expect(b.engine.receive(lent)).toBe(lent.length);
    lent.fill(0);
    await exchangeLate(a, b);
    expect([failure(b), concat(...b.received)]).toEqual([undefined, data]);
  });
});

describe("a padding callback that fails for alerts alone", () => {
  it("does not keep the failure from being told, nor secrets alive", () => {
    const client = world.honestClient();
    const server = world.honestServer({
      padding: (type) => {
        if (type === 21) throw new Error("no padding for alerts");
        return 0;
      },
    });
    exchange(client, server);
    client.engine.write(utf8("x"));
    const wire = client.engine.takeOutput();
    wire[10] = (wire[10] as number) ^ 1;
    deliver(server, wire);
    expect([failures(server), failure(server)?.code]).toEqual([1, "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC"]);
  });
});

describe("the secrets of a result", () => {
  it("do not show when it is printed, serialised or spread", () => {
    const client = world.honestClient();
    exchange(client, world.honestServer());
    const { result } = client.engine;
    expect(result?.exporterSecret).toHaveLength(32);
    expect(Object.keys({ ...result })).not.toContain("exporterSecret");
    expect(Object.keys(result ?? {})).not.toContain("resumptionSecret");
  });
});
