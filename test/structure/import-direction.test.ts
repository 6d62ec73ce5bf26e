import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { documentUses, imports, violations } from "./import-graph.ts";

const root = fileURLToPath(new URL("../../src/", import.meta.url));
const sources = new Map(
  readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .map((path) => [path, readFileSync(root + path, "utf8")]),
);

describe("import direction", () => {
  it("holds in src", () => {
    expect(sources.size).toBeGreaterThan(5);
    expect([...sources.values()].flatMap(imports).length).toBeGreaterThan(5);
    expect(violations(sources)).toEqual([]);
  });

  const legal = new Map([
    ["errors.ts", ""],
    ["bytes/reader.ts", 'import { fault } from "../errors.ts";'],
    ["record/frame.ts", 'import { Reader } from "../bytes/reader.ts";\nexport * from "../errors.ts";'],
    ["handshake/client.ts", 'import { Reader } from "../bytes/reader.ts";'],
    ["crypto/noble.ts", 'import { x25519 } from "@noble/curves/ed25519.js";'],
    ["crypto/node.ts", 'import { createHash } from "node:crypto";'],
    ["transport/node.ts", 'import type { Socket } from "node:net";'],
    ["relay/relay.ts", 'import "node:http";\nimport { WebSocketServer } from "ws";'],
    ["gateway/node/proxy.ts", 'import { request } from "node:http";'],
    ["pki/ca.ts", 'import * as asn1js from "asn1js";\nimport { Certificate } from "pkijs";'],
    ["cli/main.ts", 'const ca = await import("./ca.ts");'],
    ["cli/ca.ts", 'import "node:fs";\nimport { issue } from "../pki/ca.ts";'],
    ["index.ts", 'export { client } from "./handshake/client.ts";'],
    ["inspect/page/view/dom.ts", ""],
    ["inspect/page/run.ts", 'import { client } from "../../handshake/client.ts";'],
    ["inspect/page/main.ts", 'import { el } from "./view/dom.ts";\nimport { run } from "./run.ts";'],
  ]);

  it("accepts a graph that keeps it", () => {
    expect(violations(legal)).toEqual([]);
  });

  it.each([
    ["upwards", "bytes/reader.ts", 'import { x } from "../record/frame.ts";', "bytes stands before record"],
    ["of a type upwards", "errors.ts", 'import type { X } from "./bytes/reader.ts";', "errors stands before bytes"],
    ["in a type", "errors.ts", 'type X = import("./bytes/reader.ts").X;', "errors stands before bytes"],
    ["re-export", "errors.ts", 'export * from "./bytes/reader.ts";', "errors stands before bytes"],
    ["over several lines", "errors.ts", 'import {\n  a,\n  b,\n} from "./index.ts";', "errors stands before index"],
    ["for effect", "errors.ts", 'import "./index.ts";', "errors stands before index"],
    ["after a comment", "errors.ts", '/* a */ import { a } from "./index.ts"; // b', "errors stands before index"],
    ["of the record layer", "handshake/client.ts", 'import "../record/frame.ts";', "handshake never imports record"],
    ["lazily", "handshake/client.ts", 'await import("../record/frame.ts");', "handshake never imports record"],
    ["of pkijs", "x509/parse.ts", 'import { Certificate } from "pkijs";', "only pki may import it"],
    ["of asn1js", "cli/main.ts", 'import { fromBER } from "asn1js";', "only pki may import it"],
    ["of noble", "schedule/hkdf.ts", 'import { hmac } from "@noble/hashes/hmac.js";', "only crypto may import it"],
    ["of node-forge", "pki/pkcs12.ts", 'import rc2 from "node-forge/lib/rc2.js";', "only crypto may import it"],
    ["of ws", "transport/web-socket.ts", 'import { WebSocket } from "ws";', "only relay may import it"],
    ["of all of node-forge", "crypto/a.ts", 'import x from "node-forge";', "the package has no place in the rules"],
    ["of an unknown package", "cli/main.ts", 'import x from "left-pad";', "the package has no place in the rules"],
    ["of node:crypto", "crypto/noble.ts", 'import "node:crypto";', "Node built-ins are not allowed here"],
    [
      "of node:net",
      "transport/streams.ts",
      'import { Socket } from "node:net";',
      "Node built-ins are not allowed here",
    ],
    ["of node:http", "gateway/policy.ts", 'import "node:http";', "Node built-ins are not allowed here"],
    ["of a built-in without prefix", "cli/main.ts", 'import fs from "fs";', "the package has no place in the rules"],
    ["of the page", "inspect/trace.ts", 'import { run } from "./page/run.ts";', "may import from inspect/page/"],
    ["of the page's view", "inspect/page/run.ts", 'import "./view/dom.ts";', "may import from inspect/page/view/"],
    ["of nothing", "cli/main.ts", 'import "./absent.ts";', "no such module in src"],
    ["from a new folder", "util/a.ts", 'import "../errors.ts";', "util has no place in the order"],
    ["of a computed name", "cli/main.ts", "await import(name);", "an import must name its module literally"],
  ])("finds an import %s", (_, path, text, rule) => {
    const found = violations(new Map([...legal, [path, text]]));
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(`${path} -> `);
    expect(found[0]).toContain(rule);
  });

  it("does not take comments and strings for imports", () => {
    expect(
      imports('/**\n * import { connect } from "mutls";\n */\n// import "x"\nexport const a = "b"; // from "c"'),
    ).toEqual([]);
    expect(imports('const url = "https://a"; import("./b.ts")')).toEqual(["./b.ts"]);
  });
});

describe("a browser's document", () => {
  it("is touched by the page's view alone, and nothing parses HTML", () => {
    expect([...sources.keys()].filter((path) => path.startsWith("inspect/page/view/")).length).toBeGreaterThan(5);
    expect(documentUses(sources)).toEqual([]);
  });

  it.each([
    ["engine/engine.ts", 'document.createElement("p")', "document."],
    ["inspect/page/run.ts", "const node: HTMLElement = make()", "HTMLElement"],
    ["inspect/page/view/dom.ts", "element.innerHTML = text", "innerHTML"],
    ["inspect/page/main.ts", "eval(text)", "eval"],
  ])("is found in %s", (path, text, what) => {
    expect(documentUses(new Map([[path, text]]))).toEqual([`${path}: ${what}`]);
  });

  it("is not found where it may be", () => {
    expect(documentUses(new Map([["inspect/page/view/dom.ts", 'document.createElement("p")']]))).toEqual([]);
    expect(documentUses(new Map([["engine/engine.ts", "// the document\nconst a = 1;"]]))).toEqual([]);
  });
});
