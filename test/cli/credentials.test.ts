/** --cert, --key, --pass and --cert-type: PKCS#12 and encrypted keys, and what is said where they do not fit. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readPem } from "../../src/bytes/pem.ts";
import { CliError } from "../../src/cli/exit.ts";
import { loadIdentities } from "../../src/cli/files.ts";
import { type Arguments, parseArguments } from "../../src/cli/flags.ts";
import { serveCommand } from "../../src/cli/serve.ts";
import { nodeProvider } from "../../src/crypto/node.ts";
import { encryptPrivateKey } from "../../src/pki/pkcs8.ts";
import { writePkcs12 } from "../../src/pki/pkcs12.ts";
import { pfx, safesOf } from "../pki/files.ts";
import { certificateFiles, type Files, mutls, type Served, served } from "../support/cli.ts";

let files: Files;
const FEW = { iterations: 1000 };

beforeAll(async () => {
  files = await certificateFiles({ other: { subject: "other", client: true } });
  const pem = (name: string) => readFileSync(files.path(name), "utf8");
  const identity = (name: string) => ({ cert: pem(`${name}.pem`), key: pem(`${name}.key`) });
  const root = { cert: readPem(pem("ca.pem"))[0]?.der as Uint8Array };
  const pack = async (name: string, passphrase: string, ...names: string[]) =>
    files.write(name, await writePkcs12({ identities: names.map(identity), certificates: [root] }, passphrase, FEW));
  await pack("client.p12", "client's", "client");
  await pack("server.p12", "server's", "server");
  await pack("two.p12", "both", "client", "other");
  files.write("stripped.p12", pfx(safesOf(new Uint8Array(readFileSync(files.path("client.p12"))))));
  files.write("trust.p12", await writePkcs12({ trusted: [root] }, "x", FEW));
  for (const name of ["client", "server"]) {
    files.write(`${name}.locked.key`, await encryptPrivateKey(pem(`${name}.key`), `${name}'s`, FEW));
  }
  files.write("request.pem", "-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n");
  files.write("text.pem", "name: mutls\n");
  files.write("open.pem", "-----BEGIN CERTIFICATE-----\nMAA=\n");
  files.write("client.der", readPem(pem("client.pem"))[0]?.der as Uint8Array);
});
afterAll(() => files.remove());

/** `--flag`, or the path of a file where there is one by that name. */
const argv = (text: string) =>
  text.split(" ").map((word) => (/\.(p12|pem|key|der)$/.test(word) ? files.path(word) : word));

async function load(text: string): Promise<readonly string[]> {
  const args = parseArguments(serveCommand, argv(text)) as Arguments;
  return (await loadIdentities(args, nodeProvider)).map(({ parsed }) => parsed[0]?.subject.text ?? "");
}

describe("credentials are taken from", () => {
  it.each([
    ["--cert client.p12 --pass client's", ["CN=alice"]],
    ["--cert client.p12 --cert-type P12 --pass client's", ["CN=alice"]],
    ["--cert two.p12 --pass both", ["CN=alice", "CN=other"]],
    ["--cert client.pem --key client.locked.key --pass client's", ["CN=alice"]],
    ["--cert client.pem --key client.key --cert-type PEM --pass unneeded", ["CN=alice"]],
    ["--cert client.der --key client.key --cert-type DER", ["CN=alice"]],
    ["--cert client.p12 --pass client's --cert other.pem --pass none --key other.key", ["CN=alice", "CN=other"]],
    ["--cert other.pem --key other.key --cert server.p12 --pass server's", ["CN=other", "CN=localhost"]],
    [
      "--cert server.pem --key server.locked.key --cert client.p12 --pass server's --pass client's",
      ["CN=localhost", "CN=alice"],
    ],
  ])("%s", async (text, subjects) => {
    expect(await load(text)).toEqual(subjects);
  });
});

