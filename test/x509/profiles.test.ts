/** Each rule of the profiles, broken alone; strict purposes; kinds of anchors. */
import { generateKeyPairSync } from "node:crypto";
import { beforeAll, describe, expect, it } from "vitest";
import { concat, utf8 } from "../../src/bytes/bytes.ts";
import { contextConstructed, contextPrimitive, DerReader, derEncode, Tag } from "../../src/bytes/der.ts";
import { nodeProvider } from "../../src/crypto/node.ts";
import { TlsError } from "../../src/errors.ts";
import { settle } from "../../src/flow.ts";
import { generateKeyPair } from "../../src/pki/keys.ts";
import { KeyPurpose, KeyUsage } from "../../src/x509/certificate.ts";
import { pedanticProfile, rfc5280Profile, webpkiProfile } from "../../src/x509/profiles.ts";
import { strictTls } from "../../src/x509/purposes.ts";
import { trustStore } from "../../src/x509/trust.ts";
import { type TrustVerifierOptions, trustVerifier } from "../../src/x509/verifier.ts";
import { encodeOid, encodeSequence, extension, generalName } from "../support/der.ts";
import {
  makeAuthority,
  makeCertificate,
  makeWeakRsa,
  type TestCertificate,
  type TestCertificateOptions,
} from "../support/pki.ts";

type Options = Omit<TrustVerifierOptions, "trust">;

let root: TestCertificate;

beforeAll(async () => {
  root = await makeRoot();
});

/** The outcome: `verified`, or code, alert and message. */
function judge(
  sent: readonly (TestCertificate | Uint8Array)[],
  options: Options = {},
  trusted: readonly TestCertificate[] = [root],
  role: "server" | "client" = "server",
): string {
  const certificates = sent.map((certificate) => (certificate instanceof Uint8Array ? certificate : certificate.der));
  const verifier = trustVerifier({ trust: trustStore(trusted.map(({ der }) => der)), ...options });
  try {
    settle(verifier.verify({ certificates, role, name: undefined, time: Date.now(), provider: nodeProvider }));
    return "verified";
  } catch (error) {
    if (!(error instanceof TlsError)) throw error;
    return `${error.code} ${error.alert} ${error.message}`;
  }
}

function refused(reason: string) {
  return expect.stringMatching(new RegExp(`^CERT_PROFILE_VIOLATION bad_certificate .*${reason}`));
}

/** As RFC 5280 wants a CA's certificate. */
function makeRoot(options: TestCertificateOptions = {}): Promise<TestCertificate> {
  return makeAuthority({ subject: "strict root", ...options });
}

/** An end entity that keeps both profiles. */
function makeLeaf(options: TestCertificateOptions = {}): Promise<TestCertificate> {
  return makeCertificate({
    issuer: root,
    subject: "www.example.com",
    names: [generalName.dns("www.example.com")],
    purposes: [KeyPurpose.serverAuth],
    ...options,
  });
}

const critical = (oid: string, value: Uint8Array) => ({ oid, critical: true, value });
const plain = (oid: string, value: Uint8Array) => ({ oid, critical: false, value });
const AIA = "1.3.6.1.5.5.7.1.1";
const aia = (...parts: Uint8Array[]) => plain(AIA, encodeSequence(...parts));
const CA_ISSUERS = encodeOid("1.3.6.1.5.5.7.48.2");

/** The certificate with its tbs written anew, and so with a signature that does not fit. */
function rewritten(der: Uint8Array, change: (fields: Uint8Array[]) => Uint8Array[]): Uint8Array {
  const certificate = new DerReader(der).sequence();
  const body = certificate.sequence();
  const fields: Uint8Array[] = [];
  while (body.remaining > 0) fields.push(body.raw());
  return encodeSequence(encodeSequence(...change(fields)), certificate.rest());
}

/** version, serialNumber, signature, issuer, validity, … */
const VALIDITY = 4;

