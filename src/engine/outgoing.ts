/** Records as they go out: epochs, coalescing, change_cipher_spec, KeyUpdate, padding, and a queue that keeps their order. */
import { join, wipe } from "../bytes/bytes.ts";
import { encodeMessage, KeyUpdate, messageName } from "../codec/messages.ts";
import { ContentType, KeyUpdateRequest } from "../codec/registry.ts";
import type { CipherSuite } from "../crypto/provider.ts";
import { fault, type Side } from "../errors.ts";
import type { HandshakeName } from "../flow.ts";
import type { Epoch } from "../handshake/io.ts";
import { MAX_PLAINTEXT } from "../record/framing.ts";
import { RecordSealer, sealedLength, usageLimit } from "../record/protection.ts";
import { nextTrafficSecret } from "../schedule/secrets.ts";
import type { Observer } from "./observer.ts";
import { OrderedResults } from "./ordered.ts";

const CHANGE_CIPHER_SPEC = Uint8Array.of(ContentType.codes.change_cipher_spec, 3, 3, 0, 1, 1);
const { handshake, application_data, alert, change_cipher_spec } = ContentType.codes;

/** What the outgoing half is run with. */
export interface OutgoingOptions {
  readonly side: Side;
  /** Most plaintext put into one record, in bytes. */
  readonly maxFragment: number;
  /** Zero bytes to add to a record, by its content type and content length. */
  readonly padding: ((type: number, length: number) => number) | undefined;
  /** Records under one key before this side updates it; the suite's own limit where that is lower. */
  readonly recordsPerKey: number;
  /** KeyUpdates that this side may send: 2^48 - 1 (RFC 9846 4.7.3). */
  readonly maxKeyUpdates: number;
  readonly observer: Observer | undefined;
}

/** What the observer is told when a record leaves. */
interface Facts {
  readonly epoch: Epoch;
  readonly type: number;
  readonly content: Uint8Array;
  readonly padding: number;
  readonly sequence: number | undefined;
  readonly generation: number;
}

/** A record on its way out. */
interface Sealed {
  readonly wire: Uint8Array;
  readonly facts: Facts | undefined;
}

export class OutgoingRecords {
  readonly #options: OutgoingOptions;
  #epoch: Epoch = "initial";
  #generation = 0;
  #sealer: RecordSealer | undefined;
  #secret: Uint8Array | undefined;
  #flight: Uint8Array[] = [];
  #output: Uint8Array[] = [];
  /** Bytes in `#output` and in `#sealing`. */
  #outputLength = 0;
  /** From the first record on whose protection is still a promise. */
  readonly #sealing: OrderedResults<Sealed>;
  /** How many of those are of before application data. */
  #flightSealing = 0;
  #helloSent = false;
  /** Bytes of TLSInnerPlaintext, and of records in the clear. */
  #limit = MAX_PLAINTEXT + 1;
  #plainLimit = MAX_PLAINTEXT;
  #paddingFailed = false;
  #compatibility: "off" | "wanted" | "sent" = "off";

  /** @param onReady - Called when {@link OutgoingRecords.take} has bytes that it did not have before. */
  constructor(options: OutgoingOptions, onReady: () => void) {
    this.#options = options;
    this.#sealing = new OrderedResults(onReady);
  }

  /** Bytes waiting to be taken, those in encryption included. */
  get length(): number {
    return this.#outputLength;
  }

  /** The suite in force. */
  get suite(): CipherSuite | undefined {
    return this.#sealer?.suite;
  }

