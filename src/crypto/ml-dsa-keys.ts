/** Fresh ML-DSA keys, which no WebCrypto makes and no Node before 24.7: for measuring with, not for keeping. */
import { ml_dsa44, ml_dsa65, ml_dsa87 } from "@noble/post-quantum/ml-dsa.js";
import { contextPrimitive, derEncode, Tag } from "../bytes/der.ts";
import { fromHex } from "../bytes/hex.ts";

/** OIDs as DER, RFC 9881 2. */
const PARAMETER_SETS = {
  mldsa44: { oid: "0609608648016503040311", make: ml_dsa44 },
  mldsa65: { oid: "0609608648016503040312", make: ml_dsa65 },
  mldsa87: { oid: "0609608648016503040313", make: ml_dsa87 },
} as const;

export type MlDsaName = keyof typeof PARAMETER_SETS;

/** A fresh key pair. */
export interface MlDsaKeyPair {
  /** AlgorithmIdentifier of keys and signatures, DER (RFC 9881 2). */
  readonly algorithm: Uint8Array;
  /** SubjectPublicKeyInfo, DER (RFC 9881 4). */
  readonly spki: Uint8Array;
  /** PrivateKeyInfo with the seed, DER (RFC 9881 6). */
  readonly pkcs8: Uint8Array;
}

/**
 * @param seed - 32 random bytes, FIPS 204's xi.
 * @example
 * ```ts
 * const { spki } = mlDsaKeyPair("mldsa44", crypto.getRandomValues(new Uint8Array(32)));
 * console.log(spki.length); // 1334
 * ```
 */
export function mlDsaKeyPair(name: MlDsaName, seed: Uint8Array): MlDsaKeyPair {
  const { oid, make } = PARAMETER_SETS[name];
  const algorithm = derEncode(Tag.sequence, fromHex(oid));
  const { publicKey } = make.keygen(seed);
  const privateKey = derEncode(Tag.octetString, derEncode(contextPrimitive(0), seed));
  return {
    algorithm,
    spki: derEncode(Tag.sequence, algorithm, derEncode(Tag.bitString, Uint8Array.of(0), publicKey)),
    pkcs8: derEncode(Tag.sequence, derEncode(Tag.integer, Uint8Array.of(0)), algorithm, privateKey),
  };
}
