/** Joins the effects of a handshake to records: epochs, coalescing, change_cipher_spec, KeyUpdate. One per connection. */
import { wipe } from "../bytes/bytes.ts";
import { encodeMessage, KeyUpdate, messageName } from "../codec/messages.ts";
import { ContentType, KeyUpdateRequest } from "../codec/registry.ts";
import type { CipherSuite } from "../crypto/provider.ts";
import { fault, type Side } from "../errors.ts";
import type { HandshakeName } from "../flow.ts";
import type { Epoch } from "../handshake/io.ts";
import { HandshakeReader, MAX_PLAINTEXT, RecordReader, type WireRecord } from "../record/framing.ts";
import { RecordOpener, RecordSealer, usageLimit } from "../record/protection.ts";
import { nextTrafficSecret } from "../schedule/secrets.ts";
import type { Observer } from "./observer.ts";

const CHANGE_CIPHER_SPEC = Uint8Array.of(ContentType.codes.change_cipher_spec, 3, 3, 0, 1, 1);
const { handshake, application_data, alert } = ContentType.codes;

/** What the record side of a connection is run with. */
export interface RecordOptions {
  readonly side: Side;
  /** Longest handshake message body accepted, in bytes. */
  readonly maxHandshakeMessage: number;
  /** Most plaintext put into one record, in bytes. */
  readonly maxFragment: number;
  /** Zero bytes to add to a record, by its content type and content length. */
  readonly padding: ((type: number, length: number) => number) | undefined;
  /** Records under one key before this side updates it; the suite's own limit where that is lower. */
  readonly recordsPerKey: number;
  readonly observer: Observer | undefined;
}

/** A record after decryption; `content` may be a view that holds until more bytes are pushed. */
export interface InboundRecord {
  readonly type: number;
  readonly content: Uint8Array;
  /** Bytes of padding behind `content` in the same memory. */
  readonly padding: number;
  /** False for records that came in the clear. */
  readonly isProtected: boolean;
}

export class RecordConnection {
  readonly reader = new RecordReader();
  readonly messages: HandshakeReader;
  readonly #options: RecordOptions;
  #readEpoch: Epoch = "initial";
  #writeEpoch: Epoch = "initial";
  #opener: RecordOpener | undefined;
  #sealer: RecordSealer | undefined;
  #readSecret: Uint8Array | undefined;
  #writeSecret: Uint8Array | undefined;
  #readGeneration = 0;
  #writeGeneration = 0;
  #flight: Uint8Array[] = [];
  #output: Uint8Array[] = [];
  #outputLength = 0;
  #helloSent = false;
  #paddingFailed = false;
  #compatibility: "off" | "wanted" | "sent" = "off";

  constructor(options: RecordOptions) {
    this.#options = options;
    this.messages = new HandshakeReader(options.maxHandshakeMessage);
  }

  get readEpoch(): Epoch {
    return this.#readEpoch;
  }

  get writeEpoch(): Epoch {
    return this.#writeEpoch;
  }

  /** Bytes waiting to be taken. */
  get outputLength(): number {
    return this.#outputLength;
  }

  /** True while a peer may still send alerts in the clear: nothing protected has come from it yet. */
  get beforeProtected(): boolean {
    return this.#opener === undefined || (this.#readEpoch === "handshake" && this.#opener.records === 0);
  }

  takeOutput(): Uint8Array[] {
    const output = this.#output;
    this.#output = [];
    this.#outputLength = 0;
    return output;
  }

  /** The next record, decrypted, if it is there whole. */
  next(): InboundRecord | undefined {
    const record = this.reader.next(this.#opener !== undefined);
    if (record === undefined) return undefined;
    if (this.#opener === undefined || record.type !== application_data) {
      this.#observeReceived(record, record.type, record.fragment, 0, undefined);
      return { type: record.type, content: record.fragment, padding: 0, isProtected: false };
    }
    const sequence = this.#opener.records;
    const { type, content, padding } = this.#opener.open(record);
    this.#observeReceived(record, type, content, padding, sequence);
    return { type, content, padding, isProtected: true };
  }

  /** Queues a handshake message; those of one flight share records. */
  sendHandshake(epoch: Epoch, message: Uint8Array): void {
    if (epoch !== this.#writeEpoch)
      throw fault("ERR_TLS_INTERNAL", `a message for epoch ${epoch} in ${this.#writeEpoch}`);
    this.#flight.push(message);
    this.#options.observer?.({
      kind: "message",
      direction: "sent",
      epoch,
      type: messageName(message[0] as number, message.subarray(4)) as HandshakeName,
      bytes: message,
    });
  }

