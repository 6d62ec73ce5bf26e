/** `mutls/pki`: keys, requests, certificates, CRLs and OCSP answers. WebCrypto is all that it needs: it runs in pages too. */
import "../explained.ts";

export { writePem } from "../bytes/pem.ts";
export { parseCrl } from "../x509/crl.ts";
export { parseCertificate } from "../x509/parse.ts";
export { type CrlInput, createCrl, type RevocationEntry } from "./crl.ts";
export { createCertificationRequest, type RequestInput } from "./csr.ts";
export { type CertificationRequest, readCertificationRequest } from "./csr-read.ts";
export * from "./exchange.ts";
export type { ConstraintsInput } from "./extensions.ts";
export {
  type CertificateInput,
  createRoot,
  type Issuer,
  issueCertificate,
  type RootInput,
  type StatusAddresses,
} from "./issuer.ts";
export {
  type CertificateSigner,
  certificateSigner,
  generateKeyPair,
  type IssuedKeyKind,
  importCertificateSigner,
  type KeyKind,
  type KeyPair,
  type SubjectKey,
  subjectKey,
} from "./keys.ts";
export {
  type AlternativeNames,
  alternativeNamesOf,
  parseSubject,
  type SubjectAttribute,
  type SubjectInput,
  subjectOf,
} from "./names.ts";
export {
  type CertificateStatus,
  createOcspResponse,
  isIssuedBy,
  type OcspAnswer,
  type OcspRequest,
  type OcspResponder,
  ocspRefusal,
  type RequestedStatus,
  readOcspRequest,
} from "./ocsp.ts";
export type { ProfileName } from "./profiles.ts";
export {
  createThrowawayAuthority,
  type IssuedIdentity,
  type IssueRequest,
  type ThrowawayAuthority,
  type ThrowawayAuthorityOptions,
} from "./throwaway.ts";
