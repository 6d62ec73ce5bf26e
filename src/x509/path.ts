/** Finds a path from a peer's certificate to a trust anchor (RFC 5280 6.1, RFC 4158), checking as it goes. */
import { equal } from "../bytes/bytes.ts";
import type { RejectionCode } from "../causes.ts";
import type { CryptoProvider } from "../crypto/provider.ts";
import { algorithmFits, certificateSignatureAlgorithm } from "../crypto/signatures.ts";
import { TlsError } from "../errors.ts";
import { type Awaitable, type Flow, wait } from "../flow.ts";
import type { Certificate } from "./certificate.ts";
import { type FailedPath, rejection } from "./explain.ts";
import { checkPolicies } from "./policies.ts";
import { brokenRule, isSelfIssued, keyText, type PathPolicy, type RuleContext, type Violation } from "./rules.ts";
import type { TrustStore } from "./trust.ts";

/** How much work one chain may cause, whatever graph its certificates form. */
export interface WorkLimits {
  readonly signatureChecks: number;
  /**
   * One for each comparison of a name with a constraint and for each policy, 50 for each candidate issuer looked at, 5000
   * for each path of which it is asked whether a certificate is revoked.
   */
  readonly steps: number;
}

/** What to find a path for. */
export interface PathRequest {
  readonly certificate: Certificate;
  /** Other certificates at hand, in any order. */
  readonly intermediates: readonly Certificate[];
  readonly trust: TrustStore;
  readonly role: "server" | "client";
  /** ms since the epoch. */
  readonly time: number;
  readonly policy: PathPolicy;
  readonly limits: WorkLimits;
  readonly legacySignatures: LegacySignatures | undefined;
  readonly provider: CryptoProvider;
  /** Why a path that is right in all else is not to be taken: a certificate in it is revoked. */
  readonly refuses?: ((path: Path) => Flow<Violation | undefined>) | undefined;
  /** Told that the search ended at a limit, where it matters that it might have found a path. */
  readonly exhausted?: ((reason: string) => void) | undefined;
}

/**
 * Verifies signatures of algorithms that are refused otherwise.
 *
 * @param algorithm - As OpenSSL names it, such as `sha1WithRSAEncryption`.
 * @param spki - The issuer's SubjectPublicKeyInfo, DER.
 * @returns `undefined` to refuse the algorithm all the same.
 */
export type LegacySignatures = (
  algorithm: string,
  spki: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
) => Awaitable<boolean> | undefined;

/** Certificates from the end entity upwards. */
export type Path = readonly [Certificate, ...Certificate[]];

/** Ranks. A rule broken on the way up tells more than a signature that does not fit, and that more than an end. */
const RANK = { guess: 0, end: 1, signature: 2, rule: 3, limit: 4 } as const;

/** What looking at one candidate issuer costs beside the comparison of one name. */
const CANDIDATE_STEPS = 50;

/** What it costs to ask whether a path's certificates are revoked. Few chains have paths that differ in this. */
const REVOCATION_STEPS = 5000;

/** Failed paths kept for the explanation. */
const MAX_EXPLAINED = 16;

/**
 * The first path that satisfies every rule.
 *
 * @returns From the certificate to the anchor, both included; one certificate when it is an anchor itself.
 * @throws TlsError with a `rejection`, coded by the failure that tells most.
 */
export function* findPath(request: PathRequest): Flow<Path> {
  const search = new Search(request);
  try {
    const { certificate } = request;
    const anchor = request.policy.directTrust === "none" ? undefined : request.trust.find(certificate);
    const place = { certificate, below: [], isAnchor: anchor !== undefined };
    const broken = brokenRule(place, search) ?? (yield* search.keyFault(certificate));
    if (broken !== undefined) search.fail({ ...broken, path: [certificate], rank: RANK.rule });
    else if (anchor !== undefined) {
      const refused = yield* search.direct(certificate);
      if (refused === undefined) return [anchor];
      search.fail({ ...refused, path: [certificate], rank: RANK.rule });
    } else {
      const path = yield* search.extend([certificate]);
      if (path !== undefined) return path;
    }
  } catch (error) {
    if (!(error instanceof Exhausted)) throw error;
    request.exhausted?.(error.message);
    const { certificate } = request;
    search.fail({ certificate, code: "CERT_REJECTED", reason: error.message, path: [certificate], rank: RANK.limit });
  }
  throw rejection(search.failures);
}

/** The work limit is reached: ends the search from any depth. */
class Exhausted extends Error {}

/** One depth-first search, with what it has spent and learnt. */
class Search implements RuleContext {
  readonly role: "server" | "client";
  readonly time: number;
  readonly policy: PathPolicy;
  readonly #request: PathRequest;
  readonly #intermediates = new Map<string, Certificate[]>();
  /** Verdicts by certificate and issuer: one pair is verified once, however many paths share it. */
  readonly #verdicts = new Map<Certificate, Map<Certificate, Violation | undefined>>();
  /** The most telling first, as far as they are kept. */
  readonly failures: FailedPath[] = [];
  #signatureChecks = 0;
  #steps = 0;

