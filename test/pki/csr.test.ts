import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { contextConstructed, DerReader, derEncode, Tag } from "../../src/bytes/der.ts";
import { readPem, writePem } from "../../src/bytes/pem.ts";
import { nodeProvider } from "../../src/crypto/node.ts";
import { TlsError } from "../../src/errors.ts";
import { createCertificationRequest } from "../../src/pki/csr.ts";
import { readCertificationRequest } from "../../src/pki/csr-read.ts";
import { certificateSigner, generateKeyPair, type KeyKind, type SubjectKey } from "../../src/pki/keys.ts";
import { alternativeNamesOf, subjectOf } from "../../src/pki/names.ts";
import { mutateBytes } from "../fuzz/mutate.ts";
import {
  encodeBitString,
  encodeExtension,
  encodeInteger,
  encodeName,
  encodeNumber,
  encodeOid,
  encodeSequence,
  extension,
  generalName,
} from "../support/der.ts";
import { withoutOpenssl } from "../support/openssl.ts";
import { makeWeakRsa } from "../support/pki.ts";
import { Random } from "../support/random.ts";

const KINDS: readonly KeyKind[] = ["P-256", "P-384", "P-521", "Ed25519", "RSA", "RSA-3072", "RSA-PSS"];
const names = { dnsNames: ["www.example.com"], ipAddresses: ["192.0.2.1", "2001:db8::1"], emails: ["a@example.com"] };

describe.each(KINDS)("a certification request of %s", (kind) => {
  it("is read back", async () => {
    const key = await generateKeyPair(kind);
    const request = await readCertificationRequest(
      await createCertificationRequest(
        {
          subject: [
            ["O", "Example"],
            ["CN", "Älice"],
          ],
          ...names,
        },
        key,
      ),
    );
    expect(subjectOf(request.subject)).toEqual([
      ["O", "Example"],
      ["CN", "Älice"],
    ]);
    expect(alternativeNamesOf(request.subjectAltName)).toEqual({ ...names, uris: [] });
    expect(request.publicKey.spki).toEqual(key.spki);
  });
});

describe("a certification request", () => {
  it("is signed by a key that cannot be read, and by one that is elsewhere", async () => {
    const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign", "verify"]);
    await expect(crypto.subtle.exportKey("pkcs8", pair.privateKey)).rejects.toThrow();
    const first = await readCertificationRequest(await createCertificationRequest({ subject: "alice" }, pair));
    expect(first.subject.text).toBe("CN=alice");
    const { pkcs8, spki } = await generateKeyPair("RSA");
    const remote: SubjectKey = { spki, ...certificateSigner(nodeProvider.signer(pkcs8)) };
    const second = await readCertificationRequest(await createCertificationRequest({ subject: "bob" }, remote));
    expect(second.publicKey.algorithm).toEqual({ type: "rsa", bits: 2048 });
  });

  it("needs no subject where it has names", async () => {
    const key = await generateKeyPair("P-256");
    const { subject, subjectAltName } = await readCertificationRequest(
      await createCertificationRequest({ uris: ["spiffe://example.org/a"] }, key),
    );
    expect(subject.empty).toBe(true);
    expect(subjectAltName?.uri).toEqual(["spiffe://example.org/a"]);
  });

  it.each([
    [{ subject: "x".repeat(65) }, "CN has 65 characters"],
    [{ subject: " " }, "CN has 1 characters"],
    [{ subject: "a\u202eb" }, "control character"],
    [{ subject: "admin\u3164" }, "one that nobody sees"],
    [{ subject: "admin\ufe0f" }, "one that nobody sees"],
    [{ subject: [["constructor", "a"]] as never }, "constructor is no attribute that is issued"],
    [{ subject: [["C", "Germany"]] as never }, "C has 7 characters"],
    [{ subject: [["C", "d1"]] as never }, "C does not have its form"],
    [{ subject: [["XX", "d1"]] as never }, "XX is no attribute that is issued"],
    [{ subject: Array(33).fill(["OU", "a"]) as never }, "a subject of 33 attributes"],
    [{ dnsNames: ["a_b.example"] }, '"a_b.example" is no DNS name'],
    [{ dnsNames: ["*"] }, '"*" is no DNS name'],
    [{ dnsNames: ["*.com"] }, '"*.com" is no DNS name'],
    [{ dnsNames: ["www.*.com"] }, '"www.*.com" is no DNS name'],
    [{ dnsNames: ["münchen.example"] }, "is no DNS name"],
    [{ dnsNames: ["192.0.2.1"] }, "is no DNS name"],
    [{ ipAddresses: ["192.0.2"] }, '"192.0.2" is no IP address'],
    [{ emails: ["a b@example.com"] }, "is no mail address"],
    [{ uris: ["/a"] }, '"/a" is no absolute URI'],
    [{ uris: ["https://example.com/ä"] }, "is no absolute URI"],
    [{ uris: ["https://evil.example\\@example.com/"] }, "is no absolute URI"],
    [{ uris: ["https://example.com/%zz"] }, "is no absolute URI"],
    [{ dnsNames: Array.from({ length: 1025 }, (_, i) => `h${i}.example`) }, "1025 names in one certificate"],
  ])("is not made for %j", async (input, detail) => {
    const made = createCertificationRequest(input, await generateKeyPair("P-256"));
    await expect(made).rejects.toMatchObject({ code: "ERR_TLS_OPTION", detail: expect.stringContaining(detail) });
  });
});

