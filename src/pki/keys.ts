/** Key pairs for issued certificates, made and used by WebCrypto, which every runtime has, and what signs with them. */
import * as asn1js from "asn1js";
import * as pkijs from "pkijs";
import { concat } from "../bytes/bytes.ts";
import { DerReader, derEncode, Tag } from "../bytes/der.ts";
import type { SignatureSchemeName } from "../codec/registry.ts";
import { parsePkcs8 } from "../crypto/keys.ts";
import type { KeyAlgorithm, Signer } from "../crypto/provider.ts";
import { ecdsaSignatureToDer, webCryptoPkcs8 } from "../crypto/webcrypto-keys.ts";
import { fault, TlsError } from "../errors.ts";
import { toDer } from "./asn1.ts";

/** Kinds of key, one of each. `RSA`: 2048 bits. `RSA-PSS`: an id-RSASSA-PSS key without restrictions (RFC 4055 1.2). */
export type IssuedKeyKind = "P-256" | "P-384" | "P-521" | "Ed25519" | "RSA" | "RSA-PSS";

/** Every kind of key that can be made. */
export type KeyKind = IssuedKeyKind | "RSA-3072" | "RSA-4096";

/** What signs certificates, CRLs, OCSP responses and certification requests. */
export interface CertificateSigner {
  /** AlgorithmIdentifier, DER, as it stands in what it signs. */
  readonly algorithm: Uint8Array;
  /** Contents of the signatureValue. */
  sign(message: Uint8Array): Promise<Uint8Array>;
}

/** A public key, and what signs with its private key: all that a certification request needs. */
export interface SubjectKey extends CertificateSigner {
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
}

/** A fresh key pair. */
export interface KeyPair extends SubjectKey {
  /** PrivateKeyInfo, DER. */
  readonly pkcs8: Uint8Array;
}

const RSASSA_PSS = "1.2.840.113549.1.1.10";

