/** Rules about identities: which clients a rule is about. */
import { nobleProvider } from "../../crypto/noble.ts";
import type { DistinguishedName } from "../../x509/distinguished.ts";
import type { PeerIdentity } from "../../x509/identity.ts";
import { isDomainName } from "../../x509/names.ts";
import { pinOf } from "../../x509/pins.ts";
import { allOf, anyOf, type Condition } from "./condition.ts";
import { at, quoted, readObject, readSome, readString, wrong } from "./reading.ts";

/** A client: `undefined` where it presented no certificate. */
export type Client = PeerIdentity | undefined;

/** Who a rule is about, in a document. All keys of one object must fit; of a list of objects or values, one. */
export type WhoDocument = "anyone" | "verified" | IdentityDocument | readonly IdentityDocument[];

type OneOrMore = string | readonly string[];

/** What a verified certificate must say. */
export interface IdentityDocument {
  /** A SPIFFE ID, or all below a path: `spiffe://example.org/billing/**`; `spiffe://example.org/**` is a trust domain. */
  readonly spiffe?: OneOrMore;
  /** A DNS name among the subject's alternative names; case does not count, and `*` is only itself. */
  readonly dns?: OneOrMore;
  /** A URI among them, character for character. */
  readonly uri?: OneOrMore;
  /** An e-mail address among them; of the host name, case does not count. */
  readonly email?: OneOrMore;
  /** The whole subject as an RFC 4514 string, or values of attributes: `{ "O": "Example", "OU": ["a", "b"] }`. */
  readonly subject?: NameDocument;
  /** The issuer of the certificate, in the same forms. */
  readonly issuer?: NameDocument;
  /** SHA-256 of the certificate, DER: hexadecimal, with or without colons. */
  readonly certificate?: OneOrMore;
  /** SHA-256 of the key's SubjectPublicKeyInfo: `sha256//` and its Base64, as for curl's `--pinnedpubkey`. */
  readonly key?: OneOrMore;
}

/** A distinguished name: whole, or by attributes. */
export type NameDocument = string | Readonly<Record<string, OneOrMore>>;

const ANYONE: Condition<Client> = { holds: () => true, why: () => "" };
const VERIFIED: Condition<Client> = {
  holds: (client) => client?.verified === true,
  why: (client) => (client === undefined ? "there is no certificate" : "the certificate was not verified"),
};

/** Reads `who`. Nothing but `anyone` holds for a client that was not verified. */
export function readWho(value: unknown, place: string): Condition<Client> {
  if (value === "anyone") return ANYONE;
  if (value === "verified") return VERIFIED;
  if (typeof value === "string") throw wrong(place, `${quoted(value)} is neither "anyone" nor "verified"`);
  return allOf([VERIFIED, anyOf(readSome(value, place, readIdentity)) as Condition<Client>]);
}

type Matches = (peer: PeerIdentity) => boolean;

/** By key: how its value is read, and what a certificate has of that kind. */
const KEYS: {
  readonly [K in keyof Required<IdentityDocument>]: {
    read(value: unknown, place: string): Matches;
    found(peer: PeerIdentity): readonly string[];
  };
} = {
  spiffe: {
    read: strings(spiffeFault, (wanted) => {
      const matches = spiffePattern(wanted);
      return ({ spiffeId }) => spiffeId !== undefined && matches(spiffeId);
    }),
    found: ({ spiffeId }) => (spiffeId === undefined ? [] : [spiffeId]),
  },
  dns: {
    read: strings(dnsFault, (wanted) => {
      const name = wanted.toLowerCase();
      return ({ names: { dns } }) => dns.some((own) => own.toLowerCase() === name);
    }),
    found: ({ names: { dns } }) => dns,
  },
  uri: {
    read: strings(
      (text) => (/^[a-z][a-z0-9+.-]*:/i.test(text) ? undefined : "is no URI"),
      (wanted) =>
        ({ names: { uri } }) =>
          uri.includes(wanted),
    ),
    found: ({ names: { uri } }) => uri,
  },
  email: {
    read: strings(
      (text) => (/^[^@\s]+@[^@\s]+$/.test(text) ? undefined : "is no e-mail address"),
      (wanted) => {
        const address = foldedEmail(wanted);
        return ({ names: { email } }) => email.some((own) => foldedEmail(own) === address);
      },
    ),
    found: ({ names: { email } }) => email,
  },
  subject: {
    read: readName(({ certificate }) => certificate.subject),
    found: ({ subject }) => [subject],
  },
  issuer: {
    read: readName(({ certificate }) => certificate.issuer),
    found: ({ issuer }) => [issuer],
  },
  certificate: {
    read: strings(
      (text) => (/^(?:[0-9a-f]{2}:?){31}[0-9a-f]{2}$/i.test(text) ? undefined : "is no SHA-256 in hexadecimal"),
      (wanted) => {
        const digest = wanted.replaceAll(":", "").toLowerCase();
        return ({ fingerprint256 }) => fingerprint256 === digest;
      },
    ),
    found: ({ fingerprint256 }) => [fingerprint256],
  },
  key: {
    read: strings(
      (text) =>
        /^sha256\/\/[A-Za-z0-9+/]{43}=$/.test(text) ? undefined : "is not sha256// and the Base64 of 32 bytes",
      (wanted) =>
        ({ certificate }) =>
          pinOf(certificate, nobleProvider) === wanted,
    ),
    found: ({ certificate }) => [pinOf(certificate, nobleProvider)],
  },
};

