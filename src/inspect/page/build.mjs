// The page as files: one script, one style sheet, one document, the examples. Any static host can serve them.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = new URL("./", import.meta.url);
const vectors = new URL("../../../vectors/rfc8448/", here);

/** @returns {Promise<Map<string, Uint8Array>>} Path below the page's folder to content. */
export async function buildPage() {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL("main.ts", here))],
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    platform: "browser",
    write: false,
    logLevel: "warning",
  });
  const files = new Map([["page.js", outputFiles[0].contents]]);
  for (const name of ["index.html", "page.css", "icon.svg"]) files.set(name, await readFile(new URL(name, here)));
  for (const section of [3, 4, 5, 6, 7]) {
    const name = `section-${section}.json`;
    files.set(`rfc8448/${name}`, await readFile(new URL(name, vectors)));
  }
  return files;
}
