/** WebCrypto as other platforms have it, with less in it, and with its calls written down. */

export interface WatchedSubtle {
  readonly subtle: SubtleCrypto;
  /** `method algorithm`, in order. */
  readonly calls: string[];
  /** Calls that are not answered yet. */
  pending(): number;
}

export interface SubtleOptions {
  /** Algorithms and curves that this platform does not know: `X25519`, `P-521`. */
  readonly lacks?: readonly string[];
  /** In place of the answer: throws, or changes what the platform says. */
  readonly change?: (call: string, result: () => Promise<unknown>) => Promise<unknown>;
}

/** The runtime's WebCrypto, watched. */
export function watchedSubtle({ lacks = [], change = (_call, result) => result() }: SubtleOptions = {}): WatchedSubtle {
  const real = globalThis.crypto.subtle;
  const calls: string[] = [];
  let pending = 0;
  const method =
    (name: keyof SubtleCrypto) =>
    async (...args: readonly unknown[]): Promise<unknown> => {
      const words = args.flatMap(algorithmWords);
      const call = `${name} ${words.join(" ")}`.trim();
      calls.push(call);
      pending++;
      try {
        if (words.some((word) => lacks.includes(word))) {
          throw new DOMException(`${words.join(" ")} is not supported`, "NotSupportedError");
        }
        return await change(call, () => (real[name] as (...values: readonly unknown[]) => Promise<unknown>)(...args));
      } finally {
        pending--;
      }
    };
  const subtle = new Proxy(real, { get: (_target, name) => method(name as keyof SubtleCrypto) });
  return { subtle, calls, pending: () => pending };
}

/** The names of algorithms, curves and hashes in an argument: an AlgorithmIdentifier or a CryptoKey. */
function algorithmWords(argument: unknown): readonly string[] {
  if (typeof argument === "string") return [argument];
  if (typeof argument !== "object" || argument === null) return [];
  const { name, namedCurve, hash, algorithm } = argument as Readonly<Record<string, unknown>>;
  return [name, namedCurve, hash, algorithm].flatMap(algorithmWords);
}
