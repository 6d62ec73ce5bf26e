import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readPem, writePem } from "../../src/bytes/pem.ts";
import { readPkcs12 } from "../../src/pki/pkcs12.ts";
import { parseCrl } from "../../src/x509/crl.ts";
import { encodeOcspRequest, parseOcspResponse } from "../../src/x509/ocsp.ts";
import { parseCertificate } from "../../src/x509/parse.ts";
import { finished, mutls, served, start } from "../support/cli.ts";
import { withoutOpenssl } from "../support/openssl.ts";
import { makeCertificate } from "../support/pki.ts";

let top: string;
/** A CA that most tests share. */
let dir: string;

beforeAll(async () => {
  top = mkdtempSync(join(tmpdir(), "mutls-cli-ca-"));
  dir = path("ca");
  expect(await ca("init")).toMatchObject({ status: 0 });
});
afterAll(() => rmSync(top, { recursive: true, force: true }));

const path = (name: string) => join(top, name);
const certificateIn = (file: string) => parseCertificate(readPem(readFileSync(file, "utf8"))[0]?.der as Uint8Array);

/** `mutls ca …` on the shared CA, unless another is named. */
async function ca(command: string, ...args: readonly string[]) {
  const own = command === "csr" || command === "export" || args.includes("--dir") ? [] : ["--dir", dir];
  const { status, stdout, stderr } = await mutls(["ca", command, ...args, ...own]);
  return { status, stdout: stdout.toString(), stderr };
}
const issue = (name: string, ...args: readonly string[]) => ca("issue", name, "--out", path(name), ...args);

describe("mutls ca", () => {
  it("lists its commands, and each has its help", async () => {
    const overview = await mutls(["ca", "--help"]);
    expect(overview.status).toBe(0);
    const names = [...overview.stdout.toString().matchAll(/^ {2}ca (\w+)/gm)].map(([, name]) => name as string);
    expect(names.sort()).toEqual([
      "crl",
      "csr",
      "export",
      "init",
      "issue",
      "list",
      "ocsp",
      "quick",
      "renew",
      "revoke",
      "sign",
    ]);
    for (const name of names) {
      const help = (await mutls(["ca", name, "--help"])).stdout.toString();
      expect(help).toMatch(new RegExp(`^usage: mutls ca ${name} .*\\[flags\\]\n`));
      expect(help).toContain("exit status: 0 ");
      expect(Math.max(...help.split("\n").map(({ length }) => length))).toBeLessThanOrEqual(122);
      expect((await mutls(["help", "ca", name])).stdout.toString()).toBe(help);
    }
    expect((await mutls(["--help"])).stdout.toString()).toMatch(/^ {2}ca … +A private CA/m);
    for (const asked of [
      ["help", "ca"],
      ["ca", "help"],
    ]) {
      expect((await mutls(asked)).stdout.toString()).toBe(overview.stdout.toString());
    }
    expect((await mutls(["ca", "help", "issue"])).stdout.toString()).toMatch(/^usage: mutls ca issue NAME/);
  });

  it.each<[readonly string[], number, string, string?]>([
    [[], 2, "usage: mutls ca COMMAND"],
    [["isue"], 2, "mutls ca has no command isue", "did you mean issue?"],
    [["issue"], 2, "mutls ca issue needs NAME"],
    [["issue", "a"], 2, "--profile is missing: server, client, both, spiffe, intermediate, ocsp"],
    [["issue", "a", "--profile", "root"], 2, '--profile: "root" is not server, client'],
    [["issue", "a", "--profile", "client", "--days", "1", "--hours", "1"], 2, "--hours and --days say the same"],
    [["issue", "a", "--profile", "intermediate"], 2, "a CA below makes its own key", "mutls ca csr there"],
    [["issue", "a b", "--profile", "server"], 2, "a server's certificate needs a DNS name or an IP address"],
    [["issue", "a", "--profile", "client", "--ip", "1.2.3"], 2, '"1.2.3" is no IP address'],
    [["issue", "a", "--profile", "client", "--subject", "/XX=a"], 2, '"XX=a" in /XX=a is not one of'],
    [["list", "--dir", "nowhere"], 77, "there is no CA in nowhere", "mutls ca init makes one"],
    [["init"], 77, "there is a CA in", "--dir names another folder"],
    [["init", "--name", ""], 2, "--name is empty"],
    [["init", "--permit", "example.com"], 2, '--permit: "example.com" is not dns:'],
    [["sign", "nothing.csr", "--profile", "client"], 26, "cannot read the request"],
    [["renew", "nothing.pem"], 26, "cannot read the certificate"],
    [["renew", "a.pem", "--key", "Ed25519"], 2, "--key needs --rekey"],
    [["revoke", "0000"], 2, "no certificate 0000 was issued here"],
    [["revoke", "nothing"], 2, '"nothing" is no serial number'],
    [["revoke", "00", "--reason", "removeFromCRL"], 2, "is not unspecified, keyCompromise"],
    [["ocsp", "--cert", "a.pem"], 2, "--cert and --key belong together"],
  ])("%j ends with %i", async (args, status, problem, hint = "") => {
    const [command = "", ...rest] = args;
    const run = command === "" || command === "isue" ? await mutls(["ca", ...args]) : await ca(command, ...rest);
    expect(run.stderr).toContain(problem);
    expect(run.stderr).toContain(hint);
    expect(run.stderr).not.toMatch(/ERR_TLS|no alert/);
    expect([run.status, run.stdout.toString()]).toEqual([status, ""]);
  });
});

