import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { createContext, runInContext } from "node:vm";
import { build } from "esbuild";
import { describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));
const { exports, sideEffects } = JSON.parse(readFileSync(`${root}package.json`, "utf8"));

/** For Node alone. */
const NODE_ONLY = ["./node", "./tls", "./ca", "./gateway", "./relay", "./package.json"];
const entries = Object.keys(exports).filter((name) => !NODE_ONLY.includes(name));

/** Conditions with which bundlers for each platform resolve packages. */
const PLATFORMS = { browser: ["browser"], workerd: ["workerd", "worker", "browser"] };

function source(name: string): string {
  return exports[name].default.replace("./dist/", "src/").replace(/\.js$/, ".ts");
}

/** The entry point as one script, with the modules in it. Fails on an import that the platform has not. */
async function bundled(contents: string, conditions: readonly string[] = []) {
  const { outputFiles, metafile } = await build({
    stdin: { contents, resolveDir: root, sourcefile: "entry.js" },
    bundle: true,
    write: false,
    metafile: true,
    format: "iife",
    target: "es2022",
    platform: "browser",
    conditions: [...conditions],
    logLevel: "silent",
  });
  const [output] = Object.values(metafile.outputs);
  /** Those of which something is left. */
  const kept = Object.entries(output?.inputs ?? {}).filter(([, { bytesInOutput }]) => bytesInOutput > 0);
  return {
    code: outputFiles[0]?.text as string,
    modules: Object.keys(metafile.inputs),
    kept: kept.map(([path]) => path),
  };
}

const everything = (name: string) => `import * as all from "./${source(name)}"; globalThis.keep?.(all);`;

/**
 * What an entry point asks for as it is loaded. noble's curves look for randomness, and need none there: see SECURITY.md on
 * blinding. pkijs looks for WebCrypto and for Node to set up an engine of its own, which nothing here uses.
 */
const ASKED_FOR: Readonly<Record<string, readonly string[]>> = {
  ".": ["crypto"],
  "./http": ["crypto"],
  "./noble": ["crypto"],
  "./pki": ["crypto", "process"],
};

/** What every JavaScript engine has, whatever runs it. */
const LANGUAGE = new Set<string>(runInContext("Object.getOwnPropertyNames(globalThis)", createContext({})));
/** Encoding text does nothing that is seen outside. */
const TEXT = { TextEncoder, TextDecoder };
const HOST = Object.getOwnPropertyNames(globalThis).filter((name) => !LANGUAGE.has(name) && !Object.hasOwn(TEXT, name));

/** What of its host, of time and of chance a script has asked for while it was loaded. */
function touched(code: string): string[] {
  const found: string[] = [];
  const host = { ...TEXT };
  for (const name of HOST) {
    const get = () => {
      found.push(name);
      return name === "crypto" ? {} : undefined;
    };
    Object.defineProperty(host, name, { configurable: true, get });
  }
  const context = createContext(Object.assign(host, { touch: (name: string) => found.push(name) }));
  runInContext(
    `Math.random = () => { touch("Math.random"); return 0.5; };
     Date = new Proxy(Date, {
       construct: (target, args) => { touch("new Date"); return Reflect.construct(target, args); },
       get: (target, name) => { touch("Date." + String(name)); return target[name]; },
     });`,
    context,
  );
  runInContext(code, context);
  return found;
}

