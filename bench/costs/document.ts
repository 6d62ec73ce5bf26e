/** COSTS.md, made of what was measured. */
import type { CostRow } from "../../src/bench/costs.ts";
import { OPERATION_TEXT, OPERATIONS, type OperationName } from "../../src/bench/meter.ts";
import { digits, messageText, spreadText } from "../../src/bench/text.ts";
import { COMPARISONS, type Comparison, GLANCE, type Results } from "./comparisons.ts";

/** The document as Markdown. */
export function document(results: Results): string {
  const glance = results.get(GLANCE) ?? [];
  const others = COMPARISONS.filter((comparison) => comparison !== GLANCE);
  return `${[
    ...introduction(glance),
    ...comparisonSection(GLANCE, glance),
    ...bytesSection(glance),
    ...operationsSection(glance),
    ...others.flatMap((comparison) => comparisonSection(comparison, results.get(comparison) ?? [])),
    ...SHAPE,
  ].join("\n")}\n`;
}

function introduction([row]: readonly CostRow[]): string[] {
  if (row === undefined) throw new Error("nothing was measured");
  const { cpu, cores, platform, node, openssl } = row.machine;
  return [
    "# What a handshake costs",
    "",
    "Made by `npm run costs`, which measures everything anew, in some three minutes, and writes [results/](results), the charts and",
    "this page. `npm run costs -- groups` measures one table, `npm run costs -- --document` none. What is said here about calls,",
    "bytes and round trips is exact: a test counts it anew and compares. `mutls bench` answers the same questions for other",
    "scenarios, and on your own machine; [README.md](README.md) compares with node:tls and with the bare primitives.",
    "",
    `Times are from ${cpu}, ${cores} cores, ${platform}, Node ${node} with OpenSSL ${openssl}, while others used it, too. They do not`,
    "travel; ratios do, within their spread: medians over the rounds of one interleaved run, with the 10th and 90th percentile in",
    "brackets. The time of both ends, and of each, is a round's median, and so leaves out what was interrupted; CPU is a mean, of",
    "all threads, garbage collected and all, and what the charts show. Where others want the machine, handshakes of several ms are",
    "interrupted in any case, and CPU says more. → is from client to server.",
    "",
    "Both ends run in one process, over memory. Unless a table says otherwise: mutual authentication, x25519,",
    "TLS_AES_128_GCM_SHA256, ecdsa-p256 certificates right under the root. Each end's provider knows the peer's key from the",
    "handshake before, as with a peer that comes back. Round trips do not count TCP's own. ECDSA signatures have their most",
    "frequent length; a byte or two more or less is chance.",
    "",
  ];
}

function comparisonSection({ file, title, text }: Comparison, rows: readonly CostRow[]): string[] {
  const first = rows[0]?.name ?? "";
  return [
    `## ${title}`,
    "",
    text,
    "",
    ...table([
      ["", "both ends, ms", `× ${first}`, "client ×", "server ×", "CPU ×", "bytes →", "bytes ←", "allocates, kB"],
      ...rows.map(({ name, times, ratio, exact, allocated }) => [
        name,
        digits(times.handshake.median),
        ratio === undefined ? "1" : spreadText(ratio.handshake),
        ratio === undefined ? "1" : spreadText(ratio.ends.client),
        ratio === undefined ? "1" : spreadText(ratio.ends.server),
        ratio === undefined ? "1" : spreadText(ratio.processCpu),
        String(exact.sent.client.bytes),
        String(exact.sent.server.bytes),
        allocated === undefined ? "?" : (allocated.median / 1000).toFixed(0),
      ]),
    ]),
    "",
    `![${title}: CPU time](charts/${file}.svg)`,
    "",
  ];
}

function bytesSection(rows: readonly CostRow[]): string[] {
  const sides = (["client", "server"] as const).flatMap((side) => {
    const names = inOrder(rows.map(({ exact }) => exact.sent[side].messages.map(({ name }) => name)));
    const cell = ({ exact }: CostRow, wanted: string) => {
      const sizes = exact.sent[side].messages.filter(({ name }) => name === wanted).map(({ bytes }) => bytes);
      return sizes.length === 0 ? "" : sizes.join(" + ");
    };
    return [
      ["client", "server"].indexOf(side) === 0 ? "Client to server:" : "Server to client:",
      "",
      ...table([
        ["bytes", ...rows.map(({ name }) => name)],
        ...names.map((name) => [messageText(name), ...rows.map((row) => cell(row, name))]),
        ["record layer", ...rows.map(({ exact }) => String(exact.sent[side].recordLayerBytes))],
        ["all", ...rows.map(({ exact }) => `**${exact.sent[side].bytes}**`)],
        ["records", ...rows.map(({ exact }) => String(exact.sent[side].records))],
      ]),
      "",
    ];
  });
  return [
    "## Bytes by message",
    "",
    "Handshake messages with their header of four bytes; the record layer's are headers, content types and tags. The ticket",
    "holds the session, and with it the certificates of who may resume: a client's comes back in its next ClientHello.",
    "",
    ...sides,
    "![Bytes on the wire](charts/bytes.svg)",
    "",
    "Round trips:",
    "",
    ...table([
      ["", ...rows.map(({ name }) => name)],
      [
        "before the client's first application byte",
        ...rows.map(({ exact }) => String(exact.roundTrips.firstByteSent.client)),
      ],
      [
        "before the server's first application byte",
        ...rows.map(({ exact }) => String(exact.roundTrips.firstByteSent.server)),
      ],
      ["until the client has the answer to it", ...rows.map(({ exact }) => String(exact.roundTrips.answered))],
    ]),
    "",
  ];
}

