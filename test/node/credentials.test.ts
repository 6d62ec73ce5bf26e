import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import {
  accept,
  acceptAnyVerifier,
  type CredentialChange,
  type CredentialFiles,
  clientContext,
  connect,
  credentialFiles,
  encryptPrivateKey,
  type FileWatch,
  type FollowOptions,
  memoryPair,
  type ServerContext,
  serverContext,
  sessionCache,
  type TlsError,
} from "../../src/node/index.ts";
import { createThrowawayAuthority, type IssuedIdentity } from "../../src/pki/index.ts";
import { makeAuthority, makeCertificate, type TestCertificate } from "../support/pki.ts";
import { codeOf, type Parties, parties, pemOf } from "../support/session.ts";
import { makeCrl, serialOf } from "../support/status.ts";

/** Files that are rewritten in every way in which they are, and a server that follows them. */

let p: Parties;
let next: IssuedIdentity;
let otherCa: string;
/** Signs CRLs. */
let root: TestCertificate;
let leaf: TestCertificate;
/** The server's key, encrypted. */
let locked: string;
let folder: string;
let following: FileWatch | undefined;

beforeAll(async () => {
  p = await parties();
  const other = await createThrowawayAuthority({ name: "next root" });
  otherCa = other.certificatePem;
  next = await other.issue({ subject: "next", dnsNames: ["localhost"], server: true });
  locked = await encryptPrivateKey(p.server.privateKeyPem, "secret");
  root = await makeAuthority();
  leaf = await makeCertificate({ issuer: root });
});
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mutls-"));
});
afterEach(() => {
  vi.useRealTimers();
  following?.close();
  rmSync(folder, { recursive: true });
});

const path = (name: string) => join(folder, name);
const put = (name: string, content: string | Uint8Array) => writeFileSync(path(name), content);

/** As most tools do it: aside, then in place. */
function rename(name: string, content: string | Uint8Array): void {
  put(`${name}.new`, content);
  renameSync(path(`${name}.new`), path(name));
}

type Told = { readonly change: CredentialChange } | { readonly refused: TlsError };

/** A context that follows, and what it tells, one after the other. */
function follow(files: CredentialFiles, options: FollowOptions = {}) {
  const read = credentialFiles(files);
  const context = serverContext({ clientAuth: "optional", ...read.options });
  const told: Told[] = [];
  let wake = () => {};
  const tell = (one: Told) => {
    told.push(one);
    wake();
  };
  following = read.follow(context, {
    settleTime: 20,
    pollInterval: 1000,
    onChange: (change) => tell({ change }),
    onRefused: (refused) => tell({ refused }),
    ...options,
  });
  const take = async (): Promise<Told> => {
    while (told.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    return told.shift() as Told;
  };
  return {
    context,
    told,
    changed: async () => ((await take()) as { change: CredentialChange }).change,
    refused: async () => ((await take()) as { refused: TlsError }).refused,
  };
}

const pair = { identities: [{ cert: "", key: "" }] };
function basics(at: (name: string) => string = path): CredentialFiles {
  pair.identities = [{ cert: at("tls.crt"), key: at("tls.key") }];
  return { ...pair, trust: at("ca.crt") };
}

/** The three files. */
function fill(identity: IssuedIdentity, ca: string, write: (name: string, content: string) => void = put): void {
  const { cert, key } = pemOf(identity);
  write("tls.crt", cert);
  write("tls.key", key);
  write("ca.crt", ca);
}

/** Whom a client meets there. */
async function server(context: ServerContext): Promise<string | undefined> {
  const [near, far] = memoryPair();
  const accepting = accept(far, context);
  const session = await connect(near, { serverName: "localhost", trust: [p.ca, otherCa] });
  const name = session.peer?.commonName;
  await Promise.all([session.close(), (await accepting).close()]);
  return name;
}

describe("files", () => {
  it("are read into options", async () => {
    fill(p.server, p.ca);
    const { context } = follow(basics());
    expect(context.generation).toBe(0);
    expect(await server(context)).toBe("localhost");
  });

  it("are read with encrypted keys", async () => {
    fill(p.server, p.ca);
    put("tls.key", locked);
    const { cert, key } = { cert: path("tls.crt"), key: path("tls.key") };
    const { context, changed } = follow({ identities: [{ cert, key, passphrase: "secret" }], trust: path("ca.crt") });
    expect(await server(context)).toBe("localhost");
    rename("tls.key", await encryptPrivateKey(next.privateKeyPem, "secret"));
    rename("tls.crt", next.certificatePem);
    expect((await changed()).changed).toEqual(["identities"]);
    expect(await server(context)).toBe("next");
  });

  const bad: readonly [string, () => CredentialFiles, string, string][] = [
    ["a certificate that is not there", () => ({ identities: [{ cert: path("no.crt") }] }), "ERR_TLS_PEM", "no.crt"],
    [
      "a key that is none",
      () => ({ identities: [{ cert: path("tls.crt"), key: path("ca.crt") }] }),
      "ERR_TLS_KEY",
      "ca.crt",
    ],
    [
      "another's key",
      () => ({ identities: [{ cert: path("tls.crt"), key: path("next.key") }] }),
      "ERR_OSSL_X509_KEY_VALUES_MISMATCH",
      "next.key",
    ],
    ["CAs that are none", () => ({ trust: path("tls.key") }), "ERR_TLS_PEM", "tls.key"],
    ["CRLs that are none", () => ({ trust: path("ca.crt"), crls: path("ca.crt") }), "ERR_TLS_PEM", "ca.crt"],
    [
      "a key that needs another pass phrase",
      () => ({ identities: [{ cert: path("tls.crt"), key: path("locked.key"), passphrase: "wrong" }] }),
      "ERR_TLS_PASSPHRASE",
      "locked.key",
    ],
    ["CRLs without CAs", () => ({ crls: path("ca.crt") }), "ERR_TLS_OPTION", "CRLs"],
    ["ticket keys of another length", () => ({ ticketKeys: path("short") }), "ERR_TLS_KEY", "short"],
  ];
  it.each(bad)("are refused by name: %s", (_, files, code, name) => {
    fill(p.server, p.ca);
    put("next.key", next.privateKeyPem);
    put("short", new Uint8Array(33));
    put("locked.key", locked);
    expect(() => credentialFiles(files())).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(name) }),
    );
  });
});

