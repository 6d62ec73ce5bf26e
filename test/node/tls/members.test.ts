import { readFileSync } from "node:fs";
import nodeTls from "node:tls";
import { beforeAll, describe, expect, it } from "vitest";
import viaNode from "../../../src/node/index.ts";
import * as published from "../../../src/node/tls/index.ts";
import { MEMBERS, type Support } from "../../../src/node/tls/members.ts";
import { type Identities, identities, mutls, type Tls } from "./world.ts";

/** The table of members is complete, and true. */

const declarations = (name: string) =>
  readFileSync(new URL(`../../../node_modules/@types/node/${name}.d.ts`, import.meta.url), "utf8").replace(
    /\/\*[\s\S]*?\*\/|\/\/.*$/gm,
    "",
  );
const TLS = declarations("tls");
const NET = declarations("net");

/** The text between the braces after `head`, and what it extends. */
function bodyOf(text: string, head: RegExp): { body: string; heads: string[] } {
  const match = head.exec(text);
  if (match === null) throw new Error(`${head} is not declared`);
  const open = text.indexOf("{", match.index);
  let depth = 0;
  for (let at = open; at < text.length; at++) {
    if (text[at] === "{") depth++;
    else if (text[at] === "}" && --depth === 0) {
      const heads = text
        .slice(match.index, open)
        .split(/extends|,/)
        .slice(1)
        .map((name) => name.trim());
      return { body: text.slice(open + 1, at), heads };
    }
  }
  throw new Error(`${head} does not end`);
}

/** What stands inside brackets of any kind is no member. */
function outermost(body: string): string {
  let depth = 0;
  let kept = "";
  for (const character of body) {
    if ("({[".includes(character)) depth++;
    if (depth === 0) kept += character;
    if (")}]".includes(character)) depth--;
  }
  return kept;
}

const LISTENING = ["addListener", "emit", "on", "once", "prependListener", "prependOnceListener"];

