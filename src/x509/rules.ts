/** What one certificate must satisfy in its place in a path (RFC 5280 6.1.3, 6.1.4, RFC 8446 4.4.2), as a table. */

import type { RejectionCode } from "../causes.ts";
import type { KeyAlgorithm } from "../crypto/provider.ts";
import { type Certificate, KeyPurpose, KeyUsage } from "./certificate.ts";
import { constraintViolation } from "./constraints.ts";
import type { PolicyInputs } from "./policies.ts";

/** Rules beyond those that always hold: `rfc5280Profile` and `webpkiProfile` of profiles.ts. */
export interface Profile {
  readonly name: string;
  readonly endEntity: readonly Rule[];
  /** For anchors too, where what they say about themselves counts. */
  readonly issuer: readonly Rule[];
}

/** What a certificate must be for, where an OID in extKeyUsage does not say it all. */
export interface Purpose {
  readonly name: string;
  /** Critical extensions of a certificate that whoever asks for the purpose honours; OIDs. */
  understands?(certificate: Certificate): readonly string[];
  /** Why a certificate is not for the purpose, or may not issue for it; `undefined` when it is. */
  refuses(place: Place): string | undefined;
}

/** How strict to be, and about what. */
export interface PathPolicy {
  /** Intermediates between the end entity and the anchor, the self-issued not counted. */
  readonly maxDepth: number;
  /** Bits of an RSA modulus below which a key is refused. */
  readonly minRsaBits: number;
  /** An anchor that has expired counts as none. */
  readonly anchorsExpire: boolean;
  /** What an anchor's certificate says about those below it counts: names, path length, purposes, policies. */
  readonly anchorsConstrain: boolean;
  /** An anchor of version 3 without basicConstraints counts as none. */
  readonly anchorsNeedBasicConstraints: boolean;
  /** Whether a peer's own certificate may be the anchor. */
  readonly directTrust: "any" | "self-signed" | "none";
  readonly policies: PolicyInputs;
  /** OID of extKeyUsage or `any`; `undefined`: TLS, by role. */
  readonly purpose: string | Purpose | undefined;
  readonly profile: Profile | undefined;
  /** OIDs of critical extensions that are honoured elsewhere. */
  readonly understands: readonly string[];
}

/** What the rules look at besides the certificate. */
export interface RuleContext {
  readonly role: "server" | "client";
  /** ms since the epoch. */
  readonly time: number;
  readonly policy: PathPolicy;
  /** Pays for work that the peer can make arbitrarily large; throws when the budget is used up. */
  spend(work: number): void;
}

/** A rule that was broken, and by which certificate. */
export interface Violation {
  readonly certificate: Certificate;
  readonly code: RejectionCode;
  /** With the values involved. */
  readonly reason: string;
}

/** A certificate in its place: what stands below it, end entity first. */
export interface Place {
  readonly certificate: Certificate;
  readonly below: readonly Certificate[];
  readonly isAnchor: boolean;
}

/** The code and the reason, or `undefined` when the rule is kept. */
export type Rule = (place: Place, context: RuleContext) => readonly [RejectionCode, string] | undefined;

/** The first rule that the certificate breaks in its place. */
export function brokenRule(place: Place, context: RuleContext): Violation | undefined {
  for (const rule of rulesFor(place, context.policy)) {
    const broken = rule(place, context);
    if (broken !== undefined) return { certificate: place.certificate, code: broken[0], reason: broken[1] };
  }
  return undefined;
}

/** RFC 5280 4.2 */
const criticalExtensions: Rule = ({ certificate }, { policy }) => {
  const { unhandledCritical } = certificate;
  if (unhandledCritical.length === 0) return undefined;
  const understood = typeof policy.purpose === "object" ? (policy.purpose.understands?.(certificate) ?? []) : [];
  const unknown = unhandledCritical.filter((oid) => !understood.includes(oid) && !policy.understands.includes(oid));
  if (unknown.length === 0) return undefined;
  return ["CERT_UNHANDLED_CRITICAL_EXTENSION", `critical extension ${unknown.join(", ")} is not understood`];
};

