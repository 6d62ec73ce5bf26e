import { beforeAll, describe, expect, it } from "vitest";
import { type Census, takeCensus } from "../../src/bench/census.ts";
import { createMaterial } from "../../src/bench/material.ts";
import { createRig } from "../../src/bench/rig.ts";
import { createScenario, factsOf, keysOf, type Scenario } from "../../src/bench/scenario.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { createNodeProvider } from "../../src/crypto/node.ts";
import { createWebCryptoProvider } from "../../src/crypto/webcrypto.ts";
import { zlibCompression } from "../../src/node/compression.ts";

const node = () => createNodeProvider();
const webcrypto = () => createWebCryptoProvider({ fallback: nobleProvider });

async function census(change: Partial<Scenario> = {}): Promise<Census> {
  const scenario = createScenario({ provider: node, ...change });
  return takeCensus(scenario, await createMaterial(scenario));
}

function names(of: Census, side: "client" | "server"): string[] {
  return of.sent[side].messages.map(({ name }) => name);
}

describe("a mutual full handshake", () => {
  let mutual: Census;
  beforeAll(async () => {
    mutual = await census();
  });

  it("takes what RFC 8446 demands of each end", () => {
    const both = { sign: 1, verify_handshake: 1, verify_certificate: 1, path: 1 };
    // RFC 8446 2, figure 1: each end shows a certificate, and proves that it has the key.
    expect(mutual.calls.client).toMatchObject({ ...both, key_share: 1, key_agreement: 1 });
    expect(mutual.calls.server).toMatchObject({ ...both, encapsulation: 1 });
    expect(mutual.calls.client.encapsulation).toBeUndefined();
    expect(mutual.calls.server.key_share).toBeUndefined();
    // RFC 8446 7.1, the early secret's being constants: two extractions with "derived" between them, six traffic secrets with
    // the exporter's and the resumption's, four keys with their IVs, and for each of two Finished its key and its value.
    expect([mutual.calls.client.hkdf, mutual.calls.server.hkdf]).toEqual([21, 21]);
  });

  it("has the flights of RFC 8446 figure 1", () => {
    const proof = ["certificate", "certificate_verify", "finished"];
    expect(names(mutual, "client")).toEqual(["client_hello", "change_cipher_spec", ...proof]);
    const hello = ["server_hello", "change_cipher_spec", "encrypted_extensions", "certificate_request"];
    expect(names(mutual, "server")).toEqual([...hello, ...proof]);
  });

  it("takes the round trips of RFC 8446: the server waits for who the client is", () => {
    expect(mutual.roundTrips).toEqual({ firstByteSent: { client: 1, server: 1.5 }, answered: 2 });
  });

  it("comes out the same again, with other certificates, and with a provider that answers late", async () => {
    expect(await census()).toEqual(mutual);
    const late = await census({ provider: webcrypto });
    for (const side of ["client", "server"] as const) {
      expect(late.sent[side].messages).toEqual(mutual.sent[side].messages);
      // Flights that wait for a signature are cut into more records.
      expect({ ...late.calls[side], protection: 0 }).toEqual({ ...mutual.calls[side], protection: 0 });
    }
    expect(late.roundTrips).toEqual(mutual.roundTrips);
  });

  it("asks more of whom is shown more certificates, and nothing of a server that asks nobody", async () => {
    const chain = await census({ chain: 3 });
    expect(chain.calls.client.verify_certificate).toBe(3);
    expect(chain.calls.server.verify_certificate).toBe(3);
    const oneWay = await census({ auth: "one-way" });
    expect(oneWay.calls.client).toMatchObject({ verify_handshake: 1, verify_certificate: 1 });
    expect(oneWay.calls.client.sign).toBeUndefined();
    expect(oneWay.calls.server).toMatchObject({ sign: 1 });
    expect(oneWay.calls.server.verify_handshake).toBeUndefined();
    expect(oneWay.calls.server.verify_certificate).toBeUndefined();
    // RFC 8446 4.4.4: a server may speak after its Finished where it need not know who the client is.
    expect(oneWay.roundTrips).toEqual({ firstByteSent: { client: 1, server: 0.5 }, answered: 2 });
  });
});

