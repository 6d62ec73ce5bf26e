/** Finds the examples of the documentation and makes modules of them that compile and run. */
import { readdirSync, readFileSync } from "node:fs";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** A `ts` block of an `@example`, or of README.md. */
export interface Example {
  /** `src/x509/trust.ts:69`, the line on which the block begins. */
  readonly at: string;
  readonly path: string;
  readonly code: string;
}

/** The declarations that examples may name without importing them, by file. */
type Declarations = ReadonlyMap<string, ReadonlySet<string>>;

const BUILTINS = ["net", "fs", "tls"];

/** Every example there is. */
export function examples(): Example[] {
  const found = sources().flatMap((path) => fromSource(path));
  let readme: string;
  try {
    readme = readFileSync(`${root}README.md`, "utf8");
  } catch {
    return found;
  }
  return [...found, ...blocks(readme.split("\n"), "README.md")];
}

/** The text of the doc comment before an exported value's declaration; `default` is a constant exported at the end. */
export function docOf(name: string): string | undefined {
  const declaration =
    name === "default"
      ? /^const (\w+) = (?=[\s\S]*^export default \1;)/m
      : new RegExp(`^export (?:async )?(?:function|const|class) ${name}\\b`, "m");
  for (const path of sources()) {
    const text = readFileSync(root + path, "utf8");
    const at = text.search(declaration);
    if (at === -1) continue;
    const before = text.slice(0, at).trimEnd();
    return before.endsWith("*/") ? before.slice(before.lastIndexOf("/**")) : "";
  }
  return undefined;
}

/**
 * The module for an example: imports for what the project declares, what is `given`, then the example itself. A
 * `console.log(x); // y` claims that y is logged, and is held to it.
 *
 * @param folder - Where the module will stand, below the root.
 * @param given - Names that the prelude supplies.
 */
export function moduleOf({ code, path }: Example, folder: string, given: readonly string[]): string {
  const up = relative(`/${folder}`, "/");
  const words = new Set(code.replace(/\/\/.*$/gm, "").match(/(?<![.\w"'-])[A-Za-z_$][\w$]*/g) ?? []);
  const own = new Set([...code.matchAll(/\b(?:const|let|function|class)\s+([A-Za-z_$][\w$]*)/g)].map((m) => m[1]));
  for (const [, list] of code.matchAll(/\b(?:const|let)\s*[{[]([^}\]]*)[}\]]\s*=/g)) {
    for (const name of (list as string).match(/[A-Za-z_$][\w$]*(?=\s*(?:,|$))/g) ?? []) own.add(name);
  }
  for (const [, list] of code.matchAll(/^import (?:type )?(.+?) from/gm))
    for (const name of (list as string).match(/[\w$]+/g) ?? []) own.add(name);
  const wanted = [...words].filter((name) => !own.has(name));
  const lines = [`import { prelude } from "${up}/test/docs/prelude.ts";`];
  for (const name of wanted.filter((word) => BUILTINS.includes(word)))
    lines.push(`import * as ${name} from "node:${name}";`);
  for (const name of wanted.filter((word) => !given.includes(word))) {
    const file = declaring(name, path);
    if (file !== undefined) lines.push(`import { ${name} } from "${up}/${file}";`);
    const types = file === undefined ? declaringType(name, path) : undefined;
    if (types !== undefined) lines.push(`import type { ${name} } from "${up}/${types}";`);
  }
  for (const name of wanted.filter((word) => given.includes(word)))
    lines.push(`const ${name} = await prelude.${name}();`);
  const claims = code.replace(/console\.log\((.*)\);(\s*)\/\/ (.+)$/gm, (_, value, space, text) => {
    return `prelude.claim(${JSON.stringify(text)}, ${value});${space}`;
  });
  return `${lines.join("\n")}\n${published(claims, up)}\nexport {};\n`;
}

/** Imports by package name, as they stand in README.md, lead into src. */
function published(code: string, up: string): string {
  const { exports } = JSON.parse(readFileSync(`${root}package.json`, "utf8"));
  return code.replace(/from "mutls(\/[\w/]+)?"/g, (_, subpath = "") => {
    const target = exports[`.${subpath}`]?.default as string | undefined;
    if (target === undefined) throw new Error(`mutls${subpath} is not published`);
    return `from "${target.replace("./dist/", `${up}/src/`).replace(/\.js$/, ".ts")}"`;
  });
}

/** The file whose export an example means: its own, then an entry point's, then the only one of that name. */
function declaring(name: string, path: string): string | undefined {
  const files = [...declarations()].filter(([, names]) => names.has(name)).map(([file]) => file);
  // What the platform has, too, is the platform's everywhere but in its own folder.
  if (name in globalThis) return files.find((file) => path.startsWith(file.slice(0, file.lastIndexOf("/") + 1)));
  const entry = path.startsWith("src/node/") ? "src/node/index.ts" : "src/index.ts";
  return files.find((file) => file === path) ?? files.find((file) => file === entry) ?? files[0];
}

function declaringType(name: string, path: string): string | undefined {
  const files = [...types()].filter(([, names]) => names.has(name)).map(([file]) => file);
  return files.find((file) => file === path) ?? files[0];
}

let values: Declarations | undefined;
function declarations(): Declarations {
  values ??= matching(/^export (?:async )?(?:function|const|class)\*? ([A-Za-z_$][\w$]*)/gm);
  return values;
}

let typeNames: Declarations | undefined;
function types(): Declarations {
  typeNames ??= matching(/^export (?:interface|type) ([A-Za-z_$][\w$]*)/gm);
  return typeNames;
}

function matching(declaration: RegExp): Declarations {
  return new Map(
    sources().map((path) => {
      const names = readFileSync(root + path, "utf8").matchAll(declaration);
      return [path, new Set(Array.from(names, (match) => match[1] as string))];
    }),
  );
}

function sources(): string[] {
  return readdirSync(`${root}src`, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .map((path) => `src/${path}`)
    .sort();
}

function fromSource(path: string): Example[] {
  const lines = readFileSync(root + path, "utf8").split("\n");
  return blocks(
    lines.map((line) => line.replace(/^\s*\* ?/, "")),
    path,
  );
}

function blocks(lines: readonly string[], path: string): Example[] {
  const found: Example[] = [];
  let start: number | undefined;
  lines.forEach((line, index) => {
    if (/^```ts\b/.test(line)) start = index + 1;
    else if (start !== undefined && line.startsWith("```")) {
      found.push({ at: `${path}:${start}`, path, code: lines.slice(start, index).join("\n") });
      start = undefined;
    }
  });
  return found;
}
