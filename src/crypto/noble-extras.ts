/** noble's X448, hybrids, Ed448 and ML-DSA, for `withExtras`. */
import { ed448 as nobleEd448, x448 as nobleX448 } from "@noble/curves/ed448.js";
import { ml_dsa44, ml_dsa65, ml_dsa87 } from "@noble/post-quantum/ml-dsa.js";
import { ml_kem768, ml_kem1024 } from "@noble/post-quantum/ml-kem.js";
import { equalConstantTime } from "../bytes/bytes.ts";
import { contextPrimitive, DerReader, Tag } from "../bytes/der.ts";
import type { PureSchemeName } from "../codec/registry.ts";
import { fault } from "../errors.ts";
import type { GroupExtra, SignatureExtra } from "./extras.ts";
import { diffieHellman, hybrid, SECP256R1_MLKEM768, SECP384R1_MLKEM1024 } from "./groups.ts";
import type { Group } from "./provider.ts";

/**
 * X448 (RFC 7748), for `withExtras`.
 *
 * @example
 * ```ts
 * import { x448 } from "mutls/noble";
 *
 * const share = await x448.generate();
 * console.log(share.publicKey.length); // 56
 * ```
 */
export const x448: Group = /* @__PURE__ */ diffieHellman("x448", 56, () => {
  const { secretKey, publicKey } = nobleX448.keygen();
  return { publicKey, secret: (peer) => nobleX448.getSharedSecret(secretKey, peer) };
});

/**
 * P-256, the provider's own, with noble's ML-KEM-768 (draft-ietf-tls-ecdhe-mlkem), for `withExtras`.
 *
 * @example
 * ```ts
 * import { secP256r1MlKem768, withExtras } from "mutls/noble";
 *
 * const provider = withExtras(createWebCryptoProvider(), { groups: [secP256r1MlKem768] });
 * console.log(provider.groups.at(-1)?.name); // SecP256r1MLKEM768
 * ```
 */
export const secP256r1MlKem768: GroupExtra = (groups) => hybrid(SECP256R1_MLKEM768, groups, ml_kem768);

/**
 * P-384, the provider's own, with noble's ML-KEM-1024 (draft-ietf-tls-ecdhe-mlkem), for `withExtras`.
 *
 * @example
 * ```ts
 * import { secP384r1MlKem1024, withExtras } from "mutls/noble";
 *
 * const provider = withExtras(nobleProvider, { groups: [secP384r1MlKem1024] });
 * console.log(provider.groups.at(-1)?.name); // SecP384r1MLKEM1024
 * ```
 */
export const secP384r1MlKem1024: GroupExtra = (groups) => hybrid(SECP384R1_MLKEM1024, groups, ml_kem1024);

/**
 * Ed448 (RFC 8032 5.2), keys and certificates included (RFC 8410), for `withExtras`.
 *
 * @example
 * ```ts
 * import { ed448, withExtras } from "mutls/noble";
 *
 * const provider = withExtras(nobleProvider, { signatures: [ed448] });
 * console.log(provider.canVerify({ type: "ed448" }, { type: "ed448" })); // true
 * ```
 */
export const ed448: SignatureExtra = {
  scheme: "ed448",
  // RFC 8032 5.2.7, not the looser ZIP 215; points of small order are refused.
  verify: (publicKey, message, signature) => nobleEd448.verify(signature, message, publicKey, { zip215: false }),
  signer: (privateKey) => (message) => nobleEd448.sign(message, privateKey),
};

/**
 * ML-DSA-44 (FIPS 204, draft-ietf-tls-mldsa), keys and certificates included (RFC 9881), for `withExtras`. Signatures
 * are hedged with fresh randomness.
 *
 * @example
 * ```ts
 * import { mlDsa44, mlDsa65, mlDsa87, withExtras } from "mutls/noble";
 *
 * const provider = withExtras(nobleProvider, { signatures: [mlDsa44, mlDsa65, mlDsa87] });
 * console.log(provider.canVerify({ type: "mldsa44" }, { type: "mldsa44" })); // true
 * ```
 */
export const mlDsa44: SignatureExtra = /* @__PURE__ */ mlDsa("mldsa44", ml_dsa44);

/**
 * ML-DSA-65, as {@link mlDsa44}.
 *
 * @example
 * ```ts
 * import { mlDsa65 } from "mutls/noble";
 *
 * console.log(mlDsa65.scheme); // mldsa65
 * ```
 */
export const mlDsa65: SignatureExtra = /* @__PURE__ */ mlDsa("mldsa65", ml_dsa65);

/**
 * ML-DSA-87, as {@link mlDsa44}.
 *
 * @example
 * ```ts
 * import { mlDsa87 } from "mutls/noble";
 *
 * console.log(mlDsa87.scheme); // mldsa87
 * ```
 */
export const mlDsa87: SignatureExtra = /* @__PURE__ */ mlDsa("mldsa87", ml_dsa87);

/** The context is empty (draft-ietf-tls-mldsa 3, RFC 9881 3), as it is by default. */
function mlDsa(scheme: PureSchemeName, algorithm: typeof ml_dsa44): SignatureExtra {
  return {
    scheme,
    verify: (publicKey, message, signature) => algorithm.verify(signature, message, publicKey),
    signer(privateKey) {
      const { seed, expanded } = mlDsaPrivateKey(privateKey);
      const secretKey = expandedKey(scheme, algorithm, seed, expanded);
      return (message) => algorithm.sign(message, secretKey);
    },
  };
}

const SEED_LENGTH = 32;

/** What signs: FIPS 204's expanded key. Where seed and expanded key are given, they must belong together (RFC 9881 8.2). */
function expandedKey(
  scheme: PureSchemeName,
  { keygen, lengths }: typeof ml_dsa44,
  seed: Uint8Array | undefined,
  expanded: Uint8Array | undefined,
): Uint8Array {
  if (seed !== undefined && seed.length !== SEED_LENGTH) {
    throw fault("ERR_TLS_KEY", `a seed of ${seed.length} bytes for ${scheme}`);
  }
  if (expanded !== undefined && expanded.length !== lengths.secretKey) {
    throw fault("ERR_TLS_KEY", `an expanded key of ${expanded.length} bytes for ${scheme}`);
  }
  if (seed === undefined) return expanded as Uint8Array;
  const { secretKey } = keygen(seed);
  if (expanded !== undefined && !equalConstantTime(secretKey, expanded)) {
    throw fault("ERR_TLS_KEY", `seed and expanded key of ${scheme} are two different keys`);
  }
  return secretKey;
}

/** ML-DSA-PrivateKey, RFC 9881 6: the seed, the expanded key, or both. */
export function mlDsaPrivateKey(der: Uint8Array): {
  readonly seed: Uint8Array | undefined;
  readonly expanded: Uint8Array | undefined;
} {
  try {
    const choice = new DerReader(der);
    const both = choice.peek() === Tag.sequence ? choice.sequence() : undefined;
    const seed = both === undefined ? choice.optional(contextPrimitive(0))?.rest() : both.octetString();
    const expanded = both?.octetString() ?? (seed === undefined ? choice.octetString() : undefined);
    both?.finish("ML-DSA-PrivateKey");
    choice.finish("ML-DSA-PrivateKey");
    return { seed, expanded };
  } catch (cause) {
    throw fault("ERR_TLS_KEY", "malformed ML-DSA-PrivateKey (RFC 9881 6)", { cause });
  }
}
