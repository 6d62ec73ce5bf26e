import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writePem } from "../../src/bytes/pem.ts";
import { nodeProvider } from "../../src/crypto/node.ts";
import { settle } from "../../src/flow.ts";
import { createCrl } from "../../src/pki/crl.ts";
import { type CertificateInput, createRoot, type Issuer, issueCertificate } from "../../src/pki/issuer.ts";
import { generateKeyPair, type KeyKind } from "../../src/pki/keys.ts";
import { parseSubject } from "../../src/pki/names.ts";
import type { ProfileName } from "../../src/pki/profiles.ts";
import { KeyPurpose, KeyUsage } from "../../src/x509/certificate.ts";
import { parseCrl } from "../../src/x509/crl.ts";
import { parseCertificate } from "../../src/x509/parse.ts";
import { revocationChecker } from "../../src/x509/revocation.ts";
import { trustStore } from "../../src/x509/trust.ts";
import { trustVerifier } from "../../src/x509/verifier.ts";
import { withoutOpenssl } from "../support/openssl.ts";
import { DAY, makeAuthority, makeCertificate, makeWeakRsa } from "../support/pki.ts";

const KINDS: readonly KeyKind[] = ["P-256", "P-384", "Ed25519", "RSA", "RSA-PSS"];

const key = generateKeyPair("P-256");
const spki = key.then((pair) => pair.spki);
const root = key.then(async (signer) => ({ certificate: await createRoot({ subject: "root" }, signer), signer }));

async function below(issuer: Issuer, input: Partial<CertificateInput> = {}): Promise<Issuer> {
  const signer = await generateKeyPair("P-256");
  const wanted = { profile: "intermediate", subject: "below", spki: signer.spki, ...input } as const;
  return { certificate: await issueCertificate(wanted, issuer), signer };
}

async function issue(input: Partial<CertificateInput>, issuer?: Issuer) {
  const wanted = { profile: "client", spki: await spki, ...input } as const;
  return parseCertificate(await issueCertificate(wanted, issuer ?? (await root)));
}

describe("profiles", () => {
  const { serverAuth, clientAuth, ocspSigning } = KeyPurpose;

  it.each<[ProfileName, Partial<CertificateInput>, readonly string[] | undefined]>([
    ["server", { dnsNames: ["www.example.com"] }, [serverAuth]],
    ["client", { subject: "alice" }, [clientAuth]],
    ["both", { ipAddresses: ["192.0.2.1"] }, [serverAuth, clientAuth]],
    ["spiffe", { uris: ["spiffe://example.org/a/b"] }, [serverAuth, clientAuth]],
    ["ocsp", { subject: "responder" }, [ocspSigning]],
    ["intermediate", { subject: "CA" }, undefined],
  ])("%s has its purposes, its key usage and its time", async (profile, input, purposes) => {
    const certificate = await issue({ profile, ...input });
    const isCa = profile === "intermediate";
    expect(certificate.extendedKeyUsage).toEqual(purposes);
    expect(certificate.basicConstraints).toEqual({ ca: isCa, pathLength: isCa ? 0 : undefined });
    expect(certificate.keyUsage).toBe(isCa ? KeyUsage.keyCertSign | KeyUsage.cRLSign : KeyUsage.digitalSignature);
    const days = (certificate.notAfter - Date.now()) / DAY;
    expect(Math.round(days)).toBe(isCa ? 1825 : 1);
    expect(certificate.extensions.some(({ oid }) => oid === "1.3.6.1.5.5.7.48.1.5")).toBe(profile === "ocsp");
  });

  it.each<[ProfileName, Partial<CertificateInput>, string]>([
    ["server", { subject: "www.example.com" }, "clients look nowhere else"],
    ["both", { emails: ["a@example.com"] }, "clients look nowhere else"],
    ["client", {}, "needs a subject or a name"],
    ["spiffe", { subject: "web" }, "exactly one URI"],
    ["spiffe", { uris: ["spiffe://a/b", "spiffe://a/c"] }, "exactly one URI"],
    ["spiffe", { uris: ["https://example.org/a"] }, "exactly one URI"],
    ["spiffe", { uris: ["spiffe://Example.org/a"] }, "exactly one URI"],
    ["spiffe", { uris: ["spiffe://example.org/a/"] }, "exactly one URI"],
    ["spiffe", { uris: ["spiffe://example.org/a/../b"] }, "exactly one URI"],
    ["spiffe", { uris: [`spiffe://example.org/${"a".repeat(2048)}`] }, "exactly one URI"],
    ["intermediate", {}, "needs a subject"],
    ["intermediate", { subject: "CA", dnsNames: ["example.com"] }, "no names but the subject"],
    ["ocsp", { dnsNames: ["example.com"] }, "needs a subject"],
  ])("%s is not issued for %j", async (profile, input, detail) => {
    await expect(issue({ profile, ...input })).rejects.toMatchObject({
      code: "ERR_TLS_OPTION",
      detail: expect.stringContaining(detail),
    });
  });
});

