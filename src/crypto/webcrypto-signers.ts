/** Signers whose keys live in WebCrypto. */
import type { SignatureSchemeName } from "../codec/registry.ts";
import { fault } from "../errors.ts";
import { refuseOptional } from "./extras.ts";
import { COORDINATE_LENGTH, parsePkcs8, parsePrivateKey } from "./keys.ts";
import type { HashName, KeyAlgorithm, SignatureAlgorithm, Signer } from "./provider.ts";
import { schemeAlgorithm, schemesFor } from "./signatures.ts";
import {
  ecdsaSignatureToDer,
  hashNamed,
  importParameters,
  signatureFeature,
  signatureParameters,
  webCryptoPkcs8,
} from "./webcrypto-keys.ts";
import { source, type WebCryptoPlatform } from "./webcrypto-platform.ts";

/** What a signer needs besides its key. */
export interface WebCryptoSignerOptions {
  /** Default: the platform's. */
  readonly subtle?: SubtleCrypto | undefined;
}

/**
 * A signer for a private key in WebCrypto, which may be non-extractable: ECDSA over P-256, P-384 or P-521, Ed25519, or
 * RSA-PSS.
 *
 * An RSA key in WebCrypto is bound to one hash, so its signer signs with that hash alone. The CryptoKey does not say
 * whether its certificate calls the key rsaEncryption or id-RSASSA-PSS (RFC 8446 4.2.3), so both of that hash's schemes
 * are listed, and the certificate leaves one.
 *
 * @param privateKey - With the usage `sign`.
 * @throws TlsError `ERR_TLS_KEY` for a key that cannot sign a CertificateVerify; RSASSA-PKCS1-v1_5 keys are such.
 *
 * @example
 * ```ts
 * const { privateKey } = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);
 * const signer = signerFromCryptoKey(privateKey);
 * console.log(signer.schemes); // [ "ecdsa_secp256r1_sha256" ]
 * ```
 */
export function signerFromCryptoKey(
  privateKey: CryptoKey,
  { subtle = globalThis.crypto.subtle }: WebCryptoSignerOptions = {},
): Signer {
  const schemes = schemesOf(privateKey);
  return {
    schemes,
    sign(scheme, message) {
      checkScheme(schemes, scheme);
      return sign(subtle, privateKey, schemeAlgorithm(scheme), message);
    },
  };
}

/**
 * Imports a private key into WebCrypto, non-extractable. Nothing else is kept: with the text gone, the key cannot be
 * read any more.
 *
 * @param key - PEM or DER of PKCS#8, SEC1 or PKCS#1, not encrypted.
 * @throws TlsError `ERR_TLS_KEY` or `ERR_TLS_PEM` when the input holds no key that can be used, `ERR_TLS_KEY` also when
 * this platform's WebCrypto does not take it.
 *
 * @example
 * ```ts
 * const signer = await importPrivateKey("-----BEGIN PRIVATE KEY-----\n" +
 *   "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n");
 * console.log(signer.schemes); // [ "ed25519" ]
 * ```
 */
export async function importPrivateKey(
  key: string | Uint8Array,
  { subtle = globalThis.crypto.subtle }: WebCryptoSignerOptions = {},
): Promise<Signer> {
  const pkcs8 = parsePrivateKey(key);
  const { algorithm } = parsePkcs8(pkcs8);
  refuseOptional(algorithm.type, "webcrypto");
  const schemes = schemesFor(algorithm);
  const keys = privateKeys(pkcs8, algorithm);
  const imported = new Map<SignatureSchemeName, CryptoKey>();
  for (const scheme of schemes) {
    try {
      imported.set(scheme, await keys(subtle, schemeAlgorithm(scheme)));
    } catch (cause) {
      throw fault("ERR_TLS_KEY", `WebCrypto does not take the private key: ${cause}`, { cause });
    }
  }
  return {
    schemes,
    sign(scheme, message) {
      checkScheme(schemes, scheme);
      return sign(subtle, imported.get(scheme) as CryptoKey, schemeAlgorithm(scheme), message);
    },
  };
}

/**
 * A provider's signer: it imports the key at its first signature.
 *
 * @param fallback - Makes the signer to use where the platform cannot.
 * @throws TlsError `ERR_TLS_KEY` when the key is of an unsupported kind.
 */
