// The shim as one file that Node starts fast.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** What the runner starts. */
export const shim = fileURLToPath(new URL("shim", import.meta.url));

/** What the runner is told about this library. */
export const config = () => JSON.parse(readFileSync(new URL("config.json", import.meta.url), "utf8"));

export async function buildShim() {
  await build({
    entryPoints: [fileURLToPath(new URL("shim.ts", import.meta.url))],
    outfile: fileURLToPath(new URL("../../build/bogo/shim.cjs", import.meta.url)),
    bundle: true,
    platform: "node",
    format: "cjs",
    target: "node20",
    logLevel: "warning",
  });
}
