/** `npm run bench -- SCENARIO [--quick] [--json FILE]`: measures, prints ratios with their spread, and writes them as data. */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { bulk } from "./bulk.ts";
import { handshake } from "./handshake.ts";
import type { Row } from "./rows.ts";
import { verify } from "./verify.ts";

const SCENARIOS: Readonly<Record<string, (quick: boolean) => Promise<Row[]>>> = { handshake, bulk, verify };

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: "boolean", default: false }, json: { type: "string" } },
});
const names = positionals.length > 0 ? positionals : Object.keys(SCENARIOS);
const unknown = names.find((name) => SCENARIOS[name] === undefined);
if (unknown !== undefined) {
  console.error(`bench: there is no scenario ${unknown}; there are ${Object.keys(SCENARIOS).join(", ")}`);
  process.exit(2);
}
const rows: Row[] = [];
for (const name of names) rows.push(...((await SCENARIOS[name]?.(values.quick)) ?? []));
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(rows, null, 2)}\n`);
