import { constants, sign } from "node:crypto";
import { build } from "esbuild";
import { describe, expect, it, vi } from "vitest";
import { derEncode, Tag } from "../../src/bytes/der.ts";
import { fromHex, toHex } from "../../src/bytes/hex.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { nodeProvider } from "../../src/crypto/node.ts";
import type {
  Aead,
  CryptoProvider,
  Group,
  LateAead,
  PromptAead,
  PublicKey,
  SignatureAlgorithm,
} from "../../src/crypto/provider.ts";
import { createLeanProvider, createWebCryptoProvider } from "../../src/crypto/webcrypto.ts";
import { ecdsaSignatureFromDer, ecdsaSignatureToDer } from "../../src/crypto/webcrypto-keys.ts";
import { clientContext, type IdentityOptions, serverContext } from "../../src/engine/index.ts";
import { TlsError } from "../../src/errors.ts";
import { createTestIdentities, identityOptions, type TestIdentities } from "../support/identities.ts";
import { ed25519Spki, type KeyKind, keyPair, publicKeyOf, rsaSpki } from "../support/key-files.ts";
import { lateProvider } from "../support/late-provider.ts";
import { end, exchangeLate, failure } from "../support/pair.ts";
import { type WatchedSubtle, watchedSubtle } from "../support/subtle.ts";
import { AEADS } from "./vectors.ts";

const OLD_BROWSER = ["X25519", "Ed25519", "P-521"];
const message = new TextEncoder().encode("sample");
const ed25519 = { type: "ed25519" } as const;
const ecdsa = (hash: "sha256" | "sha384" | "sha512") => ({ type: "ecdsa", hash }) as const;

const names = ({ groups }: CryptoProvider) => groups.map(({ name }) => name);

function named(provider: CryptoProvider, name: string): Group {
  const group = provider.groups.find((candidate) => candidate.name === name);
  if (group === undefined) throw new Error(`${provider.name} lacks ${name}`);
  return group;
}

async function codeOf(operation: () => unknown): Promise<string> {
  try {
    await operation();
  } catch (error) {
    return error instanceof TlsError ? error.code : String(error);
  }
  return "no error";
}

/** Both ways of the exchange against Node's provider. */
async function agrees(provider: CryptoProvider, name: string): Promise<void> {
  const [ours, theirs] = [named(provider, name), named(nodeProvider, name)];
  for (const [client, server] of [
    [ours, theirs],
    [theirs, ours],
  ] as const) {
    const share = await client.generate();
    const answer = await server.encapsulate(share.publicKey);
    expect(await share.agree(answer.publicKey)).toEqual(answer.sharedSecret);
  }
}

/** A valid signature by a key of this kind, with all that is needed to verify it. */
function signed(kind: KeyKind, algorithm: SignatureAlgorithm): [PublicKey, SignatureAlgorithm, Uint8Array, Uint8Array] {
  const { privateKey, publicKey } = keyPair(kind);
  const options =
    algorithm.type === "rsa-pss"
      ? { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: algorithm.saltLength }
      : privateKey;
  const hash = "hash" in algorithm ? algorithm.hash : null;
  return [publicKey, algorithm, message, new Uint8Array(sign(hash, message, options))];
}

/** Runs mutual handshakes with one provider at both ends. */
function handshake(
  provider: CryptoProvider,
  { pending }: WatchedSubtle,
  identities: TestIdentities,
  client: IdentityOptions,
  server: IdentityOptions,
) {
  const common = { provider, clock: Date.now, trust: identities.ca, groups: ["x25519"] } as const;
  const contexts = [
    clientContext({ ...common, serverName: "localhost", identities: [client] }),
    serverContext({ ...common, identities: [server], clientAuth: "on" }),
  ] as const;
  return async () => {
    const [a, b] = [end(contexts[0].engine()), end(contexts[1].engine())];
    await exchangeLate(a, b, undefined, undefined, () => pending() > 0);
    expect([failure(a), failure(b)]).toEqual([undefined, undefined]);
    expect([a.engine.state, b.engine.state]).toEqual(["CONNECTED", "CONNECTED"]);
  };
}

