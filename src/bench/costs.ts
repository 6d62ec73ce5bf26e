/** What handshakes cost: any number of scenarios in one interleaved run, with what is exact about each. */
import { PerformanceObserver } from "node:perf_hooks";
import { type Awaitable, isPromiseLike } from "../flow.ts";
import { type Census, takeCensus } from "./census.ts";
import { type Machine, machine } from "./machine.ts";
import { createMaterial, type Material } from "./material.ts";
import { type Measurement, measure, ratioOf, type Spread, type Subject, spread } from "./measure.ts";
import { Meter, OPERATIONS, type OperationName } from "./meter.ts";
import { createRig, type Ends, type Rig } from "./rig.ts";
import { factsOf, type Scenario, type ScenarioFacts } from "./scenario.ts";

/** A scenario with what it is called in a comparison. */
export interface NamedScenario {
  readonly name: string;
  readonly scenario: Scenario;
}

/** What one operation takes in one handshake. */
export interface OperationTime {
  /** ms on the thread that runs JavaScript: of each round the median. */
  readonly cpu: Spread;
  /** ms until a promise had its outcome; absent where everything answered at once. */
  readonly waiting?: Spread | undefined;
}

/** What one end takes in one handshake. */
export interface EndTime extends OperationTime {
  /** Parts of it, by operation. They are measured together with it, by a meter that itself takes a little. */
  readonly operations: Readonly<Partial<Record<OperationName, OperationTime>>>;
}

/** Times of one handshake, and what they rest on. */
export interface Times {
  /** ms from the first byte to the last, both ends, nothing metered: of each round the median. */
  readonly handshake: Spread;
  /**
   * ms of CPU time of the whole process meanwhile: all its threads, collecting garbage and compiling included. Of up to eight
   * rounds the mean, for garbage is collected in few of many handshakes.
   */
  readonly processCpu: Spread;
  readonly ends: Ends<EndTime>;
  /** The metered handshake's time divided by the unmetered one's: what the meter costs. */
  readonly metering: Spread;
  /** Handshakes measured without a meter; with one there were as many. */
  readonly runs: number;
}

/** One row's times divided by the first row's, round by round. */
export interface Ratios {
  /** The first row's name. */
  readonly against: string;
  readonly handshake: Spread;
  readonly processCpu: Spread;
  /** CPU and waiting together. */
  readonly ends: Ends<Spread>;
}

/** All that is known of one scenario: one object of `--json`. */
export interface CostRow {
  readonly name: string;
  readonly scenario: ScenarioFacts;
  /** The same each time. */
  readonly exact: Census;
  readonly times: Times;
  /** Absent in the first row. */
  readonly ratio?: Ratios | undefined;
  /**
   * Bytes that one handshake allocates on both ends together, on the heap and as array buffers; absent where garbage was
   * collected too often to tell.
   */
  readonly allocated?: Spread | undefined;
  readonly machine: Machine;
}

/** How long to measure. */
export interface CostOptions {
  /** Default 100. */
  readonly rounds?: number | undefined;
  /** ms for all of it, certificates included; at least three rounds are measured. Default 10000. */
  readonly timeLimit?: number | undefined;
}

/** ms that a subject takes in a round: long enough that garbage is collected in every few of them. */
const SLICE = 15;
/** Runs in a round: their median leaves out one that was interrupted. */
const MIN_RUNS = 3;
const MAX_RUNS = 32;
/** Rounds over which CPU time is averaged at most, and means that there are to be. */
const BLOCK = 8;
const MIN_BLOCKS = 5;
const WARMUP_ROUNDS = 40;

/**
 * Measures.
 *
 * @throws TlsError `ERR_TLS_OPTION` for a scenario that the provider cannot do.
 * @example
 * ```ts
 * const full = createScenario({ provider: () => nobleProvider });
 * const [row] = await measureCosts([{ name: "full", scenario: full }], { rounds: 1, timeLimit: 1 });
 * console.log(row?.exact.calls.client.sign); // 1
 * ```
 */
