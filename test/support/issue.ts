/** Makes certificates: fields in, signed DER out (RFC 5280 4.1). */
import { contextConstructed, DerReader, derEncode } from "../../src/bytes/der.ts";
import type { CertificateSigner } from "../../src/pki/keys.ts";
import {
  type ExtensionInput,
  encodeBitString,
  encodeExtension,
  encodeInteger,
  encodeNumber,
  encodeSequence,
  encodeTime,
} from "./der.ts";

/** What stands in a certificate of version 3. */
export interface CertificateFields {
  /** Big-endian magnitude. */
  readonly serialNumber: Uint8Array;
  /** Name, DER. */
  readonly issuer: Uint8Array;
  /** Name, DER. */
  readonly subject: Uint8Array;
  /** ms since the epoch. */
  readonly notBefore: number;
  /** ms since the epoch. */
  readonly notAfter: number;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  readonly extensions: readonly ExtensionInput[];
}

/**
 * A signed certificate, DER.
 *
 * @param signer - The issuer's key.
 */
export async function issueCertificate(fields: CertificateFields, signer: CertificateSigner): Promise<Uint8Array> {
  const { extensions } = fields;
  const tbs = encodeSequence(
    derEncode(contextConstructed(0), encodeNumber(2)),
    encodeInteger(fields.serialNumber),
    signer.algorithm,
    fields.issuer,
    encodeSequence(encodeTime(fields.notBefore), encodeTime(fields.notAfter)),
    fields.subject,
    fields.spki,
    ...(extensions.length === 0
      ? []
      : [derEncode(contextConstructed(3), encodeSequence(...extensions.map(encodeExtension)))]),
  );
  return encodeSequence(tbs, signer.algorithm, encodeBitString(await signer.sign(tbs)));
}

/** A serial number nobody can guess: 16 random bytes, positive (RFC 5280 4.1.2.2). */
export function randomSerialNumber(): Uint8Array {
  const serial = globalThis.crypto.getRandomValues(new Uint8Array(16));
  serial[0] = ((serial[0] as number) & 0x7f) | 0x40;
  return serial;
}

/** The key identifier of RFC 7093 2, method 1: 160 bits of the SHA-256 of the key. */
export async function keyIdentifier(spki: Uint8Array): Promise<Uint8Array> {
  const info = new DerReader(spki).sequence();
  info.raw();
  const digest = await globalThis.crypto.subtle.digest("SHA-256", new Uint8Array(info.bitStringBytes()));
  return new Uint8Array(digest, 0, 20);
}
