import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** The modules of src/ that a module needs when it runs. */
async function needed(path: string): Promise<string[]> {
  const { metafile } = await build({
    entryPoints: [`${root}${path}`],
    absWorkingDir: root,
    bundle: true,
    write: false,
    metafile: true,
    format: "esm",
    platform: "browser",
    logLevel: "silent",
  });
  return Object.keys(metafile.inputs);
}

describe("watching others' connections", () => {
  it("runs no handshake of its own, and no engine", async () => {
    const modules = await needed("src/inspect/capture/inspect.ts");
    expect(modules).toEqual(expect.arrayContaining(["src/record/protection.ts", "src/schedule/secrets.ts"]));
    expect(modules.filter((path) => /^src\/(handshake|engine|transport|node|pki)\//.test(path))).toEqual([]);
  });
});