  constructor(request: PathRequest) {
    this.#request = request;
    this.role = request.role;
    this.time = request.time;
    this.policy = request.policy;
    for (const certificate of request.intermediates) {
      const namesakes = this.#intermediates.get(certificate.subject.key) ?? [];
      namesakes.push(certificate);
      this.#intermediates.set(certificate.subject.key, namesakes);
    }
  }

  spend(work: number): void {
    this.#steps += work;
    const { steps } = this.#request.limits;
    if (this.#steps > steps) throw new Exhausted(`more than ${steps} steps were needed to search for a path`);
  }

  fail(failure: FailedPath): void {
    const rank = (other: FailedPath): number => 64 * other.rank + Math.min(other.path.length, 63);
    const index = this.failures.findIndex((other) => rank(other) < rank(failure));
    this.failures.splice(index < 0 ? this.failures.length : index, 0, failure);
    if (this.failures.length > MAX_EXPLAINED) this.failures.pop();
  }

  /** RFC 5480 2.2, RFC 8446 4.2.8.2. Issuers' keys are found out when a signature is verified with them. */
  *keyFault(certificate: Certificate): Flow<Violation | undefined> {
    const { provider } = this.#request;
    const usable = provider.usableKey?.(certificate.publicKey) ?? true;
    if (yield* wait("verify_signature", usable)) return undefined;
    const reason = `its key is no point of ${keyText(certificate.publicKey.algorithm)}`;
    return { certificate, code: "CERT_PARSE_ERROR", reason };
  }

  /** What speaks against a certificate that is itself the anchor. */
  *direct(certificate: Certificate): Flow<Violation | undefined> {
    if (this.policy.directTrust !== "self-signed") return undefined;
    if (isSelfIssued(certificate)) return yield* this.#signature(certificate, certificate);
    return { certificate, code: "CERT_REJECTED", reason: "it is trusted by itself but not self-signed" };
  }

  /** Continues a path whose last certificate is checked but not an anchor. */
  *extend(path: Path): Flow<Path | undefined> {
    const subject = path[path.length - 1] as Certificate;
    let explained = false;
    for (const { certificate, isAnchor, fit } of this.#candidates(subject)) {
      this.spend(CANDIDATE_STEPS);
      if (path.some((other) => isSameAuthority(other, certificate))) continue;
      const broken =
        brokenRule({ certificate, below: path, isAnchor }, this) ?? (yield* this.#signature(subject, certificate));
      if (broken === undefined) {
        const longer: Path = [...path, certificate];
        const found = isAnchor ? yield* this.#complete(longer) : yield* this.extend(longer);
        if (found !== undefined) return found;
        explained = true;
        continue;
      }
      // A namesake with another key identifier is most likely not the issuer, nor, without one, is anyone of a self-issued one.
      const likely = fit === "match" || (fit === "unknown" && !isSelfIssued(subject));
      const bySignature = broken.certificate === subject && broken.code === "CERT_SIGNATURE_FAILURE";
      this.fail({ ...broken, path, rank: likely ? (bySignature ? RANK.signature : RANK.rule) : RANK.guess });
      explained ||= likely;
    }
    if (!explained) this.fail({ ...deadEnd(path), path, rank: RANK.end });
    return undefined;
  }

  /** What can only be judged of a whole path, RFC 5280 6.1.3 (d) to (f) and then (a) (3). */
  *#complete(path: Path): Flow<Path | undefined> {
    const { anchorsConstrain, policies } = this.policy;
    const { refuses } = this.#request;
    this.spend(policyWork(path) + (refuses === undefined ? 0 : REVOCATION_STEPS));
    const anchor = anchorsConstrain ? path[path.length - 1] : undefined;
    const outcome = checkPolicies(path.slice(0, -1), policies, anchor);
    const refused: Violation | undefined = outcome.valid
      ? refuses && (yield* refuses(path))
      : { certificate: outcome.certificate, code: "CERT_POLICY_REQUIRED", reason: outcome.reason };
    if (refused === undefined) return path;
    this.fail({ ...refused, path, rank: RANK.rule });
    return undefined;
  }

  /** Possible issuers by name: anchors first, then those whose key identifier fits. */
  #candidates(subject: Certificate): Candidate[] {
    const candidates: Candidate[] = [];
    const add = (found: readonly Certificate[], isAnchor: boolean): void => {
      for (const certificate of found) candidates.push({ certificate, isAnchor, fit: keyIdFit(subject, certificate) });
    };
    add(this.#request.trust.named(subject.issuer), true);
    if (this.#intermediates.size > 0) add(this.#intermediates.get(subject.issuer.key) ?? [], false);
    return candidates.length < 2 ? candidates : candidates.sort((a, b) => preference(b) - preference(a));
  }

  *#signature(subject: Certificate, issuer: Certificate): Flow<Violation | undefined> {
    const verdicts = this.#verdicts.get(subject) ?? new Map<Certificate, Violation | undefined>();
    this.#verdicts.set(subject, verdicts);
    if (verdicts.has(issuer)) return verdicts.get(issuer);
    const failure = yield* this.#verify(subject, issuer);
    verdicts.set(issuer, failure);
    return failure;
  }

  /** RFC 5280 6.1.3 (a) (1), RFC 8446 4.4.2.4. An anchor's own signature is never looked at. */
  *#verify(certificate: Certificate, issuer: Certificate): Flow<Violation | undefined> {
    const violation = (code: RejectionCode, reason: string): Violation => ({ certificate, code, reason });
    const algorithm = signatureAlgorithm(certificate);
    if (algorithm instanceof TlsError) return violation("CERT_PARSE_ERROR", algorithm.detail ?? algorithm.message);
    if (algorithm === undefined) return violation("CERT_UNSUPPORTED_ALGORITHM", "its signature algorithm is not known");
    const { provider, legacySignatures } = this.#request;
    const key = issuer.publicKey;
    const mismatch = (): Violation =>
      violation("CERT_SIGNATURE_FAILURE", `it is not signed by the key of ${issuer.subject.text}`);
    if (algorithm.type === "weak") {
      this.#countSignature();
      const legacy = legacySignatures?.(algorithm.name, key.spki, certificate.tbs, certificate.signature);
      if (legacy === undefined) return violation("CA_MD_TOO_WEAK", `it is signed with ${algorithm.name}`);
      return (yield* wait("verify_signature", legacy)) ? undefined : mismatch();
    }
    if (!provider.canVerify(key.algorithm, algorithm)) {
      const made = "hash" in algorithm ? `${algorithm.type} with ${algorithm.hash}` : algorithm.type;
      const reason = `a signature by ${made} cannot be verified with a key of the kind ${keyText(key.algorithm)}`;
      const possible = algorithmFits(algorithm, key.algorithm);
      return violation(possible ? "CERT_UNSUPPORTED_ALGORITHM" : "CERT_SIGNATURE_FAILURE", reason);
    }
    this.#countSignature();
    const verified = provider.verify(key, algorithm, certificate.tbs, certificate.signature);
    if (yield* wait("verify_signature", verified)) return undefined;
    return mismatch();
  }

