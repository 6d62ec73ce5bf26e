import { describe, expect, it } from "vitest";
import { contextConstructed, DerReader, derEncode, Tag } from "../../src/bytes/der.ts";
import { toHex } from "../../src/bytes/hex.ts";
import { writePem } from "../../src/bytes/pem.ts";
import { nodeProvider } from "../../src/crypto/node.ts";
import { TlsError } from "../../src/errors.ts";
import { settle } from "../../src/flow.ts";
import { createRoot, type Issuer, issueCertificate } from "../../src/pki/issuer.ts";
import { generateKeyPair, type KeyKind } from "../../src/pki/keys.ts";
import {
  type CertificateStatus,
  createOcspResponse,
  isIssuedBy,
  type OcspResponder,
  ocspRefusal,
  readOcspRequest,
} from "../../src/pki/ocsp.ts";
import { encodeOcspRequest, parseOcspResponse } from "../../src/x509/ocsp.ts";
import { parseCertificate } from "../../src/x509/parse.ts";
import { revocationChecker } from "../../src/x509/revocation.ts";
import { trustStore } from "../../src/x509/trust.ts";
import { trustVerifier } from "../../src/x509/verifier.ts";
import { mutateBytes } from "../fuzz/mutate.ts";
import { encodeExtension, encodeNumber, encodeOid, encodeSequence } from "../support/der.ts";
import { DAY, makeCertificate } from "../support/pki.ts";
import { Random } from "../support/random.ts";

const KINDS: readonly KeyKind[] = ["P-256", "P-384", "Ed25519", "RSA", "RSA-PSS"];

async function world(kind: KeyKind = "P-256") {
  const signer = await generateKeyPair(kind);
  const issuer: Issuer = { certificate: await createRoot({ subject: "root" }, signer), signer };
  const { spki } = await generateKeyPair(kind);
  const leaf = await issueCertificate({ profile: "client", subject: "leaf", spki }, issuer);
  const delegate = await generateKeyPair(kind);
  const responder = { profile: "ocsp", subject: "responder", spki: delegate.spki } as const;
  const delegated: OcspResponder = {
    issuer: issuer.certificate,
    certificate: await issueCertificate(responder, issuer),
    signer: delegate,
  };
  return { issuer, leaf, delegated, direct: { issuer: issuer.certificate, signer } satisfies OcspResponder };
}
const shared = world();

async function answer(
  { issuer, leaf }: Awaited<ReturnType<typeof world>>,
  responder: OcspResponder,
  status: CertificateStatus["status"],
  nonce?: Uint8Array,
) {
  const request = encodeOcspRequest(parseCertificate(leaf), parseCertificate(issuer.certificate), nonce);
  const asked = readOcspRequest(request);
  const statuses = asked.certificates.map((certificate) => ({ certificate, status }));
  return createOcspResponse({ statuses, nonce: asked.nonce }, responder);
}

/** A responder whose certificate is valid then. */
async function delegateOf(notBefore: number, notAfter: number): Promise<OcspResponder> {
  const { issuer } = await shared;
  const signer = await generateKeyPair("P-256");
  const input = { profile: "ocsp", subject: "responder", spki: signer.spki, notBefore, notAfter } as const;
  return { issuer: issuer.certificate, certificate: await issueCertificate(input, issuer), signer };
}

describe.each(KINDS)("an OCSP answer signed with %s", (kind) => {
  const made = world(kind);

  it.each(["direct", "delegated"] as const)("is what our own goes by: %s", async (who) => {
    const { issuer, leaf, [who]: responder } = await made;
    const verify = async (status: CertificateStatus["status"]) => {
      const ocspResponse = await answer(await made, responder, status);
      const revocation = revocationChecker({ mode: "soft-fail", mustStaple: "always" });
      const verifier = trustVerifier({ trust: trustStore(writePem("CERTIFICATE", issuer.certificate)), revocation });
      return settle(
        verifier.verify({
          certificates: [leaf],
          role: "client",
          name: undefined,
          time: Date.now(),
          provider: nodeProvider,
          ocspResponse,
        }),
      );
    };
    expect(await verify("good")).toMatchObject({ subject: "CN=leaf" });
    await expect(verify({ revokedAt: Date.now() - 1000, reason: "keyCompromise" })).rejects.toMatchObject({
      code: "CERT_REVOKED",
    });
    await expect(verify("unknown")).rejects.toMatchObject({ code: "ERR_TLS_STATUS_RESPONSE" });
  });
});

