/** A record as a tree: its header, its messages, their fields. The leaves tile the record. */
import { printable } from "../../bytes/text.ts";
import { describeContentType } from "../describe.ts";
import { isList, type TraceField } from "../fields.ts";
import type { TraceAlert, TraceMessage, TracePart, TraceRecord } from "../trace.ts";
import { certificateTree } from "./certificate-tree.ts";

/** A stretch of a record, with what it is. */
export interface TreeNode {
  readonly name: string;
  /** First byte, counted from the start of the record. */
  readonly start: number;
  /** The byte after the last one. */
  readonly end: number;
  /** What it says, in a few words. */
  readonly value: string;
  /** `RFC 8446 4.1.2` */
  readonly section: string;
  readonly note: string;
  readonly children: readonly TreeNode[];
}

/** What one record carries. */
export interface Carried {
  /** Those that end in it. */
  readonly messages: readonly TraceMessage[];
  readonly alert: TraceAlert | undefined;
}

/** `client_hello` as the RFC's struct is called. */
export function titleOf(name: string): string {
  return name.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** The tree of a record. */
export function recordTree(record: TraceRecord, carried: Carried): TreeNode {
  const { wire, section, note } = record;
  return {
    name: "record",
    start: 0,
    end: wire.length,
    value: `${record.type.name ?? `type ${record.type.code}`}, ${wire.length} bytes`,
    section,
    note,
    children: record.fields.map((field) => outerNode(field, record, carried)),
  };
}

/** A field of the record layer: its content is told apart further. */
function outerNode(field: TraceField, record: TraceRecord, carried: Carried): TreeNode {
  const node = fieldNode(field, 0, record.wire);
  if (field.name === "fragment" || field.name === "content") {
    const children = record.parts
      .filter(({ start, end }) => end > start)
      .map((part) => partNode(part, record, carried));
    return { ...node, children };
  }
  return { ...node, children: field.children.map((child) => outerNode(child, record, carried)) };
}

function partNode(part: TracePart, record: TraceRecord, { messages, alert }: Carried): TreeNode {
  const { what, start, end, message: number, messageStart, messageEnd, messageLength } = part;
  const place = { start, end };
  if (what === "alert" && alert !== undefined) return alertNode(alert, place);
  const message = messages.find((one) => one.number === number);
  if (message !== undefined && messageStart === 0) return messageNode(message, place);
  if (what === "handshake") {
    const name = message === undefined ? "part of a message" : `end of ${titleOf(message.type ?? "message")}`;
    const value = `bytes ${messageStart} to ${messageEnd} of ${messageLength ?? "an unknown number"}`;
    return {
      name,
      ...place,
      value,
      section: "RFC 8446 5.1",
      note: "a message may go on in the next record",
      children: [],
    };
  }
  const { section, note } = describeContentType(record.type.code);
  return { name: what, ...place, value: quote(record.content), section, note, children: [] };
}

function messageNode(
  { type, bytes, fields, section, note, problem }: TraceMessage,
  place: { start: number; end: number },
): TreeNode {
  return {
    name: type === undefined ? `message of type ${bytes[0]}` : titleOf(type),
    ...place,
    value: problem === undefined ? `${bytes.length} bytes` : `does not decode: ${problem}`,
    section,
    note,
    children: fields.map((field) => fieldNode(field, place.start, bytes)),
  };
}

function alertNode(
  { fields, description, section, note }: TraceAlert,
  place: { start: number; end: number },
): TreeNode {
  const bytes = Uint8Array.from(fields, ({ value }) => Number(value));
  const name = description.name ?? `alert ${description.code}`;
  return {
    name: "Alert",
    ...place,
    value: name,
    section,
    note,
    children: fields.map((field) => fieldNode(field, place.start, bytes)),
  };
}

/** @param bytes - What the field's places count in; `shift` is where that stands in the record. */
function fieldNode(field: TraceField, shift: number, bytes: Uint8Array): TreeNode {
  const { name, start, end, section, note, certificate } = field;
  return {
    name,
    start: shift + start,
    end: shift + end,
    value: valueText(field),
    section,
    note,
    children: field.children.map((child) => {
      const node = fieldNode(child, shift, bytes);
      if (certificate === undefined || child.name !== "data") return node;
      const inside = certificateTree(bytes, child.start, child.end);
      return inside === undefined ? node : { ...node, children: [moved(inside, shift)] };
    }),
  };
}

function moved(node: TreeNode, shift: number): TreeNode {
  const children = node.children.map((child) => moved(child, shift));
  return { ...node, start: node.start + shift, end: node.end + shift, children };
}

/** A field's value in a few words. */
function valueText(field: TraceField): string {
  const { value, label, children, certificate } = field;
  if (certificate !== undefined) return certificate.subject;
  const [first, , third] = children;
  if (first?.name === "extension_type") return third === undefined ? "" : valueText(third);
  if (label !== undefined) return typeof value === "number" ? `${label} (${hexNumber(value)})` : printable(label);
  if (typeof value === "number") return String(value);
  if (value instanceof Uint8Array) return value.length === 1 ? "1 byte" : `${value.length} bytes`;
  if (value === undefined) return "";
  const structured = isList(field) || (children.length > 0 && first?.name !== "length");
  return structured ? value : `"${value}"`;
}

function hexNumber(value: number): string {
  const digits = value.toString(16);
  return `0x${digits.padStart(digits.length + (digits.length % 2), "0")}`;
}

/** Content as text, as far as it is text. */
export function quote(content: Uint8Array): string {
  const text = Array.from(content.subarray(0, 48), (byte) =>
    byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·",
  ).join("");
  return content.length > 48 ? `"${text}…"` : `"${text}"`;
}

/** The leaves of a tree, in order. Fields without bytes are none. */
export function leavesOf(node: TreeNode): readonly TreeNode[] {
  if (node.end === node.start) return [];
  const children = node.children.flatMap(leavesOf);
  return children.length === 0 ? [node] : children;
}

/** From the root down to the leaf that owns a byte; empty where there is no such byte. */
export function pathTo(root: TreeNode, offset: number): readonly TreeNode[] {
  const path: TreeNode[] = [];
  for (let node: TreeNode | undefined = root; node !== undefined; ) {
    if (offset < node.start || offset >= node.end) break;
    path.push(node);
    node = node.children.find(({ start, end }) => offset >= start && offset < end);
  }
  return path;
}
