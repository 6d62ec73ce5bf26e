/**
 * The key schedule of RFC 8446 7.1 as a chain of types: Early, Handshake, Main. A stage is left by the method that gives
 * the next one and wipes itself, so secrets in the wrong order do not compile and spent ones do not linger.
 */
import { wipe } from "../bytes/bytes.ts";
import type { CipherSuite, Hash } from "../crypto/provider.ts";
import { deriveSecret, hkdfExpandLabel, hkdfExtract } from "./hkdf.ts";

const NONE = new Uint8Array(0);

/** Key and IV of one direction in one epoch, RFC 8446 7.3. */
export interface TrafficKeys {
  readonly key: Uint8Array;
  /** 12 bytes. */
  readonly iv: Uint8Array;
}

/** Secrets that whoever runs a handshake wipes when it ends, however it ends. */
export type Held = { wipe(): void }[];

/** Derives key and IV from a traffic secret, RFC 8446 7.3. */
export function trafficKeys(suite: CipherSuite, secret: Uint8Array): TrafficKeys {
  return {
    key: hkdfExpandLabel(suite.hash, secret, "key", NONE, suite.keyLength),
    iv: hkdfExpandLabel(suite.hash, secret, "iv", NONE, 12),
  };
}

/** The traffic secret after a KeyUpdate, RFC 8446 7.2. */
export function nextTrafficSecret(hash: Hash, secret: Uint8Array): Uint8Array {
  return hkdfExpandLabel(hash, secret, "traffic upd", NONE, hash.length);
}

/** `verify_data` of Finished, RFC 8446 4.4.4. */
export function finishedVerifyData(hash: Hash, baseKey: Uint8Array, transcriptHash: Uint8Array): Uint8Array {
  const finishedKey = hkdfExpandLabel(hash, baseKey, "finished", NONE, hash.length);
  const verifyData = hash.hmac(finishedKey, transcriptHash);
  wipe(finishedKey);
  return verifyData;
}

/** What depends on nothing but the hash: no secrets. */
interface ScheduleConstants {
  /** The hash of no messages. */
  readonly emptyHash: Uint8Array;
  /** What Early Secret without a PSK leaves to the Handshake Secret. */
  readonly salt: Uint8Array;
}

const CONSTANTS = new WeakMap<Hash, ScheduleConstants>();

function constantsOf(hash: Hash): ScheduleConstants {
  let constants = CONSTANTS.get(hash);
  if (constants === undefined) {
    const emptyHash = hash.digest(NONE);
    const earlySecret = hkdfExtract(hash, NONE, new Uint8Array(hash.length));
    constants = { emptyHash, salt: deriveSecret(hash, earlySecret, "derived", emptyHash) };
    CONSTANTS.set(hash, constants);
  }
  return constants;
}

/** The PSK that belongs to one ticket, RFC 8446 4.6.1. */
export function ticketPsk(hash: Hash, resumptionSecret: Uint8Array, nonce: Uint8Array): Uint8Array {
  return hkdfExpandLabel(hash, resumptionSecret, "resumption", nonce, hash.length);
}

/**
 * Keying material for the application, RFC 8446 7.5. No context is the same as an empty one.
 *
 * @param label - ASCII, 1 to 249 bytes.
 * @param length - In bytes, at most 255 times the hash's.
 */
export function exportKeyingMaterial(
  hash: Hash,
  exporterSecret: Uint8Array,
  label: string,
  context: Uint8Array,
  length: number,
): Uint8Array {
  const secret = deriveSecret(hash, exporterSecret, label, constantsOf(hash).emptyHash);
  const material = hkdfExpandLabel(hash, secret, "exporter", hash.digest(context), length);
  wipe(secret);
  return material.slice();
}

/** The first stage. */
export class EarlySecret {
  readonly #hash: Hash;
  /** Nothing without a PSK: then it is the same for everyone. */
  readonly #secret: Uint8Array | undefined;

  constructor(hash: Hash, preSharedKey?: Uint8Array) {
    this.#hash = hash;
    this.#secret = preSharedKey && hkdfExtract(hash, NONE, preSharedKey);
  }