describe("mutls ca init", () => {
  it("takes name, key, time, pass phrase, constraints and addresses", async () => {
    const args = [
      "--name",
      "/O=Example/CN=root",
      "--key",
      "P-384",
      "--days",
      "30",
      "--pass",
      "hush",
      "--crl-days",
      "2",
    ];
    const where = ["--ocsp-url", "http://ocsp.example", "--crl-url", "http://crl.example/issuing.crl"];
    const own = path("full");
    const run = await ca(
      "init",
      "--dir",
      own,
      ...args,
      ...where,
      "--permit",
      "dns:example.com",
      "--exclude",
      "ip:10.0.0.0/8",
    );
    expect(run).toMatchObject({ status: 0, stderr: "" });
    expect(run.stdout).toMatch(/^CN=root,O=Example, until \d{4}-.*\nCN=root issuing,O=Example, until /);
    expect(readFileSync(join(own, "root.key"), "utf8")).toContain("ENCRYPTED");
    const issuing = certificateIn(join(own, "issuing.pem"));
    expect(issuing.publicKey.algorithm).toEqual({ type: "ec", curve: "P-384" });
    expect(issuing.nameConstraints?.permitted.dns).toEqual(["example.com"]);
    expect(issuing.nameConstraints?.excluded.ip).toEqual([Uint8Array.of(10, 0, 0, 0, 255, 0, 0, 0)]);
    const crl = parseCrl(new Uint8Array(readFileSync(join(own, "issuing.crl"))));
    expect((crl.nextUpdate as number) - crl.thisUpdate).toBe(2 * 86_400_000);

    const without = await issue("www.example.com", "--dir", own, "--profile", "server");
    expect(without).toMatchObject({ status: 58, stdout: "" });
    expect(without.stderr).toContain("MUTLS_CA_PASS");
    const pass = { input: "", env: { MUTLS_CA_PASS: "hush" } };
    const server = ["ca", "issue", "www.example.com", "--profile", "server", "--dir", own, "--out", path("www")];
    expect((await mutls(server, pass)).status).toBe(0);
    expect(certificateIn(path("www.pem")).subjectAltName?.dns).toEqual(["www.example.com"]);
  });

  it("says which key is gone, and nothing of pass phrases", async () => {
    const own = path("keyless");
    await ca("init", "--dir", own);
    rmSync(join(own, "issuing.key"));
    const { status, stderr } = await issue("keyless", "--dir", own, "--profile", "client");
    expect([status, stderr]).toEqual([58, `mutls: the CA's key ${join(own, "issuing.key")} is not there\n`]);
  });

  it("can do without an intermediate", async () => {
    const own = path("flat");
    expect((await ca("init", "--dir", own, "--intermediate", "no")).status).toBe(0);
    expect(existsSync(join(own, "issuing.pem"))).toBe(false);
    expect((await issue("flat", "--dir", own, "--profile", "client")).status).toBe(0);
    expect(readPem(readFileSync(path("flat.pem"), "utf8"))).toHaveLength(1);
  });
});