describe("a context that follows its files", () => {
  it("takes what is renamed into place, all of it together", async () => {
    fill(p.server, p.ca);
    const { context, changed } = follow(basics());
    fill(next, otherCa, rename);
    expect(await changed()).toMatchObject({ changed: ["identities", "trust"], generation: 1 });
    expect(await server(context)).toBe("next");
  });

  it("takes what Kubernetes puts behind its links", async () => {
    const version = (name: string, identity: IssuedIdentity, ca: string) => {
      mkdirSync(path(name));
      fill(identity, ca, (file, content) => put(`${name}/${file}`, content));
    };
    version("..2024_01", p.server, p.ca);
    symlinkSync("..2024_01", path("..data"));
    for (const file of ["tls.crt", "tls.key", "ca.crt"]) symlinkSync(`..data/${file}`, path(file));
    const { context, changed } = follow(basics());
    for (const [name, identity, ca, expected] of [
      ["..2024_02", next, otherCa, "next"],
      ["..2024_03", p.server, p.ca, "localhost"],
    ] as const) {
      version(name, identity, ca);
      symlinkSync(name, path("..data_tmp"));
      renameSync(path("..data_tmp"), path("..data"));
      expect((await changed()).changed).toEqual(["identities", "trust"]);
      expect(await server(context)).toBe(expected);
    }
    // And what is written into the folder that the link leads to now.
    writeFileSync(path("..2024_03/ca.crt"), otherCa);
    expect((await changed()).changed).toEqual(["trust"]);
  });

  it("takes a folder that is put in the place of another", async () => {
    mkdirSync(path("live"));
    fill(p.server, p.ca, (file, content) => put(`live/${file}`, content));
    const { context, changed } = follow(
      basics((name) => path(`live/${name}`)),
      { pollInterval: 20 },
    );
    mkdirSync(path("new"));
    fill(next, otherCa, (file, content) => put(`new/${file}`, content));
    renameSync(path("live"), path("old"));
    renameSync(path("new"), path("live"));
    let last = await changed();
    while (last.generation === 0) last = await changed();
    expect(await server(context)).toBe("next");
    rename("live/ca.crt", p.ca);
    expect((await changed()).changed).toEqual(["trust"]);
  });

  it("keeps the old pair until both files of the new one are there", async () => {
    fill(p.server, p.ca);
    const { context, changed, refused } = follow(basics());
    rename("tls.crt", next.certificatePem);
    expect(await refused()).toMatchObject({
      code: "ERR_OSSL_X509_KEY_VALUES_MISMATCH",
      message: expect.stringContaining("tls.key"),
    });
    expect(context.generation).toBe(0);
    expect(await server(context)).toBe("localhost");
    rename("tls.key", next.privateKeyPem);
    expect((await changed()).changed).toEqual(["identities"]);
    expect(await server(context)).toBe("next");
  });

  it("says once that it keeps what it has: half a file, none at all, nonsense", async () => {
    fill(p.server, p.ca);
    const { context, changed, refused, told } = follow(basics(), { pollInterval: 30 });
    const cert = next.certificatePem;
    put("tls.crt", cert.slice(0, cert.length / 2));
    expect(await refused()).toMatchObject({ code: "ERR_TLS_PEM", message: expect.stringContaining("tls.crt") });
    rmSync(path("tls.crt"));
    expect(await refused()).toMatchObject({ code: "ERR_TLS_PEM", message: expect.stringContaining("ENOENT") });
    put("tls.crt", "");
    expect((await refused()).code).toBe("ERR_TLS_PEM");
    put("tls.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    expect((await refused()).code).toBe("CERT_PARSE_ERROR");
    expect(context.generation).toBe(0);
    expect(await server(context)).toBe("localhost");
    put("tls.key", next.privateKeyPem);
    put("tls.crt", cert);
    expect((await changed()).changed).toEqual(["identities"]);
    expect(told).toEqual([]);
    expect(await server(context)).toBe("next");
  });

  it("takes what comes back as it was for no change", async () => {
    fill(p.server, p.ca);
    const { context, changed, refused, told } = follow(basics());
    rmSync(path("ca.crt"));
    expect((await refused()).message).toContain("ca.crt");
    put("ca.crt", p.ca);
    following?.reload();
    rename("tls.crt", p.server.certificatePem);
    following?.reload();
    expect([context.generation, told]).toEqual([0, []]);
    rename("ca.crt", otherCa);
    expect((await changed()).generation).toBe(1);
  });

  it("sees what was changed before it followed", () => {
    fill(p.server, p.ca);
    const read = credentialFiles(basics());
    const context = serverContext(read.options);
    fill(next, otherCa);
    following = read.follow(context);
    expect(context.generation).toBe(1);
  });

  it("waits for those who write slowly, though they never seem to end", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"] });
    fill(p.server, p.ca);
    const { told } = follow(basics(), { settleTime: 100, pollInterval: 1000 });
    const bundle = p.ca + otherCa;
    // At each look it is another, and what there is would do.
    put("ca.crt", p.ca);
    await vi.advanceTimersByTimeAsync(1000);
    for (let i = 0; i < 20; i++) {
      appendFileSync(path("ca.crt"), "\n");
      await vi.advanceTimersByTimeAsync(50);
    }
    expect(told).toEqual([]);
    put("ca.crt", bundle);
    await vi.advanceTimersByTimeAsync(200);
    expect(told).toMatchObject([{ change: { changed: ["trust"] } }]);
    for (let i = 0; i < 80; i++) {
      appendFileSync(path("ca.crt"), "\n");
      await vi.advanceTimersByTimeAsync(50);
    }
    expect(told.length).toBeGreaterThan(1);
  });

  it("is refused by a context that cannot have what the files say, and goes on", async () => {
    fill(p.server, p.ca);
    let able = false;
    const read = credentialFiles(basics());
    const inner = serverContext(read.options);
    const errors: string[] = [];
    const replace = (changes: Parameters<ServerContext["replace"]>[0]) => {
      inner.replace(able ? changes : { ...changes, clientAuth: "none" as "on" });
    };
    following = read.follow(
      { replace, recheck: inner.recheck.bind(inner), engine: inner.engine.bind(inner), generation: 0 },
      { onRefused: ({ code }) => errors.push(code) },
    );
    rename("ca.crt", otherCa);
    following.reload();
    following.reload();
    expect(errors).toEqual(["ERR_TLS_OPTION"]);
    able = true;
    following.reload();
    expect(inner.generation).toBe(1);
  });

  it("stops when it is closed", async () => {
    vi.useFakeTimers();
    fill(p.server, p.ca);
    const { context } = follow(basics());
    expect(vi.getTimerCount()).toBe(1);
    following?.close();
    fill(next, otherCa);
    following?.reload();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(vi.getTimerCount()).toBe(0);
    expect(context.generation).toBe(0);
  });
});

