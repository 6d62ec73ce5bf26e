/** Private keys as the CA's folder holds them: PKCS#8, encrypted where there is a pass phrase. */
import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { readPem } from "../../bytes/pem.ts";
import { fault } from "../../errors.ts";
import { importCertificateSigner, type SubjectKey } from "../../pki/keys.ts";

/**
 * PEM of a private key.
 *
 * @param pkcs8 - PrivateKeyInfo, DER.
 * @param passphrase - Encrypts it: PBES2 with AES-256-CBC (RFC 8018 6.2).
 *
 * @example
 * ```ts
 * const { pkcs8 } = await generateKeyPair("P-256");
 * console.log(privateKeyPem(pkcs8, "secret").split("\n")[0]); // -----BEGIN ENCRYPTED PRIVATE KEY-----
 * ```
 */
export function privateKeyPem(pkcs8: Uint8Array, passphrase?: string): string {
  const key = createPrivateKey({ key: Buffer.from(pkcs8), format: "der", type: "pkcs8" });
  const cipher = passphrase === undefined ? {} : { cipher: "aes-256-cbc", passphrase };
  return key.export({ type: "pkcs8", format: "pem", ...cipher }) as string;
}

/**
 * A private key out of a file, with what signs certificates and requests with it.
 *
 * @param pem - PKCS#8, SEC1 or PKCS#1, encrypted or not.
 * @throws TlsError `ERR_TLS_KEY` when it cannot be read: without the pass phrase, or with a wrong one.
 *
 * @example
 * ```ts
 * const { pkcs8 } = await generateKeyPair("P-256");
 * const { spki } = await readSubjectKey(privateKeyPem(pkcs8, "secret"), "secret");
 * console.log(spki.length); // 91
 * ```
 */
export async function readSubjectKey(pem: string, passphrase?: string): Promise<SubjectKey & { pkcs8: Uint8Array }> {
  const key = readKey(pem, passphrase);
  const pkcs8 = new Uint8Array(key.export({ type: "pkcs8", format: "der" }));
  const spki = new Uint8Array(createPublicKey(key).export({ type: "spki", format: "der" }));
  return { pkcs8, spki, ...(await importCertificateSigner(pkcs8)) };
}

function readKey(pem: string, passphrase: string | undefined): KeyObject {
  const isEncrypted = readPem(pem).some(
    ({ label, headers }) => label === "ENCRYPTED PRIVATE KEY" || headers.get("Proc-Type")?.includes("ENCRYPTED"),
  );
  if (isEncrypted && passphrase === undefined)
    throw fault("ERR_TLS_KEY", "it is encrypted, and there is no pass phrase");
  try {
    return createPrivateKey({ key: pem, ...(isEncrypted ? { passphrase: passphrase as string } : {}) });
  } catch (cause) {
    const why = isEncrypted ? "the pass phrase is wrong, or the key malformed" : "it is no private key in PEM";
    throw fault("ERR_TLS_KEY", why, { cause });
  }
}
