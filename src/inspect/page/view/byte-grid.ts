/** A record's bytes in rows of sixteen, decrypted or as on the wire: every one of them can be selected. */
import type { Entry } from "../conversation.ts";
import { leavesOf, type TreeNode } from "../tree.ts";
import { el } from "./dom.ts";
import { reveal } from "./field-tree.ts";

const PER_ROW = 16;

/** Which bytes of a protected record are shown. */
export type Layer = "opened" | "wire";

/** One record's bytes on the page. */
export class ByteGrid {
  readonly element: HTMLElement;
  readonly #onSelect: (offset: number) => void;
  #entry: Entry | undefined;
  #layer: Layer = "opened";
  #cells: HTMLElement[] = [];
  #texts: HTMLElement[] = [];
  #leaves: readonly TreeNode[] = [];
  #focus = 0;
  #selection: readonly [start: number, end: number] = [0, 0];

  constructor(onSelect: (offset: number) => void) {
    this.#onSelect = onSelect;
    this.element = el("div", {
      class: "bytes",
      role: "grid",
      "aria-label": "Bytes of the record",
      keydown: (event: KeyboardEvent) => this.#key(event),
      click: (event: MouseEvent) => this.#click(event),
    });
  }

  /** @param offset - The byte that has the cursor, within the node's. */
  show(entry: Entry, layer: Layer, node: TreeNode, offset: number): void {
    if (this.#entry !== entry || this.#layer !== layer) this.#draw(entry, layer);
    const hadFocus = this.element.contains(document.activeElement);
    this.#mark(node);
    this.#cells[this.#focus]?.setAttribute("tabindex", "-1");
    this.#focus = offset;
    const cell = this.#cells[offset];
    cell?.setAttribute("tabindex", "0");
    if (hadFocus) cell?.focus({ preventScroll: true });
    if (cell !== undefined) reveal(this.element, cell);
  }

  #draw(entry: Entry, layer: Layer): void {
    this.#entry = entry;
    this.#layer = layer;
    this.#leaves = leavesOf(entry.tree);
    this.#selection = [0, 0];
    const bytes = layer === "wire" ? entry.record.wire : entry.opened;
    const owner = (offset: number) => this.#leaves.findIndex(({ start, end }) => offset >= start && offset < end);
    this.#cells = [];
    this.#texts = [];
    const rows: HTMLElement[] = [];
    for (let at = 0; at < bytes.length; at += PER_ROW) {
      const row = el(
        "div",
        { role: "row", class: "byte-row" },
        el("span", { class: "offset", "aria-hidden": "true" }, at.toString(16).padStart(4, "0")),
      );
      const text = el("span", { class: "ascii", "aria-hidden": "true" });
      for (let offset = at; offset < Math.min(at + PER_ROW, bytes.length); offset++) {
        const byte = bytes[offset] as number;
        const leaf = owner(offset);
        const digits = byte.toString(16).padStart(2, "0");
        const isChanged = entry.changed.has(offset);
        const cell = el(
          "span",
          {
            role: "gridcell",
            class: `byte${leaf % 2 === 1 ? " odd" : ""}${isChanged ? " changed" : ""}`,
            tabindex: -1,
            "aria-label": `byte ${offset}: ${digits}, ${this.#leaves[leaf]?.name ?? ""}${isChanged ? ", changed" : ""}`,
          },
          digits,
        );
        this.#cells.push(cell);
        row.append(cell);
        const letter = el("span", {}, byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·");
        this.#texts.push(letter);
        text.append(letter);
      }
      row.append(text);
      rows.push(row);
    }
    this.element.replaceChildren(...rows);
    this.element.scrollTop = 0;
  }

  #mark({ start, end }: TreeNode): void {
    const [before, after] = this.#selection;
    for (const list of [this.#cells, this.#texts]) {
      for (let at = before; at < after; at++) list[at]?.classList.remove("on");
      for (let at = start; at < end; at++) list[at]?.classList.add("on");
    }
    for (let at = before; at < after; at++) this.#cells[at]?.removeAttribute("aria-selected");
    for (let at = start; at < end; at++) this.#cells[at]?.setAttribute("aria-selected", "true");
    this.#selection = [start, end];
  }

  #click(event: MouseEvent): void {
    const offset = this.#cells.indexOf(event.target as HTMLElement);
    if (offset === -1) return;
    this.#cells[offset]?.focus({ preventScroll: true });
    this.#onSelect(offset);
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const last = this.#cells.length - 1;
    const row = this.#focus - (this.#focus % PER_ROW);
    const next: Readonly<Record<string, number>> = {
      ArrowLeft: this.#focus - 1,
      ArrowRight: this.#focus + 1,
      ArrowUp: this.#focus - PER_ROW,
      ArrowDown: this.#focus + PER_ROW,
      PageUp: Math.max(0, this.#focus - 8 * PER_ROW),
      PageDown: Math.min(last, this.#focus + 8 * PER_ROW),
      Home: row,
      End: Math.min(last, row + PER_ROW - 1),
    };
    const offset = next[event.key];
    if (offset === undefined) return;
    event.preventDefault();
    if (offset >= 0 && offset <= last) this.#onSelect(offset);
  }
}
