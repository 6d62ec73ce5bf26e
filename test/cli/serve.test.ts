import { readFileSync } from "node:fs";
import { connect as connectTcp } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { concat, latin1, utf8 } from "../../src/bytes/bytes.ts";
import { createTrace, type TraceItem } from "../../src/inspect/index.ts";
import { type ConnectOptions, connect } from "../../src/node/index.ts";
import { recordsOf } from "../inspect/support.ts";
import { certificateFiles, type Files, mutls, type Served, served } from "../support/cli.ts";

let files: Files;
let server: Served;

beforeAll(async () => {
  const names = Array.from({ length: 400 }, (_, index) => `a-rather-long-name-to-fill-a-record-${index}.example.org`);
  files = await certificateFiles({ wordy: { subject: "wordy", dnsNames: names, client: true } });
  server = await served([...files.pair("server"), "--cacert", files.path("ca.pem"), "--client-auth", "optional"]);
});
afterAll(async () => {
  await server.stop();
  files.remove();
});

/** Sends the pieces, each in a record of its own, and reads to the end. */
async function ask(
  pieces: readonly Uint8Array[],
  identity?: string,
  options: Partial<ConnectOptions> = {},
): Promise<{ answer: string; items: TraceItem[] }> {
  const items: TraceItem[] = [];
  const session = await connect({
    host: "127.0.0.1",
    port: server.port,
    serverName: "localhost",
    trust: readFileSync(files.path("ca.pem"), "utf8"),
    identities:
      identity === undefined
        ? []
        : [{ cert: readFileSync(files.path(`${identity}.pem`)), key: readFileSync(files.path(`${identity}.key`)) }],
    observer: createTrace("client", (item) => items.push(item)),
    ...options,
  });
  const writer = session.writable.getWriter();
  for (const piece of pieces) await writer.write(piece);
  const reader = session.readable.getReader();
  const chunks: Uint8Array[] = [];
  for (let step = await reader.read(); !step.done; step = await reader.read()) chunks.push(step.value);
  await writer.close();
  await session.closed;
  return { answer: latin1(concat(...chunks)), items };
}

const bytes = (text: string) => Array.from(utf8(text), (byte) => Uint8Array.of(byte));
const body = (answer: string) => JSON.parse(answer.split("\r\n\r\n")[1] as string) as Record<string, unknown>;
const answers = (items: readonly TraceItem[]) =>
  recordsOf(items).filter(({ from, type }) => from === "server" && type.name === "application_data");

describe("serve --mode http", () => {
  it("reads a head that is cut anywhere, and answers in one record, then close_notify", async () => {
    const { answer, items } = await ask(bytes("GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n"), "client");
    expect(answer).toMatch(/^HTTP\/1\.0 200 OK\r\n/);
    expect(body(answer)).toMatchObject({ request: { path: "/a" }, client: { subject: "CN=alice", verified: true } });
    const sent = recordsOf(items).filter(({ from, type }) => from === "client" && type.name === "application_data");
    expect(sent.map(({ content }) => content.length)).toEqual(Array(36).fill(1));
    expect(answers(items).length).toBe(1);
    expect(items.filter(({ kind }) => kind === "alert")).toMatchObject([
      { from: "server", description: { name: "close_notify" } },
      { from: "client", description: { name: "close_notify" } },
    ]);
  });

  it("takes bare line feeds, and a head that comes with more behind it", async () => {
    expect((await ask([utf8("GET / HTTP/1.0\n\n")])).answer).toMatch(/^HTTP\/1\.0 200/);
    expect((await ask([utf8("POST / HTTP/1.0\r\n\r\nbody"), utf8("more")])).answer).toMatch(/^HTTP\/1\.0 200/);
  });

  it("answers HEAD without a body", async () => {
    const { answer } = await ask([utf8("HEAD / HTTP/1.0\r\n\r\n")]);
    expect(answer).toMatch(/^HTTP\/1\.0 200 OK\r\n.*Content-Length: [1-9]\d+\r\n.*\r\n\r\n$/s);
  });

  it("updates its key, and asks for the client's, before the answer to /keyupdate", async () => {
    const { answer, items } = await ask([utf8("GET /keyupdate HTTP/1.0\r\n\r\n")]);
    expect(answer).toMatch(/^HTTP\/1\.0 200 OK/);
    const update = items.findIndex(
      (item) => item.kind === "message" && item.type === "key_update" && item.from === "server",
    );
    expect(items[update]).toMatchObject({ fields: [{}, {}, { name: "request_update", label: "update_requested" }] });
    expect(answers(items)[0]).toMatchObject({ secret: "server_application_traffic_secret_1", sequence: 0 });
    expect(items.indexOf(answers(items)[0] as TraceItem)).toBeGreaterThan(update);
    expect(items.some((item) => item.kind === "message" && item.type === "key_update" && item.from === "client")).toBe(
      true,
    );
  });

  it("shows /secret to who says who it is when asked, and to nobody else", async () => {
    const secret = [utf8("GET /secret HTTP/1.0\r\n\r\n")];
    const shown = await ask(secret, "client", { postHandshakeAuth: true });
    expect(shown.answer).toMatch(/^HTTP\/1\.0 200 OK\r\n/);
    expect(body(shown.answer)).toMatchObject({ client: { subject: "CN=alice", verified: true } });
    expect(shown.items.filter((item) => item.kind === "message" && item.type === "certificate_request").length).toBe(2);
    const declined = await ask(secret, undefined, { postHandshakeAuth: true });
    const unasked = await ask(secret, "client");
    for (const { answer } of [declined, unasked]) expect(answer).toMatch(/^HTTP\/1\.0 403 Forbidden\r\n/);
    expect(body(declined.answer)).toMatchObject({ error: expect.stringContaining("sent none") });
    expect(body(unasked.answer)).toMatchObject({ error: expect.stringContaining("does not offer it") });
  });

  it("shows /secret to mutls connect --enable-pha, which answers behind the end of its input", async () => {
    const to = [`localhost:${server.port}`, "--cacert", files.path("ca.pem"), ...files.pair("client")];
    const input = "GET /secret HTTP/1.0\r\n\r\n";
    const shown = await mutls(["connect", ...to, "--enable-pha"], { input });
    expect([shown.status, shown.stderr]).toEqual([0, "mutls: the server has asked for a certificate: sent\n"]);
    expect(shown.stdout.toString()).toMatch(/^HTTP\/1\.0 200 OK\r\n/);
    const without = await mutls(["connect", ...to.slice(0, 3), "--enable-pha"], { input });
    expect(without.stdout.toString()).toMatch(/^HTTP\/1\.0 403 Forbidden\r\n/);
  });

  it("refuses nonsense, and heads without end", async () => {
    expect((await ask([utf8("what is this\r\n\r\n")])).answer).toMatch(/^HTTP\/1\.0 400 Bad Request\r\n/);
    const endless = await ask([
      utf8("GET / HTTP/1.0\r\n"),
      ...Array.from({ length: 5 }, () => utf8("X: y\r\n".repeat(700))),
    ]);
    expect(endless.answer).toMatch(/^HTTP\/1\.0 431 /);
  });

  it("answers in one record even a client with many names", async () => {
    const { answer, items } = await ask([utf8("GET / HTTP/1.0\r\n\r\n")], "wordy");
    expect(answers(items).length).toBe(1);
    expect(body(answer)).toMatchObject({
      client: { verified: true, omitted: true, fingerprint256: expect.any(String) },
    });
  });
});

