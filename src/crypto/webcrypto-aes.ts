/**
 * AES-GCM in WebCrypto, which copies what it is given in the call (Web Cryptography API 14.3), so that callers may go on
 * with their memory at once.
 */
import type { Awaitable } from "../flow.ts";
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

/** Nonce, additional data, and plaintext or ciphertext. */
type Given = readonly [Uint8Array, Uint8Array, Uint8Array];
type Operation<T> = (subtle: SubtleCrypto, handle: CryptoKey, ...given: Given) => Promise<T>;

function lateAead(platform: WebCryptoPlatform, key: Uint8Array, alternative: Aead | undefined): LateAead {
  let imported: Promise<CryptoKey> | undefined;
  /** Once the platform has shown that it can, records go to it in the call that brings them. */
  let proven: readonly [SubtleCrypto, CryptoKey] | undefined;
  const run = <T>(given: Given, operation: Operation<T>, otherwise: (aead: Aead, own: Given) => Awaitable<T>) => {
    if (proven !== undefined) return operation(...proven, ...given);
    const own = given.map((bytes) => new Uint8Array(bytes)) as unknown as Given;
    return platform.use(
      "AES-GCM",
      async (subtle) => {
        imported ??= subtle.importKey("raw", source(key), "AES-GCM", false, ["encrypt", "decrypt"]);
        const handle = await imported;
        const result = await operation(subtle, handle, ...own);
        proven = [subtle, handle];
        return result;
      },
      alternative && (() => otherwise(alternative, own)),
    );
  };
  return {
    late: true,
    seal: (...given) => run(given, encrypt, (aead, own) => aead.seal(...own)),
    open: (...given) => run(given, decrypt, (aead, own) => aead.open(...own)),
  };
}

const encrypt: Operation<Uint8Array> = (subtle, handle, nonce, additionalData, plaintext) =>
  subtle.encrypt(parameters(nonce, additionalData), handle, source(plaintext)).then(bytesOf);

const decrypt: Operation<Uint8Array | undefined> = (subtle, handle, nonce, additionalData, ciphertext) =>
  subtle.decrypt(parameters(nonce, additionalData), handle, source(ciphertext)).then(bytesOf, unopened);

function parameters(nonce: Uint8Array, additionalData: Uint8Array): AesGcmParams {
  return { name: "AES-GCM", iv: source(nonce), additionalData: source(additionalData), tagLength: 128 };
}

function bytesOf(buffer: ArrayBuffer): Uint8Array {
  return new Uint8Array(buffer);
}

/** A tag that does not match is an OperationError, and nothing else is. */
function unopened(error: unknown): undefined {
  if (error instanceof Error && error.name === "OperationError") return undefined;
  throw error;
}
