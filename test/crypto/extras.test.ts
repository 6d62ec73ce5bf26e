import { ml_kem768 } from "@noble/post-quantum/ml-kem.js";
import { describe, expect, it } from "vitest";
import { concat } from "../../src/bytes/bytes.ts";
import { derEncode, Tag } from "../../src/bytes/der.ts";
import { fromHex, toHex } from "../../src/bytes/hex.ts";
import { hybrid, SECP256R1_MLKEM768 } from "../../src/crypto/groups.ts";
import { keyAlgorithm, parsePrivateKey } from "../../src/crypto/keys.ts";
import { classicalProvider, mlDsa65, nobleProvider, withExtras, x448 } from "../../src/crypto/noble.ts";
import { createNodeProvider } from "../../src/crypto/node.ts";
import { FFDHE_PRIMES } from "../../src/crypto/node-ffdhe-primes.ts";
import type { CryptoProvider, Group } from "../../src/crypto/provider.ts";
import { certificateSignatureAlgorithm, verifyScheme } from "../../src/crypto/signatures.ts";
import { createWebCryptoProvider, importPrivateKey } from "../../src/crypto/webcrypto.ts";
import { TlsError } from "../../src/errors.ts";
import {
  EXTRAS,
  type MlDsaForm,
  mlDsaPrivateKey,
  nobleWithExtras,
  OPTIONAL_SCHEMES,
  optionalAlgorithm,
  optionalKeyPair,
  optionalPkcs8,
  optionalSpki,
  webcryptoWithExtras,
} from "../support/extras.ts";
import { publicKeyOf } from "../support/key-files.ts";
import { lateProvider } from "../support/late-provider.ts";
import { RFC8032_ED448 } from "./vectors.ts";

const node = createNodeProvider();
const PROVIDERS = [nobleWithExtras, webcryptoWithExtras, node, lateProvider(nobleWithExtras, { seed: 3 })];
const MADE_EVERYWHERE = ["x448", "SecP256r1MLKEM768", "SecP384r1MLKEM1024"] as const;
const FINITE = ["ffdhe2048", "ffdhe3072", "ffdhe4096"] as const;
const message = new TextEncoder().encode("sample");

async function failure(operation: () => unknown): Promise<{ code?: string; detail?: string | undefined }> {
  try {
    await operation();
  } catch (error) {
    if (error instanceof TlsError) return { code: error.code, detail: error.detail };
    throw error;
  }
  return {};
}

const codeOf = async (operation: () => unknown) => (await failure(operation)).code;

function named(provider: CryptoProvider, name: string): Group {
  const group = provider.groups.find((candidate) => candidate.name === name);
  if (group === undefined) throw new Error(`${provider.name} lacks ${name}`);
  return group;
}

/** The share must be refused by both sides. */
async function expectIllegal(group: Group, share: Uint8Array, what: string): Promise<void> {
  const client = await group.generate();
  expect(await codeOf(() => client.agree(share)), `${what}, client`).toBe("ERR_TLS_ILLEGAL_PARAMETER");
  expect(await codeOf(() => group.encapsulate(share)), `${what}, server`).toBe("ERR_TLS_ILLEGAL_PARAMETER");
}