describe("an issuer", () => {
  it("is outlived by nothing that it issues", async () => {
    const short = await below(await root, { notAfter: Date.now() + 3_600_000 });
    const end = parseCertificate(short.certificate).notAfter;
    expect((await issue({ subject: "a" }, short)).notAfter).toBe(end);
    expect((await issue({ subject: "a", notAfter: Date.now() + DAY }, short)).notAfter).toBe(end);
    expect((await issue({ subject: "a", notAfter: end - 1000 }, short)).notAfter).toBe(end - 1000);
  });

  it("dates certificates back a little, but not to before its own beginning", async () => {
    const { notBefore } = await issue({ subject: "a" });
    expect(notBefore).toBeLessThan(Date.now() - 4 * 60_000);
    const signer = await key;
    const fresh = await createRoot({ subject: "fresh", notBefore: Date.now() }, signer);
    const first = await issue({ subject: "a" }, { certificate: fresh, signer });
    expect(first.notBefore).toBe(parseCertificate(fresh).notBefore);
  });

  it("uses no serial number twice, and none that could be guessed", async () => {
    const serials = await Promise.all(
      Array.from({ length: 50 }, async () => (await issue({ subject: "a" })).serialNumber),
    );
    expect(new Set(serials.map((serial) => Buffer.from(serial).toString("hex"))).size).toBe(50);
    for (const serial of serials) expect(serial.length).toBe(20);
    // Each of the bits that are not fixed comes out both ways: 2^-49 that one does not.
    for (let bit = 2; bit < 160; bit++) {
      const values = serials.map((serial) => ((serial[bit >> 3] as number) >> (7 - (bit & 7))) & 1);
      expect(new Set(values).size).toBe(2);
    }
  });

  it("hands its own name down byte by byte", async () => {
    const other = await makeAuthority({
      subject: [
        ["O", "Example"],
        ["CN", "root"],
      ],
    });
    const issuer = { certificate: other.der, signer: other.pair };
    expect((await issue({ subject: "a" }, issuer)).issuer.der).toEqual(parseCertificate(other.der).subject.der);
  });

  it.each<[string, () => Promise<unknown>, string, string]>([
    ["that is no CA", async () => issue({ subject: "a" }, await leafIssuer()), "ERR_TLS_OPTION", "is no CA"],
    [
      "whose key may not sign certificates",
      async () => {
        const odd = await makeAuthority({ keyUsage: KeyUsage.cRLSign });
        return issue({ subject: "a" }, { certificate: odd.der, signer: odd.pair });
      },
      "ERR_TLS_OPTION",
      "may not sign certificates",
    ],
    [
      "that has expired",
      async () => {
        const old = await makeAuthority({ notAfter: Date.now() - DAY / 2 });
        return issue({ subject: "a", notBefore: Date.now() - DAY }, { certificate: old.der, signer: old.pair });
      },
      "ERR_TLS_OPTION",
      "has expired",
    ],
    [
      "with another's key",
      async () => issue({ subject: "a" }, { ...(await root), signer: await generateKeyPair("P-256") }),
      "ERR_TLS_KEY",
      "the signer is not the issuer's",
    ],
    [
      "without room below",
      async () => issue({ profile: "intermediate", subject: "a" }, await below(await root)),
      "ERR_TLS_OPTION",
      "path length of 0 leaves no room",
    ],
    [
      "for a path length that is none",
      () => issue({ profile: "intermediate", subject: "a", pathLength: 1.5 }),
      "ERR_TLS_OPTION",
      "a path length of 1.5",
    ],
    ["for a path length of a leaf", () => issue({ subject: "a", pathLength: 1 }), "ERR_TLS_OPTION", "is for CAs"],
    [
      "for constraints of a leaf",
      () => issue({ subject: "a", constraints: { permitted: { dnsNames: ["a.example"] } } }),
      "ERR_TLS_OPTION",
      "are for CAs",
    ],
    [
      "of what ends before it begins",
      () => issue({ subject: "a", notBefore: Date.now(), notAfter: Date.now() - 1 }),
      "ERR_TLS_OPTION",
      "ends before it begins",
    ],
    ["before 1970", () => issue({ subject: "a", notBefore: -1 }), "ERR_TLS_OPTION", "before 1970 or after 9999"],
    ["of no time", () => issue({ subject: "a", notBefore: Number.NaN }), "ERR_TLS_OPTION", "before 1970 or after"],
    [
      "for a weak key",
      async () => issue({ subject: "a", spki: (await makeWeakRsa(1024, "SHA-256")).spki }),
      "ERR_TLS_OPTION",
      "1024 bits",
    ],
    [
      "under its own name",
      async () => issue({ profile: "intermediate", subject: "ROOT " }, await root),
      "ERR_TLS_OPTION",
      "the issuer's own name",
    ],
    [
      "under no profile",
      () => issue({ profile: "toString" as "client" }),
      "ERR_TLS_OPTION",
      '"toString" is no profile',
    ],
    [
      "for a point off the curve",
      async () =>
        issue({ subject: "a", spki: (await spki).map((byte, i, { length }) => (i < length - 1 ? byte : byte ^ 1)) }),
      "ERR_TLS_OPTION",
      "no point of P-256",
    ],
    [
      "with an https CRL",
      () => issue({ subject: "a", crlUrls: ["https://a.example"] }),
      "ERR_TLS_OPTION",
      "no http: URL",
    ],
  ])("%s does not issue", async (_, make, code, detail) => {
    await expect(make()).rejects.toMatchObject({ code, detail: expect.stringContaining(detail) });
  });

  async function leafIssuer(): Promise<Issuer> {
    const leaf = await makeCertificate();
    return { certificate: leaf.der, signer: leaf.pair };
  }

  it.each([
    [{ dnsNames: ["a.example.com"] }, true],
    [{ dnsNames: ["a.example.org"] }, false],
    [{ dnsNames: ["no.example.com"] }, false],
    [{ ipAddresses: ["10.1.2.3"] }, true],
    [{ ipAddresses: ["192.0.2.1"] }, false],
    [{ ipAddresses: ["2001:db8::7"] }, true],
    [{ emails: ["a@example.com"] }, true],
    [{ emails: ["a@mail.example.com"] }, false],
    [{ uris: ["https://x.example.com/"] }, true],
    [{ uris: ["https://example.com/"] }, false],
  ])("with name constraints issues for %j: %s", async (names, allowed) => {
    const issuer = await below(await root, {
      constraints: {
        permitted: {
          dnsNames: ["example.com"],
          ipAddresses: ["10.0.0.0/8", "2001:db8::/32"],
          emails: ["example.com"],
          uris: [".example.com"],
        },
        excluded: { dnsNames: ["no.example.com"] },
      },
    });
    const issued = issue({ subject: [["O", "x"]], ...names }, issuer);
    if (allowed) expect((await issued).subject.text).toBe("O=x");
    else await expect(issued).rejects.toMatchObject({ detail: expect.stringContaining("name constraints") });
  });

  it.each([
    [{ dnsNames: ["*.example.com"] }, "no DNS name to constrain to"],
    [{ ipAddresses: ["10.0.0.0"] }, "no range such as"],
    [{ ipAddresses: ["10.0.0.0/33"] }, "no range such as"],
    [{ ipAddresses: ["10.0.0.0/8/24"] }, "no range such as"],
    [{ emails: ["@"] }, "no mail domain"],
    [{ uris: ["https://example.com"] }, "no host to constrain to"],
  ])("takes no constraint like %j", async (permitted, detail) => {
    await expect(below(await root, { constraints: { permitted } })).rejects.toMatchObject({
      detail: expect.stringContaining(detail),
    });
  });
});

