/**
 * Records as they come in: opened under the keys in force and handed on in order, though protection may answer later. Up
 * to eight are under way then; but where keys may change with what a record holds, and it cannot be known which, one.
 */
import { wipe } from "../bytes/bytes.ts";
import { ContentType } from "../codec/registry.ts";
import type { CipherSuite } from "../crypto/provider.ts";
import { fault } from "../errors.ts";
import type { Epoch } from "../handshake/io.ts";
import { HandshakeReader, RECORD_HEADER_LENGTH, RecordReader, type WireRecord } from "../record/framing.ts";
import { type OpenedRecord, openedRecord, RecordOpener } from "../record/protection.ts";
import { nextTrafficSecret } from "../schedule/secrets.ts";
import type { Observer } from "./observer.ts";
import { OrderedResults } from "./ordered.ts";

const { application_data } = ContentType.codes;

/** Records that may be in decryption at once. */
const MAX_IN_FLIGHT = 8;

/** What the incoming half is run with. */
export interface IncomingOptions {
  /** Longest handshake message body accepted, in bytes. */
  readonly maxHandshakeMessage: number;
  readonly observer: Observer | undefined;
}

/** A record after decryption; `content` may be a view that holds until more bytes are pushed. */
export interface InboundRecord extends OpenedRecord {
  /** False for records that came in the clear. */
  readonly isProtected: boolean;
}

/** What has become of a record. */
interface Outcome {
  readonly wire: WireRecord;
  /** `undefined` for what came in the clear. */
  readonly sequence: number | undefined;
  /** `undefined` for early data that nobody will read. */
  readonly opened: OpenedRecord | undefined;
}

export class IncomingRecords {
  readonly reader = new RecordReader();
  readonly messages: HandshakeReader;
  readonly #observer: Observer | undefined;
  #epoch: Epoch = "initial";
  #generation = 0;
  #opener: RecordOpener | undefined;
  #secret: Uint8Array | undefined;
  readonly #results: OrderedResults<Outcome>;
  /** The wire bytes of what is in `#results`: a key change among them makes them be opened again. */
  #inFlight: WireRecord[] = [];
  /** Memory of records that were in flight, for the next ones. No other connection's. */
  #spare: Uint8Array[] = [];
  /** Bytes of early data that may still be thrown away; `undefined` where none is. */
  #skipping: number | undefined;
  /** Bytes of TLSInnerPlaintext. */
  #limit = Number.POSITIVE_INFINITY;
  #longest = 0;
  /** The last record opened ahead holds no application data, or may not: what it does to keys comes first. */
  #held = false;

  /** @param onReady - Called when {@link IncomingRecords.next} has a record it did not have before. */
  constructor(options: IncomingOptions, onReady: () => void) {
    this.#observer = options.observer;
    this.messages = new HandshakeReader(options.maxHandshakeMessage);
    this.#results = new OrderedResults(onReady);
  }

  get epoch(): Epoch {
    return this.#epoch;
  }

