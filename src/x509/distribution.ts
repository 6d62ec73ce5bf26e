/** Where a certificate's revocation status is published and what a CRL covers (RFC 5280 4.2.1.13, 5.2.5, 5.2.6). */
import { latin1 } from "../bytes/bytes.ts";
import { contextConstructed, contextPrimitive, DerReader, derEncode, Tag } from "../bytes/der.ts";
import { toHex } from "../bytes/hex.ts";
import { fault, type TlsError } from "../errors.ts";
import type { Certificate, Extension } from "./certificate.ts";
import { DistinguishedName } from "./distinguished.ts";

/** Distribution points in one extension, and names in one of them. */
const MAX_POINTS = 64;
const MAX_NAMES = 256;

/** Extensions of certificates that matter here. */
export const StatusExtension = {
  cRLDistributionPoints: "2.5.29.31",
  freshestCRL: "2.5.29.46",
  authorityInfoAccess: "1.3.6.1.5.5.7.1.1",
  tlsFeature: "1.3.6.1.5.5.7.1.24",
  ocspNoCheck: "1.3.6.1.5.5.7.48.1.5",
} as const;

/** Bits 1 to 8 of ReasonFlags: every reason there is (RFC 5280 4.2.1.13). */
export const ALL_REASONS = 0x1fe;

/** The names of one place. */
interface PlaceNames {
  /** One string for each, equal for equal names. */
  readonly keys: readonly string[];
  readonly uris: readonly string[];
}

/** RFC 5280 4.2.1.13 */
export interface DistributionPoint {
  readonly names: PlaceNames | undefined;
  /** Bits as in ReasonFlags, bit 0 being the lowest. */
  readonly reasons: number;
  /** Directory names in cRLIssuer; `undefined`: the certificate's issuer. */
  readonly crlIssuers: readonly DistinguishedName[] | undefined;
}

/** RFC 5280 5.2.5 */
export interface IssuingDistributionPoint {
  readonly names: readonly string[] | undefined;
  readonly onlyContainsUserCerts: boolean;
  readonly onlyContainsCACerts: boolean;
  readonly onlyContainsAttributeCerts: boolean;
  readonly indirectCRL: boolean;
  readonly reasons: number;
}

/** The contents of one of a certificate's or CRL's extensions. */
export function extensionValue(extensions: readonly Extension[], oid: string): Uint8Array | undefined {
  return extensions.find((entry) => entry.oid === oid)?.value;
}

/**
 * CRLDistributionPoints, which freshestCRL is too.
 *
 * @param issuer - Whom relative names are relative to where a point names no cRLIssuer.
 */
export function readDistributionPoints(value: Uint8Array, issuer: DistinguishedName): DistributionPoint[] {
  const input = new DerReader(value);
  const list = input.sequence();
  input.finish("the distribution points");
  const points: DistributionPoint[] = [];
  while (list.remaining > 0) {
    if (points.length === MAX_POINTS) throw malformed(`more than ${MAX_POINTS} distribution points`);
    points.push(readPoint(list.sequence(), issuer));
  }
  if (points.length === 0) throw malformed("an empty list of distribution points");
  return points;
}

function readPoint(point: DerReader, issuer: DistinguishedName): DistributionPoint {
  const name = point.optional(contextConstructed(0));
  const reasons = point.peek() === contextPrimitive(1) ? readReasons(point) : ALL_REASONS;
  const names = point.optional(contextConstructed(2));
  point.finish("a distribution point");
  const crlIssuers = names === undefined ? undefined : readDirectoryNames(names);
  if (name === undefined && crlIssuers === undefined) throw malformed("a distribution point without any name");
  return { names: name && readPlace(name, crlIssuers?.[0] ?? issuer), reasons, crlIssuers };
}

/** IssuingDistributionPoint. Fields that are FALSE are absent in DER, and no field at all is not allowed. */
export function readIssuingDistributionPoint(
  value: Uint8Array,
  crlIssuer: DistinguishedName,
): IssuingDistributionPoint {
  const input = new DerReader(value);
  const point = input.sequence();
  input.finish("the issuing distribution point");
  if (point.remaining === 0) throw malformed("an empty issuing distribution point (RFC 5280 5.2.5)");
  const flag = (number: number) => point.peek() === contextPrimitive(number) && point.boolean(contextPrimitive(number));
  const name = point.optional(contextConstructed(0));
  const onlyContainsUserCerts = flag(1);
  const onlyContainsCACerts = flag(2);
  const reasons = point.peek() === contextPrimitive(3) ? readReasons(point, 3) : ALL_REASONS;
  const indirectCRL = flag(4);
  const onlyContainsAttributeCerts = flag(5);
  point.finish("the issuing distribution point");
  const kinds = [onlyContainsUserCerts, onlyContainsCACerts, onlyContainsAttributeCerts].filter(Boolean);
  if (kinds.length > 1) throw malformed("a CRL for only two kinds of certificates (RFC 5280 5.2.5)");
  return {
    names: name && readPlace(name, crlIssuer).keys,
    onlyContainsUserCerts,
    onlyContainsCACerts,
    onlyContainsAttributeCerts,
    indirectCRL,
    reasons,
  };
}

