/** Casts, which take a while to make, once for each kind of key; and what holds for every tree. */
import { expect } from "vitest";
import { type Cast, createCast } from "../../src/inspect/page/cast.ts";
import type { Choices } from "../../src/inspect/page/choices.ts";
import { leavesOf, pathTo, type TreeNode } from "../../src/inspect/page/tree.ts";

const casts = new Map<Choices["key"], Promise<Cast>>();

export function castFor(key: Choices["key"]): Promise<Cast> {
  const cast = casts.get(key) ?? createCast(key);
  casts.set(key, cast);
  return cast;
}

/** Every byte of the record stands in exactly one leaf, and the way down to it leads through nodes that hold it. */
export function expectTiles(tree: TreeNode, length: number): void {
  let at = 0;
  for (const leaf of leavesOf(tree)) {
    expect(leaf.start, leaf.name).toBe(at);
    expect(leaf.section).toMatch(/^(RFC \d+|draft-)/);
    for (; at < leaf.end; at++)
      if (pathTo(tree, at).at(-1) !== leaf) expect.fail(`byte ${at} is not in ${leaf.name} alone`);
  }
  expect(at).toBe(length);
}
