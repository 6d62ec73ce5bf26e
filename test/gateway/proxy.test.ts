import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttpsServer, Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { createServer as createTcpServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes/bytes.ts";
import { compilePolicy, type GatewayOptions, startGateway } from "../../src/gateway/index.ts";
import { pemOf } from "../support/session.ts";
import { type Cast, get, HOST, listening, makeCast, makeWorld, OPEN, rest, statusOf, type World } from "./world.ts";

let cast: Cast;
let world: World | undefined;
beforeAll(async () => {
  cast = await makeCast();
});
afterEach(async () => {
  await world?.stop();
  world = undefined;
});

const MEGABYTE = 0x100000;
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe("a gateway passes on", () => {
  it("a request with who sent it, and its answer", async () => {
    world = await makeWorld(cast, {
      identity: { subject: "X-Subject", roles: "X-Roles" },
      policy: compilePolicy({
        version: "1",
        rules: [{ name: "all", effect: "allow", who: "verified", roles: ["guest"] }],
      }),
    });
    const answer = await world.ask(get("/a?b=c", ["X-Any: 1", "Via: 1.0 before"]));
    expect(statusOf(answer)).toBe(200);
    expect(answer).toContain('{"method":"GET","url":"/a?b=c","body":""}');
    const { headers } = world.seen[0]?.request ?? {};
    expect(headers).toMatchObject({
      host: "localhost",
      "x-any": "1",
      "x-subject": "CN=alice",
      "x-roles": "guest",
      "x-forwarded-for": HOST,
      "x-forwarded-proto": "https",
      forwarded: "for=127.0.0.1;host=localhost;proto=https",
      via: "1.0 before, 1.1 mutls",
      "client-cert": `:${Buffer.from(cast.alice.certificates[0]).toString("base64")}:`,
    });
    const line = await world.audited(({ event }) => event === "request");
    expect(line).toMatchObject({
      connection: 1,
      request: 1,
      client: HOST,
      identity: { verified: true, subject: "CN=alice", spiffeId: "spiffe://example.org/people/alice" },
      ...{ method: "GET", path: "/a", host: "localhost" },
      ...{ decision: "allowed", rule: "all", policy: "1", roles: ["guest"], status: 200, complete: true },
    });
    // Secrets are in queries.
    expect(JSON.stringify(world.audit)).not.toContain("b=c");
  });

  it("nothing that a client says of itself, in ten spellings and more", async () => {
    world = await makeWorld(cast, {
      tls: { clientAuth: "optional" },
      policy: compilePolicy({
        version: "1",
        rules: [{ name: "all", effect: "allow", who: "anyone" }],
      }),
      identity: { subject: "X-Subject" },
    });
    const spellings = [
      "Client-Cert",
      "client-cert",
      "CLIENT-CERT",
      "Client_Cert",
      "client_cert",
      "CLIENT_CERT",
      "Client.Cert",
      "Client-Cert-Chain",
      "Client_Cert_Chain",
      "X-Forwarded-Client-Cert",
      "X_Forwarded_Client_Cert",
      "X-Subject",
      "x_subject",
      "X-Forwarded-For",
      "X_Forwarded_For",
      "Forwarded",
      "X-Original-URL",
      "X-HTTP-Method-Override",
    ];
    for (const who of [undefined, cast.alice]) {
      const connection = await world.connect(who, who === undefined ? { identities: [] } : {});
      const writer = connection.writable.getWriter();
      const fields = spellings.map((name) => `${name}: FORGED`);
      const trailer = "0\r\nClient-Cert: FORGED\r\nX-Subject: FORGED\r\n\r\n";
      const chunked = get(
        "/",
        [...fields, "Trailer: Client-Cert", "Transfer-Encoding: chunked", "Connection: Client-Cert"],
        "POST",
      );
      await writer.write(utf8(`${chunked}1\r\nx\r\n${trailer}`));
      expect(statusOf(await rest(connection))).toBe(200);
      const { request } = world.seen.at(-1) ?? {};
      expect(JSON.stringify([request?.rawHeaders, request?.rawTrailers])).not.toContain("FORGED");
      expect(request?.headers["x-subject"]).toBe(who === undefined ? undefined : "CN=alice");
      expect(request?.headers["client-cert"] !== undefined).toBe(who !== undefined);
    }
  });

  it("bodies both ways as they come", async () => {
    const server = createServer((request, response) => void request.pipe(response));
    world = await makeWorld(cast, {}, server);
    const session = await world.connect();
    const writer = session.writable.getWriter();
    const reader = session.readable.getReader();
    const decoder = new TextDecoder();
    let text = "";
    const until = async (part: string) => {
      while (!text.includes(part)) text += decoder.decode((await reader.read()).value);
    };
    await writer.write(utf8(get("/", ["Transfer-Encoding: chunked"], "POST")));
    for (const part of ["one", "two", "three"]) {
      await writer.write(utf8(`${part.length}\r\n${part}\r\n`));
      await until(part);
    }
    await writer.write(utf8("0\r\n\r\n"));
    await until("\r\n0\r\n\r\n");
    session.abort();
  });

  it("a body no faster than the server behind takes it", async () => {
    const total = 48 * MEGABYTE;
    let sent = 0;
    let received = 0;
    let ahead = 0;
    const server = createServer(async (request, response) => {
      for await (const chunk of request) {
        received += (chunk as Buffer).length;
        ahead = Math.max(ahead, sent - received);
        await turn();
      }
      response.end(String(received));
    });
    world = await makeWorld(cast, {}, server);
    const session = await world.connect();
    const writer = session.writable.getWriter();
    await writer.write(utf8(get("/", [`Content-Length: ${total}`], "PUT")));
    const piece = new Uint8Array(65_536);
    for (; sent < total; sent += piece.length) await writer.write(piece);
    expect(await rest(session)).toContain(`\r\n\r\n${total}`);
    expect(ahead).toBeLessThan(24 * MEGABYTE);
  });

  it("an answer no faster than the client takes it", async () => {
    const total = 48 * MEGABYTE;
    let sent = 0;
    const server = createServer(async (_, response) => {
      response.writeHead(200, { "Content-Length": total });
      for (const piece = Buffer.alloc(65_536); sent < total; sent += piece.length) {
        if (!response.write(piece)) await once(response, "drain");
      }
      response.end();
    });
    world = await makeWorld(cast, {}, server);
    const session = await world.connect();
    await session.writable.getWriter().write(utf8(get("/")));
    let received = 0;
    let ahead = 0;
    for await (const chunk of session.readable) {
      received += chunk.length;
      ahead = Math.max(ahead, sent - received);
      await turn();
    }
    expect(received).toBeGreaterThan(total);
    expect(ahead).toBeLessThan(24 * MEGABYTE);
  });

  it("several requests over one connection on either side", async () => {
    let connections = 0;
    const server = createServer((request, response) => response.end(request.url));
    server.on("connection", () => connections++);
    world = await makeWorld(cast, {}, server);
    const requests = ["/1", "/2", "/3"].map((path) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    const answer = await world.ask(requests.join("") + get("/4"));
    expect(answer.match(/HTTP\/1\.1 200/g)).toHaveLength(4);
    expect(answer.match(/(?<=\r\n\r\n)\/[1-4]/g)).toEqual(["/1", "/2", "/3", "/4"]);
    expect(connections).toBe(1);
    const line = await world.audited(({ event }) => event === "ended");
    expect(line.requests).toBe(4);
  });

  it("an answer to who has closed its side already", async () => {
    const server = createServer();
    const arrived = once(server, "request");
    world = await makeWorld(cast, {}, server);
    const session = await world.connect();
    const writer = session.writable.getWriter();
    await writer.write(utf8("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    await writer.close();
    const [, response] = (await arrived) as [IncomingMessage, ServerResponse];
    response.end("late");
    expect(await rest(session)).toMatch(/^HTTP\/1\.1 200 [\s\S]*late$/);
    await world.audited(({ event }) => event === "ended");
  });

  it("what OpenSSL's client asks, over one connection", async () => {
    const server = createServer((request, response) => void request.pipe(response));
    world = await makeWorld(cast, {}, server);
    const { cert, key } = pemOf(cast.alice);
    const agent = new HttpsAgent({ keepAlive: true, maxSockets: 1 });
    const body = Buffer.alloc(MEGABYTE, "0123456789");
    for (let count = 0; count < 3; count++) {
      const options = {
        host: HOST,
        port: world.gateway.port,
        servername: "localhost",
        ca: cast.authority.certificatePem,
      };
      const headers = { Host: "localhost" };
      const request = httpsRequest({ ...options, cert, key, agent, headers, method: "POST", path: `/${count}` });
      request.end(body);
      const [response] = (await once(request, "response")) as [IncomingMessage];
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk);
      expect([response.statusCode, Buffer.concat(chunks).equals(body)]).toEqual([200, true]);
    }
    agent.destroy();
    expect(await world.audited(({ event }) => event === "ended")).toMatchObject({ requests: 3, connection: 1 });
  });

  it("to a UNIX socket", async () => {
    const folder = mkdtempSync(join(tmpdir(), "mutls-"));
    const socketPath = join(folder, "s");
    const server = createServer((request, response) => response.end(`unix ${request.url}`));
    server.listen(socketPath);
    await once(server, "listening");
    world = await makeWorld(cast, { upstream: { socketPath } });
    expect(await world.ask(get("/a"))).toContain("unix /a");
    server.close();
    rmSync(folder, { recursive: true });
  });

  it("over mutual TLS, to OpenSSL", async () => {
    const { authority, server: identity, bob } = cast;
    const { cert, key } = pemOf(identity);
    const options = {
      cert,
      key,
      ca: authority.certificatePem,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: "TLSv1.3",
    } as const;
    const server = createHttpsServer(options, (request, response) => {
      const { subject } = (request.socket as TLSSocket).getPeerCertificate();
      request.resume().on("end", () => response.end(`for ${subject.CN}`));
    });
    const sockets: TLSSocket[] = [];
    server.on("secureConnection", (socket) => sockets.push(socket));
    const port = await listening(server);
    const tls = (who: typeof bob) => ({ trust: authority.certificatePem, identities: [pemOf(who)] });
    world = await makeWorld(cast, { upstream: { host: "localhost", port, tls: tls(bob) } });
    for (let count = 0; count < 2; count++) expect(await world.ask(get("/"))).toContain("for bob");
    // A connection that was kept and that the server has closed is not used: a POST would not be sent again.
    const [first] = sockets;
    expect(sockets).toHaveLength(1);
    first?.end();
    await once(first as TLSSocket, "close");
    expect(await world.ask(`${get("/", ["Content-Length: 1"], "POST")}x`)).toContain("for bob");
    expect(sockets).toHaveLength(2);
    await world.stop();
    // Whom it does not trust it does not let in, and that is none of the client's business.
    world = await makeWorld(cast, { upstream: { host: "localhost", port, tls: tls(cast.stranger) } });
    const answer = await world.ask(get("/"));
    expect(answer).toMatch(/^HTTP\/1\.1 502 Bad Gateway\r\n[\s\S]*\r\n\r\n502 Bad Gateway\n$/);
    expect((await world.audited(({ event }) => event === "upstream")).code).toMatch(/UNKNOWN_CA|CERTIFICATE_REQUIRED/);
    server.closeAllConnections();
    server.close();
  });
});

describe("a gateway answers itself", () => {
  const policy = () =>
    compilePolicy({
      version: "1",
      rules: [{ name: "alice", effect: "allow", who: { subject: { CN: "alice" } }, what: { path: "/a/**" } }],
    });

  it.each([
    [403, "default", get("/b")],
    [403, "default", get("/%62")],
    [400, "path-dot-segment", get("/a/../b")],
    [421, "host-misdirected", "GET /a HTTP/1.1\r\nHost: other.example\r\n\r\n"],
    [400, "host-count", "GET /a HTTP/1.1\r\n\r\n"],
    [400, "host-count", "GET /a HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n"],
    [400, "target-form", "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n"],
    [400, "target-form", "CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n"],
    [414, "target-length", get(`/a/${"x".repeat(9000)}`)],
    [425, "early-data", get("/a", ["Early-Data: 1"])],
  ])("%i, by rule %s, without asking anybody behind", async (status, rule, text) => {
    world = await makeWorld(cast, { policy: policy() });
    const answer = await world.ask(
      text.replace("\r\n\r\n", text.includes("Connection") ? "\r\n\r\n" : "\r\nConnection: close\r\n\r\n"),
    );
    expect(statusOf(answer)).toBe(status);
    expect(answer).toMatch(new RegExp(`\\r\\n\\r\\n${status} [A-Z][A-Za-z ]+\\n$`));
    expect(world.seen).toEqual([]);
    const line = await world.audited(({ event }) => event === "request");
    expect(line.status).toBe(status);
    expect(line.rule ?? "default").toBe(rule);
    expect(String(line.reason).length).toBeGreaterThan(10);
    expect(world.metrics.text("openmetrics")).toContain(`mutls_requests_total{status="4xx",rule="${rule}"} 1`);
  });

  it("before the body is sent, to who waits for that", async () => {
    world = await makeWorld(cast, { policy: policy() });
    const asking = (path: string) => get(path, ["Content-Length: 1", "Expect: 100-continue"], "POST");
    expect(await world.ask(asking("/b"))).toMatch(/^HTTP\/1\.1 403 /);
    expect(await world.ask(`${asking("/a")}x`)).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /);
    expect(world.seen.map(({ request, body }) => [request.headers.expect, body])).toEqual([[undefined, "x"]]);
  });

  it("413 where a body is too long, however its length is said", async () => {
    world = await makeWorld(cast, { limits: { bodySize: 8 } });
    expect(statusOf(await world.ask(get("/", ["Content-Length: 9"], "POST")))).toBe(413);
    const chunks = "4\r\n1234\r\n4\r\n5678\r\n";
    const chunked = get("/", ["Transfer-Encoding: chunked"], "POST") + chunks;
    expect(statusOf(await world.ask(`${chunked}1\r\n9\r\n`))).toBe(413);
    expect(statusOf(await world.ask(`${chunked}0\r\n\r\n`))).toBe(200);
    expect(world.seen.map(({ body }) => body)).toEqual(["12345678"]);
  });

  it("502 where nobody is behind, 504 where nobody answers, and says no more", async () => {
    const unused = createTcpServer();
    const port = await listening(unused);
    await new Promise((resolve) => unused.close(resolve));
    world = await makeWorld(cast, { upstream: { host: HOST, port } });
    expect(await world.ask(get("/"))).toMatch(/^HTTP\/1\.1 502 .*[\s\S]*\r\n\r\n502 Bad Gateway\n$/);
    expect(await world.audited(({ event }) => event === "upstream")).toMatchObject({
      fault: "connect",
      code: "ECONNREFUSED",
    });
    await world.stop();
    world = await makeWorld(
      cast,
      { limits: { responseTime: 30 } },
      createServer(() => {}),
    );
    expect(await world.ask(get("/"))).toMatch(/^HTTP\/1\.1 504 .*[\s\S]*\r\n\r\n504 Gateway Timeout\n$/);
    expect(await world.audited(({ event }) => event === "upstream")).toMatchObject({ fault: "timeout" });
    expect(world.metrics.text("openmetrics")).toContain('mutls_upstream_errors_total{kind="timeout"} 1');
  });

  it.each([
    ["is no HTTP", "nonsense\r\n\r\n"],
    ["changes protocols unasked", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"],
    ["has two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"],
    ["has a length and chunks", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ["is coded for the way", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"],
    ["is chunked and coded then", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"],
    ["has fields without end", `HTTP/1.1 200 OK\r\nX: ${"x".repeat(20_000)}\r\n\r\n`],
  ])("502 to an answer that %s", async (_, text) => {
    const server = createTcpServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.end(text));
    });
    world = await makeWorld(cast, {}, server);
    expect(statusOf(await world.ask(get("/")))).toBe(502);
    server.close();
    const line = await world.audited(({ event }) => event === "upstream");
    expect(line.fault).toMatch(/invalid|broken/);
  });

  it("again by another connection where a kept one is gone, if that is safe", async () => {
    const sockets: Socket[] = [];
    let asked = 0;
    // Answers once on each connection, and hangs up at what comes then.
    const server = createTcpServer((socket) => {
      sockets.push(socket);
      let answered = false;
      socket.on("error", () => {});
      socket.on("data", () => {
        asked++;
        if (answered) socket.destroy();
        else socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        answered = true;
      });
    });
    world = await makeWorld(cast, {}, server);
    expect(statusOf(await world.ask(get("/")))).toBe(200);
    expect(statusOf(await world.ask(get("/")))).toBe(200);
    expect([sockets.length, asked]).toEqual([2, 3]);
    // A POST may have had its effect.
    expect(statusOf(await world.ask(get("/", ["Content-Length: 0"], "POST")))).toBe(502);
    expect(sockets.length).toBe(2);
    for (const socket of sockets) socket.destroy();
    server.close();
  });
});

describe("what breaks off", () => {
  it("behind, in the middle of an answer, is no whole answer to the client", async () => {
    const server = createServer((_, response) => {
      response.writeHead(200, { "Transfer-Encoding": "chunked" });
      response.write("half");
      response.once("drain", () => {});
      setImmediate(() => response.destroy());
    });
    world = await makeWorld(cast, {}, server);
    const session = await world.connect();
    await session.writable.getWriter().write(utf8(get("/")));
    await expect(new Response(session.readable).text()).rejects.toThrow();
    const line = await world.audited(({ event }) => event === "request");
    expect(line).toMatchObject({ status: 200, complete: false });
  });

  it("in front ends the request behind", async () => {
    let gone!: (value: unknown) => void;
    const closed = new Promise((resolve) => (gone = resolve));
    let come!: (value: unknown) => void;
    const arrived = new Promise((resolve) => (come = resolve));
    const server = createServer((request) => {
      come(request.url);
      request.on("close", gone);
    });
    world = await makeWorld(cast, {}, server);
    const session = await world.connect();
    await session.writable.getWriter().write(utf8(get("/")));
    await arrived;
    session.abort();
    await closed;
    expect(await world.audited(({ event }) => event === "request")).toMatchObject({ status: 0, complete: false });
  });

  it("an answer before the end of its request, and the connection with it", async () => {
    const server = createServer((_, response) => response.end("early"));
    world = await makeWorld(cast, {}, server);
    const session = await world.connect();
    const writer = session.writable.getWriter();
    await writer.write(utf8("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nx"));
    expect(await rest(session)).toMatch(/^HTTP\/1\.1 200 [\s\S]*early/);
  });
});

describe("a change of protocols", () => {
  /** Speaks what it was asked for, and sends back all that it gets. */
  function echoing() {
    const server = createServer((_, response) => response.end("plain"));
    server.on("upgrade", (request, socket) => {
      socket.on("error", () => {});
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${request.headers.upgrade}\r\nX-Key: ${request.headers["sec-websocket-key"]}\r\n\r\nhello`,
      );
      socket.pipe(socket);
    });
    return server;
  }
  const ask = (protocol: string, path = "/") =>
    `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\nSec-WebSocket-Key: k\r\n\r\n`;

  it("is made where it is allowed, and bytes go both ways", async () => {
    world = await makeWorld(cast, { upgrades: ["websocket"] }, echoing());
    const session = await world.connect();
    const writer = session.writable.getWriter();
    const reader = session.readable.getReader();
    let text = "";
    const until = async (part: string) => {
      while (!text.includes(part)) text += new TextDecoder().decode((await reader.read()).value);
    };
    await writer.write(utf8(ask("websocket")));
    await until("hello");
    expect(text).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\n/);
    expect(text).toContain("X-Key: k\r\n");
    await writer.write(utf8("one"));
    await until("one");
    await writer.close();
    expect((await reader.read()).done).toBe(true);
    expect(await world.audited(({ event }) => event === "request")).toMatchObject({ status: 101, decision: "allowed" });
  });

  it("is ended when the policy would not allow it any more", async () => {
    world = await makeWorld(cast, { upgrades: ["websocket"] }, echoing());
    const session = await world.connect();
    await session.writable.getWriter().write(utf8(ask("websocket", "/ws")));
    const reader = session.readable.getReader();
    let text = "";
    while (!text.includes("hello")) text += new TextDecoder().decode((await reader.read()).value);
    const narrower = {
      version: "2",
      rules: [{ name: "else", effect: "allow", who: "verified", what: { path: "/else" } }],
    } as const;
    await world.gateway.replacePolicy(compilePolicy(narrower));
    await expect(reader.read()).rejects.toThrow();
  });

  it("is ended by a policy that came while the server behind thought about it", async () => {
    const server = createServer();
    const asked = new Promise<Duplex>((resolve) => server.on("upgrade", (_, socket) => resolve(socket)));
    world = await makeWorld(cast, { upgrades: ["websocket"] }, server);
    const session = await world.connect();
    await session.writable.getWriter().write(utf8(ask("websocket", "/ws")));
    const socket = await asked;
    socket.resume();
    socket.on("error", () => {});
    const rules = [{ name: "else", effect: "allow", who: "verified", what: { path: "/else" } }] as const;
    await world.gateway.replacePolicy(compilePolicy({ version: "2", rules }));
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nsecret");
    await once(socket, "end");
    expect(await rest(session)).not.toContain("secret");
  });

  it("is refused to others, and by the policy", async () => {
    const policy = compilePolicy({
      ...OPEN,
      rules: [{ name: "ws", effect: "allow", who: "verified", what: { path: "/ws" } }],
    });
    world = await makeWorld(cast, { upgrades: ["websocket"], policy }, echoing());
    expect(statusOf(await world.ask(ask("websocket", "/no")))).toBe(403);
    expect(statusOf(await world.ask(ask("h2c", "/ws")))).toBe(400);
    expect(statusOf(await world.ask(ask("websocket, h2c", "/ws")))).toBe(400);
    expect(await world.ask(ask("websocket", "/ws").replace("GET", "POST"))).toMatch(/^HTTP\/1\.1 40[03]/);
  });

  it("is not heard of where none is allowed", async () => {
    world = await makeWorld(cast, {}, echoing());
    const answer = await world.ask(ask("websocket").replace("Connection: Upgrade", "Connection: Upgrade, close"));
    expect(answer).toMatch(/^HTTP\/1\.1 200 [\s\S]*plain/);
  });
});

describe("options", () => {
  it.each<[string, object]>([
    ['a gateway has no option "colour"', { colour: 1 }],
    [
      "upstream http://192.0.2.1:80 is not on this machine: it needs TLS",
      { upstream: { host: "192.0.2.1", port: 80 } },
    ],
    ["upstream http://example.org:80 is not on this machine", { upstream: { host: "example.org", port: 80 } }],
    ["upstream: port 0", { upstream: { host: HOST, port: 0 } }],
    ["tls.authorize: the policy decides", { tls: { authorize: () => true } }],
    ["tls.psks: the policy decides", { tls: { psks: [] } }],
    ["tls.tickets.policyVersion: it is the policy's", { tls: { tickets: { store: {}, policyVersion: "1" } } }],
    ['there is no limit "speed"', { limits: { speed: 1 } }],
    ["limits.headTime 0 is not 1 to", { limits: { headTime: 0 } }],
    ['identity has no option "all"', { identity: { all: true } }],
    ["identity: two facts under the name x-who", { identity: { subject: "X-Who", roles: "x-who" } }],
    ['upgrades: "a b"', { upgrades: ["a b"] }],
    ['earlyRequests: "Refuse" is neither', { earlyRequests: "Refuse" }],
    ['forwarded: "x-real-ip"', { forwarded: ["x-real-ip"] }],
    ['upstream: "tls" beside socketPath', { upstream: { socketPath: "/nowhere", tls: {} } }],
    ['upstream: "path" beside host or port or tls', { upstream: { host: HOST, port: 80, path: "/" } }],
  ])("are refused: %s", async (reason, options) => {
    const given = {
      upstream: { host: HOST, port: 1 },
      policy: compilePolicy(OPEN),
      ...options,
      tls: {
        identities: [pemOf(cast.server)],
        trust: cast.authority.certificatePem,
        clientAuth: "on",
        ...(options as Partial<GatewayOptions>).tls,
      },
    } as GatewayOptions;
    await expect(startGateway(given)).rejects.toThrow(reason);
    await expect(startGateway(given)).rejects.toMatchObject({ code: "ERR_TLS_OPTION" });
  });

  it("leave the server behind out of reach but through the gateway's own eyes", async () => {
    // Without TLS there is nobody: the port speaks TLS alone.
    world = await makeWorld(cast);
    const plain = httpRequest({ host: HOST, port: world.gateway.port });
    plain.end();
    await expect(once(plain, "response")).rejects.toThrow();
    expect(await world.audited(({ event }) => event === "refused")).toMatchObject({ code: "ERR_SSL_HTTP_REQUEST" });
    expect(world.seen).toEqual([]);
  });
});
