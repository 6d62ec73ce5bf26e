import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { missing } from "../support/needs.ts";
import { freePort, runLines, shellBlocks } from "../support/readme.ts";

/** README's gateway, line by line as it stands there. */

const [lines = []] = shellBlocks("A gateway in five minutes");

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "mutls-readme-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("README's gateway", () => {
  it("is there", () => {
    expect(lines.length).toBeGreaterThan(20);
  });

  const hasBash = spawnSync("bash", ["-c", ""]).status === 0;
  it.skipIf(missing("bash", hasBash))("runs as it stands", { timeout: 120_000 }, async () => {
    const ports = { 8447: await freePort(), 3000: await freePort(), 9447: await freePort() };
    const { stdout, statuses } = await runLines(commands(lines), folder, ports);
    // The dry run of what is denied, and the client whose certificate is revoked.
    expect(statuses.filter((status) => status !== 0)).toEqual([22, 35]);
    expect(stdout).toContain("policy 1: 3 rules: people-read, robots-ping, nobody-drafts\n");
    expect(stdout).toContain("denied with 403 by policy 1: rule nobody-drafts denies it");
    expect(stdout.match(/HTTP\/1\.1 \d{3}/g)).toEqual(["HTTP/1.1 200", "HTTP/1.1 403", "HTTP/1.1 403", "HTTP/1.1 400"]);
    expect(stdout).toMatch(/"client-cert": ":[A-Za-z0-9+/=]+:"/);
    expect(stdout).toContain('"x-roles": "reader"');
    expect(stdout).not.toContain('"forged"');
    expect(stdout).toContain('mutls_requests_total{status="4xx",rule="nobody-drafts"} 1');
    const audit = stdout
      .split("\n")
      .filter((line) => line.startsWith('{"time"'))
      .map((line) => JSON.parse(line));
    const requests = audit.filter(({ event }) => event === "request");
    expect(requests.map(({ status, rule }) => [status, rule])).toEqual([
      [200, "people-read"],
      [403, "nobody-drafts"],
      [403, undefined],
      [400, "path-dot-segment"],
    ]);
    expect(audit.find(({ event }) => event === "refused")).toMatchObject({
      code: "CERT_REVOKED",
      alert: "certificate_revoked",
    });
    expect(audit.at(-1)?.event).toBe("stopped");
  });
});

/** What a line opens goes on until it is closed: a document for a shell, a function, a line that ends in a backslash. */
function commands(all: readonly string[]): string[] {
  const found: string[] = [];
  let closed: ((line: string) => boolean) | undefined;
  for (const line of all) {
    if (closed === undefined) found.push(line);
    else found.push(`${found.pop()}\n${line}`);
    if (closed?.(line)) closed = undefined;
    else if (closed === undefined) closed = CLOSES.find(([opens]) => opens.test(line))?.[1];
  }
  return found;
}

const CLOSES: readonly (readonly [opens: RegExp, closes: (line: string) => boolean])[] = [
  [/<<'END'$/, (line) => line === "END"],
  [/ \{$/, (line) => line === "}"],
  [/\\$/, (line) => !line.endsWith("\\")],
];
