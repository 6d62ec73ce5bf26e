/** Which module of src/ imports what, and the rules that the graph must keep. */

/** The order of the folders: each imports only itself and what stands before it. */
const ORDER = [
  "errors",
  "causes",
  "explained",
  "flow",
  "bytes",
  "codec",
  "crypto",
  "x509",
  "schedule",
  "record",
  "handshake",
  "engine",
  "pki",
  "transport",
  "node",
  "relay",
  "http",
  "inspect",
  "gateway",
  "bench",
  "cli",
  "lean",
  "index",
] as const;

/** What may not be imported although it stands before the importer. */
const FORBIDDEN: readonly { readonly from: string; readonly to: string }[] = [{ from: "handshake", to: "record" }];

/** Folders that only the named modules may import: the web page, in which what touches the document stands by itself. */
const PRIVATE: readonly { readonly folder: string; readonly importers: readonly string[] }[] = [
  { folder: "inspect/page/", importers: ["inspect/page/"] },
  { folder: "inspect/page/view/", importers: ["inspect/page/view/", "inspect/page/main.ts"] },
];

/** Packages that only the named folders may import. Any other package is refused. */
const PACKAGES: readonly { readonly name: RegExp; readonly folders: readonly string[] }[] = [
  { name: /^@noble\//, folders: ["crypto"] },
  { name: /^micro-rsa-dsa-dh(\/|$)/, folders: ["crypto"] },
  { name: /^node-forge\/lib\/(des|rc2|util)\.js$/, folders: ["crypto"] },
  { name: /^(pkijs|asn1js)$/, folders: ["pki"] },
  { name: /^ws$/, folders: ["relay"] },
];

/** Where Node's built-in modules may be imported, as paths below src/. */
const NODE_BUILTINS = [
  /^node\//,
  /^relay\//,
  /^gateway\/node\//,
  /^crypto\/node[^/]*\.ts$/,
  /^cli\//,
  /^transport\/node[^/]*\.ts$/,
  /^bench\//,
];

/** Path below src/ (`codec/schema.ts`) to the module's text. */
export type Sources = ReadonlyMap<string, string>;

/** Every way in which `sources` breaks the rules, as `importer -> import: rule`. */
export function violations(sources: Sources): string[] {
  const found: string[] = [];
  for (const [path, text] of sources) {
    for (const specifier of imports(text)) {
      const rule =
        specifier === undefined ? "an import must name its module literally" : broken(path, specifier, sources);
      if (rule !== undefined) found.push(`${path} -> ${specifier ?? "?"}: ${rule}`);
    }
  }
  return found;
}

/** Modules of the page that may touch the document. */
const WITH_DOCUMENT = /^inspect\/page\/(view\/|main\.ts$)/;
const DOCUMENT = /\b(?:document\.|HTML\w*Element\b|KeyboardEvent\b|MouseEvent\b)/;
/** Whoever has these would parse text from elsewhere as HTML, or run it. */
const PARSES = /\b(?:innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|DOMParser|document\.write|eval)\b/;

/** Modules that use a browser's document and may not, or parse HTML, which none may, as `path: what`. */
export function documentUses(sources: Sources): string[] {
  return [...sources].flatMap(([path, text]) => {
    const code = withoutComments(text);
    const found = PARSES.exec(code)?.[0] ?? (WITH_DOCUMENT.test(path) ? undefined : DOCUMENT.exec(code)?.[0]);
    return found === undefined ? [] : [`${path}: ${found}`];
  });
}

/** The specifiers that `text` imports, re-exports or names in a type; `undefined` for a computed one. */
export function imports(text: string): (string | undefined)[] {
  const code = withoutComments(text);
  const found: (string | undefined)[] = [];
  for (const match of code.matchAll(/^[ \t]*(?:import|export)\b[^;"'`=]*?\bfrom\s*(["'])(.+?)\1/gm))
    found.push(match[2]);
  for (const match of code.matchAll(/^[ \t]*import\s*(["'])(.+?)\1/gm)) found.push(match[2]);
  for (const match of code.matchAll(/\b(?:import|require)\s*\(\s*(?:(["'])([^"']+)\1\s*[,)])?/g)) found.push(match[2]);
  return found;
}

function withoutComments(text: string): string {
  return text.replace(
    /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g,
    (_, literal: string | undefined) => literal ?? " ",
  );
}

function broken(path: string, specifier: string, sources: Sources): string | undefined {
  const from = folder(path);
  const rank = ORDER.indexOf(from as (typeof ORDER)[number]);
  if (rank === -1) return `${from} has no place in the order`;
  if (specifier.startsWith("node:")) {
    return NODE_BUILTINS.some((place) => place.test(path)) ? undefined : "Node built-ins are not allowed here";
  }
  if (!specifier.startsWith(".")) {
    const known = PACKAGES.find(({ name }) => name.test(specifier));
    if (known === undefined) return "the package has no place in the rules";
    return known.folders.includes(from) ? undefined : `only ${known.folders.join(", ")} may import it`;
  }
  const target = new URL(specifier, `file:///${path}`).pathname.slice(1);
  if (!sources.has(target)) return "no such module in src";
  const to = folder(target);
  if (ORDER.indexOf(to as (typeof ORDER)[number]) > rank) return `${from} stands before ${to}`;
  const closed = PRIVATE.find(
    ({ folder, importers }) => target.startsWith(folder) && !importers.some((importer) => path.startsWith(importer)),
  );
  if (closed !== undefined) return `only ${closed.importers.join(", ")} may import from ${closed.folder}`;
  if (FORBIDDEN.some((pair) => pair.from === from && pair.to === to)) return `${from} never imports ${to}`;
  return undefined;
}

function folder(path: string): string {
  const slash = path.indexOf("/");
  return slash === -1 ? path.replace(/\.ts$/, "") : path.slice(0, slash);
}
