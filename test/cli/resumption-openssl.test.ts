/** Resumption, pre-shared keys, early data and stateless retries on the command line, OpenSSL at one end. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { REQUEST, withServer } from "../support/answers.ts";
import { certificateFiles, type Files, mutls, type Run, type Served } from "../support/cli.ts";
import {
  endOpenssl,
  type OpensslOptions,
  type OpensslProcess,
  startClient,
  startServer,
  withoutOpenssl,
} from "../support/openssl.ts";
import { connectSocket } from "../support/tcp.ts";

const KEY = "00112233445566778899aabbccddeeff";
let files: Files;

beforeAll(async () => {
  files = await certificateFiles();
});
afterAll(() => {
  endOpenssl();
  files.remove();
});

const ca = () => ["--cacert", files.path("ca.pem")];
const pair = (name: string) => ({ "-cert": files.path(`${name}.pem`), "-key": files.path(`${name}.key`) });

/** `openssl s_client`, a request, and all that comes of it. */
async function ask({ port }: Served, options: OpensslOptions, input = REQUEST): Promise<string> {
  const client = startClient(port, {
    "-brief": undefined,
    "-ign_eof": true,
    "-servername": "localhost",
    "-CAfile": files.path("ca.pem"),
    ...options,
  });
  client.process.stdin.end(input);
  await client.exited;
  return `${client.stdout()}${client.stderr()}`;
}

/** The JSON that `--mode http` has answered, in the midst of what s_client says. */
function facts(said: string): Record<string, unknown> {
  const body = /HTTP\/1\.0 200 OK\r\n[\s\S]*?\r\n\r\n(\{\n[\s\S]*?\n\}\n)/.exec(said)?.[1];
  expect(body, said).toBeDefined();
  return JSON.parse(body as string) as Record<string, unknown>;
}

/** `openssl s_server` while `visit` runs; `-naccept` says how many connections it takes. */
async function withOpenssl(
  options: OpensslOptions,
  visit: (connect: (flags: readonly string[], input?: string) => Promise<Run>, server: OpensslProcess) => Promise<void>,
): Promise<void> {
  const { port, server } = await startServer({ "-naccept": undefined, "-tls1_3": true, ...options });
  try {
    // It may not listen yet.
    (await connectSocket(port, server)).destroy();
    await visit((flags, input = "hello\n") => mutls(["connect", `localhost:${port}`, ...flags], { input }), server);
  } finally {
    server.process.kill();
    await server.exited;
  }
}

