/** `npm run -s conformance -- SET PATH [--json]`: runs the cases of a set and says which disagree. */
import { SETS } from "./sets.ts";

const [set, path, ...flags] = process.argv.slice(2);
const run = set === undefined ? undefined : SETS[set];
if (set === undefined || run === undefined || path === undefined || flags.some((flag) => flag !== "--json")) {
  console.error(`usage: npm run -s conformance -- <${Object.keys(SETS).join("|")}> PATH [--json]`);
  process.exitCode = 2;
} else {
  const outcomes = await run(path);
  const differing = outcomes.filter(({ expected, got }) => expected !== got);
  if (flags.includes("--json")) console.log(JSON.stringify(outcomes, undefined, 1));
  else
    for (const { id, expected, got, why } of differing)
      console.log(`${id}: expected ${expected}, got ${got} ${why}`.trim());
  console.log(`${set}: ${outcomes.length - differing.length} of ${outcomes.length} agree`);
  if (outcomes.length === 0) {
    console.error(`no case of ${set} in ${path}`);
    process.exitCode = 2;
  }
}