  #countSignature(): void {
    const { signatureChecks } = this.#request.limits;
    if (++this.#signatureChecks > signatureChecks) {
      throw new Exhausted(`more than ${signatureChecks} signatures were to be checked`);
    }
  }
}

/** What RFC 5280 6.1.3 (d) to (f) cost: a CA may put a hundred policies and mappings into each certificate of many paths. */
function policyWork(path: Path): number {
  return path.reduce(
    (sum, { policies, policyMappings }) => sum + (policies?.length ?? 0) + (policyMappings?.length ?? 0),
    0,
  );
}

interface Candidate {
  readonly certificate: Certificate;
  readonly isAnchor: boolean;
  readonly fit: "match" | "unknown" | "mismatch";
}

function preference({ isAnchor, fit }: Candidate): number {
  return (fit === "match" ? 4 : fit === "unknown" ? 2 : 0) + (isAnchor ? 1 : 0);
}

/** RFC 4158 3.5.12: key identifiers order the candidates and rule none out. */
function keyIdFit(subject: Certificate, issuer: Certificate): Candidate["fit"] {
  const { authorityKeyId } = subject;
  const { subjectKeyId } = issuer;
  if (authorityKeyId === undefined || subjectKeyId === undefined) return "unknown";
  return equal(authorityKeyId, subjectKeyId) ? "match" : "mismatch";
}

/** RFC 4158 2.4.2: the same name and key a second time would be a loop. */
function isSameAuthority(a: Certificate, b: Certificate): boolean {
  return a === b || (equal(a.publicKey.spki, b.publicKey.spki) && a.subject.equals(b.subject));
}

function signatureAlgorithm(certificate: Certificate): ReturnType<typeof certificateSignatureAlgorithm> | TlsError {
  try {
    return certificateSignatureAlgorithm(certificate.signatureAlgorithm);
  } catch (error) {
    if (error instanceof TlsError) return error;
    throw error;
  }
}

/** No issuer at hand; four cases that node:tls tells apart. */
function deadEnd(path: readonly Certificate[]): Violation {
  const certificate = path[path.length - 1] as Certificate;
  if (isSelfIssued(certificate)) {
    const code = path.length === 1 ? "DEPTH_ZERO_SELF_SIGNED_CERT" : "SELF_SIGNED_CERT_IN_CHAIN";
    return { certificate, code, reason: "it names itself as its issuer and is not among the trusted certificates" };
  }
  const code = path.length === 1 ? "UNABLE_TO_VERIFY_LEAF_SIGNATURE" : "UNABLE_TO_GET_ISSUER_CERT_LOCALLY";
  const reason = `its issuer ${certificate.issuer.text} is neither trusted nor among the certificates sent`;
  return { certificate, code, reason };
}
