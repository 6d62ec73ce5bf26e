// What an application's bundle grows by: each entry point of package.json, minified and gzipped.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const root = fileURLToPath(new URL("../../", import.meta.url));
const { exports } = JSON.parse(readFileSync(`${root}package.json`, "utf8"));

for (const [name, target] of Object.entries(exports)) {
  if (typeof target === "string") continue;
  const result = await build({
    entryPoints: [root + target.default],
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    external: ["node:*"],
    write: false,
  });
  const code = result.outputFiles[0].contents;
  const kib = (bytes) => (bytes / 1024).toFixed(1).padStart(7);
  console.log(
    `${name.padEnd(12)} ${kib(code.length)} KiB minified ${kib(gzipSync(code, { level: 9 }).length)} KiB gzipped`,
  );
}
