/** A connection of others, watched and, where a key log has its secrets, decrypted: no handshake is run here, it is only followed. */
import { ContentType } from "../../codec/registry.ts";
import type { CryptoProvider } from "../../crypto/provider.ts";
import { type Side, TlsError } from "../../errors.ts";
import type { Epoch } from "../../handshake/io.ts";
import type { WireRecord } from "../../record/framing.ts";
import type { OpenedRecord } from "../../record/protection.ts";
import { secretInForce } from "../describe.ts";
import { type InspectItem, traceSecret } from "../trace.ts";
import { WatchedDirection } from "./direction.ts";
import { FinishedCheck } from "./finished.ts";
import type { KeyLogSecrets } from "./key-log.ts";
import { tryOpen, WatchedKeys } from "./keys.ts";
import { WatchedMessages } from "./messages.ts";

const { handshake, application_data } = ContentType.codes;

/** What a connection is watched with. */
export interface WatchOptions {
  /** Whose suites decrypt. */
  readonly provider: CryptoProvider;
  readonly secrets: KeyLogSecrets;
  /** The side from which the trace is told: what it sends has `direction: "sent"`. */
  readonly viewpoint: Side;
  readonly onItem: (item: InspectItem) => void;
}

/** Where no ClientHello was seen. */
const UNKNOWN_EPOCHS: readonly Epoch[] = ["handshake", "application"];

interface Opened {
  readonly opened: OpenedRecord;
  readonly epoch: Epoch;
  readonly sequence: number;
}

/** A record that stays closed, the reason, and the epochs that it may be of. */
interface Closed {
  readonly reason: string;
  readonly epochs: readonly Epoch[];
}

/** Takes the bytes of both directions in the order in which they were seen, and gives the trace. */
export class WatchedConnection {
  readonly #onItem: (item: InspectItem) => void;
  readonly #directions: Readonly<Record<Side, WatchedDirection>>;
  readonly #keys: WatchedKeys;
  readonly #messages: WatchedMessages;
  #over = false;

