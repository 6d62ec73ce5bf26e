/** What README.md in this folder says: how the sets are run, what agrees and what does not. */

import { DISAGREEMENTS } from "./disagreements.ts";
import type { Outcome } from "./harness.ts";

/** One file or folder of a set, with what came of it. */
export interface Reached {
  readonly set: string;
  readonly path: string;
  readonly outcomes: readonly Outcome[];
}

export function conformanceDocument(reached: readonly Reached[]): string {
  return [
    "# Conformance",
    "",
    "Chains, CRLs and OCSP responses of others, judged by mutls. `npm run -s conformance -- SET PATH` runs any file or folder in the",
    "formats of `../shared/conformance/README.md`; `npm run test:conformance` runs what is there, holds it to what has been",
    "reached, and with `-u` writes this file anew.",
    "",
    "| Set | File | Agree |",
    "| --- | --- | --- |",
    ...reached.map(({ set, path, outcomes }) => `| ${set} | ${path} | ${agreeing(outcomes)} of ${outcomes.length} |`),
    "",
    "## Disagreements",
    "",
    ...disagreeing(reached),
    "",
    "These verdicts are deliberate, wherever in the families such cases are:",
    "",
    ...DISAGREEMENTS.map(({ set, id, reason, rfc }) => `- **${set}**, \`${id.source}\`: ${reason} *${rfc}*`),
    "",
  ].join("\n");
}

function disagreeing(reached: readonly Reached[]): string[] {
  const others = reached.flatMap(({ outcomes }) => outcomes.filter(({ expected, got }) => expected !== got));
  if (others.length === 0) return ["Of the cases above none is judged otherwise than its set wants it."];
  return others.map(({ id, expected, got, why }) => `- \`${id}\`: expected ${expected}, got ${got}. ${why}`);
}

function agreeing(outcomes: readonly Outcome[]): number {
  return outcomes.filter(({ expected, got }) => expected === got).length;
}