  /** The traffic secret in force; wiped when the next one is. */
  get trafficSecret(): Uint8Array {
    if (this.#secret === undefined) throw fault("ERR_TLS_INTERNAL", "no traffic secret yet");
    return this.#secret;
  }

  /** True while records are in encryption. */
  get busy(): boolean {
    return this.#sealing.length > 0;
  }

  /** True while records of the handshake are in encryption. */
  get flightBusy(): boolean {
    return this.#flightSealing > 0;
  }

  /**
   * The records that are ready, in order.
   *
   * @param onFailure - Told what made the protection of a record fail. What that sends is among what is given.
   */
  take(onFailure: (error: unknown) => void): Uint8Array[] {
    try {
      for (let sealed = this.#sealing.shift(); sealed !== undefined; sealed = this.#sealing.shift()) {
        if (this.#flightSealing > 0) this.#flightSealing--;
        this.#ready(sealed.wire, sealed.facts);
      }
    } catch (error) {
      this.#dropSealing();
      onFailure(error);
    }
    const output = this.#output;
    this.#output = [];
    for (const wire of output) this.#outputLength -= wire.length;
    return output;
  }

  /** Queues a handshake message; those of one flight share records. */
  sendHandshake(epoch: Epoch, message: Uint8Array): void {
    if (epoch !== this.#epoch) throw fault("ERR_TLS_INTERNAL", `a message for epoch ${epoch} in ${this.#epoch}`);
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
    this.#send(handshake, join(flight), fragmentLength);
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

  /** False once this side has sent as many KeyUpdates as it may, RFC 9846 4.7.3. */
  get canUpdateKey(): boolean {
    return this.#generation < this.#options.maxKeyUpdates;
  }

  /** Sends KeyUpdate under the old key and moves to the next (RFC 8446 4.6.3). */
  updateKey(request: keyof typeof KeyUpdateRequest.codes): void {
    const secret = this.trafficSecret;
    const { suite } = this.#sealer as RecordSealer;
    if (!this.canUpdateKey) throw fault("ERR_TLS_RECORD_LIMIT", `${this.#generation} key updates are the most`);
    const request_update = KeyUpdateRequest.codes[request] as number;
    this.sendHandshake("application", encodeMessage("key_update", KeyUpdate, { request_update }));
    // In one record: `#send` keeps room for one under the old key.
    this.flush(MAX_PLAINTEXT);
    this.#secret = nextTrafficSecret(suite.hash, secret);
    wipe(secret);
    this.#sealer?.wipe();
    this.#sealer = new RecordSealer(suite, this.#secret);
    this.#generation++;
  }

  /**
   * From the handshake's keys on, no record carries more (RFC 8449 4).
   *
   * @param limit - Bytes of TLSInnerPlaintext: content, type and padding.
   * @param unprotected - Bytes of a record in the clear.
   */
  limit(limit: number, unprotected = MAX_PLAINTEXT): void {
    this.#limit = limit;
    this.#plainLimit = unprotected;
  }

  install(epoch: Epoch, suite: CipherSuite, secret: Uint8Array): void {
    this.flush();
    wipe(this.#secret);
    this.#sealer?.wipe();
    this.#secret = secret;
    this.#sealer = new RecordSealer(suite, secret);
    this.#epoch = epoch;
  }

  /** Back to the clear, for a second ClientHello behind early data. */
  discard(): void {
    wipe(this.#secret);
    this.#sealer?.wipe();
    this.#secret = this.#sealer = undefined;
    this.#epoch = "initial";
  }

  wantCompatibility(): void {
    if (this.#compatibility === "off") this.#compatibility = "wanted";
  }

  wipe(): void {
    wipe(this.#secret);
    this.#sealer?.wipe();
  }

  #send(type: number, content: Uint8Array, wantedLength = this.#options.maxFragment): void {
    // Early data is under keys of before (RFC 8449 4).
    const limit = this.#epoch === "early" ? MAX_PLAINTEXT : this.#limit - 1;
    const maxContent = this.#sealer === undefined ? this.#plainLimit : limit;
    const fragmentLength = Math.min(wantedLength, maxContent);
    const { recordsPerKey } = this.#options;
    // RFC 8446 D.4: the client's dummy stands before its second flight, and so not before an alert in the clear.
    const isFlight = this.#sealer !== undefined || type === handshake;
    if (this.#options.side === "client" && this.#helloSent && isFlight) this.#changeCipherSpec();
    for (let offset = 0; offset < content.length || offset === 0; offset += fragmentLength) {
      const fragment = content.subarray(offset, offset + fragmentLength);
      // There is no KeyUpdate for early data.
      const wantedUsage = this.#epoch === "early" ? Number.POSITIVE_INFINITY : recordsPerKey;
      const usage = this.#sealer && Math.min(usageLimit(this.#sealer.suite), wantedUsage);
      if (type === application_data && usage !== undefined && (this.#sealer?.records ?? 0) >= usage - 1) {
        this.updateKey("update_not_requested");
      }
      const wanted = this.#sealer === undefined ? 0 : this.#padding(type, fragment.length);
      // RFC 8446 5.4: the padded plaintext obeys the record limit.
      this.#emit(type, fragment, Math.max(0, Math.min(wanted, maxContent - fragment.length)));
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
    const sealer = this.#sealer;
    const facts = this.#facts(type, content, padding, sealer?.records);
    if (sealer?.isLate(type === application_data, content.length)) {
      this.#outputLength += sealedLength(content.length, padding, sealer.suite.tagLength);
      this.#noteSealing();
      this.#sealing.pushPromise(sealer.sealLater(type, content, padding), (wire) => ({ wire, facts }));
      return;
    }
    this.#queue(sealer?.seal(type, content, padding) ?? this.#plaintext(type, content), facts);
  }

  #noteSealing(): void {
    if (this.#epoch !== "application") this.#flightSealing++;
  }

  /** What stands behind a record that cannot be sent cannot be read by anyone. */
  #dropSealing(): void {
    this.#sealing.clear();
    this.#flightSealing = 0;
    this.#outputLength = this.#output.reduce((length, wire) => length + wire.length, 0);
  }

  /** What an observer is to be told of a record; without one, nothing. */
  #facts(type: number, content: Uint8Array, padding: number, sequence: number | undefined): Facts | undefined {
    if (this.#options.observer === undefined) return undefined;
    const epoch = type === change_cipher_spec ? "initial" : this.#epoch;
    return { epoch, type, content: content.slice(), padding, sequence, generation: this.#generation };
  }

  #plaintext(type: number, content: Uint8Array): Uint8Array {
    const wire = new Uint8Array(5 + content.length);
    // RFC 8446 5.1: 0x0301 in the record of the initial ClientHello, for old middleboxes.
    const minor = this.#options.side === "client" && !this.#helloSent ? 1 : 3;
    wire.set([type, 3, minor, content.length >> 8, content.length & 0xff]);
    wire.set(content, 5);
    return wire;
  }

  #queue(wire: Uint8Array, facts: Facts | undefined): void {
    this.#outputLength += wire.length;
    if (this.#sealing.length === 0) {
      this.#ready(wire, facts);
      return;
    }
    this.#noteSealing();
    this.#sealing.push({ wire, facts });
  }

  #ready(wire: Uint8Array, facts: Facts | undefined): void {
    this.#output.push(wire);
    if (facts === undefined) return;
    this.#options.observer?.({ kind: "record", direction: "sent", outerType: wire[0] as number, wire, ...facts });
  }

  #changeCipherSpec(): void {
    if (this.#compatibility !== "wanted") return;
    this.#compatibility = "sent";
    const wire = CHANGE_CIPHER_SPEC.slice();
    this.#queue(wire, this.#facts(change_cipher_spec, wire.subarray(5), 0, undefined));
  }
}