describe("WebCrypto alone", () => {
  it("offers what every platform has until it knows more, then the rest, in place", async () => {
    const provider = createWebCryptoProvider();
    const { groups } = provider;
    expect(names(provider)).toEqual(["secp256r1", "secp384r1"]);
    expect(provider.canVerify({ type: "ec", curve: "P-384" }, ecdsa("sha384"))).toBe(true);
    expect(provider.canVerify({ type: "rsa", bits: 2048 }, { type: "rsa-pkcs1", hash: "sha256" })).toBe(true);
    expect(provider.canVerify({ type: "ed25519" }, ed25519)).toBe(false);
    await provider.warmup();
    expect(provider.groups).toBe(groups);
    expect(names(provider)).toEqual(["x25519", "secp256r1", "secp384r1", "secp521r1"]);
    expect(provider.canVerify({ type: "ed25519" }, ed25519)).toBe(true);
    expect(provider.canVerify({ type: "ec", curve: "P-521" }, ecdsa("sha512"))).toBe(true);
    for (const name of names(provider)) await agrees(provider, name);
    expect(provider.fallbacks).toEqual([]);
  });

  it("does not offer what the platform lacks", async () => {
    const provider = createWebCryptoProvider({ subtle: watchedSubtle({ lacks: OLD_BROWSER }).subtle });
    await provider.warmup();
    expect(names(provider)).toEqual(["secp256r1", "secp384r1"]);
    expect(provider.canVerify({ type: "ed25519" }, ed25519)).toBe(false);
    expect(provider.canVerify({ type: "ec", curve: "P-521" }, ecdsa("sha512"))).toBe(false);
    expect(await provider.verify(...signed("Ed25519", ed25519))).toBe(false);
    expect(await codeOf(() => provider.signer(keyPair("Ed25519").pkcs8).sign("ed25519", message))).toBe(
      "ERR_TLS_OPTION",
    );
    expect(provider.fallbacks).toEqual([]);
    for (const name of names(provider)) await agrees(provider, name);
  });

  it("passes on what goes wrong in an operation that the platform has", async () => {
    const change = async (call: string, result: () => Promise<unknown>) => {
      if (failing && call.startsWith("generateKey ECDH P-256")) throw new DOMException("not now", "OperationError");
      return result();
    };
    let failing = false;
    const provider = createWebCryptoProvider({ subtle: watchedSubtle({ change }).subtle });
    await provider.warmup();
    failing = true;
    await expect(async () => named(provider, "secp256r1").generate()).rejects.toThrow("not now");
    failing = false;
    await agrees(provider, "secp256r1");
  });

  it("bundles no curve, no ML-KEM, no RSA and no ChaCha20", async () => {
    const bundle = async (contents: string) => {
      const { metafile } = await build({
        stdin: { contents, resolveDir: import.meta.dirname },
        bundle: true,
        minify: true,
        format: "esm",
        metafile: true,
        write: false,
      });
      const [output] = Object.values(metafile.outputs);
      const used = Object.entries(output?.inputs ?? {}).filter(([, { bytesInOutput }]) => bytesInOutput > 0);
      return used.map(([path]) => path);
    };
    const foreign = /noble\/curves|ciphers\/chacha|post-quantum|micro-rsa|crypto\/noble\.ts/;
    const lean = await bundle(
      'export { createWebCryptoProvider, signerFromCryptoKey } from "../../src/crypto/webcrypto.ts"',
    );
    expect(lean.filter((path) => foreign.test(path))).toEqual([]);
    expect(lean.some((path) => path.includes("webcrypto-platform"))).toBe(true);
    const full = await bundle('export { nobleProvider } from "../../src/crypto/noble.ts"');
    expect(full.some((path) => foreign.test(path))).toBe(true);
  });
});

