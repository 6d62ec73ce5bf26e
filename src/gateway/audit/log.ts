/** An audit log that never holds anybody up: what its sink does not take in time is dropped, counted, and said. */
import { fault } from "../../errors.ts";
import type { Awaitable } from "../../flow.ts";
import { type AuditRecord, auditLine } from "./record.ts";

/** Where lines go. */
export interface AuditSink {
  /**
   * Takes whole lines. The next ones wait until it is done; a failure drops these.
   *
   * @param lines - With their line breaks.
   */
  write(lines: string): Awaitable<void>;
  /** Takes up the file anew that was moved away meanwhile. */
  reopen?(): Awaitable<void>;
  close?(): Awaitable<void>;
}

/** Options of {@link auditLog}. */
export interface AuditLogOptions {
  readonly sink: AuditSink;
  /** Characters that wait for the sink at most. Default 1048576. */
  readonly capacity?: number | undefined;
  /** ms since the epoch. Default `Date.now`. */
  readonly clock?: (() => number) | undefined;
}

/** A log in use. */
export interface AuditLog {
  write(record: AuditRecord): void;
  /** Records written, handed to the sink and taken by it. */
  readonly written: number;
  /** Records that were dropped since the log was made. */
  readonly dropped: number;
  /** Resolves once all that waits is written; rejects with the sink's error. */
  reopen(): Promise<void>;
  /** Writes what waits, as far as the sink takes it. */
  close(): Promise<void>;
}

const MAX_CAPACITY = 2 ** 28;

/**
 * An audit log over a sink.
 *
 * @throws TlsError `ERR_TLS_OPTION` for a capacity out of range.
 * @example
 * ```ts
 * const lines: string[] = [];
 * const log = auditLog({ sink: { write: (text) => void lines.push(text) }, clock: () => 0 });
 * log.write({ event: "started" });
 * await log.close();
 * console.log(lines.join("").trim()); // {"time":"1970-01-01T00:00:00.000Z","event":"started"}
 * ```
 */
export function auditLog({ sink, capacity = 0x100000, clock = Date.now }: AuditLogOptions): AuditLog {
  if (!Number.isInteger(capacity) || capacity < 1 || capacity > MAX_CAPACITY) {
    throw fault("ERR_TLS_OPTION", `capacity ${capacity} is not 1 to ${MAX_CAPACITY}`);
  }
  let waiting: string[] = [];
  let size = 0;
  let written = 0;
  let dropped = 0;
  /** Dropped, and not said yet. */
  let unsaid = 0;
  let lastFault: string | undefined;
  let running: Promise<void> | undefined;

  async function drain(): Promise<void> {
    // Once what happens now is over: events that come together go out together.
    await Promise.resolve();
    while (waiting.length > 0 || unsaid > 0) {
      const count = waiting.length;
      const lost = unsaid;
      if (lost > 0) waiting.push(auditLine({ event: "dropped", count: lost, message: lastFault }, clock()));
      const text = `${waiting.join("\n")}\n`;
      waiting = [];
      size = 0;
      unsaid = 0;
      try {
        await sink.write(text);
        written += count;
        lastFault = undefined;
      } catch (error) {
        dropped += count;
        unsaid = lost + count;
        lastFault = error instanceof Error ? error.message : String(error);
        // Said with what comes next: a sink that fails is not tried without end.
        break;
      }
    }
    running = undefined;
  }

  return {
    get written() {
      return written;
    },
    get dropped() {
      return dropped;
    },
    write(record) {
      const line = auditLine(record, clock());
      if (size + line.length + 1 > capacity) {
        dropped++;
        unsaid++;
        return;
      }
      size += line.length + 1;
      waiting.push(line);
      running ??= drain();
    },
    async reopen() {
      await running;
      await sink.reopen?.();
    },
    async close() {
      await running;
      // What was dropped last has nothing behind it that would say so.
      if (unsaid > 0) await drain();
      await sink.close?.();
    },
  };
}
