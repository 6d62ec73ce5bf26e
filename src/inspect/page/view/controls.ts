/** What can be chosen: the form at the top. It stays, and is brought in line with the state. */
import { type Choices, type PageState, QUESTIONS } from "../choices.ts";
import { EXAMPLES } from "../examples.ts";
import { FAULT_GROUPS } from "../faults/index.ts";
import { el } from "./dom.ts";

/** What the form asks for. */
export interface Wishes {
  choose(choices: Partial<Choices>): void;
  showExample(section: number | undefined): void;
  breakBy(fault: string | undefined): void;
  /** The same with fresh randomness. */
  again(): void;
}

/** The form, and what brings it in line. */
export function controls(wishes: Wishes): {
  readonly form: HTMLFormElement;
  update(state: PageState, choices: Choices, needed: Partial<Choices>): void;
} {
  const selects = QUESTIONS.map(({ name, label, answers }) => {
    const select = el(
      "select",
      { id: `choice-${name}`, change: () => wishes.choose({ [name]: select.value }) },
      ...answers.map(([value, text]) => el("option", { value }, text)),
    );
    return { name, select, field: field(label, select) };
  });
  const alpn = el("input", {
    id: "choice-alpn",
    type: "text",
    size: 12,
    maxlength: 1000,
    placeholder: "h2, http/1.1",
    autocomplete: "off",
    spellcheck: "false",
    change: () => wishes.choose({ alpn: alpn.value }),
  });
  const example = el(
    "select",
    { id: "example", change: () => wishes.showExample(example.value === "" ? undefined : Number(example.value)) },
    el("option", { value: "" }, "live, in this page"),
    el(
      "optgroup",
      { label: "Printed in RFC 8448" },
      ...EXAMPLES.map(({ section, title }) => el("option", { value: section }, `${section}: ${title}`)),
    ),
  );
  // Not to be chosen here: it stands for a byte that was changed below.
  const oneByte = el("option", { value: "byte", hidden: true }, "one byte");
  const fault = el(
    "select",
    { id: "fault", change: () => wishes.breakBy(fault.value === "" ? undefined : fault.value) },
    el("option", { value: "" }, "nothing"),
    oneByte,
    ...FAULT_GROUPS.map(({ title, faults }) =>
      el("optgroup", { label: title }, ...faults.map((one) => el("option", { value: one.name }, one.title))),
    ),
  );
  const again = el("button", { type: "button", id: "again", click: () => wishes.again() }, "Run again");
  const form = el(
    "form",
    { class: "controls", "aria-label": "The handshake", submit: (event: Event) => event.preventDefault() },
    field("Handshake", example),
    ...selects.map((one) => one.field),
    field("ALPN", alpn),
    field("Break", fault, "break"),
    again,
  );
  return {
    form,
    update(state, choices, needed) {
      const printed = state.example !== undefined;
      example.value = String(state.example ?? "");
      for (const { name, select } of selects) {
        select.value = choices[name];
        // What a fault needs is not to be chosen as long as it is.
        select.disabled = printed || name in needed;
      }
      alpn.value = choices.alpn;
      alpn.disabled = printed;
      const byte = state.byte !== undefined && state.fault === undefined;
      oneByte.hidden = !byte;
      fault.value = byte ? "byte" : (state.fault ?? "");
      fault.disabled = printed;
      again.disabled = printed;
    },
  };
}

function field(text: string, input: HTMLElement, kind = ""): HTMLElement {
  return el("div", { class: `field ${kind}`.trim() }, el("label", { for: input.id }, text), input);
}
