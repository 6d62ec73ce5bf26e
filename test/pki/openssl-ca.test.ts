import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writePem } from "../../src/bytes/pem.ts";
import { nodeProvider } from "../../src/crypto/node.ts";
import { settle } from "../../src/flow.ts";
import { createRoot, issueCertificate } from "../../src/pki/issuer.ts";
import { generateKeyPair, type KeyKind } from "../../src/pki/keys.ts";
import { parseCrl } from "../../src/x509/crl.ts";
import { encodeOcspRequest, parseOcspResponse } from "../../src/x509/ocsp.ts";
import { parseCertificate } from "../../src/x509/parse.ts";
import { revocationChecker } from "../../src/x509/revocation.ts";
import { trustStore } from "../../src/x509/trust.ts";
import { trustVerifier } from "../../src/x509/verifier.ts";
import { withoutOpenssl } from "../support/openssl.ts";

/** CRLs and OCSP answers that OpenSSL makes with a CA's key of ours, about certificates of ours. */

const CONFIG = `[ca]
default_ca = own
[own]
database = index.txt
crlnumber = number
default_md = default
default_crl_days = 1
crl_extensions = crl
[crl]
authorityKeyIdentifier = keyid
`;

describe.skipIf(withoutOpenssl).each<KeyKind>(["P-256", "P-384", "RSA"])("OpenSSL with a key of %s", (kind) => {
  let folder: string;
  let root: Uint8Array;
  const leaves: Record<string, Uint8Array> = {};
  const openssl = (...args: string[]) =>
    execFileSync("openssl", args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "mutls-openssl-ca-"));
    const signer = await generateKeyPair(kind);
    root = await createRoot({ subject: "root" }, signer);
    const { spki } = await generateKeyPair(kind);
    const lines = [];
    for (const [name, status] of [
      ["good", "V"],
      ["bad", "R"],
    ] as const) {
      const der = await issueCertificate({ profile: "client", subject: name, spki }, { certificate: root, signer });
      leaves[name] = der;
      const serial = Buffer.from(parseCertificate(der).serialNumber).toString("hex").toUpperCase();
      const revoked = status === "R" ? "260101000000Z,keyCompromise" : "";
      lines.push(`${status}\t490101000000Z\t${revoked}\t${serial}\tunknown\t/CN=${name}\n`);
    }
    const write = (name: string, text: string) => writeFileSync(join(folder, name), text);
    write("index.txt", lines.join(""));
    write("number", "1F\n");
    write("config", CONFIG);
    write("root.pem", writePem("CERTIFICATE", root));
    write("root.key", writePem("PRIVATE KEY", signer.pkcs8));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const verify = async (name: string, options: Parameters<typeof revocationChecker>[0], ocspResponse?: Uint8Array) => {
    const trust = trustStore(writePem("CERTIFICATE", root));
    const verifier = trustVerifier({ trust, revocation: revocationChecker(options) });
    const certificates = [leaves[name] as Uint8Array];
    const request = { certificates, role: "client", name: undefined, time: Date.now(), ocspResponse } as const;
    return settle(verifier.verify({ ...request, provider: nodeProvider }));
  };

  it("makes a CRL that is gone by", async () => {
    openssl("ca", "-gencrl", "-config", "config", "-cert", "root.pem", "-keyfile", "root.key", "-out", "crl.pem");
    openssl("crl", "-in", "crl.pem", "-outform", "DER", "-out", "crl.der");
    const crl = new Uint8Array(readFileSync(join(folder, "crl.der")));
    expect(parseCrl(crl)).toMatchObject({ crlNumber: 0x1fn, size: 1 });
    const options = { mode: "hard-fail", crls: [crl] } as const;
    expect(await verify("good", options)).toMatchObject({ subject: "CN=good" });
    await expect(verify("bad", options)).rejects.toMatchObject({ code: "CERT_REVOKED" });
  });

  it("makes OCSP answers that are gone by", async () => {
    const issuer = parseCertificate(root);
    const ask = (name: string): Uint8Array => {
      const request = encodeOcspRequest(
        parseCertificate(leaves[name] as Uint8Array),
        issuer,
        new Uint8Array(32).fill(7),
      );
      writeFileSync(join(folder, "request"), request);
      const who = ["-rsigner", "root.pem", "-rkey", "root.key", "-CA", "root.pem", "-index", "index.txt"];
      openssl("ocsp", ...who, "-reqin", "request", "-respout", "response", "-nmin", "5");
      return new Uint8Array(readFileSync(join(folder, "response")));
    };
    const response = ask("bad");
    expect(parseOcspResponse(response).nonce).toEqual(new Uint8Array(32).fill(7));
    const options = { mode: "soft-fail", mustStaple: "always" } as const;
    expect(await verify("good", options, ask("good"))).toMatchObject({ subject: "CN=good" });
    await expect(verify("bad", options, response)).rejects.toMatchObject({ code: "CERT_REVOKED" });
  });
});
