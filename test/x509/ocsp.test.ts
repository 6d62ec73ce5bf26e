/** OCSP requests and what responses are worth (RFC 6960). */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { derEncode, Tag } from "../../src/bytes/der.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { settle } from "../../src/flow.ts";
import { KeyPurpose, KeyUsage } from "../../src/x509/certificate.ts";
import { encodeOcspRequest } from "../../src/x509/ocsp.ts";
import { type OcspQuestion, type OcspVerdict, ocspStatus } from "../../src/x509/ocsp-validation.ts";
import { parseCertificate } from "../../src/x509/parse.ts";
import { mutateBytes } from "../fuzz/mutate.ts";
import { withoutOpenssl } from "../support/openssl.ts";
import {
  DAY,
  makeAuthority,
  makeCertificate,
  makeWeakRsa,
  type TestCertificate,
  type TestCertificateOptions,
} from "../support/pki.ts";
import { Random } from "../support/random.ts";
import { makeOcspResponse, ocspNoCheck, type TestOcspOptions, unknownCritical } from "../support/status.ts";

let root: TestCertificate;
let other: TestCertificate;
let leaf: TestCertificate;

beforeAll(async () => {
  root = await makeAuthority({ subject: "test root" });
  other = await makeAuthority({ subject: "other" });
  leaf = await makeCertificate({ issuer: root, notBefore: Date.now() - 2 * DAY });
});

function question(changes: Partial<OcspQuestion> = {}): OcspQuestion {
  return {
    subject: parseCertificate(leaf.der),
    issuer: parseCertificate(root.der),
    rules: { time: Date.now(), tolerance: 0, maxAge: undefined },
    provider: nobleProvider,
    minRsaBits: 2048,
    ...changes,
  };
}

async function ask(options: Partial<TestOcspOptions> = {}, changes: Partial<OcspQuestion> = {}): Promise<OcspVerdict> {
  return settle(ocspStatus(await makeOcspResponse({ certificate: leaf, issuer: root, ...options }), question(changes)));
}

const responder = (options: TestCertificateOptions = {}) =>
  makeCertificate({ subject: "responder", issuer: root, purposes: [KeyPurpose.ocspSigning], names: [], ...options });

