/** Measuring against a baseline on a noisy machine: interleaved rounds, ratios taken within a round, medians with spread. */

/** Something whose time is taken. */
export interface Subject {
  readonly name: string;
  /** Does the work once; may be asynchronous. */
  run(): void | Promise<void>;
  /** In place of the option of this name: work that takes little is done more often. */
  readonly runsPerRound?: number | undefined;
  /** Called before a round's first run. */
  begin?(): void;
  /** Called after a round's last run: what it has measured itself, of one run. */
  end?(): Readonly<Record<string, number>>;
}

/** How to measure. */
export interface MeasureOptions {
  /** Rounds measured; each gives one time a subject. */
  readonly rounds: number;
  /** Runs of each subject within a round; their mean is the round's time. */
  readonly runsPerRound: number;
  /** Rounds thrown away first, for compilers and caches to warm up. */
  readonly warmupRounds: number;
  /**
   * ms after which no round begins, but for the first three; warming up takes a quarter of it at most. Default: any time.
   */
  readonly timeLimit?: number | undefined;
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
  /** Each figure, round by round: `time`, and what the subject has measured itself. */
  readonly samples: ReadonlyMap<string, readonly number[]>;
  /** Runs measured. */
  readonly runs: number;
}

/** Rounds that a time limit leaves in any case: fewer have no spread. */
const MIN_ROUNDS = 3;

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
  const { now = () => performance.now(), timeLimit = Number.POSITIVE_INFINITY } = options;
  const began = now();
  const samples = new Map(subjects.map(({ name }) => [name, new Map<string, number[]>()]));
  const runsOf = ({ runsPerRound = options.runsPerRound }: Subject) => runsPerRound;
  const round = async (index: number, keep: boolean) => {
    for (const subject of index % 2 === 0 ? subjects : [...subjects].reverse()) {
      const runs = runsOf(subject);
      subject.begin?.();
      const start = now();
      for (let i = 0; i < runs; i++) await subject.run();
      const figures = { time: (now() - start) / runs, ...subject.end?.() };
      if (!keep) continue;
      const kept = samples.get(subject.name) as Map<string, number[]>;
      for (const [figure, value] of Object.entries(figures)) {
        const values = kept.get(figure) ?? [];
        values.push(value);
        kept.set(figure, values);
      }
    }
  };
  for (let index = 0; index < options.warmupRounds && now() - began < timeLimit / 4; index++) await round(index, false);
  let rounds = 0;
  while (rounds < options.rounds && (rounds < MIN_ROUNDS || now() - began < timeLimit)) await round(rounds++, true);
  const times = (name: string) => samples.get(name)?.get("time") ?? [];
  return subjects.map((subject) => {
    const { name } = subject;
    const own = times(name);
    const ratio = new Map(subjects.map((other) => [other.name, ratioOf(own, times(other.name))]));
    const kept = samples.get(name) as ReadonlyMap<string, readonly number[]>;
    return { name, time: spread(own), ratio, samples: kept, runs: rounds * runsOf(subject) };
  });
}

/**
 * One subject's figures divided by another's of the same rounds.
 *
 * @example
 * ```ts
 * console.log(ratioOf([2, 4, 6], [1, 2, 3]).median); // 2
 * ```
 */
export function ratioOf(own: readonly number[], other: readonly number[]): Spread {
  return spread(own.map((value, round) => value / (other[round] as number)));
}

/**
 * Median, tenth and ninetieth percentile.
 *
 * @example
 * ```ts
 * console.log(spread([3, 1, 2])); // { median: 2, p10: 1.2, p90: 2.8 }
 * ```
 */
export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  return { median: percentile(sorted, 0.5), p10: percentile(sorted, 0.1), p90: percentile(sorted, 0.9) };
}

/**
 * The value below which this part of all values is, linearly interpolated; not a number where there are none.
 *
 * @param sorted - In ascending order.
 * @param fraction - 0 to 1.
 * @example
 * ```ts
 * console.log(percentile([1, 2, 3], 0.5)); // 2
 * ```
 */
export function percentile(sorted: readonly number[], fraction: number): number {
  const position = fraction * (sorted.length - 1);
  const low = sorted[Math.floor(position)] ?? Number.NaN;
  const high = sorted[Math.ceil(position)] ?? Number.NaN;
  return low + (high - low) * (position - Math.floor(position));
}
