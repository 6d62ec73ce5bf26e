/**
 * Files that others rewrite: told when they are others and have settled, however they were put there.
 *
 * Directories are watched and not the files, since a file that is replaced by renaming takes its watch with it; and every
 * directory in which a symbolic link on the way to it stands, since Kubernetes replaces `..data` alone. Where nothing can
 * be watched, and in case something was missed, everything is looked at from time to time.
 */
import { type FSWatcher, lstatSync, readlinkSync, statSync, watch } from "node:fs";
import { dirname, join, parse, resolve, sep } from "node:path";

/** How often is looked. */
export interface WatchOptions {
  /** ms for which the files must be as they are before they are read: whoever writes may not be done. Default 200. */
  readonly settleTime?: number | undefined;
  /** ms between looks of its own accord. Default 10000. */
  readonly pollInterval?: number | undefined;
}

/** What watches. None of it keeps the process alive. */
export interface FileWatch {
  /** Reads the files now, whether or not anything was noticed. */
  reload(): void;
  close(): void;
}

const SETTLE_TIME = 200;
const POLL_INTERVAL = 10_000;
/** Looks at files that change without end; then they are read as they are. */
const MAX_LOOKS = 25;

/**
 * @param paths - Need not exist.
 * @param changed - Called when the files are others than before and have settled. False: it is to be tried again at the
 * next look, whether or not anything changes. It must not throw.
 */
export function watchFiles(paths: readonly string[], changed: () => boolean, options: WatchOptions = {}): FileWatch {
  const { settleTime = SETTLE_TIME, pollInterval = POLL_INTERVAL } = options;
  const files = paths.map((path) => resolve(path));
  const directories = new Directories(() => notice());
  let known = stamp(files);
  let taken = true;
  let seen = known;
  let looks = 0;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  function notice(): void {
    if (closed || timer !== undefined) return;
    seen = stamp(files);
    if (seen === known && taken) return;
    timer = setTimeout(look, settleTime).unref();
  }

  function look(): void {
    timer = undefined;
    const before = seen;
    seen = stamp(files);
    if (seen === before || ++looks >= MAX_LOOKS) take();
    else timer = setTimeout(look, settleTime).unref();
  }

  function take(): void {
    clearTimeout(timer);
    timer = undefined;
    looks = 0;
    known = stamp(files);
    directories.watch(files.flatMap(directoriesOf));
    taken = changed();
    // What came while they were read is looked at, too.
    if (stamp(files) !== known) notice();
  }

  directories.watch(files.flatMap(directoriesOf));
  const poll = setInterval(() => {
    directories.watch(files.flatMap(directoriesOf));
    notice();
  }, pollInterval).unref();
  return {
    reload() {
      if (!closed) take();
    },
    close() {
      closed = true;
      clearTimeout(timer);
      clearInterval(poll);
      directories.watch([]);
    },
  };
}

/** Watches of directories, by their paths. */
class Directories {
  readonly #watches = new Map<string, { readonly inode: string; readonly watcher: FSWatcher }>();
  readonly #notice: () => void;

  constructor(notice: () => void) {
    this.#notice = notice;
  }

  /** These from now on, and no others. */
  watch(paths: readonly string[]): void {
    for (const [path, { inode, watcher }] of this.#watches) {
      // A directory in the place of another is another.
      if (paths.includes(path) && inode === stamp([path], inodeOf)) continue;
      watcher.close();
      this.#watches.delete(path);
    }
    for (const path of paths) if (!this.#watches.has(path)) this.#add(path);
  }

  #add(path: string): void {
    const inode = stamp([path], inodeOf);
    let watcher: FSWatcher;
    try {
      watcher = watch(path, { persistent: false }, this.#notice);
    } catch {
      // Absent, or one watch more than the system has: what is polled is seen later, but it is seen.
      return;
    }
    this.#watches.set(path, { inode, watcher });
    watcher.on("error", () => {
      watcher.close();
      if (this.#watches.get(path)?.watcher === watcher) this.#watches.delete(path);
      this.#notice();
    });
  }
}

type Status = ReturnType<typeof statSync>;
const inodeOf = ({ dev, ino }: NonNullable<Status>) => [dev, ino].join();
const versionOf = (status: NonNullable<Status>) =>
  [inodeOf(status), status.size, Number(status.mtimeMs), status.ctimeMs].join();

/** What is different when a file is another, or is not there, or cannot be reached. */
function stamp(paths: readonly string[], versionOfStatus = versionOf): string {
  return paths
    .map((path) => {
      try {
        return versionOfStatus(statSync(path));
      } catch (error) {
        return (error as NodeJS.ErrnoException).code;
      }
    })
    .join(";");
}

/** Links that are followed at most, as the system does. */
const MAX_LINKS = 40;

/** Where something may be put so that this path leads elsewhere: around each link on the way, and around the file. */
function directoriesOf(file: string): readonly string[] {
  const found: string[] = [];
  let path = file;
  for (let links = 0; links < MAX_LINKS; links++) {
    const { root } = parse(path);
    const names = path.slice(root.length).split(sep);
    const steps = names.map((_, index) => join(root, ...names.slice(0, index + 1)));
    const index = steps.findIndex((step) => linkAt(step) !== undefined);
    const link = steps[index];
    if (link === undefined) return [...found, dirname(path)];
    found.push(dirname(link));
    path = join(resolve(dirname(link), linkAt(link) ?? ""), ...names.slice(index + 1));
  }
  return found;
}

/** Where a link leads; `undefined` for what is none, or gone. */
function linkAt(path: string): string | undefined {
  try {
    return lstatSync(path).isSymbolicLink() ? readlinkSync(path) : undefined;
  } catch {
    // Then the file cannot be read either, and that is told.
    return undefined;
  }
}
