/** Which certificate of a PKCS#12 file is whose key's, and which others lead up from it. */

import { equal } from "../bytes/bytes.ts";
import { toHex } from "../bytes/hex.ts";
import { privateKeyId, publicKeyId } from "../crypto/noble-public.ts";
import { TlsError } from "../errors.ts";
import type { Certificate } from "../x509/certificate.ts";
import { parseCertificate } from "../x509/parse.ts";
import type { Pkcs12, Pkcs12Identity, Pkcs12Key } from "./pkcs12.ts";

export interface KeyBag {
  readonly key: Uint8Array;
  readonly friendlyName: string | undefined;
  readonly localKeyId: Uint8Array | undefined;
}

export interface CertificateBag {
  /** DER. */
  readonly cert: Uint8Array;
  readonly friendlyName: string | undefined;
  readonly localKeyId: Uint8Array | undefined;
  readonly trusted: boolean;
}

/** Issuers above a key's own certificate: a handshake takes no more. */
const MAX_ISSUERS = 15;

/** @throws TlsError `CERT_PARSE_ERROR`; `ERR_TLS_KEY` for a key that must be compared and is of no known kind. */
export function matchIdentities(
  keys: readonly KeyBag[],
  bags: readonly CertificateBag[],
): Pick<Pkcs12, "identities" | "keys" | "certificates" | "trusted"> {
  const parsed = bags.map((bag) => ({ ...bag, ...parse(bag) }));
  const bySubject = groupBySubject(parsed);
  const identities: Pkcs12Identity[] = [];
  const alone: Pkcs12Key[] = [];
  const used = new Set<string>();
  for (const bag of keys) {
    const own = ownCertificate(bag, parsed);
    const { key, friendlyName } = bag;
    if (own === undefined) {
      alone.push({ key, friendlyName });
      continue;
    }
    const issuers = issuersOf(own, bySubject);
    for (const each of [own, ...issuers]) used.add(toHex(each.cert));
    // Windows and OpenSSL name the one or the other.
    const name = friendlyName ?? own.friendlyName;
    identities.push({ key, cert: [own.cert, ...issuers.map(({ cert }) => cert)], friendlyName: name });
  }
  const rest = parsed.filter(({ cert, trusted }) => trusted || !used.has(toHex(cert)));
  const named = ({ cert, friendlyName }: Parsed) => ({ cert, friendlyName });
  return {
    identities,
    keys: alone,
    certificates: rest.filter(({ trusted }) => !trusted).map(named),
    trusted: rest.filter(({ trusted }) => trusted).map(named),
  };
}

interface Parsed extends CertificateBag {
  readonly certificate: Certificate;
  readonly keyId: string | undefined;
}

function parse({ cert }: CertificateBag): Pick<Parsed, "certificate" | "keyId"> {
  const certificate = parseCertificate(cert);
  return { certificate, keyId: publicKeyId(certificate.publicKey.spki) };
}

/** By the public key; of several, the one with its localKeyId. Where keys cannot be compared, that alone must name one. */
function ownCertificate({ key, localKeyId }: KeyBag, all: readonly Parsed[]): Parsed | undefined {
  if (all.length === 0) return undefined;
  const named = all.filter((bag) => localKeyId && bag.localKeyId && equal(bag.localKeyId, localKeyId));
  const only = named.length === 1 ? named[0] : undefined;
  const id = only === undefined ? privateKeyId(key) : comparableId(key);
  return id === undefined ? only : [...named, ...all].find((bag) => bag.keyId === id);
}

/** Keys of kinds that nothing here can sign with may stand in a file beside others; who wants to use them is told. */
function comparableId(key: Uint8Array): string | undefined {
  try {
    return privateKeyId(key);
  } catch (error) {
    if (error instanceof TlsError && error.code === "ERR_TLS_KEY") return undefined;
    throw error;
  }
}

function groupBySubject(all: readonly Parsed[]): ReadonlyMap<string, readonly Parsed[]> {
  const groups = new Map<string, Parsed[]>();
  for (const bag of all) {
    const name = bag.certificate.subject.key;
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [bag]);
    else group.push(bag);
  }
  return groups;
}

/** Upwards by name and key identifier, up to a root, which is left out. Whether signatures hold is for who verifies. */
function issuersOf(own: Parsed, bySubject: ReadonlyMap<string, readonly Parsed[]>): Parsed[] {
  const issuers: Parsed[] = [];
  for (let last = own; issuers.length < MAX_ISSUERS && !isRoot(last); ) {
    const { issuer, authorityKeyId } = last.certificate;
    const next = (bySubject.get(issuer.key) ?? []).find(
      (bag) => !issuers.includes(bag) && bag !== own && fits(authorityKeyId, bag.certificate.subjectKeyId),
    );
    if (next === undefined || isRoot(next)) break;
    issuers.push(next);
    last = next;
  }
  return issuers;
}

function isRoot({ certificate }: Parsed): boolean {
  return certificate.subject.equals(certificate.issuer);
}

function fits(wanted: Uint8Array | undefined, found: Uint8Array | undefined): boolean {
  return wanted === undefined || found === undefined || equal(wanted, found);
}
