/** Groups and signatures that few need, added to a provider by those who do, so that nobody else bundles them. */
import type { PureSchemeName } from "../codec/registry.ts";
import { fault } from "../errors.ts";
import { parsePkcs8, parseSpki } from "./keys.ts";
import type { CryptoProvider, Group, KeyAlgorithm, SignatureAlgorithm } from "./provider.ts";
import { algorithmFits, isOptional } from "./signatures.ts";

/** A group, or what makes one of a provider's own groups: a hybrid. */
export type GroupExtra = Group | ((groups: readonly Group[]) => Group);

/** A signature scheme that is named like its keys: Ed448 or a parameter set of ML-DSA. */
export interface SignatureExtra {
  readonly scheme: PureSchemeName;
  /** May throw on what is malformed. `publicKey`: the contents of subjectPublicKey. */
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
  /**
   * What signs with a private key.
   *
   * @param privateKey - 57 bytes of Ed448, or the DER of RFC 9881 6.
   * @throws TlsError `ERR_TLS_KEY` when it is malformed.
   */
  signer(privateKey: Uint8Array): (message: Uint8Array) => Uint8Array;
}

/** What {@link withExtras} adds. */
export interface Extras {
  readonly groups?: readonly GroupExtra[];
  readonly signatures?: readonly SignatureExtra[];
}

/**
 * A provider that can do more. Nothing of it is offered unless `groups` or `signatureSchemes` name it; certificates and
 * keys of these kinds are taken. What the provider has already stays the provider's.
 *
 * @throws TlsError `ERR_TLS_OPTION` for a hybrid whose curve the provider lacks.
 *
 * @example
 * ```ts
 * import { mlDsa65, withExtras, x448 } from "mutls/noble";
 *
 * const provider = withExtras(nobleProvider, { groups: [x448], signatures: [mlDsa65] });
 * const options = { provider, groups: ["x448", "x25519"], signatureSchemes: ["mldsa65", "ecdsa_secp256r1_sha256"] };
 * console.log(provider.groups.at(-1)?.name); // x448
 * ```
 */
export function withExtras<P extends CryptoProvider>(provider: P, { groups = [], signatures = [] }: Extras): P {
  const more = groups.map((extra) => (typeof extra === "function" ? extra(provider.groups) : extra));
  const ours = (algorithm: SignatureAlgorithm): SignatureExtra | undefined => {
    const extra = signatures.find(({ scheme }) => scheme === algorithm.type);
    return extra === undefined || provider.canVerify({ type: extra.scheme }, algorithm) ? undefined : extra;
  };
  return {
    ...provider,
    // A WebCrypto provider's own grow when it has found out what its platform has.
    get groups() {
      return [...provider.groups, ...more.filter(({ name }) => !provider.groups.some((own) => own.name === name))];
    },
    canVerify: (key, algorithm) =>
      ours(algorithm) === undefined ? provider.canVerify(key, algorithm) : algorithmFits(algorithm, key),
    verify(key, algorithm, message, signature) {
      const extra = ours(algorithm);
      return extra === undefined
        ? provider.verify(key, algorithm, message, signature)
        : verifies(extra, key.spki, message, signature);
    },
    signer(pkcs8) {
      const { algorithm, ...parts } = parsePkcs8(pkcs8);
      const extra = isOptional(algorithm.type) ? ours(algorithm as SignatureAlgorithm) : undefined;
      if (extra === undefined || !("key" in parts)) return provider.signer(pkcs8);
      const { scheme } = extra;
      const sign = extra.signer(parts.key.slice());
      return {
        schemes: [scheme],
        sign(asked, message) {
          if (asked !== scheme) throw fault("ERR_TLS_SIGNING_FAILED", `the key cannot sign with ${asked}`);
          return sign(message);
        },
      };
    },
  };
}

function verifies(extra: SignatureExtra, spki: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    const parts = parseSpki(spki);
    return parts.algorithm.type === extra.scheme && "key" in parts && extra.verify(parts.key, message, signature);
  } catch {
    // What is malformed is not valid.
    return false;
  }
}

/** For a provider's `signer`. @throws TlsError `ERR_TLS_KEY` for a key that only an extra can sign with. */
export function refuseOptional(type: KeyAlgorithm["type"], provider: string): void {
  if (isOptional(type)) throw fault("ERR_TLS_KEY", `a ${type} key needs withExtras over the provider ${provider}`);
}
