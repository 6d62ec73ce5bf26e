/** What a field is for, what it says here, and a way to change it. */
import type { ByteChange } from "../choices.ts";
import type { Entry } from "../conversation.ts";
import { pathTo, quote, type TreeNode } from "../tree.ts";
import { el, hexText, sectionLink } from "./dom.ts";

/** Bytes of a field that are spelled out. */
const MOST = 48;
/** Changed bytes that are spelled out. */
const MOST_CHANGES = 8;
const HEADER = 5;

/**
 * The selected field.
 *
 * @param offset - The byte that has the cursor.
 * @param change - `undefined` where there is nothing to change: the handshake was printed, not run.
 */
export function detail(
  entry: Entry,
  node: TreeNode,
  offset: number,
  change: ((byte: ByteChange) => void) | undefined,
): HTMLElement {
  const { opened, record, sent, changed } = entry;
  const { start, end, name, value, note, section } = node;
  const plain = opened.subarray(start, end);
  const isText = plain.length > 3 && plain.every((byte) => byte >= 0x20 && byte < 0x7f);
  const way = pathTo(entry.tree, start).filter((one) => one.start <= start && one.end >= end);
  return el(
    "section",
    { class: "detail", "aria-label": "The selected field" },
    el(
      "p",
      { class: "way" },
      way
        .slice(0, Math.max(0, way.indexOf(node)))
        .map((one) => one.name)
        .join(" › "),
    ),
    el("h3", {}, name),
    value !== "" && el("p", { class: "says" }, value),
    note !== "" && el("p", { class: "note" }, `${sentence(note)}. `, sectionLink(section)),
    el(
      "dl",
      { class: "facts" },
      ...fact("Bytes", end - start === 1 ? `${start}, one byte` : `${start} to ${end - 1}, ${end - start} bytes`),
      ...(record.sequence === undefined
        ? fact("On the wire", hexText(record.wire.subarray(start, end), MOST), "hex")
        : [
            ...fact("Decrypted", hexText(plain, MOST), "hex"),
            ...fact("On the wire", hexText(record.wire.subarray(start, end), MOST), "hex"),
            ...fact("Secret", `${record.secret}, sequence number ${record.sequence}`),
          ]),
      ...(isText ? fact("As text", quote(plain)) : []),
      ...(sent === undefined ? [] : changes(node, changed, sent)),
    ),
    change !== undefined && keepsPlaces(entry) && changeForm(entry, node, offset, change),
  );
}

/** A byte's place is that in the record as it is sent: it must be the same in the one that is shown. */
function keepsPlaces({ fate, sent }: Entry): boolean {
  return fate === "as sent" || fate === "protected anew" || sent !== undefined;
}

/** Bytes of this field that are not as they were sent. */
function changes({ start, end }: TreeNode, changed: ReadonlySet<number>, sent: Uint8Array): HTMLElement[] {
  const here = [...changed].filter((at) => at >= start && at < end);
  if (here.length === 0) return [];
  const told = here.slice(0, MOST_CHANGES).map((at) => `byte ${at} was sent as ${hexText(sent.subarray(at, at + 1))}`);
  return fact(
    "Changed",
    told.join(", ") + (here.length > MOST_CHANGES ? `, and ${here.length - MOST_CHANGES} more` : ""),
  );
}

/** With a capital, unless it begins with a name of the protocol's. */
function sentence(note: string): string {
  return /^[a-z]+[_:]/.test(note) ? note : `${note.charAt(0).toUpperCase()}${note.slice(1)}`;
}

function fact(term: string, text: string, kind = ""): HTMLElement[] {
  return [el("dt", {}, term), el("dd", { class: kind }, text)];
}

/** One byte, another value, and where in the record's life it is changed. */
function changeForm(
  { from, sentNumber, record, opened }: Entry,
  node: TreeNode,
  offset: number,
  change: (byte: ByteChange) => void,
): HTMLElement {
  const isInside = record.sequence !== undefined && offset >= HEADER && offset < opened.length - tagLength(record);
  const suggested = ((opened[offset] as number) ^ 1).toString(16).padStart(2, "0");
  const value = el("input", {
    id: "byte-value",
    type: "text",
    size: 2,
    maxlength: 2,
    pattern: "[0-9a-fA-F]{2}",
    required: true,
    value: suggested,
    autocomplete: "off",
    spellcheck: "false",
  });
  const where = el(
    "select",
    { id: "byte-where" },
    el("option", { value: "inside" }, "inside the protection, made anew"),
    el("option", { value: "wire" }, "as it travels, encrypted"),
  );
  return el(
    "form",
    {
      class: "change",
      "aria-label": "Change this byte",
      submit: (event: Event) => {
        event.preventDefault();
        change({
          from,
          record: sentNumber,
          offset,
          value: Number.parseInt(value.value, 16),
          where: isInside && where.value === "inside" ? "inside" : record.sequence === undefined ? "inside" : "wire",
        });
      },
    },
    el(
      "p",
      {},
      `Byte ${offset}${node.end - node.start > 1 ? ` of ${node.name}` : ""} is `,
      el("code", {}, hexText(opened.subarray(offset, offset + 1))),
      ".",
    ),
    el("label", { for: "byte-value" }, "Make it"),
    value,
    isInside && el("label", { for: "byte-where", class: "sr" }, "Where"),
    isInside && where,
    el("button", { type: "submit" }, "and run again"),
  );
}

function tagLength({ wire, content, padding }: Entry["record"]): number {
  return wire.length - HEADER - content.length - 1 - padding;
}
