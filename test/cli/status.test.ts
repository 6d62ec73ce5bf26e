import { readFileSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readPem } from "../../src/bytes/pem.ts";
import { connectCommand } from "../../src/cli/connect.ts";
import { type CliError, exitStatus } from "../../src/cli/exit.ts";
import { type Arguments, type Command, parseArguments } from "../../src/cli/flags.ts";
import { serveCommand } from "../../src/cli/serve.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { parseCertificate } from "../../src/x509/parse.ts";
import { pinOf } from "../../src/x509/pins.ts";
import { certificateFiles, type Files, mutls, type Served, served } from "../support/cli.ts";

const DAY = 86_400_000;
const KEY = "00112233445566778899aabbccddeeff";
let files: Files;
let strict: Served;
let expired: Served;

beforeAll(async () => {
  const now = Date.now();
  files = await certificateFiles({
    expired: { subject: "old", dnsNames: ["localhost"], server: true, notBefore: now - 9 * DAY, notAfter: now - DAY },
    wrong: { subject: "not a server", dnsNames: ["localhost"], client: true },
  });
  strict = await served([...files.pair("server"), "--cacert", files.path("ca.pem"), "--client-auth", "on"]);
  expired = await served(files.pair("expired"));
});
afterAll(async () => {
  await strict.stop();
  await expired.stop();
  files.remove();
});

const ca = () => ["--cacert", files.path("ca.pem")];

/** A TCP server that does as told with each connection. */
async function tcp(onConnection: (socket: Socket) => void) {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { port: (server.address() as AddressInfo).port, close: () => server.close() };
}

/** What a command line is refused with before anything happens. */
async function refused(command: Command, argv: readonly string[]): Promise<{ status: number; text: string }> {
  try {
    await command.run(parseArguments(command, argv) as Arguments);
  } catch (error) {
    const { message, hint } = error as CliError;
    return { status: exitStatus(error, false), text: `${message} | ${hint}` };
  }
  throw new Error("not refused");
}

async function connect(...args: readonly string[]) {
  const { status, stderr } = await mutls(["connect", ...args], { input: "GET / HTTP/1.0\r\n\r\n" });
  return { status, stderr };
}