describe("other handshakes", () => {
  it("resumed need no signature, and no certificate is sent", async () => {
    const { calls, sent, roundTrips } = await census({ kind: "resumed" });
    for (const end of [calls.client, calls.server]) {
      expect([end.sign, end.verify_handshake]).toEqual([undefined, undefined]);
      // The peer's chain of before is judged again.
      expect(end.verify_certificate).toBe(1);
    }
    expect(calls.server.ticket).toBe(2);
    const all = [...sent.client.messages, ...sent.server.messages].map(({ name }) => name);
    expect(all.filter((name) => name.startsWith("certificate"))).toEqual([]);
    expect(roundTrips).toEqual({ firstByteSent: { client: 1, server: 0.5 }, answered: 2 });
  });

  it.each([
    ["node", node],
    ["webcrypto", webcrypto],
  ] as const)("with early data have the client's first byte at once, with %s", async (_, provider) => {
    const early = await census({ kind: "early", provider });
    expect(early.roundTrips).toEqual({ firstByteSent: { client: 0, server: 0.5 }, answered: 1 });
    expect(names(early, "client")).toEqual(
      expect.arrayContaining(["client_hello", "application_data", "end_of_early_data", "finished"]),
    );
  });

  it("retried take a share and a round trip more", async () => {
    const retried = await census({ helloRetry: true });
    expect(retried.calls.client).toMatchObject({ key_share: 2, key_agreement: 1 });
    expect(retried.roundTrips).toEqual({ firstByteSent: { client: 2, server: 2.5 }, answered: 3 });
    expect(names(retried, "server").slice(0, 3)).toEqual(["hello_retry_request", "change_cipher_spec", "server_hello"]);
  });

  it("compress certificates", async () => {
    const { calls, sent } = await census({ compression: zlibCompression(), chain: 2 });
    expect([calls.client.compression, calls.server.compression]).toEqual([2, 2]);
    expect(sent.server.messages.map(({ name }) => name)).toContain("compressed_certificate");
  });

  it.each(keysOf(createNodeProvider()))("prove themselves with %s", async (key) => {
    const { calls } = await census({ key });
    expect([calls.client.sign, calls.server.verify_handshake]).toEqual([1, 1]);
  });

  it.each([
    ["x25519", 32],
    ["secp384r1", 97],
    ["X25519MLKEM768", 1216],
  ] as const)("exchange keys with %s, a share of %i bytes", async (group, share) => {
    const base = (await census()).sent.client.messages[0]?.bytes as number;
    const { sent } = await census({ group });
    expect((sent.client.messages[0]?.bytes as number) - base).toBe(share - 32);
  });
});

describe("bytes by message", () => {
  it.each([{}, { kind: "resumed" }, { kind: "early" }, { helloRetry: true }, { chain: 2, tickets: 2 }] as const)(
    "sum up to what the transport carries: %j",
    async (change) => {
      const scenario = createScenario({ provider: node, key: "ed25519", ...change });
      const material = await createMaterial(scenario);
      const { sent } = await takeCensus(scenario, material);
      const rig = await createRig(scenario, material);
      const { client, server } = rig.open();
      const carried = { client: 0, server: 0 };
      client.start();
      server.start();
      if (scenario.kind === "early") client.writeEarlyData(new Uint8Array(1));
      for (let moved = true; moved; ) {
        const [up, down] = [client.takeOutput(), server.takeOutput()];
        carried.client += up.length;
        carried.server += down.length;
        server.receive(up);
        while (server.readEarlyData() !== undefined);
        client.receive(down);
        moved = up.length + down.length > 0;
      }
      rig.assertOutcome({ client, server });
      for (const side of ["client", "server"] as const) {
        const { bytes, messages, recordLayerBytes } = sent[side];
        expect(bytes).toBe(carried[side]);
        expect(messages.reduce((sum, message) => sum + message.bytes, recordLayerBytes)).toBe(bytes);
      }
    },
  );
});

describe("a scenario", () => {
  it.each([
    [{ chain: 0 }, "chain of 0"],
    [{ chain: 9 }, "chain of 9"],
    [{ tickets: 17 }, "tickets of 17"],
    [{ kind: "resumed", tickets: 0 }, "tickets of 0: it must be 1 to 16"],
    [{ kind: "early", helloRetry: true }, "which rejects it"],
    [{ group: "x448", provider: () => nobleProvider }, "group x448 is not in provider noble"],
    [{ cipherSuite: "TLS_AES_128_CCM_SHA256", provider: () => nobleProvider }, "cipher suite TLS_AES_128_CCM_SHA256"],
    [{ key: "mldsa44", provider: () => nobleProvider }, "keys of the kind mldsa44 with provider noble"],
  ] as const)("that cannot be is refused: %j", (change, reason) => {
    expect(() => createScenario({ provider: node, ...change })).toThrow(
      expect.objectContaining({ code: "ERR_TLS_OPTION", message: expect.stringContaining(reason) }),
    );
  });

  it("can be written down", () => {
    expect(factsOf(createScenario({ provider: node, compression: zlibCompression() }))).toEqual({
      auth: "mutual",
      kind: "full",
      group: "x25519",
      cipherSuite: "TLS_AES_128_GCM_SHA256",
      key: "ecdsa-p256",
      chain: 1,
      helloRetry: false,
      tickets: 0,
      provider: "node",
      compression: 1,
    });
  });

  it("is not taken for another: a handshake that comes out otherwise is refused", async () => {
    const scenario = createScenario({ provider: node, kind: "resumed" });
    const rig = await createRig(scenario, await createMaterial(scenario));
    const ends = rig.open();
    ends.client.start();
    expect(() => rig.assertOutcome(ends)).toThrow("the handshake came out as {}");
    ends.client.abort();
    expect(() => rig.assertOutcome(ends)).toThrow(expect.objectContaining({ code: "ERR_TLS_ABORTED" }));
  });
});
