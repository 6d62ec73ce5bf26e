/** State that goes out to peers and comes back: sealed under keys that rotate, one fresh subkey for each piece. */
import { concat, utf8 } from "../bytes/bytes.ts";
import type { Aead, CryptoProvider } from "../crypto/provider.ts";
import { fault } from "../errors.ts";
import { type Awaitable, after } from "../flow.ts";

const KEY_LENGTH = 32;
const NAME_LENGTH = 8;
const SALT_LENGTH = 32;
const NONCE = new Uint8Array(12);

interface SealingKey {
  readonly name: Uint8Array;
  readonly key: Uint8Array;
  /** When it stops sealing and, later, opening: ms since the epoch. */
  readonly until: number;
}

/** How keys are made and how long they serve. */
export interface SealingOptions {
  /**
   * 32 bytes each, the same on every server that shares them: the first seals, all open. Then nothing rotates by itself.
   * Default: keys of this process.
   */
  readonly keys?: readonly Uint8Array[] | undefined;
  /** Seconds after which a key of this process is followed by the next. */
  readonly rotateAfter: number;
  /** Seconds for which what a key has sealed may still be opened. */
  readonly lifetime: number;
}

/** A ring of keys for one purpose; pieces for another purpose do not open. */
export class SealingKeys {
  readonly #purpose: Uint8Array;
  readonly #options: SealingOptions;
  #fixed: readonly Uint8Array[] | undefined;
  #ring: SealingKey[] = [];

  constructor(purpose: string, options: SealingOptions) {
    this.#purpose = utf8(purpose);
    this.#options = options;
    if (options.keys !== undefined) this.replace(options.keys);
  }

  /** @throws TlsError `ERR_TLS_OPTION` for keys of another length than 32 bytes, or none. */
  replace(keys: readonly Uint8Array[]): void {
    if (keys.length === 0 || keys.some((key) => key.length !== KEY_LENGTH)) {
      throw fault("ERR_TLS_OPTION", `keys must be ${KEY_LENGTH} bytes each, and one at least`);
    }
    this.#fixed = keys.map((key) => new Uint8Array(key));
    this.#ring = [];
  }

  seal(provider: CryptoProvider, plaintext: Uint8Array, now: number): Awaitable<Uint8Array> {
    const [key] = this.#current(provider, now, true);
    if (key === undefined) throw fault("ERR_TLS_INTERNAL", "no key to seal with");
    const header = concat(key.name, provider.random(SALT_LENGTH));
    const sealed = this.#aead(provider, key, header).seal(NONCE, header, plaintext);
    return after(sealed, (ciphertext) => concat(header, ciphertext));
  }

  /** What was sealed; `undefined` when it was not, or under a key that is gone. */
  open(provider: CryptoProvider, sealed: Uint8Array, now: number): Awaitable<Uint8Array | undefined> {
    const headerLength = NAME_LENGTH + SALT_LENGTH;
    if (sealed.length < headerLength + 16) return undefined;
    const header = sealed.subarray(0, headerLength);
    const key = this.#current(provider, now, false).find(({ name }) => name.every((byte, i) => byte === header[i]));
    return key && this.#aead(provider, key, header).open(NONCE, header, sealed.subarray(headerLength));
  }

  /** The keys in force, the one that seals first. */
  #current(provider: CryptoProvider, now: number, sealing: boolean): readonly SealingKey[] {
    if (this.#fixed !== undefined) {
      if (this.#ring.length === 0) this.#ring = this.#fixed.map((key) => this.#named(provider, key, 0));
      return this.#ring;
    }
    const { rotateAfter, lifetime } = this.#options;
    this.#ring = this.#ring.filter(({ until }) => now < until + 1000 * lifetime);
    if (sealing && (this.#ring[0] === undefined || now >= this.#ring[0].until)) {
      this.#ring.unshift(this.#named(provider, provider.random(KEY_LENGTH), now + 1000 * rotateAfter));
    }
    return this.#ring;
  }

  #named(provider: CryptoProvider, key: Uint8Array, until: number): SealingKey {
    const name = provider.hashes.sha256.hmac(key, concat(this.#purpose, utf8(" name"))).slice(0, NAME_LENGTH);
    return { name, key, until };
  }

  #aead(provider: CryptoProvider, { key }: SealingKey, header: Uint8Array): Aead {
    // One that every provider has, so that servers with different ones can share keys.
    const suite = provider.suites.find(({ name }) => name === "TLS_AES_256_GCM_SHA384");
    if (suite === undefined) throw fault("ERR_TLS_OPTION", `provider ${provider.name} has no AES-256-GCM to seal with`);
    return suite.aead(provider.hashes.sha256.hmac(key, concat(this.#purpose, header)));
  }
}