/** The parts of a request, each of which may be exchanged; signed in the end, or not. */
async function forged(change: {
  version?: Uint8Array;
  subject?: Uint8Array;
  spki?: Uint8Array;
  attributes?: readonly Uint8Array[];
  after?: Uint8Array;
  signer?: SubjectKey;
  algorithm?: Uint8Array;
  signature?: Uint8Array;
}): Promise<Uint8Array> {
  const key = change.signer ?? (await ecKey);
  const info = encodeSequence(
    change.version ?? encodeNumber(0),
    change.subject ?? encodeName("alice"),
    change.spki ?? key.spki,
    derEncode(contextConstructed(0), ...(change.attributes ?? [])),
    change.after ?? new Uint8Array(),
  );
  const signature = encodeBitString(change.signature ?? (await key.sign(info)));
  return encodeSequence(info, change.algorithm ?? key.algorithm, signature);
}
const ecKey = generateKeyPair("P-256");
const EXTENSION_REQUEST = "1.2.840.113549.1.9.14";
const attribute = (oid: string, ...values: Uint8Array[]) =>
  encodeSequence(encodeOid(oid), derEncode(Tag.set, ...values));
const request = (...extensions: Uint8Array[]) => attribute(EXTENSION_REQUEST, encodeSequence(...extensions));
const san = encodeExtension(extension.subjectAltName([generalName.dns("www.example.com")]));

