/** record_size_limit (RFC 8449) and max_fragment_length (RFC 6066 4): how long records may be, each way. */
import { type Extension, extension, find } from "../codec/extensions.ts";
import { fault } from "../errors.ts";
import type { ServerConfig } from "./config.ts";
import type { HandshakeEffects } from "./io.ts";

/** RFC 8449 4 */
export const MIN_RECORD_SIZE_LIMIT = 64;
/** TLSInnerPlaintext at its longest: 2^14 bytes and the content type. */
export const MAX_RECORD_SIZE_LIMIT = 0x4001;

/** Bytes that a client may ask for with max_fragment_length; the code is the index plus one. */
export const FRAGMENT_LENGTHS = [512, 1024, 2048, 4096] as const;
export type FragmentLength = (typeof FRAGMENT_LENGTHS)[number];

/** What a client asks for, and what it makes of the answer. */
export interface ClientLimits {
  readonly extensions: readonly Extension<"CH">[];
  /** What a server has answered, in force from here on. */
  accept(effects: HandshakeEffects, answer: readonly Extension<"EE">[]): void;
}

/**
 * @param recordSizeLimit - Longest TLSInnerPlaintext taken from the server, in bytes (RFC 8449).
 * @param maxFragmentLength - Asked for where the server does not know record_size_limit (RFC 6066 4).
 */
export function clientLimits(
  recordSizeLimit: number | undefined,
  maxFragmentLength: FragmentLength | undefined,
): ClientLimits {
  const extensions: Extension<"CH">[] = [];
  if (maxFragmentLength !== undefined)
    extensions.push(extension("max_fragment_length", fragmentCode(maxFragmentLength)));
  if (recordSizeLimit !== undefined) extensions.push(extension("record_size_limit", recordSizeLimit));
  return {
    extensions,
    accept: (effects, answer) => acceptLimits(effects, answer, recordSizeLimit, maxFragmentLength),
  };
}

/** A server's answer, which is in force from here on. */
export function answerLimits(
  { recordSizeLimit = MAX_RECORD_SIZE_LIMIT }: ServerConfig,
  effects: HandshakeEffects,
  hello: readonly Extension<"CH">[],
): readonly Extension<"EE">[] {
  const theirs = find(hello, "record_size_limit");
  if (theirs !== undefined) {
    obey(effects, theirs);
    effects.limitRecords("read", recordSizeLimit);
    return [extension("record_size_limit", recordSizeLimit)];
  }
  const code = find(hello, "max_fragment_length");
  if (code === undefined) return [];
  const length = FRAGMENT_LENGTHS[code - 1];
  // RFC 6066 4
  if (length === undefined) throw fault("ERR_TLS_ILLEGAL_PARAMETER", `max_fragment_length ${code}`);
  limitFragments(effects, length);
  return [extension("max_fragment_length", code)];
}

function acceptLimits(
  effects: HandshakeEffects,
  answer: readonly Extension<"EE">[],
  recordSizeLimit: number | undefined,
  maxFragmentLength: FragmentLength | undefined,
): void {
  const theirs = find(answer, "record_size_limit");
  const code = find(answer, "max_fragment_length");
  if (theirs !== undefined && recordSizeLimit !== undefined) {
    // RFC 8449 5
    if (code !== undefined) {
      throw fault("ERR_TLS_ILLEGAL_PARAMETER", "both record_size_limit and max_fragment_length");
    }
    if (theirs > MAX_RECORD_SIZE_LIMIT) throw fault("ERR_TLS_ILLEGAL_PARAMETER", `record_size_limit ${theirs}`);
    obey(effects, theirs);
    effects.limitRecords("read", recordSizeLimit);
  } else if (code !== undefined && maxFragmentLength !== undefined) {
    // RFC 6066 4
    if (code !== fragmentCode(maxFragmentLength)) {
      throw fault("ERR_TLS_ILLEGAL_PARAMETER", `max_fragment_length ${code} is not what was asked for`);
    }
    limitFragments(effects, maxFragmentLength);
  }
}

/** RFC 8449 4: larger values than there are records are for later versions, and a server lets them pass. */
function obey(effects: HandshakeEffects, theirs: number): void {
  if (theirs < MIN_RECORD_SIZE_LIMIT) {
    throw fault("ERR_TLS_ILLEGAL_PARAMETER", `record_size_limit ${theirs} is less than ${MIN_RECORD_SIZE_LIMIT}`);
  }
  effects.limitRecords("write", Math.min(theirs, MAX_RECORD_SIZE_LIMIT));
}

/** Whether the content type counts is not said: this side counts it for what it sends, and not for what it receives. */
function limitFragments(effects: HandshakeEffects, length: number): void {
  effects.limitRecords("write", length, length);
  effects.limitRecords("read", length + 1);
}

function fragmentCode(length: FragmentLength): number {
  return FRAGMENT_LENGTHS.indexOf(length) + 1;
}
