/** Limits and hooks of the engine itself, from the options. */
import { MAX_PLAINTEXT } from "../record/framing.ts";
import type { CommonOptions } from "./common-options.ts";
import type { IncomingOptions } from "./incoming.ts";
import type { OutgoingOptions } from "./outgoing.ts";
import { within } from "./within.ts";

/** What an engine is run with besides its flow. */
export interface EngineLimits extends Omit<OutgoingOptions, "side">, IncomingOptions {
  /** High-water mark of undecrypted bytes, plaintext and output, each, in bytes. */
  readonly highWaterMark: number;
  /** A server's first message may be a second ClientHello. */
  readonly statelessRetries: boolean;
}

/** Bytes. */
export const DEFAULT_MAX_MESSAGE = 0x20000;
/** Room for eight full records with their headers and tags, so that as many can be in protection at once. */
const DEFAULT_HIGH_WATER_MARK = 0x24000;

/** The engine's own part of the options. */
export function resolveLimits(options: CommonOptions & { readonly cookies?: unknown }): EngineLimits {
  return {
    statelessRetries: options.cookies !== undefined,
    maxHandshakeMessage: within(options.maxHandshakeMessage, 1, 0xffffff, DEFAULT_MAX_MESSAGE, "maxHandshakeMessage"),
    maxFragment: within(options.maxFragment, 1, MAX_PLAINTEXT, MAX_PLAINTEXT, "maxFragment"),
    padding: options.padding,
    recordsPerKey: within(options.recordsPerKey, 2, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, "recordsPerKey"),
    maxKeyUpdates: 2 ** 48 - 1,
    highWaterMark: within(options.highWaterMark, 0x8000, 0x40000000, DEFAULT_HIGH_WATER_MARK, "highWaterMark"),
    observer: options.observer,
  };
}
