/** `openssl s_server` and `openssl s_client` as peers: started over loopback, read, and always ended. */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import { createServer } from "node:net";
import type { NamedGroupName } from "../../src/codec/registry.ts";
import { missing } from "./needs.ts";

/** True where these tests must be skipped. */
export const withoutOpenssl = missing("openssl", spawnSync("openssl", ["version"]).status === 0);

/** Command-line options; `undefined` leaves one out, `true` has no value. */
export type OpensslOptions = Readonly<Record<`-${string}`, string | number | true | undefined>>;

/** OpenSSL's names for our groups, hybrids and optional ones left out. */
export const OPENSSL_GROUPS: Readonly<Record<Extract<NamedGroupName, "x25519" | `secp${string}`>, string>> = {
  x25519: "X25519",
  secp256r1: "P-256",
  secp384r1: "P-384",
  secp521r1: "P-521",
};

/** What `-brief` says about a connection. */
export interface OpensslSummary {
  readonly protocol: string | undefined;
  readonly cipherSuite: string | undefined;
  /** RFC 4514-like string. */
  readonly peer: string | undefined;
  /** "OK" where the peer's certificate verified: a verify return code of 0. */
  readonly verification: string | undefined;
  readonly signatureHash: string | undefined;
  readonly signatureType: string | undefined;
  /** Client: the server's ephemeral key. */
  readonly temporaryKey: string | undefined;
  /** Server: the groups that the client offered. */
  readonly offeredGroups: string | undefined;
}

/** A running `openssl`. */
export interface OpensslProcess {
  readonly process: ChildProcessWithoutNullStreams;
  /** Bytes the peer has sent. */
  stdout(): Buffer;
  stderr(): string;
  /** Resolves once `condition` holds, rejects when the process ends before. */
  until(condition: () => boolean): Promise<void>;
  /** The exit code, once everything has been read. */
  readonly exited: Promise<number | null>;
  summary(): OpensslSummary;
}

/** Starts `openssl s_server` for one connection. It may not listen yet: connect with {@link connectSocket}. */
export async function startServer(options: OpensslOptions): Promise<{ port: number; server: OpensslProcess }> {
  const port = await freePort();
  return {
    port,
    server: start("s_server", { "-accept": `127.0.0.1:${port}`, "-naccept": 1, "-brief": true, ...options }),
  };
}

/** Starts `openssl s_client`. */
export function startClient(port: number, options: OpensslOptions): OpensslProcess {
  return start("s_client", { "-connect": `127.0.0.1:${port}`, "-brief": true, ...options });
}

const running = new Set<ChildProcessWithoutNullStreams>();

/** Ends the processes that a failed test has left. */
export function endOpenssl(): void {
  for (const child of running) child.kill();
}

function start(command: string, options: OpensslOptions): OpensslProcess {
  const args = Object.entries(options).flatMap(([name, value]) =>
    value === undefined ? [] : value === true ? [name] : [name, String(value)],
  );
  const child = spawn("openssl", [command, ...args]);
  running.add(child);
  const output: Buffer[] = [];
  let log = "";
  let ended = false;
  let waiting: (() => void)[] = [];
  const changed = () => {
    const due = waiting;
    waiting = [];
    for (const check of due) check();
  };
  child.stdout.on("data", (chunk: Buffer) => {
    output.push(chunk);
    changed();
  });
  child.stderr.on("data", (chunk: Buffer) => {
    log += chunk.toString();
    changed();
  });
  child.stdin.on("error", () => {
    // It ended without reading everything; what it printed says why.
  });
  const exited = new Promise<number | null>((resolve) => {
    const finish = (code: number | null) => {
      ended = true;
      running.delete(child);
      resolve(code);
      changed();
    };
    child.on("error", (error) => {
      log += error.message;
      finish(null);
    });
    child.on("close", finish);
  });
  return {
    process: child,
    stdout: () => Buffer.concat(output),
    stderr: () => log,
    until: (condition) =>
      new Promise((resolve, reject) => {
        const check = () => {
          if (condition()) resolve();
          else if (ended) reject(new Error(`openssl ${command} ended: ${log}`));
          else waiting.push(check);
        };
        check();
      }),
    exited,
    summary: () => summarize(log),
  };
}

function summarize(log: string): OpensslSummary {
  const field = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(log)?.[1]?.trim();
  return {
    protocol: field("Protocol version"),
    cipherSuite: field("Ciphersuite"),
    peer: field("Peer certificate"),
    verification: field("Verification"),
    signatureHash: field("Hash used"),
    signatureType: field("Signature type"),
    temporaryKey: field("Server Temp Key"),
    offeredGroups: field("Supported groups"),
  };
}

/** A port that nobody listens on, outside the usual range of ephemeral ports so that no connection takes it meanwhile. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const free = await new Promise<boolean>((resolve) => {
      const probe = createServer();
      probe.on("error", () => resolve(false));
      probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
    });
    if (free) return port;
  }
}