describe("mutls ca issue", () => {
  it.each(["P-256", "P-384", "Ed25519", "RSA-2048"])("makes a key of %s and its certificate", async (kind) => {
    const name = `key-${kind}`;
    const run = await issue(name, "--profile", "client", "--key", kind);
    expect(run).toMatchObject({ status: 0, stderr: "" });
    expect(run.stdout).toMatch(/^[0-9a-f]{40} {2}client {8}CN=key-.* {2}until .*Z\n--cert .*\.pem --key .*\.key\n$/);
    expect(statSync(path(`${name}.key`)).mode & 0o777).toBe(0o600);
    expect(readPem(readFileSync(path(`${name}.pem`), "utf8"))).toHaveLength(2);
    const { subject, notAfter } = certificateIn(path(`${name}.pem`));
    expect([subject.text, Math.round((notAfter - Date.now()) / 3_600_000)]).toEqual([`CN=${name}`, 24]);
  });

  it("takes what it is for from NAME only where that is a host, and nothing is said", async () => {
    await issue("192.0.2.7", "--profile", "both");
    expect(certificateIn(path("192.0.2.7.pem")).subjectAltName).toMatchObject({
      dns: [],
      ip: [Uint8Array.of(192, 0, 2, 7)],
    });
    await issue("web", "--profile", "server", "--dns", "a.example", "--dns", "b.example", "--days", "3");
    const { subjectAltName, notAfter } = certificateIn(path("web.pem"));
    expect(subjectAltName?.dns).toEqual(["a.example", "b.example"]);
    expect(Math.round((notAfter - Date.now()) / 86_400_000)).toBe(3);
    await issue("svid", "--profile", "spiffe", "--uri", "spiffe://example.org/a", "--subject", "/");
    const svid = certificateIn(path("svid.pem"));
    expect([svid.subject.empty, svid.subjectAltName?.uri]).toEqual([true, ["spiffe://example.org/a"]]);
  });

  it("writes over nothing, unless told to; and issues nothing then", async () => {
    await issue("once", "--profile", "client");
    const before = readFileSync(path("once.key"), "utf8");
    const count = async () => (await ca("list")).stdout.split("\n").length;
    const all = await count();
    const again = await issue("once", "--profile", "client");
    expect(again).toMatchObject({ status: 2, stdout: "" });
    expect(again.stderr).toContain("is there already");
    expect([await count(), readFileSync(path("once.key"), "utf8")]).toEqual([all, before]);
    expect((await issue("once", "--profile", "client", "--force")).status).toBe(0);
    expect(readFileSync(path("once.key"), "utf8")).not.toBe(before);
  });

  it("says where it cannot write", async () => {
    const run = await ca("issue", "a", "--profile", "client", "--out", path("nowhere/a"));
    expect(run).toMatchObject({ status: 23, stdout: "" });
    expect(run.stderr).toContain("cannot write");
  });
});

