/** Captures for tests: written from live connections or packet by packet, and read back. */
import { concat } from "../../src/bytes/bytes.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import type { Observer } from "../../src/engine/index.ts";
import type { Side } from "../../src/errors.ts";
import { Flag, tcpFrame } from "../../src/inspect/capture/frames.ts";
import type { Endpoint } from "../../src/inspect/capture/segments.ts";
import {
  type CaptureConnectionOptions,
  type CapturedConnection,
  createCaptureWriter,
  type InspectItem,
  type InspectOptions,
  inspectCapture,
} from "../../src/inspect/index.ts";

/** What an inspection has said. */
export interface Inspected {
  readonly connections: readonly CapturedConnection[];
  /** Of the connection with this number. */
  items(connection?: number): InspectItem[];
  readonly notes: readonly string[];
  readonly secrets: number;
}

export function inspected(file: Uint8Array, options: Partial<InspectOptions> = {}): Inspected {
  const all: { readonly item: InspectItem; readonly connection: number }[] = [];
  const notes: string[] = [];
  const { connections, secrets } = inspectCapture(file, {
    provider: nobleProvider,
    onNote: (note) => notes.push(note),
    onItem: (item, { connection }) => all.push({ item, connection }),
    ...options,
  });
  const items = (wanted = 1) => all.flatMap(({ item, connection }) => (connection === wanted ? [item] : []));
  return { connections, notes, secrets, items };
}

/** The texts of a trace's notes, as `level text`. */
export function notesOf(items: readonly InspectItem[]): string[] {
  return items.flatMap((item) => (item.kind === "note" ? [`${item.level} ${item.note}`] : []));
}

/** A capture that is written from an observer; `file` closes it. */
export function recorder(side: Side, ends: Omit<CaptureConnectionOptions, "side"> = {}) {
  const chunks: Uint8Array[] = [];
  const writer = createCaptureWriter({ write: (bytes) => chunks.push(bytes.slice()), clock: () => 1_700_000_000_000 });
  const connection = writer.connection({ side, ...ends });
  const observer: Observer = connection.observer;
  return {
    observer,
    file: () => {
      connection.end();
      return concat(...chunks);
    },
  };
}

export const CLIENT: Endpoint = { address: Uint8Array.of(192, 0, 2, 1), port: 50_000 };
export const SERVER: Endpoint = { address: Uint8Array.of(192, 0, 2, 2), port: 443 };

/** One packet's frame, Ethernet. */
export function packet(
  from: Endpoint,
  to: Endpoint,
  sequence: number,
  payload: Uint8Array = new Uint8Array(0),
  flags: number = Flag.ack,
): Uint8Array {
  return tcpFrame({ source: from, destination: to, sequence, acknowledgment: 0, flags, payload });
}

/** How a pcap file is to be. */
export interface PcapForm {
  readonly little?: boolean;
  readonly nanoseconds?: boolean;
  readonly linkType?: number;
  /** Bytes kept of each packet. */
  readonly snapLength?: number;
}

/** A pcap file of these packets, a second apart. */
export function pcap(packets: readonly Uint8Array[], form: PcapForm = {}): Uint8Array {
  const { little = true, nanoseconds = false, linkType = 1, snapLength = 0xffff } = form;
  const header = new Uint8Array(24);
  const view = new DataView(header.buffer);
  view.setUint32(0, nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4, little);
  view.setUint16(4, 2, little);
  view.setUint16(6, 4, little);
  view.setUint32(16, snapLength, little);
  view.setUint32(20, linkType, little);
  const parts = packets.flatMap((bytes, index) => {
    const kept = bytes.subarray(0, snapLength);
    const head = new Uint8Array(16);
    const fields = new DataView(head.buffer);
    fields.setUint32(0, 1_700_000_000 + index, little);
    fields.setUint32(4, nanoseconds ? 123_456_789 : 123_456, little);
    fields.setUint32(8, kept.length, little);
    fields.setUint32(12, bytes.length, little);
    return [head, kept];
  });
  return concat(header, ...parts);
}
