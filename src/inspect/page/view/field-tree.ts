/** A record's tree: walked with the arrow keys as the ARIA pattern has it, and bound to the bytes beside it. */
import type { Entry } from "../conversation.ts";
import { pathTo, type TreeNode } from "../tree.ts";
import { el } from "./dom.ts";

/** Nodes up to here are open when nobody has touched them: record, content, message. */
const OPEN_DEPTH = 3;

/** One record's tree on the page. */
export class FieldTree {
  readonly element: HTMLElement;
  readonly #onSelect: (node: TreeNode) => void;
  /** What was opened or closed by hand. */
  readonly #open = new Map<TreeNode, boolean>();
  #entry: Entry | undefined;
  #selected: TreeNode | undefined;
  #rows: { readonly node: TreeNode; readonly depth: number; readonly element: HTMLElement }[] = [];

  constructor(onSelect: (node: TreeNode) => void) {
    this.#onSelect = onSelect;
    this.element = el("ul", {
      class: "tree",
      role: "tree",
      "aria-label": "Fields of the record",
      keydown: (event: KeyboardEvent) => this.#key(event),
      click: (event: MouseEvent) => this.#click(event),
    });
  }

  /** Shows a record with one of its nodes selected, and what leads to that open. */
  show(entry: Entry, selected: TreeNode): void {
    const sameEntry = this.#entry === entry;
    this.#entry = entry;
    this.#selected = selected;
    for (const node of pathTo(entry.tree, selected.start)) {
      if (node === selected) break;
      this.#open.set(node, true);
    }
    const hadFocus = this.element.contains(document.activeElement);
    this.#draw();
    if (!sameEntry) this.element.scrollTop = 0;
    const row = this.#rows.find(({ node }) => node === selected)?.element;
    if (hadFocus) row?.focus({ preventScroll: true });
    if (row !== undefined) reveal(this.element, row);
  }

  #isOpen(node: TreeNode, depth: number): boolean {
    return this.#open.get(node) ?? (depth < OPEN_DEPTH && node.children.length > 0);
  }

  #draw(): void {
    this.#rows = [];
    const root = this.#entry?.tree;
    if (root !== undefined) this.element.replaceChildren(this.#item(root, 0));
  }

  #item(node: TreeNode, depth: number): HTMLElement {
    const hasChildren = node.children.length > 0;
    const open = hasChildren && this.#isOpen(node, depth);
    const isSelected = node === this.#selected;
    const size = node.end - node.start;
    const row = el(
      "div",
      { class: "row" },
      el("span", { class: "twist", "aria-hidden": "true" }, hasChildren ? (open ? "▾" : "▸") : ""),
      el("span", { class: "name" }, node.name),
      el("span", { class: "value" }, node.value),
      el(
        "span",
        { class: "range", "aria-hidden": "true" },
        size === 0 ? "–" : size === 1 ? `${node.start}` : `${node.start}–${node.end - 1}`,
      ),
    );
    row.style.setProperty("--depth", String(depth));
    const item = el(
      "li",
      {
        role: "treeitem",
        "aria-level": depth + 1,
        "aria-expanded": hasChildren ? String(open) : undefined,
        "aria-selected": String(isSelected),
        "aria-label": `${node.name}, ${node.value === "" ? "" : `${node.value}, `}${size === 1 ? "1 byte" : `${size} bytes`} from ${node.start}`,
        tabindex: isSelected ? 0 : -1,
      },
      row,
    );
    this.#rows.push({ node, depth, element: item });
    if (open) item.append(el("ul", { role: "group" }, ...node.children.map((child) => this.#item(child, depth + 1))));
    return item;
  }

  #click(event: MouseEvent): void {
    const target = event.target as HTMLElement;
    const item = target.closest("li");
    const row = this.#rows.find(({ element }) => element === item);
    if (row === undefined) return;
    if (target.classList.contains("twist") || row.node === this.#selected) this.#toggle(row.node, row.depth);
    row.element.focus({ preventScroll: true });
    this.#onSelect(row.node);
  }

  #toggle(node: TreeNode, depth: number): void {
    if (node.children.length > 0) this.#open.set(node, !this.#isOpen(node, depth));
  }

  #key(event: KeyboardEvent): void {
    const at = this.#rows.findIndex(({ node }) => node === this.#selected);
    const row = this.#rows[at];
    if (row === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    const { node, depth } = row;
    const open = node.children.length > 0 && this.#isOpen(node, depth);
    const move: Readonly<Record<string, () => TreeNode | undefined>> = {
      ArrowDown: () => this.#rows[at + 1]?.node,
      ArrowUp: () => this.#rows[at - 1]?.node,
      Home: () => this.#rows[0]?.node,
      End: () => this.#rows.at(-1)?.node,
      ArrowRight: () => {
        if (open) return node.children[0];
        this.#toggle(node, depth);
        return node;
      },
      ArrowLeft: () => {
        if (!open)
          return this.#rows
            .slice(0, at)
            .reverse()
            .find((before) => before.depth === depth - 1)?.node;
        this.#toggle(node, depth);
        return node;
      },
      Enter: () => {
        this.#toggle(node, depth);
        return node;
      },
    };
    const next = move[event.key];
    if (next === undefined) return;
    event.preventDefault();
    const target = next();
    if (target !== undefined) this.#onSelect(target);
  }
}

/** Scrolls within the box, and never the page. */
export function reveal(box: HTMLElement, element: HTMLElement): void {
  const row = element.getBoundingClientRect();
  const outer = box.getBoundingClientRect();
  const height = Math.min(row.height, 32);
  if (row.top < outer.top) box.scrollTop -= outer.top - row.top + height;
  else if (row.top + height > outer.bottom) box.scrollTop += row.top + height - outer.bottom + height;
}
