/** Damage to DER with knowledge of its structure: elements changed, lost, repeated or moved, with every length right. */
import { concat } from "../../src/bytes/bytes.ts";
import { DerReader, derEncode, Tag } from "../../src/bytes/der.ts";
import { TlsError } from "../../src/errors.ts";
import type { Random } from "../support/random.ts";
import { mutateBytes } from "./mutate.ts";

/** An element. With `children`, its contents are theirs, behind `prefix`: the unused bits of a BIT STRING. */
interface Element {
  tag: number;
  prefix: Uint8Array;
  content: Uint8Array;
  children: Element[] | undefined;
}

const NONE = new Uint8Array(0);
const TAGS = [...Object.values(Tag), 0x80, 0x81, 0x82, 0x86, 0xa0, 0xa1, 0xa3, 0xa4, 0x1f, 0];

/** Blind or with structure, once or several times. */
export function mutateDer(random: Random, der: Uint8Array, others: readonly Uint8Array[]): Uint8Array {
  if (random.chance(0.25)) return mutateBytes(random, der);
  const roots = readElements(der, 0);
  if (roots === undefined) return mutateBytes(random, der);
  const donors = all(readElements(random.pick(others), 0) ?? []);
  for (let round = 1 + random.integer(3); round > 0; round--) mutateElement(random, roots, donors);
  const changed = encode(roots);
  return random.chance(0.1) ? mutateBytes(random, changed) : changed;
}

function mutateElement(random: Random, roots: Element[], donors: readonly Element[]): void {
  const parents = [{ children: roots }, ...all(roots)].filter(({ children }) => children && children.length > 0);
  if (parents.length === 0) return;
  const { children = [] } = random.pick(parents);
  const at = random.integer(children.length);
  const element = children[at];
  if (element === undefined) return;
  const copy = (): Element => structuredClone(element);
  switch (random.integer(10)) {
    case 0:
      element.tag = random.pick(TAGS);
      break;
    case 1:
      children.splice(at, 1);
      break;
    case 2:
      children.splice(at, 0, copy());
      break;
    case 3:
      children.splice(at, 0, ...repeated(random, element));
      break;
    case 4:
      children.splice(random.integer(children.length), 0, ...children.splice(at, 1));
      break;
    case 5:
      if (donors.length > 0) children.splice(at, random.integer(2), structuredClone(random.pick(donors)));
      break;
    case 6:
      children[at] = {
        tag: random.pick([Tag.sequence, Tag.set, 0xa0]),
        prefix: NONE,
        content: NONE,
        children: [copy()],
      };
      break;
    case 7:
      children.splice(at, 1, ...(element.children ?? []));
      break;
    case 8:
      Object.assign(element, { content: NONE, children: undefined });
      break;
    default:
      Object.assign(element, { content: mutateBytes(random, contentsOf(element)), children: undefined });
  }
}

/** Up to 300 copies, but no more than 20 KB of them: they may be repeated once more. */
function repeated(random: Random, element: Element): Element[] {
  const most = Math.min(300, Math.floor(20_000 / (1 + contentsOf(element).length)));
  return Array.from({ length: 1 + random.integer(most) }, () => structuredClone(element));
}

function all(elements: readonly Element[]): Element[] {
  return elements.flatMap((element) => [element, ...all(element.children ?? [])]);
}

function encode(elements: readonly Element[]): Uint8Array {
  return concat(...elements.map((element) => derEncode(element.tag, contentsOf(element))));
}

function contentsOf({ prefix, content, children }: Element): Uint8Array {
  return children === undefined ? content : concat(prefix, encode(children));
}

/** Deeper than certificates go. */
const MAX_DEPTH = 24;

/** `undefined` where the bytes are no elements from beginning to end. */
function readElements(der: Uint8Array, depth: number): Element[] | undefined {
  const elements: Element[] = [];
  try {
    for (const reader = new DerReader(der); reader.remaining > 0; ) {
      const { tag, content } = reader.element();
      const bytes = content.rest();
      elements.push({ tag, content: bytes, ...inside(tag, bytes, depth) });
    }
  } catch (error) {
    if (error instanceof TlsError) return undefined;
    throw error;
  }
  return elements;
}

/** Elements in constructed ones; and in strings, where extensions, keys and responses hide them. */
function inside(tag: number, bytes: Uint8Array, depth: number): Pick<Element, "prefix" | "children"> {
  const skipped = tag === Tag.bitString ? 1 : 0;
  const nested = (tag & 0x20) !== 0 || tag === Tag.octetString || tag === Tag.bitString;
  const children = nested && depth < MAX_DEPTH ? readElements(bytes.subarray(skipped), depth + 1) : undefined;
  return { prefix: bytes.subarray(0, skipped), children };
}
