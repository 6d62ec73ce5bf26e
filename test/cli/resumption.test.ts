/** Resumption, pre-shared keys, early data and stateless retries on the command line, mutls at both ends. */
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect as connectTcp, createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeSession, encodeSession, type Session } from "../../src/node/index.ts";
import { certificateFiles, type Files, mutls, type Run, type Served, served } from "../support/cli.ts";

const KEY = "00112233445566778899aabbccddeeff";
const REQUEST = "GET / HTTP/1.0\r\n\r\n";
let files: Files;

beforeAll(async () => {
  files = await certificateFiles();
});
afterAll(() => files.remove());

const ca = () => ["--cacert", files.path("ca.pem")];

/** A server while `visit` runs. */
async function withServer(flags: readonly string[], visit: (server: Served) => Promise<void>): Promise<Run> {
  const server = await served(flags);
  try {
    await visit(server);
  } finally {
    await server.stop();
  }
  return server.stop();
}

const plain = () => files.pair("server");
const mutual = () => [...files.pair("server"), ...ca(), "--client-auth", "on"];

function connect({ port }: Served, flags: readonly string[], input = REQUEST): Promise<Run> {
  return mutls(["connect", `localhost:${port}`, ...flags], { input });
}

/** What `--mode http` says of the connection. */
function facts({ status, stdout, stderr }: Run): Record<string, unknown> {
  const text = stdout.toString();
  expect([status, stderr.includes("ERR_"), text.slice(0, 15)]).toEqual([0, false, "HTTP/1.0 200 OK"]);
  return JSON.parse(text.split("\r\n\r\n")[1] as string) as Record<string, unknown>;
}

/** A relay to a server that remembers what the client sends. */
async function recording(port: number): Promise<{ port: number; sent(): Uint8Array; close(): void }> {
  const sent: Buffer[] = [];
  const relay = createServer({ allowHalfOpen: true }, (client) => {
    const server = connectTcp({ host: "127.0.0.1", port, allowHalfOpen: true });
    for (const socket of [client, server]) socket.on("error", () => {});
    client.on("data", (bytes: Buffer) => sent.push(bytes));
    client.pipe(server).pipe(client);
  });
  await new Promise<void>((resolve) => relay.listen(0, "127.0.0.1", resolve));
  return {
    port: (relay.address() as AddressInfo).port,
    sent: () => Buffer.concat(sent),
    close: () => relay.close(),
  };
}

function edit(file: string, changes: Partial<Session>): void {
  writeFileSync(file, encodeSession({ ...decodeSession(readFileSync(file)), ...changes }));
}

