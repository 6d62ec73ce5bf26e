/** Name constraints (RFC 5280 4.2.1.10): every form that a certificate here can carry, or a refusal. */
import { DerReader, Tag } from "../bytes/der.ts";
import { printable } from "../bytes/text.ts";
import { TlsError } from "../errors.ts";
import { formatAddress } from "./address.ts";
import type { Certificate, GeneralNames, OtherName } from "./certificate.ts";
import { AttributeType, type DistinguishedName } from "./distinguished.ts";
import { isDomainName, toAscii } from "./names.ts";

/** A mail address with a local part beyond ASCII, which constraints on mail addresses concern as well (RFC 9598 6). */
const SMTP_UTF8_MAILBOX = "1.3.6.1.5.5.7.8.9";

/**
 * Which name of `certificate` lies outside the constraints of `issuer`, as a sentence; `undefined` when none does.
 *
 * @param spend - Called with the number of comparisons ahead; throws when they are too many.
 */
export function constraintViolation(
  issuer: Certificate,
  certificate: Certificate,
  spend: (comparisons: number) => void,
): string | undefined {
  const constraints = issuer.nameConstraints;
  if (constraints === undefined) return undefined;
  const { permitted, excluded } = constraints;
  const names = certificate.subjectAltName;
  for (const form of FORMS) {
    const allowed = form.bases(permitted);
    const forbidden = form.bases(excluded);
    if (allowed.length === 0 && forbidden.length === 0) continue;
    const present = form.names(certificate);
    if (present.length === 0) continue;
    spend(allowed.length + forbidden.length);
    const inside = allowed.map(form.base);
    const outside = forbidden.map(form.base);
    if ([...inside, ...outside].includes(undefined)) return "a constraint on such names is malformed";
    for (const name of present) {
      spend(allowed.length + forbidden.length);
      const violation = check(form, name, inside, outside);
      if (violation !== undefined) return violation;
    }
  }
  return names === undefined ? undefined : uncheckable(names, permitted, excluded);
}

/**
 * One form of name: where its names and subtree bases are, and when a name lies in a subtree. Names and bases are made ready
 * for comparisons once, however many there will be: a peer may send one name of 100 KB and a thousand bases.
 */
interface Form<Name, Base, Key, Subtree> {
  bases(names: GeneralNames): readonly Base[];
  /** Undefined for a base that nothing can be compared with. */
  readonly base: (base: Base) => Subtree | undefined;
  names(certificate: Certificate): readonly Name[];
  /** Undefined for a name that cannot be compared, which must be refused. */
  key(name: Name): Key | undefined;
  within(key: Key, subtree: Subtree): boolean;
  /** True when the name could stand for something in the excluded subtree. */
  touches(key: Key, subtree: Subtree): boolean;
  text(name: Name): string;
}

const DNS: Form<string, string, string, string> = {
  bases: ({ dns }) => dns,
  base: domainBase,
  names: ({ subjectAltName }) => subjectAltName?.dns ?? [],
  key: (name) => {
    const lower = name.toLowerCase();
    return isDomainName(lower.startsWith("*.") ? lower.slice(2) : lower) ? lower : undefined;
  },
  within: inDomain,
  // A wildcard also stands for the one host that an excluded subtree of one label more begins at.
  touches: (name, base) =>
    inDomain(name, base) ||
    (name.startsWith("*.") && stripDot(base).slice(stripDot(base).indexOf(".")) === name.slice(1)),
  text: (name) => `DNS:${name}`,
};

const ADDRESS: Form<Uint8Array, Uint8Array, Uint8Array, Uint8Array> = {
  bases: ({ ip }) => ip,
  base: (range) => range,
  names: ({ subjectAltName }) => subjectAltName?.ip ?? [],
  key: (address) => address,
  within: inRange,
  touches: inRange,
  text: (address) => `IP:${formatAddress(address)}`,
};

/** A mail address; as a base without a local part, of a host or below a domain. */
interface Mailbox {
  readonly local: string | undefined;
  readonly host: string;
}

const MAIL: Form<string, string, Mailbox, Mailbox> = {
  bases: ({ email }) => email,
  base: (base) => {
    if (base.includes("@")) return splitMailbox(base);
    const host = domainBase(base);
    return host === undefined ? undefined : { local: undefined, host };
  },
  // RFC 5280 wants the subject's addresses checked where there is no subjectAltName; elsewhere they do no harm either.
  names: ({ subject, subjectAltName }) => [
    ...(subjectAltName?.email ?? []),
    ...(subjectAltName?.other.filter(({ type }) => type === SMTP_UTF8_MAILBOX).map(readMailbox) ?? []),
    ...subject.values(AttributeType.emailAddress),
  ],
  key: splitMailbox,
  within: inMailDomain,
  touches: inMailDomain,
  text: (name) => `email:${printable(name)}`,
};

const RESOURCE: Form<string, string, string, string> = {
  bases: ({ uri }) => uri,
  base: domainBase,
  names: ({ subjectAltName }) => subjectAltName?.uri ?? [],
  key: uriHost,
  within: inHostDomain,
  touches: inHostDomain,
  text: (name) => `URI:${name}`,
};

