import { describe, expect, it } from "vitest";
import { shown } from "../../src/bytes/text.ts";

describe("text of a peer's in a log", () => {
  it("has nothing that a terminal or a log would obey", () => {
    expect(shown(["a\nINFO verified\u001b[31m", "é", "\u{1f512}"])).toBe(
      "a\\x0aINFO verified\\x1b[31m, \\xe9, \\u{1f512}",
    );
  });

  it("is bounded in number and length", () => {
    expect(shown(new Array(30_000).fill("x"))).toBe(`${new Array(16).fill("x").join(", ")}, and 29984 more`);
    expect(shown(["y".repeat(1000)])).toHaveLength(255);
  });
});