describe("--sess-out and --sess-in", () => {
  it.each(["node", "noble", "webcrypto"])(
    "resume in another process, the client known from before: %s",
    async (name) => {
      const session = files.path(`session-${name}`);
      await withServer([...mutual(), "--provider", name], async (server) => {
        const own = [...ca(), ...files.pair("client"), "--provider", name];
        const first = await connect(server, [...own, "--sess-out", session]);
        const before = facts(first);
        expect(before).toMatchObject({ resumed: false, psk: null, client: { subject: "CN=alice", verified: true } });
        expect(first.stderr).toBe("");
        expect(statSync(session).mode & 0o777).toBe(0o600);
        const kept = readFileSync(session);
        const second = await connect(server, [...own, "--sess-in", session, "--sess-out", session, "-v"]);
        expect(facts(second)).toMatchObject({
          resumed: true,
          psk: "resumption",
          earlyData: null,
          clientAuthRequested: false,
          client: { subject: "CN=alice", verified: true },
          authenticatedAt: before.authenticatedAt,
        });
        expect(second.stderr).toContain("* resumed: goes on from a full handshake at ");
        expect(second.stderr).toContain("* own certificate: known to the server from before, if it was shown");
        // The last ticket that came has taken the place of the one that was used.
        expect(readFileSync(session).equals(kept)).toBe(false);
        // As whoever made it: no certificate is needed again.
        expect(facts(await connect(server, [...ca(), "--sess-in", session]))).toMatchObject({
          resumed: true,
          client: { subject: "CN=alice" },
        });
      });
    },
  );

  it("keep the session from everybody else, also in a file that was there before", async () => {
    const session = files.write("open", "something else");
    await withServer(plain(), async (server) => {
      facts(await connect(server, [...ca(), "--sess-out", session]));
    });
    expect(statSync(session).mode & 0o777).toBe(0o600);
    expect(decodeSession(readFileSync(session)).serverName).toBe("localhost");
  });

  it("say when no ticket has come, or it cannot be kept", async () => {
    await withServer([...plain(), "--tickets", "0"], async (server) => {
      const absent = files.path("never");
      const { status, stderr } = await connect(server, [...ca(), "--sess-out", absent]);
      expect([status, stderr]).toEqual([0, `mutls: no ticket has come: ${absent} is not written\n`]);
      expect(existsSync(absent)).toBe(false);
    });
    await withServer(plain(), async (server) => {
      const { status, stderr } = await connect(server, [...ca(), "--sess-out", files.path("no/such/folder")]);
      expect([status, stderr]).toEqual([23, expect.stringContaining("cannot write the session: ENOENT")]);
    });
  });

  it("refuse files that hold no session, before connecting", async () => {
    for (const [file, reason] of [
      [files.path("absent"), "cannot read the session: ENOENT"],
      [files.path("ca.pem"), "holds no session of mutls"],
      [files.write("nothing", ""), "holds no session of mutls"],
    ] as const) {
      const { status, stderr } = await mutls(["connect", "host.invalid:1", ...ca(), "--sess-in", file]);
      expect([status, stderr]).toEqual([26, expect.stringContaining(reason)]);
    }
  });

  it("go through a full handshake, and say so, where the session cannot go on", async () => {
    const session = files.path("session-unfit");
    await withServer(mutual(), async (server) => {
      const own = [...ca(), ...files.pair("client")];
      facts(await connect(server, [...own, "--sess-out", session]));
      const unfit = async (why: string, flags: readonly string[] = []) => {
        const run = await connect(server, [...own, ...flags, "--sess-in", session]);
        expect(facts(run)).toMatchObject({ resumed: false, client: { subject: "CN=alice" } });
        expect(run.stderr).toBe(`mutls: the session in ${session} was not resumed: ${why}\n`);
      };
      await unfit("it is for localhost", ["--servername", "127.0.0.1"]);
      await unfit("the server did not go on with it, or may not", ["--tls13-ciphers", "TLS_AES_256_GCM_SHA384"]);
      edit(session, { ticket: new Uint8Array(200) });
      await unfit("the server did not go on with it, or may not");
      edit(session, { createdAt: Date.now() - 8_000_000 });
      await unfit("it has expired");
    });
  });

  it("verify the server again: a CA that is no longer trusted ends what it began", async () => {
    const session = files.path("session-trust");
    await withServer(plain(), async (server) => {
      facts(await connect(server, [...ca(), "--sess-out", session]));
      const other = ["--cacert", files.path("other-ca.pem"), "--sess-in", session];
      expect((await connect(server, other)).status).toBe(60);
      expect(facts(await connect(server, [...ca(), "--sess-in", session]))).toMatchObject({ resumed: true });
    });
  });
});

describe("--tickets", () => {
  it.each([
    [[], 2],
    [["--tickets", "0"], 0],
    [["--tickets", "5"], 5],
  ] as const)("%j: %i of them", async (flags, count) => {
    await withServer([...plain(), ...flags], async (server) => {
      const { stdout } = await connect(server, [...ca(), "--sess-out", files.path("session-count"), "--json"]);
      const items = stdout.toString().trimEnd().split("\n");
      expect(items.filter((line) => JSON.parse(line).type === "new_session_ticket").length).toBe(count);
    });
  });
});

