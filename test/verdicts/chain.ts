/** A chain from its parts: a root, some intermediates of which one may be odd, an end entity. */
import type { Made, MakeOptions, Maker } from "./maker.ts";
import { HOST } from "./maker.ts";

/** What verifiers are asked about. */
export interface Chain {
  /** DER, as a peer would send it, the end entity's first. */
  readonly sent: readonly Uint8Array[];
  /** DER. */
  readonly trusted: readonly Uint8Array[];
  /** Host name or address that a server is wanted under. */
  readonly name: string;
}

/** One way to make a chain. */
export interface ChainKind {
  readonly title: string;
  /** Where it makes sense for the certificates of one side alone. */
  readonly role?: "server" | "client";
  readonly make: (maker: Maker) => Chain;
}

type Odd = MakeOptions | ((maker: Maker, path: readonly Made[]) => MakeOptions);

/** What differs from a chain that is right. */
export interface Parts {
  readonly root?: Odd;
  /** One intermediate, whichever: there is one at least. */
  readonly intermediate?: Odd;
  readonly leaf?: Odd;
  /** Intermediates. Default: 0 to 3, or 1 to 3. */
  readonly depth?: number;
  readonly name?: string;
}

/** The parts of a chain, the root first. */
export function path(maker: Maker, parts: Parts): readonly [root: Made, ...others: Made[]] {
  const least = parts.intermediate === undefined ? 0 : 1;
  const depth = parts.depth ?? least + maker.random.integer(4 - least);
  const odd = maker.random.integer(depth);
  const root = maker.make({ ca: true, ...options(maker, [], parts.root) });
  const made: [Made, ...Made[]] = [root];
  for (let i = 0; i < depth; i++) {
    const common = { ca: true, issuer: made[i] as Made };
    made.push(maker.make({ ...common, ...(i === odd ? options(maker, made, parts.intermediate) : {}) }));
  }
  made.push(maker.make({ issuer: made[depth] as Made, ...options(maker, made, parts.leaf) }));
  return made;
}

/** Sent without the root, which is trusted. */
export function chain(maker: Maker, parts: Parts = {}): Chain {
  const [root, ...others] = path(maker, parts);
  return { sent: others.map(({ der }) => der).reverse(), trusted: [root.der], name: parts.name ?? HOST };
}

function options(maker: Maker, made: readonly Made[], odd: Odd | undefined): MakeOptions {
  return typeof odd === "function" ? odd(maker, made) : (odd ?? {});
}

/** A kind that differs in its parts alone. */
export function kind(title: string, parts: Parts, role?: ChainKind["role"]): ChainKind {
  return { title, make: (maker) => chain(maker, parts), ...(role && { role }) };
}