describe("a hostile certification request", () => {
  it("is taken where nothing is wrong with it", async () => {
    const der = await forged({
      attributes: [attribute("1.2.840.113549.1.9.7", derEncode(Tag.utf8String)), request(san)],
    });
    expect((await readCertificationRequest(der)).subjectAltName?.dns).toEqual(["www.example.com"]);
    const empty = await readCertificationRequest(await forged({ attributes: [request()] }));
    expect(empty.subjectAltName).toBeUndefined();
  });

  const pss = encodeSequence(encodeOid("1.2.840.113549.1.1.10"));
  const curve = (oid: string, length: number) =>
    encodeSequence(
      encodeSequence(encodeOid("1.2.840.10045.2.1"), encodeOid(oid)),
      encodeBitString(Uint8Array.of(4, ...new Uint8Array(length))),
    );
  const rsa = (modulus: Uint8Array, exponent: Uint8Array) =>
    encodeSequence(
      encodeSequence(encodeOid("1.2.840.113549.1.1.1"), derEncode(Tag.null)),
      encodeBitString(encodeSequence(encodeInteger(modulus), encodeInteger(exponent))),
    );
  const big = (length: number, last: number) => Uint8Array.of(0xc1, ...new Uint8Array(length - 2), last);
  const ed = (y: number) =>
    encodeSequence(encodeSequence(encodeOid("1.3.101.112")), encodeBitString(Uint8Array.of(y, ...new Uint8Array(31))));

  it.each<[string, () => Promise<Uint8Array | string>, string | RegExp]>([
    ["that is too long", async () => new Uint8Array(70_000).fill(0x30), "more than 32768 bytes"],
    [
      "that is too long as DER",
      () => forged({ attributes: [attribute("1.2.3", new Uint8Array(33_000))] }),
      /more than/,
    ],
    ["that is none", async () => "hello", "no certification request in the input"],
    ["two at once", async () => pem(await forged({})).repeat(2), "2 requests in one text"],
    ["of a certificate", async () => writePem("CERTIFICATE", await forged({})), "no certification request"],
    ["of another version", () => forged({ version: encodeNumber(1) }), "the version is not known"],
    ["with more after it", () => forged({ after: encodeNumber(1) }), "left over after the request's info"],
    ["with a mangled name", () => forged({ subject: encodeSequence(encodeNumber(1)) }), /tag/],
    ["signed by another", async () => forged({ spki: (await generateKeyPair("P-256")).spki }), "not by its key"],
    ["that is not signed", () => forged({ signature: new Uint8Array(70) }), "not by its key"],
    ["signed by a key of another kind", async () => forged({ spki: (await generateKeyPair("RSA")).spki }), "of a kind"],
    ["signed with SHA-1", async () => forged({ signer: await makeWeakRsa(2048, "SHA-1") }), "sha1WithRSAEncryption"],
    ["signed with RSASSA-PSS without parameters", () => forged({ algorithm: pss }), "RSASSA-PSS without parameters"],
    ["signed somehow", () => forged({ algorithm: encodeSequence(encodeOid("1.2.3.4")) }), "algorithm is not known"],
    ["for a short RSA key", async () => forged({ signer: await makeWeakRsa(1024, "SHA-256") }), "of 1024 bits; 2048"],
    ["for a huge RSA key", () => forged({ spki: rsa(big(1025, 1), Uint8Array.of(1, 0, 1)) }), "of 8200 bits"],
    ["for an even modulus", () => forged({ spki: rsa(big(256, 2), Uint8Array.of(1, 0, 1)) }), "even modulus"],
    ["for a small exponent", () => forged({ spki: rsa(big(256, 1), Uint8Array.of(3)) }), "exponent below 65537"],
    ["for an Ed25519 key of small order", () => forged({ spki: ed(1) }), "small order"],
    ["for a point off the curve", () => forged({ spki: curve("1.2.840.10045.3.1.7", 64) }), "not by its key"],
    ["for a point of a wrong length", () => forged({ spki: curve("1.2.840.10045.3.1.7", 63) }), "uncompressed"],
    ["for a curve that nobody asked for", () => forged({ spki: curve("1.3.132.0.10", 64) }), "1.3.132.0.10 are not"],
    ["with an attribute twice", () => forged({ attributes: [request(san), request(san)] }), "occurs twice"],
    ["with an attribute without a value", () => forged({ attributes: [attribute("1.2.3")] }), "has no value"],
    [
      "with too many attributes",
      () => forged({ attributes: Array.from({ length: 17 }, (_, i) => attribute(`1.2.${i}`, encodeNumber(1))) }),
      "more than 16 attributes",
    ],
    [
      "with two values of an extension request",
      () => forged({ attributes: [attribute(EXTENSION_REQUEST, encodeSequence(san), encodeSequence(san))] }),
      "left over after the extension request",
    ],
    ["with an extension twice", () => forged({ attributes: [request(san, san)] }), "occurs twice"],
    [
      "with 65 extensions",
      () => {
        const many = Array.from({ length: 65 }, (_, i) => `1.2.3.${i}`);
        return forged({
          attributes: [
            request(...many.map((oid) => encodeExtension({ oid, critical: false, value: encodeNumber(1) }))),
          ],
        });
      },
      "more than 64 extensions",
    ],
    [
      "with a NUL in a name",
      () => forged({ attributes: [request(encodeExtension(extension.subjectAltName([generalName.dns("a\0.b")])))] }),
      "not ASCII",
    ],
  ])("%s is refused", async (_, make, detail) => {
    const read = readCertificationRequest(await make());
    await expect(read).rejects.toBeInstanceOf(TlsError);
    await expect(read).rejects.toMatchObject({ code: "ERR_TLS_CSR", detail: expect.stringMatching(escaped(detail)) });
  });

  it("never makes more than a TlsError, however it is mangled", async () => {
    const random = new Random(7);
    const whole = await forged({ attributes: [request(san)] });
    let refused = 0;
    for (let i = 0; i < 1500; i++) {
      try {
        await readCertificationRequest(mutateBytes(random, whole));
      } catch (error) {
        expect(error).toBeInstanceOf(TlsError);
        refused++;
      }
    }
    // What still reads is whole: signatures cover all the rest.
    expect(refused).toBeGreaterThan(1400);
  });

  it.each([
    ["a directory name", generalName.directory("x")],
    ["another name", derEncode(contextConstructed(0), encodeOid("1.2.3"), derEncode(contextConstructed(0), san))],
    ["a registered ID", Uint8Array.of(0x88, 1, 0x2a)],
  ])("may ask for %s, and does not get it", async (_, name) => {
    const der = await forged({ attributes: [request(encodeExtension(extension.subjectAltName([name])))] });
    const { subjectAltName } = await readCertificationRequest(der);
    expect(() => alternativeNamesOf(subjectAltName)).toThrow("are not issued");
  });

  it.each([
    ["an RDN of several attributes", /several attributes/, ["2.5.4.3", "2.5.4.10"]],
    ["an attribute that is not issued", /2\.5\.4\.12 is not issued/, ["2.5.4.12"]],
  ])("may ask for a subject with %s, and does not get it", async (_, problem, oids) => {
    const parts = oids.map((oid) => encodeSequence(encodeOid(oid), derEncode(Tag.utf8String, Uint8Array.of(0x61))));
    const subject = encodeSequence(derEncode(Tag.set, ...parts));
    const read = await readCertificationRequest(await forged({ subject }));
    expect(() => subjectOf(read.subject)).toThrow(problem);
  });
});

