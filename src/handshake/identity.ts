/** What this side can prove to be: certificate chains with their keys, and which of them fits a request. */
import { equal } from "../bytes/bytes.ts";
import { DerReader } from "../bytes/der.ts";
import { shown } from "../bytes/text.ts";
import { SignatureScheme, type SignatureSchemeName } from "../codec/registry.ts";
import type { Signer } from "../crypto/provider.ts";
import { certificateSignatureAlgorithm, schemeFits } from "../crypto/signatures.ts";
import { fault, TlsError } from "../errors.ts";
import { type Certificate, KeyPurpose } from "../x509/certificate.ts";
import { DistinguishedName } from "../x509/distinguished.ts";
import { matchesHost } from "../x509/names.ts";
import { parseCertificate } from "../x509/parse.ts";
import type { Wishes } from "./auth.ts";
import type { HandshakeEvent } from "./io.ts";

/** A certificate chain and the key of its first certificate. */
export interface Identity {
  /** DER, the end entity's first. */
  readonly certificates: readonly Uint8Array[];
  readonly parsed: readonly Certificate[];
  readonly signer: Signer;
  /** DER OCSPResponse to staple, RFC 6960; sent to those who ask. */
  readonly ocspResponse: Uint8Array | undefined;
  /** SignedCertificateTimestamps, RFC 6962 3.2; sent to those who ask. */
  readonly scts: readonly Uint8Array[];
  /** The signer's schemes that fit the certificate's key. */
  readonly schemes: readonly SignatureSchemeName[];
}

/** RFC 8446 4.2.5 */
export interface OidFilter {
  /** DER of the OBJECT IDENTIFIER, tag and length included. */
  readonly certificate_extension_oid: Uint8Array;
  /** DER of the extension's value. */
  readonly certificate_extension_values: Uint8Array;
}

/** What a server's CertificateRequest asks for. */
export interface IdentityRequest {
  readonly signatureSchemes: readonly number[];
  readonly certificateSignatureSchemes: readonly number[];
  /** DER distinguished names; empty: no hint. */
  readonly authorities: readonly Uint8Array[];
  readonly oidFilters: readonly OidFilter[];
  /** What else it wants to see. */
  readonly wishes: Wishes;
}

/**
 * An identity from a chain and its signer.
 *
 * @param certificates - DER, the end entity's first.
 * @throws TlsError `ERR_TLS_KEY` when the signer's schemes do not fit the certificate's key.
 */
export function createIdentity(
  certificates: readonly Uint8Array[],
  signer: Signer,
  { ocspResponse, scts = [] }: { ocspResponse?: Uint8Array | undefined; scts?: readonly Uint8Array[] | undefined } = {},
): Identity {
  const parsed = certificates.map((der) => parseCertificate(der));
  const leaf = parsed[0];
  if (leaf === undefined) throw fault("ERR_TLS_OPTION", "an identity needs a certificate");
  const schemes = signer.schemes.filter((scheme) => schemeFits(scheme, leaf.publicKey.algorithm));
  if (schemes.length === 0) {
    const { type } = leaf.publicKey.algorithm;
    throw fault(
      "ERR_TLS_KEY",
      `the key signs ${signer.schemes.join(", ")}, the certificate of ${leaf.subject.text} has a key of type ${type}`,
    );
  }
  return { certificates, parsed, signer, schemes, ocspResponse, scts };
}

/** The identity's certificate names this host. */
export function carriesName(identity: Identity, serverName: string | undefined): boolean {
  return serverName !== undefined && matchesHost(leafOf(identity), serverName);
}

/** The first of the identity's schemes that the peer accepts. */
export function usableScheme(identity: Identity, accepted: readonly number[]): SignatureSchemeName | undefined {
  return identity.schemes.find((scheme) => accepted.includes(SignatureScheme.codes[scheme]));
}

