// Where a lean client's bytes are: minified, by layer; and what it would be, gzipped, with nothing but the protocol, X.509,
// crypto/ and noble being holes.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** The first that fits. */
const PARTS = [
  ["noble", /@noble\//],
  ["x509/, with DER and PEM", /dist\/(?:x509\/|bytes\/(?:der|pem)\.)/],
  ["crypto/: WebCrypto, keys, signatures", /dist\/crypto\//],
  ["engine/", /dist\/engine\//],
  ["handshake/ and schedule/", /dist\/(?:handshake|schedule)\//],
  ["transport/", /dist\/transport\//],
  ["codec/ and record/", /dist\/(?:codec|record)\//],
  ["errors.ts, flow.ts, bytes/ and the rest", /./],
];
const HOLES = PARTS.slice(0, 3).map(([, path]) => path);

const whole = await bundle([]);
for (const [name, path] of PARTS) {
  const own = Object.entries(whole.inputs).filter(
    ([input]) => PARTS.find(([, part]) => part.test(input))?.[1] === path,
  );
  print(name, own.reduce((sum, [, { bytesInOutput }]) => sum + bytesInOutput, 0) / 1000, "minified");
}
print("all of it", whole.bytes.length / 1000, "minified");
print("all of it", gzipped(whole.bytes), "gzipped");
print("with holes for the first three", gzipped((await bundle(HOLES)).bytes), "gzipped");

async function bundle(missing) {
  const holes = {
    name: "holes",
    setup({ onLoad }) {
      onLoad({ filter: /\.js$/ }, ({ path }) =>
        missing.some((part) => part.test(path)) ? { contents: exportsOnly(readFileSync(path, "utf8")) } : undefined,
      );
    },
  };
  const { outputFiles, metafile } = await build({
    stdin: { contents: 'export { connect } from "mutls/lean";', resolveDir: root },
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    platform: "browser",
    metafile: true,
    write: false,
    plugins: [holes],
  });
  const [{ inputs }] = Object.values(metafile.outputs);
  return { bytes: outputFiles[0].contents, inputs };
}

/** A module with the same exports, all of them missing at run time. */
function exportsOnly(source) {
  const declared = source.matchAll(/^export (?:async )?(?:function\*?|(?:abstract )?class|const|let) +([\w$]+)/gm);
  const listed = source.matchAll(/^export \{([^}]*)\}/gm);
  const names = new Set([
    ...[...declared].map(([, name]) => name),
    ...[...listed].flatMap(([, list]) => list.split(",").map((item) => item.trim().split(/ as /).at(-1))),
  ]);
  return [...names]
    .filter(Boolean)
    .map((name) => `export const ${name} = globalThis.missing;`)
    .join("\n");
}

function gzipped(bytes) {
  return gzipSync(bytes, { level: 9 }).length / 1000;
}

/** KB of 1000 bytes. */
function print(name, kb, how) {
  console.log(`${name.padEnd(42)} ${kb.toFixed(1).padStart(6)} KB ${how}`);
}
