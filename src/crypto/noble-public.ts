/** Which public key a private key has, so that the two can be told to belong together without a signature. */
import { ed448 } from "@noble/curves/ed448.js";
import { ed25519 } from "@noble/curves/ed25519.js";
import { p256, p384, p521 } from "@noble/curves/nist.js";
import { toHex } from "../bytes/hex.ts";
import { fault } from "../errors.ts";
import { type Curve, type PrivateKeyParts, parsePkcs8, parseSpki, type RsaNumbers } from "./keys.ts";

const CURVES = { "P-256": p256, "P-384": p384, "P-521": p521 };

/**
 * What a private key shares with its public key alone; `undefined` where that cannot be told: ML-DSA.
 *
 * @throws TlsError `ERR_TLS_KEY` for a key that is malformed or of an unsupported kind.
 */
export function privateKeyId(pkcs8: Uint8Array): string | undefined {
  const parts = parsePkcs8(pkcs8);
  const { type } = parts.algorithm;
  if ("modulus" in parts) return rsaId(type, parts);
  const key = publicKey(parts);
  return key && `${type} ${toHex(key)}`;
}

/**
 * The same of a public key.
 *
 * @throws TlsError `ERR_TLS_PEM` when it is malformed.
 */
export function publicKeyId(spki: Uint8Array): string | undefined {
  const parts = parseSpki(spki);
  const { type } = parts.algorithm;
  if ("modulus" in parts) return rsaId(type, parts);
  return "key" in parts ? `${type} ${toHex(parts.key)}` : undefined;
}

function rsaId(type: string, { modulus, exponent }: RsaNumbers): string {
  return `${type} ${toHex(modulus)} ${toHex(exponent)}`;
}

function publicKey({ algorithm, key }: Extract<PrivateKeyParts, { key: Uint8Array }>): Uint8Array | undefined {
  switch (algorithm.type) {
    case "ec":
      return ecPoint(algorithm.curve, key);
    case "ed25519":
      return ed25519.getPublicKey(key);
    case "ed448":
      return ed448.getPublicKey(key);
    default:
      return undefined;
  }
}

function ecPoint(curve: Curve, scalar: Uint8Array): Uint8Array {
  const { getPublicKey, utils } = CURVES[curve];
  if (!utils.isValidSecretKey(scalar)) throw fault("ERR_TLS_KEY", `the scalar is none of ${curve}'s`);
  return getPublicKey(scalar, false);
}
