/** Entry files as one script each, for runtimes that know neither TypeScript nor this folder. */
import { fileURLToPath } from "node:url";
import { build, type Platform } from "esbuild";

/** The script's text; esbuild refuses Node's modules where `platform` has none. */
export async function bundle(entry: string, platform: Platform, external: readonly string[] = []): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL(`../../${entry}`, import.meta.url))],
    bundle: true,
    write: false,
    format: "esm",
    target: "es2022",
    platform,
    external: [...external],
    logLevel: "error",
  });
  return (outputFiles[0] as { text: string }).text;
}
