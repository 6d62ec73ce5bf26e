/** Identities that are renewed by themselves, well before their certificates end. */
import { certificateChain, type IdentityOptions } from "../engine/identity.ts";
import { fault, TlsError } from "../errors.ts";
import { parseCertificate } from "../x509/parse.ts";
import { quietTimers, type Timers } from "./timers.ts";

/** Something that presents identities: a context of either role. */
export interface Presenter {
  replace(changes: { readonly identities: readonly IdentityOptions[] }): void;
}

/** What is renewed, how, and for whom. */
export interface RenewalOptions {
  /** In use now: its certificate's validity says when the next is due. */
  readonly identity: IdentityOptions;
  /**
   * Gets the next one, which must be valid already: makes a key, has a CA sign, waits for an operator. Called for one attempt
   * at a time.
   *
   * @param signal - Aborted when the attempt takes too long, and by `close`.
   */
  readonly obtain: (signal: AbortSignal) => Promise<IdentityOptions>;
  /** Whose only identity it becomes. Where there are others, pass what puts them together. */
  readonly contexts: Presenter | readonly Presenter[];
  /** Must not throw. */
  readonly onEvent?: ((event: RenewalEvent) => void) | undefined;
  /** Share of the certificate's life after which it is renewed at the latest. Default 2/3. */
  readonly renewAfter?: number | undefined;
  /** Share of its life by which that may be earlier, at random, lest a fleet comes at once. Default 0.1. */
  readonly jitter?: number | undefined;
  /** Share of its life after which an identity that could not be renewed is told of. Default 5/6. */
  readonly warnAfter?: number | undefined;
  /**
   * ms before another attempt after the first that failed; twice that after the second, and so on, up to a twentieth of
   * the certificate's life and 5 minutes; half of it at least, at random. Default 1000.
   */
  readonly retryDelay?: number | undefined;
  /** ms that an attempt may take. Default 60000. */
  readonly attemptTimeout?: number | undefined;
  /** ms since the epoch. Default `Date.now`. */
  readonly clock?: (() => number) | undefined;
  /** 0 to 1, for jitter. Default `Math.random`: nothing secret hangs on it. */
  readonly random?: (() => number) | undefined;
  /** Default: the host's, which keep no process alive. */
  readonly timers?: Timers | undefined;
}

/** What becomes of it. Times are ms since the epoch. */
export type RenewalEvent =
  /** The next identity is in force. */
  | { readonly type: "renewed"; readonly notAfter: number; readonly renewAt: number }
  /** An attempt has failed; the old identity stays. */
  | { readonly type: "failed"; readonly error: TlsError; readonly attempts: number; readonly retryAt: number }
  /** Once for each certificate that is not renewed in good time: somebody should look. */
  | { readonly type: "expiring"; readonly notAfter: number; readonly error: TlsError | undefined };

/** Made by {@link renewal}. */
export interface Renewal {
  /** When the next attempt is due, ms since the epoch. */
  readonly renewAt: number;
  /** No more attempts; what one that is under way brings is not used. */
  close(): void;
}

/** ms: clocks are set and machines sleep, so the clock is looked at this often. */
const LOOK = 60_000;
const MAX_RETRY_DELAY = 300_000;
const MAX_DELAY = 0x7fffffff;

/**
 * Renews an identity by itself at two thirds of its certificate's life, for contexts whose connections go on meanwhile.
 *
 * @throws TlsError `ERR_TLS_OPTION` for numbers out of range, `ERR_TLS_PEM`, `CERT_PARSE_ERROR` for a certificate that
 * cannot be read. Later failures, `ERR_TLS_CALLBACK_FAILED` where `obtain` fails, are told as events.
 * @example
 * ```ts
 * const issue = async () => {
 *   const { certificatePem, privateKeyPem } = await authority.issue({ subject: "localhost", dnsNames: ["localhost"] });
 *   return { cert: certificatePem, key: privateKeyPem };
 * };
 * const identity = await issue();
 * const context = serverContext({ identities: [identity] });
 * const renewing = renewal({ identity, obtain: issue, contexts: context, onEvent: ({ type }) => console.log(type) });
 * console.log(renewing.renewAt > Date.now()); // true
 * renewing.close();
 * ```
 */
export function renewal(options: RenewalOptions): Renewal {
  return new Renewing(options);
}

/** When the identity in use is to be replaced, and told of. */
interface Schedule {
  readonly notBefore: number;
  readonly notAfter: number;
  readonly life: number;
  readonly renewAt: number;
  readonly warnAt: number;
}

class Renewing implements Renewal {
  readonly #options: RenewalOptions;
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #timers: Timers;
  readonly #retryDelay: number;
  readonly #attemptTimeout: number;
  #schedule: Schedule;
  #due: number;
  /** The longest that is waited for what is due, should the clock be set back. */
  #longest = Number.POSITIVE_INFINITY;
  #warned = false;
  #failures = 0;
  #lastError: TlsError | undefined;
  #attempt: AbortController | undefined;
  #timer: unknown;
  #closed = false;

