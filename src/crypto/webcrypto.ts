/**
 * The provider over WebCrypto: native speed in browsers, Workers, Deno, Bun and Node. Each awaited call costs 0.1 to
 * 0.2 ms whatever its size, so hashes, HKDF and small records are noble's, and answer at once; key agreement,
 * signatures and large records are the platform's. The lean provider leaves all records to it.
 */
import { fault, TlsError } from "../errors.ts";
import type { Awaitable } from "../flow.ts";
import { checkShare } from "./groups.ts";
import { COORDINATE_LENGTH, type Curve } from "./keys.ts";
import { nobleSha256, nobleSymmetric, platformRandom } from "./noble-symmetric.ts";
import type {
  CipherSuite,
  CryptoProvider,
  Encapsulation,
  Group,
  HybridOfX25519,
  KeyAlgorithm,
  KeyShare,
  PublicKey,
  SignatureAlgorithm,
} from "./provider.ts";
import { algorithmFits, signatureLengthFits } from "./signatures.ts";
import { platformAesGcm } from "./webcrypto-aes.ts";
import {
  ecdsaSignatureFromDer,
  PublicKeyCache,
  signatureFeature,
  signatureParameters,
  type UsableKey,
} from "./webcrypto-keys.ts";
import { type FallbackListener, type Feature, source, WebCryptoPlatform } from "./webcrypto-platform.ts";
import { platformSigner } from "./webcrypto-signers.ts";

export type { FallbackListener } from "./webcrypto-platform.ts";
export { importPrivateKey, signerFromCryptoKey } from "./webcrypto-signers.ts";

/** Options of {@link createWebCryptoProvider}. */
export interface WebCryptoProviderOptions {
  /** Default: the platform's, `crypto.subtle`. */
  readonly subtle?: SubtleCrypto | undefined;
  /** Does what the platform cannot. Without it, that is not offered. */
  readonly fallback?: CryptoProvider | undefined;
  /** For X25519MLKEM768, which no platform has. Default: the fallback's. */
  readonly mlKem768?: HybridOfX25519 | undefined;
  /** How many public keys of peers and CAs stay imported, the least recently used going first. Default 256. */
  readonly keyCacheSize?: number | undefined;
  /** Called, outside the handshake, when an operation first goes to the fallback. */
  readonly onFallback?: FallbackListener | undefined;
}

/** A provider over WebCrypto, and what is known of its platform. */
export interface WebCryptoProvider extends CryptoProvider {
  /** What has gone to the fallback so far, `operation: reason`, each operation once. The array grows. */
  readonly fallbacks: readonly string[];
  /**
   * Tries out what the platform has. Afterwards `groups` and `canVerify` tell the truth about it: do this before
   * making contexts where there is no fallback. The first use of a feature does the same for that feature alone.
   */
  warmup(): Promise<void>;
}

/**
 * A provider over WebCrypto with a cache of imported public keys of its own.
 *
 * ChaCha20-Poly1305 and ML-KEM, which no WebCrypto has, are the fallback's, or not offered.
 * What not every platform has (X25519, Ed25519, P-521) is tried out at first use, once, and goes to the fallback where
 * it is lacking. Without a fallback only what every platform has is offered (P-256, P-384, RSA) until `warmup()` has
 * found the rest; `groups` is then extended in place.
 *
 * @throws TlsError `ERR_TLS_OPTION` when the size is not a non-negative integer.
 *
 * @example
 * ```ts
 * const provider = createWebCryptoProvider({ fallback: nobleProvider, onFallback: console.warn });
 * await provider.warmup();
 * console.log(provider.groups[0]?.name); // X25519MLKEM768
 * ```
 */
export function createWebCryptoProvider(options: WebCryptoProviderOptions = {}): WebCryptoProvider {
  const { hashes, suites } = nobleSymmetric();
  return providerWith(options, hashes, (platform) => suites.map((suite) => platformAesGcm(platform, suite, suite)));
}

/**
 * A provider over WebCrypto with TLS_AES_128_GCM_SHA256 alone, the cipher suite that everybody must have (RFC 8446 9.1),
 * and every record in WebCrypto, unless a fallback has that suite: a bundle has neither SHA-384 nor AES of its own then,
 * which take six kilobytes; each record costs an awaited call. What lean clients have by default.
 *
 * @throws TlsError `ERR_TLS_OPTION` when the size is not a non-negative integer.
 *
 * @example
 * ```ts
 * const provider = createLeanProvider({ mlKem768 });
 * await provider.warmup();
 * console.log(provider.suites.map(({ name }) => name)); // [ "TLS_AES_128_GCM_SHA256" ]
 * ```
 */
export function createLeanProvider(options: WebCryptoProviderOptions = {}): WebCryptoProvider {
  const sha256 = nobleSha256();
  const suite = { name: "TLS_AES_128_GCM_SHA256", hash: sha256, keyLength: 16 } as const;
  const prompt = options.fallback?.suites.find(({ name }) => name === suite.name);
  return providerWith(options, { sha256 }, (platform) => [platformAesGcm(platform, suite, prompt)]);
}