const DIRECTORY: Form<DistinguishedName, DistinguishedName, DistinguishedName, DistinguishedName> = {
  bases: ({ directory }) => directory,
  base: (base) => base,
  names: ({ subject, subjectAltName }) => [...(subject.empty ? [] : [subject]), ...(subjectAltName?.directory ?? [])],
  key: (name) => name,
  within: (name, base) => name.within(base),
  touches: (name, base) => name.within(base),
  text: (name) => `directory name ${name.text}`,
};

/** The forms, each closed over its own types. */
const FORMS = [DNS, ADDRESS, MAIL, RESOURCE, DIRECTORY] as readonly Form<unknown, unknown, unknown, unknown>[];

function check(
  form: Form<unknown, unknown, unknown, unknown>,
  name: unknown,
  allowed: readonly unknown[],
  forbidden: readonly unknown[],
): string | undefined {
  const key = form.key(name);
  if (key === undefined) return `${form.text(name)} cannot be compared with the constraints`;
  if (forbidden.some((base) => form.touches(key, base))) return `${form.text(name)} is excluded`;
  if (allowed.length > 0 && !allowed.some((base) => form.within(key, base))) {
    return `${form.text(name)} is not among the permitted names`;
  }
  return undefined;
}

/** Names of forms that are constrained but not understood must be refused (RFC 5280 4.2.1.10). */
function uncheckable(names: GeneralNames, permitted: GeneralNames, excluded: GeneralNames): string | undefined {
  const tags = new Set([...permitted.unread, ...excluded.unread]);
  const tag = names.unread.find((form) => tags.has(form));
  if (tag !== undefined) return `constraints on names of form [${tag}] are not supported`;
  const types = new Set([...permitted.other, ...excluded.other].map(({ type }) => type));
  const other = names.other.find(({ type }) => types.has(type));
  return other === undefined ? undefined : `constraints on otherName ${other.type} are not supported`;
}

/** Zero or more labels in front. A base with a leading dot, which RFC 5280 does not know here, asks for one or more. */
function inDomain(name: string, base: string): boolean {
  if (base === "") return true;
  return base.startsWith(".") ? name.endsWith(base) : name === base || name.endsWith(`.${base}`);
}

/** A host or domain in lower case, with or without a dot in front; empty stands for all. */
function domainBase(base: string): string | undefined {
  const lower = base.toLowerCase();
  return lower === "" || isDomainName(stripDot(lower)) ? lower : undefined;
}

function stripDot(base: string): string {
  return base.startsWith(".") ? base.slice(1) : base;
}

/** Of a host alone, or, with a leading dot, of everything below it: mail and URI constraints. */
function inHostDomain(host: string, base: string): boolean {
  return base === "" || (base.startsWith(".") ? host.endsWith(base) : host === base);
}

function inRange(address: Uint8Array, range: Uint8Array): boolean {
  const { length } = address;
  if (range.length !== 2 * length) return false;
  for (let i = 0; i < length; i++) {
    const mask = range[length + i] as number;
    if (((address[i] as number) & mask) !== ((range[i] as number) & mask)) return false;
  }
  return true;
}

function inMailDomain({ local, host }: Mailbox, base: Mailbox): boolean {
  return base.local === undefined ? inHostDomain(host, base.host) : base.local === local && base.host === host;
}

/** Contents of a SmtpUTF8Mailbox; empty, which is no mailbox, where it is no UTF8String or begins with a byte-order mark. */
function readMailbox({ value }: OtherName): string {
  try {
    const content = new DerReader(value).read(Tag.utf8String).rest();
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(content);
    return text.startsWith("\ufeff") ? "" : text;
  } catch (error) {
    if (error instanceof TlsError || error instanceof TypeError) return "";
    throw error;
  }
}

/** Characters of a mailbox: RFC 5321 4.5.3.1 has 64 octets, which may be quoted, in front of 255. */
const MAX_MAILBOX = 512;

/** RFC 5321 Mailbox with the quotes of its local part taken off, lest they hide it from an exclusion. */
function splitMailbox(name: string): Mailbox | undefined {
  if (name.length > MAX_MAILBOX) return undefined;
  const at = name.lastIndexOf("@");
  const written = name.slice(0, at);
  // RFC 8398 3 wrote domains of mailboxes in U-labels, RFC 9598 3 writes them in A-labels.
  const host = toAscii(name.slice(at + 1)).toLowerCase();
  if (at < 1 || !isDomainName(host)) return undefined;
  const quoted = /^"((?:[^"\\]|\\.)*)"$/.exec(written)?.[1];
  if (quoted !== undefined) return { local: quoted.replace(/\\(.)/g, "$1"), host };
  return /[\s"(),:;<>@[\\\]]/.test(written) ? undefined : { local: written, host };
}

/** RFC 3986 2: the characters of URIs. Others begin the path for some readers and belong to the user for others. */
const URI = /^(?:[\w.~:/?#[\]@!$&'()*+,;=-]|%[0-9a-f]{2})*$/i;

/** RFC 3986 3.2: scheme, one userinfo at most, host and port, before whatever ends the authority. */
const AUTHORITY = /^[a-z][a-z0-9+.-]*:\/\/(?:[\w.~:!$&'()*+,;=%-]*@)?([a-z0-9_.-]*)(?::[0-9]*)?(?:[/?#]|$)/i;

/** The host of a URI with an authority, when it is a domain name. */
function uriHost(uri: string): string | undefined {
  const host = URI.test(uri) ? AUTHORITY.exec(uri)?.[1]?.toLowerCase() : undefined;
  return host !== undefined && isDomainName(host) ? host : undefined;
}