describe("credentials are refused", () => {
  it.each([
    ["--cert client.p12", 58, "client.p12: a pass phrase is wrong, or one is missing: mac verify failure", "--pass"],
    [
      "--cert stripped.p12 --pass client's",
      58,
      "stripped.p12: a PKCS#12 file or an encrypted key cannot be used: mac absent",
      undefined,
    ],
    ["--cert client.p12 --pass wrong", 58, "mac verify failure", "--pass says does not open it"],
    [
      "--cert client.pem --key client.locked.key",
      58,
      "client.locked.key: a pass phrase",
      "give its pass phrase with --pass",
    ],
    ["--cert client.pem --key client.locked.key --pass x", 58, "client.locked.key: a pass phrase", "does not open it"],
    [
      "--cert client.key --key client.pem",
      58,
      "client.key holds no certificate: it is PEM of PRIVATE KEY",
      "--key the",
    ],
    ["--cert client.pem --key ca.pem", 58, "ca.pem: a private key or public key cannot be used", "--key the private"],
    ["--cert client.pem", 58, "no private key in the input: it is PEM of CERTIFICATE", "the private key as --key"],
    [
      "--cert request.pem --key client.key",
      58,
      "request.pem holds no certificate: it is PEM of CERTIFICATE REQUEST",
      "--cert",
    ],
    [
      "--cert text.pem --key client.key",
      58,
      "text.pem holds no certificate: it is neither PEM nor DER",
      "--cert wants",
    ],
    ["--cert open.pem --key client.key", 58, "open.pem: a PEM or DER input cannot be read: the block", undefined],
    [
      "--cert client.pem --key server.locked.key --pass server's",
      58,
      "does not belong to the certificate",
      "requested",
    ],
    ["--cert trust.p12 --pass x", 58, "trust.p12: no private key with its certificate", undefined],
    ["--cert client.p12 --pass client's --cert-type PEM", 58, "client.p12: is P12, not PEM", "leave --cert-type out"],
    ["--cert client.pem --key client.key --cert-type P12", 58, "client.pem: is PEM, not P12", "leave --cert-type out"],
    ["--cert client.der --key client.key --cert-type PEM", 58, "client.der: is DER, not PEM", "leave --cert-type out"],
    ["--cert client.p12 --key client.key --pass client's", 2, "a --key beside PKCS#12, which has its own", undefined],
    ["--cert client.p12 --pass a --pass b", 2, "--pass is given once for all, or once for each --cert", undefined],
    ["--pass a", 2, "--pass without --cert", undefined],
    ["--cert-type P12", 2, "--cert-type without --cert", undefined],
    ["--cert two.p12 --pass both --ocsp client.der", 2, "in which there are 2 certificates with keys", undefined],
  ])("%s", async (text, status, message, hint) => {
    const error = (await load(text).catch((thrown: unknown) => thrown)) as CliError;
    expect(error).toBeInstanceOf(CliError);
    expect([error.status, error.message]).toEqual([status, expect.stringContaining(message)]);
    if (hint === undefined) expect(error.hint).toBeUndefined();
    else expect(error.hint).toContain(hint);
  });
});

describe("with PKCS#12 at both ends", () => {
  let server: Served;
  beforeAll(async () => {
    const own = ["--cert", files.path("server.p12"), "--pass", "server's"];
    server = await served([...own, "--cacert", files.path("ca.pem"), "--client-auth", "on"]);
  });
  afterAll(async () => void (await server.stop()));

  it("client and server know each other", async () => {
    const own = ["--cert", files.path("client.p12"), "--cert-type", "P12", "--pass", "client's"];
    const to = ["connect", `localhost:${server.port}`, "--cacert", files.path("ca.pem")];
    const { status, stdout, stderr } = await mutls([...to, ...own], { input: "GET / HTTP/1.0\r\n\r\n" });
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout.toString()).toContain("CN=alice");
    const refused = await mutls([...to, "--cert", files.path("client.p12"), "--pass", "x"]);
    expect([refused.status, refused.stderr]).toEqual([58, expect.stringContaining("does not open it")]);
  });
});
