import { constants, createPrivateKey, sign as opensslSign } from "node:crypto";
import { beforeAll, describe, expect, it } from "vitest";
import { contextPrimitive, DerReader, derEncode, Tag } from "../../src/bytes/der.ts";
import { writePem } from "../../src/bytes/pem.ts";
import { parsePkcs8 } from "../../src/crypto/keys.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { nodeProvider } from "../../src/crypto/node.ts";
import type { Signer } from "../../src/crypto/provider.ts";
import { verifyScheme } from "../../src/crypto/signatures.ts";
import { createWebCryptoProvider, importPrivateKey, signerFromCryptoKey } from "../../src/crypto/webcrypto.ts";
import { webCryptoPkcs8 } from "../../src/crypto/webcrypto-keys.ts";
import { clientContext, serverContext } from "../../src/engine/index.ts";
import { TlsError } from "../../src/errors.ts";
import { createIdentity } from "../../src/handshake/identity.ts";
import { createTestIdentities, identityOptions, KEY_KINDS, type TestIdentities } from "../support/identities.ts";
import { ecPkcs8, type KeyKind, keyPair, publicKeyOf } from "../support/key-files.ts";
import { end, exchangeLate, failure } from "../support/pair.ts";
import { watchedSubtle } from "../support/subtle.ts";

const message = new TextEncoder().encode("sample");
const { subtle } = globalThis.crypto;

const EC_AND_EDWARDS = {
  "P-256": [{ name: "ECDSA", namedCurve: "P-256" }, "ecdsa_secp256r1_sha256"],
  "P-384": [{ name: "ECDSA", namedCurve: "P-384" }, "ecdsa_secp384r1_sha384"],
  "P-521": [{ name: "ECDSA", namedCurve: "P-521" }, "ecdsa_secp521r1_sha512"],
  Ed25519: [{ name: "Ed25519" }, "ed25519"],
} as const;
const RSA = { modulusLength: 2048, publicExponent: Uint8Array.of(1, 0, 1) };

async function failureOf(operation: () => unknown): Promise<{ code?: string; detail?: string | undefined }> {
  try {
    await operation();
  } catch (error) {
    if (error instanceof TlsError) return { code: error.code, detail: error.detail };
    throw error;
  }
  return {};
}

function generate(algorithm: object, usages: readonly KeyUsage[] = ["sign", "verify"]): Promise<CryptoKeyPair> {
  return subtle.generateKey(algorithm as AlgorithmIdentifier, false, usages) as Promise<CryptoKeyPair>;
}

async function publicKey(pair: CryptoKeyPair) {
  return publicKeyOf(new Uint8Array(await subtle.exportKey("spki", pair.publicKey)));
}

/** Every scheme's signature must hold, for Node's provider and no other message. */
async function signsFor(signer: Signer, kind: KeyKind): Promise<void> {
  const key = keyPair(kind).publicKey;
  for (const scheme of signer.schemes) {
    const signature = await signer.sign(scheme, message);
    expect(await verifyScheme(nodeProvider, scheme, key, message, signature), scheme).toBe(true);
    expect(await verifyScheme(nodeProvider, scheme, key, message.subarray(1), signature), scheme).toBe(false);
  }
}

