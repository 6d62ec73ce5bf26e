/** The command `mutls` as a process, built beforehand. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createThrowawayAuthority, type IssueRequest } from "../../src/pki/index.ts";

export const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

/** What a command came to. */
export interface Run {
  readonly status: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** How a command is fed: all of stdin at once; `undefined` leaves it open. */
export interface Feed {
  readonly input?: string | Uint8Array | undefined;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs the command to its end. */
export async function mutls(args: readonly string[], { input, env }: Feed = { input: "" }): Promise<Run> {
  const child = start(args, env);
  child.stdin?.on("error", () => {});
  if (input !== undefined) child.stdin?.end(input);
  return finished(child);
}

/** Starts the command. */
export function start(args: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess {
  return spawn(process.execPath, [MAIN, ...args], { env: { ...process.env, ...env } });
}

/** The end of a command, and all it has said. */
export function finished(child: ChildProcess): Promise<Run> {
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout?.on("data", (chunk: Buffer) => stdout.push(chunk));
  child.stderr?.on("data", (chunk: Buffer) => stderr.push(chunk));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status) =>
      resolve({ status, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() }),
    );
  });
}

/** A server that listens. */
export interface Served {
  readonly port: number;
  /** What stderr has said so far. */
  stderr(): string;
  /** Waits until stderr has said this. */
  says(pattern: RegExp): Promise<void>;
  signal(name: NodeJS.Signals): void;
  /** Stops it with SIGTERM. */
  stop(): Promise<Run>;
}

/** `mutls serve --port 0` with these flags besides. */
export function served(args: readonly string[]): Promise<Served> {
  return listening(["serve", "--port", "0", ...args]);
}

/** `mutls relay` on a free port with these flags besides. */
export function relaying(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Served> {
  return listening(["relay", "--listen", "127.0.0.1:0", ...args], env);
}

async function listening(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Served> {
  const child = start(args, env);
  const end = finished(child);
  let said = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    said += chunk;
  });
  const port = await new Promise<number>((resolve, reject) => {
    child.stdout?.once("data", (line: Buffer) => {
      const match = /^listening on 127\.0\.0\.1:(\d+)\n$/.exec(line.toString());
      if (match === null) reject(new Error(`${args[0]} said ${line}`));
      else resolve(Number(match[1]));
    });
    void end.then(
      ({ status, stderr }) => reject(new Error(`${args[0]} ended with status ${status}: ${stderr}`)),
      reject,
    );
  });
  return {
    port,
    stderr: () => said,
    says: (pattern) =>
      new Promise((resolve, reject) => {
        const check = () => {
          if (pattern.test(said)) resolve();
        };
        child.stderr?.on("data", check);
        child.once("close", () => reject(new Error(`${args[0]} never said ${pattern}: ${said}`)));
        check();
      }),
    signal: (name) => void child.kill(name),
    stop: () => {
      child.kill("SIGTERM");
      return end;
    },
  };
}

/** A directory of certificates and keys, and of what tests write. */
export interface Files {
  /** The path of a file in it. */
  path(name: string): string;
  write(name: string, content: string | Uint8Array): string;
  /** `--cert F --key F` of what was issued under this name. */
  pair(name: string): string[];
  remove(): void;
}

/** A CA (`ca.pem`) and what it issues, by name; `other-ca.pem` has issued `stranger`. */
export async function certificateFiles(issued: Readonly<Record<string, IssueRequest>> = {}): Promise<Files> {
  const directory = mkdtempSync(join(tmpdir(), "mutls-test-"));
  const path = (name: string) => join(directory, name);
  const write = (name: string, content: string | Uint8Array) => {
    writeFileSync(path(name), content);
    return path(name);
  };
  const authority = await createThrowawayAuthority();
  const other = await createThrowawayAuthority({ name: "other root" });
  const requests: Readonly<Record<string, IssueRequest>> = {
    server: { subject: "localhost", dnsNames: ["localhost"], ipAddresses: ["127.0.0.1"], server: true },
    client: { subject: "alice", uris: ["spiffe://example.org/alice"], client: true },
    ...issued,
  };
  write("ca.pem", authority.certificatePem);
  write("other-ca.pem", other.certificatePem);
  const all = [
    ...Object.entries(requests).map(async ([name, request]) => ({ name, identity: await authority.issue(request) })),
    { name: "stranger", identity: await other.issue({ subject: "stranger" }) },
  ];
  for (const { name, identity } of await Promise.all(all)) {
    write(`${name}.pem`, identity.certificatePem);
    write(`${name}.key`, identity.privateKeyPem);
  }
  return {
    path,
    write,
    pair: (name) => ["--cert", path(`${name}.pem`), "--key", path(`${name}.key`)],
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}