function withGeneralizedTime(der: Uint8Array): Uint8Array {
  const time = (text: string) => derEncode(Tag.generalizedTime, utf8(text));
  return rewritten(der, (fields) =>
    fields.map((field, index) =>
      index === VALIDITY ? encodeSequence(time("20200101000000Z"), time("20490101000000Z")) : field,
    ),
  );
}

describe("both profiles", () => {
  it.each([rfc5280Profile, webpkiProfile])("accept what is as it should be: $name", async (profile) => {
    const intermediate = await makeAuthority({ subject: "intermediate", issuer: root });
    expect(judge([await makeLeaf()], { profile })).toBe("verified");
    expect(judge([await makeLeaf({ issuer: intermediate }), intermediate], { profile })).toBe("verified");
    const described = encodeSequence(CA_ISSUERS, generalName.uri("http://ca.example.com/ca.crt"));
    expect(judge([await makeLeaf({ extensions: [aia(described)] })], { profile })).toBe("verified");
  });

  const leaves: [string, string, TestCertificateOptions][] = [
    ["a serial number of zero", "serial number is not positive", { serialNumber: Uint8Array.of(0) }],
    ["a serial number of 21 octets", "21 octets", { serialNumber: new Uint8Array(21).fill(1) }],
    ["no authorityKeyIdentifier", "no keyIdentifier", { keyIds: false }],
    [
      "keyCertSign without being a CA",
      "keyCertSign but it is no CA",
      { keyUsage: KeyUsage.keyCertSign | KeyUsage.digitalSignature },
    ],
    [
      "name constraints without being a CA",
      "name constraints but is no CA",
      { extensions: [extension.nameConstraints([generalName.dns("example.com")], [])] },
    ],
    ["a path length without being a CA", "path length but is no CA", { pathLength: 1 }],
    ["an empty subject beside a plain subjectAltName", "no critical subjectAltName", { subject: [] }],
    ["an underscore in a dNSName", "preferred name syntax", { names: [generalName.dns("a_b.example.com")] }],
    ["a blank dNSName", "preferred name syntax", { names: [generalName.dns(" ")] }],
    ["authorityInfoAccess that is empty", "authorityInfoAccess is empty", { extensions: [aia()] }],
    [
      "authorityInfoAccess that is text",
      "authorityInfoAccess is malformed",
      { extensions: [plain(AIA, utf8("malformed"))] },
    ],
    [
      "authorityInfoAccess with what is no GeneralName",
      "no GeneralName",
      { extensions: [aia(encodeSequence(CA_ISSUERS, encodeOid("1.2.3")))] },
    ],
    [
      "policyConstraints that are not critical",
      "2.5.29.36 must be critical",
      { extensions: [plain("2.5.29.36", encodeSequence(derEncode(contextPrimitive(0), Uint8Array.of(3))))] },
    ],
  ];
  it.each(leaves)("refuse an end entity with %s", async (_, reason, options) => {
    const leaf = await makeLeaf(options);
    expect(judge([leaf])).toBe("verified");
    for (const profile of [rfc5280Profile, webpkiProfile]) expect(judge([leaf], { profile })).toEqual(refused(reason));
  });

  it("refuse a key identifier that is critical", async () => {
    const value = encodeSequence(derEncode(contextPrimitive(0), root.keyId));
    const leaf = await makeLeaf({ keyIds: false, extensions: [critical("2.5.29.35", value)] });
    expect(judge([leaf])).toBe("verified");
    expect(judge([leaf], { profile: rfc5280Profile })).toEqual(refused("2.5.29.35 is critical and must not be"));
  });

  it("refuse a date before 2050 as GeneralizedTime", async () => {
    const { der } = await makeLeaf();
    expect(judge([withGeneralizedTime(der)])).toMatch(/^CERT_SIGNATURE_FAILURE/);
    expect(judge([withGeneralizedTime(der)], { profile: rfc5280Profile })).toEqual(refused("GeneralizedTime"));
  });

  const keyId = Uint8Array.of(1, 2, 3);
  const subjectKeyId = plain("2.5.29.14", derEncode(Tag.octetString, keyId));
  const issuers: [string, string, TestCertificateOptions][] = [
    ["without a subjectKeyIdentifier", "without a subjectKeyIdentifier", { keyIds: false }],
    [
      "whose basicConstraints are not critical",
      "basicConstraints are not critical",
      { basicConstraints: false, extensions: [plain("2.5.29.19", encodeSequence(Uint8Array.of(1, 1, 0xff)))] },
    ],
    [
      "whose key identifier is critical",
      "2.5.29.14 is critical",
      { keyIds: false, extensions: [critical("2.5.29.14", derEncode(Tag.octetString, keyId))] },
    ],
    [
      "that constrains DNS names with a dot in front",
      "begins with a dot: .example.com",
      { extensions: [extension.nameConstraints([generalName.dns(".example.com")], [])] },
    ],
  ];
  it.each(issuers)("refuse an issuer %s", async (_, reason, options) => {
    const authority = await makeRoot(options);
    const leaf = await makeLeaf({ issuer: options.keyIds === false ? { ...authority, keyId } : authority });
    expect(judge([leaf], {}, [authority])).toBe("verified");
    for (const profile of [rfc5280Profile, webpkiProfile]) {
      expect(judge([leaf], { profile }, [authority])).toEqual(refused(reason));
    }
    // What an anchor says about itself does not count where that is agreed.
    expect(judge([leaf], { profile: rfc5280Profile, anchorsConstrain: false }, [authority])).toBe("verified");
  });

  it("refuse an intermediate without keyUsage or key identifier of its issuer, and leave an anchor both", async () => {
    const missing: [string, TestCertificateOptions][] = [
      ["without keyUsage", { keyUsage: 0 }],
      ["no keyIdentifier in authorityKeyIdentifier", { keyIds: false, extensions: [subjectKeyId] }],
    ];
    for (const [reason, options] of missing) {
      const made = await makeAuthority({ subject: "middle", issuer: root, ...options });
      const middle = options.keyIds === false ? { ...made, keyId } : made;
      const leaf = await makeLeaf({ issuer: middle });
      for (const profile of [rfc5280Profile, webpkiProfile]) {
        expect(judge([leaf, middle], { profile })).toEqual(refused(reason));
        expect(judge([leaf], { profile }, [middle])).toBe("verified");
      }
      // RFC 5280 4.2.1.1 excepts self-signed certificates alone.
      const pedantic = judge([leaf], { profile: pedanticProfile }, [middle]);
      expect(pedantic).toEqual(options.keyIds === false ? refused(reason) : "verified");
    }
  });

  it("refuse a CA without a subject as an end entity", async () => {
    const names = [generalName.dns("www.example.com")];
    const leaf = await makeLeaf({ subject: [], ca: true, names, keyUsage: KeyUsage.digitalSignature });
    expect(judge([leaf], { profile: rfc5280Profile })).toEqual(refused("a CA without a subject"));
  });

  it("leave an anchor its serial number of zero", async () => {
    const authority = await makeRoot({ serialNumber: Uint8Array.of(0) });
    const leaf = await makeLeaf({ issuer: authority });
    for (const profile of [rfc5280Profile, webpkiProfile])
      expect(judge([leaf], { profile }, [authority])).toBe("verified");
  });
});

