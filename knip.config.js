import { readFileSync } from "node:fs";

const { bin, exports } = JSON.parse(readFileSync(new URL("./package.json", import.meta.url), "utf8"));

/** What package.json publishes from dist/ stands in src/. */
const published = [...Object.values(bin), ...Object.values(exports).map((target) => target.default ?? "")]
  .filter((path) => path !== "")
  .map((path) => path.replace(/^(\.\/)?dist\//, "src/").replace(/\.js$/, ".ts"));

export default {
  entry: [...published, "test/**/*.test.ts"],
  project: ["src/**/*.ts", "test/**/*.{ts,mjs}", "bench/**/*.{ts,mjs}", "vectors/**/*.ts"],
  ignoreExportsUsedInFile: { interface: true, type: true },
};
