/** A certificate authority's decisions: what may stand in a certificate, and for how long (RFC 5280 4). */
import { equal } from "../bytes/bytes.ts";
import { fault, type TlsError } from "../errors.ts";
import { type Certificate, KeyUsage } from "../x509/certificate.ts";
import { constraintViolation } from "../x509/constraints.ts";
import { DistinguishedName } from "../x509/distinguished.ts";
import { parseCertificate } from "../x509/parse.ts";
import { isWritable } from "./asn1.ts";
import { keyIdentifier, makeCertificate, randomSerialNumber } from "./certificate.ts";
import * as extension from "./extensions.ts";
import type { CertificateSigner, SubjectKey } from "./keys.ts";
import { type AlternativeNames, countNames, encodeSubject, type SubjectInput } from "./names.ts";
import { PROFILES, type ProfileName, ROOT } from "./profiles.ts";
import { keyProblem, pointProblem, signatureProblem } from "./strength.ts";

/** A CA's certificate with what signs for it. */
export interface Issuer {
  /** DER. */
  readonly certificate: Uint8Array;
  readonly signer: CertificateSigner;
}

/** Where the status of what is issued is published. */
export interface StatusAddresses {
  /** Where the issuer's CRL is. */
  readonly crlUrls?: readonly string[] | undefined;
  /** Where its OCSP responder is. */
  readonly ocspUrls?: readonly string[] | undefined;
  /** Where its certificate is. */
  readonly issuerUrls?: readonly string[] | undefined;
}

/** What to issue. */
export interface CertificateInput extends AlternativeNames, StatusAddresses {
  readonly profile: ProfileName;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  /** A CN, or attributes in order; empty by default. */
  readonly subject?: SubjectInput | undefined;
  /** ms since the epoch; five minutes ago by default, for clocks that are behind. */
  readonly notBefore?: number | undefined;
  /** ms since the epoch; after the profile's lifetime by default, and never after the issuer's end. */
  readonly notAfter?: number | undefined;
  /** For intermediates: what their certificates must keep to. */
  readonly constraints?: extension.ConstraintsInput | undefined;
  /** For intermediates: CAs below; 0 by default. */
  readonly pathLength?: number | undefined;
}

/** What a root is to be. */
export interface RootInput {
  readonly subject: SubjectInput;
  /** ms since the epoch; five minutes ago by default. */
  readonly notBefore?: number | undefined;
  /** ms since the epoch; ten years from now by default. */
  readonly notAfter?: number | undefined;
  readonly constraints?: extension.ConstraintsInput | undefined;
}

/** How far back certificates begin, ms: clocks differ. */
export const SKEW = 5 * 60_000;

/**
 * A self-signed CA certificate, DER.
 *
 * @throws TlsError `ERR_TLS_OPTION` when the key or a name may not be certified.
 *
 * @example
 * ```ts
 * const key = await generateKeyPair("P-256");
 * const root = await createRoot({ subject: "example root" }, key);
 * console.log(parseCertificate(root).subject.text); // CN=example root
 * ```
 */
export async function createRoot(input: RootInput, key: SubjectKey): Promise<Uint8Array> {
  const name = encodeSubject(input.subject);
  if (input.subject.length === 0) throw refused("the issuer of anything needs a subject (RFC 5280 4.1.2.6)");
  const weakness = keyProblem(key.spki);
  if (weakness !== undefined) throw refused(weakness);
  const now = Date.now();
  const keyId = await keyIdentifier(key.spki);
  const certificate = await makeCertificate(
    {
      serialNumber: randomSerialNumber(),
      issuer: name,
      subject: name,
      ...validity(input.notBefore ?? now - SKEW, input.notAfter ?? now + ROOT.lifetime),
      spki: key.spki,
      extensions: [
        extension.basicConstraints(true),
        extension.keyUsage(ROOT.keyUsage),
        ...(isEmpty(input.constraints) ? [] : [extension.nameConstraints(input.constraints)]),
        extension.subjectKeyId(keyId),
        extension.authorityKeyId(keyId),
      ],
    },
    key,
  );
  await checkSigned(parseCertificate(certificate), key.spki);
  return certificate;
}

/**
 * A certificate under a profile, DER. It ends no later than its issuer, keeps to the issuer's name constraints, and is
 * verified before it is handed out.
 *
 * @throws TlsError `ERR_TLS_OPTION` for what the profile, the issuer or RFC 5280 does not allow; `ERR_TLS_KEY` when the
 * signer is not the issuer's.
 *
 * @example
 * ```ts
 * const rootKey = await generateKeyPair("P-256");
 * const root = { certificate: await createRoot({ subject: "example root" }, rootKey), signer: rootKey };
 * const { spki } = await generateKeyPair("P-256");
 * const leaf = await issueCertificate({ profile: "server", spki, dnsNames: ["www.example.com"] }, root);
 * console.log(parseCertificate(leaf).subjectAltName?.dns); // ["www.example.com"]
 * ```
 */
