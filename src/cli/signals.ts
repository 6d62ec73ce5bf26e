/** SIGINT and SIGTERM as an abort signal and an exit status; SIGHUP as a call. */

export interface Signals {
  readonly signal: AbortSignal;
  /** 128 and the signal's number, once one has come. */
  readonly status: number | undefined;
  stop(): void;
}

/**
 * Calls back at each SIGHUP. On Windows that is a console that closes, and ends the process as ever.
 *
 * @returns Stops that.
 */
export function onHangup(handle: () => void): () => void {
  if (process.platform === "win32") return () => {};
  process.on("SIGHUP", handle);
  return () => process.off("SIGHUP", handle);
}

const STATUS = { SIGINT: 130, SIGTERM: 143 } as const;

/** Watches for signals; the second one ends the process at once. */
export function onSignals(): Signals {
  const controller = new AbortController();
  let status: number | undefined;
  const handle = (name: keyof typeof STATUS) => {
    if (status !== undefined) process.exit(STATUS[name]);
    status = STATUS[name];
    controller.abort();
  };
  const onInterrupt = () => handle("SIGINT");
  const onTerminate = () => handle("SIGTERM");
  process.on("SIGINT", onInterrupt);
  process.on("SIGTERM", onTerminate);
  return {
    signal: controller.signal,
    get status() {
      return status;
    },
    stop: () => {
      process.off("SIGINT", onInterrupt);
      process.off("SIGTERM", onTerminate);
    },
  };
}
