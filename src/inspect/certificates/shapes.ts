/** What stands where in a certificate, RFC 5280 4.1 and 4.2: the table that fields.ts walks. */
import { contextConstructed, contextPrimitive, Tag } from "../../bytes/der.ts";

/** One element of a structure. */
export interface DerShape {
  readonly name: string;
  /** `RFC 5280 4.1.2.2` */
  readonly section: string;
  readonly note: string;
  /** Identifier octet; an element with another one is not this but what comes after it in the list. */
  readonly tag?: number;
  /** What a SEQUENCE holds, in order. */
  readonly fields?: readonly DerShape[];
  /** What each element of a SEQUENCE OF or SET OF is. */
  readonly items?: DerShape;
  /** What each element is by its identifier octet. */
  readonly choices?: ReadonlyMap<number, DerShape>;
  /** Its OCTET STRING is the encoding of what the object identifier before it says. */
  readonly byOid?: ReadonlyMap<string, DerShape>;
  /** Names of the bits of a BIT STRING, from bit 0. */
  readonly bits?: readonly string[];
  /** An IP address. */
  readonly address?: true;
}

function shape(section: string, name: string, note: string, more: Partial<DerShape> = {}): DerShape {
  return { name, section: section.startsWith("RFC") ? section : `RFC 5280 ${section}`, note, ...more };
}

const attribute = shape("4.1.2.4", "AttributeTypeAndValue", "one part of a name", {
  fields: [shape("4.1.2.4", "type", "which part"), shape("4.1.2.4", "value", "its text")],
});
const name = (section: string, field: string, note: string, more: Partial<DerShape> = {}) =>
  shape(section, field, note, {
    items: shape("4.1.2.4", "RelativeDistinguishedName", "a level of the name, most often of one part", {
      items: attribute,
    }),
    ...more,
  });
const algorithm = (section: string, field: string, note: string) =>
  shape(section, field, note, {
    fields: [
      shape("4.1.1.2", "algorithm", "which one"),
      shape("4.1.1.2", "parameters", "what the algorithm needs besides"),
    ],
  });

/** RFC 5280 4.2.1.6 */
const GENERAL_NAMES: ReadonlyMap<number, DerShape> = new Map(
  [
    shape("4.2.1.6", "otherName", "of a type of its own", { tag: contextConstructed(0) }),
    shape("4.2.1.6", "rfc822Name", "a mail address", { tag: contextPrimitive(1) }),
    shape("4.2.1.6", "dNSName", "a host, or with * all below a domain", { tag: contextPrimitive(2) }),
    shape("4.2.1.6", "directoryName", "an X.500 name", { tag: contextConstructed(4) }),
    shape("4.2.1.6", "uniformResourceIdentifier", "a URI", { tag: contextPrimitive(6) }),
    shape("4.2.1.6", "iPAddress", "4 or 16 bytes", { tag: contextPrimitive(7), address: true }),
  ].map((choice) => [choice.tag as number, choice]),
);

const generalNames = (section: string, field: string, note: string, more: Partial<DerShape> = {}) =>
  shape(section, field, note, { choices: GENERAL_NAMES, ...more });

const KEY_USAGES = [
  "digitalSignature",
  "nonRepudiation",
  "keyEncipherment",
  "dataEncipherment",
  "keyAgreement",
  "keyCertSign",
  "cRLSign",
  "encipherOnly",
  "decipherOnly",
];

