/** One chain for each way in which revocation, pins, profiles, limits and syntax refuse it. */
import { concat } from "../../src/bytes/bytes.ts";
import { writePem } from "../../src/bytes/pem.ts";
import { KeyUsage } from "../../src/x509/certificate.ts";
import { rfc5280Profile } from "../../src/x509/profiles.ts";
import { type RevocationOptions, revocationChecker } from "../../src/x509/revocation.ts";
import { encodeBitString, encodeOid, encodeSequence } from "../support/der.ts";
import { DAY, makeAuthority, makeCertificate, type TestCertificate } from "../support/pki.ts";
import {
  distributionPoint,
  makeCrl,
  makeOcspResponse,
  mustStaple,
  scope,
  serialOf,
  type TestCrlOptions,
  unknownCritical,
} from "../support/status.ts";
import { type Chain, leaf, middle, type Rejected, root, under, unspecified } from "./cases.ts";

/** A leaf under the root, held against one CRL. */
async function listed(
  crl: (end: TestCertificate) => Partial<TestCrlOptions>,
  revocation: Partial<RevocationOptions> = {},
): Promise<Chain> {
  const chain = await leaf();
  const crls = [await makeCrl({ issuer: root, ...crl(chain.sent[0] as TestCertificate) })];
  return { ...chain, crls, options: { revocation: revocationChecker({ mode: "hard-fail", crls, ...revocation }) } };
}

/** A leaf under the root with this response. */
async function stapled(
  staple: ((end: TestCertificate) => Promise<Uint8Array>) | undefined,
  revocation: Partial<RevocationOptions> = {},
): Promise<Chain> {
  const chain = await leaf();
  const options = { revocation: revocationChecker({ mode: "soft-fail", ...revocation }) };
  const response = await staple?.(chain.sent[0] as TestCertificate);
  return { ...chain, options, ...(response && { staple: response }) };
}

/** The certificate with its encoding changed. */
function damaged(certificate: TestCertificate, change: (der: Uint8Array) => Uint8Array): TestCertificate {
  const der = change(certificate.der);
  return { ...certificate, der, pem: writePem("CERTIFICATE", der) };
}

const unknownStatus = "certificate_unknown";
const badStatus = "bad_certificate_status_response";

