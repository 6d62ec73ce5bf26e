import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { type FileWatch, type WatchOptions, watchFiles } from "../../src/node/watch.ts";

/** Files that are noticed where directories cannot be watched, and attempts that are made again. */

let folder: string;
let watching: FileWatch | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mutls-"));
});
afterEach(() => {
  vi.useRealTimers();
  watching?.close();
  rmSync(folder, { recursive: true });
});

const path = (...names: string[]) => join(folder, ...names);

/** Calls that are waited for one by one. */
function watched(files: readonly string[], options: WatchOptions, answers: boolean[] = []) {
  let calls = 0;
  let wake = () => {};
  const changed = () => {
    calls++;
    wake();
    return answers.shift() ?? true;
  };
  watching = watchFiles(files, changed, options);
  return {
    get calls() {
      return calls;
    },
    async call(number: number) {
      while (calls < number) await new Promise<void>((resolve) => (wake = resolve));
    },
  };
}

it("finds by looking what it could not watch: folders that come later, and links that lead nowhere", async () => {
  symlinkSync("elsewhere/file", path("link"));
  const seen = watched([path("later", "file"), path("link")], { settleTime: 5, pollInterval: 20 });
  mkdirSync(path("later"));
  writeFileSync(path("later", "file"), "1");
  await seen.call(1);
  mkdirSync(path("elsewhere"));
  writeFileSync(path("elsewhere", "file"), "1");
  await seen.call(2);
  // From here on it is told by the system.
  renameSync(path("elsewhere", "file"), path("elsewhere", "gone"));
  await seen.call(3);
});

it("does not follow links in circles", async () => {
  symlinkSync("b", path("a"));
  symlinkSync("a", path("b"));
  const seen = watched([path("a")], { settleTime: 5, pollInterval: 20 });
  writeFileSync(path("c"), "1");
  renameSync(path("c"), path("a"));
  await seen.call(1);
});

it("tries again what has not come about, though nothing changes, and then no more", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"] });
  writeFileSync(path("file"), "1");
  const seen = watched([path("file")], { settleTime: 100, pollInterval: 1000 }, [false, false, true]);
  watching?.reload();
  expect(seen.calls).toBe(1);
  await vi.advanceTimersByTimeAsync(1100);
  expect(seen.calls).toBe(2);
  await vi.advanceTimersByTimeAsync(1000);
  expect(seen.calls).toBe(3);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(seen.calls).toBe(3);
});

it("looks again at what changes while it is read", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"] });
  writeFileSync(path("file"), "1");
  const contents = ["22", "333"];
  let calls = 0;
  watching = watchFiles(
    [path("file")],
    () => {
      calls++;
      const next = contents.shift();
      if (next !== undefined) writeFileSync(path("file"), next);
      return true;
    },
    { settleTime: 100, pollInterval: 100_000 },
  );
  watching.reload();
  await vi.advanceTimersByTimeAsync(1000);
  expect(calls).toBe(3);
});
