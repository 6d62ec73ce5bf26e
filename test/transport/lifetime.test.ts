import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { utf8 } from "../../src/bytes/bytes.ts";
import { nodeProvider as provider } from "../../src/crypto/node.ts";
import {
  accept,
  clientContext,
  connect,
  memoryPair,
  type ServerContext,
  type SessionOptions,
  serverContext,
} from "../../src/index.ts";
import { createThrowawayAuthority } from "../../src/pki/index.ts";
import { DAY } from "../support/pki.ts";
import { codeOf, type Parties, parties, readAll } from "../support/session.ts";

/** How long sessions last, and what becomes of those whose peer does not hold any more. */

let p: Parties;
let stranger: string;
beforeAll(async () => {
  p = await parties();
  stranger = (await createThrowawayAuthority()).certificatePem;
});
afterEach(() => {
  vi.useRealTimers();
});

const serving = () => serverContext({ ...p.serverOptions, provider });

async function pair(context: ServerContext, options: SessionOptions = {}) {
  const [near, far] = memoryPair();
  const [client, server] = await Promise.all([
    connect(near, { ...p.clientOptions, provider }),
    accept(far, context, options),
  ]);
  return { client, server };
}

describe("recheck", () => {
  it("leaves a session whose peer holds as it is, but for its generation", async () => {
    const context = serving();
    const { client, server } = await pair(context);
    expect([context.generation, server.generation]).toEqual([0, 0]);
    context.replace({ trust: [p.ca, stranger] });
    expect([context.generation, server.generation]).toEqual([1, 0]);
    expect(await server.recheck()).toBe(true);
    expect(await client.recheck()).toBe(true);
    expect(server.generation).toBe(1);
    const read = client.readable.getReader().read();
    await server.writable.getWriter().write(utf8("still here"));
    expect((await read).value).toEqual(utf8("still here"));
  });

  it("ends one whose peer does not, with the reason here and an alert there", async () => {
    const context = serving();
    const { client, server } = await pair(context);
    context.replace({ trust: stranger });
    expect(await server.recheck()).toBe(false);
    const reason = await server.closed.catch((error: unknown) => error);
    expect(reason).toMatchObject({
      code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      alert: "unknown_ca",
      side: "server",
      stage: "CONNECTED",
    });
    expect(await readAll(server.readable).catch((error: unknown) => error)).toBe(reason);
    expect(await codeOf(client.closed)).toBe("ERR_SSL_TLSV1_ALERT_UNKNOWN_CA");
    expect(await codeOf(server.recheck())).toBe("ERR_TLS_CLOSED");
  });

  it("does so for a client, too, and for all sessions of a context", async () => {
    const context = clientContext({ ...p.clientOptions, provider });
    const sessions = await Promise.all(
      [1, 2, 3].map(async () => {
        const [near, far] = memoryPair();
        const [client, server] = await Promise.all([connect(near, context), accept(far, p.serverOptions)]);
        return { client, server };
      }),
    );
    expect(await context.recheck()).toEqual({ checked: 3, ended: [] });
    await sessions[0]?.client.close();
    await sessions[0]?.server.close();
    context.replace({ trust: stranger });
    expect((await context.recheck()).ended.map(({ code }) => code)).toEqual([
      "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    ]);
    expect(await codeOf(sessions[2]?.server.closed as Promise<void>)).toBe("ERR_SSL_TLSV1_ALERT_UNKNOWN_CA");
  });
});

describe("recheckInterval", () => {
  it("ends a session when the peer's certificate has expired", async () => {
    vi.useFakeTimers();
    let now = Date.now();
    const context = serverContext({ ...p.serverOptions, provider, clock: () => now });
    const { client, server } = await pair(context, { recheckInterval: 1000 });
    const closed = Promise.all([server.closed, client.closed].map(codeOf));
    await vi.advanceTimersByTimeAsync(5500);
    expect(await server.recheck()).toBe(true);
    now += 2 * DAY;
    await vi.advanceTimersByTimeAsync(500);
    expect(await closed).toEqual(["CERT_HAS_EXPIRED", "ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED"]);
    await vi.advanceTimersByTimeAsync(5000);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("ends a session whose verdict does not come in time", async () => {
    vi.useFakeTimers();
    const context = serving();
    const { client, server } = await pair(context, { recheckInterval: 1000, handshakeTimeout: 5000 });
    context.replace({ authorize: () => new Promise<boolean>(() => {}) });
    const closed = Promise.all([server.closed, client.closed].map(codeOf));
    await vi.advanceTimersByTimeAsync(5999);
    const asked = server.recheck();
    await vi.advanceTimersByTimeAsync(1);
    expect(await closed).toEqual(["ERR_TLS_CALLBACK_FAILED", "ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR"]);
    await vi.advanceTimersByTimeAsync(5000);
    expect(await asked).toBe(false);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("stops with the session", async () => {
    vi.useFakeTimers();
    const { client, server } = await pair(serving(), { recheckInterval: 1000, maxLifetime: 10_000 });
    expect(vi.getTimerCount()).toBe(2);
    await Promise.all([client.close(), server.close()]);
    await Promise.all([client.closed, server.closed]);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("maxLifetime", () => {
  it("ends a session, however busy, and tells the peer that it did not just end", async () => {
    vi.useFakeTimers();
    const { client, server } = await pair(serving(), { maxLifetime: 60_000, idleTimeout: 50_000 });
    const closed = Promise.all([server.closed, client.closed].map(codeOf));
    const reader = client.readable.getReader();
    const writer = server.writable.getWriter();
    for (const wait of [30_000, 29_999]) {
      await vi.advanceTimersByTimeAsync(wait);
      await writer.write(utf8("x"));
      expect((await reader.read()).value).toEqual(utf8("x"));
    }
    await vi.advanceTimersByTimeAsync(1);
    expect(await closed).toEqual(["ERR_TLS_MAX_LIFETIME", "ERR_SSL_TLSV13_ALERT_GENERAL_ERROR"]);
    expect(await codeOf(reader.read())).toBe("ERR_SSL_TLSV13_ALERT_GENERAL_ERROR");
  });

  it.each(["maxLifetime", "recheckInterval"])("is refused where timers cannot take it: %s", async (name) => {
    const [near] = memoryPair();
    for (const value of [-1, Number.NaN, 2 ** 31]) {
      expect(await codeOf(connect(near, { ...p.clientOptions, [name]: value }))).toBe("ERR_TLS_OPTION");
    }
  });
});

describe("an observer", () => {
  it("may be one connection's alone", async () => {
    const seen = new Set<string>();
    const context = serverContext({ ...p.serverOptions, provider, observer: () => void seen.add("shared") });
    await pair(context, { observer: () => void seen.add("own") });
    expect([...seen]).toEqual(["own"]);
    await pair(context);
    expect([...seen]).toEqual(["own", "shared"]);
  });
});
