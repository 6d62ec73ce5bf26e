import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { contextConstructed, derEncode, Tag } from "../../src/bytes/der.ts";
import { fromHex } from "../../src/bytes/hex.ts";
import type { HashName, KeyAlgorithm } from "../../src/crypto/provider.ts";
import { certificateSignatureAlgorithm, schemeAlgorithm, schemeFits, schemesFor } from "../../src/crypto/signatures.ts";
import { TlsError } from "../../src/errors.ts";
import { derInteger } from "../support/key-files.ts";

describe("schemesFor", () => {
  const rsae = ["rsa_pss_rsae_sha256", "rsa_pss_rsae_sha384", "rsa_pss_rsae_sha512"];
  const pss = ["rsa_pss_pss_sha256", "rsa_pss_pss_sha384", "rsa_pss_pss_sha512"];
  const cases: [KeyAlgorithm, string[]][] = [
    [{ type: "ec", curve: "P-256" }, ["ecdsa_secp256r1_sha256"]],
    [{ type: "ec", curve: "P-384" }, ["ecdsa_secp384r1_sha384"]],
    [{ type: "ec", curve: "P-521" }, ["ecdsa_secp521r1_sha512"]],
    [{ type: "ed25519" }, ["ed25519"]],
    [{ type: "rsa", bits: 2048 }, rsae],
    [{ type: "rsa", bits: 8192 }, rsae],
    [{ type: "rsa", bits: 8193 }, []],
    // emLen is one byte short of two digests of 64 bytes and 2 (RFC 8017 9.1.1).
    [{ type: "rsa", bits: 1024 }, rsae.slice(0, 2)],
    [{ type: "rsa", bits: 1033 }, rsae.slice(0, 2)],
    [{ type: "rsa", bits: 1034 }, rsae],
    [{ type: "rsa", bits: 521 }, []],
    [{ type: "rsa", bits: 522 }, rsae.slice(0, 1)],
    [{ type: "rsa-pss", bits: 2048 }, pss],
    [{ type: "rsa-pss", bits: 2048, hash: "sha384", saltLength: 48 }, pss.slice(1, 2)],
    [{ type: "rsa-pss", bits: 2048, hash: "sha384", saltLength: 20 }, pss.slice(1, 2)],
    [{ type: "rsa-pss", bits: 2048, hash: "sha384", saltLength: 49 }, []],
    [{ type: "unknown", oid: "1.3.101.113" }, []],
  ];

  it.each(cases)("%o", (key, expected) => {
    expect(schemesFor(key)).toEqual(expected);
    for (const scheme of schemesFor(key)) expect(schemeFits(scheme, key)).toBe(true);
  });

  it("salts are as long as the digest (RFC 8446 4.2.3)", () => {
    expect(schemeAlgorithm("rsa_pss_pss_sha512")).toEqual({ type: "rsa-pss", hash: "sha512", saltLength: 64 });
  });
});

const OID = {
  rsassaPss: "06092a864886f70d01010a",
  mgf1: "06092a864886f70d010108",
  sha1: "06052b0e03021a",
  sha256: "0609608648016503040201",
  sha384: "0609608648016503040202",
  sha512: "0609608648016503040203",
};

function sequence(...parts: (string | Uint8Array)[]): Uint8Array {
  return derEncode(Tag.sequence, ...parts.map((part) => (typeof part === "string" ? fromHex(part) : part)));
}

interface Pss {
  hash?: string;
  mask?: string;
  salt?: bigint;
  trailer?: bigint;
}

function pssIdentifier({ hash, mask, salt, trailer }: Pss): Uint8Array {
  const fields = [
    hash && derEncode(contextConstructed(0), sequence(hash)),
    mask && derEncode(contextConstructed(1), sequence(OID.mgf1, sequence(mask))),
    salt !== undefined && derEncode(contextConstructed(2), derInteger(salt)),
    trailer !== undefined && derEncode(contextConstructed(3), derInteger(trailer)),
  ].filter((field) => field instanceof Uint8Array);
  return sequence(OID.rsassaPss, sequence(...fields));
}

function failure(identifier: Uint8Array): string | undefined {
  try {
    certificateSignatureAlgorithm(identifier);
  } catch (error) {
    if (error instanceof TlsError) return error.code;
    throw error;
  }
  return undefined;
}

