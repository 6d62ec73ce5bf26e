/** Between this library's bytes and the objects of asn1js and pkijs, which encode all that is issued. */
import * as asn1js from "asn1js";
import * as pkijs from "pkijs";
import { fault } from "../errors.ts";
import type { CertificateSigner } from "./keys.ts";

/** What asn1js encodes. */
type Encodable = { toBER(): ArrayBuffer };
/** What pkijs makes such a thing of. */
type Structure = { toSchema(encode?: boolean): Encodable };

/** DER of an object. */
export function toDer(value: Encodable | Structure): Uint8Array {
  return new Uint8Array(("toSchema" in value ? value.toSchema(true) : value).toBER());
}

/** DER that goes in as it is. It must be this side's own, or have been read strictly. */
export function fromDer(der: Uint8Array): asn1js.AsnType {
  const { offset, result } = asn1js.fromBER(bufferOf(der));
  if (offset !== der.length) throw fault("ERR_TLS_PEM", "DER that cannot be read");
  return result;
}

/** A copy that asn1js may keep. */
export function bufferOf(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}

/** Contents of an INTEGER: two's complement, minimal. */
export function integer(content: Uint8Array): asn1js.Integer {
  return new asn1js.Integer({ valueHex: bufferOf(content) });
}

export function octetString(bytes: Uint8Array): asn1js.OctetString {
  return new asn1js.OctetString({ valueHex: bufferOf(bytes) });
}

/** `[number] EXPLICIT`, or `[number] IMPLICIT` over a constructed type. */
export function tagged(number: number, ...value: asn1js.BaseBlock[]): asn1js.Constructed {
  return new asn1js.Constructed({ idBlock: { tagClass: 3, tagNumber: number }, value });
}

/** Time of RFC 5280 4.1.2.5: UTCTime through 2049, then GeneralizedTime. `time`: ms since the epoch, cut to seconds. */
export function time(time: number): pkijs.Time {
  const value = wholeSeconds(time);
  const year = value.getUTCFullYear();
  return new pkijs.Time({ type: year >= 1950 && year < 2050 ? 0 : 1, value });
}

/** 9999-12-31T23:59:59Z, the last second of GeneralizedTime (RFC 5280 4.1.2.5); ms. */
const END_OF_TIME = 253_402_300_799_000;

/** True for a time, ms since the epoch, that can stand in what is signed here. */
export function isWritable(time: number): boolean {
  return Number.isFinite(time) && time >= 0 && time <= END_OF_TIME;
}

/** `time` as a Date without fractions of a second, which no certificate may have. */
export function wholeSeconds(time: number): Date {
  return new Date(Math.floor(time / 1000) * 1000);
}

/** A structure with the three parts of everything signed here: what is signed, how, and the signature. */
export interface Signable {
  signatureAlgorithm: pkijs.AlgorithmIdentifier;
  toSchema(encode: true): { readonly valueBlock: { readonly value: readonly asn1js.BaseBlock[] } };
}

/** Signs a structure. DER. */
export async function signed(structure: Signable, signer: CertificateSigner): Promise<Uint8Array> {
  structure.signatureAlgorithm = algorithmOf(signer);
  return signedSequence(structure.toSchema(true).valueBlock.value[0] as asn1js.BaseBlock, signer);
}

/** `SIGNED{…}` of RFC 5912: what is signed, how, the signature, and what may follow it. */
export async function signedSequence(
  tbs: asn1js.BaseBlock,
  signer: CertificateSigner,
  ...rest: readonly asn1js.BaseBlock[]
): Promise<Uint8Array> {
  const signature = new asn1js.BitString({ valueHex: bufferOf(await signer.sign(toDer(tbs))) });
  return toDer(new asn1js.Sequence({ value: [tbs, algorithmOf(signer).toSchema(), signature, ...rest] }));
}

export function algorithmOf({ algorithm }: CertificateSigner): pkijs.AlgorithmIdentifier {
  return new pkijs.AlgorithmIdentifier({ schema: fromDer(algorithm) });
}
