import { once } from "node:events";
import { type AddressInfo, connect as connectTcp, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { utf8 } from "../../src/bytes/bytes.ts";
import { connect, RELAY_PROTOCOL, viaRelay } from "../../src/index.ts";
import { serve } from "../../src/node/index.ts";
import {
  type ListeningRelay,
  type RelayedConnection,
  type RelayListenOptions,
  serveRelay,
} from "../../src/relay/index.ts";
import { parties, pattern, readAll, writeAll } from "../support/session.ts";
import { readBytes } from "../support/tcp.ts";
import { closed, still } from "../support/web-socket.ts";

/** A server whose connections a test has in its hands. */
let target: Server;
let port: number;
let sockets: Socket[];
let relay: ListeningRelay | undefined;
let records: RelayedConnection[];
let onRecord: () => void;

beforeEach(async () => {
  sockets = [];
  records = [];
  onRecord = () => {};
  target = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {});
    sockets.push(socket);
    target.emit("taken");
  });
  target.listen(0, "127.0.0.1");
  await once(target, "listening");
  port = (target.address() as AddressInfo).port;
});

afterEach(async () => {
  await relay?.close();
  relay = undefined;
  for (const socket of sockets) socket.destroy();
  target.close();
});

async function start(options: Partial<RelayListenOptions> = {}): Promise<string> {
  const onConnection = (record: RelayedConnection) => {
    records.push(record);
    onRecord();
  };
  relay = await serveRelay({
    allow: [`localhost:${port}`],
    resolve: async () => ["127.0.0.1"],
    onConnection,
    ...options,
  });
  return `ws://127.0.0.1:${relay.port}/`;
}

/** The record of the next connection that ends. */
const recorded = (count = 1) =>
  new Promise<RelayedConnection>((resolve) => {
    onRecord = () => {
      if (records.length >= count) resolve(records[count - 1] as RelayedConnection);
    };
    onRecord();
  });

const failed = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );
const through = (url: string, token?: string) => viaRelay(url, { WebSocket, token })("localhost", port);
const taken = async (): Promise<Socket> => {
  if (sockets.length === 0) await once(target, "taken");
  return sockets[0] as Socket;
};

/** The status with which a WebSocket is refused. */
function refused(url: string, protocols: string[], headers: Record<string, string> = {}): Promise<[number, string]> {
  const socket = new WebSocket(url, protocols, { headers });
  return new Promise((resolve, reject) => {
    socket.on("open", () => reject(new Error("it is open")));
    socket.on("error", () => {});
    socket.on("unexpected-response", (_, response) => {
      let body = "";
      response.on("data", (chunk) => (body += chunk));
      response.on("end", () => resolve([response.statusCode ?? 0, body]));
    });
  });
}

