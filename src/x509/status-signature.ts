/** Signatures of CRLs and OCSP responses. */
import type { CryptoProvider, PublicKey } from "../crypto/provider.ts";
import { certificateSignatureAlgorithm } from "../crypto/signatures.ts";
import { TlsError } from "../errors.ts";
import { type Flow, wait } from "../flow.ts";
import type { LegacySignatures } from "./path.ts";
import { keyText } from "./rules.ts";

/** Something signed, with its AlgorithmIdentifier. */
interface Signed {
  readonly tbs: Uint8Array;
  readonly signatureAlgorithm: Uint8Array;
  readonly signature: Uint8Array;
}

/** Why this is no signature by `key`, or none that counts; `undefined` when it is. */
export function* signatureProblem(
  signed: Signed,
  key: PublicKey,
  provider: CryptoProvider,
  legacy: LegacySignatures | undefined,
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
    const verified = legacy?.(algorithm.name, key.spki, tbs, signature);
    if (verified === undefined) return `it is signed with ${algorithm.name}`;
    return (yield* wait("verify_signature", verified)) ? undefined : "it is not signed by that key";
  }
  if (!provider.canVerify(key.algorithm, algorithm)) {
    return `such a signature cannot be verified with a key of the kind ${keyText(key.algorithm)}`;
  }
  const valid = yield* wait("verify_signature", provider.verify(key, algorithm, tbs, signature));
  return valid ? undefined : "it is not signed by that key";
}
