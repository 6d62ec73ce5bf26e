/** Names that are issued: a subject, and the forms of subjectAltName (RFC 5280 4.1.2.6, 4.2.1.6). */
import * as asn1js from "asn1js";
import * as pkijs from "pkijs";
import { fault, type TlsError } from "../errors.ts";
import { formatAddress, parseAddress } from "../x509/address.ts";
import type { GeneralNames } from "../x509/certificate.ts";
import type { DistinguishedName } from "../x509/distinguished.ts";
import { isDomainName } from "../x509/names.ts";
import { bufferOf, fromDer, toDer } from "./asn1.ts";

/** Attributes of a distinguished name, in the order in which they are encoded. A string stands for the CN alone. */
export type SubjectInput = string | readonly (readonly [type: SubjectAttribute, value: string])[];

/** Attributes by their RFC 4514 names. */
export type SubjectAttribute = keyof typeof ATTRIBUTES;

/** Names for subjectAltName. */
export interface AlternativeNames {
  /** Host names as A-labels; the leftmost label may be `*`. */
  readonly dnsNames?: readonly string[] | undefined;
  /** As text, IPv4 or IPv6. */
  readonly ipAddresses?: readonly string[] | undefined;
  readonly emails?: readonly string[] | undefined;
  /** Absolute URIs, SPIFFE IDs among them. */
  readonly uris?: readonly string[] | undefined;
}

