/** The check of one chain for revocation, with what it has learnt on the way. */
import { toHex } from "../bytes/hex.ts";
import { TlsError } from "../errors.ts";
import { type Flow, wait } from "../flow.ts";
import type { Certificate } from "./certificate.ts";
import { type CertificateRevocationList, parseCrl } from "./crl.ts";
import {
  answersForItself,
  type CrlRules,
  type CrlSources,
  crlStatus,
  DEFAULT_AGE,
  type Obstacle,
} from "./crl-validation.ts";
import type { DistinguishedName } from "./distinguished.ts";
import { type DistributionPoint, ocspAddresses, tlsFeatures } from "./distribution.ts";
import { encodeOcspRequest } from "./ocsp.ts";
import { type OcspQuestion, type OcspVerdict, ocspStatus } from "./ocsp-validation.ts";
import { findPath, type Path, type PathRequest } from "./path.ts";
import type { ExpiringCache, RevocationFetch, RevocationOptions } from "./revocation.ts";
import type { Violation } from "./rules.ts";
import { signatureProblem } from "./status-signature.ts";
import { trustStore } from "./trust.ts";

/** Options with their defaults; ms where there are units. */
export interface RevocationSettings {
  readonly mode: RevocationOptions["mode"];
  readonly mustStaple: boolean | "always";
  readonly nonce: boolean;
  readonly tolerance: number;
  readonly maxAge: number | undefined;
  readonly strictCrls: boolean;
  readonly fetch: RevocationOptions["fetch"];
}

/** What outlives one check. */
export interface FetchedStatus {
  /** By URL. */
  readonly crls: ExpiringCache<CertificateRevocationList>;
  /** By URL and request. */
  readonly responses: ExpiringCache<Uint8Array>;
  /** SPKIs, hexadecimal, of the keys that are known to have signed a CRL. */
  readonly verified: WeakMap<CertificateRevocationList, Set<string>>;
}

/** Fetches for one chain, whatever its certificates name. */
const MAX_FETCHES = 16;
/** CRL issuers whose own status depends on another CRL issuer's, and so on. */
const MAX_SIGNER_DEPTH = 4;
/** CRL issuers for which a path is sought: anyone can make certificates with a CRL issuer's name and key. */
const MAX_SIGNERS = 16;
/** `status_request` in a TLS feature extension. */
const STATUS_REQUEST = 5;

export class RevocationCheck {
  readonly #settings: RevocationSettings;
  readonly #known: ReadonlyMap<string, readonly CertificateRevocationList[]>;
  readonly #signers: readonly Certificate[];
  readonly #fetched: FetchedStatus;
  readonly #request: PathRequest;
  readonly #rules: CrlRules;
  /** CRL issuers under examination: none vouches for itself. */
  readonly #pending = new Set<Certificate>();
  readonly #distrusted = new Map<Certificate, Obstacle | undefined>();
  #path: readonly Certificate[] = [];
  /** Why fetches brought nothing. */
  readonly #failures: string[] = [];
  #fetches = 0;
  #signatureChecks = 0;
  #signersExamined = 0;

  constructor(
    settings: RevocationSettings,
    known: ReadonlyMap<string, readonly CertificateRevocationList[]>,
    signers: readonly Certificate[],
    fetched: FetchedStatus,
    request: PathRequest,
  ) {
    this.#settings = settings;
    this.#known = known;
    this.#signers = signers;
    this.#fetched = fetched;
    this.#request = request;
    const { tolerance, maxAge, strictCrls } = settings;
    this.#rules = { time: request.time, tolerance, maxAge, strictCrls, indirectCrls: true };
  }

