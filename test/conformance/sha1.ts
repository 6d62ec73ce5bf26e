/** SHA-1 signatures, for cases from before it was broken. */
import { createPublicKey, verify } from "node:crypto";
import type { LegacySignatures } from "../../src/x509/path.ts";

export const sha1Signatures: LegacySignatures = (algorithm, spki, message, signature) => {
  if (algorithm !== "sha1WithRSAEncryption" && algorithm !== "ecdsa-with-SHA1") return undefined;
  const key = createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
  return verify("sha1", message, key, signature);
};