describe("where the profiles differ", () => {
  it("name constraints must be critical by RFC 5280 alone", async () => {
    const { oid, value } = extension.nameConstraints([generalName.dns("example.com")], []);
    const authority = await makeRoot({ extensions: [plain(oid, value)] });
    const leaf = await makeLeaf({ issuer: authority });
    expect(judge([leaf], { profile: webpkiProfile }, [authority])).toBe("verified");
    expect(judge([leaf], { profile: rfc5280Profile }, [authority])).toEqual(refused("constraints are not critical"));
  });

  const dns = [generalName.dns("www.example.com")];
  const web: [string, string, TestCertificateOptions][] = [
    ["a CA certificate", "CA certificate", { ca: true, names: dns, keyUsage: KeyUsage.digitalSignature }],
    ["one without extKeyUsage", "no extKeyUsage", { purposes: [] }],
    ["one for any purpose", "anyExtendedKeyUsage", { purposes: [KeyPurpose.serverAuth, KeyPurpose.any] }],
    [
      "one with critical extKeyUsage",
      "extKeyUsage is critical",
      { purposes: [], extensions: [{ ...extension.extendedKeyUsage([KeyPurpose.serverAuth]), critical: true }] },
    ],
    [
      "one with a critical subjectAltName beside a subject",
      "subjectAltName is critical",
      { names: [], extensions: [extension.subjectAltName(dns, true)] },
    ],
    ["one whose CN is another host", "CN example.com is not one", { subject: "example.com" }],
    ["one whose CN differs in case", "CN WWW.example.com is not one", { subject: "WWW.example.com" }],
    ["one whose CN is another address", "CN 192.0.2.1 is not one", { subject: "192.0.2.1" }],
    ["one with an Ed25519 key", "neither RSA nor ECDSA", { key: "Ed25519" }],
  ];
  it.each(web)("the web refuses %s", async (_, reason, options) => {
    const leaf = await makeLeaf(options);
    expect(judge([leaf], { profile: rfc5280Profile })).toBe("verified");
    expect(judge([leaf], { profile: webpkiProfile })).toEqual(refused(reason));
  });

  it("the web lets a CN be that a wildcard stands under", async () => {
    const names = [generalName.dns("*.example.com")];
    for (const subject of ["*.example.com", "example.com"]) {
      expect(judge([await makeLeaf({ names, subject })], { profile: webpkiProfile })).toBe("verified");
    }
    const below = await makeLeaf({ names, subject: "www.example.com" });
    expect(judge([below], { profile: webpkiProfile })).toEqual(refused("CN www.example.com is not one"));
  });

  it("the web lets a CN be where there are addresses alone", async () => {
    const leaf = await makeLeaf({ names: [generalName.ip("127.0.0.1")] });
    expect(judge([leaf], { profile: webpkiProfile })).toBe("verified");
    const names = [generalName.ip("127.0.0.1")];
    for (const subject of ["0x7F.0x0.0x0.0x1", "127.000.000.001", "localhost"]) {
      expect(judge([await makeLeaf({ names, subject })], { profile: webpkiProfile })).toEqual(
        refused("CN .* is not one"),
      );
    }
  });

  it("the web refuses RSA moduli whose bits are no multiple of 8", async () => {
    const odd = await makeLeaf({ key: await makeWeakRsa(2052, "SHA-256") });
    expect(judge([odd])).toBe("verified");
    expect(judge([odd], { profile: webpkiProfile })).toEqual(refused("2052 bits"));
  });

  it("the web refuses RSA exponents of 1", async () => {
    const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const n = Buffer.from(publicKey.export({ format: "jwk" }).n as string, "base64url");
    const numbers = encodeSequence(derEncode(Tag.integer, concat(Uint8Array.of(0), n)), Uint8Array.of(2, 1, 1));
    const algorithm = encodeSequence(encodeOid("1.2.840.113549.1.1.1"), Uint8Array.of(5, 0));
    const spki = encodeSequence(algorithm, derEncode(Tag.bitString, concat(Uint8Array.of(0), numbers)));
    const leaf = await makeLeaf({ key: { ...(await generateKeyPair("P-256")), spki } });
    expect(judge([leaf], { profile: webpkiProfile })).toEqual(refused("unusable modulus or exponent"));
  });

  it("the web refuses versions before 3", async () => {
    const { der } = await makeLeaf();
    const old = rewritten(der, (fields) => fields.slice(1, -1));
    expect(judge([old])).toMatch(/^CERT_SIGNATURE_FAILURE/);
    expect(judge([old], { profile: webpkiProfile })).toMatch(/^CERT_PROFILE_VIOLATION bad_certificate/);
  });

  it("the web refuses roots with a purpose", async () => {
    const authority = await makeRoot({ purposes: [KeyPurpose.serverAuth] });
    const leaf = await makeLeaf({ issuer: authority });
    expect(judge([leaf], { profile: rfc5280Profile }, [authority])).toBe("verified");
    expect(judge([leaf], { profile: webpkiProfile }, [authority])).toEqual(refused("a root with extKeyUsage"));
  });

  const own = Uint8Array.of(7);
  const issuerName = derEncode(contextConstructed(1), derEncode(contextPrimitive(2), utf8("issuer")));
  const identifiers: [string, string, Uint8Array[]][] = [
    ["of another key", "not its own", [derEncode(contextPrimitive(0), Uint8Array.of(8))]],
    ["without a key", "has no keyIdentifier", [derEncode(contextPrimitive(2), Uint8Array.of(1))]],
    ["with the issuer's name", "names the issuer's", [derEncode(contextPrimitive(0), own), issuerName]],
  ];
  it.each(identifiers)("the web refuses roots with an authorityKeyIdentifier %s", async (_, reason, parts) => {
    const authority = await makeRoot({
      keyIds: false,
      extensions: [extension.subjectKeyId(own), plain("2.5.29.35", encodeSequence(...parts))],
    });
    const leaf = await makeLeaf({ issuer: { ...authority, keyId: own } });
    expect(judge([leaf], { profile: rfc5280Profile }, [authority])).toBe("verified");
    expect(judge([leaf], { profile: webpkiProfile }, [authority])).toEqual(refused(reason));
  });
});

