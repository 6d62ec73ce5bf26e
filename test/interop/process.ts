/** A peer's process: the command language of peers/README.md. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** One line that a peer prints. What it cannot know it leaves out. */
export interface Said {
  readonly error?: string;
  /** First line. */
  readonly version?: string;
  readonly port?: number;
  readonly protocol?: string;
  readonly suite?: string;
  readonly group?: string;
  readonly alpn?: string;
  readonly retried?: boolean;
  readonly resumed?: boolean;
  /** Common name of mutls's certificate. */
  readonly peer?: string;
  /** Hexadecimal. */
  readonly exporter?: string;
  /** Early data that was accepted. */
  readonly early?: string;
  /** Lines that came, as a server, or came back. */
  readonly lines?: number;
}

export interface PeerProcess {
  next(): Promise<Said>;
  /** Rejects when the process ends. */
  readonly failed: Promise<never>;
  readonly ended: Promise<number | null>;
  end(): void;
}

const running = new Set<ChildProcess>();

/** Ends what a failed test has left. */
export function endPeers(): void {
  for (const child of running) child.kill();
}

export function startPeer([command = "", ...args]: readonly string[]): PeerProcess {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
  running.add(child);
  let errors = "";
  child.stderr.on("data", (chunk) => {
    errors += chunk;
  });
  const ended = new Promise<number | null>((resolve) => {
    child.on("error", (error) => {
      errors += error.message;
      resolve(null);
    });
    child.on("close", resolve);
  }).finally(() => running.delete(child));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const failed = ended.then((code) => {
    throw new Error(`${command} ended with ${code}: ${errors}`);
  });
  failed.catch(() => {});
  return {
    async next() {
      const { done, value } = await lines.next();
      if (done) return failed;
      const said = JSON.parse(value) as Said;
      if (said.error !== undefined) throw new Error(`${command}: ${said.error}${errors && `\n${errors}`}`);
      return said;
    },
    failed,
    ended,
    end: () => void child.kill(),
  };
}
