/** Keys and signatures as WebCrypto wants them: raw points, JWK, P1363; what certificates hold is DER. */
import { DerReader, derContent, derEncode, derUnsigned, Tag } from "../bytes/der.ts";
import { fromHex, toBase64, toHex } from "../bytes/hex.ts";
import { fault, TlsError } from "../errors.ts";
import { COORDINATE_LENGTH, type PublicKeyParts, parseSpki, usableEd25519, usableRsa } from "./keys.ts";
import type { HashName, KeyAlgorithm, SignatureAlgorithm } from "./provider.ts";
import { type Feature, source } from "./webcrypto-platform.ts";

/** A CryptoKey of RSA is bound to one hash and one padding, one of EC to its curve. */
interface ImportParameters {
  readonly name: string;
  readonly namedCurve?: string;
  readonly hash?: string;
}

const HASH = { sha256: "SHA-256", sha384: "SHA-384", sha512: "SHA-512" } as const;

/** The hash of that name in WebCrypto, if it is one that TLS 1.3 signs with. */
export function hashNamed(name: string): HashName | undefined {
  return (Object.keys(HASH) as HashName[]).find((hash) => HASH[hash] === name);
}

/** What the platform must have for such a signature by such a key. */
export function signatureFeature(key: KeyAlgorithm, algorithm: SignatureAlgorithm): Feature | undefined {
  switch (algorithm.type) {
    case "ecdsa":
      return key.type === "ec" ? `ECDSA ${key.curve}` : undefined;
    case "ed25519":
      return "Ed25519";
    case "rsa-pss":
      return "RSA-PSS";
    case "rsa-pkcs1":
      return "RSASSA-PKCS1-v1_5";
    default:
      return undefined;
  }
}

/** How WebCrypto imports a key for such signatures. */
export function importParameters(key: KeyAlgorithm, algorithm: SignatureAlgorithm): ImportParameters {
  switch (algorithm.type) {
    case "ecdsa":
      if (key.type !== "ec") throw fault("ERR_TLS_INTERNAL", `ECDSA with a key of type ${key.type}`);
      return { name: "ECDSA", namedCurve: key.curve };
    case "ed25519":
      return { name: "Ed25519" };
    case "rsa-pss":
      return { name: "RSA-PSS", hash: HASH[algorithm.hash] };
    case "rsa-pkcs1":
      return { name: "RSASSA-PKCS1-v1_5", hash: HASH[algorithm.hash] };
    default:
      throw fault("ERR_TLS_KEY", `no WebCrypto for ${algorithm.type}`);
  }
}

/** How WebCrypto signs and verifies. RSA uses the hash of its key, whatever is asked here. */
export function signatureParameters(algorithm: SignatureAlgorithm): AlgorithmIdentifier | EcdsaParams | RsaPssParams {
  switch (algorithm.type) {
    case "ecdsa":
      return { name: "ECDSA", hash: HASH[algorithm.hash] };
    case "ed25519":
      return { name: "Ed25519" };
    case "rsa-pss":
      return { name: "RSA-PSS", saltLength: algorithm.saltLength };
    case "rsa-pkcs1":
      return { name: "RSASSA-PKCS1-v1_5" };
    default:
      throw fault("ERR_TLS_INTERNAL", `no WebCrypto for ${algorithm.type}`);
  }
}

/** A public key that a signature may be verified with. */
export interface UsableKey {
  readonly algorithm: PublicKeyParts["algorithm"];
  /** The key in WebCrypto; the import is shared by all who ask. Rejects with what WebCrypto says. */
  handle(subtle: SubtleCrypto, algorithm: SignatureAlgorithm): Promise<CryptoKey>;
}

/**
 * Public keys out of certificates, with their imports. Importing costs half of verifying or more, so they are kept,
 * the least recently used going first.
 */
export class PublicKeyCache {
  readonly #size: number;
  readonly #keys = new Map<string, UsableKey>();

  /** @param size - How many keys are kept; 0 keeps none. */
  constructor(size: number) {
    this.#size = size;
  }