describe("serve", () => {
  /** Sends bytes over plain TCP and waits for the end. */
  const rude = (content: string | Uint8Array, reset = false) =>
    new Promise<Buffer>((resolve) => {
      const received: Buffer[] = [];
      const socket = connectTcp({ host: "127.0.0.1", port: server.port });
      socket.on("error", () => {});
      socket.on("data", (chunk: Buffer) => received.push(chunk));
      socket.on("close", () => resolve(Buffer.concat(received)));
      socket.once("connect", () => {
        if (reset) socket.resetAndDestroy();
        else socket.end(content);
      });
    });

  it("survives every bad client, and says in one line what was wrong", async () => {
    const before = server.stderr().split("\n").length;
    expect((await rude("GET / HTTP/1.0\r\n\r\n")).toString("hex")).toBe("1503030002020a");
    await rude("EHLO localhost\r\n");
    await rude("");
    await rude("", true);
    await rude(Uint8Array.of(22, 3, 1, 0, 4, 1, 0, 0, 0));
    await rude(Uint8Array.of(22, 3, 1, 0xff, 0xff));
    await rude(Uint8Array.from({ length: 100_000 }, (_, index) => (index * 7) % 256));
    await server.says(/ERR_SSL_PACKET_LENGTH_TOO_LONG/);
    const { answer } = await ask([utf8("GET / HTTP/1.0\r\n\r\n")]);
    expect(answer).toMatch(/^HTTP\/1\.0 200/);
    const lines = server
      .stderr()
      .trimEnd()
      .split("\n")
      .slice(before - 1);
    expect(lines.length).toBe(7);
    for (const line of lines)
      expect(line).toMatch(/^mutls: (refused|lost) (127\.0\.0\.1:\d+|an unknown client): .+ \(ERR_[A-Z_]+, .*\)$/);
    expect(lines.join("\n")).toContain(
      "the peer speaks plain HTTP, not TLS (ERR_SSL_HTTP_REQUEST, alert unexpected_message sent",
    );
  });

  it("says which certificate paths were tried and what would mend them", async () => {
    const strict = await served([
      ...files.pair("server"),
      "--cacert",
      files.path("other-ca.pem"),
      "--client-auth",
      "on",
    ]);
    // The server names its CAs, and this client would keep its certificate to itself: its own name for the CA is used.
    const session = await connect({
      host: "127.0.0.1",
      port: strict.port,
      serverName: "localhost",
      trust: readFileSync(files.path("ca.pem"), "utf8"),
      identities: [{ cert: readFileSync(files.path("client.pem")), key: readFileSync(files.path("client.key")) }],
      ignoreRequestHints: true,
    });
    await expect(session.closed).rejects.toMatchObject({ code: "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA" });
    await strict.says(
      /^mutls: refused .*UNABLE_TO_VERIFY_LEAF_SIGNATURE, alert unknown_ca sent.*; tried CN=alice: .*; remedy: .*\n$/,
    );
    await strict.stop();
  });

  it.each([
    ["echo", /--cacert has no effect without --client-auth/],
    ["http", /--client-auth is off: clients are asked for a certificate at GET \/secret only/],
  ])("warns of --cacert without --client-auth: %s", async (mode, warning) => {
    const idle = await served([...files.pair("server"), "--cacert", files.path("ca.pem"), "--mode", mode]);
    await idle.says(warning);
    const { status, stdout } = await idle.stop();
    expect([status, stdout.toString()]).toEqual([0, `listening on 127.0.0.1:${idle.port}\n`]);
  });

  it("says when it cannot listen", async () => {
    const { status, stdout, stderr } = await mutls([
      "serve",
      "--host",
      "192.0.2.1",
      "--port",
      "0",
      ...files.pair("server"),
    ]);
    expect([status, stdout.toString()]).toEqual([7, ""]);
    expect(stderr).toContain("cannot listen on 192.0.2.1:0");
  });
});
