/** PKCS#12 between this library and Java's keytool, NSS, GnuTLS, and an OpenSSL that knows PBMAC1. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { nodeProvider } from "../../src/crypto/node.ts";
import { resolveIdentity } from "../../src/engine/identity.ts";
import { createThrowawayAuthority, type IssuedIdentity, type ThrowawayAuthority } from "../../src/pki/index.ts";
import { type Pkcs12, type Pkcs12Options, readPkcs12, writePkcs12 } from "../../src/pki/pkcs12.ts";
import { parseCertificate } from "../../src/x509/parse.ts";
import { missing } from "../support/needs.ts";

const has = (command: string) => spawnSync(command, ["--help"]).error === undefined;
const node = process.env.MUTLS_NODE_OPENSSL35 ?? "";

const PASSPHRASE = "pass phrase";
const KINDS = ["P-256", "P-384", "RSA"] as const;
const MACS: readonly Pkcs12Options["mac"][] = ["sha1", "sha256"];

let folder: string;
let authority: ThrowawayAuthority;
const issued = new Map<string, IssuedIdentity>();

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "mutls-pkcs12-"));
  authority = await createThrowawayAuthority({ intermediates: 1 });
  for (const key of KINDS) issued.set(key, await authority.issue({ subject: `of ${key}`, key }));
});
afterAll(() => rmSync(folder, { recursive: true }));

const path = (name: string) => join(folder, name);

function run(command: string, ...parameters: string[]): string {
  return execFileSync(command, parameters, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], timeout: 60_000 });
}

/** All three identities and the root as trusted; by default with the iterations that are ours. */
async function ours(name: string, options: Pkcs12Options = {}, kinds: readonly string[] = KINDS): Promise<string> {
  const identities = kinds.map((kind) => {
    const { certificatePem, privateKeyPem } = issued.get(kind) as IssuedIdentity;
    return { cert: certificatePem, key: privateKeyPem, friendlyName: `name ${kind}`.toLowerCase() };
  });
  const trusted = [{ cert: authority.certificate, friendlyName: "the root" }];
  writeFileSync(path(name), await writePkcs12({ identities, trusted }, PASSPHRASE, options));
  return path(name);
}

const read = async (name: string, passphrase = PASSPHRASE, withoutMac = false) =>
  readPkcs12(new Uint8Array(readFileSync(path(name))), passphrase, { withoutMac });

/** Each key fits its certificate; the subjects of the chains. */
function chains({ identities }: Pkcs12): string[][] {
  return identities.map(({ cert, key }) => {
    resolveIdentity({ cert, key }, nodeProvider);
    return cert.map((der) => parseCertificate(der).subject.text);
  });
}

const INTERMEDIATE = "CN=mutls throwaway root\\, intermediate 1";

describe.skipIf(missing("keytool", has("keytool")))("Java's keytool", () => {
  it.each(MACS)("reads ours: %s", async (mac) => {
    const file = await ours(`java-${mac}.p12`, { mac });
    const said = run("keytool", "-J-Duser.language=en", "-list", "-v", "-keystore", file, "-storepass", PASSPHRASE);
    expect(said.match(/Alias name: .*/g)?.sort()).toEqual([
      ...KINDS.map((kind) => `Alias name: name ${kind.toLowerCase()}`),
      "Alias name: the root",
    ]);
    expect(said.match(/Entry type: PrivateKeyEntry/g)).toHaveLength(3);
    expect(said.match(/Entry type: trustedCertEntry/g)).toHaveLength(1);
    expect(said.match(/Certificate chain length: 3/g)).toHaveLength(3);
  });

  it("has the keys of ours: what it copies is ours again", async () => {
    const file = await ours("from.p12");
    const [from, to] = [path("from.p12"), path("to.p12")];
    expect(file).toBe(from);
    const store = [
      "-srckeystore",
      from,
      "-srcstorepass",
      PASSPHRASE,
      "-destkeystore",
      to,
      "-deststorepass",
      PASSPHRASE,
    ];
    run("keytool", "-importkeystore", ...store);
    const copied = await read("to.p12");
    expect(chains(copied).sort()).toEqual(KINDS.map((kind) => [`CN=of ${kind}`, INTERMEDIATE]).sort());
    expect(copied.trusted.map(({ cert, friendlyName }) => [parseCertificate(cert).subject.text, friendlyName])).toEqual(
      [["CN=mutls throwaway root", "the root"]],
    );
    const keys = copied.identities.map(({ key, friendlyName }) => [friendlyName, key.length]);
    expect(keys).toHaveLength(3);
  });

  it.each([
    ["as it does now", []],
    ["as Java 8 did", ["-J-Dkeystore.pkcs12.legacy"]],
    [
      "with more work",
      ["-J-Dkeystore.pkcs12.macIterationCount=100000", "-J-Dkeystore.pkcs12.keyPbeIterationCount=50000"],
    ],
    ["with HmacPBESHA512", ["-J-Dkeystore.pkcs12.macAlgorithm=HmacPBESHA512"]],
    ["with AES-128", ["-J-Dkeystore.pkcs12.keyProtectionAlgorithm=PBEWithHmacSHA512AndAES_128"]],
    [
      "without MAC and encrypted certificates",
      ["-J-Dkeystore.pkcs12.macAlgorithm=NONE", "-J-Dkeystore.pkcs12.certProtectionAlgorithm=NONE"],
    ],
  ])("writes what we read: %s", async (title, options) => {
    const name = `${title.replace(/ /g, "-")}.p12`;
    const store = ["-keystore", path(name), "-storepass", PASSPHRASE];
    for (const [alias, algorithm] of [
      ["one", "EC"],
      ["two", "RSA"],
      ["three", "Ed25519"],
    ] as const) {
      run(
        "keytool",
        ...options,
        "-genkeypair",
        "-alias",
        alias,
        "-keyalg",
        algorithm,
        "-dname",
        `CN=${alias}`,
        ...store,
      );
    }
    writeFileSync(path("ca.pem"), authority.certificatePem);
    run("keytool", ...options, "-importcert", "-noprompt", "-alias", "anchor", "-file", path("ca.pem"), ...store);
    const hasMac = !title.startsWith("without MAC");
    if (!hasMac)
      await expect(read(name)).rejects.toMatchObject({
        code: "ERR_TLS_PKCS12",
        detail: expect.stringMatching(/mac absent/),
      });
    const found = await read(name, PASSPHRASE, !hasMac);
    expect(chains(found).sort()).toEqual([["CN=one"], ["CN=three"], ["CN=two"]]);
    expect(found.identities.map(({ friendlyName }) => friendlyName).sort()).toEqual(["one", "three", "two"]);
    expect(found.trusted.map(({ friendlyName }) => friendlyName)).toEqual(["anchor"]);
  });
});

