/** What the CRLs at hand say of one certificate (RFC 5280 6.3). */
import { equal } from "../bytes/bytes.ts";
import { toHex } from "../bytes/hex.ts";
import type { RejectionCode } from "../causes.ts";
import type { Flow } from "../flow.ts";
import { type Certificate, KeyUsage } from "./certificate.ts";
import type { CertificateRevocationList, RevocationReason } from "./crl.ts";
import type { DistinguishedName } from "./distinguished.ts";
import {
  ALL_REASONS,
  type DistributionPoint,
  directoryKey,
  extensionValue,
  readDistributionPoints,
  StatusExtension,
} from "./distribution.ts";
import { isoTime } from "./rules.ts";

/** Whether a certificate is revoked, as far as is known. */
export type RevocationStatus =
  | { readonly status: "good" }
  | { readonly status: "revoked" | "unknown"; readonly code: RejectionCode; readonly reason: string };

/** Why one source did not help. */
export interface Obstacle {
  readonly code: RejectionCode;
  readonly reason: string;
}

/** How CRLs are judged. */
export interface CrlRules {
  /** ms since the epoch. */
  readonly time: number;
  /** ms by which clocks may differ. */
  readonly tolerance: number;
  /** ms from thisUpdate on for which a CRL counts; `undefined`: until nextUpdate. */
  readonly maxAge: number | undefined;
  /** False: a CRL that also speaks of other CAs' certificates does not count. */
  readonly indirectCrls: boolean;
  /** True: where a certificate has distribution points, CRLs beside them do not count, though RFC 5280 6.3.3 ends with them. */
  readonly pointsAlone: boolean;
  /** What RFC 5280 5 makes a CA put into every CRL must be there. */
  readonly strictCrls: boolean;
}

/** Where CRLs come from, and who answers for their signers. */
export interface CrlSources {
  readonly rules: CrlRules;
  /** CRLs at hand, complete and delta. */
  issuedBy(issuer: DistinguishedName): readonly CertificateRevocationList[];
  /**
   * CRLs of a distribution point, or none where nothing is fetched.
   *
   * @param issuers - By whom they may be.
   */
  fetch(point: DistributionPoint, issuers: readonly DistinguishedName[]): Flow<readonly CertificateRevocationList[]>;
  /** Certificates with this subject that may be a CRL signer's. `sent`: those to which a peer can add. */
  signersNamed(name: DistinguishedName): Readonly<Record<"configured" | "sent", readonly Certificate[]>>;
  /**
   * Why such a certificate is not to be trusted under the path's anchor; `undefined` when it is.
   *
   * @param certificate - Whose status is asked for.
   */
  distrust(signer: Certificate, certificate: Certificate): Flow<Obstacle | undefined>;
  /** Why this is no signature by this key. */
  signatureFault(crl: CertificateRevocationList, signer: Certificate): Flow<Obstacle | undefined>;
  /** Told who of those that are trusted has signed a CRL, or that nobody has. */
  attribute(crl: CertificateRevocationList, signer: Certificate | undefined): void;
}

/** Without nextUpdate a CRL or an OCSP response counts for seven days. */
export const DEFAULT_AGE = 604_800_000;

/**
 * The status of `certificate`.
 *
 * @param above - The path from its issuer to the anchor: certificates that are trusted already.
 * @throws TlsError `ERR_TLS_PEM` when its extensions are malformed.
 */
export function* crlStatus(
  certificate: Certificate,
  above: readonly Certificate[],
  sources: CrlSources,
): Flow<RevocationStatus> {
  const question = new Question(certificate, above, sources);
  const own = pointsOf(certificate);
  const points = sources.rules.pointsAlone && own.length > 0 ? own : [...own, impliedPoint(certificate)];
  for (const fetching of [false, true]) {
    for (const point of points) {
      const issuers = point.crlIssuers ?? [certificate.issuer];
      const lists = fetching
        ? yield* sources.fetch(point, issuers)
        : issuers.flatMap((issuer) => sources.issuedBy(issuer));
      for (const crl of lists) {
        const status = crl.baseCrlNumber === undefined ? yield* question.ask(crl, point, fetching) : undefined;
        if (status !== undefined) return status;
      }
    }
  }
  return { status: "unknown", ...question.obstacle };
}

