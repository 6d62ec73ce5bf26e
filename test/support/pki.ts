/** Certificates for tests: right in everything but what a test asks to be wrong. */

import { derEncode, Tag } from "../../src/bytes/der.ts";
import { writePem } from "../../src/bytes/pem.ts";
import { type CertificateSigner, generateKeyPair, type IssuedKeyKind, type KeyPair } from "../../src/pki/keys.ts";
import { KeyPurpose, KeyUsage } from "../../src/x509/certificate.ts";
import {
  type ExtensionInput,
  encodeName,
  encodeOid,
  encodeSequence,
  extension,
  generalName,
  type SubjectInput,
} from "./der.ts";
import { issueCertificate, keyIdentifier, randomSerialNumber } from "./issue.ts";

/** A certificate with its key, ready to issue others or to be presented. */
export interface TestCertificate {
  readonly der: Uint8Array;
  readonly pem: string;
  readonly pair: KeyPair;
  readonly privateKeyPem: string;
  readonly name: Uint8Array;
  readonly keyId: Uint8Array;
}

/** What to make; everything left out is as it should be. */
export interface TestCertificateOptions {
  readonly subject?: SubjectInput;
  /** Itself where left out. */
  readonly issuer?: TestCertificate;
  readonly key?: IssuedKeyKind | KeyPair;
  readonly ca?: boolean;
  readonly pathLength?: number;
  readonly notBefore?: number;
  readonly notAfter?: number;
  /** Bits; 0 for none at all. */
  readonly keyUsage?: number;
  /** OIDs. */
  readonly purposes?: readonly string[];
  /** GeneralNames, DER. */
  readonly names?: readonly Uint8Array[];
  /** False: neither key identifier. */
  readonly keyIds?: boolean;
  /** False: no basicConstraints. */
  readonly basicConstraints?: boolean;
  readonly extensions?: readonly ExtensionInput[];
  /** Big-endian magnitude. */
  readonly serialNumber?: Uint8Array;
  /** Signs in the issuer's stead. */
  readonly signer?: CertificateSigner;
}

export const DAY = 86_400_000;

/** One certificate. */
export async function makeCertificate(options: TestCertificateOptions = {}): Promise<TestCertificate> {
  const { issuer, ca = false } = options;
  const key = options.key ?? "P-256";
  const pair = typeof key === "string" ? await generateKeyPair(key) : key;
  const name = encodeName(options.subject ?? (ca ? "test CA" : "test leaf"));
  const keyId = await keyIdentifier(pair.spki);
  const usage = options.keyUsage ?? (ca ? KeyUsage.keyCertSign | KeyUsage.cRLSign : KeyUsage.digitalSignature);
  const purposes = options.purposes ?? (ca ? [] : [KeyPurpose.serverAuth, KeyPurpose.clientAuth]);
  const names = options.names ?? (ca ? [] : [generalName.dns("localhost")]);
  const keyIds = options.keyIds ?? true;
  const now = Date.now();
  const der = await issueCertificate(
    {
      serialNumber: options.serialNumber ?? randomSerialNumber(),
      issuer: issuer?.name ?? name,
      subject: name,
      notBefore: options.notBefore ?? now - DAY,
      notAfter: options.notAfter ?? now + DAY,
      spki: pair.spki,
      extensions: [
        ...(options.basicConstraints === false ? [] : [extension.basicConstraints(ca, options.pathLength)]),
        ...(usage === 0 ? [] : [extension.keyUsage(usage)]),
        ...(purposes.length === 0 ? [] : [extension.extendedKeyUsage(purposes)]),
        ...(names.length === 0 ? [] : [extension.subjectAltName(names)]),
        ...(keyIds ? [extension.subjectKeyId(keyId), extension.authorityKeyId(issuer?.keyId ?? keyId)] : []),
        ...(options.extensions ?? []),
      ],
    },
    options.signer ?? issuer?.pair ?? pair,
  );
  const privateKeyPem = writePem("PRIVATE KEY", pair.pkcs8);
  return { der, pem: writePem("CERTIFICATE", der), pair, privateKeyPem, name, keyId };
}

/** A CA certificate. */
export function makeAuthority(options: TestCertificateOptions = {}): Promise<TestCertificate> {
  return makeCertificate({ ca: true, ...options });
}

/** An RSA key pair that WebCrypto can make and nobody should trust: few bits, or SHA-1 (PKCS#1 v1.5). */
export async function makeWeakRsa(bits: number, hash: "SHA-1" | "SHA-256"): Promise<KeyPair> {
  const { subtle } = globalThis.crypto;
  const name = "RSASSA-PKCS1-v1_5";
  const parameters = { name, hash, modulusLength: bits, publicExponent: Uint8Array.of(1, 0, 1) };
  const pair = await subtle.generateKey(parameters, true, ["sign", "verify"]);
  const oid = hash === "SHA-1" ? "1.2.840.113549.1.1.5" : "1.2.840.113549.1.1.11";
  return {
    spki: new Uint8Array(await subtle.exportKey("spki", pair.publicKey)),
    pkcs8: new Uint8Array(await subtle.exportKey("pkcs8", pair.privateKey)),
    algorithm: encodeSequence(encodeOid(oid), derEncode(Tag.null)),
    async sign(message) {
      return new Uint8Array(await subtle.sign(name, pair.privateKey, new Uint8Array(message)));
    },
  };
}
