/** Whether the certificates of a path are revoked: CRLs, OCSP responses stapled or fetched, and what to do without any. */

import { Tag } from "../bytes/der.ts";
import { readPem } from "../bytes/pem.ts";
import { fault } from "../errors.ts";
import type { Awaitable, Flow } from "../flow.ts";
import { type CertificateRevocationList, parseCrl } from "./crl.ts";
import { StatusExtension } from "./distribution.ts";
import type { Path, PathRequest } from "./path.ts";
import { RevocationCheck } from "./revocation-check.ts";
import type { Violation } from "./rules.ts";
import { type TrustSource, trustStore } from "./trust.ts";

/** One or more CRLs: PEM text, its bytes, or the DER of one. */
export type CrlSource = string | Uint8Array;

/** What is to be fetched. */
export type RevocationFetch =
  | { readonly kind: "crl"; readonly url: string }
  /** To be sent with POST as `application/ocsp-request` (RFC 6960 A.1). */
  | { readonly kind: "ocsp"; readonly url: string; readonly body: Uint8Array };

/** Where the status of certificates comes from, and what is done without. */
export interface RevocationOptions {
  /**
   * `hard-fail`: a certificate whose status is not known is refused. `soft-fail`: it is accepted. One that is revoked is
   * refused in both, and so is a peer whose stapled response is not acceptable (RFC 6066 8). No checker at all is off.
   */
  readonly mode: "hard-fail" | "soft-fail";
  /** CRLs at hand, complete, delta and indirect; PEM (`X509 CRL`) or DER. Default: none. */
  readonly crls?: CrlSource | readonly CrlSource[] | undefined;
  /** Certificates of CRL issuers that are not in the path; not trusted by standing here. Default: none. */
  readonly certificates?: TrustSource | readonly TrustSource[] | undefined;
  /**
   * Fetches the DER of a CRL or an OCSPResponse; time-outs and which addresses may be reached are its business, since they
   * come out of the peer's certificates. What it throws, and `undefined`, is no answer. Default: nothing is fetched.
   */
  readonly fetch?: ((what: RevocationFetch) => Awaitable<Uint8Array | undefined>) | undefined;
  /**
   * True (default): a server whose certificate says so must staple (RFC 7633). `always`: every peer must. False: none.
   */
  readonly mustStaple?: boolean | "always" | undefined;
  /** True: OCSP requests have a nonce, which the response must repeat (RFC 9654). Default false. */
  readonly nonce?: boolean | undefined;
  /** Seconds by which clocks may differ. Default 300. */
  readonly tolerance?: number | undefined;
  /** Seconds for which a CRL or response counts at most. Default: until its nextUpdate, without one seven days. */
  readonly maxAge?: number | undefined;
  /** True: CRLs must have a CRL number, a key identifier and nextUpdate, as RFC 5280 5 demands of CAs. Default false. */
  readonly strictCrls?: boolean | undefined;
  /** CRLs and responses that were fetched and are kept until they expire. Default 100 of each. */
  readonly cacheSize?: number | undefined;
}

/** Made by {@link revocationChecker} for {@link TrustVerifierOptions.revocation}. */
export interface RevocationChecker {
  /** OIDs of extensions that it honours where they are critical. */
  readonly understands: readonly string[];
  /** Rises with each {@link RevocationChecker.replaceCrls}. */
  readonly generation: number;
  /** For one chain, however many paths it has: why one of them is not to be taken. */
  check(request: PathRequest, ocspResponse: Uint8Array | undefined): (path: Path) => Flow<Violation | undefined>;
  /**
   * New CRLs in place of those given before; those fetched stay. Handshakes under way are judged by them, too, and open
   * connections by `recheck`.
   *
   * @throws TlsError `ERR_TLS_PEM`, `CRL_PARSE_ERROR`; then nothing has changed.
   */
  replaceCrls(crls: CrlSource | readonly CrlSource[]): void;
}

