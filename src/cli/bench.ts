/** `mutls bench`: what a handshake costs, on this machine or against a live server. */
import { writeFileSync } from "node:fs";
import { type CostRow, measureCosts, type NamedScenario } from "../bench/costs.ts";
import {
  AUTHENTICATIONS,
  createScenario,
  KEYS,
  type KeyName,
  KINDS,
  keysOf,
  type Scenario,
  type ScenarioFacts,
} from "../bench/scenario.ts";
import type { CryptoProvider } from "../crypto/provider.ts";
import { LIVE_FLAGS, runLive } from "./bench-live.ts";
import { comparisonReport, scenarioReport } from "./bench-report.ts";
import { CliError, ExitStatus, usage } from "./exit.ts";
import type { Arguments, Command, Flag } from "./flags.ts";
import { negotiationOptions, PROVIDERS, TLS_FLAGS } from "./tls-flags.ts";

/** What a comparison may be by, and which of a scenario's facts that is. */
const COMPARISONS = {
  auth: "auth",
  kind: "kind",
  group: "group",
  provider: "provider",
  key: "key",
  suite: "cipherSuite",
} as const satisfies Readonly<Record<string, keyof ScenarioFacts>>;

type Comparison = keyof typeof COMPARISONS;

/** Without HOST:PORT only. */
const SCENARIO_FLAGS: readonly Flag[] = [
  {
    name: "compare",
    value: "WHAT",
    choices: Object.keys(COMPARISONS),
    help: "a row for each value, with its ratio to the first; lists of --groups, --tls13-ciphers and --key-type are the rows then",
  },
  { name: "auth", value: "WHO", choices: AUTHENTICATIONS, help: "who shows a certificate; mutual by default" },
  { name: "kind", value: "KIND", choices: KINDS, help: "with certificates, or from a ticket; full by default" },
  { name: "key-type", value: "A,B", help: `keys of all certificates: ${KEYS.join(", ")}; ecdsa-p256 by default` },
  { name: "chain", value: "N", help: "certificates that each end shows, 1 to 8; 1 by default" },
  { name: "tickets", value: "N", help: "tickets after each handshake, 0 to 16; 1 where handshakes are resumed" },
  { name: "hello-retry", help: "the client's first key share is of the wrong group: one round trip more" },
  { name: "rounds", value: "N", help: "rounds of the interleaved run, 3 to 10000; 100 by default" },
];

/** In both modes. */
const COMMON_FLAGS: readonly Flag[] = [
  ...["groups", "tls13-ciphers", "cert-compression", "provider"].map(
    (name) => TLS_FLAGS.find((flag) => flag.name === name) as Flag,
  ),
  { name: "time-limit", value: "SECONDS", help: "for all of it, 1 to 3600; 10 by default" },
  { name: "json", value: "FILE", help: "write what was measured as JSON; - is stdout, in place of the report" },
];

export const benchCommand: Command = {
  name: "bench",
  synopsis: "[HOST:PORT]",
  summary: "What a handshake costs here; or how fast a live server is.",
  description: [
    "Without HOST:PORT, client and server run in this process, over memory, with throwaway certificates: by default a mutual",
    "full handshake with x25519, ecdsa-p256 and TLS_AES_128_GCM_SHA256. Calls, bytes and round trips are exact, the same each",
    "time; times are medians over interleaved rounds, with the 10th and 90th percentile. Ratios travel between machines,",
    "times do not. Each end's provider knows the peer's keys from the handshake before, as with a peer that comes back.",
    "",
    "With HOST:PORT, handshakes against that server, over TCP, each on a connection of its own, like openssl s_time:",
    "handshakes per second, latencies, bytes, and failures by code. A server that asks for a certificate judges it after the",
    "client has finished: such a handshake counts once the server has sent something, or closed in order.",
    "",
    "Flags from --compare to --rounds are for the former, those from --count on for the latter, those between for both.",
    "",
    "--json without HOST:PORT writes an array with an object for each row: name, scenario, exact (calls by operation, what",
    "each end sent by message, round trips), times (ms: median, p10, p90), ratio (to the first row), allocated (bytes) and",
    "machine. With HOST:PORT it is one object: attempts, completed, resumed, failed (by code), elapsed (ms), perSecond, tcp and",
    "handshake (ms: p50, p90, p99, max), bytes (sent, received: means), stoppedBy (count, time or signal), negotiated.",
    "",
    "exit status: 0 done, 2 usage, 23 cannot write; with HOST:PORT also that of `mutls connect` for the first failure",
  ].join("\n"),
  positionals: 0,
  optionalPositionals: 1,
  flags: [...SCENARIO_FLAGS, ...COMMON_FLAGS, ...LIVE_FLAGS],
  examples: [
    "mutls bench",
    "mutls bench --compare auth",
    "mutls bench --compare group --groups x25519,X25519MLKEM768",
    "mutls bench --compare provider --kind resumed --json costs.json",
    "mutls bench localhost:8443 --cacert ca.pem --cert me.pem --key me.key --count 1000 --concurrency 4",
  ],
  run,
};

