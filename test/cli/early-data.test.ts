/** Early data on the command line, mutls at both ends. */
import { readFileSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect as connectTcp, createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeSession, encodeSession, type Session } from "../../src/node/index.ts";
import { connect, facts, REQUEST, withServer } from "../support/answers.ts";
import { certificateFiles, type Files, mutls, type Served } from "../support/cli.ts";

let files: Files;

beforeAll(async () => {
  files = await certificateFiles();
});
afterAll(() => files.remove());

const ca = () => ["--cacert", files.path("ca.pem")];
const plain = () => files.pair("server");
const mutual = () => [...files.pair("server"), ...ca(), "--client-auth", "on"];

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
          /^\[3\] ← client {2}record 3 {2}application_data, 40 bytes.*RFC 8446 4\.2\.10\n\[3\] {3}encrypted under client_early_traffic_secret, not opened: early data that is not accepted: thrown away unopened$/m,
        );
        await server.says(/^\[3\] .* encrypted_record .* 35 bytes/m);
      },
    );
  });
});
