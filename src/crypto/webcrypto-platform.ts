/**
 * What a runtime's WebCrypto can do, found out by trying with keys of our own: once for each provider, and never by
 * what a peer's key or signature did, lest a peer moves everybody to the slower way.
 *
 * Seen in the wild: X25519 and Ed25519 unknown (older Chromium, Deno), X25519 that generates but does not derive (Bun
 * 1.2), P-521 that generates but does not export (Deno), no `subtle` at all (pages without https).
 */
import { fault, TlsError } from "../errors.ts";
import type { Awaitable } from "../flow.ts";

/** What a platform may lack, one at a time. */
export type Feature =
  | "X25519"
  | `ECDH ${"P-256" | "P-384" | "P-521"}`
  | `ECDSA ${"P-256" | "P-384" | "P-521"}`
  | "Ed25519"
  | "RSA-PSS"
  | "RSASSA-PKCS1-v1_5"
  | "AES-GCM";

type AgreementParameters = { readonly name: "X25519" } | { readonly name: "ECDH"; readonly namedCurve: string };
type SignatureParameters = { readonly name: "Ed25519" } | { readonly name: "ECDSA"; readonly namedCurve: string };

interface Capability {
  /** True for what every runtime has: assumed until an operation fails. The others are tried out before first use. */
  readonly everywhere: boolean;
  /** Does with keys of its own all that the provider will do. Rejects, or throws, where that is not possible. */
  readonly probe: (subtle: SubtleCrypto) => Promise<void>;
}

const agreement = (everywhere: boolean, parameters: AgreementParameters, bits: number): Capability => ({
  everywhere,
  async probe(subtle) {
    const { privateKey, publicKey } = (await subtle.generateKey(parameters, false, ["deriveBits"])) as CryptoKeyPair;
    const raw = await subtle.exportKey("raw", publicKey);
    const peer = await subtle.importKey("raw", raw, parameters, false, []);
    await subtle.deriveBits({ name: parameters.name, public: peer }, privateKey, bits);
  },
});

const signature = (everywhere: boolean, parameters: SignatureParameters): Capability => ({
  everywhere,
  async probe(subtle) {
    const usages = ["sign", "verify"] as const;
    const { privateKey, publicKey } = (await subtle.generateKey(parameters, false, usages)) as CryptoKeyPair;
    const raw = await subtle.exportKey("raw", publicKey);
    const key = await subtle.importKey("raw", raw, parameters, false, ["verify"]);
    const how = { name: parameters.name, hash: "SHA-256" };
    const message = Uint8Array.of(1);
    if (await subtle.verify(how, key, await subtle.sign(how, privateKey, message), message)) return;
    throw new Error("it does not verify its own signature");
  },
});

/** Making an RSA key to try takes a tenth of a second and more; every platform has had RSA from the start. */
const rsa: Capability = { everywhere: true, probe: async () => {} };

const CAPABILITIES: { readonly [Name in Feature]: Capability } = {
  X25519: agreement(false, { name: "X25519" }, 256),
  "ECDH P-256": agreement(true, { name: "ECDH", namedCurve: "P-256" }, 256),
  "ECDH P-384": agreement(true, { name: "ECDH", namedCurve: "P-384" }, 384),
  "ECDH P-521": agreement(false, { name: "ECDH", namedCurve: "P-521" }, 528),
  "ECDSA P-256": signature(true, { name: "ECDSA", namedCurve: "P-256" }),
  "ECDSA P-384": signature(true, { name: "ECDSA", namedCurve: "P-384" }),
  "ECDSA P-521": signature(false, { name: "ECDSA", namedCurve: "P-521" }),
  Ed25519: signature(false, { name: "Ed25519" }),
  "RSA-PSS": rsa,
  "RSASSA-PKCS1-v1_5": rsa,
  "AES-GCM": {
    everywhere: true,
    async probe(subtle) {
      for (const length of [16, 32]) {
        const key = await subtle.importKey("raw", new Uint8Array(length), "AES-GCM", false, ["encrypt", "decrypt"]);
        const how = { name: "AES-GCM", iv: new Uint8Array(12), additionalData: new Uint8Array(5), tagLength: 128 };
        await subtle.decrypt(how, key, await subtle.encrypt(how, key, new Uint8Array(1)));
      }
    },
  },
};

