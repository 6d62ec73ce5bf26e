import { beforeAll, describe, expect, it } from "vitest";
import { FEATURE_NAMES, resolveClient } from "../../src/engine/client-options.ts";
import { featuredClient } from "../../src/engine/context.ts";
import { everyFeature } from "../../src/engine/features/index.ts";
import { serverContext, sessionCache } from "../../src/engine/index.ts";
import * as lean from "../../src/lean.ts";
import { webZlibCompression } from "../../src/transport/compression.ts";
import { end, exchange } from "../support/pair.ts";
import { confront } from "../support/rogue.ts";
import { createWorld, rawMessage, type World } from "../support/world.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
});

/** Each option that needs a feature, with a value that is good. */
const VALUES: Readonly<Record<string, unknown>> = {
  psks: [],
  pskModes: ["psk_dhe_ke"],
  pskWithCertificates: false,
  sessions: sessionCache(),
  offerEarlyData: false,
  postHandshakeAuth: true,
  certificateCompression: [webZlibCompression()],
  recordSizeLimit: 1024,
  maxFragmentLength: 1024,
  grease: true,
};

describe("an option of a feature", () => {
  it("is each one that the table names, and no other", () => {
    const options = everyFeature.flatMap((feature) => feature.options);
    expect([...options].sort()).toEqual(Object.keys(FEATURE_NAMES).sort());
    expect(Object.keys(VALUES).sort()).toEqual(Object.keys(FEATURE_NAMES).sort());
  });

  it.each(Object.entries(FEATURE_NAMES))(
    "%s is refused without %s, by name, and taken with it",
    (option, name = "") => {
      const feature = (lean as unknown as Record<string, lean.ClientFeature>)[name] as lean.ClientFeature;
      const options = { ...world.clientOptions, [option]: VALUES[option] };
      const others = everyFeature.filter((other) => other !== feature);
      expect(others).toHaveLength(everyFeature.length - 1);
      expect(() => resolveClient(options, others)).toThrow(
        expect.objectContaining({ code: "ERR_TLS_OPTION", detail: `"${option}" needs ${name} among the features` }),
      );
      expect(() => resolveClient(options, [feature])).not.toThrow();
      expect(() => resolveClient({ ...options, [option]: undefined }, [])).not.toThrow();
    },
  );
});

it("a client without any meets a server with everything, tickets and requests included", async () => {
  const { clientOptions, serverOptions } = world;
  const tickets = { store: lean.storedTickets() };
  const everything = { tickets, grease: true, postHandshakeAuth: true, recordSizeLimit: 1024 };
  const client = end(featuredClient(clientOptions, []).engine());
  const server = end(serverContext({ ...serverOptions, ...everything }).engine());
  exchange(client, server);
  expect([client.engine.error, server.engine.error]).toEqual([undefined, undefined]);
  expect(server.engine.result?.peer?.commonName).toBe("client");
  expect(() => server.engine.requestClientCertificate()).toThrow(
    expect.objectContaining({ code: "ERR_TLS_POST_HANDSHAKE_AUTH" }),
  );
});

it("a client without any does not take a CertificateRequest that it has not offered to answer", () => {
  const client = end(featuredClient(world.clientOptions, []).engine());
  const rogue = world.rogueServer();
  confront(client, rogue);
  rogue.sendMessage(rawMessage(13, Uint8Array.of(1, 7, 0, 0)));
  confront(client, rogue);
  expect(client.engine.error?.code).toBe("ERR_SSL_UNEXPECTED_MESSAGE");
  expect(rogue.alerts).toEqual(["unexpected_message"]);
});

it("the lean entry point gives clients the features that they name, and refuses what they do not", async () => {
  const { certificatePem: ca } = world.authority;
  const sessions = sessionCache();
  const tickets = { store: lean.storedTickets() };
  const { identities } = world.serverOptions;
  const options = { serverName: "localhost", trust: ca, sessions };
  const visit = async () => {
    const [near, far] = lean.memoryPair();
    const accepting = lean.accept(far, { identities, tickets });
    const client = await lean.connect(near, { ...options, features: [lean.preSharedKeys] });
    await Promise.all([accepting, client.accepted]);
    return client.resumed;
  };
  expect(await visit()).toBe(false);
  expect(await visit()).toBe(true);
  await expect(lean.connect(lean.memoryPair()[0], options)).rejects.toMatchObject({ code: "ERR_TLS_OPTION" });
  await expect(lean.clientContext(options)).rejects.toMatchObject({ code: "ERR_TLS_OPTION" });
});

it("the lean entry point's clients have the one suite that everybody has, and more from a provider of their own", async () => {
  const { certificatePem: ca } = world.authority;
  const { identities } = world.serverOptions;
  const provider = lean.createWebCryptoProvider();
  await provider.warmup();
  const suite = "TLS_AES_256_GCM_SHA384";
  const visit = async (options: Partial<Parameters<typeof lean.connect>[1]>, server = {}) => {
    const [near, far] = lean.memoryPair();
    const accepting = lean.accept(far, { identities, ...server });
    accepting.catch(() => {});
    return (await lean.connect(near, { serverName: "localhost", trust: ca, ...options })).cipherSuite;
  };
  expect(await visit({})).toBe("TLS_AES_128_GCM_SHA256");
  expect(await visit({ provider, cipherSuites: [suite] })).toBe(suite);
  await expect(visit({ cipherSuites: [suite] })).rejects.toMatchObject({
    code: "ERR_TLS_OPTION",
    detail: "cipher suite TLS_AES_256_GCM_SHA384 is not in provider webcrypto, which has TLS_AES_128_GCM_SHA256",
  });
  await expect(visit({}, { cipherSuites: [suite] })).rejects.toMatchObject({ alert: "handshake_failure" });
  const psks = [{ identity: "a key", key: new Uint8Array(32), hash: "sha384" }] as const;
  await expect(visit({ psks, features: [lean.preSharedKeys] })).rejects.toMatchObject({ code: "ERR_TLS_OPTION" });
  expect(await visit({ psks, provider, features: [lean.preSharedKeys] })).toBe("TLS_AES_128_GCM_SHA256");
});
