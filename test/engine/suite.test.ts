import { createHash } from "node:crypto";
import { beforeAll, describe, expect, it } from "vitest";
import { concat, utf8 } from "../../src/bytes/bytes.ts";
import type { CipherSuiteName, NamedGroupName } from "../../src/codec/registry.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { createNodeProvider } from "../../src/crypto/node.ts";
import type { CryptoProvider } from "../../src/crypto/provider.ts";
import { createLeanProvider, createWebCryptoProvider } from "../../src/crypto/webcrypto.ts";
import { type ClientOptions, clientContext, type ServerOptions, serverContext } from "../../src/engine/index.ts";
import type { IssuedKeyKind } from "../../src/pki/index.ts";
import { createTestIdentities, identityOptions, KEY_KINDS, type TestIdentities } from "../support/identities.ts";
import { lateProvider } from "../support/late-provider.ts";
import { byteByByte, type End, end, exchange, exchangeLate, failure, type Wire } from "../support/pair.ts";
import { watchedSubtle } from "../support/subtle.ts";

const SUITES: readonly CipherSuiteName[] = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
];
const GROUPS: readonly NamedGroupName[] = ["x25519", "secp256r1", "secp384r1", "secp521r1", "X25519MLKEM768"];

let identities: TestIdentities;
beforeAll(async () => {
  identities = await createTestIdentities(KEY_KINDS, 1);
});

const node = createNodeProvider();
const late = lateProvider(nobleProvider, { seed: 1 });
const later = lateProvider(nobleProvider, { seed: 2, records: "every" });
const watched = watchedSubtle();
const webCrypto = createWebCryptoProvider({ subtle: watched.subtle, fallback: nobleProvider });
const lean = { ...createLeanProvider({ subtle: watched.subtle }), name: "lean webcrypto" };
await lean.warmup();
const ASYNCHRONOUS: readonly CryptoProvider[] = [late, later, webCrypto, lean];

/** Who plays the client and who the server. */
const PAIRS: readonly (readonly [CryptoProvider, CryptoProvider])[] = [
  [nobleProvider, nobleProvider],
  [node, node],
  [nobleProvider, node],
  [node, nobleProvider],
  [late, node],
  [node, late],
  [late, late],
  [later, node],
  [node, later],
  [later, later],
  [webCrypto, node],
  [nobleProvider, webCrypto],
  [webCrypto, webCrypto],
  [lean, node],
  [node, lean],
  [lean, lean],
];

