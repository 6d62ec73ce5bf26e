/** Hashes, AES-GCM and randomness that run anywhere and answer at once: noble's, for providers without native ones. */
import { gcm } from "@noble/ciphers/aes.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha256, sha384, sha512 } from "@noble/hashes/sha2.js";
import type { CipherSuiteName } from "../codec/registry.ts";
import { fault } from "../errors.ts";
import type { CipherSuite, Hash, HashName, HashState, PromptAead } from "./provider.ts";

export const NOBLE_HASHES = { sha256, sha384, sha512 };
type NobleHash = (typeof NOBLE_HASHES)[HashName];

/** Every hash, and the suites over AES-GCM. */
export function nobleSymmetric() {
  const hashes = {
    sha256: nobleHash("sha256", sha256),
    sha384: nobleHash("sha384", sha384),
    sha512: nobleHash("sha512", sha512),
  };
  const suites = [
    nobleSuite("TLS_AES_128_GCM_SHA256", hashes.sha256, 16, gcm),
    nobleSuite("TLS_AES_256_GCM_SHA384", hashes.sha384, 32, gcm),
  ];
  return { hashes, suites };
}

/** The one hash that everybody has (RFC 8446 9.1), without the others in a bundle. */
export function nobleSha256(): Hash {
  return nobleHash("sha256", sha256);
}

/** The most that `getRandomValues` gives at once. */
const RANDOM_CHUNK = 65536;

/** Strong random bytes from the platform. */
export function platformRandom(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i += RANDOM_CHUNK) {
    globalThis.crypto.getRandomValues(bytes.subarray(i, i + RANDOM_CHUNK));
  }
  return bytes;
}

function nobleHash(name: HashName, hash: NobleHash): Hash {
  return {
    name,
    length: hash.outputLen,
    start: () => nobleHashState(hash.create()),
    digest: (data) => hash(data),
    hmac: (key, data) => hmac(hash, key, data),
  };
}

function nobleHashState(running: ReturnType<NobleHash["create"]>): HashState {
  return {
    update: (data) => void running.update(data),
    clone: () => nobleHashState(running.clone()),
    digest: () => running.digest(),
  };
}

const TAG_LENGTH = 16;

type NobleCipher = (
  key: Uint8Array,
  nonce: Uint8Array,
  additionalData: Uint8Array,
) => { encrypt(data: Uint8Array, target?: Uint8Array): Uint8Array; decrypt(data: Uint8Array): Uint8Array };

/** A suite over one of noble's AEADs. */
export function nobleSuite(name: CipherSuiteName, hash: Hash, keyLength: number, cipher: NobleCipher): CipherSuite {
  return {
    name,
    hash,
    keyLength,
    aead(key): PromptAead {
      if (key.length !== keyLength) throw fault("ERR_TLS_INTERNAL", `a key of ${key.length} bytes for ${name}`);
      return {
        seal(nonce, additionalData, plaintext, target) {
          const sealer = cipher(key, nonce, additionalData);
          if (target === undefined) return sealer.encrypt(plaintext);
          if (name === "TLS_CHACHA20_POLY1305_SHA256") return sealer.encrypt(plaintext, target);
          // noble's GCM has no target of its own.
          target.set(sealer.encrypt(plaintext));
          return target;
        },
        open(nonce, additionalData, ciphertext) {
          if (ciphertext.length < TAG_LENGTH) return undefined;
          const opener = cipher(key, nonce, additionalData);
          try {
            return opener.decrypt(ciphertext);
          } catch {
            // With lengths checked, a wrong tag is the one thing left that throws.
            return undefined;
          }
        },
      };
    },
  };
}