/** RFC 5280 4.1.2.5: both ends belong to the period, which has whole seconds. Anchors expire too. */
const validity: Rule = ({ certificate: { notBefore, notAfter } }, { time }) => {
  // Written so that a time that is no number is never within.
  if (!(time >= notBefore)) {
    return [
      "CERT_NOT_YET_VALID",
      `valid from ${isoTime(notBefore)}, ${duration(notBefore - time)} after ${isoTime(time)}`,
    ];
  }
  if (!(time < notAfter + 1000)) {
    return [
      "CERT_HAS_EXPIRED",
      `expired at ${isoTime(notAfter)}, ${duration(time - notAfter)} before ${isoTime(time)}`,
    ];
  }
  return undefined;
};

/** RFC 5280 4.2.1.12. In an issuer it bounds the purposes of everything below, as all implementations have it. */
const purpose: Rule = (place, { role, policy }) => {
  const wanted = policy.purpose ?? KeyPurpose[role === "server" ? "serverAuth" : "clientAuth"];
  if (typeof wanted === "object") {
    const refusal = wanted.refuses(place);
    return refusal === undefined ? undefined : ["INVALID_PURPOSE", refusal];
  }
  const { extendedKeyUsage } = place.certificate;
  if (extendedKeyUsage === undefined || wanted === "any") return undefined;
  if (extendedKeyUsage.includes(wanted) || extendedKeyUsage.includes(KeyPurpose.any)) return undefined;
  const has = extendedKeyUsage.map(purposeName).join(", ");
  return ["INVALID_PURPOSE", `extKeyUsage has ${has} but not ${purposeName(wanted)}`];
};

/** RFC 8446 4.4.2.2, 4.4.2.3 */
const signsHandshakes: Rule = ({ certificate: { keyUsage } }, { policy }) =>
  policy.purpose !== undefined || keyUsage === undefined || (keyUsage & KeyUsage.digitalSignature) !== 0
    ? undefined
    : ["INVALID_PURPOSE", `keyUsage has ${usageNames(keyUsage)} but not digitalSignature`];

/** RFC 5280 6.1.4 (k), RFC 5937 3.2 of an anchor: the extension counts where it is there. */
const isAuthority: Rule = ({ certificate: { basicConstraints }, isAnchor }) => {
  if (basicConstraints === undefined) {
    return isAnchor ? undefined : ["INVALID_CA", "it issues certificates without basicConstraints"];
  }
  return basicConstraints.ca ? undefined : ["INVALID_CA", "it issues certificates but basicConstraints has CA:FALSE"];
};

/** RFC 5280 4.2.1.9: only an anchor from before version 3 may lack the extension. */
const hasBasicConstraints: Rule = ({ certificate: { version, basicConstraints }, isAnchor }) =>
  !isAnchor || version < 3 || basicConstraints !== undefined
    ? undefined
    : ["INVALID_CA", "it is trusted to issue certificates but has no basicConstraints"];

/** RFC 5280 6.1.4 (n) */
const signsCertificates: Rule = ({ certificate: { keyUsage } }) =>
  keyUsage === undefined || (keyUsage & KeyUsage.keyCertSign) !== 0
    ? undefined
    : ["INVALID_CA", `it issues certificates but keyUsage has ${usageNames(keyUsage)} and not keyCertSign`];

/** RFC 5280 6.1.4 (l), (m): intermediates below, the self-issued not counted. */
const pathLength: Rule = ({ certificate: { basicConstraints }, below }) => {
  const allowed = basicConstraints?.pathLength;
  if (allowed === undefined) return undefined;
  const count = below.slice(1).filter((certificate) => !isSelfIssued(certificate)).length;
  if (count <= allowed) return undefined;
  return ["PATH_LENGTH_EXCEEDED", `its path length allows ${allowed} intermediates below it, there are ${count}`];
};

/** Self-issued ones excepted, as with path lengths (RFC 5280 4.2.1.9). */
const depth: Rule = ({ certificate, below, isAnchor }, { policy: { maxDepth } }) => {
  const above = isAnchor ? [] : [certificate];
  const intermediates = [...below.slice(1), ...above].filter((issuer) => !isSelfIssued(issuer)).length;
  if (intermediates <= maxDepth) return undefined;
  return ["CERT_CHAIN_TOO_LONG", `more than ${maxDepth} intermediates`];
};

/** RFC 5280 6.1.3 (b), (c): on all names below, those of self-issued intermediates excepted. */
const nameConstraints: Rule = ({ certificate, below }, context) => {
  if (certificate.nameConstraints === undefined) return undefined;
  for (const [index, subject] of below.entries()) {
    if (index > 0 && isSelfIssued(subject)) continue;
    const violation = constraintViolation(certificate, subject, (work) => context.spend(work));
    if (violation !== undefined) return ["CERT_NAME_CONSTRAINT_VIOLATION", `its name constraints: ${violation}`];
  }
  return undefined;
};

