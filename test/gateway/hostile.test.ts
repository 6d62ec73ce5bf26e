import { once } from "node:events";
import { createServer } from "node:http";
import { connect as connectTcp, createServer as createTcpServer } from "node:net";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes/bytes.ts";
import { type Cast, get, HOST, makeCast, makeWorld, rest, statusOf, type World } from "./world.ts";

let cast: Cast;
let world: World | undefined;
beforeAll(async () => {
  cast = await makeCast();
});
afterEach(async () => {
  await world?.stop();
  world = undefined;
});

const SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
const post = (...fields: string[]) => ["POST / HTTP/1.1", "Host: localhost", ...fields, "", ""].join("\r\n");
const LENGTH = String(SMUGGLED.length);

describe("requests that two readers might cut in two ways", () => {
  it.each<[string, string]>([
    [
      "Content-Length and Transfer-Encoding",
      `${post("Content-Length: 6", "Transfer-Encoding: chunked")}0\r\n\r\n${SMUGGLED}`,
    ],
    [
      "Transfer-Encoding and Content-Length",
      `${post("Transfer-Encoding: chunked", "Content-Length: 6")}0\r\n\r\n${SMUGGLED}`,
    ],
    ["two lengths that differ", post("Content-Length: 0", `Content-Length: ${LENGTH}`) + SMUGGLED],
    ["the same length twice", `${post("Content-Length: 1", "Content-Length: 1")}x${SMUGGLED}`],
    ["a list of lengths", post("Content-Length: 0, 0") + SMUGGLED],
    ["a length with a sign", post("Content-Length: +0") + SMUGGLED],
    ["a negative length", post("Content-Length: -1") + SMUGGLED],
    ["a hexadecimal length", post("Content-Length: 0x0") + SMUGGLED],
    ["a length in two words", post("Content-Length: 0 0") + SMUGGLED],
    ["a length beyond all bounds", post("Content-Length: 99999999999999999999999") + SMUGGLED],
    ["an unknown coding", `${post("Transfer-Encoding: xchunked")}0\r\n\r\n${SMUGGLED}`],
    ["identity", post("Transfer-Encoding: identity") + SMUGGLED],
    [
      "identity behind chunked",
      `${post("Transfer-Encoding: chunked", "Transfer-Encoding: identity")}0\r\n\r\n${SMUGGLED}`,
    ],
    ["chunked twice", `${post("Transfer-Encoding: chunked, chunked")}0\r\n\r\n${SMUGGLED}`],
    ["chunked behind another", `${post("Transfer-Encoding: gzip, chunked")}0\r\n\r\n${SMUGGLED}`],
    ["a quoted coding", `${post('Transfer-Encoding: "chunked"')}0\r\n\r\n${SMUGGLED}`],
    ["a space before the colon", `${post("Transfer-Encoding : chunked")}0\r\n\r\n${SMUGGLED}`],
    ["a space before the name", `${post(" Transfer-Encoding: chunked")}0\r\n\r\n${SMUGGLED}`],
    ["a folded line", post("X: y\r\n Transfer-Encoding: chunked", "Content-Length: 0") + SMUGGLED],
    ["a name with an underscore", `${post("Transfer_Encoding: chunked", "Content-Length: 5")}0\r\n\r\n${SMUGGLED}`],
    ["a name with a space", post("Content Length: 0") + SMUGGLED],
    ["a NUL in a value", post("X: a\0b") + SMUGGLED],
    ["a carriage return alone", `${post("X: a\rTransfer-Encoding: chunked")}0\r\n\r\n${SMUGGLED}`],
    ["a line feed alone", post("X: a\nTransfer-Encoding: chunked", "Content-Length: 0") + SMUGGLED],
    ["chunks in HTTP/1.0", `${post("Transfer-Encoding: chunked").replace("1.1", "1.0")}0\r\n\r\n${SMUGGLED}`],
    ["a chunk longer than it says", `${post("Transfer-Encoding: chunked")}1\r\nxy\r\n0\r\n\r\n${SMUGGLED}`],
    ["a chunk size with a prefix", `${post("Transfer-Encoding: chunked")}0x0\r\n\r\n${SMUGGLED}`],
    ["a chunk size with a sign", `${post("Transfer-Encoding: chunked")}+0\r\n\r\n${SMUGGLED}`],
    ["a chunk size beyond all bounds", `${post("Transfer-Encoding: chunked")}ffffffffffffffffff\r\n\r\n${SMUGGLED}`],
    ["no version", "GET /\r\n\r\n"],
    ["a version that is none", `GET / HTTP/1.1.1\r\nHost: localhost\r\n\r\n${SMUGGLED}`],
    ["HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
    ["a space before the method", ` GET / HTTP/1.1\r\nHost: localhost\r\n\r\n${SMUGGLED}`],
    ["a target with a space", `GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n${SMUGGLED}`],
    ["no Host", `GET / HTTP/1.1\r\n\r\n${SMUGGLED}`],
    ["TLS inside TLS", "\x16\x03\x01\x02\x00\x01"],
  ])("are refused, and what is behind them: %s", async (_, text) => {
    world = await makeWorld(cast);
    const answer = await world.ask(Uint8Array.from(Buffer.from(text, "latin1")));
    expect(statusOf(answer)).toBeGreaterThanOrEqual(400);
    expect(statusOf(answer)).not.toBe(408);
    expect(answer.match(/^HTTP/gm)).toHaveLength(1);
    expect(world.seen.map(({ request }) => request.url)).not.toContain("/smuggled");
    const line = await world.audited(({ event, decision }) => event === "malformed" || decision === "refused");
    expect(String(line.reason ?? line.message).length).toBeGreaterThan(10);
  });

  it("leave no trace of bytes behind an upgrade that was not made", async () => {
    world = await makeWorld(cast, { upgrades: ["websocket"] });
    const upgrade = "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    const answer = await world.ask(upgrade + SMUGGLED);
    expect(statusOf(answer)).toBe(200);
    expect(world.seen.map(({ request }) => request.url)).toEqual(["/ws"]);
  });
});

describe("what might end the process", () => {
  it.each([
    [
      "a change of protocols ahead of an answer",
      `${get("/").replace("Connection: close\r\n", "")}GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
    ],
    [
      "a tunnel ahead of an answer",
      `${get("/").replace("Connection: close\r\n", "")}CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n`,
    ],
    ["control characters in a field", get("/", ["X: \x01\x7f"])],
    ["octets beyond ASCII in a field", get("/", ["X: \xe9\xff"])],
    ["a method that few know", get("/", [], "PROPFIND")],
    ["passwords in a target", get("http://user:password@localhost/?secret#secret")],
  ])("does not: %s", async (_, text) => {
    world = await makeWorld(cast, { upgrades: ["websocket"], limits: { pipelined: 4 } });
    await world.ask(Uint8Array.from(Buffer.from(text, "latin1")));
    expect(statusOf(await world.ask(get("/after")))).toBe(200);
    await world.audited(({ event, connection }) => event === "ended" && connection === 2);
    expect(JSON.stringify(world.audit)).not.toMatch(/password|secret/);
  });

  it("does not: an answer with fields that nobody writes", async () => {
    const server = createTcpServer((socket) => {
      socket.on("error", () => {});
      socket.on("data", (data) => {
        const upgrade = data.includes("Upgrade: websocket");
        const head = upgrade
          ? "101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket"
          : "200 OK\r\nContent-Length: 0";
        socket.write(Buffer.from(`HTTP/1.1 ${head}\r\nX: a\x7fb\x01\r\nX-Long: \xff\r\n\r\n`, "latin1"));
      });
    });
    world = await makeWorld(cast, { upgrades: ["websocket"] }, server);
    expect(statusOf(await world.ask(get("/")))).toBe(502);
    const upgrade = "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    expect(statusOf(await world.ask(upgrade))).toBe(502);
  });
});

describe("clients that take their time", () => {
  it("lose the connection when a head does not end", async () => {
    world = await makeWorld(cast, { limits: { headTime: 50 } });
    const answer = await world.ask("GET / HTTP/1.1\r\nHost: localhost\r\nX: ");
    expect(statusOf(answer)).toBe(408);
    expect(await world.audited(({ event }) => event === "malformed")).toMatchObject({ status: 408 });
    await world.audited(({ event }) => event === "ended");
  });

  it("lose it when no head begins", async () => {
    world = await makeWorld(cast, { limits: { headTime: 50 } });
    await rest(await world.connect());
    await world.audited(({ event }) => event === "ended");
    expect(world.gateway.connections).toBeLessThanOrEqual(1);
  });

  it("lose it when a body stops", async () => {
    world = await makeWorld(cast, { limits: { bodyIdleTime: 50 } });
    const answer = await world.ask(
      `${get("/", ["Content-Length: 10"], "POST").replace("Connection: close\r\n", "")}12345`,
    );
    expect(statusOf(answer)).toBe(408);
    expect(world.seen).toEqual([]);
  });

  it("lose it when they ask no more", async () => {
    world = await makeWorld(cast, { limits: { keepAliveTime: 50 } });
    const answer = await world.ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    expect(statusOf(answer)).toBe(200);
    expect(await world.audited(({ event }) => event === "ended")).toMatchObject({ requests: 1 });
  });

  it("lose it when they do not take their answer", async () => {
    const server = createServer((_, response) => {
      response.writeHead(200);
      const fill = () => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536)));
      };
      response.on("drain", fill);
      fill();
    });
    world = await makeWorld(cast, { limits: { idleTime: 100 } }, server);
    const session = await world.connect();
    await session.writable.getWriter().write(utf8(get("/")));
    expect(await world.audited(({ event }) => event === "request")).toMatchObject({ status: 200, complete: false });
    session.abort();
  });

  it("lose it when they do not shake hands", async () => {
    world = await makeWorld(cast, { limits: { handshakeTime: 50 } });
    const silent = connectTcp({ host: HOST, port: world.gateway.port });
    silent.resume();
    await once(silent, "close");
    const line = await world.audited(({ event }) => event === "refused");
    expect(line).toMatchObject({ code: "ERR_TLS_HANDSHAKE_TIMEOUT", client: HOST });
  });
});

describe("clients that are too many, or send too much", () => {
  it("are turned away beyond the limit, and let in again below it", async () => {
    world = await makeWorld(cast, { limits: { connections: 2 } });
    const sessions = [await world.connect(), await world.connect()];
    await expect(world.connect()).rejects.toThrow();
    expect(world.metrics.text("openmetrics")).toContain("mutls_connections_rejected_total 1\n");
    expect(world.metrics.text("openmetrics")).toContain("mutls_connections 2\n");
    for (const session of sessions) session.abort();
    await world.audited(({ event, connection }) => event === "ended" && connection === 2);
    await world.audited(({ event, connection }) => event === "ended" && connection === 1);
    expect(statusOf(await world.ask(get("/")))).toBe(200);
  });

  it("may send only so many requests ahead", async () => {
    world = await makeWorld(cast, { limits: { pipelined: 4 } });
    const text = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(400);
    expect(await world.ask(text)).toBe("");
    expect(await world.audited(({ event }) => event === "ended")).toMatchObject({ requests: 5 });
    // Those behind it in the same bytes are nobody's any more, and fill no log.
    expect(world.audit.filter(({ event }) => event === "malformed")).toMatchObject([{ code: "pipelined" }]);
    expect(world.seen).toEqual([]);
    expect(statusOf(await world.ask(`${"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(3)}${get("/")}`))).toBe(200);
    expect(world.seen).toHaveLength(4);
  });

  it.each([
    ["long", `X: ${"x".repeat(20_000)}`],
    ["many", Array.from({ length: 101 }, (_, index) => `X-${index}: 1`).join("\r\n")],
  ])("get 431 for fields that are too %s", async (_, fields) => {
    world = await makeWorld(cast);
    expect(statusOf(await world.ask(get("/", [fields])))).toBe(431);
    expect(world.seen).toEqual([]);
  });
});

describe("clients that are refused in the handshake", () => {
  it.each([
    ["without a certificate", undefined, "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE", "certificate_required"],
    ["with another CA's", "stranger", "UNABLE_TO_VERIFY_LEAF_SIGNATURE", "unknown_ca"],
  ] as const)("%s, are told of in words", async (_, who, code, alert) => {
    world = await makeWorld(cast);
    const identities = who === undefined ? { identities: [] } : { ignoreRequestHints: true };
    const session = await world.connect(who === undefined ? undefined : cast[who], identities);
    await expect(session.accepted).rejects.toThrow();
    const line = await world.audited(({ event }) => event === "refused");
    expect(line).toMatchObject({ code, alert, direction: "sent", client: HOST, connection: 1 });
    if (who !== undefined) {
      expect(line.tried).toMatchObject([{ path: ["CN=stranger"], certificate: "CN=stranger" }]);
      expect(String(line.remedy)).toMatch(/\w+ \w+ \w+/);
    }
    expect(world.metrics.text("openmetrics")).toContain(`mutls_handshakes_total{outcome="refused",code="${code}"} 1`);
  });

  it("by the policy, are told why no rule is for them", async () => {
    const { compilePolicy } = await import("../../src/gateway/index.ts");
    const rules = [{ name: "bob", effect: "allow", who: { spiffe: "spiffe://example.org/people/bob" } }] as const;
    world = await makeWorld(cast, { policy: compilePolicy({ version: "1", rules }) });
    await expect((await world.connect()).accepted).rejects.toMatchObject({ alert: "access_denied" });
    const line = await world.audited(({ event }) => event === "refused");
    expect(line).toMatchObject({ code: "ERR_TLS_ACCESS_DENIED", alert: "access_denied" });
    expect(line.message).toContain(
      'no rule allows CN=alice anything: bob: spiffe is spiffe://example.org/people/alice, not "spiffe://example.org/people/bob"',
    );
    expect(statusOf(await world.ask(get("/"), cast.bob))).toBe(200);
  });
});