  /** The traffic secret in force; wiped when the next one is. */
  get trafficSecret(): Uint8Array {
    if (this.#secret === undefined) throw fault("ERR_TLS_INTERNAL", "no traffic secret yet");
    return this.#secret;
  }

  /** True while records are in decryption. */
  get busy(): boolean {
    return this.#results.length > 0;
  }

  /** True while a peer may still send alerts in the clear: nothing protected has come from it yet. */
  get beforeProtected(): boolean {
    return this.#opener === undefined || (this.#epoch === "handshake" && this.#opener.records === 0);
  }

  /** The next record, decrypted, if it is there whole. */
  next(): InboundRecord | undefined {
    for (;;) {
      const record = this.#held || this.#results.length >= MAX_IN_FLIGHT ? undefined : this.#nextOnWire();
      if (record !== undefined && (this.#results.length > 0 || this.#isLate(record))) {
        this.#openAhead(this.#owned(record));
        continue;
      }
      const outcome = record === undefined ? this.#shift() : this.#open(record);
      if (outcome === undefined) return undefined;
      const inbound = this.#pass(outcome);
      if (inbound !== undefined) return inbound;
    }
  }

  /** The first of those opened ahead, if it is done. */
  #shift(): Outcome | undefined {
    const outcome = this.#results.shift();
    if (outcome === undefined) return undefined;
    this.#inFlight.shift();
    if (this.#results.length === 0) this.#held = false;
    // What an observer was given is not written to again while it looks at it.
    if (this.#observer === undefined && this.#spare.length < MAX_IN_FLIGHT) this.#spare.push(outcome.wire.bytes);
    return outcome;
  }

  /** What is wrong with a record's header is found in its turn: those before it are good. */
  #nextOnWire(): WireRecord | undefined {
    try {
      return this.reader.next(this.#opener !== undefined || this.#skipping !== undefined);
    } catch (error) {
      if (this.#results.length === 0) throw error;
      this.#results.pushError(error);
      this.#held = true;
      return undefined;
    }
  }

  /**
   * Nothing, partial or whole, is left behind the last message: where the peer's keys change, and behind hellos, which
   * may stand before a change (RFC 8446 5.1).
   */
  assertAligned(): void {
    const { buffered } = this.messages;
    if (buffered > 0) {
      throw fault("ERR_SSL_UNEXPECTED_MESSAGE", `${buffered} handshake bytes before a key change (RFC 8446 5.1)`);
    }
  }

  /**
   * Early data that nobody will read is thrown away from here on, up to `limit` bytes of ciphertext: what a key does not
   * open, or, where there is none yet, what has its outer type (RFC 8446 4.2.10).
   */
  skipEarlyData(limit: number): void {
    this.#skipping = limit;
  }

  install(epoch: Epoch, suite: CipherSuite, secret: Uint8Array): void {
    this.assertAligned();
    this.#skipping = undefined;
    wipe(this.#secret);
    this.#opener?.wipe();
    this.#secret = secret;
    this.#opener = new RecordOpener(suite, secret);
    this.#epoch = epoch;
  }

  /**
   * From the handshake's keys on, no record may carry more: neither those to come nor the one that said so.
   *
   * @param limit - Bytes of TLSInnerPlaintext: content, type and padding (RFC 8449 4).
   */
  limit(limit: number): void {
    this.#limit = limit;
    this.#assertShort(this.#longest);
  }

  #assertShort(length: number): void {
    if (length > this.#limit) {
      throw fault(
        "ERR_SSL_PACKET_LENGTH_TOO_LONG",
        `${length} bytes of plaintext, at most ${this.#limit} were asked for`,
      );
    }
  }

  /** The peer sent KeyUpdate: its next records are under the next key (RFC 8446 4.6.3). */
  updateKey(): void {
    const secret = this.trafficSecret;
    const { suite } = this.#opener as RecordOpener;
    this.assertAligned();
    this.#secret = nextTrafficSecret(suite.hash, secret);
    wipe(secret);
    this.#opener?.wipe();
    this.#opener = new RecordOpener(suite, this.#secret);
    this.#generation++;
    this.#openAgain();
  }

  wipe(): void {
    wipe(this.#secret);
    this.#opener?.wipe();
    this.#results.clear();
    this.#inFlight = [];
    this.#spare = [];
  }

  #isLate({ type, fragment }: WireRecord): boolean {
    if (type !== application_data) return false;
    return this.#opener?.isLate(this.#epoch === "application", fragment.length) ?? false;
  }

  /** A record in memory of its own. */
  #owned({ type, bytes }: WireRecord): WireRecord {
    const spare = this.#spare.pop();
    const memory = spare === undefined || spare.buffer.byteLength < bytes.length ? new Uint8Array(bytes.length) : spare;
    const own = new Uint8Array(memory.buffer, 0, bytes.length);
    own.set(bytes);
    return { type, bytes: own, fragment: own.subarray(RECORD_HEADER_LENGTH) };
  }

  #open(wire: WireRecord): Outcome {
    if (wire.type !== application_data) return inTheClear(wire);
    const opener = this.#opener;
    if (opener !== undefined) return this.#reading(wire, opener)(opener.unprotect(wire));
    if (this.#skipping === undefined) return inTheClear(wire);
    this.#assertBetweenMessages();
    return { wire, sequence: undefined, opened: undefined };
  }

  /** Opens a record while others before it are not done, or later. Its bytes are its own. */
  #openAhead(wire: WireRecord): void {
    this.#inFlight.push(wire);
    const opener = this.#opener;
    try {
      if (opener !== undefined && this.#isLate(wire)) {
        const reading = this.#reading(wire, opener);
        this.#results.pushPromise(opener.unprotectLater(wire), reading);
        // Between application data it may be a KeyUpdate, behind which others are opened again; elsewhere most change keys.
        this.#held ||= this.#epoch !== "application";
        return;
      }
      const outcome = this.#open(wire);
      this.#results.push(outcome);
      this.#held ||= outcome.opened?.type !== application_data;
    } catch (error) {
      this.#results.pushError(error);
      this.#held = true;
    }
  }

  /** What becomes of a record by what `opener` makes of it: where early data is skipped, that is a trial. */
  #reading(wire: WireRecord, opener: RecordOpener): (inner: Uint8Array | undefined) => Outcome {
    const sequence = opener.records;
    const trial = this.#skipping !== undefined;
    if (trial) this.#assertBetweenMessages();
    return (inner) => {
      if (inner !== undefined || !trial) return { wire, sequence, opened: openedRecord(inner) };
      opener.forget();
      return { wire, sequence, opened: undefined };
    };
  }

  /** A record that was opened later held a KeyUpdate, and those behind it were opened under the old key. */
  #openAgain(): void {
    const records = this.#inFlight;
    this.#inFlight = [];
    this.#results.clear();
    this.#held = false;
    for (const wire of records) this.#openAhead(wire);
  }

