/** What `mutls bench` prints: one scenario in full, or several beside each other. */
import type { MessageSize } from "../bench/census.ts";
import type { CostRow, EndTime, OperationTime } from "../bench/costs.ts";
import type { Machine } from "../bench/machine.ts";
import { OPERATION_TEXT, OPERATIONS, type OperationName } from "../bench/meter.ts";
import type { ScenarioFacts } from "../bench/scenario.ts";
import { describeScenario, digits, messageText, spreadText, tableLines } from "../bench/text.ts";

/** One scenario: operations, bytes and round trips of both ends. */
export function scenarioReport(row: CostRow): string {
  const { exact, times, allocated } = row;
  const memory = allocated === undefined ? "" : `; allocates ${kilobytes(allocated.median)} kB`;
  return paragraphs(
    [describeScenario(row.scenario), machineText(row.machine)],
    tableLines(operationRows(row)),
    [
      `Both ends: ${spreadText(times.handshake)} ms; CPU time of all threads, garbage collected and all, ` +
        `${spreadText(times.processCpu)} ms${memory}.`,
      `Medians over rounds of some handshakes each, ${times.runs} in all; in brackets the 10th and 90th percentile of the rounds.`,
      "Both ends run in one process, over memory. Operations are timed in handshakes of their own, which the meter makes",
      `${digits(times.metering.median)} times as long; the rest has that in it.`,
      ...waitingNote([row]),
    ],
    tableLines(wireRows(row)),
    [
      "Round trips before an application byte, TCP's own not counted: the client's leaves it after " +
        `${exact.roundTrips.firstByteSent.client},`,
      `the server's after ${exact.roundTrips.firstByteSent.server}; the client has an answer to its first byte after ` +
        `${exact.roundTrips.answered}.`,
    ],
  );
}

/** Several scenarios that differ in `by`, against the first of them. */
export function comparisonReport(rows: readonly CostRow[], by: keyof ScenarioFacts): string {
  const [first] = rows;
  if (first === undefined) return "";
  return paragraphs(
    [describeScenario(first.scenario, [by]), machineText(first.machine)],
    tableLines([
      ["ms a handshake", "both ends", `× ${first.name}`, "client", "×", "server", "×", "CPU, all threads", "×"],
      ...rows.map(({ name, times, ratio }) => [
        name,
        digits(times.handshake.median),
        ratio === undefined ? "1" : spreadText(ratio.handshake),
        sumText(times.ends.client),
        ratio === undefined ? "1" : digits(ratio.ends.client.median),
        sumText(times.ends.server),
        ratio === undefined ? "1" : digits(ratio.ends.server.median),
        digits(times.processCpu.median),
        ratio === undefined ? "1" : spreadText(ratio.processCpu),
      ]),
    ]),
    [
      "Medians over rounds of some handshakes each, in brackets the 10th and 90th percentile of the rounds; ratios are to",
      `${first.name} in the same round of one interleaved run of ${Math.min(...rows.map(({ times }) => times.runs))} handshakes and more of each. Both ends run in one process, over memory.`,
    ],
    tableLines([
      ["client / server, ms", ...rows.map(({ name }) => name)],
      ...OPERATIONS.filter((name) => rows.some((row) => has(row, name))).map((name) => [
        OPERATION_TEXT[name],
        ...rows.map(({ times: { ends } }) => {
          const [client, server] = [ends.client.operations[name], ends.server.operations[name]];
          return `${timeText(client) || "-"} / ${timeText(server) || "-"}`;
        }),
      ]),
    ]),
    waitingNote(rows),
    tableLines([
      ["exact", ...rows.map(({ name }) => name)],
      ["bytes, client → server", ...rows.map(({ exact }) => String(exact.sent.client.bytes))],
      ["bytes, server → client", ...rows.map(({ exact }) => String(exact.sent.server.bytes))],
      ["records, both ways", ...rows.map(({ exact: { sent } }) => String(sent.client.records + sent.server.records))],
      ["signatures made", ...rows.map((row) => String(callsOf(row, "sign")))],
      [
        "signatures verified",
        ...rows.map((row) => String(callsOf(row, "verify_handshake") + callsOf(row, "verify_certificate"))),
      ],
      [
        "round trips before the client's first byte",
        ...rows.map(({ exact }) => String(exact.roundTrips.firstByteSent.client)),
      ],
      [
        "round trips before the server's first byte",
        ...rows.map(({ exact }) => String(exact.roundTrips.firstByteSent.server)),
      ],
      ["round trips until the client has its answer", ...rows.map(({ exact }) => String(exact.roundTrips.answered))],
    ]),
  );
}

