/** The data sets of ../shared/conformance: as many agree as ever have, and what does not is accounted for. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { missing } from "../support/needs.ts";
import { DISAGREEMENTS } from "./disagreements.ts";
import { conformanceDocument, type Reached } from "./document.ts";
import { SETS } from "./sets.ts";

const DATA = fileURLToPath(new URL("../../../shared/conformance", import.meta.url));

/** Set, path, cases that must agree, cases there are. */
const REACHED: readonly (readonly [set: string, path: string, agree: number, cases: number])[] = [
  ["limbo", "limbo/limbo.json", 104, 104],
  ["limbo", "limbo/bettertls.json", 286, 286],
  ["pkits", "pkits", 130, 130],
  ["chains", "chains", 90, 90],
  ["crl", "crl", 36, 36],
  ["ocsp", "ocsp", 21, 21],
];

describe.skipIf(missing("../shared/conformance", existsSync(DATA)))("conformance", () => {
  const reached: Reached[] = [];

  it.each(REACHED)("%s: %s, %i of %i agree", async (set, path, agree, cases) => {
    const outcomes = (await SETS[set]?.(join(DATA, path))) ?? [];
    reached.push({ set, path, outcomes });
    const agreeing = outcomes.filter(({ expected, got }) => expected === got);
    expect(outcomes.length).toBe(cases);
    expect(agreeing.length).toBeGreaterThanOrEqual(agree);
    const known = (id: string) => DISAGREEMENTS.some((entry) => entry.set === set && entry.id.test(id));
    expect(outcomes.filter((outcome) => !agreeing.includes(outcome) && !known(outcome.id))).toEqual([]);
  });

  it("is README.md", async () => {
    await expect(conformanceDocument(reached)).toMatchFileSnapshot("README.md");
  });
});