describe.each(PROVIDERS)("$name with extras", (provider) => {
  describe.each(PROVIDERS)("and $name", (other) => {
    it.each(MADE_EVERYWHERE)("agree over %s", async (name) => {
      const client = await named(provider, name).generate();
      const server = await named(other, name).encapsulate(client.publicKey);
      expect(await client.agree(server.publicKey)).toEqual(server.sharedSecret);
    });
  });

  it.each(MADE_EVERYWHERE)("%s refuses shares of the wrong length", async (name) => {
    const group = named(provider, name);
    const client = await group.generate();
    const server = await group.encapsulate(client.publicKey);
    const longer = (share: Uint8Array) => concat(share, Uint8Array.of(0));
    for (const wrong of [new Uint8Array(0), client.publicKey.subarray(1), longer(client.publicKey)]) {
      expect(await codeOf(() => group.encapsulate(wrong))).toBe("ERR_TLS_ILLEGAL_PARAMETER");
    }
    for (const wrong of [new Uint8Array(0), server.publicKey.subarray(1), longer(server.publicKey)]) {
      expect(await codeOf(() => client.agree(wrong))).toBe("ERR_TLS_ILLEGAL_PARAMETER");
    }
  });

  // RFC 7748 5: u of small order gives zero; below the twins at and beyond the prime.
  it.each([
    ["zero", "00".repeat(56)],
    ["one", `01${"00".repeat(55)}`],
    ["minus one", `fe${"ff".repeat(27)}fe${"ff".repeat(27)}`],
    ["the prime", `ff${"ff".repeat(27)}fe${"ff".repeat(27)}`],
    ["the prime and one", `${"00".repeat(28)}${"ff".repeat(28)}`],
  ])("x448 refuses u of %s, which gives zero (RFC 8446 7.4.2)", async (what, share) => {
    await expectIllegal(named(provider, "x448"), fromHex(share), what);
  });

  it.each([
    { name: "SecP256r1MLKEM768", point: 65, client: 1249, server: 1153, secret: 64 },
    { name: "SecP384r1MLKEM1024", point: 97, client: 1665, server: 1665, secret: 80 },
  ])("$name checks both halves of a share, the curve's first", async ({ name, point, ...lengths }) => {
    const group = named(provider, name);
    const client = await group.generate();
    const server = await group.encapsulate(client.publicKey);
    expect({
      client: client.publicKey.length,
      server: server.publicKey.length,
      secret: server.sharedSecret.length,
    }).toEqual(lengths);
    const changed = (share: Uint8Array, at: number, ...bytes: readonly number[]) => {
      const copy = share.slice();
      copy.set(bytes, at);
      return copy;
    };
    const y = (share: Uint8Array) => share[point - 1] as number;
    const wrong: Readonly<Record<string, (share: Uint8Array) => Uint8Array>> = {
      "a compressed point": (share) => changed(share, 0, 2),
      "a point off the curve": (share) => changed(share, point - 1, y(share) ^ 1),
      "zeros for a point": (share) => changed(share, 1, ...new Uint8Array(point - 1)),
    };
    for (const [what, change] of Object.entries(wrong)) {
      expect(await codeOf(() => group.encapsulate(change(client.publicKey))), what).toBe("ERR_TLS_ILLEGAL_PARAMETER");
      expect(await codeOf(() => client.agree(change(server.publicKey))), what).toBe("ERR_TLS_ILLEGAL_PARAMETER");
    }
    // FIPS 203 7.2: coefficients beyond q.
    const badKey = changed(client.publicKey, point, 0xff, 0xff, 0xff);
    expect(await codeOf(() => group.encapsulate(badKey))).toBe("ERR_TLS_ILLEGAL_PARAMETER");
    // FIPS 203 6.3: a wrong ciphertext gives another secret, in its own half alone.
    const secret = await client.agree(changed(server.publicKey, point, 1, 2, 3, 4));
    expect(secret.subarray(0, -32)).toEqual(server.sharedSecret.subarray(0, -32));
    expect(secret.subarray(-32)).not.toEqual(server.sharedSecret.subarray(-32));
  });

  it.each(RFC8032_ED448)("Ed448: RFC 8032 7.4, message $message", async ({ key, publicKey, message, signature }) => {
    const signer = provider.signer(optionalPkcs8("ed448", derEncode(Tag.octetString, fromHex(key))));
    expect(signer.schemes).toEqual(["ed448"]);
    expect(toHex(await signer.sign("ed448", fromHex(message)))).toBe(signature);
    expect(await codeOf(() => signer.sign("ed25519", fromHex(message)))).toBe("ERR_TLS_SIGNING_FAILED");
    const parsed = publicKeyOf(optionalSpki("ed448", fromHex(publicKey)));
    const verify = (bytes: Uint8Array) => provider.verify(parsed, { type: "ed448" }, fromHex(message), bytes);
    const valid = fromHex(signature);
    expect(await verify(valid)).toBe(true);
    expect(await verify(valid.subarray(0, 113))).toBe(false);
    expect(await verify(concat(valid, Uint8Array.of(0)))).toBe(false);
    // RFC 8032 5.2.7: S below the order of the group.
    const order = 2n ** 446n - 13818066809895115352007386748515426880336692474882178609894547503885n;
    const s = BigInt(`0x${toHex(valid.slice(57).reverse())}`) + order;
    expect(await verify(concat(valid.subarray(0, 57), fromHex(s.toString(16).padStart(114, "0")).reverse()))).toBe(
      false,
    );
  });

  it("Ed448 keys of small order, or beyond the prime, verify nothing", async () => {
    const prime = 2n ** 448n - 2n ** 224n - 1n;
    const encoded = (y: bigint, sign: number) => {
      const bytes = fromHex(y.toString(16).padStart(114, "0")).reverse();
      bytes[56] = (bytes[56] as number) | sign;
      return bytes;
    };
    const points = [0n, 1n, prime - 1n, prime, prime + 1n].flatMap((y) => [encoded(y, 0), encoded(y, 0x80)]);
    for (const key of points) {
      const publicKey = publicKeyOf(optionalSpki("ed448", key));
      // With S zero, R must be a multiple of the key by the hash: one message in four or more fits one of these.
      for (let i = 0; i < 8; i++) {
        for (const r of points) {
          const signature = concat(r, new Uint8Array(57));
          expect(await provider.verify(publicKey, { type: "ed448" }, Uint8Array.of(i), signature)).toBe(false);
        }
      }
    }
  });

  describe.each(OPTIONAL_SCHEMES)("%s", (scheme) => {
    const pair = optionalKeyPair(scheme);
    const publicKey = publicKeyOf(pair.spki);
    const algorithm = { type: scheme } as const;

    it("signs so that every provider verifies it, and nothing close to it", async () => {
      const signature = await provider.signer(pair.pkcs8).sign(scheme, message);
      for (const other of PROVIDERS) {
        const verify = (of: Uint8Array, by: Uint8Array) => verifyScheme(other, scheme, publicKey, of, by);
        expect(await verify(message, signature)).toBe(true);
        expect(await verify(message.subarray(1), signature)).toBe(false);
        for (const at of [0, 60, signature.length - 1]) {
          const tampered = signature.slice();
          tampered[at] = (tampered[at] as number) ^ 1;
          expect(await verify(message, tampered), `byte ${at}`).toBe(false);
        }
        for (const length of [0, 1, signature.length - 1]) {
          expect(await verify(message, signature.subarray(0, length))).toBe(false);
        }
        expect(await verify(message, concat(signature, Uint8Array.of(0)))).toBe(false);
        expect(await verifyScheme(other, "ed25519", publicKey, message, signature)).toBe(false);
      }
    });

    it("verifies nothing with a key of another kind, or none", async () => {
      const signature = await provider.signer(pair.pkcs8).sign(scheme, message);
      for (const other of OPTIONAL_SCHEMES.filter((name) => name !== scheme)) {
        const foreign = publicKeyOf(optionalKeyPair(other).spki);
        expect(await provider.verify(foreign, algorithm, message, signature)).toBe(false);
        expect(provider.canVerify({ type: other }, algorithm)).toBe(false);
      }
      expect(provider.canVerify({ type: scheme }, algorithm)).toBe(true);
      for (const spki of [new Uint8Array(0), pair.spki.subarray(1), pair.spki.subarray(0, -1)]) {
        expect(await provider.verify({ spki, algorithm }, algorithm, message, signature)).toBe(false);
      }
    });
  });

  describe.each(["mldsa44", "mldsa65", "mldsa87"] as const)("private keys of %s (RFC 9881 6)", (scheme) => {
    it.each<MlDsaForm>(["seed", "expanded", "both"])("may be of the form %s", async (form) => {
      const pair = optionalKeyPair(scheme, form);
      const signature = await provider.signer(pair.pkcs8).sign(scheme, message);
      expect(await provider.verify(publicKeyOf(pair.spki), { type: scheme }, message, signature)).toBe(true);
    });

    it("must be of the right length, and of one piece", async () => {
      const { pkcs8 } = optionalKeyPair(scheme, "expanded");
      const expanded = parsePrivateKey(pkcs8).subarray(-EXPANDED[scheme]);
      const seed = new Uint8Array(32);
      const wrong = {
        "a short seed": mlDsaPrivateKey("seed", seed.subarray(1), expanded),
        "a short expanded key": mlDsaPrivateKey("expanded", seed, expanded.subarray(1)),
        "a seed that is another key's": mlDsaPrivateKey("both", seed, expanded),
        "something after it": concat(mlDsaPrivateKey("seed", seed, expanded), fromHex("0500")),
        "a bare seed": seed,
        nothing: new Uint8Array(0),
      };
      for (const [what, content] of Object.entries(wrong)) {
        expect(await codeOf(() => provider.signer(optionalPkcs8(scheme, content))), what).toBe("ERR_TLS_KEY");
      }
    });
  });
});

