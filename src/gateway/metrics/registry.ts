/** Counters, gauges and histograms, and their text for Prometheus: OpenMetrics 1.0, or the older format 0.0.4. */
import { fault } from "../../errors.ts";

/** What a value is about, by label. */
export type Labels = Readonly<Record<string, string>>;

/** A number that rises. */
export interface Counter {
  add(labels?: Labels, by?: number): void;
}

/** Where values fall, and how many of them. */
export interface Histogram {
  observe(value: number, labels?: Labels): void;
}

/** A sample that is looked up when metrics are asked for. */
export interface Sample {
  readonly labels?: Labels;
  readonly value: number;
}

/** Forms of the text. */
export type MetricsFormat = "openmetrics" | "prometheus";

/** Series of one family; what comes beyond is counted under `other`. */
const MAX_SERIES = 1000;
const OTHER = "other";

interface Family {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly unit: string | undefined;
  readonly help: string;
  lines(): string[];
}

/** One set of families. */
export class Registry {
  readonly #families: Family[] = [];

  /** @param name - Without `_total`. */
  counter(name: string, help: string, labels: readonly string[] = []): Counter {
    const series = new Series<{ value: number }>(labels, () => ({ value: 0 }));
    // One that has no labels is there before it is first counted.
    if (labels.length === 0) series.get({});
    const lines = () => series.entries().map(([text, { value }]) => `${name}_total${text} ${number(value)}`);
    this.#add({ name, type: "counter", unit: unitOf(name), help, lines });
    return {
      add: (own = {}, by = 1) => {
        series.get(own).value += by;
      },
    };
  }

  gauge(name: string, help: string, labels: readonly string[], read: () => readonly Sample[]): void {
    const lines = () =>
      read()
        .slice(0, MAX_SERIES)
        .map(({ labels: own = {}, value }) => `${name}${labelText(labels, own)} ${number(value)}`);
    this.#add({ name, type: "gauge", unit: unitOf(name), help, lines });
  }

  /** A counter that is kept elsewhere. */
  total(name: string, help: string, read: () => number): void {
    const lines = () => [`${name}_total ${number(read())}`];
    this.#add({ name, type: "counter", unit: unitOf(name), help, lines });
  }

  /** @param bounds - Upper bounds of the buckets, rising. */
  histogram(name: string, help: string, bounds: readonly number[], labels: readonly string[] = []): Histogram {
    const limits = [...bounds, Number.POSITIVE_INFINITY];
    const series = new Series(labels, () => ({ counts: limits.map(() => 0), sum: 0 }));
    const lines = () =>
      series.entries().flatMap(([text, { counts, sum }]) => {
        let total = 0;
        const buckets = limits.map((limit, index) => {
          total += counts[index] as number;
          return `${name}_bucket${withLabel(text, "le", bucketText(limit))} ${total}`;
        });
        return [...buckets, `${name}_sum${text} ${number(sum)}`, `${name}_count${text} ${total}`];
      });
    this.#add({ name, type: "histogram", unit: unitOf(name), help, lines });
    return {
      observe: (value, own = {}) => {
        const found = series.get(own);
        const index = limits.findIndex((limit) => value <= limit);
        found.counts[index] = (found.counts[index] as number) + 1;
        found.sum += value;
      },
    };
  }

  text(format: MetricsFormat): string {
    const open = format === "openmetrics";
    const lines = this.#families.flatMap(({ name, type, unit, help, lines: of }) => {
      // The older format names a counter by its sample.
      const own = open || type !== "counter" ? name : `${name}_total`;
      return [
        `# HELP ${own} ${escapeHelp(help, open)}`,
        `# TYPE ${own} ${type}`,
        ...(open && unit !== undefined ? [`# UNIT ${own} ${unit}`] : []),
        ...of(),
      ];
    });
    return `${[...lines, ...(open ? ["# EOF"] : [])].join("\n")}\n`;
  }

  /** What each family is, for people. */
  describe(): readonly { readonly name: string; readonly type: string; readonly help: string }[] {
    return this.#families.map(({ name, type, help }) => ({
      name: type === "counter" ? `${name}_total` : name,
      type,
      help,
    }));
  }

  #add(family: Family): void {
    if (!/^[a-z][a-z0-9_]*$/.test(family.name) || this.#families.some(({ name }) => name === family.name)) {
      throw fault("ERR_TLS_INTERNAL", `a metric ${family.name}`);
    }
    this.#families.push(family);
  }
}

/** One value for each combination of labels, a bounded number of them. */
class Series<T> {
  readonly #labels: readonly string[];
  readonly #make: () => T;
  readonly #values = new Map<string, T>();

  constructor(labels: readonly string[], make: () => T) {
    this.#labels = labels;
    this.#make = make;
  }

  get(own: Labels): T {
    const text = labelText(this.#labels, own);
    const known = this.#values.get(text);
    if (known !== undefined) return known;
    const isFull = this.#values.size >= MAX_SERIES;
    const key = isFull ? labelText(this.#labels, Object.fromEntries(this.#labels.map((name) => [name, OTHER]))) : text;
    const value = this.#values.get(key) ?? this.#make();
    this.#values.set(key, value);
    return value;
  }

  /** Labels as text, and what they stand for. */
  entries(): readonly (readonly [text: string, value: T])[] {
    return [...this.#values];
  }
}

function unitOf(name: string): string | undefined {
  return /_(seconds|bytes)$/.exec(name)?.[1];
}

/** Labels in the family's order; one that has no value is empty, which is the same as absent. */
function labelText(names: readonly string[], own: Labels): string {
  if (names.length === 0) return "";
  return `{${names.map((name) => `${name}="${escapeLabel(own[name] ?? "")}"`).join(",")}}`;
}

function withLabel(text: string, name: string, value: string): string {
  const label = `${name}="${value}"`;
  return text === "" ? `{${label}}` : `${text.slice(0, -1)},${label}}`;
}

function escapeLabel(value: string): string {
  return value.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n");
}

function escapeHelp(help: string, open: boolean): string {
  const text = help.replace(/\\/g, "\\\\").replace(/\n/g, "\\n");
  return open ? text.replace(/"/g, '\\"') : text;
}

/** OpenMetrics 1.0: bounds are canonical numbers, with a point. */
function bucketText(limit: number): string {
  if (limit === Number.POSITIVE_INFINITY) return "+Inf";
  return Number.isInteger(limit) ? `${limit}.0` : String(limit);
}

function number(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  return Number.isFinite(value) ? String(value) : value > 0 ? "+Inf" : "-Inf";
}
