/** Is this certificate for that host? Service identity by RFC 9525: subjectAltName alone, never the CN. */
import { equal } from "../bytes/bytes.ts";
import { fault } from "../errors.ts";
import { formatAddress, parseAddress } from "./address.ts";
import type { Certificate } from "./certificate.ts";

/** The name that a peer is wanted under. */
export type ReferenceName =
  | { readonly kind: "dns"; readonly text: string }
  | { readonly kind: "ip"; readonly text: string; readonly address: Uint8Array };

/** The outcome of a comparison, with what was compared. */
export interface NameMatch {
  readonly matched: boolean;
  readonly wanted: ReferenceName;
  /** The certificate's names, as `DNS:…` and `IP:…`. */
  readonly offered: readonly string[];
}

/** RFC 1034 3.5 with the underscore that is in use. Digits alone are no last label: that would be an address. */
const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;
const MAX_NAME = 253;

/**
 * A host name or address to look for.
 *
 * @param name - DNS name (U-labels become A-labels, one final dot is dropped), IPv4, or IPv6 with or without brackets.
 * @throws TlsError `ERR_TLS_OPTION` when it is none of these.
 *
 * @example
 * ```ts
 * console.log(referenceName("Bücher.example.").text); // xn--bcher-kva.example
 * ```
 */
export function referenceName(name: string): ReferenceName {
  const reference = readReference(name);
  if (reference === undefined) throw fault("ERR_TLS_OPTION", `"${name}" is neither a host name nor an IP address`);
  return reference;
}

/** True when the certificate is for `host`; false also when that is no host name at all. */
export function matchesHost(certificate: Certificate, host: string): boolean {
  const reference = readReference(host);
  return reference !== undefined && matches(certificate, reference);
}

function readReference(name: string): ReferenceName | undefined {
  const address = parseAddress(name);
  if (address !== undefined) return { kind: "ip", text: formatAddress(address), address };
  const ascii = toAscii(name).toLowerCase();
  const text = ascii.endsWith(".") ? ascii.slice(0, -1) : ascii;
  return isDomainName(text) ? { kind: "dns", text } : undefined;
}

/**
 * Compares the names of a certificate with the one wanted (RFC 9525 6.3, 6.4).
 *
 * @example
 * ```ts
 * const authority = await createThrowawayAuthority();
 * const { certificates } = await authority.issue({ dnsNames: ["*.example.com"] });
 * const { matched } = matchName(parseCertificate(certificates[0]), referenceName("www.example.com"));
 * console.log(matched); // true
 * ```
 */
export function matchName(certificate: Certificate, wanted: ReferenceName): NameMatch {
  return { matched: matches(certificate, wanted), wanted, offered: offeredNames(certificate) };
}

/** See {@link matchName}. */
export function matches({ subjectAltName: names }: Certificate, wanted: ReferenceName): boolean {
  return wanted.kind === "ip"
    ? names?.ip.some((address) => equal(address, wanted.address)) === true
    : names?.dns.some((presented) => matchesDomain(presented.toLowerCase(), wanted.text)) === true;
}

/** See {@link NameMatch.offered}. */
export function offeredNames({ subjectAltName }: Certificate): string[] {
  const { dns = [], ip = [] } = subjectAltName ?? {};
  return [...dns.map((name) => `DNS:${name}`), ...ip.map((address) => `IP:${formatAddress(address)}`)];
}

/** True for a host name in lower case, without a final dot. */
export function isDomainName(name: string): boolean {
  if (name.length > MAX_NAME) return false;
  const labels = name.split(".");
  return labels.every((label) => LABEL.test(label)) && !/^[0-9]+$/.test(labels[labels.length - 1] as string);
}

/** Both in lower case. */
function matchesDomain(presented: string, wanted: string): boolean {
  if (!presented.startsWith("*.")) return presented === wanted;
  // RFC 9525 6.3: the whole left-most label, and it stands for exactly one. Not for all of a top-level domain.
  const parent = presented.slice(2);
  return parent.includes(".") && isDomainName(parent) && wanted.slice(wanted.indexOf(".") + 1) === parent;
}

/**
 * U-labels to A-labels by the platform's URL parser (UTS 46), which is the one thing every runtime has. Empty for what is
 * no name.
 */
export function toAscii(name: string): string {
  if (/^[\0-\x7f]*$/.test(name)) return name;
  if (/[\0-\x20#%/:<>?@[\\\]^`{|}\x7f]/.test(name)) return "";
  try {
    return new URL(`http://${name}/`).hostname;
  } catch {
    // No valid IDNA name; the caller says so.
    return "";
  }
}