export function platformSigner(
  platform: WebCryptoPlatform,
  pkcs8: Uint8Array,
  fallback: ((pkcs8: Uint8Array) => Signer) | undefined,
): Signer {
  const own = pkcs8.slice();
  const { algorithm } = parsePkcs8(own);
  refuseOptional(algorithm.type, "webcrypto");
  const schemes = schemesFor(algorithm);
  const keys = privateKeys(own, algorithm);
  let alternative: Signer | undefined;
  return {
    schemes,
    sign(scheme, message) {
      checkScheme(schemes, scheme);
      const how = schemeAlgorithm(scheme);
      const feature = signatureFeature(algorithm, how);
      if (feature === undefined) throw fault("ERR_TLS_INTERNAL", `${scheme} with a key of type ${algorithm.type}`);
      return platform.use(
        feature,
        async (subtle) => sign(subtle, await keys(subtle, how), how, message),
        fallback &&
          (() => {
            alternative ??= fallback(own);
            return alternative.sign(scheme, message);
          }),
      );
    },
  };
}

/** Imports of one private key: one for each hash of RSA, a single one for the others. */
function privateKeys(pkcs8: Uint8Array, algorithm: KeyAlgorithm) {
  const imports = new Map<string, Promise<CryptoKey>>();
  return (subtle: SubtleCrypto, how: SignatureAlgorithm): Promise<CryptoKey> => {
    const parameters = importParameters(algorithm, how);
    const id = parameters.hash ?? "";
    let key = imports.get(id);
    if (key === undefined) {
      key = subtle.importKey("pkcs8", source(webCryptoPkcs8(pkcs8, algorithm)), parameters, false, ["sign"]);
      imports.set(id, key);
      key.catch(() => imports.delete(id));
    }
    return key;
  };
}

async function sign(
  subtle: SubtleCrypto,
  key: CryptoKey,
  algorithm: SignatureAlgorithm,
  message: Uint8Array,
): Promise<Uint8Array> {
  const signature = new Uint8Array(await subtle.sign(signatureParameters(algorithm), key, source(message)));
  return algorithm.type === "ecdsa" ? ecdsaSignatureToDer(signature) : signature;
}

function checkScheme(schemes: readonly SignatureSchemeName[], scheme: SignatureSchemeName): void {
  if (!schemes.includes(scheme)) throw fault("ERR_TLS_SIGNING_FAILED", `the key cannot sign with ${scheme}`);
}

function schemesOf({ type, usages, algorithm }: CryptoKey): readonly SignatureSchemeName[] {
  if (type !== "private") throw fault("ERR_TLS_KEY", `a ${type} CryptoKey, not a private one`);
  if (!usages.includes("sign")) throw fault("ERR_TLS_KEY", `a CryptoKey without the usage "sign"`);
  switch (algorithm.name) {
    case "ECDSA": {
      const { namedCurve } = algorithm as EcKeyAlgorithm;
      if (!isCurve(namedCurve)) throw fault("ERR_TLS_KEY", `no TLS 1.3 scheme signs with the curve ${namedCurve}`);
      return schemesFor({ type: "ec", curve: namedCurve });
    }
    case "Ed25519":
      return schemesFor({ type: "ed25519" });
    case "RSA-PSS": {
      const { hash, modulusLength } = algorithm as RsaHashedKeyAlgorithm;
      return pssSchemes(hashNamed(hash.name), hash.name, modulusLength);
    }
    case "RSASSA-PKCS1-v1_5":
      throw fault("ERR_TLS_KEY", "TLS 1.3 does not sign with PKCS#1 v1.5 (RFC 8446 4.2.3): import the key for RSA-PSS");
    default:
      throw fault("ERR_TLS_KEY", `a CryptoKey for ${algorithm.name} cannot sign a CertificateVerify`);
  }
}

function pssSchemes(hash: HashName | undefined, name: string, bits: number): readonly SignatureSchemeName[] {
  if (hash === undefined) throw fault("ERR_TLS_KEY", `no TLS 1.3 scheme signs RSA-PSS with ${name}`);
  const schemes = [...schemesFor({ type: "rsa", bits }), ...schemesFor({ type: "rsa-pss", bits })].filter((scheme) => {
    const algorithm = schemeAlgorithm(scheme);
    return algorithm.type === "rsa-pss" && algorithm.hash === hash;
  });
  if (schemes.length === 0) throw fault("ERR_TLS_KEY", `RSA of ${bits} bits cannot carry RSA-PSS with ${name}`);
  return schemes;
}

function isCurve(name: string): name is keyof typeof COORDINATE_LENGTH {
  return Object.hasOwn(COORDINATE_LENGTH, name);
}
