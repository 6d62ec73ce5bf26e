/** What a handshake costs on the wire: bytes by flight and by message, and round trips. */

import { ContentType } from "../../codec/registry.ts";
import type { Side } from "../../errors.ts";
import type { Entry, Flight } from "./conversation.ts";
import { titleOf } from "./tree.ts";

const { application_data } = ContentType.codes;

/** One flight. */
export interface FlightCost {
  readonly from: Side;
  readonly bytes: number;
  readonly records: number;
  /** Bytes of each message with its header. */
  readonly messages: readonly { readonly name: string; readonly bytes: number }[];
  /** Headers of records, content types, padding and tags. */
  readonly overhead: number;
}

/** A whole conversation. */
export interface Cost {
  readonly flights: readonly FlightCost[];
  /** Of the records before application keys, early data left out. */
  readonly handshakeBytes: { readonly client: number; readonly server: number };
  /** Before the client may send application data that is not early. */
  readonly roundTrips: number;
}

/** Counts it. */
export function costOf(flights: readonly Flight[]): Cost {
  const handshakeBytes = { client: 0, server: 0 };
  for (const { from, record } of flights.flatMap(({ entries }) => entries)) {
    if (record.epoch !== "application" && record.type.code !== application_data)
      handshakeBytes[from] += record.wire.length;
  }
  const retried = flights.some(({ entries }) =>
    entries.some(({ messages }) => messages.some(({ type }) => type === "hello_retry_request")),
  );
  return { flights: flights.map(flightCost), handshakeBytes, roundTrips: retried ? 2 : 1 };
}

function flightCost({ from, entries }: Flight): FlightCost {
  const bytes = sum(entries, ({ record }) => record.wire.length);
  const content = sum(entries, ({ record }) => record.content.length);
  return {
    from,
    bytes,
    records: entries.length,
    messages: entries.flatMap(carried),
    overhead: bytes - content,
  };
}

function carried({ record, messages }: Entry): FlightCost["messages"] {
  if (messages.length > 0)
    return messages.map(({ type, bytes }) => ({ name: titleOf(type ?? "unknown"), bytes: bytes.length }));
  return [{ name: record.type.name ?? `type ${record.type.code}`, bytes: record.content.length }];
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