describe("a relay", () => {
  it("carries TLS end to end", async () => {
    const p = await parties();
    const server = await serve({ host: "127.0.0.1", ...p.serverOptions }, async ({ readable, writable, peer }) => {
      const writer = writable.getWriter();
      await writer.write(utf8(`${peer?.commonName}: `));
      writer.releaseLock();
      await readable.pipeTo(writable);
    });
    const url = await start({ allow: [`localhost:${server.port}`] });
    const session = await connect(viaRelay(url, { WebSocket })("localhost", server.port), p.clientOptions);
    const [back] = await Promise.all([readAll(session.readable), writeAll(session.writable, pattern(2_000_000))]);
    expect(String(Buffer.from(back.subarray(0, 8)))).toBe("client: ");
    expect(Buffer.compare(back.subarray(8), pattern(2_000_000))).toBe(0);
    await session.closed;
    expect(await recorded()).toMatchObject({
      client: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
      origin: undefined,
      target: `localhost:${server.port}`,
      address: "127.0.0.1",
      outcome: "closed",
      code: 1000,
    });
    expect(records[0]?.up).toBeGreaterThan(2_000_000);
    expect(records[0]?.down).toBeGreaterThan(2_000_000);
    await server.close();
  });

  it("tells a refused certificate as the server does", async () => {
    const p = await parties();
    const server = await serve({ host: "127.0.0.1", ...p.serverOptions }, async () => {});
    const url = await start({ allow: [`localhost:${server.port}`] });
    const stream = viaRelay(url, { WebSocket })("localhost", server.port);
    const session = await connect(stream, { ...p.clientOptions, identities: [] });
    expect(await failed(session.accepted)).toMatchObject({ code: "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED" });
    await server.close();
  });

  it("ends either direction alone", async () => {
    const stream = through(await start());
    await writeAll(stream.writable, utf8("up"));
    const socket = await taken();
    let received = "";
    socket.on("data", (chunk) => (received += chunk));
    await once(socket, "end");
    expect(received).toBe("up");
    socket.end("down");
    expect(await readAll(stream.readable)).toEqual(utf8("down"));
    expect(await recorded()).toMatchObject({ up: 2, down: 4, code: 1000 });
  });

  it("ends the server's direction alone", async () => {
    const stream = through(await start());
    const socket = await taken();
    socket.end("down");
    expect(await readAll(stream.readable)).toEqual(utf8("down"));
    let received = 0;
    socket.on("data", (chunk) => (received += chunk.length));
    await writeAll(stream.writable, new Uint8Array(300_000));
    await once(socket, "end");
    expect(received).toBe(300_000);
  });

  it("holds no more than it may of what nobody reads, in either direction", async () => {
    const url = await start({ maxQueued: 0x10000 });
    const stream = through(url);
    const socket = await taken();
    socket.pause();
    let sent = 0;
    const fill = () => {
      while (sent < 0x1800000) {
        sent += 0x10000;
        if (!socket.write(new Uint8Array(0x10000))) return void socket.once("drain", fill);
      }
    };
    fill();
    let written = 0;
    const writer = stream.writable.getWriter();
    const writing = (async () => {
      for (; written < 0x1800000; written += 0x10000) await writer.write(new Uint8Array(0x10000));
    })();
    await still(() => sent + written);
    // What the system's socket buffers take is not the relay's.
    expect(sent).toBeLessThan(0x1000000);
    expect(written).toBeLessThan(0x1000000);
    let received = 0;
    socket.on("data", (chunk) => (received += chunk.length));
    socket.resume();
    const [back] = await Promise.all([readBytes(stream.readable, 0x1800000), writing]);
    expect(back).toHaveLength(0x1800000);
    await still(() => received);
    expect(received).toBe(0x1800000);
  });

  it("holds no more than it may for a client that grants much and reads nothing, or pings without end", async () => {
    const url = await start();
    const client = new WebSocket(`${url}?to=localhost:${port}`, [RELAY_PROTOCOL]);
    await once(client, "open");
    const socket = await taken();
    const grant = new Uint8Array(5);
    grant[0] = 2;
    new DataView(grant.buffer).setUint32(1, 0x7ffe0000);
    client.send(grant);
    client.pause();
    let sent = 0;
    const fill = () => {
      while (sent < 0x4000000) {
        sent += 0x10000;
        if (!socket.write(new Uint8Array(0x10000))) return void socket.once("drain", fill);
      }
    };
    fill();
    expect(await still(() => sent)).toBeLessThan(0x1800000);
    // Each would be answered, if there were room.
    for (let pings = 0; pings < 20_000; pings++) client.ping(new Uint8Array(125));
    await still(() => client.bufferedAmount);
    let pongs = 0;
    client.on("pong", () => pongs++);
    client.resume();
    await still(() => pongs);
    expect(pongs).toBeLessThan(20_000);
    client.terminate();
  });

  it("answers pings", async () => {
    const client = new WebSocket(`${await start()}?to=localhost:${port}`, [RELAY_PROTOCOL]);
    await once(client, "open");
    client.ping("are you there?");
    expect(String((await once(client, "pong"))[0])).toBe("are you there?");
    client.close();
  });

  it("lets go of the server when the client goes, and of the client when the server does", async () => {
    const url = await start();
    const first = through(url);
    const socket = await taken();
    const gone = once(socket, "end");
    socket.write("x");
    await readBytes(first.readable, 1);
    await first.writable.abort();
    socket.resume();
    await gone;
    expect(await recorded()).toMatchObject({ outcome: expect.stringContaining("the client"), code: 4000 });
    sockets.length = 0;
    const second = through(url);
    const other = await taken();
    other.write("last words");
    const reader = second.readable.getReader();
    expect((await reader.read()).value).toEqual(utf8("last words"));
    other.resetAndDestroy();
    expect(await failed(reader.read())).toMatchObject({ closeCode: 4502, reason: "the server: ECONNRESET" });
    expect(await recorded(2)).toMatchObject({ outcome: "the server: ECONNRESET", code: 4502 });
  });

  describe("says why it does not connect", () => {
    const told = async (options: Partial<RelayListenOptions>, host = "localhost", to = port) => {
      const stream = viaRelay(await start(options), { WebSocket })(host, to);
      const { closeCode, reason } = (await failed(readAll(stream.readable))) as { closeCode: number; reason: string };
      expect(await recorded()).toMatchObject({ code: closeCode, outcome: reason });
      return [closeCode, reason];
    };

    it("the target is not allowed", async () => {
      expect(await told({ allow: [] })).toEqual([4403, `localhost:${port} is not allowed`]);
    });

    it("the address is not allowed", async () => {
      expect(await told({ allow: [`localhost:${port}`] }, "127.0.0.1")).toEqual([
        4403,
        `127.0.0.1:${port} is not allowed`,
      ]);
      expect(sockets).toEqual([]);
    });

    it.each([["127.0.0.1"], ["::ffff:127.0.0.1"], ["::1"], ["10.0.0.1"], ["169.254.169.254"], ["nonsense"]])(
      "the name leads where it may not: %s",
      async (address) => {
        const options = { allow: [`device.example:${port}`], resolve: async () => [address] };
        expect(await told(options, "device.example")).toEqual([4403, "device.example has no address that is allowed"]);
        expect(sockets).toEqual([]);
      },
    );

    it("the name leads nowhere", async () => {
      const resolve = () => Promise.reject(Object.assign(new Error("no"), { code: "ENOTFOUND" }));
      expect(await told({ resolve })).toEqual([4404, "localhost: ENOTFOUND"]);
    });

    it("nobody listens", async () => {
      target.close();
      await once(target, "close");
      expect(await told({})).toEqual([4502, `localhost:${port}: ECONNREFUSED`]);
    });

    it("it takes too long", async () => {
      expect(await told({ handshakeTimeout: 30, resolve: () => new Promise(() => {}) })).toEqual([
        4504,
        "no connection in 30 ms",
      ]);
    });
  });

  it("connects to what it has judged: a name is resolved once", async () => {
    // The second answer is another's: whoever asked again would connect to it.
    const answers = ["127.0.0.1", "203.0.113.9"];
    let asked = 0;
    const allow = [`device.example:${port}`, `127.0.0.1:${port}`];
    const url = await start({ allow, resolve: async () => [answers[asked++] as string] });
    const stream = viaRelay(url, { WebSocket })("device.example", port);
    (await taken()).end("here");
    expect(await readAll(stream.readable)).toEqual(utf8("here"));
    expect(asked).toBe(1);
  });

  it("passes over addresses that are not allowed, and tries the others in turn", async () => {
    const resolve = async () => ["10.0.0.1", "::1", "127.0.0.1"];
    const stream = through(await start({ resolve }));
    (await taken()).end("here");
    expect(await readAll(stream.readable)).toEqual(utf8("here"));
  });

  it("finds names by the system's resolver", async () => {
    const stream = through(await start({ resolve: undefined }));
    (await taken()).end("here");
    expect(await readAll(stream.readable)).toEqual(utf8("here"));
  });

  it("stops looking when the client has gone", async () => {
    let asked: () => void = () => {};
    const begun = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const url = await start({
      resolve: () => {
        asked();
        return new Promise(() => {});
      },
    });
    const socket = new WebSocket(`${url}?to=localhost:${port}`, [RELAY_PROTOCOL]);
    await Promise.all([begun, once(socket, "open")]);
    socket.close(1000);
    expect(await recorded()).toMatchObject({ outcome: "the client: it has gone", code: 1000 });
  });

  describe("takes clients", () => {
    const to = (url: string) => `${url}?to=localhost:${port}`;

    it("of the origins that are named, and those that are no browsers", async () => {
      const url = await start({ origins: ["https://app.example", "http://localhost:5173"] });
      for (const origin of [
        "https://evil.example",
        "https://app.example.evil",
        "http://app.example",
        "https://app.example:444",
        "null",
      ]) {
        expect(await refused(to(url), [RELAY_PROTOCOL], { origin })).toEqual([403, "this origin is not allowed\n"]);
      }
      for (const origin of ["https://app.example", "http://localhost:5173", undefined]) {
        const socket = new WebSocket(to(url), [RELAY_PROTOCOL], origin === undefined ? {} : { origin });
        await once(socket, "open");
        expect(socket.protocol).toBe(RELAY_PROTOCOL);
        socket.close();
      }
      expect(records[0]).toMatchObject({
        origin: "https://evil.example",
        code: 403,
        outcome: "this origin is not allowed",
      });
    });

    it("of no origin by default, of any where that is said", async () => {
      expect((await refused(to(await start()), [RELAY_PROTOCOL], { origin: "https://app.example" }))[0]).toBe(403);
      await relay?.close();
      const socket = new WebSocket(to(await start({ origins: ["*"] })), [RELAY_PROTOCOL], {
        origin: "https://app.example",
      });
      await once(socket, "open");
      socket.close();
    });

    it("that have the token", async () => {
      const url = await start({ token: "s3cret" });
      const encoded = (token: string) => `token.mutls.${Buffer.from(token).toString("base64url")}`;
      for (const protocols of [
        [RELAY_PROTOCOL],
        [RELAY_PROTOCOL, encoded("other")],
        [RELAY_PROTOCOL, encoded("s3cret ")],
        [RELAY_PROTOCOL, encoded("s3cret").slice(0, -1)],
      ]) {
        expect(await refused(to(url), protocols)).toEqual([401, "no token, or another\n"]);
      }
      const stream = through(url, "s3cret");
      (await taken()).end("here");
      expect(await readAll(stream.readable)).toEqual(utf8("here"));
    });

    it("that speak the subprotocol, and say where to", async () => {
      const url = await start();
      expect(await refused(to(url), [])).toEqual([400, `the subprotocol ${RELAY_PROTOCOL} is not offered\n`]);
      expect((await refused(to(url), ["chat"]))[0]).toBe(400);
      for (const query of ["", "?to=", "?to=localhost", "?to=127.1:443", "?to=a%0d%0ab:443"]) {
        expect(await refused(url + query, [RELAY_PROTOCOL])).toEqual([400, "no HOST:PORT in ?to=\n"]);
      }
      expect(records.at(-1)?.target).toBe("a??b:443");
    });

    it("that are WebSockets", async () => {
      const url = await start();
      const response = await fetch(url.replace("ws", "http"));
      expect([response.status, response.headers.get("upgrade"), await response.text()]).toEqual([
        426,
        "websocket",
        "a relay for WebSockets\n",
      ]);
      const headers = { connection: "upgrade", upgrade: "websocket", "sec-websocket-protocol": RELAY_PROTOCOL };
      const socket = connectTcp(relay?.port ?? 0, "127.0.0.1");
      const fields = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
      socket.write(`GET /?to=localhost:${port} HTTP/1.1\r\nhost: a\r\n${fields.join("")}\r\n`);
      socket.resume();
      await once(socket, "close");
      expect(await recorded()).toMatchObject({ code: 400, outcome: "no WebSocket handshake" });
    });

    it("no more than so many in all, and of one address", async () => {
      for (const [limit, status] of [
        ["maxConnections", 503],
        ["maxPerClient", 429],
      ] as const) {
        const url = await start({ [limit]: 2 });
        const open = [new WebSocket(to(url), [RELAY_PROTOCOL]), new WebSocket(to(url), [RELAY_PROTOCOL])];
        await Promise.all(open.map((socket) => once(socket, "open")));
        expect((await refused(to(url), [RELAY_PROTOCOL]))[0]).toBe(status);
        const before = records.length;
        open[0]?.close();
        await recorded(before + 1);
        const again = new WebSocket(to(url), [RELAY_PROTOCOL]);
        await once(again, "open");
        await relay?.close();
      }
    });

    it("that are quick with their request", async () => {
      await start({ handshakeTimeout: 50 });
      const socket = connectTcp(relay?.port ?? 0, "127.0.0.1");
      socket.write("GET / HTTP/1.1\r\n");
      socket.resume();
      await once(socket, "close");
    });
  });

  it.each([
    ["idleTimeout", 4408, "nothing in 40 ms"],
    ["maxLifetime", 4410, "open for 40 ms"],
  ])("ends a connection after its time: %s", async (name, code, reason) => {
    const stream = through(await start({ [name]: 40 }));
    const socket = await taken();
    socket.resume();
    const gone = once(socket, "end");
    expect(await failed(readAll(stream.readable))).toMatchObject({ closeCode: code, reason });
    await gone;
    expect(await recorded()).toMatchObject({ code, outcome: reason });
  });

  it("ends a client that breaks the subprotocol, or sends too much in one message", async () => {
    const url = await start({ maxQueued: 0x10000 });
    for (const [message, code] of [
      ["text", 4001],
      [new Uint8Array(0x10400), 1009],
    ] as const) {
      const socket = new WebSocket(`${url}?to=localhost:${port}`, [RELAY_PROTOCOL]);
      await once(socket, "open");
      const end = closed(socket);
      socket.send(message);
      expect((await end)[0]).toBe(code);
    }
  });

  it("ends a client whose message is longer than any, or comes in very many pieces", async () => {
    const url = await start();
    for (const [pieces, length, code] of [
      [1, 0x10001, 1009],
      [300, 1, 1008],
    ] as const) {
      const socket = new WebSocket(`${url}?to=localhost:${port}`, [RELAY_PROTOCOL]);
      await once(socket, "open");
      const end = closed(socket);
      for (let piece = 0; piece < pieces; piece++) socket.send(new Uint8Array(length), { fin: piece === pieces - 1 });
      expect((await end)[0]).toBe(code);
    }
  });

  it("goes in order, and takes nobody else", async () => {
    const url = await start();
    const stream = through(url);
    const socket = await taken();
    socket.resume();
    const gone = once(socket, "end");
    const reading = failed(readAll(stream.readable));
    await relay?.close();
    expect(await reading).toMatchObject({ closeCode: 1001, reason: "the relay is going away" });
    await gone;
    expect(await failed(readAll(through(url).readable))).toMatchObject({ closeCode: 1006 });
  });

  it.each([
    { allow: ["nothing"] },
    { origins: ["app.example"] },
    { origins: ["https://app.example/path"] },
    { origins: ["null"] },
    { token: "" },
    { maxConnections: 0 },
    { maxPerClient: Number.NaN },
    { maxQueued: 0xffff },
    { idleTimeout: -1 },
    { handshakeTimeout: 2 ** 31 },
    { speed: 1 } as object,
  ])("refuses options that it cannot use: %o", async (options) => {
    expect(await failed(start(options))).toMatchObject({ code: "ERR_TLS_OPTION" });
  });
});