export async function issueCertificate(input: CertificateInput, issuer: Issuer): Promise<Uint8Array> {
  if (!Object.hasOwn(PROFILES, input.profile)) throw refused(`"${input.profile}" is no profile`);
  const profile = PROFILES[input.profile];
  const parent = parseCertificate(issuer.certificate);
  const pathLength = pathLengthBelow(input, parent);
  const weakness = keyProblem(input.spki) ?? (await pointProblem(input.spki));
  if (weakness !== undefined) throw refused(weakness);
  const subject = encodeSubject(input.subject ?? []);
  const isNamed = (input.subject ?? []).length > 0;
  const problem = profile.problem(input, isNamed);
  if (problem !== undefined) throw refused(problem);
  // Self-issued, it would be past path length and name constraints, and its CRLs the issuer's (RFC 5280 3.2, 6.1, 6.3.3).
  if (new DistinguishedName(subject).equals(parent.subject)) throw refused("a subject that is the issuer's own name");
  if (!profile.ca && !isEmpty(input.constraints)) throw refused("name constraints are for CAs (RFC 5280 4.2.1.10)");

  const now = Date.now();
  const notBefore = input.notBefore ?? Math.max(now - SKEW, parent.notBefore);
  const notAfter = Math.min(input.notAfter ?? now + profile.lifetime, parent.notAfter);
  if (parent.notAfter < now) throw refused(`the issuer has expired: ${new Date(parent.notAfter).toISOString()}`);
  const { crlUrls = [], ocspUrls = [], issuerUrls = [] } = input;
  const hasAccess = ocspUrls.length + issuerUrls.length > 0;
  const der = await makeCertificate(
    {
      serialNumber: randomSerialNumber(),
      issuer: parent.subject.der,
      subject,
      ...validity(notBefore, notAfter),
      spki: input.spki,
      extensions: [
        extension.basicConstraints(profile.ca, pathLength),
        extension.keyUsage(profile.keyUsage),
        ...(profile.purposes.length === 0 ? [] : [extension.extendedKeyUsage(profile.purposes)]),
        ...(countNames(input) === 0 ? [] : [extension.subjectAltName(input, !isNamed)]),
        ...(isEmpty(input.constraints) ? [] : [extension.nameConstraints(input.constraints)]),
        ...(profile.noCheck ? [extension.ocspNoCheck()] : []),
        extension.subjectKeyId(await keyIdentifier(input.spki)),
        extension.authorityKeyId(parent.subjectKeyId ?? (await keyIdentifier(parent.publicKey.spki))),
        ...(crlUrls.length === 0 || profile.noCheck ? [] : [extension.crlDistributionPoints(crlUrls.map(httpUrl))]),
        ...(hasAccess
          ? [extension.authorityInfoAccess({ ocsp: ocspUrls.map(httpUrl), issuers: issuerUrls.map(httpUrl) })]
          : []),
      ],
    },
    issuer.signer,
  );
  const certificate = parseCertificate(der);
  const outside = constraintViolation(parent, certificate, () => undefined);
  if (outside !== undefined) throw refused(`the issuer's name constraints do not allow it: ${outside}`);
  // What is certified is what was asked for, byte for byte.
  if (!equal(certificate.publicKey.spki, input.spki)) throw refused("a public key that does not encode back");
  await checkSigned(certificate, parent.publicKey.spki);
  return der;
}

/** The issuer's rights (RFC 5280 4.2.1.3, 4.2.1.9), and what of its path length is left for the one below. */
function pathLengthBelow({ profile, pathLength }: CertificateInput, parent: Certificate): number | undefined {
  const { basicConstraints, keyUsage } = parent;
  if (basicConstraints?.ca !== true) throw refused("the issuer is no CA (RFC 5280 4.2.1.9)");
  if (keyUsage !== undefined && (keyUsage & KeyUsage.keyCertSign) === 0) {
    throw refused("the issuer's key may not sign certificates (RFC 5280 4.2.1.3)");
  }
  const { ca, pathLength: usual } = PROFILES[profile];
  if (!ca) {
    if (pathLength !== undefined) throw refused("a path length is for CAs (RFC 5280 4.2.1.9)");
    return undefined;
  }
  const wanted = pathLength ?? usual ?? 0;
  if (!Number.isSafeInteger(wanted) || wanted < 0 || wanted > 16) throw refused(`a path length of ${wanted}`);
  if (basicConstraints.pathLength !== undefined && wanted >= basicConstraints.pathLength) {
    throw refused(`the issuer's path length of ${basicConstraints.pathLength} leaves no room for one of ${wanted}`);
  }
  return wanted;
}

function validity(notBefore: number, notAfter: number): { notBefore: number; notAfter: number } {
  if (![notBefore, notAfter].every(isWritable)) throw refused("a validity before 1970 or after 9999");
  if (notBefore >= notAfter) {
    throw refused(`a certificate that ends before it begins: ${new Date(notAfter).toISOString()}`);
  }
  return { notBefore, notAfter };
}

async function checkSigned({ tbs, signatureAlgorithm, signature }: Certificate, spki: Uint8Array): Promise<void> {
  const problem = await signatureProblem(spki, signatureAlgorithm, tbs, signature);
  if (problem !== undefined) throw fault("ERR_TLS_KEY", `the signer is not the issuer's: ${problem}`);
}

function isEmpty(constraints: extension.ConstraintsInput | undefined): constraints is undefined {
  return (
    constraints === undefined || countNames(constraints.permitted ?? {}) + countNames(constraints.excluded ?? {}) === 0
  );
}

/** @throws TlsError `ERR_TLS_OPTION` for an address that cannot stand in a certificate. */
export function checkStatusAddresses({ crlUrls = [], ocspUrls = [], issuerUrls = [] }: StatusAddresses): void {
  for (const url of [...crlUrls, ...ocspUrls, ...issuerUrls]) httpUrl(url);
}

/** RFC 5280 4.2.1.13, 4.2.2.1: http, since https would need the very certificate. */
function httpUrl(url: string): string {
  if (url.length > 2048 || !/^http:\/\/[!-~]+$/.test(url)) throw refused(`"${url}" is no http: URL`);
  return url;
}

function refused(detail: string): TlsError {
  return fault("ERR_TLS_OPTION", detail);
}