/** A server's identity for a name, RFC 8446 4.4.2.2. */
export function selectServerIdentity(
  identities: readonly Identity[],
  serverName: string | undefined,
  strict: boolean,
  request: Pick<IdentityRequest, "signatureSchemes" | "certificateSignatureSchemes" | "authorities">,
): { readonly identity: Identity; readonly scheme: SignatureSchemeName } {
  const named = identities.filter((identity) => carriesName(identity, serverName));
  if (strict && named.length === 0) {
    throw fault("ERR_TLS_UNRECOGNIZED_NAME", serverName === undefined ? "the client named no server" : serverName);
  }
  const candidates = named.length > 0 ? named : identities;
  const usable = candidates.filter((identity) => usableScheme(identity, request.signatureSchemes) !== undefined);
  // RFC 8446 4.2.4: a hint, and no reason to have none.
  const issued = usable.filter((candidate) => issuedByOneOf(candidate, request.authorities));
  const likely = issued.length > 0 ? issued : usable;
  const identity = likely.find((candidate) => chainFits(candidate, request.certificateSignatureSchemes)) ?? likely[0];
  const scheme = identity && usableScheme(identity, request.signatureSchemes);
  if (identity === undefined || scheme === undefined) {
    const offered = shown(
      request.signatureSchemes.map((code) => SignatureScheme.name(code) ?? `0x${code.toString(16)}`),
    );
    throw fault("ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM", `the client accepts ${offered}`);
  }
  return { identity, scheme };
}

/** A client's identity for a CertificateRequest, RFC 8446 4.4.2.3; none is an answer, and an event. */
export function selectClientIdentity(
  config: { readonly identities: readonly Identity[]; readonly ignoreRequestHints: boolean },
  request: IdentityRequest,
  emit: (event: HandshakeEvent) => void,
): Identity | undefined {
  if (config.identities.length === 0) return undefined;
  const usable = config.identities.filter((identity) => usableScheme(identity, request.signatureSchemes) !== undefined);
  const issued = usable.filter((identity) => issuedByOneOf(identity, request.authorities));
  const filters = readFilters(request.oidFilters);
  const filtered = issued.filter((identity) => filters.every((passes) => passes(leafOf(identity))));
  const chosen = filtered.find((identity) => chainFits(identity, request.certificateSignatureSchemes)) ?? filtered[0];
  if (chosen !== undefined) return chosen;
  const anyway = config.ignoreRequestHints ? usable[0] : undefined;
  emit({
    type: "identity_mismatch",
    reason:
      usable.length === 0 ? "signature_algorithms" : issued.length === 0 ? "certificate_authorities" : "oid_filters",
    sent: anyway !== undefined,
    authorities: request.authorities.map(readableName),
    issuers: config.identities.flatMap((identity) => identity.parsed.map((certificate) => certificate.issuer.text)),
  });
  return anyway;
}

function leafOf(identity: Identity): Certificate {
  return identity.parsed[0] as Certificate;
}

/** Any issuer in the chain may be the one named (RFC 8446 4.2.4), compared as DER. */
function issuedByOneOf(identity: Identity, authorities: readonly Uint8Array[]): boolean {
  if (authorities.length === 0) return true;
  return identity.parsed.some(({ issuer }) => authorities.some((name) => equal(name, issuer.der)));
}

