/** What changes under a gateway that runs: policies, CRLs, time, and its own end. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes/bytes.ts";
import { compilePolicy, type PolicyDocument } from "../../src/gateway/index.ts";
import {
  connect,
  revocationChecker,
  sealedTickets,
  sessionCache,
  strikeRegister,
  trustStore,
  trustVerifier,
} from "../../src/node/index.ts";
import { makeAuthority, makeCertificate } from "../support/pki.ts";
import { pemOf } from "../support/session.ts";
import { makeCrl, serialOf } from "../support/status.ts";
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

/** Its version is in its rule and in its role. */
const numbered = (version: string): PolicyDocument => ({
  version,
  rules: [{ name: `rule-${version}`, effect: "allow", who: "verified", roles: [`role-${version}`] }],
});

const only = (version: string, who: string): PolicyDocument => ({
  version,
  rules: [{ name: who, effect: "allow", who: { subject: { CN: who } } }],
});

describe("another policy", () => {
  it("judges all of a request or nothing of it, however many are under way", async () => {
    world = await makeWorld(cast, {
      policy: compilePolicy(numbered("0")),
      identity: { roles: "X-Roles" },
      limits: { pipelined: 32 },
    });
    const { gateway } = world;
    let swapping = true;
    const swaps = (async () => {
      for (let version = 1; swapping; version++) {
        await gateway.replacePolicy(compilePolicy(numbered(String(version % 7))));
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    const requests = (lane: number) =>
      Array.from(
        { length: 20 },
        (_, index) =>
          `GET /${lane}/${index} HTTP/1.1\r\nHost: localhost\r\n${index === 19 ? "Connection: close\r\n" : ""}\r\n`,
      );
    const ask = async (lane: number) => {
      const session = await (world as World).connect();
      const writer = session.writable.getWriter();
      void (async () => {
        // One after the other, so that policies change in between.
        for (const text of requests(lane)) await writer.write(utf8(text)).catch(() => {});
      })();
      return rest(session);
    };
    const answers = await Promise.all(Array.from({ length: 6 }, (_, lane) => ask(lane)));
    swapping = false;
    await swaps;
    expect(answers.map((answer) => answer.match(/HTTP\/1\.1 200/g)?.length)).toEqual(Array(6).fill(20));
    await world.audited(({ event, connection }) => event === "ended" && connection === 6);
    const lines = world.audit.filter(({ event }) => event === "request");
    expect(lines).toHaveLength(120);
    const passed = new Map(world.seen.map(({ request }) => [request.url, request.headers["x-roles"]]));
    for (const { policy, rule, roles, path } of lines) {
      expect([rule, roles, passed.get(String(path))]).toEqual([`rule-${policy}`, [`role-${policy}`], `role-${policy}`]);
    }
    expect(new Set(lines.map(({ policy }) => policy)).size).toBeGreaterThan(1);
  });

  it("cuts off those to whom it allows nothing, with the reason, and lets others be", async () => {
    world = await makeWorld(cast);
    const [alice, bob] = [await world.connect(cast.alice), await world.connect(cast.bob)];
    await world.audited(({ event, connection }) => event === "accepted" && connection === 2);
    const { checked, ended } = await world.gateway.replacePolicy(compilePolicy(only("2", "bob")));
    expect([checked, ended.map(({ code }) => code)]).toEqual([2, ["ERR_TLS_ACCESS_DENIED"]]);
    await expect(alice.closed).rejects.toMatchObject({ alert: "access_denied", direction: "received" });
    const line = await world.audited(({ event }) => event === "ended");
    expect(line).toMatchObject({ code: "ERR_TLS_ACCESS_DENIED", identity: { subject: "CN=alice" } });
    expect(line.message).toContain("no rule allows CN=alice anything");
    await bob.writable.getWriter().write(utf8(get("/")));
    expect(statusOf(await rest(bob))).toBe(200);
    expect(world.audit.find(({ event }) => event === "policy")).toMatchObject({ policy: "2", rules: 1 });
  });

  it("is in force for the next request of an open connection", async () => {
    world = await makeWorld(cast);
    const session = await world.connect();
    const writer = session.writable.getWriter();
    const reader = session.readable.getReader();
    let text = "";
    const until = async (part: string) => {
      while (!text.includes(part)) text += new TextDecoder().decode((await reader.read()).value);
    };
    await writer.write(utf8("GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    await until('"url":"/a"');
    const rules = [{ name: "b", effect: "allow", who: "verified", what: { path: "/b" } }] as const;
    await world.gateway.replacePolicy(compilePolicy({ version: "2", rules }));
    await writer.write(utf8("GET /a HTTP/1.1\r\nHost: localhost\r\n\r\nGET /b HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    await until('"url":"/b"');
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 200", "HTTP/1.1 403", "HTTP/1.1 200"]);
    session.abort();
  });

  it("resumes no session that began under the one before, whatever its version is", async () => {
    world = await makeWorld(cast, { tls: { tickets: { store: sealedTickets(), count: 1 } } });
    const sessions = sessionCache();
    const visit = async () => {
      const session = await (world as World).connect(cast.alice, { sessions });
      await session.writable.getWriter().write(utf8(get("/")));
      expect(statusOf(await rest(session))).toBe(200);
      return session.resumed;
    };
    expect([await visit(), await visit()]).toEqual([false, true]);
    // The same version with other rules is another policy.
    const { version, rules } = world.gateway.policy.document;
    await world.gateway.replacePolicy(
      compilePolicy({ version, rules: [...rules, { name: "no", effect: "deny", who: { dns: "x.y" } }] }),
    );
    expect([await visit(), await visit()]).toEqual([false, true]);
    expect(world.audit.filter(({ event }) => event === "accepted").map(({ resumed }) => resumed)).toEqual([
      false,
      true,
      false,
      true,
    ]);
    expect(world.metrics.text("openmetrics")).toMatch(/mutls_negotiated_total\{[^}]*resumed="true"\} 2/);
  });
});

describe("a certificate that does not hold any more", () => {
  it("ends its connection while an answer is streamed, and says why", async () => {
    const root = await makeAuthority();
    const leaf = await makeCertificate({ issuer: root, subject: "leaf" });
    const verifier = async (...revoked: (typeof leaf)[]) => {
      const entries = revoked.map((one) => ({ serial: serialOf(one), reason: 1 }));
      const crls = [await makeCrl({ issuer: root, number: 1 + revoked.length, entries })];
      return trustVerifier({ trust: trustStore(root.pem), revocation: revocationChecker({ mode: "hard-fail", crls }) });
    };
    let gone!: (value: unknown) => void;
    const closed = new Promise((resolve) => (gone = resolve));
    const server = createServer((_, response) => {
      response.writeHead(200);
      response.write("streaming");
      response.on("close", gone);
    });
    world = await makeWorld(cast, { tls: { trust: undefined, verifier: await verifier() } }, server);
    const { gateway } = world;
    const session = await connect({
      ...{ host: HOST, port: gateway.port, serverName: "localhost", trust: cast.authority.certificatePem },
      identities: [{ cert: leaf.pem, key: leaf.privateKeyPem }],
    });
    await session.writable.getWriter().write(utf8(get("/")));
    const reader = session.readable.getReader();
    let text = "";
    while (!text.includes("streaming")) text += new TextDecoder().decode((await reader.read()).value);
    gateway.context.replace({ verifier: await verifier(leaf) });
    await gateway.context.recheck();
    await expect(reader.read()).rejects.toMatchObject({ alert: "certificate_revoked" });
    await closed;
    expect(await world.audited(({ event }) => event === "request")).toMatchObject({ status: 200, complete: false });
    const line = await world.audited(({ event }) => event === "ended");
    expect(line).toMatchObject({ code: "CERT_REVOKED", identity: { subject: "CN=leaf" } });
    expect(JSON.stringify(line.tried)).toContain("keyCompromise");
  });

  it("ends it at the next request after its last day", async () => {
    let now = Date.now();
    world = await makeWorld(cast, { tls: { clock: () => now } });
    const session = await world.connect();
    const writer = session.writable.getWriter();
    await writer.write(utf8("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    await world.audited(({ event }) => event === "request");
    now += 3 * 86_400_000;
    await writer.write(utf8(get("/late")));
    await rest(session);
    await expect(session.closed).rejects.toMatchObject({ alert: "certificate_expired" });
    expect(world.seen.map(({ request }) => request.url)).toEqual(["/"]);
    expect(await world.audited(({ event }) => event === "ended")).toMatchObject({ code: "CERT_HAS_EXPIRED" });
  });

  it("may be optional, and then it is nobody's", async () => {
    const rules = [
      { name: "public", effect: "allow", who: "anyone", what: { path: "/public/**" } },
      { name: "private", effect: "allow", who: "verified" },
    ] as const;
    world = await makeWorld(cast, { tls: { clientAuth: "optional" }, policy: compilePolicy({ version: "1", rules }) });
    const nobody = { identities: [] };
    expect(statusOf(await world.ask(get("/public/a"), cast.alice, nobody))).toBe(200);
    expect(statusOf(await world.ask(get("/a"), cast.alice, nobody))).toBe(403);
    expect(statusOf(await world.ask(get("/a")))).toBe(200);
    expect(world.seen.map(({ request }) => "client-cert" in request.headers)).toEqual([false, true]);
  });
});

describe("early data", () => {
  const early = (path: string) => utf8(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);

  it.each([
    ["refuse", [425, 200], ["/", "/2"]],
    ["mark", [200, 200], ["/", "/1", "/2"]],
  ] as const)("%s", async (earlyRequests, statuses, passed) => {
    const acceptEarlyData = { antiReplay: strikeRegister(), tolerance: 600 };
    world = await makeWorld(cast, { earlyRequests, tls: { tickets: { store: sealedTickets() }, acceptEarlyData } });
    const sessions = sessionCache();
    const first = await world.connect(cast.alice, { sessions });
    await first.writable.getWriter().write(utf8(get("/")));
    expect(statusOf(await rest(first))).toBe(200);
    const session = await world.connect(cast.alice, { sessions, earlyData: early("/1") });
    await session.accepted;
    expect(session.earlyData).toBe("accepted");
    await session.writable.getWriter().write(utf8(get("/2")));
    const answer = await rest(session);
    expect(answer.match(/(?<=HTTP\/1\.1 )\d+/g)?.map(Number)).toEqual(statuses);
    expect(world.seen.map(({ request }) => request.url)).toEqual(passed);
    const marks = world.seen.map(({ request }) => request.headers["early-data"]);
    expect(marks).toEqual(earlyRequests === "mark" ? [undefined, "1", undefined] : [undefined, undefined]);
  });

  it("is early with a head that goes on behind it, and no longer", async () => {
    const acceptEarlyData = { antiReplay: strikeRegister(), tolerance: 600 };
    world = await makeWorld(cast, {
      earlyRequests: "mark",
      tls: { tickets: { store: sealedTickets() }, acceptEarlyData },
    });
    const sessions = sessionCache();
    const first = await world.connect(cast.alice, { sessions });
    await first.writable.getWriter().write(utf8(get("/")));
    await rest(first);
    const session = await world.connect(cast.alice, { sessions, earlyData: utf8("GET /1 HTTP/1.1\r\nHost: lo") });
    await session.writable.getWriter().write(utf8(`calhost\r\n\r\n${get("/2")}`));
    await rest(session);
    expect(world.seen.map(({ request }) => [request.url, request.headers["early-data"]])).toEqual([
      ["/", undefined],
      ["/1", "1"],
      ["/2", undefined],
    ]);
  });
});

describe("the end", () => {
  it("waits for requests under way, and for nothing else", async () => {
    const server = createServer();
    const arrived = once(server, "request");
    world = await makeWorld(cast, {}, server);
    const { gateway } = world;
    const idle = await world.connect();
    const busy = await world.connect();
    await busy.writable.getWriter().write(utf8("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    const [, response] = (await arrived) as [IncomingMessage, ServerResponse];
    const closed = gateway.close(60_000);
    expect(await rest(idle)).toBe("");
    await expect(world.connect()).rejects.toThrow();
    response.end("done");
    expect(await rest(busy)).toMatch(/^HTTP\/1\.1 200 [\s\S]*Connection: close[\s\S]*done$/i);
    await closed;
    expect(gateway.connections).toBe(0);
    expect(world.audit.at(-1)?.event).toBe("stopped");
  });

  it("waits no longer than it was told", async () => {
    const server = createServer();
    const arrived = once(server, "request");
    world = await makeWorld(cast, {}, server);
    const session = await world.connect();
    await session.writable.getWriter().write(utf8(get("/")));
    await arrived;
    await Promise.all([world.gateway.close(20), world.gateway.close(20)]);
    expect(world.audit.filter(({ event }) => event === "stopped")).toHaveLength(1);
    expect(await rest(session)).toBe("");
    expect(world.audit.map(({ event }) => event)).toContain("ended");
  });
});

it("is a server that openssl and others know: its certificate is its own", async () => {
  world = await makeWorld(cast);
  const session = await world.connect();
  expect([session.peer?.commonName, session.alpn]).toEqual(["localhost", undefined]);
  const strict = world.connect(cast.alice, { alpn: ["h2"] });
  await expect(strict).rejects.toMatchObject({ alert: "no_application_protocol" });
  const both = await world.connect(cast.alice, { alpn: ["h2", "http/1.1"], identities: [pemOf(cast.bob)] });
  expect(both.alpn).toBe("http/1.1");
  session.abort();
  both.abort();
});
