/** The handshakes that RFC 8448 prints, as the page shows them. */
import { fromHex } from "../../bytes/hex.ts";
import { ContentType } from "../../codec/registry.ts";
import type { Side } from "../../errors.ts";
import type { Epoch } from "../../handshake/io.ts";
import { createTrace, type TraceItem } from "../trace.ts";
import { type Conversation, entriesOf, flightsOf, isMessage, suiteOf } from "./conversation.ts";
import { keySchedule } from "./key-schedule.ts";

/** One section of RFC 8448, as it stands in the data. */
export interface ExampleData {
  readonly section: number;
  readonly title: string;
  readonly steps: readonly {
    readonly actor: Side;
    readonly action: string;
    /** Hexadecimal. */
    readonly values: Readonly<Record<string, string>>;
  }[];
}

/** The sections that print a handshake. */
export const EXAMPLES: readonly { readonly section: number; readonly title: string }[] = [
  { section: 3, title: "Simple 1-RTT Handshake" },
  { section: 4, title: "Resumed 0-RTT Handshake" },
  { section: 5, title: "HelloRetryRequest" },
  { section: 6, title: "Client Authentication" },
  { section: 7, title: "Compatibility Mode" },
];

const EPOCHS: Readonly<Record<string, Epoch>> = {
  "early application data": "early",
  "handshake data": "handshake",
  "application data": "application",
};

/** All traces are of this suite. */
const SUITE = "TLS_AES_128_GCM_SHA256";

/** What is printed, taken apart. */
export function exampleConversation(data: ExampleData): Conversation {
  const wire = traceOf(data);
  const suite = suiteOf(SUITE);
  const printed = (action: string, name: string) =>
    data.steps.find((step) => step.action === action && step.values[name] !== undefined)?.values[name];
  const early = printed('extract secret "early"', "IKM") ?? "";
  const shared = printed('extract secret "handshake"', "IKM");
  const schedule = keySchedule({
    suite,
    psk: /^0*$/.test(early) ? undefined : fromHex(early),
    sharedSecret: shared === undefined ? undefined : fromHex(shared),
    messages: wire.filter(isMessage),
  });
  return {
    title: `RFC 8448 ${data.section}, ${data.title}`,
    flights: flightsOf(entriesOf(wire, undefined)),
    schedule,
    serverSchedule: schedule,
    ends: [],
  };
}

/** The records of the text as an observer on the wire would be told of them. */
function traceOf({ steps }: ExampleData): readonly TraceItem[] {
  const items: TraceItem[] = [];
  const observe = createTrace("client", (item) => items.push(item));
  const keys: Record<Side, { epoch: Epoch; sequence: number }> = {
    client: { epoch: "initial", sequence: 0 },
    server: { epoch: "initial", sequence: 0 },
  };
  for (const { actor, action, values } of steps) {
    const epoch = /^derive write traffic keys for (.+)$/.exec(action)?.[1];
    if (epoch !== undefined) keys[actor] = { epoch: EPOCHS[epoch] as Epoch, sequence: 0 };
    const name = /^send (\w+) record$/.exec(action)?.[1];
    if (name === undefined) continue;
    const wire = fromHex(values["complete record"] as string);
    const isProtected = keys[actor].epoch !== "initial" && name !== "change_cipher_spec";
    observe({
      kind: "record",
      direction: actor === "client" ? "sent" : "received",
      epoch: isProtected ? keys[actor].epoch : "initial",
      outerType: wire[0] as number,
      type: ContentType.codes[name as keyof typeof ContentType.codes],
      wire,
      content: fromHex(values.payload as string),
      padding: 0,
      sequence: isProtected ? keys[actor].sequence++ : undefined,
      generation: 0,
    });
  }
  return items;
}
