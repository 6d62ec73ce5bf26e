/** PKCS#12 and encrypted keys by node:crypto, without promises. */
import { nodePasswordCrypto } from "../crypto/node-passwords.ts";
import { fault } from "../errors.ts";
import { type Awaitable, isPromiseLike, settle } from "../flow.ts";
import { privateKeyFlow } from "../pki/pkcs8.ts";
import type { Pkcs12, Pkcs12ReadOptions } from "../pki/pkcs12.ts";
import { pkcs12Reading } from "../pki/pkcs12-read.ts";
import type { UnlockOptions } from "../pki/unlock.ts";

/**
 * {@link readPkcs12}, at once.
 *
 * @param file - At most 4 MiB.
 * @throws TlsError As {@link readPkcs12}.
 *
 * @example
 * ```ts
 * const file = await writePkcs12({ identities: [{ cert, key }] }, "secret");
 * console.log(readPkcs12Sync(file, "secret").identities.length); // 1
 * ```
 */
export function readPkcs12Sync(file: Uint8Array, passphrase?: string, options: Pkcs12ReadOptions = {}): Pkcs12 {
  return atOnce(settle(pkcs12Reading(file, passphrase, nodePasswordCrypto, options)));
}

/**
 * {@link readPrivateKey}, at once.
 *
 * @param key - PEM or DER, encrypted or not.
 * @returns PrivateKeyInfo, DER.
 * @throws TlsError As {@link readPrivateKey}.
 *
 * @example
 * ```ts
 * const pem = await encryptPrivateKey(key, "secret");
 * const context = serverContext({ identities: [{ cert, key: readPrivateKeySync(pem, "secret") }] });
 * ```
 */
export function readPrivateKeySync(
  key: string | Uint8Array,
  passphrase?: string,
  options: UnlockOptions = {},
): Uint8Array {
  return atOnce(settle(privateKeyFlow(key, passphrase, nodePasswordCrypto, options)));
}

function atOnce<T>(value: Awaitable<T>): T {
  if (isPromiseLike(value)) throw fault("ERR_TLS_INTERNAL", "node:crypto answered with a promise");
  return value;
}
