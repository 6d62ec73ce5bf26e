import { expect, it } from "vitest";
import { refusalsDocument } from "./document.ts";

it("REFUSALS.md is what the tables say", async () => {
  await expect(refusalsDocument()).toMatchFileSnapshot("./REFUSALS.md");
});
