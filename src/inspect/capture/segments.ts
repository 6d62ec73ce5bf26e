/** From a packet to the TCP segment in it: link layers, IPv4 (RFC 791), IPv6 with its extension headers (RFC 8200). */

/** One end of a TCP connection. */
export interface Endpoint {
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
  readonly port: number;
}

/** A TCP segment, RFC 9293 3.1. */
export interface Segment {
  readonly source: Endpoint;
  readonly destination: Endpoint;
  readonly sequence: number;
  readonly syn: boolean;
  readonly ack: boolean;
  readonly fin: boolean;
  readonly rst: boolean;
  readonly payload: Uint8Array;
  /** Bytes of payload that the capture has cut off. */
  readonly cut: number;
}

/** Why there is none. */
export type NoSegment = "fragment" | "other" | "damaged" | "link";

/** LINKTYPE_ value to the start of IP, or -1 where there is no IP. */
const LINKS: ReadonlyMap<number, (bytes: Uint8Array) => number> = new Map([
  [0, family],
  [1, ethernet],
  // LINKTYPE_RAW, and what some systems call it.
  [12, () => 0],
  [14, () => 0],
  [101, () => 0],
  [108, family],
  // Linux cooked capture, v1 and v2.
  [113, (bytes) => (isIpType(uint16(bytes, 14)) ? 16 : -1)],
  [228, () => 0],
  [229, () => 0],
  [276, (bytes) => (isIpType(uint16(bytes, 0)) ? 20 : -1)],
]);

const VLAN_TAGS = [0x8100, 0x88a8, 0x9100];
const TCP = 6;
/** IPv6 extension headers whose length stands in their second byte, in units of 8 bytes. */
const SKIPPED_HEADERS = [0, 43, 60, 135, 139, 140];
const FRAGMENT_HEADER = 44;
/** Its length is counted in units of 4 bytes (RFC 4302 2.2). */
const AUTHENTICATION_HEADER = 51;

/** @param length - Bytes that the packet had on the wire. */
export function segmentOf(linkType: number, bytes: Uint8Array, length: number): Segment | NoSegment {
  const link = LINKS.get(linkType);
  if (link === undefined) return "link";
  const start = link(bytes);
  if (start < 0 || start >= bytes.length) return "other";
  const packet = bytes.subarray(start);
  const version = (packet[0] as number) >> 4;
  if (version === 4) return ipv4(packet, length - start);
  if (version === 6) return ipv6(packet, length - start);
  return "other";
}

function ethernet(bytes: Uint8Array): number {
  let at = 12;
  while (VLAN_TAGS.includes(uint16(bytes, at))) at += 4;
  return isIpType(uint16(bytes, at)) ? at + 2 : -1;
}

/** BSD loopback: an address family of 4 bytes, in whichever order; which of IPv4 and IPv6 it is, IP says itself. */
function family(bytes: Uint8Array): number {
  return bytes.length > 4 ? 4 : -1;
}

function isIpType(type: number): boolean {
  return type === 0x0800 || type === 0x86dd;
}

function ipv4(packet: Uint8Array, length: number): Segment | NoSegment {
  if (packet.length < 20) return "damaged";
  const header = 4 * ((packet[0] as number) & 15);
  if (header < 20 || header > packet.length) return "damaged";
  if (packet[9] !== TCP) return "other";
  if ((uint16(packet, 6) & 0x3fff) !== 0) return "fragment";
  // Zero where the network card was to cut it into segments: then all that was captured.
  const total = uint16(packet, 2) || length;
  if (total < header) return "damaged";
  return tcp(packet.subarray(header, total), total - header, packet.subarray(12, 16), packet.subarray(16, 20));
}

function ipv6(packet: Uint8Array, length: number): Segment | NoSegment {
  if (packet.length < 40) return "damaged";
  const total = uint16(packet, 4) === 0 ? length : 40 + uint16(packet, 4);
  let next = packet[6] as number;
  let at = 40;
  while (next !== TCP) {
    if (at + 8 > packet.length) return "damaged";
    // A fragment that is the whole is none (RFC 6946).
    if (next === FRAGMENT_HEADER && (uint16(packet, at + 2) & 0xfff9) !== 0) return "fragment";
    const size = headerLength(next, packet[at + 1] as number);
    if (size === undefined) return "other";
    next = packet[at] as number;
    at += size;
  }
  if (at > packet.length || total < at) return "damaged";
  return tcp(packet.subarray(at, total), total - at, packet.subarray(8, 24), packet.subarray(24, 40));
}

/** Bytes of an IPv6 extension header; `undefined` for what is none. */
function headerLength(type: number, said: number): number | undefined {
  if (type === FRAGMENT_HEADER) return 8;
  if (type === AUTHENTICATION_HEADER) return 4 * (said + 2);
  return SKIPPED_HEADERS.includes(type) ? 8 * (said + 1) : undefined;
}

function tcp(bytes: Uint8Array, length: number, from: Uint8Array, to: Uint8Array): Segment | NoSegment {
  if (bytes.length < 20) return "damaged";
  const header = 4 * ((bytes[12] as number) >> 4);
  if (header < 20 || header > length) return "damaged";
  const flags = bytes[13] as number;
  const payload = bytes.subarray(header);
  return {
    source: { address: from, port: uint16(bytes, 0) },
    destination: { address: to, port: uint16(bytes, 2) },
    sequence: ((uint16(bytes, 4) << 16) | uint16(bytes, 6)) >>> 0,
    fin: (flags & 1) !== 0,
    syn: (flags & 2) !== 0,
    rst: (flags & 4) !== 0,
    ack: (flags & 16) !== 0,
    payload,
    cut: length - header - payload.length,
  };
}

/** NaN beyond the end, which is no value of anything. */
function uint16(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) * 256 + (bytes[at + 1] as number);
}
