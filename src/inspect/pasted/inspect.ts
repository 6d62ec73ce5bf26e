/** What people paste: TLS records or a handshake message as bytes or as a dump, whole packets as a dump, certificates. */
import { join, latin1 } from "../../bytes/bytes.ts";
import { DerReader, Tag } from "../../bytes/der.ts";
import { toHex } from "../../bytes/hex.ts";
import { readPem } from "../../bytes/pem.ts";
import { HANDSHAKE_HEADER_LENGTH, messageName } from "../../codec/messages.ts";
import { ContentType, HandshakeType } from "../../codec/registry.ts";
import { fault, type Side, TlsError } from "../../errors.ts";
import { MAX_CIPHERTEXT, RECORD_HEADER_LENGTH, RecordReader } from "../../record/framing.ts";
import { enhancedPacket, interfaceDescription, sectionHeader } from "../capture/blocks.ts";
import { ETHERNET } from "../capture/frames.ts";
import { type InspectOptions, inspectCapture } from "../capture/inspect.ts";
import { isCapture } from "../capture/packets.ts";
import { segmentOf } from "../capture/segments.ts";
import { certificateFields } from "../certificates/fields.ts";
import { describeMessage } from "../describe.ts";
import { messageFields } from "../fields.ts";
import { WatchedConnection } from "../passive/connection.ts";
import { KeyLogSecrets } from "../passive/key-log.ts";
import type { InspectItem, TraceMessage } from "../trace.ts";
import { isText, readDump } from "./dump.ts";

/** Bytes that are taken apart. */
const MAX_INPUT = 64 * 1024 * 1024;
const LINKTYPE_RAW = 101;

/** What to do with an input that is no capture. */
export interface PastedOptions extends Pick<InspectOptions, "provider" | "keyLog" | "onConnection" | "onNote"> {
  /** Gets each item; those of dumped packets as {@link inspectCapture} gives them. */
  readonly onItem: (item: InspectItem) => void;
}

/** What an input was. */
export type PastedKind = "certificates" | "packets" | "records" | "messages";

/**
 * Explains bytes that come without packets around them.
 *
 * @param input - PEM or DER of certificates; TLS records or handshake messages, as they are or as a dump (plain hexadecimal, xxd, hexdump -C, od -tx1,
 * Wireshark); a dump of whole packets, Ethernet or IP. At most 64 MiB.
 * @throws TlsError `ERR_TLS_CAPTURE` when it is none of these, `ERR_TLS_PEM` when it is damaged PEM or DER.
 * @example
 * ```ts
 * const items: InspectItem[] = [];
 * const input = utf8("15 03 03 00 02 02 28");
 * console.log(inspectPasted(input, { provider: nobleProvider, onItem: (item) => items.push(item) })); // records
 * console.log(items.map(({ kind }) => kind)); // ["record", "alert"]
 * ```
 */
export function inspectPasted(input: Uint8Array, options: PastedOptions): PastedKind {
  if (input.length > MAX_INPUT) throw fault("ERR_TLS_CAPTURE", `more than ${MAX_INPUT} bytes`);
  const text = isText(input);
  if (text && isPem(input)) return pemCertificates(input, options);
  const pieces = text ? readDump(input) : [input];
  if (pieces === undefined || pieces.length === 0) throw unknown(input);
  const packets = packetsOf(pieces);
  if (packets !== undefined) {
    inspectCapture(packets, { ...options, onItem: (item) => options.onItem(item) });
    return "packets";
  }
  const kinds = pieces.map((piece) => explain(piece, options));
  return kinds[0] as PastedKind;
}

function explain(bytes: Uint8Array, options: PastedOptions): PastedKind {
  if (isRecord(bytes)) return records(bytes, options);
  if (isDer(bytes)) {
    options.onItem(certificateFields(bytes));
    return "certificates";
  }
  const messages = messagesIn(bytes);
  if (messages === undefined) throw unknown(bytes);
  for (const [index, message] of messages.entries()) options.onItem(loose(message, index + 1));
  return "messages";
}

/** First bytes of gzip, Zstandard and ZIP. */
const COMPRESSED = /^(?:1f8b|28b52ffd|504b0304)/;
const KEY_LOG = /^[A-Z][A-Z0-9_]+ [0-9a-fA-F]{64} [0-9a-fA-F]+/m;

function unknown(bytes: Uint8Array): TlsError {
  if (COMPRESSED.test(toHex(bytes.subarray(0, 4))))
    return fault("ERR_TLS_CAPTURE", "it is compressed: unpack it first");
  if (KEY_LOG.test(latin1(bytes.subarray(0, 4096)))) {
    return fault("ERR_TLS_CAPTURE", "it is a key log, which goes with a capture");
  }
  const start = toHex(bytes.subarray(0, 8)).replace(/..(?=.)/g, "$& ");
  return fault(
    "ERR_TLS_CAPTURE",
    `neither a capture, nor TLS records, nor a handshake message, nor a certificate; it begins with ${start || "nothing"}`,
  );
}

function isPem(input: Uint8Array): boolean {
  return new TextDecoder().decode(input.subarray(0, 0x10000)).includes("-----BEGIN ");
}

