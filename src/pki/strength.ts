/** Which public keys no certificate is issued for, and the check that a signature is one. */
import { parseSpki, usableEd25519, usableRsa } from "../crypto/keys.ts";
import { algorithmFits, certificateSignatureAlgorithm } from "../crypto/signatures.ts";
import { createWebCryptoProvider } from "../crypto/webcrypto.ts";
import { TlsError } from "../errors.ts";

/** Bits of the shortest RSA modulus that is certified (NIST SP 800-57 part 1, 5.6.1). */
const MIN_RSA_BITS = 2048;
/** Bits of the longest: beyond, every handshake would pay for it. */
const MAX_RSA_BITS = 8192;

/** Why no certificate is issued for this key, as a sentence; `undefined` when one may be. */
export function keyProblem(spki: Uint8Array): string | undefined {
  const parts = parseSpki(spki);
  switch (parts.algorithm.type) {
    case "unknown":
      return `keys of the kind ${parts.algorithm.oid} are not certified`;
    case "rsa":
    case "rsa-pss": {
      const { bits } = parts.algorithm;
      if (bits < MIN_RSA_BITS || bits > MAX_RSA_BITS) {
        return `an RSA key of ${bits} bits; ${MIN_RSA_BITS} to ${MAX_RSA_BITS} are certified`;
      }
      if (!("modulus" in parts) || !usableRsa(parts)) return "an RSA key with an even modulus or exponent";
      // An exponent of 3 is no break by itself, but has turned sloppy checks of padding into forgeries.
      return parts.exponent.length < 3 ? "an RSA key with a public exponent below 65537" : undefined;
    }
    case "ed25519":
      return "key" in parts && usableEd25519(parts.key) ? undefined : "an Ed25519 key of small order";
    case "ec":
      return undefined;
    default:
      return `keys of the kind ${parts.algorithm.type} are not certified`;
  }
}

/** Why this is no point of its curve, as a sentence; `undefined` for one that is, and for other kinds of key. */
export async function pointProblem(spki: Uint8Array): Promise<string | undefined> {
  const { algorithm } = parseSpki(spki);
  if (algorithm.type !== "ec") return undefined;
  const parameters = { name: "ECDSA", namedCurve: algorithm.curve };
  try {
    await globalThis.crypto.subtle.importKey("spki", new Uint8Array(spki), parameters, false, ["verify"]);
    return undefined;
  } catch (error) {
    // Web Cryptography API 23.7.4: the one error that is about the key, and not about what the platform lacks.
    if ((error as Error).name !== "DataError") throw error;
    return `an EC key that is no point of ${algorithm.curve}`;
  }
}

/**
 * Why `signature` is none by that key, as a sentence; `undefined` when it is.
 *
 * @param identifier - AlgorithmIdentifier, DER.
 * @throws TlsError `ERR_TLS_OPTION` where the platform's WebCrypto lacks the algorithm.
 */
export async function signatureProblem(
  spki: Uint8Array,
  identifier: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): Promise<string | undefined> {
  let algorithm: ReturnType<typeof certificateSignatureAlgorithm>;
  try {
    algorithm = certificateSignatureAlgorithm(identifier);
  } catch (error) {
    if (error instanceof TlsError) return error.message;
    throw error;
  }
  if (algorithm === undefined) return "its signature algorithm is not known";
  if (algorithm.type === "weak") return `it is signed with ${algorithm.name}`;
  const key = { spki, algorithm: parseSpki(spki).algorithm };
  if (!algorithmFits(algorithm, key.algorithm)) return "its signature is of a kind that its key does not make";
  // One signature for one key: there is nothing to keep.
  const provider = createWebCryptoProvider({ keyCacheSize: 0 });
  return (await provider.verify(key, algorithm, message, signature)) ? undefined : "its signature is not by its key";
}
