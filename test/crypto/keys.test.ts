import { execFileSync } from "node:child_process";
import { createPrivateKey, createPublicKey } from "node:crypto";
import { describe, expect, it } from "vitest";
import { concat } from "../../src/bytes/bytes.ts";
import { derEncode, Tag } from "../../src/bytes/der.ts";
import { fromHex, toHex } from "../../src/bytes/hex.ts";
import { readPem, writePem } from "../../src/bytes/pem.ts";
import { keyAlgorithm, parsePkcs8, parsePrivateKey } from "../../src/crypto/keys.ts";
import { TlsError } from "../../src/errors.ts";
import { ecSpki, ed25519Spki, KEY_KINDS, keyPair, rsaSpki } from "../support/key-files.ts";

function failure(operation: () => unknown): { code?: string; detail?: string | undefined } {
  try {
    operation();
  } catch (error) {
    if (error instanceof TlsError) return { code: error.code, detail: error.detail };
    throw error;
  }
  return {};
}

const openssl = (...args: readonly string[]) => execFileSync("openssl", args, { stdio: ["ignore", "pipe", "ignore"] });

/** PKCS#8 of a new key; its DER output would be SEC1 for EC. */
const generate = (...args: readonly string[]) => readPem(openssl("genpkey", ...args))[0]?.der as Uint8Array;

/** The public key that belongs to PKCS#8, as SubjectPublicKeyInfo in hexadecimal. */
function publicHalf(pkcs8: Uint8Array): string {
  const key = createPrivateKey({ key: Buffer.from(pkcs8), format: "der", type: "pkcs8" });
  return toHex(createPublicKey(key).export({ type: "spki", format: "der" }));
}

describe("parsePrivateKey", () => {
  it.each(KEY_KINDS)("takes PKCS#8 of %s as PEM, as DER and as PEM in bytes", (kind) => {
    const { pkcs8 } = keyPair(kind);
    const pem = writePem("PRIVATE KEY", pkcs8);
    for (const form of [pem, pkcs8, new TextEncoder().encode(pem)]) expect(parsePrivateKey(form)).toEqual(pkcs8);
    expect(parsePrivateKey(pkcs8)).not.toBe(pkcs8);
  });

  it.each(["P-256", "P-384", "P-521"] as const)("takes SEC1 of %s", (kind) => {
    const { privateKey, publicKey } = keyPair(kind);
    const pem = privateKey.export({ type: "sec1", format: "pem" }) as string;
    expect(pem).toContain("BEGIN EC PRIVATE KEY");
    for (const form of [pem, readPem(pem)[0]?.der as Uint8Array]) {
      expect(publicHalf(parsePrivateKey(form))).toBe(toHex(publicKey.spki));
      expect(parsePkcs8(parsePrivateKey(form)).algorithm).toEqual(publicKey.algorithm);
    }
  });

  it("takes PKCS#1", () => {
    const { privateKey, publicKey } = keyPair("RSA");
    const pem = privateKey.export({ type: "pkcs1", format: "pem" }) as string;
    for (const form of [pem, readPem(pem)[0]?.der as Uint8Array]) {
      expect(publicHalf(parsePrivateKey(form))).toBe(toHex(publicKey.spki));
      expect(parsePkcs8(parsePrivateKey(form)).algorithm).toEqual({ type: "rsa", bits: 2048 });
    }
  });

  it("takes what `openssl ecparam -genkey` writes, EC PARAMETERS first", () => {
    const pem = openssl("ecparam", "-genkey", "-name", "prime256v1").toString();
    expect(pem).toContain("BEGIN EC PARAMETERS");
    expect(parsePkcs8(parsePrivateKey(pem)).algorithm).toEqual({ type: "ec", curve: "P-256" });
  });

  it("takes the curve from EC PARAMETERS where the key does not name it", () => {
    const { pkcs8 } = keyPair("P-384");
    const parts = parsePkcs8(pkcs8);
    const scalar = "key" in parts ? parts.key : new Uint8Array(0);
    const bare = derEncode(Tag.sequence, Uint8Array.of(2, 1, 1), derEncode(Tag.octetString, scalar));
    const key = writePem("EC PRIVATE KEY", bare);
    const parameters = writePem("EC PARAMETERS", fromHex("06052b81040022"));
    expect(publicHalf(parsePrivateKey(parameters + key))).toBe(publicHalf(pkcs8));
    expect(failure(() => parsePrivateKey(key))).toEqual({
      code: "ERR_TLS_KEY",
      detail: "an EC private key does not name its curve",
    });
  });

  it("finds the key among certificates", () => {
    const { pkcs8 } = keyPair("Ed25519");
    const certificate = writePem("CERTIFICATE", fromHex("3000"));
    expect(parsePrivateKey(certificate + writePem("PRIVATE KEY", pkcs8) + certificate)).toEqual(pkcs8);
  });

  it("refuses encrypted keys in every form, and says so", () => {
    const { privateKey } = keyPair("RSA");
    const passphrase = { cipher: "aes-128-cbc", passphrase: "x" };
    const pkcs8 = privateKey.export({ type: "pkcs8", format: "pem", ...passphrase }) as string;
    const pkcs1 = privateKey.export({ type: "pkcs1", format: "pem", ...passphrase }) as string;
    const sec1 = keyPair("P-256").privateKey.export({ type: "sec1", format: "pem", ...passphrase }) as string;
    for (const form of [pkcs8, pkcs1, sec1, readPem(pkcs8)[0]?.der as Uint8Array]) {
      const { code, detail } = failure(() => parsePrivateKey(form));
      expect(code).toBe("ERR_TLS_KEY");
      expect(detail).toContain("the private key is encrypted");
    }
  });

  it("refuses what holds no usable key", () => {
    const { pkcs8, publicKey } = keyPair("Ed25519");
    const pem = writePem("PRIVATE KEY", pkcs8);
    expect(failure(() => parsePrivateKey("nonsense")).detail).toContain("neither PEM nor DER");
    expect(failure(() => parsePrivateKey(new Uint8Array(0))).code).toBe("ERR_TLS_KEY");
    expect(failure(() => parsePrivateKey(writePem("CERTIFICATE", pkcs8))).detail).toContain("PEM of CERTIFICATE");
    expect(failure(() => parsePrivateKey(pem + pem)).detail).toContain("2 private keys");
    expect(failure(() => parsePrivateKey(writePem("OPENSSH PRIVATE KEY", pkcs8))).detail).toContain("OPENSSH");
    expect(failure(() => parsePrivateKey(publicKey.spki)).code).toBe("ERR_TLS_KEY");
    expect(failure(() => parsePrivateKey(pkcs8.subarray(0, 20))).code).toBe("ERR_TLS_PEM");
    expect(failure(() => parsePrivateKey(concat(pkcs8, Uint8Array.of(0)))).code).toBe("ERR_TLS_PEM");
    expect(failure(() => parsePrivateKey(fromHex("30060201000101ff"))).detail).toContain("neither PKCS#8");
  });
});

