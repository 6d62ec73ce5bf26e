import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, it } from "vitest";
import { createAuthority } from "../../src/node/ca/index.ts";
import { survivesKills } from "../node/ca/kills.ts";

let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "mutls-kills-"));
  await createAuthority(folder, { intermediate: false });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it("the folder of a CA loses nothing that was reported done to 200 kills", { timeout: 300_000 }, () =>
  survivesKills(folder, 200),
);