describe("WebCrypto with noble behind it", () => {
  it("leaves everything to a platform that has everything, but ML-KEM", async () => {
    const onFallback = vi.fn();
    const provider = createWebCryptoProvider({ fallback: nobleProvider, onFallback });
    for (const name of names(provider)) await agrees(provider, name);
    for (const [kind, algorithm] of [
      ["P-256", ecdsa("sha256")],
      ["P-384", ecdsa("sha256")],
      ["P-521", ecdsa("sha512")],
      ["Ed25519", ed25519],
      ["RSA", { type: "rsa-pkcs1", hash: "sha384" }],
      ["RSA-PSS", { type: "rsa-pss", hash: "sha512", saltLength: 64 }],
    ] as const) {
      expect(await provider.verify(...signed(kind, algorithm)), kind).toBe(true);
      const signer = provider.signer(keyPair(kind).pkcs8);
      await signer.sign(signer.schemes[0] as never, message);
    }
    expect(names(provider)[0]).toBe("X25519MLKEM768");
    expect(provider.fallbacks).toEqual(["ML-KEM-768: WebCrypto has none"]);
    expect(onFallback.mock.calls).toEqual([["ML-KEM-768", "WebCrypto has none"]]);
  });

  it("takes over what an older browser lacks, without warm-up, and says so once", async () => {
    const watched = watchedSubtle({ lacks: OLD_BROWSER });
    const onFallback = vi.fn();
    const provider = createWebCryptoProvider({ subtle: watched.subtle, fallback: nobleProvider, onFallback });
    expect(names(provider)).toEqual(names(nobleProvider));
    const operations = async () => {
      for (const name of names(provider)) await agrees(provider, name);
      expect(await provider.verify(...signed("Ed25519", ed25519))).toBe(true);
      expect(await provider.verify(...signed("P-521", ecdsa("sha512")))).toBe(true);
      const signer = provider.signer(keyPair("Ed25519").pkcs8);
      const signature = await signer.sign("ed25519", message);
      expect(await nodeProvider.verify(keyPair("Ed25519").publicKey, ed25519, message, signature)).toBe(true);
    };
    await operations();
    const lacking = ["ECDH P-521", "ECDSA P-521", "Ed25519", "ML-KEM-768", "X25519"];
    expect(provider.fallbacks.map((text) => text.split(":")[0]).sort()).toEqual(lacking);
    expect(provider.fallbacks.find((text) => text.startsWith("X25519"))).toContain("NotSupportedError");
    // Each was tried once, and never again.
    for (const name of OLD_BROWSER) {
      const tried = watched.calls.filter((call) => call.endsWith(name)).length;
      expect(tried, name).toBe(name === "P-521" ? 2 : 1);
    }
    await operations();
    expect(watched.calls.filter((call) => call.endsWith("25519"))).toHaveLength(2);
    expect(onFallback.mock.calls.map(([operation]) => operation).sort()).toEqual(lacking);
    expect(names(provider)).toEqual(names(nobleProvider));
  });

  it.each([
    ["X25519 that generates and does not derive (Bun 1.2)", "x25519", "deriveBits X25519", "NotSupportedError"],
    ["P-521 that generates and does not export (Deno)", "secp521r1", "exportKey raw ECDH P-521", "TypeError"],
  ])("finds %s out before a key share is sent", async (_, name, broken, error) => {
    const change = async (call: string, result: () => Promise<unknown>) => {
      if (call.startsWith(broken)) throw new DOMException("Not implemented", error);
      return result();
    };
    const provider = createWebCryptoProvider({ subtle: watchedSubtle({ change }).subtle, fallback: nobleProvider });
    await agrees(provider, name);
    expect(provider.fallbacks).toHaveLength(1);
    expect(provider.fallbacks[0]).toContain(`${error}: Not implemented`);
  });

  it("finds out at warm-up, and warms the fallback", async () => {
    const watched = watchedSubtle({ lacks: OLD_BROWSER });
    const provider = createWebCryptoProvider({ subtle: watched.subtle, fallback: nobleProvider });
    await provider.warmup();
    expect(provider.fallbacks).toHaveLength(4);
    const { length } = watched.calls;
    await provider.warmup();
    await agrees(provider, "x25519");
    expect(watched.calls).toHaveLength(length);
  });

  it("falls back for one operation, and not for good, when the platform has the rest", async () => {
    // Deno long verified P-256 with SHA-256 only.
    const change = async (call: string, result: () => Promise<unknown>) => {
      if (call.startsWith("verify ECDSA SHA-384")) throw new DOMException("", "NotSupportedError");
      return result();
    };
    const watched = watchedSubtle({ change });
    const [usual, other] = [signed("P-256", ecdsa("sha256")), signed("P-256", ecdsa("sha384"))];
    const provider = createWebCryptoProvider({ subtle: watched.subtle, fallback: nobleProvider });
    expect(await provider.verify(...other)).toBe(true);
    const [key, algorithm, text, signature] = other;
    expect(await provider.verify(key, algorithm, text.subarray(1), signature)).toBe(false);
    expect(provider.fallbacks).toEqual(["ECDSA P-256: NotSupportedError: "]);
    watched.calls.length = 0;
    expect(await provider.verify(...usual)).toBe(true);
    expect(watched.calls).toEqual(["verify ECDSA SHA-256 ECDSA P-256"]);
    const alone = createWebCryptoProvider({ subtle: watched.subtle });
    expect([await alone.verify(...other), await alone.verify(...usual)]).toEqual([false, true]);
  });

  it("is not moved to the fallback by a peer's bad share or key", async () => {
    const provider = createWebCryptoProvider({ fallback: nobleProvider });
    const off = (await named(provider, "secp256r1").generate()).publicKey.map((byte, i) =>
      i === 64 ? byte ^ 1 : byte,
    );
    expect(await codeOf(() => named(provider, "secp256r1").encapsulate(off))).toBe("ERR_TLS_ILLEGAL_PARAMETER");
    const zero = new Uint8Array(32);
    expect(await codeOf(() => named(provider, "x25519").encapsulate(zero))).toBe("ERR_TLS_ILLEGAL_PARAMETER");
    const [{ algorithm, spki }, ...rest] = signed("P-256", ecdsa("sha256"));
    const badKey = spki.map((byte, i) => (i === spki.length - 1 ? byte ^ 1 : byte));
    expect(await provider.verify({ algorithm, spki: badKey }, ...rest)).toBe(false);
    expect(provider.fallbacks).toEqual([]);
  });

  it("does without crypto.subtle, which pages without https do not have", async () => {
    const { crypto } = globalThis;
    vi.stubGlobal("crypto", { getRandomValues: crypto.getRandomValues.bind(crypto) });
    try {
      const provider = createWebCryptoProvider({ fallback: nobleProvider });
      await agrees(provider, "secp256r1");
      expect(await provider.verify(...signed("RSA", { type: "rsa-pkcs1", hash: "sha256" }))).toBe(true);
      expect(provider.fallbacks).toHaveLength(2);
      expect(provider.fallbacks[0]).toContain("https");
      expect(provider.suites[0]?.aead(new Uint8Array(16))).not.toHaveProperty("bulk");
      const alone = createWebCryptoProvider();
      expect(names(alone)).toEqual([]);
      await alone.warmup();
      expect(names(alone)).toEqual([]);
      const lean = createLeanProvider().suites[0]?.aead(new Uint8Array(16)) as LateAead;
      const nonce = new Uint8Array(12);
      expect(await codeOf(() => lean.seal(nonce, nonce, nonce))).toBe("ERR_TLS_OPTION");
      expect(await codeOf(() => lean.open(nonce, nonce, new Uint8Array(16)))).toBe("ERR_TLS_OPTION");
    } finally {
      vi.unstubAllGlobals();
    }
  });

  it("refuses a zero secret from a platform that does not look (RFC 7748 6.1)", async () => {
    const change = async (call: string, result: () => Promise<unknown>) =>
      careless && call.startsWith("deriveBits X25519") ? new ArrayBuffer(32) : result();
    let careless = false;
    const provider = createWebCryptoProvider({ subtle: watchedSubtle({ change }).subtle, fallback: nobleProvider });
    const group = named(provider, "x25519");
    const share = await group.generate();
    careless = true;
    expect(await codeOf(() => share.agree(share.publicKey))).toBe("ERR_TLS_ILLEGAL_PARAMETER");
    expect(await codeOf(() => group.encapsulate(share.publicKey))).toBe("ERR_TLS_ILLEGAL_PARAMETER");
  });

  it("calls the listener outside the handshake", async () => {
    const order: string[] = [];
    const onFallback = () => void order.push("listener");
    const provider = createWebCryptoProvider({ fallback: nobleProvider, onFallback });
    const share = named(provider, "X25519MLKEM768").generate();
    order.push("generate has returned");
    await share;
    expect(order).toEqual(["generate has returned", "listener"]);
  });
});