/** True where a certificate's issuer says that the certificate's own key signs the CRL for it. */
export function answersForItself(certificate: Certificate): boolean {
  const { subject } = certificate;
  return pointsOf(certificate).some(({ crlIssuers }) => crlIssuers?.some((name) => name.equals(subject)));
}

function pointsOf({ extensions, issuer }: Certificate): DistributionPoint[] {
  const value = extensionValue(extensions, StatusExtension.cRLDistributionPoints);
  return value === undefined ? [] : readDistributionPoints(value, issuer);
}

/** RFC 5280 6.3.3: for CRLs by the certificate's issuer that no distribution point speaks of. */
function impliedPoint({ issuer }: Certificate): DistributionPoint {
  return { names: { keys: [directoryKey(issuer)], uris: [] }, reasons: ALL_REASONS, crlIssuers: undefined };
}

/** One certificate's question with what has been learnt so far. */
class Question {
  readonly #certificate: Certificate;
  readonly #above: readonly Certificate[];
  readonly #sources: CrlSources;
  /** reasons_mask of RFC 5280 6.3.2. */
  #reasons = 0;
  #obstacle: Obstacle | undefined;

  constructor(certificate: Certificate, above: readonly Certificate[], sources: CrlSources) {
    this.#certificate = certificate;
    this.#above = above;
    this.#sources = sources;
  }

  /** Why there is no answer. */
  get obstacle(): Obstacle {
    const { issuer } = this.#certificate;
    if (this.#reasons !== 0) {
      return { code: "DIFFERENT_CRL_SCOPE", reason: `the CRLs of ${issuer.text} do not cover all reasons` };
    }
    return this.#obstacle ?? { code: "UNABLE_TO_GET_CRL", reason: `no CRL of its issuer ${issuer.text} is at hand` };
  }