/** The schemes with which a certificate may be signed, by how it is signed. */
const CERTIFICATE_SCHEMES: Readonly<Record<string, readonly number[]>> = {
  "ecdsa sha256": [SignatureScheme.codes.ecdsa_secp256r1_sha256],
  "ecdsa sha384": [SignatureScheme.codes.ecdsa_secp384r1_sha384],
  "ecdsa sha512": [SignatureScheme.codes.ecdsa_secp521r1_sha512],
  "rsa-pkcs1 sha256": [SignatureScheme.codes.rsa_pkcs1_sha256],
  "rsa-pkcs1 sha384": [SignatureScheme.codes.rsa_pkcs1_sha384],
  "rsa-pkcs1 sha512": [SignatureScheme.codes.rsa_pkcs1_sha512],
  "rsa-pss sha256": [SignatureScheme.codes.rsa_pss_rsae_sha256, SignatureScheme.codes.rsa_pss_pss_sha256],
  "rsa-pss sha384": [SignatureScheme.codes.rsa_pss_rsae_sha384, SignatureScheme.codes.rsa_pss_pss_sha384],
  "rsa-pss sha512": [SignatureScheme.codes.rsa_pss_rsae_sha512, SignatureScheme.codes.rsa_pss_pss_sha512],
};

/** RFC 8446 4.4.2.2: every certificate but a self-signed one should be signed with an advertised algorithm. */
function chainFits(identity: Identity, accepted: readonly number[]): boolean {
  return identity.parsed.every((certificate) => {
    if (certificate.issuer.equals(certificate.subject)) return true;
    const algorithm = certificateSignatureAlgorithm(certificate.signatureAlgorithm);
    if (algorithm === undefined || algorithm.type === "weak") return false;
    if (!("hash" in algorithm)) return accepted.includes(SignatureScheme.codes[algorithm.type]);
    const schemes = CERTIFICATE_SCHEMES[`${algorithm.type} ${algorithm.hash}`] ?? [];
    return schemes.some((code) => accepted.includes(code));
  });
}

const KEY_USAGE_OID = "2.5.29.15";
const EXTENDED_KEY_USAGE_OID = "2.5.29.37";

type Filter = (leaf: Certificate) => boolean;

/** RFC 8446 4.2.5: no OID twice. */
function readFilters(filters: readonly OidFilter[]): Filter[] {
  const seen = new Set<string>();
  try {
    return filters.map(({ certificate_extension_oid, certificate_extension_values }) => {
      const oid = new DerReader(certificate_extension_oid).oid();
      if (seen.has(oid)) throw fault("ERR_TLS_ILLEGAL_PARAMETER", `two OID filters for ${oid}`);
      seen.add(oid);
      return readFilter(oid, certificate_extension_values);
    });
  } catch (cause) {
    if (!(cause instanceof TlsError) || cause.code === "ERR_TLS_ILLEGAL_PARAMETER") throw cause;
    throw fault("ERR_TLS_DECODE_ERROR", "an OID filter is not DER", { cause });
  }
}

/** Key usage and extended key usage have matching rules; other OIDs are skipped, as RFC 8446 4.2.5 says. */
function readFilter(oid: string, values: Uint8Array): Filter {
  if (oid === KEY_USAGE_OID) {
    const bits = bitsOf(new DerReader(values).bitString().bytes);
    return ({ keyUsage = 0 }) => keyUsage !== 0 && bits.every((bit) => bit < 31 && (keyUsage & (1 << bit)) !== 0);
  }
  if (oid !== EXTENDED_KEY_USAGE_OID) return () => true;
  const purposes: string[] = [];
  for (const reader = new DerReader(values).sequence(); reader.remaining > 0; ) purposes.push(reader.oid());
  if (purposes.includes(KeyPurpose.any)) throw fault("ERR_TLS_ILLEGAL_PARAMETER", "an OID filter for any purpose");
  return ({ extendedKeyUsage }) => purposes.every((purpose) => extendedKeyUsage?.includes(purpose));
}

function bitsOf(bytes: Uint8Array): number[] {
  const bits: number[] = [];
  bytes.forEach((byte, index) => {
    for (let bit = 0; bit < 8; bit++) if ((byte & (0x80 >> bit)) !== 0) bits.push(8 * index + bit);
  });
  return bits;
}

function readableName(der: Uint8Array): string {
  try {
    return new DistinguishedName(der).text;
  } catch (error) {
    if (!(error instanceof TlsError)) throw error;
    return "(not a distinguished name)";
  }
}
