/** A parsed X.509 certificate as a plain value (RFC 5280 4.1). */
import type { PublicKey } from "../crypto/provider.ts";
import type { DistinguishedName } from "./distinguished.ts";

/** An extension as encoded. */
export interface Extension {
  /** Dotted decimal. */
  readonly oid: string;
  readonly critical: boolean;
  /** Contents of extnValue, DER of the extension's own type. */
  readonly value: Uint8Array;
}

/** Bits of KeyUsage by their RFC 5280 4.2.1.3 number. */
export const KeyUsage = {
  digitalSignature: 1 << 0,
  nonRepudiation: 1 << 1,
  keyEncipherment: 1 << 2,
  dataEncipherment: 1 << 3,
  keyAgreement: 1 << 4,
  keyCertSign: 1 << 5,
  cRLSign: 1 << 6,
  encipherOnly: 1 << 7,
  decipherOnly: 1 << 8,
} as const;

/** Purposes of extKeyUsage, RFC 5280 4.2.1.12. */
export const KeyPurpose = {
  any: "2.5.29.37.0",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
  ocspSigning: "1.3.6.1.5.5.7.3.9",
} as const;

/** GeneralNames sorted by form (RFC 5280 4.2.1.6). Text is ASCII as encoded. */
export interface GeneralNames {
  readonly dns: readonly string[];
  /** 4 or 16 bytes each; in name constraints 8 or 32, address and mask. */
  readonly ip: readonly Uint8Array[];
  readonly email: readonly string[];
  readonly uri: readonly string[];
  readonly directory: readonly DistinguishedName[];
  readonly other: readonly OtherName[];
  /** Tag numbers of further forms present: 3 x400Address, 5 ediPartyName, 8 registeredID. */
  readonly unread: readonly number[];
}

/** An `otherName`. */
export interface OtherName {
  /** Dotted decimal. */
  readonly type: string;
  /** DER of the value inside its [0]. */
  readonly value: Uint8Array;
}

/** RFC 5280 4.2.1.10 */
export interface NameConstraints {
  readonly permitted: GeneralNames;
  readonly excluded: GeneralNames;
}

/** A certificate, checked for syntax and not for trust. All byte arrays are views of `der`. */
export interface Certificate {
  readonly der: Uint8Array;
  /** What is signed, tag and length included. */
  readonly tbs: Uint8Array;
  readonly version: 1 | 2 | 3;
  /** Contents of the INTEGER. */
  readonly serialNumber: Uint8Array;
  /** AlgorithmIdentifier, DER; the one inside `tbs` is the same. */
  readonly signatureAlgorithm: Uint8Array;
  readonly signature: Uint8Array;
  readonly issuer: DistinguishedName;
  readonly subject: DistinguishedName;
  /** ms since the epoch; the first moment at which it is valid. */
  readonly notBefore: number;
  /** ms since the epoch; the last second in which it is valid. */
  readonly notAfter: number;
  readonly publicKey: PublicKey;
  /** In order, none twice. */
  readonly extensions: readonly Extension[];
  /** OIDs of the critical extensions that nothing here understands. */
  readonly unhandledCritical: readonly string[];
  readonly basicConstraints: { readonly ca: boolean; readonly pathLength: number | undefined } | undefined;
  /** Bits of {@link KeyUsage}; `undefined` where the extension is absent: no restriction. */
  readonly keyUsage: number | undefined;
  /** OIDs; `undefined` where the extension is absent: no restriction. */
  readonly extendedKeyUsage: readonly string[] | undefined;
  readonly subjectAltName: GeneralNames | undefined;
  readonly nameConstraints: NameConstraints | undefined;
  /** Policy OIDs; `undefined` where the extension is absent: valid under none. */
  readonly policies: readonly string[] | undefined;
  readonly policyMappings: readonly { readonly issuer: string; readonly subject: string }[] | undefined;
  readonly policyConstraints:
    | { readonly requireExplicit: number | undefined; readonly inhibitMapping: number | undefined }
    | undefined;
  readonly inhibitAnyPolicy: number | undefined;
  /** keyIdentifier of authorityKeyIdentifier. */
  readonly authorityKeyId: Uint8Array | undefined;
  readonly subjectKeyId: Uint8Array | undefined;
}
