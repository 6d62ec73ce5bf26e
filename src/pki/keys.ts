/** Key pairs for issued certificates, made and used by WebCrypto, which every runtime has. */
import { concat } from "../bytes/bytes.ts";
import { contextConstructed, DerReader, derEncode, Tag } from "../bytes/der.ts";
import { encodeInteger, encodeNumber, encodeOid, encodeSequence } from "./encode.ts";

/** Kinds of key that can be issued for. `RSA-PSS`: an id-RSASSA-PSS key without restrictions (RFC 4055 1.2). */
export type IssuedKeyKind = "P-256" | "P-384" | "P-521" | "Ed25519" | "RSA" | "RSA-PSS";

/** What signs certificates. */
export interface CertificateSigner {
  /** AlgorithmIdentifier, DER, as it stands in what it signs. */
  readonly algorithm: Uint8Array;
  /** Contents of the signatureValue. */
  sign(message: Uint8Array): Promise<Uint8Array>;
}

/** A fresh key pair. */
export interface KeyPair extends CertificateSigner {
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  /** PrivateKeyInfo, DER. */
  readonly pkcs8: Uint8Array;
}

interface Kind {
  readonly generate: AlgorithmIdentifier | RsaHashedKeyGenParams | EcKeyGenParams;
  readonly sign: AlgorithmIdentifier | EcdsaParams | RsaPssParams;
  /** AlgorithmIdentifier of the signatures. */
  readonly algorithm: () => Uint8Array;
}

/** id-RSASSA-PSS with SHA-256, MGF1 over SHA-256 and a salt of 32 bytes (RFC 4055 3.1). */
function pssSha256(): Uint8Array {
  const sha256 = encodeSequence(encodeOid("2.16.840.1.101.3.4.2.1"), derEncode(Tag.null));
  const mask = encodeSequence(encodeOid("1.2.840.113549.1.1.8"), sha256);
  const parameters = [sha256, mask, encodeNumber(32)].map((value, i) => derEncode(contextConstructed(i), value));
  return encodeSequence(encodeOid(RSASSA_PSS), encodeSequence(...parameters));
}

const RSASSA_PSS = "1.2.840.113549.1.1.10";

const ecdsa = (namedCurve: string, hash: string, oid: string): Kind => ({
  generate: { name: "ECDSA", namedCurve },
  sign: { name: "ECDSA", hash },
  algorithm: () => encodeSequence(encodeOid(oid)),
});

const rsa = (name: string): RsaHashedKeyGenParams => ({
  name,
  hash: "SHA-256",
  modulusLength: 2048,
  publicExponent: Uint8Array.of(1, 0, 1),
});

const KINDS: { readonly [Name in IssuedKeyKind]: Kind } = {
  "P-256": ecdsa("P-256", "SHA-256", "1.2.840.10045.4.3.2"),
  "P-384": ecdsa("P-384", "SHA-384", "1.2.840.10045.4.3.3"),
  "P-521": ecdsa("P-521", "SHA-512", "1.2.840.10045.4.3.4"),
  Ed25519: { generate: "Ed25519", sign: "Ed25519", algorithm: () => encodeSequence(encodeOid("1.3.101.112")) },
  RSA: {
    generate: rsa("RSASSA-PKCS1-v1_5"),
    sign: "RSASSA-PKCS1-v1_5",
    algorithm: () => encodeSequence(encodeOid("1.2.840.113549.1.1.11"), derEncode(Tag.null)),
  },
  "RSA-PSS": {
    generate: rsa("RSA-PSS"),
    sign: { name: "RSA-PSS", saltLength: 32 },
    algorithm: pssSha256,
  },
};

/**
 * A fresh key pair.
 *
 * @example
 * ```ts
 * const pair = await generateKeyPair("P-256");
 * console.log(pair.spki.length); // 91
 * ```
 */
export async function generateKeyPair(kind: IssuedKeyKind): Promise<KeyPair> {
  const { generate, sign, algorithm } = KINDS[kind];
  const { subtle } = globalThis.crypto;
  const pair = (await subtle.generateKey(generate, true, ["sign", "verify"])) as CryptoKeyPair;
  const spki = new Uint8Array(await subtle.exportKey("spki", pair.publicKey));
  const pkcs8 = new Uint8Array(await subtle.exportKey("pkcs8", pair.privateKey));
  return {
    spki: kind === "RSA-PSS" ? asPssKey(spki) : spki,
    pkcs8: kind === "RSA-PSS" ? asPssKey(pkcs8) : pkcs8,
    algorithm: algorithm(),
    async sign(message) {
      const signature = new Uint8Array(await subtle.sign(sign, pair.privateKey, new Uint8Array(message)));
      return kind.startsWith("P-") ? ecdsaSignature(signature) : signature;
    },
  };
}

/** WebCrypto gives r and s side by side; certificates hold ECDSA-Sig-Value (RFC 3279 2.2.3). */
function ecdsaSignature(signature: Uint8Array): Uint8Array {
  const half = signature.length / 2;
  return encodeSequence(encodeInteger(signature.subarray(0, half)), encodeInteger(signature.subarray(half)));
}

/** WebCrypto exports RSA keys as rsaEncryption whatever they are for; this makes the algorithm id-RSASSA-PSS. */
function asPssKey(der: Uint8Array): Uint8Array {
  const sequence = new DerReader(der).sequence();
  const version = sequence.peek() === Tag.integer ? sequence.raw() : new Uint8Array();
  sequence.raw();
  return encodeSequence(concat(version, encodeSequence(encodeOid(RSASSA_PSS)), sequence.rest()));
}