describe.each(PAIRS.map(([client, server]) => ({ client, server, names: `${client.name} → ${server.name}` })))(
  "engines with providers $names",
  ({ client, server }) => {
    const asynchronous = ASYNCHRONOUS.includes(client) || ASYNCHRONOUS.includes(server);
    const inCommon = <Name extends string>(
      all: readonly Name[],
      of: (provider: CryptoProvider) => readonly { readonly name: string }[],
    ) => all.filter((name) => [client, server].every((provider) => of(provider).some((has) => has.name === name)));
    const groups = inCommon(GROUPS, (provider) => provider.groups);

    async function move(a: End, b: End, wire?: Wire): Promise<void> {
      // With synchronous answers everything is done inside receive(): nothing here waits.
      if (asynchronous) await exchangeLate(a, b, wire, wire, () => watched.pending() > 0);
      else exchange(a, b, wire, wire);
    }

    async function connected(
      clientOptions: Partial<ClientOptions> = {},
      serverOptions: Partial<ServerOptions> = {},
      wire?: Wire,
    ): Promise<[End, End]> {
      const a = end(
        clientContext({
          provider: client,
          clock: Date.now,
          trust: identities.ca,
          serverName: "localhost",
          identities: [identityOptions(identities.client())],
          ...clientOptions,
        }).engine(),
      );
      const b = end(
        serverContext({
          provider: server,
          clock: Date.now,
          trust: identities.ca,
          identities: [identityOptions(identities.server())],
          clientAuth: "on",
          ...serverOptions,
        }).engine(),
      );
      await move(a, b, wire);
      expect([failure(a), failure(b)]).toEqual([undefined, undefined]);
      expect([a.engine.state, b.engine.state]).toEqual(["CONNECTED", "CONNECTED"]);
      return [a, b];
    }

    it.each(inCommon(SUITES, ({ suites }) => suites))("with %s", async (suite) => {
      const [a, b] = await connected({ cipherSuites: [suite], groups: ["x25519"] });
      expect([a.engine.result?.cipherSuite, b.engine.result?.cipherSuite]).toEqual([suite, suite]);
    });

    it.each(groups)("with group %s", async (group) => {
      const [a, b] = await connected({ groups: [group] }, { groups });
      expect([a.engine.result?.group, b.engine.result?.group]).toEqual([group, group]);
      expect(a.engine.result?.retried).toBe(false);
      expect(a.engine.result?.exporterSecret).toEqual(b.engine.result?.exporterSecret);
      expect(a.engine.result?.resumptionSecret).toEqual(b.engine.result?.resumptionSecret);
    });

    it.each(KEY_KINDS)("with %s certificates on both sides, behind an intermediate", async (kind: IssuedKeyKind) => {
      const [a, b] = await connected(
        { identities: [identityOptions(identities.client(kind))], groups: ["x25519"] },
        { identities: [identityOptions(identities.server(kind))] },
      );
      expect(b.engine.result?.peer).toMatchObject({ verified: true, commonName: `client ${kind}`, role: "client" });
      expect(a.engine.result?.peer).toMatchObject({ verified: true, commonName: "localhost", role: "server" });
      expect(a.engine.result?.peer?.path).toHaveLength(3);
      expect(a.engine.result?.signatureScheme).toBe(b.engine.result?.peerSignatureScheme);
      expect(b.engine.result?.signatureScheme).toBe(a.engine.result?.peerSignatureScheme);
    });

    it("after a HelloRetryRequest, byte by byte", async () => {
      const [a, b] = await connected({ groups: ["x25519", "secp384r1"] }, { groups: ["secp384r1"] }, byteByByte);
      expect([a.engine.result?.retried, b.engine.result?.retried]).toEqual([true, true]);
      expect(b.engine.result?.group).toBe("secp384r1");
    });

    it("without client authentication", async () => {
      const [a, b] = await connected({ groups: ["x25519"] }, { clientAuth: "off" });
      expect(b.engine.result).toMatchObject({ peer: undefined, clientAuthRequested: false });
      expect(a.engine.result).toMatchObject({ identity: undefined, clientAuthRequested: false });
    });

    it("with ALPN, SNI and padding", async () => {
      const [a, b] = await connected(
        { groups: ["x25519"], alpn: ["h2", "http/1.1"], padding: () => 100 },
        { alpn: ["http/1.1"], padding: (_type, length) => 1000 - (length % 1000) },
      );
      expect([a.engine.result?.alpn, b.engine.result?.alpn]).toEqual(["http/1.1", "http/1.1"]);
      expect(b.engine.result?.serverName).toBe("localhost");
      a.engine.write(utf8("x"));
      expect(a.engine.outputLength).toBe(5 + 1 + 1 + 100 + 16);
      let bytes = 0;
      await move(a, b, (record) => {
        bytes += record.length;
        return [record];
      });
      expect([bytes, concat(...b.received)]).toEqual([5 + 1 + 1 + 100 + 16, utf8("x")]);
    });

    it("moves data, keys and closure both ways", async () => {
      const [a, b] = await connected({ groups: ["x25519"] }, { recordsPerKey: 10 });
      const data = Uint8Array.from({ length: 300_000 }, (_, index) => (index * 31) & 0xff);
      for (const [from, to] of [
        [a, b],
        [b, a],
      ] as const) {
        for (let rest = data; rest.length > 0; ) {
          rest = rest.subarray(from.engine.write(rest));
          await move(a, b);
        }
        expect(
          createHash("sha256")
            .update(concat(...to.received))
            .digest("hex"),
        ).toBe(createHash("sha256").update(data).digest("hex"));
      }
      // The server's keys changed by themselves, after 10 records each.
      expect(a.events.filter(({ type }) => type === "key_update").length).toBeGreaterThanOrEqual(1);
      a.engine.updateKeys("update_requested");
      await move(a, b);
      a.engine.close();
      await move(a, b);
      // The other direction is still open.
      b.engine.write(utf8("late"));
      b.engine.close();
      await move(a, b);
      expect(concat(...a.received.slice(-1))).toEqual(utf8("late"));
      expect([a.engine.done, b.engine.done, a.engine.ended, b.engine.ended]).toEqual([true, true, true, true]);
      expect([failure(a), failure(b)]).toEqual([undefined, undefined]);
    });
  },
);
