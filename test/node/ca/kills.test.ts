import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createAuthority, openAuthority } from "../../../src/node/ca/index.ts";
import { check, Reports, start, survivesKills } from "./kills.ts";

let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "mutls-kills-"));
  await createAuthority(folder, { intermediate: false });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the folder of a CA", () => {
  // 200 of them are in test/interop: the processes take their time.
  it("loses nothing that was reported done to 40 kills", { timeout: 120_000 }, () => survivesKills(folder, 40));

  it("takes two processes at once", async () => {
    const workers = [start(folder, 24), start(folder, 24)];
    const reports = new Reports();
    for (const { said } of workers) reports.take(await said);
    expect([reports.issued.size, reports.revoked.size]).toEqual([48, 24]);
    await check(folder, reports);
    const serials = (await (await openAuthority(folder)).list()).map(({ serial }) => serial);
    expect(new Set(serials).size).toBe(serials.length);
  });
});
