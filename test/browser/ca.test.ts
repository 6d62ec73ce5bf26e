import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type CertificateAuthority, createAuthority, privateKeyPem } from "../../src/node/ca/index.ts";
import { generateKeyPair } from "../../src/pki/keys.ts";
import { bundle } from "../runtimes/bundle.ts";
import { mutls } from "../support/cli.ts";
import { missing } from "../support/needs.ts";
import { executablePath, type Served, servePage } from "./page.ts";

/** What ca-main.ts puts on the page's global object. */
interface Page {
  request(kind: string, subject: string): Promise<{ csr: string; readable: boolean }>;
  present(cert: string, server: { cert: string; key: string }, trust: string): Promise<object>;
}

describe.skipIf(missing("MUTLS_CHROMIUM, Chromium", existsSync(executablePath)))("a page in Chromium", () => {
  let served: Served;
  let folder: string;
  let authority: CertificateAuthority;
  let server: { cert: string; key: string };

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "mutls-browser-ca-"));
    authority = await createAuthority(folder);
    const { spki, pkcs8 } = await generateKeyPair("P-256");
    const { pem } = await authority.issue({ profile: "server", spki, dnsNames: ["localhost"] });
    server = { cert: pem + authority.chainPem, key: await privateKeyPem(pkcs8) };
    served = await servePage(await bundle("test/browser/ca-main.ts", "browser"));
  });

  afterAll(async () => {
    await served?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it.each(["P-256", "Ed25519"])("is certified for a key of %s that nobody can read, and shows it", async (kind) => {
    const page = await served.browser.newPage();
    await page.goto(served.address);
    await page.waitForFunction("'present' in globalThis");
    const { csr, readable } = await page.evaluate(
      (algorithm) => (globalThis as unknown as Page).request(algorithm, "alice"),
      kind,
    );
    expect(readable).toBe(false);
    const file = join(folder, `${kind}.csr`);
    writeFileSync(file, csr);
    const signed = await mutls(["ca", "sign", file, "--dir", folder, "--profile", "client"]);
    expect(signed.stderr).toBe("");
    const cert = readFileSync(join(folder, `${kind}.pem`), "utf8");
    const seen = await page.evaluate(
      ([chain, own, trust]) => (globalThis as unknown as Page).present(chain, own, trust),
      [cert, server, authority.rootPem] as const,
    );
    expect(seen).toEqual({ verified: true, subject: "CN=alice", emails: ["alice@example.com"] });
    await page.close();
  });
});