describe("entry points", () => {
  it("are there", () => {
    expect(entries).toEqual(expect.arrayContaining([".", "./lean", "./webcrypto", "./noble", "./engine"]));
    expect(HOST).toEqual(expect.arrayContaining(["crypto", "process", "Buffer", "setTimeout", "performance", "fetch"]));
  });

  describe.each(entries)("mutls %s", (name) => {
    it.each(Object.entries(PLATFORMS))("needs nothing of Node's in %s", async (_, conditions) => {
      const { modules } = await bundled(everything(name), conditions);
      expect(modules.length).toBeGreaterThan(5);
      expect(modules.filter((path) => /^node:|node-?(polyfill|libs)/.test(path))).toEqual([]);
    });

    it("asks its host for nothing when it is imported", async () => {
      const { code } = await bundled(everything(name));
      const asked = new Set(touched(code));
      asked.delete("keep");
      expect([...asked]).toEqual(ASKED_FOR[name] ?? []);
    });
  });

  it.each([
    ["crypto.getRandomValues(new Uint8Array(1))", "crypto"],
    ["process.version", "process"],
    ["setTimeout(() => {})", "setTimeout"],
    ["globalThis.fetch", "fetch"],
    ["globalThis.chance = Math.random()", "Math.random"],
    ["globalThis.now = Date.now()", "Date.now"],
    ["globalThis.now = new Date()", "new Date"],
  ])("are caught at %s", (code, what) => {
    expect(touched(`try { ${code} } catch {}`)).toContain(what);
  });

  it.each(["crypto", "fs", "net"])("are caught importing node:%s", async (name) => {
    await expect(bundled(`import * as all from "node:${name}"; console.log(all);`)).rejects.toThrow(
      "Could not resolve",
    );
  });

  it("have no curve, no ML-KEM and no RSA in the lean one", async () => {
    const libraries = async (contents: string) =>
      new Set(
        (await bundled(contents)).modules
          .map((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1])
          .filter((library) => library !== undefined),
      );
    expect(await libraries(everything("./lean"))).toEqual(new Set(["@noble/hashes", "@noble/ciphers"]));
    // A client has no cipher either: its records are the platform's.
    const client = await bundled(`import { connect } from "./src/lean.ts"; globalThis.keep?.(connect);`);
    expect(client.kept.filter((path) => path.includes("@noble/")).every((path) => path.includes("@noble/hashes"))).toBe(
      true,
    );
    expect(await libraries(everything("."))).toEqual(
      new Set(["@noble/hashes", "@noble/ciphers", "@noble/curves", "@noble/post-quantum", "micro-rsa-dsa-dh"]),
    );
  });

  /** What each value that a lean client may be given brings along, and nothing else does. */
  const BROUGHT = {
    preSharedKeys: ["handshake/client-psk", "handshake/psk", "handshake/session", "engine/psk", "engine/scope"],
    postHandshakeAuthentication: ["handshake/client-answer", "engine/answers"],
    compressedCertificates: ["handshake/compression"],
    recordLimits: ["handshake/record-limits"],
    greasing: ["handshake/grease"],
    sessionCache: ["engine/resumption"],
    explainErrors: ["causes"],
    accept: ["handshake/server", "handshake/opening", "engine/requests", "engine/server-options", "transport/requests"],
    revocationChecker: ["x509/revocation", "x509/crl", "x509/ocsp"],
    padTo: ["engine/padding"],
    pinnedVerifier: ["x509/pins"],
    webZlibCompression: ["transport/compression"],
    webSocketStream: ["transport/web-socket", "transport/relay-protocol"],
    viaRelay: ["transport/relay"],
  };

  it("carry in a lean client what was imported and nothing else", async () => {
    const brought = async (names: string) => {
      const { kept } = await bundled(`import { ${names} } from "./src/lean.ts"; globalThis.keep?.(${names});`);
      return Object.values(BROUGHT)
        .flat()
        .filter((module) => kept.includes(`src/${module}.ts`));
    };
    expect(await brought("connect")).toEqual([]);
    for (const [name, modules] of Object.entries(BROUGHT)) {
      const found = await brought(`connect, ${name}`);
      expect([name, modules.filter((module) => !found.includes(module))]).toEqual([name, []]);
    }
  });

  it("have neither pkijs nor asn1js where nothing is issued", async () => {
    const issuing = async (name: string) => {
      const { modules } = await bundled(everything(name));
      return modules.filter((path) =>
        /node_modules\/(pkijs|asn1js|@peculiar\/utils|bytestreamjs)\/|src\/pki\//.test(path),
      );
    };
    for (const name of entries) expect((await issuing(name)).length > 0, name).toBe(name === "./pki");
  });

  it.each(["connect, nobleProvider", "createWebCryptoProvider, nobleProvider"])(
    "have no X448, no Ed448, no ML-DSA and no other hybrid where { %s } is all that is imported",
    async (names) => {
      const { kept } = await bundled(`import { ${names} } from "./src/index.ts"; globalThis.keep?.(${names});`);
      expect(kept.filter((path) => /ml-kem\.js$/.test(path))).toHaveLength(1);
      expect(kept.filter((path) => /ed448\.js$|ml-dsa\.js$|-extras\.ts$/.test(path))).toEqual([]);
    },
  );

  it("have no curve and no ML-KEM with a fetch that is made for the lean one", async () => {
    const { kept } = await bundled(`import { createFetch } from "./src/http/index.ts";
      import { clientContext } from "./src/lean.ts";
      globalThis.keep?.(createFetch, clientContext);`);
    expect(kept.filter((path) => /^src\/http\//.test(path)).length).toBeGreaterThan(5);
    expect(kept.filter((path) => /@noble\/(curves|post-quantum)|micro-rsa|causes\.ts$/.test(path))).toEqual([]);
  });

  it("have of these what is imported and nothing else", async () => {
    const { kept } = await bundled(
      `import { nobleProvider, withExtras, x448 } from "./src/crypto/noble.ts";
       globalThis.keep?.(withExtras(nobleProvider, { groups: [x448] }));`,
    );
    expect(kept.filter((path) => /ed448\.js$/.test(path))).toHaveLength(1);
    expect(kept.filter((path) => /ml-dsa\.js$/.test(path))).toEqual([]);
  });
});

describe("the parts of the gateway that are rules", () => {
  /** They decide wherever a policy is to be tried out; what is Node's about the gateway is in a folder of its own. */
  it.each(["policy/policy", "judge", "fields/identity", "fields/request", "audit/log", "metrics/gateway"])(
    "need nothing of Node's: %s",
    async (name) => {
      const { modules } = await bundled(`import * as all from "./src/gateway/${name}.ts"; globalThis.keep?.(all);`);
      expect(modules.filter((path) => /^node:|node-?(polyfill|libs)|gateway\/node\//.test(path))).toEqual([]);
      expect(modules.length).toBeGreaterThan(2);
    },
  );
});

describe("errors", () => {
  const message = async (name: string) => {
    const { code } = await bundled(`import { resolveIdentity as read } from "./src/engine/identity.ts";
      import * as all from "./${source(name)}";
      globalThis.message = "";
      try { read({ cert: "", key: "" }, {}); } catch (error) { globalThis.message = error.message; }
      globalThis.keep?.(all);`);
    const context = createContext({ ...TEXT, crypto: {} }) as { message?: string };
    runInContext(code, context);
    return context.message;
  };

  it.each([".", "./engine"])("say in words what they mean in mutls %s", async (name) => {
    expect(await message(name)).toBe("a PEM or DER input cannot be read: no certificate in the PEM");
  });

  it("say it with their code in the lean one, which has the words for those who ask", async () => {
    expect(await message("./lean")).toBe("ERR_TLS_PEM: no certificate in the PEM");
    const { kept } = await bundled('import { connect } from "./src/lean.ts"; globalThis.keep?.(connect);');
    expect(kept.filter((path) => /causes\.ts$/.test(path))).toEqual([]);
  });

  it.each(NODE_ONLY.filter((name) => name.startsWith("./") && !name.endsWith(".json")))(
    "say in words what they mean in mutls %s",
    (name) => {
      const path = source(name);
      expect(readFileSync(`${root}${path}`, "utf8")).toMatch(/^import "(\.\.\/)+explained\.ts";$/m);
      expect(sideEffects).toContain(`./${path}`);
    },
  );

  it("and bundlers are told where they get their words", () => {
    const entry = entries.filter(
      (name) => name !== "./lean" && /"(\.\.?\/)+explained\.ts"/.test(readFileSync(`${root}${source(name)}`, "utf8")),
    );
    expect(entry).toEqual([".", "./engine", "./pki"]);
    for (const name of [...entry, "./node", "./tls", "./ca", "./relay"]) {
      expect(sideEffects).toEqual(expect.arrayContaining([`./${source(name)}`, exports[name].default]));
    }
  });
});
