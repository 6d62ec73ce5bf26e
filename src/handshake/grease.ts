/** Values that peers must ignore, sent so that they keep doing it: RFC 8701. */
import type { Extension, ExtensionContext } from "../codec/extensions.ts";
import type { CommonConfig } from "./config.ts";

/** RFC 8701 2: 0x0A0A, 0x1A1A, … 0xFAFA. */
function value(byte: number): number {
  const half = (byte & 0xf0) | 0x0a;
  return (half << 8) | half;
}

/** RFC 8701 2: for one-byte modes. */
function mode(byte: number): number {
  return 0x0b + 0x1f * (byte & 7);
}

/** One set for one ClientHello. */
export interface Grease {
  readonly suite: number;
  readonly group: number;
  readonly version: number;
  readonly scheme: number;
  readonly pskMode: number;
  /** Of two bytes. */
  readonly protocol: number;
  /** Two that differ: an empty one and one with content. */
  readonly extensions: readonly [number, number];
}

/** Draws a set where the configuration wants it. */
export function drawGrease(config: CommonConfig): Grease | undefined {
  if (!config.grease) return undefined;
  const [suite, group, version, scheme, pskMode, protocol, first, second] = config.sources.random(
    "grease",
    8,
  ) as unknown as [number, number, number, number, number, number, number, number];
  const same = value(first) === value(second);
  return {
    suite: value(suite),
    group: value(group),
    version: value(version),
    scheme: value(scheme),
    pskMode: mode(pskMode),
    protocol: value(protocol),
    extensions: [value(first), value(same ? second ^ 0x10 : second)],
  };
}

/** A protocol nobody speaks, where there is a set. */
export function greasedProtocol(grease: Grease | undefined): readonly Uint8Array[] {
  return grease === undefined ? [] : [Uint8Array.of(grease.protocol >> 8, grease.protocol & 0xff)];
}

/** An extension nobody knows. */
export function greaseExtension<M extends ExtensionContext>(code: number, ...content: number[]): Extension<M> {
  return { name: undefined, code, value: Uint8Array.from(content) } as Extension<M>;
}

/** One such extension behind a server's, and a signature scheme among them, where the configuration wants it. */
export function withGrease<M extends "CR" | "NST">(
  config: CommonConfig,
  block: readonly Extension<M>[],
): readonly Extension<M>[] {
  if (!config.grease) return block;
  const [code = 0, scheme = 0] = config.sources.random("grease", 2);
  const inside = block.map((entry) =>
    entry.name === "signature_algorithms"
      ? ({ ...entry, value: [value(scheme), ...(entry.value as readonly number[])] } as unknown as Extension<M>)
      : entry,
  );
  return [...inside, greaseExtension(value(code))];
}