/** Values of one kind that an explanation shows. */
const MAX_SHOWN = 4;

function readIdentity(value: unknown, place: string): Condition<PeerIdentity> {
  const document = readObject(value, place, Object.keys(KEYS));
  const names = Object.keys(document) as (keyof typeof KEYS)[];
  if (names.length === 0) throw wrong(place, 'names nobody; "verified" are all that have a certificate');
  return allOf(
    names.map((name) => {
      const { read, found } = KEYS[name];
      const wanted = document[name];
      const holds = read(wanted, at(place, name));
      return {
        holds,
        why: (peer) => {
          const has = found(peer).slice(0, MAX_SHOWN).join(", ");
          return `${name} is ${has === "" ? "absent" : has}, not ${quoted(wanted)}`;
        },
      };
    }),
  );
}

/** One string or several, each a test of its own. */
function strings(check: (text: string) => string | undefined, matching: (wanted: string) => Matches) {
  return (value: unknown, place: string): Matches => {
    const tests = readSome(value, place, (entry, where) => matching(readString(entry, where, check)));
    return (peer) => tests.some((matches) => matches(peer));
  };
}

const SPIFFE_PATTERN = /^spiffe:\/\/[a-z0-9._-]{1,255}((?:\/[A-Za-z0-9._-]+)*)(\/\*\*)?$/;

function spiffeFault(text: string): string | undefined {
  const [, path, below] = SPIFFE_PATTERN.exec(text) ?? [];
  if (path === undefined) return "is neither a SPIFFE ID nor one with /** at its end";
  if (/\/\.{1,2}(\/|$)/.test(path)) return "has a segment . or ..";
  return path === "" && below === undefined ? "has no path: /** for the whole trust domain" : undefined;
}

/** By segment: what is below `/billing` is not `/billing2`. */
function spiffePattern(pattern: string): (id: string) => boolean {
  if (!pattern.endsWith("/**")) return (id) => id === pattern;
  const base = pattern.slice(0, -2);
  return (id) => id.startsWith(base) && id.length > base.length;
}

function dnsFault(text: string): string | undefined {
  return isDomainName(text.toLowerCase().replace(/^\*\./, "")) ? undefined : "is no DNS name";
}

/** RFC 5280 7.5: the local part as it is. */
function foldedEmail(address: string): string {
  const at = address.lastIndexOf("@");
  return address.slice(0, at) + address.slice(at).toLowerCase();
}

/** Attribute types by the names that RFC 4514 strings have for them. */
const ATTRIBUTES: Readonly<Record<string, string>> = {
  CN: "2.5.4.3",
  O: "2.5.4.10",
  OU: "2.5.4.11",
  C: "2.5.4.6",
  ST: "2.5.4.8",
  L: "2.5.4.7",
  DC: "0.9.2342.19200300.100.1.25",
  UID: "0.9.2342.19200300.100.1.1",
  serialNumber: "2.5.4.5",
  emailAddress: "1.2.840.113549.1.9.1",
};

function readName(nameOf: (peer: PeerIdentity) => DistinguishedName) {
  return (value: unknown, place: string): Matches => {
    if (typeof value === "string") {
      const wanted = readString(value, place, (text) => (text.includes("=") ? undefined : "is no RFC 4514 string"));
      return (peer) => nameOf(peer).text === wanted;
    }
    const document = readObject(value, place, Object.keys(ATTRIBUTES));
    const entries = Object.entries(document);
    if (entries.length === 0) throw wrong(place, "wants no attribute at all");
    const wanted = entries.map(([name, values]) => ({
      type: ATTRIBUTES[name] as string,
      values: readSome(values, at(place, name), (entry, where) => readString(entry, where, () => undefined)),
    }));
    return (peer) =>
      wanted.every(({ type, values }) => {
        const own = nameOf(peer).values(type);
        return values.some((each) => own.includes(each));
      });
  };
}
