/** One direction of a connection that is watched: its bytes, its keys, and how far it has come. */
import type { Side } from "../../errors.ts";
import type { Epoch } from "../../handshake/io.ts";
import { HandshakeReader, RECORD_HEADER_LENGTH, RecordReader, type WireRecord } from "../../record/framing.ts";
import type { RecordOpener } from "../../record/protection.ts";
import type { TraceItem } from "../trace.ts";
import { TraceStream } from "../trace-stream.ts";

/** A message's length takes three bytes; a capture is in memory as a whole. */
const MAX_MESSAGE = 0xffffff;

/** The keys of one epoch of one direction. */
export interface EpochKeys {
  readonly opener: RecordOpener;
  readonly secret: Uint8Array;
}

/** How records of an epoch that cannot be opened are explained. */
export interface MissingKeys {
  readonly reason: string;
}

/** The state of one direction. */
export class WatchedDirection {
  readonly from: Side;
  readonly records = new RecordReader();
  readonly messages = new HandshakeReader(MAX_MESSAGE);
  readonly trace: TraceStream;
  /** Epochs that protected records may be of: the one at hand, then those to come. */
  epochs: readonly Epoch[] = [];
  readonly keys = new Map<Epoch, EpochKeys>();
  /** KeyUpdates so far. */
  generation = 0;
  /** A record that can only be understood when the other direction has gone on. */
  held: WireRecord | undefined;
  /** False once what it would wait for cannot come any more. */
  waits = true;
  /** Records in a row that stayed closed: beyond the first, nobody knows whether the next epoch has begun. */
  unopened = 0;
  /** Why no record from here on can be opened. */
  lost: string | undefined;
  /** Nothing from here on is cut into records; how many bytes that are. */
  ended = false;
  unread = 0;
  /** The handshake messages can no longer be followed. */
  unreadable = false;

  /** @param viewpoint - The side whose arrows the trace has. */
  constructor(from: Side, viewpoint: Side, onItem: (item: TraceItem) => void) {
    this.from = from;
    this.trace = new TraceStream(from === viewpoint ? "sent" : "received", from, onItem);
  }

  /** The next record, whole. */
  next(): WireRecord | undefined {
    const { held } = this;
    if (held === undefined) return this.records.next(true);
    this.held = undefined;
    return held;
  }

  /** Keeps a record for later; its bytes would not hold. */
  hold({ type, bytes }: WireRecord): void {
    const copy = bytes.slice();
    this.held = { type, bytes: copy, fragment: copy.subarray(RECORD_HEADER_LENGTH) };
  }

  /** From here on records are of this epoch, or of one behind it. */
  enter(epoch: Epoch): void {
    const at = this.epochs.indexOf(epoch);
    if (at > 0) this.epochs = this.epochs.slice(at);
  }
}
