/** Private keys as the CA's folder holds them: PKCS#8, encrypted where there is a pass phrase. */
import { createPrivateKey, createPublicKey } from "node:crypto";
import { writePem } from "../../bytes/pem.ts";
import { fault } from "../../errors.ts";
import { importCertificateSigner, type SubjectKey } from "../../pki/keys.ts";
import { encryptPrivateKey, readPrivateKey } from "../../pki/pkcs8.ts";

/**
 * PEM of a private key.
 *
 * @param pkcs8 - PrivateKeyInfo, DER.
 * @param passphrase - Encrypts it, as {@link encryptPrivateKey}.
 * @throws TlsError `ERR_TLS_OPTION` for an empty pass phrase.
 *
 * @example
 * ```ts
 * const { pkcs8 } = await generateKeyPair("P-256");
 * console.log((await privateKeyPem(pkcs8, "secret")).split("\n")[0]); // -----BEGIN ENCRYPTED PRIVATE KEY-----
 * ```
 */
export async function privateKeyPem(pkcs8: Uint8Array, passphrase?: string): Promise<string> {
  if (passphrase === "") throw fault("ERR_TLS_OPTION", "an empty pass phrase protects nothing");
  return passphrase === undefined ? writePem("PRIVATE KEY", pkcs8) : encryptPrivateKey(pkcs8, passphrase);
}

/**
 * A private key out of a file, with what signs certificates and requests with it.
 *
 * @param pem - PKCS#8, SEC1 or PKCS#1, encrypted or not.
 * @throws TlsError as {@link readPrivateKey}; `ERR_TLS_KEY` for a key that cannot sign certificates.
 *
 * @example
 * ```ts
 * const { pkcs8 } = await generateKeyPair("P-256");
 * const { spki } = await readSubjectKey(await privateKeyPem(pkcs8, "secret"), "secret");
 * console.log(spki.length); // 91
 * ```
 */
export async function readSubjectKey(pem: string, passphrase?: string): Promise<SubjectKey & { pkcs8: Uint8Array }> {
  const pkcs8 = await readPrivateKey(pem, passphrase);
  const signer = await importCertificateSigner(pkcs8);
  const privateKey = createPrivateKey({ key: Buffer.from(pkcs8), format: "der", type: "pkcs8" });
  const spki = new Uint8Array(createPublicKey(privateKey).export({ type: "spki", format: "der" }));
  return { pkcs8, spki, ...signer };
}