describe("CRLs and CAs in files", () => {
  async function open(context: ServerContext) {
    const [near, far] = memoryPair();
    const identities = [{ cert: [leaf.der], key: leaf.pair.pkcs8 }];
    const [client, session] = await Promise.all([
      connect(near, { serverName: "localhost", trust: p.ca, identities }),
      accept(far, context),
    ]);
    return { client, server: session };
  }
  const crl = (revoked: boolean) =>
    makeCrl({ issuer: root, number: revoked ? 2 : 1, entries: revoked ? [{ serial: serialOf(leaf) }] : [] });

  it("end the connections of who is revoked, unless that is not wanted", async () => {
    fill(p.server, root.pem);
    put("crl.der", await crl(false));
    for (const recheck of [false, undefined]) {
      const { context, changed } = follow({ ...basics(), crls: path("crl.der") }, { recheck });
      const { client, server: session } = await open(context);
      rename("crl.der", await crl(true));
      const change = await changed();
      expect(change.changed).toEqual(["crls"]);
      expect(await codeOf(open(context))).toMatch(/CERT_REVOKED|ALERT_CERTIFICATE_REVOKED/);
      if (recheck === false) {
        expect(change.rechecked).toBeUndefined();
        expect(await client.recheck()).toBe(true);
        rename("crl.der", await crl(false));
        expect((await changed()).changed).toEqual(["crls"]);
        expect(await session.recheck()).toBe(true);
        await Promise.all([client.close(), session.close()]);
      } else {
        const { checked, ended } = (await change.rechecked) ?? { checked: 0, ended: [] };
        expect([checked, ended.map(({ code }) => code)]).toEqual([1, ["CERT_REVOKED"]]);
        expect(await codeOf(session.closed)).toBe("CERT_REVOKED");
        expect(await codeOf(client.closed)).toBe("ERR_SSL_SSLV3_ALERT_CERTIFICATE_REVOKED");
      }
      following?.close();
    }
  });

  it("keep the old CRL when the new one cannot be read", async () => {
    fill(p.server, root.pem);
    put("crl.der", await crl(true));
    const { context, refused } = follow({ ...basics(), crls: path("crl.der") });
    const der = await crl(false);
    put("crl.der", der.subarray(0, der.length - 20));
    expect(await refused()).toMatchObject({ code: "CRL_PARSE_ERROR", message: expect.stringContaining("crl.der") });
    expect(await codeOf(open(context))).toMatch(/CERT_REVOKED|ALERT_CERTIFICATE_REVOKED/);
  });

  it("are judged by a verifier of one's own", async () => {
    fill(p.server, p.ca);
    const seen: number[] = [];
    const verifier: CredentialFiles["verifier"] = (trust, crls) => {
      seen.push(trust.anchors.length, crls.length);
      return acceptAnyVerifier();
    };
    const { changed } = follow({ ...basics(), verifier });
    rename("ca.crt", p.ca + otherCa);
    await changed();
    expect(seen).toEqual([1, 0, 2, 0]);
  });
});

