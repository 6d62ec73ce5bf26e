import {
  constants,
  createHash,
  createHmac,
  createPrivateKey,
  generateKeyPairSync,
  sign as opensslSign,
} from "node:crypto";
import { describe, expect, it } from "vitest";
import { concat } from "../../src/bytes/bytes.ts";
import { DerReader, derEncode, Tag } from "../../src/bytes/der.ts";
import { fromHex, toHex } from "../../src/bytes/hex.ts";
import { HASH_LENGTH, parseSpki } from "../../src/crypto/keys.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { createNodeProvider, nodeProvider } from "../../src/crypto/node.ts";
import type { Aead, CryptoProvider, Hash, HashName, SignatureAlgorithm } from "../../src/crypto/provider.ts";
import { verifyScheme } from "../../src/crypto/signatures.ts";
import { createLeanProvider, createWebCryptoProvider } from "../../src/crypto/webcrypto.ts";
import { TlsError } from "../../src/errors.ts";
import {
  derInteger,
  ecPkcs8,
  ecSpki,
  ed25519Pkcs8,
  ed25519Spki,
  keyPair,
  publicKeyOf,
  rsaSpki,
} from "../support/key-files.ts";
import { lateProvider } from "../support/late-provider.ts";
import { watchedSubtle } from "../support/subtle.ts";
import { AEADS, RFC6979, RFC8032 } from "./vectors.ts";

const PROVIDERS: readonly CryptoProvider[] = [
  nobleProvider,
  nodeProvider,
  { ...createNodeProvider({ keyCacheSize: 2 }), name: "node with a cache" },
  lateProvider(nobleProvider, { seed: 1 }),
  lateProvider(nobleProvider, { seed: 2, records: "every" }),
  createWebCryptoProvider({ fallback: nobleProvider }),
];
/** Differs from the others in who does the work only. */
const OLD_BROWSER: CryptoProvider = {
  ...createWebCryptoProvider({
    subtle: watchedSubtle({ lacks: ["X25519", "Ed25519", "P-521"] }).subtle,
    fallback: nobleProvider,
    keyCacheSize: 0,
  }),
  name: "webcrypto of an older browser",
};
const LEAN: CryptoProvider = { ...createLeanProvider(), name: "lean webcrypto" };
const PAIRS = [...PROVIDERS, LEAN].flatMap((a) =>
  [...PROVIDERS, LEAN].map((b) => ({ a, b, names: `${a.name} with ${b.name}` })),
);
const HASHES: readonly HashName[] = ["sha256", "sha384", "sha512"];
/** Points of order 1, 2, 4, 8 and 8. */
const ED25519_SMALL_ORDER = [
  "0100000000000000000000000000000000000000000000000000000000000000",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "0000000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
];
const message = new TextEncoder().encode("sample");

/** The code of the TlsError that `operation` throws or rejects with. */
async function codeOf(operation: () => unknown): Promise<string> {
  try {
    await operation();
  } catch (error) {
    return error instanceof TlsError ? error.code : String(error);
  }
  return "no error";
}

