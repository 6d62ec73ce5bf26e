/** Providers with everything optional, and keys of the optional kinds, made by noble. */
import { ed448 as nobleEd448 } from "@noble/curves/ed448.js";
import { ml_dsa44, ml_dsa65, ml_dsa87 } from "@noble/post-quantum/ml-dsa.js";
import { contextPrimitive, derEncode, Tag } from "../../src/bytes/der.ts";
import { fromHex } from "../../src/bytes/hex.ts";
import type { PureSchemeName } from "../../src/codec/registry.ts";
import {
  type Extras,
  ed448,
  mlDsa44,
  mlDsa65,
  mlDsa87,
  nobleProvider,
  secP256r1MlKem768,
  secP384r1MlKem1024,
  withExtras,
  x448,
} from "../../src/crypto/noble.ts";
import { createWebCryptoProvider } from "../../src/crypto/webcrypto.ts";
import type { KeyPair } from "../../src/pki/keys.ts";

export const EXTRAS: Extras = {
  groups: [x448, secP256r1MlKem768, secP384r1MlKem1024],
  signatures: [ed448, mlDsa44, mlDsa65, mlDsa87],
};

export const nobleWithExtras = withExtras(nobleProvider, EXTRAS);
export const webcryptoWithExtras = withExtras(createWebCryptoProvider({ fallback: nobleProvider }), EXTRAS);

export type OptionalScheme = Exclude<PureSchemeName, "ed25519">;
export const OPTIONAL_SCHEMES: readonly OptionalScheme[] = ["ed448", "mldsa44", "mldsa65", "mldsa87"];

const ALGORITHMS = {
  ed448: { oid: "06032b6571", make: nobleEd448 },
  mldsa44: { oid: "0609608648016503040311", make: ml_dsa44 },
  mldsa65: { oid: "0609608648016503040312", make: ml_dsa65 },
  mldsa87: { oid: "0609608648016503040313", make: ml_dsa87 },
} as const;

/** The three forms of RFC 9881 6. */
export type MlDsaForm = "seed" | "expanded" | "both";

export function optionalAlgorithm(scheme: OptionalScheme): Uint8Array {
  return derEncode(Tag.sequence, fromHex(ALGORITHMS[scheme].oid));
}

export function optionalSpki(scheme: OptionalScheme, key: Uint8Array): Uint8Array {
  return derEncode(Tag.sequence, optionalAlgorithm(scheme), derEncode(Tag.bitString, Uint8Array.of(0), key));
}

/** PKCS#8 of whatever stands in its OCTET STRING. */
export function optionalPkcs8(scheme: OptionalScheme, content: Uint8Array): Uint8Array {
  const version = Uint8Array.of(2, 1, 0);
  return derEncode(Tag.sequence, version, optionalAlgorithm(scheme), derEncode(Tag.octetString, content));
}

/** ML-DSA-PrivateKey. */
export function mlDsaPrivateKey(form: MlDsaForm, seed: Uint8Array, expanded: Uint8Array): Uint8Array {
  if (form === "seed") return derEncode(contextPrimitive(0), seed);
  const whole = derEncode(Tag.octetString, expanded);
  return form === "expanded" ? whole : derEncode(Tag.sequence, derEncode(Tag.octetString, seed), whole);
}

/** A key pair of an optional kind, that can sign certificates. */
export function optionalKeyPair(scheme: OptionalScheme, form: MlDsaForm = "seed"): KeyPair {
  const { make } = ALGORITHMS[scheme];
  const seed = globalThis.crypto.getRandomValues(new Uint8Array(scheme === "ed448" ? 57 : 32));
  const { publicKey, secretKey } = make.keygen(seed);
  const content = scheme === "ed448" ? derEncode(Tag.octetString, secretKey) : mlDsaPrivateKey(form, seed, secretKey);
  return {
    spki: optionalSpki(scheme, publicKey),
    pkcs8: optionalPkcs8(scheme, content),
    algorithm: optionalAlgorithm(scheme),
    sign: async (message) => make.sign(message, secretKey),
  };
}