describe("strict purposes", () => {
  const purpose = (role: "server" | "client", scope: "path" | "leaf") => ({ purpose: strictTls(role, scope) });
  const unfit = (reason: string) =>
    expect.stringMatching(new RegExp(`^INVALID_PURPOSE unsupported_certificate .*${reason}`));

  it("want the end entity to name the purpose and nothing foreign", async () => {
    const strict = purpose("server", "leaf");
    expect(judge([await makeLeaf()], strict)).toBe("verified");
    expect(judge([await makeLeaf({ purposes: [] })], strict)).toEqual(unfit("does not have serverAuth"));
    expect(judge([await makeLeaf({ purposes: [KeyPurpose.any] })], strict)).toEqual(unfit("does not have serverAuth"));
    for (const [oid, name] of [
      ["1.3.6.1.5.5.7.3.3", "codeSigning"],
      ["1.3.6.1.5.5.7.3.8", "timeStamping"],
      [KeyPurpose.ocspSigning, "OCSPSigning"],
    ] as const) {
      const leaf = await makeLeaf({ purposes: [KeyPurpose.serverAuth, oid] });
      expect(judge([leaf], strict)).toEqual(unfit(`has ${name} beside serverAuth`));
      expect(judge([leaf])).toBe("verified");
    }
  });

  it("want no CA, unless it is trusted by itself", async () => {
    const leaf = await makeLeaf({ ca: true, keyUsage: KeyUsage.digitalSignature, purposes: [KeyPurpose.serverAuth] });
    expect(judge([leaf], purpose("server", "leaf"))).toEqual(unfit("a CA certificate"));
    expect(judge([leaf], purpose("server", "leaf"), [leaf])).toBe("verified");
  });

  it("bind issuers too, along the path", async () => {
    const below = async (purposes: readonly string[], leafPurpose: string) => {
      const intermediate = await makeAuthority({ subject: "intermediate", issuer: root, purposes });
      return [await makeLeaf({ issuer: intermediate, purposes: [leafPurpose] }), intermediate];
    };
    const any = await below([KeyPurpose.any], KeyPurpose.serverAuth);
    expect(judge(any, purpose("server", "leaf"))).toBe("verified");
    expect(judge(any, purpose("server", "path"))).toEqual(unfit("does not have serverAuth"));
    const other = await below([KeyPurpose.clientAuth], KeyPurpose.serverAuth);
    expect(judge(other, purpose("server", "leaf"))).toEqual(unfit("does not have serverAuth"));
    expect(judge(await below([], KeyPurpose.serverAuth), purpose("server", "path"))).toBe("verified");
    const silent = await below([], KeyPurpose.clientAuth);
    expect(judge(silent, purpose("client", "leaf"), [root], "client")).toBe("verified");
    expect(judge(silent, purpose("client", "path"), [root], "client")).toEqual(unfit("no extKeyUsage with clientAuth"));
  });

  it("may honour critical extensions", async () => {
    const leaf = await makeLeaf({ extensions: [critical("1.2.3.4", Uint8Array.of(5, 0))] });
    const lenient = { name: "mine", understands: () => ["1.2.3.4"], refuses: () => undefined };
    expect(judge([leaf], { purpose: lenient })).toBe("verified");
    expect(judge([leaf])).toMatch(/^CERT_UNHANDLED_CRITICAL_EXTENSION certificate_unknown .*1\.2\.3\.4/);
  });
});