describe.each([...PROVIDERS, OLD_BROWSER])("$name", (provider) => {
  describe.each(HASHES)("%s", (name) => {
    const hash = provider.hashes[name] as Hash;
    const data = provider.random(300);

    it("agrees with OpenSSL", () => {
      expect(hash).toMatchObject({ name, length: HASH_LENGTH[name] });
      expect(toHex(hash.digest(data))).toBe(createHash(name).update(data).digest("hex"));
      for (const length of [0, 32, 64, 65, 200]) {
        const key = provider.random(length);
        expect(toHex(hash.hmac(key, data))).toBe(createHmac(name, key).update(data).digest("hex"));
      }
    });

    it("clones a running state without disturbing it", () => {
      const running = hash.start();
      running.update(data.subarray(0, 100));
      const copy = running.clone();
      running.update(data.subarray(100));
      expect(copy.digest()).toEqual(hash.digest(data.subarray(0, 100)));
      expect(running.digest()).toEqual(hash.digest(data));
      expect(hash.start().digest()).toEqual(hash.digest(new Uint8Array(0)));
    });
  });

  it("gives random bytes of any length", () => {
    expect(provider.random(0)).toHaveLength(0);
    const long = provider.random(200_000);
    expect(long).toHaveLength(200_000);
    expect(new Set(long).size).toBe(256);
    expect(long.subarray(199_900).some((byte) => byte !== 0)).toBe(true);
    expect(provider.random(32)).not.toEqual(provider.random(32));
  });

  it.each(AEADS)("$suite: $source", async ({ suite: name, ...vector }) => {
    const suite = provider.suites.find((candidate) => candidate.name === name);
    const [key, nonce, additionalData, plaintext] = [
      fromHex(vector.key),
      fromHex(vector.nonce),
      fromHex(vector.additionalData),
      fromHex(vector.plaintext),
    ];
    const aead = suite?.aead(key) as Aead;
    const sealed = await aead.seal(nonce, additionalData, plaintext);
    expect(toHex(sealed)).toBe(vector.ciphertext + vector.tag);
    expect(await aead.open(nonce, additionalData, sealed)).toEqual(plaintext);
    const wrong: (readonly [Uint8Array, Uint8Array, Uint8Array])[] = [
      ...Array.from(sealed, (_, i) => [nonce, additionalData, flipped(sealed, i)] as const),
      [nonce, additionalData.subarray(1), sealed],
      [fromHex(`ff${vector.nonce.slice(2)}`), additionalData, sealed],
      ...[0, 15, 16, sealed.length - 1].map((length) => [nonce, additionalData, sealed.subarray(0, length)] as const),
    ];
    const opened = await Promise.all(wrong.map((how) => aead.open(...how)));
    expect(opened).toEqual(wrong.map(() => undefined));
    const empty = await aead.seal(nonce, additionalData, new Uint8Array(0));
    expect(await aead.open(nonce, additionalData, empty)).toHaveLength(0);
    expect(() => suite?.aead(key.subarray(1))).toThrow(TlsError);
  });

  it.each(provider.groups)("$name makes a fresh share each time", async (group) => {
    const [first, second] = [await group.generate(), await group.generate()];
    expect(first.publicKey).not.toEqual(second.publicKey);
    const [a, b] = [await group.encapsulate(first.publicKey), await group.encapsulate(first.publicKey)];
    expect(a.publicKey).not.toEqual(b.publicKey);
    expect(a.sharedSecret).not.toEqual(b.sharedSecret);
  });

  it.each(provider.groups)("$name refuses shares of the wrong length", async (group) => {
    const client = await group.generate();
    const server = await group.encapsulate(client.publicKey);
    for (const wrong of [new Uint8Array(0), client.publicKey.subarray(1), concat(client.publicKey, Uint8Array.of(0))]) {
      expect(await codeOf(() => group.encapsulate(wrong))).toBe("ERR_TLS_ILLEGAL_PARAMETER");
    }
    for (const wrong of [new Uint8Array(0), server.publicKey.subarray(1), concat(server.publicKey, Uint8Array.of(0))]) {
      expect(await codeOf(() => client.agree(wrong))).toBe("ERR_TLS_ILLEGAL_PARAMETER");
    }
  });

  it.each(["secp256r1", "secp384r1", "secp521r1"])("%s refuses what is no uncompressed point", async (name) => {
    const group = named(provider, name);
    const client = await group.generate();
    const share = (await group.generate()).publicKey;
    const length = share.length;
    const x = share.subarray(1, (length + 1) / 2);
    const off = share.slice();
    off[length - 1] = (off[length - 1] as number) ^ 1;
    const cases = {
      "off the curve": off,
      compressed: concat(Uint8Array.of(2 + ((share[length - 1] as number) & 1)), x),
      "hybrid form": concat(Uint8Array.of(6 + ((share[length - 1] as number) & 1)), share.subarray(1)),
      "another form": concat(Uint8Array.of(5), share.subarray(1)),
      "the point at infinity": Uint8Array.of(0),
      zeros: concat(Uint8Array.of(4), new Uint8Array(length - 1)),
      "coordinates beyond the prime": concat(Uint8Array.of(4), new Uint8Array(length - 1).fill(0xff)),
    };
    for (const [what, wrong] of Object.entries(cases)) {
      expect(await codeOf(() => client.agree(wrong)), what).toBe("ERR_TLS_ILLEGAL_PARAMETER");
      expect(await codeOf(() => group.encapsulate(wrong)), what).toBe("ERR_TLS_ILLEGAL_PARAMETER");
    }
  });

  /** Points of small order, and their twins beyond the prime (RFC 7748 6.1, RFC 8446 7.4.2). */
  const LOW_ORDER = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000080",
  ];

  it.each(LOW_ORDER)("x25519 refuses the share %s, which gives zero", async (share) => {
    const group = named(provider, "x25519");
    const client = await group.generate();
    expect(await codeOf(() => client.agree(fromHex(share)))).toBe("ERR_TLS_ILLEGAL_PARAMETER");
    expect(await codeOf(() => group.encapsulate(fromHex(share)))).toBe("ERR_TLS_ILLEGAL_PARAMETER");
  });

  it("x25519 ignores the highest bit of a share (RFC 7748 5)", async () => {
    const group = named(provider, "x25519");
    const client = await group.generate();
    const { publicKey, sharedSecret } = await group.encapsulate(client.publicKey);
    const masked = publicKey.slice();
    masked[31] = (masked[31] as number) | 0x80;
    expect(await client.agree(masked)).toEqual(sharedSecret);
  });

  it("X25519MLKEM768 checks both halves of a share", async () => {
    const group = named(provider, "X25519MLKEM768");
    const client = await group.generate();
    const server = await group.encapsulate(client.publicKey);
    expect([client.publicKey.length, server.publicKey.length, server.sharedSecret.length]).toEqual([1216, 1120, 64]);
    const badKey = client.publicKey.slice();
    badKey.fill(0xff, 0, 3);
    const zeroAtClient = client.publicKey.slice();
    zeroAtClient.fill(0, 1184);
    const zeroAtServer = server.publicKey.slice();
    zeroAtServer.fill(0, 1088);
    expect(await codeOf(() => group.encapsulate(badKey))).toBe("ERR_TLS_ILLEGAL_PARAMETER");
    expect(await codeOf(() => group.encapsulate(zeroAtClient))).toBe("ERR_TLS_ILLEGAL_PARAMETER");
    expect(await codeOf(() => client.agree(zeroAtServer))).toBe("ERR_TLS_ILLEGAL_PARAMETER");

    // FIPS 203 6.3: a wrong ciphertext gives another secret, not an error; the X25519 half stays the same.
    const wrongCiphertext = server.publicKey.slice();
    wrongCiphertext[0] = (wrongCiphertext[0] as number) ^ 1;
    const secret = await client.agree(wrongCiphertext);
    expect(secret.subarray(0, 32)).not.toEqual(server.sharedSecret.subarray(0, 32));
    expect(secret.subarray(32)).toEqual(server.sharedSecret.subarray(32));
  });

  describe.each(RFC6979)("ECDSA with $curve", ({ curve, key, x, y, signatures, ...vector }) => {
    const publicKey = publicKeyOf(ecSpki(curve, fromHex(`04${x}${y}`)));
    const order = BigInt(`0x${vector.order}`);

    it.each(HASHES)("verifies RFC 6979's signature with %s, and its twin with the other s", async (hash) => {
      const r = BigInt(`0x${signatures[hash].r}`);
      const s = BigInt(`0x${signatures[hash].s}`);
      const algorithm = { type: "ecdsa", hash } as const;
      expect(await provider.verify(publicKey, algorithm, message, derSignature(r, s))).toBe(true);
      expect(await provider.verify(publicKey, algorithm, message, derSignature(r, order - s))).toBe(true);
      const wrong = {
        "another message": await provider.verify(publicKey, algorithm, message.subarray(1), derSignature(r, s)),
        "r zero": await provider.verify(publicKey, algorithm, message, derSignature(0n, s)),
        "s zero": await provider.verify(publicKey, algorithm, message, derSignature(r, 0n)),
        "r beyond the order": await provider.verify(publicKey, algorithm, message, derSignature(r + order, s)),
        "s beyond the order": await provider.verify(publicKey, algorithm, message, derSignature(r, s + order)),
        swapped: await provider.verify(publicKey, algorithm, message, derSignature(s, r)),
        "raw r and s": await provider.verify(publicKey, algorithm, message, derSignature(r, s).subarray(2)),
        "a byte more": await provider.verify(
          publicKey,
          algorithm,
          message,
          concat(derSignature(r, s), Uint8Array.of(0)),
        ),
        "a byte less": await provider.verify(publicKey, algorithm, message, derSignature(r, s).subarray(0, -1)),
        "an integer that is not minimal": await provider.verify(
          publicKey,
          algorithm,
          message,
          derEncode(Tag.sequence, derEncode(Tag.integer, Uint8Array.of(0, 0), bigBytes(r)), derInteger(s)),
        ),
        empty: await provider.verify(publicKey, algorithm, message, new Uint8Array(0)),
      };
      for (const [what, verdict] of Object.entries(wrong)) expect(verdict, what).toBe(false);
    });

    it("knows a point that is not on the curve", async () => {
      const usable = async (point: Uint8Array) => provider.usableKey?.(publicKeyOf(ecSpki(curve, point)));
      const point = fromHex(`04${x}${y}`);
      const moved = point.slice();
      moved[moved.length - 1] = (moved[moved.length - 1] as number) ^ 1;
      expect(await usable(point)).toBe(true);
      expect(await usable(moved)).toBe(false);
      expect(await usable(point.map((byte, index) => (index === 0 ? byte : 0xff)))).toBe(false);
      expect(await usable(point.map((byte, index) => (index === 0 ? byte : 0)))).toBe(false);
    });

    it("signs so that it verifies", async () => {
      const signer = provider.signer(ecPkcs8(curve, fromHex(key)));
      const [scheme] = signer.schemes;
      expect(signer.schemes).toHaveLength(1);
      const signature = await signer.sign(scheme as never, message);
      expect(await verifyScheme(provider, scheme as never, publicKey, message, signature)).toBe(true);
    });

    it("refuses a key off the curve", async () => {
      const signature = derSignature(BigInt(`0x${signatures.sha256.r}`), BigInt(`0x${signatures.sha256.s}`));
      const last = Number.parseInt(y.slice(-2), 16) ^ 1;
      const off = publicKeyOf(ecSpki(curve, fromHex(`04${x}${y.slice(0, -2)}${last.toString(16).padStart(2, "0")}`)));
      expect(await provider.verify(off, { type: "ecdsa", hash: "sha256" }, message, signature)).toBe(false);
      const infinity = publicKeyOf(ecSpki(curve, concat(Uint8Array.of(4), new Uint8Array(x.length))));
      expect(await provider.verify(infinity, { type: "ecdsa", hash: "sha256" }, message, signature)).toBe(false);
    });
  });

  it.each(RFC8032)("Ed25519: RFC 8032 7.1, message $message", async ({ key, publicKey, message, signature }) => {
    const signer = provider.signer(ed25519Pkcs8(fromHex(key)));
    expect(signer.schemes).toEqual(["ed25519"]);
    expect(toHex(await signer.sign("ed25519", fromHex(message)))).toBe(signature);
    const parsed = publicKeyOf(ed25519Spki(fromHex(publicKey)));
    const verify = (bytes: Uint8Array) => provider.verify(parsed, { type: "ed25519" }, fromHex(message), bytes);
    const valid = fromHex(signature);
    expect(await verify(valid)).toBe(true);
    expect(await verify(valid.subarray(0, 63))).toBe(false);
    expect(await verify(concat(valid, Uint8Array.of(0)))).toBe(false);
    // RFC 8032 5.1.7: S below the order of the group.
    const order = 2n ** 252n + 27742317777372353535851937790883648493n;
    const s = BigInt(`0x${toHex(valid.slice(32).reverse())}`) + order;
    const malleable = concat(valid.subarray(0, 32), fromHex(s.toString(16).padStart(64, "0")).reverse());
    expect(await verify(malleable)).toBe(false);
  });

  it("Ed25519 keys of small order, or beyond the prime, verify nothing", async () => {
    const algorithm = { type: "ed25519" } as const;
    for (const key of [
      ...ED25519_SMALL_ORDER,
      ...ED25519_SMALL_ORDER.map((hex) => hex.slice(0, 62) + (Number.parseInt(hex.slice(62), 16) | 0x80).toString(16)),
      `ed${"ff".repeat(30)}7f`,
      `ee${"ff".repeat(30)}7f`,
    ]) {
      const publicKey = publicKeyOf(ed25519Spki(fromHex(key)));
      // With S zero, R must be a multiple of the key by the hash: one message in eight or more fits one of these.
      for (let i = 0; i < 16; i++) {
        for (const r of ED25519_SMALL_ORDER) {
          const signature = fromHex(r + "00".repeat(32));
          expect(await provider.verify(publicKey, algorithm, Uint8Array.of(i), signature)).toBe(false);
        }
      }
    }
  });

  it("takes keys of other kinds for usable until it is to verify with them", async () => {
    for (const kind of ["Ed25519", "RSA", "RSA-PSS"] as const) {
      expect(await provider.usableKey?.(keyPair(kind).publicKey)).toBe(true);
    }
  });

  describe("RSA", () => {
    const { privateKey, publicKey } = keyPair("RSA");
    const numbers = parseSpki(publicKey.spki);
    if (!("modulus" in numbers)) throw new Error("not RSA");
    const modulus = BigInt(`0x${toHex(numbers.modulus)}`);
    const pss = (hash: HashName, saltLength: number): SignatureAlgorithm => ({ type: "rsa-pss", hash, saltLength });
    const make = (hash: HashName, padding: number, saltLength = 0) =>
      new Uint8Array(opensslSign(hash, message, { key: privateKey, padding, saltLength }));
    const { RSA_PKCS1_PADDING, RSA_PKCS1_PSS_PADDING } = constants;

    it.each(HASHES)("verifies what OpenSSL signs with %s and nothing close to it", async (hash) => {
      const length = HASH_LENGTH[hash];
      for (const saltLength of [0, 20, length]) {
        const signature = make(hash, RSA_PKCS1_PSS_PADDING, saltLength);
        for (const expected of [0, 20, length]) {
          const verdict = await provider.verify(publicKey, pss(hash, expected), message, signature);
          expect(verdict, `salt ${saltLength} for ${expected}`).toBe(saltLength === expected);
        }
      }
      const pkcs1 = make(hash, RSA_PKCS1_PADDING);
      expect(await provider.verify(publicKey, { type: "rsa-pkcs1", hash }, message, pkcs1)).toBe(true);
      expect(await provider.verify(publicKey, pss(hash, length), message, pkcs1)).toBe(false);
      const other = hash === "sha256" ? "sha384" : "sha256";
      expect(await provider.verify(publicKey, { type: "rsa-pkcs1", hash: other }, message, pkcs1)).toBe(false);
      const salted = make(hash, RSA_PKCS1_PSS_PADDING, length);
      expect(await provider.verify(publicKey, { type: "rsa-pkcs1", hash }, message, salted)).toBe(false);
    });

    it("refuses signatures that are changed, too long, too short or beyond the modulus", async () => {
      const valid = make("sha256", RSA_PKCS1_PSS_PADDING, 32);
      const verify = (signature: Uint8Array) => provider.verify(publicKey, pss("sha256", 32), message, signature);
      expect(await verify(valid)).toBe(true);
      for (const position of [0, 100, 255]) {
        const tampered = valid.slice();
        tampered[position] = (tampered[position] as number) ^ 1;
        expect(await verify(tampered), `byte ${position}`).toBe(false);
      }
      expect(await verify(valid.subarray(1))).toBe(false);
      expect(await verify(concat(Uint8Array.of(0), valid))).toBe(false);
      expect(await verify(new Uint8Array(0))).toBe(false);
      expect(await verify(new Uint8Array(256))).toBe(false);
      expect(await verify(numbers.modulus)).toBe(false);
      // s + n is the same residue; it fits into 256 bytes for about half of all signatures, so make one that does.
      for (;;) {
        const signature = make("sha256", RSA_PKCS1_PSS_PADDING, 32);
        const twin = BigInt(`0x${toHex(signature)}`) + modulus;
        if (twin >= 2n ** 2048n) continue;
        expect(await verify(signature)).toBe(true);
        expect(await verify(bigBytes(twin))).toBe(false);
        break;
      }
    });

    it("refuses signatures without their leading zeros", async () => {
      for (const [padding, algorithm] of [
        [RSA_PKCS1_PSS_PADDING, pss("sha256", 32)],
        [RSA_PKCS1_PADDING, { type: "rsa-pkcs1", hash: "sha256" }],
      ] as const) {
        for (let round = 0; ; round++) {
          const signed = new TextEncoder().encode(`sample ${round}`);
          const options = { key: privateKey, padding, saltLength: 32 };
          const signature = new Uint8Array(opensslSign("sha256", signed, options));
          if (signature[0] !== 0) continue;
          expect(await provider.verify(publicKey, algorithm, signed, signature)).toBe(true);
          expect(await provider.verify(publicKey, algorithm, signed, signature.subarray(1))).toBe(false);
          break;
        }
      }
    });

    it("refuses keys with unusual numbers, without working for them", async () => {
      const signature = make("sha256", RSA_PKCS1_PADDING);
      const keys = {
        "exponent 1": rsaSpki(modulus, 1n),
        "an even exponent": rsaSpki(modulus, 65536n),
        "exponent 0": rsaSpki(modulus, 0n),
        "an exponent as long as the modulus": rsaSpki(modulus, modulus - 2n),
        "an even modulus": rsaSpki(modulus - 1n, 65537n),
        "modulus 0": rsaSpki(0n, 65537n),
        "16384 bits": rsaSpki(2n ** 16383n + 1n, 65537n),
      };
      for (const [what, spki] of Object.entries(keys)) {
        const verdict = await provider.verify(
          publicKeyOf(spki),
          { type: "rsa-pkcs1", hash: "sha256" },
          message,
          signature,
        );
        expect(verdict, what).toBe(false);
      }
    });

    it.each([1025, 1031])("takes a modulus of %i bits, or refuses to sign with it", async (modulusLength) => {
      const pair = generateKeyPairSync("rsa", { modulusLength });
      const odd = publicKeyOf(new Uint8Array(pair.publicKey.export({ type: "spki", format: "der" })));
      expect(odd.algorithm).toMatchObject({ type: "rsa", bits: modulusLength });
      const key = { key: pair.privateKey, padding: RSA_PKCS1_PSS_PADDING, saltLength: 32 };
      for (let i = 0; i < 4; i++) {
        const signature = new Uint8Array(opensslSign("sha256", message, key));
        expect(await provider.verify(odd, pss("sha256", 32), message, signature)).toBe(true);
      }
      const pkcs8 = new Uint8Array(pair.privateKey.export({ type: "pkcs8", format: "der" }));
      const code = await codeOf(async () => {
        const signature = await provider.signer(pkcs8).sign("rsa_pss_rsae_sha256", message);
        expect(await provider.verify(odd, pss("sha256", 32), message, signature)).toBe(true);
      });
      expect(code).toBe(modulusLength % 8 === 1 && provider.name.endsWith("noble") ? "ERR_TLS_KEY" : "no error");
    });

    it("keeps the two kinds of RSA key apart, and the restrictions of the second", async () => {
      const restricted = keyPair("RSA-PSS for SHA-384");
      const sign = (hash: HashName, saltLength: number) => {
        // Signed as if by an unrestricted key: the same numbers under the OID of rsaEncryption.
        const free = privateKeyAsRsa(restricted.pkcs8);
        return new Uint8Array(opensslSign(hash, message, { key: free, padding: RSA_PKCS1_PSS_PADDING, saltLength }));
      };
      const verify = (algorithm: SignatureAlgorithm, signature: Uint8Array) =>
        provider.verify(restricted.publicKey, algorithm, message, signature);
      expect(await verify(pss("sha384", 48), sign("sha384", 48))).toBe(true);
      expect(await verify(pss("sha384", 20), sign("sha384", 20))).toBe(false);
      expect(await verify(pss("sha256", 48), sign("sha256", 48))).toBe(false);
      const pkcs1 = new Uint8Array(opensslSign("sha384", message, privateKeyAsRsa(restricted.pkcs8)));
      expect(await verify({ type: "rsa-pkcs1", hash: "sha384" }, pkcs1)).toBe(false);
      const signature = sign("sha384", 48);
      const viaScheme = (scheme: "rsa_pss_pss_sha384" | "rsa_pss_rsae_sha384" | "rsa_pss_pss_sha256") =>
        verifyScheme(provider, scheme, restricted.publicKey, message, signature);
      expect(await viaScheme("rsa_pss_pss_sha384")).toBe(true);
      expect(await viaScheme("rsa_pss_rsae_sha384")).toBe(false);
      expect(await viaScheme("rsa_pss_pss_sha256")).toBe(false);
    });
  });

  it("never throws on a key or signature of the wrong kind", async () => {
    const keys = [keyPair("P-256"), keyPair("Ed25519"), keyPair("RSA")].map((pair) => pair.publicKey);
    const algorithms: SignatureAlgorithm[] = [
      { type: "ecdsa", hash: "sha256" },
      { type: "ed25519" },
      { type: "rsa-pss", hash: "sha256", saltLength: 32 },
      { type: "rsa-pkcs1", hash: "sha256" },
    ];
    for (const key of keys) {
      for (const algorithm of algorithms) {
        for (const length of [0, 1, 64, 70, 256]) {
          expect(await provider.verify(key, algorithm, message, new Uint8Array(length).fill(0x30))).toBe(false);
        }
      }
    }
    const [{ algorithm, spki }] = keys as [{ algorithm: { type: "ec"; curve: "P-256" }; spki: Uint8Array }];
    for (const bad of [new Uint8Array(0), spki.subarray(1), spki.subarray(0, -1), fromHex("3000")]) {
      const key = { algorithm, spki: bad };
      expect(await provider.verify(key, { type: "ecdsa", hash: "sha256" }, message, new Uint8Array(70))).toBe(false);
    }
  });

  it("refuses to sign with a scheme that the key is not for", async () => {
    const signer = provider.signer(keyPair("P-256").pkcs8);
    expect(await codeOf(() => signer.sign("ecdsa_secp384r1_sha384", message))).toBe("ERR_TLS_SIGNING_FAILED");
    expect(await codeOf(() => signer.sign("ed25519", message))).toBe("ERR_TLS_SIGNING_FAILED");
  });

  it("refuses private keys that cannot be used", async () => {
    const x25519 = fromHex(`302e020100300506032b656e04220420${"77".repeat(32)}`);
    for (const bad of [new Uint8Array(0), fromHex("3000"), keyPair("P-256").pkcs8.subarray(0, 60), x25519]) {
      expect(await codeOf(() => provider.signer(bad))).toBe("ERR_TLS_KEY");
    }
  });

  it("says what it can verify", () => {
    const ecdsa = { type: "ecdsa", hash: "sha256" } as const;
    expect(provider.canVerify({ type: "ec", curve: "P-521" }, ecdsa)).toBe(true);
    expect(provider.canVerify({ type: "ed25519" }, ecdsa)).toBe(false);
    expect(provider.canVerify({ type: "unknown", oid: "1.2.3" }, ecdsa)).toBe(false);
    expect(provider.canVerify({ type: "rsa", bits: 1024 }, { type: "rsa-pss", hash: "sha512", saltLength: 64 })).toBe(
      false,
    );
  });
});

