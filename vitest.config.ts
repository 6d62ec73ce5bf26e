import { defineConfig } from "vitest/config";

/** Folders of test/ whose tests need more than Node and openssl; each is a project with an npm script of its own. */
const peers = ["interop", "conformance", "runtimes", "browser", "bogo"];

/** Errors say here what they say everywhere but in the lean entry point, whichever modules a test imports. */
const common = { testTimeout: 30_000, hookTimeout: 60_000, setupFiles: ["src/explained.ts"] };
const report = process.env.VITEST_REPORT;

export default defineConfig({
  test: {
    reporters: report === undefined ? ["default"] : ["default", ["json", { outputFile: report }]],
    projects: [
      {
        test: {
          ...common,
          name: "self",
          include: ["test/**/*.test.ts"],
          exclude: peers.map((name) => `test/${name}/**`),
        },
      },
      ...peers.map((name) => ({ test: { ...common, name, include: [`test/${name}/**/*.test.ts`] } })),
    ],
  },
});