describe("parsePkcs8", () => {
  it("names kinds that are not supported", () => {
    const x448 = generate("-algorithm", "X448");
    const secp256k1 = generate("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1");
    expect(failure(() => parsePkcs8(x448))).toEqual({
      code: "ERR_TLS_KEY",
      detail: "a private key with the algorithm 1.3.101.111 is not supported",
    });
    expect(failure(() => parsePkcs8(secp256k1)).detail).toContain("1.3.132.0.10");
  });

  it("survives every truncation and every changed byte with nothing but ERR_TLS_KEY", () => {
    for (const kind of ["P-256", "Ed25519", "RSA-PSS for SHA-384"] as const) {
      const { pkcs8 } = keyPair(kind);
      for (let i = 0; i < Math.min(pkcs8.length, 200); i++) {
        expect(failure(() => parsePkcs8(pkcs8.subarray(0, i))).code).toBe("ERR_TLS_KEY");
        const changed = pkcs8.slice();
        changed[i] = (changed[i] as number) ^ 0x41;
        expect([undefined, "ERR_TLS_KEY"]).toContain(failure(() => parsePkcs8(changed)).code);
      }
    }
  });
});

describe("keyAlgorithm", () => {
  it.each([
    ["P-256", { type: "ec", curve: "P-256" }],
    ["P-384", { type: "ec", curve: "P-384" }],
    ["P-521", { type: "ec", curve: "P-521" }],
    ["Ed25519", { type: "ed25519" }],
    ["RSA", { type: "rsa", bits: 2048 }],
    ["RSA 1024", { type: "rsa", bits: 1024 }],
    ["RSA-PSS", { type: "rsa-pss", bits: 2048 }],
    ["RSA-PSS for SHA-384", { type: "rsa-pss", bits: 2048, hash: "sha384", saltLength: 48 }],
  ] as const)("recognises %s", (kind, expected) => {
    expect(keyAlgorithm(keyPair(kind).publicKey.spki)).toEqual(expected);
  });

  it("counts bits exactly", () => {
    for (const bits of [1, 7, 8, 9, 2047, 2048, 2049]) {
      expect(keyAlgorithm(rsaSpki(2n ** BigInt(bits) - 1n, 65537n))).toEqual({ type: "rsa", bits });
    }
  });

  it("calls what it does not know unknown", () => {
    const spki = (...args: readonly string[]) => fromHex(publicHalf(generate(...args)));
    expect(keyAlgorithm(spki("-algorithm", "X448"))).toEqual({ type: "unknown", oid: "1.3.101.111" });
    const curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"];
    expect(keyAlgorithm(spki(...curve))).toEqual({ type: "unknown", oid: "1.3.132.0.10" });
    const explicit = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:explicit"];
    expect(keyAlgorithm(spki(...explicit))).toEqual({ type: "unknown", oid: "1.2.840.10045.2.1" });
    // OpenSSL leaves MGF1 at SHA-1 when only the hash is given.
    const mixed = ["-algorithm", "RSA-PSS", "-pkeyopt", "rsa_pss_keygen_md:sha256"];
    expect(keyAlgorithm(spki(...mixed))).toEqual({ type: "unknown", oid: "1.2.840.113549.1.1.10" });
  });

  it("says what it refuses about parameters", () => {
    const rsa = fromHex("301b300e06092a864886f70d0101010101ff0309003006020103020103");
    expect(failure(() => keyAlgorithm(rsa)).detail).toBe("rsaEncryption takes no parameters");
    const ed25519 = fromHex(`302c300706032b65700500032100${"01".repeat(32)}`);
    expect(failure(() => keyAlgorithm(ed25519)).detail).toBe("ed25519 takes no parameters");
  });

  it.each([
    ["a compressed point", ecSpki("P-256", concat(Uint8Array.of(2), new Uint8Array(32)))],
    ["a point of another curve's length", ecSpki("P-256", concat(Uint8Array.of(4), new Uint8Array(96)))],
    ["a short Ed25519 key", ed25519Spki(new Uint8Array(31))],
    ["bytes at the end", concat(ed25519Spki(new Uint8Array(32)), Uint8Array.of(0))],
    ["a negative modulus", fromHex("301a300d06092a864886f70d01010105000309003006020181020103")],
    ["nothing", new Uint8Array(0)],
  ])("refuses %s", (_, spki) => {
    expect(failure(() => keyAlgorithm(spki)).code).toBe("ERR_TLS_PEM");
  });
});