  constructor({ provider, secrets, viewpoint, onItem }: WatchOptions) {
    this.#onItem = onItem;
    const client = new WatchedDirection("client", viewpoint, onItem);
    const server = new WatchedDirection("server", viewpoint, onItem);
    this.#directions = { client, server };
    this.#keys = new WatchedKeys(provider, secrets);
    const check = new FinishedCheck(this.#keys, (from, verified, note) => {
      onItem({ kind: "note", level: verified ? "verified" : "problem", from, section: "RFC 8446 4.4.4", note });
    });
    this.#messages = new WatchedMessages(this.#directions, this.#keys, check, (label, secret) =>
      onItem(traceSecret(label, secret)),
    );
  }

  /** @param bytes - The next of this direction; copied where they must be kept. */
  push(from: Side, bytes: Uint8Array): void {
    const direction = this.#directions[from];
    if (direction.ended) {
      direction.unread += bytes.length;
      return;
    }
    direction.records.push(bytes);
    this.#drain();
    direction.records.keep();
  }

  /**
   * Bytes of this direction are missing: where its next record begins is not known any more.
   *
   * @param behind - Bytes behind them that are there.
   */
  gap(from: Side, missing: number, behind: number): void {
    const direction = this.#directions[from];
    if (direction.ended) return;
    direction.waits = false;
    this.#drain();
    if (direction.ended) return;
    direction.unread = behind;
    this.#endWithout(direction, `${missing} bytes of the ${from} are missing here`);
  }

  /** Nothing more comes. */
  end(): void {
    this.#over = true;
    this.#drain();
    for (const direction of Object.values(this.#directions)) this.#close(direction);
  }

  #close(direction: WatchedDirection): void {
    const { from, unread, records, messages } = direction;
    if (unread > 0) this.#remark(from, `${unread} bytes of the ${from} cannot be cut into records`);
    else if (records.buffered > 0) this.#remark(from, `the ${from}'s last record ends after ${records.buffered} bytes`);
    if (messages.buffered > 0 && !direction.unreadable) {
      this.#remark(from, `the ${from}'s last handshake message ends after ${messages.buffered} bytes`);
    }
  }

  #drain(): void {
    // Each may wait for what the other one has next.
    for (let moved = true; moved; ) {
      moved = false;
      for (const direction of Object.values(this.#directions)) {
        while (this.#step(direction)) moved = true;
      }
    }
  }

  #step(direction: WatchedDirection): boolean {
    if (direction.ended) return false;
    let record: WireRecord | undefined;
    try {
      record = direction.next();
    } catch (error) {
      if (!(error instanceof TlsError)) throw error;
      this.#endWithout(direction, `what the ${direction.from} sends here is no TLS record: ${error.message}`);
      return false;
    }
    if (record === undefined) return false;
    if (this.#mustWait(direction, record)) {
      direction.hold(record);
      return false;
    }
    this.#record(direction, record);
    return true;
  }

  /** Packets may be captured in another order than that in which they were sent: nothing answers what is not there yet. */
  #mustWait({ from, waits }: WatchedDirection, { type }: WireRecord): boolean {
    if (this.#over || !waits) return false;
    if (from === "server") return !this.#messages.helloSeen && !this.#directions.client.ended;
    const early = this.#directions.client.epochs[0] === "early";
    return type === application_data && !early && !this.#messages.chosen && !this.#directions.server.ended;
  }

  #record(direction: WatchedDirection, record: WireRecord): void {
    const { type, bytes, fragment } = record;
    if (type !== application_data) {
      this.#emit(direction, record, { type, content: fragment, padding: 0 }, "initial", undefined);
      this.#content(direction, type, fragment, "initial");
      return;
    }
    const found = this.#open(direction, record);
    if ("reason" in found) {
      const { reason: note, epochs } = found;
      const [epoch] = epochs as readonly [Epoch];
      const generation = epoch === "application" ? direction.generation : 0;
      const secret = candidates(direction, epochs);
      direction.trace.unopened({ wire: bytes, epoch, generation, secret, section: "RFC 8446 5.2", note });
      direction.unopened++;
      this.#messages.unopened(direction.from, epochs);
      return;
    }
    direction.unopened = 0;
    this.#emit(direction, record, found.opened, found.epoch, found.sequence);
    this.#content(direction, found.opened.type, found.opened.content, found.epoch);
  }

  #emit(
    { trace, generation }: WatchedDirection,
    { type: outerType, bytes: wire }: WireRecord,
    { type, content, padding }: OpenedRecord,
    epoch: Epoch,
    sequence: number | undefined,
  ): void {
    const inForce = epoch === "application" ? generation : 0;
    trace.record({ epoch, outerType, type, wire, content, padding, sequence, generation: inForce });
  }

  /** Tries the keys of the epoch at hand, and beyond it only where it is not known whether that epoch is over. */
  #open(direction: WatchedDirection, record: WireRecord): Opened | Closed {
    const epochs = direction.epochs.length > 0 ? direction.epochs : UNKNOWN_EPOCHS;
    if (direction.lost !== undefined) return { reason: direction.lost, epochs };
    const missing: Epoch[] = [];
    let reason = "none of the secrets in the key log opens it";
    for (const epoch of epochs) {
      const keys = this.#keys.of(direction, epoch, record);
      if ("reason" in keys) {
        if (missing.length === 0) reason = keys.reason;
        missing.push(epoch);
        continue;
      }
      const sequence = keys.opener.records;
      try {
        const opened = tryOpen(keys.opener, record);
        if (opened !== undefined) {
          direction.enter(epoch);
          return { opened, epoch, sequence };
        }
      } catch (error) {
        if (!(error instanceof TlsError)) throw error;
        return this.#lose(direction, epoch, error.message);
      }
      // Early data ends where the server wants it to: what follows it is told by its keys alone.
      if (epoch === "early") continue;
      if (missing.length > 0) break;
      return this.#lose(
        direction,
        epoch,
        "the secret in the key log does not open it: wrong, or the record was changed",
      );
    }
    if (missing.length === 0) return { reason, epochs };
    // Until the server has answered there is nothing but early data, of which a client need not send any. Otherwise only the
    // first of an epoch is of no other.
    const { chosen } = this.#messages;
    const isFirst = direction.unopened === 0 && epochs !== UNKNOWN_EPOCHS;
    const isCertain = missing[0] === "early" ? !chosen : isFirst;
    return { reason, epochs: isCertain ? missing.slice(0, 1) : missing };
  }

  #lose(direction: WatchedDirection, epoch: Epoch, reason: string): Closed {
    direction.lost = "a record before it could not be opened";
    return { reason, epochs: [epoch] };
  }

  #content(direction: WatchedDirection, type: number, content: Uint8Array, epoch: Epoch): void {
    if (type !== handshake || direction.unreadable) return;
    try {
      direction.messages.push(content);
      for (let message = direction.messages.next(); message !== undefined; message = direction.messages.next()) {
        this.#messages.message(direction, message, epoch);
      }
    } catch (error) {
      if (!(error instanceof TlsError)) throw error;
      direction.unreadable = true;
      this.#problem(direction.from, `the ${direction.from}'s handshake messages cannot be followed: ${error.message}`);
    }
  }

  #endWithout(direction: WatchedDirection, reason: string): void {
    direction.ended = true;
    this.#messages.broken(direction.from);
    this.#problem(direction.from, `${reason}; nothing of the ${direction.from} behind this can be read`);
    this.#drain();
  }

  #problem(from: Side, note: string): void {
    this.#onItem({ kind: "note", level: "problem", from, section: "RFC 8446 5.1", note });
  }

  #remark(from: Side, note: string): void {
    this.#onItem({ kind: "note", level: "remark", from, section: "RFC 8446 5.1", note });
  }
}

/** The names of what a record may be protected under. */
function candidates({ from, generation, unopened }: WatchedDirection, epochs: readonly Epoch[]): string {
  const names = epochs.map((epoch) => secretInForce(epoch, from, epoch === "application" ? generation : 0));
  // Among what is closed there may be KeyUpdates.
  return `${names.join(" or ")}${epochs.includes("application") && unopened > 0 ? " or later" : ""}`;
}
