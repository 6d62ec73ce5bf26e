import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { missing } from "../support/needs.ts";
import { freePort, runLines, shellBlocks } from "../support/readme.ts";

/** README's second quick start, line by line as it stands there. */

const [lines = []] = shellBlocks("A private CA");

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "mutls-readme-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("README's second quick start", () => {
  it("is there", () => {
    expect(lines.length).toBeGreaterThan(10);
  });

  const hasBash = spawnSync("bash", ["-c", ""]).status === 0;
  it.skipIf(missing("bash", hasBash))("runs as it stands", async () => {
    const { stdout, stderr, statuses } = await runLines(lines, folder, { 8446: await freePort() });
    const ran = lines.map((line, i) => ({ line, status: statuses[i] }));
    const refused = ran.filter(({ status }) => status !== 0);
    expect(refused.map(({ line, status }) => [/#(.*)$/.exec(line)?.[1]?.trim(), status])).toEqual([
      ["refused: no certificate", 98],
      ["refused: revoked", 35],
    ]);
    expect(stdout).toContain("to be trusted: mutls-ca/root.pem");
    expect(stdout.match(/^HTTP\/1\.0 200 OK/gm)).toHaveLength(1);
    expect(stdout).toContain('"subject": "CN=bob"');
    expect(stdout).toMatch(/client {8}CN=bob {2}revoked .*, keyCompromise/);
    expect(stderr).toContain("ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED");
    // On the server's side: which certificate, and why.
    expect(stdout).toMatch(
      /refused 127\.0\.0\.1:\d+: .*CN=bob.* for keyCompromise, as the CRL of CN=Example CA issuing says \(CERT_REVOKED/,
    );
  });
});
