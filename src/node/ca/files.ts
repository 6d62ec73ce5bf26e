/** Files that are there whole or not at all, whatever kills the process (a crash of the machine included). */
import { type FileHandle, link, open, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { processName, processRuns } from "./processes.ts";

/** Who may read a file: everybody, or its owner alone. */
export type FileMode = 0o644 | 0o600;

/** Writes a file, over one of that name if there is one. It is there, and will be after a crash, when this resolves. */
export async function replaceFile(path: string, content: string | Uint8Array, mode: FileMode = 0o644): Promise<void> {
  const draft = await writeDraft(path, content, mode);
  await removedOnFailure(draft, () => rename(draft, path));
  await syncFolder(dirname(path));
}

/**
 * Writes a file that must not be there yet, with the same promise.
 *
 * @returns False when there is one of that name, which stays as it is.
 */
export async function createFile(path: string, content: string | Uint8Array, mode: FileMode = 0o644): Promise<boolean> {
  const draft = await writeDraft(path, content, mode);
  try {
    // Unlike a rename, a link fails where the name is taken: this is what makes a name unique among processes.
    await link(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    await rm(draft);
  }
  await syncFolder(dirname(path));
  return true;
}

/** Removes what processes that were killed left unfinished in a folder. */
export async function removeDrafts(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const owner = name.startsWith(DRAFT) ? name.slice(DRAFT.length) : undefined;
    if (owner !== undefined && !processRuns(owner)) await rm(join(folder, name), { force: true });
  }
}

const DRAFT = ".draft-";

/** The content in a file beside `path`, on the disk. */
async function writeDraft(path: string, content: string | Uint8Array, mode: FileMode): Promise<string> {
  const draft = join(dirname(path), `${DRAFT}${processName()}`);
  const file = await open(draft, "wx", mode);
  await removedOnFailure(draft, () => synced(file, () => file.writeFile(content)));
  return draft;
}

/** What is not wanted any more may hold a key. */
async function removedOnFailure(draft: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

/** A name is safe only once its folder is on the disk. Windows has no such thing as opening a folder. */
export async function syncFolder(path: string): Promise<void> {
  if (process.platform === "win32") return;
  await synced(await open(path, "r"), async () => undefined);
}

async function synced(file: FileHandle, work: () => Promise<void>): Promise<void> {
  try {
    await work();
    await file.sync();
  } finally {
    await file.close();
  }
}
