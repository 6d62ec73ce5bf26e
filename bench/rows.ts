/** What a scenario reports: one ratio with its spread. */
import type { Measurement } from "../src/bench/measure.ts";

export interface Row {
  readonly name: string;
  /** What it was divided by. */
  readonly against: string;
  readonly median: number;
  readonly p10: number;
  readonly p90: number;
  /** Runs measured of each side. */
  readonly runs: number;
}

/** The ratio of one measurement to another's, measured in the same rounds. */
export function row(measurement: Measurement, against: string): Row {
  const ratio = measurement.ratio.get(against);
  if (ratio === undefined) throw new RangeError(`${against} was not measured beside ${measurement.name}`);
  return { name: measurement.name, against, ...ratio, runs: measurement.runs };
}

/** Prints times and ratios, one line each. */
export function printTable(title: string, measurements: readonly Measurement[], rows: readonly Row[]): void {
  const ms = (value: number) => value.toFixed(3).padStart(9);
  const times = (value: number) => value.toFixed(2).padStart(7);
  console.log(`\n${title}\n`);
  console.log(
    `${"".padEnd(24)}${"ms median".padStart(9)}${"p10".padStart(9)}${"p90".padStart(9)}${"runs".padStart(8)}`,
  );
  for (const { name, time, runs } of measurements) {
    console.log(`${name.padEnd(24)}${ms(time.median)}${ms(time.p10)}${ms(time.p90)}${String(runs).padStart(8)}`);
  }
  console.log(`\n${"ratio".padEnd(38)}${"median".padStart(7)}${"p10".padStart(7)}${"p90".padStart(7)}`);
  for (const { name, against, median, p10, p90 } of rows) {
    console.log(`${`${name} / ${against}`.padEnd(38)}${times(median)}${times(p10)}${times(p90)}`);
  }
}
