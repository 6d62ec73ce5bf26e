import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { chartSvg } from "../../bench/costs/chart.ts";
import { charts } from "../../bench/costs/charts.ts";
import { COMPARISONS, scenarioOf, scenariosOf } from "../../bench/costs/comparisons.ts";
import { document } from "../../bench/costs/document.ts";
import { readResults } from "../../bench/costs/files.ts";
import { takeCensus } from "../../src/bench/census.ts";
import { createMaterial } from "../../src/bench/material.ts";
import { factsOf } from "../../src/bench/scenario.ts";

const folder = fileURLToPath(new URL("../../bench/", import.meta.url));
const results = readResults();
const remake = "npm run costs -- --document makes it anew";

describe("bench/COSTS.md", () => {
  it("says what was measured", () => {
    expect(readFileSync(`${folder}COSTS.md`, "utf8") === document(results), remake).toBe(true);
  });

  it("shows what was measured", () => {
    const made = charts(results);
    expect(readdirSync(`${folder}charts`).sort()).toEqual([...made.keys()].sort());
    for (const [name, svg] of made)
      expect(readFileSync(`${folder}charts/${name}`, "utf8") === svg, `${name}: ${remake}`).toBe(true);
    const text = document(results);
    for (const name of made.keys()) expect(text).toContain(`(charts/${name})`);
  });
});

describe("charts", () => {
  const bars = [{ label: "a & <b>", segments: [{ what: '"c"', value: 3 }], text: "3", spread: [2, 4] as const }];

  it("can be read on light and on dark ground, and are well-formed", () => {
    const svg = chartSvg({ title: "t", unit: "u", bars });
    expect(svg).toContain("prefers-color-scheme: dark");
    expect(svg).toContain("a &amp; &lt;b&gt;");
    expect(svg.match(/<text/g)?.length).toBe(svg.match(/<\/text>/g)?.length);
    // Nothing is drawn as a ground.
    expect(svg).not.toMatch(/<rect[^>]*width="100%"/);
  });

  it("are of numbers", () => {
    for (const svg of charts(results).values()) expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  });
});

describe.each(COMPARISONS.map((comparison) => [comparison.title, comparison] as const))("%s", (_, comparison) => {
  const rows = results.get(comparison) ?? [];

  it("was measured of the scenarios that are to be compared", () => {
    expect(rows.map(({ name, scenario }) => ({ name, scenario }))).toEqual(
      scenariosOf(comparison).map(({ name, scenario }) => ({ name, scenario: factsOf(scenario) })),
    );
  });

  it.each(rows.map((row) => [row.name, row] as const))(
    "%s takes the same calls, bytes and round trips today",
    async (_, row) => {
      const scenario = scenarioOf(row.scenario);
      expect(await takeCensus(scenario, await createMaterial(scenario))).toEqual(row.exact);
    },
  );
});