const FEATURES = Object.keys(CAPABILITIES) as Feature[];

/** Told when something first goes to the fallback: what, and why. */
export type FallbackListener = (operation: string, reason: string) => void;

/** One provider's view of its platform. */
export class WebCryptoPlatform {
  /** `operation: reason`, each operation once. */
  readonly fallbacks: string[] = [];
  /** Called whenever the platform has shown that it has a feature, or lacks it. */
  onKnown: () => void = () => {};
  readonly #subtle: SubtleCrypto | undefined;
  readonly #onFallback: FallbackListener | undefined;
  readonly #noted = new Set<string>();
  readonly #probes = new Map<Feature, Promise<string | undefined>>();
  /** Why each feature is lacking; `undefined` for one that is there. */
  readonly #known = new Map<Feature, string | undefined>();

  constructor(subtle: SubtleCrypto | undefined, onFallback: FallbackListener | undefined) {
    this.#subtle = subtle;
    this.#onFallback = onFallback;
  }

  /** What is known now, or may be assumed: `undefined` when only a probe can tell. */
  has(feature: Feature): boolean | undefined {
    if (this.#subtle === undefined) return false;
    if (this.#known.has(feature)) return this.#known.get(feature) === undefined;
    return CAPABILITIES[feature].everywhere ? true : undefined;
  }

  /**
   * The result of `native`, or of `alternative` where the platform lacks the feature or fails at this one operation.
   *
   * @param native - A TlsError from it is its answer; anything else says that the platform cannot do this.
   * @throws TlsError `ERR_TLS_OPTION` when the platform lacks the feature and there is no alternative; without one, also
   * what `native` throws.
   */
  async use<T>(
    feature: Feature,
    native: (subtle: SubtleCrypto) => Promise<T>,
    alternative: (() => Awaitable<T>) | undefined,
  ): Promise<T> {
    let reason = this.has(feature) === true ? undefined : await this.probe(feature);
    if (reason === undefined) {
      try {
        return await native(this.#subtle as SubtleCrypto);
      } catch (error) {
        if (error instanceof TlsError) throw error;
        const lack = await this.probe(feature);
        if (alternative === undefined && lack === undefined) throw error;
        reason = lack ?? describe(error);
      }
    }
    if (alternative === undefined) throw fault("ERR_TLS_OPTION", `no ${feature} here: ${reason}`);
    this.note(feature, reason);
    return alternative();
  }

  /** Tries a feature out, once. @returns Why the platform lacks it, if it does. */
  probe(feature: Feature): Promise<string | undefined> {
    let probe = this.#probes.get(feature);
    if (probe === undefined) {
      probe = this.#try(feature);
      this.#probes.set(feature, probe);
    }
    return probe;
  }

  /** Tries everything out. @returns What is lacking, with the reasons. */
  async probeAll(): Promise<ReadonlyMap<Feature, string>> {
    const lacking = new Map<Feature, string>();
    for (const [feature, lack] of await Promise.all(
      FEATURES.map(async (name) => [name, await this.probe(name)] as const),
    )) {
      if (lack !== undefined) lacking.set(feature, lack);
    }
    return lacking;
  }

  /** Remembers that an operation goes to the fallback, and tells the listener, the first time. */
  note(operation: string, reason: string): void {
    if (this.#noted.has(operation)) return;
    this.#noted.add(operation);
    this.fallbacks.push(`${operation}: ${reason}`);
    const listener = this.#onFallback;
    // Not inside the handshake: this is user code, and what it throws is the user's to see.
    if (listener !== undefined) queueMicrotask(() => listener(operation, reason));
  }

  async #try(feature: Feature): Promise<string | undefined> {
    let lack: string | undefined;
    try {
      if (this.#subtle === undefined) lack = NO_SUBTLE;
      else await CAPABILITIES[feature].probe(this.#subtle);
    } catch (error) {
      lack = describe(error);
    }
    this.#known.set(feature, lack);
    this.onKnown();
    return lack;
  }
}

const NO_SUBTLE = "no crypto.subtle; pages have it in secure contexts (https) only";

function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

/**
 * The same bytes as WebCrypto takes them: memory that is shared between threads it refuses.
 */
export function source(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes.buffer instanceof ArrayBuffer ? (bytes as Uint8Array<ArrayBuffer>) : new Uint8Array(bytes);
}
