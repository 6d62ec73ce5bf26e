/** How long a connection may last, and how often its peer is judged again. */
import { fault, type TlsError } from "../errors.ts";

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
  const timers: { life?: Timer; check?: Timer } = {};
  let over = false;
  if (maxLifetime > 0) {
    timers.life = unheld(
      setTimeout(() => end(fault("ERR_TLS_MAX_LIFETIME", `${maxLifetime} ms after the handshake`)), maxLifetime),
    );
  }
  const check = async () => {
    if ((await recheck()) && !over) schedule();
  };
  const schedule = () => {
    timers.check = unheld(setTimeout(() => void check(), recheckInterval));
  };
  if (recheckInterval > 0) schedule();
  return () => {
    over = true;
    clearTimeout(timers.life);
    clearTimeout(timers.check);
  };
}

type Timer = ReturnType<typeof setTimeout>;

/** A timer that does not keep Node's process alive; elsewhere none does. */
function unheld(timer: Timer): Timer {
  const { unref } = timer as { readonly unref?: () => unknown };
  unref?.call(timer);
  return timer;
}
