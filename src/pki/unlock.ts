/** What opening a protected file takes: the pass phrase in the forms that algorithms want, and bounds on the work. */
import { concat, utf8 } from "../bytes/bytes.ts";
import type { PasswordCrypto } from "../crypto/passwords.ts";
import { fault } from "../errors.ts";

/** How much work a file may ask for. */
export interface UnlockOptions {
  /**
   * Rounds of key derivation in one file, all its keys and its MAC together; ten million by default, which take some ten
   * seconds at worst. scrypt counts as the product of its parameters, each round of PKCS#12's own derivation with SHA-384
   * or SHA-512 as three.
   */
  readonly maxIterations?: number | undefined;
}

/** Bytes of memory that scrypt may take: four times what OpenSSL makes of `-scrypt`. */
export const MAX_SCRYPT_MEMORY = 64 * 1024 * 1024;
/** Bytes of a salt. 8 to 32 are used. */
export const MAX_SALT = 1024;

const MAX_ITERATIONS = 10_000_000;

/** One pass phrase, and what is left of the work allowed. */
export class Unlocking {
  readonly crypto: PasswordCrypto;
  readonly #passphrase: string | undefined;
  readonly #effort: Effort;

  constructor(passphrase: string | undefined, crypto: PasswordCrypto, effort: Effort) {
    this.crypto = crypto;
    this.#passphrase = passphrase;
    this.#effort = effort;
  }

  /** For PBES2, PBMAC1 (RFC 9579) and PEM. */
  get utf8(): Uint8Array {
    return utf8(this.#passphrase ?? "");
  }

  /** A BMPString with two zero bytes at its end (RFC 7292 B.1); of no pass phrase, nothing, as OpenSSL has it. */
  get bmp(): Uint8Array {
    return this.#passphrase === undefined ? new Uint8Array(0) : concat(encodeBmp(this.#passphrase), new Uint8Array(2));
  }

  /**
   * Accounts for work before it is done.
   *
   * @throws TlsError `ERR_TLS_PKCS12` when it is none, or more than is left.
   */
  spend(rounds: number): void {
    this.#effort.spend(rounds);
  }
}

/** The work that is left. */
export class Effort {
  readonly #allowed: number;
  #left: number;

  constructor({ maxIterations = MAX_ITERATIONS }: UnlockOptions) {
    if (!Number.isSafeInteger(maxIterations) || maxIterations < 1) {
      throw fault("ERR_TLS_OPTION", "maxIterations is not a positive whole number");
    }
    this.#allowed = maxIterations;
    this.#left = maxIterations;
  }

  spend(rounds: number): void {
    if (rounds < 1) throw fault("ERR_TLS_PKCS12", "a key derivation without iterations");
    this.#left -= rounds;
    if (this.#left >= 0) return;
    throw fault("ERR_TLS_PKCS12", `its keys take more than the ${this.#allowed} iterations of maxIterations`);
  }
}

/** UTF-16, big-endian. */
export function encodeBmp(text: string): Uint8Array {
  const bytes = new Uint8Array(2 * text.length);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < text.length; i++) view.setUint16(2 * i, text.charCodeAt(i));
  return bytes;
}

/** @throws TlsError `ERR_TLS_PEM` when the length is odd. */
export function decodeBmp(bytes: Uint8Array): string {
  if (bytes.length % 2 !== 0) throw fault("ERR_TLS_PEM", "a BMPString has half a character");
  let text = "";
  for (let i = 0; i < bytes.length; i += 2) {
    text += String.fromCharCode(((bytes[i] as number) << 8) | (bytes[i + 1] as number));
  }
  return text;
}
