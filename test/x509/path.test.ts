/** How paths are searched: limits, loops, asynchronous providers, and what is answered. */
import { X509Certificate } from "node:crypto";
import { beforeAll, describe, expect, it } from "vitest";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { nodeProvider } from "../../src/crypto/node.ts";
import type { CryptoProvider } from "../../src/crypto/provider.ts";
import { TlsError } from "../../src/errors.ts";
import { settle } from "../../src/flow.ts";
import { generateKeyPair } from "../../src/pki/keys.ts";
import { KeyUsage } from "../../src/x509/certificate.ts";
import type { PeerIdentity } from "../../src/x509/identity.ts";
import { trustStore } from "../../src/x509/trust.ts";
import { acceptAnyVerifier, type TrustVerifierOptions, trustVerifier } from "../../src/x509/verifier.ts";
import { extension, generalName } from "../support/der.ts";
import { makeAuthority, makeCertificate, type TestCertificate } from "../support/pki.ts";

let root: TestCertificate;

beforeAll(async () => {
  root = await makeAuthority({ subject: "test root" });
});

function verify(
  sent: readonly TestCertificate[],
  trusted: readonly TestCertificate[],
  options: Omit<TrustVerifierOptions, "trust"> & { name?: string; provider?: CryptoProvider } = {},
) {
  const { name, provider = nodeProvider, ...rest } = options;
  const verifier = trustVerifier({ trust: trustStore(trusted.map(({ der }) => der)), ...rest });
  const certificates = sent.map(({ der }) => der);
  return settle(verifier.verify({ certificates, role: "server", name, time: Date.now(), provider }));
}