describe("calls of WebCrypto", () => {
  it("are at most 16 for both ends of a mutual handshake over X25519 and P-256", async () => {
    const identities = await createTestIdentities(["P-256"], 1);
    const watched = watchedSubtle();
    const provider = createWebCryptoProvider({ subtle: watched.subtle, fallback: nobleProvider });
    const [client, server] = [identityOptions(identities.client()), identityOptions(identities.server())];
    const run = handshake(provider, watched, identities, client, server);
    await run();
    watched.calls.length = 0;
    await run();
    const count = (method: string) => watched.calls.filter((call) => call.startsWith(method)).length;
    const methods = ["generateKey", "exportKey", "importKey", "deriveBits", "sign", "verify"];
    // The chains have two signatures each, and each end has one of its own.
    expect(methods.map((method) => [method, count(method)])).toEqual([
      ["generateKey", 2],
      ["exportKey", 2],
      ["importKey", 2],
      ["deriveBits", 2],
      ["sign", 2],
      ["verify", 6],
    ]);
    expect(watched.calls).toHaveLength(16);
  });

  it("import each public key once, however many ask at once", async () => {
    const watched = watchedSubtle();
    const provider = createWebCryptoProvider({ subtle: watched.subtle });
    const valid = signed("P-256", ecdsa("sha256"));
    expect(await Promise.all([provider.verify(...valid), provider.verify(...valid)])).toEqual([true, true]);
    expect(await provider.verify(...valid)).toBe(true);
    expect(watched.calls.filter((call) => call.startsWith("importKey"))).toHaveLength(1);
  });

  it("import an RSA key for each hash and padding, to which WebCrypto binds it", async () => {
    const watched = watchedSubtle();
    const provider = createWebCryptoProvider({ subtle: watched.subtle });
    const algorithms: SignatureAlgorithm[] = (["sha256", "sha384", "sha512"] as const).flatMap((hash) => [
      { type: "rsa-pkcs1", hash },
      { type: "rsa-pss", hash, saltLength: 20 },
    ]);
    for (let i = 0; i < 2; i++) {
      for (const algorithm of algorithms) expect(await provider.verify(...signed("RSA", algorithm))).toBe(true);
    }
    expect(watched.calls.filter((call) => call.startsWith("importKey"))).toHaveLength(6);
  });

  it("are not made for keys that nobody should work for", async () => {
    const watched = watchedSubtle();
    const provider = createWebCryptoProvider({ subtle: watched.subtle });
    const modulus = 2n ** 2047n + 1n;
    const keys = [rsaSpki(modulus, 1n), rsaSpki(modulus, 65536n), rsaSpki(modulus, modulus), rsaSpki(modulus + 1n, 3n)];
    for (const spki of [...keys, ed25519Spki(new Uint8Array(32))]) {
      const key = publicKeyOf(spki);
      const algorithm = key.algorithm.type === "rsa" ? ({ type: "rsa-pkcs1", hash: "sha256" } as const) : ed25519;
      expect(await provider.verify(key, algorithm, message, new Uint8Array(256))).toBe(false);
    }
    expect(watched.calls).toEqual([]);
  });

  it("forget the key that was used least recently", async () => {
    const watched = watchedSubtle();
    const provider = createWebCryptoProvider({ subtle: watched.subtle, keyCacheSize: 2 });
    const imports = async (kind: "P-256" | "P-384" | "RSA") => {
      watched.calls.length = 0;
      const algorithm = kind === "RSA" ? ({ type: "rsa-pkcs1", hash: "sha256" } as const) : ecdsa("sha256");
      expect(await provider.verify(...signed(kind, algorithm))).toBe(true);
      return watched.calls.filter((call) => call.startsWith("importKey")).length;
    };
    const order = ["P-256", "P-384", "P-256", "RSA", "P-256", "P-384", "RSA"] as const;
    const counts: number[] = [];
    for (const kind of order) counts.push(await imports(kind));
    expect(counts).toEqual([1, 1, 0, 1, 0, 1, 1]);
    for (const keyCacheSize of [-1, 1.5, Number.NaN]) {
      expect(await codeOf(() => createWebCryptoProvider({ keyCacheSize }))).toBe("ERR_TLS_OPTION");
    }
  });

  it("import again without a cache, and after an import that failed", async () => {
    const uncached = watchedSubtle();
    const provider = createWebCryptoProvider({ subtle: uncached.subtle, keyCacheSize: 0 });
    const valid = signed("P-256", ecdsa("sha256"));
    for (let i = 0; i < 2; i++) expect(await provider.verify(...valid)).toBe(true);
    expect(uncached.calls.filter((call) => call.startsWith("importKey"))).toHaveLength(2);
    let failures = 1;
    const change = async (call: string, result: () => Promise<unknown>) => {
      if (call.startsWith("importKey") && failures-- > 0) throw new DOMException("not now", "OperationError");
      return result();
    };
    const shaky = createWebCryptoProvider({ subtle: watchedSubtle({ change }).subtle });
    expect([await shaky.verify(...valid), await shaky.verify(...valid)]).toEqual([false, true]);
  });
});

