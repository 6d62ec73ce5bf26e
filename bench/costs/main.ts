/** `npm run costs [-- --document | NAME…]`: measures what COSTS.md says, or some of it, and writes it, its charts and the data. */
import { mkdirSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { type CostRow, measureCosts } from "../../src/bench/costs.ts";
import { charts } from "./charts.ts";
import { COMPARISONS, scenariosOf } from "./comparisons.ts";
import { document } from "./document.ts";
import { folder, readResults } from "./files.ts";

/** ms for each comparison, so that all of them take some minutes. */
const TIME_LIMIT = 30_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { document: { type: "boolean", default: false } },
});
const known = COMPARISONS.map(({ file }) => file);
const unknown = positionals.find((name) => !known.includes(name));
if (unknown !== undefined) {
  console.error(`costs: there is no comparison ${unknown}; there are ${known.join(", ")}`);
  process.exit(2);
}
if (!values.document) {
  mkdirSync(`${folder}results`, { recursive: true });
  for (const comparison of COMPARISONS.filter(({ file }) => positionals.length === 0 || positionals.includes(file))) {
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
