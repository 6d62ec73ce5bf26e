/**
 * The provider over node:crypto: native speed, synchronous. ML-KEM and ML-DSA, which older ones lack, come from noble.
 *
 * Measured on Node 20 with OpenSSL 3.0, µs: importing a SubjectPublicKeyInfo takes 60 to 87 whatever the key, for
 * OpenSSL's decoder is slow; a JWK takes 5 for X25519 and Ed25519 and 43 for P-256, but 308 for P-384, whose point it
 * multiplies to check the order; PKCS#1 takes 2. So each kind is imported in its fastest form. Exporting a JWK is
 * avoided altogether: on Node 20 it can deadlock on a key that was just generated.
 */
import {
  constants,
  createCipheriv,
  createDecipheriv,
  createECDH,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman as deriveSecret,
  generateKeyPairSync,
  getCipherInfo,
  hash as hashOnce,
  type KeyObject,
  type Hash as NodeHash,
  randomFillSync,
  sign as signOnce,
  verify as verifyOnce,
} from "node:crypto";
import type { NamedGroupName } from "../codec/registry.ts";
import { fault } from "../errors.ts";
import { withExtras } from "./extras.ts";
import {
  type DiffieHellmanKey,
  diffieHellman,
  hybrid,
  SECP256R1_MLKEM768,
  SECP384R1_MLKEM1024,
  X25519_MLKEM768,
} from "./groups.ts";
import {
  COORDINATE_LENGTH,
  HASH_LENGTH,
  type PublicKeyParts,
  parsePkcs8,
  parseSpki,
  usableEd25519,
  usableRsa,
} from "./keys.ts";
import { nodeMlKem768, nodeMlKem1024, nodeSignatures, x448Group } from "./node-extras.ts";
import { ffdhe } from "./node-ffdhe.ts";
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
import { algorithmFits, isOptional, schemeAlgorithm, schemesFor, signatureLengthFits } from "./signatures.ts";

/** Of every AEAD here but CCM_8, in bytes. */
const TAG_LENGTH = 16;

/** Options of {@link createNodeProvider}. */
export interface NodeProviderOptions {
  /** How many imported public keys are kept, the least recently used going first; 0 keeps none. Default 256. */
  readonly keyCacheSize?: number;
}

/**
 * A provider over node:crypto with a cache of imported public keys of its own. The cache holds public keys only and
 * lives as long as the provider; give each configuration one, or share one on purpose.
 *
 * Besides the defaults it has AES-CCM, P-521, X448, SecP256r1MLKEM768, SecP384r1MLKEM1024, ffdhe2048, ffdhe3072 and ffdhe4096, and
 * the signatures Ed448 and ML-DSA, for those who name them.
 *
 * @throws TlsError `ERR_TLS_OPTION` when the size is not a non-negative integer.
 *
 * @example
 * ```ts
 * const provider = createNodeProvider({ keyCacheSize: 1000 });
 * console.log(provider.name); // node
 * ```
 */
export function createNodeProvider({ keyCacheSize = 256 }: NodeProviderOptions = {}): CryptoProvider {
  if (!Number.isSafeInteger(keyCacheSize) || keyCacheSize < 0) {
    throw fault("ERR_TLS_OPTION", `keyCacheSize ${keyCacheSize}`);
  }
  const hashes = { sha256: nodeHash("sha256"), sha384: nodeHash("sha384"), sha512: nodeHash("sha512") };
  const importKey = keyCacheSize === 0 ? importPublicKey : cachedImport(keyCacheSize);
  const groups = [
    x25519Group(),
    ecdhe("secp256r1", "prime256v1", COORDINATE_LENGTH["P-256"]),
    ecdhe("secp384r1", "secp384r1", COORDINATE_LENGTH["P-384"]),
    ecdhe("secp521r1", "secp521r1", COORDINATE_LENGTH["P-521"]),
  ];
  const provider: CryptoProvider = {
    name: "node",
    synchronous: true,
    random: (length) => randomFillSync(new Uint8Array(length)),
    hashes,
    suites: [
      suite("TLS_AES_128_GCM_SHA256", hashes.sha256, 16, "aes-128-gcm"),
      suite("TLS_AES_256_GCM_SHA384", hashes.sha384, 32, "aes-256-gcm"),
      // Bun has none.
      ...(getCipherInfo("chacha20-poly1305") === undefined
        ? []
        : [suite("TLS_CHACHA20_POLY1305_SHA256", hashes.sha256, 32, "chacha20-poly1305")]),
      ...(getCipherInfo("aes-128-ccm") === undefined
        ? []
        : [
            suite("TLS_AES_128_CCM_SHA256", hashes.sha256, 16, "aes-128-ccm"),
            suite("TLS_AES_128_CCM_8_SHA256", hashes.sha256, 16, "aes-128-ccm", 8),
          ]),
    ],
    groups: [
      hybrid(X25519_MLKEM768, groups, nodeMlKem768),
      ...groups,
      x448Group(),
      hybrid(SECP256R1_MLKEM768, groups, nodeMlKem768),
      hybrid(SECP384R1_MLKEM1024, groups, nodeMlKem1024),
      ffdhe("ffdhe2048"),
      ffdhe("ffdhe3072"),
      ffdhe("ffdhe4096"),
    ],
    verify: (key, algorithm, message, signature) => verify(importKey, key, algorithm, message, signature),
    usableKey: (key) => usableKey(importKey, key),
    canVerify: (key, algorithm) => !isOptional(algorithm.type) && algorithmFits(algorithm, key),
    signer,
  };
  return withExtras(provider, { signatures: nodeSignatures() });
}