  /** Why the path is not to be taken. From the anchor downwards, so that who answers for a status is known to be good. */
  *refusal(path: Path, staple: Uint8Array | undefined): Flow<Violation | undefined> {
    this.#path = path;
    this.#distrusted.clear();
    for (let index = path.length - 2; index >= 0; index--) {
      const certificate = path[index] as Certificate;
      const above = path.slice(index + 1);
      const refused = yield* this.#guarded(certificate, function* (this: RevocationCheck) {
        const leaf = index === 0;
        return (
          this.#featureFault(certificate, above, leaf, staple) ??
          (yield* this.#refusal(certificate, above, leaf ? staple : undefined))
        );
      });
      if (refused !== undefined) return refused;
    }
    return undefined;
  }

  /** Extensions that cannot be read are the certificate's fault. */
  *#guarded(
    certificate: Certificate,
    check: (this: RevocationCheck) => Flow<Obstacle | undefined>,
  ): Flow<Violation | undefined> {
    try {
      const obstacle = yield* check.call(this);
      return obstacle && { certificate, ...obstacle };
    } catch (error) {
      if (!(error instanceof TlsError) || error.code !== "ERR_TLS_PEM") throw error;
      return { certificate, code: "CERT_PARSE_ERROR", reason: error.detail ?? error.message };
    }
  }

  /** RFC 7633 4.2.2 and 4.2.3 */
  #featureFault(
    certificate: Certificate,
    above: readonly Certificate[],
    leaf: boolean,
    staple: Uint8Array | undefined,
  ): Obstacle | undefined {
    const { mustStaple } = this.#settings;
    if (mustStaple === false) return undefined;
    const features = tlsFeatures(certificate);
    const [issuer] = above;
    const lacking = issuer && tlsFeatures(issuer).find((feature) => !features.includes(feature));
    if (lacking !== undefined) {
      return { code: "CERT_REJECTED", reason: `its issuer demands TLS feature ${lacking} of what it issues` };
    }
    if (!leaf || staple !== undefined) return undefined;
    const saysSo = features.includes(STATUS_REQUEST) && this.#request.role === "server";
    if (!saysSo && mustStaple !== "always") return undefined;
    const who = saysSo ? "its TLS feature extension" : "the policy here";
    return { code: "OCSP_VERIFY_NEEDED", reason: `no OCSP response came with it, which ${who} demands` };
  }

  *#refusal(
    certificate: Certificate,
    above: readonly Certificate[],
    staple: Uint8Array | undefined,
  ): Flow<Obstacle | undefined> {
    const stapled = staple && (yield* ocspStatus(staple, this.#question(certificate, above)));
    if (stapled !== undefined && stapled.status !== "good") return stapled;
    // Whatever else is said: what a CRL at hand says is revoked is.
    let status: OcspVerdict = yield* crlStatus(certificate, above, this.#sources(false));
    if (status.status === "unknown" && stapled !== undefined) return undefined;
    if (status.status === "unknown") status = (yield* this.#askResponder(certificate, above)) ?? status;
    if (status.status === "unknown" && this.#settings.fetch !== undefined) {
      const byCrl = yield* crlStatus(certificate, above, this.#sources(true));
      if (byCrl.status !== "unknown" || status.code === "UNABLE_TO_GET_CRL") status = byCrl;
    }
    if (status.status === "good") return undefined;
    if (status.status === "unknown" && this.#settings.mode === "soft-fail") return undefined;
    const failures = status.code === "UNABLE_TO_GET_CRL" ? this.#failures : [];
    return { code: status.code, reason: [status.reason, ...failures].join("; ") };
  }

  #question(certificate: Certificate, above: readonly Certificate[]): OcspQuestion {
    const { provider, legacySignatures, policy } = this.#request;
    const issuer = above[0] as Certificate;
    return {
      subject: certificate,
      issuer,
      rules: this.#rules,
      provider,
      legacySignatures,
      minRsaBits: policy.minRsaBits,
      countSignature: () => this.#countSignature(),
      distrust: (responder) => this.#responderRevoked(responder, above),
    };
  }

  /** RFC 6960 4.2.2.2.1: a responder's certificate that is not exempt is looked up in the CRLs at hand. */
  *#responderRevoked(responder: Certificate, above: readonly Certificate[]): Flow<string | undefined> {
    const status = yield* crlStatus(responder, above, this.#sources(false));
    return status.status === "revoked" ? status.reason : undefined;
  }

  *#askResponder(certificate: Certificate, above: readonly Certificate[]): Flow<OcspVerdict | undefined> {
    if (this.#settings.fetch === undefined) return undefined;
    const { time, provider } = this.#request;
    const question = this.#question(certificate, above);
    const plain = encodeOcspRequest(certificate, question.issuer);
    let last: OcspVerdict | undefined;
    for (const url of ocspAddresses(certificate).filter(isHttp)) {
      const key = `${url} ${toHex(plain)}`;
      const kept = this.#fetched.responses.get(key, time);
      if (kept !== undefined) {
        last = yield* ocspStatus(kept, question);
        if (last.status !== "unknown") return last;
      }
      const nonce = this.#settings.nonce ? provider.random(32) : undefined;
      const body = nonce === undefined ? plain : encodeOcspRequest(certificate, question.issuer, nonce);
      const response = yield* this.#fetch({ kind: "ocsp", url, body });
      if (!(response instanceof Uint8Array)) {
        last = { status: "unknown", code: "UNABLE_TO_GET_CRL", reason: response };
        continue;
      }
      last = yield* ocspStatus(response, { ...question, nonce });
      if (last.status === "unknown") continue;
      if (last.status === "good" && last.until !== undefined) this.#fetched.responses.set(key, response, last.until);
      return last;
    }
    return last;
  }

  /** The bytes, or why there are none. */
  *#fetch(what: RevocationFetch): Flow<Uint8Array | string> {
    const { fetch } = this.#settings;
    if (fetch === undefined) return "nothing is fetched";
    if (this.#fetches === MAX_FETCHES) return `more than ${MAX_FETCHES} fetches were needed`;
    this.#fetches++;
    try {
      const bytes = yield* wait("fetch_status", fetch(what));
      return bytes ?? `nothing came from ${what.url}`;
    } catch (error) {
      return `${what.url} could not be fetched: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  #sources(fetching: boolean): CrlSources {
    return {
      rules: this.#rules,
      issuedBy: ({ key }) => this.#known.get(key) ?? [],
      fetch: (point, issuers) => this.#fetchPoint(fetching ? point : undefined, issuers),
      signersNamed: (name) => this.#signersNamed(name),
      distrust: (signer, certificate) => this.#distrust(signer, certificate),
      signatureFault: (crl, signer) => this.#signatureFault(crl, signer),
    };
  }

  /**
   * What was fetched before counts when its signature has been verified and it is by one of these: else whoever was on the
   * way once could put a CRL there for as long as he likes.
   */
  *#fetchPoint(
    point: DistributionPoint | undefined,
    issuers: readonly DistinguishedName[],
  ): Flow<readonly CertificateRevocationList[]> {
    const { time } = this.#request;
    for (const url of point?.names?.uris.filter(isHttp) ?? []) {
      const kept = this.#fetched.crls.get(url, time);
      if (kept !== undefined && this.#fetched.verified.has(kept) && issuers.some((name) => name.equals(kept.issuer))) {
        return [kept];
      }
      const der = yield* this.#fetch({ kind: "crl", url });
      const crl = der instanceof Uint8Array ? readCrl(der) : der;
      if (typeof crl === "string") {
        this.#failures.push(crl);
        continue;
      }
      const { thisUpdate, nextUpdate } = crl;
      const until = Math.min(nextUpdate ?? thisUpdate + DEFAULT_AGE, thisUpdate + (this.#rules.maxAge ?? Infinity));
      if (time < until) this.#fetched.crls.set(url, crl, until);
      return [crl];
    }
    return [];
  }

  #signersNamed(name: DistinguishedName): readonly Certificate[] {
    return [...this.#request.intermediates, ...this.#signers].filter(({ subject }) => subject.equals(name));
  }

  /** RFC 5280 6.3.3 (f): a CRL issuer's path ends in the same anchor, and nothing in it is revoked. */
  *#distrust(signer: Certificate, certificate: Certificate): Flow<Obstacle | undefined> {
    if (this.#distrusted.has(signer)) return this.#distrusted.get(signer);
    const code = "UNABLE_TO_GET_CRL_ISSUER";
    const name = signer.subject.text;
    // Its issuer may have said that a CRL issuer's certificate is on its own CRL.
    if (signer === certificate && this.#pending.has(signer) && answersForItself(signer)) return undefined;
    if (this.#pending.has(signer)) return { code, reason: `the CRL issuer ${name} cannot vouch for itself` };
    if (this.#pending.size === MAX_SIGNER_DEPTH) return { code, reason: "one CRL issuer depends on too many others" };
    if (++this.#signersExamined > MAX_SIGNERS)
      return { code, reason: `more than ${MAX_SIGNERS} of them to be examined` };
    this.#pending.add(signer);
    let obstacle: Obstacle | undefined;
    try {
      const { policy, intermediates } = this.#request;
      yield* findPath({
        ...this.#request,
        certificate: signer,
        intermediates: [...intermediates, ...this.#signers],
        trust: trustStore([this.#path[this.#path.length - 1] as Certificate]),
        policy: { ...policy, purpose: "any", policies: {}, profile: undefined },
        refuses: (path) => this.#signerRefusal(path),
      });
    } catch (error) {
      if (!(error instanceof TlsError) || error.rejection === undefined) throw error;
      obstacle = { code, reason: `the CRL issuer ${name} is not to be trusted: ${error.detail}` };
    } finally {
      this.#pending.delete(signer);
    }
    // A refusal may be owed to who is under examination higher up.
    if (obstacle === undefined || this.#pending.size === 0) this.#distrusted.set(signer, obstacle);
    return obstacle;
  }

  *#signerRefusal(path: Path): Flow<Violation | undefined> {
    for (const [index, certificate] of path.slice(0, -1).entries()) {
      // Those of the path itself have their turn there.
      if (this.#path.includes(certificate)) continue;
      const above = path.slice(index + 1);
      const refused = yield* this.#guarded(certificate, function* (this: RevocationCheck) {
        return yield* this.#refusal(certificate, above, undefined);
      });
      if (refused !== undefined) return refused;
    }
    return undefined;
  }

  /** False when the last has been checked: one count for all paths of a chain. */
  #countSignature(): boolean {
    return ++this.#signatureChecks <= this.#request.limits.signatureChecks;
  }

  *#signatureFault(crl: CertificateRevocationList, { subject, publicKey }: Certificate): Flow<Obstacle | undefined> {
    const { limits, provider, legacySignatures } = this.#request;
    const key = toHex(publicKey.spki);
    const verified = this.#fetched.verified.get(crl);
    if (verified?.has(key)) return undefined;
    if (!this.#countSignature()) {
      const reason = `more than ${limits.signatureChecks} signatures of CRLs and OCSP responses were to be checked`;
      return { code: "CERT_REJECTED", reason };
    }
    const problem = yield* signatureProblem(crl, publicKey, provider, legacySignatures);
    if (problem !== undefined) {
      return { code: "CRL_SIGNATURE_FAILURE", reason: `the CRL of ${subject.text}: ${problem}` };
    }
    this.#fetched.verified.set(crl, (verified ?? new Set()).add(key));
    return undefined;
  }
}

/** Printable ASCII alone (RFC 3986 2): a line break would end the request line of whoever fetches carelessly. */
function isHttp(url: string): boolean {
  return /^https?:\/\/[\x21-\x7e]+$/i.test(url);
}

/** What a fetch brought, or why it is no CRL. */
function readCrl(der: Uint8Array): CertificateRevocationList | string {
  try {
    return parseCrl(der);
  } catch (error) {
    if (error instanceof TlsError) return error.message;
    throw error;
  }
}
