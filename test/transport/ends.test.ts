import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { utf8 } from "../../src/bytes/bytes.ts";
import { nodeProvider } from "../../src/crypto/node.ts";
import { accept, connect, memoryPair, type SessionOptions, type TlsSession } from "../../src/index.ts";
import { lateProvider } from "../support/late-provider.ts";
import { codeOf, type Parties, parties, pattern, readAll, writeAll } from "../support/session.ts";
import { settled, tap } from "../support/taps.ts";

/** How connections end that do not close. */

let p: Parties;
const unhandled: unknown[] = [];
const note = (reason: unknown) => unhandled.push(reason);
const provider = nodeProvider;

beforeAll(async () => {
  process.on("unhandledRejection", note);
  p = await parties();
});

afterEach(async () => {
  vi.useRealTimers();
  await settled(() => unhandled.length);
  expect(unhandled).toEqual([]);
});

afterAll(() => {
  process.off("unhandledRejection", note);
});

/** Every promise and stream of a session tells of one and the same error. */
async function oneError(session: TlsSession): Promise<string | undefined> {
  const errors = await Promise.all(
    [session.closed, readAll(session.readable), session.writable.getWriter().write(utf8("x"))].map((promise) =>
      promise.then(
        () => undefined,
        (error: unknown) => error,
      ),
    ),
  );
  expect(new Set(errors).size).toBe(1);
  return (errors[0] as { code?: string } | undefined)?.code;
}

async function severable(options: SessionOptions = {}) {
  const [near, far] = memoryPair();
  const nearTap = tap(near);
  const [client, server] = await Promise.all([
    connect(nearTap.stream, { ...p.clientOptions, provider, ...options }),
    accept(far, { ...p.serverOptions, provider }),
  ]);
  return { client, server, nearTap };
}

describe("a byte stream that ends without close_notify", () => {
  it("is a truncation, after what came before it", async () => {
    const { client, server, nearTap } = await severable();
    await server.writable.getWriter().write(utf8("part"));
    const reader = client.readable.getReader();
    expect((await reader.read()).value).toEqual(utf8("part"));
    nearTap.end();
    expect(await codeOf(reader.read())).toBe("ERR_SSL_UNEXPECTED_EOF_WHILE_READING");
    reader.releaseLock();
    expect(await oneError(client)).toBe("ERR_SSL_UNEXPECTED_EOF_WHILE_READING");
    await client.accepted;
  });

  it("is a truncation in the handshake, too, for either side", async () => {
    const [near, far] = memoryPair();
    const connecting = codeOf(connect(near, { ...p.clientOptions, provider }));
    const { value } = await far.readable.getReader().read();
    expect(value?.[0]).toBe(22);
    await far.writable.getWriter().close();
    expect(await connecting).toBe("ERR_SSL_UNEXPECTED_EOF_WHILE_READING");
    const [a, b] = memoryPair();
    const accepting = codeOf(accept(b, { ...p.serverOptions, provider }));
    await a.writable.getWriter().close();
    expect(await accepting).toBe("ERR_SSL_UNEXPECTED_EOF_WHILE_READING");
  });

  it("rejects `accepted` when nothing had come", async () => {
    const { client, nearTap } = await severable();
    nearTap.end();
    expect(await codeOf(client.accepted)).toBe("ERR_SSL_UNEXPECTED_EOF_WHILE_READING");
  });
});

describe("a byte stream that fails", () => {
  it("fails the session with the cause", async () => {
    const { client, nearTap } = await severable();
    const cause = new Error("cable");
    nearTap.fail(cause);
    await expect(client.closed).rejects.toMatchObject({ code: "ERR_TLS_TRANSPORT", cause });
    expect(await oneError(client)).toBe("ERR_TLS_TRANSPORT");
  });

  it("does not matter to the reader after close_notify", async () => {
    const { client, server, nearTap } = await severable();
    await server.close();
    await settled(() => client.readable.locked);
    nearTap.fail(new Error("cable"));
    expect(await readAll(client.readable)).toHaveLength(0);
  });
});

