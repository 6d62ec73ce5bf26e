/** Who the peer is: what a verified certificate says, as one typed value. */
import { toHex } from "../bytes/hex.ts";
import type { CryptoProvider } from "../crypto/provider.ts";
import { formatAddress } from "./address.ts";
import { type Certificate, KeyUsage } from "./certificate.ts";
import { AttributeType } from "./distinguished.ts";

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
  /** The only URI name, when it is the SPIFFE ID of a leaf: with a path, and not on a CA's certificate (X509-SVID 5.2). */
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

/** Names of at most this many octets are SPIFFE IDs (SPIFFE-ID 2.3). */
const MAX_SPIFFE_ID = 2048;
const SPIFFE_ID = /^spiffe:\/\/[a-z0-9._-]{1,255}(?:\/[A-Za-z0-9._-]+)+$/;

/**
 * The identity in a certificate.
 *
 * @param path - From the peer's certificate to the anchor; the certificate alone when nothing was verified.
 * @param provider - For the fingerprint.
 */
export function peerIdentity(
  path: readonly [Certificate, ...Certificate[]],
  role: "client" | "server",
  verified: boolean,
  provider: CryptoProvider,
): PeerIdentity {
  const [certificate] = path;
  const facts: Facts = {
    role,
    verified,
    notBefore: certificate.notBefore,
    notAfter: certificate.notAfter,
    certificate,
    path,
    anchor: verified ? path[path.length - 1] : undefined,
  };
  Object.defineProperty(facts, PROVIDER, { value: provider });
  return Object.defineProperties(facts, TEXTS) as PeerIdentity;
}

/** Hashes for an identity's fingerprint. */
const PROVIDER = /* @__PURE__ */ Symbol();

type Facts = Pick<PeerIdentity, "role" | "verified" | "notBefore" | "notAfter" | "certificate" | "path" | "anchor"> & {
  readonly [PROVIDER]?: CryptoProvider;
};

/** Made when somebody asks: most connections never look at most of them. */
const text = <T>(make: (facts: Facts) => T) => ({
  enumerable: true,
  get(this: Facts): T {
    return make(this);
  },
});

/**
 * All identities share these accessors: V8 keeps the shape of an object with accessors of its own, and all that they close
 * over, until a full collection.
 */
const TEXTS: {
  readonly [Name in Exclude<keyof PeerIdentity, keyof Facts>]: TypedPropertyDescriptor<PeerIdentity[Name]>;
} = {
  subject: /* @__PURE__ */ text(({ certificate }) => certificate.subject.text),
  commonName: /* @__PURE__ */ text(({ certificate }) => certificate.subject.values(AttributeType.commonName)[0]),
  organizations: /* @__PURE__ */ text(({ certificate }) => certificate.subject.values(AttributeType.organization)),
  organizationalUnits: /* @__PURE__ */ text(({ certificate }) =>
    certificate.subject.values(AttributeType.organizationalUnit),
  ),
  names: /* @__PURE__ */ text(({ certificate: { subjectAltName } }) => ({
    dns: subjectAltName?.dns ?? [],
    ip: subjectAltName?.ip.map(formatAddress) ?? [],
    email: subjectAltName?.email ?? [],
    uri: subjectAltName?.uri ?? [],
    directory: subjectAltName?.directory.map(({ text }) => text) ?? [],
  })),
  spiffeId: /* @__PURE__ */ text(({ certificate }) => {
    const uri = certificate.subjectAltName?.uri ?? [];
    return uri.length === 1 && isSpiffeId(uri[0] as string) && !signs(certificate) ? uri[0] : undefined;
  }),
  issuer: /* @__PURE__ */ text(({ certificate }) => certificate.issuer.text),
  issuerChain: /* @__PURE__ */ text(({ path }) => path.slice(1).map(({ subject }) => subject.text)),
  serialNumber: /* @__PURE__ */ text(({ certificate }) => toHex(certificate.serialNumber)),
  fingerprint256: /* @__PURE__ */ text(({ certificate, [PROVIDER]: provider }) =>
    toHex((provider as CryptoProvider).hashes.sha256.digest(certificate.der)),
  ),
};

/** Signing certificates are for validation alone: their SPIFFE IDs authenticate nobody (X509-SVID 3.2, 5.2). */
function signs({ basicConstraints, keyUsage = 0 }: Certificate): boolean {
  return basicConstraints?.ca === true || (keyUsage & (KeyUsage.keyCertSign | KeyUsage.cRLSign)) !== 0;
}

/** SPIFFE-ID 2: no empty, `.` or `..` segment. */
function isSpiffeId(uri: string): boolean {
  return uri.length <= MAX_SPIFFE_ID && SPIFFE_ID.test(uri) && !/\/\.{1,2}(?:\/|$)/.test(uri.slice("spiffe://".length));
}
