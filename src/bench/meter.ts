/** Tells one end's time apart by operation: each moment belongs to the innermost operation under way, or to the rest. */
import { isPromiseLike } from "../flow.ts";

/** The operations of a handshake that are told apart. `rest` is all that no other takes: the engine itself. */
export const OPERATIONS = [
  "key_share",
  "key_agreement",
  "encapsulation",
  "sign",
  "verify_handshake",
  "verify_certificate",
  "check_key",
  "path",
  "hkdf",
  "hash",
  "protection",
  "compression",
  "ticket",
  "random",
  "rest",
] as const;

export type OperationName = (typeof OPERATIONS)[number];

/** What each operation is, for people. */
export const OPERATION_TEXT: Readonly<Record<OperationName, string>> = {
  key_share: "key share",
  key_agreement: "key agreement",
  encapsulation: "key share and agreement",
  sign: "signing",
  verify_handshake: "verifying CertificateVerify",
  verify_certificate: "verifying certificates",
  check_key: "checking the peer's key",
  path: "parsing, path validation",
  hkdf: "HKDF and HMAC",
  hash: "transcript and other hashes",
  protection: "record protection",
  compression: "certificate compression",
  ticket: "sealing, opening tickets",
  random: "random numbers",
  rest: "the rest",
};

/** What one operation came to. */
export interface OperationCost {
  readonly calls: number;
  /** ms on the thread that runs JavaScript, and of waiting for a core where others want it, too. */
  readonly cpu: number;
  /** ms between a promise and its outcome: work of other threads, and waiting for a turn. */
  readonly waiting: number;
}

const INDEX = Object.fromEntries(OPERATIONS.map((name, index) => [name, index])) as Record<OperationName, number>;
const NONE = -1;

/**
 * The meter of one end. Nothing is measured outside {@link Meter.side}.
 *
 * @example
 * ```ts
 * const meter = new Meter();
 * const sum = meter.side(() => meter.run("hash", () => 1 + 1));
 * console.log(sum, meter.read().hash.calls); // 2 1
 * ```
 */
export class Meter {
  readonly #now: () => number;
  readonly #calls = new Float64Array(OPERATIONS.length);
  readonly #cpu = new Float64Array(OPERATIONS.length);
  readonly #waiting = new Float64Array(OPERATIONS.length);
  #current = NONE;
  #since = 0;
  /** An operation is under way that what it is made of belongs to. */
  #whole = false;

  /** @param now - ms since any fixed point. Default: `performance.now`. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Takes the time of what this end does. */
  side<T>(work: () => T): T {
    return this.#within(INDEX.rest, work);
  }

  /** Begins what {@link Meter.side} does, where it cannot be wrapped around the work. */
  open(): void {
    this.#switch(INDEX.rest);
  }

  /** Ends it. */
  close(): void {
    this.#switch(NONE);
  }

  /** One call of an operation that answers at once. Operations within it count for themselves. */
  run<T>(operation: OperationName, work: () => T): T {
    if (this.#whole) return work();
    const index = INDEX[operation];
    this.#calls[index] = (this.#calls[index] as number) + 1;
    return this.#within(index, work);
  }

  /** A further stretch of a call that has been counted. */
  resume<T>(operation: OperationName, work: () => T): T {
    return this.#whole ? work() : this.#within(INDEX[operation], work);
  }

  /** One call of an operation that may answer later: what it takes until then is waiting. */
  later<T>(operation: OperationName, work: () => T): T {
    const value = this.run(operation, work);
    if (this.#whole || !isPromiseLike(value)) return value;
    const since = this.#now();
    const index = INDEX[operation];
    const stop = () => {
      this.#waiting[index] = (this.#waiting[index] as number) + this.#now() - since;
    };
    return value.then(
      (outcome) => {
        stop();
        return outcome;
      },
      (reason: unknown) => {
        stop();
        throw reason;
      },
    ) as T;
  }

  /** One call of an operation that takes all it is made of with it: hashes of a ticket are no transcript hashes. */
  whole<T>(operation: OperationName, work: () => T): T {
    return this.later(operation, () => {
      const before = this.#whole;
      this.#whole = true;
      try {
        return work();
      } finally {
        this.#whole = before;
      }
    });
  }

  /** What there has been since the last {@link Meter.reset}. */
  read(): Readonly<Record<OperationName, OperationCost>> {
    const cost = (index: number) => ({
      calls: this.#calls[index] as number,
      cpu: this.#cpu[index] as number,
      waiting: this.#waiting[index] as number,
    });
    return Object.fromEntries(OPERATIONS.map((name, index) => [name, cost(index)])) as Record<
      OperationName,
      OperationCost
    >;
  }

  reset(): void {
    for (const figures of [this.#calls, this.#cpu, this.#waiting]) figures.fill(0);
  }

  #within<T>(index: number, work: () => T): T {
    const before = this.#switch(index);
    try {
      return work();
    } finally {
      this.#switch(before);
    }
  }

  #switch(to: number): number {
    const now = this.#now();
    const from = this.#current;
    if (from !== NONE) this.#cpu[from] = (this.#cpu[from] as number) + now - this.#since;
    this.#since = now;
    this.#current = to;
    return from;
  }
}
