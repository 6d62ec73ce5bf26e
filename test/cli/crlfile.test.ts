/** `--crlfile`, on all commands that judge certificates. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { writePem } from "../../src/bytes/pem.ts";
import { connectCommand } from "../../src/cli/connect.ts";
import { CliError } from "../../src/cli/exit.ts";
import { type Arguments, type Command, parseArguments } from "../../src/cli/flags.ts";
import { serveCommand } from "../../src/cli/serve.ts";
import { verifyCommand } from "../../src/cli/verify.ts";
import { mutls, served } from "../support/cli.ts";
import { PemFiles } from "../support/pem-files.ts";
import { makeAuthority, makeCertificate, type TestCertificate } from "../support/pki.ts";
import { makeCrl, makeOcspResponse, serialOf } from "../support/status.ts";

const files = new PemFiles();
let root: TestCertificate;
let leaf: TestCertificate;
let [clean, revoking] = ["", ""];

beforeAll(async () => {
  root = await makeAuthority({ subject: "CRL root" });
  leaf = await makeCertificate({ subject: "CRL leaf", issuer: root });
  const pem = async (options: object = {}) => writePem("X509 CRL", await makeCrl({ issuer: root, ...options }));
  clean = files.path(await pem());
  revoking = files.path(await pem({ entries: [{ serial: serialOf(leaf), reason: 4 }] }));
});
afterAll(() => files.remove());

const pair = () => ["--cert", files.path(leaf.pem), "--key", files.path(leaf.privateKeyPem)];
const trusting = () => ["--cacert", files.path(root.pem)];

describe("mutls verify --crlfile", () => {
  let written = "";
  beforeEach(() => {
    written = "";
    vi.spyOn(process.stdout, "write").mockImplementation((chunk) => {
      written += chunk;
      return true;
    });
  });
  afterEach(() => vi.restoreAllMocks());

  it("holds the chain against CRLs", async () => {
    const verify = (...crls: string[]) => {
      const flags = crls.flatMap((file) => ["--crlfile", file]);
      const argv = [files.path(leaf.pem), ...trusting(), ...flags];
      return verifyCommand.run(parseArguments(verifyCommand, argv) as Arguments);
    };
    expect(await verify(clean)).toBe(0);
    expect(await verify(revoking)).toBe(60);
    expect(written).toMatch(/rejected: .*CERT_REVOKED[\s\S]*was revoked at .* for superseded[\s\S]*remedy: have a new/);
    const other = writePem("X509 CRL", await makeCrl({ issuer: await makeAuthority({ subject: "other" }) }));
    expect(await verify(files.path(other))).toBe(60);
    expect(await verify(files.path(other), clean)).toBe(0);
  });
});

describe("mutls connect --cert-status", () => {
  it("wants a staple that clears the server", async () => {
    const staple = async (options: object = {}) =>
      files.path(await makeOcspResponse({ certificate: leaf, issuer: root, ...options }));
    const statusFor = async (...flags: string[]) => {
      const server = await served([...pair(), ...flags]);
      try {
        return await mutls(["connect", `localhost:${server.port}`, ...trusting(), "--cert-status"], {
          input: "GET / HTTP/1.0\r\n\r\n",
        });
      } finally {
        await server.stop();
      }
    };
    expect((await statusFor("--ocsp", await staple())).status).toBe(0);
    expect(await statusFor()).toMatchObject({ status: 91, stderr: expect.stringContaining("OCSP_VERIFY_NEEDED") });
    expect((await statusFor("--ocsp", await staple({ status: "unknown" }))).status).toBe(91);
    const revoked = await statusFor("--ocsp", await staple({ status: "revoked" }));
    expect(revoked).toMatchObject({ status: 60, stderr: expect.stringContaining("CERT_REVOKED") });
  }, 30_000);
});

describe("mutls connect and serve --crlfile", () => {
  it("refuse a peer that is revoked, and accept one that is not", async () => {
    const careful = await served([...pair(), ...trusting(), "--client-auth", "on", "--crlfile", clean]);
    const strict = await served([...pair(), ...trusting(), "--client-auth", "on", "--crlfile", revoking]);
    try {
      const connect = (port: number, file: string) =>
        mutls(["connect", `localhost:${port}`, ...pair(), ...trusting(), "--crlfile", file], {
          input: "GET / HTTP/1.0\r\n\r\n",
        });
      expect((await connect(careful.port, clean)).status).toBe(0);
      const refused = await connect(careful.port, revoking);
      expect([refused.status, refused.stderr]).toEqual([60, expect.stringContaining("CERT_REVOKED")]);
      const revoked = await connect(strict.port, clean);
      expect(revoked.status).not.toBe(0);
      expect(revoked.stderr).toContain("CERTIFICATE_REVOKED");
    } finally {
      await Promise.all([careful.stop(), strict.stop()]);
    }
  }, 30_000);

  it.each([
    ["connect", connectCommand],
    ["serve", serveCommand],
  ] as const)("%s: 82 for a file that holds no CRL or is not there", async (_, command: Command) => {
    for (const file of [files.path("no CRL"), files.path(leaf.pem), "/nowhere/crl.pem"]) {
      const argv = [
        ...(command === connectCommand ? ["localhost:1"] : []),
        ...pair(),
        ...trusting(),
        "--crlfile",
        file,
      ];
      const run = command.run(parseArguments(command, argv) as Arguments);
      await expect(run).rejects.toSatisfy((error) => error instanceof CliError && error.status === 82);
    }
  });

  it("serve: 2 without CAs", async () => {
    const argv = [...pair(), "--crlfile", clean];
    await expect(serveCommand.run(parseArguments(serveCommand, argv) as Arguments)).rejects.toThrow("needs --cacert");
  });
});
