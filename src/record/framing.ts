/** Cutting the byte stream into records and records into handshake messages, whatever the cuts (RFC 8446 5.1). */
import { concat, latin1 } from "../bytes/bytes.ts";
import { HANDSHAKE_HEADER_LENGTH, type HandshakeMessage } from "../codec/messages.ts";
import { ContentType, HandshakeType } from "../codec/registry.ts";
import { fault } from "../errors.ts";

/** Bytes of type, version and length before each record's fragment. */
export const RECORD_HEADER_LENGTH = 5;
/** RFC 8446 5.1 */
export const MAX_PLAINTEXT = 0x4000;
/** RFC 8446 5.2 */
export const MAX_CIPHERTEXT = MAX_PLAINTEXT + 256;

/** A record as it was on the wire; both arrays are views. */
export interface WireRecord {
  readonly type: number;
  /** The whole record: header and fragment. The header is the AEAD's additional data. */
  readonly bytes: Uint8Array;
  readonly fragment: Uint8Array;
}

/** Collects bytes until whole records are there. Holds what it is given; its user bounds how much that is. */
export class RecordReader {
  #buffer = new Uint8Array(0) as Uint8Array;
  #position = 0;
  #first = true;

  /** Bytes held that no record has used yet. */
  get buffered(): number {
    return this.#buffer.length - this.#position;
  }

  /** @param bytes - Copied. */
  push(bytes: Uint8Array): void {
    this.#buffer = this.buffered === 0 ? bytes.slice() : concat(this.#buffer.subarray(this.#position), bytes);
    this.#position = 0;
  }

  /**
   * The next whole record, if it is there. The legacy version is ignored (RFC 8446 5.1).
   *
   * @param protectedOnly - True once the peer's records are protected: then a longer fragment is allowed.
   * @throws TlsError for a content type that TLS 1.3 does not have, or a record that is too long.
   */
  next(protectedOnly: boolean): WireRecord | undefined {
    const available = this.buffered;
    if (available === 0) return undefined;
    const at = this.#position;
    const type = this.#buffer[at] as number;
    if (ContentType.name(type) === undefined) throw this.#notTls(type);
    if (available < RECORD_HEADER_LENGTH) return undefined;
    const length = ((this.#buffer[at + 3] as number) << 8) | (this.#buffer[at + 4] as number);
    const isProtected = protectedOnly && type === ContentType.codes.application_data;
    if (length > (isProtected ? MAX_CIPHERTEXT : MAX_PLAINTEXT)) {
      throw fault("ERR_SSL_PACKET_LENGTH_TOO_LONG", `${length} bytes`);
    }
    const end = at + RECORD_HEADER_LENGTH + length;
    if (end > this.#buffer.length) return undefined;
    this.#position = end;
    this.#first = false;
    return { type, bytes: this.#buffer.subarray(at, end), fragment: this.#buffer.subarray(at + RECORD_HEADER_LENGTH, end) };
  }

  #notTls(type: number): Error {
    const start = latin1(this.#buffer.subarray(this.#position, this.#position + 8));
    if (this.#first && /^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|CONNECT|PRI|TRACE) ?/.test(start)) {
      return fault("ERR_SSL_HTTP_REQUEST");
    }
    if (this.#first) return fault("ERR_SSL_WRONG_VERSION_NUMBER", `its first byte is ${type}`);
    return fault("ERR_SSL_UNEXPECTED_MESSAGE", `record type ${type} does not exist (RFC 8446 5)`);
  }
}

/** Joins handshake fragments into messages and keeps count of what is left over at a key change. */
export class HandshakeReader {
  readonly #limit: number;
  #buffer = new Uint8Array(0) as Uint8Array;

  /** @param limit - The longest message body accepted, in bytes. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Bytes of handshake messages, partial or whole, that nobody has taken yet. */
  get buffered(): number {
    return this.#buffer.length;
  }

  /** @param fragment - The content of a handshake record; copied. */
  push(fragment: Uint8Array): void {
    this.#buffer = this.#buffer.length === 0 ? fragment.slice() : concat(this.#buffer, fragment);
  }

  /**
   * The next whole message, if it is there. Views into memory that nobody writes to again.
   *
   * @throws TlsError for an unknown type or a message beyond the limit, as soon as its header says so.
   */
  next(): HandshakeMessage | undefined {
    const buffer = this.#buffer;
    if (buffer.length === 0) return undefined;
    const type = HandshakeType.name(buffer[0] as number);
    // message_hash never appears on the wire (RFC 8446 4.4.1).
    if (type === undefined || type === "message_hash") {
      throw fault("ERR_SSL_UNEXPECTED_MESSAGE", `handshake type ${buffer[0]}`);
    }
    if (buffer.length < HANDSHAKE_HEADER_LENGTH) return undefined;
    const length = ((buffer[1] as number) << 16) | ((buffer[2] as number) << 8) | (buffer[3] as number);
    if (length > this.#limit) throw fault("ERR_SSL_EXCESSIVE_MESSAGE_SIZE", `${type} of ${length} bytes`);
    const end = HANDSHAKE_HEADER_LENGTH + length;
    if (buffer.length < end) return undefined;
    this.#buffer = buffer.subarray(end);
    return { type, bytes: buffer.subarray(0, end), body: buffer.subarray(HANDSHAKE_HEADER_LENGTH, end) };
  }
}
