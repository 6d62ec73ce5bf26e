/** Signature schemes of CertificateVerify and signature algorithms of certificates, as tables. */
import { DerReader } from "../bytes/der.ts";
import type { PureSchemeName, SignatureSchemeName } from "../codec/registry.ts";
import { fault } from "../errors.ts";
import type { Awaitable } from "../flow.ts";
import {
  type Curve,
  HASH_LENGTH,
  hasNoParameters,
  MAX_RSA_BITS,
  parsePssParameters,
  pureAlgorithm,
  readAlgorithmIdentifier,
} from "./keys.ts";
import type { CryptoProvider, HashName, KeyAlgorithm, PublicKey, SignatureAlgorithm } from "./provider.ts";

/** A scheme of RFC 8446 4.2.3: how it signs and which key it needs. */
interface Scheme {
  readonly algorithm: SignatureAlgorithm;
  readonly key: KeyAlgorithm["type"];
  readonly curve?: Curve;
}

const pure = (type: PureSchemeName): Scheme => ({ algorithm: { type }, key: type });

const ecdsa = (hash: HashName, curve: Curve): Scheme => ({ algorithm: { type: "ecdsa", hash }, key: "ec", curve });
const pss = (hash: HashName, key: "rsa" | "rsa-pss"): Scheme => ({
  algorithm: { type: "rsa-pss", hash, saltLength: HASH_LENGTH[hash] },
  key,
});

/** In order of preference: cheap and common first. The salt is as long as the digest (RFC 8446 4.2.3). */
const SCHEMES: { readonly [Name in SignatureSchemeName]: Scheme } = {
  ecdsa_secp256r1_sha256: /* @__PURE__ */ ecdsa("sha256", "P-256"),
  ed25519: /* @__PURE__ */ pure("ed25519"),
  ecdsa_secp384r1_sha384: /* @__PURE__ */ ecdsa("sha384", "P-384"),
  ecdsa_secp521r1_sha512: /* @__PURE__ */ ecdsa("sha512", "P-521"),
  rsa_pss_rsae_sha256: /* @__PURE__ */ pss("sha256", "rsa"),
  rsa_pss_rsae_sha384: /* @__PURE__ */ pss("sha384", "rsa"),
  rsa_pss_rsae_sha512: /* @__PURE__ */ pss("sha512", "rsa"),
  rsa_pss_pss_sha256: /* @__PURE__ */ pss("sha256", "rsa-pss"),
  rsa_pss_pss_sha384: /* @__PURE__ */ pss("sha384", "rsa-pss"),
  rsa_pss_pss_sha512: /* @__PURE__ */ pss("sha512", "rsa-pss"),
  ed448: /* @__PURE__ */ pure("ed448"),
  mldsa44: /* @__PURE__ */ pure("mldsa44"),
  mldsa65: /* @__PURE__ */ pure("mldsa65"),
  mldsa87: /* @__PURE__ */ pure("mldsa87"),
};

/**
 * RFC 8017 8.1.2 and 8.2.2: an RSA signature is as long as the modulus. OpenSSL, and WebCrypto where it rests on that, take
 * one of PSS without its leading zeros, too.
 */
export function signatureLengthFits(key: KeyAlgorithm, { length }: Uint8Array): boolean {
  return (key.type !== "rsa" && key.type !== "rsa-pss") || length === Math.ceil(key.bits / 8);
}

/** True for a scheme, or the type of a key or an algorithm, that is not offered unless it is named. */
export function isOptional(name: SignatureSchemeName | KeyAlgorithm["type"] | SignatureAlgorithm["type"]): boolean {
  return /^(ed448|mldsa)/.test(name);
}

/** The TLS 1.3 schemes that a key can sign with, in order of preference. */
export function schemesFor(key: KeyAlgorithm): SignatureSchemeName[] {
  return (Object.keys(SCHEMES) as SignatureSchemeName[]).filter((name) => schemeFits(name, key));
}

/** The TLS 1.3 schemes that a provider verifies, in order of preference. */
export function verifiableSchemes(provider: CryptoProvider): SignatureSchemeName[] {
  return (Object.keys(SCHEMES) as SignatureSchemeName[]).filter((name) => {
    const { algorithm, key: type, curve } = SCHEMES[name];
    // Of RSA, 2048 bits carry any of them.
    return provider.canVerify({ type, curve, bits: 2048 } as KeyAlgorithm, algorithm);
  });
}

/** How a TLS 1.3 scheme signs. */
export function schemeAlgorithm(scheme: SignatureSchemeName): SignatureAlgorithm {
  return SCHEMES[scheme].algorithm;
}

/** True when `scheme` is for keys of this kind, curve and size. */
export function schemeFits(scheme: SignatureSchemeName, key: KeyAlgorithm): boolean {
  const { algorithm, key: type, curve } = SCHEMES[scheme];
  if (key.type !== type || (key.type === "ec" && key.curve !== curve)) return false;
  return algorithmFits(algorithm, key);
}

/**
 * The signature of a CertificateVerify.
 *
 * @returns True when it is valid; false also when the key is not of the kind that the scheme demands.
 */
export function verifyScheme(
  provider: CryptoProvider,
  scheme: SignatureSchemeName,
  key: PublicKey,
  message: Uint8Array,
  signature: Uint8Array,
): Awaitable<boolean> {
  if (!schemeFits(scheme, key.algorithm)) return false;
  return provider.verify(key, SCHEMES[scheme].algorithm, message, signature);
}