export async function measureCosts(scenarios: readonly NamedScenario[], options: CostOptions = {}): Promise<CostRow[]> {
  const { rounds = 100, timeLimit = 10_000 } = options;
  const began = performance.now();
  const made = new Map<string, Promise<Material>>();
  const benches: Bench[] = [];
  for (const { name, scenario } of scenarios) {
    const kind = `${scenario.key} ${scenario.chain}`;
    const material = made.get(kind) ?? createMaterial(scenario);
    made.set(kind, material);
    benches.push(await prepare(name, scenario, await material));
  }
  const subjects = benches.flatMap(({ bare, metered }) => [bare, metered]);
  const left = timeLimit - (performance.now() - began);
  const measured = await measure(subjects, {
    rounds,
    runsPerRound: 1,
    warmupRounds: WARMUP_ROUNDS,
    timeLimit: Math.max(0, left),
  });
  const byName = new Map(measured.map((measurement) => [measurement.name, measurement]));
  const of = ({ name }: Subject) => byName.get(name) as Measurement;
  const first = benches[0];
  const rows: CostRow[] = [];
  for (const bench of benches) {
    const { name, scenario, exact } = bench;
    const [bare, metered] = [of(bench.bare), of(bench.metered)];
    const ratio =
      first === undefined || bench === first
        ? {}
        : { ratio: ratios(first.name, bare, metered, of(first.bare), of(first.metered)) };
    rows.push({
      name,
      scenario: factsOf(scenario),
      exact,
      times: {
        handshake: spread(figure(bare, "elapsed")),
        processCpu: spread(means(figure(bare, "processCpu"))),
        ends: { client: endTime(metered, "client"), server: endTime(metered, "server") },
        metering: ratioOf(figure(metered, "elapsed"), figure(bare, "elapsed")),
        runs: bare.runs,
      },
      ...ratio,
      allocated: await allocated(bench.rig),
      machine: machine(),
    });
  }
  return rows;
}

interface Bench {
  readonly name: string;
  readonly scenario: Scenario;
  readonly exact: Census;
  readonly rig: Rig;
  readonly bare: Subject;
  readonly metered: Subject;
}

async function prepare(name: string, scenario: Scenario, material: Material): Promise<Bench> {
  const exact = await takeCensus(scenario, material);
  const rig = await createRig(scenario, material);
  const meters = { client: new Meter(), server: new Meter() };
  const meteredRig = await createRig(scenario, material, meters);
  const runsPerRound = await fitting(rig);
  let cpu = process.cpuUsage();
  const elapsed = new Runs();
  const bare: Subject = {
    name: `${name} bare`,
    runsPerRound,
    run() {
      const start = performance.now();
      return afterwards(rig.run(), () => elapsed.add({ elapsed: performance.now() - start }));
    },
    begin() {
      elapsed.clear();
      cpu = process.cpuUsage();
    },
    end() {
      const { user, system } = process.cpuUsage(cpu);
      return { ...elapsed.medians(), processCpu: (user + system) / 1000 / runsPerRound };
    },
  };
  const parts = new Runs();
  const metered: Subject = {
    name: `${name} metered`,
    runsPerRound,
    run() {
      meters.client.reset();
      meters.server.reset();
      const start = performance.now();
      return afterwards(meteredRig.run(), () => {
        const elapsed = performance.now() - start;
        parts.add({ elapsed, ...figuresOf(meters.client, "client"), ...figuresOf(meters.server, "server") });
      });
    },
    begin: () => parts.clear(),
    end: () => parts.medians(),
  };
  return { name, scenario, exact, rig, bare, metered };
}

/** Figures of each run in a round. The median of them leaves out what was interrupted because others wanted the core. */
class Runs {
  #figures = new Map<string, number[]>();

  add(run: Readonly<Record<string, number>>): void {
    for (const [name, value] of Object.entries(run)) {
      const values = this.#figures.get(name) ?? [];
      values.push(value);
      this.#figures.set(name, values);
    }
  }

