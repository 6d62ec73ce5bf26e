/** What the handshake asks: is this chain to be trusted, and who is it? */
import type { RejectionCode } from "../causes.ts";
import type { CryptoProvider } from "../crypto/provider.ts";
import { fault, TlsError } from "../errors.ts";
import type { Flow } from "../flow.ts";
import type { Certificate } from "./certificate.ts";
import { rejection } from "./explain.ts";
import { type PeerIdentity, peerIdentity } from "./identity.ts";
import { matches, offeredNames, type ReferenceName, referenceName } from "./names.ts";
import { parseCertificate } from "./parse.ts";
import { findPath, type LegacySignatures } from "./path.ts";
import type { PolicyInputs } from "./policies.ts";
import type { RevocationChecker } from "./revocation.ts";
import type { PathPolicy, Profile, Purpose } from "./rules.ts";
import type { TrustStore } from "./trust.ts";

/** A certificate chain as the peer sent it, and what it is wanted for. */
export interface VerifyRequest {
  /** DER, the end entity's first, as received. */
  readonly certificates: readonly Uint8Array[];
  /** Whose certificate this is. */
  readonly role: "server" | "client";
  /** Host name or IP address wanted; `undefined`: no name check asked for. */
  readonly name: string | undefined;
  /** ms since the epoch. */
  readonly time: number;
  readonly provider: CryptoProvider;
  /** DER OCSPResponse that the peer stapled; at a resumption the one that its session began with. */
  readonly ocspResponse?: Uint8Array | undefined;
}

/** Decides about peers' certificates. A flow, so that it is synchronous where the provider is. */
export interface CertificateVerifier {
  /** True: peers are to be asked to staple an OCSP response, where the options do not say. */
  readonly wantsStatus?: boolean | undefined;
  /** Whose anchors peers may be told of, so that they can choose a certificate. */
  readonly trust?: TrustStore | undefined;
  /**
   * Rises when what was decided before may not be decided so again: a handshake whose peer was judged under another one
   * has it judged again before it ends. Default: it never changes.
   */
  readonly generation?: number | undefined;
  /**
   * @throws TlsError with a `rejection` when the chain is not to be trusted.
   */
  verify(request: VerifyRequest): Flow<PeerIdentity>;
}

/** Whom to trust and how strictly. */
export interface TrustVerifierOptions {
  readonly trust: TrustStore;
  /** Intermediates allowed between the peer's certificate and the anchor, the self-issued not counted; 10 by default. */
  readonly maxDepth?: number | undefined;
  /** Certificates that a peer may send; 32 by default. */
  readonly maxCertificates?: number | undefined;
  /** Signatures checked for one chain, over all paths tried; 64 by default. */
  readonly maxSignatureChecks?: number | undefined;
  /** Bits of the smallest RSA modulus accepted; 2048 by default. */
  readonly minRsaBits?: number | undefined;
  /** False: an anchor is trusted although its certificate has expired. Default true. */
  readonly anchorsExpire?: boolean | undefined;
  /**
   * False: what an anchor's certificate says about those below it (names, path length, purposes, policies) does not count,
   * as RFC 5280 6.1.1 (d) leaves open. Default true.
   */
  readonly anchorsConstrain?: boolean | undefined;
  /** False: an anchor of version 3 may lack basicConstraints. Default: the same as `anchorsConstrain`. */
  readonly anchorsNeedBasicConstraints?: boolean | undefined;
  /**
   * Whether a peer's own certificate may be the trust anchor: `any` (default), `self-signed` ones, or `none`, so that
   * anchors are issuers only.
   */
  readonly directTrust?: PathPolicy["directTrust"] | undefined;
  /**
   * What the certificate must be for: an OID of extKeyUsage, `any`, or a {@link Purpose}. Default: TLS, on the side that
   * the peer has, keyUsage included.
   */
  readonly purpose?: string | Purpose | undefined;
  /** Further rules, of RFC 5280 or of the web's CAs. Default: what TLS peers with private CAs expect. */
  readonly profile?: Profile | undefined;
  /** Verifies what is signed with SHA-1 and older, which is refused without. For archives, not for connections. */
  readonly legacySignatures?: LegacySignatures | undefined;
  /** Certificate policies asked for, RFC 5280 6.1.1. Default: none. */
  readonly policies?: PolicyInputs | undefined;
  /** See `revocationChecker`. Default: nothing is checked for revocation. */
  readonly revocation?: RevocationChecker | undefined;
}

/** See {@link WorkLimits.steps}: 2,000 candidates, 100,000 comparisons with name constraints, or 20 paths looked up for revocation. */
const MAX_STEPS = 100_000;

