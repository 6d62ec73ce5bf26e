import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { gatewayMetrics, serveMetrics } from "../../src/gateway/index.ts";
import { type MetricsFormat, Registry } from "../../src/gateway/metrics/registry.ts";

const NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*";
const LABEL = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\["\\\\n])*"';
const SAMPLE = new RegExp(
  `^(${NAME})(?:\\{(${LABEL}(?:,${LABEL})*)?\\})? (\\+Inf|-Inf|NaN|-?\\d+(?:\\.\\d+)?(?:e[+-]?\\d+)?)$`,
);
const SUFFIXES: Readonly<Record<string, readonly string[]>> = {
  counter: ["_total"],
  gauge: [""],
  histogram: ["_bucket", "_sum", "_count"],
};

/** What is wrong with a text, by the grammar of OpenMetrics 1.0 or of the exposition format 0.0.4. */
function faults(text: string, format: MetricsFormat): string[] {
  const found: string[] = [];
  const lines = text.split("\n");
  if (lines.pop() !== "") found.push("no line break at the end");
  if (format === "openmetrics" && lines.pop() !== "# EOF") found.push("no # EOF at the end");
  const families = new Set<string>();
  const samples = new Set<string>();
  const buckets = new Map<string, { last: number; bound: number }>();
  let name = "";
  let type = "";
  for (const line of lines) {
    const meta = /^# (HELP|TYPE|UNIT) (\S+) ?(.*)$/.exec(line);
    if (meta !== null) {
      const [, kind, family = "", value = ""] = meta;
      if (!new RegExp(`^${NAME}$`).test(family)) found.push(`name: ${line}`);
      if (kind === "HELP") {
        if (families.has(family)) found.push(`family twice: ${family}`);
        families.add(family);
        name = family;
      } else if (family !== name) found.push(`metadata of another family: ${line}`);
      if (kind === "TYPE") type = value;
      if (kind === "UNIT" && !family.endsWith(`_${value}`)) found.push(`unit: ${line}`);
      if (kind === "UNIT" && format !== "openmetrics") found.push(`unit in 0.0.4: ${line}`);
      continue;
    }
    const [, sample = "", labels = "", value = ""] = SAMPLE.exec(line) ?? [];
    if (sample === "") {
      found.push(`grammar: ${line}`);
      continue;
    }
    const suffixes = format === "prometheus" && type === "counter" ? [""] : (SUFFIXES[type] ?? []);
    const suffix = suffixes.find((each) => sample === name + each);
    if (suffix === undefined) found.push(`sample of another family: ${line}`);
    const key = `${sample}{${labels}}`;
    if (samples.has(key)) found.push(`sample twice: ${key}`);
    samples.add(key);
    const names = [...labels.matchAll(/([a-zA-Z_]\w*)="/g)].map(([, label]) => label);
    if (new Set(names).size !== names.length) found.push(`label twice: ${line}`);
    if (type === "counter" && !(Number(value) >= 0)) found.push(`counter below zero: ${line}`);
    if (suffix === "_bucket") {
      const series = labels.replace(/,?le="[^"]*"/, "");
      const bound = Number(/le="([^"]*)"/.exec(labels)?.[1]?.replace("+Inf", "Infinity"));
      const before = buckets.get(series) ?? { last: 0, bound: Number.NEGATIVE_INFINITY };
      if (Number(value) < before.last || !(bound > before.bound)) found.push(`buckets fall: ${line}`);
      buckets.set(series, { last: Number(value), bound });
    }
    if (suffix === "_count") {
      const before = buckets.get(labels);
      if (before?.bound !== Number.POSITIVE_INFINITY) found.push(`no +Inf: ${line}`);
      if (before?.last !== Number(value)) found.push(`count differs: ${line}`);
      buckets.clear();
    }
  }
  return found;
}

function busy() {
  const metrics = gatewayMetrics();
  for (const code of ["", "CERT_HAS_EXPIRED"]) metrics.handshakes.add({ outcome: "refused", code });
  for (const time of [0, 0.001, 0.3, 100]) metrics.handshakeSeconds.observe(time, { resumed: String(time < 0.1) });
  metrics.negotiated.add({ group: "x25519", cipher_suite: "TLS_AES_128_GCM_SHA256", resumed: "false" });
  metrics.requests.add({ status: "2xx", rule: 'odd "\\\n rule' });
  metrics.requestSeconds.observe(2);
  metrics.bytes.add({ direction: "in" }, 12_345);
  metrics.follow({
    connections: () => 3,
    policyVersion: () => '1 "a"',
    expiries: () => ({ certificates: [{ name: "localhost", notAfter: 5000 }], crls: [{ nextUpdate: 7500 }] }),
    auditWritten: () => 4,
    auditDropped: () => 5,
  });
  return metrics;
}

describe("metrics", () => {
  it.each(["openmetrics", "prometheus"] as const)("keep to the grammar: %s", (format) => {
    expect(faults(busy().text(format), format)).toEqual([]);
    expect(faults(gatewayMetrics().text(format), format)).toEqual([]);
  });

  it("are held to a grammar that minds", () => {
    const text = busy().text("openmetrics");
    const wrong = (from: string | RegExp, to: string) => faults(text.replace(from, to), "openmetrics").length > 0;
    expect(
      [
        wrong("# EOF\n", ""),
        wrong("mutls_connections 3", "mutls_connections 3x"),
        wrong("mutls_connections 3", "mutls_connection 3"),
        wrong('direction="in"', "direction=in"),
        wrong('direction="in"', 'direction="in",direction="in"'),
        wrong("mutls_connections 3", "mutls_connections 3\nmutls_connections 3"),
        wrong('le="+Inf"} 1', 'le="+Inf"} 0'),
        wrong("# TYPE mutls_connections gauge", "# TYPE mutls_other gauge"),
        wrong("# UNIT mutls_plaintext_bytes bytes", "# UNIT mutls_plaintext_bytes seconds"),
      ].every(Boolean),
    ).toBe(true);
  });

  it("say what was counted", () => {
    const text = busy().text("openmetrics");
    for (const line of [
      'mutls_handshakes_total{outcome="refused",code="CERT_HAS_EXPIRED"} 1',
      'mutls_handshake_duration_seconds_bucket{resumed="true",le="0.001"} 2',
      'mutls_handshake_duration_seconds_bucket{resumed="false",le="10.0"} 1',
      'mutls_handshake_duration_seconds_count{resumed="false"} 2',
      'mutls_requests_total{status="2xx",rule="odd \\"\\\\\\n rule"} 1',
      'mutls_plaintext_bytes_total{direction="in"} 12345',
      "mutls_connections 3",
      'mutls_certificate_not_after_timestamp_seconds{name="localhost",index="0"} 5',
      'mutls_crl_next_update_timestamp_seconds{index="0"} 7.5',
      'mutls_policy_info{version="1 \\"a\\""} 1',
      "mutls_audit_dropped_total 5",
    ]) {
      expect(text.split("\n")).toContain(line);
    }
    expect(busy().text("prometheus")).toContain(
      "# TYPE mutls_audit_dropped_total counter\nmutls_audit_dropped_total 5\n",
    );
  });

  it("grow to a bound, whatever the labels", () => {
    const registry = new Registry();
    const counter = registry.counter("a", "A.", ["b"]);
    for (let number = 0; number < 5000; number++) counter.add({ b: String(number) });
    const lines = registry
      .text("openmetrics")
      .split("\n")
      .filter((line) => line.startsWith("a_total"));
    expect(lines).toHaveLength(1001);
    expect(lines.at(-1)).toBe('a_total{b="other"} 4000');
  });

  it("are listed in METRICS.md as they are", () => {
    const table = readFileSync(new URL("../../src/gateway/METRICS.md", import.meta.url), "utf8");
    const rows = [...table.matchAll(/^\| `(\w+)` \| (\w+) \| (.+) \|$/gm)].map(([, name, type, help]) => ({
      name,
      type,
      help,
    }));
    expect(rows).toEqual(gatewayMetrics().describe());
  });
});

describe("a metrics server", () => {
  it("gives each the form that it asks for, and nothing else", async () => {
    const server = await serveMetrics(busy(), "127.0.0.1", 0);
    const at = `http://127.0.0.1:${server.port}`;
    const plain = await fetch(`${at}/metrics`);
    expect(plain.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(faults(await plain.text(), "prometheus")).toEqual([]);
    const open = await fetch(`${at}/metrics`, { headers: { accept: "application/openmetrics-text; version=1.0.0" } });
    expect(open.headers.get("content-type")).toContain("application/openmetrics-text");
    expect(faults(await open.text(), "openmetrics")).toEqual([]);
    expect((await fetch(`${at}/`)).status).toBe(404);
    expect((await fetch(`${at}/metrics`, { method: "POST" })).status).toBe(405);
    await server.close();
  });

  it.each(["0.0.0.0", "192.0.2.1", "::", "example.org"])("is not at %s", async (host) => {
    await expect(serveMetrics(busy(), host, 0)).rejects.toThrow("only on this machine");
  });
});
