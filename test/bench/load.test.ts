import { describe, expect, it } from "vitest";
import { type Connection, runLoad } from "../../src/bench/load.ts";

const one: Connection = { tcp: 1, handshake: 2, bytesSent: 800, bytesReceived: 900, resumed: false };
const codeOf = (error: unknown) => (error as { code: string }).code;
const options = { count: 10, concurrency: 1, timeLimit: 1000, codeOf };

describe("a load", () => {
  it("comes to percentiles, rate and bytes", async () => {
    let time = 0;
    let made = 0;
    const connect = async () => {
      time += 10;
      made++;
      return { ...one, handshake: made, bytesSent: 100 * made, resumed: made > 4 };
    };
    const report = await runLoad(connect, { ...options, now: () => time });
    expect(report).toMatchObject({ attempts: 10, completed: 10, resumed: 6, failed: {}, elapsed: 100, perSecond: 100 });
    expect(report.handshake).toEqual({ p50: 5.5, p90: 9.1, p99: 9.91, max: 10 });
    expect(report.bytes).toEqual({ sent: 550, received: 900 });
    expect([report.stoppedBy, report.firstFailure]).toEqual(["count", undefined]);
  });

  it("counts failures by code, and says what the first was", async () => {
    let made = 0;
    const connect = async () => {
      made++;
      if (made % 2 === 0) throw Object.assign(new Error(`no ${made}`), { code: made < 6 ? "ECONNRESET" : "EOTHER" });
      return one;
    };
    const report = await runLoad(connect, options);
    expect(report).toMatchObject({ completed: 5, failed: { ECONNRESET: 2, EOTHER: 3 } });
    expect(report.firstFailure).toMatchObject({ message: "no 2" });
  });

  it("leaves out what there is nothing of", async () => {
    const connect = () => Promise.reject(Object.assign(new Error("no"), { code: "ECONNREFUSED" }));
    const report = await runLoad(connect, { ...options, count: 2 });
    expect(report).not.toHaveProperty("handshake");
    expect(report).not.toHaveProperty("bytes");
    expect(report).toMatchObject({ completed: 0, perSecond: 0 });
  });

  it("runs as many at a time as it may, and no more", async () => {
    let [running, most] = [0, 0];
    const connect = async () => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setImmediate(resolve));
      running--;
      return one;
    };
    await runLoad(connect, { ...options, concurrency: 3 });
    expect(most).toBe(3);
    most = 0;
    await runLoad(connect, { ...options, count: 2, concurrency: 5 });
    expect(most).toBe(2);
  });

  it("ends when the time is up", async () => {
    let time = 0;
    const connect = async () => {
      time += 100;
      return one;
    };
    const report = await runLoad(connect, { ...options, timeLimit: 300, now: () => time });
    expect(report).toMatchObject({ attempts: 3, completed: 3, stoppedBy: "time" });
  });

  it("ends when it is interrupted, which is nobody's failure", async () => {
    const interrupt = new AbortController();
    let made = 0;
    const connect = async () => {
      if (++made === 2) {
        interrupt.abort();
        throw Object.assign(new Error("aborted"), { code: "ERR_TLS_ABORTED" });
      }
      return one;
    };
    const report = await runLoad(connect, { ...options, signal: interrupt.signal });
    expect(report).toMatchObject({ attempts: 2, completed: 1, failed: {}, stoppedBy: "signal" });
  });
});
