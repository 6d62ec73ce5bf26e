/** X.509 certificates from DER, strictly and in one pass (RFC 5280 4.1). */
import { equal } from "../bytes/bytes.ts";
import { contextConstructed, contextPrimitive, DerReader } from "../bytes/der.ts";
import { keyAlgorithm } from "../crypto/keys.ts";
import { fault, TlsError } from "../errors.ts";
import type { Certificate } from "./certificate.ts";
import { DistinguishedName } from "./distinguished.ts";
import { readExtensions, readExtensionValues, unhandledCritical } from "./extensions.ts";

/** Bytes of one certificate: room for post-quantum signatures and long lists of names. */
const MAX_CERTIFICATE = 128 * 1024;
/** Octets of a serial number. RFC 5280 4.1.2.2 wants 20 to be handled; more exist. */
const MAX_SERIAL = 64;

/**
 * A certificate as a value. Only the syntax is checked, nothing about trust; what is returned views `der`, which must
 * not change afterwards.
 *
 * @param der - The certificate, DER, at most 128 KiB.
 * @throws TlsError `CERT_PARSE_ERROR` when it is not DER or breaks RFC 5280 4.1.
 *
 * @example
 * ```ts
 * const authority = await createThrowawayAuthority();
 * console.log(parseCertificate(authority.certificate).subject.text); // CN=mutls throwaway root
 * ```
 */
export function parseCertificate(der: Uint8Array): Certificate {
  try {
    if (der.length > MAX_CERTIFICATE) throw fault("ERR_TLS_PEM", `more than ${MAX_CERTIFICATE} bytes`);
    return readCertificate(der);
  } catch (cause) {
    if (!(cause instanceof TlsError)) throw cause;
    throw fault("CERT_PARSE_ERROR", cause.detail, { cause });
  }
}

function readCertificate(der: Uint8Array): Certificate {
  const input = new DerReader(der);
  const certificate = input.sequence();
  input.finish("the certificate");
  const tbs = certificate.raw();
  const signatureAlgorithm = certificate.raw();
  const signature = certificate.bitStringBytes();
  certificate.finish("the signature");

  const body = new DerReader(tbs).sequence();
  const version = readVersion(body);
  const serialNumber = body.integer();
  if (serialNumber.length > MAX_SERIAL) throw fault("ERR_TLS_PEM", `a serial number of ${serialNumber.length} bytes`);
  // RFC 5280 4.1.1.2: the field outside what is signed must repeat the one inside.
  if (!equal(body.raw(), signatureAlgorithm)) throw fault("ERR_TLS_PEM", "the two signature algorithms differ");
  const issuer = new DistinguishedName(body.raw());
  if (issuer.empty) throw fault("ERR_TLS_PEM", "the issuer has no name");
  const validity = body.sequence();
  const notBefore = validity.time();
  const notAfter = validity.time();
  validity.finish("the validity");
  const subject = new DistinguishedName(body.raw());
  const spki = body.raw();
  const publicKey = { spki, algorithm: keyAlgorithm(spki) };
  readUniqueIdentifiers(body, version);
  const extensions = readExtensionField(body, version);
  body.finish("tbsCertificate");
  const values = readExtensionValues(extensions);
  return {
    der,
    tbs,
    version,
    serialNumber,
    signatureAlgorithm,
    signature,
    issuer,
    subject,
    notBefore,
    notAfter,
    publicKey,
    extensions,
    unhandledCritical: unhandledCritical(extensions, values),
    basicConstraints: values.basicConstraints,
    keyUsage: values.keyUsage,
    extendedKeyUsage: values.extendedKeyUsage,
    subjectAltName: values.subjectAltName,
    nameConstraints: values.nameConstraints,
    policies: values.policies,
    policyMappings: values.policyMappings,
    policyConstraints: values.policyConstraints,
    inhibitAnyPolicy: values.inhibitAnyPolicy,
    authorityKeyId: values.authorityKeyId,
    subjectKeyId: values.subjectKeyId,
  };
}

/** RFC 5280 4.1.2.1. Version 1 is the default and so absent in DER. */
function readVersion(body: DerReader): 1 | 2 | 3 {
  const field = body.optional(contextConstructed(0));
  if (field === undefined) return 1;
  const version = field.smallInteger() + 1;
  field.finish("the version");
  if (version !== 2 && version !== 3) throw fault("ERR_TLS_PEM", `version ${version} is not known`);
  return version;
}

/** RFC 5280 4.1.2.8: from version 2 on; read over. */
function readUniqueIdentifiers(body: DerReader, version: number): void {
  for (const number of [1, 2]) {
    const tag = contextPrimitive(number);
    if (body.peek() !== tag) continue;
    if (version === 1) throw fault("ERR_TLS_PEM", "a unique identifier in a certificate of version 1");
    body.bitString(tag);
  }
}

/** RFC 5280 4.1.2.9: version 3 only. */
function readExtensionField(body: DerReader, version: number): Certificate["extensions"] {
  const field = body.optional(contextConstructed(3));
  if (field === undefined) return [];
  if (version !== 3) throw fault("ERR_TLS_PEM", `extensions in a certificate of version ${version}`);
  const list = field.sequence();
  field.finish("the extensions");
  return readExtensions(list);
}
