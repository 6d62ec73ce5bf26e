/**
 * RSA for the noble provider. micro-rsa-dsa-dh throws on what it does not like, takes any exponent, and signs without
 * CRT and blinding (20 ms for 2048 bits): good for verification, and for signing where nothing else is at hand.
 */
import { sha256, sha384, sha512 } from "@noble/hashes/sha2.js";
import { mgf1, PKCS1_SHA256, PKCS1_SHA384, PKCS1_SHA512, PSS } from "micro-rsa-dsa-dh/rsa.js";
import { fault } from "../errors.ts";
import { type PrivateKeyParts, type RsaNumbers, usableRsa } from "./keys.ts";
import type { HashName, SignatureAlgorithm } from "./provider.ts";

const HASHES = { sha256, sha384, sha512 };
const PKCS1 = { sha256: PKCS1_SHA256, sha384: PKCS1_SHA384, sha512: PKCS1_SHA512 };

/** RFC 8017 8.1.2, 8.2.2. May throw on a signature that is not valid. */
export function rsaVerify(
  { modulus, exponent }: RsaNumbers,
  algorithm: SignatureAlgorithm,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (signature.length !== modulus.length) return false;
  const key = { n: toBigInt(modulus), e: toBigInt(exponent) };
  if (algorithm.type === "rsa-pss") {
    return pss(algorithm.hash, algorithm.saltLength).verify(key, message, signature);
  }
  return algorithm.type === "rsa-pkcs1" && PKCS1[algorithm.hash].verify(key, message, signature);
}

/**
 * Not with a modulus of 8n + 1 bits: there the encoded message is a byte shorter than the modulus, and the library cuts
 * the signature to its length.
 */
export function canSignWith(key: Extract<PrivateKeyParts, RsaNumbers>): boolean {
  return usableRsa(key) && key.algorithm.bits % 8 !== 1;
}

/** RFC 8017 8.1.1. */
export function rsaPssSign(
  key: Extract<PrivateKeyParts, RsaNumbers>,
  algorithm: SignatureAlgorithm,
  message: Uint8Array,
): Uint8Array {
  if (algorithm.type !== "rsa-pss") throw fault("ERR_TLS_SIGNING_FAILED", `RSA cannot sign with ${algorithm.type}`);
  const privateKey = { n: toBigInt(key.modulus), d: toBigInt(key.privateExponent) };
  return pss(algorithm.hash, algorithm.saltLength).sign(privateKey, message);
}

function pss(hash: HashName, saltLength: number) {
  return PSS(HASHES[hash], mgf1(HASHES[hash]), saltLength);
}

function toBigInt(magnitude: Uint8Array): bigint {
  let hex = "0x";
  for (const byte of magnitude) hex += byte.toString(16).padStart(2, "0");
  return BigInt(hex);
}
