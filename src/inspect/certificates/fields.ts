/** A certificate byte by byte: the tree of its DER, with the names of RFC 5280 where they are known and ASN.1's elsewhere. */
import { latin1 } from "../../bytes/bytes.ts";
import { type DerElement, DerReader, Tag } from "../../bytes/der.ts";
import { fault, TlsError } from "../../errors.ts";
import { formatAddress } from "../../x509/address.ts";
import { summarizeCertificate } from "../certificate.ts";
import type { TraceField } from "../fields.ts";
import type { TraceCertificate } from "../trace.ts";
import { CERTIFICATE, type DerShape, OIDS } from "./shapes.ts";

/** Bytes of a certificate that is taken apart. */
const MAX_CERTIFICATE = 256 * 1024;
/** Elements inside of elements; certificates have about a dozen. */
const MAX_DEPTH = 32;

/** ASN.1's names by identifier octet. */
const TYPES: ReadonlyMap<number, string> = new Map([
  [Tag.boolean, "BOOLEAN"],
  [Tag.integer, "INTEGER"],
  [Tag.bitString, "BIT STRING"],
  [Tag.octetString, "OCTET STRING"],
  [Tag.null, "NULL"],
  [Tag.oid, "OBJECT IDENTIFIER"],
  [Tag.enumerated, "ENUMERATED"],
  [Tag.utf8String, "UTF8String"],
  [Tag.printableString, "PrintableString"],
  [Tag.teletexString, "TeletexString"],
  [Tag.ia5String, "IA5String"],
  [Tag.utcTime, "UTCTime"],
  [Tag.generalizedTime, "GeneralizedTime"],
  [Tag.universalString, "UniversalString"],
  [Tag.bmpString, "BMPString"],
  [Tag.sequence, "SEQUENCE"],
  [Tag.set, "SET"],
]);

const TEXTS: readonly number[] = [Tag.printableString, Tag.teletexString, Tag.ia5String];
const CONSTRUCTED = 0x20;
const CONTEXT = 0x80;

/** Sections of what has no name in RFC 5280. */
const ANY = { section: "RFC 5280 4.1", note: "" };

/**
 * A certificate taken apart: every field's place, name, meaning and section (RFC 5280 4.1, 4.2).
 *
 * @param der - Not checked for trust, nor against RFC 5280's rules; at most 256 KiB.
 * @param number - From 1, where it is one of several.
 * @throws TlsError `ERR_TLS_CAPTURE` when it is too long, `ERR_TLS_PEM` when it is no DER.
 * @example
 * ```ts
 * const { fields } = certificateFields(certificates[0] as Uint8Array);
 * const names = fields[0]?.children.map(({ name }) => name).slice(1);
 * console.log(names); // ["tbsCertificate", "signatureAlgorithm", "signatureValue"]
 * ```
 */
export function certificateFields(der: Uint8Array, number = 1): TraceCertificate {
  if (der.length > MAX_CERTIFICATE) {
    throw fault("ERR_TLS_CAPTURE", `a certificate of ${der.length} bytes: at most ${MAX_CERTIFICATE} are taken apart`);
  }
  const bytes = der.slice();
  const reader = new DerReader(bytes);
  const field = element(reader, CERTIFICATE, 0, undefined);
  reader.finish("the certificate");
  const summary = summarizeCertificate(bytes);
  return {
    kind: "certificate",
    number,
    bytes,
    fields: [field],
    summary,
    section: "RFC 5280 4.1",
    note: CERTIFICATE.note,
  };
}

/** @param oid - The object identifier that stands before it in its structure. */
function element(reader: DerReader, shape: DerShape | undefined, depth: number, oid: string | undefined): TraceField {
  const start = reader.position;
  const found = reader.element();
  const { tag, content } = found;
  const at = content.position;
  const type = TYPES.get(tag) ?? contextName(tag);
  const inside = inner(found, shape, depth, oid);
  const { name, section, note } = shape ?? { name: type, ...ANY };
  const value = content.bytes.subarray(at, content.end);
  const data: TraceField = { name: "data", start: at, end: content.end, value, children: [], section, note: "" };
  return {
    name,
    start,
    end: reader.position,
    value: inside === undefined ? value : type,
    label: inside === undefined ? meaning(found, type, shape) : count(inside.length, type),
    section,
    note,
    children: [header(start, at, type, content.end - at), ...(inside ?? (value.length === 0 ? [] : [data]))],
  };
}

