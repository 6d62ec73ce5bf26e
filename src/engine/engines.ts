/** The connections of a context, as long as they last: none is kept alive by standing here. */
import type { TlsError } from "../errors.ts";
import type { Awaitable } from "../flow.ts";
import type { TlsEngine } from "./engine.ts";

/** What {@link ReplaceableContext.recheck} has found. */
export interface Recheck {
  /** Connections looked at. */
  readonly checked: number;
  /** What ended those that did not hold. */
  readonly ended: readonly TlsError[];
}

interface Held {
  deref(): TlsEngine | undefined;
}

/** Connections judged at a time. */
const BATCH = 32;
/** Fewest that are looked through for what is gone. */
const MIN_SWEEP = 64;

export class Engines {
  #held: Held[] = [];
  #sweepAt = MIN_SWEEP;

  add(engine: TlsEngine): void {
    if (this.#held.length >= this.#sweepAt) {
      this.#held = this.#held.filter((held) => held.deref()?.done === false);
      this.#sweepAt = Math.max(MIN_SWEEP, 2 * this.#held.length);
    }
    // Where a host has no WeakRef, those that are over go at the next sweep.
    this.#held.push(typeof WeakRef === "undefined" ? { deref: () => engine } : new WeakRef(engine));
  }

  /** @param pause - Awaited between batches. */
  async recheck(pause: () => Awaitable<void>): Promise<Recheck> {
    const ended: TlsError[] = [];
    let checked = 0;
    const held = this.#held.slice();
    for (let from = 0; from < held.length; from += BATCH) {
      if (from > 0) await pause();
      const batch = held.slice(from, from + BATCH).flatMap((one) => one.deref() ?? []);
      // A handshake that is not done is judged by what is in force then.
      const open = batch.filter((engine) => engine.result !== undefined && !engine.done);
      const verdicts = await Promise.all(open.map(async (engine) => (await engine.recheck()) || engine.error));
      checked += open.length;
      ended.push(...verdicts.filter((verdict) => typeof verdict === "object"));
    }
    return { checked, ended };
  }
}