const key: Rule = ({ certificate: { publicKey }, below }, { policy: { minRsaBits } }) => {
  const { algorithm } = publicKey;
  if (algorithm.type === "unknown") {
    return ["CERT_UNSUPPORTED_ALGORITHM", `its key is of the kind ${algorithm.oid}, which is not supported`];
  }
  if ((algorithm.type !== "rsa" && algorithm.type !== "rsa-pss") || algorithm.bits >= minRsaBits) return undefined;
  const code = below.length === 0 ? "EE_KEY_TOO_SMALL" : "CA_KEY_TOO_SMALL";
  return [code, `its key is ${keyText(algorithm)}, the least accepted is ${minRsaBits} bits`];
};

/** What an anchor's certificate says about itself as an issuer and about what stands below it. */
const ANCHOR_CONSTRAINTS: readonly Rule[] = [
  isAuthority,
  signsCertificates,
  pathLength,
  criticalExtensions,
  purpose,
  nameConstraints,
];

const END_ENTITY_RULES: readonly Rule[] = [criticalExtensions, validity, purpose, signsHandshakes, key];

/** Cheap ones first; the depth before all, since it ends the search. */
const ISSUER_RULES: readonly Rule[] = [
  depth,
  isAuthority,
  hasBasicConstraints,
  signsCertificates,
  pathLength,
  criticalExtensions,
  validity,
  purpose,
  key,
  nameConstraints,
];

/** An anchor is trusted for its name and key; the rest of its certificate counts by agreement (RFC 5280 6.1.1 (d)). */
function rulesFor({ below, isAnchor }: Place, policy: PathPolicy): readonly Rule[] {
  const { profile, anchorsExpire, anchorsConstrain, anchorsNeedBasicConstraints } = policy;
  if (below.length === 0) return both(END_ENTITY_RULES, profile?.endEntity);
  if (!isAnchor || (anchorsExpire && anchorsConstrain && anchorsNeedBasicConstraints)) {
    return both(ISSUER_RULES, profile?.issuer);
  }
  const ignored = [
    ...(anchorsExpire ? [] : [validity]),
    ...(anchorsConstrain ? [] : ANCHOR_CONSTRAINTS),
    ...(anchorsNeedBasicConstraints ? [] : [hasBasicConstraints]),
  ];
  const kept = ISSUER_RULES.filter((rule) => !ignored.includes(rule));
  return both(kept, anchorsConstrain ? profile?.issuer : undefined);
}

function both(rules: readonly Rule[], more: readonly Rule[] | undefined): readonly Rule[] {
  return more === undefined ? rules : [...rules, ...more];
}

/** RFC 5280 6.1: the same name on both sides, whatever the key. */
export function isSelfIssued(certificate: Certificate): boolean {
  return certificate.subject.equals(certificate.issuer);
}

/** For people: `P-256`, `RSA 1024`. */
export function keyText(algorithm: KeyAlgorithm): string {
  switch (algorithm.type) {
    case "ec":
      return algorithm.curve;
    case "rsa":
      return `RSA ${algorithm.bits}`;
    case "rsa-pss":
      return `RSA-PSS ${algorithm.bits}`;
    case "unknown":
      return algorithm.oid;
    default:
      return algorithm.type.replace("ed", "Ed").replace("mldsa", "ML-DSA-");
  }
}

function purposeName(oid: string): string {
  const known = (Object.keys(KeyPurpose) as (keyof typeof KeyPurpose)[]).find((name) => KeyPurpose[name] === oid);
  return known ?? oid;
}

function usageNames(usage: number): string {
  const names = (Object.keys(KeyUsage) as (keyof typeof KeyUsage)[]).filter((name) => (usage & KeyUsage[name]) !== 0);
  return names.length === 0 ? "nothing" : names.join(", ");
}

/** For people. */
export function isoTime(time: number): string {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? String(time) : date.toISOString().replace(".000Z", "Z");
}

const UNITS = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
] as const;

/** The largest whole unit: `3 days`. */
function duration(ms: number): string {
  const [unit, length] = UNITS.find(([, size]) => ms >= size) ?? (["second", 1000] as const);
  const count = Math.floor(ms / length);
  return `${count} ${unit}${count === 1 ? "" : "s"}`;
}
