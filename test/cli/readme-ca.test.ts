import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { missing } from "../support/needs.ts";

/** README's second quick start, line by line as it stands there. */

const root = fileURLToPath(new URL("../../", import.meta.url));
const [, block = ""] =
  /```sh\n((?:(?!```)[\s\S])*?mutls ca init[\s\S]*?)```/.exec(readFileSync(`${root}README.md`, "utf8")) ?? [];
const lines = block.trimEnd().split("\n");

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "mutls-readme-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Runs the lines in one bash; of each its output and its status. */
async function run(port: number) {
  const script = lines.map((line) => {
    const command = line.replaceAll("npx mutls", '"$NODE" "$MUTLS"').replaceAll("8446", String(port));
    return `${command}\necho "$?" >&9\n`;
  });
  const env = { ...process.env, NODE: process.execPath, MUTLS: `${root}dist/cli/main.js` };
  const child = spawn("bash", ["-c", script.join("")], {
    cwd: folder,
    env,
    stdio: ["ignore", "pipe", "pipe", ...Array(6).fill("ignore"), "pipe"],
  });
  const text = { stdout: "", stderr: "", statuses: "" };
  child.stdout?.on("data", (chunk) => (text.stdout += chunk));
  child.stderr?.on("data", (chunk) => (text.stderr += chunk));
  const ninth = (child.stdio as readonly unknown[])[9] as NodeJS.ReadableStream;
  ninth.on("data", (chunk) => (text.statuses += chunk));
  await new Promise((resolve, reject) => child.once("error", reject).once("close", resolve));
  const statuses = text.statuses.trim().split("\n").map(Number);
  return { ...text, lines: lines.map((line, i) => ({ line, status: statuses[i] })) };
}

describe("README's second quick start", () => {
  it("is there", () => {
    expect(lines.length).toBeGreaterThan(10);
  });

  const hasBash = spawnSync("bash", ["-c", ""]).status === 0;
  it.skipIf(missing("bash", hasBash))("runs as it stands", async () => {
    const { stdout, stderr, lines: ran } = await run(await freePort());
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