describe("an OCSP answer", () => {
  it("says what it was told, and carries the nonce back", async () => {
    const all = await shared;
    const nonce = Uint8Array.from({ length: 32 }, (_, i) => i);
    const revokedAt = Date.UTC(2026, 0, 2, 3, 4, 5);
    const response = parseOcspResponse(await answer(all, all.direct, { revokedAt, reason: "superseded" }, nonce));
    expect(response.nonce).toEqual(nonce);
    expect(response.certificates).toEqual([]);
    expect(response.responses[0]).toMatchObject({ status: "revoked", revokedAt, reason: "superseded" });
    const plain = parseOcspResponse(await answer(all, all.delegated, { revokedAt }));
    expect([plain.nonce, plain.responses[0]?.reason]).toEqual([undefined, undefined]);
    expect(plain.certificates).toEqual([all.delegated.certificate]);
  });

  it.each([
    [
      "another's key",
      async () => ({ ...(await shared).direct, signer: await generateKeyPair("P-256") }),
      "ERR_TLS_KEY",
    ],
    [
      "a certificate that is not for OCSP",
      async () => ({ ...(await shared).delegated, certificate: (await shared).leaf }),
      "ERR_TLS_OPTION",
    ],
    [
      "a certificate of another issuer",
      async () => ({ ...(await shared).delegated, issuer: (await world()).issuer.certificate }),
      "ERR_TLS_OPTION",
    ],
    ["a certificate that is gone by", () => delegateOf(Date.now() - 2 * DAY, Date.now() - DAY), "ERR_TLS_OPTION"],
    ["a certificate that is yet to come", () => delegateOf(Date.now() + DAY, Date.now() + 2 * DAY), "ERR_TLS_OPTION"],
  ] as const)("is not signed by %s", async (_, responder, code) => {
    await expect(answer(await shared, await responder(), "good")).rejects.toMatchObject({ code });
  });

  it.each([0, -1, Number.NaN])("is not made for %d ms", async (lifetime) => {
    const thisUpdate = Date.now();
    const made = createOcspResponse(
      { statuses: [], thisUpdate, nextUpdate: thisUpdate + lifetime },
      (await shared).direct,
    );
    await expect(made).rejects.toMatchObject({ code: "ERR_TLS_OPTION", detail: expect.stringContaining("due before") });
  });

  it("that is none says why", () => {
    const statuses = { malformedRequest: 1, internalError: 2, tryLater: 3, unauthorized: 6 } as const;
    for (const [status, number] of Object.entries(statuses)) {
      const der = ocspRefusal(status as keyof typeof statuses);
      expect(toHex(der)).toBe(`30030a010${number}`);
      expect(() => parseOcspResponse(der)).toThrow(`the responder answers ${status}`);
    }
  });

  it("is for certificates of the issuer that the request names, whichever hash it uses", async () => {
    const { issuer, leaf } = await shared;
    const [asked] = readOcspRequest(
      encodeOcspRequest(parseCertificate(leaf), parseCertificate(issuer.certificate)),
    ).certificates;
    if (asked === undefined) throw new Error("nothing is asked");
    expect(isIssuedBy(asked, issuer.certificate)).toBe(true);
    expect(isIssuedBy(asked, (await makeCertificate()).der)).toBe(false);
    expect(isIssuedBy({ ...asked, hash: "1.2.3" }, issuer.certificate)).toBe(false);
  });
});

/** A request of which parts are exchanged. */
function request(change: {
  version?: Uint8Array;
  singles?: readonly Uint8Array[];
  extensions?: readonly Uint8Array[];
  after?: Uint8Array;
}): Uint8Array {
  const { version = new Uint8Array(), singles = [single()], extensions, after = new Uint8Array() } = change;
  const field = extensions === undefined ? [] : [derEncode(contextConstructed(2), encodeSequence(...extensions))];
  return encodeSequence(encodeSequence(version, encodeSequence(...singles), ...field, after));
}
const octets = (length: number) => derEncode(Tag.octetString, new Uint8Array(length));
const certId = (serial = encodeNumber(7)) =>
  encodeSequence(encodeSequence(encodeOid("1.3.14.3.2.26")), octets(20), octets(20), serial);
