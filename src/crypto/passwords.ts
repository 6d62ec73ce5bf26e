/**
 * Keys from pass phrases, and the ciphers of what they protect (RFC 7292, RFC 8018). Runs anywhere: PBKDF2 by WebCrypto
 * where there is one, the rest by noble, and 3DES and RC2 by a library that is loaded when a file asks for them.
 */
import { cbc } from "@noble/ciphers/aes.js";
import { hmac as nobleHmac } from "@noble/hashes/hmac.js";
import { md5 as nobleMd5, sha1 } from "@noble/hashes/legacy.js";
import { pbkdf2Async } from "@noble/hashes/pbkdf2.js";
import { scryptAsync } from "@noble/hashes/scrypt.js";
import { sha224, sha256, sha384, sha512 } from "@noble/hashes/sha2.js";
import { concat } from "../bytes/bytes.ts";
import type { Awaitable } from "../flow.ts";

/** Hash functions that files name. SHA-1 is among them since HMAC does not rest on what is broken of it. */
export type DigestName = keyof typeof DIGESTS;

const DIGESTS = { sha1, sha224, sha256, sha384, sha512 };

/** Output and block lengths in bytes. */
export const DIGEST_LENGTHS: { readonly [Name in DigestName]: { readonly output: number; readonly block: number } } = {
  sha1: { output: 20, block: 64 },
  sha224: { output: 28, block: 64 },
  sha256: { output: 32, block: 64 },
  sha384: { output: 48, block: 128 },
  sha512: { output: 64, block: 128 },
};

/** RFC 8018 5.2 */
export interface Pbkdf2Parameters {
  readonly digest: DigestName;
  readonly password: Uint8Array;
  readonly salt: Uint8Array;
  readonly iterations: number;
  /** Bytes wanted. */
  readonly length: number;
}

/** RFC 7914 2 */
export interface ScryptParameters {
  readonly password: Uint8Array;
  readonly salt: Uint8Array;
  /** N, a power of two. */
  readonly cost: number;
  /** r */
  readonly blockSize: number;
  /** p */
  readonly parallelization: number;
  /** Bytes wanted. */
  readonly length: number;
}

/** Ciphers in CBC mode that only old files use. The effective bits of RC2's key are all of its bits. */
export type LegacyCipher = "3des" | "rc2";

/** What is slow, or not at hand everywhere. */
export interface PasswordCrypto {
  pbkdf2(parameters: Pbkdf2Parameters): Awaitable<Uint8Array>;
  scrypt(parameters: ScryptParameters): Awaitable<Uint8Array>;
  /** Whole blocks to whole blocks: the padding is left. */
  decryptLegacy(cipher: LegacyCipher, key: Uint8Array, iv: Uint8Array, data: Uint8Array): Awaitable<Uint8Array>;
}

/** What runs anywhere. */
export const portablePasswordCrypto: PasswordCrypto = {
  async pbkdf2(parameters) {
    return (await subtlePbkdf2(parameters)) ?? noblePbkdf2(parameters);
  },
  scrypt({ password, salt, cost, blockSize, parallelization, length }) {
    return scryptAsync(password, salt, { N: cost, r: blockSize, p: parallelization, dkLen: length });
  },
  async decryptLegacy(...parameters) {
    const { decryptLegacy } = await import("./legacy-ciphers.ts");
    return decryptLegacy(...parameters);
  },
};

/** WebCrypto has no SHA-224. */
const SUBTLE_NAMES: { readonly [Name in DigestName]?: string } = {
  sha1: "SHA-1",
  sha256: "SHA-256",
  sha384: "SHA-384",
  sha512: "SHA-512",
};

/** `undefined` where WebCrypto is not there, or does not take so many iterations: workerd ends at 100,000. */
async function subtlePbkdf2(parameters: Pbkdf2Parameters): Promise<Uint8Array | undefined> {
  const { password, salt, iterations, length } = parameters;
  const hash = SUBTLE_NAMES[parameters.digest];
  const subtle = globalThis.crypto?.subtle;
  if (subtle === undefined || hash === undefined) return undefined;
  try {
    const key = await subtle.importKey("raw", new Uint8Array(password), "PBKDF2", false, ["deriveBits"]);
    const algorithm = { name: "PBKDF2", hash, salt: new Uint8Array(salt), iterations };
    return new Uint8Array(await subtle.deriveBits(algorithm, key, 8 * length));
  } catch (error) {
    if ((error as { readonly name?: string }).name !== "NotSupportedError") throw error;
    return undefined;
  }
}

function noblePbkdf2({ digest, password, salt, iterations, length }: Pbkdf2Parameters): Promise<Uint8Array> {
  return pbkdf2Async(DIGESTS[digest], password, salt, { c: iterations, dkLen: length });
}

/** What key material is for, RFC 7292 B.3. */
export const Purpose = { key: 1, iv: 2, mac: 3 } as const;

/**
 * The key derivation of RFC 7292 B.2.
 *
 * @param password - UTF-16BE with two zero bytes at its end, or nothing at all.
 * @param length - Bytes wanted.
 */
export function pkcs12Derive(
  digest: DigestName,
  purpose: number,
  password: Uint8Array,
  salt: Uint8Array,
  iterations: number,
  length: number,
): Uint8Array {
  const { block } = DIGEST_LENGTHS[digest];
  const hash = DIGESTS[digest];
  const diversifier = new Uint8Array(block).fill(purpose);
  const input = concat(fill(salt, block), fill(password, block));
  let derived: Uint8Array = new Uint8Array(0);
  while (derived.length < length) {
    let part: Uint8Array = hash(concat(diversifier, input));
    for (let i = 1; i < iterations; i++) part = hash(part);
    derived = concat(derived, part);
    addToBlocks(input, fill(part, block).subarray(0, block));
  }
  return derived.slice(0, length);
}

/** Copies of `bytes`, the last one cut, to a multiple of `block`; of nothing, nothing. */
function fill(bytes: Uint8Array, block: number): Uint8Array {
  const filled = new Uint8Array(block * Math.ceil(bytes.length / block));
  for (let i = 0; i < filled.length; i++) filled[i] = bytes[i % bytes.length] as number;
  return filled;
}

/** Step 6.C: adds `addend` and 1 to each of its lengths in `input`, as big-endian numbers without carry-out. */
function addToBlocks(input: Uint8Array, addend: Uint8Array): void {
  for (let start = 0; start < input.length; start += addend.length) {
    let carry = 1;
    for (let i = addend.length - 1; i >= 0; i--) {
      carry += (input[start + i] as number) + (addend[i] as number);
      input[start + i] = carry & 0xff;
      carry >>= 8;
    }
  }
}

/** RFC 2104 */
export function hmac(digest: DigestName, key: Uint8Array, message: Uint8Array): Uint8Array {
  return nobleHmac(DIGESTS[digest], key, message);
}

/** For the keys of RFC 1421 PEM, which OpenSSL made of it. */
export function md5(data: Uint8Array): Uint8Array {
  return nobleMd5(data);
}

/** Whole blocks to whole blocks: the padding is left. */
export function decryptAes(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array {
  return cbc(key, iv, { disablePadding: true }).decrypt(data);
}

/** With the padding of RFC 8018 6.1.1. */
export function encryptAes(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array {
  return cbc(key, iv).encrypt(data);
}