describe("--early-data", () => {
  /** A session that allows `size` bytes, and a file of `length` to send. */
  async function prepared(server: Served, name: string, content: string | Uint8Array = REQUEST) {
    const session = files.path(`session-${name}`);
    facts(await connect(server, [...ca(), ...files.pair("client"), "--sess-out", session]));
    return ["--sess-in", session, "--early-data", files.write(`early-${name}`, content)];
  }

  it("is accepted with the ClientHello, from a client that is known", async () => {
    await withServer([...mutual(), "--early-data", "16384", "-v"], async (server) => {
      const early = await prepared(server, "accepted");
      const run = await connect(server, [...ca(), ...early], "");
      expect(facts(run)).toMatchObject({
        resumed: true,
        earlyData: "accepted",
        earlyDataLength: REQUEST.length,
        client: { subject: "CN=alice" },
      });
      expect(run.stderr).toBe(`mutls: early data: the server has accepted ${REQUEST.length} bytes\n`);
      await server.says(/early data: accepted, 18 bytes/);
    });
  });

  it.each([
    ["echo", (text: string) => text],
    ["reverse", (text: string) => text.replace(/[^\n]+/g, (line) => [...line].reverse().join(""))],
    ["discard", () => ""],
  ] as const)("goes before stdin: %s", async (mode, expected) => {
    const text = `first half ${"x".repeat(3000)}`;
    // Sessions come from a server that answers; its keys are in no other.
    await withServer([...plain(), "--mode", mode, "--early-data", "200000"], async (server) => {
      const session = files.path(`session-${mode}`);
      await connect(server, [...ca(), "--sess-out", session], "");
      const early = ["--sess-in", session, "--early-data", files.write(`early-${mode}`, text)];
      const run = await connect(server, [...ca(), ...early], " second half\nline\n");
      expect(run.stderr).toContain("the server has accepted 3011 bytes");
      expect(run.stdout.toString()).toBe(expected(`${text} second half\nline\n`));
      const large = ["--sess-in", session, "--early-data", files.write(`large-${mode}`, new Uint8Array(180_000))];
      expect((await connect(server, [...ca(), ...large], "")).stderr).toContain("the server has accepted 180000 bytes");
    });
  });

  it("is sent again after the handshake where the server rejects it", async () => {
    await withServer([...plain(), "--early-data", "16384", "--groups", "x25519,secp384r1"], async (server) => {
      const early = await prepared(server, "rejected");
      const again = `mutls: early data: the server has rejected ${REQUEST.length} bytes; they are sent again after the handshake\n`;
      // It comes with a HelloRetryRequest.
      const retried = await connect(server, [...ca(), ...early, "--groups", "secp256r1,secp384r1"], "");
      expect(facts(retried)).toMatchObject({ resumed: true, helloRetryRequest: true, earlyData: "rejected" });
      expect(retried.stderr).toBe(again);
      // A ticket older than the client says.
      const session = early[1] as string;
      edit(session, { createdAt: decodeSession(readFileSync(session)).createdAt - 60_000 });
      const aged = await connect(server, [...ca(), ...early], "");
      expect(facts(aged)).toMatchObject({ resumed: true, earlyData: "rejected", earlyDataLength: 0 });
      expect(aged.stderr).toBe(again);
    });
  });

  it("is sent after the handshake where the session does not allow it, or not as much", async () => {
    const after = `${REQUEST.length} bytes are sent after the handshake`;
    await withServer([...plain(), "--early-data", "17"], async (server) => {
      const early = await prepared(server, "little");
      const run = await connect(server, [...ca(), ...early], "");
      expect(facts(run)).toMatchObject({ resumed: true, earlyDataLength: 0 });
      expect(run.stderr).toBe(`mutls: early data: the session allows 17 bytes; ${after}\n`);
    });
    await withServer(plain(), async (server) => {
      const run = await connect(server, [...ca(), ...(await prepared(server, "none"))], "");
      expect(facts(run)).toMatchObject({ resumed: true, earlyData: null });
      expect(run.stderr).toBe(`mutls: early data: the session allows 0 bytes; ${after}\n`);
    });
    await withServer([...plain(), "--early-data", "16384"], async (server) => {
      const early = await prepared(server, "expired");
      edit(early[1] as string, { lifetime: 1, createdAt: Date.now() - 5000 });
      const run = await connect(server, [...ca(), ...early], "");
      expect(facts(run)).toMatchObject({ resumed: false, earlyData: null });
      expect(run.stderr).toContain(`early data: the session could not be used; ${after}\n`);
    });
  });

  it("is taken once: the same bytes again are thrown away", async () => {
    await withServer([...plain(), "--early-data", "16384", "--trace"], async (server) => {
      const early = await prepared(server, "replay");
      const recorder = await recording(server.port);
      facts(await connect({ ...server, port: recorder.port }, [...ca(), ...early], ""));
      recorder.close();
      // What follows the early data is under keys that this connection does not come to, and goes the same way.
      const replay = connectTcp({ host: "127.0.0.1", port: server.port });
      replay.on("error", () => {});
      replay.write(recorder.sent());
      await server.says(/^\[3\] .*early data that is not accepted: thrown away unopened$/m);
      replay.destroy();
    });
  });

  it("needs a file with something in it", async () => {
    const session = files.path("session-file");
    await withServer(plain(), async (server) => {
      facts(await connect(server, [...ca(), "--sess-out", session]));
    });
    const refused = (file: string) =>
      mutls(["connect", "host.invalid:1", ...ca(), "--sess-in", session, "--early-data", file]);
    expect(await refused(files.path("absent"))).toMatchObject({ status: 26 });
    const empty = await refused(files.write("empty-early", ""));
    expect([empty.status, empty.stderr]).toEqual([2, expect.stringContaining("empty-early is empty")]);
  });

  it("is in traces of both ends, and byte for byte also where it is thrown away", async () => {
    await withServer(
      [...plain(), "--early-data", "16384", "--groups", "x25519,secp384r1", "--trace"],
      async (server) => {
        const early = await prepared(server, "trace");
        const run = await connect(server, [...ca(), ...early, "--trace"], "");
        for (const expected of [
          "client_early_traffic_secret: protects early data",
          "encrypted under client_early_traffic_secret, sequence number 0",
          "the ticket, or an agreed name",
          "the server accepts the early data",
          "EndOfEarlyData  handshake message 2",
        ])
          expect(run.stderr).toContain(expected);
        await connect(server, [...ca(), ...early, "--groups", "secp256r1,secp384r1"], "");
        await server.says(
          /^\[3\] ← client {2}record 3 {2}application_data, 40 bytes.*RFC 8446 4\.2\.10\n\[3\] {3}early data that is not accepted: thrown away unopened$/m,
        );
        await server.says(/^\[3\] .* encrypted_record .* 35 bytes/m);
      },
    );
  });
});

