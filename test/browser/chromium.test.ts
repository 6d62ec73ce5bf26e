import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe } from "vitest";
import { bundle } from "../runtimes/bundle.ts";
import { core } from "../runtimes/cases.ts";
import { caseNames, type Material, type Result } from "../runtimes/core.ts";
import { createMaterial } from "../runtimes/material.ts";
import { missing } from "../support/needs.ts";
import { executablePath, type Served, servePage } from "./page.ts";

describe.skipIf(missing("MUTLS_CHROMIUM, Chromium", existsSync(executablePath)))("Chromium", () => {
  let served: Served;
  let material: Material;

  beforeAll(async () => {
    material = await createMaterial();
    served = await servePage(await bundle("test/browser/browser-main.ts", "browser"));
  });

  afterAll(() => served?.close());

  for (const where of ["page", "Worker"] as const) {
    describe(where, () => {
      core(caseNames(), async () => {
        const page = await served.browser.newPage();
        const results: Result[] = [];
        await page.exposeFunction("report", (result: Result) => void results.push(result));
        await page.goto(served.address);
        await page.waitForFunction("'runCore' in globalThis");
        await page.evaluate(
          ([place, given]) => {
            const { runCore, report } = globalThis as unknown as {
              runCore(where: string, material: Material, report: (result: Result) => void): Promise<void>;
              report(result: Result): void;
            };
            return runCore(place, given, report);
          },
          [where, material] as const,
        );
        await page.close();
        return results;
      });
    });
  }
});