/**
 * Checks every certificate of a path but the anchor for revocation, at the handshake and again at every resumption.
 *
 * @throws TlsError `ERR_TLS_OPTION`, `ERR_TLS_PEM`, `CRL_PARSE_ERROR`; verifiers throw `CERT_REVOKED`,
 * `ERR_TLS_STATUS_RESPONSE` for a staple that is not acceptable, `OCSP_VERIFY_NEEDED` for one that is missing, and in
 * `hard-fail` mode `UNABLE_TO_GET_CRL`, `CRL_HAS_EXPIRED` and others that say why the status is not known.
 *
 * @example
 * ```ts
 * const revocation = revocationChecker({ mode: "soft-fail" });
 * const verifier = trustVerifier({ trust: trustStore(ca), revocation });
 * const session = await connect(stream, { serverName: "localhost", verifier });
 * console.log(session.verified); // true
 * ```
 */
export function revocationChecker(options: RevocationOptions): RevocationChecker {
  const { mode, mustStaple = true, nonce = false, strictCrls = false, fetch } = options;
  if (mode !== "hard-fail" && mode !== "soft-fail") {
    throw fault("ERR_TLS_OPTION", `revocation mode ${JSON.stringify(mode)} is neither hard-fail nor soft-fail`);
  }
  const tolerance = 1000 * count(options.tolerance ?? 300, "tolerance");
  const maxAge = options.maxAge === undefined ? undefined : 1000 * count(options.maxAge, "maxAge");
  const cacheSize = count(options.cacheSize ?? 100, "cacheSize");
  const settings = { mode, mustStaple, nonce, tolerance, maxAge, strictCrls, fetch };
  const { certificates } = options;
  const signers = certificates === undefined ? [] : trustStore(certificates).anchors;
  const fetched = {
    crls: new ExpiringCache<CertificateRevocationList>(cacheSize),
    responses: new ExpiringCache<Uint8Array>(cacheSize),
    verified: new WeakMap<CertificateRevocationList, Set<string>>(),
  };
  let known = index(options.crls ?? []);
  let generation = 0;
  return {
    understands: [StatusExtension.cRLDistributionPoints, StatusExtension.freshestCRL, StatusExtension.tlsFeature],
    get generation() {
      return generation;
    },
    check(request, ocspResponse) {
      const check = new RevocationCheck(settings, known, signers, fetched, request);
      return (path) => check.refusal(path, ocspResponse);
    },
    replaceCrls(crls) {
      known = index(crls);
      generation++;
    },
  };
}

/** CRLs by the key of their issuer's name. */
function index(sources: CrlSource | readonly CrlSource[]): ReadonlyMap<string, readonly CertificateRevocationList[]> {
  const list = typeof sources === "string" || sources instanceof Uint8Array ? [sources] : sources;
  const byIssuer = new Map<string, CertificateRevocationList[]>();
  for (const crl of list.flatMap(readCrls)) {
    const { key } = crl.issuer;
    const others = byIssuer.get(key);
    if (others === undefined) byIssuer.set(key, [crl]);
    else others.push(crl);
  }
  return byIssuer;
}

function readCrls(source: CrlSource): CertificateRevocationList[] {
  if (typeof source !== "string" && source[0] === Tag.sequence) return [parseCrl(source)];
  const blocks = readPem(source).filter(({ label }) => label === "X509 CRL");
  if (blocks.length === 0) throw fault("ERR_TLS_PEM", "no X509 CRL block among the CRLs");
  return blocks.map(({ der }) => parseCrl(der));
}

function count(value: number, name: string): number {
  if (!Number.isInteger(value) || value < 0) throw fault("ERR_TLS_OPTION", `${name} must be a count, not ${value}`);
  return value;
}

/** Values that are forgotten when they expire; the oldest go first. */
export class ExpiringCache<T> {
  readonly #capacity: number;
  readonly #values = new Map<string, { readonly value: T; readonly until: number }>();

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** @param now - ms since the epoch. */
  get(key: string, now: number): T | undefined {
    const found = this.#values.get(key);
    if (found === undefined) return undefined;
    if (now < found.until) return found.value;
    this.#values.delete(key);
    return undefined;
  }

  set(key: string, value: T, until: number): void {
    this.#values.delete(key);
    for (const oldest of this.#values.keys()) {
      if (this.#values.size < this.#capacity) break;
      this.#values.delete(oldest);
    }
    if (this.#capacity > 0) this.#values.set(key, { value, until });
  }
}
