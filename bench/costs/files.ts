/** Where results, charts and the document are, in the source tree. */
import { readFileSync } from "node:fs";
import type { CostRow } from "../../src/bench/costs.ts";
import { COMPARISONS, type Results } from "./comparisons.ts";

/** The folder bench/, from the folder that npm runs in. */
export const folder = `${process.cwd()}/bench/`;

/** What was measured last. */
export function readResults(): Results {
  return new Map(
    COMPARISONS.map((comparison) => [
      comparison,
      JSON.parse(readFileSync(`${folder}results/${comparison.file}.json`, "utf8")) as CostRow[],
    ]),
  );
}
