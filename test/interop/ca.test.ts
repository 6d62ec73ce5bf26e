/** What the CA makes, before Go, Java's keytool and curl; and their requests before the CA. */
import { execFile, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type CertificateAuthority, createAuthority, privateKeyPem } from "../../src/node/ca/index.ts";
import { createCertificationRequest } from "../../src/pki/csr.ts";
import { readCertificationRequest } from "../../src/pki/csr-read.ts";
import { generateKeyPair, type KeyKind } from "../../src/pki/keys.ts";
import { alternativeNamesOf, subjectOf } from "../../src/pki/names.ts";
import { served } from "../support/cli.ts";
import { missing } from "../support/needs.ts";

const goPki = join(process.env.MUTLS_INTEROP ?? "", "go-pki");
const KINDS: readonly KeyKind[] = ["P-256", "P-384", "Ed25519", "RSA"];
const names = { dnsNames: ["localhost"], ipAddresses: ["127.0.0.1"], uris: ["spiffe://example.org/web"] };

const runs = (command: string, ...args: string[]) => spawnSync(command, args).error === undefined;
const run = async (command: string, ...args: string[]) => {
  const { stdout, stderr } = await promisify(execFile)(command, args, { cwd: folder });
  return stdout + stderr;
};

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "mutls-interop-ca-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const authorities = new Map<KeyKind, Promise<CertificateAuthority>>();

/** A CA with a server's and two clients' certificates, one of them revoked, as files `KIND-name.pem`. */
function authorityOf(kind: KeyKind): Promise<CertificateAuthority> {
  let made = authorities.get(kind);
  if (made === undefined) {
    made = makeAuthority(kind);
    authorities.set(kind, made);
  }
  return made;
}

async function makeAuthority(kind: KeyKind): Promise<CertificateAuthority> {
  const constraints = {
    permitted: { dnsNames: ["localhost", "example.com"] },
    excluded: { ipAddresses: ["10.0.0.0/8"] },
  };
  const crlUrls = ["http://pki.example.com/issuing.crl"];
  const authority = await createAuthority(join(folder, kind), { key: kind, constraints, crlUrls });
  const issue = async (name: string, input: object) => {
    const { pkcs8, spki } = await generateKeyPair(kind);
    const issued = await authority.issue({ profile: "client", spki, subject: name, ...input });
    writeFileSync(join(folder, `${kind}-${name}.pem`), issued.pem + authority.chainPem);
    writeFileSync(join(folder, `${kind}-${name}.key`), await privateKeyPem(pkcs8));
    return issued;
  };
  await issue("server", { profile: "server", ...names });
  await issue("alice", {});
  await authority.revoke((await issue("mallory", {})).serial, "keyCompromise");
  return authority;
}

describe.skipIf(missing("Go's crypto/x509 (MUTLS_INTEROP)", existsSync(goPki)))("Go", () => {
  it.each(KINDS)("takes certificates and CRLs of %s, and sees what is revoked", async (kind) => {
    const authority = await authorityOf(kind);
    const verify = (name: string, role: string, host = "") =>
      run(
        goPki,
        "verify",
        join(authority.folder, "root.pem"),
        `${kind}-${name}.pem`,
        role,
        host,
        join(authority.folder, "crl.pem"),
      );
    expect(await verify("server", "server", "localhost")).toBe("good\n");
    expect(await verify("server", "server", "127.0.0.1")).toBe("good\n");
    await expect(verify("server", "client")).rejects.toThrow("incompatible key usage");
    await expect(verify("server", "server", "example.org")).rejects.toThrow("not example.org");
    expect(await verify("alice", "client")).toBe("good\n");
    await expect(verify("mallory", "client")).rejects.toThrow("revoked 1");
  });

  it.each(KINDS)("takes a request of %s", async (kind) => {
    const csr = await createCertificationRequest({ subject: "alice", ...names }, await generateKeyPair(kind));
    writeFileSync(join(folder, "ours.csr"), csr);
    expect(await run(goPki, "request", "ours.csr")).toBe(
      "CN=alice [localhost] [127.0.0.1] [] [spiffe://example.org/web]\n",
    );
  });

  it.each(KINDS)("makes a request of %s that is read", async (kind) => {
    await run(goPki, "make", kind, "go.csr");
    const { subject, subjectAltName } = await readCertificationRequest(readFileSync(join(folder, "go.csr")));
    expect(subjectOf(subject)).toEqual([
      ["O", "Example"],
      ["CN", "go"],
    ]);
    expect(alternativeNamesOf(subjectAltName)).toEqual({
      dnsNames: ["go.example"],
      ipAddresses: ["2001:db8::1"],
      emails: ["go@example.com"],
      uris: ["spiffe://example.org/go"],
    });
  });
});