  /**
   * The binder of this PSK, RFC 8446 4.2.11.2.
   *
   * @param label - By the origin of the key; the last one is RFC 9258 5.2's.
   * @param transcriptHash - Up to and including the identities of the ClientHello that carries the binder.
   */
  binder(label: "res binder" | "ext binder" | "imp binder", transcriptHash: Uint8Array): Uint8Array {
    const key = this.#derive(label, constantsOf(this.#hash).emptyHash);
    const binder = finishedVerifyData(this.#hash, key, transcriptHash);
    wipe(key);
    return binder;
  }

  /** `client_early_traffic_secret` and `early_exporter_secret`; the hash is of the ClientHello. */
  traffic(transcriptHash: Uint8Array): { readonly client: Uint8Array; readonly exporter: Uint8Array } {
    return {
      client: this.#derive("c e traffic", transcriptHash),
      exporter: this.#derive("e exp master", transcriptHash),
    };
  }

  wipe(): void {
    wipe(this.#secret);
  }

  #derive(label: string, transcriptHash: Uint8Array): Uint8Array {
    if (this.#secret === undefined) throw new Error("there is no pre-shared key");
    return deriveSecret(this.#hash, this.#secret, label, transcriptHash);
  }

  /** @param sharedSecret - From the key exchange; wiped. */
  handshake(sharedSecret: Uint8Array): HandshakeSecret {
    const hash = this.#hash;
    const { salt: standard, emptyHash } = constantsOf(hash);
    const salt = this.#secret === undefined ? standard : deriveSecret(hash, this.#secret, "derived", emptyHash);
    const next = new HandshakeSecret(hash, hkdfExtract(hash, salt, sharedSecret));
    wipe(this.#secret, sharedSecret);
    return next;
  }
}

/** The second stage, from the key exchange on. */
export class HandshakeSecret {
  readonly #hash: Hash;
  readonly #secret: Uint8Array;

  constructor(hash: Hash, secret: Uint8Array) {
    this.#hash = hash;
    this.#secret = secret;
  }

  /** `client_handshake_traffic_secret` and `server_handshake_traffic_secret`; the hash is of ClientHello…ServerHello. */
  traffic(transcriptHash: Uint8Array): { readonly client: Uint8Array; readonly server: Uint8Array } {
    return {
      client: deriveSecret(this.#hash, this.#secret, "c hs traffic", transcriptHash),
      server: deriveSecret(this.#hash, this.#secret, "s hs traffic", transcriptHash),
    };
  }

  main(): MainSecret {
    const salt = deriveSecret(this.#hash, this.#secret, "derived", constantsOf(this.#hash).emptyHash);
    const next = new MainSecret(this.#hash, hkdfExtract(this.#hash, salt, new Uint8Array(this.#hash.length)));
    wipe(this.#secret, salt);
    return next;
  }

  wipe(): void {
    wipe(this.#secret);
  }
}

/** The last stage; "master" in RFC 8446, "main" in RFC 9846. */
export class MainSecret {
  readonly #hash: Hash;
  readonly #secret: Uint8Array;

  constructor(hash: Hash, secret: Uint8Array) {
    this.#hash = hash;
    this.#secret = secret;
  }

  /** The first application traffic secrets and `exporter_secret`; the hash is of ClientHello…server Finished. */
  traffic(transcriptHash: Uint8Array): {
    readonly client: Uint8Array;
    readonly server: Uint8Array;
    readonly exporter: Uint8Array;
  } {
    return {
      client: deriveSecret(this.#hash, this.#secret, "c ap traffic", transcriptHash),
      server: deriveSecret(this.#hash, this.#secret, "s ap traffic", transcriptHash),
      exporter: deriveSecret(this.#hash, this.#secret, "exp master", transcriptHash),
    };
  }

  /** `resumption_secret`, which ends the schedule; the hash is of ClientHello…client Finished. */
  resumption(transcriptHash: Uint8Array): Uint8Array {
    const secret = deriveSecret(this.#hash, this.#secret, "res master", transcriptHash);
    wipe(this.#secret);
    return secret;
  }

  wipe(): void {
    wipe(this.#secret);
  }
}
