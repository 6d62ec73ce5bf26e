/** How it ended: in one sentence, then what each side knows of the other, and what was done to them. */

import { describeAlert } from "../../describe.ts";
import type { Conversation, EndView } from "../conversation.ts";
import type { Fault } from "../faults/index.ts";
import { code, el, sectionLink } from "./dom.ts";

/** What was done on purpose. */
export interface Broken {
  readonly fault: Fault | undefined;
  /** A byte, told as a sentence. */
  readonly byte: string | undefined;
}

/** The verdict on a conversation, and what was done to it. */
export function outcome({ ends, title }: Conversation, { fault, byte }: Broken): readonly HTMLElement[] {
  if (ends.length === 0) {
    return [
      el("p", { class: "verdict calm" }, title),
      el("p", { class: "lead" }, "As it is printed there: every value can be looked up in the text."),
    ];
  }
  const finder = finderOf(ends);
  const kind = finder !== undefined ? "bad" : ends.every(isDone) ? "good" : "calm";
  return [
    el("p", { class: `verdict ${kind}` }, finder === undefined ? peaceful(ends) : refusal(finder)),
    ...(finder?.error === undefined ? [] : [el("p", { class: "lead reason" }, `${finder.error.message}.`)]),
    ...(fault === undefined ? [] : [el("p", { class: "lead" }, fault.story, " ", sectionLink(fault.section))]),
    ...(byte === undefined ? [] : [el("p", { class: "lead" }, byte)]),
  ];
}

/** What each end knows; nothing for a handshake that was not run here. */
export function endViews({ ends }: Conversation): readonly HTMLElement[] {
  if (ends.length === 0)
    return [el("p", { class: "lead" }, "Nobody was at the ends: this handshake was printed, not run.")];
  const finder = finderOf(ends);
  return ends.map((end) => endView(end, end === finder));
}

function finderOf(ends: readonly EndView[]): EndView | undefined {
  return ends.find(({ error }) => error?.direction === "sent") ?? ends.find(({ error }) => error !== undefined);
}

function isDone({ state, ended }: EndView): boolean {
  return state === "CONNECTED" && ended;
}

function refusal({ side, error }: EndView): string {
  const alert =
    error?.direction === "sent" ? `sends the alert ${error.alert}` : "sends no alert: there is nobody to read it";
  return `In state ${error?.stage}, the ${side} refuses and ${alert}.`;
}

function peaceful(ends: readonly EndView[]): string {
  if (!ends.every(isDone)) {
    const waiting = ends.map(({ side, state }) => `the ${side} is in ${state}`).join(", ");
    return `Nobody has noticed anything: ${waiting}, and waits for more.`;
  }
  const [client, server] = ends;
  if (client?.result?.resumed) return "Both ends are connected, by a pre-shared key from an earlier connection.";
  return server?.result?.peer === undefined
    ? "Both ends are connected. The client knows the server; the server does not know the client."
    : "Both ends are connected, and each knows who the other is.";
}

function endView({ side, states, error, result, read }: EndView, isFinder: boolean): HTMLElement {
  const facts: (readonly [string, string | HTMLElement])[] = [["States", states.join(" → ")]];
  if (error !== undefined) {
    const alert = error.alert;
    facts.push(
      ["Error", code(error.code)],
      ["In words", error.message],
      ["State", error.stage ?? ""],
      ...(alert === undefined
        ? []
        : [["Alert", `${alert}, ${error.direction}: ${describeAlert(alert).note}`] as const]),
      ...(error.rejection === undefined ? [] : [["Remedy", error.rejection.remedy] as const]),
    );
  }
  if (result !== undefined) {
    const { peer, peerSignatureScheme, resumed, cipherSuite, group, alpn, earlyData } = result;
    facts.push(["Agreed", [cipherSuite, group, alpn && `ALPN ${alpn}`].filter((part) => part).join(", ")]);
    const other = side === "client" ? "server" : "client";
    if (peer === undefined) facts.push(["Peer", `the ${other} has shown no certificate`]);
    else {
      const { subject, names, issuer } = peer;
      const all = [...names.dns.map((name) => `DNS:${name}`), ...names.uri];
      const how = resumed
        ? "known from the earlier connection, by the pre-shared key"
        : `by a certificate of ${issuer} and a signature, ${peerSignatureScheme}`;
      facts.push(["Peer", `${subject} (${all.join(", ")})`], ["Proved", how]);
    }
    if (earlyData !== undefined) facts.push(["Early data", earlyData]);
  }
  if (read !== "") facts.push(["Has read", read]);
  return el(
    "section",
    { class: `end ${isFinder ? "finder" : ""}`, "aria-label": `The ${side}` },
    el("h3", {}, side === "client" ? "Client" : "Server"),
    el("dl", { class: "facts" }, ...facts.flatMap(([term, text]) => [el("dt", {}, term), el("dd", {}, text)])),
  );
}