/**
 * Verifies chains against trust anchors: path building over unordered and superfluous certificates, then RFC 5280 6.1
 * and the name (RFC 9525).
 *
 * @throws TlsError `ERR_TLS_OPTION` when a limit is no count; from `verify`, when the name wanted is neither a host name
 * nor an address.
 *
 * @example
 * ```ts
 * const authority = await createThrowawayAuthority();
 * const { certificates } = await authority.issue({ subject: "here", dnsNames: ["localhost"] });
 * const verifier = trustVerifier({ trust: trustStore(authority.certificatePem) });
 * const identity = await settle(
 *   verifier.verify({ certificates, role: "server", name: "localhost", time: Date.now(), provider: nobleProvider }),
 * );
 * console.log(identity.subject); // CN=here
 * ```
 */
export function trustVerifier(options: TrustVerifierOptions): CertificateVerifier {
  const { trust, legacySignatures, revocation } = options;
  const maxCertificates = limit(options, "maxCertificates", 32);
  const policy = {
    maxDepth: limit(options, "maxDepth", 10),
    minRsaBits: limit(options, "minRsaBits", 2048),
    anchorsExpire: options.anchorsExpire ?? true,
    anchorsConstrain: options.anchorsConstrain ?? true,
    anchorsNeedBasicConstraints: options.anchorsNeedBasicConstraints ?? options.anchorsConstrain ?? true,
    directTrust: options.directTrust ?? "any",
    policies: options.policies ?? {},
    purpose: options.purpose,
    profile: options.profile,
    understands: options.revocation?.understands ?? [],
  };
  const limits = { signatureChecks: limit(options, "maxSignatureChecks", 64), steps: MAX_STEPS };
  return {
    wantsStatus: revocation !== undefined,
    trust,
    get generation() {
      return revocation?.generation ?? 0;
    },
    *verify({ certificates, role, name, time, provider, ocspResponse }) {
      const wanted = name === undefined ? undefined : referenceName(name);
      if (certificates.length > maxCertificates) {
        const reason = `${certificates.length} certificates, at most ${maxCertificates} are read`;
        throw unjudged("CERT_CHAIN_TOO_LONG", reason);
      }
      const [certificate, ...intermediates] = parseChain(certificates);
      const request = { certificate, intermediates, trust, role, time, policy, limits, legacySignatures, provider };
      const refuses = revocation?.check(request, ocspResponse);
      const path = yield* findPath(refuses === undefined ? request : { ...request, refuses });
      if (wanted !== undefined) checkName(path, wanted);
      return peerIdentity(path, role, true, provider);
    },
  };
}

type LimitName = "maxDepth" | "maxCertificates" | "maxSignatureChecks" | "minRsaBits";

function limit(options: TrustVerifierOptions, name: LimitName, otherwise: number) {
  const value = options[name] ?? otherwise;
  if (!Number.isInteger(value) || value < 0) throw fault("ERR_TLS_OPTION", `${name} must be a count, not ${value}`);
  return value;
}

/**
 * Accepts any certificate that can be read. What it answers says `verified: false`: for peers whose identity nobody
 * relies on, and for those who ask to be insecure. Throws `CERT_PARSE_ERROR` when it cannot be read.
 *
 * @example
 * ```ts
 * const request = { certificates, role: "server", name: "elsewhere.test", time: Date.now(), provider } as const;
 * const identity = await settle(acceptAnyVerifier().verify(request));
 * console.log(identity.verified, identity.commonName); // false localhost
 * ```
 */
export function acceptAnyVerifier(): CertificateVerifier {
  return {
    // biome-ignore lint/correctness/useYield: a flow that never has to wait
    *verify({ certificates, role, provider }) {
      const [certificate] = parseChain(certificates);
      return peerIdentity([certificate], role, false, provider);
    },
  };
}

function parseChain(certificates: readonly Uint8Array[]): [Certificate, ...Certificate[]] {
  const chain: Certificate[] = [];
  for (const [index, der] of certificates.entries()) {
    try {
      chain.push(parseCertificate(der));
    } catch (cause) {
      if (!(cause instanceof TlsError)) throw cause;
      const certificate = `certificate ${index + 1} of ${certificates.length}`;
      const reason = cause.detail ?? cause.message;
      throw rejection(
        [{ path: [...chain, certificate], certificate, code: "CERT_PARSE_ERROR", reason, rank: 0 }],
        cause,
      );
    }
  }
  const [first, ...others] = chain;
  if (first === undefined) throw unjudged("CERT_REJECTED", "there is none");
  return [first, ...others];
}

function unjudged(code: RejectionCode, reason: string): TlsError {
  const certificate = "what was sent";
  return rejection([{ path: [certificate], certificate, code, reason, rank: 0 }]);
}

function checkName(path: readonly [Certificate, ...Certificate[]], wanted: ReferenceName): void {
  const [certificate] = path;
  if (matches(certificate, wanted)) return;
  const offered = offeredNames(certificate);
  const names = offered.length === 0 ? "no DNS name and no address in subjectAltName" : offered.slice(0, 32).join(", ");
  const reason = `wanted ${wanted.kind === "ip" ? "IP" : "DNS"}:${wanted.text}, offered ${names}`;
  throw rejection([{ path, certificate, code: "ERR_TLS_CERT_ALTNAME_INVALID", reason, rank: 0 }]);
}
