/** Cutting the byte stream into records and records into handshake messages, whatever the cuts (RFC 8446 5.1). */
import { latin1 } from "../bytes/bytes.ts";
import { HANDSHAKE_HEADER_LENGTH, type HandshakeMessage, messageName } from "../codec/messages.ts";
import { ContentType } from "../codec/registry.ts";
import { fault } from "../errors.ts";
import type { HandshakeName } from "../flow.ts";

const NOTHING = new Uint8Array(0);

/** Bytes of type, version and length before each record's fragment. */
export const RECORD_HEADER_LENGTH = 5;
/** RFC 8446 5.1 */
export const MAX_PLAINTEXT = 0x4000;
/** RFC 8446 5.2 */
export const MAX_CIPHERTEXT = MAX_PLAINTEXT + 256;

/** What a peer that speaks HTTP begins with. */
const HTTP_METHODS = ["GET ", "HEAD ", "POST ", "PUT ", "PATCH ", "DELETE ", "OPTIONS ", "CONNECT ", "PRI ", "TRACE "];

/** A record as it was on the wire; both arrays are views. */
export interface WireRecord {
  readonly type: number;
  /** The whole record: header and fragment. The header is the AEAD's additional data. */
  readonly bytes: Uint8Array;
  readonly fragment: Uint8Array;
}

/** A byte queue in one growing buffer: linear however small the pieces that come in. */
class ByteQueue {
  #own: Uint8Array = NOTHING;
  /** What `view` looks at: `#own`, or bytes on loan. */
  #source: Uint8Array = this.#own;
  #start = 0;
  #end = 0;

  get length(): number {
    return this.#end - this.#start;
  }

  /** What is queued, as a view that the next `push` may overwrite. */
  get view(): Uint8Array {
    return this.#source.subarray(this.#start, this.#end);
  }

  push(bytes: Uint8Array): void {
    this.keep();
    if (this.#start === this.#end) this.#start = this.#end = 0;
    if (this.#end + bytes.length > this.#own.length) this.#makeRoom(bytes.length);
    this.#own.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  /** Queues `bytes` without copying them where nothing else is queued; good until `keep`. */
  lend(bytes: Uint8Array): void {
    if (this.length > 0) {
      this.push(bytes);
      return;
    }
    this.#source = bytes;
    this.#start = 0;
    this.#end = bytes.length;
  }

  /** Copies what is left of bytes on loan. */
  keep(): void {
    if (this.#source === this.#own) return;
    const rest = this.view;
    this.#source = this.#own;
    this.#start = this.#end = 0;
    if (rest.length > 0) this.push(rest);
  }

  drop(count: number): void {
    this.#start += count;
  }

  #makeRoom(count: number): void {
    const queued = this.view;
    const needed = queued.length + count;
    const target =
      2 * needed > this.#own.length ? new Uint8Array(Math.max(512, needed, 2 * this.#own.length)) : this.#own;
    target.set(queued);
    this.#own = this.#source = target;
    this.#start = 0;
    this.#end = queued.length;
  }
}

/** Collects bytes until whole records are there. Holds what it is given; its user bounds how much that is. */
export class RecordReader {
  readonly #queue = new ByteQueue();
  #first = true;

  /** Bytes held that no record has used yet. */
  get buffered(): number {
    return this.#queue.length;
  }

  /** @param bytes - Looked at in place until {@link RecordReader.keep}. */
  push(bytes: Uint8Array): void {
    this.#queue.lend(bytes);
  }

  /** Copies what no record has used yet of the bytes pushed last, whose owner may change them afterwards. */
  keep(): void {
    this.#queue.keep();
  }

  /**
   * The next whole record, if it is there, as views that hold until the next `push` or `keep`. The legacy version is ignored (RFC 8446 5.1).
   *
   * @param protectedOnly - True once the peer's records are protected: then a longer fragment is allowed.
   * @throws TlsError for a content type that TLS 1.3 does not have, or a record that is too long.
   */
  next(protectedOnly: boolean): WireRecord | undefined {
    const available = this.#queue.view;
    if (available.length === 0) return undefined;
    const type = available[0] as number;
    if (ContentType.name(type) === undefined) {
      if (this.#first && mayBecomeHttp(available)) return undefined;
      throw this.#notTls(type);
    }
    if (available.length < RECORD_HEADER_LENGTH) return undefined;
    const length = ((available[3] as number) << 8) | (available[4] as number);
    const isProtected = protectedOnly && type === ContentType.codes.application_data;
    if (length > (isProtected ? MAX_CIPHERTEXT : MAX_PLAINTEXT)) {
      throw fault("ERR_SSL_PACKET_LENGTH_TOO_LONG", `${length} bytes`);
    }
    const end = RECORD_HEADER_LENGTH + length;
    if (end > available.length) return undefined;
    this.#queue.drop(end);
    this.#first = false;
    return { type, bytes: available.subarray(0, end), fragment: available.subarray(RECORD_HEADER_LENGTH, end) };
  }

  #notTls(type: number): Error {
    const start = latin1(this.#queue.view.subarray(0, 8));
    if (this.#first && HTTP_METHODS.some((method) => start.startsWith(method))) {
      return fault("ERR_SSL_HTTP_REQUEST");
    }
    if (this.#first) return fault("ERR_SSL_WRONG_VERSION_NUMBER", `its first byte is ${type}`);
    return fault("ERR_SSL_UNEXPECTED_MESSAGE", `record type ${type} does not exist (RFC 8446 5)`);
  }
}

/** True for the beginning of an HTTP method that is not there whole yet. */
function mayBecomeHttp(available: Uint8Array): boolean {
  const start = latin1(available.subarray(0, 8));
  return HTTP_METHODS.some((method) => method.length > start.length && method.startsWith(start));
}

/** Joins handshake fragments into messages and keeps count of what is left over at a key change. */
export class HandshakeReader {
  readonly #limit: number;
  readonly #queue = new ByteQueue();

  /** @param limit - The longest message body accepted, in bytes. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Bytes of handshake messages, partial or whole, that nobody has taken yet. */
  get buffered(): number {
    return this.#queue.length;
  }

  /** @param fragment - The content of a handshake record; copied. */
  push(fragment: Uint8Array): void {
    this.#queue.push(fragment);
  }

  /**
   * The next whole message, if it is there, in memory of its own.
   *
   * @throws TlsError for an unknown type or a message beyond the limit, as soon as its header says so.
   */
  next(): HandshakeMessage | undefined {
    const queued = this.#queue.view;
    if (queued.length === 0) return undefined;
    const type = queued[0] as number;
    if (messageName(type, NOTHING) === undefined) throw fault("ERR_SSL_UNEXPECTED_MESSAGE", `handshake type ${type}`);
    if (queued.length < HANDSHAKE_HEADER_LENGTH) return undefined;
    const length = ((queued[1] as number) << 16) | ((queued[2] as number) << 8) | (queued[3] as number);
    if (length > this.#limit) throw fault("ERR_SSL_EXCESSIVE_MESSAGE_SIZE", `type ${type} of ${length} bytes`);
    const end = HANDSHAKE_HEADER_LENGTH + length;
    if (queued.length < end) return undefined;
    const bytes = queued.slice(0, end);
    this.#queue.drop(end);
    const body = bytes.subarray(HANDSHAKE_HEADER_LENGTH);
    return { type: messageName(type, body) as HandshakeName, bytes, body };
  }
}