describe("bulk records", () => {
  const nonce = fromHex("000102030405060708090a0b");
  const nonceEndingIn = (byte: number) => nonce.map((old, i) => (i === 11 ? byte : old));
  const header = fromHex("1703034011");

  const aeadOf = (provider: CryptoProvider, name: string) => {
    const suite = provider.suites.find((candidate) => candidate.name === name);
    return suite?.aead(new Uint8Array(suite.keyLength).fill(7)) as PromptAead | undefined;
  };

  it.each(["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"])("%s gives what seal and open give", async (name) => {
    const watched = watchedSubtle();
    const aead = aeadOf(createWebCryptoProvider({ subtle: watched.subtle }), name);
    const bulk = aead?.bulk;
    if (aead === undefined || bulk === undefined) throw new Error("no bulk");
    expect(bulk.threshold).toBe(4096);
    expect(watched.calls).toEqual([]);
    for (const length of [0, 4096, 16385]) {
      const plaintext = nodeProvider.random(length);
      const sealed = await bulk.seal(nonce, header, plaintext);
      expect(sealed).toEqual(aead.seal(nonce, header, plaintext));
      expect(await bulk.open(nonce, header, sealed)).toEqual(plaintext);
      sealed[sealed.length - 1] = (sealed[sealed.length - 1] as number) ^ 1;
      expect(await bulk.open(nonce, header, sealed)).toBeUndefined();
    }
    expect(await bulk.open(nonce, header, new Uint8Array(15))).toBeUndefined();
    expect(watched.calls.filter((call) => call.startsWith("importKey"))).toHaveLength(1);
  });

  it("takes nonce and additional data at once, though the key is still being imported", async () => {
    const aead = aeadOf(createWebCryptoProvider(), "TLS_AES_128_GCM_SHA256");
    const expected = [1, 2, 3].map((fill) => aead?.seal(nonceEndingIn(fill), header, new Uint8Array(5000).fill(fill)));
    const [iv, additionalData] = [nonce.slice(), header.slice()];
    const sealed = [1, 2, 3].map((fill) => {
      iv[11] = fill;
      return aead?.bulk?.seal(iv, additionalData, new Uint8Array(5000).fill(fill));
    });
    iv.fill(0);
    additionalData.fill(0);
    expect(await Promise.all(sealed)).toEqual(expected);
  });

  it("has none for ChaCha20-Poly1305, which is the fallback's", () => {
    const provider = createWebCryptoProvider({ fallback: nobleProvider });
    expect(aeadOf(provider, "TLS_CHACHA20_POLY1305_SHA256")?.bulk).toBeUndefined();
    expect(provider.fallbacks).toEqual(["ChaCha20-Poly1305: WebCrypto has none"]);
    const suites = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];
    expect(provider.suites.map(({ name }) => name)).toEqual(suites);
    expect(createWebCryptoProvider().suites.map(({ name }) => name)).toEqual(suites.slice(0, 2));
  });

  it("goes on without WebCrypto where that has no AES-GCM", async () => {
    const provider = createWebCryptoProvider({ subtle: watchedSubtle({ lacks: ["AES-GCM"] }).subtle });
    const aead = aeadOf(provider, "TLS_AES_128_GCM_SHA256");
    const plaintext = new Uint8Array(5000).fill(1);
    const sealed = await aead?.bulk?.seal(nonce, header, plaintext);
    expect(sealed).toEqual(aead?.seal(nonce, header, plaintext));
    expect(await aead?.bulk?.open(nonce, header, sealed as Uint8Array)).toEqual(plaintext);
    expect(provider.fallbacks).toEqual(["AES-GCM: NotSupportedError: raw AES-GCM is not supported"]);
    expect(aeadOf(provider, "TLS_AES_128_GCM_SHA256")?.bulk).toBeUndefined();
  });
});

