/** Values that peers must ignore, sent so that they keep doing it: RFC 8701. */
import type { Extension, ExtensionContext, ExtensionName } from "../codec/extensions.ts";
import type { ServerConfig } from "./config.ts";
import type { Sources } from "./sources.ts";

/** RFC 8701 2: 0x0A0A, 0x1A1A, … 0xFAFA. */
function value(byte: number): number {
  const half = (byte & 0xf0) | 0x0a;
  return (half << 8) | half;
}

/** RFC 8701 2: for one-byte modes. */
function mode(byte: number): number {
  return 0x0b + 0x1f * (byte & 7);
}

/** The part of a ClientHello that has room for more. */
export interface HelloLists {
  readonly suites: readonly number[];
  readonly block: readonly Extension<"CH">[];
}

/** A ClientHello's lists with a value in each that nobody knows, and two such extensions, one of them empty. */
export function greasedHello({ random }: Sources, { suites, block }: HelloLists): HelloLists {
  const [suite, group, version, scheme, pskMode, protocol, first, second] = random("grease", 8) as unknown as Bytes;
  const added: Partial<Record<ExtensionName, unknown>> = {
    supported_groups: value(group),
    signature_algorithms: value(scheme),
    supported_versions: value(version),
    key_share: { group: value(group), key_exchange: Uint8Array.of(0) },
    application_layer_protocol_negotiation: Uint8Array.of(value(protocol) >> 8, value(protocol) & 0xff),
    psk_key_exchange_modes: mode(pskMode),
  };
  const inside = block.map((entry) => {
    const item = entry.name && added[entry.name];
    return item === undefined ? entry : withFirst(entry, item);
  });
  const other = value(first) === value(second) ? second ^ 0x10 : second;
  return {
    suites: [value(suite), ...suites],
    block: [greaseExtension<"CH">(value(first)), ...inside, greaseExtension<"CH">(value(other), 0)],
  };
}

type Bytes = [number, number, number, number, number, number, number, number];

/** An extension whose value is a list, with one thing more at its head. */
function withFirst<E extends { readonly value: unknown }>(entry: E, item: unknown): E {
  return { ...entry, value: [item, ...(entry.value as readonly unknown[])] };
}

/** An extension nobody knows. */
function greaseExtension<M extends ExtensionContext>(code: number, ...content: number[]): Extension<M> {
  return { name: undefined, code, value: Uint8Array.from(content) } as Extension<M>;
}

/** One such extension behind a server's, and a signature scheme among them, where the configuration wants it. */
export function withGrease<M extends "CR" | "NST">(
  config: ServerConfig,
  block: readonly Extension<M>[],
): readonly Extension<M>[] {
  if (!config.grease) return block;
  const [code = 0, scheme = 0] = config.sources.random("grease", 2);
  const inside = block.map((entry) =>
    entry.name === "signature_algorithms" ? withFirst(entry, value(scheme)) : entry,
  );
  return [...inside, greaseExtension(value(code))];
}