/** Directory names among GeneralNames: other forms name no issuer of CRLs. */
export function readDirectoryNames(names: DerReader): DistinguishedName[] {
  const found: DistinguishedName[] = [];
  if (names.remaining === 0) throw malformed("an empty list of names");
  for (let count = 0; names.remaining > 0; count++) {
    if (count === MAX_NAMES) throw malformed(`more than ${MAX_NAMES} names`);
    const { tag, content } = names.element();
    if (tag !== contextConstructed(4)) continue;
    const name = directoryName(content);
    // Each once: the CRLs of an issuer are looked at for each time that it is named.
    if (!found.some((other) => other.equals(name))) found.push(name);
  }
  return found;
}

/** HTTP and other addresses at which the status can be asked for (RFC 5280 4.2.2.1, RFC 6960 3.1). */
export function ocspAddresses({ extensions }: Certificate): string[] {
  const value = extensionValue(extensions, StatusExtension.authorityInfoAccess);
  if (value === undefined) return [];
  const input = new DerReader(value);
  const list = input.sequence();
  input.finish("authorityInfoAccess");
  const addresses: string[] = [];
  while (list.remaining > 0 && addresses.length < MAX_POINTS) {
    const description = list.sequence();
    const method = description.oid();
    const { tag, content } = description.element();
    description.finish("an access description");
    if (method === "1.3.6.1.5.5.7.48.1" && tag === contextPrimitive(6)) addresses.push(latin1(content.rest()));
  }
  return addresses;
}

/** RFC 7633 4.1: numbers of TLS extensions. */
export function tlsFeatures({ extensions }: Certificate): number[] {
  const value = extensionValue(extensions, StatusExtension.tlsFeature);
  if (value === undefined) return [];
  const input = new DerReader(value);
  const list = input.sequence();
  input.finish("the TLS features");
  const features: number[] = [];
  while (list.remaining > 0) {
    if (features.length === MAX_POINTS) throw malformed(`more than ${MAX_POINTS} TLS features`);
    features.push(list.smallInteger());
  }
  return features;
}

function readPlace(outer: DerReader, base: DistinguishedName): PlaceNames {
  const relative = outer.optional(contextConstructed(1));
  const names = relative === undefined ? outer.read(contextConstructed(0)) : undefined;
  outer.finish("the name of a distribution point");
  if (names === undefined) {
    const rdns = new DerReader(base.der).sequence().rest();
    const rdn = derEncode(Tag.set, relative?.rest() ?? new Uint8Array(0));
    return { keys: [directoryKey(new DistinguishedName(derEncode(Tag.sequence, rdns, rdn)))], uris: [] };
  }
  if (names.remaining === 0) throw malformed("an empty list of names");
  const keys: string[] = [];
  const uris: string[] = [];
  while (names.remaining > 0) {
    if (keys.length === MAX_NAMES) throw malformed(`more than ${MAX_NAMES} names`);
    const { tag, raw, content } = names.element();
    if (tag === contextConstructed(4)) keys.push(directoryKey(directoryName(content)));
    else keys.push(toHex(raw));
    if (tag === contextPrimitive(6)) uris.push(latin1(content.rest()));
  }
  return { keys, uris };
}

/** As it stands among {@link PlaceNames.keys}. */
export function directoryKey(name: DistinguishedName): string {
  return `dn:${name.key}`;
}

function directoryName(content: DerReader): DistinguishedName {
  return new DistinguishedName(content.rest());
}

/** ReasonFlags; bit 0, unused, stands for nothing. */
function readReasons(reader: DerReader, number = 1): number {
  const { bytes } = reader.bitString(contextPrimitive(number));
  if (bytes.length > 2) throw malformed("more reasons than there are");
  let reasons = 0;
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    if (((bytes[bit >> 3] as number) & (0x80 >> (bit & 7))) !== 0) reasons |= 1 << bit;
  }
  return reasons & ALL_REASONS;
}

function malformed(detail: string): TlsError {
  return fault("ERR_TLS_PEM", detail);
}
