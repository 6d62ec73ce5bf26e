/** Groups, signatures and suites that are offered only when they are named. */
import { beforeAll, describe, expect, it } from "vitest";
import { concat } from "../../src/bytes/bytes.ts";
import { fromHex } from "../../src/bytes/hex.ts";
import { ClientHello, ServerHello } from "../../src/codec/messages.ts";
import { type CipherSuiteName, NamedGroup, type NamedGroupName } from "../../src/codec/registry.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { FFDHE_PRIMES } from "../../src/crypto/node-ffdhe-primes.ts";
import type { CryptoProvider } from "../../src/crypto/provider.ts";
import { resolveClient } from "../../src/engine/client-options.ts";
import { everyFeature } from "../../src/engine/features/index.ts";
import { type ClientOptions, clientContext, type ServerOptions, serverContext } from "../../src/engine/index.ts";
import {
  nobleWithExtras,
  OPTIONAL_SCHEMES,
  type OptionalScheme,
  optionalKeyPair,
  webcryptoWithExtras,
} from "../support/extras.ts";
import { end, exchange, exchangeLate, failure } from "../support/pair.ts";
import { makeAuthority, makeCertificate, type TestCertificate } from "../support/pki.ts";
import { expectRefusal, verdict } from "../support/refusal.ts";
import { createWorld, edit, provider as node, type World, withRaw } from "../support/world.ts";

const GROUPS = ["x448", "SecP256r1MLKEM768", "SecP384r1MLKEM1024"] as const satisfies NamedGroupName[];
const FINITE = ["ffdhe2048", "ffdhe3072", "ffdhe4096"] as const satisfies NamedGroupName[];
const CCM = ["TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"] as const satisfies CipherSuiteName[];
const PROVIDERS: readonly CryptoProvider[] = [node, nobleWithExtras, webcryptoWithExtras];

/** A root and an identity, both with keys of one kind, signed with them. */
interface Kind {
  readonly root: TestCertificate;
  readonly leaf: TestCertificate;
}

let world: World;
const kinds = new Map<OptionalScheme, Kind>();

beforeAll(async () => {
  world = await createWorld();
  for (const scheme of OPTIONAL_SCHEMES) {
    const root = await makeAuthority({ subject: `root ${scheme}`, key: optionalKeyPair(scheme) });
    const leaf = await makeCertificate({ subject: `leaf ${scheme}`, issuer: root, key: optionalKeyPair(scheme) });
    kinds.set(scheme, { root, leaf });
  }
});

function kindOf(scheme: OptionalScheme): Kind {
  const kind = kinds.get(scheme);
  if (kind === undefined) throw new RangeError(scheme);
  return kind;
}

/** Both ends with these options over the world's. */
async function handshake(client: Partial<ClientOptions>, server: Partial<ServerOptions>) {
  const ends = {
    client: end(clientContext({ ...world.clientOptions, keyShares: undefined, ...client }).engine()),
    server: end(serverContext({ ...world.serverOptions, ...server }).engine()),
  };
  await exchangeLate(ends.client, ends.server);
  return ends;
}

describe.each(PROVIDERS)("with $name at both ends", (provider) => {
  it.each(GROUPS)("%s", async (group) => {
    const { client, server } = await handshake({ provider, groups: [group] }, { provider, groups: [group] });
    expect([failure(client), failure(server)]).toEqual([undefined, undefined]);
    expect([client.engine.result?.group, server.engine.result?.group]).toEqual([group, group]);
  });

  it.each(OPTIONAL_SCHEMES)("certificates of %s, the root's too", async (scheme) => {
    const { root, leaf } = kindOf(scheme);
    const both = {
      provider,
      trust: root.pem,
      identities: [{ cert: leaf.pem, key: leaf.privateKeyPem }],
      signatureSchemes: [scheme],
    };
    const { client, server } = await handshake(both, both);
    expect([failure(client), failure(server)]).toEqual([undefined, undefined]);
    for (const { engine } of [client, server]) {
      expect(engine.result?.signatureScheme).toBe(scheme);
      expect(engine.result?.peerSignatureScheme).toBe(scheme);
      expect(engine.result?.peer?.commonName).toBe(`leaf ${scheme}`);
    }
  });
});

it.each(FINITE)("%s with node", async (group) => {
  const { client, server } = await handshake({ groups: ["x25519", group], keyShares: ["x25519"] }, { groups: [group] });
  expect([failure(client), failure(server)]).toEqual([undefined, undefined]);
  expect(client.engine.result).toMatchObject({ group, retried: true });
});

it.each(CCM)("%s with node", async (suite) => {
  const { client, server } = await handshake({ cipherSuites: [suite] }, { cipherSuites: [suite] });
  expect([failure(client), failure(server)]).toEqual([undefined, undefined]);
  expect(server.engine.result?.cipherSuite).toBe(suite);
  const data = new Uint8Array(40_000).fill(5);
  client.engine.write(data);
  exchange(client, server);
  expect(concat(...server.received)).toEqual(data);
});

