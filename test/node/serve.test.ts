import { connect as connectTcp, createServer, type Socket } from "node:net";
import { beforeAll, describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes/bytes.ts";
import { connect, type ServeOptions, serve, serverContext, socketStream, type TlsError } from "../../src/node/index.ts";
import { codeOf, type Parties, parties, pattern, readAll, writeAll } from "../support/session.ts";
import { settled } from "../support/taps.ts";

let p: Parties;

beforeAll(async () => {
  p = await parties();
});

const host = "127.0.0.1";

/** A server that sends back what it gets, and what went wrong on it. */
async function echo(options: Partial<ServeOptions> = {}) {
  const errors: string[] = [];
  const onError = (error: unknown) => errors.push((error as TlsError).code);
  const server = await serve({ ...p.serverOptions, host, onError, ...options }, ({ readable, writable }) =>
    readable.pipeTo(writable),
  );
  return { server, errors };
}

async function hello(port: number): Promise<void> {
  const session = await connect({ ...p.clientOptions, host, serverName: "localhost", port });
  const [answer] = await Promise.all([readAll(session.readable), writeAll(session.writable, utf8("hello"))]);
  expect(answer).toEqual(utf8("hello"));
  await Promise.all([session.accepted, session.closed]);
}

describe("a server", () => {
  it("goes on after bad clients", async () => {
    const { server, errors } = await echo();
    for (const bytes of [utf8("GET / HTTP/1.0\r\n\r\n"), Uint8Array.of(22, 3, 1, 0xff, 0xff), utf8("")]) {
      const bad = connectTcp({ host, port: server.port });
      bad.end(bytes);
      bad.resume();
      await new Promise((resolve) => bad.once("close", resolve));
      await hello(server.port);
    }
    const reset = connectTcp({ host, port: server.port }, () => reset.resetAndDestroy());
    await new Promise((resolve) => reset.once("close", resolve));
    await hello(server.port);
    await server.close();
    expect(errors).toEqual([
      "ERR_SSL_HTTP_REQUEST",
      "ERR_SSL_PACKET_LENGTH_TOO_LONG",
      "ERR_SSL_UNEXPECTED_EOF_WHILE_READING",
      "ERR_TLS_TRANSPORT",
    ]);
  });

  it("tells a client when its handler fails", async () => {
    const errors: unknown[] = [];
    const failure = new Error("mine");
    const onError = (error: unknown) => errors.push(error);
    const server = await serve({ ...p.serverOptions, host, onError }, async () => {
      throw failure;
    });
    const session = await connect({ ...p.clientOptions, host, port: server.port });
    expect(await codeOf(readAll(session.readable))).toBe("ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR");
    await server.close();
    expect(errors).toEqual([failure]);
  });

  it("closes behind a handler that read a part only", async () => {
    const server = await serve({ ...p.serverOptions, host }, async (session) => {
      const reader = session.readable.getReader();
      const writer = session.writable.getWriter();
      await writer.write((await reader.read()).value);
    });
    const session = await connect({ ...p.clientOptions, host, port: server.port });
    const writer = session.writable.getWriter();
    await writer.write(utf8("head"));
    expect(await readAll(session.readable)).toEqual(utf8("head"));
    await writer.close();
    await session.closed;
    await server.close();
  });

  it("takes a prepared context, but not a second configuration", async () => {
    const context = serverContext(p.serverOptions);
    const server = await serve({ host, context }, ({ readable, writable }) => readable.pipeTo(writable));
    await hello(server.port);
    await server.close();
    expect(await codeOf(serve({ host, context, ...p.serverOptions }, () => {}))).toBe("ERR_TLS_OPTION");
    expect(await codeOf(serve({ host, context, colour: 1 } as ServeOptions, () => {}))).toBe("ERR_TLS_OPTION");
  });

  it("cannot listen where another does", async () => {
    const { server } = await echo();
    expect(await codeOf(serve({ ...p.serverOptions, host, port: server.port }, () => {}))).toBe("EADDRINUSE");
    await server.close();
  });
});

describe("a client", () => {
  it("says why there is no connection", async () => {
    await expect(connect({ ...p.clientOptions, host, port: 1 })).rejects.toMatchObject({
      code: "ERR_TLS_TRANSPORT",
      stage: "WAIT_SH",
      cause: { code: "ECONNREFUSED" },
    });
  });

  it("does not connect with options that cannot be used", async () => {
    let connections = 0;
    const listener = createServer(() => connections++);
    await new Promise<void>((resolve) => listener.listen({ host, port: 0 }, resolve));
    const { port } = listener.address() as { port: number };
    const key = "no key";
    const cert = p.ca;
    expect(await codeOf(connect({ ...p.clientOptions, host, port, identities: [{ cert, key }] }))).toBe("ERR_TLS_KEY");
    expect(await codeOf(connect({ ...p.clientOptions, host, port, handshakeTimeout: -1 }))).toBe("ERR_TLS_OPTION");
    await new Promise((resolve) => listener.close(resolve));
    expect(connections).toBe(0);
  });

  it("stops connecting when told to", async () => {
    const silent = createServer();
    await new Promise<void>((resolve) => silent.listen({ host, port: 0 }, resolve));
    const { port } = silent.address() as { port: number };
    const controller = new AbortController();
    const connecting = codeOf(connect({ ...p.clientOptions, host, port, signal: controller.signal }));
    controller.abort();
    expect(await connecting).toBe("ERR_TLS_ABORTED");
    expect(await codeOf(connect({ ...p.clientOptions, host, port, handshakeTimeout: 20 }))).toBe(
      "ERR_TLS_HANDSHAKE_TIMEOUT",
    );
    silent.close();
  });

  it("checks the name it connects to", async () => {
    const { server } = await echo();
    const code = await codeOf(connect({ ...p.clientOptions, serverName: undefined, host, port: server.port }));
    expect(code).toBe("ERR_TLS_CERT_ALTNAME_INVALID");
    await server.close();
  });

  it("carries 5 MB both ways at the same time, over TCP", async () => {
    const { server } = await echo();
    const session = await connect({ ...p.clientOptions, host, port: server.port });
    const data = pattern(5_000_000);
    const [answer] = await Promise.all([readAll(session.readable), writeAll(session.writable, data)]);
    expect(Buffer.compare(answer, data)).toBe(0);
    await session.closed;
    await server.close();
  });
});

describe("a socket as a byte stream", () => {
  async function sockets(): Promise<[near: Socket, far: Socket]> {
    const server = createServer({ allowHalfOpen: true });
    await new Promise<void>((resolve) => server.listen({ host, port: 0 }, resolve));
    const { port } = server.address() as { port: number };
    const near = connectTcp({ host, port });
    const far = await new Promise<Socket>((resolve) => server.once("connection", resolve));
    server.close();
    return [near, far];
  }

  it("reads no more than it is asked for", async () => {
    const [near, far] = await sockets();
    const data = pattern(20_000_000);
    const { readable } = socketStream(near);
    const { writable } = socketStream(far);
    const writing = writeAll(writable, data, 100_000);
    await settled(() => near.bytesRead + far.bytesWritten);
    expect(near.bytesRead).toBeLessThan(300_000);
    expect(Buffer.compare(await readAll(readable), data)).toBe(0);
    await writing;
  });

  it("ends one direction at a time, and is destroyed after both", async () => {
    const [near, far] = await sockets();
    const a = socketStream(near);
    const b = socketStream(far);
    await a.writable.close();
    expect(await readAll(b.readable)).toHaveLength(0);
    const [received] = await Promise.all([readAll(a.readable), writeAll(b.writable, utf8("still here"))]);
    expect(received).toEqual(utf8("still here"));
    await settled(() => near.destroyed && far.destroyed);
    expect([near.destroyed, far.destroyed]).toEqual([true, true]);
  });

  it("fails both directions when the connection is reset", async () => {
    const [near, far] = await sockets();
    const { readable, writable } = socketStream(near);
    const writer = writable.getWriter();
    const reading = codeOf(readAll(readable));
    far.resetAndDestroy();
    expect(await reading).toBe("ECONNRESET");
    expect(await codeOf(writer.write(utf8("x")))).toBe("ECONNRESET");
    expect(near.destroyed).toBe(true);
  });

  it("is destroyed when its writer aborts, however much is waiting", async () => {
    const [near, far] = await sockets();
    const writer = socketStream(near).writable.getWriter();
    const writes = Array.from({ length: 100 }, () => writer.write(new Uint8Array(1_000_000)));
    const outcomes = Promise.all(writes.map(codeOf));
    const reason = new Error("enough");
    await writer.abort(reason);
    expect((await outcomes).at(-1)).toBe("Error: enough");
    expect(near.destroyed).toBe(true);
    far.destroy();
  });

  it("gives plain arrays, whose slice copies", async () => {
    const [near, far] = await sockets();
    far.end("abc");
    const { value } = await socketStream(near).readable.getReader().read();
    expect(value).toBeInstanceOf(Uint8Array);
    expect(Buffer.isBuffer(value)).toBe(false);
    near.destroy();
  });
});