const EXPANDED = { mldsa44: 2560, mldsa65: 4032, mldsa87: 4896 };

describe.each(FINITE)("%s, which node alone has", (name) => {
  const group = named(node, name);
  const prime = fromHex(FFDHE_PRIMES[name]);
  const near = (difference: bigint) => {
    const value = BigInt(`0x${FFDHE_PRIMES[name]}`) + difference;
    return fromHex(value.toString(16).padStart(2 * prime.length, "0"));
  };
  const small = (value: number) => {
    const share = new Uint8Array(prime.length);
    share[prime.length - 1] = value;
    return share;
  };

  it("agrees", async () => {
    const client = await group.generate();
    const server = await group.encapsulate(client.publicKey);
    expect(await client.agree(server.publicKey)).toEqual(server.sharedSecret);
    expect([client.publicKey.length, server.sharedSecret.length]).toEqual([prime.length, prime.length]);
    expect((await group.generate()).publicKey).not.toEqual(client.publicKey);
  });

  it("refuses what is not between 1 and p - 1 (RFC 8446 4.2.8.1), and other lengths", async () => {
    const beyond = new Uint8Array(prime.length).fill(0xff);
    const shares = { 0: small(0), 1: small(1), "p - 1": near(-1n), p: prime, "p + 1": near(1n), "2^n - 1": beyond };
    for (const [what, share] of Object.entries(shares)) {
      await expectIllegal(group, share, what);
      // Not only by the grace of OpenSSL.
      const { detail } = await failure(() => group.encapsulate(share));
      expect(detail, what).toBe("a finite field share out of range");
    }
    const { publicKey } = await group.generate();
    for (const share of [new Uint8Array(0), publicKey.subarray(1), concat(Uint8Array.of(0), publicKey)]) {
      await expectIllegal(group, share, `${share.length} bytes`);
    }
    const client = await group.generate();
    expect(await client.agree(small(2))).toEqual(client.publicKey);
  });
});

