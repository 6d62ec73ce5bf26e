/** PEM where a command wants files. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** PEM texts as files, in a directory that `remove` deletes. */
export class PemFiles {
  readonly #directory = mkdtempSync(join(tmpdir(), "mutls-"));
  readonly #paths = new Map<string | Uint8Array, string>();

  /** The path of a file that holds `pem`, or DER. */
  path(pem: string | Uint8Array): string {
    const known = this.#paths.get(pem);
    if (known !== undefined) return known;
    const path = join(this.#directory, `${this.#paths.size}.pem`);
    writeFileSync(path, pem, { mode: 0o600 });
    this.#paths.set(pem, path);
    return path;
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true });
  }
}