describe("signerFromCryptoKey", () => {
  it.each(Object.keys(EC_AND_EDWARDS) as (keyof typeof EC_AND_EDWARDS)[])("signs with a key of %s", async (kind) => {
    const [algorithm, scheme] = EC_AND_EDWARDS[kind];
    const pair = await generate(algorithm);
    expect(pair.privateKey.extractable).toBe(false);
    const signer = signerFromCryptoKey(pair.privateKey);
    expect(signer.schemes).toEqual([scheme]);
    const key = await publicKey(pair);
    // Often enough for r or s to have its highest bit set, and now and then a leading zero.
    for (let i = 0; i < 20; i++) {
      const signature = await signer.sign(scheme, Uint8Array.of(i));
      for (const verifier of [nodeProvider, nobleProvider]) {
        expect(await verifyScheme(verifier, scheme, key, Uint8Array.of(i), signature)).toBe(true);
      }
    }
  });

  it.each(["sha256", "sha384", "sha512"] as const)("signs RSA-PSS with %s alone if the key says so", async (hash) => {
    const name = hash.replace("sha", "SHA-");
    const pair = await generate({ name: "RSA-PSS", hash: name, ...RSA });
    const signer = signerFromCryptoKey(pair.privateKey);
    expect(signer.schemes).toEqual([`rsa_pss_rsae_${hash}`, `rsa_pss_pss_${hash}`]);
    const [rsae] = signer.schemes as ["rsa_pss_rsae_sha256"];
    const signature = await signer.sign(rsae, message);
    expect(await verifyScheme(nodeProvider, rsae, await publicKey(pair), message, signature)).toBe(true);
    // WebCrypto would sign with the key's hash without a word.
    const other = hash === "sha256" ? "rsa_pss_rsae_sha384" : "rsa_pss_rsae_sha256";
    expect((await failureOf(() => signer.sign(other, message))).code).toBe("ERR_TLS_SIGNING_FAILED");
  });

  it("cannot do what RSA-1024 cannot carry: PSS with SHA-512 (RFC 8017 9.1.1)", async () => {
    const key = async (hash: string) =>
      (await generate({ name: "RSA-PSS", hash, ...RSA, modulusLength: 1024 })).privateKey;
    expect(await failureOf(async () => signerFromCryptoKey(await key("SHA-512")))).toEqual({
      code: "ERR_TLS_KEY",
      detail: "RSA of 1024 bits cannot carry RSA-PSS with SHA-512",
    });
    expect(signerFromCryptoKey(await key("SHA-384")).schemes[0]).toBe("rsa_pss_rsae_sha384");
  });

  it.each([
    ["PKCS#1 v1.5", { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256", ...RSA }, "privateKey", "PKCS#1 v1.5"],
    ["SHA-1", { name: "RSA-PSS", hash: "SHA-1", ...RSA }, "privateKey", "RSA-PSS with SHA-1"],
    ["a public key", { name: "ECDSA", namedCurve: "P-256" }, "publicKey", "a public CryptoKey"],
  ] as const)("refuses %s", async (_, algorithm, half, detail) => {
    const pair = await generate(algorithm);
    const refused = await failureOf(() => signerFromCryptoKey(pair[half]));
    expect(refused.code).toBe("ERR_TLS_KEY");
    expect(refused.detail).toContain(detail);
  });

  it("refuses keys that are not for signing", async () => {
    const ecdh = await generate({ name: "ECDH", namedCurve: "P-256" }, ["deriveBits"]);
    const hmac = await subtle.generateKey({ name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    const decrypting = await generate({ name: "RSA-OAEP", hash: "SHA-256", ...RSA }, ["decrypt", "encrypt"]);
    for (const key of [ecdh.privateKey, hmac, decrypting.privateKey]) {
      expect((await failureOf(() => signerFromCryptoKey(key))).code).toBe("ERR_TLS_KEY");
    }
    const p256k1 = { type: "private", usages: ["sign"], algorithm: { name: "ECDSA", namedCurve: "K-256" } };
    expect((await failureOf(() => signerFromCryptoKey(p256k1 as unknown as CryptoKey))).detail).toContain("K-256");
    const ed448 = { type: "private", usages: ["sign"], algorithm: { name: "Ed448" } };
    expect((await failureOf(() => signerFromCryptoKey(ed448 as unknown as CryptoKey))).detail).toContain("Ed448");
  });
});

describe("importPrivateKey", () => {
  it.each([
    ["P-256", ["ecdsa_secp256r1_sha256"]],
    ["P-384", ["ecdsa_secp384r1_sha384"]],
    ["P-521", ["ecdsa_secp521r1_sha512"]],
    ["Ed25519", ["ed25519"]],
    ["RSA", ["rsa_pss_rsae_sha256", "rsa_pss_rsae_sha384", "rsa_pss_rsae_sha512"]],
    ["RSA-PSS", ["rsa_pss_pss_sha256", "rsa_pss_pss_sha384", "rsa_pss_pss_sha512"]],
    ["RSA-PSS for SHA-384", ["rsa_pss_pss_sha384"]],
    ["RSA 1024", ["rsa_pss_rsae_sha256", "rsa_pss_rsae_sha384"]],
  ] as const)("takes PKCS#8 of %s, and so does the provider", async (kind, schemes) => {
    const { pkcs8 } = keyPair(kind);
    const watched = watchedSubtle();
    const signer = await importPrivateKey(writePem("PRIVATE KEY", pkcs8), { subtle: watched.subtle });
    expect(watched.calls.map((call) => call.split(" ").slice(0, 2))).toEqual(schemes.map(() => ["importKey", "pkcs8"]));
    expect(signer.schemes).toEqual(schemes);
    await signsFor(signer, kind);
    expect((await failureOf(() => signer.sign(otherThan(kind), message))).code).toBe("ERR_TLS_SIGNING_FAILED");
    await signsFor(createWebCryptoProvider().signer(pkcs8), kind);
  });

  it.each(["P-256", "RSA"] as const)("takes the traditional form of %s", async (kind) => {
    const type = kind === "RSA" ? "pkcs1" : "sec1";
    const pem = keyPair(kind).privateKey.export({ type, format: "pem" }) as string;
    await signsFor(await importPrivateKey(pem), kind);
  });

  it("makes keys that cannot be exported", async () => {
    const keys: CryptoKey[] = [];
    const change = async (_call: string, result: () => Promise<unknown>) => {
      const key = (await result()) as CryptoKey;
      keys.push(key);
      return key;
    };
    await importPrivateKey(keyPair("RSA").pkcs8, { subtle: watchedSubtle({ change }).subtle });
    expect(keys).toHaveLength(3);
    for (const key of keys) expect([key.type, key.extractable, key.usages]).toEqual(["private", false, ["sign"]]);
  });

  it("takes an Ed25519 key with its public key beside it (RFC 5958 2)", async () => {
    const { pkcs8, publicKey } = keyPair("Ed25519");
    const info = new DerReader(pkcs8).sequence();
    info.integer();
    const parts = [info.raw(), info.raw()];
    const bits = derEncode(contextPrimitive(1), Uint8Array.of(0), publicKey.spki.subarray(-32));
    const both = derEncode(Tag.sequence, Uint8Array.of(Tag.integer, 1, 1), ...parts, bits);
    await signsFor(await importPrivateKey(both), "Ed25519");
  });

  it("refuses what is no key, and what WebCrypto does not take", async () => {
    for (const [key, code] of [
      ["nonsense", "ERR_TLS_KEY"],
      [keyPair("P-256").pkcs8.subarray(0, 60), "ERR_TLS_PEM"],
      [ecPkcs8("P-256", new Uint8Array(32)), "ERR_TLS_KEY"],
      [ecPkcs8("P-256", new Uint8Array(32).fill(0xff)), "ERR_TLS_KEY"],
    ] as const) {
      expect((await failureOf(() => importPrivateKey(key))).code).toBe(code);
    }
    const lacking = watchedSubtle({ lacks: ["Ed25519"] });
    const refused = await failureOf(() => importPrivateKey(keyPair("Ed25519").pkcs8, { subtle: lacking.subtle }));
    expect(refused.code).toBe("ERR_TLS_KEY");
    expect(refused.detail).toContain("NotSupportedError");
  });
});

describe("the provider's signer", () => {
  it("imports at the first signature, once, from bytes of its own", async () => {
    const watched = watchedSubtle();
    const provider = createWebCryptoProvider({ subtle: watched.subtle });
    const pkcs8 = keyPair("P-256").pkcs8.slice();
    const signer = provider.signer(pkcs8);
    pkcs8.fill(0);
    expect(watched.calls).toEqual([]);
    await signsFor(signer, "P-256");
    await signsFor(signer, "P-256");
    expect(watched.calls.filter((call) => call.startsWith("importKey"))).toHaveLength(1);
  });

  it("signs with the fallback what the platform does not import, and says so", async () => {
    const change = async (call: string, result: () => Promise<unknown>) => {
      // Firefox wants the public key in there.
      if (call.startsWith("importKey pkcs8 ECDSA")) throw new DOMException("no public key", "DataError");
      return result();
    };
    const { subtle } = watchedSubtle({ change });
    const provider = createWebCryptoProvider({ subtle, fallback: nobleProvider });
    await signsFor(provider.signer(keyPair("P-256").pkcs8), "P-256");
    expect(provider.fallbacks).toEqual(["ECDSA P-256: DataError: no public key"]);
    const alone = createWebCryptoProvider({ subtle });
    await expect(async () =>
      alone.signer(keyPair("P-256").pkcs8).sign("ecdsa_secp256r1_sha256", message),
    ).rejects.toThrow("no public key");
  });
});

describe("identities in a handshake", () => {
  let identities: TestIdentities;
  /** All calls of both ends, so that one can wait for them. */
  const watched = watchedSubtle();
  /** Remote signatures under way. */
  let signing = 0;
  beforeAll(async () => {
    identities = await createTestIdentities(KEY_KINDS);
  });

  async function connect(signer: Signer, kind: (typeof KEY_KINDS)[number]) {
    const provider = createWebCryptoProvider({ subtle: watched.subtle, fallback: nobleProvider });
    const common = { provider, clock: Date.now, trust: identities.ca, groups: ["x25519"] } as const;
    const { cert } = identityOptions(identities.client(kind));
    const client = end(
      clientContext({ ...common, serverName: "localhost", identities: [{ cert, key: signer }] }).engine(),
    );
    const server = end(
      serverContext({
        ...common,
        identities: [identityOptions(identities.server())],
        clientAuth: "on",
      }).engine(),
    );
    await exchangeLate(client, server, undefined, undefined, () => watched.pending() > 0 || signing > 0);
    return { client, server };
  }
  /** A key as a key store holds it, non-extractable. */
  async function cryptoKey(kind: (typeof KEY_KINDS)[number]): Promise<CryptoKey> {
    const { privateKey } = identities.client(kind);
    const isRsa = kind === "RSA" || kind === "RSA-PSS";
    const algorithm = isRsa ? { name: "RSA-PSS", hash: "SHA-384" } : EC_AND_EDWARDS[kind][0];
    const pkcs8 = webCryptoPkcs8(privateKey, parsePkcs8(privateKey).algorithm);
    return subtle.importKey("pkcs8", new Uint8Array(pkcs8), algorithm, false, ["sign"]);
  }

  it.each(KEY_KINDS)("authenticate a client by a CryptoKey of %s that nobody can export", async (kind) => {
    const signer = signerFromCryptoKey(await cryptoKey(kind), { subtle: watched.subtle });
    const { client, server } = await connect(signer, kind);
    expect([failure(client), failure(server)]).toEqual([undefined, undefined]);
    expect(server.engine.result?.peer).toMatchObject({ verified: true, commonName: `client ${kind}` });
    const scheme = { RSA: "rsa_pss_rsae_sha384", "RSA-PSS": "rsa_pss_pss_sha384" }[kind as string];
    expect(client.engine.result?.signatureScheme).toBe(scheme ?? signer.schemes[0]);
  });

  it("have one scheme for an RSA key in WebCrypto: the certificate says which", async () => {
    for (const kind of ["RSA", "RSA-PSS"] as const) {
      const identity = createIdentity(identities.client(kind).certificates, signerFromCryptoKey(await cryptoKey(kind)));
      expect(identity.schemes).toEqual([kind === "RSA" ? "rsa_pss_rsae_sha384" : "rsa_pss_pss_sha384"]);
    }
  });

  /** What a key management service does: it holds the key, takes a digest or a message, and answers later. */
  function remoteSigner(kind: "P-256" | "RSA", fail = false): Signer {
    const key = createPrivateKey(identities.client(kind).privateKeyPem);
    const scheme = kind === "RSA" ? "rsa_pss_rsae_sha256" : "ecdsa_secp256r1_sha256";
    return {
      schemes: [scheme],
      async sign(_scheme, message) {
        signing++;
        await new Promise((resolve) => setImmediate(resolve));
        signing--;
        if (fail) throw new Error("AccessDenied");
        const padding = constants.RSA_PKCS1_PSS_PADDING;
        return new Uint8Array(opensslSign("sha256", message, kind === "RSA" ? { key, padding, saltLength: 32 } : key));
      },
    };
  }

  it.each(["P-256", "RSA"] as const)("authenticate a client by a remote key of %s", async (kind) => {
    const { client, server } = await connect(remoteSigner(kind), kind);
    expect([failure(client), failure(server)]).toEqual([undefined, undefined]);
    expect(server.engine.result?.peer?.commonName).toBe(`client ${kind}`);
  });

  it("say what a remote key said when it refused", async () => {
    const { client, server } = await connect(remoteSigner("P-256", true), "P-256");
    expect(failure(client)).toMatchObject({ code: "ERR_TLS_SIGNING_FAILED", direction: "sent" });
    expect(client.engine.error?.message).toContain("AccessDenied");
    expect(failure(server)).toMatchObject({ alert: "internal_error", direction: "received" });
  });
});

/** A scheme that a key of this kind does not sign with. */
function otherThan(kind: KeyKind) {
  return kind === "Ed25519" ? "ecdsa_secp256r1_sha256" : "ed25519";
}
