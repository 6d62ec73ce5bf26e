/**
 * The provider that runs anywhere: pure TypeScript, synchronous, nothing native. It is the reference for the others.
 * Signatures are deterministic except RSA-PSS.
 */
import { gcm } from "@noble/ciphers/aes.js";
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { ed25519, x25519 } from "@noble/curves/ed25519.js";
import { p256, p384, p521 } from "@noble/curves/nist.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha256, sha384, sha512 } from "@noble/hashes/sha2.js";
import type { NamedGroupName } from "../codec/registry.ts";
import { fault } from "../errors.ts";
import { type DiffieHellmanKey, diffieHellman, x25519MlKem768 } from "./groups.ts";
import { COORDINATE_LENGTH, type Curve, type PrivateKeyParts, parsePkcs8, parseSpki, usableRsa } from "./keys.ts";
import { canSignWith, rsaPssSign, rsaVerify } from "./noble-rsa.ts";
import type {
  Aead,
  CipherSuite,
  CryptoProvider,
  Group,
  Hash,
  HashName,
  HashState,
  PublicKey,
  SignatureAlgorithm,
  Signer,
} from "./provider.ts";
import { algorithmFits, schemeAlgorithm, schemesFor } from "./signatures.ts";

const HASHES = { sha256, sha384, sha512 };
const CURVES = { "P-256": p256, "P-384": p384, "P-521": p521 };

function nobleHash(name: HashName): Hash {
  const hash = HASHES[name];
  return {
    name,
    length: hash.outputLen,
    start: () => nobleHashState(hash.create()),
    digest: (data) => hash(data),
    hmac: (key, data) => hmac(hash, key, data),
  };
}

function nobleHashState(running: ReturnType<(typeof HASHES)[HashName]["create"]>): HashState {
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
) => { encrypt(data: Uint8Array): Uint8Array; decrypt(data: Uint8Array): Uint8Array };

function suite(name: CipherSuite["name"], hash: Hash, keyLength: number, cipher: NobleCipher): CipherSuite {
  return {
    name,
    hash,
    keyLength,
    aead(key): Aead {
      if (key.length !== keyLength) throw fault("ERR_TLS_INTERNAL", `a key of ${key.length} bytes for ${name}`);
      return {
        seal: (nonce, additionalData, plaintext) => cipher(key, nonce, additionalData).encrypt(plaintext),
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

/** The secret is the x-coordinate alone (RFC 8446 7.4.2). */
function ecdhe(name: NamedGroupName, curve: Curve): Group {
  return diffieHellman(name, 1 + 2 * COORDINATE_LENGTH[curve], () => {
    const { getSharedSecret, getPublicKey, utils } = CURVES[curve];
    const secretKey = utils.randomSecretKey();
    return {
      publicKey: getPublicKey(secretKey, false),
      secret: (peer) => getSharedSecret(secretKey, peer).slice(1),
    };
  });
}

function x25519Key(): DiffieHellmanKey {
  const { secretKey, publicKey } = x25519.keygen();
  return { publicKey, secret: (peer) => x25519.getSharedSecret(secretKey, peer) };
}

function verify({ spki }: PublicKey, algorithm: SignatureAlgorithm, message: Uint8Array, signature: Uint8Array) {
  try {
    const key = parseSpki(spki);
    if (!algorithmFits(algorithm, key.algorithm)) return false;
    if ("modulus" in key) return usableRsa(key) && rsaVerify(key, algorithm, message, signature);
    if (!("key" in key)) return false;
    if (key.algorithm.type === "ec" && algorithm.type === "ecdsa") {
      return CURVES[key.algorithm.curve].verify(signature, HASHES[algorithm.hash](message), key.key, {
        prehash: false,
        lowS: false,
        format: "der",
      });
    }
    // RFC 8032 5.1.7, not the looser ZIP 215.
    return ed25519.verify(signature, message, key.key, { zip215: false });
  } catch {
    // The libraries throw on keys and signatures that are malformed; those are not valid.
    return false;
  }
}

function signer(pkcs8: Uint8Array): Signer {
  const key = parsePkcs8(pkcs8);
  if ("modulus" in key && !canSignWith(key)) {
    throw fault("ERR_TLS_KEY", `an RSA key of ${key.algorithm.bits} bits with numbers that are not supported`);
  }
  const schemes = schemesFor(key.algorithm);
  return {
    schemes,
    sign(scheme, message) {
      if (!schemes.includes(scheme)) throw fault("ERR_TLS_SIGNING_FAILED", `the key cannot sign with ${scheme}`);
      return sign(key, schemeAlgorithm(scheme), message);
    },
  };
}

function sign(key: PrivateKeyParts, algorithm: SignatureAlgorithm, message: Uint8Array): Uint8Array {
  if ("modulus" in key) return rsaPssSign(key, algorithm, message);
  if (key.algorithm.type === "ec") {
    if (algorithm.type !== "ecdsa") throw fault("ERR_TLS_SIGNING_FAILED", `ECDSA cannot sign with ${algorithm.type}`);
    const digest = HASHES[algorithm.hash](message);
    return CURVES[key.algorithm.curve].sign(digest, key.key, { prehash: false, lowS: false, format: "der" });
  }
  return ed25519.sign(message, key.key);
}

/** The most that `getRandomValues` gives at once. */
const RANDOM_CHUNK = 65536;

function random(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i += RANDOM_CHUNK) {
    globalThis.crypto.getRandomValues(bytes.subarray(i, i + RANDOM_CHUNK));
  }
  return bytes;
}

function createProvider(): CryptoProvider {
  const hashes = { sha256: nobleHash("sha256"), sha384: nobleHash("sha384"), sha512: nobleHash("sha512") };
  const x25519Group = diffieHellman("x25519", 32, x25519Key);
  return {
    name: "noble",
    random,
    hashes,
    // ChaCha20-Poly1305 is three to four times faster here than AES-GCM.
    suites: [
      suite("TLS_CHACHA20_POLY1305_SHA256", hashes.sha256, 32, chacha20poly1305),
      suite("TLS_AES_128_GCM_SHA256", hashes.sha256, 16, gcm),
      suite("TLS_AES_256_GCM_SHA384", hashes.sha384, 32, gcm),
    ],
    groups: [
      x25519MlKem768(x25519Group),
      x25519Group,
      ecdhe("secp256r1", "P-256"),
      ecdhe("secp384r1", "P-384"),
      ecdhe("secp521r1", "P-521"),
    ],
    verify,
    canVerify: (key, algorithm) => algorithmFits(algorithm, key),
    signer,
  };
}

/**
 * Everything in pure TypeScript, synchronous, on any runtime with `crypto.getRandomValues`.
 *
 * @example
 * ```ts
 * const [suite] = nobleProvider.suites;
 * console.log(suite?.name); // TLS_CHACHA20_POLY1305_SHA256
 * ```
 */
export const nobleProvider: CryptoProvider = /* @__PURE__ */ createProvider();
