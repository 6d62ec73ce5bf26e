import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it, vi } from "vitest";
import { docOf, examples, moduleOf } from "./extract.ts";
import { prelude } from "./prelude.ts";

/** The documentation's examples compile, run, and log what they say they log. */

const root = fileURLToPath(new URL("../../", import.meta.url));
const folder = `build/examples-${process.pid}`;
const found = examples().map((example) => ({ ...example, file: `${example.at.replace(/[^\w.-]/g, "_")}.ts` }));
const given = Object.keys(prelude).filter((name) => name !== "claim" && name !== "stop");

mkdirSync(root + folder, { recursive: true });
for (const example of found) writeFileSync(`${root}${folder}/${example.file}`, moduleOf(example, folder, given));

afterAll(async () => {
  rmSync(root + folder, { recursive: true });
  await prelude.stop();
});

describe("examples", () => {
  it("are there", () => {
    expect(found.length).toBeGreaterThan(20);
  });

  it("compile", () => {
    const options = { extends: "../../tsconfig.json", compilerOptions: { noUnusedLocals: false }, include: ["*.ts"] };
    writeFileSync(`${root}${folder}/tsconfig.json`, JSON.stringify(options));
    const tsc = `${root}node_modules/typescript/bin/tsc`;
    const { stdout, status } = spawnSync(process.execPath, [tsc, "-p", folder, "--noEmit"], { cwd: root });
    expect(String(stdout)).toBe("");
    expect(status).toBe(0);
  });

  for (const { at, file } of found) {
    it(`run: ${at}`, async () => {
      const silent = vi.spyOn(console, "log").mockImplementation(() => {});
      try {
        await import(/* @vite-ignore */ `${root}${folder}/${file}`);
      } finally {
        silent.mockRestore();
      }
    });
  }
});

describe("every value that is published", () => {
  const { exports } = JSON.parse(readFileSync(`${root}package.json`, "utf8"));
  for (const [name, target] of Object.entries<{ default?: string }>(exports)) {
    if (target.default === undefined) continue;
    it(`has an example: mutls${name.slice(1)}`, async () => {
      const path = (target.default as string).replace("./dist/", `${root}src/`).replace(/\.js$/, ".ts");
      const values = Object.keys(await import(/* @vite-ignore */ path));
      expect(values.length).toBeGreaterThan(0);
      expect(values.filter((value) => docOf(value)?.includes("@example") !== true)).toEqual([]);
    });
  }
});
