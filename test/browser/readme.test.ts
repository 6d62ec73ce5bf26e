import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { finished, MAIN, mutls } from "../support/cli.ts";
import { missing } from "../support/needs.ts";
import { freePort, placed, runLines } from "../support/readme.ts";
import { executablePath, type Served, servePage } from "./page.ts";

/** README's way from a page to a device: its lines and its page, run as they stand but for the ports. */

const HEADING = "From a page to a device in ten minutes";
const root = fileURLToPath(new URL("../../", import.meta.url));
const [, section = ""] = readFileSync(`${root}README.md`, "utf8").split(`# ${HEADING}\n`);
const [own = ""] = section.split("\n## ");
const lines = [...own.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block = ""]) => block.trimEnd().split("\n"));
const [, script = ""] = /```js\n([\s\S]*?)```/.exec(own) ?? [];

describe.skipIf(missing("MUTLS_CHROMIUM, Chromium", existsSync(executablePath)))(HEADING, () => {
  let folder: string;
  let ports: Record<string, number>;
  let page: Served;
  const running: ChildProcess[] = [];

  /** A line that stays, until it listens. */
  const start = async (line: string) => {
    const args = placed(line, ports)
      .replace(/\s+#.*$/, "")
      .split(" ")
      .slice(2);
    const child = spawn(process.execPath, [MAIN, ...args], { cwd: folder, stdio: ["ignore", "pipe", "inherit"] });
    running.push(child);
    await new Promise<void>((resolve, reject) => {
      child.stdout?.once("data", () => resolve());
      child.once("close", (status) => reject(new Error(`${line}: status ${status}`)));
    });
  };

  /** What the page asks of where it comes from: a CA. */
  const handle = (request: IncomingMessage, response: ServerResponse): boolean => {
    if (request.url === "/root.pem") response.end(readFileSync(join(folder, "mutls-ca/root.pem")));
    else if (request.url === "/sign") {
      void text(request).then(async (csr) => {
        writeFileSync(join(folder, "page.csr"), csr);
        await mutls(["ca", "sign", join(folder, "page.csr"), "--dir", join(folder, "mutls-ca"), "--profile", "client"]);
        response.end(readFileSync(join(folder, "page.pem")));
      });
    } else return false;
    return true;
  };

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "mutls-readme-page-"));
    ports = { 8443: await freePort(), 8480: await freePort(), 5173: await freePort() };
  });

  afterAll(async () => {
    await page?.close();
    for (const child of running) {
      const end = finished(child);
      child.kill("SIGTERM");
      await end;
    }
    rmSync(folder, { recursive: true, force: true });
  });

  it("works", async () => {
    expect(lines.map((line) => line.split(" ").slice(0, 3).join(" "))).toEqual([
      "npx mutls ca",
      "npx mutls serve",
      "npx mutls relay",
    ]);
    for (const line of lines) {
      if (line.startsWith("npx mutls ca")) expect((await runLines([line], folder, ports)).statuses).toEqual([0]);
      else await start(line.replace(/^(npx mutls relay)/, `$1 --listen 127.0.0.1:8480`));
    }
    // `mutls` means this clone.
    const { outputFiles } = await build({
      stdin: { contents: placed(script, ports), resolveDir: root },
      bundle: true,
      write: false,
      format: "esm",
      target: "es2022",
      logLevel: "error",
    });
    const connect = `'self' ws://localhost:${ports[8480]}`;
    page = await servePage((outputFiles[0] as { text: string }).text, { connect, port: ports[5173] as number, handle });
    const tab = await page.browser.newPage();
    await tab.goto(`http://localhost:${ports[5173]}/`);
    await tab.getByText("=").waitFor();
    expect((await tab.textContent("body"))?.trim()).toBe("CN=alice");
  });
});
