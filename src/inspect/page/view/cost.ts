/** What the handshake costs on the wire: one bar for each flight, one piece for each message. */
import type { Conversation } from "../conversation.ts";
import { costOf, type FlightCost } from "../cost.ts";
import { count, el } from "./dom.ts";

export function costView({ flights, ends }: Conversation): HTMLElement {
  const { flights: costs, handshakeBytes, roundTrips } = costOf(flights);
  const longest = Math.max(...costs.map(({ bytes }) => bytes));
  const { client, server } = handshakeBytes;
  const bytes = `${count(client, "byte")} from the client and ${count(server, "byte")} from the server`;
  return el(
    "div",
    {},
    el(
      "p",
      { class: "lead" },
      ends.every(({ result }) => result !== undefined)
        ? `The handshake takes ${bytes}, and ${count(roundTrips, "round trip")} before the client may send data that is not early.`
        : `As far as it has come, the handshake has taken ${bytes}.`,
    ),
    el(
      "table",
      { class: "cost" },
      el("caption", { class: "sr" }, "Bytes of each flight"),
      el(
        "thead",
        {},
        el("tr", {}, ...["Flight", "Records", "Bytes", "Messages"].map((name) => el("th", { scope: "col" }, name))),
      ),
      el("tbody", {}, ...costs.map((cost, index) => row(cost, index + 1, longest))),
    ),
  );
}

function row({ from, records, bytes, messages, overhead }: FlightCost, number: number, longest: number): HTMLElement {
  const bar = el("div", { class: "bar", "aria-hidden": "true" });
  for (const [index, piece] of [...messages, { name: "records", bytes: overhead }].entries()) {
    const part = el("span", { class: index === messages.length ? "overhead" : `part part-${index % 2}` });
    part.style.setProperty("inline-size", `${(100 * piece.bytes) / longest}%`);
    bar.append(part);
  }
  const list = [...messages.map((one) => `${one.name} ${one.bytes}`), `record layer ${overhead}`].join(", ");
  return el(
    "tr",
    {},
    el("th", { scope: "row" }, `${number}. ${from}`),
    el("td", {}, String(records)),
    el("td", {}, bytes.toLocaleString("en")),
    el("td", {}, bar, el("p", { class: "pieces" }, list)),
  );
}
