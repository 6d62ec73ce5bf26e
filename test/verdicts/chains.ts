/** All chains: so many of each kind, each from a seed of its own. */
import { Random } from "../support/random.ts";
import type { Chain, ChainKind } from "./chain.ts";
import { MALFORMED } from "./chains-malformed.ts";
import { RIGHT } from "./chains-right.ts";
import { WRONG } from "./chains-wrong.ts";
import { Maker } from "./maker.ts";

/** Chains of each kind. */
export const CHAINS_PER_KIND = 6;

export const KINDS: readonly ChainKind[] = [...RIGHT, ...WRONG, ...MALFORMED];

/** A chain with what is asked about it. */
export interface Question extends Chain {
  readonly role: "server" | "client";
  /** What the chain is made from, and by which it can be told. */
  readonly seed: number;
}

/** The chains of one kind, always the same. */
export function questions(kind: ChainKind): Question[] {
  return Array.from({ length: CHAINS_PER_KIND }, (_, index) => question(kind, index));
}

/** One of them. */
export function question({ title, role, make }: ChainKind, index: number): Question {
  const seed = hash(`${title}/${index}`);
  const side = role ?? (index % 2 === 0 ? "server" : "client");
  return { ...make(new Maker(new Random(seed), side)), role: side, seed };
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const character of text) value = Math.imul(value ^ (character.codePointAt(0) as number), 0x01000193);
  return value >>> 0;
}
