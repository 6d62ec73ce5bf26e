/**
 * Rules that not every chain in use keeps, for those who want a standard to the letter: RFC 5280's profile, and that of
 * the web's public CAs (CA/Browser Forum Baseline Requirements, BR). Nothing else imports this file.
 */
import { equal } from "../bytes/bytes.ts";
import { contextConstructed, DerReader, Tag } from "../bytes/der.ts";
import { parseSpki, usableRsa } from "../crypto/keys.ts";
import { TlsError } from "../errors.ts";
import { formatAddress } from "./address.ts";
import { type Certificate, type Extension, KeyPurpose, KeyUsage } from "./certificate.ts";
import { AttributeType } from "./distinguished.ts";
import { isDomainName } from "./names.ts";
import { isSelfIssued, type Place, type Profile, type Rule } from "./rules.ts";

/** Extensions whose criticality is prescribed. */
const Oid = {
  subjectKeyIdentifier: "2.5.29.14",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  nameConstraints: "2.5.29.30",
  authorityKeyIdentifier: "2.5.29.35",
  policyConstraints: "2.5.29.36",
  extendedKeyUsage: "2.5.29.37",
  inhibitAnyPolicy: "2.5.29.54",
  authorityInfoAccess: "1.3.6.1.5.5.7.1.1",
} as const;

/** RFC 5280 4.2.1.1, 4.2.1.2, 4.2.1.8, 4.2.1.15, 4.2.2.1, 4.2.2.2 */
const NEVER_CRITICAL = [
  Oid.authorityKeyIdentifier,
  Oid.subjectKeyIdentifier,
  "2.5.29.9",
  "2.5.29.46",
  Oid.authorityInfoAccess,
  "1.3.6.1.5.5.7.1.11",
];
/** RFC 5280 4.2.1.11, 4.2.1.14 */
const ALWAYS_CRITICAL: readonly string[] = [Oid.policyConstraints, Oid.inhibitAnyPolicy];

/** What a place must satisfy: a reason where it does not. */
type Requirement = (place: Place) => string | undefined;

function rule(requirement: Requirement): Rule {
  return (place) => {
    const reason = requirement(place);
    return reason === undefined ? undefined : ["CERT_PROFILE_VIOLATION", reason];
  };
}

const criticality: Requirement = ({ certificate: { extensions } }) => {
  for (const { oid, critical } of extensions) {
    if (critical && NEVER_CRITICAL.includes(oid)) return `extension ${oid} is critical and must not be (RFC 5280 4.2)`;
    if (!critical && ALWAYS_CRITICAL.includes(oid)) return `extension ${oid} must be critical (RFC 5280 4.2)`;
  }
  return undefined;
};

/** RFC 5280 4.1.2.2. Anchors of old are trusted with serial number 0. */
const serialNumber: Requirement = ({ certificate: { serialNumber }, isAnchor }) => {
  if (isAnchor) return undefined;
  if (serialNumber.length > 20) return `its serial number has ${serialNumber.length} octets, more than 20`;
  const positive = (serialNumber[0] as number) < 0x80 && serialNumber.some((octet) => octet !== 0);
  return positive ? undefined : "its serial number is not positive";
};

/** RFC 5280 4.2.1.1: it finds the issuer, of which an anchor has none that matters. */
const namesIssuerKey: Requirement = (place) => (place.isAnchor ? undefined : issuerKeyNamed(place));

/** The same to the letter: only a self-signed certificate may leave it out. */
const issuerKeyNamed: Requirement = ({ certificate }) =>
  certificate.authorityKeyId !== undefined || isSelfIssued(certificate)
    ? undefined
    : "it has no keyIdentifier in authorityKeyIdentifier";

/** RFC 5280 4.2.1.3, 4.2.1.9, 4.2.1.10: what belongs to CAs alone. */
const authorityOnly: Requirement = ({ certificate }) => {
  const { basicConstraints, keyUsage = 0, nameConstraints } = certificate;
  if (basicConstraints?.ca) return undefined;
  if ((keyUsage & KeyUsage.keyCertSign) !== 0) return "keyUsage has keyCertSign but it is no CA";
  if (nameConstraints !== undefined) return "it has name constraints but is no CA";
  return basicConstraints?.pathLength === undefined ? undefined : "it has a path length but is no CA";
};

/** RFC 5280 4.1.2.5: UTCTime through 2049, GeneralizedTime from then on. */
const timeEncoding: Requirement = ({ certificate: { tbs, notBefore, notAfter } }) => {
  const body = new DerReader(tbs).sequence();
  body.optional(contextConstructed(0));
  // Serial number, algorithm, issuer.
  for (let field = 0; field < 3; field++) body.raw();
  const validity = body.sequence();
  for (const time of [notBefore, notAfter]) {
    const generalized = validity.element().tag === Tag.generalizedTime;
    if (generalized && time < Date.UTC(2050, 0)) return "a date before 2050 is written as GeneralizedTime";
  }
  return undefined;
};