describe("records of the lean provider", () => {
  const name = "TLS_AES_128_GCM_SHA256";
  const nonce = fromHex("000102030405060708090a0b");
  const header = fromHex("1703034011");
  const plaintext = new Uint8Array(100).fill(1);
  const aeadOf = (provider: CryptoProvider): Aead => {
    const suite = provider.suites.find((candidate) => candidate.name === name);
    if (suite === undefined) throw new Error("no suite");
    return suite.aead(new Uint8Array(16).fill(7));
  };
  const reference = aeadOf(nodeProvider) as PromptAead;

  it.each(AEADS.filter(({ suite }) => suite === name))("are as $source has them", async (vector) => {
    const aead = createLeanProvider().suites[0]?.aead(fromHex(vector.key)) as LateAead;
    const [iv, additionalData] = [fromHex(vector.nonce), fromHex(vector.additionalData)];
    // The first call imports the key, and is not like those behind it.
    for (let i = 0; i < 2; i++) {
      const sealed = await aead.seal(iv, additionalData, fromHex(vector.plaintext));
      expect(toHex(sealed)).toBe(vector.ciphertext + vector.tag);
      expect(await aead.open(iv, additionalData, sealed)).toEqual(fromHex(vector.plaintext));
      for (let at = 0; at < sealed.length; at++) {
        const tampered = sealed.map((byte, index) => (index === at ? byte ^ 1 : byte));
        expect(await aead.open(iv, additionalData, tampered)).toBeUndefined();
      }
      expect(await aead.open(iv, additionalData, sealed.subarray(0, 15))).toBeUndefined();
    }
  });

  it.each(["first", "later"])("need what they are given no longer than the call, the %s ones too", async (when) => {
    const watched = watchedSubtle();
    const aead = aeadOf(createLeanProvider({ subtle: watched.subtle }));
    if (when === "later") await aead.seal(nonce, header, plaintext);
    const [iv, additionalData, data] = [nonce.slice(), header.slice(), plaintext.slice()];
    const sealed = [1, 2, 3].map((fill) => {
      iv[11] = fill;
      data.fill(fill);
      return aead.seal(iv, additionalData, data);
    });
    for (const used of [iv, additionalData, data]) used.fill(0);
    const expected = [1, 2, 3].map((fill) =>
      reference.seal(
        nonce.map((byte, index) => (index === 11 ? fill : byte)),
        header,
        plaintext.map(() => fill),
      ),
    );
    expect(await Promise.all(sealed)).toEqual(expected);
    const wire = reference.seal(nonce, header, plaintext);
    const opened = aead.open(nonce, header, wire);
    wire.fill(0);
    expect(await opened).toEqual(plaintext);
    expect(watched.calls.filter((call) => call.startsWith("importKey"))).toHaveLength(1);
  });

  it("are the fallback's where that answers at once, but for large ones", async () => {
    const watched = watchedSubtle();
    const aead = aeadOf(createLeanProvider({ subtle: watched.subtle, fallback: nobleProvider })) as PromptAead;
    expect(aead.seal(nonce, header, plaintext)).toEqual(reference.seal(nonce, header, plaintext));
    expect([aead.late, aead.bulk?.threshold, watched.calls]).toEqual([undefined, 4096, []]);
  });

  it("are the fallback's where the platform has no AES-GCM, be that late too", async () => {
    const { subtle } = watchedSubtle({ lacks: ["AES-GCM"] });
    const fallback = lateProvider(nodeProvider, { seed: 1, records: "every" });
    const provider = createLeanProvider({ subtle, fallback });
    const aead = aeadOf(provider);
    expect(aead.late).toBe(true);
    const sealed = await aead.seal(nonce, header, plaintext);
    expect(sealed).toEqual(reference.seal(nonce, header, plaintext));
    expect(await aead.open(nonce, header, sealed)).toEqual(plaintext);
    expect(await aead.open(nonce, header, sealed.subarray(1))).toBeUndefined();
    expect(provider.fallbacks).toEqual(["AES-GCM: NotSupportedError: raw AES-GCM is not supported"]);
  });

  it("go on to the fallback as long as the platform has not shown that it can", async () => {
    const change = async (call: string, result: () => Promise<unknown>) => {
      if (call.startsWith("encrypt")) throw new DOMException("not today", "OperationError");
      return result();
    };
    const fallback = lateProvider(nodeProvider, { seed: 1, records: "every" });
    const aead = aeadOf(createLeanProvider({ subtle: watchedSubtle({ change }).subtle, fallback }));
    for (let i = 0; i < 2; i++) {
      expect(await aead.seal(nonce, header, plaintext)).toEqual(reference.seal(nonce, header, plaintext));
    }
  });

  it("fail with what the platform says where nothing else can do them", async () => {
    let failing = false;
    const change = async (_call: string, result: () => Promise<unknown>) => {
      if (failing) throw new DOMException("gone", "InvalidAccessError");
      return result();
    };
    const lacking = aeadOf(createLeanProvider({ subtle: watchedSubtle({ lacks: ["AES-GCM"] }).subtle }));
    expect(await codeOf(() => lacking.seal(nonce, header, plaintext))).toBe("ERR_TLS_OPTION");
    const aead = aeadOf(createLeanProvider({ subtle: watchedSubtle({ change }).subtle }));
    const sealed = await aead.seal(nonce, header, plaintext);
    failing = true;
    expect(await codeOf(() => aead.seal(nonce, header, plaintext))).toBe("InvalidAccessError: gone");
    expect(await codeOf(() => aead.open(nonce, header, sealed))).toBe("InvalidAccessError: gone");
  });
});

