/** Ethernet frames for bytes that travelled otherwise: IPv4 (RFC 791), IPv6 (RFC 8200) and TCP (RFC 9293), checksums right. */
import { concat } from "../../bytes/bytes.ts";
import type { Endpoint } from "./segments.ts";

/** LINKTYPE_ETHERNET */
export const ETHERNET = 1;

/** Flags of a TCP header, RFC 9293 3.1. */
export const Flag = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16 } as const;

/** One segment, RFC 9293 3.1. */
export interface FrameParts {
  readonly source: Endpoint;
  readonly destination: Endpoint;
  readonly sequence: number;
  readonly acknowledgment: number;
  readonly flags: number;
  /** At most 64 KiB with its headers. */
  readonly payload: Uint8Array;
}

const TCP = 6;
const TCP_HEADER = 20;

/** Both addresses must be of one family. */
export function tcpFrame(parts: FrameParts): Uint8Array {
  const { source, destination, payload } = parts;
  const isV4 = source.address.length === 4;
  const tcp = concat(tcpHeader(parts), payload);
  const addresses = concat(source.address, destination.address);
  // RFC 9293 3.1 and RFC 8200 8.1: what a checksum covers beside the segment.
  const pseudo = concat(addresses, isV4 ? Uint8Array.of(0, TCP) : Uint8Array.of(0, 0), uint16(tcp.length));
  set16(tcp, 16, checksum(isV4 ? concat(pseudo, tcp) : concat(pseudo, Uint8Array.of(0, 0, 0, TCP), tcp)));
  const ip = isV4 ? ipv4Header(addresses, tcp.length) : ipv6Header(addresses, tcp.length);
  return concat(hardwareAddress(destination), hardwareAddress(source), uint16(isV4 ? 0x0800 : 0x86dd), ip, tcp);
}

/** Locally administered, and the same for the same end. */
function hardwareAddress({ address }: Endpoint): Uint8Array {
  return concat(Uint8Array.of(2, 0), address.subarray(-4));
}

function tcpHeader({ source, destination, sequence, acknowledgment, flags }: FrameParts): Uint8Array {
  const header = new Uint8Array(TCP_HEADER);
  const view = new DataView(header.buffer);
  view.setUint16(0, source.port);
  view.setUint16(2, destination.port);
  view.setUint32(4, sequence >>> 0);
  view.setUint32(8, acknowledgment >>> 0);
  view.setUint16(12, ((TCP_HEADER / 4) << 12) | flags);
  view.setUint16(14, 0xffff);
  return header;
}

function ipv4Header(addresses: Uint8Array, length: number): Uint8Array {
  const header = new Uint8Array(20);
  header[0] = 0x45;
  set16(header, 2, 20 + length);
  // Don't fragment.
  header[6] = 0x40;
  header[8] = 64;
  header[9] = TCP;
  header.set(addresses, 12);
  set16(header, 10, checksum(header));
  return header;
}

function ipv6Header(addresses: Uint8Array, length: number): Uint8Array {
  const header = new Uint8Array(40);
  header[0] = 0x60;
  set16(header, 4, length);
  header[6] = TCP;
  header[7] = 64;
  header.set(addresses, 8);
  return header;
}

/** RFC 1071 */
export function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] as number) << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

function uint16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff);
}

function set16(bytes: Uint8Array, at: number, value: number): void {
  bytes.set(uint16(value), at);
}
