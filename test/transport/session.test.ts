import { beforeAll, describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes/bytes.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { nodeProvider } from "../../src/crypto/node.ts";
import {
  accept,
  type ConnectOptions,
  clientContext,
  connect,
  memoryPair,
  type ServerConfiguration,
  type SessionEvent,
  type SessionOptions,
  serverContext,
  type TlsSession,
} from "../../src/index.ts";
import { codeOf, type Parties, parties, pattern, pemOf, readAll, writeAll } from "../support/session.ts";
import { settled } from "../support/taps.ts";

let p: Parties;

beforeAll(async () => {
  p = await parties();
});

type Both = [client: TlsSession, server: TlsSession];

async function pair(client: Partial<ConnectOptions> = {}, server: Partial<ServerConfiguration & SessionOptions> = {}) {
  const [near, far] = memoryPair();
  const both: Promise<Both> = Promise.all([
    connect(near, { ...p.clientOptions, provider: nodeProvider, ...client }),
    accept(far, { ...p.serverOptions, provider: nodeProvider, ...server }),
  ]);
  return both;
}

describe("a session over memory", () => {
  for (const provider of [nobleProvider, nodeProvider]) {
    it(`says who the peer is, carries data and closes, ${provider.name}`, async () => {
      const [client, server] = await pair({ provider, alpn: ["a", "b"] }, { provider, alpn: ["b"] });
      expect([client.peer?.commonName, server.peer?.commonName]).toEqual(["localhost", "client"]);
      expect([client.verified, server.verified, client.clientAuthRequested]).toEqual([true, true, true]);
      expect([client.protocol, client.alpn, server.alpn, server.serverName]).toEqual([
        "TLSv1.3",
        "b",
        "b",
        "localhost",
      ]);
      expect([client.cipherSuite, client.group, client.retried]).toEqual([server.cipherSuite, server.group, false]);
      await server.accepted;
      const [toServer] = await Promise.all([readAll(server.readable), writeAll(client.writable, utf8("hello"))]);
      expect(toServer).toEqual(utf8("hello"));
      const [toClient] = await Promise.all([readAll(client.readable), writeAll(server.writable, utf8("world"))]);
      expect(toClient).toEqual(utf8("world"));
      await Promise.all([client.accepted, client.closed, server.closed]);
    });
  }

  it("says that a server was not verified", async () => {
    const [client] = await pair({ trust: undefined, serverName: "elsewhere.test", rejectUnauthorized: false });
    expect([client.verified, client.peer?.verified, client.peer?.commonName]).toEqual([false, false, "localhost"]);
  });

  it("says that a client presented nothing", async () => {
    const [client, server] = await pair({ identities: [] }, { clientAuth: "optional" });
    expect([server.peer, server.verified, client.clientAuthRequested]).toEqual([undefined, false, true]);
  });

  it("carries 5 MB both ways at the same time", async () => {
    const [client, server] = await pair();
    const up = pattern(5_000_000);
    const down = pattern(4_999_999);
    const [toServer, toClient] = await Promise.all([
      readAll(server.readable),
      readAll(client.readable),
      writeAll(client.writable, up),
      writeAll(server.writable, down),
    ]);
    expect([Buffer.compare(toServer, up), Buffer.compare(toClient, down)]).toEqual([0, 0]);
    await Promise.all([client.closed, server.closed]);
  });

  it("holds a writer whose reader does not read, and loses nothing by it", async () => {
    const [client, server] = await pair();
    const data = pattern(5_000_000);
    let written = 0;
    const writer = client.writable.getWriter();
    const writing = (async () => {
      for (let offset = 0; offset < data.length; offset += 10_000) {
        await writer.write(data.subarray(offset, offset + 10_000));
        written = offset + 10_000;
      }
      await writer.close();
    })();
    await settled(() => written);
    // The queues of both engines and of the memory pair: 64 KiB each, and a record on its way.
    expect(written).toBeGreaterThan(100_000);
    expect(written).toBeLessThan(600_000);
    const received = await readAll(server.readable);
    await writing;
    expect(Buffer.compare(received, data)).toBe(0);
  });

  it("holds one write of any size until the peer reads", async () => {
    const [client, server] = await pair();
    const data = pattern(1_000_000);
    const writing = writeAll(client.writable, data, data.length);
    const [received] = await Promise.all([readAll(server.readable), writing]);
    expect(Buffer.compare(received, data)).toBe(0);
  });
});

describe("closing", () => {
  for (const [who, at] of [
    ["client", 0],
    ["server", 1],
  ] as const) {
    it(`by the ${who} leaves the other direction open`, async () => {
      const both = await pair();
      const closer = both[at];
      const other = both[1 - at] as TlsSession;
      await closer.close();
      expect(await readAll(other.readable)).toHaveLength(0);
      const data = pattern(100_000);
      const [received] = await Promise.all([readAll(closer.readable), writeAll(other.writable, data)]);
      expect(Buffer.compare(received, data)).toBe(0);
      await Promise.all([closer.closed, other.closed]);
    });
  }

  it("comes after what a writer still has in its queue", async () => {
    const [client, server] = await pair();
    const writer = client.writable.getWriter();
    const writes = [writer.write(utf8("one ")), writer.write(utf8("two ")), writer.write(utf8("three"))];
    const closing = client.close();
    expect(await readAll(server.readable)).toEqual(utf8("one two three"));
    await Promise.all([...writes, closing]);
    expect(await codeOf(writer.write(utf8("more")))).toBe("ERR_TLS_CLOSED");
  });

  it("may be asked for twice", async () => {
    const [client, server] = await pair();
    await Promise.all([client.close(), client.close(), server.close()]);
    await client.close();
    await Promise.all([client.closed, server.closed]);
  });

  it("is over when a side that will not read any more has closed", async () => {
    const [client, server] = await pair();
    const endless = (async () => {
      const writer = server.writable.getWriter();
      for (;;) await writer.write(new Uint8Array(10_000));
    })();
    const failure = codeOf(endless);
    await client.readable.cancel();
    await client.close();
    await client.closed;
    expect(await failure).toBe("ERR_TLS_TRANSPORT");
  });

  it("lets a side that will not read go on writing", async () => {
    const [client, server] = await pair();
    await client.readable.cancel();
    const data = pattern(1_000_000);
    const [received] = await Promise.all([
      readAll(server.readable),
      writeAll(server.writable, data),
      writeAll(client.writable, data),
    ]);
    expect(Buffer.compare(received, data)).toBe(0);
    await Promise.all([client.closed, server.closed]);
  });
});

describe("events", () => {
  it("tell of KeyUpdates and of an identity that does not match", async () => {
    const events: SessionEvent[] = [];
    const onEvent = (event: SessionEvent) => events.push(event);
    const [client, server] = await pair({ onEvent, identities: [pemOf(p.stranger)] }, { clientAuth: "optional" });
    server.updateKeys("update_requested");
    await Promise.all([writeAll(server.writable, utf8("x")), readAll(client.readable)]);
    expect(events.map(({ type }) => type)).toEqual(["identity_mismatch", "key_update"]);
    await Promise.all([writeAll(client.writable, utf8("x")), readAll(server.readable)]);
  });

  it("end the connection when whoever hears them fails", async () => {
    const [near, far] = memoryPair();
    const cause = new Error("mine");
    const onEvent = () => {
      throw cause;
    };
    const connecting = connect(near, { ...p.clientOptions, identities: [pemOf(p.stranger)], onEvent });
    const accepting = accept(far, { ...p.serverOptions, clientAuth: "optional" });
    await expect(connecting).rejects.toMatchObject({ code: "ERR_TLS_CALLBACK_FAILED", cause });
    expect(await codeOf((await accepting).closed)).toBe("ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR");
  });
});

describe("options", () => {
  it("that nobody knows are refused", async () => {
    const [near] = memoryPair();
    const unknown = { ...p.clientOptions, idleTimeOut: 5 } as ConnectOptions;
    await expect(connect(near, unknown)).rejects.toMatchObject({ code: "ERR_TLS_OPTION" });
    const context = clientContext(p.clientOptions);
    await expect(connect(near, context, { timeout: 5 } as SessionOptions)).rejects.toMatchObject({
      code: "ERR_TLS_OPTION",
    });
    await expect(connect(near, p.clientOptions, {})).rejects.toMatchObject({ code: "ERR_TLS_OPTION" });
    expect(near.readable.locked).toBe(false);
  });

  it("refuse delays that no timer takes, and the other side's context", async () => {
    const [near] = memoryPair();
    for (const handshakeTimeout of [-1, Number.NaN, 2 ** 31]) {
      expect(await codeOf(connect(near, { ...p.clientOptions, handshakeTimeout }))).toBe("ERR_TLS_OPTION");
    }
    expect(await codeOf(connect(near, serverContext(p.serverOptions)))).toBe("ERR_TLS_OPTION");
    expect(await codeOf(accept(near, clientContext(p.clientOptions)))).toBe("ERR_TLS_OPTION");
    expect(near.readable.locked).toBe(false);
  });

  it("may be prepared once", async () => {
    const [near, far] = memoryPair();
    const [client, server] = await Promise.all([
      connect(near, clientContext(p.clientOptions), { idleTimeout: 1000 }),
      accept(far, serverContext(p.serverOptions)),
    ]);
    await Promise.all([client.close(), server.close()]);
    await Promise.all([client.closed, server.closed]);
  });

  it("take nothing but bytes for data", async () => {
    const [client, server] = await pair();
    const writer = client.writable.getWriter() as WritableStreamDefaultWriter<unknown>;
    await expect(writer.write("text")).rejects.toThrow(TypeError);
    expect(await codeOf(client.closed)).toBe("ERR_TLS_ABORTED");
    expect(await codeOf(readAll(server.readable))).toMatch(/ERR_TLS_TRANSPORT|ERR_SSL_UNEXPECTED_EOF_WHILE_READING/);
  });
});
