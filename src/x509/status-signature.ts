/** Signatures of CRLs and OCSP responses. */
import type { CryptoProvider, PublicKey } from "../crypto/provider.ts";
import { certificateSignatureAlgorithm } from "../crypto/signatures.ts";
import { TlsError } from "../errors.ts";
import { type Awaitable, type Flow, wait } from "../flow.ts";
import { keyText } from "./rules.ts";

/** Something signed, with its AlgorithmIdentifier. */
interface Signed {
  readonly tbs: Uint8Array;
  readonly signatureAlgorithm: Uint8Array;
  readonly signature: Uint8Array;
}

/**
 * Verifies a signature by an algorithm that is refused by default, such as SHA-1 with RSA.
 *
 * @param algorithm - OpenSSL's name of it, such as `sha1WithRSAEncryption`.
 */
export type WeakSignatureVerifier = (
  algorithm: string,
  spki: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
) => Awaitable<boolean>;

/** Why this is no signature by `key`, or none that counts; `undefined` when it is. */
export function* signatureProblem(
  signed: Signed,
  key: PublicKey,
  provider: CryptoProvider,
  weak: WeakSignatureVerifier | undefined,
): Flow<string | undefined> {
  const { tbs, signature } = signed;
  let algorithm: ReturnType<typeof certificateSignatureAlgorithm>;
  try {
    algorithm = certificateSignatureAlgorithm(signed.signatureAlgorithm);
  } catch (error) {
    if (error instanceof TlsError) return error.message;
    throw error;
  }
  if (algorithm === undefined) return "its signature algorithm is not known";
  if (algorithm.type === "weak") {
    if (weak === undefined) return `it is signed with ${algorithm.name}`;
    const { name } = algorithm;
    return (yield* wait("verify_signature", weak(name, key.spki, tbs, signature)))
      ? undefined
      : "it is not signed by that key";
  }
  if (!provider.canVerify(key.algorithm, algorithm)) {
    return `such a signature cannot be verified with a key of the kind ${keyText(key.algorithm)}`;
  }
  const valid = yield* wait("verify_signature", provider.verify(key, algorithm, tbs, signature));
  return valid ? undefined : "it is not signed by that key";
}
