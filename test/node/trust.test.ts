import { execFile } from "node:child_process";
import tls from "node:tls";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type PlatformSource, platformTrust, trustStore } from "../../src/node/index.ts";
import { mutls } from "../support/cli.ts";
import { PemFiles } from "../support/pem-files.ts";
import { makeAuthority, makeCertificate, type TestCertificate } from "../support/pki.ts";

const files = new PemFiles();
let own: TestCertificate;
let leaf: TestCertificate;

beforeAll(async () => {
  own = await makeAuthority({ subject: "CA of this machine" });
  leaf = await makeCertificate({ issuer: own });
});

afterAll(() => files.remove());

/** Subjects of the anchors, as a process that begins with this environment has them. */
async function subjects(source: PlatformSource | PlatformSource[], env: Readonly<Record<string, string>>) {
  const index = fileURLToPath(new URL("../../dist/node/index.js", import.meta.url));
  const script = `
    import { platformTrust } from ${JSON.stringify(index)};
    const skipped = [];
    const { anchors } = platformTrust(${JSON.stringify(source)}, { skipped: ({ code }) => skipped.push(code) });
    console.log(JSON.stringify({ skipped, subjects: anchors.map(({ subject }) => subject.text) }));`;
  const run = promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], {
    env: { ...process.env, ...env },
  });
  return JSON.parse((await run).stdout) as { skipped: string[]; subjects: string[] };
}

const MINE = "CN=CA of this machine";

describe("platformTrust", () => {
  it("has Node's roots, by itself and by default", () => {
    const bundled = platformTrust("bundled");
    expect(bundled.anchors).toHaveLength(tls.rootCertificates.length);
    expect(platformTrust().anchors.length).toBeGreaterThanOrEqual(bundled.anchors.length);
    expect(platformTrust(["bundled", "bundled"]).anchors).toHaveLength(bundled.anchors.length);
  });

  it("goes together with other sources", () => {
    const store = trustStore([platformTrust("bundled"), own.pem]);
    expect(store.anchors).toHaveLength(tls.rootCertificates.length + 1);
  });

  it("has those of NODE_EXTRA_CA_CERTS", async () => {
    const env = { NODE_EXTRA_CA_CERTS: files.path(own.pem) };
    expect((await subjects("extra", env)).subjects).toEqual([MINE]);
    expect((await subjects("default", env)).subjects).toContain(MINE);
    expect((await subjects("bundled", env)).subjects).not.toContain(MINE);
    expect((await subjects("extra", { NODE_EXTRA_CA_CERTS: "" })).subjects).toEqual([]);
  });

  it("has the system's, where SSL_CERT_FILE says", async () => {
    const env = { SSL_CERT_FILE: files.path(own.pem), SSL_CERT_DIR: "/nowhere" };
    expect((await subjects("system", env)).subjects).toEqual([MINE]);
    expect((await subjects(["bundled", "system"], env)).subjects).toContain(MINE);
  });

  it("leaves out what cannot be read, and says so", async () => {
    const later = Buffer.from(own.der);
    later[4] = 0x31;
    const base64 = later.toString("base64").replace(/.{64}/g, "$&\n");
    const broken = `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`;
    const env = { SSL_CERT_FILE: files.path(broken + own.pem), SSL_CERT_DIR: "/nowhere" };
    const found = await subjects("system", env);
    // A Node that reads the file itself leaves it out before.
    const reads = "getCACertificates" in tls;
    expect(found).toEqual({ subjects: [MINE], skipped: reads ? [] : ["CERT_PARSE_ERROR"] });
  });

  it("knows no other source", () => {
    const source = "keychain" as PlatformSource;
    expect(() => platformTrust(source)).toThrow(
      expect.objectContaining({ code: "ERR_TLS_OPTION", message: expect.stringMatching(/"keychain" is none of/) }),
    );
  });
});

describe("--ca-native", () => {
  const system = () => ({ SSL_CERT_FILE: files.path(own.pem), SSL_CERT_DIR: "/nowhere" });
  const verify = (env: Readonly<Record<string, string>>, ...more: string[]) =>
    mutls(["verify", files.path(leaf.pem), "--ca-native", ...more], { input: "", env });

  it("trusts the system's CAs, alone and beside --cacert", async () => {
    const other = await makeAuthority({ subject: "another CA" });
    expect(await verify(system())).toMatchObject({ status: 0 });
    expect(await verify(system(), "--cacert", files.path(other.pem))).toMatchObject({ status: 0 });
    const elsewhere = { SSL_CERT_FILE: files.path(other.pem), SSL_CERT_DIR: "/nowhere" };
    expect(await verify(elsewhere)).toMatchObject({ status: 60 });
    expect(await verify(elsewhere, "--cacert", files.path(own.pem))).toMatchObject({ status: 0 });
  });

  it.skipIf("getCACertificates" in tls)("says where it could not read", async () => {
    const run = await verify({ SSL_CERT_FILE: "/nowhere/ca.pem" });
    expect(run.status).toBe(77);
    expect(run.stderr).toMatch(/--ca-native: .*\/nowhere\/ca.pem/);
  });
});