  /** RFC 5280 6.3.3 (a) to (l) for one complete CRL. `undefined`: no last word yet. */
  *ask(
    crl: CertificateRevocationList,
    point: DistributionPoint,
    fetching: boolean,
  ): Flow<RevocationStatus | undefined> {
    const { rules } = this.#sources;
    const reasons = point.reasons & (crl.scope?.reasons ?? ALL_REASONS);
    const apart = usability(crl, rules) ?? scopeFault(crl, point, this.#certificate, rules);
    if (apart !== undefined) return this.#note(apart);
    // (e): it says nothing that is not known.
    if ((reasons & ~this.#reasons) === 0) return undefined;
    const stale = currency(crl, rules);
    if (stale?.code === "CRL_NOT_YET_VALID") return this.#note(stale);
    const signer = yield* this.#signer(crl);
    this.#sources.attribute(crl, signer);
    if (signer === undefined) return undefined;
    const delta = yield* this.#delta(crl, signer, fetching);
    // RFC 5280 5.2.4: together with a later delta an older CRL is as good as a new one.
    if (stale !== undefined && delta === undefined) return this.#note(stale);
    const { issuer, serialNumber } = this.#certificate;
    const entry = delta?.find(issuer, serialNumber) ?? crl.find(issuer, serialNumber);
    if (entry !== undefined && entry.reason !== "removeFromCRL") {
      const reason = `${revokedText(serialNumber, entry.revokedAt, entry.reason)}, as the CRL of ${crl.issuer.text} says`;
      return { status: "revoked", code: "CERT_REVOKED", reason };
    }
    this.#reasons |= reasons;
    return this.#reasons === ALL_REASONS ? { status: "good" } : undefined;
  }

  /** The most telling obstacle is the last that is about a CRL which covers the certificate. */
  #note(obstacle: Obstacle): undefined {
    if (obstacle.code !== "DIFFERENT_CRL_SCOPE" || this.#obstacle === undefined) this.#obstacle = obstacle;
    return undefined;
  }

  /** Steps (f) and (g). */
  *#signer(crl: CertificateRevocationList): Flow<Certificate | undefined> {
    const { issuer, authorityKeyId } = crl;
    const trusted = this.#above.filter(({ subject }) => subject.equals(issuer));
    const fits = ({ subjectKeyId }: Certificate) =>
      authorityKeyId !== undefined && subjectKeyId !== undefined && equal(authorityKeyId, subjectKeyId);
    const { configured, sent } = this.#sources.signersNamed(issuer);
    // The peer's come last, whatever their key identifiers: anyone can give his certificate the one that fits.
    const candidates = [[...trusted, ...configured], sent.filter((other) => !this.#above.includes(other))].flatMap(
      (source) => source.sort((a, b) => Number(fits(b)) - Number(fits(a))),
    );
    if (candidates.length === 0) {
      const reason = `no certificate of the CRL issuer ${issuer.text} is at hand`;
      this.#note({ code: "UNABLE_TO_GET_CRL_ISSUER", reason });
    }
    for (const candidate of candidates) {
      const obstacle =
        usageFault(candidate) ??
        (yield* this.#sources.signatureFault(crl, candidate)) ??
        (trusted.includes(candidate) ? undefined : yield* this.#sources.distrust(candidate, this.#certificate));
      if (obstacle === undefined) return candidate;
      this.#note(obstacle);
    }
    return undefined;
  }

  /** Steps (c) and (h): the latest usable delta CRL. */
  *#delta(
    crl: CertificateRevocationList,
    signer: Certificate,
    fetching: boolean,
  ): Flow<CertificateRevocationList | undefined> {
    const { rules } = this.#sources;
    const lists = [...this.#sources.issuedBy(crl.issuer)];
    if (fetching) {
      const { extensions, issuer } = this.#certificate;
      const own = extensionValue(extensions, StatusExtension.freshestCRL);
      const points = [...(own === undefined ? [] : readDistributionPoints(own, issuer)), ...crl.freshest];
      for (const point of points) lists.push(...(yield* this.#sources.fetch(point, [crl.issuer])));
    }
    const deltas = lists
      .filter((delta) => continues(crl, delta) && !usability(delta, rules) && !currency(delta, rules))
      .sort((a, b) => ((a.crlNumber as bigint) > (b.crlNumber as bigint) ? -1 : 1));
    for (const delta of deltas) {
      const obstacle = yield* this.#sources.signatureFault(delta, signer);
      this.#sources.attribute(delta, obstacle === undefined ? signer : undefined);
      if (obstacle === undefined) return delta;
      this.#note(obstacle);
    }
    return undefined;
  }
}

/** RFC 5280 5.2 and 5.3: critical extensions; and, where strict, what every CRL must have. */
function usability(crl: CertificateRevocationList, { strictCrls }: CrlRules): Obstacle | undefined {
  const by = `the CRL of ${crl.issuer.text}`;
  if (crl.unhandledCritical.length > 0) {
    const reason = `critical extension ${crl.unhandledCritical.join(", ")} in ${by} is not understood`;
    return { code: "UNHANDLED_CRITICAL_CRL_EXTENSION", reason };
  }
  if (!strictCrls) return undefined;
  const number = crl.extensions.find(({ oid }) => oid === "2.5.29.20");
  const missing =
    number === undefined
      ? "has no CRL number (RFC 5280 5.2.3)"
      : number.critical
        ? "has a critical CRL number (RFC 5280 5.2.3)"
        : crl.authorityKeyId === undefined
          ? "has no authority key identifier (RFC 5280 5.2.1)"
          : crl.nextUpdate === undefined
            ? "has no nextUpdate (RFC 5280 5.1.2.5)"
            : undefined;
  return missing === undefined ? undefined : { code: "CRL_PARSE_ERROR", reason: `${by} ${missing}` };
}

/** RFC 5280 6.3.3 (a) */
function currency(crl: CertificateRevocationList, rules: CrlRules): Obstacle | undefined {
  const by = `the CRL of ${crl.issuer.text}`;
  return staleness(crl, rules, by);
}

/** Whether what was issued for a time is for now; CRLs and OCSP responses alike. */
export function staleness(
  { thisUpdate, nextUpdate }: { readonly thisUpdate: number; readonly nextUpdate: number | undefined },
  { time, tolerance, maxAge }: Pick<CrlRules, "time" | "tolerance" | "maxAge">,
  what: string,
): (Obstacle & { readonly code: "CRL_NOT_YET_VALID" | "CRL_HAS_EXPIRED" }) | undefined {
  // Written so that a time that is no number is never within.
  if (!(thisUpdate <= time + tolerance)) {
    return { code: "CRL_NOT_YET_VALID", reason: `${what} is from ${isoTime(thisUpdate)}, after ${isoTime(time)}` };
  }
  const end = Math.min(
    nextUpdate ?? Number.POSITIVE_INFINITY,
    thisUpdate + (maxAge ?? (nextUpdate === undefined ? DEFAULT_AGE : Number.POSITIVE_INFINITY)),
  );
  if (time <= end + tolerance) return undefined;
  return { code: "CRL_HAS_EXPIRED", reason: `${what} counts until ${isoTime(end)}, before ${isoTime(time)}` };
}

/** RFC 5280 6.3.3 (b): the CRL is the point's, and covers certificates of this kind. */
function scopeFault(
  { issuer, scope }: CertificateRevocationList,
  { names, crlIssuers }: DistributionPoint,
  certificate: Certificate,
  { indirectCrls }: CrlRules,
): Obstacle | undefined {
  const different = (what: string): Obstacle => ({
    code: "DIFFERENT_CRL_SCOPE",
    reason: `the CRL of ${issuer.text} ${what}`,
  });
  const indirect = scope?.indirectCRL ?? false;
  if (indirect && !indirectCrls) return different("is indirect");
  if (crlIssuers === undefined) {
    if (!issuer.equals(certificate.issuer)) return different(`is not by ${certificate.issuer.text}`);
  } else if (!crlIssuers.some((name) => name.equals(issuer)) || (!indirect && !issuer.equals(certificate.issuer))) {
    return different("is not that of the certificate's distribution point");
  }
  if (scope === undefined) return undefined;
  const wanted = names?.keys ?? crlIssuers?.map(directoryKey) ?? [];
  if (scope.names !== undefined && !scope.names.some((name) => wanted.includes(name))) {
    return different("is for another distribution point");
  }
  // RFC 5280 5.2.5: neither scope has certificates of version 1 or 2.
  if ((scope.onlyContainsUserCerts || scope.onlyContainsCACerts) && certificate.version !== 3) {
    return different("is not for certificates of version 1");
  }
  const isCa = certificate.basicConstraints?.ca ?? false;
  if (scope.onlyContainsUserCerts && isCa) return different("is for certificates that are no CA's");
  if (scope.onlyContainsCACerts && !isCa) return different("is for CA certificates");
  return scope.onlyContainsAttributeCerts ? different("is for attribute certificates") : undefined;
}

/** RFC 5280 6.3.3 (c), 5.2.4: same issuer, scope and key, and together without a gap. */
function continues(crl: CertificateRevocationList, delta: CertificateRevocationList): boolean {
  const { baseCrlNumber, crlNumber } = delta;
  if (baseCrlNumber === undefined || crlNumber === undefined || crl.crlNumber === undefined) return false;
  if (baseCrlNumber > crl.crlNumber || crl.crlNumber >= crlNumber || !delta.issuer.equals(crl.issuer)) return false;
  const same = (a: Uint8Array | undefined, b: Uint8Array | undefined) =>
    a === undefined || b === undefined ? a === b : equal(a, b);
  const scopeOf = ({ extensions }: CertificateRevocationList) => extensionValue(extensions, "2.5.29.28");
  return same(scopeOf(crl), scopeOf(delta)) && same(crl.authorityKeyId, delta.authorityKeyId);
}

/** RFC 5280 6.3.3 (f) */
function usageFault({ keyUsage, subject }: Certificate): Obstacle | undefined {
  if (keyUsage === undefined || (keyUsage & KeyUsage.cRLSign) !== 0) return undefined;
  return { code: "KEYUSAGE_NO_CRL_SIGN", reason: `keyUsage of the CRL issuer ${subject.text} has no cRLSign` };
}

/** For people. */
export function revokedText(serial: Uint8Array, at: number, reason: RevocationReason | undefined): string {
  const why = reason === undefined || reason === "unspecified" ? "" : ` for ${reason}`;
  return `the certificate with serial number ${toHex(serial)} was revoked at ${isoTime(at)}${why}`;
}