describe.skipIf(withoutOpenssl)("mutls serve with openssl s_client", () => {
  it("-sess_out, -sess_in, -early_data: resumes, and takes early data once", async () => {
    const keys = [files.path("serve.keys"), files.path("s_client.keys")] as const;
    const flags = [...files.pair("server"), ...ca(), "--client-auth", "on", "--early-data", "16384"];
    await withServer([...flags, "--keylogfile", keys[0]], async (server) => {
      const session = files.path("s_client.session");
      const own = { ...pair("client"), "-keylogfile": keys[1] };
      expect(facts(await ask(server, { ...own, "-sess_out": session }))).toMatchObject({
        resumed: false,
        client: { subject: "CN=alice", verified: true },
      });
      const second = await ask(server, { ...own, "-sess_in": session, "-sess_out": session });
      expect(second).toContain("Reused, TLSv1.3");
      expect(facts(second)).toMatchObject({ resumed: true, psk: "resumption", client: { subject: "CN=alice" } });
      const early = { "-sess_in": session, "-early_data": files.write("early", REQUEST) };
      const third = await ask(server, { ...own, ...early }, "");
      expect(third).toContain("Early data was accepted");
      expect(facts(third)).toMatchObject({ resumed: true, earlyData: "accepted", earlyDataLength: REQUEST.length });
    });
    const [ours, theirs] = keys.map((file) =>
      readFileSync(file, "utf8")
        .split("\n")
        .filter((line) => /^[A-Z]/.test(line))
        .sort(),
    );
    expect(ours?.filter((line) => line.startsWith("CLIENT_EARLY_TRAFFIC_SECRET")).length).toBe(1);
    expect(ours).toEqual(theirs);
  });

  it("-psk, -psk_identity: without certificates", async () => {
    await withServer(["--psk", `bob:${KEY}`], async (server) => {
      const said = await ask(server, { "-psk": KEY, "-psk_identity": "bob", "-tls1_3": true });
      expect(facts(said)).toMatchObject({ psk: "external", pskIdentity: "bob", client: null, group: "x25519" });
    });
  });

  it("-psk_session: a key for SHA-384", async () => {
    const session = files.path("psk.session");
    await withServer([...files.pair("server"), "--tls13-ciphers", "TLS_AES_256_GCM_SHA384"], async (server) => {
      facts(await ask(server, { "-sess_out": session }));
    });
    // OpenSSL takes the key of a session it has kept for an external one.
    const text = execFileSync("openssl", ["sess_id", "-in", session, "-noout", "-text"]).toString();
    const key = /^\s*Resumption PSK: ([0-9A-F]{96})$/m.exec(text)?.[1];
    await withServer(["--psk", `carol:${key}:sha384`], async (server) => {
      const said = await ask(server, { "-psk_session": session, "-psk_identity": "carol", "-tls1_3": true });
      expect(facts(said)).toMatchObject({
        psk: "external",
        pskIdentity: "carol",
        cipherSuite: "TLS_AES_256_GCM_SHA384",
      });
    });
  });

  it("-allow_no_dhe_kex: --psk-modes ke", async () => {
    await withServer(["--psk", `bob:${KEY}`, "--psk-modes", "ke"], async (server) => {
      const said = await ask(server, {
        "-psk": KEY,
        "-psk_identity": "bob",
        "-allow_no_dhe_kex": true,
        "-tls1_3": true,
      });
      expect(facts(said)).toMatchObject({ psk: "external", group: null });
    });
  });

  it("--cookie", async () => {
    await withServer([...files.pair("server"), "--cookie"], async (server) => {
      expect(facts(await ask(server, { "-tls1_3": true }))).toMatchObject({ helloRetryRequest: true });
    });
  });

  it("--tickets", async () => {
    await withServer([...files.pair("server"), "--tickets", "3"], async (server) => {
      const said = await ask(server, { "-tls1_3": true });
      expect(said.match(/Post-Handshake New Session Ticket arrived/g)?.length).toBe(3);
      expect(said.match(/TLS session ticket lifetime hint: 7200 /g)?.length).toBe(3);
    });
  });

  it("-status: --ocsp", async () => {
    // OCSPResponse with responseStatus tryLater, RFC 6960 4.2.1.
    const staple = files.write("staple.der", Uint8Array.of(0x30, 3, 0x0a, 1, 3));
    await withServer([...files.pair("server"), "--ocsp", staple], async (server) => {
      expect(await ask(server, { "-status": true })).toMatch(/OCSP Response Status: trylater/i);
      expect(await ask(server, { "-tls1_3": true })).not.toContain("OCSP Response Status");
    });
  });

  it("--grease", async () => {
    await withServer([...files.pair("server"), ...ca(), "--client-auth", "on", "--grease"], async (server) => {
      expect(facts(await ask(server, pair("client")))).toMatchObject({ client: { subject: "CN=alice" } });
    });
  });
});