function refusal(action: () => unknown): TlsError {
  try {
    action();
  } catch (error) {
    if (error instanceof TlsError) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

/** Counts what it verifies. */
function counting(): { provider: CryptoProvider; count: () => number } {
  let count = 0;
  const provider: CryptoProvider = {
    ...nobleProvider,
    verify: (...request) => {
      count++;
      return nodeProvider.verify(...request);
    },
  };
  return { provider, count: () => count };
}

describe("the search for a path", () => {
  it("ends where two authorities certify each other", async () => {
    const [a, b] = await Promise.all([generateKeyPair("P-256"), generateKeyPair("P-256")]);
    const ofA = await makeAuthority({ subject: "A", key: a });
    const ofB = await makeAuthority({ subject: "B", key: b });
    const aByB = await makeAuthority({ subject: "A", key: a, issuer: ofB });
    const bByA = await makeAuthority({ subject: "B", key: b, issuer: ofA });
    const leaf = await makeCertificate({ issuer: ofA });
    const { provider, count } = counting();
    expect(refusal(() => verify([leaf, aByB, bByA], [root], { provider }))).toMatchObject({
      code: "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
    });
    expect(count()).toBeLessThan(4);
  });

  it("finds the cross-signed way round", async () => {
    const key = await generateKeyPair("P-256");
    const own = await makeAuthority({ subject: "cross", key });
    const crossed = await makeAuthority({ subject: "cross", key, issuer: root });
    const leaf = await makeCertificate({ issuer: own });
    expect(verify([leaf, own, crossed], [root])).toMatchObject({ issuerChain: ["CN=cross", "CN=test root"] });
  });

  it("gives up at the limit of signatures among namesakes with many keys", async () => {
    const crowd: TestCertificate[] = [];
    for (let i = 0; i < 30; i++) {
      const issuer = crowd[i - 1];
      crowd.push(await makeAuthority({ subject: "same", keyIds: false, ...(issuer && { issuer }) }));
    }
    const leaf = await makeCertificate({ issuer: crowd[29] as TestCertificate, keyIds: false });
    const { provider, count } = counting();
    const error = refusal(() => verify([leaf, ...crowd], [root], { provider, maxDepth: 100 }));
    expect(error).toMatchObject({ code: "CERT_REJECTED", alert: "certificate_unknown" });
    expect(error.message).toMatch(/more than 64 signatures/);
    expect(count()).toBe(64);
    expect(refusal(() => verify([leaf, ...crowd], [root], { maxSignatureChecks: 8 })).message).toMatch(
      /more than 8 sig/,
    );
  });

  it("verifies one pair once, and looks at no more candidates than allowed", async () => {
    // Every layer is signed by one key and certified many times: paths multiply, pairs do not.
    const keys = await Promise.all(Array.from({ length: 6 }, () => generateKeyPair("P-256")));
    const top = await makeAuthority({ subject: "layer 0", key: keys[0] as (typeof keys)[0] });
    let issuer = top;
    const sent: TestCertificate[] = [];
    for (let layer = 1; layer < 6; layer++) {
      const subject = `layer ${layer}`;
      const key = keys[layer] as (typeof keys)[0];
      const copies = await Promise.all(
        Array.from({ length: 6 }, () => makeAuthority({ subject, key, issuer, extensions: [] })),
      );
      sent.push(...copies);
      issuer = copies[0] as TestCertificate;
    }
    const leaf = await makeCertificate({ issuer });
    const error = refusal(() => verify([leaf, ...sent], [root], { maxSignatureChecks: 1000 }));
    expect(error.message).toMatch(/more than 100000 steps/);
    expect(error.rejection?.paths.length).toBeLessThanOrEqual(16);
  });

  it("bounds comparisons of names with constraints", async () => {
    const bases = Array.from({ length: 600 }, (_, i) => generalName.dns(`${i}.example.com`));
    const names = Array.from({ length: 600 }, (_, i) => generalName.dns(`${i}.example.org`));
    const top = await makeAuthority({ subject: "strict", extensions: [extension.nameConstraints([], bases)] });
    const leaf = await makeCertificate({ issuer: top, names });
    expect(refusal(() => verify([leaf], [top])).message).toMatch(/more than 100000 steps/);
  });

  it("counts the self-issued neither towards the depth nor the path length", async () => {
    const first = await makeAuthority({ subject: "rolled over", issuer: root });
    const second = await makeAuthority({ subject: "rolled over", issuer: first });
    const other = await makeAuthority({ subject: "other", issuer: second });
    const leaf = await makeCertificate({ issuer: second });
    expect(verify([leaf, first, second], [root], { maxDepth: 1 })).toMatchObject({ verified: true });
    const below = await makeCertificate({ issuer: other });
    expect(refusal(() => verify([below, first, second, other], [root], { maxDepth: 1 }))).toMatchObject({
      code: "CERT_CHAIN_TOO_LONG",
      alert: "bad_certificate",
    });
    expect(verify([below, first, second, other], [root], { maxDepth: 2 })).toMatchObject({ verified: true });
  });

  it("reads no more certificates than allowed", async () => {
    const leaf = await makeCertificate({ issuer: root });
    expect(refusal(() => verify(Array(33).fill(leaf), [root]))).toMatchObject({ code: "CERT_CHAIN_TOO_LONG" });
    expect(refusal(() => verify([leaf, leaf], [root], { maxCertificates: 1 }))).toMatchObject({
      code: "CERT_CHAIN_TOO_LONG",
    });
    expect(verify(Array(32).fill(leaf), [root])).toMatchObject({ verified: true });
  });

  it("refuses a chain with a certificate that cannot be read, and an empty one", async () => {
    const leaf = await makeCertificate({ issuer: root });
    const broken = { ...leaf, der: leaf.der.subarray(1) };
    expect(refusal(() => verify([broken], [root]))).toMatchObject({
      code: "CERT_PARSE_ERROR",
      alert: "bad_certificate",
    });
    expect(refusal(() => verify([leaf, broken], [root]))).toMatchObject({ code: "CERT_PARSE_ERROR" });
    expect(refusal(() => verify([], [root]))).toMatchObject({ code: "CERT_REJECTED" });
  });

  it("prefers what failed for a reason to what merely ended, and tells of both", async () => {
    const key = await generateKeyPair("P-256");
    const stray = await makeAuthority({ subject: "two ways", key, issuer: await makeAuthority({ subject: "nobody" }) });
    const expired = await makeAuthority({ subject: "two ways", key, issuer: root, notAfter: Date.now() - 60_000 });
    const leaf = await makeCertificate({ issuer: stray });
    const { code, rejection } = refusal(() => verify([leaf, stray, expired], [root]));
    expect(code).toBe("CERT_HAS_EXPIRED");
    expect(rejection?.paths.map((path) => [path.code, path.path, path.certificate])).toEqual([
      ["CERT_HAS_EXPIRED", ["CN=test leaf"], "CN=two ways"],
      ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", ["CN=test leaf", "CN=two ways"], "CN=two ways"],
    ]);
    expect(rejection?.remedy).toBe("renew the certificate, or check this machine's clock");
  });

  it("refuses limits that are no counts, and a time that is no time", async () => {
    const leaf = await makeCertificate({ issuer: root });
    for (const wrong of [{ maxDepth: -1 }, { maxSignatureChecks: Number.NaN }, { minRsaBits: 1.5 }]) {
      expect(refusal(() => verify([leaf], [root], wrong))).toMatchObject({ code: "ERR_TLS_OPTION" });
    }
    const certificates = [leaf.der];
    const verifier = trustVerifier({ trust: trustStore(root.der) });
    const request = {
      certificates,
      role: "server",
      name: undefined,
      time: Number.NaN,
      provider: nodeProvider,
    } as const;
    expect(refusal(() => settle(verifier.verify(request)))).toMatchObject({ code: "CERT_NOT_YET_VALID" });
  });

  it("keeps a peer's long names out of the log", async () => {
    const leaf = await makeCertificate({
      issuer: root,
      subject: "x".repeat(50_000),
      names: [generalName.dns("y".repeat(50_000))],
    });
    const { message, rejection } = refusal(() => verify([leaf], [root], { name: "localhost" }));
    expect(message.length + JSON.stringify(rejection).length).toBeLessThan(10_000);
  });

  it("accepts no chain in which any one bit of the leaf or the intermediate is another", async () => {
    const middle = await makeAuthority({ subject: "middle", issuer: root });
    const leaf = await makeCertificate({ issuer: middle });
    for (const [position, { der }] of [leaf, middle].entries()) {
      for (let i = 0; i < der.length; i++) {
        const altered = der.slice();
        altered[i] = (altered[i] as number) ^ (1 << (i % 8));
        const sent = [leaf, middle].map((one, index) => (index === position ? { ...one, der: altered } : one));
        const error = refusal(() => verify(sent, [root]));
        expect(error.alert, `byte ${i} of certificate ${position}: ${error.message}`).toBeDefined();
      }
    }
  });

  it("refuses a wanted name that is none", async () => {
    const leaf = await makeCertificate({ issuer: root });
    expect(refusal(() => verify([leaf], [root], { name: "no name" }))).toMatchObject({ code: "ERR_TLS_OPTION" });
  });

  it("waits where the provider answers later, with the same outcome", async () => {
    const middle = await makeAuthority({ subject: "middle", issuer: root });
    const leaf = await makeCertificate({ issuer: middle });
    const provider: CryptoProvider = {
      ...nobleProvider,
      verify: async (...request) => {
        await Promise.resolve();
        return nobleProvider.verify(...request);
      },
    };
    const later = verify([leaf, middle], [root], { provider, name: "localhost" });
    expect(later).toBeInstanceOf(Promise);
    expect(await later).toMatchObject({ verified: true, issuerChain: ["CN=middle", "CN=test root"] });
    const forged = await makeCertificate({ issuer: middle, signer: root.pair });
    await expect(verify([forged, middle], [root], { provider })).rejects.toMatchObject({
      code: "CERT_SIGNATURE_FAILURE",
    });
  });

  it.each(["P-256", "P-384", "P-521", "Ed25519", "RSA", "RSA-PSS"] as const)(
    "verifies %s, both providers",
    async (key) => {
      const top = await makeAuthority({ subject: key, key });
      const leaf = await makeCertificate({ issuer: top, key });
      const forged = await makeCertificate({ issuer: top, key, signer: (await makeAuthority({ key })).pair });
      for (const provider of [nodeProvider, nobleProvider]) {
        expect(verify([leaf], [top], { provider })).toMatchObject({ verified: true });
        expect(refusal(() => verify([forged], [top], { provider }))).toMatchObject({ code: "CERT_SIGNATURE_FAILURE" });
      }
    },
  );
});

describe("the peer's identity", () => {
  it("says what node:crypto says", async () => {
    const leaf = await makeCertificate({
      issuer: root,
      subject: [
        ["O", "Example"],
        ["OU", "one"],
        ["OU", "two"],
        ["CN", "peer"],
      ],
      names: [
        generalName.dns("peer.example"),
        generalName.ip("::1"),
        generalName.email("a@b.example"),
        generalName.uri("spiffe://b.example/ns/x"),
        generalName.directory("d"),
      ],
    });
    const identity = verify([leaf], [root], { name: "peer.example" }) as PeerIdentity;
    const node = new X509Certificate(leaf.der);
    expect(identity).toMatchObject({
      role: "server",
      verified: true,
      subject: "CN=peer,OU=two,OU=one,O=Example",
      commonName: "peer",
      organizations: ["Example"],
      organizationalUnits: ["one", "two"],
      names: {
        dns: ["peer.example"],
        ip: ["::1"],
        email: ["a@b.example"],
        uri: ["spiffe://b.example/ns/x"],
        directory: ["CN=d"],
      },
      spiffeId: "spiffe://b.example/ns/x",
      issuer: "CN=test root",
      issuerChain: ["CN=test root"],
      serialNumber: node.serialNumber.toLowerCase(),
      fingerprint256: node.fingerprint256.replaceAll(":", "").toLowerCase(),
      notBefore: Date.parse(node.validFrom),
      notAfter: Date.parse(node.validTo),
    });
    expect(identity.path.map(({ der }) => der)).toEqual([leaf.der, root.der]);
    expect(identity.anchor?.der).toEqual(root.der);
  });

  it("is spread with its texts, and with nothing else", async () => {
    const names = [generalName.dns("peer.example")];
    const [one, other] = await Promise.all([
      makeCertificate({ issuer: root, names }),
      makeCertificate({ issuer: root }),
    ]);
    const identity = verify([one], [root]) as PeerIdentity;
    const copy = { ...identity };
    expect(Object.getOwnPropertySymbols(copy)).toEqual([]);
    for (const [name, { get, value }] of Object.entries(Object.getOwnPropertyDescriptors(copy))) {
      expect([name, get, value]).toEqual([name, undefined, identity[name as keyof PeerIdentity]]);
    }
    expect(Object.keys(copy).sort()).toEqual(Object.keys(identity).sort());
    // What one shows is its own, whoever else has been asked.
    const another = verify([other], [root]) as PeerIdentity;
    expect([another.names.dns, identity.names.dns]).toEqual([["localhost"], ["peer.example"]]);
    expect(another.fingerprint256).not.toBe(identity.fingerprint256);
  });

  it("has the same accessors as every other", async () => {
    const leaves = [await makeCertificate({ issuer: root }), await makeCertificate({ issuer: root })] as const;
    const [one, other] = leaves.map((leaf) =>
      Object.values(Object.getOwnPropertyDescriptors(verify([leaf], [root]) as PeerIdentity)).map(({ get }) => get),
    );
    expect(one?.filter((get) => get !== undefined)).toHaveLength(10);
    expect(one?.every((get, index) => get === other?.[index])).toBe(true);
  });

  it.each([
    [["spiffe://a.example/b"], "spiffe://a.example/b"],
    [["spiffe://a.example"], undefined],
    [["spiffe://a.example/"], undefined],
    [["spiffe://192.0.2.1/b_c"], "spiffe://192.0.2.1/b_c"],
    [["SPIFFE://a.example/b"], undefined],
    [["spiffe://a.example/b#c"], undefined],
    [["spiffe://a.example/%62"], undefined],
    [[`spiffe://${"a".repeat(256)}/b`], undefined],
    [["spiffe://a.example/b", "https://a.example/"], undefined],
    [["spiffe://a.example/b", "spiffe://a.example/c"], undefined],
    [["https://a.example/"], undefined],
    [["spiffe://A.example/b"], undefined],
    [["spiffe://a.example/b/"], undefined],
    [["spiffe://a.example//b"], undefined],
    [["spiffe://a.example/../b"], undefined],
    [["spiffe://a.example/.b"], "spiffe://a.example/.b"],
    [["spiffe://a.example/b?c"], undefined],
    [["spiffe://u@a.example/b"], undefined],
    [["spiffe://a.example:1/b"], undefined],
    [["spiffe:///b"], undefined],
    [[`spiffe://a.example/${"b".repeat(2048)}`], undefined],
  ])("of %j has the SPIFFE ID %s", async (uris, spiffeId) => {
    const { der } = await makeCertificate({ names: uris.map(generalName.uri) });
    const request = { certificates: [der], role: "client", name: undefined, time: 0, provider: nodeProvider } as const;
    expect(settle(acceptAnyVerifier().verify(request))).toMatchObject({ spiffeId });
  });

  it.each([
    ["of a CA", { ca: true, keyUsage: KeyUsage.digitalSignature }],
    ["with keyCertSign", { keyUsage: KeyUsage.digitalSignature | KeyUsage.keyCertSign }],
    ["with cRLSign", { keyUsage: KeyUsage.digitalSignature | KeyUsage.cRLSign }],
  ])("%s authenticates by no SPIFFE ID (X509-SVID 5.2)", async (_, options) => {
    const { der } = await makeCertificate({ ...options, names: [generalName.uri("spiffe://a.example/b")] });
    const request = { certificates: [der], role: "client", name: undefined, time: 0, provider: nodeProvider } as const;
    expect(settle(acceptAnyVerifier().verify(request))).toMatchObject({ spiffeId: undefined });
  });

  it("is marked where nothing was verified", async () => {
    const { der } = await makeCertificate({ notAfter: 0 });
    const request = { certificates: [der], role: "client", name: undefined, time: 0, provider: nodeProvider } as const;
    const identity = settle(acceptAnyVerifier().verify(request));
    expect(identity).toMatchObject({ verified: false, anchor: undefined, issuerChain: [], role: "client" });
    expect(() => settle(acceptAnyVerifier().verify({ ...request, certificates: [der.subarray(1)] }))).toThrow(TlsError);
  });
});