function membersOf(text: string, kind: "interface" | "class", name: string): { names: string[]; heads: string[] } {
  const { body, heads } = bodyOf(text, new RegExp(`\\b${kind} ${name}\\b`));
  const names = outermost(body)
    .split(";")
    .map((member) => /^\s*(?:readonly )?([A-Za-z_]\w*)/.exec(member)?.[1])
    .filter(
      (member): member is string => member !== undefined && member !== "constructor" && !LISTENING.includes(member),
    );
  const events = [...body.matchAll(/\bon\(\s*event: "(\w+)"/g)].map((match) => `on ${match[1]}`);
  return { names: [...new Set([...names, ...events])].sort(), heads };
}

describe("the table of members", () => {
  it.each([
    ["SecureContextOptions", TLS, "interface", [], 23],
    ["CommonConnectionOptions", TLS, "interface", [], 6],
    ["TLSSocketOptions", TLS, "interface", ["SecureContextOptions", "CommonConnectionOptions"], 4],
    ["TlsOptions", TLS, "interface", ["SecureContextOptions", "CommonConnectionOptions", "net.ServerOpts"], 5],
    ["ConnectionOptions", TLS, "interface", ["SecureContextOptions", "CommonConnectionOptions"], 11],
    ["ServerOpts", NET, "interface", [], 6],
    ["TLSSocket", TLS, "class", ["net.Socket"], 28],
    ["Server", TLS, "class", ["net.Server"], 10],
  ] as const)("has every member of %s", (name, text, kind, heads, least) => {
    const declared = membersOf(text, kind, name);
    expect(declared.heads).toEqual(heads);
    expect(declared.names.length).toBeGreaterThanOrEqual(least);
    expect(Object.keys(MEMBERS[name]).sort()).toEqual(declared.names);
  });

  it("has every value of the module", () => {
    const { body } = bodyOf(TLS, /declare module "tls"/);
    const names = [...body.matchAll(/^ {4}(?:function|const|let|class) (\w+)/gm)].map((match) => match[1]);
    expect(names.length).toBeGreaterThan(15);
    expect(Object.keys(MEMBERS.tls).sort()).toEqual([...new Set(names)].sort());
  });

  it("finds a member that is missing", () => {
    const text =
      'interface A extends B, c.D { a?: string; /* no: */ b(x: { y: 1; z: 2 }): void; on(event: "e", f: () => void): this; }';
    expect(membersOf(text.replace(/\/\*.*?\*\//, ""), "interface", "A")).toEqual({
      names: ["a", "b", "on e"],
      heads: ["B", "c.D"],
    });
  });
});

const refused = (group: Readonly<Record<string, Support>>) =>
  Object.entries(group).filter(([name, support]) => support !== true && !name.startsWith("on "));
const supported = (group: Readonly<Record<string, Support>>) =>
  Object.entries(group)
    .filter(([name, support]) => support === true && !name.startsWith("on "))
    .map(([name]) => name);

describe("what is supported", () => {
  it("is there", () => {
    for (const name of supported(MEMBERS.tls)) {
      expect(viaNode).toHaveProperty(name);
      expect(published).toHaveProperty(name);
      expect(nodeTls).toHaveProperty(name);
    }
    const socket = new mutls.TLSSocket(undefined as never);
    for (const name of supported(MEMBERS.TLSSocket)) expect(name in socket, name).toBe(true);
    const server = mutls.createServer();
    for (const name of supported(MEMBERS.Server)) expect(name in server, name).toBe(true);
    socket.destroy();
  });

  it("has the default values of the module, which may be assigned to", () => {
    const tls = { ...mutls } as Tls;
    expect(tls.DEFAULT_MAX_VERSION).toBe("TLSv1.3");
    mutls.DEFAULT_CIPHERS = "TLS_SM4_GCM_SM3";
    expect(() => mutls.createSecureContext()).toThrow(/TLS_SM4_GCM_SM3/);
    mutls.DEFAULT_CIPHERS = tls.DEFAULT_CIPHERS;
    mutls.DEFAULT_MAX_VERSION = "TLSv1.2";
    expect(() => mutls.createSecureContext()).toThrow(/maxVersion TLSv1.2/);
    mutls.DEFAULT_MAX_VERSION = tls.DEFAULT_MAX_VERSION;
    mutls.DEFAULT_ECDH_CURVE = "P-0";
    expect(() => mutls.createSecureContext()).toThrow(/P-0/);
    mutls.DEFAULT_ECDH_CURVE = tls.DEFAULT_ECDH_CURVE;
    mutls.DEFAULT_MIN_VERSION = tls.DEFAULT_MIN_VERSION;
    expect(mutls.createSecureContext()).toBeInstanceOf(published.SecureContext);
  });
});

describe("what is refused", () => {
  let p: Identities;
  beforeAll(async () => {
    p = await identities();
  });

  const { SecureContextOptions, CommonConnectionOptions, ConnectionOptions, TlsOptions, TLSSocketOptions } = MEMBERS;
  const all = [
    ...[SecureContextOptions].flatMap(refused).map((entry) => ["createSecureContext", ...entry] as const),
    ...[SecureContextOptions, CommonConnectionOptions, ConnectionOptions]
      .flatMap(refused)
      .map((entry) => ["connect", ...entry] as const),
    ...[SecureContextOptions, CommonConnectionOptions, TlsOptions]
      .flatMap(refused)
      .map((entry) => ["createServer", ...entry] as const),
    ...[SecureContextOptions, CommonConnectionOptions, TLSSocketOptions]
      .flatMap(refused)
      .map((entry) => ["TLSSocket", ...entry] as const),
  ];

  it.each(all)("is refused by %s: %s", (kind, name, reason) => {
    const options = { ...p.server, [name]: "something" };
    const act = {
      createSecureContext: () => mutls.createSecureContext(options),
      connect: () => mutls.connect({ port: 1, ...options } as nodeTls.ConnectionOptions),
      createServer: () => mutls.createServer(options),
      TLSSocket: () => new mutls.TLSSocket(undefined as never, options),
    }[kind];
    expect(act).toThrow(expect.objectContaining({ code: "ERR_TLS_OPTION", detail: `${name}: ${reason}` }));
  });

  it.each(refused(SecureContextOptions))("may be named and left out: %s", (name) => {
    for (const value of [undefined, null, false]) {
      expect(mutls.createSecureContext({ ...p.server, [name]: value })).toBeInstanceOf(published.SecureContext);
    }
  });

  it.each([
    ["maxVersion", { maxVersion: "TLSv1.2" }, /maxVersion TLSv1.2 rules out TLS 1.3/],
    ["maxVersion", { minVersion: "TLSv1", maxVersion: "TLSv1.1" }, /maxVersion TLSv1.1/],
    ["secureProtocol", { secureProtocol: "TLSv1_2_method" }, /secureProtocol TLSv1_2_method/],
    ["secureOptions", { secureOptions: 0x20000000 }, /secureOptions 0x20000000/],
    ["honorCipherOrder", { honorCipherOrder: false }, /honorCipherOrder/],
    ["ciphers", { ciphers: "TLS_SM4_GCM_SM3" }, /TLS_SM4_GCM_SM3/],
    ["ciphers", { ciphers: ":" }, /names no cipher/],
    ["sigalgs", { sigalgs: "ECDSA+SHA1" }, /ECDSA\+SHA1/],
    ["sigalgs", { sigalgs: "RSA+SHA256" }, /leaves nothing/],
  ] as const)("is refused by value: %s", (_name, options, message) => {
    expect(() => mutls.createSecureContext(options)).toThrow(message);
  });

  it.each([
    { minVersion: "TLSv1.2" },
    { minVersion: "TLSv1", maxVersion: "TLSv1.3" },
    { secureProtocol: "TLS_method" },
    { secureOptions: 0x0c000000, honorCipherOrder: true },
    { sigalgs: "rsa_pss_rsae_sha256:ed25519:RSA+SHA256" },
    { ciphers: nodeTls.DEFAULT_CIPHERS },
    { ecdhCurve: "X25519:P-256:prime256v1:secp384r1:P-521" },
  ] as const)("leaves what has a meaning: %o", (options) => {
    expect(mutls.createSecureContext(options)).toBeInstanceOf(published.SecureContext);
  });

  it("includes methods", () => {
    const socket = new mutls.TLSSocket(undefined as never);
    const server = mutls.createServer();
    expect(() => socket.enableTrace()).toThrow(expect.objectContaining({ code: "ERR_TLS_OPTION" }));
    expect(() => server.on("resumeSession", () => {})).toThrow(/event "resumeSession"/);
    expect(() => server.on("newSession", () => {})).toThrow(/event "newSession"/);
    socket.destroy();
  });

  it("includes contexts of node:tls", () => {
    const secureContext = nodeTls.createSecureContext(p.server);
    expect(() => mutls.createServer({ secureContext })).toThrow(
      expect.objectContaining({ code: "ERR_TLS_INVALID_CONTEXT" }),
    );
  });
});