describe("mutls ca csr and sign", () => {
  it("bring a certificate to a key that stays where it is", async () => {
    const out = path("bob");
    expect((await ca("csr", "bob", "--out", out, "--email", "bob@example.com", "--pass", "hush")).status).toBe(0);
    expect(readFileSync(`${out}.key`, "utf8")).toContain("ENCRYPTED");
    const signed = await ca("sign", `${out}.csr`, "--profile", "client", "--hours", "2");
    expect(signed.stdout).toMatch(/client {8}CN=bob \(bob@example\.com\) {2}until/);
    const { subject, notAfter } = certificateIn(`${out}.pem`);
    expect([subject.text, Math.round((notAfter - Date.now()) / 3_600_000)]).toEqual(["CN=bob", 2]);
    // The same key once more.
    const again = ["--private-key", `${out}.key`, "--pass", "hush"];
    expect((await ca("csr", "robert", "--out", path("robert"), ...again)).status).toBe(0);
    await ca("sign", path("robert.csr"), "--profile", "server", "--dns", "robert.example", "--subject", "/O=Ex");
    const robert = certificateIn(path("robert.pem"));
    expect(robert.publicKey.spki).toEqual(certificateIn(`${out}.pem`).publicKey.spki);
    expect([robert.subject.text, robert.subjectAltName?.dns]).toEqual(["O=Ex", ["robert.example"]]);
  });

  it("make a CA below, within its constraints", async () => {
    const flat = path("upper");
    await ca("init", "--dir", flat, "--intermediate", "no");
    await ca("csr", "Branch CA", "--out", path("branch"));
    const args = ["--dir", flat, "--profile", "intermediate", "--permit", "dns:branch.example"];
    expect((await ca("sign", path("branch.csr"), ...args)).status).toBe(0);
    const { basicConstraints, nameConstraints } = certificateIn(path("branch.pem"));
    expect([basicConstraints, nameConstraints?.permitted.dns]).toEqual([
      { ca: true, pathLength: 0 },
      ["branch.example"],
    ]);
    const below = await ca("sign", path("branch.csr"), "--profile", "intermediate", "--force");
    expect(below.stderr).toContain("leaves no room");
  });

  it("refuse what is not signed by its key", async () => {
    await ca("csr", "eve", "--out", path("eve"));
    const [block] = readPem(readFileSync(path("eve.csr"), "utf8"));
    const der = Uint8Array.from(block?.der ?? []);
    der[der.length - 1] = (der[der.length - 1] as number) ^ 1;
    writeFileSync(path("eve.csr"), writePem("CERTIFICATE REQUEST", der));
    const run = await ca("sign", path("eve.csr"), "--profile", "client");
    expect([run.status, run.stdout, existsSync(path("eve.pem"))]).toEqual([26, "", false]);
    expect(run.stderr).toContain("eve.csr: its signature is not by its key");
  });

  it.skipIf(withoutOpenssl)("take a request of openssl's", async () => {
    const request = [
      "req",
      "-newkey",
      "rsa:2048",
      "-nodes",
      "-subj",
      "/O=Ex/CN=o",
      "-addext",
      "subjectAltName=DNS:o.example",
    ];
    execFileSync("openssl", [...request, "-keyout", path("o.key"), "-out", path("o.csr")], { stdio: "ignore" });
    expect((await ca("sign", path("o.csr"), "--profile", "both")).status).toBe(0);
    const verify = ["verify", "-x509_strict", "-CAfile", join(dir, "root.pem"), "-untrusted", path("o.pem")];
    const out = execFileSync("openssl", [...verify, "-verify_hostname", "o.example", path("o.pem")], {
      encoding: "utf8",
    });
    expect(out).toContain("o.pem: OK");
  });
});