describe.skipIf(withoutOpenssl)("mutls connect with openssl s_server", () => {
  it("--sess-out, --sess-in, --early-data", async () => {
    const session = files.path("connect.session");
    const keys = [files.path("connect.keys"), files.path("s_server.keys")] as const;
    const options: OpensslOptions = {
      ...pair("server"),
      "-early_data": true,
      "-brief": undefined,
      "-keylogfile": keys[1],
    };
    await withOpenssl(options, async (connect, server) => {
      const own = [...ca(), "--keylogfile", keys[0]];
      expect(await connect([...own, "--sess-out", session])).toMatchObject({ status: 0, stderr: "" });
      const second = await connect([...own, "--sess-in", session, "--sess-out", session, "-v"]);
      expect([second.status, second.stderr]).toEqual([0, expect.stringContaining("resumed: goes on from")]);
      await server.until(() => server.stdout().includes("Reused session-id"));
      const early = ["--sess-in", session, "--early-data", files.write("early-text", "early words\n")];
      const third = await connect([...own, ...early]);
      expect([third.status, third.stderr]).toEqual([0, "mutls: early data: the server has accepted 12 bytes\n"]);
      await server.until(() => /early words[\s\S]*Early data received:/.test(server.stdout().toString()));
      // OpenSSL's tickets for early data are good for one use, and without it there is a full handshake.
      const fourth = await connect([...own, ...early]);
      expect(fourth.status).toBe(0);
      expect(fourth.stderr).toContain("early data: the server has rejected 12 bytes; they are sent again after");
      await server.until(() => /early words[\s\S]*early words\nhello/.test(server.stdout().toString()));
    });
    const [ours, theirs] = keys.map((file) =>
      readFileSync(file, "utf8")
        .split("\n")
        .filter((line) => /^[A-Z]/.test(line))
        .sort(),
    );
    expect(ours?.filter((line) => line.startsWith("CLIENT_EARLY_TRAFFIC_SECRET")).length).toBe(2);
    for (const line of theirs ?? []) expect(ours).toContain(line);
  });

  it("--psk, --psk-modes", async () => {
    const options: OpensslOptions = { "-psk": KEY, "-psk_identity": "bob", "-nocert": true, "-allow_no_dhe_kex": true };
    await withOpenssl({ ...options, "-rev": true }, async (connect) => {
      const dhe = await connect(["--psk", `bob:${KEY}`, "-v"], "abc\n");
      expect([dhe.status, dhe.stdout.toString()]).toEqual([0, "cba\n"]);
      expect(dhe.stderr).toContain("* TLSv1.3, TLS_AES_128_GCM_SHA256, x25519\n* peer: holds the pre-shared key bob");
      const ke = await connect(["--psk", `bob:${KEY}`, "--psk-modes", "ke", "-v"], "abc\n");
      expect([ke.status, ke.stdout.toString()]).toEqual([0, "cba\n"]);
      expect(ke.stderr).toContain("no key exchange (psk_ke)");
    });
  });

  // OpenSSL 3.0 takes the change_cipher_spec of compatibility mode for the second ClientHello, its own client's too.
  it("-stateless: --no-middlebox, and an answer to the cookie", async () => {
    await withOpenssl({ ...pair("server"), "-stateless": true }, async (connect, server) => {
      const { status, stderr } = await connect([...ca(), "--no-middlebox", "-v"]);
      expect([status, stderr]).toEqual([0, expect.stringContaining("after a HelloRetryRequest")]);
      await server.until(() => server.stdout().includes("hello"));
    });
  });

  it("-num_tickets: the last is kept", async () => {
    const session = files.path("num-tickets.session");
    await withOpenssl({ ...pair("server"), "-num_tickets": 4, "-rev": true }, async (connect) => {
      const first = await connect([...ca(), "--sess-out", session, "--trace"], "abc\n");
      expect(first.stderr.match(/NewSessionTicket {2}handshake message/g)?.length).toBe(4);
      expect((await connect([...ca(), "--sess-in", session, "-v"], "abc\n")).stderr).toContain("resumed: goes on from");
    });
  });

  it("--grease", async () => {
    await withOpenssl({ ...pair("server"), "-rev": true }, async (connect) => {
      expect((await connect([...ca(), "--grease"], "abc\n")).stdout.toString()).toBe("cba\n");
    });
  });
});