const single = (...parts: Uint8Array[]) => encodeSequence(certId(), ...parts);
const nonce = (value: Uint8Array) => encodeExtension({ oid: "1.3.6.1.5.5.7.48.1.2", critical: false, value });
const other = (critical: boolean) => encodeExtension({ oid: "1.2.3.4", critical, value: encodeNumber(1) });

describe("an OCSP request", () => {
  it("is read with what may be ignored in it", () => {
    const version = derEncode(contextConstructed(0), encodeNumber(0));
    const requestor = derEncode(contextConstructed(1), derEncode(0x82, Uint8Array.of(0x61)));
    const more = derEncode(contextConstructed(0), encodeSequence(other(false)));
    const read = readOcspRequest(
      request({
        version: Uint8Array.of(...version, ...requestor),
        singles: [single(more)],
        extensions: [nonce(octets(128))],
      }),
    );
    expect(read.certificates[0]?.serialNumber).toEqual(Uint8Array.of(7));
    expect(read.certificates[0]?.der).toEqual(certId());
    expect(read.nonce?.length).toBe(128);
  });

  it.each<[string, () => Uint8Array, string]>([
    ["too long", () => new Uint8Array(8193), "more than 8192 bytes"],
    ["empty", () => new Uint8Array(), "expected tag"],
    ["with more behind it", () => Uint8Array.of(...request({}), 0), "left over after the OCSPRequest"],
    ["with more in it", () => request({ after: encodeNumber(1) }), "left over after the TBSRequest"],
    ["of another version", () => request({ version: derEncode(contextConstructed(0), encodeNumber(1)) }), "version"],
    [
      "with more in the version",
      () => request({ version: derEncode(contextConstructed(0), encodeNumber(0), encodeNumber(0)) }),
      "left over after the version",
    ],
    ["for nothing", () => request({ singles: [] }), "a request for nothing"],
    ["for too much", () => request({ singles: Array(33).fill(single()) }), "more than 32 certificates"],
    [
      "with a long serial number",
      () => request({ singles: [encodeSequence(certId(derEncode(2, new Uint8Array(65))))] }),
      "serial",
    ],
    ["without a serial number", () => request({ singles: [encodeSequence(certId(derEncode(2)))] }), "serial"],
    ["with an empty nonce", () => request({ extensions: [nonce(octets(0))] }), "a nonce of 0 bytes"],
    ["with a long nonce", () => request({ extensions: [nonce(octets(129))] }), "a nonce of 129 bytes"],
    ["with a bare nonce", () => request({ extensions: [nonce(new Uint8Array(16))] }), "expected tag"],
    ["with a nonce twice", () => request({ extensions: [nonce(octets(9)), nonce(octets(9))] }), "occurs twice"],
    ["with a critical extension", () => request({ extensions: [other(true)] }), "the critical extension 1.2.3.4"],
    [
      "with a critical extension for one",
      () => request({ singles: [single(derEncode(contextConstructed(0), encodeSequence(other(true))))] }),
      "the critical extension 1.2.3.4",
    ],
  ])("%s is malformed", (_, make, detail) => {
    const read = () => readOcspRequest(make());
    expect(read).toThrow(TlsError);
    expect(read).toThrow(detail);
  });

  it("never makes more than a TlsError, however it is mangled", async () => {
    const random = new Random(9);
    const { issuer, leaf } = await shared;
    const whole = encodeOcspRequest(parseCertificate(leaf), parseCertificate(issuer.certificate), new Uint8Array(32));
    let read = 0;
    for (let i = 0; i < 3000; i++) {
      try {
        const { certificates } = readOcspRequest(mutateBytes(random, whole));
        // Whatever is taken can be answered about.
        for (const { der } of certificates) expect(new DerReader(der).sequence().remaining).toBeGreaterThan(0);
        read++;
      } catch (error) {
        expect(error).toBeInstanceOf(TlsError);
      }
    }
    expect(read).toBeGreaterThan(100);
  });
});
