/** What is measured: a handshake, described by what decides about its cost. */
import type { CipherSuiteName, NamedGroupName } from "../codec/registry.ts";
import type { CryptoProvider, KeyAlgorithm, SignatureAlgorithm } from "../crypto/provider.ts";
import { fault } from "../errors.ts";
import type { CertificateCompression } from "../handshake/compression.ts";

/** Who shows a certificate: the server alone, or both. */
export const AUTHENTICATIONS = ["one-way", "mutual"] as const;
/** A handshake with certificates, one that goes on from a ticket, or the same with early data (0-RTT). */
export const KINDS = ["full", "resumed", "early"] as const;
/** Keys of all certificates of a scenario, the root's included. */
export const KEYS = [
  "ecdsa-p256",
  "ecdsa-p384",
  "ed25519",
  "rsa-2048",
  "mldsa44",
  "mldsa65",
  "mldsa87",
] as const satisfies readonly string[];

export type KeyName = (typeof KEYS)[number];

/** What decides about the cost of a handshake. */
export interface Scenario {
  readonly auth: (typeof AUTHENTICATIONS)[number];
  readonly kind: (typeof KINDS)[number];
  /** The one group that both ends have. */
  readonly group: NamedGroupName;
  /** The one cipher suite that both ends have. */
  readonly cipherSuite: CipherSuiteName;
  readonly key: KeyName;
  /** Certificates that each end shows: 1 is the end entity's alone, which the root has issued. 1 to 8. */
  readonly chain: number;
  /** Makes a provider for each end, so that they share no cache. */
  readonly provider: () => CryptoProvider;
  /** Compresses certificates, both ways. */
  readonly compression?: CertificateCompression | undefined;
  /** The client's first key share is for another group, so that the server has to ask for the right one. */
  readonly helloRetry: boolean;
  /** Tickets that the server sends after the handshake; resumption needs one at least. 0 to 16. */
  readonly tickets: number;
}

/** A scenario without what cannot be written down. */
export interface ScenarioFacts extends Omit<Scenario, "provider" | "compression"> {
  /** The provider's name. */
  readonly provider: string;
  /** IANA's number of the algorithm, or `undefined`. */
  readonly compression?: number | undefined;
}

/** Everything but who computes. */
const DEFAULTS = {
  auth: "mutual",
  kind: "full",
  group: "x25519",
  cipherSuite: "TLS_AES_128_GCM_SHA256",
  key: "ecdsa-p256",
  chain: 1,
  compression: undefined,
  helloRetry: false,
} as const satisfies Partial<Scenario>;

/**
 * A scenario: a mutual full handshake with X25519, TLS_AES_128_GCM_SHA256 and certificates for ECDSA P-256 right under the
 * root, but for what is given.
 *
 * @throws TlsError `ERR_TLS_OPTION` for what the provider has not, and for numbers out of range.
 * @example
 * ```ts
 * const scenario = createScenario({ provider: () => nobleProvider, auth: "one-way" });
 * console.log(scenario.group, scenario.tickets); // x25519 0
 * ```
 */
export function createScenario(given: Partial<Scenario> & Pick<Scenario, "provider">): Scenario {
  const scenario = { ...DEFAULTS, tickets: (given.kind ?? "full") === "full" ? 0 : 1, ...given };
  const { kind, chain, tickets } = scenario;
  within("chain", chain, 1, 8);
  within("tickets", tickets, kind === "full" ? 0 : 1, 16);
  if (kind === "early" && scenario.helloRetry)
    throw fault("ERR_TLS_OPTION", "early data with a HelloRetryRequest, which rejects it (RFC 8446 4.2.10)");
  const provider = scenario.provider();
  assertHas("group", scenario.group, provider.groups, provider);
  assertHas("cipher suite", scenario.cipherSuite, provider.suites, provider);
  if (!keysOf(provider).includes(scenario.key)) {
    const known = keysOf(provider).join(", ");
    throw fault(
      "ERR_TLS_OPTION",
      `keys of the kind ${scenario.key} with provider ${provider.name}, which has ${known}`,
    );
  }
  return scenario;
}

/** The kinds of certificate that a provider can do. */
export function keysOf(provider: CryptoProvider): KeyName[] {
  return KEYS.filter((name) => {
    const { key, algorithm } = KEY_ALGORITHMS[name];
    return provider.canVerify(key, algorithm);
  });
}

const ecdsa = { type: "ecdsa", hash: "sha256" } as const;
const pure = <Name extends "ed25519" | "mldsa44" | "mldsa65" | "mldsa87">(type: Name) => ({
  key: { type },
  algorithm: { type },
});

/** How each kind of key signs in CertificateVerify. */
const KEY_ALGORITHMS: {
  readonly [Name in KeyName]: { readonly key: KeyAlgorithm; readonly algorithm: SignatureAlgorithm };
} = {
  "ecdsa-p256": { key: { type: "ec", curve: "P-256" }, algorithm: ecdsa },
  "ecdsa-p384": { key: { type: "ec", curve: "P-384" }, algorithm: { type: "ecdsa", hash: "sha384" } },
  ed25519: pure("ed25519"),
  "rsa-2048": { key: { type: "rsa", bits: 2048 }, algorithm: { type: "rsa-pss", hash: "sha256", saltLength: 32 } },
  mldsa44: pure("mldsa44"),
  mldsa65: pure("mldsa65"),
  mldsa87: pure("mldsa87"),
};

/** What can be written down of a scenario. */
export function factsOf({ provider, compression, ...facts }: Scenario): ScenarioFacts {
  return { ...facts, provider: provider().name, ...(compression && { compression: compression.algorithm }) };
}

function within(name: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max)
    throw fault("ERR_TLS_OPTION", `${name} of ${value}: it must be ${min} to ${max}`);
}

function assertHas(
  what: string,
  name: string,
  available: readonly { readonly name: string }[],
  provider: CryptoProvider,
): void {
  if (available.some((entry) => entry.name === name)) return;
  const known = available.map((entry) => entry.name).join(", ");
  throw fault("ERR_TLS_OPTION", `${what} ${name} is not in provider ${provider.name}, which has ${known}`);
}