describe("certificateSignatureAlgorithm", () => {
  it.each([
    ["06092a864886f70d01010b", { type: "rsa-pkcs1", hash: "sha256" }],
    ["06092a864886f70d01010c", { type: "rsa-pkcs1", hash: "sha384" }],
    ["06092a864886f70d01010d", { type: "rsa-pkcs1", hash: "sha512" }],
  ])("%s with NULL or nothing (RFC 4055 5)", (oid, expected) => {
    expect(certificateSignatureAlgorithm(sequence(oid, "0500"))).toEqual(expected);
    expect(certificateSignatureAlgorithm(sequence(oid))).toEqual(expected);
    expect(failure(sequence(oid, "020101"))).toBe("ERR_TLS_PEM");
  });

  it.each([
    ["06082a8648ce3d040302", { type: "ecdsa", hash: "sha256" }],
    ["06082a8648ce3d040303", { type: "ecdsa", hash: "sha384" }],
    ["06082a8648ce3d040304", { type: "ecdsa", hash: "sha512" }],
    ["06032b6570", { type: "ed25519" }],
  ])("%s with nothing (RFC 5758 3.2, RFC 8410 3)", (oid, expected) => {
    expect(certificateSignatureAlgorithm(sequence(oid))).toEqual(expected);
    expect(failure(sequence(oid, "0500"))).toBe("ERR_TLS_PEM");
  });

  it.each([
    ["06092a864886f70d010104", "md5WithRSAEncryption"],
    ["06092a864886f70d010105", "sha1WithRSAEncryption"],
  ])("%s is weak", (oid, name) => {
    expect(certificateSignatureAlgorithm(sequence(oid, "0500"))).toEqual({ type: "weak", name });
  });

  it("ecdsa-with-SHA1 is weak", () => {
    const expected = { type: "weak", name: "ecdsa-with-SHA1" };
    expect(certificateSignatureAlgorithm(sequence("06072a8648ce3d0401"))).toEqual(expected);
  });

  it("does not know others", () => {
    expect(certificateSignatureAlgorithm(sequence("06032b656f"))).toBeUndefined();
    expect(certificateSignatureAlgorithm(sequence("06032a0304", "0500"))).toBeUndefined();
  });

  it.each([
    ["sha256", OID.sha256, 32n],
    ["sha384", OID.sha384, 48n],
    ["sha512", OID.sha512, 0n],
  ] as [HashName, string, bigint][])("RSASSA-PSS with %s, hash parameters NULL or absent", (hash, oid, salt) => {
    const expected = { type: "rsa-pss", hash, saltLength: Number(salt) };
    expect(certificateSignatureAlgorithm(pssIdentifier({ hash: oid, mask: oid, salt }))).toEqual(expected);
    const withNull = { hash: `${oid}0500`, mask: `${oid}0500`, salt, trailer: 1n };
    expect(certificateSignatureAlgorithm(pssIdentifier(withNull))).toEqual(expected);
  });

  it("RSASSA-PSS defaults are SHA-1 and a salt of 20 (RFC 4055 3.1)", () => {
    expect(certificateSignatureAlgorithm(pssIdentifier({}))).toEqual({ type: "weak", name: "RSASSA-PSS with sha1" });
    const { sha256 } = OID;
    expect(certificateSignatureAlgorithm(pssIdentifier({ hash: sha256, mask: sha256 }))).toEqual({
      type: "rsa-pss",
      hash: "sha256",
      saltLength: 20,
    });
  });

  it("refuses RSASSA-PSS with mixed hashes or another trailer as unknown", () => {
    const { sha1, sha256, sha384 } = OID;
    for (const pss of [
      { hash: sha256, mask: sha384 },
      { hash: sha256 },
      { mask: sha256 },
      { hash: sha1, mask: sha256 },
      { hash: sha256, mask: sha256, trailer: 2n },
      { hash: "06032a0304", mask: "06032a0304" },
    ]) {
      expect(certificateSignatureAlgorithm(pssIdentifier(pss))).toBeUndefined();
    }
    const otherMask = derEncode(contextConstructed(1), sequence("06032a0304", sequence(sha256)));
    const hash = derEncode(contextConstructed(0), sequence(sha256));
    expect(certificateSignatureAlgorithm(sequence(OID.rsassaPss, sequence(hash, otherMask)))).toBeUndefined();
  });

  it("refuses RSASSA-PSS that is malformed", () => {
    const { sha256 } = OID;
    expect(failure(sequence(OID.rsassaPss))).toBe("ERR_TLS_PEM");
    expect(failure(sequence(OID.rsassaPss, "0500"))).toBe("ERR_TLS_PEM");
    expect(failure(sequence(OID.rsassaPss, sequence(derEncode(contextConstructed(4), fromHex("0500")))))).toBe(
      "ERR_TLS_PEM",
    );
    expect(failure(pssIdentifier({ hash: sha256, mask: sha256, salt: 2n ** 40n }))).toBe("ERR_TLS_PEM");
    const twice = derEncode(contextConstructed(0), sequence(sha256), sequence(sha256));
    expect(failure(sequence(OID.rsassaPss, sequence(twice)))).toBe("ERR_TLS_PEM");
  });

  it("refuses bytes after the identifier, and what is none", () => {
    for (const hex of ["", "3000", "300a06082a8648ce3d04030200", "0500"]) {
      expect(failure(fromHex(hex))).toBe("ERR_TLS_PEM");
    }
  });

  it("reads what OpenSSL writes", () => {
    const text = execFileSync(
      "openssl",
      ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "-", "-outform", "DER", "-subj", "/CN=x"].concat([
        "-sha384",
        "-sigopt",
        "rsa_padding_mode:pss",
        "-sigopt",
        "rsa_pss_saltlen:48",
      ]),
      { stdio: ["ignore", "pipe", "ignore"] },
    );
    const der = text.subarray(text.indexOf("-----END PRIVATE KEY-----\n") + 26);
    const marker = Buffer.from(OID.rsassaPss, "hex");
    const start = der.indexOf(marker) - 2;
    const length = (der[start + 1] as number) + 2;
    expect(certificateSignatureAlgorithm(der.subarray(start, start + length))).toEqual({
      type: "rsa-pss",
      hash: "sha384",
      saltLength: 48,
    });
  });
});
