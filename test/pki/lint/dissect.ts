/** Certificates and CRLs taken apart as they are encoded, right or wrong, for rules to look at. */
import { contextConstructed, contextPrimitive, DerReader, Tag } from "../../../src/bytes/der.ts";

/** One element: its identifier octet, its contents, and the whole of it. */
export interface Element {
  readonly tag: number;
  readonly content: Uint8Array;
  readonly raw: Uint8Array;
}

export interface RawExtension {
  readonly oid: string;
  /** `undefined`: not written. */
  readonly critical: boolean | undefined;
  readonly value: Uint8Array;
}

export interface RawAttribute {
  readonly oid: string;
  readonly value: Element;
}

/** A Name: RDNs, each of attributes. */
export interface RawName {
  readonly der: Uint8Array;
  readonly rdns: readonly (readonly RawAttribute[])[];
}

export interface RawAlgorithm {
  readonly oid: string;
  readonly parameters: Element | undefined;
  readonly der: Uint8Array;
}

export interface RawCertificate {
  readonly kind: "certificate";
  /** As encoded: 2 for version 3; `undefined`: not written. */
  readonly version: number | undefined;
  readonly serial: Uint8Array;
  readonly inner: RawAlgorithm;
  readonly outer: RawAlgorithm;
  readonly issuer: RawName;
  readonly notBefore: Element;
  readonly notAfter: Element;
  readonly subject: RawName;
  readonly key: { readonly algorithm: RawAlgorithm; readonly unusedBits: number; readonly bytes: Uint8Array };
  readonly uniqueIds: number;
  readonly extensions: readonly RawExtension[] | undefined;
  readonly signature: { readonly unusedBits: number; readonly bytes: Uint8Array };
}

export interface RawCrl {
  readonly kind: "crl";
  readonly version: number | undefined;
  readonly inner: RawAlgorithm;
  readonly outer: RawAlgorithm;
  readonly issuer: RawName;
  readonly thisUpdate: Element;
  readonly nextUpdate: Element | undefined;
  readonly entries:
    | readonly {
        readonly serial: Uint8Array;
        readonly date: Element;
        readonly extensions: readonly RawExtension[] | undefined;
      }[]
    | undefined;
  readonly extensions: readonly RawExtension[] | undefined;
}

/** @throws TlsError where it is no DER at all. */
export function dissectCertificate(der: Uint8Array): RawCertificate {
  const input = new DerReader(der);
  const outer = input.sequence();
  input.finish("the certificate");
  const body = outer.sequence();
  const signatureAlgorithm = algorithm(outer);
  const signature = bits(outer);
  outer.finish("the certificate");
  const version = body.optional(contextConstructed(0))?.smallInteger();
  const serial = body.read(Tag.integer).rest();
  const inner = algorithm(body);
  const issuer = name(body);
  const validity = body.sequence();
  const [notBefore, notAfter] = [element(validity), element(validity)];
  const subject = name(body);
  const info = body.sequence();
  const key = { algorithm: algorithm(info), ...bits(info) };
  let uniqueIds = 0;
  for (const number of [1, 2]) if (body.optional(contextPrimitive(number)) !== undefined) uniqueIds++;
  const field = body.optional(contextConstructed(3));
  const extensions = field && readExtensions(field.sequence());
  body.finish("tbsCertificate");
  return {
    kind: "certificate",
    ...{ version, serial, inner, issuer, notBefore, notAfter, subject, key, uniqueIds, extensions, signature },
    outer: signatureAlgorithm,
  };
}

/** @throws TlsError where it is no DER at all. */
export function dissectCrl(der: Uint8Array): RawCrl {
  const outer = new DerReader(der).sequence();
  const body = outer.sequence();
  const signatureAlgorithm = algorithm(outer);
  const version = body.peek() === Tag.integer ? body.smallInteger() : undefined;
  const inner = algorithm(body);
  const issuer = name(body);
  const thisUpdate = element(body);
  const isTime = body.peek() === Tag.utcTime || body.peek() === Tag.generalizedTime;
  const nextUpdate = isTime ? element(body) : undefined;
  const list = body.optional(Tag.sequence);
  const field = body.optional(contextConstructed(0));
  const extensions = field && readExtensions(field.sequence());
  const entries = list && all(list, (reader) => reader.sequence()).map(entry);
  body.finish("tbsCertList");
  return {
    kind: "crl",
    ...{ version, inner, issuer, thisUpdate, nextUpdate, entries, extensions },
    outer: signatureAlgorithm,
  };
}

function entry(reader: DerReader) {
  const serial = reader.read(Tag.integer).rest();
  const date = element(reader);
  return { serial, date, extensions: reader.remaining > 0 ? readExtensions(reader.sequence()) : undefined };
}

/** The elements of a list. */
export function all<T>(list: DerReader, read: (list: DerReader) => T): T[] {
  const found: T[] = [];
  while (list.remaining > 0) found.push(read(list));
  return found;
}

export function element(reader: DerReader): Element {
  const { tag, raw, content } = reader.element();
  return { tag, raw, content: content.rest() };
}

function readExtensions(list: DerReader): RawExtension[] {
  return all(list, (reader) => {
    const item = reader.sequence();
    const oid = item.oid();
    const critical = item.optional(Tag.boolean)?.rest()[0];
    return { oid, critical: critical === undefined ? undefined : critical !== 0, value: item.octetString() };
  });
}

function name(reader: DerReader): RawName {
  const { raw, content } = reader.element();
  const rdns = all(content, (sets) =>
    all(sets.set(), (set) => {
      const attribute = set.sequence();
      return { oid: attribute.oid(), value: element(attribute) };
    }),
  );
  return { der: raw, rdns };
}

function algorithm(reader: DerReader): RawAlgorithm {
  const { raw, content } = reader.element();
  return { der: raw, oid: content.oid(), parameters: content.remaining > 0 ? element(content) : undefined };
}

function bits(reader: DerReader) {
  const content = reader.read(Tag.bitString).rest();
  return { unusedBits: content[0] ?? 8, bytes: content.subarray(1) };
}
