import { describe, expect, it } from "vitest";
import { mainChange, newBytes } from "../../src/inspect/page/difference.ts";

const bytes = (...values: number[]) => Uint8Array.from(values);

describe("new bytes", () => {
  it.each([
    ["of the same", bytes(1, 2, 3), bytes(1, 2, 3), []],
    ["where one was changed", bytes(1, 2, 3), bytes(1, 9, 3), [1]],
    ["where one was put in", bytes(1, 2, 3), bytes(1, 9, 2, 3), [1]],
    ["where some were taken out", bytes(1, 2, 3, 4), bytes(1, 4), []],
    ["where one is repeated", bytes(1, 2), bytes(1, 1, 2), [1]],
    ["where a length and what it counts are others", bytes(0, 2, 7, 8, 5, 6), bytes(0, 3, 7, 8, 9, 5, 6), [1, 4]],
    ["of nothing", bytes(), bytes(1, 2), [0, 1]],
    ["to nothing", bytes(1, 2), bytes(), []],
  ])("are found %s", (_, before, after, expected) => {
    expect([...newBytes(before, after)]).toEqual(expected);
  });

  it("are all between the ends where there is too much to compare", () => {
    const before = new Uint8Array(3000).fill(1);
    const after = new Uint8Array(3001).fill(2);
    after[0] = 1;
    const found = newBytes(before, after);
    expect(found.size).toBe(3000);
    expect(found.has(0)).toBe(false);
  });
});

describe("the main change", () => {
  it.each([
    [[], undefined],
    [[3], 3],
    [[3, 7, 8, 12], 7],
    [[3, 7], 7],
    [[1, 2, 8, 9], 8],
  ])("of %j is %s", (changed, expected) => {
    expect(mainChange(new Set(changed))).toBe(expected);
  });
});
