/** Makes certificates: fields in, signed DER out (RFC 5280 4.1). What may stand in them is the business of issuer.ts. */
import * as pkijs from "pkijs";
import { DerReader } from "../bytes/der.ts";
import { algorithmOf, fromDer, integer, signed, time } from "./asn1.ts";
import { type ExtensionInput, encodeExtensions } from "./extensions.ts";
import type { CertificateSigner } from "./keys.ts";
import { nameFrom } from "./names.ts";

/** What stands in a certificate of version 3. */
export interface CertificateFields {
  /** Contents of the INTEGER. */
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
export function makeCertificate(fields: CertificateFields, signer: CertificateSigner): Promise<Uint8Array> {
  const certificate = new pkijs.Certificate({
    version: 2,
    serialNumber: integer(fields.serialNumber),
    signature: algorithmOf(signer),
    issuer: nameFrom(fields.issuer),
    notBefore: time(fields.notBefore),
    notAfter: time(fields.notAfter),
    subject: nameFrom(fields.subject),
    subjectPublicKeyInfo: new pkijs.PublicKeyInfo({ schema: fromDer(fields.spki) }),
    extensions: encodeExtensions(fields.extensions),
  });
  return signed(certificate, signer);
}

/** A serial number nobody can guess: 20 octets, 158 of their bits random, positive (RFC 5280 4.1.2.2). */
export function randomSerialNumber(): Uint8Array {
  const serial = globalThis.crypto.getRandomValues(new Uint8Array(20));
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