describe("two providers", () => {
  describe.each(PAIRS)("$names", ({ a, b }) => {
    it.each(shared(a.groups, b.groups))("agree over %s", async (name) => {
      for (let i = 0; i < 3; i++) {
        const client = await named(a, name).generate();
        const server = await named(b, name).encapsulate(client.publicKey);
        expect(await client.agree(server.publicKey)).toEqual(server.sharedSecret);
      }
    });

    it.each(shared(a.suites, b.suites))("seal and open with %s", async (name) => {
      const [key, nonce] = [a.random(32), a.random(12)];
      const suite = (provider: CryptoProvider) => {
        const found = provider.suites.find((candidate) => candidate.name === name);
        return found?.aead(key.subarray(0, found.keyLength));
      };
      for (const length of [0, 1, 15, 16, 17, 1400, 16385]) {
        const plaintext = a.random(length);
        const sealed = (await suite(a)?.seal(nonce, nonce, plaintext)) as Uint8Array;
        expect(await suite(b)?.open(nonce, nonce, sealed)).toEqual(plaintext);
      }
    });

    it.each(["P-256", "P-384", "P-521", "Ed25519", "RSA", "RSA-PSS", "RSA-PSS for SHA-384"] as const)(
      "sign and verify with %s",
      async (kind) => {
        const { pkcs8, publicKey } = keyPair(kind);
        const signer = a.signer(pkcs8);
        expect(signer.schemes.length).toBeGreaterThan(0);
        for (const scheme of signer.schemes) {
          const signature = await signer.sign(scheme, message);
          expect(await verifyScheme(b, scheme, publicKey, message, signature), scheme).toBe(true);
          expect(await verifyScheme(b, scheme, publicKey, message.subarray(1), signature), scheme).toBe(false);
        }
      },
    );
  });
});