function providerWith(
  options: WebCryptoProviderOptions,
  hashes: CryptoProvider["hashes"],
  suitesOn: (platform: WebCryptoPlatform) => readonly CipherSuite[],
): WebCryptoProvider {
  const { fallback, keyCacheSize = 256 } = options;
  if (!Number.isSafeInteger(keyCacheSize) || keyCacheSize < 0) {
    throw fault("ERR_TLS_OPTION", `keyCacheSize ${keyCacheSize}`);
  }
  const platform = new WebCryptoPlatform(options.subtle ?? globalThis.crypto.subtle, options.onFallback);
  const keys = new PublicKeyCache(keyCacheSize);
  const candidates = candidateGroups(platform, fallback, options.mlKem768 ?? fallback?.mlKem768);
  const groups: Group[] = [];
  const offer = () => {
    const offered = candidates.filter((group) => group.alternative !== undefined || platform.has(group.feature));
    groups.splice(0, groups.length, ...offered);
  };
  offer();
  platform.onKnown = offer;
  const canVerify = (key: KeyAlgorithm, algorithm: SignatureAlgorithm): boolean => {
    const feature = signatureFeature(key, algorithm);
    if (feature === undefined || !algorithmFits(algorithm, key)) return false;
    return platform.has(feature) === true || fallback?.canVerify(key, algorithm) === true;
  };
  return {
    name: "webcrypto",
    synchronous: false,
    random: platformRandom,
    hashes,
    // Not noble's order: large records are WebCrypto's, which has AES only.
    suites: [...suitesOn(platform), ...chaCha20(platform, fallback)],
    groups,
    verify: (key, algorithm, message, signature) =>
      verify(platform, keys, fallback, key, algorithm, message, signature),
    // An import of its own would be one more promise to wait for, and CertificateVerify imports the key anyway.
    ...(fallback?.usableKey && { usableKey: (key: PublicKey) => fallback.usableKey?.(key) ?? true }),
    canVerify,
    signer: (pkcs8) => platformSigner(platform, pkcs8, fallback && ((key) => fallback.signer(key))),
    fallbacks: platform.fallbacks,
    async warmup() {
      const lacking = await platform.probeAll();
      if (fallback === undefined) return;
      for (const [feature, reason] of lacking) platform.note(feature, reason);
      // Whatever the fallback builds before its first use, such as tables.
      const used = candidates.filter(({ feature }) => lacking.has(feature));
      await Promise.all(used.map(({ alternative }) => alternative?.generate()));
    },
  };
}

/** A group with what it needs of the platform and what stands in for it. */
interface PlatformGroup extends Group {
  readonly feature: Feature;
  readonly alternative: Group | undefined;
}

function candidateGroups(
  platform: WebCryptoPlatform,
  fallback: CryptoProvider | undefined,
  mlKem768: HybridOfX25519 | undefined,
): readonly PlatformGroup[] {
  const alternative = (name: Group["name"]) => fallback?.groups.find((group) => group.name === name);
  const ecdh = (name: Group["name"], curve: Curve) =>
    platformGroup(platform, alternative(name), {
      name,
      feature: `ECDH ${curve}`,
      algorithm: { name: "ECDH", namedCurve: curve },
      shareLength: 1 + 2 * COORDINATE_LENGTH[curve],
      secretLength: COORDINATE_LENGTH[curve],
    });
  const x25519 = platformGroup(platform, alternative("x25519"), {
    name: "x25519",
    feature: "X25519",
    algorithm: { name: "X25519" },
    shareLength: 32,
    secretLength: 32,
  });
  const groups = [x25519, ecdh("secp256r1", "P-256"), ecdh("secp384r1", "P-384"), ecdh("secp521r1", "P-521")];
  return mlKem768 === undefined ? groups : [hybrid(platform, x25519, mlKem768), ...groups];
}

/** ML-KEM is always a fallback; its X25519 is the platform's where it can be. */
function hybrid(platform: WebCryptoPlatform, x25519: PlatformGroup, mlKem768: HybridOfX25519): PlatformGroup {
  const { name, generate, encapsulate } = mlKem768(x25519);
  const noted = () => platform.note("ML-KEM-768", "WebCrypto has none");
  return {
    name,
    feature: x25519.feature,
    alternative: x25519.alternative,
    generate() {
      noted();
      return generate();
    },
    encapsulate(share) {
      noted();
      return encapsulate(share);
    },
  };
}

interface Agreement {
  readonly name: Group["name"];
  readonly feature: Feature;
  readonly algorithm: { readonly name: "X25519" } | { readonly name: "ECDH"; readonly namedCurve: Curve };
  /** In bytes, like `secretLength`. */
  readonly shareLength: number;
  readonly secretLength: number;
}

