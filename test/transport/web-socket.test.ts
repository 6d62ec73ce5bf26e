import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { concat, utf8 } from "../../src/bytes/bytes.ts";
import {
  type ByteStream,
  RELAY_PROTOCOL,
  viaRelay,
  WebSocketError,
  type WebSocketLike,
  webSocketStream,
} from "../../src/index.ts";
import { pattern, readAll, writeAll } from "../support/session.ts";
import { readBytes } from "../support/tcp.ts";
import { closed, type Peer, still, webSocketPeer } from "../support/web-socket.ts";

let peer: Peer;
beforeEach(async () => {
  peer = await webSocketPeer();
});
afterEach(() => peer.close());

const failed = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );
const readFailure = ({ readable }: ByteStream) => failed(readAll(readable));

/** As a browser has it: nothing holds back what comes. */
class Unpausable extends WebSocket {
  override pause = undefined as never;
}

describe("a WebSocket as a byte stream", () => {
  const open = async (options: object = {}): Promise<[ByteStream, WebSocket]> => {
    const stream = webSocketStream(peer.url, { WebSocket, ...options });
    return [stream, await peer.socket];
  };

  it("carries bytes both ways in binary messages", async () => {
    const [stream, socket] = await open();
    socket.on("message", (data, binary) => socket.send(data, { binary }));
    const data = pattern(3_000_000);
    const [back] = await Promise.all([readBytes(stream.readable, data.length), writeAll(stream.writable, data)]);
    expect(Buffer.compare(back, data)).toBe(0);
    await stream.readable.cancel();
    expect(await closed(socket)).toEqual([1000, ""]);
  });

  it("may be connected already, or connecting", async () => {
    const connecting = webSocketStream(new WebSocket(peer.url));
    const far = webSocketStream(await peer.socket);
    await Promise.all([writeAll(connecting.writable, utf8("up")), writeAll(far.writable, utf8("down"))]);
    expect(await readBytes(far.readable, 2)).toEqual(utf8("up"));
    expect(await readBytes(connecting.readable, 4)).toEqual(utf8("down"));
  });

  it("lets the caller use an array again once it is written", async () => {
    const [stream, socket] = await open();
    const message = once(socket, "message");
    const writer = stream.writable.getWriter();
    const array = utf8("hello");
    await writer.write(array);
    array.fill(0);
    expect(String((await message)[0])).toBe("hello");
  });

  it("takes a clean close for the end of both directions", async () => {
    for (const code of [1000, undefined]) {
      const own = await webSocketPeer();
      const stream = webSocketStream(own.url, { WebSocket });
      const socket = await own.socket;
      socket.send(utf8("last"));
      socket.close(code);
      expect(await readAll(stream.readable)).toEqual(utf8("last"));
      expect(await failed(stream.writable.getWriter().write(utf8("x")))).toBeInstanceOf(WebSocketError);
      await own.close();
    }
  });

  it.each([
    [1001, "away"],
    [1011, ""],
    [4403, "device:443 is not allowed"],
  ])("takes close code %i for an error, after what came before it", async (code, reason) => {
    const [stream, socket] = await open();
    socket.send(utf8("last"));
    socket.close(code, reason);
    await once(socket, "close");
    const reader = stream.readable.getReader();
    expect((await reader.read()).value).toEqual(utf8("last"));
    const error = await failed(reader.read());
    expect(error).toBeInstanceOf(WebSocketError);
    expect(error).toMatchObject({ closeCode: code, reason });
    expect((error as Error).message).toContain(`${code}${reason === "" ? "" : `: ${reason}`}`);
    expect(await failed(stream.writable.getWriter().closed)).toBe(error);
  });

  it("takes a connection that breaks for an error", async () => {
    const [stream, socket] = await open();
    socket.terminate();
    expect(await readFailure(stream)).toMatchObject({ closeCode: 1006 });
  });

  it("fails both ways where there is no server", async () => {
    await peer.close();
    const stream = webSocketStream(peer.url, { WebSocket });
    const writing = failed(writeAll(stream.writable, utf8("x")));
    expect(await readFailure(stream)).toMatchObject({
      closeCode: 1006,
      message: expect.stringContaining("ECONNREFUSED"),
    });
    expect(await writing).toMatchObject({ closeCode: 1006 });
  });

  it("fails where the WebSocket is closed already", async () => {
    const socket = new WebSocket(peer.url);
    (await peer.socket).close();
    await once(socket, "close");
    expect(await readFailure(webSocketStream(socket))).toMatchObject({ closeCode: 1006 });
  });

  it("refuses a text message", async () => {
    const [stream, socket] = await open();
    const end = closed(socket);
    socket.send("hello");
    expect(await readFailure(stream)).toMatchObject({ closeCode: 4001, reason: "a text message" });
    expect(await end).toEqual([4001, "a text message"]);
  });

  it("says nothing of one direction's end until the other is over", async () => {
    const [stream, socket] = await open();
    await stream.writable.getWriter().close();
    socket.send(utf8("more"));
    const reader = stream.readable.getReader();
    expect((await reader.read()).value).toEqual(utf8("more"));
    expect(socket.readyState).toBe(WebSocket.OPEN);
    await reader.cancel();
    expect(await closed(socket)).toEqual([1000, ""]);
  });

  it.each(["signal", "abort"])("is ended at any time: %s", async (how) => {
    const ending = new AbortController();
    const [stream, socket] = await open({ signal: ending.signal });
    // Open on both sides.
    socket.send(utf8("x"));
    await readBytes(stream.readable, 1);
    const reading = readFailure(stream);
    const end = closed(socket);
    const reason = new Error("enough");
    if (how === "signal") ending.abort(reason);
    else await stream.writable.abort(reason);
    expect(await reading).toBe(reason);
    expect((await end)[0]).toBe(4000);
  });

  it("is ended before it is open, or has begun", async () => {
    for (const early of [true, false]) {
      const ending = new AbortController();
      if (early) ending.abort(new Error("enough"));
      const stream = webSocketStream(peer.url, { WebSocket, signal: ending.signal });
      const both = Promise.all([readFailure(stream), failed(writeAll(stream.writable, utf8("x")))]);
      ending.abort(new Error("enough"));
      expect(await both).toMatchObject([{ message: "enough" }, { message: "enough" }]);
    }
  });

  it("writes no more than the WebSocket may have waiting", async () => {
    const [stream, socket] = await open();
    socket.pause();
    let written = 0;
    const writer = stream.writable.getWriter();
    const writing = (async () => {
      for (; written < 0x4000000; written += 0x10000) await writer.write(new Uint8Array(0x10000));
    })();
    const before = await still(() => written);
    // What the system's socket buffers take is not ours to bound.
    expect(before).toBeLessThan(0x2000000);
    let received = 0;
    socket.on("message", (data: Buffer) => {
      received += data.length;
    });
    socket.resume();
    await writing;
    await still(() => received);
    expect(received).toBe(0x4000000);
  });

  it("leaves in TCP what nobody reads, where the WebSocket can be paused", async () => {
    const [stream, socket] = await open({ highWaterMark: 0x10000 });
    let sent = 0;
    const fill = () => {
      for (; sent < 0x1000000 && socket.bufferedAmount < 0x100000; sent += 0x4000)
        socket.send(new Uint8Array(0x4000), fill);
    };
    fill();
    await still(() => socket.bufferedAmount);
    expect(await readBytes(stream.readable, 0x1000000)).toHaveLength(0x1000000);
  });

  it("is an error where it cannot, and too much has come", async () => {
    const stream = webSocketStream(peer.url, { WebSocket: Unpausable, highWaterMark: 0x10000 });
    const socket = await peer.socket;
    const end = closed(socket);
    for (let sent = 0; sent < 3; sent++) socket.send(new Uint8Array(0x8000));
    expect((await end)[0]).toBe(4002);
    expect(await readFailure(stream)).toMatchObject({ closeCode: 4002, reason: expect.stringContaining("65536") });
  });

  it("gathers short messages that nobody has read", async () => {
    const [stream, socket] = await open();
    const data = pattern(20_000);
    for (let at = 0; at < data.length; at += 7) socket.send(data.subarray(at, at + 7));
    socket.close(1000);
    await once(socket, "close");
    const reader = stream.readable.getReader();
    const chunks: Uint8Array[] = [];
    for (let next = await reader.read(); !next.done; next = await reader.read()) chunks.push(next.value);
    expect(Buffer.compare(concat(...chunks), data)).toBe(0);
    expect(chunks.length).toBeLessThan(10);
  });

  it("keeps what has been read as it was, whatever comes behind it", async () => {
    const [stream, socket] = await open();
    const reader = stream.readable.getReader();
    const send = async (...messages: string[]) => {
      for (const message of messages) socket.send(utf8(message));
      socket.ping();
      await once(socket, "pong");
    };
    await send("a", "b", "c");
    const { value: first } = await reader.read();
    await send("d", "e");
    const { value: second } = await reader.read();
    expect([String.fromCharCode(...(first ?? [])), String.fromCharCode(...(second ?? []))]).toEqual(["abc", "de"]);
  });

  it("refuses what it cannot use", () => {
    const socket = { readyState: 0 } as WebSocketLike;
    expect(() => webSocketStream(socket, { highWaterMark: 65_535 })).toThrow("highWaterMark 65535");
    expect(() => webSocketStream("ws://localhost", { WebSocket: undefined })).toThrow(
      "WebSocket" in globalThis ? /./ : "there is no WebSocket here",
    );
    expect(() => webSocketStream("ftp://localhost", { WebSocket })).toThrow();
  });
});

