/** The charts of COSTS.md, by file name: bytes, time by operation, and ratios. */
import type { CostRow } from "../../src/bench/costs.ts";
import { OPERATION_TEXT, OPERATIONS, type OperationName } from "../../src/bench/meter.ts";
import { digits, messageText } from "../../src/bench/text.ts";
import { type Bar, chartSvg } from "./chart.ts";
import { COMPARISONS, type Comparison, GLANCE, type Results } from "./comparisons.ts";

/** Every chart, by its name in bench/charts. */
export function charts(results: Results): Map<string, string> {
  const glance = results.get(GLANCE) ?? [];
  return new Map([
    ["bytes.svg", bytesChart(glance)],
    ["operations.svg", operationsChart(glance)],
    ...COMPARISONS.map(
      (comparison) => [`${comparison.file}.svg`, ratioChart(comparison, results.get(comparison) ?? [])] as const,
    ),
  ]);
}

/** Of which the others are a few bytes. */
const LARGE = ["client_hello", "server_hello", "certificate", "certificate_verify", "new_session_ticket"];

function bytesChart(rows: readonly CostRow[]): string {
  const bars = rows.map(({ name, exact: { sent } }): Bar => {
    const messages = [...sent.client.messages, ...sent.server.messages];
    const of = (wanted: (message: string) => boolean) =>
      messages.filter((message) => wanted(message.name)).reduce((sum, { bytes }) => sum + bytes, 0);
    const layer = sent.client.recordLayerBytes + sent.server.recordLayerBytes;
    const segments = [
      ...LARGE.map((large) => ({ what: messageText(large), value: of((message) => message === large) })),
      { what: "other messages", value: of((message) => !LARGE.includes(message)) },
      { what: "record layer", value: layer },
    ];
    return { label: name, segments, text: String(sent.client.bytes + sent.server.bytes) };
  });
  return chartSvg({ title: "Bytes on the wire, both ways together", unit: "bytes", bars });
}

/** Operations that a chart tells apart; the others are the rest of it. */
const GROUPED: readonly (readonly [string, readonly OperationName[]])[] = [
  ["key exchange", ["key_share", "key_agreement", "encapsulation"]],
  [OPERATION_TEXT.sign, ["sign"]],
  [OPERATION_TEXT.verify_handshake, ["verify_handshake"]],
  [OPERATION_TEXT.verify_certificate, ["verify_certificate"]],
  [OPERATION_TEXT.path, ["path", "check_key"]],
  ["HKDF, HMAC and hashes", ["hkdf", "hash"]],
  [OPERATION_TEXT.protection, ["protection"]],
  [OPERATION_TEXT.ticket, ["ticket"]],
];

function operationsChart(rows: readonly CostRow[]): string {
  const ends = (["client", "server"] as const).flatMap((side) =>
    rows
      // Others would take up all the width.
      .filter(({ scenario }) => scenario.group === "x25519")
      .map(({ name, times }): Bar => {
        const { operations, cpu } = times.ends[side];
        const of = (names: readonly OperationName[]) =>
          names.reduce((sum, operation) => sum + (operations[operation]?.cpu.median ?? 0), 0);
        const grouped = GROUPED.map(([what, names]) => ({ what, value: of(names) }));
        const known = GROUPED.flatMap(([, names]) => names);
        const rest = {
          what: OPERATION_TEXT.rest,
          value: of(OPERATIONS.filter((operation) => !known.includes(operation))),
        };
        return { label: `${side}: ${name}`, segments: [...grouped, rest], text: `${digits(cpu.median)} ms` };
      }),
  );
  return chartSvg({ title: "CPU time of one handshake by operation, node provider", unit: "ms", bars: ends });
}

function ratioChart({ title }: Comparison, rows: readonly CostRow[]): string {
  const bars = rows.map(({ name, ratio }): Bar => {
    const { median, p10, p90 } = ratio?.processCpu ?? { median: 1, p10: 1, p90: 1 };
    const label = name.replace(/^TLS_/, "");
    const spread = ratio === undefined ? undefined : ([p10, p90] as const);
    return { label, segments: [{ what: "ratio", value: median }], text: digits(median), spread };
  });
  return chartSvg({
    title: `${title}: CPU time of both ends`,
    unit: `times ${rows[0]?.name ?? ""}, median with 10th and 90th percentile`,
    bars,
  });
}
