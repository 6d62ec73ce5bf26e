/**
 * The provider that runs anywhere: pure TypeScript, synchronous, nothing native. It is the reference for the others.
 * Signatures are deterministic except RSA-PSS.
 */
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { ed25519, x25519 } from "@noble/curves/ed25519.js";
import { p256, p384, p521 } from "@noble/curves/nist.js";
import { ml_kem768 } from "@noble/post-quantum/ml-kem.js";
import type { NamedGroupName } from "../codec/registry.ts";
import { fault } from "../errors.ts";
import { refuseOptional } from "./extras.ts";
import { type DiffieHellmanKey, diffieHellman, hybrid, X25519_MLKEM768 } from "./groups.ts";
import { COORDINATE_LENGTH, type Curve, type PrivateKeyParts, parsePkcs8, parseSpki, usableRsa } from "./keys.ts";
import { canSignWith, rsaPssSign, rsaVerify } from "./noble-rsa.ts";
import { NOBLE_HASHES, nobleSuite, nobleSymmetric, platformRandom } from "./noble-symmetric.ts";
import type { CryptoProvider, Group, HybridOfX25519, PublicKey, SignatureAlgorithm, Signer } from "./provider.ts";
import { algorithmFits, isOptional, schemeAlgorithm, schemesFor } from "./signatures.ts";

export { type Extras, type GroupExtra, type SignatureExtra, withExtras } from "./extras.ts";
export {
  ed448,
  mlDsa44,
  mlDsa65,
  mlDsa87,
  secP256r1MlKem768,
  secP384r1MlKem1024,
  x448,
} from "./noble-extras.ts";

const CURVES = { "P-256": p256, "P-384": p384, "P-521": p521 };

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
    if (!("key" in key) || isOptional(key.algorithm.type)) return false;
    if (key.algorithm.type === "ec" && algorithm.type === "ecdsa") {
      return CURVES[key.algorithm.curve].verify(signature, NOBLE_HASHES[algorithm.hash](message), key.key, {
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

function usableKey({ spki, algorithm }: PublicKey): boolean {
  if (algorithm.type !== "ec") return true;
  try {
    const key = parseSpki(spki);
    if (!("key" in key)) return false;
    CURVES[algorithm.curve].Point.fromBytes(key.key);
    return true;
  } catch {
    // Not on the curve, which is all that the library says by throwing.
    return false;
  }
}

function signer(pkcs8: Uint8Array): Signer {
  const key = parsePkcs8(pkcs8);
  refuseOptional(key.algorithm.type, "noble");
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
    const digest = NOBLE_HASHES[algorithm.hash](message);
    return CURVES[key.algorithm.curve].sign(digest, key.key, { prehash: false, lowS: false, format: "der" });
  }
  return ed25519.sign(message, key.key);
}

function createProvider(mlKem768?: HybridOfX25519): CryptoProvider {
  const { hashes, suites } = nobleSymmetric();
  const x25519 = diffieHellman("x25519", 32, x25519Key);
  const groups = [x25519, ecdhe("secp256r1", "P-256"), ecdhe("secp384r1", "P-384"), ecdhe("secp521r1", "P-521")];
  return {
    name: "noble",
    synchronous: true,
    random: platformRandom,
    hashes,
    // ChaCha20-Poly1305 is three to four times faster here than AES-GCM.
    suites: [nobleSuite("TLS_CHACHA20_POLY1305_SHA256", hashes.sha256, 32, chacha20poly1305), ...suites],
    groups: mlKem768 === undefined ? groups : [mlKem768(x25519), ...groups],
    mlKem768,
    verify,
    usableKey,
    canVerify: (key, algorithm) => !isOptional(algorithm.type) && algorithmFits(algorithm, key),
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
export const nobleProvider: CryptoProvider = /* @__PURE__ */ createProvider(x25519MlKem768);

/**
 * {@link nobleProvider} without X25519MLKEM768, for who counts bytes: a bundler leaves ML-KEM out then.
 *
 * @example
 * ```ts
 * const provider = createWebCryptoProvider({ fallback: classicalProvider });
 * console.log(provider.groups[0]?.name); // x25519
 * ```
 */
export const classicalProvider: CryptoProvider = /* @__PURE__ */ createProvider();

/**
 * X25519MLKEM768 over the X25519 of a platform, with noble's ML-KEM-768 (FIPS 203).
 *
 * @example
 * ```ts
 * const provider = createWebCryptoProvider({ mlKem768 });
 * await provider.warmup();
 * console.log(provider.groups[0]?.name); // X25519MLKEM768
 * ```
 */
export const mlKem768: HybridOfX25519 = x25519MlKem768;

function x25519MlKem768(x25519: Group): Group {
  return hybrid(X25519_MLKEM768, [x25519], ml_kem768);
}

/** The curves that TLS uses by default; P-521's tables can wait. */
const WARM_CURVES = [p256, p384, ed25519] as const;

/**
 * Builds the tables that noble would build at first use: a quarter of a second altogether, never needed.
 *
 * @example
 * ```ts
 * warmup();
 * const session = await connect(stream, { provider: nobleProvider, serverName: "localhost", trust: ca });
 * ```
 */
export function warmup(): void {
  x25519.keygen();
  for (const { keygen } of WARM_CURVES) keygen();
}
