import { randomBytes } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { certificateFiles, type Files, finished, mutls, type Run, served, start } from "../support/cli.ts";

let files: Files;

beforeAll(async () => {
  files = await certificateFiles();
});
afterAll(() => files.remove());

/** Flags of a server that wants a certificate, and of a client that has one. */
const serverFlags = () => [...files.pair("server"), "--cacert", files.path("ca.pem"), "--client-auth", "on"];
const clientFlags = () => [...files.pair("client"), "--cacert", files.path("ca.pem")];

/** Starts a server, connects once, stops it. */
async function once(
  serve: readonly string[],
  connect: readonly string[],
  input: string | Uint8Array,
): Promise<{ client: Run; server: Run }> {
  const server = await served([...serverFlags(), ...serve]);
  const client = await mutls(["connect", `localhost:${server.port}`, ...clientFlags(), ...connect], { input });
  return { client, server: await server.stop() };
}

describe("connect and serve", () => {
  const big = randomBytes(1_500_000);

  describe.each([
    ["node", "noble"],
    ["noble", "node"],
    ["webcrypto", "webcrypto"],
  ])("client %s, server %s", (ours, theirs) => {
    it("echo", async () => {
      const { client, server } = await once(["--mode", "echo", "--provider", theirs], ["--provider", ours], big);
      expect([client.status, client.stderr]).toEqual([0, ""]);
      expect(client.stdout.equals(big)).toBe(true);
      expect([server.status, server.stderr]).toEqual([0, ""]);
      expect(server.stdout.toString()).toMatch(/^listening on 127\.0\.0\.1:\d+\n$/);
    });

    it("with groups and signature algorithms that must be named, in openssl's spelling", async () => {
      const names = ["--groups", "X448:SecP256r1MLKEM768", "--sigalgs", "ECDSA+SHA256:ed448:ML-DSA-65"];
      const { client } = await once(
        ["--provider", theirs, ...names],
        ["--provider", ours, "-v", ...names],
        "GET / HTTP/1.0\r\n\r\n",
      );
      expect([client.status, client.stdout.toString()]).toEqual([0, expect.stringContaining('"group": "x448"')]);
    });

    it("with compressed certificates and short records", async () => {
      const flags = ["--cert-compression", "brotli,zlib", "--record-size-limit", "512"];
      const { client, server } = await once(
        ["--mode", "echo", "--provider", theirs, ...flags],
        ["--provider", ours, ...flags, "--trace"],
        big.subarray(0, 5000),
      );
      expect([client.status, server.status, client.stdout.length]).toEqual([0, 0, 5000]);
      expect(client.stderr).toContain("compressed_certificate");
      expect(client.stderr).toContain("record_size_limit");
    });

    it("reverse", async () => {
      const input = "hello\nrats live\r\n\nlast";
      const { client } = await once(["--mode", "reverse", "--provider", theirs], ["--provider", ours], input);
      expect([client.status, client.stdout.toString()]).toEqual([0, "olleh\nevil star\r\n\ntsal"]);
    });

    it("discard", async () => {
      const { client, server } = await once(["--mode", "discard", "--provider", theirs], ["--provider", ours], big);
      expect([client.status, client.stdout.length, client.stderr, server.stderr]).toEqual([0, 0, "", ""]);
    });

    it("http", async () => {
      const { client, server } = await once(
        [
          "--provider",
          theirs,
          "--alpn",
          "http/1.0,h2",
          "--groups",
          "P-256",
          "--tls13-ciphers",
          "TLS_AES_256_GCM_SHA384",
        ],
        ["--provider", ours, "--alpn", "h2,http/1.0", "--sigalgs", "ecdsa_secp256r1_sha256"],
        "GET /some/path?q HTTP/1.1\r\nHost: localhost\r\n\r\n",
      );
      expect([client.status, client.stderr, server.stderr]).toEqual([0, "", ""]);
      const [head, body] = client.stdout.toString().split("\r\n\r\n") as [string, string];
      expect(head.split("\r\n")).toEqual([
        "HTTP/1.0 200 OK",
        "Content-Type: application/json",
        `Content-Length: ${Buffer.byteLength(body)}`,
        "Connection: close",
      ]);
      expect(JSON.parse(body)).toMatchObject({
        request: { method: "GET", path: "/some/path?q" },
        protocol: "TLSv1.3",
        cipherSuite: "TLS_AES_256_GCM_SHA384",
        group: "secp256r1",
        helloRetryRequest: true,
        serverName: "localhost",
        alpn: "http/1.0",
        clientAuthRequested: true,
        client: {
          verified: true,
          subject: "CN=alice",
          commonName: "alice",
          spiffeId: "spiffe://example.org/alice",
          issuer: "CN=mutls throwaway root",
        },
      });
    });
  });

  it("say with -v what was negotiated, and with whom", async () => {
    const { client, server } = await once(["-v"], ["-v"], "GET / HTTP/1.0\r\n\r\n");
    expect(client.stderr).toMatch(
      /^\* connected to localhost:\d+\n\* TLSv1\.3, TLS_AES_128_GCM_SHA256, X25519MLKEM768\n/,
    );
    expect(client.stderr).toContain("peer: CN=localhost, issued by CN=mutls throwaway root");
    expect(client.stderr).toContain("own certificate: asked for, sent, signed with ecdsa_secp256r1_sha256");
    expect(server.stderr).toMatch(/^mutls: 127\.0\.0\.1:\d+: peer: CN=alice/m);
  });

  it("say loudly what -k gives up", async () => {
    const server = await served(files.pair("server"));
    const client = await mutls(["connect", `localhost:${server.port}`, "-kv"], { input: "GET / HTTP/1.0\n\n" });
    expect(client.status).toBe(0);
    expect(client.stderr).toContain("NOT VERIFIED: anybody could be there");
    expect(client.stderr).toContain("own certificate: not asked for");
    expect(client.stdout.toString()).toContain('"client": null');
    await server.stop();
  });

  it("judge a client's certificate as told", async () => {
    const stranger = () => [...files.pair("stranger"), "--cacert", files.path("ca.pem")];
    const request = { input: "GET / HTTP/1.0\r\n\r\n" };
    const optional = await served([...serverFlags().slice(0, -1), "optional"]);
    const anonymous = ["connect", `localhost:${optional.port}`, "--cacert", files.path("ca.pem")];
    expect((await mutls(anonymous, request)).stdout.toString()).toContain('"client": null');
    const mismatch = await mutls(["connect", `localhost:${optional.port}`, ...stranger()], request);
    expect(mismatch.stderr).toContain(
      "the server accepts certificates from CN=mutls throwaway root; yours come from CN=other root",
    );
    expect(mismatch.stdout.toString()).toContain('"client": null');
    await optional.stop();
    const noCa = await served([...files.pair("server"), "--client-auth", "optional_no_ca"]);
    const unverified = await mutls(["connect", `localhost:${noCa.port}`, ...stranger()], request);
    expect(JSON.parse(unverified.stdout.toString().split("\r\n\r\n")[1] as string)).toMatchObject({
      client: { verified: false, subject: "CN=stranger" },
    });
    await noCa.stop();
  });

  it("say which certificate of one's own has expired, or will be valid", async () => {
    const day = 86_400_000;
    const lapsed = await certificateFiles({
      expired: { subject: "old", client: true, notBefore: Date.now() - 2 * day, notAfter: Date.now() - day },
      early: { subject: "new", client: true, notBefore: Date.now() + day, notAfter: Date.now() + 2 * day },
    });
    const trust = ["--cacert", lapsed.path("ca.pem")];
    const server = await served([...lapsed.pair("server"), ...trust, "--client-auth", "on"]);
    try {
      const connect = (name: string) =>
        mutls(["connect", `localhost:${server.port}`, ...trust, ...lapsed.pair(name)], { input: "" });
      const [expired, early] = [await connect("expired"), await connect("early")];
      expect(expired.stderr).toMatch(/your certificate CN=old expired at 20.*Z: renew it/);
      expect(early.stderr).toMatch(/your certificate CN=new is valid from 20.*Z on only/);
      expect([expired.status, early.status]).toEqual([35, 35]);
    } finally {
      await server.stop();
      lapsed.remove();
    }
  });

  it("choose among certificates by server name", async () => {
    const more = await certificateFiles({
      other: { subject: "other.example", dnsNames: ["other.example"], server: true },
    });
    const server = await served([...more.pair("server"), ...more.pair("other"), "--strict-sni"]);
    const ask = (name: string) =>
      mutls([
        "connect",
        `${name}:${server.port}`,
        "--resolve",
        `${name}:${server.port}:127.0.0.1`,
        "--cacert",
        more.path("ca.pem"),
        "-v",
      ]);
    expect((await ask("other.example")).stderr).toContain("peer: CN=other.example");
    const unknown = await ask("unknown.example");
    expect([unknown.status, unknown.stderr]).toEqual([35, expect.stringContaining("unrecognized_name")]);
    await server.stop();
    expect(server.stderr()).toContain("ERR_TLS_UNRECOGNIZED_NAME");
    more.remove();
  });

  it("write key logs that agree, for their owner only", async () => {
    const [ours, theirs] = [files.path("client.keys"), files.path("server.keys")];
    for (let run = 1; run <= 2; run++) {
      await once(["--keylogfile", theirs], ["--keylogfile", ours], "GET / HTTP/1.0\r\n\r\n");
      const lines = readFileSync(ours, "utf8").trimEnd().split("\n");
      expect(lines.length).toBe(5 * run);
      expect(lines.sort()).toEqual(readFileSync(theirs, "utf8").trimEnd().split("\n").sort());
      for (const line of lines) expect(line).toMatch(/^[A-Z_0-9]+ [0-9a-f]{64} [0-9a-f]{64}$/);
    }
    expect(statSync(ours).mode & 0o777).toBe(0o600);
  });

  it("end when the server does, though stdin stays open", async () => {
    const server = await served(serverFlags());
    const child = start(["connect", `localhost:${server.port}`, ...clientFlags()]);
    const end = finished(child);
    child.stdin?.write("GET / HTTP/1.0\r\n\r\n");
    expect((await end).status).toBe(0);
    await server.stop();
  });

  it("end on SIGINT and SIGTERM", async () => {
    const server = await served([...serverFlags(), "--mode", "echo"]);
    for (const [signal, status] of [
      ["SIGINT", 130],
      ["SIGTERM", 143],
    ] as const) {
      const child = start(["connect", `localhost:${server.port}`, ...clientFlags()]);
      const end = finished(child);
      child.stdin?.write("ready");
      await new Promise((resolve) => child.stdout?.once("data", resolve));
      child.kill(signal);
      expect((await end).status).toBe(status);
    }
    expect((await server.stop()).status).toBe(0);
  });

  it("end quietly when nobody reads stdout any more", async () => {
    const server = await served([...serverFlags(), "--mode", "echo"]);
    const child = start(["connect", `localhost:${server.port}`, ...clientFlags()]);
    const end = finished(child);
    child.stdin?.on("error", () => {});
    child.stdin?.write(big);
    await new Promise((resolve) => child.stdout?.once("data", resolve));
    child.stdout?.destroy();
    const { status, stderr } = await end;
    expect([status, stderr]).toEqual([23, ""]);
    await server.stop();
  });
});
