import { connect as connectTcp } from "node:net";
import { beforeAll, describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes/bytes.ts";
import { connect, serve } from "../../src/node/index.ts";
import { codeOf, type Parties, parties, readAll, writeAll } from "../support/session.ts";

let p: Parties;

beforeAll(async () => {
  p = await parties();
});

const host = "127.0.0.1";

describe("TCP", () => {
  it("serves mutual TLS, and goes on after bad clients", async () => {
    const errors: unknown[] = [];
    const server = await serve({ ...p.serverOptions, host, onError: (error) => errors.push(error) }, (session) =>
      session.readable.pipeTo(session.writable),
    );
    const bad = connectTcp({ host, port: server.port });
    bad.end("GET / HTTP/1.0\r\n\r\n");
    bad.resume();
    await new Promise((resolve) => bad.once("close", resolve));
    const session = await connect({ ...p.clientOptions, host, port: server.port });
    const [answer] = await Promise.all([readAll(session.readable), writeAll(session.writable, utf8("hello"))]);
    expect(answer).toEqual(utf8("hello"));
    await session.accepted;
    await session.closed;
    await server.close();
    expect(errors.map((error) => (error as { code: string }).code)).toEqual(["ERR_SSL_HTTP_REQUEST"]);
  });

  it("refuses where nobody listens", async () => {
    expect(await codeOf(connect({ ...p.clientOptions, host, port: 1 }))).toBe("ERR_TLS_TRANSPORT");
  });
});
