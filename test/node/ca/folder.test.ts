import { execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { readPem } from "../../../src/bytes/pem.ts";
import { createFile, removeDrafts, replaceFile } from "../../../src/node/ca/files.ts";
import {
  type CreateAuthorityOptions,
  createAuthority,
  openAuthority,
  privateKeyPem,
  readSubjectKey,
} from "../../../src/node/ca/index.ts";
import { locked } from "../../../src/node/ca/lock.ts";
import { processName, processRuns } from "../../../src/node/ca/processes.ts";
import { generateKeyPair, type KeyKind } from "../../../src/pki/keys.ts";
import { parseCrl } from "../../../src/x509/crl.ts";
import { DAY } from "../../support/pki.ts";

let top: string;
beforeAll(() => {
  top = mkdtempSync(join(tmpdir(), "mutls-folder-"));
});
afterAll(() => rmSync(top, { recursive: true, force: true }));

/** As if it were then. */
async function at<T>(time: number, work: () => Promise<T>): Promise<T> {
  vi.useFakeTimers({ toFake: ["Date"], now: time });
  try {
    return await work();
  } finally {
    vi.useRealTimers();
  }
}

let count = 0;
const fresh = () => join(top, String(++count));
const create = (options: CreateAuthorityOptions = {}) => createAuthority(fresh(), options);
const spki = generateKeyPair("P-256").then((pair) => pair.spki);
const client = async (subject = "alice") => ({ profile: "client", spki: await spki, subject }) as const;
const crlsOf = (folder: string) =>
  readPem(readFileSync(join(folder, "crl.pem"), "utf8")).map(({ der }) => parseCrl(der));

describe("a CA in a folder", () => {
  it("keeps its keys to its owner", async () => {
    const { folder } = await create();
    const mode = (name: string) => statSync(join(folder, name)).mode & 0o777;
    expect([mode(""), mode("root.key"), mode("issuing.key"), mode("certs")]).toEqual([0o700, 0o600, 0o600, 0o700]);
  });

  it("encrypts its keys, and says what is wrong with a pass phrase", async () => {
    const { folder } = await create({ passphrase: "hush" });
    for (const name of ["root.key", "issuing.key"])
      expect(readFileSync(join(folder, name), "utf8")).toMatch(/^-----BEGIN ENCRYPTED PRIVATE KEY/);
    const issue = async (passphrase?: string) => (await openAuthority(folder, passphrase)).issue(await client());
    expect((await issue("hush")).certificate.subject.text).toBe("CN=alice");
    for (const [pass, detail] of [
      [undefined, "one is missing"],
      ["hash", "a pass phrase is wrong"],
    ] as const) {
      await expect(issue(pass)).rejects.toMatchObject({ code: "ERR_TLS_KEY", detail: expect.stringContaining(detail) });
    }
  });

  it.each<KeyKind>(["P-384", "Ed25519", "RSA"])("works with keys of %s", async (key) => {
    const authority = await create({ key, passphrase: "hush" });
    const { certificate, serial } = await authority.issue(await client());
    await authority.revoke(serial);
    const [issuing] = crlsOf(authority.folder);
    expect(issuing?.find(certificate.issuer, certificate.serialNumber)?.reason).toBe("unspecified");
  });

  it("is made once", async () => {
    const { folder } = await create();
    await expect(createAuthority(folder)).rejects.toMatchObject({
      code: "ERR_TLS_CA_STATE",
      detail: expect.stringContaining("there is a CA"),
    });
    const all = await Promise.allSettled(Array.from({ length: 3 }, () => createAuthority(join(top, "race"))));
    expect(all.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected", "rejected"]);
  });

  it("is made anew where making it was cut off", async () => {
    const { folder } = await create();
    for (const name of ["ca.json", "crl.pem", "root.crl", "issuing.crl"]) rmSync(join(folder, name));
    await expect(openAuthority(folder)).rejects.toMatchObject({ code: "ERR_TLS_CA_STATE" });
    const again = await createAuthority(folder, { intermediate: false });
    expect([again.certificates.length, (await again.list()).length]).toEqual([1, 0]);
    expect((await again.issue(await client())).profile).toBe("client");
    // With what was issued in it, the folder is no attempt any more.
    rmSync(join(folder, "ca.json"));
    rmSync(join(folder, "crl.pem"));
    await expect(createAuthority(folder)).rejects.toMatchObject({
      code: "ERR_TLS_CA_STATE",
      detail: expect.stringContaining("no ca.json now: put it back"),
    });
    expect(existsSync(join(folder, "root.key"))).toBe(true);
  });

  it("is not made over one that has lost its settings, though nothing was issued yet", async () => {
    const { folder } = await create();
    const before = readFileSync(join(folder, "root.key"), "utf8");
    rmSync(join(folder, "ca.json"));
    await expect(createAuthority(folder)).rejects.toMatchObject({ code: "ERR_TLS_CA_STATE" });
    expect(readFileSync(join(folder, "root.key"), "utf8")).toBe(before);
  });

  it("is not made over the keys of others", async () => {
    const folder = fresh();
    mkdirSync(folder);
    writeFileSync(join(folder, "root.key"), "precious");
    await expect(createAuthority(folder)).rejects.toMatchObject({
      code: "ERR_TLS_CA_STATE",
      detail: expect.stringContaining("root.key in"),
    });
    expect(readFileSync(join(folder, "root.key"), "utf8")).toBe("precious");
    expect(readdirSync(folder)).toEqual(["root.key"]);
  });

  it.each<[string, CreateAuthorityOptions]>([
    ["an address that cannot be issued", { crlUrls: ["https://a.example/issuing.crl"] }],
    ["CRLs that are good for no time", { crlLifetime: Number.NaN }],
    ["an empty pass phrase", { passphrase: "" }],
  ])("is not made with %s, which would show only later", async (_, options) => {
    const folder = fresh();
    await expect(createAuthority(folder, options)).rejects.toMatchObject({ code: "ERR_TLS_OPTION" });
    expect(existsSync(join(folder, "root.key"))).toBe(false);
  });

  it.skipIf(process.platform === "win32")("is not made where everybody may put keys of their own", async () => {
    const folder = fresh();
    mkdirSync(folder);
    chmodSync(folder, 0o777);
    await expect(createAuthority(folder)).rejects.toMatchObject({
      code: "ERR_TLS_CA_STATE",
      detail: expect.stringContaining("everybody may write"),
    });
    expect(readdirSync(folder)).toEqual([]);
  });

  it("gives its names to nobody else, whose CRLs could pass for its own", async () => {
    const authority = await create();
    for (const subject of ["mutls CA", "mutls CA issuing", "MUTLS  ca"])
      await expect(authority.issue(await client(subject))).rejects.toMatchObject({ code: "ERR_TLS_OPTION" });
    const flat = await create({ intermediate: false });
    const [a, b] = [await generateKeyPair("P-256"), await generateKeyPair("P-256")];
    const branch = { profile: "intermediate", subject: "branch" } as const;
    await flat.issue({ ...branch, spki: a.spki });
    await expect(flat.issue({ ...branch, spki: b.spki })).rejects.toThrow(
      "there is a CA of the name CN=branch already",
    );
    expect((await flat.issue({ ...branch, spki: a.spki })).profile).toBe("intermediate");
  });

  it("issues nothing once its intermediate is revoked", async () => {
    const authority = await create();
    const [issuing] = await authority.list();
    await authority.revoke(issuing?.serial as string, "cACompromise");
    await expect(authority.issue(await client())).rejects.toThrow("the issuer is revoked");
  });

  it.skipIf(process.platform === "win32")("lists more certificates than a process may have files open", async () => {
    const authority = await create();
    for (let i = 0; i < 150; i++) await authority.issue(await client());
    const code = `import { openAuthority } from ${JSON.stringify(new URL("../../../dist/node/ca/index.js", import.meta.url))};
      console.log((await (await openAuthority(process.argv[1])).list()).length);`;
    const node = [process.execPath, "--input-type=module", "-e", code, authority.folder];
    const limited = ["-c", 'ulimit -n 100; exec "$0" "$@"', ...node];
    expect(execFileSync("sh", limited, { encoding: "utf8" })).toBe("151\n");
  });

  it("publishes where it was told to, in all that it issues", async () => {
    const authority = await create({ ocspUrls: ["http://ocsp.example"], crlUrls: ["http://a.example/issuing.crl"] });
    const { certificate } = await authority.issue(await client());
    const text = Buffer.from(certificate.der).toString("latin1");
    expect([text.includes("http://ocsp.example"), text.includes("http://a.example/issuing.crl")]).toEqual([true, true]);
    const crl = parseCrl(new Uint8Array(readFileSync(join(authority.folder, "issuing.crl"))));
    expect(crl.issuer.equals(certificate.issuer)).toBe(true);
  });

  it("hands its constraints down", async () => {
    const authority = await create({ constraints: { permitted: { dnsNames: ["example.com"] } } });
    const server = (name: string) =>
      spki.then((key) => authority.issue({ profile: "server", spki: key, dnsNames: [name] }));
    await expect(server("www.example.org")).rejects.toThrow("name constraints");
    expect((await server("www.example.com")).certificate.subjectAltName?.dns).toEqual(["www.example.com"]);
  });
});

describe("renewal", () => {
  it("goes on with names, profile, key and lifetime, and no longer each time", async () => {
    const authority = await create();
    const names = { dnsNames: ["a.example"], ipAddresses: ["192.0.2.1"], uris: ["urn:a"], emails: ["a@example.com"] };
    const first = await authority.issue({
      profile: "both",
      spki: await spki,
      subject: [
        ["O", "Ex"],
        ["CN", "a"],
      ],
      ...names,
      notAfter: Date.now() + 7 * DAY,
    });
    const second = await authority.renew(first.serial);
    const third = await authority.renew(second.serial);
    const span = ({ certificate }: typeof first) => certificate.notAfter - certificate.notBefore;
    expect(Math.abs(span(third) - span(first))).toBeLessThanOrEqual(2000);
    expect(second.serial).not.toBe(first.serial);
    expect([second.profile, second.certificate.subject.text]).toEqual(["both", first.certificate.subject.text]);
    expect(second.certificate.subjectAltName).toEqual(first.certificate.subjectAltName);
    expect(second.certificate.publicKey.spki).toEqual(first.certificate.publicKey.spki);
    const { spki: next } = await generateKeyPair("Ed25519");
    const notAfter = Date.UTC(2030, 0);
    const other = await authority.renew(first.serial, { spki: next, notAfter });
    expect(other.certificate).toMatchObject({ notAfter, publicKey: { algorithm: { type: "ed25519" } } });
  });

  it("is refused for what is revoked, unknown, or a CA", async () => {
    const authority = await create();
    const { serial } = await authority.issue(await client());
    await authority.revoke(serial);
    const [issuing] = await authority.list();
    await expect(authority.renew(serial)).rejects.toThrow("is revoked");
    await expect(authority.renew("00")).rejects.toThrow("no certificate 00 was issued here");
    await expect(authority.renew(issuing?.serial as string)).rejects.toThrow("is a CA");
  });
});

describe("revocation", () => {
  it("is for good: the first time and reason stay", async () => {
    const authority = await create();
    const { serial } = await authority.issue(await client());
    const first = await authority.revoke(serial, "keyCompromise");
    const second = await authority.revoke(serial, "superseded");
    expect(second.revocation).toEqual(first.revocation);
    expect(first.revocation?.reason).toBe("keyCompromise");
  });

  it("stands in CRLs whose numbers go up, whatever becomes of the file", async () => {
    const authority = await create();
    const numbers: bigint[] = [];
    for (let i = 0; i < 4; i++) {
      if (i === 2) rmSync(join(authority.folder, "crl.pem"));
      await authority.publishCrl();
      numbers.push(crlsOf(authority.folder)[0]?.crlNumber as bigint);
    }
    // The file was lost between the second and the third: the clock is the floor.
    expect(numbers[1]).toBeGreaterThan(numbers[0] as bigint);
    expect(numbers[2]).toBeGreaterThanOrEqual(BigInt(Math.floor(Date.now() / 1000) - 60));
    expect(numbers[3]).toBeGreaterThan(numbers[2] as bigint);
  });

  it("reaches the intermediate, by the root's CRL", async () => {
    const authority = await create();
    const [issuing] = await authority.list();
    const { certificate } = await authority.revoke(issuing?.serial as string, "cACompromise");
    const [, root] = crlsOf(authority.folder);
    const { issuer, serialNumber } = certificate;
    expect(root?.find(issuer, serialNumber)?.reason).toBe("cACompromise");
  });

  it("goes on while the root's key is elsewhere; the root's CRL stays as it was", async () => {
    const authority = await create();
    const before = crlsOf(authority.folder);
    rmSync(join(authority.folder, "root.key"));
    const { serial } = await authority.issue(await client());
    await authority.revoke(serial);
    const after = crlsOf(authority.folder);
    expect(after[1]?.der).toEqual(before[1]?.der);
    expect(after[0]?.size).toBe(1);
  });

  it.each(["removeFromCRL", "whim"])("is not for %s, and nothing is broken by asking", async (reason) => {
    const authority = await create();
    const { serial } = await authority.issue(await client());
    await expect(authority.revoke(serial, reason as "superseded")).rejects.toMatchObject({
      code: "ERR_TLS_OPTION",
      detail: expect.stringContaining("no reason to revoke"),
    });
    expect((await authority.find(serial)).revocation).toBeUndefined();
  });

  it("outlasts a clock that ran ahead for a while", async () => {
    const authority = await create();
    const { serial, certificate } = await authority.issue(await client());
    await authority.revoke(serial);
    const { issuer, serialNumber } = certificate;
    await at(Date.now() + 10 * DAY, () => authority.publishCrl());
    await authority.publishCrl();
    expect(crlsOf(authority.folder)[0]?.find(issuer, serialNumber)?.reason).toBe("unspecified");
  });

  it("stands in CRLs whose numbers go up, though crl.pem is lost and the clock goes back", async () => {
    const authority = await create();
    const [before] = crlsOf(authority.folder);
    rmSync(join(authority.folder, "crl.pem"));
    await at(Date.now() - 10 * DAY, () => authority.publishCrl());
    expect(crlsOf(authority.folder)[0]?.crlNumber).toBe((before?.crlNumber as bigint) + 1n);
  });

  it("is published though crl.pem is lost and the root's key is elsewhere", async () => {
    const authority = await create();
    const [, root] = crlsOf(authority.folder);
    for (const name of ["crl.pem", "root.key"]) rmSync(join(authority.folder, name));
    const { serial } = await authority.issue(await client());
    await authority.revoke(serial);
    const after = crlsOf(authority.folder);
    expect([after[0]?.size, after[1]?.der]).toEqual([1, root?.der]);
  });

  it("is not forgotten with the certificate's file", async () => {
    const authority = await create();
    const { serial } = await authority.issue(await client());
    await authority.revoke(serial);
    rmSync(join(authority.folder, "certs", `${serial}.pem`));
    await expect(authority.publishCrl()).rejects.toMatchObject({
      code: "ERR_TLS_CA_STATE",
      detail: expect.stringContaining(`there is no certs/${serial}.pem`),
    });
    expect(crlsOf(authority.folder)[0]?.size).toBe(1);
  });

  it("leaves the CRL once one issued after the certificate's end has held it", async () => {
    const authority = await create();
    const { serial, certificate } = await authority.issue({
      ...(await client()),
      notBefore: Date.now() - 1000,
      notAfter: Date.now() + 1500,
    });
    await authority.revoke(serial);
    const held = () => crlsOf(authority.folder)[0]?.find(certificate.issuer, certificate.serialNumber) !== undefined;
    expect(held()).toBe(true);
    while (Date.now() <= certificate.notAfter + 1000) await authority.publishCrl();
    await authority.publishCrl();
    await authority.publishCrl();
    expect(held()).toBe(false);
  });
});

describe("what is found", () => {
  it("goes by the beginning of a serial number, in either case and with colons", async () => {
    const authority = await create();
    const { serial } = await authority.issue(await client());
    const colons = (serial.match(/../g) as string[]).join(":").toUpperCase();
    for (const text of [serial, serial.slice(0, 12), colons]) expect((await authority.find(text)).serial).toBe(serial);
    await expect(authority.find("../ca")).rejects.toThrow("is no serial number");
    await expect(authority.find("0000")).rejects.toThrow("no certificate 0000 was issued here");
    for (let i = 0; i < 300; i++) writeFileSync(join(authority.folder, "certs", `.draft-${i}`), "");
    expect((await authority.list()).length).toBe(2);
  });

  it("is not taken for one when several begin so", async () => {
    const authority = await create();
    const serials = new Map<string, number>();
    let twice: string | undefined;
    for (let i = 0; twice === undefined && i < 200; i++) {
      const { serial } = await authority.issue(await client());
      const start = serial.slice(0, 2);
      if (serials.has(start)) twice = start;
      serials.set(start, i);
    }
    await expect(authority.find(twice as string)).rejects.toThrow(/\d serial numbers begin with/);
  });
});

describe("a broken folder", () => {
  it.each<[string, string, string, string]>([
    ["settings that are no JSON", "ca.json", "{", "ca.json is broken"],
    ["settings that are no object", "ca.json", "null", "ca.json is broken"],
    ["settings of a later version", "ca.json", '{"version":2}', "is of version 2, not 1"],
    ["a root that is none", "root.pem", "", "root.pem is broken: it holds no certificate"],
    ["a root that is cut off", "root.pem", "-----BEGIN CERTIFICATE-----\nMI", "root.pem is broken"],
  ])("is refused by name: %s", async (_, file, content, detail) => {
    const { folder } = await create();
    writeFileSync(join(folder, file), content);
    await expect(openAuthority(folder)).rejects.toMatchObject({
      code: "ERR_TLS_CA_STATE",
      detail: expect.stringContaining(detail),
    });
  });

  it.each<[string, (text: string) => string, string]>([
    ["without a profile", (text) => text.replace(/^profile.*$/m, ""), "it names no profile"],
    ["with another profile", (text) => text.replace(/^profile.*$/m, "profile: toString"), "it names no profile"],
    ["without a time", (text) => text.replace(/^issued.*$/m, ""), "it does not say when"],
    ["without a certificate", () => "profile: client\nissued: 2026-01-01\n", "it holds no certificate"],
  ])("is refused by name: an entry %s", async (_, change, detail) => {
    const authority = await create();
    const { serial } = await authority.issue(await client());
    const file = join(authority.folder, "certs", `${serial}.pem`);
    writeFileSync(file, change(readFileSync(file, "utf8")));
    await expect(authority.list()).rejects.toMatchObject({
      code: "ERR_TLS_CA_STATE",
      detail: expect.stringContaining(detail),
    });
  });

  it("is refused by name: an entry of another certificate, and a revocation that says nothing", async () => {
    const authority = await create();
    const [a, b] = [await authority.issue(await client()), await authority.issue(await client())];
    const path = (serial: string) => join(authority.folder, "certs", `${serial}.pem`);
    writeFileSync(join(authority.folder, "revoked", `${b.serial}.json`), "{}");
    await expect(authority.list()).rejects.toThrow("it says nothing");
    writeFileSync(join(authority.folder, "revoked", `${b.serial}.json`), "null");
    await expect(authority.list()).rejects.toThrow("no JSON object");
    rmSync(join(authority.folder, "revoked", `${b.serial}.json`));
    writeFileSync(path(a.serial), readFileSync(path(b.serial)));
    await expect(authority.list()).rejects.toThrow("another serial number");
  });

  it("is an error of the folder's where the file system refuses it", async () => {
    const file = join(top, "file");
    writeFileSync(file, "");
    await expect(createAuthority(join(file, "ca"))).rejects.toMatchObject({ code: "ERR_TLS_CA_STATE" });
    const authority = await create();
    const { serial } = await authority.issue(await client());
    for (const name of ["certs", "revoked", "lock"]) rmSync(join(authority.folder, name), { recursive: true });
    for (const name of ["certs", "revoked", "lock"]) writeFileSync(join(authority.folder, name), "");
    for (const work of [
      () => authority.list(),
      () => authority.publishCrl(),
      () => authority.find(serial),
      async () => authority.issue(await client()),
    ])
      await expect(work()).rejects.toMatchObject({ code: "ERR_TLS_CA_STATE" });
  });

  it("without the CA's key issues nothing", async () => {
    const authority = await create();
    rmSync(join(authority.folder, "issuing.key"));
    await expect(authority.issue(await client())).rejects.toMatchObject({ code: "ERR_TLS_KEY" });
    writeFileSync(join(authority.folder, "issuing.key"), "hello");
    await expect(authority.issue(await client())).rejects.toThrow("no private key in the input");
  });

  it("with another's key issues nothing", async () => {
    const authority = await create();
    const { pkcs8 } = await generateKeyPair("P-256");
    writeFileSync(join(authority.folder, "issuing.key"), await privateKeyPem(pkcs8));
    await expect(authority.issue(await client())).rejects.toThrow("the signer is not the issuer's");
    expect((await authority.list()).length).toBe(1);
  });
});

describe("private keys", () => {
  it.each<KeyKind>(["P-256", "P-384", "Ed25519", "RSA", "RSA-PSS"])(
    "of %s come back, encrypted or not",
    async (kind) => {
      const pair = await generateKeyPair(kind);
      for (const pass of [undefined, "hush"]) {
        const { spki: own } = await readSubjectKey(await privateKeyPem(pair.pkcs8, pass), pass);
        expect(own).toEqual(pair.spki);
      }
    },
  );
});

describe("files", () => {
  it("are made once, and replaced whole", async () => {
    const folder = mkdtempSync(join(top, "files-"));
    const path = join(folder, "a");
    const made = await Promise.all(Array.from({ length: 8 }, (_, i) => createFile(path, String(i))));
    expect(made.filter(Boolean)).toHaveLength(1);
    await Promise.all(Array.from({ length: 8 }, (_, i) => replaceFile(path, "x".repeat(10_000 + i), 0o600)));
    expect(readFileSync(path, "utf8")).toMatch(/^x{10000,10007}$/);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toEqual(["a"]);
  });

  it("leave drafts only where processes died, and those are removed", async () => {
    const folder = mkdtempSync(join(top, "drafts-"));
    const dead = await deadProcess();
    const mine = `.draft-${processName()}`;
    writeFileSync(join(folder, mine), "");
    writeFileSync(join(folder, `.draft-${dead}`), "");
    await removeDrafts(folder);
    expect(readdirSync(folder)).toEqual([mine]);
  });

  it("that cannot take their place leave nothing, keys least of all", async () => {
    const folder = mkdtempSync(join(top, "taken-"));
    mkdirSync(join(folder, "a", "b"), { recursive: true });
    await expect(replaceFile(join(folder, "a"), "key", 0o600)).rejects.toMatchObject({ syscall: "rename" });
    expect(readdirSync(folder)).toEqual(["a"]);
  });

  it("that cannot be written are an error", async () => {
    const file = join(mkdtempSync(join(top, "closed-")), "a");
    writeFileSync(file, "");
    await expect(replaceFile(join(file, "b"), "")).rejects.toMatchObject({ code: "ENOTDIR" });
    await expect(createFile(join(file, "b"), "")).rejects.toMatchObject({ code: "ENOTDIR" });
  });
});

/** The name of a process that has ended. */
async function deadProcess(): Promise<string> {
  const child = spawn(process.execPath, ["-e", ""]);
  await new Promise((resolve) => child.once("close", resolve));
  return processName().replace(/^\d+\.\d+/, `${child.pid}.1`);
}

describe("the lock", () => {
  const folder = () => mkdtempSync(join(top, "lock-"));

  it("lets one in at a time", async () => {
    const place = folder();
    let inside = 0;
    let most = 0;
    const work = async () => {
      most = Math.max(most, ++inside);
      await new Promise((resolve) => setImmediate(resolve));
      inside--;
    };
    await Promise.all(Array.from({ length: 8 }, () => locked(place, work)));
    expect([most, inside, readdirSync(place)]).toEqual([1, 0, []]);
  });

  it("is left when the work fails", async () => {
    const place = folder();
    await expect(locked(place, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(readdirSync(place)).toEqual([]);
  });

  it("passes over what a killed process has left", async () => {
    const place = folder();
    writeFileSync(join(place, await deadProcess()), "");
    expect(await locked(place, async () => "done")).toBe("done");
    expect(readdirSync(place)).toEqual([]);
  });

  it("passes over what was left by a process whose number is another's now", async () => {
    const place = folder();
    const reborn = processName().replace(/^(\d+)\.\d+/, "$1.1");
    expect(processRuns(reborn)).toBe(process.platform !== "linux");
    if (process.platform !== "linux") return;
    writeFileSync(join(place, reborn), "");
    expect(await locked(place, async () => "done")).toBe("done");
  });

  it.skipIf(process.platform !== "linux")(
    "takes no process of another container's for one that has ended",
    async () => {
      const dead = await deadProcess();
      expect(processRuns(dead)).toBe(false);
      const namespace = /^pid:\[(\d+)\]$/.exec(readlinkSync("/proc/self/ns/pid"))?.[1] as string;
      expect(processRuns(dead.replace(namespace, "4026532999"))).toBe(true);
    },
  );

  it("waits for one that runs, and for one elsewhere, who is named in the end", async () => {
    const place = folder();
    const name = processName().replace(hostname().replace(/[^\w-]/g, "_"), "elsewhere");
    writeFileSync(join(place, name), "");
    await expect(locked(place, async () => "done", 50)).rejects.toMatchObject({
      code: "ERR_TLS_CA_STATE",
      detail: expect.stringContaining(`process ${process.pid} on elsewhere`),
    });
    expect(existsSync(join(place, name))).toBe(true);
    const waiting = locked(place, async () => "done");
    rmSync(join(place, name));
    expect(await waiting).toBe("done");
  });
});
