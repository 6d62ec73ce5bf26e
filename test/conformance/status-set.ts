/** The form the CRL and OCSP cases share: a JSON file saying what is expected of the PEM files beside it. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { readPem } from "../../src/bytes/pem.ts";
import { filesBelow, type Outcome } from "./harness.ts";

export interface StatusSet {
  readonly verify_time: string;
  readonly max_age_seconds: number;
  readonly tests: readonly { readonly file: string; readonly revocation: "GOOD" | "REVOKED" | "UNKNOWN" }[];
}

export type PemBlocks = ReturnType<typeof readPem>;

export async function runStatusSets(
  path: string,
  runCase: (set: StatusSet, blocks: PemBlocks) => Promise<Pick<Outcome, "got" | "why">>,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const file of filesBelow(path, ".json")) {
    const set = JSON.parse(readFileSync(file, "utf8")) as StatusSet;
    for (const { file: name, revocation } of set.tests) {
      const { got, why } = await runCase(set, readPem(readFileSync(join(dirname(file), name), "utf8")));
      outcomes.push({ id: name, expected: revocation, got, why });
    }
  }
  return outcomes;
}
