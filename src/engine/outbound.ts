/** What this side sends after its handshake: application data, owed KeyUpdates, close_notify, the last alert. */
import { AlertDescription, AlertLevel } from "../codec/registry.ts";
import { TlsError } from "../errors.ts";
import type { OutgoingRecords } from "./outgoing.ts";

const { warning, fatal } = AlertLevel.codes;
const { user_canceled, close_notify } = AlertDescription.codes;

/** What may prevent an alert without being a fault of this library. */
const UNSENDABLE: readonly string[] = ["ERR_TLS_RECORD_LIMIT", "ERR_TLS_CALLBACK_FAILED"];

export class Outbound {
  readonly #records: OutgoingRecords;
  readonly #highWaterMark: number;
  /** Data taken before it may be sent. */
  #unsent: Uint8Array[] = [];
  #unsentLength = 0;
  #keyUpdateOwed = false;
  #owed: (() => void)[] = [];
  #closing = false;
  #closed = false;
  #earlyRoom = 0;
  /** Application data may be sent. */
  allowed = false;

  constructor(records: OutgoingRecords, highWaterMark: number) {
    this.#records = records;
    this.#highWaterMark = highWaterMark;
  }

  /** close_notify or another last alert is in the output. */
  get closed(): boolean {
    return this.#closed;
  }

  /** No more data is taken. */
  get closing(): boolean {
    return this.#closing || this.#closed;
  }

  /** Bytes that {@link Outbound.write} would take. */
  get room(): number {
    return this.closing ? 0 : Math.max(0, this.#highWaterMark - this.#records.length - this.#unsentLength);
  }

  /**
   * Takes what there is room for.
   *
   * @param now - False while a flow is running: then the data waits for {@link Outbound.flush}.
   * @returns How many bytes were taken.
   */
  write(data: Uint8Array, now: boolean): number {
    const taken = Math.min(data.length, this.room);
    if (taken === 0) return 0;
    if (now && this.allowed && this.#unsentLength === 0) {
      this.#send(data.subarray(0, taken));
    } else {
      // Not `slice`, which gives a view of a Buffer.
      this.#unsent.push(new Uint8Array(data.subarray(0, taken)));
      this.#unsentLength += taken;
    }
    return taken;
  }

  /** Opens or closes the window for early data, in bytes. */
  allowEarlyData(limit: number): void {
    this.#earlyRoom = limit;
  }

  /** Bytes of early data that {@link Outbound.writeEarlyData} would take. */
  get earlyRoom(): number {
    return Math.min(this.#earlyRoom, this.room);
  }

  /** Takes what the window and the queue have room for; nothing of it waits. */
  writeEarlyData(data: Uint8Array): number {
    const taken = Math.min(data.length, this.earlyRoom);
    if (taken === 0) return 0;
    this.#earlyRoom -= taken;
    this.#records.sendApplicationData(data.subarray(0, taken));
    return taken;
  }

  /** Sends what has waited, and close_notify if that was asked for. */
  flush(): void {
    if (!this.allowed || this.#closed) return;
    const unsent = this.#unsent;
    this.#dropUnsent();
    for (const data of unsent) this.#send(data);
    if (!this.#closing) return;
    for (const send of this.#owed.splice(0)) send();
    this.#closed = true;
    this.#records.sendAlert(warning, close_notify);
  }

  close(): void {
    this.#earlyRoom = 0;
    this.#closing = true;
  }

  /** The peer asked for a KeyUpdate. Several requests while this side is silent get one answer (RFC 8446 4.6.3). */
  oweKeyUpdate(): void {
    this.#keyUpdateOwed = true;
  }

  /** Something else that the peer has asked for, sent when there is room. */
  owe(send: () => void): void {
    this.#owed.push(send);
  }

  pay(): void {
    if (this.#closed) return;
    if (this.#keyUpdateOwed) {
      this.#keyUpdateOwed = false;
      // RFC 9846 4.7.3: a request that cannot be met any more is ignored.
      if (this.#records.canUpdateKey) this.#records.updateKey("update_not_requested");
    }
    for (const send of this.#owed.splice(0)) send();
  }

  /**
   * Ends this direction for good, with the alert of `error` where this side found the fault.
   *
   * @param established - The handshake is done.
   */
  fail(error: TlsError, established: boolean): void {
    this.#dropUnsent();
    const silent = this.#closed || error.alert === undefined || error.direction !== "sent";
    this.#closed = true;
    if (silent) return;
    try {
      if (error.alert === "user_canceled") {
        // RFC 9846 6.1: followed by close_notify; after the handshake close_notify alone is right.
        if (!established) this.#records.sendAlert(warning, user_canceled);
        this.#records.sendAlert(warning, close_notify);
      } else {
        this.#records.sendAlert(fatal, AlertDescription.codes[error.alert as keyof typeof AlertDescription.codes]);
      }
    } catch (cause) {
      // No key is left to send an alert with, or the padding callback is broken: the first error is the one to report.
      const expected = cause instanceof TlsError && UNSENDABLE.includes(cause.code);
      if (!expected) throw cause;
    }
  }

  #send(data: Uint8Array): void {
    this.pay();
    this.#records.sendApplicationData(data);
  }

  #dropUnsent(): void {
    this.#unsent = [];
    this.#unsentLength = 0;
  }
}