describe("anchors", () => {
  it("may be peers' own certificates, or self-signed ones, or none", async () => {
    const issued = await makeLeaf();
    const own = await makeCertificate();
    const forged = await makeCertificate({ signer: await generateKeyPair("P-256") });
    expect(judge([issued], {}, [issued])).toBe("verified");
    expect(judge([issued], { directTrust: "self-signed" }, [issued])).toMatch(/^CERT_REJECTED certificate_unknown/);
    expect(judge([own], { directTrust: "self-signed" }, [own])).toBe("verified");
    expect(judge([forged], { directTrust: "self-signed" }, [forged])).toMatch(
      /^CERT_SIGNATURE_FAILURE bad_certificate/,
    );
    expect(judge([issued], { directTrust: "none" }, [issued])).toMatch(/^UNABLE_TO_VERIFY_LEAF_SIGNATURE unknown_ca/);
    expect(judge([own], { directTrust: "none" }, [own])).toMatch(/^DEPTH_ZERO_SELF_SIGNED_CERT unknown_ca/);
    expect(judge([issued], { directTrust: "none" })).toBe("verified");
  });

  it("need basicConstraints unless that is waived", async () => {
    const bare = await makeRoot({ basicConstraints: false });
    const leaf = await makeLeaf({ issuer: bare });
    const refusal = /^INVALID_CA unknown_ca .*has no basicConstraints/;
    expect(judge([leaf], {}, [bare])).toMatch(refusal);
    expect(judge([leaf], { anchorsNeedBasicConstraints: false }, [bare])).toBe("verified");
    expect(judge([leaf], { anchorsConstrain: false }, [bare])).toBe("verified");
    expect(judge([leaf], { anchorsConstrain: false, anchorsNeedBasicConstraints: true }, [bare])).toMatch(refusal);
  });
});

describe("SHA-1 signatures", () => {
  it("are refused unless the caller brings what verifies them", async () => {
    const key = await makeWeakRsa(2048, "SHA-1");
    const authority = await makeRoot({ key });
    const leaf = await makeLeaf({ issuer: authority });
    expect(judge([leaf], {}, [authority])).toMatch(/^CA_MD_TOO_WEAK bad_certificate .*sha1WithRSAEncryption/);
    const answer = (verdict: boolean | undefined) => ({ legacySignatures: () => verdict });
    expect(judge([leaf], answer(true), [authority])).toBe("verified");
    expect(judge([leaf], answer(false), [authority])).toMatch(/^CERT_SIGNATURE_FAILURE bad_certificate/);
    expect(judge([leaf], answer(undefined), [authority])).toMatch(/^CA_MD_TOO_WEAK/);
  });
});