/** RFC 5280 4.1.2.6, 4.2.1.6 */
const namesSubject: Requirement = ({ certificate }) => {
  if (!certificate.subject.empty) return undefined;
  if (certificate.basicConstraints?.ca) return "it is a CA without a subject";
  const names = extension(certificate, Oid.subjectAltName);
  return names?.critical ? undefined : "its subject is empty and it has no critical subjectAltName";
};

/** RFC 5280 4.2.2.1: one AccessDescription at least, each a method and a GeneralName. */
const accessInformation: Requirement = ({ certificate }) => {
  const value = extension(certificate, Oid.authorityInfoAccess)?.value;
  if (value === undefined) return undefined;
  try {
    const reader = new DerReader(value);
    const descriptions = reader.sequence();
    reader.finish("authorityInfoAccess");
    if (descriptions.remaining === 0) return "its authorityInfoAccess is empty";
    while (descriptions.remaining > 0) {
      const description = descriptions.sequence();
      description.oid();
      const { tag } = description.element();
      description.finish("an AccessDescription");
      if ((tag & 0xc0) !== 0x80 || (tag & 0x1f) > 8) return "its authorityInfoAccess holds what is no GeneralName";
    }
    return undefined;
  } catch (error) {
    if (!(error instanceof TlsError)) throw error;
    return `its authorityInfoAccess is malformed: ${error.detail}`;
  }
};

/** RFC 1034 3.5 as RFC 1123 2.1 has it: no underscore. A wildcard may take the place of the first label. */
const PREFERRED_LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i;

/** RFC 5280 4.2.1.6: dNSNames in the preferred name syntax. */
const preferredSyntax: Requirement = ({ certificate: { subjectAltName } }) => {
  const wrong = subjectAltName?.dns.find(
    (name) => !(name.startsWith("*.") ? name.slice(2) : name).split(".").every((label) => PREFERRED_LABEL.test(label)),
  );
  return wrong === undefined ? undefined : `DNS:${wrong} is not in the preferred name syntax`;
};

/** RFC 5280 4.2.1.2, 4.2.1.3, 4.2.1.9: what every CA certificate has. Anchors of old are trusted without keyUsage. */
const authority: Requirement = ({ certificate, isAnchor }) => {
  if (certificate.subjectKeyId === undefined) return "it issues certificates without a subjectKeyIdentifier";
  if (certificate.keyUsage === undefined && !isAnchor) return "it issues certificates without keyUsage";
  return extension(certificate, Oid.basicConstraints)?.critical === false
    ? "its basicConstraints are not critical"
    : undefined;
};

/** RFC 5280 4.2.1.10: a dot in front is for URIs and mail. */
const constraintSyntax: Requirement = ({ certificate: { nameConstraints } }) => {
  if (nameConstraints === undefined) return undefined;
  const { permitted, excluded } = nameConstraints;
  const dotted = [...permitted.dns, ...excluded.dns].find((base) => base.startsWith("."));
  return dotted === undefined ? undefined : `its constraint on DNS names begins with a dot: ${dotted}`;
};

/** RFC 5280 4.2.1.10; the BR (7.1.2.5.2) allow it either way. */
const criticalNameConstraints: Requirement = ({ certificate }) =>
  extension(certificate, Oid.nameConstraints)?.critical === false ? "its name constraints are not critical" : undefined;

/** BR 7.1.2.1.3, 7.1.2.11.1: a key identifier and nothing else; of a root, its own. */
const keyIdentifierAlone: Requirement = ({ certificate }) => {
  const value = extension(certificate, Oid.authorityKeyIdentifier)?.value;
  if (value === undefined) return undefined;
  const { authorityKeyId, subjectKeyId } = certificate;
  if (authorityKeyId === undefined) return "its authorityKeyIdentifier has no keyIdentifier";
  const identifier = new DerReader(value).sequence();
  identifier.raw();
  if (identifier.remaining > 0) return "its authorityKeyIdentifier names the issuer's certificate";
  return isSelfIssued(certificate) && subjectKeyId !== undefined && !equal(authorityKeyId, subjectKeyId)
    ? "its authorityKeyIdentifier is not its own subjectKeyIdentifier, though it is self-signed"
    : undefined;
};

/**
 * BR 7.1.4.3: a CN repeats a subjectAltName, character for character. Two that mislead nobody are let be, since no host
 * is looked for in a CN (RFC 9525 2): the domain that a wildcard stands under, and a host name where subjectAltName has
 * no fully-qualified one.
 */
