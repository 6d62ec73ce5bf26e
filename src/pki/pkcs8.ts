/** Private keys under a pass phrase: EncryptedPrivateKeyInfo (RFC 5958 3), and the PEM that OpenSSL wrote before it. */
import { concat, wipe } from "../bytes/bytes.ts";
import { DerReader, derContent, derEncode, derSequence, Tag } from "../bytes/der.ts";
import { fromHex } from "../bytes/hex.ts";
import { type PemBlock, readPem, writePem } from "../bytes/pem.ts";
import { parsePrivateKey, readAlgorithmIdentifier } from "../crypto/keys.ts";
import { type LegacyCipher, md5, type PasswordCrypto, portablePasswordCrypto } from "../crypto/passwords.ts";
import { fault, TlsError } from "../errors.ts";
import { type Flow, settle } from "../flow.ts";
import { berToDer } from "./ber.ts";
import { decrypt, decryptBlocks, encrypt } from "./encryption.ts";
import { Effort, Unlocking, type UnlockOptions } from "./unlock.ts";

/** How much work it is to try a pass phrase. */
export interface EncryptOptions {
  /** Of PBKDF2: 600,000 by default. */
  readonly iterations?: number | undefined;
}

const DEFAULT_ITERATIONS = 600_000;
/** Fewer would be no protection. */
const MIN_ITERATIONS = 1000;

/** Bytes of one encrypted key: RSA of 16384 bits takes 10 KB. */
const MAX_KEY = 128 * 1024;

/**
 * A private key as PKCS#8, whatever form it has, encrypted or not. Decrypts PBES2 (RFC 8018) with PBKDF2 or scrypt and
 * AES or 3DES in CBC mode, the PKCS#12 schemes with 3DES or RC2 (RFC 7292 C), and PEM with `Proc-Type: 4,ENCRYPTED`.
 *
 * @param key - As for {@link parsePrivateKey}: PEM or DER.
 * @param passphrase - Not looked at where the key is not encrypted.
 * @returns PrivateKeyInfo, DER.
 * @throws TlsError `ERR_TLS_PASSPHRASE` when the pass phrase is wrong or missing; `ERR_TLS_PKCS12` for an encryption that
 * is not supported or takes too much work; `ERR_TLS_KEY`, `ERR_TLS_PEM` as {@link parsePrivateKey}.
 *
 * @example
 * ```ts
 * const pem = await encryptPrivateKey(key, "secret");
 * const identity = { cert, key: await readPrivateKey(pem, "secret") };
 * console.log(pem.slice(0, 37)); // -----BEGIN ENCRYPTED PRIVATE KEY-----
 * ```
 */
export async function readPrivateKey(
  key: string | Uint8Array,
  passphrase?: string,
  options: UnlockOptions = {},
): Promise<Uint8Array> {
  return settle(privateKeyFlow(key, passphrase, portablePasswordCrypto, options));
}

/**
 * A private key under a pass phrase: PBES2 with PBKDF2 over HMAC-SHA-256 and AES-256-CBC (RFC 8018 6.2), as `openssl
 * pkcs8 -topk8` makes it, with more iterations.
 *
 * @param key - As for {@link parsePrivateKey}: PEM or DER, not encrypted.
 * @returns PEM of an EncryptedPrivateKeyInfo.
 * @throws TlsError `ERR_TLS_OPTION` for too few iterations; `ERR_TLS_KEY`, `ERR_TLS_PEM` as {@link parsePrivateKey}.
 *
 * @example
 * ```ts
 * const pem = await encryptPrivateKey(key, "secret", { iterations: 1_000_000 });
 * console.log(pem.slice(0, 37)); // -----BEGIN ENCRYPTED PRIVATE KEY-----
 * ```
 */
export async function encryptPrivateKey(
  key: string | Uint8Array,
  passphrase: string,
  options: EncryptOptions = {},
): Promise<string> {
  const iterations = checkedIterations(options);
  const unlocking = new Unlocking(passphrase, portablePasswordCrypto, new Effort({}));
  return writePem("ENCRYPTED PRIVATE KEY", await settle(encryptedInfo(parsePrivateKey(key), iterations, unlocking)));
}

/** {@link readPrivateKey} with any cryptography. */
export function* privateKeyFlow(
  key: string | Uint8Array,
  passphrase: string | undefined,
  crypto: PasswordCrypto,
  options: UnlockOptions,
): Flow<Uint8Array> {
  const unlocking = new Unlocking(passphrase, crypto, new Effort(options));
  if (typeof key !== "string" && key[0] === Tag.sequence) {
    if (!isEncryptedInfo(key)) return parsePrivateKey(key);
    needPassphrase(passphrase);
    return parsePrivateKey(yield* decryptInfo(key, unlocking));
  }
  const blocks = readPem(key);
  const keys = blocks.filter(({ label }) => label.endsWith("PRIVATE KEY"));
  const [block] = keys;
  // What is wrong with none and with several, it says itself.
  if (block === undefined || keys.length > 1) return parsePrivateKey(key);
  if (block.label === "ENCRYPTED PRIVATE KEY") {
    needPassphrase(passphrase);
    return parsePrivateKey(yield* decryptInfo(block.der, unlocking));
  }
  if (!block.headers.get("Proc-Type")?.includes("ENCRYPTED")) return parsePrivateKey(key);
  needPassphrase(passphrase);
  const der = yield* decryptPem(block, unlocking);
  // The curve may stand in a block of its own.
  return parsePrivateKey(blocks.map((each) => writePem(each.label, each === block ? der : each.der)).join(""));
}

