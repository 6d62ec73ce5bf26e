/** Runs of a runtime: a process that prints lines of JSON. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

const running = new Set<ChildProcess>();

/** A process and what it says. */
export interface Talker {
  readonly process: ChildProcess;
  /** The next line; throws when the process has ended, with what it printed as error. */
  next<T>(): Promise<T>;
  /** All the lines that are left. */
  rest<T>(): Promise<T[]>;
}

/** @param fd - Where it talks: 1, or 3 for workerd's control messages. */
export function talk(command: string, args: readonly string[], fd: 1 | 3 = 1): Talker {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe", "pipe"] });
  running.add(child);
  let errors = "";
  child.stderr?.on("data", (chunk) => {
    errors += chunk;
  });
  const ended = new Promise<number | null>((resolve) => {
    child.on("error", (error) => {
      errors += error.message;
      resolve(null);
    });
    child.on("close", resolve);
  }).finally(() => running.delete(child));
  const lines = createInterface({ input: child.stdio[fd] as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  const read = async <T>(): Promise<T | undefined> => {
    const { done, value } = await lines.next();
    return done ? undefined : (JSON.parse(value) as T);
  };
  return {
    process: child,
    async next<T>() {
      const value = await read<T>();
      if (value !== undefined) return value;
      throw new Error(`${command} ${args[0] ?? ""} ended with ${await ended}: ${errors}`);
    },
    async rest<T>() {
      const all: T[] = [];
      for (let value = await read<T>(); value !== undefined; value = await read<T>()) all.push(value);
      const code = await ended;
      if (code !== 0) throw new Error(`${command} ${args[0] ?? ""} ended with ${code}: ${errors}`);
      return all;
    },
  };
}

/** Ends what a failed test has left. */
export function endTalkers(): void {
  for (const child of running) child.kill();
}

/** A Worker in `worker.mjs` beside the configuration, on a port that workerd tells on its control channel. */
export const WORKERD_CONFIG = `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "internet", network = (allow = ["local"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  modules = [(name = "worker", esModule = embed "worker.mjs")],
  compatibilityDate = "2026-01-01",
);
`;
