import { existsSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, describe } from "vitest";
import { bundle } from "../runtimes/bundle.ts";
import { core } from "../runtimes/cases.ts";
import { caseNames, type Material, type Result } from "../runtimes/core.ts";
import { createMaterial } from "../runtimes/material.ts";
import { missing } from "../support/needs.ts";

const executablePath = process.env.MUTLS_CHROMIUM ?? "";

/** Nothing that makes code out of strings, nothing from elsewhere. */
const POLICY = "default-src 'none'; script-src 'self'; worker-src 'self'";

const ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

describe.skipIf(missing("MUTLS_CHROMIUM, Chromium", existsSync(executablePath)))("Chromium", () => {
  let server: Server;
  let browser: Browser;
  let address: string;
  let material: Material;

  beforeAll(async () => {
    material = await createMaterial();
    const script = await bundle("test/browser/browser-main.ts", "browser");
    server = createServer((request, response) => {
      const isScript = request.url === "/main.js";
      response.setHeader("Content-Security-Policy", POLICY);
      response.setHeader("Content-Type", isScript ? "text/javascript" : "text/html");
      response.end(
        isScript ? script : '<!doctype html><title>mutls</title><script type="module" src="/main.js"></script>',
      );
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    // A fresh profile each time.
    browser = await chromium.launch({ executablePath, headless: true, args: ARGS });
    console.info(`Chromium ${browser.version()}`);
  });

  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  for (const where of ["page", "Worker"] as const) {
    describe(where, () => {
      core(caseNames(), async () => {
        const page = await browser.newPage();
        const results: Result[] = [];
        await page.exposeFunction("report", (result: Result) => void results.push(result));
        await page.goto(address);
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