/** How WebCrypto makes each kind of key. */
const KINDS: { readonly [Name in KeyKind]: AlgorithmIdentifier | RsaHashedKeyGenParams | EcKeyGenParams } = {
  "P-256": { name: "ECDSA", namedCurve: "P-256" },
  "P-384": { name: "ECDSA", namedCurve: "P-384" },
  "P-521": { name: "ECDSA", namedCurve: "P-521" },
  Ed25519: { name: "Ed25519" },
  RSA: rsa("RSASSA-PKCS1-v1_5", 2048),
  "RSA-3072": rsa("RSASSA-PKCS1-v1_5", 3072),
  "RSA-4096": rsa("RSASSA-PKCS1-v1_5", 4096),
  "RSA-PSS": rsa("RSA-PSS", 2048),
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
export async function generateKeyPair(kind: KeyKind): Promise<KeyPair> {
  const { subtle } = globalThis.crypto;
  const pair = (await subtle.generateKey(KINDS[kind], true, ["sign", "verify"])) as CryptoKeyPair;
  const { spki, ...signer } = await subjectKey(pair);
  const pkcs8 = new Uint8Array(await subtle.exportKey("pkcs8", pair.privateKey));
  const isPss = kind === "RSA-PSS";
  return { ...signer, spki: isPss ? asPssKey(spki) : spki, pkcs8: isPss ? asPssKey(pkcs8) : pkcs8 };
}

/**
 * A key pair of WebCrypto's as the subject of a certification request. The private key may be non-extractable; the public
 * key of a pair always can be read.
 *
 * @throws TlsError `ERR_TLS_KEY` for a key that cannot sign a certificate.
 *
 * @example
 * ```ts
 * const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign", "verify"]);
 * const { spki } = await subjectKey(pair);
 * console.log(spki.length); // 91
 * ```
 */
export async function subjectKey({ publicKey, privateKey }: CryptoKeyPair): Promise<SubjectKey> {
  const spki = new Uint8Array(await globalThis.crypto.subtle.exportKey("spki", publicKey));
  return { spki, ...certificateSigner(privateKey) };
}

/**
 * What signs certificates with a private key: a `CryptoKey` for ECDSA, Ed25519, RSASSA-PKCS1-v1_5 or RSA-PSS, or any
 * {@link Signer}, such as a key management service.
 *
 * @throws TlsError `ERR_TLS_KEY` for a key that cannot sign a certificate.
 *
 * @example
 * ```ts
 * const { privateKey } = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-384" }, false, ["sign"]);
 * const signer = certificateSigner(privateKey);
 * const signature = await signer.sign(new Uint8Array(3));
 * console.log(signature[0]); // 48
 * ```
 */
export function certificateSigner(key: CryptoKey | Signer): CertificateSigner {
  return "schemes" in key ? signerOfSchemes(key) : signerOfCryptoKey(key);
}

/**
 * What signs certificates with a private key in a file. RSA keys sign with PKCS#1 v1.5, which every verifier knows.
 *
 * @param pkcs8 - PrivateKeyInfo, DER.
 * @throws TlsError `ERR_TLS_KEY` when it is malformed or of a kind that cannot sign certificates.
 *
 * @example
 * ```ts
 * const { pkcs8 } = await generateKeyPair("Ed25519");
 * const signer = await importCertificateSigner(pkcs8);
 * console.log((await signer.sign(new Uint8Array(3))).length); // 64
 * ```
 */
export async function importCertificateSigner(pkcs8: Uint8Array): Promise<CertificateSigner> {
  const { algorithm } = parsePkcs8(pkcs8);
  const parameters = importParametersOf(algorithm);
  const bytes = new Uint8Array(webCryptoPkcs8(pkcs8, algorithm));
  try {
    return certificateSigner(await globalThis.crypto.subtle.importKey("pkcs8", bytes, parameters, false, ["sign"]));
  } catch (cause) {
    if (cause instanceof TlsError) throw cause;
    throw fault("ERR_TLS_KEY", `WebCrypto does not take the private key: ${cause}`, { cause });
  }
}

function importParametersOf(algorithm: KeyAlgorithm): AlgorithmIdentifier | EcKeyImportParams | RsaHashedImportParams {
  switch (algorithm.type) {
    case "ec":
      return { name: "ECDSA", namedCurve: algorithm.curve };
    case "ed25519":
      return { name: "Ed25519" };
    case "rsa":
      return { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
    case "rsa-pss":
      return { name: "RSA-PSS", hash: "SHA-256" };
    default:
      throw fault("ERR_TLS_KEY", `a key of the kind ${algorithm.type} does not sign certificates here`);
  }
}

/** The hash that goes with a curve: as strong as it. */
const CURVE_HASH: Readonly<Record<string, HashOid>> = { "P-256": "SHA-256", "P-384": "SHA-384", "P-521": "SHA-512" };

type HashOid = keyof typeof HASHES;
/** Hashes with their OIDs, and those of ECDSA and PKCS#1 v1.5 signatures over them (RFC 4055, RFC 5758). */
const HASHES = {
  "SHA-256": {
    oid: "2.16.840.1.101.3.4.2.1",
    ecdsa: "1.2.840.10045.4.3.2",
    pkcs1: "1.2.840.113549.1.1.11",
    length: 32,
  },
  "SHA-384": {
    oid: "2.16.840.1.101.3.4.2.2",
    ecdsa: "1.2.840.10045.4.3.3",
    pkcs1: "1.2.840.113549.1.1.12",
    length: 48,
  },
  "SHA-512": {
    oid: "2.16.840.1.101.3.4.2.3",
    ecdsa: "1.2.840.10045.4.3.4",
    pkcs1: "1.2.840.113549.1.1.13",
    length: 64,
  },
} as const;

function signerOfCryptoKey(key: CryptoKey): CertificateSigner {
  if (key.type !== "private" || !key.usages.includes("sign")) {
    throw fault("ERR_TLS_KEY", `a ${key.type} CryptoKey with the usages ${key.usages.join(", ")} cannot sign`);
  }
  const { subtle } = globalThis.crypto;
  const by = (parameters: AlgorithmIdentifier | EcdsaParams | RsaPssParams, algorithm: Uint8Array) => ({
    algorithm,
    sign: async (message: Uint8Array) => new Uint8Array(await subtle.sign(parameters, key, new Uint8Array(message))),
  });
  const { name } = key.algorithm;
  switch (name) {
    case "ECDSA": {
      const hash = CURVE_HASH[(key.algorithm as EcKeyAlgorithm).namedCurve];
      if (hash === undefined) break;
      const { algorithm, sign } = by({ name, hash }, identifier(HASHES[hash].ecdsa));
      return { algorithm, sign: async (message) => ecdsaSignatureToDer(await sign(message)) };
    }
    case "Ed25519":
      return by({ name }, identifier("1.3.101.112"));
    case "RSASSA-PKCS1-v1_5":
      return by({ name }, pkcs1Identifier(rsaHash(key)));
    case "RSA-PSS": {
      const hash = rsaHash(key);
      return by({ name, saltLength: HASHES[hash].length } as RsaPssParams, pssIdentifier(hash));
    }
  }
  throw fault("ERR_TLS_KEY", `a CryptoKey for ${name} cannot sign certificates`);
}

/** What the schemes of TLS 1.3 are called in certificates. */
const SCHEMES: Readonly<Partial<Record<SignatureSchemeName, () => Uint8Array>>> = {
  ecdsa_secp256r1_sha256: () => identifier(HASHES["SHA-256"].ecdsa),
  ecdsa_secp384r1_sha384: () => identifier(HASHES["SHA-384"].ecdsa),
  ecdsa_secp521r1_sha512: () => identifier(HASHES["SHA-512"].ecdsa),
  ed25519: () => identifier("1.3.101.112"),
  rsa_pss_rsae_sha256: () => pssIdentifier("SHA-256"),
  rsa_pss_rsae_sha384: () => pssIdentifier("SHA-384"),
  rsa_pss_rsae_sha512: () => pssIdentifier("SHA-512"),
  rsa_pss_pss_sha256: () => pssIdentifier("SHA-256"),
  rsa_pss_pss_sha384: () => pssIdentifier("SHA-384"),
  rsa_pss_pss_sha512: () => pssIdentifier("SHA-512"),
};

function signerOfSchemes(signer: Signer): CertificateSigner {
  const scheme = signer.schemes.find((name) => SCHEMES[name] !== undefined);
  const algorithm = scheme && SCHEMES[scheme]?.();
  if (scheme === undefined || algorithm === undefined) {
    throw fault("ERR_TLS_KEY", `a signer of ${signer.schemes.join(", ")} cannot sign certificates`);
  }
  return { algorithm, sign: async (message) => signer.sign(scheme, message) };
}

function rsaHash({ algorithm }: CryptoKey): HashOid {
  const { name } = (algorithm as RsaHashedKeyAlgorithm).hash;
  if (!Object.hasOwn(HASHES, name)) throw fault("ERR_TLS_KEY", `an RSA key for ${name} is too weak to sign with`);
  return name as HashOid;
}

function identifier(algorithmId: string, algorithmParams?: asn1js.BaseBlock): Uint8Array {
  return toDer(new pkijs.AlgorithmIdentifier(algorithmParams ? { algorithmId, algorithmParams } : { algorithmId }));
}

/** RFC 4055 5: the parameters are NULL. */
function pkcs1Identifier(hash: HashOid): Uint8Array {
  return identifier(HASHES[hash].pkcs1, new asn1js.Null());
}

/** RSASSA-PSS-params: MGF1 over the same hash and a salt of its length (RFC 4055 3.1). */
function pssIdentifier(hash: HashOid): Uint8Array {
  const { oid, length } = HASHES[hash];
  const hashAlgorithm = new pkijs.AlgorithmIdentifier({ algorithmId: oid, algorithmParams: new asn1js.Null() });
  const maskGenAlgorithm = new pkijs.AlgorithmIdentifier({
    algorithmId: "1.2.840.113549.1.1.8",
    algorithmParams: hashAlgorithm.toSchema(),
  });
  const parameters = new pkijs.RSASSAPSSParams({ hashAlgorithm, maskGenAlgorithm, saltLength: length });
  return identifier(RSASSA_PSS, parameters.toSchema());
}

function rsa(name: string, modulusLength: number): RsaHashedKeyGenParams {
  return { name, hash: "SHA-256", modulusLength, publicExponent: Uint8Array.of(1, 0, 1) };
}

/** WebCrypto exports RSA keys as rsaEncryption whatever they are for; this makes the algorithm id-RSASSA-PSS. */
function asPssKey(der: Uint8Array): Uint8Array {
  const sequence = new DerReader(der).sequence();
  const version = sequence.peek() === Tag.integer ? sequence.raw() : new Uint8Array();
  sequence.raw();
  return derEncode(Tag.sequence, concat(version, identifier(RSASSA_PSS), sequence.rest()));
}
