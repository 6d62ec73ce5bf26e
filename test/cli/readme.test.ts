import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { finished, MAIN } from "../support/cli.ts";
import { missing } from "../support/needs.ts";
import { freePort, placed, type RanLines, runLines, shellBlocks } from "../support/readme.ts";

/** README's first quick start: a block with a server is one terminal, the blocks between are the other. */

const blocks = shellBlocks("The command line in five minutes");
const hasTools = ["bash", "openssl"].every((tool) => spawnSync(tool, ["--help"]).error === undefined);

let folder: string;
const servers = new Map<string, ChildProcess>();
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "mutls-readme-"));
});
afterAll(async () => {
  for (const port of [...servers.keys()]) await stop(port);
  rmSync(folder, { recursive: true, force: true });
});

async function stop(port: string): Promise<void> {
  const server = servers.get(port);
  if (server === undefined) return;
  const end = finished(server);
  server.kill("SIGTERM");
  await end;
}

/** Once it listens. */
async function serve(line: string, ports: Readonly<Record<string, number>>): Promise<void> {
  const [, port = ""] = /--port (\d+)/.exec(line) ?? [];
  await stop(port);
  const args = placed(line, ports).split(" ").slice(2);
  const child = spawn(process.execPath, [MAIN, ...args], { cwd: folder, stdio: ["ignore", "pipe", "inherit"] });
  servers.set(port, child);
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once("data", () => resolve());
    child.once("close", (status) => reject(new Error(`${line}: status ${status}`)));
  });
}

/** A function's lines, and a line that goes on, are one command. */
function commandsOf(lines: readonly string[]): string[] {
  const commands: string[] = [];
  for (const line of lines) {
    const last = commands.at(-1);
    if (last?.endsWith("\\")) commands[commands.length - 1] = `${last}\n${line}`;
    else commands.push(line);
  }
  return commands;
}

describe("README's first quick start", () => {
  it("is there", () => {
    expect(blocks.length).toBeGreaterThan(8);
  });

  it.skipIf(missing("bash and openssl", hasTools))("runs as it stands", async () => {
    const ports = { 8443: await freePort(), 8444: await freePort(), 8445: await freePort() };
    const ran: (RanLines & { readonly commands: readonly string[] })[] = [];
    for (const lines of blocks) {
      const [line = ""] = lines;
      if (line.startsWith("npx mutls serve ")) await serve(line, ports);
      else ran.push({ commands: commandsOf(lines), ...(await runLines(commandsOf(lines), folder, ports)) });
    }
    const failed = ran.flatMap(({ commands, statuses }) =>
      commands.flatMap((command, i) => (statuses[i] === 0 ? [] : [[command, statuses[i]]])),
    );
    const nobody = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | npx mutls connect localhost:8443 --cacert ca.pem";
    expect(failed).toEqual([
      [nobody, 98],
      [expect.stringContaining("npx mutls verify server.pem"), 60],
    ]);
    const all = { stdout: ran.map(({ stdout }) => stdout).join(""), stderr: ran.map(({ stderr }) => stderr).join("") };
    // As alice: plainly, with a trace, twice more for the session, from PKCS#12 and with a locked key; and as bob.
    expect(all.stdout.match(/^HTTP\/1\.0 200 OK/gm)).toHaveLength(7);
    expect(all.stdout).toContain('"subject": "CN=alice"');
    expect(all.stderr).toContain("ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED");
    expect(all.stderr).toContain("early data: the server has accepted 18 bytes");
    expect(all.stdout).toContain("CERT_HAS_EXPIRED");
  });
});