function operationsSection(rows: readonly CostRow[]): string[] {
  const used = OPERATIONS.filter((name) => rows.some(({ exact }) => calls(exact.calls, name) !== ""));
  return [
    "## Operations",
    "",
    "Calls, client / server. What the server does for the key exchange is its share and the agreement in one. A hash is counted",
    "when it is taken, a record when it is sealed or opened.",
    "",
    ...table([
      ["calls", ...rows.map(({ name }) => name)],
      ...used.map((name) => [OPERATION_TEXT[name], ...rows.map(({ exact }) => calls(exact.calls, name))]),
    ]),
    "",
    "And what they take, ms, client / server. They are timed in handshakes of their own, by a meter that is itself in the rest.",
    "",
    ...table([
      ["ms", ...rows.map(({ name }) => name)],
      ...OPERATIONS.filter((name) => rows.some((row) => times(row, name) !== "")).map((name) => [
        OPERATION_TEXT[name],
        ...rows.map((row) => times(row, name)),
      ]),
    ]),
    "",
    "![CPU time by operation](charts/operations.svg)",
    "",
  ];
}

function calls({ client, server }: CostRow["exact"]["calls"], name: OperationName): string {
  return client[name] === undefined && server[name] === undefined ? "" : `${client[name] ?? 0} / ${server[name] ?? 0}`;
}

function times({ times: { ends } }: CostRow, name: OperationName): string {
  const [client, server] = [ends.client.operations[name], ends.server.operations[name]];
  if (client === undefined && server === undefined) return "";
  return [client, server].map((time) => (time === undefined ? "-" : digits(time.cpu.median))).join(" / ");
}

/** All names, each once, in an order that no list contradicts where they can be brought into one. */
function inOrder(lists: readonly (readonly string[])[]): string[] {
  const all: string[] = [];
  for (const list of lists) {
    let at = 0;
    for (const name of list) {
      const known = all.indexOf(name);
      if (known === -1) all.splice(at, 0, name);
      at = Math.max(at, (known === -1 ? at : known) + 1);
    }
  }
  return all;
}

const SHAPE = [
  "## The data",
  "",
  "The files in [results/](results) are what `mutls bench --compare … --json FILE` writes: an array, an object for each row.",
  "",
  "| field | what |",
  "| --- | --- |",
  "| `name`, `scenario` | what was measured: `auth`, `kind`, `group`, `cipherSuite`, `key`, `chain`, `provider`, `helloRetry`, `tickets` |",
  "| `exact.calls.client`, `.server` | calls by operation |",
  "| `exact.sent.client`, `.server` | `bytes`, `records`, `messages` (`name`, `bytes`) in order, `recordLayerBytes` |",
  "| `exact.roundTrips` | `firstByteSent.client`, `.server`, `answered` |",
  "| `times.handshake`, `.processCpu` | ms, elapsed and of all threads, both ends together: `median`, `p10`, `p90`, as everywhere |",
  "| `times.ends.client`, `.server` | `cpu` and, where there are promises, `waiting`, ms; `operations`: the same for each |",
  "| `times.metering`, `.runs` | how many times as long the meter makes a handshake; handshakes measured |",
  "| `ratio` | to the first row: `handshake`, `processCpu`, `ends.client`, `ends.server`; `against` is its name |",
  "| `allocated` | bytes, both ends together; absent where garbage was collected too often to tell |",
  "| `machine` | `cpu`, `cores`, `platform`, `node`, `openssl` |",
  "",
  "`mutls bench HOST:PORT --json FILE` writes one object:",
  "",
  "| field | what |",
  "| --- | --- |",
  "| `target`, `concurrency`, `negotiated` | HOST:PORT, connections at a time, `cipherSuite` and `group` of the first |",
  "| `attempts`, `completed`, `resumed` | connections begun, those that the server accepted, and those of them that went on from a ticket |",
  "| `failed` | how many failed, by code: TlsError's, or Node's where the network failed |",
  "| `elapsed`, `perSecond`, `stoppedBy` | ms; completed handshakes; `count`, `time` or `signal` |",
  "| `tcp`, `handshake` | ms: `p50`, `p90`, `p99`, `max`, until TCP was connected, and from then until the client had finished |",
  "| `bytes` | `sent`, `received`, of a completed connection, on average |",
];

function table([head = [], ...rows]: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map((_, index) => (index === 0 ? "---" : "---:"))), ...rows.map(line)];
}
