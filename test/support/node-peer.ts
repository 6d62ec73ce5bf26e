/** test/interop/peer.mjs as a peer: node:tls in another Node, which carries a newer OpenSSL. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";

const running = new Set<ChildProcess>();

/** Ends what a failed test has left. */
export function endNodePeers(): void {
  for (const child of running) child.kill();
}

/** Starts peer.mjs. Each line it prints is one answer, the first of which is `ready`. */
export function startNodePeer(node: string, options: object) {
  const script = fileURLToPath(new URL("../interop/peer.mjs", import.meta.url));
  const child = spawn(node, [script, JSON.stringify(options)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  running.add(child);
  const exited = once(child, "exit").then(([code]) => {
    running.delete(child);
    return code as number | null;
  });
  exited.catch(() => {});
  const lines = createInterface({ input: child.stdout });
  const iterator = lines[Symbol.asyncIterator]();
  const next = async (): Promise<Record<string, unknown>> => {
    const { done, value } = await iterator.next();
    if (done) throw new Error("the peer has nothing more to say");
    return JSON.parse(value);
  };
  const ready = next().then((answer) => {
    expect(answer.openssl).toMatch(/^3\.([5-9]|\d\d)|^[4-9]/);
    return answer;
  });
  return { ready, next, exited };
}
