/** `npm run costs [-- --document]`: measures what COSTS.md says, and writes it, its charts and the data. */
import { mkdirSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { type CostRow, measureCosts } from "../../src/bench/costs.ts";
import { charts } from "./charts.ts";
import { COMPARISONS, scenariosOf } from "./comparisons.ts";
import { document } from "./document.ts";
import { folder, readResults } from "./files.ts";

/** ms for each comparison, so that all of them take some minutes. */
const TIME_LIMIT = 30_000;

const { values } = parseArgs({ options: { document: { type: "boolean", default: false } } });
if (!values.document) {
  mkdirSync(`${folder}results`, { recursive: true });
  for (const comparison of COMPARISONS) {
    console.log(comparison.title);
    const rows = await measureCosts(scenariosOf(comparison), { rounds: 300, timeLimit: TIME_LIMIT });
    writeFileSync(`${folder}results/${comparison.file}.json`, resultsText(rows));
  }
}
const results = readResults();
mkdirSync(`${folder}charts`, { recursive: true });
for (const [name, svg] of charts(results)) writeFileSync(`${folder}charts/${name}`, svg);
writeFileSync(`${folder}COSTS.md`, document(results));

/** A line for each row; no measurement has more than four digits that mean something. */
function resultsText(rows: readonly CostRow[]): string {
  const rounded = (_: string, value: unknown) =>
    typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value;
  return `[\n${rows.map((row) => JSON.stringify(row, rounded)).join(",\n")}\n]\n`;
}
