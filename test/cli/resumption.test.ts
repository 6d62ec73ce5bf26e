/** Resumption on the command line, mutls at both ends. */
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeSession, encodeSession, type Session } from "../../src/node/index.ts";
import { connect, facts, withServer } from "../support/answers.ts";
import { certificateFiles, type Files, mutls } from "../support/cli.ts";

let files: Files;

beforeAll(async () => {
  files = await certificateFiles();
});
afterAll(() => files.remove());

const ca = () => ["--cacert", files.path("ca.pem")];
const plain = () => files.pair("server");
const mutual = () => [...files.pair("server"), ...ca(), "--client-auth", "on"];

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