describe("a signal", () => {
  it("that is aborted already begins nothing", async () => {
    const [near, far] = memoryPair();
    const signal = AbortSignal.abort(new Error("no"));
    await expect(connect(near, { ...p.clientOptions, signal })).rejects.toMatchObject({
      code: "ERR_TLS_ABORTED",
      cause: signal.reason,
    });
    expect(await codeOf(far.readable.getReader().read())).toBe("ERR_TLS_ABORTED");
  });

  it("aborts at every stage, on either side", async () => {
    for (const side of ["client", "server"] as const) {
      const seen = new Set<string>();
      for (let stage = 0; ; stage++) {
        const controller = new AbortController();
        let chunks = 0;
        const [near, far] = memoryPair();
        const abortAt = (count: number) => {
          if (count === stage) controller.abort(new Error("enough"));
        };
        const watched = tap(side === "client" ? near : far, () => abortAt(chunks++));
        const { signal } = controller;
        const run = async (session: Promise<TlsSession>, data: Uint8Array) => {
          const { readable, writable, closed } = await session;
          await Promise.allSettled([readAll(readable), writeAll(writable, data)]);
          await closed;
        };
        const own = side === "client" ? { signal } : {};
        const other = side === "server" ? { signal } : {};
        const outcomes = await Promise.all([
          codeOf(
            run(
              connect(side === "client" ? watched.stream : near, { ...p.clientOptions, provider, ...own }),
              pattern(50_000),
            ),
          ),
          codeOf(
            run(
              accept(side === "server" ? watched.stream : far, { ...p.serverOptions, provider, ...other }),
              pattern(50_000),
            ),
          ),
        ]);
        if (!signal.aborted) {
          expect(outcomes).toEqual([undefined, undefined]);
          break;
        }
        const [mine, theirs] = side === "client" ? outcomes : [outcomes[1], outcomes[0]];
        // Past the last byte there is nothing left to abort.
        if (mine !== undefined) expect(mine).toBe("ERR_TLS_ABORTED");
        seen.add(`${theirs}`);
      }
      expect(seen).toContain("ERR_SSL_TLSV1_ALERT_CLOSE_NOTIFY");
      expect([...seen].some((code) => /TRANSPORT|EOF/.test(code))).toBe(true);
    }
  });

  it.each(["bulk", "every"] as const)(
    "aborts while keys, signatures and %s records are still promises",
    async (records) => {
      for (let turns = 0; ; turns++) {
        const controller = new AbortController();
        const [near, far] = memoryPair();
        let over = false;
        const run = async (session: Promise<TlsSession>) => {
          const { readable, writable, closed } = await session;
          over = true;
          await Promise.allSettled([readAll(readable), writeAll(writable, utf8("x"))]);
          await closed;
        };
        const client = { ...p.clientOptions, provider: lateProvider(provider, { seed: turns, records }) };
        const server = { ...p.serverOptions, provider: lateProvider(provider, { seed: turns + 1000, records }) };
        const outcomes = Promise.all([
          codeOf(run(connect(near, { ...client, signal: controller.signal }))),
          codeOf(run(accept(far, server))),
        ]);
        for (let i = 0; i < turns; i++) await new Promise<void>((resolve) => setImmediate(resolve));
        if (over) {
          expect(await outcomes).toEqual([undefined, undefined]);
          break;
        }
        controller.abort();
        expect(await outcomes).toEqual(["ERR_TLS_ABORTED", "ERR_SSL_TLSV1_ALERT_CLOSE_NOTIFY"]);
      }
    },
  );

  it("is let go of when the session is over", async () => {
    const controller = new AbortController();
    const { client, server } = await severable({ signal: controller.signal });
    await Promise.all([client.close(), server.close()]);
    await client.closed;
    controller.abort();
    expect(await codeOf(client.closed)).toBeUndefined();
    expect(await readAll(client.readable)).toHaveLength(0);
  });
});

describe("abort", () => {
  it("does not tell the peer that the data is complete", async () => {
    const { client, server } = await severable();
    await client.writable.getWriter().write(utf8("half of it"));
    const reading = codeOf(readAll(server.readable));
    client.abort("changed my mind");
    await expect(client.closed).rejects.toMatchObject({ code: "ERR_TLS_ABORTED", detail: "changed my mind" });
    expect(await reading).toMatch(/ERR_TLS_TRANSPORT|ERR_SSL_UNEXPECTED_EOF_WHILE_READING/);
  });

  it("of the writable aborts the session", async () => {
    const { client } = await severable();
    const reason = new Error("why");
    await client.writable.abort(reason);
    await expect(client.closed).rejects.toMatchObject({ code: "ERR_TLS_ABORTED", cause: reason });
    expect(await codeOf(readAll(client.readable))).toBe("ERR_TLS_ABORTED");
  });
});