describe("mutls ca renew, revoke, crl and list", () => {
  it("go on with a certificate, with its key or a new one", async () => {
    await issue("www", "--profile", "server", "--dns", "www.example", "--hours", "5", "--force");
    const first = certificateIn(path("www.pem"));
    expect((await ca("renew", path("www.pem"))).status).toBe(0);
    const second = certificateIn(path("www.pem"));
    expect(second.serialNumber).not.toEqual(first.serialNumber);
    expect(second.publicKey.spki).toEqual(first.publicKey.spki);
    expect(Math.abs(second.notAfter - first.notAfter)).toBeLessThan(60_000);
    const rekey = ["--rekey", path("www.key"), "--key", "Ed25519", "--days", "2"];
    expect((await ca("renew", path("www.pem"), ...rekey)).status).toBe(0);
    expect(certificateIn(path("www.pem")).publicKey.algorithm).toEqual({ type: "ed25519" });
    const server = await served(["--cert", path("www.pem"), "--key", path("www.key")]);
    expect((await server.stop()).status).toBe(0);
  });

  it("end one, by its file or the beginning of its serial number", async () => {
    await issue("gone", "--profile", "client");
    await issue("lost", "--profile", "client");
    const serial = Buffer.from(certificateIn(path("lost.pem")).serialNumber).toString("hex");
    const gone = await ca("revoke", path("gone.pem"), "--reason", "keyCompromise");
    expect(gone.stdout).toMatch(/CN=gone {2}revoked .*Z, keyCompromise\npublished: .*crl\.pem\n$/);
    expect((await ca("revoke", serial.slice(0, 16))).stdout).toContain("CN=lost  revoked");
    await issue("again", "--profile", "client");
    await ca("renew", path("again.pem"));
    const older = certificateIn(path("again.pem"));
    await ca("renew", path("again.pem"), "--rekey", path("again.key"));
    expect((await ca("revoke", path("again.pem"))).stdout).not.toContain("of the same key");
    const first = await ca("revoke", Buffer.from(older.serialNumber).toString("hex"));
    expect(first.stdout).toMatch(
      /crl\.pem\nof the same key, and still good: [0-9a-f]+ {2}client .*CN=again {2}until .*\n$/,
    );
    expect((await ca("revoke", path("gone.pem"))).stdout).toContain("was revoked before; published");
    const crl = await ca("crl");
    expect(crl.stdout).toMatch(
      /^CN=mutls CA issuing: number \d+, 4 revoked, the next by .*Z\nCN=mutls CA: number \d+, 0 /,
    );
    expect((await ca("renew", path("gone.pem"))).stderr).toContain("is revoked: issue a new one");

    const lines = (await ca("list", "--json")).stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines[0]).toMatchObject({ profile: "intermediate", issuer: "CN=mutls CA" });
    expect(lines.find((line) => line.subject === "CN=gone")).toMatchObject({
      profile: "client",
      names: [],
      revoked: { reason: "keyCompromise" },
    });
    expect(lines.find((line) => line.serial === serial)?.revoked.reason).toBe("unspecified");
    const plain = (await ca("list")).stdout.trim().split("\n");
    expect(plain).toHaveLength(lines.length);
    for (const [i, line] of plain.entries()) expect(line.startsWith(lines[i].serial)).toBe(true);
  });
});

