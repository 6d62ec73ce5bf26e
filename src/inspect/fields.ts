/** Annotated structures with what each field means and where that is specified. */
import { annotate, type Field } from "../codec/annotate.ts";
import type { ExtensionContext } from "../codec/extensions.ts";
import { Alert, BODIES, HANDSHAKE_HEADER_LENGTH, LegacyServerHello } from "../codec/messages.ts";
import { HandshakeType, type Registry } from "../codec/registry.ts";
import type { Schema } from "../codec/schema.ts";
import { TlsError } from "../errors.ts";
import type { HandshakeName } from "../flow.ts";
import { DistinguishedName } from "../x509/distinguished.ts";
import { type CertificateSummary, summarizeCertificate } from "./certificate.ts";
import { type Description, describeExtension, describeField, isStructure } from "./describe.ts";

/** A field of a structure: what it is, where it stands, what it says, and which section says so. */
export interface TraceField extends Description {
  readonly name: string;
  /** First byte, counted from the start of the message or record. */
  readonly start: number;
  /** The byte after the last one. */
  readonly end: number;
  readonly value: number | string | Uint8Array | undefined;
  /** The value's name in its registry, or its text. */
  readonly label?: string | undefined;
  /** Of a list's item: true. */
  readonly item?: boolean | undefined;
  /** What a `cert_data` holds. */
  readonly certificate?: CertificateSummary | undefined;
  readonly children: readonly TraceField[];
}

/** A handshake message taken apart. */
export interface MessageFields {
  /** `msg_type`, `length`, then the body's; they tile the message. */
  readonly fields: readonly TraceField[];
  /** Why the body does not decode, if it does not: then it is one field. */
  readonly problem: string | undefined;
}

/** Which abbreviation of RFC 8446 4.2 each message goes by. */
const CONTEXTS: Readonly<Partial<Record<HandshakeName, ExtensionContext>>> = {
  client_hello: "CH",
  server_hello: "SH",
  hello_retry_request: "HRR",
  encrypted_extensions: "EE",
  certificate: "CT",
  certificate_request: "CR",
  new_session_ticket: "NST",
};

/**
 * The fields of a handshake message.
 *
 * @param bytes - Header and body; copied where kept by the caller.
 * @param type - `undefined` for a type that does not exist.
 */
export function messageFields(type: HandshakeName | undefined, bytes: Uint8Array): MessageFields {
  const header: Field[] = [
    leaf("msg_type", 0, 1, bytes[0] ?? 0, HandshakeType),
    leaf("length", 1, HANDSHAKE_HEADER_LENGTH, bytes.length - HANDSHAKE_HEADER_LENGTH),
  ];
  const described = header.map((field) => describe(field, "Handshake", undefined));
  const body = type === undefined ? { problem: "no such message type" } : annotateBody(type, bytes);
  if ("problem" in body) {
    const raw = describe(
      {
        name: "body",
        start: HANDSHAKE_HEADER_LENGTH,
        end: bytes.length,
        value: bytes.subarray(HANDSHAKE_HEADER_LENGTH),
        children: [],
      },
      "Handshake",
      undefined,
    );
    return { fields: [...described, raw], problem: body.problem };
  }
  const structure = String(body.value);
  const context = type && CONTEXTS[type];
  return {
    fields: [...described, ...body.children.map((field) => describe(field, structure, context))],
    problem: undefined,
  };
}

/** The fields of an alert; `undefined` where the content is none. */
export function alertFields(content: Uint8Array): readonly TraceField[] | undefined {
  const field = attempt(Alert, content, 0);
  return "problem" in field ? undefined : field.children.map((child) => describe(child, "Alert", undefined));
}

/** One field that stands in `structure`. */
export function describe(field: Field, structure: string, context: ExtensionContext | undefined): TraceField {
  return build(field, structure, context, describeField(structure, field.name));
}

/** A field without children. */
export function leaf(name: string, start: number, end: number, value: Field["value"], names?: Registry<string>): Field {
  const label = typeof value === "number" ? names?.name(value) : undefined;
  return { name, start, end, value, label, children: [] };
}

function build(
  field: Field,
  structure: string,
  context: ExtensionContext | undefined,
  description: Description | undefined,
): TraceField {
  const { name, start, end, value, children } = field;
  const told = description ?? { section: "RFC 8446 4", note: "" };
  const list = isList(field);
  return {
    name,
    start,
    end,
    value,
    ...named(field, structure),
    ...told,
    children: children.map((child) => {
      if (isExtension(child)) return build(child, child.name, context, describeExtension(child.name, context));
      const inner = innerStructure(field, structure);
      const inherits = child.name === "extension_data" && isExtension(field);
      const own = inherits || child.name === "data" ? told : describeField(inner, child.name);
      const built = build(child, inner, context, own);
      return list && child.name !== "length" ? { ...built, item: true } : built;
    }),
  };
}

/** What the registry does not name: the text of a distinguished name, the summary of a certificate. */
function named(field: Field, structure: string): Pick<TraceField, "label" | "certificate"> {
  const content = field.children[1]?.value;
  if (!(content instanceof Uint8Array) || field.children.length !== 2) return { label: field.label };
  if (structure === "certificate_authorities" && field.name === "distinguished_name") {
    return { label: distinguishedName(content) };
  }
  if (structure === "CertificateEntry" && field.name === "cert_data") {
    const certificate = summarizeCertificate(content);
    return typeof certificate === "string" ? { label: certificate } : { certificate };
  }
  return { label: field.label };
}

function distinguishedName(der: Uint8Array): string {
  try {
    return new DistinguishedName(der).text;
  } catch (error) {
    if (error instanceof TlsError) return error.message;
    throw error;
  }
}

/** The struct or extension in which the children of `field` stand. */
function innerStructure(field: Field, structure: string): string {
  if (isExtension(field)) return field.name;
  const { value, children } = field;
  return typeof value === "string" && children[0]?.name !== "length" && isStructure(value) ? value : structure;
}

/** As annotate.ts builds a list: its length and its items, which it counts. */
export function isList({
  value,
  children,
}: Pick<Field, "value"> & { readonly children: readonly Pick<Field, "name">[] }): boolean {
  if (typeof value !== "string" || children[0]?.name !== "length") return false;
  return value.startsWith(`${children.length - 1} × `) && children[1]?.name !== "data";
}

/** As annotate.ts builds the items of a tagged list; the struct `Extension` of a TLS 1.2 ServerHello is none of them. */
function isExtension({ value, children }: Field): boolean {
  return value === undefined && children[0]?.name === "extension_type";
}

function annotateBody(type: HandshakeName, bytes: Uint8Array): Field | { readonly problem: string } {
  const body = attempt(BODIES[type] as Schema<unknown>, bytes, HANDSHAKE_HEADER_LENGTH);
  if (!("problem" in body) || type !== "server_hello") return body;
  const legacy = attempt(LegacyServerHello, bytes, HANDSHAKE_HEADER_LENGTH);
  return "problem" in legacy ? body : legacy;
}

function attempt(schema: Schema<unknown>, bytes: Uint8Array, offset: number): Field | { readonly problem: string } {
  try {
    return annotate(schema, bytes, "body", offset);
  } catch (error) {
    // A message from a peer that breaks the syntax is shown all the same.
    if (error instanceof TlsError) return { problem: error.message };
    throw error;
  }
}