describe("what is special to one", () => {
  it("noble signs ECDSA deterministically (RFC 6979)", async () => {
    for (const { curve, key, signatures } of RFC6979) {
      const signer = nobleProvider.signer(ecPkcs8(curve, fromHex(key)));
      const hash = ({ "P-256": "sha256", "P-384": "sha384", "P-521": "sha512" } as const)[curve];
      const { r, s } = signatures[hash];
      expect(await signer.sign(signer.schemes[0] as never, message)).toEqual(
        derSignature(BigInt(`0x${r}`), BigInt(`0x${s}`)),
      );
    }
  });

  it("each lists its fastest suite first", () => {
    expect(nobleProvider.suites.map(({ name }) => name)[0]).toBe("TLS_CHACHA20_POLY1305_SHA256");
    expect(nodeProvider.suites.map(({ name }) => name)[0]).toBe("TLS_AES_128_GCM_SHA256");
  });

  it("node's cache of keys goes round without mixing them up", async () => {
    const provider = createNodeProvider({ keyCacheSize: 2 });
    const kinds = ["P-256", "P-384", "Ed25519", "RSA"] as const;
    for (const kind of [...kinds, ...kinds, "RSA", "P-256", "RSA"] as const) {
      const { pkcs8, publicKey } = keyPair(kind);
      const signer = provider.signer(pkcs8);
      const [scheme] = signer.schemes as [(typeof signer.schemes)[number]];
      const signature = await signer.sign(scheme, message);
      expect(await verifyScheme(provider, scheme, publicKey, message, signature)).toBe(true);
      expect(await verifyScheme(provider, scheme, publicKey, message.subarray(1), signature)).toBe(false);
    }
    for (const keyCacheSize of [-1, 1.5, Number.NaN]) {
      expect(await codeOf(() => createNodeProvider({ keyCacheSize }))).toBe("ERR_TLS_OPTION");
    }
  });

  it("the late provider answers out of order, and in the same order for the same seed", async () => {
    const orderFor = async (seed: number) => {
      const provider = lateProvider(nodeProvider, { seed });
      const order: number[] = [];
      const jobs = Array.from({ length: 12 }, () => named(provider, "x25519").generate());
      await Promise.all(
        jobs.map(async (job, i) => {
          await job;
          order.push(i);
        }),
      );
      return order.join();
    };
    const sorted = Array.from({ length: 12 }, (_, i) => i).join();
    expect(await orderFor(7)).toBe(await orderFor(7));
    expect(await orderFor(7)).not.toBe(sorted);
    expect(await orderFor(7)).not.toBe(await orderFor(8));
  });
});

/** Those that each has without extras. */
function shared(a: readonly { readonly name: string }[], b: readonly { readonly name: string }[]): string[] {
  return a.map(({ name }) => name).filter((name) => b.some((other) => other.name === name));
}

function named(provider: CryptoProvider, name: string) {
  const group = provider.groups.find((candidate) => candidate.name === name);
  if (group === undefined) throw new Error(`${provider.name} lacks ${name}`);
  return group;
}

/** With one bit changed. */
function flipped(bytes: Uint8Array, at: number): Uint8Array {
  return bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));
}

function derSignature(r: bigint, s: bigint): Uint8Array {
  return derEncode(Tag.sequence, derInteger(r), derInteger(s));
}

function bigBytes(value: bigint): Uint8Array {
  const hex = value.toString(16);
  return fromHex(hex.length % 2 === 0 ? hex : `0${hex}`);
}

/** The numbers of an id-RSASSA-PSS key under the OID of rsaEncryption. */
function privateKeyAsRsa(pkcs8: Uint8Array) {
  const info = new DerReader(pkcs8).sequence();
  info.integer();
  info.sequence();
  return createPrivateKey({ key: Buffer.from(info.octetString()), format: "der", type: "pkcs1" });
}
