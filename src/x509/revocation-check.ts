/** The check of one chain for revocation, with what it has learnt on the way. */
import { toHex } from "../bytes/hex.ts";
import { TlsError } from "../errors.ts";
import type { Flow } from "../flow.ts";
import type { Certificate } from "./certificate.ts";
import type { CertificateRevocationList } from "./crl.ts";
import { answersForItself, type CrlRules, type CrlSources, crlStatus, type Obstacle } from "./crl-validation.ts";
import type { DistinguishedName } from "./distinguished.ts";
import { ocspAddresses, tlsFeatures } from "./distribution.ts";
import { encodeOcspRequest } from "./ocsp.ts";
import { type OcspQuestion, type OcspVerdict, ocspStatus } from "./ocsp-validation.ts";
import { findPath, type Path, type PathRequest } from "./path.ts";
import type { RevocationOptions } from "./revocation.ts";
import type { Violation } from "./rules.ts";
import { type FetchedStatus, isHttp, StatusFetch } from "./status-fetch.ts";
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
  readonly #fetches: StatusFetch;
  readonly #request: PathRequest;
  readonly #rules: CrlRules;
  /** CRL issuers under examination: none vouches for itself. */
  readonly #pending = new Set<Certificate>();
  readonly #distrusted = new Map<Certificate, Obstacle | undefined>();
  /** By anchor: CRL issuers that have no path to it, whatever is revoked. */
  readonly #unfounded = new Map<Certificate, Map<Certificate, Obstacle>>();
  readonly #examined = new Set<Certificate>();
  /** Why a CRL is not signed by a key, by the key's SPKI, hexadecimal. */
  readonly #signatures = new Map<CertificateRevocationList, Map<string, Obstacle | undefined>>();
  /** The first limit that was reached. What was not looked at for want of work may be what revokes. */
  #exhausted: Obstacle | undefined;
  #path: readonly Certificate[] = [];
  #signatureChecks = 0;

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
    this.#fetches = new StatusFetch(settings.fetch, fetched, { time: request.time, maxAge: settings.maxAge });
    this.#request = request;
    const { tolerance, maxAge, strictCrls } = settings;
    this.#rules = { time: request.time, tolerance, maxAge, strictCrls, indirectCrls: true, pointsAlone: false };
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
    if (status.status !== "revoked" && this.#exhausted !== undefined) return this.#exhausted;
    if (status.status === "unknown" && stapled !== undefined) return undefined;
    if (status.status === "unknown") status = (yield* this.#askResponder(certificate, above)) ?? status;
    if (status.status === "unknown" && this.#settings.fetch !== undefined) {
      const byCrl = yield* this.#fetchedStatus(certificate, above);
      if (byCrl.status !== "unknown" || status.code === "UNABLE_TO_GET_CRL") status = byCrl;
    }
    if (status.status === "good") return this.#exhausted;
    if (status.status === "unknown" && this.#settings.mode === "soft-fail") return this.#limit;
    const failures = status.code === "UNABLE_TO_GET_CRL" ? this.#fetches.failures : [];
    return { code: status.code, reason: [status.reason, ...failures].join("; ") };
  }

  /** The peer decides how much there is to look at: what ends at a limit is refused in either mode. */
  get #limit(): Obstacle | undefined {
    return this.#exhausted ?? this.#fetches.limit;
  }

  /** Kept CRLs of which nobody is trusted here give way to what is at their places now. */
  *#fetchedStatus(certificate: Certificate, above: readonly Certificate[]): Flow<OcspVerdict> {
    const before = this.#fetches.disowned;
    const status = yield* crlStatus(certificate, above, this.#sources(true));
    if (status.status !== "unknown" || this.#fetches.disowned === before) return status;
    return yield* crlStatus(certificate, above, this.#sources(true));
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
    if (status.status === "good") return undefined;
    return status.status === "revoked" ? status.reason : this.#exhausted?.reason;
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
      const response = yield* this.#fetches.bytes({ kind: "ocsp", url, body });
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

  #sources(fetching: boolean): CrlSources {
    return {
      rules: this.#rules,
      issuedBy: ({ key }) => this.#known.get(key) ?? [],
      fetch: (point, issuers) => (fetching ? this.#fetches.crls(point, issuers) : nothing()),
      signersNamed: (name) => this.#signersNamed(name),
      distrust: (signer, certificate) => this.#distrust(signer, certificate),
      signatureFault: (crl, signer) => this.#signatureFault(crl, signer),
      attribute: (crl, signer) => this.#fetches.attribute(crl, signer),
    };
  }

  #signersNamed(name: DistinguishedName): ReturnType<CrlSources["signersNamed"]> {
    const named = (all: readonly Certificate[]) => all.filter(({ subject }) => subject.equals(name));
    return { configured: named(this.#signers), sent: named(this.#request.intermediates) };
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
    const anchor = this.#path[this.#path.length - 1] as Certificate;
    const unfounded = this.#unfounded.get(anchor) ?? new Map<Certificate, Obstacle>();
    this.#unfounded.set(anchor, unfounded);
    const before = unfounded.get(signer);
    if (before !== undefined) return before;
    if (!this.#examined.has(signer) && this.#examined.size === MAX_SIGNERS) {
      return this.#exhaust({ code, reason: `more than ${MAX_SIGNERS} issuers of CRLs were to be examined` });
    }
    this.#examined.add(signer);
    this.#pending.add(signer);
    let obstacle: Obstacle | undefined;
    let founded = false;
    try {
      const { policy, intermediates } = this.#request;
      yield* findPath({
        ...this.#request,
        certificate: signer,
        intermediates: [...intermediates, ...this.#signers],
        trust: trustStore([anchor]),
        policy: { ...policy, purpose: "any", policies: {}, profile: undefined },
        refuses: (path) => {
          founded = true;
          return this.#signerRefusal(path);
        },
        exhausted: (reason) => this.#exhaust({ code, reason }),
      });
    } catch (error) {
      if (!(error instanceof TlsError) || error.rejection === undefined) throw error;
      obstacle = { code, reason: `the CRL issuer ${name} is not to be trusted: ${error.detail}` };
      if (!founded) unfounded.set(signer, obstacle);
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

  #exhaust(obstacle: Obstacle): Obstacle {
    this.#exhausted ??= obstacle;
    return obstacle;
  }

  /** False when the last has been checked: one count for all paths of a chain. */
  #countSignature(): boolean {
    const { signatureChecks } = this.#request.limits;
    if (++this.#signatureChecks <= signatureChecks) return true;
    const reason = `more than ${signatureChecks} signatures of CRLs and OCSP responses were to be checked`;
    this.#exhaust({ code: "CERT_REJECTED", reason });
    return false;
  }

  *#signatureFault(crl: CertificateRevocationList, { subject, publicKey }: Certificate): Flow<Obstacle | undefined> {
    const { provider, legacySignatures } = this.#request;
    const key = toHex(publicKey.spki);
    if (this.#fetched.verified.get(crl)?.has(key)) return undefined;
    const checked = this.#signatures.get(crl) ?? new Map<string, Obstacle | undefined>();
    this.#signatures.set(crl, checked);
    if (checked.has(key)) return checked.get(key);
    if (!this.#countSignature()) return this.#exhausted;
    const problem = yield* signatureProblem(crl, publicKey, provider, legacySignatures);
    const reason = `the CRL of ${subject.text}: ${problem}`;
    const obstacle: Obstacle | undefined =
      problem === undefined ? undefined : { code: "CRL_SIGNATURE_FAILURE", reason };
    checked.set(key, obstacle);
    return obstacle;
  }
}

// biome-ignore lint/correctness/useYield: there is nothing to wait for
function* nothing(): Flow<readonly CertificateRevocationList[]> {
  return [];
}
