/** Connections that are kept for the next request: of one origin, one context in one generation, one way to connect. */
import { quietTimers } from "../transport/timers.ts";
import type { HttpConnection } from "./connection.ts";

/** How many connections there may be, and how long they are kept. */
export interface PoolLimits {
  /** Of one origin and context at once; further requests wait. */
  readonly maxConnections: number;
  /** Kept in all. */
  readonly maxIdle: number;
  /** ms that one is kept. */
  readonly keepAliveTimeout: number;
}

/** Whose connections a request may use. */
export interface PoolKey {
  readonly origin: string;
  readonly context: object;
  readonly connect: object;
}

/** A connection and how it is given back. */
export interface Lease {
  readonly connection: HttpConnection;
  /** @param reusable - False after an error or a body that was not read to its end. */
  release(reusable: boolean): void;
}

interface Kept {
  readonly timer: unknown;
  letGo(): void;
}

interface Slot {
  open: number;
  /** The one used last is the last. */
  readonly idle: HttpConnection[];
  readonly waiting: (() => void)[];
}

export class Pool {
  readonly #limits: PoolLimits;
  readonly #slots = new Map<string, Slot>();
  readonly #numbers = new WeakMap<object, number>();
  #numbered = 0;
  /** All that are kept, the oldest first. */
  readonly #kept = new Map<HttpConnection, Kept>();
  #closed = false;

  constructor(limits: PoolLimits) {
    this.#limits = limits;
  }

  /**
   * A connection that was kept, or a new one.
   *
   * @param generation - What the context is at now: connections of another are not used any more.
   * @param fresh - A new one at any rate.
   * @throws Whatever `open` throws, or `signal` is aborted with.
   */
  async acquire(
    key: PoolKey,
    generation: number | undefined,
    fresh: boolean,
    open: () => Promise<HttpConnection>,
    signal: AbortSignal | undefined,
  ): Promise<Lease> {
    const name = [this.#number(key.context), this.#number(key.connect), key.origin].join(" ");
    let slot: Slot;
    for (;;) {
      this.#drop(this.#slot(name), (connection) => fresh || connection.generation !== generation);
      // Looked up anew: a slot that nobody uses any more is forgotten.
      slot = this.#slot(name);
      const kept = slot.idle.at(-1);
      if (kept !== undefined) {
        this.#take(slot, kept);
        return this.#lease(name, slot, kept);
      }
      if (slot.open < this.#limits.maxConnections) break;
      await waitFor(slot.waiting, signal);
    }
    slot.open++;
    try {
      return this.#lease(name, slot, await open());
    } catch (error) {
      this.#gone(name, slot);
      throw error;
    }
  }

  /** Ends what is kept; what is in use ends with its exchange. */
  close(): void {
    this.#closed = true;
    for (const { letGo } of [...this.#kept.values()]) letGo();
  }

  #slot(name: string): Slot {
    const slot = this.#slots.get(name) ?? { open: 0, idle: [], waiting: [] };
    this.#slots.set(name, slot);
    return slot;
  }

  #lease(name: string, slot: Slot, connection: HttpConnection): Lease {
    let released = false;
    return {
      connection,
      release: (reusable) => {
        if (released) return;
        released = true;
        if (reusable && !this.#closed) {
          connection.used++;
          this.#keep(name, slot, connection);
        } else {
          connection.close();
          this.#gone(name, slot);
        }
      },
    };
  }

  #keep(name: string, slot: Slot, connection: HttpConnection): void {
    slot.idle.push(connection);
    const letGo = () => {
      this.#take(slot, connection);
      connection.close();
      this.#gone(name, slot);
    };
    this.#kept.set(connection, { timer: quietTimers.set(letGo, this.#limits.keepAliveTimeout), letGo });
    connection.watch(() => this.#kept.get(connection)?.letGo());
    slot.waiting.shift()?.();
    if (this.#kept.size > this.#limits.maxIdle) [...this.#kept.values()][0]?.letGo();
  }

  #take(slot: Slot, connection: HttpConnection): void {
    slot.idle.splice(slot.idle.indexOf(connection), 1);
    quietTimers.clear(this.#kept.get(connection)?.timer);
    this.#kept.delete(connection);
  }

  #drop(slot: Slot, unwanted: (connection: HttpConnection) => boolean): void {
    for (const connection of slot.idle.filter(unwanted)) this.#kept.get(connection)?.letGo();
  }

  #gone(name: string, slot: Slot): void {
    slot.open--;
    if (slot.open === 0 && slot.waiting.length === 0 && this.#slots.get(name) === slot) this.#slots.delete(name);
    slot.waiting.shift()?.();
  }

  #number(object: object): number {
    const known = this.#numbers.get(object);
    if (known !== undefined) return known;
    this.#numbers.set(object, ++this.#numbered);
    return this.#numbered;
  }
}

function waitFor(waiting: (() => void)[], signal: AbortSignal | undefined): Promise<void> {
  if (signal?.aborted) return Promise.reject(signal.reason);
  return new Promise((resolve, reject) => {
    const wake = () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    };
    const onAbort = () => {
      waiting.splice(waiting.indexOf(wake), 1);
      reject(signal?.reason);
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    waiting.push(wake);
  });
}