function pemCertificates(input: Uint8Array, { onItem }: PastedOptions): PastedKind {
  const blocks = readPem(input);
  const certificates = blocks.filter(({ label }) => /^(?:X509 |TRUSTED )?CERTIFICATE$/.test(label));
  if (certificates.length === 0) {
    const labels = [...new Set(blocks.map(({ label }) => label))].join(", ");
    throw fault("ERR_TLS_CAPTURE", `PEM of ${labels}: only certificates are taken apart`);
  }
  for (const [index, { der }] of certificates.entries()) onItem(certificateFields(der, index + 1));
  return "certificates";
}

/** One SEQUENCE, and nothing behind it. */
function isDer(bytes: Uint8Array): boolean {
  if (bytes[0] !== Tag.sequence) return false;
  try {
    const reader = new DerReader(bytes);
    reader.sequence();
    return reader.remaining === 0;
  } catch (error) {
    if (error instanceof TlsError) return false;
    throw error;
  }
}

/** A capture of dumped packets, where each piece is one. */
function packetsOf(pieces: readonly Uint8Array[]): Uint8Array | undefined {
  for (const linkType of [ETHERNET, LINKTYPE_RAW]) {
    if (pieces.every((piece) => !isCapture(piece) && typeof segmentOf(linkType, piece, piece.length) !== "string")) {
      const blocks = pieces.map((piece) => enhancedPacket(0, 0n, piece, piece.length));
      return join([sectionHeader(), interfaceDescription(linkType), ...blocks]);
    }
  }
  return undefined;
}

/** RFC 8446 5.1 */
function isRecord(bytes: Uint8Array): boolean {
  const [type = 0, major, minor = 99, high = 0, low = 0] = bytes;
  const known = ContentType.name(type) !== undefined && major === 3 && minor <= 4;
  return bytes.length >= RECORD_HEADER_LENGTH && known && high * 256 + low <= MAX_CIPHERTEXT;
}

/** Who sends which message in the clear; the others leave it as it was. */
const SENDERS: ReadonlyMap<number, Side> = new Map([
  [HandshakeType.codes.client_hello, "client"],
  [HandshakeType.codes.server_hello, "server"],
]);

function records(bytes: Uint8Array, { provider, keyLog, onItem }: PastedOptions): PastedKind {
  const secrets = new KeyLogSecrets();
  if (keyLog !== undefined) secrets.add(keyLog);
  const watched = new WatchedConnection({ provider, secrets, viewpoint: "client", onItem });
  const reader = new RecordReader();
  reader.push(bytes);
  let side: Side = "client";
  /** Bytes of a handshake message that are still to come. */
  let pending = 0;
  let read = 0;
  for (let record = nextRecord(reader); record !== undefined; record = nextRecord(reader)) {
    read += record.bytes.length;
    if (record.type === ContentType.codes.handshake) {
      if (pending === 0) side = senderOf(record.fragment, side);
      pending = pendingAfter(pending, record.fragment);
    }
    watched.push(side, record.bytes);
  }
  // What is no record, or half of one, is the watcher's to explain.
  const rest = bytes.subarray(read);
  if (rest[0] === ContentType.codes.handshake && pending === 0)
    side = senderOf(rest.subarray(RECORD_HEADER_LENGTH), side);
  if (rest.length > 0) watched.push(side, rest);
  watched.end();
  return "records";
}

function senderOf([type = 0]: Uint8Array, otherwise: Side): Side {
  return SENDERS.get(type) ?? otherwise;
}

function nextRecord(reader: RecordReader) {
  try {
    return reader.next(true);
  } catch (error) {
    if (error instanceof TlsError) return undefined;
    throw error;
  }
}

/** Bytes that the last message of a fragment lacks; messages whose header is cut count as whole. */
function pendingAfter(before: number, fragment: Uint8Array): number {
  let at = before;
  while (at + HANDSHAKE_HEADER_LENGTH <= fragment.length) at += HANDSHAKE_HEADER_LENGTH + lengthAt(fragment, at);
  return Math.max(0, at - fragment.length);
}

function lengthAt(bytes: Uint8Array, at: number): number {
  const [high = 0, middle = 0, low = 0] = bytes.subarray(at + 1, at + 4);
  return high * 0x10000 + middle * 0x100 + low;
}

/** Messages end to end that make up all the bytes. */
function messagesIn(bytes: Uint8Array): Uint8Array[] | undefined {
  const found: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (at + HANDSHAKE_HEADER_LENGTH > bytes.length || HandshakeType.name(bytes[at] as number) === undefined) {
      return undefined;
    }
    const end = at + HANDSHAKE_HEADER_LENGTH + lengthAt(bytes, at);
    if (end > bytes.length) return undefined;
    found.push(bytes.subarray(at, end));
    at = end;
  }
  return found.length === 0 ? undefined : found;
}

/** A message without its record. */
function loose(message: Uint8Array, number: number): TraceMessage {
  const bytes = message.slice();
  const type = messageName(bytes[0] as number, bytes.subarray(HANDSHAKE_HEADER_LENGTH));
  const from = SENDERS.get(bytes[0] as number) ?? "server";
  const description =
    type === undefined ? { section: "RFC 8446 4", note: "not a message of TLS 1.3" } : describeMessage(type);
  return {
    kind: "message",
    direction: from === "client" ? "sent" : "received",
    from,
    number,
    epoch: "initial",
    type,
    bytes,
    ...messageFields(type, bytes),
    spans: [],
    ...description,
  };
}