describe("a root", () => {
  it.each([
    ["without a name", async () => createRoot({ subject: "" }, await key), "needs a subject"],
    ["with a weak key", async () => createRoot({ subject: "a" }, await makeWeakRsa(1024, "SHA-256")), "1024 bits"],
  ])("%s is not made", async (_, make, detail) => {
    await expect(make()).rejects.toMatchObject({ code: "ERR_TLS_OPTION", detail: expect.stringContaining(detail) });
  });

  it("is not made with another's signature", async () => {
    const other = await generateKeyPair("P-256");
    await expect(createRoot({ subject: "a" }, { ...other, spki: await spki })).rejects.toMatchObject({
      code: "ERR_TLS_KEY",
    });
  });
});

describe("a subject on the command line", () => {
  it.each([
    ["alice", "alice"],
    [
      "/O=Example/CN=a b",
      [
        ["O", "Example"],
        ["CN", "a b"],
      ],
    ],
    ["/CN=a\\/b=c", [["CN", "a/b=c"]]],
    ["/", []],
  ])("%s is read", (text, subject) => expect(parseSubject(text)).toEqual(subject));

  it.each(["/CN", "/XX=a", "/=a", "//"])("%s is refused", (text) => {
    expect(() => parseSubject(text)).toThrow("is not one of C=, ST=");
  });
});

