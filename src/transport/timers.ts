/** Timers that keep no process alive. */

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