  /** Puts the queued handshake messages into as few records as they fit. */
  flush(fragmentLength = this.#options.maxFragment): void {
    if (this.#flight.length === 0) return;
    const flight = this.#flight;
    this.#flight = [];
    let length = 0;
    for (const message of flight) length += message.length;
    const joined = new Uint8Array(length);
    let offset = 0;
    for (const message of flight) {
      joined.set(message, offset);
      offset += message.length;
    }
    this.#send(handshake, joined, fragmentLength);
    if (this.#options.side === "server") this.#changeCipherSpec();
  }

  /** Application data, in fragments. A key near its limit is updated first (RFC 9846 5.5). */
  sendApplicationData(data: Uint8Array): void {
    this.#send(application_data, data);
  }

  /** Drops what was not sent yet and sends one alert, RFC 8446 6. */
  sendAlert(level: number, description: number): void {
    this.#flight = [];
    // Never in fragments (RFC 8446 5.1).
    this.#send(alert, Uint8Array.of(level, description), MAX_PLAINTEXT);
  }

  /** Sends KeyUpdate under the old key and moves to the next (RFC 8446 4.6.3). */
  updateWriteKey(request: keyof typeof KeyUpdateRequest.codes): void {
    const { suite } = this.#established(this.#sealer);
    const request_update = KeyUpdateRequest.codes[request] as number;
    this.sendHandshake("application", encodeMessage("key_update", KeyUpdate, { request_update }));
    // In one record: `#send` keeps room for one under the old key.
    this.flush(MAX_PLAINTEXT);
    const old = this.#established(this.#writeSecret);
    this.#writeSecret = nextTrafficSecret(suite.hash, old);
    wipe(old);
    this.#sealer?.wipe();
    this.#sealer = new RecordSealer(suite, this.#writeSecret);
    this.#writeGeneration++;
  }

  /** The peer sent KeyUpdate: its next records are under the next key. */
  updateReadKey(): void {
    const { suite } = this.#established(this.#opener);
    this.#assertBoundary();
    const old = this.#established(this.#readSecret);
    this.#readSecret = nextTrafficSecret(suite.hash, old);
    wipe(old);
    this.#opener?.wipe();
    this.#opener = new RecordOpener(suite, this.#readSecret);
    this.#readGeneration++;
  }

  installRead(epoch: Epoch, suite: CipherSuite, secret: Uint8Array): void {
    this.#assertBoundary();
    wipe(this.#readSecret);
    this.#opener?.wipe();
    this.#readSecret = secret;
    this.#opener = new RecordOpener(suite, secret);
    this.#readEpoch = epoch;
  }

  installWrite(epoch: Epoch, suite: CipherSuite, secret: Uint8Array): void {
    this.flush();
    wipe(this.#writeSecret);
    this.#sealer?.wipe();
    this.#writeSecret = secret;
    this.#sealer = new RecordSealer(suite, secret);
    this.#writeEpoch = epoch;
  }

  wantCompatibility(): void {
    if (this.#compatibility === "off") this.#compatibility = "wanted";
  }

  wipe(): void {
    wipe(this.#readSecret, this.#writeSecret);
    this.#opener?.wipe();
    this.#sealer?.wipe();
  }

  /** RFC 8446 5.1: a key change only where nothing, partial or whole, of the old epoch is left. */
  #assertBoundary(): void {
    if (this.messages.buffered > 0) {
      throw fault(
        "ERR_SSL_UNEXPECTED_MESSAGE",
        `${this.messages.buffered} handshake bytes before a key change (RFC 8446 5.1)`,
      );
    }
  }

  #send(type: number, content: Uint8Array, fragmentLength = this.#options.maxFragment): void {
    const { recordsPerKey } = this.#options;
    // RFC 8446 D.4: the client's dummy stands before its second flight, and so not before an alert in the clear.
    const isFlight = this.#sealer !== undefined || type === handshake;
    if (this.#options.side === "client" && this.#helloSent && isFlight) this.#changeCipherSpec();
    for (let offset = 0; offset < content.length || offset === 0; offset += fragmentLength) {
      const fragment = content.subarray(offset, offset + fragmentLength);
      const limit = this.#sealer && Math.min(usageLimit(this.#sealer.suite), recordsPerKey);
      if (type === application_data && limit !== undefined && (this.#sealer?.records ?? 0) >= limit - 1) {
        this.updateWriteKey("update_not_requested");
      }
      const wanted = this.#sealer === undefined ? 0 : this.#padding(type, fragment.length);
      // RFC 8446 5.4: the padded plaintext obeys the record limit.
      this.#emit(type, fragment, Math.max(0, Math.min(wanted, MAX_PLAINTEXT - fragment.length)));
    }
    this.#helloSent = true;
  }

  /** What the application wants added to a record; once its callback has failed, nothing, so that the alert still goes. */
  #padding(type: number, length: number): number {
    const { padding } = this.#options;
    if (padding === undefined || this.#paddingFailed) return 0;
    let wanted: number;
    try {
      wanted = padding(type, length);
    } catch (cause) {
      this.#paddingFailed = true;
      throw fault("ERR_TLS_CALLBACK_FAILED", "padding", { cause });
    }
    if (Number.isFinite(wanted)) return Math.floor(wanted);
    this.#paddingFailed = true;
    throw fault("ERR_TLS_CALLBACK_FAILED", `padding gave ${wanted}`);
  }

  #emit(type: number, content: Uint8Array, padding: number): void {
    const sequence = this.#sealer?.records;
    const wire = this.#sealer?.seal(type, content, padding) ?? this.#plaintext(type, content);
    this.#queue(wire);
    this.#options.observer?.({
      kind: "record",
      direction: "sent",
      epoch: this.#writeEpoch,
      outerType: wire[0] as number,
      type,
      wire,
      content,
      padding,
      sequence,
      generation: this.#writeGeneration,
    });
  }

  #plaintext(type: number, content: Uint8Array): Uint8Array {
    const wire = new Uint8Array(5 + content.length);
    // RFC 8446 5.1: 0x0301 in the record of the initial ClientHello, for old middleboxes.
    const minor = this.#options.side === "client" && !this.#helloSent ? 1 : 3;
    wire.set([type, 3, minor, content.length >> 8, content.length & 0xff]);
    wire.set(content, 5);
    return wire;
  }

  #queue(wire: Uint8Array): void {
    this.#output.push(wire);
    this.#outputLength += wire.length;
  }

  #changeCipherSpec(): void {
    if (this.#compatibility !== "wanted") return;
    this.#compatibility = "sent";
    this.#queue(CHANGE_CIPHER_SPEC.slice());
    this.#options.observer?.({
      kind: "record",
      direction: "sent",
      epoch: "initial",
      outerType: ContentType.codes.change_cipher_spec,
      type: ContentType.codes.change_cipher_spec,
      wire: CHANGE_CIPHER_SPEC,
      content: CHANGE_CIPHER_SPEC.subarray(5),
      padding: 0,
      sequence: undefined,
      generation: 0,
    });
  }

  #observeReceived(
    record: WireRecord,
    type: number,
    content: Uint8Array,
    padding: number,
    sequence: number | undefined,
  ): void {
    this.#options.observer?.({
      kind: "record",
      direction: "received",
      epoch: sequence === undefined ? "initial" : this.#readEpoch,
      outerType: record.type,
      type,
      wire: record.bytes,
      content,
      padding,
      sequence,
      generation: this.#readGeneration,
    });
  }

  #established<T>(value: T | undefined): T {
    if (value === undefined) throw fault("ERR_TLS_INTERNAL", "a key update before there are keys");
    return value;
  }
}