async function run(args: Arguments): Promise<number> {
  const isLive = args.positionals.length > 0;
  const foreign = (isLive ? SCENARIO_FLAGS : LIVE_FLAGS).find(({ name }) => args.has(name));
  if (foreign !== undefined) {
    throw usage(
      `--${foreign.name} is ${isLive ? "not for" : "for"} measuring against a live server`,
      isLive ? "leave HOST:PORT out, or see: mutls bench --help" : "give HOST:PORT, or see: mutls bench --help",
    );
  }
  const timeLimit = 1000 * (args.number("time-limit", 1, 3600) ?? 10);
  const output = (report: unknown, text: () => string) => emit(args.get("json"), report, text);
  if (isLive) return runLive(args, timeLimit, output);
  const rounds = args.number("rounds", 3, 10_000) ?? 100;
  const rows = await measureCosts(scenarios(args), { rounds, timeLimit });
  const by = args.get("compare") as Comparison | undefined;
  output(rows, () => (by === undefined ? scenarioReport(rows[0] as CostRow) : comparisonReport(rows, COMPARISONS[by])));
  return ExitStatus.ok;
}

/** Prints the report, and writes it as JSON where that is asked for. */
function emit(file: string | undefined, report: unknown, text: () => string): void {
  const json = () => `${JSON.stringify(report, undefined, 2)}\n`;
  if (file === "-") {
    process.stdout.write(json());
    return;
  }
  if (file !== undefined) {
    try {
      writeFileSync(file, json());
    } catch (error) {
      throw new CliError(ExitStatus.write, `cannot write ${file}: ${(error as Error).message}`);
    }
  }
  process.stdout.write(text());
}

/** What the flags describe: one scenario, or those that are compared. */
export function scenarios(args: Arguments): NamedScenario[] {
  const by = args.get("compare") as Comparison | undefined;
  const negotiation = negotiationOptions(args);
  const keys = keyNames(args, negotiation.provider);
  const providerName = (args.get("provider") ?? "node") as keyof typeof PROVIDERS;
  const base: Partial<Scenario> & Pick<Scenario, "provider"> = {
    provider: PROVIDERS[providerName],
    ...given("auth", args.get("auth") as Scenario["auth"] | undefined),
    ...given("kind", args.get("kind") as Scenario["kind"] | undefined),
    ...given("chain", args.number("chain", 1, 8)),
    ...given("tickets", args.number("tickets", 0, 16) ?? (by === "kind" ? 1 : undefined)),
    ...given("group", one("groups", negotiation.groups, by === "group")),
    ...given("cipherSuite", one("tls13-ciphers", negotiation.cipherSuites, by === "suite")),
    ...given("key", one("key-type", keys, by === "key")),
    ...given("compression", one("cert-compression", negotiation.certificateCompression, false)),
    helloRetry: args.has("hello-retry"),
  };
  if (by === undefined) return [{ name: "handshake", scenario: createScenario(base) }];
  if (by !== "group" && by !== "suite" && by !== "key" && args.has(by))
    throw usage(`--compare ${by} and --${by}: the rows are all of them`);
  const rows = rowsBy(by, {
    groups: negotiation.groups ?? DEFAULT_GROUPS,
    suites: negotiation.cipherSuites ?? DEFAULT_SUITES,
    keys: keys ?? keysOf(negotiation.provider),
  });
  return rows.map(({ name, change }) => ({ name, scenario: createScenario({ ...base, ...change }) }));
}

interface Change {
  readonly name: string;
  readonly change: Partial<Scenario>;
}

interface Values {
  readonly groups: readonly Scenario["group"][];
  readonly suites: readonly Scenario["cipherSuite"][];
  readonly keys: readonly KeyName[];
}

function rowsBy(by: Comparison, { groups, suites, keys }: Values): Change[] {
  const each = <Name extends keyof Scenario>(name: Name, values: readonly (Scenario[Name] & string)[]): Change[] =>
    values.map((value) => ({ name: value, change: { [name]: value } }));
  switch (by) {
    case "auth":
      return each("auth", AUTHENTICATIONS);
    case "kind":
      return each("kind", KINDS);
    case "group":
      return each("group", groups);
    case "suite":
      return each("cipherSuite", suites);
    case "key":
      return each("key", keys);
    case "provider":
      return Object.entries(PROVIDERS).map(([name, provider]) => ({ name, change: { provider } }));
  }
}

/** What is offered by default, the classical first; others are compared when named. */
const DEFAULT_GROUPS: Values["groups"] = ["x25519", "secp256r1", "secp384r1", "X25519MLKEM768"];
const DEFAULT_SUITES: Values["suites"] = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
];

function keyNames(args: Arguments, provider: CryptoProvider): readonly KeyName[] | undefined {
  const known = keysOf(provider);
  return args.list("key-type")?.map((written) => {
    const found = known.find((name) => name === written.toLowerCase());
    if (found === undefined) throw usage(`--key-type: there is no ${written}`, `there are ${known.join(", ")}`);
    return found;
  });
}

function one<T>(flag: string, values: readonly T[] | undefined, isCompared: boolean): T | undefined {
  if (values === undefined || isCompared) return undefined;
  if (values.length > 1) throw usage(`--${flag}: a handshake has one`, COMPARED_BY[flag]);
  return values[0];
}

const COMPARED_BY: Readonly<Record<string, string>> = {
  groups: "several are compared with --compare group",
  "tls13-ciphers": "several are compared with --compare suite",
  "key-type": "several are compared with --compare key",
};

/** Leaves out what was not given, so that it has its default. */
function given<Name extends keyof Scenario>(name: Name, value: Scenario[Name] | undefined): Partial<Scenario> {
  return value === undefined ? {} : { [name]: value };
}
