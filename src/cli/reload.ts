/** `--reload`: a server whose certificates, keys, CAs and CRLs are what their files hold now. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import type { ServerChanges, ServerContext } from "../engine/index.ts";
import { watchFiles } from "../node/watch.ts";
import { timeLimit } from "../transport/timers.ts";
import type { Arguments } from "./flags.ts";
import { onHangup } from "./signals.ts";

/** Flags whose files are followed. */
const FLAGS = ["cert", "key", "ocsp", "cacert", "crlfile"];
/** Those that decide about peers. */
const JUDGING = ["cacert", "crlfile"];

/**
 * Follows the files, and reads them at SIGHUP.
 *
 * @param load - Reads them again.
 * @param tell - One line for each change, and each that is refused.
 * @returns Stops it.
 */
export function followFiles(
  args: Arguments,
  context: ServerContext,
  load: () => Promise<ServerChanges>,
  tell: (line: string) => void,
): () => void {
  const paths = [...new Set(FLAGS.flatMap((flag) => args.all(flag)))];
  const judging = new Set(JUDGING.flatMap((flag) => args.all(flag)));
  let known = digests(paths);
  let refusal: string | undefined;
  let reading = Promise.resolve();

  const reload = async (asked: boolean) => {
    const now = digests(paths);
    const changed = paths.filter((path) => now.get(path) !== known.get(path));
    if (changed.length === 0 && !asked) return;
    try {
      context.replace(await load());
    } catch (error) {
      // Whatever it is: a server does not end because of a file.
      const reason = error instanceof Error ? error.message : String(error);
      if (asked || reason !== refusal) tell(`not reloaded, what was in force stays: ${reason}`);
      refusal = reason;
      return;
    }
    refusal = undefined;
    known = now;
    const names = changed.length === 0 ? "nothing has changed" : changed.map((path) => basename(path)).join(", ");
    tell(`reloaded: ${names}; generation ${context.generation}`);
    // Those that do not hold any more say so themselves.
    if (changed.some((path) => judging.has(path))) await context.recheck(turn, timeLimit());
  };
  const queue = (asked: boolean) => {
    reading = reading.then(() => reload(asked));
    return true;
  };
  const watch = watchFiles(paths, () => queue(false));
  const stop = onHangup(() => queue(true));
  return () => {
    watch.close();
    stop();
  };
}

/** What tells contents apart; a file that cannot be read is another. */
function digests(paths: readonly string[]): ReadonlyMap<string, string> {
  return new Map(
    paths.map((path) => {
      try {
        return [path, createHash("sha256").update(readFileSync(path)).digest("hex")];
      } catch (error) {
        return [path, String((error as NodeJS.ErrnoException).code)];
      }
    }),
  );
}

/** Lets others have their turn. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