const text = (value: string) => new asn1js.Utf8String({ value });
const printable = (value: string) => new asn1js.PrintableString({ value });
const ia5 = (value: string) => new asn1js.IA5String({ value });
const PRINTABLE = /^[A-Za-z0-9 '()+,./:=?-]*$/;

/** Each attribute with its bounds and its type of string (RFC 5280 A.1, 4.1.2.4; RFC 4519 2.4, 2.39). */
const ATTRIBUTES = {
  C: { oid: "2.5.4.6", max: 2, encode: printable, form: /^[A-Z]{2}$/ },
  ST: { oid: "2.5.4.8", max: 128, encode: text },
  L: { oid: "2.5.4.7", max: 128, encode: text },
  STREET: { oid: "2.5.4.9", max: 128, encode: text },
  O: { oid: "2.5.4.10", max: 64, encode: text },
  OU: { oid: "2.5.4.11", max: 64, encode: text },
  CN: { oid: "2.5.4.3", max: 64, encode: text },
  serialNumber: { oid: "2.5.4.5", max: 64, encode: printable, form: PRINTABLE },
  emailAddress: { oid: "1.2.840.113549.1.9.1", max: 255, encode: ia5, form: /^[!-~]+@[!-~]+$/ },
  DC: { oid: "0.9.2342.19200300.100.1.25", max: 63, encode: ia5, form: /^[!-~]+$/ },
  UID: { oid: "0.9.2342.19200300.100.1.1", max: 256, encode: text },
} as const satisfies Record<string, AttributeRule>;

interface AttributeRule {
  readonly oid: string;
  /** Characters. */
  readonly max: number;
  readonly form?: RegExp;
  encode(value: string): pkijs.AttributeValueType;
}

/** Control and direction characters, and those that show nothing, such as U+3164 (UAX 44, Default_Ignorable_Code_Point). */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;

/** Attributes in one subject. */
const MAX_ATTRIBUTES = 32;
/** Names in one certificate; no more are read (x509/extensions.ts). */
const MAX_NAMES = 1024;

/**
 * DER of a Name with one attribute in each RDN.
 *
 * @throws TlsError `ERR_TLS_OPTION` for an attribute that is unknown, empty, too long or of the wrong form.
 */
export function encodeSubject(subject: SubjectInput): Uint8Array {
  const attributes = typeof subject === "string" ? (subject === "" ? [] : ([["CN", subject]] as const)) : subject;
  if (attributes.length > MAX_ATTRIBUTES) throw refused(`a subject of ${attributes.length} attributes`);
  // pkijs itself would put all attributes into one RDN.
  const rdns = attributes.map((one) => new asn1js.Set({ value: [attribute(one).toSchema()] }));
  return toDer(new asn1js.Sequence({ value: rdns }));
}

function attribute([type, value]: readonly [string, string]): pkijs.AttributeTypeAndValue {
  const rule = Object.hasOwn(ATTRIBUTES, type)
    ? (ATTRIBUTES as Readonly<Record<string, AttributeRule>>)[type]
    : undefined;
  if (rule === undefined) {
    throw refused(`${type} is no attribute that is issued: there are ${Object.keys(ATTRIBUTES).join(", ")}`);
  }
  const { oid, max, form, encode } = rule;
  if (value.trim() === "" || [...value].length > max) {
    throw refused(`${type} has ${[...value].length} characters, and 1 to ${max} may be`);
  }
  // A name that cannot be told from another, or that writes over what is beside it, serves nobody.
  if (UNSEEN.test(value)) throw refused(`${type} holds a control character, or one that nobody sees`);
  if (form !== undefined && !form.test(value)) throw refused(`${type} does not have its form: "${value}"`);
  return new pkijs.AttributeTypeAndValue({ type: oid, value: encode(value) });
}

/**
 * A subject as people write it: `/O=Example/CN=alice` as openssl has it, or the CN alone.
 *
 * @throws TlsError `ERR_TLS_OPTION` when it is neither.
 *
 * @example
 * ```ts
 * console.log(parseSubject("/O=Example/CN=alice")); // [["O", "Example"], ["CN", "alice"]]
 * ```
 */
export function parseSubject(written: string): SubjectInput {
  if (!written.startsWith("/")) return written;
  if (written === "/") return [];
  return written
    .slice(1)
    .split(/(?<!\\)\//)
    .map((part) => {
      const equals = part.indexOf("=");
      const type = part.slice(0, Math.max(equals, 0));
      if (!Object.hasOwn(ATTRIBUTES, type)) {
        throw refused(`"${part}" in ${written} is not one of ${Object.keys(ATTRIBUTES).join("=, ")}=`);
      }
      return [type as SubjectAttribute, part.slice(equals + 1).replaceAll("\\/", "/")] as const;
    });
}

/**
 * A name that somebody asks for, as it may be issued: encoded anew, so that nothing of the encoding is the requester's.
 *
 * @throws TlsError `ERR_TLS_OPTION` when it holds what is not issued.
 *
 * @example
 * ```ts
 * const request = await createCertificationRequest({ subject: "alice" }, await generateKeyPair("P-256"));
 * const { subject } = await readCertificationRequest(request);
 * console.log(subjectOf(subject)); // [["CN", "alice"]]
 * ```
 */
export function subjectOf(name: DistinguishedName): SubjectInput {
  return name.rdns.map((rdn) => {
    const [first, ...more] = rdn;
    if (first === undefined || more.length > 0) throw refused("an RDN of several attributes");
    const known = Object.entries(ATTRIBUTES).find(([, { oid }]) => oid === first.type);
    if (known === undefined || !first.isText) throw refused(`the attribute ${first.type} is not issued`);
    return [known[0] as SubjectAttribute, first.value] as const;
  });
}

/**
 * Names that somebody asks for, as text.
 *
 * @throws TlsError `ERR_TLS_OPTION` for a form that is not issued.
 *
 * @example
 * ```ts
 * const input = { dnsNames: ["www.example.com"], ipAddresses: ["::1"] };
 * const { subjectAltName } = await readCertificationRequest(
 *   await createCertificationRequest(input, await generateKeyPair("P-256")),
 * );
 * console.log(alternativeNamesOf(subjectAltName).ipAddresses); // ["::1"]
 * ```
 */
export function alternativeNamesOf(names: GeneralNames | undefined): AlternativeNames {
  if (names === undefined) return {};
  const { dns, ip, email, uri, directory, other, unread } = names;
  if (directory.length + other.length + unread.length > 0) {
    throw refused("names other than dNSName, iPAddress, rfc822Name and URI are not issued");
  }
  return { dnsNames: dns, ipAddresses: ip.map(formatAddress), emails: email, uris: uri };
}

/** How many names there are. */
export function countNames({ dnsNames, ipAddresses, emails, uris }: AlternativeNames): number {
  return [dnsNames, ipAddresses, emails, uris].reduce((sum, list) => sum + (list?.length ?? 0), 0);
}

/**
 * GeneralNames, each once and checked for its form (RFC 5280 4.2.1.6).
 *
 * @throws TlsError `ERR_TLS_OPTION` for a name that is not of its form, or too many.
 */
export function generalNames(names: AlternativeNames): pkijs.GeneralName[] {
  const count = countNames(names);
  if (count > MAX_NAMES) throw refused(`${count} names in one certificate, and ${MAX_NAMES} may be`);
  return [
    ...once(names.dnsNames, (name) => name.toLowerCase()).map(dnsName),
    ...once(names.ipAddresses).map(ipAddress),
    ...once(names.emails).map(email),
    ...once(names.uris).map(uri),
  ];
}

function once(list: readonly string[] | undefined, form = (name: string) => name): string[] {
  return [...new Set((list ?? []).map(form))];
}

/** RFC 5280 4.2.1.6: preferred name syntax; RFC 9525 6.3: a wildcard is the whole of the leftmost label. */
function dnsName(value: string): pkijs.GeneralName {
  const host = value.startsWith("*.") ? value.slice(2) : value;
  if (!isHostName(host) || (host !== value && !host.includes("."))) throw refused(`"${value}" is no DNS name`);
  return new pkijs.GeneralName({ type: 2, value });
}

/** Letters, digits and hyphens only: what is matched may have an underscore, what is issued may not (RFC 1034 3.5). */
function isHostName(name: string): boolean {
  return isDomainName(name) && !name.includes("_");
}

function ipAddress(value: string): pkijs.GeneralName {
  const bytes = parseAddress(value);
  if (bytes === undefined) throw refused(`"${value}" is no IP address`);
  return new pkijs.GeneralName({ type: 7, value: new asn1js.OctetString({ valueHex: bufferOf(bytes) }) });
}

function email(value: string): pkijs.GeneralName {
  const [, local, host] = /^([A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64})@(.{1,253})$/.exec(value) ?? [];
  if (local === undefined || !isHostName((host as string).toLowerCase())) {
    throw refused(`"${value}" is no mail address`);
  }
  return new pkijs.GeneralName({ type: 1, value });
}

/** RFC 3986 appendix A: a scheme, and what may stand behind one. With others, such as `\`, readers differ about the host. */
const ABSOLUTE_URI = /^[a-z][a-z0-9+.-]*:(?:[a-z0-9._~:/?#[\]@!$&'()*+,;=-]|%[0-9a-f]{2})+$/i;

function uri(value: string): pkijs.GeneralName {
  // RFC 5280 4.2.1.6: absolute, and more than a scheme.
  if (value.length > 2048 || !ABSOLUTE_URI.test(value)) throw refused(`"${value}" is no absolute URI`);
  return new pkijs.GeneralName({ type: 6, value });
}

/** Subtrees for name constraints (RFC 5280 4.2.1.10). An address stands with its prefix: `10.0.0.0/8`. */
export function subtrees(names: AlternativeNames): pkijs.GeneralSubtree[] {
  const bases = [
    ...once(names.dnsNames, (name) => name.toLowerCase()).map((value) => {
      if (!isHostName(value)) throw refused(`"${value}" is no DNS name to constrain to`);
      return new pkijs.GeneralName({ type: 2, value });
    }),
    ...once(names.ipAddresses).map(addressRange),
    // A host's or a domain's mail: RFC 5280 4.2.1.10.
    ...once(names.emails).map((value) => {
      if (!isDomainName(value.replace(/^(\.|[^@]+@)/, "").toLowerCase())) throw refused(`"${value}" is no mail domain`);
      return new pkijs.GeneralName({ type: 1, value });
    }),
    ...once(names.uris).map((value) => {
      if (!isDomainName(value.replace(/^\./, "").toLowerCase())) throw refused(`"${value}" is no host to constrain to`);
      return new pkijs.GeneralName({ type: 6, value });
    }),
  ];
  return bases.map((base) => new pkijs.GeneralSubtree({ base }));
}

function addressRange(value: string): pkijs.GeneralName {
  const slash = value.indexOf("/");
  const [address, length] = [value.slice(0, Math.max(slash, 0)), value.slice(slash + 1)];
  const bytes = parseAddress(address);
  const bits = Number(length);
  if (bytes === undefined || !/^\d{1,3}$/.test(length) || bits > 8 * bytes.length) {
    throw refused(`"${value}" is no range such as 10.0.0.0/8`);
  }
  const mask = bytes.map((_, i) => (0xff00 >> Math.min(Math.max(bits - 8 * i, 0), 8)) & 0xff);
  const range = new Uint8Array([...bytes.map((byte, i) => byte & (mask[i] as number)), ...mask]);
  return new pkijs.GeneralName({ type: 7, value: new asn1js.OctetString({ valueHex: bufferOf(range) }) });
}

/** A Name that is there already: copied byte by byte, so that issuer and subject match (RFC 5280 4.1.2.4). */
export function nameFrom(der: Uint8Array): pkijs.RelativeDistinguishedNames {
  return new pkijs.RelativeDistinguishedNames({ schema: fromDer(der) });
}

function refused(detail: string): TlsError {
  return fault("ERR_TLS_OPTION", detail);
}
