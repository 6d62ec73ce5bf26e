/** The key schedule as RFC 8446 7.1 draws it, downwards, with this handshake's values. */
import { toHex } from "../../../bytes/hex.ts";
import type { Conversation, Entry } from "../conversation.ts";
import { type DerivedSecret, labelText, type ScheduleStage } from "../key-schedule.ts";
import { type Child, count, el, hexText } from "./dom.ts";

/** The same value at both ends, or what each of them has. */
interface Both<T> {
  readonly client: T | undefined;
  readonly server: T | undefined;
}

/** @param select - Goes to a record that a secret protects. */
export function scheduleView(conversation: Conversation, select: (entry: Entry) => void): HTMLElement {
  const { schedule, serverSchedule, flights } = conversation;
  const entries = flights.flatMap((flight) => flight.entries);
  const reached = Math.max(schedule.length, serverSchedule.length);
  if (reached === 0) return el("p", {}, "There is no key schedule without a ClientHello.");
  return el(
    "ol",
    { class: "schedule" },
    ...Array.from({ length: reached }, (_, index) =>
      stageView({ client: schedule[index], server: serverSchedule[index] }, entries, select),
    ),
    reached < 3 && el("li", { class: "stage unreached" }, "The handshake ended before there was a key exchange."),
  );
}

function stageView(stage: Both<ScheduleStage>, entries: readonly Entry[], select: (entry: Entry) => void): HTMLElement {
  const { name, salt, input, value, note } = either(stage);
  const names = [...(stage.client?.derived ?? []), ...(stage.server?.derived ?? [])].map((secret) => secret.name);
  const secretOf = (of: ScheduleStage | undefined, secret: string) => of?.derived.find((one) => one.name === secret);
  return el(
    "li",
    { class: "stage" },
    el(
      "div",
      { class: "extract" },
      operand("salt", salt),
      el(
        "div",
        { class: "stage-secret" },
        el("p", { class: "operation" }, "HKDF-Extract"),
        el("h3", {}, name),
        el("p", { class: "hex" }, hexText(value, 8)),
        el("p", { class: "note" }, note),
        whole("Whole value", value),
        disagreement(stage),
      ),
      operand("input", input),
    ),
    el(
      "ul",
      { class: "derived" },
      ...[...new Set(names)].map((secret) =>
        secretView({ client: secretOf(stage.client, secret), server: secretOf(stage.server, secret) }, entries, select),
      ),
    ),
  );
}

/** The client's, where it has one. */
function either<T>({ client, server }: Both<T>): T {
  return (client ?? server) as T;
}

function operand(what: string, { name, value }: { readonly name: string; readonly value: Uint8Array }): HTMLElement {
  const isZero = value.every((byte) => byte === 0);
  return el(
    "div",
    { class: `operand ${what}` },
    el("p", { class: "operation" }, what === "salt" ? "salt" : "input keying material"),
    el("p", { class: "operand-name" }, name),
    !isZero && whole(`${count(value.length, "byte")}`, value),
  );
}

function secretView(both: Both<DerivedSecret>, entries: readonly Entry[], select: (entry: Entry) => void): HTMLElement {
  const secret = either(both);
  const { name, value, note, transcriptHash, keys } = secret;
  const used = entries.filter(({ record }) => record.secret === name && record.sequence !== undefined);
  return el(
    "li",
    { class: `secret-card ${epochOf(name)}`, id: `secret-${name}`, tabindex: -1 },
    el("h4", {}, name),
    el("p", { class: "operation" }, labelText(secret)),
    el("p", { class: "note" }, note),
    used.length > 0 &&
      el(
        "p",
        { class: "used" },
        "Records: ",
        ...used.map((entry) =>
          el(
            "button",
            {
              type: "button",
              click: () => select(entry),
              "aria-label": `${entry.from}, record ${entry.record.number}`,
            },
            entry.id,
          ),
        ),
      ),
    el(
      "details",
      {},
      el("summary", {}, el("span", { class: "hex" }, hexText(value, 8))),
      el(
        "dl",
        { class: "facts" },
        ...pair("Value", value),
        ...pair("Transcript hash", transcriptHash),
        ...(keys === undefined ? [] : [...pair("key", keys.key), ...pair("iv", keys.iv)]),
      ),
    ),
    disagreement(both),
  );
}

function epochOf(name: string): string {
  if (/early|binder/.test(name)) return "epoch-early";
  return /handshake/.test(name) ? "epoch-handshake" : "epoch-application";
}

/** Nothing where both have the same. */
function disagreement({ client, server }: Both<{ readonly value: Uint8Array }>): HTMLElement | undefined {
  const say = (text: string, ...more: Child[]) => el("p", { class: "disagreement" }, text, ...more);
  if (client === undefined) return say("Only the server has this.");
  if (server === undefined) return say("Only the client has this.");
  if (toHex(client.value) === toHex(server.value)) return undefined;
  return say("The server has another value: ", el("span", { class: "hex" }, hexText(server.value, 8)));
}

function whole(title: string, value: Uint8Array): HTMLElement {
  return el("details", {}, el("summary", {}, title), el("p", { class: "hex" }, hexText(value, 2000)));
}

function pair(term: string, value: Uint8Array): HTMLElement[] {
  return [el("dt", {}, term), el("dd", { class: "hex" }, hexText(value, 64))];
}
