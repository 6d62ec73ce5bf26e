import { readFileSync } from "node:fs";

const { bin, exports } = JSON.parse(readFileSync(new URL("./package.json", import.meta.url), "utf8"));

/** What package.json publishes from dist/ stands in src/. */
const published = [...Object.values(bin), ...Object.values(exports).map((target) => target.default ?? "")]
  .filter((path) => path !== "")
  .map((path) => path.replace(/^(\.\/)?dist\//, "src/").replace(/\.js$/, ".ts"));

export default {
  entry: [
    ...published,
    "bench/main.ts",
    "src/inspect/page/{main.ts,serve.mjs}",
    "bench/costs/main.ts",
    "test/{bogo/shim,conformance/main}.ts",
    "test/**/*.test.ts",
    "test/{runtimes,browser}/*-main.ts",
    "test/interop/peers/{node,tool}.mjs",
    "test/node/ca/worker.mjs",
  ],
  project: ["src/**/*.{ts,mjs}", "test/**/*.{ts,mjs}", "bench/**/*.{ts,mjs}", "vectors/**/*.ts"],
  // Not packages: peers that the tests skip, by name, where they are missing, and what they are set up with.
  ignoreBinaries: ["openssl", "gnutls-cli", "dpkg-query", "certutil", "pk12util", "go", "tcpdump"],
  // `cloudflare:sockets` is workerd's own.
  ignoreDependencies: ["cloudflare"],
  ignoreExportsUsedInFile: { interface: true, type: true },
};
