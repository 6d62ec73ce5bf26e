/** TABLE.md, made of what a run has found. */
import { readFile, writeFile } from "node:fs/promises";
import type { Side } from "../../src/errors.ts";
import { FEATURE_NAMES, type FeatureName } from "./features.ts";
import { PEERS, type Peer } from "./peers.ts";

const path = new URL("./TABLE.md", import.meta.url);

export class Results {
  readonly #passed = new Set<string>();
  readonly #versions = new Map<Peer, string>();

  passed(peer: Peer, side: Side, feature: FeatureName, version: string): void {
    this.#passed.add(key(peer, side, feature));
    this.#versions.set(peer, version);
  }

  /**
   * What differs between TABLE.md and this run, of a full run; versions may. Outside CI the file is then written anew, and
   * the next run finds it right.
   */
  async stale(): Promise<string | undefined> {
    if (this.#versions.size < PEERS.length) {
      return process.env.CI ? "not every peer took part" : undefined;
    }
    const found = this.#document();
    const kept = await readFile(path, "utf8").catch(() => "");
    if (withoutVersions(found) === withoutVersions(kept)) return undefined;
    if (!process.env.CI) await writeFile(path, found);
    return firstDifference(withoutVersions(kept), withoutVersions(found));
  }

  #document(): string {
    const notes: string[] = [];
    const tried = PEERS.reduce(
      (sum, { lacks }) =>
        sum + 2 * FEATURE_NAMES.length - Object.keys(lacks.client).length - Object.keys(lacks.server).length,
      0,
    );
    const tables = (["client", "server"] as const).flatMap((side) => [
      `## mutls as ${side}`,
      "",
      row(["", ...PEERS.map(({ name }) => name)]),
      row(["---", ...PEERS.map(() => "---")]),
      ...FEATURE_NAMES.map((feature) => row([feature, ...PEERS.map((peer) => this.#cell(peer, side, feature, notes))])),
      "",
    ]);
    return [
      "# Who mutls talks to",
      "",
      "Written by `npm run test:interop`, which tries every row with every peer; do not edit. Every connection is mutual, both",
      "ends' accounts of it are compared, and lines go both ways. A number says why the peer does not offer it.",
      "",
      `${this.#passed.size} of ${tried} succeeded, with ${PEERS.map((peer) => this.#versions.get(peer)).join(", ")}.`,
      "",
      ...tables,
      "## Not offered by the peer",
      "",
      ...notes.map((note, index) => `${index + 1}. ${note}`),
      "",
    ].join("\n");
  }

  #cell(peer: Peer, side: Side, feature: FeatureName, notes: string[]): string {
    const reason = peer.lacks[side === "client" ? "server" : "client"][feature];
    if (reason === undefined) return this.#passed.has(key(peer, side, feature)) ? "yes" : "**FAILS**";
    const note = `${peer.name}: ${reason}`;
    if (!notes.includes(note)) notes.push(note);
    return `– (${notes.indexOf(note) + 1})`;
  }
}

function key(peer: Peer, side: Side, feature: FeatureName): string {
  return `${peer.name}, ${side}, ${feature}`;
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}

/** The line that names them. */
function withoutVersions(text: string): string {
  return text.replace(/(succeeded, with ).*/, "$1");
}

function firstDifference(kept: string, found: string): string {
  const lines = kept.split("\n");
  const index = found.split("\n").findIndex((line, at) => line !== lines[at]);
  return `TABLE.md, line ${index + 1}: "${lines[index]}" where the run says "${found.split("\n")[index]}"`;
}
