import { beforeAll, describe, expect, it } from "vitest";
import { type CostRow, measureCosts } from "../../src/bench/costs.ts";
import { OPERATIONS } from "../../src/bench/meter.ts";
import { createScenario } from "../../src/bench/scenario.ts";
import { digits, messageText, tableLines } from "../../src/bench/text.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { createNodeProvider } from "../../src/crypto/node.ts";
import { createWebCryptoProvider } from "../../src/crypto/webcrypto.ts";

const webcrypto = () => createWebCryptoProvider({ fallback: nobleProvider });

describe("costs", () => {
  let rows: CostRow[];
  beforeAll(async () => {
    const scenarios = [
      { name: "node", scenario: createScenario({ provider: () => createNodeProvider() }) },
      { name: "late", scenario: createScenario({ provider: webcrypto, kind: "resumed" }) },
    ];
    rows = await measureCosts(scenarios, { rounds: 4, timeLimit: 1 });
  });

  it("come a row for each scenario, the first without a ratio", () => {
    expect(rows.map(({ name, scenario, ratio }) => [name, scenario.provider, ratio?.against])).toEqual([
      ["node", "node", undefined],
      ["late", "webcrypto", "node"],
    ]);
  });

  it("are told apart by the operations that were counted", () => {
    for (const { exact, times } of rows) {
      for (const side of ["client", "server"] as const) {
        const timed = OPERATIONS.filter((name) => times.ends[side].operations[name] !== undefined);
        const counted = OPERATIONS.filter((name) => name === "rest" || exact.calls[side][name] !== undefined);
        expect(timed).toEqual(counted);
      }
    }
  });

  it("tell waiting from work where there are promises, and only there", () => {
    const [node, late] = rows as [CostRow, CostRow];
    const waiting = ({ times: { ends } }: CostRow) =>
      [ends.client, ends.server].flatMap(({ operations }) =>
        OPERATIONS.filter((name) => operations[name]?.waiting !== undefined),
      );
    expect(waiting(node)).toEqual([]);
    expect(node.times.ends.client.waiting).toBeUndefined();
    expect(waiting(late)).toEqual([
      "key_share",
      "key_agreement",
      "verify_certificate",
      "encapsulation",
      "verify_certificate",
    ]);
    expect(late.times.ends.server.waiting?.median).toBeGreaterThan(0);
  });

  it("are distributions of positive numbers, and can be written as JSON", () => {
    const spreads: { p10: number; median: number; p90: number }[] = [];
    const text = JSON.stringify(rows, (_, value: unknown) => {
      if (typeof value === "object" && value !== null && "median" in value) spreads.push(value as (typeof spreads)[0]);
      return value;
    });
    expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(rows)));
    expect(spreads.length).toBeGreaterThan(40);
    for (const { p10, median, p90 } of spreads) {
      expect(p10).toBeLessThanOrEqual(median);
      expect(median).toBeLessThanOrEqual(p90);
      expect(median).toBeGreaterThanOrEqual(0);
    }
  });

  it("are measured in three rounds at least, whatever the time", () => {
    for (const { times } of rows) expect(times.runs).toBeGreaterThanOrEqual(3);
  });
});

describe("text", () => {
  it.each([
    [0, "0.000"],
    [0.0123, "0.012"],
    [0.9234, "0.923"],
    [1.7, "1.70"],
    [12.34, "12.3"],
    [1234.5, "1235"],
  ])("of %d is %s", (value, text) => {
    expect(digits(value)).toBe(text);
  });

  it("of messages is RFC 8446's", () => {
    expect(["client_hello", "certificate_verify", "change_cipher_spec"].map(messageText)).toEqual([
      "ClientHello",
      "CertificateVerify",
      "change_cipher_spec",
    ]);
  });

  it("of tables is aligned", () => {
    expect(
      tableLines([
        ["a", "1"],
        ["bcd", "10", "x"],
      ]),
    ).toEqual(["a     1", "bcd  10  x"]);
  });
});
