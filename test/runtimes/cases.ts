/** What the cases of core.ts, run elsewhere, are here: one test each. */
import { beforeAll, expect, it } from "vitest";
import type { Result } from "./core.ts";

/** Cases that must fail, for want of something in the runtime, and how. */
export type Lacks = Readonly<Record<string, RegExp>>;

/** The cases of core.ts, run once, each a test here. */
export function core(names: readonly string[], run: () => Promise<readonly Result[]>, lacks: Lacks = {}): void {
  const results = new Map<string, Result>();

  beforeAll(async () => {
    for (const result of await run()) results.set(result.name, result);
  }, 170_000);

  it.each(names)("%s", (name) => {
    const result = results.get(name);
    if (result === undefined) throw new Error("it was not run");
    if (result.note !== undefined) console.info(`${name}: ${result.note}`);
    const lack = lacks[name];
    if (lack !== undefined) expect(result.error).toMatch(lack);
    else if (result.error !== undefined) throw new Error(result.error);
  });

  it("has no other cases", () => {
    expect([...results.keys()]).toEqual(names);
  });
}
