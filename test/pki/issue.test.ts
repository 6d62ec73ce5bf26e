import { execFileSync } from "node:child_process";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { derEncode, Tag } from "../../src/bytes/der.ts";
import { toHex } from "../../src/bytes/hex.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { nodeProvider } from "../../src/crypto/node.ts";
import { settle } from "../../src/flow.ts";
import { createThrowawayAuthority } from "../../src/pki/index.ts";
import { KeyUsage } from "../../src/x509/certificate.ts";
import { parseCertificate } from "../../src/x509/parse.ts";
import { trustStore } from "../../src/x509/trust.ts";
import { trustVerifier } from "../../src/x509/verifier.ts";
import { encodeNumber, encodeOid, encodeTime, extension } from "../support/der.ts";
import { missing } from "../support/needs.ts";

const openssl = (...parameters: string[]): string => execFileSync("openssl", parameters, { encoding: "utf8" });

function hasOpenssl(): boolean {
  try {
    return openssl("version").startsWith("OpenSSL");
  } catch {
    return false;
  }
}

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "mutls-pki-"));
});

afterAll(() => rmSync(folder, { recursive: true }));

const KINDS = ["P-256", "P-384", "P-521", "Ed25519", "RSA", "RSA-PSS"] as const;

describe.each(KINDS)("a throwaway authority of %s", (key) => {
  it("issues what this library accepts, with its private key", async () => {
    const authority = await createThrowawayAuthority({ key, intermediates: 2, name: "root of the test" });
    const issued = await authority.issue({ subject: "leaf", dnsNames: ["leaf.example"], ipAddresses: ["::1"], key });
    expect(issued.certificates).toHaveLength(3);
    const verifier = trustVerifier({ trust: trustStore(authority.certificatePem) });
    for (const provider of [nodeProvider, nobleProvider]) {
      for (const role of ["server", "client"] as const) {
        const request = { certificates: issued.certificates, role, name: "leaf.example", time: Date.now(), provider };
        expect(settle(verifier.verify(request))).toMatchObject({
          subject: "CN=leaf",
          issuerChain: [
            "CN=root of the test\\, intermediate 2",
            "CN=root of the test\\, intermediate 1",
            "CN=root of the test",
          ],
        });
      }
    }
    const certificate = new X509Certificate(issued.certificates[0] as Uint8Array);
    expect(certificate.checkPrivateKey(createPrivateKey(issued.privateKeyPem))).toBe(true);
    expect(nodeProvider.signer(issued.privateKey).schemes).not.toHaveLength(0);
  });

  it.skipIf(missing("openssl", hasOpenssl()))("issues what openssl verify -x509_strict accepts", async () => {
    const authority = await createThrowawayAuthority({ key, intermediates: 1 });
    const issued = await authority.issue({ subject: "leaf", dnsNames: ["leaf.example"], server: true, key });
    const [root, leaf] = [join(folder, `${key}-root.pem`), join(folder, `${key}-leaf.pem`)];
    writeFileSync(root, authority.certificatePem);
    writeFileSync(leaf, issued.certificatePem);
    const options = ["-x509_strict", "-purpose", "sslserver", "-verify_hostname", "leaf.example"];
    expect(openssl("verify", ...options, "-CAfile", root, "-untrusted", leaf, leaf)).toMatch(/: OK/);
    expect(() => openssl("verify", "-purpose", "sslclient", "-CAfile", root, "-untrusted", leaf, leaf)).toThrow();
  });
});

describe("issuing", () => {
  it("honours purposes, validity and names", async () => {
    const authority = await createThrowawayAuthority();
    const request = {
      subject: [
        ["C", "DE"],
        ["O", "Example"],
        ["emailAddress", "a@b.example"],
      ],
      emails: ["a@b.example"],
      uris: ["spiffe://b.example/x"],
      client: true,
      notBefore: Date.UTC(2030, 0, 1),
      notAfter: Date.UTC(2051, 5, 7, 8, 9, 10),
    } as const;
    const { certificates } = await authority.issue(request);
    const certificate = parseCertificate(certificates[0] as Uint8Array);
    expect(certificate).toMatchObject({ notBefore: request.notBefore, notAfter: request.notAfter });
    expect(certificate.subject.text).toBe("emailAddress=a@b.example,O=Example,C=DE");
    expect(certificate.extendedKeyUsage).toEqual(["1.3.6.1.5.5.7.3.2"]);
    expect(certificate.subjectAltName).toMatchObject({ email: ["a@b.example"], uri: ["spiffe://b.example/x"] });
    const unnamed = parseCertificate((await authority.issue({ dnsNames: ["a"] })).certificates[0] as Uint8Array);
    expect(unnamed.subject.empty).toBe(true);
    expect(unnamed.extensions.find(({ oid }) => oid === "2.5.29.17")?.critical).toBe(true);
    expect(certificate.extensions.find(({ oid }) => oid === "2.5.29.17")?.critical).toBe(false);
  });

  it("refuses an address that is none", async () => {
    const authority = await createThrowawayAuthority();
    await expect(authority.issue({ ipAddresses: ["1.2.3"] })).rejects.toMatchObject({ code: "ERR_TLS_OPTION" });
  });

  it.each([
    [encodeOid("2.999.1"), "0603883701"],
    [encodeOid("1.2.840.113549"), "06062a864886f70d"],
    [encodeNumber(0), "020100"],
    [encodeNumber(128), "02020080"],
    [encodeTime(Date.UTC(2049, 11, 31, 23, 59, 59)), "170d3439313233313233353935395a"],
    [encodeTime(Date.UTC(2050, 0, 1)), "180f32303530303130313030303030305a"],
    [extension.keyUsage(KeyUsage.digitalSignature).value, "03020780"],
    [extension.keyUsage(KeyUsage.keyCertSign | KeyUsage.cRLSign).value, "03020106"],
    [extension.keyUsage(KeyUsage.decipherOnly).value, "0303070080"],
    [derEncode(Tag.sequence, new Uint8Array(200)).subarray(0, 3), "3081c8"],
  ])("encodes as X.690 and RFC 5280 have it (%#)", (encoded, hex) => expect(toHex(encoded)).toBe(hex));
});
