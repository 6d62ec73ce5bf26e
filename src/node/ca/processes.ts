/** Names for what a process leaves in a folder, from which others can tell whether it still runs. */
import { randomBytes } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

/** A name nobody else has: process, when it started, host, and chance. */
export function processName(): string {
  return [process.pid, state(process.pid)?.started ?? "0", HOST, randomBytes(8).toString("hex")].join(".");
}

/**
 * False when the process of this name has ended for certain. One on another host may run, as far as anybody here can
 * tell.
 */
export function processRuns(name: string): boolean {
  const [pid, started, host] = name.split(".");
  if (host !== HOST) return true;
  const now = state(Number(pid));
  // The number may have gone to another process meanwhile.
  return now !== undefined && (started === "0" || now.started === "0" || now.started === started);
}

/** Containers of one host may share its name and a folder, but not their process numbers. */
const HOST = `${hostname().replace(/[^\w-]/g, "_")}${processNamespace()}`;

/** pid_namespaces(7); empty where there is no such thing. */
function processNamespace(): string {
  try {
    return `-${readlinkSync("/proc/self/ns/pid").replace(/\D/g, "")}`;
  } catch {
    // No Linux, or /proc is not mounted: then all that is known is the host.
    return "";
  }
}

/** When a process started, in its kernel's ticks; "0" where that cannot be known. */
function state(pid: number): { readonly started: string } | undefined {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return undefined;
    // Not ours to signal, but there.
  }
  if (process.platform !== "linux") return { started: "0" };
  try {
    // proc(5): the name in parentheses may hold anything; the state is field 3, the start field 22.
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    // A zombie only waits for its parent to take notice.
    return fields[0] === "Z" || fields[0] === "X" ? undefined : { started: fields[19] ?? "0" };
  } catch {
    // It has ended since, or /proc is not mounted; in doubt it runs.
    return { started: "0" };
  }
}
