/** A certificate authority that lives as long as the process: for demonstrations and tests. */
import { writePem } from "../bytes/pem.ts";
import { KeyPurpose, KeyUsage } from "../x509/certificate.ts";
import { keyIdentifier, makeCertificate, randomSerialNumber } from "./certificate.ts";
import * as extension from "./extensions.ts";
import { generateKeyPair, type IssuedKeyKind, type KeyPair } from "./keys.ts";
import { type AlternativeNames, countNames, encodeSubject, type SubjectInput } from "./names.ts";

/** How to set up an authority. */
export interface ThrowawayAuthorityOptions {
  /** CN of the root; "mutls throwaway root" by default. */
  readonly name?: string | undefined;
  /** Kind of the keys of root and intermediates; P-256 by default. */
  readonly key?: IssuedKeyKind | undefined;
  /** Intermediate CAs between the root and what is issued; none by default. */
  readonly intermediates?: number | undefined;
  /** ms since the epoch; an hour ago by default. */
  readonly notBefore?: number | undefined;
  /** ms since the epoch; a day from now by default. */
  readonly notAfter?: number | undefined;
}

/** What to issue. Without `server` and `client` the certificate serves for both. */
export interface IssueRequest extends AlternativeNames {
  /** A CN, or attributes in order; empty by default. */
  readonly subject?: SubjectInput | undefined;
  readonly server?: boolean | undefined;
  readonly client?: boolean | undefined;
  /** P-256 by default. */
  readonly key?: IssuedKeyKind | undefined;
  /** ms since the epoch; the authority's by default. */
  readonly notBefore?: number | undefined;
  /** ms since the epoch; the authority's by default. */
  readonly notAfter?: number | undefined;
}

/** A certificate with its chain and its private key. */
export interface IssuedIdentity {
  /** DER, the end entity's first, then the intermediates, without the root. */
  readonly certificates: readonly [Uint8Array, ...Uint8Array[]];
  /** The same as PEM. */
  readonly certificatePem: string;
  /** PKCS#8, DER. */
  readonly privateKey: Uint8Array;
  /** PKCS#8, PEM. */
  readonly privateKeyPem: string;
}

/** A root with its intermediates. The keys never leave it. */
export interface ThrowawayAuthority {
  /** The root, DER. */
  readonly certificate: Uint8Array;
  /** The root, PEM. */
  readonly certificatePem: string;
  issue(request: IssueRequest): Promise<IssuedIdentity>;
}

const HOUR = 3_600_000;

/**
 * A fresh authority. Everything it issues is worthless once the process ends.
 *
 * @example
 * ```ts
 * const authority = await createThrowawayAuthority();
 * const server = await authority.issue({ subject: "localhost", dnsNames: ["localhost"], server: true });
 * console.log(server.certificates.length); // 1
 * ```
 */
export async function createThrowawayAuthority(options: ThrowawayAuthorityOptions = {}): Promise<ThrowawayAuthority> {
  const now = Date.now();
  const validity = { notBefore: options.notBefore ?? now - HOUR, notAfter: options.notAfter ?? now + 24 * HOUR };
  const name = options.name ?? "mutls throwaway root";
  const kind = options.key ?? "P-256";
  const root = await createAuthority(name, await generateKeyPair(kind), undefined, validity);
  let issuer = root;
  const intermediates: Uint8Array[] = [];
  for (let i = 1; i <= (options.intermediates ?? 0); i++) {
    issuer = await createAuthority(`${name}, intermediate ${i}`, await generateKeyPair(kind), issuer, validity);
    intermediates.unshift(issuer.certificate);
  }
  return {
    certificate: root.certificate,
    certificatePem: writePem("CERTIFICATE", root.certificate),
    issue: (request) => issueIdentity(request, validity, issuer, intermediates),
  };
}

/** An issuing key with its certificate. */
interface Authority {
  readonly name: Uint8Array;
  readonly keyId: Uint8Array;
  readonly pair: KeyPair;
  readonly certificate: Uint8Array;
}

interface Validity {
  readonly notBefore: number;
  readonly notAfter: number;
}

async function createAuthority(
  commonName: string,
  pair: KeyPair,
  issuer: Authority | undefined,
  validity: Validity,
): Promise<Authority> {
  const name = encodeSubject(commonName);
  const keyId = await keyIdentifier(pair.spki);
  const certificate = await makeCertificate(
    {
      ...validity,
      serialNumber: randomSerialNumber(),
      issuer: issuer?.name ?? name,
      subject: name,
      spki: pair.spki,
      extensions: [
        extension.basicConstraints(true),
        extension.keyUsage(KeyUsage.keyCertSign | KeyUsage.cRLSign),
        extension.subjectKeyId(keyId),
        ...(issuer === undefined ? [] : [extension.authorityKeyId(issuer.keyId)]),
      ],
    },
    issuer?.pair ?? pair,
  );
  return { name, keyId, pair, certificate };
}

async function issueIdentity(
  request: IssueRequest,
  validity: Validity,
  issuer: Authority,
  intermediates: readonly Uint8Array[],
): Promise<IssuedIdentity> {
  const pair = await generateKeyPair(request.key ?? "P-256");
  const certificate = await makeCertificate(
    {
      serialNumber: randomSerialNumber(),
      issuer: issuer.name,
      subject: encodeSubject(request.subject ?? []),
      notBefore: request.notBefore ?? validity.notBefore,
      notAfter: request.notAfter ?? validity.notAfter,
      spki: pair.spki,
      extensions: endEntityExtensions(request, issuer.keyId, await keyIdentifier(pair.spki)),
    },
    issuer.pair,
  );
  const certificates = [certificate, ...intermediates] as const;
  return {
    certificates,
    certificatePem: certificates.map((der) => writePem("CERTIFICATE", der)).join(""),
    privateKey: pair.pkcs8,
    privateKeyPem: writePem("PRIVATE KEY", pair.pkcs8),
  };
}

function endEntityExtensions(
  request: IssueRequest,
  authorityKeyId: Uint8Array,
  keyId: Uint8Array,
): extension.ExtensionInput[] {
  const both = request.server !== true && request.client !== true;
  const purposes = [
    ...(both || request.server === true ? [KeyPurpose.serverAuth] : []),
    ...(both || request.client === true ? [KeyPurpose.clientAuth] : []),
  ];
  const unnamed = request.subject === undefined || request.subject.length === 0;
  return [
    extension.basicConstraints(false),
    extension.keyUsage(KeyUsage.digitalSignature),
    extension.extendedKeyUsage(purposes),
    ...(countNames(request) === 0 ? [] : [extension.subjectAltName(request, unnamed)]),
    extension.subjectKeyId(keyId),
    extension.authorityKeyId(authorityKeyId),
  ];
}