/**
 * node:crypto without a cache, so that nothing is shared between those who use it.
 *
 * @example
 * ```ts
 * console.log(nodeProvider.suites[0]?.name); // TLS_AES_128_GCM_SHA256
 * ```
 */
export const nodeProvider: CryptoProvider = /* @__PURE__ */ createNodeProvider({ keyCacheSize: 0 });

/** The same memory without Buffer's methods, whose `slice` does not copy. */
function plain(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
}

function nodeHash(name: HashName): Hash {
  return {
    name,
    length: HASH_LENGTH[name],
    start: () => nodeHashState(createHash(name)),
    digest: (data) => plain(hashOnce(name, data, "buffer")),
    hmac: (key, data) => plain(createHmac(name, key).update(data).digest()),
  };
}

function nodeHashState(running: NodeHash): HashState {
  return {
    update: (data) => void running.update(data),
    clone: () => nodeHashState(running.copy()),
    digest: () => plain(running.digest()),
  };
}

function suite(
  name: CipherSuite["name"],
  hash: Hash,
  keyLength: number,
  cipher: "aes-128-gcm" | "aes-256-gcm" | "chacha20-poly1305" | "aes-128-ccm",
  tagLength = TAG_LENGTH,
): CipherSuite {
  // The types tell the modes apart; what is used here they have in common.
  const options = { authTagLength: tagLength };
  const algorithm = cipher as "aes-128-gcm";
  return {
    name,
    hash,
    keyLength,
    tagLength,
    aead(key): Aead {
      if (key.length !== keyLength) throw fault("ERR_TLS_INTERNAL", `a key of ${key.length} bytes for ${name}`);
      return {
        seal(nonce, additionalData, plaintext, target = new Uint8Array(plaintext.length + tagLength)) {
          const sealer = createCipheriv(algorithm, key, nonce, options);
          sealer.setAAD(additionalData, { plaintextLength: plaintext.length });
          target.set(sealer.update(plaintext));
          sealer.final();
          target.set(sealer.getAuthTag(), plaintext.length);
          return target;
        },
        open(nonce, additionalData, ciphertext) {
          const length = ciphertext.length - tagLength;
          if (length < 0) return undefined;
          const opener = createDecipheriv(algorithm, key, nonce, options);
          opener.setAuthTag(ciphertext.subarray(length));
          opener.setAAD(additionalData, { plaintextLength: length });
          const plaintext = plain(opener.update(ciphertext.subarray(0, length)));
          try {
            opener.final();
          } catch {
            // A wrong tag is the one thing that `final` finds.
            plaintext.fill(0);
            return undefined;
          }
          return plaintext;
        },
      };
    },
  };
}

function ecdhe(name: NamedGroupName, curve: string, coordinateLength: number): Group {
  return diffieHellman(name, 1 + 2 * coordinateLength, () => {
    const key = createECDH(curve);
    return { publicKey: plain(key.generateKeys()), secret: (peer) => plain(key.computeSecret(peer)) };
  });
}

function x25519Group(): Group {
  let basePoint: KeyObject | undefined;
  return diffieHellman("x25519", 32, (): DiffieHellmanKey => {
    const { privateKey } = generateKeyPairSync("x25519");
    // RFC 7748 6.1: the public key is X25519(a, 9), which takes half as long as exporting it.
    basePoint ??= importOctetKey("X25519", Uint8Array.of(9, ...new Uint8Array(31)));
    return {
      publicKey: plain(deriveSecret({ privateKey, publicKey: basePoint })),
      secret: (peer) => plain(deriveSecret({ privateKey, publicKey: importOctetKey("X25519", peer) })),
    };
  });
}