describe("time-outs", () => {
  it("end a handshake with a silent peer, and leave no timer behind", async () => {
    vi.useFakeTimers();
    const [near, far] = memoryPair();
    const connecting = codeOf(connect(near, { ...p.clientOptions, provider, handshakeTimeout: 5000 }));
    await vi.advanceTimersByTimeAsync(4999);
    expect(vi.getTimerCount()).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(await connecting).toBe("ERR_TLS_HANDSHAKE_TIMEOUT");
    // The alert may still be on its way to a peer that reads slowly.
    await vi.advanceTimersByTimeAsync(2000);
    expect(vi.getTimerCount()).toBe(0);
    expect(await codeOf(far.writable.getWriter().write(utf8("late")))).toBe("ERR_TLS_HANDSHAKE_TIMEOUT");
  });

  it("hold for a server too, and can be turned off", async () => {
    vi.useFakeTimers();
    const [, far] = memoryPair();
    const accepting = codeOf(accept(far, p.serverOptions));
    await vi.advanceTimersByTimeAsync(30_000);
    expect(await accepting).toBe("ERR_TLS_HANDSHAKE_TIMEOUT");
    await vi.advanceTimersByTimeAsync(2000);
    const [, patient] = memoryPair();
    void accept(patient, { ...p.serverOptions, handshakeTimeout: 0 });
    expect(vi.getTimerCount()).toBe(0);
  });

  it("end a session in which nothing moves, counting from the last byte", async () => {
    vi.useFakeTimers();
    const { client, server } = await severable({ idleTimeout: 1000 });
    let over: string | undefined;
    const closed = codeOf(client.closed).then((code) => {
      over = code;
    });
    const writer = server.writable.getWriter();
    for (let i = 0; i < 5; i++) {
      await vi.advanceTimersByTimeAsync(900);
      await writer.write(utf8("x"));
    }
    await vi.advanceTimersByTimeAsync(999);
    expect(over).toBeUndefined();
    await vi.advanceTimersByTimeAsync(2);
    await closed;
    expect(over).toBe("ERR_TLS_IDLE_TIMEOUT");
    await codeOf(server.closed);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("leave no timer behind a session that closed", async () => {
    vi.useFakeTimers();
    const { client, server } = await severable({ idleTimeout: 1000 });
    await Promise.all([client.close(), server.close()]);
    await Promise.all([client.closed, server.closed]);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("a side that refuses", () => {
  it("lets its alert out, ends its output, and reads on within bounds", async () => {
    const [near, far] = memoryPair();
    const accepting = codeOf(accept(far, { ...p.serverOptions, provider }));
    const writer = near.writable.getWriter();
    await writer.write(utf8("GET / HTTP/1.1\r\n"));
    expect(await accepting).toBe("ERR_SSL_HTTP_REQUEST");
    const answer = near.readable.getReader();
    expect((await answer.read()).value).toEqual(Uint8Array.of(21, 3, 3, 0, 2, 2, 10));
    expect((await answer.read()).done).toBe(true);
    let thrownAway = 0;
    const flood = (async () => {
      for (;;) {
        await writer.write(new Uint8Array(16_384));
        thrownAway += 16_384;
      }
    })();
    expect(await codeOf(flood)).toBe("ERR_SSL_HTTP_REQUEST");
    expect(thrownAway).toBeGreaterThanOrEqual(0x40000);
    expect(thrownAway).toBeLessThan(0x40000 + 0x20000);
  });

  it("does not wait for ever for the other to go", async () => {
    vi.useFakeTimers();
    const [near, far] = memoryPair();
    const accepting = codeOf(accept(far, { ...p.serverOptions, provider }));
    await near.writable.getWriter().write(utf8("GET / HTTP/1.1\r\n"));
    expect(await accepting).toBe("ERR_SSL_HTTP_REQUEST");
    expect(vi.getTimerCount()).toBe(1);
    await vi.advanceTimersByTimeAsync(2000);
    expect(vi.getTimerCount()).toBe(0);
  });
});
