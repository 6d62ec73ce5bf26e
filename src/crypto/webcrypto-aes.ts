/**
 * AES-GCM in WebCrypto, which copies what it is given in the call (Web Cryptography API 14.3), so that callers may go on
 * with their memory at once.
 */
import type { Aead, BulkAead, CipherSuite, LateAead } from "./provider.ts";
import { source, type WebCryptoPlatform } from "./webcrypto-platform.ts";

/** Plaintext bytes from which WebCrypto is faster than noble, measured with eight records in flight. */
const BULK_THRESHOLD = 4096;

/**
 * A suite over the platform's AES-GCM.
 *
 * @param prompt - The same suite without the platform: does what is small, and whatever the platform cannot. Where there is
 * none, every record is the platform's.
 */
export function platformAesGcm(
  platform: WebCryptoPlatform,
  suite: Omit<CipherSuite, "aead">,
  prompt: CipherSuite | undefined,
): CipherSuite {
  return {
    ...suite,
    aead(key) {
      const aead = prompt?.aead(key);
      const late = () => lateAead(platform, key, aead);
      if (aead === undefined || aead.late) return late();
      if (platform.has("AES-GCM") === false) return aead;
      const bulk: BulkAead = { ...late(), threshold: BULK_THRESHOLD };
      return { ...aead, bulk };
    },
  };
}

function lateAead(platform: WebCryptoPlatform, key: Uint8Array, alternative: Aead | undefined): LateAead {
  let imported: Promise<CryptoKey> | undefined;
  /** Once the platform has shown that it can, records go to it in the call that brings them. */
  let proven: { readonly subtle: SubtleCrypto; readonly handle: CryptoKey } | undefined;
  const first = <T>(
    operation: (subtle: SubtleCrypto, handle: CryptoKey) => Promise<T>,
    otherwise: ((alternative: Aead) => T | Promise<T>) | undefined,
  ): Promise<T> =>
    platform.use(
      "AES-GCM",
      async (subtle) => {
        imported ??= subtle.importKey("raw", source(key), "AES-GCM", false, ["encrypt", "decrypt"]);
        const handle = await imported;
        const result = await operation(subtle, handle);
        proven = { subtle, handle };
        return result;
      },
      alternative && otherwise && (() => otherwise(alternative)),
    );
  return {
    late: true,
    seal(nonce, additionalData, plaintext) {
      if (proven !== undefined) return encrypt(proven.subtle, proven.handle, nonce, additionalData, plaintext);
      const own = [nonce.slice(), additionalData.slice(), plaintext.slice()] as const;
      return first(
        (subtle, handle) => encrypt(subtle, handle, ...own),
        (aead) => aead.seal(...own),
      );
    },
    open(nonce, additionalData, ciphertext) {
      if (proven !== undefined) return decrypt(proven.subtle, proven.handle, nonce, additionalData, ciphertext);
      const own = [nonce.slice(), additionalData.slice(), ciphertext.slice()] as const;
      return first(
        (subtle, handle) => decrypt(subtle, handle, ...own),
        (aead) => aead.open(...own),
      );
    },
  };
}

function encrypt(
  subtle: SubtleCrypto,
  handle: CryptoKey,
  nonce: Uint8Array,
  additionalData: Uint8Array,
  plaintext: Uint8Array,
): Promise<Uint8Array> {
  return subtle.encrypt(parameters(nonce, additionalData), handle, source(plaintext)).then(bytes);
}

function decrypt(
  subtle: SubtleCrypto,
  handle: CryptoKey,
  nonce: Uint8Array,
  additionalData: Uint8Array,
  ciphertext: Uint8Array,
): Promise<Uint8Array | undefined> {
  return subtle.decrypt(parameters(nonce, additionalData), handle, source(ciphertext)).then(bytes, unopened);
}

function parameters(nonce: Uint8Array, additionalData: Uint8Array): AesGcmParams {
  return { name: "AES-GCM", iv: source(nonce), additionalData: source(additionalData), tagLength: 128 };
}

function bytes(buffer: ArrayBuffer): Uint8Array {
  return new Uint8Array(buffer);
}

/** A tag that does not match is an OperationError, and nothing else is. */
function unopened(error: unknown): undefined {
  if (error instanceof Error && error.name === "OperationError") return undefined;
  throw error;
}
