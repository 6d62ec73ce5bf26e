/** Results that are handed on in the order in which they were asked for, whenever they come. */

type Slot<T> = { outcome: { readonly value: T } | { readonly error: unknown } | undefined };

/** A queue of values, promises of values and errors. */
export class OrderedResults<T> {
  #slots: Slot<T>[] = [];
  readonly #onReady: () => void;

  /** @param onReady - Called when a promised value has come. */
  constructor(onReady: () => void) {
    this.#onReady = onReady;
  }

  /** Values not taken yet, promised ones included. */
  get length(): number {
    return this.#slots.length;
  }

  push(value: T): void {
    this.#slots.push({ outcome: { value } });
  }

  pushError(error: unknown): void {
    this.#slots.push({ outcome: { error } });
  }

  pushPromise(promise: Promise<T>): void {
    const slot: Slot<T> = { outcome: undefined };
    this.#slots.push(slot);
    const settle = (outcome: NonNullable<Slot<T>["outcome"]>) => {
      slot.outcome = outcome;
      // A queue that was cleared meanwhile has nothing to report.
      if (this.#slots.includes(slot)) this.#onReady();
    };
    promise.then(
      (value) => settle({ value }),
      (error) => settle({ error }),
    );
  }

  /** The first value if it is there; throws its error if it has failed. */
  shift(): T | undefined {
    const outcome = this.#slots[0]?.outcome;
    if (outcome === undefined) return undefined;
    this.#slots.shift();
    if ("error" in outcome) throw outcome.error;
    return outcome.value;
  }

  clear(): void {
    this.#slots = [];
  }
}