it("ffdhe2048 pads shares and secrets with zeros in front (RFC 8446 4.2.8.1, 7.4.1)", async () => {
  const group = named(node, "ffdhe2048");
  const generator = new Uint8Array(256);
  generator[255] = 2;
  // The peer's share being the generator, the secret is our own share.
  for (let tries = 0; ; tries++) {
    const { publicKey, agree } = await group.generate();
    expect(publicKey).toHaveLength(256);
    if (publicKey[0] !== 0 && tries < 20_000) continue;
    expect(publicKey[0]).toBe(0);
    expect(await agree(generator)).toEqual(publicKey);
    break;
  }
});

describe("withExtras", () => {
  it("adds to the groups of a provider that finds its own later", async () => {
    const { generate } = nobleProvider.groups[0] as Group;
    const own: Group[] = [];
    const growing = withExtras({ ...classicalProvider, groups: own }, { groups: [x448] });
    expect(growing.groups.map(({ name }) => name)).toEqual(["x448"]);
    own.push({ name: "x25519", generate, encapsulate: () => Promise.reject(new Error("not here")) });
    expect(growing.groups.map(({ name }) => name)).toEqual(["x25519", "x448"]);
  });

  it("leaves the provider what it has already", () => {
    const twice = withExtras(node, EXTRAS);
    expect(twice.groups).toEqual(node.groups);
    expect(twice.signer(optionalKeyPair("mldsa65").pkcs8).schemes).toEqual(["mldsa65"]);
  });

  it("keeps what else the provider can do", async () => {
    expect(await webcryptoWithExtras.warmup()).toBeUndefined();
    expect(webcryptoWithExtras.fallbacks).toEqual(expect.any(Array));
    const { pkcs8 } = optionalKeyPair("ed448");
    expect(await codeOf(() => withExtras(nobleProvider, { signatures: [mlDsa65] }).signer(pkcs8))).toBe("ERR_TLS_KEY");
  });

  it("refuses a hybrid without its curve", async () => {
    const bare = { ...nobleProvider, groups: [] };
    expect((await failure(() => withExtras(bare, EXTRAS))).detail).toContain("needs secp256r1");
  });
});

