import { mkdtempSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fault } from "../../src/errors.ts";
import { auditLine, errorFacts } from "../../src/gateway/audit/record.ts";
import { type AuditSink, auditLog, fileSink } from "../../src/gateway/index.ts";

describe("an audit line", () => {
  it("is one line of ASCII or harmless text, whatever is in it", () => {
    const hostile = 'a\nb\r\0\x1b[2J\x7f\u0085\u2028\u2029\u202e\u200b\ufeff\ud800"\\{}\u{e0041}é';
    const line = auditLine({ event: "request", path: hostile, nested: { key: [hostile] } }, 0);
    expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    expect(JSON.parse(line)).toMatchObject({ path: hostile, nested: { key: [hostile] } });
    expect(line).toContain("\\u001b[2J\\u007f\\u0085\\u2028\\u2029\\u202e\\u200b\\ufeff\\ud800");
    expect(line).toContain("\\udb40\\udc41é");
  });

  it("is bounded", () => {
    const line = auditLine({ event: "request", path: "x".repeat(100_000), names: Array(1000).fill("n") }, 0);
    expect(line.length).toBeLessThan(1300);
    expect(JSON.parse(line).names.at(-1)).toBe("and 984 more");
  });

  it("says why a certificate was refused, with what was tried and what would mend it", () => {
    const rejected = {
      path: ["CN=a", "CN=b"],
      certificate: "CN=a",
      code: "CERT_HAS_EXPIRED",
      reason: "long ago",
    } as const;
    const error = fault("CERT_HAS_EXPIRED", "x", { rejection: { paths: [rejected], remedy: "renew it" } });
    expect(errorFacts(error)).toMatchObject({
      code: "CERT_HAS_EXPIRED",
      alert: "certificate_expired",
      direction: "sent",
      tried: [rejected],
      remedy: "renew it",
    });
    expect(errorFacts(Object.assign(new Error("gone"), { code: "ECONNRESET" }))).toEqual({
      code: "ECONNRESET",
      message: "gone",
    });
  });
});

/** A sink that takes lines when it is told to. */
function slowSink() {
  const taken: string[] = [];
  const waiting: ((error?: Error) => void)[] = [];
  const called: (() => void)[] = [];
  const sink: AuditSink = {
    write: (lines) =>
      new Promise<void>((resolve, reject) => {
        waiting.push((error) => {
          if (error !== undefined) return reject(error);
          taken.push(...lines.trimEnd().split("\n"));
          resolve();
        });
        called.shift()?.();
      }),
  };
  return {
    sink,
    taken,
    asked: () => new Promise<void>((resolve) => (waiting.length > 0 ? resolve() : void called.push(resolve))),
    let: (error?: Error) => waiting.shift()?.(error),
  };
}

describe("an audit log", () => {
  it("drops what a stalled sink leaves no room for, counts it, and says so", async () => {
    const slow = slowSink();
    const log = auditLog({ sink: slow.sink, capacity: 400, clock: () => 0 });
    log.write({ event: "started" });
    await slow.asked();
    // The first is with the sink; of the others, as many wait as have room.
    for (let count = 0; count < 100; count++) log.write({ event: "request", count });
    expect(log.written).toBe(0);
    const kept = 100 - log.dropped;
    expect(kept).toBeGreaterThan(2);
    expect(kept).toBeLessThan(10);
    slow.let();
    await slow.asked();
    expect(log.written).toBe(1);
    slow.let();
    await log.close();
    const events = slow.taken.map((line) => JSON.parse(line));
    expect(events).toHaveLength(1 + kept + 1);
    expect(events.at(-1)).toMatchObject({ event: "dropped", count: log.dropped });
    expect(log.written).toBe(1 + kept);
  });

  it("goes on after a sink that fails, and says what was lost and why", async () => {
    const slow = slowSink();
    const log = auditLog({ sink: slow.sink });
    log.write({ event: "started" });
    log.write({ event: "stopped" });
    await slow.asked();
    slow.let(new Error("no space left"));
    const closed = log.close();
    await slow.asked();
    expect(log.dropped).toBe(2);
    slow.let();
    await closed;
    expect(slow.taken.map((line) => JSON.parse(line))).toMatchObject([
      { event: "dropped", count: 2, message: "no space left" },
    ]);
  });

  it.each([0, 1.5, 2 ** 29, Number.NaN])("has no capacity of %s", (capacity) => {
    expect(() => auditLog({ sink: { write() {} }, capacity })).toThrow("capacity");
  });
});

describe("an audit file", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "mutls-audit-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it("is its owner's alone, and taken up anew when it was moved away", async () => {
    const file = join(folder, "audit.jsonl");
    const log = auditLog({ sink: await fileSink(file) });
    log.write({ event: "started" });
    await log.reopen();
    expect(statSync(file).mode & 0o777).toBe(0o600);
    renameSync(file, `${file}.1`);
    log.write({ event: "request" });
    await log.reopen();
    log.write({ event: "stopped" });
    await log.close();
    const events = (path: string) =>
      [...readFileSync(path, "utf8").matchAll(/"event":"(\w+)"/g)].map(([, event]) => event);
    expect(events(`${file}.1`)).toEqual(["started", "request"]);
    expect(events(file)).toEqual(["stopped"]);
  });

  it("that cannot be opened is an error at once", async () => {
    await expect(fileSink(join(folder, "no", "such"))).rejects.toThrow("ENOENT");
  });
});