/** EncryptedPrivateKeyInfo, DER, of a PrivateKeyInfo. */
export function* encryptedInfo(pkcs8: Uint8Array, iterations: number, unlocking: Unlocking): Flow<Uint8Array> {
  const [algorithm, encrypted] = yield* encrypt(pkcs8, iterations, unlocking);
  return derSequence(algorithm, derEncode(Tag.octetString, encrypted));
}

/** The PrivateKeyInfo of an EncryptedPrivateKeyInfo. */
export function* decryptInfo(der: Uint8Array, unlocking: Unlocking): Flow<Uint8Array> {
  if (der.length > MAX_KEY) throw fault("ERR_TLS_PKCS12", `an encrypted key of more than ${MAX_KEY} bytes`);
  const info = derContent(berToDer(der), Tag.sequence, "EncryptedPrivateKeyInfo");
  const algorithm = readAlgorithmIdentifier(info);
  const data = info.octetString();
  info.finish("EncryptedPrivateKeyInfo");
  return whole(yield* decrypt(algorithm, data, unlocking));
}

/** The iterations asked for, or the default. */
export function checkedIterations({ iterations = DEFAULT_ITERATIONS }: EncryptOptions): number {
  if (Number.isSafeInteger(iterations) && iterations >= MIN_ITERATIONS && iterations <= 0x7fffffff) return iterations;
  throw fault("ERR_TLS_OPTION", `iterations is not a whole number of at least ${MIN_ITERATIONS}`);
}

/** An AlgorithmIdentifier comes first, where the other forms have a version. */
function isEncryptedInfo(der: Uint8Array): boolean {
  try {
    return new DerReader(berToDer(der)).sequence().peek() === Tag.sequence;
  } catch (error) {
    // Whoever reads it next says what is wrong.
    if (error instanceof TlsError) return false;
    throw error;
  }
}

function needPassphrase(passphrase: string | undefined): void {
  if (passphrase === undefined) throw fault("ERR_TLS_PASSPHRASE", "the private key is encrypted");
}

/** One wrong pass phrase in 256 leaves what looks like padding; what stands before it then is no DER. */
function whole(der: Uint8Array): Uint8Array {
  try {
    derContent(der, Tag.sequence, "the private key");
    return der;
  } catch (cause) {
    throw fault("ERR_TLS_PASSPHRASE", "what is decrypted is no private key", { cause });
  }
}

/** DEK-Info of RFC 1421 4.6.1.3 by the names that OpenSSL gives. */
const PEM_CIPHERS: Readonly<Record<string, readonly ["aes" | LegacyCipher, number]>> = {
  "AES-128-CBC": ["aes", 16],
  "AES-192-CBC": ["aes", 24],
  "AES-256-CBC": ["aes", 32],
  "DES-EDE3-CBC": ["3des", 24],
};

function* decryptPem({ headers, der }: PemBlock, unlocking: Unlocking): Flow<Uint8Array> {
  const [name = "", iv = ""] = (headers.get("DEK-Info") ?? "").split(",").map((part) => part.trim());
  const known = PEM_CIPHERS[name];
  if (known === undefined) {
    throw fault("ERR_TLS_PKCS12", `a key encrypted with "${name}" is not supported; convert it with \`openssl pkey\``);
  }
  const [cipher, keyLength] = known;
  if (!/^[0-9A-Fa-f]+$/.test(iv) || iv.length !== (cipher === "aes" ? 32 : 16)) {
    throw fault("ERR_TLS_PEM", "DEK-Info without its IV");
  }
  const bytes = fromHex(iv);
  const key = opensslKey(unlocking.utf8, bytes.subarray(0, 8), keyLength);
  try {
    return whole(yield* decryptBlocks(cipher, key, bytes, der, unlocking));
  } finally {
    wipe(key);
  }
}

/** EVP_BytesToKey of OpenSSL with MD5 and one iteration: nothing that would slow anybody down. */
function opensslKey(password: Uint8Array, salt: Uint8Array, length: number): Uint8Array {
  let key: Uint8Array = new Uint8Array(0);
  let last: Uint8Array = new Uint8Array(0);
  while (key.length < length) {
    last = md5(concat(last, password, salt));
    key = concat(key, last);
  }
  return key.subarray(0, length);
}
