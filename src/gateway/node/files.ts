/** An audit log in a file that others move away. */
import { type FileHandle, open } from "node:fs/promises";
import type { AuditSink } from "../audit/log.ts";

/**
 * A sink for {@link auditLog} that appends to a file: made with mode 0600 where it is not there, and taken up anew by
 * `reopen`, as after logrotate.
 *
 * @returns Resolves once the file is open.
 * @throws Node's error when it cannot be opened.
 * @example
 * ```ts
 * const folder = fs.mkdtempSync("/tmp/example-");
 * const log = auditLog({ sink: await fileSink(`${folder}/audit.jsonl`) });
 * log.write({ event: "started" });
 * await log.close();
 * console.log(fs.readFileSync(`${folder}/audit.jsonl`, "utf8").endsWith('"event":"started"}\n')); // true
 * fs.rmSync(folder, { recursive: true });
 * ```
 */
export async function fileSink(path: string): Promise<AuditSink> {
  let handle: FileHandle = await open(path, "a", 0o600);
  return {
    async write(lines) {
      await handle.appendFile(lines, "utf8");
    },
    async reopen() {
      const next = await open(path, "a", 0o600);
      const last = handle;
      handle = next;
      await last.close();
    },
    close: () => handle.close(),
  };
}
