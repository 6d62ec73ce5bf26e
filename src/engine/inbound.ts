/** What records may bring, when, and how often: RFC 8446 5 and 6. Holds the plaintext until it is read. */
import { Alert } from "../codec/messages.ts";
import { AlertDescription, ContentType } from "../codec/registry.ts";
import { decode } from "../codec/schema.ts";
import { alertReceived, type CauseCode, fault, type Side, type TlsError } from "../errors.ts";
import type { InboundRecord, IncomingRecords } from "./incoming.ts";

/** Records without content and KeyUpdates that a peer may send in a row. */
const MAX_IN_A_ROW = 32;
/** user_canceled is said once, and close_notify follows (RFC 9846 6.1). */
const MAX_WARNINGS = 4;
/** What a queued chunk of plaintext counts besides its bytes: memory of a Uint8Array and its buffer. */
const CHUNK_COST = 128;
const { change_cipher_spec, alert, handshake, application_data } = ContentType.codes;

/** What a record meant to the connection as a whole. */
export type InboundOutcome = "nothing" | "data" | "early_data" | "closed";

export class Inbound {
  readonly #side: Side;
  readonly #records: IncomingRecords;
  readonly #highWaterMark: number;
  readonly #stateless: boolean;
  #plaintext: Uint8Array[] = [];
  /** Apart from the rest, because it may be a replay. */
  #earlyData: Uint8Array[] = [];
  #earlyRoom = 0;
  /** Of both queues. */
  #plaintextCost = 0;
  #empty = 0;
  #warnings = 0;
  #keyUpdates = 0;
  /** The peer's first handshake message has come. */
  peerHello = false;
  /** Messages that must follow each other are coming in: no data may stand between (RFC 8446 4.6.2). */
  dataBarred = false;

  /** @param stateless - The first ClientHello may have gone to another engine, and a change_cipher_spec follow it here. */
  constructor(side: Side, records: IncomingRecords, highWaterMark: number, stateless = false) {
    this.#stateless = stateless;
    this.#side = side;
    this.#records = records;
    this.#highWaterMark = highWaterMark;
  }

  /** No further record should be opened before plaintext is read. */
  get full(): boolean {
    return this.#plaintextCost >= this.#highWaterMark;
  }

  get empty(): boolean {
    return this.#plaintext.length === 0;
  }

  /** Lets early data through, up to `limit` bytes. */
  allowEarlyData(limit: number): void {
    this.#earlyRoom = limit;
  }

  readEarlyData(): Uint8Array | undefined {
    const chunk = this.#earlyData.shift();
    if (chunk !== undefined) this.#plaintextCost -= chunk.length + CHUNK_COST;
    return chunk;
  }

  /** What has not been read is nobody's request any more. */
  dropEarlyData(): void {
    this.#earlyData = [];
  }

  read(): Uint8Array | undefined {
    const chunk = this.#plaintext.shift();
    if (chunk !== undefined) this.#plaintextCost -= chunk.length + CHUNK_COST;
    return chunk;
  }

  /**
   * Takes in one record.
   *
   * @param established - The handshake is done on this side.
   * @throws TlsError for what is not legal here, and for the peer's error alerts.
   */
  accept(record: InboundRecord, established: boolean): InboundOutcome {
    switch (record.type) {
      case handshake:
        this.#handshake(record);
        return "nothing";
      case alert:
        return this.#alert(record, established);
      case change_cipher_spec:
        this.#changeCipherSpec(record, established);
        return "nothing";
      case application_data:
        return this.#applicationData(record, established);
      default:
        throw unexpected(`content type ${record.type}`);
    }
  }

  /** One KeyUpdate more without application data between. */
  countKeyUpdate(): void {
    limit(++this.#keyUpdates, "ERR_TLS_TOO_MANY_KEY_UPDATES");
  }

  #handshake(record: InboundRecord): void {
    if (this.#records.epoch !== "initial" && !record.isProtected) throw unexpected("an unprotected handshake record");
    // RFC 8446 5.1: no zero-length handshake fragments.
    if (record.content.length === 0) throw unexpected("an empty handshake record");
    this.#empty = 0;
    this.#records.messages.push(record.content);
  }

  /** RFC 8446 5: dropped between the first ClientHello and the peer's Finished, an error anywhere else. */
  #changeCipherSpec(record: InboundRecord, established: boolean): void {
    const early = this.#side === "server" && !this.peerHello && !this.#stateless;
    if (record.isProtected || early || established) throw unexpected("change_cipher_spec");
    if (record.content.length !== 1 || record.content[0] !== 1) throw unexpected("change_cipher_spec other than 1");
    this.#assertNoPartialMessage();
    limit(++this.#empty, "ERR_TLS_TOO_MANY_EMPTY_RECORDS");
  }

  #applicationData(record: InboundRecord, established: boolean): InboundOutcome {
    const early = this.#records.epoch === "early";
    if (!record.isProtected || !(established || early))
      throw unexpected("application data before the handshake is done");
    if (this.dataBarred) throw unexpected("application data before an answer's Finished (RFC 8446 4.6.2)");
    this.#assertNoPartialMessage();
    if (record.content.length === 0) {
      limit(++this.#empty, "ERR_TLS_TOO_MANY_EMPTY_RECORDS");
      return "nothing";
    }
    this.#empty = this.#warnings = this.#keyUpdates = 0;
    if (early) {
      this.#earlyRoom -= record.content.length;
      // RFC 8446 4.6.1
      if (this.#earlyRoom < 0) throw fault("ERR_TLS_TOO_MUCH_EARLY_DATA", "more than the ticket allows");
    }
    // Padding is not kept: behind one byte there may be 16 KiB of it.
    const queue = early ? this.#earlyData : this.#plaintext;
    queue.push(record.padding > record.content.length ? record.content.slice() : record.content);
    this.#plaintextCost += record.content.length + CHUNK_COST;
    return early ? "early_data" : "data";
  }

  /** RFC 8446 6. The level is ignored. */
  #alert(record: InboundRecord, established: boolean): InboundOutcome {
    // A client that failed before it had keys can only say so in the clear.
    const mayBePlain = this.#records.epoch === "initial" || (this.#side === "server" && this.#records.beforeProtected);
    if (!record.isProtected && !mayBePlain) throw unexpected("an unprotected alert");
    const { description } = decode(Alert, record.content, "the alert");
    const name = AlertDescription.name(description);
    if (name === "user_canceled") {
      this.#assertNoPartialMessage();
      // RFC 9846 6.1: a close_notify follows.
      limit(++this.#warnings, "ERR_TLS_TOO_MANY_WARNINGS", MAX_WARNINGS);
      return "nothing";
    }
    if (name !== "close_notify" || !established) throw alertReceived(name ?? description);
    this.#assertNoPartialMessage();
    return "closed";
  }

  /** RFC 8446 5.1: nothing may stand between the fragments of a message. */
  #assertNoPartialMessage(): void {
    if (this.#records.messages.buffered > 0) throw unexpected("a record between the fragments of a handshake message");
  }
}

function limit(count: number, code: CauseCode, most = MAX_IN_A_ROW): void {
  if (count > most) throw fault(code);
}

function unexpected(detail: string): TlsError {
  return fault("ERR_SSL_UNEXPECTED_MESSAGE", detail);
}
