/** One process at a time, by files whose names say whose they are. What a killed process leaves locks nobody out. */
import { open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fault } from "../../errors.ts";
import { processName, processRuns } from "./processes.ts";

const PATIENCE = 30_000;

/**
 * Runs `work` while no other process, and nothing else in this one, runs any under the same folder.
 *
 * Each who wants to announces itself with a file of its own and then looks for others: of two at least one sees the other,
 * since the later one looks after both have announced themselves. Whoever sees another that runs withdraws and tries again.
 * Names are never used again, so removing that of a dead process can never hit a living one.
 *
 * @param patience - How long to wait for others, ms.
 * @throws TlsError `ERR_TLS_CA_STATE` when they take longer.
 */
export async function locked<T>(folder: string, work: () => Promise<T>, patience = PATIENCE): Promise<T> {
  const own = await acquire(folder, patience);
  try {
    return await work();
  } finally {
    await rm(join(folder, own), { force: true });
  }
}

async function acquire(folder: string, patience: number): Promise<string> {
  const deadline = performance.now() + patience;
  for (;;) {
    if ((await others(folder, "")).length === 0) {
      const own = processName();
      await (await open(join(folder, own), "wx", 0o600)).close();
      if ((await others(folder, own)).length === 0) return own;
      await rm(join(folder, own));
    }
    if (performance.now() > deadline) {
      const [name = ""] = await others(folder, "");
      const [pid, , host] = name.split(".");
      throw fault(
        "ERR_TLS_CA_STATE",
        `process ${pid} on ${host} has it locked; if it is gone, remove ${join(folder, name)}`,
      );
    }
    // Not in step with whoever else waits.
    await delay(2 + Math.random() * 20);
  }
}

async function others(folder: string, own: string): Promise<string[]> {
  const found: string[] = [];
  for (const name of await readdir(folder)) {
    if (name === own) continue;
    if (processRuns(name)) found.push(name);
    else await rm(join(folder, name), { force: true });
  }
  return found;
}
