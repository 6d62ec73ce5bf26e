/** Sealing and opening records, RFC 8446 5.2 to 5.5: nonces, padding, sequence numbers, limits. */
import { wipe } from "../bytes/bytes.ts";
import { ContentType } from "../codec/registry.ts";
import type { Aead, CipherSuite } from "../crypto/provider.ts";
import { fault } from "../errors.ts";
import { trafficKeys } from "../schedule/secrets.ts";
import { MAX_PLAINTEXT, RECORD_HEADER_LENGTH, type WireRecord } from "./framing.ts";

/** AEAD tag length of every TLS 1.3 suite here, in bytes. */
const TAG_LENGTH = 16;
/** Sequence numbers stay exact in a double; RFC 8446 5.3 would allow 2^64 - 1. */
const MAX_SEQUENCE = Number.MAX_SAFE_INTEGER;
/** Full-size records under one AES-GCM key, RFC 9846 5.5: 2^24.5. */
export const AES_GCM_RECORDS = Math.floor(2 ** 24.5);

/** How many records a key may protect before it must be updated. */
export function usageLimit(suite: CipherSuite): number {
  return suite.name === "TLS_CHACHA20_POLY1305_SHA256" ? MAX_SEQUENCE : AES_GCM_RECORDS;
}

/** What a record carries once it is opened. */
export interface OpenedRecord {
  readonly type: number;
  readonly content: Uint8Array;
  /** Bytes of zero padding. */
  readonly padding: number;
}

abstract class Direction {
  readonly suite: CipherSuite;
  protected readonly aead: Aead;
  readonly #iv: Uint8Array;
  readonly #nonce = new Uint8Array(12);
  #sequence = 0;

  /** @param secret - The traffic secret; not kept. */
  constructor(suite: CipherSuite, secret: Uint8Array) {
    this.suite = suite;
    const { key, iv } = trafficKeys(suite, secret);
    this.aead = suite.aead(key);
    this.#iv = iv;
  }

  /** Records processed under this key. */
  get records(): number {
    return this.#sequence;
  }

  /** RFC 8446 5.3: the sequence number, padded to the IV's length, XORed with the IV. */
  protected nonce(): Uint8Array {
    if (this.#sequence >= MAX_SEQUENCE) throw fault("ERR_TLS_RECORD_LIMIT", "sequence number");
    const nonce = this.#nonce;
    nonce.set(this.#iv);
    let rest = this.#sequence++;
    for (let i = 11; rest > 0; i--) {
      nonce[i] = (nonce[i] as number) ^ (rest & 0xff);
      rest = Math.floor(rest / 256);
    }
    return nonce;
  }

  wipe(): void {
    wipe(this.#iv, this.#nonce);
  }
}

/** Protects what this side sends in one epoch. */
export class RecordSealer extends Direction {
  /**
   * One whole TLSCiphertext record.
   *
   * @param padding - Zero bytes to add after the content type, RFC 8446 5.4.
   */
  seal(type: number, content: Uint8Array, padding = 0): Uint8Array {
    const inner = new Uint8Array(content.length + 1 + padding);
    inner.set(content);
    inner[content.length] = type;
    const length = inner.length + TAG_LENGTH;
    const header = Uint8Array.of(ContentType.codes.application_data, 3, 3, length >> 8, length & 0xff);
    const ciphertext = this.aead.seal(this.nonce(), header, inner);
    const record = new Uint8Array(RECORD_HEADER_LENGTH + length);
    record.set(header);
    record.set(ciphertext, RECORD_HEADER_LENGTH);
    return record;
  }
}

/** Opens what the peer sends in one epoch. */
export class RecordOpener extends Direction {
  /**
   * The content of a protected record.
   *
   * @throws TlsError `ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC`, `ERR_SSL_PACKET_LENGTH_TOO_LONG`, or
   * `ERR_SSL_UNEXPECTED_MESSAGE` when there is no content type at all (RFC 8446 5.4).
   */
  open(record: WireRecord): OpenedRecord {
    const { bytes, fragment } = record;
    const header = bytes.subarray(0, RECORD_HEADER_LENGTH);
    const inner = fragment.length < TAG_LENGTH ? undefined : this.aead.open(this.nonce(), header, fragment);
    if (inner === undefined) throw fault("ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC");
    let end = inner.length;
    while (end > 0 && inner[end - 1] === 0) end--;
    if (end === 0) throw fault("ERR_SSL_UNEXPECTED_MESSAGE", "a record of padding alone (RFC 8446 5.4)");
    // TLSInnerPlaintext is at most 2^14 + 1 bytes with its type and padding (RFC 8446 5.2, 5.4).
    if (inner.length > MAX_PLAINTEXT + 1)
      throw fault("ERR_SSL_PACKET_LENGTH_TOO_LONG", `${inner.length} bytes of plaintext`);
    return { type: inner[end - 1] as number, content: inner.subarray(0, end - 1), padding: inner.length - end };
  }
}
