/** The flights as RFC 8446 figure 1 draws them: the client on the left, the server on the right, time downwards. */
import type { Conversation, Entry, Flight } from "../conversation.ts";
import { extensionsOf } from "../key-schedule.ts";
import { titleOf } from "../tree.ts";
import { count, el } from "./dom.ts";

/** What a click asks for. */
export interface LadderWishes {
  select(entry: Entry): void;
  showSecret(name: string): void;
}

/** @param selected - The record that is looked at. */
export function ladder({ flights }: Conversation, selected: string | undefined, wishes: LadderWishes): HTMLElement {
  return el(
    "div",
    { class: "ladder" },
    el("div", { class: "ends", "aria-hidden": "true" }, el("span", {}, "Client"), el("span", {}, "Server")),
    el(
      "ol",
      { class: "flights", "aria-label": "Flights" },
      ...flights.map((flight, index) => flightView(flight, index + 1, selected, wishes)),
    ),
  );
}

function flightView(
  { from, entries }: Flight,
  number: number,
  selected: string | undefined,
  wishes: LadderWishes,
): HTMLElement {
  const bytes = entries.reduce((sum, { record }) => sum + record.wire.length, 0);
  const to = from === "client" ? "server" : "client";
  return el(
    "li",
    { class: `flight from-${from}` },
    el(
      "p",
      { class: "flight-title" },
      `${number}. ${from} to ${to}: ${count(entries.length, "record")}, ${count(bytes, "byte")}`,
    ),
    el("ol", { class: "records" }, ...entries.map((entry) => el("li", {}, card(entry, entry.id === selected, wishes)))),
  );
}

function card(entry: Entry, isSelected: boolean, wishes: LadderWishes): HTMLElement {
  const { id, record, from, fate } = entry;
  const { secret, epoch, wire } = record;
  const button = el(
    "button",
    {
      type: "button",
      class: "record-button",
      id: `record-${id}`,
      "aria-current": isSelected ? "true" : undefined,
      click: () => wishes.select(entry),
    },
    el("span", { class: "sr" }, `${from}, record ${record.number}: `),
    ...namesOf(entry).flatMap(({ name, details }) => [
      el("span", { class: "message" }, marked(name, epoch)),
      details.length > 0 &&
        el("span", { class: "extensions" }, ...details.flatMap((one) => [el("span", {}, `+ ${one}`), " "])),
    ]),
    el("span", { class: "size" }, count(wire.length, "byte")),
  );
  return el(
    "div",
    {
      class: `card epoch-${epoch}${isSelected ? " selected" : ""}${fate === "as sent" || fate === "protected anew" ? "" : " tampered"}`,
    },
    button,
    fate !== "as sent" && el("span", { class: "fate" }, fate),
    secret === undefined
      ? el("span", { class: "secret" }, "in the clear")
      : el(
          "button",
          {
            type: "button",
            class: "secret",
            click: () => wishes.showSecret(secret),
            title: "Where this secret comes from",
          },
          el("span", { class: "sr" }, "protected by "),
          secret,
        ),
  );
}

/** RFC 8446 figure 1: {} under handshake keys, [] under application keys, () under early keys. */
function marked(name: string, epoch: Entry["record"]["epoch"]): string {
  switch (epoch) {
    case "initial":
      return name;
    case "early":
      return `(${name})`;
    case "handshake":
      return `{${name}}`;
    case "application":
      return `[${name}]`;
  }
}

function namesOf({
  record,
  messages,
  alert,
}: Entry): readonly { readonly name: string; readonly details: readonly string[] }[] {
  if (messages.length > 0) {
    return messages.map((message) => ({
      name: message.type === undefined ? `message of type ${message.bytes[0]}` : titleOf(message.type),
      details: extensionsOf(message),
    }));
  }
  if (alert !== undefined) return [{ name: `Alert: ${alert.description.name ?? alert.description.code}`, details: [] }];
  return [{ name: titleOf(record.type.name ?? `record type ${record.type.code}`), details: [] }];
}