it.each(CCM)("a record of %s that was changed on its way is bad_record_mac", async (suite) => {
  const { client, server } = await handshake({ cipherSuites: [suite] }, { cipherSuites: [suite] });
  client.engine.write(new Uint8Array(10));
  exchange(client, server, (bytes) => {
    const changed = bytes.slice();
    changed[changed.length - 1] = (changed[changed.length - 1] as number) ^ 1;
    return [changed];
  });
  expect(failure(server)).toMatchObject({
    code: "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
    alert: "bad_record_mac",
  });
});

describe.each(PROVIDERS)("by default $name", (provider) => {
  it("offers none of them", () => {
    const { groups, keyShares, alpn, ...options } = world.clientOptions;
    const config = resolveClient({ ...options, provider }, everyFeature);
    const optional: readonly string[] = [...GROUPS, ...FINITE, ...CCM, ...OPTIONAL_SCHEMES, "secp521r1"];
    const offered = [...config.groups, ...config.suites].map(({ name }) => name as string);
    expect(offered.filter((name) => optional.includes(name))).toEqual([]);
    expect(config.signatureSchemes.filter((name) => optional.includes(name))).toEqual([]);
    expect(config.groups.map(({ name }) => name)).toEqual(["X25519MLKEM768", "x25519", "secp256r1", "secp384r1"]);
    expect(config.signatureSchemes).toHaveLength(10);
  });

  it("presents no certificate of a kind that the peer has not named", async () => {
    const { root, leaf } = kindOf("mldsa44");
    const { server } = await handshake(
      { provider, trust: root.pem },
      { provider, identities: [{ cert: leaf.pem, key: leaf.privateKeyPem }] },
    );
    expect(failure(server)).toMatchObject({ code: "ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM" });
  });
});

it("names that a provider lacks are refused", () => {
  const options = { ...world.clientOptions, keyShares: undefined };
  for (const wrong of [
    { groups: ["x448"] },
    { groups: ["ffdhe2048"] },
    { cipherSuites: ["TLS_AES_128_CCM_SHA256"] },
    { signatureSchemes: ["mldsa44"] },
    { signatureSchemes: ["ed448"] },
  ] as const) {
    expect(() => clientContext({ ...options, provider: nobleProvider, ...wrong })).toThrow(
      expect.objectContaining({ code: "ERR_TLS_OPTION" }),
    );
  }
});

/** Wrong shares by what is wrong with them; each as long as it must be. */
const zeros = (length: number) => new Uint8Array(length);
const WRONG: readonly (readonly [NamedGroupName, string, Uint8Array, Uint8Array])[] = [
  ["x448", "zero, which gives zero", zeros(56), zeros(56)],
  ["x448", "a byte short", zeros(55).fill(9), zeros(55).fill(9)],
  ["ffdhe2048", "zero", zeros(256), zeros(256)],
  ["ffdhe2048", "the prime", fromHex(FFDHE_PRIMES.ffdhe2048), fromHex(FFDHE_PRIMES.ffdhe2048)],
  ["ffdhe2048", "without its leading zeros", zeros(255).fill(9), zeros(255).fill(9)],
  ["ffdhe3072", "a byte long", zeros(385).fill(9), zeros(385).fill(9)],
  ["ffdhe4096", "one", zeros(512).fill(1, 511), zeros(512).fill(1, 511)],
  ["SecP256r1MLKEM768", "off the curve", zeros(1249).fill(4, 0, 65), zeros(1153).fill(4, 0, 65)],
  ["SecP256r1MLKEM768", "ML-KEM first", zeros(1249), zeros(1153)],
  ["SecP384r1MLKEM1024", "off the curve", zeros(1665).fill(4, 0, 97), zeros(1665).fill(4, 0, 97)],
  ["SecP384r1MLKEM1024", "a byte short", zeros(1664).fill(4), zeros(1664).fill(4)],
];

describe.each(WRONG)("a share of %s that is %s is illegal_parameter", (group, _what, ofClient, ofServer) => {
  const options = { groups: [group], keyShares: [group] };
  const code = NamedGroup.codes[group];
  const entry = (share: Uint8Array) => [code >> 8, code & 0xff, share.length >> 8, share.length & 0xff, ...share];

  it("from a server", () => {
    const share = entry(ofServer);
    const rogue = world.rogueServer(
      {
        tamper: (message, name) =>
          name === "server_hello"
            ? edit(message, ServerHello, (h) => ({ ...h, extensions: withRaw(h.extensions, "key_share", ...share) }))
            : undefined,
      },
      { groups: [group] },
    );
    expectRefusal(world.honestClient(options), rogue, verdict("ERR_TLS_ILLEGAL_PARAMETER", "WAIT_SH"));
  });

  it("from a client", () => {
    const share = entry(ofClient);
    const list = [share.length >> 8, share.length & 0xff, ...share];
    const rogue = world.rogueClient(
      {
        tamper: (message, name) =>
          name === "client_hello"
            ? edit(message, ClientHello, (h) => ({ ...h, extensions: withRaw(h.extensions, "key_share", ...list) }))
            : undefined,
      },
      options,
    );
    expectRefusal(world.honestServer({ groups: [group] }), rogue, verdict("ERR_TLS_ILLEGAL_PARAMETER", "NEGOTIATED"));
  });
});
