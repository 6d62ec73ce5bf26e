/** Pre-shared keys, stateless retries and GREASE on the command line, mutls at both ends. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connect, facts, withServer } from "../support/answers.ts";
import { certificateFiles, type Files } from "../support/cli.ts";

const KEY = "00112233445566778899aabbccddeeff";
let files: Files;

beforeAll(async () => {
  files = await certificateFiles();
});
afterAll(() => files.remove());

const ca = () => ["--cacert", files.path("ca.pem")];
const plain = () => files.pair("server");
const mutual = () => [...files.pair("server"), ...ca(), "--client-auth", "on"];

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
      expect(wrong.stderr).toContain("is it the server's key that --psk gives?");
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
