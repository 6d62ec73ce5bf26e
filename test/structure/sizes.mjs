// What an application's bundle grows by, minified and gzipped: what it imports, and each entry point as a whole. Fails
// where a budget is exceeded.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const root = fileURLToPath(new URL("../../", import.meta.url));
const { exports } = JSON.parse(readFileSync(`${root}package.json`, "utf8"));

/** KB of 1000 bytes. `aim`: what the budget is to come down to; printed as long as it is not met. */
const CLIENTS = [
  {
    name: "lean client",
    budget: 51.5,
    aim: 24,
    code: 'export { connect } from "mutls/lean";',
  },
  {
    name: "lean client, every feature",
    budget: 56.5,
    code: `import { compressedCertificates, connect, greasing, recordLimits } from "mutls/lean";
      import { postHandshakeAuthentication, preSharedKeys } from "mutls/lean";
      const features = [compressedCertificates, greasing, postHandshakeAuthentication, preSharedKeys, recordLimits];
      export const open = (stream, options) => connect(stream, { features, ...options });`,
  },
  {
    name: "lean client, ML-KEM",
    budget: 58.5,
    code: `import { connect, createLeanProvider } from "mutls/lean";
      import { mlKem768 } from "mutls/noble";
      const provider = createLeanProvider({ mlKem768 });
      export const open = (stream, options) => connect(stream, { provider, ...options });`,
  },
  {
    name: "client, noble as fallback",
    // Half a kilobyte more since every record may be protected later.
    budget: 82.5,
    aim: 54,
    code: `import { connect, createWebCryptoProvider } from "mutls/lean";
      import { classicalProvider } from "mutls/noble";
      const provider = createWebCryptoProvider({ fallback: classicalProvider });
      export const open = (stream, options) => connect(stream, { provider, ...options });`,
  },
  { name: "client, also ML-KEM", budget: 94, aim: 60, code: 'export { connect } from "mutls";' },
];

/** What each value that a lean client can be given adds to it: README's table. */
const FEATURES = [
  "preSharedKeys",
  "postHandshakeAuthentication",
  "compressedCertificates",
  "recordLimits",
  "greasing",
].map((name) => ({
  name,
  code: `import { connect, ${name} } from "mutls/lean";
    export const open = (stream, options) => connect(stream, { features: [${name}], ...options });`,
}));
const EXTRAS = [
  ...FEATURES,
  { name: "explainErrors()", code: 'export { connect, explainErrors } from "mutls/lean";' },
  {
    name: "createWebCryptoProvider()",
    code: `import { connect, createWebCryptoProvider } from "mutls/lean";
      const provider = createWebCryptoProvider();
      export const open = (stream, options) => connect(stream, { provider, ...options });`,
  },
  { name: "mlKem768", code: CLIENTS[2].code },
  { name: "webSocketStream()", code: 'export { connect, webSocketStream } from "mutls/lean";' },
  { name: "viaRelay()", code: 'export { connect, viaRelay } from "mutls/lean";' },
  {
    name: "createFetch()",
    code: `import { createFetch } from "mutls/http";
      import { clientContext, connect } from "mutls/lean";
      export { connect };
      export const fetch = createFetch({ clientContext });`,
  },
];

const sum = async (code, platform) => {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: root },
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    platform,
    write: false,
  });
  const bytes = outputFiles[0].contents;
  return { minified: bytes.length / 1000, gzipped: gzipSync(bytes, { level: 9 }).length / 1000 };
};

let exceeded = false;
for (const { name, code, budget, aim } of CLIENTS) {
  const { minified, gzipped } = await sum(code, "browser");
  const over = gzipped > budget;
  exceeded ||= over;
  const wanted = gzipped > aim ? `, aim ${aim} KB` : "";
  print(name, minified, gzipped, `budget ${budget} KB${over ? ", EXCEEDED" : ""}${wanted}`);
}
const lean = (await sum(CLIENTS[0].code, "browser")).gzipped;
for (const { name, code } of EXTRAS) {
  const { gzipped } = await sum(code, "browser");
  console.log(`lean client, ${name}: ${(gzipped - lean).toFixed(1)} KB gzipped more`);
}
for (const [name, target] of Object.entries(exports)) {
  if (typeof target === "string") continue;
  const { minified, gzipped } = await sum(`export * from "mutls${name.slice(1)}";`, "node");
  print(`all of mutls${name.slice(1)}`, minified, gzipped, "");
}
if (exceeded) process.exitCode = 1;

function print(name, minified, gzipped, note) {
  const kb = (size) => size.toFixed(1).padStart(6);
  console.log(`${name.padEnd(27)} ${kb(minified)} KB minified ${kb(gzipped)} KB gzipped  ${note}`.trimEnd());
}
