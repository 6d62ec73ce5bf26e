/** Elements by hand. Text is always text: nothing here, and nothing that uses it, parses HTML. */
import { rfcLink } from "../rfc-link.ts";

type Attributes = Readonly<Record<string, string | number | boolean | undefined | ((event: never) => void)>>;
export type Child = Node | string | undefined | false;

/**
 * An element.
 *
 * @param attributes - `true` sets one without a value, `false` and `undefined` leave it out, a function listens to the event
 * of that name.
 */
export function el<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Name] {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key, value as EventListener);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== undefined) element.setAttribute(key, String(value));
  }
  element.append(...children.filter((child) => child !== undefined && child !== false));
  return element;
}

/** The section's name as a link that opens beside the page. */
export function sectionLink(section: string): HTMLElement {
  const href = rfcLink(section);
  if (href === undefined) return el("span", {}, section);
  return el("a", { href, target: "_blank", rel: "noopener noreferrer", class: "rfc" }, section);
}

/** Bytes as hexadecimal in pairs, cut where there are more than `most`. */
export function hexText(bytes: Uint8Array, most = 32): string {
  const pairs = Array.from(bytes.subarray(0, most), (byte) => byte.toString(16).padStart(2, "0"));
  return pairs.join(" ") + (bytes.length > most ? " …" : "");
}

/** A name of the protocol's, which may be broken behind its underscores. */
export function code(name: string): HTMLElement {
  return el("code", { class: "code" }, ...name.split(/(?<=_)/).flatMap((part) => [part, el("wbr")]));
}

export function count(many: number, thing: string): string {
  return `${many.toLocaleString("en")} ${thing}${many === 1 ? "" : "s"}`;
}