/** Extensions by their object identifier. */
const EXTENSIONS: ReadonlyMap<string, DerShape> = new Map([
  ["2.5.29.14", shape("4.2.1.2", "SubjectKeyIdentifier", "names this key, for those it has signed")],
  ["2.5.29.15", shape("4.2.1.3", "KeyUsage", "what the key may do", { bits: KEY_USAGES })],
  ["2.5.29.17", generalNames("4.2.1.6", "SubjectAltName", "who the certificate is for: what clients compare")],
  [
    "2.5.29.19",
    shape("4.2.1.9", "BasicConstraints", "whether it may issue certificates", {
      fields: [
        shape("4.2.1.9", "cA", "true: it may; left out: it may not", { tag: Tag.boolean }),
        shape("4.2.1.9", "pathLenConstraint", "how many CAs may stand below it", { tag: Tag.integer }),
      ],
    }),
  ],
  ["2.5.29.30", shape("4.2.1.10", "NameConstraints", "which names it may issue for")],
  ["2.5.29.31", shape("4.2.1.13", "CRLDistributionPoints", "where it is told whether this certificate is revoked")],
  [
    "2.5.29.32",
    shape("4.2.1.4", "CertificatePolicies", "the rules it was issued by", {
      items: shape("4.2.1.4", "PolicyInformation", "one policy", {
        fields: [
          shape("4.2.1.4", "policyIdentifier", "which one"),
          shape("4.2.1.4", "policyQualifiers", "where it can be read"),
        ],
      }),
    }),
  ],
  [
    "2.5.29.35",
    shape("4.2.1.1", "AuthorityKeyIdentifier", "names the issuer's key", {
      fields: [
        shape("4.2.1.1", "keyIdentifier", "the issuer's SubjectKeyIdentifier", { tag: contextPrimitive(0) }),
        generalNames("4.2.1.1", "authorityCertIssuer", "who issued the issuer", { tag: contextConstructed(1) }),
        shape("4.2.1.1", "authorityCertSerialNumber", "the issuer's own number", { tag: contextPrimitive(2) }),
      ],
    }),
  ],
  [
    "2.5.29.37",
    shape("4.2.1.12", "ExtKeyUsage", "what the certificate is for", {
      items: shape("4.2.1.12", "KeyPurposeId", "one purpose"),
    }),
  ],
  [
    "1.3.6.1.5.5.7.1.1",
    shape("4.2.2.1", "AuthorityInfoAccess", "where to ask for its status, and for its issuer's certificate", {
      items: shape("4.2.2.1", "AccessDescription", "one place", {
        fields: [
          shape("4.2.2.1", "accessMethod", "for what"),
          shape("4.2.2.1", "accessLocation", "where", { tag: contextPrimitive(6) }),
        ],
      }),
    }),
  ],
  [
    "1.3.6.1.5.5.7.1.24",
    shape("RFC 7633 4", "TLSFeature", "extensions of TLS that its server promises, such as a stapled status"),
  ],
  ["1.3.6.1.4.1.11129.2.4.2", shape("RFC 6962 3.3", "SignedCertificateTimestampList", "logs that have seen it")],
]);

const extension = shape("4.1", "Extension", "one extension", {
  fields: [
    shape("4.2", "extnID", "which one", { tag: Tag.oid }),
    shape("4.2", "critical", "true: refuse the certificate where this is not understood", { tag: Tag.boolean }),
    shape("4.2", "extnValue", "its value, an encoding in the encoding", { tag: Tag.octetString, byOid: EXTENSIONS }),
  ],
});

/** RFC 5280 4.1 */
export const CERTIFICATE: DerShape = shape("4.1", "Certificate", "what is signed, how, and the signature", {
  fields: [
    shape("4.1.1.1", "tbsCertificate", "what the issuer signs", {
      fields: [
        shape("4.1.2.1", "version", "2 means version 3, the one with extensions", {
          tag: contextConstructed(0),
          fields: [shape("4.1.2.1", "number", "counted from 0")],
        }),
        shape("4.1.2.2", "serialNumber", "unique among what the issuer has issued; at most 20 bytes"),
        algorithm("4.1.2.3", "signature", "the algorithm of the signature below, here where it is signed too"),
        name("4.1.2.4", "issuer", "who has issued it"),
        shape("4.1.2.5", "validity", "from when to when", {
          fields: [
            shape("4.1.2.5", "notBefore", "not before this second"),
            shape("4.1.2.5", "notAfter", "not after this second"),
          ],
        }),
        name("4.1.2.6", "subject", "whose it is; empty where SubjectAltName says it all"),
        shape("4.1.2.7", "subjectPublicKeyInfo", "the key that is certified", {
          fields: [
            algorithm("4.1.2.7", "algorithm", "the kind of key"),
            shape("4.1.2.7", "subjectPublicKey", "the key itself"),
          ],
        }),
        shape("4.1.2.8", "issuerUniqueID", "not to be used", { tag: contextPrimitive(1) }),
        shape("4.1.2.8", "subjectUniqueID", "not to be used", { tag: contextPrimitive(2) }),
        shape("4.1.2.9", "extensions", "all the rest", {
          tag: contextConstructed(3),
          fields: [shape("4.1.2.9", "Extensions", "a list of them", { items: extension })],
        }),
      ],
    }),
    algorithm("4.1.1.2", "signatureAlgorithm", "how the issuer has signed; the same as inside"),
    shape("4.1.1.3", "signatureValue", "over every byte of tbsCertificate"),
  ],
});