function operationRows({ exact, times: { ends } }: CostRow): string[][] {
  const cells = (side: "client" | "server", name: OperationName): string[] => {
    const time = ends[side].operations[name];
    if (time === undefined) return ["", "", ""];
    const share = (100 * sum(time)) / sum(ends[side]);
    return [timeText(time), `${share.toFixed(0)} %`, String(exact.calls[side][name] ?? "")];
  };
  const used = OPERATIONS.filter((name) => [ends.client, ends.server].some(({ operations }) => operations[name]));
  return [
    ["time of one handshake", "client ms", "share", "calls", "server ms", "share", "calls"],
    ...used.map((name) => [OPERATION_TEXT[name], ...cells("client", name), ...cells("server", name)]),
    ["together", timeText(ends.client), "", "", timeText(ends.server), "", ""],
    ["10th–90th percentile", rangeText(ends.client), "", "", rangeText(ends.server), "", ""],
  ];
}

function wireRows({ exact: { sent } }: CostRow): string[][] {
  const column = (messages: readonly MessageSize[]) =>
    messages.map(({ name, bytes }) => [messageText(name), String(bytes)]);
  const [client, server] = [column(sent.client.messages), column(sent.server.messages)];
  const lines = Array.from({ length: Math.max(client.length, server.length) }, (_, index) => [
    ...(client[index] ?? ["", ""]),
    ...(server[index] ?? ["", ""]),
  ]);
  const total = (side: "client" | "server") => [`in ${sent[side].records} records`, String(sent[side].bytes)];
  const layer = (side: "client" | "server") => ["record layer", String(sent[side].recordLayerBytes)];
  return [
    ["client → server", "bytes", "server → client", "bytes"],
    ...lines,
    [...layer("client"), ...layer("server")],
    [...total("client"), ...total("server")],
  ].map(([a = "", b = "", c = "", d = ""]) => [a, b, `   ${c.padEnd(22)}`, d]);
}

function waitingNote(rows: readonly CostRow[]): string[] {
  const waits = rows.some(({ times: { ends } }) => ends.client.waiting !== undefined);
  return waits
    ? [
        "a+b: CPU time of the thread that runs JavaScript, and waiting for a promise: other threads' work, and turns. The other",
        "end may go on meanwhile, so that both together take less than the sum.",
      ]
    : [];
}

/** CPU time, and waiting apart from it. */
function timeText(time: OperationTime | undefined): string {
  if (time === undefined) return "";
  const { cpu, waiting } = time;
  return waiting === undefined ? digits(cpu.median) : `${digits(cpu.median)}+${digits(waiting.median)}`;
}

function sumText(end: EndTime): string {
  return digits(sum(end));
}

function sum({ cpu, waiting }: OperationTime): number {
  return cpu.median + (waiting?.median ?? 0);
}

function rangeText({ cpu, waiting }: OperationTime): string {
  const range = ({ p10, p90 }: { p10: number; p90: number }) => `${digits(p10)}–${digits(p90)}`;
  return waiting === undefined ? range(cpu) : `${range(cpu)}+${range(waiting)}`;
}

function has({ times: { ends } }: CostRow, name: OperationName): boolean {
  return ends.client.operations[name] !== undefined || ends.server.operations[name] !== undefined;
}

function callsOf({ exact: { calls } }: CostRow, name: OperationName): number {
  return (calls.client[name] ?? 0) + (calls.server[name] ?? 0);
}

function kilobytes(bytes: number): string {
  return (bytes / 1000).toFixed(0);
}

function machineText({ cpu, cores, platform, node, openssl }: Machine): string {
  return `${cpu}, ${cores} cores, ${platform}, Node ${node} with OpenSSL ${openssl}`;
}

function paragraphs(...parts: readonly (readonly string[])[]): string {
  return `${parts
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join("\n"))
    .join("\n\n")}\n`;
}