describe("ticket keys in a file", () => {
  it("are followed: those in the file open tickets, and no others", async () => {
    const key = (byte: number) => new Uint8Array(32).fill(byte);
    fill(p.server, p.ca);
    put("tickets", key(1));
    const { context, changed } = follow({ ...basics(), ticketKeys: path("tickets") });
    const client = clientContext({ serverName: "localhost", trust: p.ca, sessions: sessionCache({ perScope: 1 }) });
    const resumed = async () => {
      const [near, far] = memoryPair();
      const [session, other] = await Promise.all([connect(near, client), accept(far, context)]);
      await session.accepted;
      await Promise.all([session.close(), other.close()]);
      await session.closed;
      return session.resumed;
    };
    expect([await resumed(), await resumed()]).toEqual([false, true]);
    rename("tickets", Buffer.concat([key(2), key(1)]));
    expect(await changed()).toMatchObject({ changed: ["ticketKeys"] });
    // Under the first key, and from now on under the second.
    expect(await resumed()).toBe(true);
    rename("tickets", key(2));
    await changed();
    expect(await resumed()).toBe(true);
    // One change takes a key that has leaked out of use.
    rename("tickets", key(3));
    await changed();
    expect(await resumed()).toBe(false);
  });
});

describe("a client's context", () => {
  it("follows its files, too", () => {
    fill(p.client, p.ca);
    const read = credentialFiles(basics());
    const context = clientContext({ ...read.options, serverName: "localhost" });
    following = read.follow(context);
    rename("ca.crt", otherCa);
    following.reload();
    expect(context.generation).toBe(1);
    expect(readFileSync(path("ca.crt"), "utf8")).toBe(otherCa);
  });
});
