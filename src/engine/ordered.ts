/** Results that are handed on in the order in which they were asked for, whenever they come. */

/** `undefined`: not there yet. Gives the result, or throws what has become of it. */
type Slot<T> = { take: (() => T) | undefined };

/** A queue of values, promises of values and errors. */
export class OrderedResults<T> {
  #slots: Slot<T>[] = [];
  readonly #onReady: () => void;

  /** @param onReady - Called when there is something to take that was not there before. */
  constructor(onReady: () => void) {
    this.#onReady = onReady;
  }

  /** Values not taken yet, promised ones included. */
  get length(): number {
    return this.#slots.length;
  }

  push(value: T): void {
    this.#slots.push({ take: () => value });
  }

  pushError(error: unknown): void {
    this.#slots.push({
      take() {
        throw error;
      },
    });
  }

  /** @param finish - Makes the value of what the promise gives, when it is taken. */
  pushPromise<Given>(promise: Promise<Given>, finish: (given: Given) => T): void {
    const slot: Slot<T> = { take: undefined };
    this.#slots.push(slot);
    const settle = (take: () => T) => {
      slot.take = take;
      // One that others stand before brings nothing yet, and one that was cleared meanwhile never will.
      if (this.#slots[0] === slot) this.#onReady();
    };
    promise.then(
      (given) => settle(() => finish(given)),
      (error) =>
        settle(() => {
          throw error;
        }),
    );
  }

  /** The first value if it is there; throws its error if it has failed. */
  shift(): T | undefined {
    const take = this.#slots[0]?.take;
    if (take === undefined) return undefined;
    this.#slots.shift();
    return take();
  }

  clear(): void {
    this.#slots = [];
  }
}
