import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";

const script = fileURLToPath(new URL("../../src/inspect/page/serve.mjs", import.meta.url));
const started: ChildProcess[] = [];

afterEach(() => {
  for (const child of started.splice(0)) child.kill();
});

function page(...args: string[]) {
  const child = spawn(process.execPath, [script, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  started.push(child);
  return child;
}

describe("npm run page", () => {
  it("serves the page on loopback, under a strict policy, and prints where", async () => {
    const child = page();
    const [address] = (await once(createInterface(child.stdout), "line")) as [string];
    expect(address).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/);
    const response = await fetch(address);
    const policy = response.headers.get("content-security-policy") ?? "";
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toMatch(/unsafe|data:|https?:|\*/);
    const html = await response.text();
    // The same policy where no header can be set, but for what only a header can say.
    const meta = /Content-Security-Policy"\s+content="([^"]+)"/.exec(html)?.[1] ?? "";
    const directives = (text: string) => text.split(";").map((part) => part.trim());
    expect(directives(meta)).toEqual(directives(policy).filter((part) => !part.startsWith("frame-ancestors")));
    for (const [path, type] of [
      ["page.js", "text/javascript; charset=utf-8"],
      ["page.css", "text/css; charset=utf-8"],
      ["rfc8448/section-3.json", "application/json"],
    ] as const) {
      const file = await fetch(address + path);
      expect([file.status, file.headers.get("content-type")]).toEqual([200, type]);
      await file.arrayBuffer();
    }
    for (const path of ["//", "serve.mjs", "%2e%2e/package.json", "main.ts", ""]) {
      const { status, body } = await fetch(address + path, path === "" ? { method: "POST" } : {});
      await body?.cancel();
      expect(status, path).toBe(path === "" ? 405 : 404);
    }
  });

  it("says so where the port is taken", async () => {
    const [address] = (await once(createInterface(page().stdout), "line")) as [string];
    const second = page("--port", new URL(address).port);
    const [[line], [code]] = await Promise.all([once(createInterface(second.stderr), "line"), once(second, "close")]);
    expect(line).toContain("EADDRINUSE");
    expect(code).toBe(1);
  });

  it("writes files that name nothing outside their folder", async () => {
    const folder = mkdtempSync(join(tmpdir(), "mutls-page-"));
    try {
      const [code] = (await once(page("--out", folder), "close")) as [number];
      expect(code).toBe(0);
      expect(readdirSync(folder).sort()).toEqual(["icon.svg", "index.html", "page.css", "page.js", "rfc8448"]);
      const html = readFileSync(join(folder, "index.html"), "utf8");
      const loaded = [...html.matchAll(/<(?:script|link|img)\b[^>]*?(?:src|href)="([^"]+)"/g)].map((match) => match[1]);
      expect(loaded.sort()).toEqual(["icon.svg", "page.css", "page.js"]);
      expect(html).not.toMatch(/\bstyle=|\bon[a-z]+=|<style|<script(?![^>]*src)/);
      expect(readFileSync(join(folder, "page.css"), "utf8")).not.toMatch(/url\(|@import/);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it.each([["--port", "x"], ["--port", "65536"], ["--nothing"]])("refuses %s %s", async (...args) => {
    const child = page(...args);
    const [code] = (await once(child, "close")) as [number];
    expect(code).toBe(2);
  });
});