  /**
   * @param spki - SubjectPublicKeyInfo, DER.
   * @returns `undefined` for a key that no signature may be verified with.
   * @throws TlsError `ERR_TLS_PEM` when it is malformed.
   */
  find(spki: Uint8Array): UsableKey | undefined {
    if (this.#size === 0) return usableKey(spki);
    const id = toHex(spki);
    const known = this.#keys.get(id) ?? usableKey(spki);
    if (known === undefined) return undefined;
    // A Map iterates in order of insertion.
    this.#keys.delete(id);
    this.#keys.set(id, known);
    if (this.#keys.size > this.#size) this.#keys.delete(this.#keys.keys().next().value as string);
    return known;
  }
}

function usableKey(spki: Uint8Array): UsableKey | undefined {
  const parts = parseSpki(spki);
  if (!("key" in parts)) return undefined;
  const { algorithm, key } = parts;
  const rsa = "modulus" in parts ? parts : undefined;
  if (rsa !== undefined && !usableRsa(rsa)) return undefined;
  if (algorithm.type === "ed25519" && !usableEd25519(key)) return undefined;
  // `spki` is the caller's; and a JWK names no OID, so that id-RSASSA-PSS keys, which WebCrypto refuses, import too.
  const raw = key.slice();
  const jwk = rsa && { kty: "RSA", n: toBase64Url(rsa.modulus), e: toBase64Url(rsa.exponent) };
  const handles = new Map<string, Promise<CryptoKey>>();
  return {
    algorithm,
    handle(subtle, how) {
      const parameters = importParameters(algorithm, how);
      const id = `${parameters.name} ${parameters.hash ?? ""}`;
      let handle = handles.get(id);
      if (handle === undefined) {
        handle =
          jwk === undefined
            ? subtle.importKey("raw", source(raw), parameters, false, ["verify"])
            : subtle.importKey("jwk", jwk, parameters, false, ["verify"]);
        handles.set(id, handle);
        handle.catch(() => handles.delete(id));
      }
      return handle;
    },
  };
}

function toBase64Url(bytes: Uint8Array): string {
  return toBase64(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

const RSA_ENCRYPTION = "300d06092a864886f70d0101010500";
const ED25519_PKCS8 = "302e020100300506032b657004220420";

/**
 * A private key in the form that WebCrypto takes: RSA under rsaEncryption whatever its OID was, whose restrictions are
 * the caller's business then; Ed25519 without the attributes and the public key of RFC 5958.
 *
 * @param pkcs8 - One that `parsePkcs8` has read.
 */
export function webCryptoPkcs8(pkcs8: Uint8Array, algorithm: KeyAlgorithm): Uint8Array {
  if (algorithm.type === "ec") return pkcs8;
  const info = derContent(pkcs8, Tag.sequence, "PrivateKeyInfo");
  info.smallInteger();
  info.sequence();
  const privateKey = info.octetString();
  if (algorithm.type === "ed25519") {
    const seed = new DerReader(privateKey).octetString();
    return Uint8Array.of(...fromHex(ED25519_PKCS8), ...seed);
  }
  const version = derEncode(Tag.integer, Uint8Array.of(0));
  return derEncode(Tag.sequence, version, fromHex(RSA_ENCRYPTION), derEncode(Tag.octetString, privateKey));
}

/** ECDSA-Sig-Value (RFC 3279 2.2.3) of r and s side by side. */
export function ecdsaSignatureToDer(signature: Uint8Array): Uint8Array {
  const half = signature.length / 2;
  return derEncode(Tag.sequence, derUnsigned(signature.subarray(0, half)), derUnsigned(signature.subarray(half)));
}

/**
 * r and s side by side, each as long as a coordinate, of an ECDSA-Sig-Value in strict DER.
 *
 * @returns `undefined` when it is malformed: an INTEGER that is negative, not minimal or too long, or bytes left over.
 */
export function ecdsaSignatureFromDer(
  signature: Uint8Array,
  curve: keyof typeof COORDINATE_LENGTH,
): Uint8Array | undefined {
  const length = COORDINATE_LENGTH[curve];
  try {
    const sequence = derContent(signature, Tag.sequence, "ECDSA-Sig-Value");
    const [r, s] = [sequence.unsigned(), sequence.unsigned()];
    sequence.finish("ECDSA-Sig-Value");
    if (r.length > length || s.length > length) return undefined;
    const joined = new Uint8Array(2 * length);
    joined.set(r, length - r.length);
    joined.set(s, 2 * length - s.length);
    return joined;
  } catch (error) {
    if (error instanceof TlsError) return undefined;
    throw error;
  }
}