it("providers without extras refuse these keys by name", async () => {
  const web = createWebCryptoProvider({ fallback: nobleProvider });
  for (const scheme of OPTIONAL_SCHEMES) {
    const { pkcs8, spki } = optionalKeyPair(scheme);
    const signature = await nobleWithExtras.signer(pkcs8).sign(scheme, message);
    for (const provider of [nobleProvider, classicalProvider, web]) {
      const { code, detail } = await failure(() => provider.signer(pkcs8));
      expect([code, detail]).toEqual(["ERR_TLS_KEY", expect.stringContaining(`a ${scheme} key needs withExtras`)]);
      expect(provider.canVerify({ type: scheme }, { type: scheme })).toBe(false);
      expect(await provider.verify(publicKeyOf(spki), { type: scheme }, message, signature)).toBe(false);
    }
    expect(await codeOf(() => importPrivateKey(pkcs8))).toBe("ERR_TLS_KEY");
  }
});

it("a decapsulation that fails is this side's fault, not the peer's (draft-ietf-tls-ecdhe-mlkem 3.1.2)", async () => {
  const broken = {
    ...ml_kem768,
    decapsulate() {
      throw new Error("out of order");
    },
  };
  const group = hybrid(SECP256R1_MLKEM768, nobleProvider.groups, broken);
  const client = await group.generate();
  const server = await group.encapsulate(client.publicKey);
  expect(await codeOf(() => client.agree(server.publicKey))).toBe("ERR_TLS_INTERNAL");
});

describe.each(OPTIONAL_SCHEMES)("certificates and keys of %s", (scheme) => {
  it("are recognised, without parameters", async () => {
    const { spki } = optionalKeyPair(scheme);
    expect(keyAlgorithm(spki)).toEqual({ type: scheme });
    const algorithm = optionalAlgorithm(scheme);
    expect(certificateSignatureAlgorithm(algorithm)).toEqual({ type: scheme });
    const withNull = derEncode(Tag.sequence, algorithm.subarray(2), fromHex("0500"));
    expect(await codeOf(() => certificateSignatureAlgorithm(withNull))).toBe("ERR_TLS_PEM");
    const key = derEncode(Tag.bitString, Uint8Array.of(0), new Uint8Array(57));
    expect(await codeOf(() => keyAlgorithm(derEncode(Tag.sequence, withNull, key)))).toBe("ERR_TLS_PEM");
    for (const length of [0, 56, 58, 1311, 1953, 2593]) {
      const wrong = optionalSpki(scheme, new Uint8Array(length));
      expect(await codeOf(() => keyAlgorithm(wrong)), `${length}`).toBe("ERR_TLS_PEM");
    }
  });
});
