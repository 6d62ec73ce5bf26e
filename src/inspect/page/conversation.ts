/** What the page shows of a handshake, whether it was run here or printed in an RFC: flights, records, secrets, both ends. */
import { concat } from "../../bytes/bytes.ts";
import { nobleProvider } from "../../crypto/noble.ts";
import type { Side } from "../../errors.ts";
import type { TraceAlert, TraceItem, TraceMessage, TraceRecord } from "../trace.ts";
import { newBytes } from "./difference.ts";
import { keySchedule, type ScheduleStage } from "./key-schedule.ts";
import type { Passed, SentRecord } from "./middle.ts";
import type { EndReport, Run } from "./run.ts";
import { recordTree, type TreeNode } from "./tree.ts";

/** What became of a record on its way. */
export type Fate = "as sent" | "changed" | "protected anew" | "inserted" | "swallowed" | "cut short" | "sent twice";

/** A record with everything in it. */
export interface Entry {
  /** `c1`: the client's first record as it arrives. */
  readonly id: string;
  readonly from: Side;
  /** Which of those that its sender has sent, from 1; 0 for one that it has not sent. */
  readonly sentNumber: number;
  readonly record: TraceRecord;
  readonly messages: readonly TraceMessage[];
  readonly alert: TraceAlert | undefined;
  readonly tree: TreeNode;
  /** Decrypted, byte for byte in the same places as on the wire: header and tag stay as they are. */
  readonly opened: Uint8Array;
  readonly fate: Fate;
  /** Offsets of bytes that are not as they were sent. */
  readonly changed: ReadonlySet<number>;
  /** `opened` as it was sent, where it has kept its length: then places are the same. */
  readonly sent: Uint8Array | undefined;
}

/** Records that one side sends in a row. */
export interface Flight {
  readonly from: Side;
  readonly entries: readonly Entry[];
}

/** One end for the view. */
export type EndView = Pick<EndReport, "side" | "state" | "states" | "error" | "result" | "ended" | "read">;

/** A handshake to look at. */
export interface Conversation {
  readonly title: string;
  readonly flights: readonly Flight[];
  /** What the client has computed. */
  readonly schedule: readonly ScheduleStage[];
  /** What the server has: the same, unless somebody has changed what it rests on, or one has stopped before the other. */
  readonly serverSchedule: readonly ScheduleStage[];
  /** None for a handshake that was not run here. */
  readonly ends: readonly EndView[];
}

/** A run as the page shows it. */
export function conversationOf(title: string, run: Run, suiteName: string): Conversation {
  const { client, server, passed, wire, psk } = run;
  const suite = suiteOf(suiteName);
  const scheduleFor = (end: EndReport) => {
    const { sharedSecret, items } = end;
    const stages = keySchedule({ suite, psk, sharedSecret, messages: items.filter(isMessage) });
    return stages.map((stage) => ({ ...stage, derived: stage.derived.filter(({ name }) => hasMade(end, name)) }));
  };
  return {
    title,
    flights: flightsOf(entriesOf(wire, passed)),
    schedule: scheduleFor(client),
    serverSchedule: scheduleFor(server),
    ends: [client, server].map(({ side, state, states, error, result, ended, read }) => ({
      side,
      state,
      states,
      error,
      result,
      ended,
      read,
    })),
  };
}

/** An end that refuses what it has got goes no further, though the next secrets could be computed from that. */
function hasMade({ items, result }: EndReport, name: string): boolean {
  if (name === "binder_key") return true;
  if (name === "resumption_secret") return result !== undefined;
  return items.some((item) => item.kind === "secret" && item.name === name);
}

export function suiteOf(name: string) {
  const suite = nobleProvider.suites.find((one) => one.name === name);
  if (suite === undefined) throw new RangeError(`no cipher suite ${name}`);
  return suite;
}

/**
 * The records of a trace with what they carry.
 *
 * @param wire - Seen from the client.
 * @param passed - What became of each, in the same order; none: all arrive as they were sent.
 */
