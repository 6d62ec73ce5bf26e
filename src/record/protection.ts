/** Sealing and opening records, RFC 8446 5.2 to 5.5: nonces, padding, sequence numbers, limits. */
import { wipe } from "../bytes/bytes.ts";
import { ContentType } from "../codec/registry.ts";
import type { CipherSuite, LateAead, PromptAead } from "../crypto/provider.ts";
import { fault } from "../errors.ts";
import { trafficKeys } from "../schedule/secrets.ts";
import { MAX_PLAINTEXT, RECORD_HEADER_LENGTH, type WireRecord } from "./framing.ts";

/** AEAD tag length of every TLS 1.3 suite but the one whose name has an 8, in bytes. */
const TAG_LENGTH = 16;
/** Puts what follows the header on a word boundary, where noble's ciphers are faster. */
const ALIGNMENT = 3;
/** Sequence numbers stay exact in a double; RFC 8446 5.3 would allow 2^64 - 1. */
const MAX_SEQUENCE = Number.MAX_SAFE_INTEGER;
/** Full-size records under one AES-GCM key, RFC 9846 5.5: 2^24.5. */
const AES_GCM_RECORDS = Math.floor(2 ** 24.5);
/** RFC 9001 6.6; TLS itself names none. */
const AES_CCM_RECORDS = Math.floor(2 ** 21.5);