/** Diffie-Hellman in WebCrypto, what can run side by side doing so. */
function platformGroup(
  platform: WebCryptoPlatform,
  alternative: Group | undefined,
  { name, feature, algorithm, shareLength, secretLength }: Agreement,
): PlatformGroup {
  const generateKey = (subtle: SubtleCrypto) =>
    subtle.generateKey(algorithm, false, ["deriveBits"]) as Promise<CryptoKeyPair>;
  const exportShare = async (subtle: SubtleCrypto, { publicKey }: CryptoKeyPair) =>
    new Uint8Array(await subtle.exportKey("raw", publicKey));
  const importShare = (subtle: SubtleCrypto, share: Uint8Array) =>
    subtle.importKey("raw", source(share), algorithm, false, []);
  /** The platform can do this by now; what fails is the peer's share (RFC 8446 4.2.8.2, 7.4.2). */
  const derive = async (subtle: SubtleCrypto, { privateKey }: CryptoKeyPair, peer: () => Awaitable<CryptoKey>) => {
    let secret: Uint8Array;
    try {
      const how = { name: algorithm.name, public: await peer() };
      secret = new Uint8Array(await subtle.deriveBits(how, privateKey, 8 * secretLength));
    } catch (cause) {
      throw fault("ERR_TLS_ILLEGAL_PARAMETER", `not a valid share for ${name}`, { cause });
    }
    // RFC 7748 6.1. Not every WebCrypto has always checked.
    if (secret.every((byte) => byte === 0)) throw fault("ERR_TLS_ILLEGAL_PARAMETER", "a share of small order");
    return secret;
  };

  async function generate(subtle: SubtleCrypto): Promise<KeyShare> {
    const pair = await generateKey(subtle);
    return {
      publicKey: await exportShare(subtle, pair),
      async agree(share) {
        checkShare(name, share, shareLength);
        return derive(subtle, pair, () => importShare(subtle, share));
      },
    };
  }

  async function encapsulate(subtle: SubtleCrypto, share: Uint8Array): Promise<Encapsulation> {
    const [pair, peer] = await Promise.allSettled([generateKey(subtle), importShare(subtle, share)]);
    if (pair.status === "rejected") throw pair.reason;
    const [publicKey, sharedSecret] = await Promise.all([
      exportShare(subtle, pair.value),
      derive(subtle, pair.value, () => {
        if (peer.status === "rejected") throw peer.reason;
        return peer.value;
      }),
    ]);
    return { publicKey, sharedSecret };
  }

  return {
    name,
    feature,
    alternative,
    generate: () => platform.use(feature, generate, alternative && (() => alternative.generate())),
    async encapsulate(share) {
      checkShare(name, share, shareLength);
      return platform.use(
        feature,
        (subtle) => encapsulate(subtle, share),
        alternative && (() => alternative.encapsulate(share)),
      );
    },
  };
}

async function verify(
  platform: WebCryptoPlatform,
  keys: PublicKeyCache,
  fallback: CryptoProvider | undefined,
  key: PublicKey,
  algorithm: SignatureAlgorithm,
  message: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  const found = usable(keys, key);
  const kind = found?.algorithm;
  const feature = kind && algorithmFits(algorithm, kind) ? signatureFeature(kind, algorithm) : undefined;
  if (found === undefined || feature === undefined || !signatureLengthFits(found.algorithm, signature)) return false;
  const raw = kind?.type === "ec" ? ecdsaSignatureFromDer(signature, kind.curve) : signature;
  if (raw === undefined) return false;
  try {
    return await platform.use(
      feature,
      async (subtle) => {
        const handle = await importedKey(subtle, found, algorithm);
        if (handle === undefined) return false;
        return subtle.verify(signatureParameters(algorithm), handle, source(raw), source(message));
      },
      fallback?.canVerify(found.algorithm, algorithm)
        ? () => fallback.verify(key, algorithm, message, signature)
        : undefined,
    );
  } catch {
    // Nobody here can tell; `canVerify` said so, or WebCrypto chokes on this one key.
    return false;
  }
}

function usable(keys: PublicKeyCache, { spki }: PublicKey): UsableKey | undefined {
  try {
    return keys.find(spki);
  } catch (error) {
    if (error instanceof TlsError) return undefined;
    throw error;
  }
}

/** `undefined` for what WebCrypto calls no key: a point off the curve. */
async function importedKey(
  subtle: SubtleCrypto,
  key: UsableKey,
  algorithm: SignatureAlgorithm,
): Promise<CryptoKey | undefined> {
  try {
    return await key.handle(subtle, algorithm);
  } catch (error) {
    if (error instanceof Error && error.name === "DataError") return undefined;
    throw error;
  }
}

/** The fallback's, if there is one: half as much code again as AES-GCM, which everybody must have (RFC 8446 9.1). */
function chaCha20(platform: WebCryptoPlatform, fallback: CryptoProvider | undefined): readonly CipherSuite[] {
  const suite = fallback?.suites.find(({ name }) => name === "TLS_CHACHA20_POLY1305_SHA256");
  if (suite === undefined) return [];
  const aead = (key: Uint8Array) => {
    platform.note("ChaCha20-Poly1305", "WebCrypto has none");
    return suite.aead(key);
  };
  return [{ ...suite, aead }];
}