describe("an OCSP response", () => {
  it("by the issuer counts, by name or key, with SHA-1 or SHA-256 in the certID, in either version notation", async () => {
    for (const options of [{}, { byKey: true }, { hash: "sha256" as const }, { version: 0 }]) {
      expect((await ask(options)).status).toBe("good");
    }
  });

  it("says that a certificate is revoked, when and why", async () => {
    const verdict = await ask({ status: "revoked" });
    expect(verdict).toMatchObject({
      status: "revoked",
      code: "CERT_REVOKED",
      reason: expect.stringMatching(/keyCompromise/),
    });
  });

  it("by a responder that the issuer appointed counts", async () => {
    expect((await ask({ responder: await responder() })).status).toBe("good");
    expect((await ask({ responder: await responder({ extensions: [ocspNoCheck] }), byKey: true })).status).toBe("good");
  });

  it("asks about the responder's own certificate unless that is exempt (RFC 6960 4.2.2.2.1)", async () => {
    // biome-ignore lint/correctness/useYield: it has the answer
    const distrust = function* () {
      return "it is revoked";
    };
    const exempt = await responder({ extensions: [ocspNoCheck] });
    expect((await ask({ responder: await responder() }, { distrust })).status).toBe("unknown");
    expect((await ask({ responder: exempt }, { distrust })).status).toBe("good");
  });

  it("without nextUpdate counts for seven days, and in no case longer than is wanted", async () => {
    const time = Date.now();
    const old = { nextUpdate: null, thisUpdate: time - 8 * DAY };
    expect((await ask({ nextUpdate: null })).status).toBe("good");
    expect((await ask(old)).status).toBe("unknown");
    expect((await ask({ thisUpdate: time - 600_000 }, { rules: { time, tolerance: 0, maxAge: 300_000 } })).status).toBe(
      "unknown",
    );
    expect(
      (await ask({ nextUpdate: time - 60_000 }, { rules: { time, tolerance: 90_000, maxAge: undefined } })).status,
    ).toBe("good");
  });

  it("repeats the nonce of the request where there was one", async () => {
    const nonce = Uint8Array.from({ length: 32 }, (_, i) => i);
    expect((await ask({ nonce }, { nonce })).status).toBe("good");
    expect((await ask({}, { nonce })).status).toBe("unknown");
    expect((await ask({ nonce: nonce.slice(1) }, { nonce })).status).toBe("unknown");
  });

  it("about a namesake's certificate is none", async () => {
    const namesake = await makeAuthority({ subject: "test root" });
    expect(await ask({ issuer: namesake, signer: root.pair })).toMatchObject({
      reason: expect.stringMatching(/not about/),
    });
  });

  const REFUSED: readonly (readonly [string, RegExp, () => Promise<Partial<TestOcspOptions>>])[] = [
    ["unknown to the responder", /does not know/, async () => ({ status: "unknown" })],
    ["about another certificate", /not about/, async () => ({ certificate: other })],
    ["from the future", /future/, async () => ({ producedAt: Date.now() + DAY })],
    ["from before the certificate", /before the certificate/, async () => ({ producedAt: Date.now() - 3 * DAY })],
    ["not yet current", /after/, async () => ({ thisUpdate: Date.now() + DAY })],
    ["expired", /counts until/, async () => ({ nextUpdate: Date.now() - 60_000 })],
    ["signed by another key", /not signed by the issuer/, async () => ({ signer: other.pair })],
    ["of another responder", /neither the issuer/, async () => ({ responder: other, certificates: [] })],
    ["by an impostor", /not from the issuer/, async () => ({ responder: await responder({ issuer: other }) })],
    [
      "by a responder whose certificate is forged",
      /responder: /,
      async () => ({ responder: await responder({ signer: other.pair }) }),
    ],
    [
      "by a responder for all purposes",
      /not for OCSPSigning/,
      async () => ({ responder: await responder({ purposes: [KeyPurpose.any] }) }),
    ],
    [
      "by a responder for no purpose",
      /not for OCSPSigning/,
      async () => ({ responder: await responder({ purposes: [] }) }),
    ],
    [
      "by a responder that may not sign",
      /digitalSignature/,
      async () => ({ responder: await responder({ keyUsage: KeyUsage.keyAgreement }) }),
    ],
    [
      "by an expired responder",
      /its certificate is for/,
      async () => ({ responder: await responder({ notAfter: Date.now() - DAY / 2, notBefore: Date.now() - DAY }) }),
    ],
    [
      "by a responder with a critical extension",
      /1\.2\.3\.4/,
      async () => ({ responder: await responder({ extensions: [unknownCritical] }) }),
    ],
    [
      "by an appointed responder with another key",
      /not signed by that key/,
      async () => ({ responder: await responder(), signer: other.pair }),
    ],
    [
      "by a responder with a weak key",
      /its key is RSA 1024, the least accepted is 2048 bits/,
      async () => ({ responder: await responder({ key: await makeWeakRsa(1024, "SHA-256") }) }),
    ],
    ["with a critical extension", /1\.2\.3\.4/, async () => ({ extensions: [unknownCritical] })],
    ["with a critical extension of its own", /1\.2\.3\.4/, async () => ({ singleExtensions: [unknownCritical] })],
    ["of version 2", /version/, async () => ({ version: 1 })],
    ["that there is none for now", /tryLater/, async () => ({ outcome: 3 })],
    ["of another type", /of type 1\.2\.3/, async () => ({ type: "1.2.3" })],
  ];
  it.each(REFUSED)("%s is none", async (_, reason, options) => {
    const verdict = await ask(await options());
    expect(verdict).toMatchObject({
      status: "unknown",
      code: "ERR_TLS_STATUS_RESPONSE",
      reason: expect.stringMatching(reason),
    });
  });

  it("damaged at random never throws and never becomes good for another certificate", async () => {
    const der = await makeOcspResponse({
      certificate: leaf,
      issuer: root,
      responder: await responder(),
      status: "revoked",
    });
    const random = new Random(6960);
    const counts = { ...question(), provider: nobleProvider };
    for (let i = 0; i < 400; i++) {
      expect((await settle(ocspStatus(mutateBytes(random, der), counts))).status).not.toBe("good");
    }
    const garbage = derEncode(Tag.sequence, new Uint8Array(3));
    expect((await settle(ocspStatus(garbage, counts))).status).toBe("unknown");
  }, 60_000);
});

describe.skipIf(withoutOpenssl)("an OCSP request", () => {
  it("is OpenSSL's, and with a nonce OpenSSL reads it", () => {
    const folder = mkdtempSync(join(tmpdir(), "mutls-ocsp-"));
    try {
      const file = (name: string) => join(folder, name);
      writeFileSync(file("ca.pem"), root.pem);
      writeFileSync(file("leaf.pem"), leaf.pem);
      const run = (...options: string[]) => execFileSync("openssl", ["ocsp", ...options], { encoding: "utf8" });
      run("-issuer", file("ca.pem"), "-cert", file("leaf.pem"), "-no_nonce", "-reqout", file("request"));
      const { subject, issuer } = question();
      expect(encodeOcspRequest(subject, issuer)).toEqual(new Uint8Array(readFileSync(file("request"))));
      writeFileSync(file("mine"), encodeOcspRequest(subject, issuer, new Uint8Array(32).fill(0xab)));
      expect(run("-reqin", file("mine"), "-req_text")).toMatch(/OCSP Nonce:\s+0420(AB){32}/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
