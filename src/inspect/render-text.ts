/** What a line of a rendered trace says: the meaning of a field, names and text that a terminal can be shown. */
import { isList, type TraceField } from "./fields.ts";
import type { TraceError, TracePart } from "./trace.ts";

/** What its own line does not say already: no length prefixes, no wrapper around an extension's only value. */
export function shownChildren({ children }: TraceField): readonly TraceField[] {
  const [first, second, third] = children;
  if (first?.name === "extension_type" && second?.name === "length") {
    return third === undefined || third.children.length === 0 || isVector(third) ? [] : shownChildren(third);
  }
  if (first?.name !== "length") return children;
  return second?.name === "data" ? [] : children.slice(1);
}

/** `opaque x<..>`: a length and its data, or a length of 0. */
function isVector({ children }: TraceField): boolean {
  return children[0]?.name === "length" && (children.length === 1 || children[1]?.name === "data");
}

export function meaningOf(field: TraceField): string {
  const { value, label, children } = field;
  const [first, , third] = children;
  if (first?.name === "extension_type") return extensionMeaning(field, third);
  if (label !== undefined) return typeof value === "number" ? label : printable(label);
  if (typeof value === "number") return String(value);
  if (value instanceof Uint8Array) return count(value.length, "byte");
  if (value === undefined) return "";
  if (isList(field) || (children.length > 0 && !isVector(field))) return value;
  return `"${value}"`;
}

function extensionMeaning(field: TraceField, data: TraceField | undefined): string {
  const code = `extension ${field.children[0]?.value}`;
  const says = data === undefined ? "empty" : meaningOf(data);
  return says === "" ? code : `${code}: ${says}`;
}

export function endsMessage({ messageEnd, messageLength }: TracePart): boolean {
  return messageEnd !== undefined && messageEnd === messageLength;
}

export function count(many: number, thing: string): string {
  return many === 1 ? `1 ${thing}` : `${many} ${thing}s`;
}

/** `client_hello` as the RFC's struct is called. */
export function titleOf(name: string): string {
  return name.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

export function quote(content: Uint8Array): string {
  const text = Array.from(content.subarray(0, 33), (byte) =>
    byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".",
  ).join("");
  return content.length > 32 ? `"${text.slice(0, 32)}…" ${content.length} bytes` : `"${text}"`;
}

/** Text from the peer: nothing in it may move a terminal's cursor. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, "?");
}

export function twoDigits(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}

/** Characters that a terminal shows. */
export function visible(text: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape sequences of paint
  return text.replace(/\x1b\[[0-9;]*m/g, "").length;
}

export function errorLines({ code, message, alert, direction, stage }: TraceError): string[] {
  const by = alert === undefined ? "no alert" : `alert ${alert} ${direction}`;
  return [`✗ ${printable(message)}`, `  ${code}, ${by}${stage === undefined ? "" : `, in state ${stage}`}`];
}