/** Object identifiers by their names. */
export const OIDS: ReadonlyMap<string, string> = new Map([
  ["2.5.4.3", "commonName"],
  ["2.5.4.4", "surname"],
  ["2.5.4.5", "serialNumber"],
  ["2.5.4.6", "countryName"],
  ["2.5.4.7", "localityName"],
  ["2.5.4.8", "stateOrProvinceName"],
  ["2.5.4.10", "organizationName"],
  ["2.5.4.11", "organizationalUnitName"],
  ["1.2.840.113549.1.9.1", "emailAddress"],
  ["0.9.2342.19200300.100.1.25", "domainComponent"],
  ["1.2.840.10045.2.1", "ecPublicKey"],
  ["1.2.840.10045.3.1.7", "P-256"],
  ["1.3.132.0.34", "P-384"],
  ["1.3.132.0.35", "P-521"],
  ["1.2.840.10045.4.3.2", "ecdsa-with-SHA256"],
  ["1.2.840.10045.4.3.3", "ecdsa-with-SHA384"],
  ["1.2.840.10045.4.3.4", "ecdsa-with-SHA512"],
  ["1.2.840.113549.1.1.1", "rsaEncryption"],
  ["1.2.840.113549.1.1.5", "sha1WithRSAEncryption"],
  ["1.2.840.113549.1.1.10", "RSASSA-PSS"],
  ["1.2.840.113549.1.1.11", "sha256WithRSAEncryption"],
  ["1.2.840.113549.1.1.12", "sha384WithRSAEncryption"],
  ["1.2.840.113549.1.1.13", "sha512WithRSAEncryption"],
  ["1.3.101.112", "Ed25519"],
  ["1.3.101.113", "Ed448"],
  ["2.16.840.1.101.3.4.3.17", "ML-DSA-44"],
  ["2.16.840.1.101.3.4.3.18", "ML-DSA-65"],
  ["2.16.840.1.101.3.4.3.19", "ML-DSA-87"],
  ["2.5.29.14", "subjectKeyIdentifier"],
  ["2.5.29.15", "keyUsage"],
  ["2.5.29.17", "subjectAltName"],
  ["2.5.29.18", "issuerAltName"],
  ["2.5.29.19", "basicConstraints"],
  ["2.5.29.30", "nameConstraints"],
  ["2.5.29.31", "cRLDistributionPoints"],
  ["2.5.29.32", "certificatePolicies"],
  ["2.5.29.32.0", "anyPolicy"],
  ["2.5.29.35", "authorityKeyIdentifier"],
  ["2.5.29.36", "policyConstraints"],
  ["2.5.29.37", "extKeyUsage"],
  ["2.5.29.37.0", "anyExtendedKeyUsage"],
  ["2.5.29.54", "inhibitAnyPolicy"],
  ["1.3.6.1.5.5.7.1.1", "authorityInfoAccess"],
  ["1.3.6.1.5.5.7.1.24", "tlsFeature"],
  ["1.3.6.1.5.5.7.3.1", "serverAuth"],
  ["1.3.6.1.5.5.7.3.2", "clientAuth"],
  ["1.3.6.1.5.5.7.3.3", "codeSigning"],
  ["1.3.6.1.5.5.7.3.4", "emailProtection"],
  ["1.3.6.1.5.5.7.3.8", "timeStamping"],
  ["1.3.6.1.5.5.7.3.9", "OCSPSigning"],
  ["1.3.6.1.5.5.7.48.1", "ocsp"],
  ["1.3.6.1.5.5.7.48.2", "caIssuers"],
  ["1.3.6.1.4.1.11129.2.4.2", "signedCertificateTimestamps"],
]);
