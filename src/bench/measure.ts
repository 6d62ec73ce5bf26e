/** Measuring against a baseline on a noisy machine: interleaved rounds, ratios taken within a round, medians with spread. */

/** Something whose time is taken. */
export interface Subject {
  readonly name: string;
  /** Does the work once; may be asynchronous. */
  run(): void | Promise<void>;
}

/** How to measure. */
export interface MeasureOptions {
  /** Rounds measured; each gives one time a subject. */
  readonly rounds: number;
  /** Runs of each subject within a round; their mean is the round's time. */
  readonly runsPerRound: number;
  /** Rounds thrown away first, for compilers and caches to warm up. */
  readonly warmupRounds: number;
  /** ms since any fixed point. Default: `performance.now`. */
  readonly now?: (() => number) | undefined;
}

/** A distribution: median and the tenth and ninetieth percentile. */
export interface Spread {
  readonly median: number;
  readonly p10: number;
  readonly p90: number;
}

/** What was measured of one subject. */
export interface Measurement {
  readonly name: string;
  /** ms a run. */
  readonly time: Spread;
  /** Its time divided by each subject's in the same round, by the other's name. */
  readonly ratio: ReadonlyMap<string, Spread>;
  /** Runs measured. */
  readonly runs: number;
}

/**
 * Measures all subjects in interleaved rounds, in an order that alternates so that none always goes first.
 *
 * @example
 * ```ts
 * const [a] = await measure([{ name: "a", run: () => {} }], { rounds: 3, runsPerRound: 10, warmupRounds: 1 });
 * console.log(a?.runs); // 30
 * ```
 */
export async function measure(subjects: readonly Subject[], options: MeasureOptions): Promise<Measurement[]> {
  const now = options.now ?? (() => performance.now());
  const times = new Map<string, number[]>(subjects.map(({ name }) => [name, []]));
  for (let round = -options.warmupRounds; round < options.rounds; round++) {
    const order = round % 2 === 0 ? subjects : [...subjects].reverse();
    for (const subject of order) {
      const start = now();
      for (let i = 0; i < options.runsPerRound; i++) await subject.run();
      if (round >= 0) times.get(subject.name)?.push((now() - start) / options.runsPerRound);
    }
  }
  return subjects.map(({ name }) => {
    const own = times.get(name) ?? [];
    const ratio = new Map<string, Spread>();
    for (const [other, theirs] of times)
      ratio.set(other, spread(own.map((time, round) => time / (theirs[round] as number))));
    return { name, time: spread(own), ratio, runs: own.length * options.runsPerRound };
  });
}

/** Median, tenth and ninetieth percentile, linearly interpolated. */
function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (fraction: number) => {
    const position = fraction * (sorted.length - 1);
    const low = sorted[Math.floor(position)] ?? Number.NaN;
    const high = sorted[Math.ceil(position)] ?? Number.NaN;
    return low + (high - low) * (position - Math.floor(position));
  };
  return { median: at(0.5), p10: at(0.1), p90: at(0.9) };
}
