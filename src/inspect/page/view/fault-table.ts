/** Every fault at a glance: a link to each, who finds it, and what it answers. */
import { DEFAULT_STATE, writeFragment } from "../choices.ts";
import { FAULT_GROUPS } from "../faults/index.ts";
import { code, el, sectionLink } from "./dom.ts";

export function faultTable(): HTMLElement {
  return el(
    "div",
    { class: "wide" },
    el(
      "table",
      { class: "faults" },
      el("caption", { class: "sr" }, "Faults"),
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          ...["Fault", "Found by", "Alert", "Error", "Section"].map((name) => el("th", { scope: "col" }, name)),
        ),
      ),
      ...FAULT_GROUPS.map(({ title, faults }) =>
        el(
          "tbody",
          {},
          el("tr", { class: "group" }, el("th", { colspan: 3, scope: "rowgroup" }, title), el("td", { colspan: 2 })),
          ...faults.map((fault) =>
            el(
              "tr",
              {},
              el(
                "th",
                { scope: "row" },
                el("a", { href: writeFragment({ ...DEFAULT_STATE, fault: fault.name }) }, fault.title),
                el("p", { class: "note" }, fault.story),
              ),
              el("td", {}, fault.by, el("p", { class: "note" }, fault.stage)),
              el("td", {}, code(fault.alert ?? "none")),
              el("td", {}, code(fault.code)),
              el("td", {}, sectionLink(fault.section)),
            ),
          ),
        ),
      ),
    ),
  );
}