/** How many records a key may protect before it must be updated. */
export function usageLimit(suite: CipherSuite): number {
  if (suite.name === "TLS_CHACHA20_POLY1305_SHA256") return MAX_SEQUENCE;
  return suite.name.includes("CCM") ? AES_CCM_RECORDS : AES_GCM_RECORDS;
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
  readonly #prompt: PromptAead | undefined;
  readonly #late: LateAead | undefined;
  /** Bytes of application data from which the asynchronous way is the faster one; infinite where there is none. */
  readonly #threshold: number;
  protected readonly tagLength: number;
  readonly #iv: Uint8Array;
  readonly #nonce = new Uint8Array(12);
  #sequence = 0;

  /** @param secret - The traffic secret; not kept. */
  constructor(suite: CipherSuite, secret: Uint8Array) {
    this.suite = suite;
    const { key, iv } = trafficKeys(suite, secret);
    const aead = suite.aead(key);
    this.#prompt = aead.late ? undefined : aead;
    this.#late = aead.late ? aead : aead.bulk;
    this.#threshold = aead.late ? 0 : (aead.bulk?.threshold ?? Number.POSITIVE_INFINITY);
    this.tagLength = suite.tagLength ?? TAG_LENGTH;
    this.#iv = iv;
  }

  /** Records processed under this key. */
  get records(): number {
    return this.#sequence;
  }

  /**
   * Whether a record is protected later.
   *
   * @param isData - It holds application data, as far as its outside tells.
   */
  isLate(isData: boolean, length: number): boolean {
    return this.#prompt === undefined || (isData && length >= this.#threshold);
  }

  protected get prompt(): PromptAead {
    return half(this.#prompt);
  }

  protected get late(): LateAead {
    return half(this.#late);
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

  /** The last record was none of this epoch's: its nonce is the next one's. */
  forget(): void {
    this.#sequence--;
  }

  wipe(): void {
    wipe(this.#iv, this.#nonce);
  }
}

function half<T>(there: T | undefined): T {
  if (there === undefined) throw fault("ERR_TLS_INTERNAL", "an AEAD was asked for what it has not");
  return there;
}

/** Protects what this side sends in one epoch. */
export class RecordSealer extends Direction {
  /**
   * One whole TLSCiphertext record.
   *
   * @param padding - Zero bytes to add after the content type, RFC 8446 5.4.
   */
  seal(type: number, content: Uint8Array, padding = 0): Uint8Array {
    const record = unsealed(type, content, padding, this.tagLength);
    const target = record.subarray(RECORD_HEADER_LENGTH);
    this.prompt.seal(this.nonce(), headerOf(record), target.subarray(0, -this.tagLength), target);
    return record;
  }

  /** The same, later. The order of calls is that of the records on the wire. */
  async sealLater(type: number, content: Uint8Array, padding = 0): Promise<Uint8Array> {
    const record = unsealed(type, content, padding, this.tagLength);
    const plaintext = record.subarray(RECORD_HEADER_LENGTH, -this.tagLength);
    const sealed = await this.late.seal(this.nonce(), headerOf(record), plaintext);
    const wanted = plaintext.length + this.tagLength;
    // What it does not cover would go out in the clear.
    if (sealed.length !== wanted)
      throw fault("ERR_TLS_INTERNAL", `${sealed.length} bytes of ciphertext, not ${wanted}`);
    record.set(sealed, RECORD_HEADER_LENGTH);
    return record;
  }
}

/** Bytes of a record that carries `contentLength` bytes, header and tag included. */
export function sealedLength(contentLength: number, padding: number, tagLength = TAG_LENGTH): number {
  return RECORD_HEADER_LENGTH + contentLength + 1 + padding + tagLength;
}

/** A record with its plaintext in place and room for the tag. */
function unsealed(type: number, content: Uint8Array, padding: number, tagLength: number): Uint8Array {
  const total = sealedLength(content.length, padding, tagLength);
  const length = total - RECORD_HEADER_LENGTH;
  const record = new Uint8Array(ALIGNMENT + total).subarray(ALIGNMENT);
  record[0] = ContentType.codes.application_data;
  record[1] = record[2] = 3;
  record[3] = length >> 8;
  record[4] = length & 0xff;
  record.set(content, RECORD_HEADER_LENGTH);
  record[RECORD_HEADER_LENGTH + content.length] = type;
  return record;
}

function headerOf(record: Uint8Array): Uint8Array {
  return record.subarray(0, RECORD_HEADER_LENGTH);
}

/** Opens what the peer sends in one epoch. */
export class RecordOpener extends Direction {
  /** No time is needed to see that there is no tag. */
  override isLate(isData: boolean, length: number): boolean {
    return length >= this.tagLength && super.isLate(isData, length);
  }

  /** TLSInnerPlaintext (RFC 8446 5.2), or `undefined` where the record is not protected by this key. */
  unprotect({ bytes, fragment }: WireRecord): Uint8Array | undefined {
    const nonce = this.nonce();
    return fragment.length < this.tagLength ? undefined : this.prompt.open(nonce, headerOf(bytes), fragment);
  }

  /** The same, later. The order of calls is that of the records on the wire. */
  unprotectLater({ bytes, fragment }: WireRecord): Promise<Uint8Array | undefined> {
    return this.late.open(this.nonce(), headerOf(bytes), fragment);
  }
}

/**
 * What a protected record holds.
 *
 * @param inner - What an opener has made of it.
 * @throws TlsError `ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC`, `ERR_SSL_PACKET_LENGTH_TOO_LONG`, or
 * `ERR_SSL_UNEXPECTED_MESSAGE` when there is no content type at all (RFC 8446 5.4).
 */
export function openedRecord(inner: Uint8Array | undefined): OpenedRecord {
  if (inner === undefined) throw fault("ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC");
  let end = inner.length;
  while (end > 0 && inner[end - 1] === 0) end--;
  if (end === 0) throw fault("ERR_SSL_UNEXPECTED_MESSAGE", "a record of padding alone (RFC 8446 5.4)");
  // TLSInnerPlaintext is at most 2^14 + 1 bytes with its type and padding (RFC 8446 5.2, 5.4).
  if (inner.length > MAX_PLAINTEXT + 1)
    throw fault("ERR_SSL_PACKET_LENGTH_TOO_LONG", `${inner.length} bytes of plaintext`);
  return { type: inner[end - 1] as number, content: inner.subarray(0, end - 1), padding: inner.length - end };
}
