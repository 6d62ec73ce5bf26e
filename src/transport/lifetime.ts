/** How long a connection may last, and how often its peer is judged again. */
import { fault, type TlsError } from "../errors.ts";
import { quietTimers } from "./timers.ts";

/** Bounds of one connection. */
export interface LifetimeOptions {
  /** ms after the handshake at which the connection is ended, `ERR_TLS_MAX_LIFETIME`. Default 0: any time. */
  readonly maxLifetime?: number | undefined;
  /**
   * ms after which the peer is judged again, and then again, as {@link TlsSession.recheck} does: so that no connection
   * outlives its certificate by more. Default 0: never by itself.
   */
  readonly recheckInterval?: number | undefined;
}

/**
 * Starts the clocks of a connection. None of them keeps a process alive.
 *
 * @returns Stops them.
 */
export function boundLifetime(
  { maxLifetime = 0, recheckInterval = 0 }: LifetimeOptions,
  end: (error: TlsError) => void,
  recheck: () => Promise<boolean>,
): () => void {
  let over = false;
  let next: unknown;
  const check = async () => {
    if ((await recheck()) && !over) schedule();
  };
  const schedule = () => {
    next = quietTimers.set(() => void check(), recheckInterval);
  };
  const tooOld = () => end(fault("ERR_TLS_MAX_LIFETIME", `${maxLifetime} ms`));
  const last = maxLifetime > 0 ? quietTimers.set(tooOld, maxLifetime) : undefined;
  if (recheckInterval > 0) schedule();
  return () => {
    over = true;
    quietTimers.clear(last);
    quietTimers.clear(next);
  };
}