function pem(der: Uint8Array): string {
  return writePem("CERTIFICATE REQUEST", der);
}
function escaped(text: string | RegExp): RegExp {
  return typeof text === "string" ? new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")) : text;
}

describe.skipIf(withoutOpenssl)("OpenSSL", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "mutls-csr-"));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const openssl = (...parameters: string[]) =>
    execFileSync("openssl", parameters, { cwd: folder, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

  it.each(KINDS)("reads and verifies our requests of %s", async (kind) => {
    const key = await generateKeyPair(kind);
    writeFileSync(join(folder, "a.csr"), await createCertificationRequest({ subject: "alice", ...names }, key));
    const text = openssl("req", "-in", "a.csr", "-verify", "-noout", "-text", "-nameopt", "utf8");
    expect(text).toMatch(/Subject: CN ?= ?alice/);
    expect(text).toContain("DNS:www.example.com, IP Address:192.0.2.1");
    // DER and nothing else: what openssl writes anew is the same.
    openssl("req", "-in", "a.csr", "-outform", "DER", "-out", "a.der");
    const [block] = readPem(readFileSync(join(folder, "a.csr"), "utf8"));
    expect(new Uint8Array(readFileSync(join(folder, "a.der")))).toEqual(block?.der);
    expect(new DerReader(block?.der as Uint8Array).sequence().remaining).toBeGreaterThan(0);
  });

  it.each([
    ["P-256", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    ["P-384", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
    ["RSA", "rsa:2048"],
    ["RSASSA-PSS", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048"],
    ["Ed25519", "ed25519"],
  ])("makes requests of %s that we read", async (kind, ...newkey) => {
    const added = ["-addext", "subjectAltName=DNS:a.example,IP:::1,email:a@example.com,URI:urn:a:b"];
    const salt = kind === "RSASSA-PSS" ? ["-sigopt", "rsa_pss_saltlen:32"] : [];
    openssl(
      "req",
      "-newkey",
      ...newkey,
      ...salt,
      "-nodes",
      "-keyout",
      "b.key",
      "-subj",
      "/O=Ex/CN=b",
      ...added,
      "-out",
      "b.csr",
    );
    const request = await readCertificationRequest(readFileSync(join(folder, "b.csr")));
    expect(subjectOf(request.subject)).toEqual([
      ["O", "Ex"],
      ["CN", "b"],
    ]);
    expect(alternativeNamesOf(request.subjectAltName)).toEqual({
      dnsNames: ["a.example"],
      ipAddresses: ["::1"],
      emails: ["a@example.com"],
      uris: ["urn:a:b"],
    });
  });
});