function header(start: number, end: number, type: string, length: number): TraceField {
  return { name: "length", start, end, value: length, label: type, children: [], section: "X.690 8.1", note: "" };
}

/** What an element holds, if it holds elements. */
function inner(
  { tag, content }: DerElement,
  shape: DerShape | undefined,
  depth: number,
  oid: string | undefined,
): TraceField[] | undefined {
  if (depth >= MAX_DEPTH) return undefined;
  const { bytes, position, end } = content;
  if (shape?.byOid !== undefined) {
    // Where the value of an extension is no DER, it is bytes.
    return attempt(() => {
      const reader = new DerReader(bytes, position, end);
      const field = element(reader, shape.byOid?.get(oid ?? ""), depth + 1, undefined);
      reader.finish("the value");
      return [field];
    });
  }
  return (tag & CONSTRUCTED) === 0 ? undefined : elements(new DerReader(bytes, position, end), shape, depth + 1);
}

function elements(reader: DerReader, shape: DerShape | undefined, depth: number): TraceField[] {
  const found: TraceField[] = [];
  let fields = shape?.fields ?? [];
  let oid: string | undefined;
  for (let tag = reader.peek(); tag !== undefined; tag = reader.peek()) {
    const next = fields.findIndex((field) => field.tag === undefined || field.tag === tag);
    const form = shape?.choices?.get(tag) ?? shape?.items ?? fields[next];
    fields = fields.slice(next + 1);
    if (tag === Tag.oid) oid = new DerReader(reader.bytes, reader.position, reader.end).oid();
    found.push(element(reader, form, depth, oid));
  }
  return found;
}

function meaning({ tag, raw, content }: DerElement, type: string, shape: DerShape | undefined): string {
  const bytes = content.bytes.subarray(content.position, content.end);
  const plain = `${type}, ${bytes.length} bytes`;
  if (shape?.address === true) return formatAddress(bytes);
  if (tag === Tag.utf8String) return `"${new TextDecoder().decode(bytes)}"`;
  if (tag === Tag.bmpString) return `"${new TextDecoder("utf-16be").decode(bytes)}"`;
  if (TEXTS.includes(tag)) return `"${latin1(bytes)}"`;
  const reader = new DerReader(raw);
  // What breaks its type's rules is shown as bytes.
  return (
    attempt(() => {
      switch (tag) {
        case Tag.oid:
          return oidText(reader.oid());
        case Tag.boolean:
          return String(reader.boolean());
        case Tag.integer:
          return bytes.length > 4 ? plain : String(reader.smallInteger());
        case Tag.bitString:
          return shape?.bits === undefined ? plain : bitNames(reader, shape.bits);
        case Tag.utcTime:
        case Tag.generalizedTime:
          return new Date(reader.time()).toISOString().replace(".000Z", "Z");
        case Tag.null:
          return "NULL";
        default:
          return (tag & CONTEXT) !== 0 && isText(bytes) ? `"${latin1(bytes)}"` : plain;
      }
    }) ?? plain
  );
}

function bitNames(reader: DerReader, names: readonly string[]): string {
  const { bytes } = reader.bitString();
  return names.filter((_, bit) => ((bytes[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) !== 0).join(", ");
}

function oidText(oid: string): string {
  const name = OIDS.get(oid);
  return name === undefined ? oid : `${name} (${oid})`;
}

function contextName(tag: number): string {
  const number = tag & 0x1f;
  return (tag & 0xc0) === CONTEXT ? `[${number}]` : `tag 0x${tag.toString(16).padStart(2, "0")}`;
}

/** Implicitly tagged strings: names and URIs. */
function isText(bytes: Uint8Array): boolean {
  return bytes.length > 2 && bytes.every((byte) => byte >= 0x20 && byte < 0x7f);
}

function count(many: number, type: string): string {
  return many === 1 ? type : `${type} of ${many}`;
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof TlsError) return undefined;
    throw error;
  }
}