describe("--psk", () => {
  it.each([
    ["bob", "", "TLS_AES_128_GCM_SHA256"],
    ["a:colon", ":sha384", "TLS_AES_256_GCM_SHA384"],
  ] as const)("authenticates both ends without certificates: %s%s", async (name, hash, cipherSuite) => {
    const psk = `${name}:${KEY}${hash}`;
    await withServer(["--psk", `other:${KEY}`, "--psk", psk], async (server) => {
      const run = await connect(server, ["--psk", psk, "-v"]);
      expect(facts(run)).toMatchObject({
        psk: "external",
        pskIdentity: name,
        resumed: false,
        cipherSuite,
        group: "X25519MLKEM768",
        client: null,
      });
      expect(run.stderr).toContain(`* peer: holds the pre-shared key ${name}\n* own certificate: not needed\n`);
    });
  });

  it("offers several, and falls back to certificates", async () => {
    await withServer([...plain(), "--psk", `second:${KEY}`], async (server) => {
      const both = ["--psk", `first:${KEY}`, "--psk", `second:${KEY}`];
      expect(facts(await connect(server, both))).toMatchObject({ pskIdentity: "second" });
      expect(facts(await connect(server, [...ca(), "--psk", `first:${KEY}`]))).toMatchObject({ psk: null });
      expect((await connect(server, ["--psk", `first:${KEY}`])).status).toBe(60);
    });
  });

  it("refuses a key that is wrong, or unknown where there is no certificate", async () => {
    await withServer(["--psk", `bob:${KEY}`], async (server) => {
      const wrong = await connect(server, ["--psk", `bob:${KEY.replace("00", "01")}`]);
      expect([wrong.status, wrong.stderr]).toEqual([35, expect.stringContaining("alert decrypt_error received")]);
      const unknown = await connect(server, ["--psk", `eve:${KEY}`]);
      expect([unknown.status, unknown.stderr]).toEqual([35, expect.stringContaining("alert unknown_psk_identity")]);
      expect(unknown.stderr).toContain("knows none of the keys that were offered");
    });
  });

  it("is resumed from while the key is in use", async () => {
    const session = files.path("session-psk");
    const psk = ["--psk", `bob:${KEY}`];
    await withServer(psk, async (server) => {
      facts(await connect(server, [...psk, "--sess-out", session]));
      expect(facts(await connect(server, [...psk, "--sess-in", session]))).toMatchObject({
        resumed: true,
        psk: "resumption",
        pskIdentity: "bob",
      });
    });
  });

  it.each([
    ["ke", "dhe,ke", null],
    ["ke,dhe", "dhe,ke", null],
    ["dhe", "ke,dhe", "X25519MLKEM768"],
  ] as const)("with --psk-modes %s here and %s there", async (theirs, ours, group) => {
    const psk = ["--psk", `bob:${KEY}`];
    await withServer([...psk, "--psk-modes", theirs], async (server) => {
      const run = await connect(server, [...psk, "--psk-modes", ours, "-v"]);
      expect(facts(run)).toMatchObject({ psk: "external", group });
      if (group === null) expect(run.stderr).toContain("no key exchange (psk_ke), so no forward secrecy");
    });
  });
});

