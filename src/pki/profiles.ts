/** What each kind of certificate is for, as a table (RFC 5280 4.2.1, RFC 6960 4.2.2.2, SPIFFE X509-SVID 4). */
import { KeyPurpose, KeyUsage } from "../x509/certificate.ts";
import { type AlternativeNames, countNames } from "./names.ts";

/** One kind of certificate. */
export interface CertificateProfile {
  readonly ca: boolean;
  /** CAs below it, where it is one. */
  readonly pathLength?: number;
  /** Bits of `KeyUsage`. */
  readonly keyUsage: number;
  /** OIDs for extKeyUsage; none: no such extension. */
  readonly purposes: readonly string[];
  /** How long it lives unless told otherwise, ms. */
  readonly lifetime: number;
  /** True for one that nobody need ask the status of. */
  readonly noCheck?: true;
  /** What is wrong with the names, as a sentence. */
  readonly problem: (names: AlternativeNames, isNamed: boolean) => string | undefined;
}

/** The kinds by name. */
export type ProfileName = "server" | "client" | "both" | "spiffe" | "intermediate" | "ocsp";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const { clientAuth, serverAuth, ocspSigning } = KeyPurpose;
const leaf = { ca: false, keyUsage: KeyUsage.digitalSignature, lifetime: DAY };

const hosts = ({ dnsNames = [], ipAddresses = [] }: AlternativeNames) =>
  dnsNames.length + ipAddresses.length > 0
    ? undefined
    : "a server's certificate needs a DNS name or an IP address in subjectAltName: clients look nowhere else (RFC 9525 6.3)";

const anyName = (names: AlternativeNames, isNamed: boolean) =>
  isNamed || countNames(names) > 0 ? undefined : "a certificate needs a subject or a name in subjectAltName";

/** SPIFFE-ID 2: no empty, `.` or `..` segment, at most 2048 bytes. */
const SPIFFE_ID = /^(?=.{1,2048}$)(?!.*\/\.{1,2}(?:\/|$))spiffe:\/\/[a-z0-9._-]{1,255}(?:\/[A-Za-z0-9._-]+)*$/;

const svid = ({ uris = [] }: AlternativeNames) =>
  uris.length === 1 && SPIFFE_ID.test(uris[0] as string)
    ? undefined
    : "an X509-SVID has exactly one URI, its SPIFFE ID: spiffe://trust-domain/path (X509-SVID 2)";

const subjectOnly = (names: AlternativeNames, isNamed: boolean) => {
  if (!isNamed) return "the issuer of anything needs a subject (RFC 5280 4.1.2.6)";
  return countNames(names) === 0 ? undefined : "no names but the subject stand in such a certificate";
};

/** How each is issued. */
export const PROFILES: { readonly [Name in ProfileName]: CertificateProfile } = {
  server: { ...leaf, purposes: [serverAuth], problem: hosts },
  client: { ...leaf, purposes: [clientAuth], problem: anyName },
  both: { ...leaf, purposes: [serverAuth, clientAuth], problem: hosts },
  spiffe: { ...leaf, purposes: [serverAuth, clientAuth], problem: svid },
  intermediate: {
    ca: true,
    pathLength: 0,
    keyUsage: KeyUsage.keyCertSign | KeyUsage.cRLSign,
    purposes: [],
    lifetime: 5 * 365 * DAY,
    problem: subjectOnly,
  },
  ocsp: { ...leaf, purposes: [ocspSigning], noCheck: true, problem: subjectOnly },
};

/** What a root's key may do, and how long it lives, ms. */
export const ROOT = { keyUsage: KeyUsage.keyCertSign | KeyUsage.cRLSign, lifetime: 10 * 365 * DAY } as const;