export function entriesOf(wire: readonly TraceItem[], passed: readonly Passed[] | undefined): readonly Entry[] {
  const entries: Entry[] = [];
  const sent = { client: 0, server: 0 };
  for (const [index, record] of wire.filter(isRecord).entries()) {
    const { from, number } = record;
    const messages = wire.filter(isMessage).filter((one) => one.from === from && one.spans.at(-1)?.record === number);
    const alert = wire.find((one) => one.kind === "alert" && one.from === from && one.record === number);
    const carried = { messages, alert: alert as TraceAlert | undefined };
    const one = passed?.[index];
    const fate = one === undefined ? "as sent" : fateOf(one);
    const opened = openedBytes(record);
    if (fate !== "inserted") sent[from]++;
    entries.push({
      id: `${from.charAt(0)}${number}`,
      from,
      sentNumber: fate === "inserted" ? 0 : sent[from],
      record,
      ...carried,
      tree: recordTree(record, carried),
      opened,
      fate,
      changed: one === undefined ? new Set() : changedBytes(one, record, opened),
      sent: one?.original?.wire.length === opened.length ? openedBytes(named(one.original)) : undefined,
    });
  }
  return entries;
}

/** In rows: who sends, until the other one does. */
export function flightsOf(entries: readonly Entry[]): readonly Flight[] {
  const flights: { from: Side; entries: Entry[] }[] = [];
  for (const entry of entries) {
    const last = flights.at(-1);
    if (last?.from === entry.from) last.entries.push(entry);
    else flights.push({ from: entry.from, entries: [entry] });
  }
  return flights;
}

export function isMessage(item: TraceItem): item is TraceMessage {
  return item.kind === "message";
}

function isRecord(item: TraceItem): item is TraceRecord {
  return item.kind === "record";
}

/** RFC 8446 5.2: every AEAD of TLS 1.3 keeps a byte's place. */
function openedBytes({
  wire,
  content,
  type,
  padding,
  sequence,
}: Pick<TraceRecord, "wire" | "content" | "padding" | "sequence"> & { type: { code: number } }): Uint8Array {
  if (sequence === undefined) return wire;
  const inner = concat(content, Uint8Array.of(type.code), new Uint8Array(padding));
  return concat(wire.subarray(0, 5), inner, wire.subarray(5 + inner.length));
}

function fateOf({ arriving, original, sealed }: Passed): Fate {
  const [first] = arriving;
  const whole = arriving.filter((bytes) => bytes instanceof Uint8Array && bytes.length >= sealed.wire.length).length;
  if (original === undefined) return "inserted";
  if (first === undefined) return "swallowed";
  if (whole > 1) return "sent twice";
  if (first instanceof Uint8Array && first.length < sealed.wire.length) return "cut short";
  if (!differs(original.wire, first as Uint8Array)) return "as sent";
  // Behind what was put in or left out, sequence numbers are others, and so is what is made of the same content.
  const isSame =
    !differs(sealed.wire, first as Uint8Array) &&
    original.type === sealed.type &&
    original.padding === sealed.padding &&
    !differs(original.content, sealed.content);
  return isSame ? "protected anew" : "changed";
}

function differs(a: Uint8Array, b: Uint8Array): boolean {
  return a.length !== b.length || a.some((byte, index) => byte !== b[index]);
}

/** Where content and header differ; what protection makes of that is no change of its own. */
function changedBytes({ original, sealed, arriving }: Passed, record: TraceRecord, opened: Uint8Array): Set<number> {
  if (original === undefined) return new Set();
  // Tags follow from what they protect.
  const untagged = ({ sequence, content, padding }: SentRecord, bytes: Uint8Array) =>
    sequence === undefined ? bytes : bytes.subarray(0, 5 + content.length + 1 + padding);
  const changed = newBytes(untagged(original, openedBytes(named(original))), untagged(sealed, opened));
  const [first] = arriving;
  if (first instanceof Uint8Array && first.length === sealed.wire.length) {
    for (let at = 0; at < record.wire.length; at++) if (first[at] !== sealed.wire[at]) changed.add(at);
  }
  return changed;
}

function named(record: SentRecord) {
  return { ...record, type: { code: record.type } };
}