describe.skipIf(missing("pk12util and certutil", has("pk12util") && has("certutil")))("NSS", () => {
  const database = () => ["-d", `sql:${path("nss")}`];

  it.each(MACS)("reads ours and writes what we read: %s", async (mac) => {
    rmSync(path("nss"), { recursive: true, force: true });
    execFileSync("mkdir", [path("nss")]);
    run("certutil", "-N", ...database(), "--empty-password");
    run("pk12util", "-i", await ours("nss.p12", { mac }, ["P-256"]), ...database(), "-W", PASSPHRASE);
    expect(run("certutil", "-L", ...database())).toMatch(/^name p-256 +u,u,u/m);
    run("pk12util", "-o", path("nss-out.p12"), "-n", "name p-256", ...database(), "-W", PASSPHRASE);
    const found = await read("nss-out.p12");
    expect(chains(found)).toEqual([["CN=of P-256", INTERMEDIATE]]);
    expect(found.identities[0]?.friendlyName).toBe("name p-256");
  });
});

describe.skipIf(missing("certtool", has("certtool")))("GnuTLS", () => {
  it.each(MACS)("reads ours: %s", async (mac) => {
    const file = await ours("gnutls.p12", { mac });
    const said = run("certtool", "--p12-info", "--inder", "--infile", file, "--password", PASSPHRASE);
    expect(said.match(/BEGIN CERTIFICATE/g)).toHaveLength(5);
    const keys = said.match(/-----BEGIN ENCRYPTED PRIVATE KEY-----[^-]+-----END ENCRYPTED PRIVATE KEY-----/g) ?? [];
    expect(keys).toHaveLength(3);
    writeFileSync(path("shrouded.pem"), keys[0] as string);
    const key = run("certtool", "--key-info", "--pkcs8", "--infile", path("shrouded.pem"), "--password", PASSPHRASE);
    expect(key).toContain("EC/ECDSA");
  });

  it.each(["aes-256", "aes-128", "3des", "3des-pkcs12", "rc2-40"])("writes what we read: %s", async (cipher) => {
    const { certificatePem, privateKeyPem } = issued.get("P-256") as IssuedIdentity;
    writeFileSync(path("own.pem"), certificatePem);
    writeFileSync(path("own.key"), privateKeyPem);
    const files = ["--load-certificate", path("own.pem"), "--load-privkey", path("own.key")];
    const out = ["--outder", "--outfile", path("certtool.p12"), "--p12-name", "mine", "--password", PASSPHRASE];
    run("certtool", "--to-p12", ...files, ...out, "--pkcs-cipher", cipher);
    const found = await read("certtool.p12");
    expect(chains(found)).toEqual([["CN=of P-256", INTERMEDIATE]]);
    expect(found.identities[0]?.friendlyName).toBe("mine");
  });
});

describe.skipIf(missing("MUTLS_NODE_OPENSSL35, a Node with OpenSSL 3.5", existsSync(node)))("OpenSSL 3.5", () => {
  const script = `
    const { readFileSync } = require("node:fs");
    const [file, passphrase] = process.argv.slice(1);
    try {
      require("node:tls").createSecureContext({ pfx: readFileSync(file), passphrase });
      console.log("read");
    } catch (error) {
      console.log(error.message);
    }`;

  it.each<Pkcs12Options["mac"]>(["pbmac1", "sha256", "sha1"])("reads ours: %s", async (mac) => {
    const file = await ours(`openssl35-${mac}.p12`, { mac }, ["P-256"]);
    expect(run(node, "-e", script, file, PASSPHRASE).trim()).toBe("read");
    expect(run(node, "-e", script, file, "wrong").trim()).toBe("mac verify failure");
  });
});