describe("exit statuses", () => {
  it("0: done", async () => {
    expect(await connect(`localhost:${strict.port}`, ...ca(), ...files.pair("client"))).toEqual({
      status: 0,
      stderr: "",
    });
    // Certificate and key may be in one file.
    const both = files.write(
      "both.pem",
      readFileSync(files.path("client.pem"), "utf8") + readFileSync(files.path("client.key"), "utf8"),
    );
    expect(await connect(`localhost:${strict.port}`, ...ca(), "--cert", both)).toEqual({ status: 0, stderr: "" });
  });

  it.each([
    [["connect", "localhost"], "did you mean localhost:443?"],
    [["connect"], "mutls connect needs HOST:PORT"],
    [["connect", "localhost:99999"], "a port is a number from 1 to 65535"],
    [["connect", "localhost:1", "--groups", "x25518"], "did you mean x25519?"],
    [["connect", "localhost:1", "--groups", "ffdhe8192"], "ffdhe8192 is not supported"],
    [["connect", "localhost:1", "--groups", "ffdhe2048", "--provider", "noble"], "ffdhe2048 is not supported"],
    [["connect", "localhost:1", "--groups", "secp521r1,"], "is empty"],
    [
      ["connect", "localhost:1", "--provider", "noble", "--tls13-ciphers", "TLS_AES_128_CCM_SHA256"],
      "TLS_AES_128_CCM_SHA256 is not supported",
    ],
    [["connect", "localhost:1", "--sigalgs", "rsa_pkcs1_sha256"], "rsa_pkcs1_sha256 is not supported"],
    [["connect", "localhost:1", "--provider", "openssl"], "is not node, noble or webcrypto"],
    [["connect", "localhost:1", "--trace", "--json"], "choose one"],
    [["connect", "localhost:1", "--connect-timeout", "0"], "is not a whole number from 1"],
    [["connect", "localhost:1", "--resolve", "nonsense"], "is not HOST:PORT:ADDRESS"],
    [["connect", "localhost:1", "--key", "x"], "a --key without its --cert"],
    [["connect", "localhost:1", "--servername", "not a name"], "not a name"],
    [["connect", "localhost:1", "--early-data", "x"], "--early-data needs --sess-in"],
    [
      ["connect", "localhost:1", "--psk-modes", "ke"],
      "--psk-modes has no effect without --psk, --sess-in or --sess-out",
    ],
    [["connect", "localhost:1", "--sess-out", "x", "--psk-modes", "dhe,psk"], "psk is not dhe or ke"],
    [["connect", "localhost:1", "--psk-modes", "__proto__"], "__proto__ is not dhe or ke"],
    [["connect", "localhost:1", "--psk", "nameless"], "not NAME:KEY or NAME:KEY:sha384"],
    [["connect", "localhost:1", "--psk", `:${KEY}`], "not NAME:KEY or NAME:KEY:sha384"],
    [["connect", "localhost:1", "--psk", `a:${KEY}0`], "not NAME:KEY or NAME:KEY:sha384"],
    [["connect", "localhost:1", "--psk", `a:${KEY}:sha512`], "not NAME:KEY or NAME:KEY:sha384"],
    [["connect", "localhost:1", "--psk", "a:0011"], "the key of a has 2 bytes"],
    [["connect", "localhost:1", "--psk", `a:${KEY}`, "--psk", `a:${KEY}:sha384`], "a is given twice"],
    [["serve"], "mutls serve needs --cert and --key, or --psk"],
    [["serve", "--psk", `a:${KEY}`, "--client-auth", "optional_no_ca"], "--client-auth needs --cert"],
    [["serve", "--psk", `a:${KEY}`, "--tickets", "17"], "is not a whole number from 0 to 16"],
    [["serve", "--psk", `a:${KEY}`, "--early-data", "0"], "is not a whole number from 1"],
    [["serve", "--psk", `a:${KEY}`, "--early-data", "9", "--tickets", "0"], "--early-data needs tickets"],
    [["serve", "--psk", `a:${KEY}`, "--early-data", "9", "--cookie"], "a HelloRetryRequest rejects all early data"],
    [["serve", "--cert", "x", "--key", "y", "--psk-modes", "ke", "--tickets", "0"], "--psk-modes has no effect"],
    [["serve", "--cert", "x", "--key", "y", "--client-auth", "on"], "needs --cacert"],
    [["serve", "--cert", "x", "--key", "y", "--client-auth", "maybe"], "is not off, optional, optional_no_ca or on"],
    [["serve", "--cert", "x", "--key", "y", "--mode", "tunnel"], "is not http, echo, reverse or discard"],
    [["serve", "--cert", "x", "--key", "y", "--port", "65536"], "is not a whole number from 0 to 65535"],
  ])("2: %j", async ([name, ...argv], reason) => {
    const refusal = await refused(name === "serve" ? serveCommand : connectCommand, argv as string[]);
    expect([refusal.status, refusal.text]).toEqual([2, expect.stringContaining(reason)]);
  });

  it.each([
    [["conect"], "did you mean connect?"],
    [["inspect", "--x"], "mutls inspect has no flag --x"],
    [["connect", "localhost:1", "--nosuch"], "mutls connect has no flag --nosuch"],
    [["serve", "--psk", "a:00"], "the key of a has 1 bytes, and 16 is the least (RFC 9257 4.2)"],
  ] as const)("2, as a process: %j", async (args, reason) => {
    const { status, stdout, stderr } = await mutls(args);
    expect([status, stdout.toString()]).toEqual([2, ""]);
    expect(stderr).toContain(reason);
    expect(stderr.split("\n").length).toBeLessThanOrEqual(3);
  });

  it("6: a name that does not exist", async () => {
    const { status, stderr } = await connect("host.invalid:443");
    expect(status).toBe(6);
    expect(stderr).toContain("cannot connect to host.invalid:443");
  });

  it("7: nobody listens, or somebody else does", async () => {
    const gone = await tcp(() => {});
    gone.close();
    const refused = await connect(`127.0.0.1:${gone.port}`, ...ca());
    expect([refused.status, refused.stderr]).toEqual([7, expect.stringContaining("ECONNREFUSED")]);
    const busy = await mutls(["serve", "--port", String(strict.port), ...files.pair("server")]);
    expect([busy.status, busy.stderr]).toEqual([7, expect.stringMatching(/EADDRINUSE.*\n {2}give another --port/)]);
  });

  it("28: a server that says nothing", async () => {
    const silent = await tcp(() => {});
    const { status, stderr } = await connect(`localhost:${silent.port}`, ...ca(), "--connect-timeout", "1");
    expect([status, stderr]).toEqual([28, expect.stringContaining("ERR_TLS_HANDSHAKE_TIMEOUT")]);
    silent.close();
  });

  it("35: no handshake", async () => {
    const noSuite = await served([...files.pair("server"), "--tls13-ciphers", "TLS_CHACHA20_POLY1305_SHA256"]);
    const refused = await connect(`localhost:${noSuite.port}`, ...ca(), "--tls13-ciphers", "TLS_AES_128_GCM_SHA256");
    expect([refused.status, refused.stderr]).toEqual([35, expect.stringContaining("alert handshake_failure received")]);
    await noSuite.stop();
    const plain = await tcp((socket) => socket.end("220 ready\r\n"));
    const notTls = await connect(`localhost:${plain.port}`, ...ca());
    expect([notTls.status, notTls.stderr]).toEqual([
      35,
      expect.stringContaining("there seems to be no TLS on this port"),
    ]);
    plain.close();
    const rude = await tcp((socket) => socket.destroy());
    expect((await connect(`localhost:${rude.port}`, ...ca())).status).toBe(35);
    rude.close();
  });

  it("58: own certificate and key", async () => {
    const to = [`localhost:${strict.port}`, ...ca()];
    const status = async (...args: string[]) => {
      const result = await connect(...to, ...args);
      expect(result.status).toBe(58);
      return result.stderr;
    };
    expect(await status("--cert", files.path("absent.pem"), "--key", files.path("client.key"))).toContain("ENOENT");
    expect(await status("--cert", files.path("client.pem"))).toContain("give the file with the private key as --key");
    expect(await status("--cert", files.path("client.pem"), "--key", files.path("server.key"))).toContain(
      "does not belong to the certificate",
    );
    expect(await status("--cert", files.path("client.key"), "--key", files.path("client.key"))).toContain(
      "no certificate",
    );
    const garbage = files.write("garbage", "nothing");
    expect(await status("--cert", garbage, "--key", garbage)).toContain("garbage holds no certificate");
    const garbled = files.write(
      "garbled.key",
      "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAQID\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    const key = ["--cert", files.path("client.pem"), "--key", garbled];
    expect(await status(...key)).toContain("give its pass phrase with --pass");
    expect(await status(...key, "--pass", "x")).toContain("garbled.key: a PEM or DER input cannot be read");
    const serve = await mutls(["serve", "--cert", files.path("server.pem"), "--key", files.path("client.key")]);
    expect([serve.status, serve.stderr]).toEqual([58, expect.stringContaining("does not belong")]);
  });

  it("60: the server's certificate", async () => {
    const at = `localhost:${strict.port}`;
    const unknown = await connect(at, "--cacert", files.path("other-ca.pem"));
    expect(unknown.status).toBe(60);
    expect(unknown.stderr).toContain("tried CN=localhost: ");
    expect(unknown.stderr).toContain("remedy: ");
    expect(unknown.stderr).toContain(`who issued it is not in ${files.path("other-ca.pem")}: is that the right CA?`);
    // Without --cacert the public roots decide.
    const bundled = await connect(at);
    expect([bundled.status, bundled.stderr]).toEqual([60, expect.stringContaining("name the CA with --cacert")]);
    const name = await connect(at, ...ca(), "--servername", "other.example");
    expect([name.status, name.stderr]).toEqual([
      60,
      expect.stringContaining("wanted DNS:other.example, offered DNS:localhost"),
    ]);
    const old = await connect(`localhost:${expired.port}`, ...ca());
    expect([old.status, old.stderr]).toEqual([60, expect.stringContaining("CERT_HAS_EXPIRED")]);
  });

  it("90: the pinned key, by a CA or not", async () => {
    const to = `localhost:${strict.port}`;
    const own = [...ca(), ...files.pair("client")];
    const der = readPem(readFileSync(files.path("server.pem"), "utf8"))[0]?.der as Uint8Array;
    const pin = pinOf(parseCertificate(der), nobleProvider);
    const other = `sha256//${"A".repeat(43)}=`;
    expect((await connect(to, ...own, "--pinnedpubkey", `${other};${pin}`)).status).toBe(0);
    expect((await connect(to, "-k", ...files.pair("client"), "--pinnedpubkey", pin)).status).toBe(0);
    const { status, stderr } = await connect(to, ...own, "--pinnedpubkey", other);
    expect([status, stderr]).toEqual([90, expect.stringContaining(pin)]);
    expect((await connect(to, "-k", ...files.pair("client"), "--pinnedpubkey", other)).status).toBe(90);
    expect((await connect(to, ...own, "--pinnedpubkey", "sha256//short")).status).toBe(2);
    expect((await connect(`localhost:${expired.port}`, ...own, "--pinnedpubkey", other)).status).toBe(60);
  });

  it("77: the CA file", async () => {
    for (const [file, problem] of [
      [files.path("absent.pem"), "cannot read the CA file"],
      [files.path("server.key"), "server.key holds no certificate: it is PEM of PRIVATE KEY"],
      [files.write("empty", ""), "empty holds no certificate: it is neither PEM nor DER"],
    ] as const) {
      const { status, stderr } = await connect(`localhost:${strict.port}`, "--cacert", file);
      expect([status, stderr]).toEqual([77, expect.stringContaining(problem)]);
    }
    const serve = await mutls([
      "serve",
      ...files.pair("server"),
      "--cacert",
      files.path("absent.pem"),
      "--client-auth",
      "on",
    ]);
    expect(serve.status).toBe(77);
  });

  it("98: the server wants a certificate", async () => {
    const none = await connect(`localhost:${strict.port}`, ...ca());
    expect([none.status, none.stderr]).toEqual([98, expect.stringContaining("give --cert and --key")]);
    const other = await connect(`localhost:${strict.port}`, ...ca(), ...files.pair("stranger"));
    expect([other.status, other.stderr]).toEqual([98, expect.stringContaining("yours come from CN=other root")]);
  });

  it("are explained in the help, which is no error", async () => {
    for (const args of [["--help"], ["connect", "--help"], ["serve", "-h"], ["help", "serve"], ["--version"]]) {
      const { status, stdout, stderr } = await mutls(args);
      expect([status, stderr]).toEqual([0, ""]);
      expect(stdout.toString()).toMatch(/^(usage: )?mutls /);
    }
    const bare = await mutls([]);
    expect([bare.status, bare.stdout.toString()]).toEqual([2, ""]);
    expect(bare.stderr).toContain("commands:");
    const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
      version: string;
    };
    expect((await mutls(["--version"])).stdout.toString()).toBe(`mutls ${version}\n`);
  });
});
