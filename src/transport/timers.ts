/** Timers that keep no process alive. */
import type { VerdictLimit } from "../engine/index.ts";

/** What waits; the host's by default, another in tests. */
export interface Timers {
  /** @param delay - ms, at most 2^31 - 1. */
  set(callback: () => void, delay: number): unknown;
  clear(timer: unknown): void;
}

/** The host's. Node's process does not stay for them; elsewhere none does. */
export const quietTimers: Timers = {
  set(callback, delay) {
    const timer = setTimeout(callback, delay);
    const { unref } = timer as { readonly unref?: () => unknown };
    unref?.call(timer);
    return timer;
  },
  clear: (timer) => clearTimeout(timer as ReturnType<typeof setTimeout>),
};

/**
 * How long the verdict about a peer may take when open connections are judged again: one that is not there by then is a
 * refusal, `ERR_TLS_CALLBACK_FAILED`.
 *
 * @param time - ms. Default 30000.
 * @example
 * ```ts
 * const context = serverContext({ identities: [{ cert, key }], trust: ca, clientAuth: "on" });
 * const pause = () => new Promise<void>((done) => setTimeout(done));
 * const { checked, ended } = await context.recheck(pause, timeLimit(5000));
 * console.log(checked, ended.length); // 0 0
 * ```
 */
export function timeLimit(time = 30_000, timers: Timers = quietTimers): VerdictLimit {
  return (expire) => {
    const timer = timers.set(expire, time);
    return () => timers.clear(timer);
  };
}
