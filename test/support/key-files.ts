/** Key pairs of every kind that certificates here may hold, made by OpenSSL through node:crypto. */
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { derEncode, Tag } from "../../src/bytes/der.ts";
import { fromHex } from "../../src/bytes/hex.ts";
import { type Curve, keyAlgorithm } from "../../src/crypto/keys.ts";
import type { PublicKey } from "../../src/crypto/provider.ts";

export interface KeyPair {
  readonly privateKey: KeyObject;
  readonly pkcs8: Uint8Array;
  readonly publicKey: PublicKey;
}

/** @types/node 20 declares the salt length a string; Node wants a number. */
const PSS_384 = { hashAlgorithm: "sha384", mgf1HashAlgorithm: "sha384", saltLength: 48 as unknown as string };

const MAKE = {
  "P-256": () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
  "P-384": () => generateKeyPairSync("ec", { namedCurve: "P-384" }),
  "P-521": () => generateKeyPairSync("ec", { namedCurve: "P-521" }),
  Ed25519: () => generateKeyPairSync("ed25519"),
  RSA: () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
  "RSA-PSS": () => generateKeyPairSync("rsa-pss", { modulusLength: 2048 }),
  "RSA-PSS for SHA-384": () => generateKeyPairSync("rsa-pss", { modulusLength: 2048, ...PSS_384 }),
  "RSA 1024": () => generateKeyPairSync("rsa", { modulusLength: 1024 }),
} as const;

export type KeyKind = keyof typeof MAKE;
export const KEY_KINDS = Object.keys(MAKE) as KeyKind[];

const made = new Map<KeyKind, KeyPair>();

/** The key pair of this kind; one is made in each test file. */
export function keyPair(kind: KeyKind): KeyPair {
  const known = made.get(kind);
  if (known !== undefined) return known;
  const { privateKey, publicKey } = MAKE[kind]();
  const pair = {
    privateKey,
    pkcs8: new Uint8Array(privateKey.export({ type: "pkcs8", format: "der" })),
    publicKey: publicKeyOf(new Uint8Array(publicKey.export({ type: "spki", format: "der" }))),
  };
  made.set(kind, pair);
  return pair;
}

export function publicKeyOf(spki: Uint8Array): PublicKey {
  return { spki, algorithm: keyAlgorithm(spki) };
}

const CURVE_OIDS = {
  "P-256": "06082a8648ce3d030107",
  "P-384": "06052b81040022",
  "P-521": "06052b81040023",
};

const EC_PUBLIC_KEY = "06072a8648ce3d0201";

/** SubjectPublicKeyInfo of any bytes in the place of the point. */
export function ecSpki(curve: Curve, point: Uint8Array): Uint8Array {
  return spki(fromHex(EC_PUBLIC_KEY + CURVE_OIDS[curve]), point);
}

/** PKCS#8 of a scalar. */
export function ecPkcs8(curve: Curve, scalar: Uint8Array): Uint8Array {
  const key = derEncode(Tag.sequence, Uint8Array.of(2, 1, 1), derEncode(Tag.octetString, scalar));
  const algorithm = derEncode(Tag.sequence, fromHex(EC_PUBLIC_KEY + CURVE_OIDS[curve]));
  return derEncode(Tag.sequence, Uint8Array.of(2, 1, 0), algorithm, derEncode(Tag.octetString, key));
}

export function ed25519Spki(key: Uint8Array): Uint8Array {
  return spki(fromHex("06032b6570"), key);
}

export function ed25519Pkcs8(seed: Uint8Array): Uint8Array {
  const key = derEncode(Tag.octetString, derEncode(Tag.octetString, seed));
  return derEncode(Tag.sequence, Uint8Array.of(2, 1, 0), fromHex("300506032b6570"), key);
}

/** SubjectPublicKeyInfo of any numbers. */
export function rsaSpki(modulus: bigint, exponent: bigint): Uint8Array {
  const key = derEncode(Tag.sequence, derInteger(modulus), derInteger(exponent));
  return spki(fromHex("06092a864886f70d0101010500"), key);
}

/** A non-negative INTEGER. */
export function derInteger(value: bigint): Uint8Array {
  const hex = value.toString(16);
  const even = hex.length % 2 === 0 ? hex : `0${hex}`;
  return derEncode(Tag.integer, fromHex(Number.parseInt(even.slice(0, 2), 16) >= 0x80 ? `00${even}` : even));
}

function spki(algorithm: Uint8Array, key: Uint8Array): Uint8Array {
  return derEncode(Tag.sequence, derEncode(Tag.sequence, algorithm), derEncode(Tag.bitString, Uint8Array.of(0), key));
}