describe("--cookie", () => {
  it("retries each handshake, resumed or not", async () => {
    const session = files.path("session-cookie");
    await withServer([...mutual(), "--cookie"], async (server) => {
      const own = [...ca(), ...files.pair("client")];
      const first = await connect(server, [...own, "--sess-out", session, "--trace"]);
      expect(facts(first)).toMatchObject({ helloRetryRequest: true, resumed: false, client: { subject: "CN=alice" } });
      expect(first.stderr).toContain("state that a stateless server has the client keep for it");
      expect(facts(await connect(server, [...own, "--sess-in", session]))).toMatchObject({
        helloRetryRequest: true,
        resumed: true,
        client: { subject: "CN=alice" },
      });
    });
  });
});

describe("--grease", () => {
  it("puts values that mean nothing into both ends' messages, and everything goes on", async () => {
    await withServer([...mutual(), "--grease"], async (server) => {
      const run = await connect(server, [
        ...ca(),
        ...files.pair("client"),
        "--grease",
        "--json",
        "--sess-out",
        files.path("session-grease"),
      ]);
      expect([run.status, run.stderr]).toEqual([0, ""]);
      const messages = run.stdout
        .toString()
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as { kind: string; type: string; bytes: string });
      // RFC 8701 2: an extension's type, 0xXaXa, and its length, which is 0 or 1.
      for (const type of ["client_hello", "certificate_request", "new_session_ticket"]) {
        const message = messages.find((item) => item.kind === "message" && item.type === type);
        expect(message?.bytes, type).toMatch(/(?:([0-9a-f])a){2}000[01]/);
      }
    });
  });
});