describe("ECDSA signatures", () => {
  const integer = (hex: string) => derEncode(Tag.integer, fromHex(hex));
  const signature = (...parts: Uint8Array[]) => derEncode(Tag.sequence, ...parts);

  it("become DER with as few bytes as it takes, and come back", () => {
    for (const [raw, der] of [
      [`${"00".repeat(31)}01${"7f"}${"11".repeat(31)}`, `3025020101${"0220"}7f${"11".repeat(31)}`],
      [`80${"22".repeat(31)}${"00".repeat(32)}`, `302602210080${"22".repeat(31)}020100`],
      ["ff".repeat(64), `3046022100${"ff".repeat(32)}022100${"ff".repeat(32)}`],
    ] as const) {
      expect(ecdsaSignatureToDer(fromHex(raw))).toEqual(fromHex(der));
      expect(ecdsaSignatureFromDer(fromHex(der), "P-256")).toEqual(fromHex(raw));
    }
  });

  it.each([
    ["negative r", signature(integer("80"), integer("01"))],
    ["negative s", signature(integer("01"), integer("ff"))],
    ["r not minimal", signature(integer("0001"), integer("01"))],
    ["s not minimal", signature(integer("01"), integer("0001"))],
    ["r too long", signature(integer(`01${"00".repeat(32)}`), integer("01"))],
    ["s too long", signature(integer("01"), integer(`01${"00".repeat(32)}`))],
    ["an empty INTEGER", signature(integer(""), integer("01"))],
    ["no s", signature(integer("01"))],
    ["three INTEGERs", signature(integer("01"), integer("01"), integer("01"))],
    ["bytes after it", Uint8Array.of(...signature(integer("01"), integer("01")), 0)],
    ["a long length", fromHex("308106020101020101")],
    ["an indefinite length", fromHex("30800201010201010000")],
    ["r and s side by side", new Uint8Array(64)],
  ])("with %s are refused", (_, der) => {
    expect(ecdsaSignatureFromDer(der, "P-256")).toBeUndefined();
  });

  it("of another curve's length verify nothing", async () => {
    const provider = createWebCryptoProvider();
    const [, , , p384] = signed("P-384", ecdsa("sha256"));
    expect(await provider.verify(keyPair("P-256").publicKey, ecdsa("sha256"), message, p384)).toBe(false);
    // What the key itself says counts, not what its holder says of it.
    const [{ spki }, ...rest] = signed("P-256", ecdsa("sha256"));
    expect(await provider.verify({ spki, algorithm: { type: "ed25519" } }, ed25519, message, rest[2])).toBe(false);
    expect(await provider.verify({ spki, algorithm: { type: "ec", curve: "P-384" } }, ...rest)).toBe(true);
  });
});
