/** What a gateway counts. Labels take values from tables and from the policy alone, never from a client. */
import { CipherSuiteId, NamedGroup } from "../../codec/registry.ts";
import { type Counter, type Histogram, type MetricsFormat, Registry, type Sample } from "./registry.ts";

/** When what is in force ends. */
export interface Expiries {
  /** Certificates that this side shows: ms since the epoch. */
  readonly certificates: readonly { readonly name: string; readonly notAfter: number }[];
  /** CRLs, where they say so: ms since the epoch. */
  readonly crls: readonly { readonly nextUpdate: number }[];
}

/** What is looked up when metrics are asked for. */
export interface MetricsSources {
  connections(): number;
  policyVersion(): string;
  expiries(): Expiries;
  auditWritten(): number;
  auditDropped(): number;
}

/** The families of a gateway. */
export interface GatewayMetrics {
  readonly handshakes: Counter;
  readonly handshakeSeconds: Histogram;
  readonly negotiated: Counter;
  readonly rejectedConnections: Counter;
  readonly requests: Counter;
  readonly requestSeconds: Histogram;
  readonly bytes: Counter;
  readonly upstreamErrors: Counter;
  /** Told what to look up. */
  follow(sources: MetricsSources): void;
  text(format: MetricsFormat): string;
  /** Name, type and meaning of each family. */
  describe(): ReturnType<Registry["describe"]>;
}

/** Seconds. */
const HANDSHAKE_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];
const REQUEST_BOUNDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Names that the registry knows; whatever else there may be is one. */
export const REGISTERED: ReadonlySet<string> = new Set([
  ...Object.keys(CipherSuiteId.codes),
  ...Object.keys(NamedGroup.codes),
]);

/**
 * The metrics of one gateway.
 *
 * @example
 * ```ts
 * const metrics = gatewayMetrics();
 * metrics.requests.add({ status: "2xx", rule: "read" });
 * console.log(metrics.text("openmetrics").includes('mutls_requests_total{status="2xx",rule="read"} 1')); // true
 * ```
 */
export function gatewayMetrics(): GatewayMetrics {
  const registry = new Registry();
  let sources: MetricsSources | undefined;
  const looked = (read: (from: MetricsSources) => readonly Sample[]) => () =>
    sources === undefined ? [] : read(sources);
  const one = (read: (from: MetricsSources) => number) => looked((from) => [{ value: read(from) }]);
  const metrics = {
    handshakes: registry.counter("mutls_handshakes", "Handshakes by what became of them, with the error's code.", [
      "outcome",
      "code",
    ]),
    handshakeSeconds: registry.histogram(
      "mutls_handshake_duration_seconds",
      "From the connection to the end of its handshake, of those accepted.",
      HANDSHAKE_BOUNDS,
      ["resumed"],
    ),
    negotiated: registry.counter("mutls_negotiated", "Accepted handshakes by group and cipher suite.", [
      "group",
      "cipher_suite",
      "resumed",
    ]),
    rejectedConnections: registry.counter(
      "mutls_connections_rejected",
      "Connections closed at once, since there were too many.",
    ),
    requests: registry.counter("mutls_requests", "Requests by status class and by the rule that decided.", [
      "status",
      "rule",
    ]),
    requestSeconds: registry.histogram(
      "mutls_request_duration_seconds",
      "From a request's head to the end of its answer.",
      REQUEST_BOUNDS,
    ),
    bytes: registry.counter("mutls_plaintext_bytes", "Bytes from and to clients, without TLS.", ["direction"]),
    upstreamErrors: registry.counter("mutls_upstream_errors", "Requests that the server behind failed.", ["kind"]),
  };
  registry.gauge(
    "mutls_connections",
    "Connections open, in their handshake or after it.",
    [],
    one((from) => from.connections()),
  );
  registry.gauge(
    "mutls_policy_info",
    "The policy in force.",
    ["version"],
    looked((from) => [{ labels: { version: from.policyVersion() }, value: 1 }]),
  );
  registry.gauge(
    "mutls_certificate_not_after_timestamp_seconds",
    "When the certificates shown to clients expire.",
    ["name", "index"],
    looked((from) =>
      from.expiries().certificates.map(({ name, notAfter }, index) => ({
        labels: { name, index: String(index) },
        value: notAfter / 1000,
      })),
    ),
  );
  registry.gauge(
    "mutls_crl_next_update_timestamp_seconds",
    "When CRLs in force are due to be replaced.",
    ["index"],
    looked((from) =>
      from
        .expiries()
        .crls.map(({ nextUpdate }, index) => ({ labels: { index: String(index) }, value: nextUpdate / 1000 })),
    ),
  );
  registry.total("mutls_audit_written", "Audit records that the sink has taken.", () => sources?.auditWritten() ?? 0);
  registry.total(
    "mutls_audit_dropped",
    "Audit records that the sink did not take.",
    () => sources?.auditDropped() ?? 0,
  );
  return {
    ...metrics,
    follow(given) {
      sources = given;
    },
    text: (format) => registry.text(format),
    describe: () => registry.describe(),
  };
}