describe.skipIf(missing("Java's keytool", runs("keytool")))("keytool", () => {
  const keytool = (...args: string[]) => run("keytool", "-J-Duser.language=en", ...args);

  it.each([
    ["EC", "P-256", "-groupname", "secp256r1"],
    ["EC", "P-384", "-groupname", "secp384r1"],
    ["RSA", "RSA", "-keysize", "3072"],
    ["Ed25519", "Ed25519"],
  ] as const)("asks with a key of %s, and takes the answer of a CA of %s", async (algorithm, kind, ...parameters) => {
    const authority = await authorityOf(kind);
    const store = ["-keystore", `${kind}.p12`, "-storetype", "PKCS12", "-storepass", "changeit", "-alias", "java"];
    const names = ["-ext", "san=dns:java.example.com,ip:127.0.0.1"];
    await keytool("-genkeypair", ...store, "-keyalg", algorithm, ...parameters, "-dname", "CN=java, O=Example");
    await keytool("-certreq", ...store, ...names, "-file", "java.csr");
    const { publicKey, subject, subjectAltName } = await readCertificationRequest(
      readFileSync(join(folder, "java.csr")),
    );
    const asked = alternativeNamesOf(subjectAltName);
    expect(asked).toMatchObject({ dnsNames: ["java.example.com"], ipAddresses: ["127.0.0.1"] });
    const issued = await authority.issue({
      profile: "both",
      spki: publicKey.spki,
      subject: subjectOf(subject),
      ...asked,
    });
    writeFileSync(join(folder, "reply.pem"), issued.pem + authority.chainPem + authority.rootPem);
    // Without -noprompt it would ask whether to trust the root; the chain is built and its signatures verified.
    expect(await keytool("-importcert", ...store, "-file", "reply.pem", "-noprompt")).toContain("was installed");
    const list = await keytool("-list", "-v", ...store);
    expect(list).toContain("Certificate chain length: 3");
    expect(list).toContain("DNSName: java.example.com");
  });

  it.each(KINDS)("prints certificates and CRLs of %s", async (kind) => {
    const authority = await authorityOf(kind);
    const printed = await keytool("-printcert", "-file", `${kind}-server.pem`);
    for (const text of ["Owner: CN=server", "DNSName: localhost", "URIName: spiffe://example.org/web", "serverAuth"])
      expect(printed).toContain(text);
    expect(printed).toContain("URIName: http://pki.example.com/issuing.crl");
    // -keystore: it then says whether the CRL is signed by one of the certificates there.
    const trust = ["-keystore", `${kind}-trust.p12`, "-storetype", "PKCS12", "-storepass", "changeit"];
    const issuing = ["-importcert", "-noprompt", "-alias", "issuing", "-file", join(authority.folder, "issuing.pem")];
    await keytool(...issuing, ...trust);
    const crl = await keytool("-printcrl", "-file", join(authority.folder, "issuing.crl"), ...trust);
    expect(crl).toContain("Verified by issuing in keystore");
    expect(crl).toMatch(/Reason: Key_Compromise|Reason Code: Key Compromise|keyCompromise|KEY_COMPROMISE/i);
    const csr = await createCertificationRequest({ subject: "alice", ...names }, await generateKeyPair(kind));
    writeFileSync(join(folder, "ours.csr"), csr);
    expect(await keytool("-printcertreq", "-file", "ours.csr")).toContain("Subject: CN=alice");
  });
});

describe.skipIf(missing("curl", runs("curl", "--version")))("curl", () => {
  it.each(KINDS)("takes a server of %s, shows a certificate, and is refused with a revoked one", async (kind) => {
    const authority = await authorityOf(kind);
    const pair = (name: string) => [
      "--cert",
      join(folder, `${kind}-${name}.pem`),
      "--key",
      join(folder, `${kind}-${name}.key`),
    ];
    const file = (name: string) => join(authority.folder, name);
    const mutual = ["--cacert", file("root.pem"), "--crlfile", file("crl.pem"), "--client-auth", "on"];
    const server = await served([...pair("server"), ...mutual]);
    const get = (...args: string[]) =>
      run(
        "curl",
        "-sS",
        "--http1.0",
        "--tlsv1.3",
        "--cacert",
        file("root.pem"),
        ...args,
        `https://localhost:${server.port}/`,
      );
    try {
      const answer = await get("--crlfile", file("crl.pem"), ...pair("alice"));
      expect(answer).toContain('"subject": "CN=alice"');
      await expect(get(...pair("mallory"))).rejects.toThrow(/alert certificate revoked/);
      await expect(get()).rejects.toThrow(/alert certificate required/);
    } finally {
      await server.stop();
    }
  });
});