  medians(): Record<string, number> {
    return Object.fromEntries([...this.#figures].map(([name, values]) => [name, spread(values).median]));
  }

  clear(): void {
    this.#figures = new Map();
  }
}

/** At once after what is done at once. */
function afterwards(done: Awaitable<void>, then: () => void): void | Promise<void> {
  if (isPromiseLike(done)) return Promise.resolve(done).then(then);
  then();
}

/** ms for finding out how long a run takes: the first ones take long, before they are compiled. */
const FITTING = 100;

/** Runs that take a slice of time together. */
async function fitting(rig: Rig): Promise<number> {
  const began = performance.now();
  let fastest = Number.POSITIVE_INFINITY;
  for (let i = 0; i < MIN_RUNS || (i < MAX_RUNS && performance.now() - began < FITTING); i++) {
    const start = performance.now();
    await rig.run();
    fastest = Math.min(fastest, performance.now() - start);
  }
  return Math.min(MAX_RUNS, Math.max(MIN_RUNS, Math.round(SLICE / fastest)));
}

type Side = keyof Ends<unknown>;

function figuresOf(meter: Meter, side: Side): Record<string, number> {
  const figures: Record<string, number> = {};
  let [cpu, waiting] = [0, 0];
  for (const [name, cost] of Object.entries(meter.read())) {
    figures[`${side} ${name} cpu`] = cost.cpu;
    figures[`${side} ${name} waiting`] = cost.waiting;
    cpu += cost.cpu;
    waiting += cost.waiting;
  }
  return { ...figures, [`${side} cpu`]: cpu, [`${side} waiting`]: waiting };
}

function figure(measurement: Measurement, name: string): readonly number[] {
  return measurement.samples.get(name) ?? [];
}

/** Means of some rounds each: of so many that there are some means left. */
function means(values: readonly number[]): number[] {
  const size = Math.max(1, Math.min(BLOCK, Math.floor(values.length / MIN_BLOCKS)));
  return Array.from({ length: Math.floor(values.length / size) }, (_, index) => {
    const block = values.slice(index * size, (index + 1) * size);
    return block.reduce((sum, value) => sum + value, 0) / size;
  });
}

function operationTime(measurement: Measurement, name: string): OperationTime | undefined {
  const cpu = figure(measurement, `${name} cpu`);
  const waiting = figure(measurement, `${name} waiting`);
  const isWaiting = waiting.some((time) => time > 0);
  if (!isWaiting && cpu.every((time) => time === 0)) return undefined;
  return { cpu: spread(cpu), ...(isWaiting && { waiting: spread(waiting) }) };
}

function endTime(metered: Measurement, side: Side): EndTime {
  const whole = operationTime(metered, side) ?? { cpu: spread([0]) };
  const found = OPERATIONS.map((name) => [name, operationTime(metered, `${side} ${name}`)] as const);
  return { ...whole, operations: Object.fromEntries(found.filter(([, time]) => time !== undefined)) };
}

function ratios(
  against: string,
  bare: Measurement,
  metered: Measurement,
  firstBare: Measurement,
  firstMetered: Measurement,
): Ratios {
  const whole = (measurement: Measurement, side: Side) => {
    const waiting = figure(measurement, `${side} waiting`);
    return figure(measurement, `${side} cpu`).map((cpu, round) => cpu + (waiting[round] as number));
  };
  const end = (side: Side) => ratioOf(whole(metered, side), whole(firstMetered, side));
  return {
    against,
    handshake: ratioOf(figure(bare, "elapsed"), figure(firstBare, "elapsed")),
    processCpu: ratioOf(means(figure(bare, "processCpu")), means(figure(firstBare, "processCpu"))),
    ends: { client: end("client"), server: end("server") },
  };
}

/** Handshakes of which it is looked at what they allocate, and how many of them must be left for a median. */
const ALLOCATIONS = 40;
const MIN_ALLOCATIONS = 8;

/** By how much memory in use grows during one handshake, those left out during which garbage was collected. */
async function allocated(rig: Rig): Promise<Spread | undefined> {
  const collections: PerformanceEntry[] = [];
  const observer = new PerformanceObserver((list) => collections.push(...list.getEntries()));
  observer.observe({ entryTypes: ["gc"] });
  const used = () => {
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const seen: { readonly from: number; readonly to: number; readonly grown: number }[] = [];
  for (let i = 0; i < ALLOCATIONS; i++) {
    const before = used();
    const from = performance.now();
    await rig.run();
    seen.push({ from, to: performance.now(), grown: used() - before });
  }
  // What was collected is told of a turn later.
  await new Promise((resolve) => setImmediate(resolve));
  collections.push(...observer.takeRecords());
  observer.disconnect();
  const undisturbed = seen.filter(
    ({ from, to }) => !collections.some(({ startTime, duration }) => startTime < to && startTime + duration > from),
  );
  return undisturbed.length < MIN_ALLOCATIONS ? undefined : spread(undisturbed.map(({ grown }) => grown));
}