describe("mutls ca, of what it must not touch", () => {
  /** A certificate of another CA's, under the serial number of one of this CA's. */
  async function twin(name: string): Promise<string> {
    const { serialNumber } = certificateIn(path(`${name}.pem`));
    const { der } = await makeCertificate({ serialNumber: new Uint8Array(serialNumber) });
    writeFileSync(path("twin.pem"), writePem("CERTIFICATE", der));
    return path("twin.pem");
  }

  it("takes no certificate of another CA's for its own, whatever its serial number", async () => {
    await issue("victim", "--profile", "client", "--force");
    const file = await twin("victim");
    const before = readFileSync(file, "utf8");
    for (const command of ["revoke", "renew"]) {
      const run = await ca(command, file);
      expect(run).toMatchObject({ status: 2, stdout: "" });
      expect(run.stderr).toContain("is not a certificate of this CA's");
    }
    expect(readFileSync(file, "utf8")).toBe(before);
    expect((await ca("list")).stdout).toMatch(/CN=victim {2}until/);
  });

  it("renews no file that holds the key too, and writes no key over its certificate", async () => {
    await issue("both", "--profile", "client", "--force");
    const whole = readFileSync(path("both.pem"), "utf8") + readFileSync(path("both.key"), "utf8");
    writeFileSync(path("whole.pem"), whole);
    const run = await ca("renew", path("whole.pem"));
    expect([run.status, readFileSync(path("whole.pem"), "utf8")]).toEqual([2, whole]);
    expect(run.stderr).toContain("holds a private key too");
    const same = await ca("renew", path("both.pem"), "--rekey", join(top, ".", "both.pem"));
    expect(same.stderr).toContain("--rekey names the certificate's file");
  });

  it("writes nothing under the names of the CA's own files, even if forced", async () => {
    await issue("mine", "--profile", "client", "--force");
    await ca("csr", "mine", "--out", path("mine"), "--force");
    const flat = path("whole-ca");
    await ca("init", "--dir", flat, "--intermediate", "no");
    const before = readFileSync(join(flat, "root.key"), "utf8");
    const [entry] = readdirSync(join(dir, "certs"));
    const forced = ["--profile", "client", "--force", "--dir", flat];
    for (const run of [
      await ca("issue", "a", "--out", join(flat, "issuing"), ...forced),
      await ca("issue", "a", "--out", join(flat, "root"), ...forced),
      await ca("issue", "a", "--out", join(flat, "certs", "ab"), ...forced),
      await ca("sign", path("mine.csr"), "--out", join(flat, "issuing"), ...forced),
      await ca("csr", "a", "--out", join(flat, "root"), "--force"),
      await ca("export", path("mine.pem"), "--pass", "hush", "--out", join(flat, "root.key"), "--force"),
      await ca("renew", path("mine.pem"), "--rekey", join(flat, "root.key")),
      await ca("renew", join(dir, "certs", entry as string)),
    ]) {
      expect(run).toMatchObject({ status: 2, stdout: "" });
      expect(run.stderr).toContain("is a file of the CA's own");
    }
    expect(readFileSync(join(flat, "root.key"), "utf8")).toBe(before);
    expect((await ca("issue", "a", "--out", join(flat, "a"), ...forced)).status).toBe(0);
  });

  it("makes no quick set over a key that is there", async () => {
    const own = path("project");
    mkdirSync(own);
    writeFileSync(join(own, "server.key"), "precious");
    const run = await ca("quick", "--dir", own);
    expect(run).toMatchObject({ status: 2, stdout: "" });
    expect(run.stderr).toContain("server.key is there already");
    expect([readdirSync(own), readFileSync(join(own, "server.key"), "utf8")]).toEqual([["server.key"], "precious"]);
  });

  it("takes no empty pass phrase, which a variable that was never filled would be", async () => {
    const own = path("unfilled");
    const run = await mutls(["ca", "init", "--dir", own], { input: "", env: { MUTLS_CA_PASS: "" } });
    expect([run.status, existsSync(own)]).toEqual([2, false]);
    expect(run.stderr).toContain("the pass phrase is empty");
    expect((await ca("csr", "empty", "--out", path("empty"), "--pass=")).status).toBe(2);
    expect(existsSync(path("empty.key"))).toBe(false);
  });
});

describe("mutls ca export", () => {
  it("makes one file of certificate, chain, key and root", async () => {
    await issue("pfx", "--profile", "client", "--force");
    const pass = ["--pass", "hush"];
    const run = await ca("export", path("pfx.pem"), ...pass, "--name", "Pfx", "--cacert", join(dir, "root.pem"));
    expect(run).toEqual({ status: 0, stdout: `${path("pfx.p12")}\n`, stderr: "" });
    expect(statSync(path("pfx.p12")).mode & 0o777).toBe(0o600);
    const { identities, certificates } = await readPkcs12(new Uint8Array(readFileSync(path("pfx.p12"))), "hush");
    expect([identities[0]?.cert.length, identities[0]?.friendlyName, certificates.length]).toEqual([2, "Pfx", 1]);
    // What was made is what --cert takes.
    const server = await served(["--cert", path("pfx.p12"), ...pass]);
    expect((await server.stop()).status).toBe(0);
    expect((await ca("export", path("pfx.pem"), ...pass)).stderr).toContain("is there already");
  });

  it("refuses a key that is another's, and a pass phrase that is none", async () => {
    await issue("one", "--profile", "client", "--force");
    await issue("two", "--profile", "client", "--force");
    const other = await ca("export", path("one.pem"), "--key", path("two.key"), "--pass", "hush");
    expect([other.status, existsSync(path("one.p12"))]).toEqual([58, false]);
    expect((await ca("export", path("one.pem"), "--key", path("no.key"), "--pass", "hush")).status).toBe(26);
    expect(await ca("export", path("one.pem"))).toMatchObject({ status: 2 });
  });
});

