/** What is fetched for one chain, within a limit, and which of the CRLs among it are kept for others. */
import { toHex } from "../bytes/hex.ts";
import { TlsError } from "../errors.ts";
import { type Flow, wait } from "../flow.ts";
import type { Certificate } from "./certificate.ts";
import { type CertificateRevocationList, parseCrl } from "./crl.ts";
import { DEFAULT_AGE, type Obstacle } from "./crl-validation.ts";
import type { DistinguishedName } from "./distinguished.ts";
import type { DistributionPoint } from "./distribution.ts";
import type { ExpiringCache, RevocationFetch, RevocationOptions } from "./revocation.ts";

/** What outlives one check. */
export interface FetchedStatus {
  /** By URL; none that nobody who was trusted has signed. */
  readonly crls: ExpiringCache<CertificateRevocationList>;
  /** By URL and request. */
  readonly responses: ExpiringCache<Uint8Array>;
  /** SPKIs, hexadecimal, of those who are known to have signed a CRL and were trusted when that was found out. */
  readonly verified: WeakMap<CertificateRevocationList, Set<string>>;
}

/** Fetches for one chain, whatever its certificates name. */
const MAX_FETCHES = 16;
const TOO_MANY_FETCHES = `more than ${MAX_FETCHES} fetches were needed`;

export class StatusFetch {
  readonly #fetch: RevocationOptions["fetch"];
  readonly #fetched: FetchedStatus;
  readonly #time: number;
  readonly #maxAge: number | undefined;
  /** Why CRLs could not be had. */
  readonly failures: string[] = [];
  #fetches = 0;
  #refused = false;
  /** CRLs that were fetched for this chain, with where and until when they may be kept. */
  readonly #fresh = new Map<CertificateRevocationList, { readonly url: string; readonly until: number }>();
  /** CRLs that had been kept from a fetch before, and of them those which nobody who is trusted here has signed. */
  readonly #kept = new Set<CertificateRevocationList>();
  readonly #disowned = new Set<CertificateRevocationList>();

  /**
   * @param time - ms since the epoch.
   * @param maxAge - ms from thisUpdate on for which a CRL is kept at most.
   */
  constructor(
    fetch: RevocationOptions["fetch"],
    fetched: FetchedStatus,
    { time, maxAge }: { readonly time: number; readonly maxAge: number | undefined },
  ) {
    this.#fetch = fetch;
    this.#fetched = fetched;
    this.#time = time;
    this.#maxAge = maxAge;
  }

  /** Set once something was not fetched because too much had been. */
  get limit(): Obstacle | undefined {
    return this.#refused ? { code: "UNABLE_TO_GET_CRL", reason: TOO_MANY_FETCHES } : undefined;
  }

  /** How many kept CRLs were found to be signed by nobody who is trusted here: the next look fetches in their place. */
  get disowned(): number {
    return this.#disowned.size;
  }

  /** The bytes, or why there are none. */
  *bytes(what: RevocationFetch): Flow<Uint8Array | string> {
    if (this.#fetch === undefined) return "nothing is fetched";
    if (this.#fetches === MAX_FETCHES) {
      this.#refused = true;
      return TOO_MANY_FETCHES;
    }
    this.#fetches++;
    try {
      const bytes = yield* wait("fetch_status", this.#fetch(what));
      return bytes ?? `nothing came from ${what.url}`;
    } catch (error) {
      return `${what.url} could not be fetched: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  /**
   * The CRL of a distribution point. One that was fetched before counts when it is by one of these and somebody who is
   * trusted has signed it: else whoever was on the way once could put a CRL there for as long as he likes.
   */
  *crls(point: DistributionPoint, issuers: readonly DistinguishedName[]): Flow<readonly CertificateRevocationList[]> {
    for (const url of point.names?.uris.filter(isHttp) ?? []) {
      const kept = this.#fetched.crls.get(url, this.#time);
      if (kept !== undefined && !this.#disowned.has(kept) && issuers.some((name) => name.equals(kept.issuer))) {
        this.#kept.add(kept);
        return [kept];
      }
      const der = yield* this.bytes({ kind: "crl", url });
      const crl = der instanceof Uint8Array ? readCrl(der) : der;
      if (typeof crl === "string") {
        this.failures.push(crl);
        continue;
      }
      const { thisUpdate, nextUpdate } = crl;
      const until = Math.min(nextUpdate ?? thisUpdate + DEFAULT_AGE, thisUpdate + (this.#maxAge ?? Infinity));
      if (this.#time < until) this.#fresh.set(crl, { url, until });
      return [crl];
    }
    return [];
  }

  /** Told who of those that are trusted has signed a CRL, or that nobody has. */
  attribute(crl: CertificateRevocationList, signer: Certificate | undefined): void {
    if (signer === undefined) {
      if (this.#kept.has(crl)) this.#disowned.add(crl);
      return;
    }
    const { crls, verified } = this.#fetched;
    verified.set(crl, (verified.get(crl) ?? new Set()).add(toHex(signer.publicKey.spki)));
    const place = this.#fresh.get(crl);
    if (place !== undefined) crls.set(place.url, crl, place.until);
    this.#fresh.delete(crl);
  }
}

/** Printable ASCII alone (RFC 3986 2): a line break would end the request line of whoever fetches carelessly. */
export function isHttp(url: string): boolean {
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