export const REJECTED_STATUS: readonly Rejected[] = [
  {
    title: "revoked by a CRL",
    make: () => listed((end) => ({ entries: [{ serial: serialOf(end), reason: 1 }] })),
    code: "CERT_REVOKED",
    alert: "certificate_revoked",
    reason: /serial number [0-9a-f]+ was revoked at 20.*Z for keyCompromise, as the CRL of CN=test root says/,
  },
  {
    title: "an intermediate revoked by a CRL",
    make: async () => {
      const sent = [await makeCertificate({ issuer: middle }), middle];
      const crls = [
        await makeCrl({ issuer: root, entries: [{ serial: serialOf(middle) }] }),
        await makeCrl({ issuer: middle }),
      ];
      return { sent, trusted: [root], crls, options: { revocation: revocationChecker({ mode: "hard-fail", crls }) } };
    },
    code: "CERT_REVOKED",
    alert: "certificate_revoked",
    reason: /was revoked at 20/,
  },
  {
    title: "revoked by a staple",
    make: () => stapled((certificate) => makeOcspResponse({ certificate, issuer: root, status: "revoked" })),
    code: "CERT_REVOKED",
    alert: "certificate_revoked",
    reason: /as its OCSP responder says/,
    node: null,
  },
  {
    title: "no CRL at hand",
    make: () => listed(() => ({ issuer: middle })),
    code: "UNABLE_TO_GET_CRL",
    alert: unknownStatus,
    reason: /no CRL of its issuer CN=test root is at hand/,
  },
  {
    title: "an expired CRL",
    make: () => listed(() => ({ nextUpdate: Date.now() - DAY / 2 })),
    code: "CRL_HAS_EXPIRED",
    alert: unknownStatus,
    reason: /the CRL of CN=test root counts until 20.*, before 20/,
  },
  {
    title: "a CRL of tomorrow",
    make: () => listed(() => ({ thisUpdate: Date.now() + DAY / 2, nextUpdate: Date.now() + DAY })),
    code: "CRL_NOT_YET_VALID",
    alert: unknownStatus,
    reason: /the CRL of CN=test root is from 20.*, after 20/,
  },
  {
    title: "a CRL by another key",
    make: () => listed(() => ({ signer: middle.pair })),
    code: "CRL_SIGNATURE_FAILURE",
    alert: unknownStatus,
    reason: /the CRL of CN=test root: it is not signed by that key/,
  },
  {
    title: "a CRL with a critical extension that nobody knows",
    make: () => listed(() => ({ extensions: [unknownCritical] })),
    code: "UNHANDLED_CRITICAL_CRL_EXTENSION",
    alert: unknownStatus,
    reason: /critical extension 1\.2\.3\.4 in the CRL of CN=test root is not understood/,
    node: unspecified("node:tls has no code for it"),
  },
  {
    title: "a CRL for CA certificates alone",
    make: () => listed(() => ({ scope: scope({ ca: true }) })),
    code: "DIFFERENT_CRL_SCOPE",
    alert: unknownStatus,
    reason: /the CRL of CN=test root is for CA certificates/,
    node: { code: "UNABLE_TO_GET_CRL", why: "OpenSSL does not count it among the CRLs of the certificate" },
  },
  {
    title: "a CRL without what RFC 5280 5 demands, where that is asked for",
    make: () => listed(() => ({ number: null }), { strictCrls: true }),
    code: "CRL_PARSE_ERROR",
    alert: unknownStatus,
    reason: /the CRL of CN=test root has no CRL number \(RFC 5280 5\.2\.3\)/,
    node: null,
  },
  {
    title: "a CRL whose issuer may not sign CRLs",
    make: async () => {
      const issuer = await makeAuthority({ subject: "no CRLs", issuer: root, keyUsage: KeyUsage.keyCertSign });
      const crls = [await makeCrl({ issuer: root }), await makeCrl({ issuer })];
      const sent = [await makeCertificate({ issuer }), issuer];
      return { sent, trusted: [root], crls, options: { revocation: revocationChecker({ mode: "hard-fail", crls }) } };
    },
    code: "KEYUSAGE_NO_CRL_SIGN",
    alert: unknownStatus,
    reason: /keyUsage of the CRL issuer CN=no CRLs has no cRLSign/,
    node: unspecified("node:tls has no code for it"),
  },
  {
    title: "an indirect CRL whose issuer nobody knows",
    make: async () => {
      const signer = await makeCertificate({ subject: "CRL signer", issuer: root, keyUsage: KeyUsage.cRLSign });
      const chain = await leaf({ extensions: [distributionPoint(undefined, signer)] });
      const crls = [await makeCrl({ issuer: signer, scope: scope({ indirect: true }) })];
      return { ...chain, options: { revocation: revocationChecker({ mode: "hard-fail", crls }) } };
    },
    code: "UNABLE_TO_GET_CRL_ISSUER",
    alert: unknownStatus,
    reason: /no certificate of the CRL issuer CN=CRL signer is at hand/,
    node: null,
  },
  {
    title: "a staple for another certificate",
    make: () => stapled(async () => makeOcspResponse({ certificate: middle, issuer: root })),
    code: "ERR_TLS_STATUS_RESPONSE",
    alert: badStatus,
    reason: /the OCSP response is not acceptable: it is not about this certificate/,
    node: null,
  },
  {
    title: "a staple by another key",
    make: () => stapled((certificate) => makeOcspResponse({ certificate, issuer: root, signer: middle.pair })),
    code: "ERR_TLS_STATUS_RESPONSE",
    alert: badStatus,
    reason: /not acceptable: it is not signed by the issuer/,
    node: null,
  },
  {
    title: "an expired staple",
    make: () =>
      stapled((certificate) =>
        makeOcspResponse({ certificate, issuer: root, thisUpdate: Date.now() - DAY, nextUpdate: Date.now() - DAY / 2 }),
      ),
    code: "ERR_TLS_STATUS_RESPONSE",
    alert: badStatus,
    reason: /not acceptable: it counts until 20/,
    node: null,
  },
  {
    title: "no staple where the policy demands one",
    make: () => stapled(undefined, { mustStaple: "always" }),
    code: "OCSP_VERIFY_NEEDED",
    alert: badStatus,
    reason: /no OCSP response came with it, which the policy here demands/,
    node: null,
  },
  {
    title: "an issuer that demands staples of what it issues, and a certificate that does not say so",
    make: async () => ({
      ...(await under({ extensions: [mustStaple] })),
      options: { revocation: revocationChecker({ mode: "soft-fail" }) },
    }),
    code: "CERT_REJECTED",
    alert: unknownStatus,
    reason: /its issuer demands TLS feature 5 of what it issues/,
    node: null,
  },
  {
    title: "more signatures than may be checked",
    make: async () => ({ ...(await leaf()), options: { maxSignatureChecks: 0 } }),
    code: "CERT_REJECTED",
    alert: unknownStatus,
    reason: /more than 0 signatures were to be checked/,
    node: null,
  },
  {
    title: "more certificates than are read",
    make: async () => ({
      sent: [await makeCertificate({ issuer: middle }), middle],
      trusted: [root],
      options: { maxCertificates: 1 },
    }),
    code: "CERT_CHAIN_TOO_LONG",
    alert: "bad_certificate",
    reason: /2 certificates, at most 1 are read/,
    node: null,
  },
  {
    title: "bytes after the certificate",
    make: async () => {
      const chain = await leaf();
      return { ...chain, sent: chain.sent.map((each) => damaged(each, (der) => concat(der, Uint8Array.of(0)))) };
    },
    code: "CERT_PARSE_ERROR",
    alert: "bad_certificate",
    reason: /1 bytes left over after the certificate/,
    node: null,
  },
  {
    title: "an intermediate cut short",
    make: async () => ({
      sent: [await makeCertificate({ issuer: middle }), damaged(middle, (der) => der.subarray(0, 100))],
      trusted: [root],
    }),
    code: "CERT_PARSE_ERROR",
    alert: "bad_certificate",
    reason: /a length reaches beyond its structure/,
    node: null,
  },
  {
    title: "a key that is no point of its curve",
    make: async () => {
      const pair = (await makeCertificate()).pair;
      const point = concat(Uint8Array.of(4), new Uint8Array(64).fill(9));
      const algorithm = encodeSequence(encodeOid("1.2.840.10045.2.1"), encodeOid("1.2.840.10045.3.1.7"));
      return leaf({ key: { ...pair, spki: encodeSequence(algorithm, encodeBitString(point)) } });
    },
    code: "CERT_PARSE_ERROR",
    alert: "bad_certificate",
    reason: /its key is no point of P-256/,
    node: null,
  },
  {
    title: "a serial number that the profile refuses",
    make: async () => ({
      ...(await leaf({ serialNumber: Uint8Array.of(0) })),
      options: { profile: rfc5280Profile },
    }),
    code: "CERT_PROFILE_VIOLATION",
    alert: "bad_certificate",
    reason: /its serial number is not positive/,
    node: null,
  },
  {
    title: "no key that is pinned",
    make: async () => ({ ...(await leaf()), pins: `sha256//${"A".repeat(43)}=` }),
    code: "CERT_PIN_MISMATCH",
    alert: "bad_certificate",
    reason: /wanted sha256\/\/A+=, the path has sha256\/\/.*, sha256\/\//,
    node: null,
  },
];
