/** What stands around a record's content: the fields of TLSPlaintext and TLSCiphertext (RFC 8446 5.1, 5.2). */
import { ContentType, ProtocolVersion } from "../codec/registry.ts";
import { describe, leaf, type TraceField } from "./fields.ts";

/** Bytes before a record's content. */
export const RECORD_HEADER = 5;

/** RFC 8446 5.1 */
export function plainFields(wire: Uint8Array): TraceField[] {
  return [
    leaf("type", 0, 1, wire[0], ContentType),
    leaf("legacy_record_version", 1, 3, uint16(wire, 1), ProtocolVersion),
    leaf("length", 3, RECORD_HEADER, uint16(wire, 3)),
    leaf("fragment", RECORD_HEADER, wire.length, wire.subarray(RECORD_HEADER)),
  ].map((field) => describe(field, "TLSPlaintext", undefined));
}

export function unopenedFields(wire: Uint8Array): TraceField[] {
  return [
    leaf("opaque_type", 0, 1, wire[0], ContentType),
    leaf("legacy_record_version", 1, 3, uint16(wire, 1), ProtocolVersion),
    leaf("length", 3, RECORD_HEADER, uint16(wire, 3)),
    leaf("encrypted_record", RECORD_HEADER, wire.length, wire.subarray(RECORD_HEADER)),
  ].map((field) => describe(field, "TLSCiphertext", undefined));
}

/** RFC 8446 5.2: every AEAD of TLS 1.3 keeps a byte's place, so what is inside can be told from outside. */
export function sealedFields(wire: Uint8Array, content: Uint8Array, type: number, padding: number): TraceField[] {
  const typeAt = RECORD_HEADER + content.length;
  const zerosEnd = typeAt + 1 + padding;
  const inside = [
    leaf("content", RECORD_HEADER, typeAt, content),
    leaf("type", typeAt, typeAt + 1, type, ContentType),
    leaf("zeros", typeAt + 1, zerosEnd, padding),
    leaf("tag", zerosEnd, wire.length, wire.subarray(zerosEnd)),
  ].filter(({ start, end }) => end > start);
  return [
    leaf("opaque_type", 0, 1, wire[0], ContentType),
    leaf("legacy_record_version", 1, 3, uint16(wire, 1), ProtocolVersion),
    leaf("length", 3, RECORD_HEADER, uint16(wire, 3)),
    { ...leaf("encrypted_record", RECORD_HEADER, wire.length, undefined), children: inside },
  ].map((field) => describe(field, "TLSCiphertext", undefined));
}

function uint16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}
