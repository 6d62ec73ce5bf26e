/** Who the peer is: what a verified certificate says, as one typed value. */
import type { Certificate } from "./certificate.ts";

/** The peer's names by kind, as text. */
export interface PeerNames {
  readonly dns: readonly string[];
  /** Dotted decimal or RFC 5952. */
  readonly ip: readonly string[];
  readonly email: readonly string[];
  readonly uri: readonly string[];
  /** RFC 4514 strings. */
  readonly directory: readonly string[];
}

/** A peer's certificate and the path that verified it. */
export interface PeerIdentity {
  /** Whose certificate it is. */
  readonly role: "client" | "server";
  /** False when verification was turned off: then nothing here may be believed. */
  readonly verified: boolean;
  /** RFC 4514 string. */
  readonly subject: string;
  /** The first CN of the subject. */
  readonly commonName: string | undefined;
  readonly organizations: readonly string[];
  readonly organizationalUnits: readonly string[];
  readonly names: PeerNames;
  /** The only URI name, when it is a SPIFFE ID. */
  readonly spiffeId: string | undefined;
  /** RFC 4514 string. */
  readonly issuer: string;
  /** Subjects of the issuers, from the certificate's own to the trust anchor, RFC 4514 strings. */
  readonly issuerChain: readonly string[];
  /** Hexadecimal, lower case. */
  readonly serialNumber: string;
  /** SHA-256 of the certificate, hexadecimal, lower case. */
  readonly fingerprint256: string;
  /** ms since the epoch. */
  readonly notBefore: number;
  /** ms since the epoch. */
  readonly notAfter: number;
  /** The peer's certificate; its `publicKey` checks CertificateVerify. */
  readonly certificate: Certificate;
  /** From the peer's certificate to the anchor, both included; the certificate alone when not verified. */
  readonly path: readonly Certificate[];
  /** The certificate of the trust store that the path ends in. */
  readonly anchor: Certificate | undefined;
}
