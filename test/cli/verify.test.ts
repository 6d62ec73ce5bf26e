/** `mutls verify`: verdicts, explanations and statuses. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { CliError } from "../../src/cli/exit.ts";
import { type Arguments, parseArguments } from "../../src/cli/flags.ts";
import { verifyCommand } from "../../src/cli/verify.ts";
import { TlsError } from "../../src/errors.ts";
import { KeyPurpose } from "../../src/x509/certificate.ts";
import { mutls } from "../support/cli.ts";
import { PemFiles } from "../support/pem-files.ts";
import { makeAuthority, makeCertificate, type TestCertificate } from "../support/pki.ts";

const files = new PemFiles();
let root: TestCertificate;
let intermediate: TestCertificate;
let leaf: TestCertificate;

beforeAll(async () => {
  root = await makeAuthority({ subject: "verify root" });
  intermediate = await makeAuthority({ subject: "verify intermediate", issuer: root });
  leaf = await makeCertificate({ subject: "verify leaf", issuer: intermediate });
});
afterAll(() => files.remove());

let written = "";
beforeEach(() => {
  written = "";
  vi.spyOn(process.stdout, "write").mockImplementation((chunk) => {
    written += chunk;
    return true;
  });
});
afterEach(() => vi.restoreAllMocks());

async function verify(chain: readonly TestCertificate[], ...flags: string[]) {
  const argv = [files.path(chain.map(({ pem }) => pem).join("")), "--cacert", files.path(root.pem), ...flags];
  const status = await verifyCommand.run(parseArguments(verifyCommand, argv) as Arguments);
  return { status, text: written };
}

async function refused(...argv: string[]): Promise<string> {
  try {
    await verifyCommand.run(parseArguments(verifyCommand, argv) as Arguments);
  } catch (error) {
    if (error instanceof CliError) return `${error.status} ${error.message}`;
    if (error instanceof TlsError) return `${error.code} ${error.message}`;
    throw error;
  }
  throw new Error("it was not refused");
}

describe("mutls verify", () => {
  it("tells the path that verified", async () => {
    const { status, text } = await verify([leaf, intermediate], "--hostname", "localhost");
    expect(status).toBe(0);
    expect(text).toMatch(/^verified: CN=verify leaf\npath: CN=verify leaf ← CN=verify intermediate ← CN=verify root\n/);
  });

  it("tells of every path tried, why it failed and what would mend it", async () => {
    const { status, text } = await verify([leaf], "--at", "2020-01-01");
    expect(status).toBe(60);
    expect(text).toMatch(/^rejected: .*\(CERT_NOT_YET_VALID\)\n/);
    expect(text).toMatch(/\n {2}tried CN=verify leaf: valid from .* after 2020-01-01T00:00:00Z .*\n {2}remedy: check/);
  });

  it("answers in JSON", async () => {
    const { text: good } = await verify([leaf, intermediate], "--json");
    expect(JSON.parse(good)).toMatchObject({
      verdict: "verified",
      subject: "CN=verify leaf",
      issuerChain: ["CN=verify intermediate", "CN=verify root"],
    });
    written = "";
    const { status, text: bad } = await verify([leaf], "--json");
    expect(status).toBe(60);
    expect(JSON.parse(bad)).toMatchObject({
      verdict: "rejected",
      code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      alert: "unknown_ca",
      paths: [{ path: ["CN=verify leaf"], certificate: "CN=verify leaf" }],
      remedy: expect.stringContaining("intermediate"),
    });
  });

  it("checks the name, the purpose and the profile asked for", async () => {
    expect(await verify([leaf, intermediate], "--hostname", "elsewhere.test")).toMatchObject({
      status: 60,
      text: expect.stringContaining("wanted DNS:elsewhere.test, offered DNS:localhost"),
    });
    const client = await makeCertificate({ issuer: root, purposes: [KeyPurpose.clientAuth] });
    expect(await verify([client])).toMatchObject({ status: 60 });
    expect(await verify([client], "--purpose", "client")).toMatchObject({ status: 0 });
    expect(await verify([client], "--purpose", "any")).toMatchObject({ status: 0 });
    expect(await verify([leaf, intermediate], "--profile", "rfc5280")).toMatchObject({ status: 0 });
    expect(await verify([leaf, intermediate], "--profile", "webpki")).toMatchObject({
      status: 60,
      text: expect.stringContaining("CERT_PROFILE_VIOLATION"),
    });
  });

  it("takes times with and without a clock and a zone", async () => {
    const now = new Date().toISOString();
    for (const at of [now.slice(0, 10), now.slice(0, 16), `${now.slice(0, 19)}Z`, `${now.slice(0, 10)} 12:00+00:00`]) {
      expect(await verify([leaf, intermediate], "--at", at)).toMatchObject({ status: 0 });
    }
  });

  it("says what it cannot read", async () => {
    const ca = ["--cacert", files.path(root.pem)];
    expect(await refused(files.path(leaf.pem), ...ca, "--at", "tomorrow")).toMatch(/^2 --at: "tomorrow"/);
    expect(await refused(files.path(leaf.pem), ...ca, "--at", "2026-13-01")).toMatch(/^2 --at/);
    expect(await refused("/nowhere/chain.pem", ...ca)).toMatch(/^26 cannot read the chain/);
    expect(await refused(files.path("nothing here"), ...ca)).toMatch(/^26 .* holds no certificate/);
    expect(await refused(files.path(leaf.pem), "--cacert", files.path("no CA"))).toMatch(/^77 /);
    expect(await refused(files.path(leaf.pem), ...ca, "--hostname", "not a name")).toMatch(/^ERR_TLS_OPTION/);
  });

  it("rejects what is no certificate", async () => {
    const broken = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    const argv = [files.path(broken), "--cacert", files.path(root.pem)];
    expect(await verifyCommand.run(parseArguments(verifyCommand, argv) as Arguments)).toBe(60);
    expect(written).toMatch(/^rejected: .*CERT_PARSE_ERROR/);
  });
});

describe("mutls verify as a process", () => {
  it("exits with 60 for a chain that is rejected", async () => {
    const run = await mutls(["verify", files.path(leaf.pem), "--cacert", files.path(root.pem), "--json"]);
    expect(run.status).toBe(60);
    expect(JSON.parse(run.stdout.toString())).toMatchObject({ verdict: "rejected" });
  });
});