const commonName: Requirement = ({ certificate: { subject, subjectAltName } }) => {
  const hosts = subjectAltName?.dns ?? [];
  const names = [...hosts, ...(subjectAltName?.ip ?? []).map(formatAddress)];
  // A last label that begins with a digit may be an address in disguise: 0x7f.0x1.
  const isHost = (name: string) => /\.[a-z][^.]*$/i.test(name) && isDomainName(name.toLowerCase());
  const qualified = hosts.some((name) => name.includes("."));
  const stray = subject
    .values(AttributeType.commonName)
    .find((name) => !names.includes(name) && !names.includes(`*.${name}`) && (qualified || !isHost(name)));
  return stray === undefined ? undefined : `its CN ${stray} is not one of its subjectAltNames`;
};

/** BR 7.1.2.7.6, 7.1.2.7.10 */
const subscriberPurposes: Requirement = ({ certificate }) => {
  const { extendedKeyUsage } = certificate;
  if (extendedKeyUsage === undefined) return "it has no extKeyUsage";
  if (extendedKeyUsage.includes(KeyPurpose.any)) return "its extKeyUsage has anyExtendedKeyUsage";
  return extension(certificate, Oid.extendedKeyUsage)?.critical ? "its extKeyUsage is critical" : undefined;
};

/** BR 7.1.2.7.6: critical where the subject is empty, and only there. */
const alternativeNames: Requirement = ({ certificate }) =>
  extension(certificate, Oid.subjectAltName)?.critical && !certificate.subject.empty
    ? "its subjectAltName is critical although its subject is not empty"
    : undefined;

/** BR 7.1.2.7.8 */
const noAuthority: Requirement = ({ certificate: { basicConstraints } }) =>
  basicConstraints?.ca ? "it is a CA certificate" : undefined;

/** BR 7.1.1 */
const version: Requirement = ({ certificate: { version } }) =>
  version === 3 ? undefined : `it is of version ${version}`;

/** BR 6.1.5, 6.1.6 */
const key: Requirement = ({ certificate: { publicKey } }) => {
  const { algorithm, spki } = publicKey;
  if (algorithm.type === "ec") return undefined;
  if (algorithm.type !== "rsa") return "its key is neither RSA nor ECDSA";
  if (algorithm.bits % 8 !== 0) return `its RSA key has ${algorithm.bits} bits, which is no multiple of 8`;
  const parts = parseSpki(spki);
  return "modulus" in parts && usableRsa(parts) ? undefined : "its RSA key has an unusable modulus or exponent";
};

/** BR 7.1.2.1.2 */
const rootPurposes: Requirement = ({ certificate, isAnchor }) =>
  isAnchor && isSelfIssued(certificate) && certificate.extendedKeyUsage !== undefined
    ? "it is a root with extKeyUsage"
    : undefined;

const COMMON: readonly Requirement[] = [
  criticality,
  serialNumber,
  namesIssuerKey,
  authorityOnly,
  timeEncoding,
  namesSubject,
  accessInformation,
];
const END_ENTITY: readonly Requirement[] = [...COMMON, preferredSyntax];
const ISSUER: readonly Requirement[] = [...COMMON, authority, constraintSyntax];
const WEB: readonly Requirement[] = [version, key, keyIdentifierAlone];

/**
 * RFC 5280 to the letter: what it demands of CAs that issue certificates holds for the certificates. A violation is
 * `CERT_PROFILE_VIOLATION`.
 */
export const rfc5280Profile: Profile = {
  name: "rfc5280",
  endEntity: /* @__PURE__ */ END_ENTITY.map(rule),
  issuer: /* @__PURE__ */ [...ISSUER, criticalNameConstraints].map(rule),
};

/** As {@link rfc5280Profile}, with anchors that others have signed held to what is asked of any certificate. */
export const pedanticProfile: Profile = {
  name: "rfc5280-pedantic",
  endEntity: rfc5280Profile.endEntity,
  issuer: /* @__PURE__ */ [...rfc5280Profile.issuer, rule(issuerKeyNamed)],
};

/** As {@link rfc5280Profile}, and the Baseline Requirements for TLS servers' certificates (BR 7.1). */
export const webpkiProfile: Profile = {
  name: "webpki",
  endEntity: /* @__PURE__ */ [...END_ENTITY, ...WEB, noAuthority, subscriberPurposes, alternativeNames, commonName].map(
    rule,
  ),
  issuer: /* @__PURE__ */ [...ISSUER, ...WEB, rootPurposes].map(rule),
};

function extension({ extensions }: Certificate, oid: string): Extension | undefined {
  return extensions.find((candidate) => candidate.oid === oid);
}