  #assertBetweenMessages(): void {
    if (this.messages.buffered > 0)
      throw fault("ERR_SSL_UNEXPECTED_MESSAGE", "early data between the fragments of a handshake message");
  }

  /** Hands a record on, unless it is skipped. The first that opens is the last of those that might have been. */
  #pass({ wire, sequence, opened }: Outcome): InboundRecord | undefined {
    if (opened === undefined) {
      this.#skip(wire);
      return undefined;
    }
    if (sequence !== undefined) this.#skipping = undefined;
    return this.#observed(wire, sequence, opened);
  }

  #skip({ bytes, fragment }: WireRecord): void {
    if (this.#skipping === undefined) throw fault("ERR_TLS_INTERNAL", "a record skipped where none is");
    this.#skipping -= Math.max(1, fragment.length);
    if (this.#skipping < 0) throw fault("ERR_TLS_TOO_MUCH_EARLY_DATA", "more than is skipped");
    this.#observer?.({ kind: "skipped", wire: bytes });
  }

  #observed(wire: WireRecord, sequence: number | undefined, opened: OpenedRecord): InboundRecord {
    const { type, content, padding } = opened;
    // Early data is under keys of before (RFC 8449 4).
    if (sequence !== undefined && this.#epoch !== "early") {
      this.#longest = Math.max(this.#longest, content.length + 1 + padding);
      this.#assertShort(this.#longest);
    }
    this.#observer?.({
      kind: "record",
      direction: "received",
      epoch: sequence === undefined ? "initial" : this.#epoch,
      outerType: wire.type,
      type,
      wire: wire.bytes,
      content,
      padding,
      sequence,
      generation: this.#generation,
    });
    return { type, content, padding, isProtected: sequence !== undefined };
  }
}

function inTheClear(wire: WireRecord): Outcome {
  return { wire, sequence: undefined, opened: { type: wire.type, content: wire.fragment, padding: 0 } };
}