describe("a CRL", () => {
  const revoked = [{ serialNumber: Uint8Array.of(0x41, 7), revokedAt: Date.now(), reason: "keyCompromise" }] as const;

  it("is read by our own", async () => {
    const crl = parseCrl(await createCrl({ number: 12n, revoked }, await root));
    expect(crl).toMatchObject({ version: 2, crlNumber: 12n, size: 1, unhandledCritical: [] });
    expect(crl.find(crl.issuer, Uint8Array.of(0x41, 7))?.reason).toBe("keyCompromise");
    expect(crl.authorityKeyId).toEqual(parseCertificate((await root).certificate).subjectKeyId);
    expect((crl.nextUpdate as number) - crl.thisUpdate).toBe(7 * DAY);
  });

  it.each<[string, () => Promise<unknown>, string, string]>([
    ["with a negative number", async () => createCrl({ number: -1n, revoked }, await root), "ERR_TLS_OPTION", "number"],
    [
      "with a number of 21 octets",
      async () => createCrl({ number: 1n << 159n, revoked }, await root),
      "ERR_TLS_OPTION",
      "number",
    ],
    [
      "that is due before it is there",
      async () => createCrl({ number: 1n, revoked, thisUpdate: 5000, nextUpdate: 5000 }, await root),
      "ERR_TLS_OPTION",
      "due before",
    ],
    [
      "that is due at no time",
      async () => createCrl({ number: 1n, revoked, nextUpdate: Number.NaN }, await root),
      "ERR_TLS_OPTION",
      "before 1970 or after 9999",
    ],
    [
      "with a revocation at no time",
      async () => createCrl({ number: 1n, revoked: [{ ...revoked[0], revokedAt: 1e18 }] }, await root),
      "ERR_TLS_OPTION",
      "before 1970 or after 9999",
    ],
    [
      "that takes a hold back, as only a delta may",
      async () => createCrl({ number: 1n, revoked: [{ ...revoked[0], reason: "removeFromCRL" }] }, await root),
      "ERR_TLS_OPTION",
      "for delta CRLs",
    ],
    [
      "of whose key may not sign it",
      async () => {
        const odd = await makeAuthority({ keyUsage: KeyUsage.keyCertSign });
        return createCrl({ number: 1n, revoked }, { certificate: odd.der, signer: odd.pair });
      },
      "ERR_TLS_OPTION",
      "may not sign CRLs",
    ],
    [
      "by another's key",
      async () => createCrl({ number: 1n, revoked }, { ...(await root), signer: await generateKeyPair("P-256") }),
      "ERR_TLS_KEY",
      "the signer is not the issuer's",
    ],
  ])("%s is not made", async (_, make, code, detail) => {
    await expect(make()).rejects.toMatchObject({ code, detail: expect.stringContaining(detail) });
  });
});