/** True when a key of this kind can have made such a signature; what every provider's `canVerify` starts from. */
export function algorithmFits(algorithm: SignatureAlgorithm, key: KeyAlgorithm): boolean {
  switch (algorithm.type) {
    case "ecdsa":
      return key.type === "ec";
    case "rsa-pkcs1":
      return key.type === "rsa" && key.bits <= MAX_RSA_BITS;
    case "rsa-pss": {
      if ((key.type !== "rsa" && key.type !== "rsa-pss") || key.bits > MAX_RSA_BITS) return false;
      // RFC 8017 9.1.1: emLen >= hLen + sLen + 2, emBits being one less than the modulus.
      if (Math.ceil((key.bits - 1) / 8) < HASH_LENGTH[algorithm.hash] + algorithm.saltLength + 2) return false;
      if (key.type === "rsa") return true;
      // RFC 4055 3.3: the key's hash must be used, its salt length is the least that may be. RFC 9846 4.3.3 wants
      // it equal, but the keys that OpenSSL makes say 20 and sign with the digest's length.
      return (key.hash === undefined || key.hash === algorithm.hash) && algorithm.saltLength >= (key.saltLength ?? 0);
    }
    default:
      return key.type === algorithm.type;
  }
}

/** An algorithm that is recognised in order to be refused by name. */
export interface WeakSignatureAlgorithm {
  readonly type: "weak";
  /** As OpenSSL names it. */
  readonly name: string;
}

const RSASSA_PSS = "1.2.840.113549.1.1.10";

interface CertificateAlgorithm {
  readonly algorithm: SignatureAlgorithm | WeakSignatureAlgorithm;
  /** RSA with PKCS#1: NULL, or tolerated, nothing (RFC 4055 5). The others: nothing (RFC 5758 3.2, RFC 8410 3). */
  readonly parameters: "null" | "none";
}

const pkcs1 = (hash: HashName): CertificateAlgorithm => ({
  algorithm: { type: "rsa-pkcs1", hash },
  parameters: "null",
});
const ecdsaWith = (hash: HashName): CertificateAlgorithm => ({
  algorithm: { type: "ecdsa", hash },
  parameters: "none",
});
const weak = (name: string): CertificateAlgorithm => ({ algorithm: { type: "weak", name }, parameters: "null" });

const CERTIFICATE_ALGORITHMS: Readonly<Record<string, CertificateAlgorithm>> = {
  "1.2.840.113549.1.1.11": pkcs1("sha256"),
  "1.2.840.113549.1.1.12": pkcs1("sha384"),
  "1.2.840.113549.1.1.13": pkcs1("sha512"),
  "1.2.840.10045.4.3.2": ecdsaWith("sha256"),
  "1.2.840.10045.4.3.3": ecdsaWith("sha384"),
  "1.2.840.10045.4.3.4": ecdsaWith("sha512"),
  "1.2.840.113549.1.1.2": weak("md2WithRSAEncryption"),
  "1.2.840.113549.1.1.3": weak("md4WithRSAEncryption"),
  "1.2.840.113549.1.1.4": weak("md5WithRSAEncryption"),
  "1.2.840.113549.1.1.5": weak("sha1WithRSAEncryption"),
  "1.3.14.3.2.29": weak("sha1WithRSA"),
  "1.2.840.10040.4.3": weak("dsaWithSHA1"),
  "1.2.840.10045.4.1": weak("ecdsa-with-SHA1"),
};

/**
 * The algorithm that a certificate says it is signed with.
 *
 * @param identifier - AlgorithmIdentifier, DER.
 * @returns `undefined` for an algorithm that is not known here; `weak` for MD5, SHA-1 and the like.
 * @throws TlsError `ERR_TLS_PEM` when it is malformed or its parameters are not those of the algorithm.
 *
 * @example
 * ```ts
 * const algorithm = certificateSignatureAlgorithm(fromHex("300a06082a8648ce3d040302"));
 * console.log(algorithm); // { type: "ecdsa", hash: "sha256" }
 * ```
 */
export function certificateSignatureAlgorithm(
  identifier: Uint8Array,
): SignatureAlgorithm | WeakSignatureAlgorithm | undefined {
  const reader = new DerReader(identifier);
  const found = readAlgorithmIdentifier(reader);
  reader.finish("AlgorithmIdentifier");
  if (found.oid === RSASSA_PSS) return pssAlgorithm(found.parameters);
  const known = CERTIFICATE_ALGORITHMS[found.oid];
  const algorithm = known?.algorithm ?? pureAlgorithm(found.oid);
  if (algorithm === undefined) return undefined;
  const fits = known?.parameters === "null" ? hasNoParameters(found) : found.parameters === undefined;
  if (!fits) throw fault("ERR_TLS_PEM", `the signature algorithm ${found.oid} has parameters`);
  return algorithm;
}

/** RFC 4055 3.1: in a signature the parameters must be there. */
function pssAlgorithm(parameters: Uint8Array | undefined): SignatureAlgorithm | WeakSignatureAlgorithm | undefined {
  if (parameters === undefined) throw fault("ERR_TLS_PEM", "RSASSA-PSS without parameters");
  const { hash, saltLength } = parsePssParameters(parameters);
  if (hash === undefined) return undefined;
  if (hash === "sha1" || hash === "sha224") return { type: "weak", name: `RSASSA-PSS with ${hash}` };
  return { type: "rsa-pss", hash, saltLength };
}
