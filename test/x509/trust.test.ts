import tls from "node:tls";
import { beforeAll, describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes/bytes.ts";
import { derEncode, Tag } from "../../src/bytes/der.ts";
import { DistinguishedName } from "../../src/x509/distinguished.ts";
import { parseCertificate } from "../../src/x509/parse.ts";
import { trustStore } from "../../src/x509/trust.ts";
import { encodeOid, encodeSequence } from "../support/der.ts";
import { makeAuthority, type TestCertificate } from "../support/pki.ts";

let a: TestCertificate;
let b: TestCertificate;

beforeAll(async () => {
  a = await makeAuthority({ subject: "A" });
  b = await makeAuthority({ subject: "B" });
});

describe("trustStore", () => {
  it("takes PEM text and bytes, DER and parsed certificates, each certificate once", () => {
    const store = trustStore([`comment\n${a.pem}${b.pem}`, utf8(a.pem), b.der, parseCertificate(a.der)], 7);
    expect(store.anchors.map(({ subject }) => subject.text)).toEqual(["CN=A", "CN=B"]);
    expect(store.generation).toBe(7);
    expect(store.subjects).toEqual([a.name, b.name]);
    expect(trustStore(a.pem).anchors).toHaveLength(1);
    expect(trustStore(a.der).anchors).toHaveLength(1);
    expect(trustStore([]).anchors).toEqual([]);
  });

  it("finds anchors by name and by identity", async () => {
    const namesake = parseCertificate((await makeAuthority({ subject: "A" })).der);
    const store = trustStore([a.pem, b.pem]);
    expect(store.named(namesake.subject).map(({ der }) => der)).toEqual([a.der]);
    expect(store.find(namesake)).toBeUndefined();
    expect(store.find(parseCertificate(a.der))?.der).toEqual(a.der);
  });

  it("finds anchors by a name that is encoded or written otherwise", async () => {
    const printable = encodeSequence(
      derEncode(Tag.set, encodeSequence(encodeOid("2.5.4.3"), derEncode(Tag.printableString, utf8("a")))),
    );
    const second = await makeAuthority({ subject: "A" });
    const store = trustStore([a.pem, b.pem, second.pem]);
    for (const der of [a.name, printable]) {
      expect(store.named(new DistinguishedName(der)).map((anchor) => anchor.der)).toEqual([a.der, second.der]);
    }
    expect(store.named(new DistinguishedName(encodeSequence()))).toEqual([]);
  });

  it("holds Node's roots", () => {
    expect(trustStore(tls.rootCertificates).anchors).toHaveLength(tls.rootCertificates.length);
  });

  it("skips other blocks and refuses what it cannot honour", () => {
    expect(trustStore(a.privateKeyPem + a.pem).anchors).toHaveLength(1);
    const error = (code: string, message: RegExp) =>
      expect.objectContaining({ code, message: expect.stringMatching(message) });
    expect(() => trustStore("")).toThrow(error("ERR_TLS_PEM", /no CERTIFICATE block/));
    expect(() => trustStore(a.privateKeyPem)).toThrow(error("ERR_TLS_PEM", /no CERTIFICATE block/));
    const trusted = a.pem.replaceAll("CERTIFICATE", "TRUSTED CERTIFICATE");
    expect(() => trustStore(trusted)).toThrow(error("ERR_TLS_PEM", /not supported/));
    const key = a.privateKeyPem.replaceAll("PRIVATE KEY", "CERTIFICATE");
    expect(() => trustStore(b.pem + key)).toThrow(error("CERT_PARSE_ERROR", /trusted certificate 2 of 2/));
    expect(() => trustStore(a.der.subarray(0, 100))).toThrow(error("CERT_PARSE_ERROR", /reaches beyond/));
  });
});