function importOctetKey(crv: "X25519" | "Ed25519", key: Uint8Array): KeyObject {
  return createPublicKey({ key: { kty: "OKP", crv, x: base64url(key) }, format: "jwk" });
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64url");
}

/** An imported key with the algorithm that it itself states. */
interface ImportedKey {
  readonly algorithm: PublicKeyParts["algorithm"];
  readonly handle: KeyObject;
}

/** `undefined` for a key that no signature can be verified with. May throw on a malformed one. */
type ImportKey = (spki: Uint8Array) => ImportedKey | undefined;

function importPublicKey(spki: Uint8Array): ImportedKey | undefined {
  const parts = parseSpki(spki);
  if (!("key" in parts)) return undefined;
  const { algorithm, key } = parts;
  if ("modulus" in parts) {
    if (!usableRsa(parts)) return undefined;
    // id-RSASSA-PSS keys too: their restrictions are algorithmFits' business.
    return { algorithm, handle: createPublicKey({ key: Buffer.from(key), format: "der", type: "pkcs1" }) };
  }
  if (isOptional(algorithm.type)) return undefined;
  if (algorithm.type === "ed25519") {
    return usableEd25519(key) ? { algorithm, handle: importOctetKey("Ed25519", key) } : undefined;
  }
  if (algorithm.type === "ec" && algorithm.curve === "P-256") {
    const [x, y] = [base64url(key.subarray(1, 33)), base64url(key.subarray(33))];
    return { algorithm, handle: createPublicKey({ key: { kty: "EC", crv: "P-256", x, y }, format: "jwk" }) };
  }
  return { algorithm, handle: createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" }) };
}

function cachedImport(size: number): ImportKey {
  const keys = new Map<string, ImportedKey>();
  return (spki) => {
    // One character for a byte: what the Map is asked with each time, in native code.
    const id = Buffer.from(spki.buffer, spki.byteOffset, spki.length).toString("latin1");
    const known = keys.get(id) ?? importPublicKey(spki);
    if (known === undefined) return undefined;
    // A Map iterates in order of insertion: the first is the one that was used least recently.
    keys.delete(id);
    keys.set(id, known);
    if (keys.size > size) keys.delete(keys.keys().next().value as string);
    return known;
  };
}

function verify(
  importKey: ImportKey,
  { spki }: PublicKey,
  algorithm: SignatureAlgorithm,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  try {
    const key = importKey(spki);
    if (key === undefined || !algorithmFits(algorithm, key.algorithm)) return false;
    if (!signatureLengthFits(key.algorithm, signature)) return false;
    return verifyOnce(digestName(algorithm), message, withParameters(key.handle, algorithm), signature);
  } catch {
    // OpenSSL throws on keys and signatures that are malformed; those are not valid.
    return false;
  }
}

/** By an import, which OpenSSL checks, and which is kept for the CertificateVerify that follows. */
function usableKey(importKey: ImportKey, { spki, algorithm }: PublicKey): boolean {
  if (algorithm.type !== "ec") return true;
  try {
    return importKey(spki) !== undefined;
  } catch {
    return false;
  }
}

function signer(pkcs8: Uint8Array): Signer {
  const parts = parsePkcs8(pkcs8);
  const key = importPrivateKey(pkcs8);
  const schemes = schemesFor(parts.algorithm);
  return {
    schemes,
    sign(scheme, message) {
      if (!schemes.includes(scheme)) throw fault("ERR_TLS_SIGNING_FAILED", `the key cannot sign with ${scheme}`);
      const algorithm = schemeAlgorithm(scheme);
      return plain(signOnce(digestName(algorithm), message, withParameters(key, algorithm)));
    },
  };
}

function importPrivateKey(pkcs8: Uint8Array): KeyObject {
  try {
    return createPrivateKey({ key: Buffer.from(pkcs8), format: "der", type: "pkcs8" });
  } catch (cause) {
    throw fault("ERR_TLS_KEY", "OpenSSL does not take the private key", { cause });
  }
}

/** Ed25519 hashes by itself. */
function digestName(algorithm: SignatureAlgorithm): HashName | null {
  return "hash" in algorithm ? algorithm.hash : null;
}

/** ECDSA signatures are DER by default. */
function withParameters(key: KeyObject, algorithm: SignatureAlgorithm) {
  switch (algorithm.type) {
    case "rsa-pss":
      return { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: algorithm.saltLength };
    case "rsa-pkcs1":
      return { key, padding: constants.RSA_PKCS1_PADDING };
    default:
      return key;
  }
}