describe("the relay's subprotocol", () => {
  const open = async (options: object = {}): Promise<[ByteStream, WebSocket]> => {
    const stream = webSocketStream(peer.url, { WebSocket, protocols: [RELAY_PROTOCOL], ...options });
    return [stream, await peer.socket];
  };
  const both = async (near: object = {}, far: object = {}): Promise<[ByteStream, ByteStream, WebSocket]> => {
    const [stream, socket] = await open(near);
    return [stream, webSocketStream(socket, far), socket];
  };

  it("carries bytes both ways, and ends one direction alone", async () => {
    const [near, far, socket] = await both();
    const end = closed(socket);
    void writeAll(near.writable, pattern(1_000_000));
    expect(Buffer.compare(await readAll(far.readable), pattern(1_000_000))).toBe(0);
    expect(socket.readyState).toBe(WebSocket.OPEN);
    void writeAll(far.writable, pattern(3_000_000));
    expect(Buffer.compare(await readAll(near.readable), pattern(3_000_000))).toBe(0);
    expect((await end)[0]).toBe(1000);
  });

  it("is spoken where the WebSocket does not tell, by whoever says so", async () => {
    const stream = webSocketStream(peer.url, { WebSocket, protocol: RELAY_PROTOCOL });
    const far = webSocketStream(await peer.socket, { protocol: RELAY_PROTOCOL });
    await stream.writable.getWriter().close();
    expect(await readAll(far.readable)).toEqual(new Uint8Array(0));
  });

  it.each([0x10000, 0x100000])("sends no more than the other end has room for: %i", async (highWaterMark) => {
    const [near, far] = await both({}, { highWaterMark });
    let written = 0;
    const writer = near.writable.getWriter();
    const total = 4 * highWaterMark;
    const writing = (async () => {
      for (; written < total; written += 0x1000) await writer.write(new Uint8Array(0x1000));
    })();
    expect(await still(() => written)).toBe(highWaterMark);
    expect(await readBytes(far.readable, total)).toHaveLength(total);
    await writing;
  });

  it("throws away what nobody wants, and goes on", async () => {
    const [near, far] = await both();
    await far.readable.cancel();
    await writeAll(near.writable, pattern(3_000_000));
    await writeAll(far.writable, utf8("done"));
    expect(await readAll(near.readable)).toEqual(utf8("done"));
  });

  it("takes a close before the end for an error, whatever its code", async () => {
    const [stream, socket] = await open();
    socket.close(1000);
    expect(await readFailure(stream)).toMatchObject({ closeCode: 1000 });
  });

  const credit = (bytes: number) => {
    const message = new Uint8Array(5);
    message[0] = 2;
    new DataView(message.buffer).setUint32(1, bytes);
    return message;
  };
  const data = (length: number) => new Uint8Array(1 + length);

  it.each([
    ["an empty message", [new Uint8Array(0)], "a message of no known type"],
    ["data of nothing", [data(0)], "a message of no known type"],
    ["another type", [Uint8Array.of(3, 1)], "a message of no known type"],
    ["an end with something behind", [Uint8Array.of(1, 0)], "a message of no known type"],
    ["a short credit", [credit(1).subarray(0, 4)], "a message of no known type"],
    ["a long credit", [concat(credit(1), data(0))], "a message of no known type"],
    ["too much credit", [credit(0x7fffffff)], "too much credit"],
    ["too much credit together", [credit(0x40000000), credit(0x40000000)], "too much credit"],
    ["data after the end", [Uint8Array.of(1), data(1)], "a message after the end"],
    ["two ends", [Uint8Array.of(1), Uint8Array.of(1)], "a message after the end"],
    ["more than was granted", [data(0x10000), data(1)], "more than was granted"],
  ])("is broken by %s", async (_, messages, reason) => {
    const [stream, socket] = await open({ highWaterMark: 0x10000 });
    const end = closed(socket);
    for (const message of messages) socket.send(message);
    expect(await end).toEqual([4001, reason]);
    expect(await failed(stream.writable.getWriter().closed)).toMatchObject({ closeCode: 4001, reason });
  });

  it("asks a relay for a server, with a token in base64url", async () => {
    const ask = async (host: string, token: string) => {
      const own = await webSocketPeer();
      const offered: string[] = [];
      class Telling extends WebSocket {
        constructor(url: string, protocols: string[] = []) {
          super(url, protocols);
          offered.push(url, ...protocols);
        }
      }
      const stream = viaRelay(`${own.url}relay?a=b`, { token, WebSocket: Telling })(host, 443);
      await own.socket;
      await stream.writable.abort();
      await own.close();
      const [url = "", ...protocols] = offered;
      return [new URL(url).searchParams.get("to"), new URL(url).searchParams.get("a"), ...protocols];
    };
    expect(await ask("device.example", "s3cret?>ü")).toEqual([
      "device.example:443",
      "b",
      RELAY_PROTOCOL,
      `token.mutls.${Buffer.from("s3cret?>ü").toString("base64url")}`,
    ]);
    expect((await ask("::1", "a"))[0]).toBe("[::1]:443");
  });
});
