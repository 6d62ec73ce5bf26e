import { readFileSync } from "node:fs";
import { satisfies } from "semver";
import { describe, expect, it } from "vitest";

interface Package {
  readonly version?: string;
  readonly engines?: { readonly node?: string };
  readonly dev?: boolean;
}

const read = (name: string): unknown => JSON.parse(readFileSync(new URL(`../../${name}`, import.meta.url), "utf8"));
const manifest = read("package.json") as Package;
const lock = read("package-lock.json") as { readonly packages: Readonly<Record<string, Package>> };

/** The lowest version that package.json promises. */
const oldest = "20.19.0";

/** `path range` of each package that does not run on `node`. */
function refusing(packages: Readonly<Record<string, Package>>, node: string): string[] {
  return Object.entries(packages)
    .filter(([, { engines }]) => engines?.node !== undefined && !satisfies(node, engines.node))
    .map(([path, { engines }]) => `${path} ${engines?.node}`);
}

describe("Node versions", () => {
  it("are promised from the oldest on", () => {
    expect(manifest.engines?.node).toBe(`>=${oldest}`);
  });

  it("are admitted by every package in the lock file", () => {
    expect(Object.keys(lock.packages).length).toBeGreaterThan(50);
    expect(refusing(lock.packages, oldest)).toEqual([]);
  });

  it("are refused where a range does not reach down", () => {
    const packages = { a: { engines: { node: "^20.0.0 || >=22" } }, b: { engines: { node: ">=22" } }, c: {} };
    expect(refusing(packages, oldest)).toEqual(["b >=22"]);
  });

  it("keep vitest at 4, since 5 needs Node 22", () => {
    expect(lock.packages["node_modules/vitest"]?.version).toMatch(/^4\./);
  });
});
