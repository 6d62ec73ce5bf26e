// npm run bogo -- RUNNER [--readme] [the runner's own arguments]
// Runs BoringSSL's test runner against this library. RUNNER is the compiled runner, or the folder ssl/test/runner of a
// BoringSSL checkout, which Go then compiles. With --readme, README.md's tables are written anew.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { buildShim, config, shim } from "./build.mjs";
import { tables } from "./tables.mjs";

const [given, ...rest] = process.argv.slice(2);
if (given === undefined) {
  console.error("usage: npm run bogo -- RUNNER [--readme] [the runner's own arguments]");
  process.exit(2);
}
const forReadme = rest.includes("--readme");
const args = rest.filter((arg) => arg !== "--readme");

await buildShim();
const folder = mkdtempSync(join(tmpdir(), "mutls-bogo-"));
try {
  process.exitCode = await main();
} finally {
  rmSync(folder, { recursive: true });
}

async function main() {
  const { runner, revision } = compiled(resolve(process.env.INIT_CWD ?? ".", given));
  const names = Object.keys(await run(runner, "names", ["-include-disabled"], { MUTLS_BOGO_LIST: "1" }, () => {}));
  const log = join(folder, "unimplemented");
  const tests = await run(runner, "results", [], { MUTLS_BOGO_UNIMPLEMENTED: log }, (line) => console.log(line));
  const count = (outcome) => Object.values(tests).filter(({ actual }) => actual === outcome).length;
  const [passed, failed, unimplemented] = [count("PASS"), count("FAIL"), count("SKIP")];
  const disabled = names.filter((name) => tests[name] === undefined);
  const summary = `bogo: ${passed + failed} run, ${passed} passed, ${failed} failed, ${unimplemented} unimplemented, ${disabled.length} disabled`;
  if (forReadme) {
    const flags = unimplemented === 0 ? [] : readFileSync(log, "utf8").trimEnd().split("\n");
    const path = fileURLToPath(new URL("README.md", import.meta.url));
    const written = tables({ summary, revision, flags, disabled, reasons: config().DisabledTests });
    writeFileSync(
      path,
      readFileSync(path, "utf8").replace(/(?<=<!-- written by --readme -->\n).*/s, () => written),
    );
  }
  console.log(summary);
  return passed > 0 && failed === 0 ? 0 : 1;
}

/** The runner as a program, and of which commit it is, where that can be seen. */
function compiled(path) {
  if (!statSync(path).isDirectory()) return { runner: path, revision: undefined };
  const runner = join(folder, "runner");
  const go = spawnSync("go", ["test", "-c", "-o", runner, "."], { cwd: path, stdio: "inherit" });
  if (go.status !== 0) throw new Error(`go could not compile ${path}`);
  const git = spawnSync("git", ["log", "-1", "--format=%H of %cs"], { cwd: path, encoding: "utf8" });
  return { runner, revision: git.status === 0 ? git.stdout.trim() : undefined };
}

/** What became of each test; what the runner says of failures goes to `onLine`. */
async function run(runner, name, more, env, onLine) {
  const output = join(folder, `${name}.json`);
  const fixed = ["-shim-path", shim, "-shim-config", fileURLToPath(new URL("config.json", import.meta.url))];
  const workers = ["-num-workers", String(availableParallelism())];
  const child = spawn(
    runner,
    [...fixed, "-allow-unimplemented", "-pipe", "-json-output", output, ...workers, ...more, ...args],
    { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "inherit"] },
  );
  const ended = new Promise((resolve, reject) => child.on("close", resolve).on("error", reject));
  for await (const line of createInterface({ input: child.stdout })) {
    if (!/^(PASSED|UNIMPLEMENTED) |^(PASS)?$/.test(line)) onLine(line);
  }
  await ended;
  return JSON.parse(readFileSync(output, "utf8")).tests;
}
