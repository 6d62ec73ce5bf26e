/** Which addresses anybody on the Internet may have, and which mean somebody nearby. */
import { formatAddress, parseAddress } from "../x509/address.ts";

/** Addresses that begin alike. */
export interface Prefix {
  readonly bytes: Uint8Array;
  /** So many bits of them. */
  readonly bits: number;
}

/**
 * IANA's special-purpose registries (RFC 6890) and multicast. Of IPv6, all that is not 2000::/3 besides; 6to4 and Teredo lead
 * to whatever IPv4 address is inside.
 */
const SPECIAL: readonly Prefix[] = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.88.99.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4",
  "240.0.0.0/4",
  "2001::/23",
  "2001:db8::/32",
  "2002::/16",
  "3fff::/20",
].map((text) => parsePrefix(text) as Prefix);
const GLOBAL = parsePrefix("2000::/3") as Prefix;
const LOOPBACK = [parsePrefix("127.0.0.0/8") as Prefix, parsePrefix("::1") as Prefix];
/** Both end in an IPv4 address. */
const MAPPED = parsePrefix("::ffff:0:0/96") as Prefix;
const NAT64 = parsePrefix("64:ff9b::/96") as Prefix;

/** True for an address that is nobody's in particular: neither private nor loopback nor otherwise special. */
export function isPublic(address: Uint8Array): boolean {
  if (address.length === 16 && within(address, NAT64)) return isPublic(address.subarray(12));
  if (address.length === 16 && !within(address, GLOBAL)) return false;
  return !SPECIAL.some((prefix) => within(address, prefix));
}

export function isLoopback(address: Uint8Array): boolean {
  return LOOPBACK.some((prefix) => within(address, prefix));
}

export function within(address: Uint8Array, { bytes, bits }: Prefix): boolean {
  if (address.length !== bytes.length) return false;
  return bytes.every((byte, index) => {
    const kept = Math.min(8, Math.max(0, bits - 8 * index));
    return (((address[index] as number) ^ byte) & (0xff00 >> kept) & 0xff) === 0;
  });
}

/** An address as bytes, an IPv4-mapped one (RFC 4291 2.5.5.2) as the IPv4 address that it is. */
export function addressOf(text: string): Uint8Array | undefined {
  const bytes = parseAddress(text);
  return bytes?.length === 16 && within(bytes, MAPPED) ? bytes.slice(12) : bytes;
}

/** `10.0.0.0/8`, `fd00::/8`, or one address. Bits after the prefix must be zero. */
export function parsePrefix(text: string): Prefix | undefined {
  const [, address = "", length] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const bytes = parseAddress(address);
  if (bytes === undefined) return undefined;
  const bits = length === undefined ? 8 * bytes.length : Number(length);
  if (bits > 8 * bytes.length) return undefined;
  const kept = bytes.map((byte, index) => byte & (0xff00 >> Math.min(8, Math.max(0, bits - 8 * index))));
  return kept.every((byte, index) => byte === bytes[index]) ? { bytes, bits } : undefined;
}

/** What counts as one client: an IPv4 address, or an IPv6 network of 64 bits, of which everyone has as many as wanted. */
export function clientOf(address: string | undefined): string {
  const bytes = addressOf((address ?? "").replace(/%.*$/, ""));
  if (bytes === undefined) return "unknown";
  return formatAddress(bytes.length === 4 ? bytes : bytes.slice().fill(0, 8));
}
