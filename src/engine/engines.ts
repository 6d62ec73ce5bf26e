/** The connections of a context, as long as they last: none is kept alive by standing here. */
import type { TlsError } from "../errors.ts";
import type { Awaitable } from "../flow.ts";
import type { TlsEngine } from "./engine.ts";
import type { VerdictLimit } from "./recheck.ts";

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
const LANES = 32;
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

  /**
   * @param pause - Awaited by all before every so many.
   * @throws What a listener threw, once all are judged.
   */
  async recheck(pause: () => Awaitable<void>, limit: VerdictLimit | undefined): Promise<Recheck> {
    const ended: TlsError[] = [];
    const thrown: unknown[] = [];
    let checked = 0;
    let taken = 0;
    let rest: Awaitable<void>;
    const queue = this.#held.slice().values();
    // None waits for another's verdict: one that never comes holds up its own lane alone.
    const lane = async () => {
      for (const held of queue) {
        if (taken++ % LANES === 0 && taken > 1) rest = pause();
        await rest;
        const engine = held.deref();
        // A handshake without data of its own is judged by what is in force when it is done.
        if (engine?.judgeable !== true) continue;
        checked++;
        const holds = await engine.recheck(limit).catch((cause) => {
          thrown.push(cause);
          return false;
        });
        if (!holds && engine.error !== undefined) ended.push(engine.error);
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    if (thrown.length > 0) throw thrown[0];
    return { checked, ended };
  }
}
