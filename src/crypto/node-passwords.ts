/** Keys from pass phrases by node:crypto: synchronous, for what must be. */
import { pbkdf2Sync, scryptSync } from "node:crypto";
import { decryptLegacy } from "./legacy-ciphers.ts";
import type { Pbkdf2Parameters, ScryptParameters } from "./passwords.ts";

/** A `PasswordCrypto` that never answers with a promise. */
export const nodePasswordCrypto = {
  pbkdf2({ digest, password, salt, iterations, length }: Pbkdf2Parameters): Uint8Array {
    return new Uint8Array(pbkdf2Sync(password, salt, iterations, length, digest));
  },
  scrypt({ password, salt, cost, blockSize, parallelization, length }: ScryptParameters): Uint8Array {
    // The memory is bounded by who reads the parameters; OpenSSL counts some more than 128 * N * r.
    const maxmem = 256 * cost * blockSize * parallelization + 1024 * 1024;
    return new Uint8Array(scryptSync(password, salt, length, { cost, blockSize, parallelization, maxmem }));
  },
  decryptLegacy,
};