describe("mutls ca ocsp", () => {
  it("opens the delegate's key with its pass phrase", async () => {
    await ca("csr", "delegate", "--out", path("delegate"), "--pass", "hush");
    await ca("sign", path("delegate.csr"), "--profile", "ocsp");
    const pair = ["--cert", path("delegate.pem"), "--key", path("delegate.key")];
    const args = ["ca", "ocsp", "--dir", dir, "--port", "0", ...pair];
    expect((await mutls(args)).status).toBe(58);
    const child = start([...args, "--pass", "hush"]);
    const end = finished(child);
    child.stdout?.once("data", () => child.kill("SIGTERM"));
    expect(await end).toMatchObject({ status: 0, stderr: "" });
  });

  it.each([[[]], [["--minutes", "5"]]])("answers, and stops when it is told to: %j", async (args) => {
    await issue("asked", "--profile", "client", "--force");
    await issue("responder", "--profile", "ocsp", "--force");
    const pair = ["--cert", path("responder.pem"), "--key", path("responder.key")];
    const child = start(["ca", "ocsp", "--dir", dir, "--port", "0", ...args, ...(args.length === 0 ? [] : pair)]);
    const end = finished(child);
    const line = await new Promise<string>((resolve) => child.stdout?.once("data", (chunk) => resolve(String(chunk))));
    const port = /^listening on 127\.0\.0\.1:(\d+)\n$/.exec(line)?.[1];
    const request = encodeOcspRequest(certificateIn(path("asked.pem")), certificateIn(join(dir, "issuing.pem")));
    const headers = { "content-type": "application/ocsp-request" };
    const answer = await fetch(`http://127.0.0.1:${port}`, { method: "POST", headers, body: new Uint8Array(request) });
    const { responses, certificates } = parseOcspResponse(new Uint8Array(await answer.arrayBuffer()));
    expect([responses[0]?.status, certificates.length]).toEqual(["good", args.length === 0 ? 0 : 1]);
    child.kill("SIGTERM");
    expect(await end).toMatchObject({ status: 0, stderr: "" });
  });
});

describe("mutls ca quick", () => {
  it("makes what the lines that it says make a handshake of", async () => {
    const own = path("quick set");
    const run = await ca("quick", "--dir", own, "--client", "bob", "--key", "Ed25519");
    expect(run).toMatchObject({ status: 0, stderr: "" });
    const [serve = "", connect = ""] = run.stdout.trimEnd().split("\n").slice(-2);
    const words = (line: string) => (line.match(/'[^']*'|\S+/g) ?? []).map((word) => word.replace(/^'(.*)'$/, "$1"));
    const [, ...serveArgs] = words(serve.replace(/^(npx )?mutls/, "").replace(/ --port 8443/, ""));
    const server = await served(serveArgs);
    const [, ...connectArgs] = words(
      connect.replace(/^.*mutls (?=connect)/, "mutls ").replace(":8443", `:${server.port}`),
    );
    const { status, stdout } = await mutls(connectArgs, { input: "GET / HTTP/1.0\n" });
    await server.stop();
    expect(status).toBe(0);
    expect(stdout.toString()).toMatch(/^HTTP\/1\.0 200 OK[\s\S]*"subject": "CN=bob"/);
  });
});