describe.each(KINDS)("what is issued with %s", (kind) => {
  const made = (async () => {
    const signer = await generateKeyPair(kind);
    const top = { certificate: await createRoot({ subject: "root" }, signer), signer };
    const middle = await generateKeyPair(kind);
    const certificate = await issueCertificate({ profile: "intermediate", subject: "CA", spki: middle.spki }, top);
    const issuer = { certificate, signer: middle };
    const leaf = await issueCertificate(
      { profile: "both", subject: "leaf", dnsNames: ["leaf.example"], spki: (await generateKeyPair(kind)).spki },
      issuer,
    );
    const entry = { serialNumber: parseCertificate(leaf).serialNumber, revokedAt: Date.now() };
    const crls = {
      top: await createCrl({ number: 1n, revoked: [] }, top),
      empty: await createCrl({ number: 1n, revoked: [] }, issuer),
      full: await createCrl({ number: 2n, revoked: [{ ...entry, reason: "superseded" }] }, issuer),
    };
    return { root: top.certificate, issuer: issuer.certificate, leaf, crls };
  })();

  it("is accepted, and refused when revoked, by our own", async () => {
    const { root: anchor, issuer, leaf, crls } = await made;
    const verify = (crl: Uint8Array) => {
      const revocation = revocationChecker({ mode: "hard-fail", crls: [crls.top, crl] });
      const verifier = trustVerifier({ trust: trustStore(writePem("CERTIFICATE", anchor)), revocation });
      const request = { certificates: [leaf, issuer], role: "client", time: Date.now(), name: undefined } as const;
      return (async () => settle(verifier.verify({ ...request, provider: nodeProvider })))();
    };
    await expect(verify(crls.empty)).resolves.toMatchObject({ subject: "CN=leaf" });
    await expect(verify(crls.full)).rejects.toMatchObject({ code: "CERT_REVOKED" });
  });

  it("is read by Node", async () => {
    const { root: anchor, issuer, leaf } = await made;
    const [top, middle, end] = [anchor, issuer, leaf].map((der) => new X509Certificate(der)) as [
      X509Certificate,
      X509Certificate,
      X509Certificate,
    ];
    expect(end.verify(middle.publicKey) && middle.verify(top.publicKey) && end.checkIssued(middle)).toBe(true);
    expect(end.checkHost("leaf.example")).toBe("leaf.example");
  });

  describe.skipIf(withoutOpenssl)("by OpenSSL", () => {
    let folder: string;
    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), "mutls-issuer-"));
      const { root: anchor, issuer, leaf, crls } = await made;
      const write = (name: string, label: string, ...ders: Uint8Array[]) =>
        writeFileSync(join(folder, name), ders.map((der) => writePem(label, der)).join(""));
      write("root.pem", "CERTIFICATE", anchor);
      write("issuer.pem", "CERTIFICATE", issuer);
      write("leaf.pem", "CERTIFICATE", leaf);
      write("empty.pem", "X509 CRL", crls.top, crls.empty);
      write("full.pem", "X509 CRL", crls.top, crls.full);
      write("own.pem", "X509 CRL", crls.full);
    });
    afterAll(() => rmSync(folder, { recursive: true, force: true }));
    const openssl = (...parameters: string[]) =>
      execFileSync("openssl", parameters, { cwd: folder, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
    const verify = (crl: string) => {
      const crls = ["-crl_check_all", "-CRLfile", crl];
      const chain = ["-CAfile", "root.pem", "-untrusted", "issuer.pem", "leaf.pem"];
      return openssl(
        "verify",
        "-x509_strict",
        "-purpose",
        "sslserver",
        "-verify_hostname",
        "leaf.example",
        ...crls,
        ...chain,
      );
    };

    it("is accepted, and refused when revoked", () => {
      expect(verify("empty.pem")).toBe("leaf.pem: OK\n");
      expect(() => verify("full.pem")).toThrow("certificate revoked");
    });

    it("has the CRL read", () => {
      const text = openssl("crl", "-in", "own.pem", "-noout", "-text");
      expect(text).toContain("CRL entry extensions");
      expect(text).toContain("Superseded");
    });
  });
});
