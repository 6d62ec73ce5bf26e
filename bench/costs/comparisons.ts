/** The comparisons that COSTS.md holds: what is measured for each, and in which file of bench/results it stands. */
import type { CostRow, NamedScenario } from "../../src/bench/costs.ts";
import { createScenario, KEYS, type Scenario, type ScenarioFacts } from "../../src/bench/scenario.ts";
import { PROVIDERS } from "../../src/cli/tls-flags.ts";

/** Rows that are measured in one interleaved run. The first is what the others are compared with. */
export interface Comparison {
  /** Of the file in bench/results, without its ending. */
  readonly file: string;
  readonly title: string;
  /** What is to be seen, in a sentence or two. */
  readonly text: string;
  readonly rows: readonly { readonly name: string; readonly change: Partial<Scenario> }[];
}

/** Comparisons with what was measured. */
export type Results = ReadonlyMap<Comparison, readonly CostRow[]>;

/** The first: everything that people ask about, beside each other. */
export const GLANCE: Comparison = {
  file: "glance",
  title: "At a glance",
  text:
    "All with the node provider. Whoever resumes is issued a ticket for the next time: compare with the full handshake that " +
    "is issued one, too. At every resumption both ends verify each other's certificates again, under today's rules.",
  rows: [
    { name: "mutual", change: {} },
    { name: "one-way", change: { auth: "one-way" } },
    { name: "mutual, a ticket issued", change: { tickets: 1 } },
    { name: "mutual, after a HelloRetryRequest", change: { helloRetry: true } },
    { name: "mutual, resumed", change: { kind: "resumed" } },
    { name: "mutual, 0-RTT", change: { kind: "early" } },
    { name: "mutual, post-quantum key exchange", change: { group: "X25519MLKEM768" } },
    { name: "mutual, all post-quantum", change: { group: "X25519MLKEM768", key: "mldsa65" } },
  ],
};

export const COMPARISONS: readonly Comparison[] = [
  GLANCE,
  {
    file: "groups",
    title: "Key exchange",
    text: "A mutual full handshake by group, with the node provider. On Node before 24.7 ML-KEM is noble's.",
    rows: (["x25519", "secp256r1", "secp384r1", "secp521r1", "X25519MLKEM768", "SecP256r1MLKEM768"] as const).map(
      (group) => ({ name: group, change: { group } }),
    ),
  },
  {
    file: "keys",
    title: "Certificates",
    text:
      "A mutual full handshake by the kind of key of all certificates, the root's included, with the node provider. On Node " +
      "before 24.7 ML-DSA is noble's.",
    rows: KEYS.map((key) => ({ name: key, change: { key } })),
  },
  {
    file: "chains",
    title: "Length of the chain",
    text: "A mutual full handshake by the number of certificates that each end shows.",
    rows: [1, 2, 3].map((chain) => ({ name: `${chain}`, change: { chain } })),
  },
  {
    file: "providers",
    title: "Providers",
    text:
      "A mutual full handshake by who computes. While webcrypto signs, what stands before the signature is sent already: one " +
      "record more in each direction.",
    rows: Object.entries(PROVIDERS).map(([name, provider]) => ({ name, change: { provider } })),
  },
  {
    file: "suites",
    title: "Cipher suites",
    text: "A mutual full handshake by cipher suite, with the node provider.",
    rows: (["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"] as const).map(
      (cipherSuite) => ({ name: cipherSuite, change: { cipherSuite } }),
    ),
  },
];

/** What is to be measured. */
export function scenariosOf({ rows }: Comparison): NamedScenario[] {
  return rows.map(({ name, change }) => ({ name, scenario: createScenario({ provider: PROVIDERS.node, ...change }) }));
}

/** The scenario that facts were written down of; certificates are not compressed here. */
export function scenarioOf({ provider, compression, ...facts }: ScenarioFacts): Scenario {
  if (compression !== undefined) throw new Error("compressed certificates have no exact length");
  return createScenario({ ...facts, provider: PROVIDERS[provider as keyof typeof PROVIDERS] });
}