  constructor(options: RenewalOptions) {
    this.#options = options;
    this.#now = options.clock ?? Date.now;
    this.#random = options.random ?? Math.random;
    this.#timers = options.timers ?? quietTimers;
    this.#retryDelay = within(options.retryDelay ?? 1000, 1, MAX_RETRY_DELAY, "retryDelay");
    this.#attemptTimeout = within(options.attemptTimeout ?? 60_000, 1, MAX_DELAY, "attemptTimeout");
    this.#schedule = this.#plan(options.identity);
    this.#due = this.#schedule.renewAt;
    this.#wait();
  }

  get renewAt(): number {
    return this.#due;
  }

  close(): void {
    this.#closed = true;
    this.#timers.clear(this.#timer);
    this.#attempt?.abort();
  }

  #plan({ cert }: IdentityOptions): Schedule {
    const { renewAfter = 2 / 3, jitter = 0.1, warnAfter = 5 / 6 } = this.#options;
    within(renewAfter, 0, 1, "renewAfter");
    within(jitter, 0, 1, "jitter");
    within(warnAfter, 0, 1, "warnAfter");
    const { notBefore, notAfter } = parseCertificate(certificateChain(cert)[0] ?? new Uint8Array(0));
    const life = notAfter - notBefore;
    const renewAt = notBefore + life * Math.max(0, renewAfter - jitter * this.#random());
    return { notBefore, notAfter, life, renewAt, warnAt: notBefore + life * warnAfter };
  }

  #wait(): void {
    const now = this.#now();
    // What failed is tried again in time, whatever becomes of the clock.
    this.#due = Math.min(this.#due, now + this.#longest);
    const next = Math.min(
      this.#attempt === undefined ? this.#due : Infinity,
      this.#warned ? Infinity : this.#schedule.warnAt,
    );
    const delay = Math.min(Math.max(next - now, 0), LOOK);
    this.#timer = this.#timers.set(() => this.#look(), Math.ceil(delay));
  }

  #look(): void {
    const now = this.#now();
    if (!this.#warned && now >= this.#schedule.warnAt) {
      this.#warned = true;
      this.#tell({ type: "expiring", notAfter: this.#schedule.notAfter, error: this.#lastError });
    }
    // Whoever was told may have closed it.
    if (this.#closed) return;
    if (this.#attempt === undefined && now >= this.#due) void this.#renew();
    this.#wait();
  }

  async #renew(): Promise<void> {
    const attempt = new AbortController();
    this.#attempt = attempt;
    const late = fault("ERR_TLS_CALLBACK_FAILED", `obtain has not answered in ${this.#attemptTimeout} ms`);
    const timer = this.#timers.set(() => attempt.abort(late), this.#attemptTimeout);
    try {
      const identity = await Promise.race([this.#options.obtain(attempt.signal), aborted(attempt.signal)]);
      if (!this.#closed) this.#take(identity);
    } catch (cause) {
      if (!this.#closed) this.#fail(cause);
    } finally {
      this.#timers.clear(timer);
      this.#attempt = undefined;
    }
    if (this.#closed) return;
    this.#timers.clear(this.#timer);
    this.#wait();
  }

  #take(identity: IdentityOptions): void {
    const schedule = this.#plan(identity);
    const now = this.#now();
    if (schedule.notAfter <= Math.max(now, this.#schedule.notAfter)) {
      throw fault(
        "ERR_TLS_CALLBACK_FAILED",
        `what obtain gave ends at ${date(schedule.notAfter)}, no later than before`,
      );
    }
    if (schedule.notBefore > now) {
      throw fault("ERR_TLS_CALLBACK_FAILED", `what obtain gave is not valid before ${date(schedule.notBefore)}`);
    }
    const { contexts } = this.#options;
    const presenters = "replace" in contexts ? [contexts] : contexts;
    for (const context of presenters) context.replace({ identities: [identity] });
    this.#schedule = schedule;
    // A certificate that is old when it comes is no reason to ask again at once.
    this.#due = Math.max(schedule.renewAt, now + this.#retryDelay);
    this.#longest = Number.POSITIVE_INFINITY;
    this.#warned = false;
    this.#failures = 0;
    this.#lastError = undefined;
    this.#tell({ type: "renewed", notAfter: schedule.notAfter, renewAt: this.#due });
  }

  #fail(cause: unknown): void {
    const error =
      cause instanceof TlsError
        ? cause
        : fault("ERR_TLS_CALLBACK_FAILED", `obtain: ${cause instanceof Error ? cause.message : String(cause)}`, {
            cause,
          });
    this.#lastError = error;
    this.#failures++;
    const most = Math.min(MAX_RETRY_DELAY, Math.max(this.#retryDelay, this.#schedule.life / 20));
    const delay = Math.min(most, this.#retryDelay * 2 ** (this.#failures - 1));
    this.#longest = delay * (0.5 + 0.5 * this.#random());
    this.#due = this.#now() + this.#longest;
    this.#tell({ type: "failed", error, attempts: this.#failures, retryAt: this.#due });
  }

  #tell(event: RenewalEvent): void {
    this.#options.onEvent?.(event);
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
}

function within(value: number, min: number, max: number, name: string): number {
  if (!(value >= min && value <= max)) throw fault("ERR_TLS_OPTION", `${name} ${value} is not ${min} to ${max}`);
  return value;
}

function date(time: number): string {
  return new Date(time).toISOString();
}
