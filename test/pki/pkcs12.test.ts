/** PKCS#12 files of OpenSSL, Windows and Java read, and ours read by OpenSSL. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { concat } from "../../src/bytes/bytes.ts";
import { derEncode, derNumber, derOid, derSequence, Tag } from "../../src/bytes/der.ts";
import { readPem, writePem } from "../../src/bytes/pem.ts";
import { privateKeyId, publicKeyId } from "../../src/crypto/noble-public.ts";
import { nodeProvider } from "../../src/crypto/node.ts";
import { resolveIdentity } from "../../src/engine/identity.ts";
import { createThrowawayAuthority, type IssuedIdentity, type ThrowawayAuthority } from "../../src/pki/index.ts";
import { generateKeyPair } from "../../src/pki/keys.ts";
import { isPkcs12, type Pkcs12, type Pkcs12Mac, readPkcs12, writePkcs12 } from "../../src/pki/pkcs12.ts";
import { Id } from "../../src/pki/pkcs12-ids.ts";
import { encodeBmp } from "../../src/pki/unlock.ts";
import { parseCertificate } from "../../src/x509/parse.ts";
import { withoutOpenssl } from "../support/openssl.ts";
import { makeCertificate } from "../support/pki.ts";
import { attribute, bag, certificateBag, fixture, localKeyId, pfx, plainSafe, read, refusal, toBer } from "./files.ts";

const FEW = { iterations: 1000 };

let folder: string;
let authority: ThrowawayAuthority;
let first: IssuedIdentity;
let second: IssuedIdentity;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "mutls-pkcs12-"));
  authority = await createThrowawayAuthority({ intermediates: 2 });
  first = await authority.issue({ subject: "first" });
  second = await authority.issue({ subject: "second", key: "RSA" });
});
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, content?: string | Uint8Array): string {
  const path = join(folder, name);
  if (content !== undefined) writeFileSync(path, content);
  return path;
}

function openssl(...parameters: string[]): string {
  return execFileSync("openssl", parameters, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

const names = (certificates: readonly Uint8Array[]) => certificates.map((der) => parseCertificate(der).subject.text);

/** What identities of a file can do: each key signs for its certificate. */
function usable({ identities }: Pkcs12): readonly string[][] {
  return identities.map(({ cert, key }) => {
    resolveIdentity({ cert, key }, nodeProvider);
    return names(cert);
  });
}

describe("a file by others is read", () => {
  it("of Windows, and so of OpenSSL 1.1: 3DES and RC2-40", async () => {
    for (const found of [
      await readPkcs12(fixture("windows.p12"), "windows"),
      read(fixture("windows.p12"), "windows"),
    ]) {
      expect(usable(found)).toEqual([["CN=fixture"]]);
      expect(found.identities[0]?.friendlyName).toBe("{7C2B7F6C-5B0E-4E3B-9E0D-3F1C0A9D2B11}");
      expect(names(found.certificates.map(({ cert }) => cert))).toEqual(["CN=fixture CA"]);
      expect([found.keys, found.trusted, found.crls, found.unread, found.mac]).toEqual([[], [], [], [], "sha1"]);
    }
  });

  it("of OpenSSL with RC2-128 and 3DES with two keys", async () => {
    expect(usable(await readPkcs12(fixture("rc2-128.p12"), "openssl"))).toEqual([["CN=fixture"]]);
  });

  it("of Java 8", async () => {
    const found = await readPkcs12(fixture("java8.p12"), "changeit");
    expect(usable(found)).toEqual([["CN=java8"]]);
    expect([found.identities[0]?.friendlyName, found.mac]).toEqual(["old", "sha1"]);
  });

  it("of Java 17, two entries and a secret key", async () => {
    const found = await readPkcs12(fixture("java17.p12"), "changeit");
    expect(usable(found)).toEqual([["CN=java"], ["CN=java-two"]]);
    expect(found.identities.map(({ friendlyName }) => friendlyName)).toEqual(["server", "client"]);
    expect([found.unread, found.mac]).toEqual([["1.2.840.113549.1.12.10.1.5"], "sha256"]);
  });

  it("of Java 17, a truststore", async () => {
    const found = await readPkcs12(fixture("java17-trust.p12"), "changeit");
    expect(found.identities).toEqual([]);
    expect(found.trusted.map(({ cert, friendlyName }) => [...names([cert]), friendlyName])).toEqual([
      ["CN=java", "anchor"],
    ]);
    expect(found.certificates).toEqual([]);
  });

  it.each([1, 2, 3])("of RFC 9579 A.%d", async (number) => {
    const found = await readPkcs12(fixture(`rfc9579-a${number}.p12`), "1234");
    expect(usable(found)).toHaveLength(1);
    expect(found.mac).toBe("pbmac1");
  });

  it.each([
    [4, "ERR_TLS_PASSPHRASE", "mac verify failure"],
    [5, "ERR_TLS_PASSPHRASE", "mac verify failure"],
    [6, "ERR_TLS_PKCS12", "PBMAC1 without the length of its key"],
  ] as const)("but for those of RFC 9579 A.%d", async (number, code, text) => {
    const found = await refusal(() => readPkcs12(fixture(`rfc9579-a${number}.p12`), "1234"));
    expect([found.code, found.text]).toEqual([code, expect.stringContaining(text)]);
  });

  it.each(["windows.p12", "java17.p12", "rfc9579-a1.p12"])("with its pass phrase only: %s", async (name) => {
    for (const wrong of ["", undefined, "Changeit", "1234 "]) {
      expect(await refusal(() => readPkcs12(fixture(name), wrong))).toMatchObject({
        code: "ERR_TLS_PASSPHRASE",
        alert: undefined,
      });
    }
  });
});

describe.skipIf(withoutOpenssl)("a file by openssl is read", () => {
  const made = (passphrase: string | undefined, ...parameters: string[]): Uint8Array => {
    const [own, ...issuers] = first.certificates.map((der) => writePem("CERTIFICATE", der));
    const paths = [file("own.pem", own), file("own.key", first.privateKeyPem)] as const;
    const certs = file("certs.pem", issuers.join("") + authority.certificatePem);
    const out = file("made.p12");
    openssl(
      ...["pkcs12", "-export", "-in", paths[0], "-inkey", paths[1], "-certfile", certs, "-out", out],
      ...["-passout", `pass:${passphrase ?? ""}`, ...parameters],
    );
    return new Uint8Array(readFileSync(out));
  };

  it.each([
    [],
    ["-macalg", "sha1"],
    ["-macalg", "sha224"],
    ["-macalg", "sha384"],
    ["-macalg", "sha512"],
    ["-iter", "1", "-nomaciter"],
    ["-nomac"],
    ["-certpbe", "NONE"],
    ["-certpbe", "NONE", "-keypbe", "NONE"],
    ["-certpbe", "PBE-SHA1-3DES", "-keypbe", "PBE-SHA1-3DES"],
    ["-certpbe", "AES-128-CBC", "-keypbe", "AES-192-CBC"],
    ["-certpbe", "DES-EDE3-CBC", "-keypbe", "PBE-SHA1-2DES"],
    ["-name", "Ωmega €", "-caname", "one", "-caname", "two"],
  ])("made with %s %s %s %s", async (...parameters) => {
    const options = parameters as string[];
    for (const passphrase of ["secret", "pässwörd €", "\u{1f600} beyond"]) {
      const bytes = made(passphrase, ...options);
      const withoutMac = options.includes("-nomac");
      for (const found of [await readPkcs12(bytes, passphrase, { withoutMac }), read(bytes, passphrase)]) {
        expect(usable(found)).toEqual([names(first.certificates)]);
        expect(names(found.certificates.map(({ cert }) => cert))).toEqual(names([authority.certificate]));
        const mac = options[0] === "-macalg" ? options[1] : withoutMac ? undefined : "sha256";
        expect(found.mac).toBe(mac);
        if (options[0] === "-name") expect(found.identities[0]?.friendlyName).toBe(options[1]);
      }
      if (withoutMac) {
        expect((await refusal(() => readPkcs12(bytes, "wrong", { withoutMac }))).code).toBe("ERR_TLS_PASSPHRASE");
      }
    }
  });

  it.each([
    [["-certpbe", "PBE-SHA1-3DES", "-keypbe", "PBE-SHA1-3DES"]],
    [["-certpbe", "PBE-SHA1-3DES", "-keypbe", "PBE-SHA1-3DES", "-nomac"]],
    [[]],
  ])("with an empty pass phrase, which is none here and empty there: %j", async (parameters) => {
    const bytes = made("", ...parameters);
    for (const passphrase of ["", undefined]) expect(usable(await readPkcs12(bytes, passphrase))).toHaveLength(1);
    if (!parameters.includes("-nomac")) {
      expect((await refusal(() => readPkcs12(bytes, "x"))).code).toBe("ERR_TLS_PASSPHRASE");
    }
  });
});

describe("a file written here", () => {
  const write = (options: Parameters<typeof writePkcs12>[2], passphrase = "secret") =>
    writePkcs12(
      {
        identities: [
          { cert: first.certificatePem, key: first.privateKeyPem, friendlyName: "Erster 😀" },
          { cert: second.certificates, key: second.privateKey },
        ],
        certificates: [{ cert: authority.certificate, friendlyName: "root" }],
      },
      passphrase,
      options,
    );

  it.each<Pkcs12Mac>(["sha1", "sha224", "sha256", "sha384", "sha512", "pbmac1"])("is read back: %s", async (mac) => {
    const bytes = await write({ ...FEW, mac }, "pässwörd");
    for (const found of [await readPkcs12(bytes, "pässwörd"), read(bytes, "pässwörd")]) {
      expect(usable(found)).toEqual([names(first.certificates), names(second.certificates)]);
      expect(found.identities.map(({ friendlyName }) => friendlyName)).toEqual(["Erster 😀", undefined]);
      expect(found.identities[0]?.key).toEqual(first.privateKey);
      expect(found.certificates).toEqual([{ cert: authority.certificate, friendlyName: "root" }]);
      expect(found.mac).toBe(mac);
    }
    const wrong = await refusal(() => readPkcs12(bytes, "passwörd"));
    expect([wrong.code, wrong.text]).toEqual(["ERR_TLS_PASSPHRASE", expect.stringContaining("mac verify failure")]);
  });

  it("goes in as it came out", async () => {
    const found = await readPkcs12(await write(FEW), "secret");
    expect(await readPkcs12(await writePkcs12(found, "other", FEW), "other")).toEqual(found);
  });

  it("takes as much work as is said, and 600,000 iterations by default, in each of its parts", async () => {
    const contents = { identities: [{ cert: first.certificatePem, key: first.privateKeyPem }] };
    const bytes = await writePkcs12(contents, "x");
    expect((await refusal(() => read(bytes, "x", { maxIterations: 1_799_999 }))).code).toBe("ERR_TLS_PKCS12");
    expect(read(bytes, "x", { maxIterations: 1_800_000 }).identities).toHaveLength(1);
  });

  it.skipIf(withoutOpenssl).each<Pkcs12Mac>(["sha1", "sha256", "sha512"])("is read by openssl: %s", async (mac) => {
    const path = file("ours.p12", await write({ ...FEW, mac }, "pässwörd"));
    const pem = openssl("pkcs12", "-in", path, "-passin", "pass:pässwörd", "-nodes");
    const blocks = readPem(pem);
    const keys = blocks.filter(({ label }) => label === "PRIVATE KEY").map(({ der }) => der);
    expect(keys).toHaveLength(2);
    expect(privateKeyId(keys[0] as Uint8Array)).toBe(
      publicKeyId(parseCertificate(first.certificates[0]).publicKey.spki),
    );
    const certificates = blocks.filter(({ label }) => label === "CERTIFICATE").map(({ der }) => der);
    const [own, ...issuers] = first.certificates;
    expect(names(certificates)).toEqual(names([own, second.certificates[0], ...issuers, authority.certificate]));
    expect(pem).toContain("friendlyName: Erster");
    expect(openssl("pkcs12", "-in", path, "-passin", "pass:pässwörd", "-noout", "-info")).toBe("");
  });

  it.skipIf(withoutOpenssl)("is well-formed to openssl with PBMAC1, which 3.0 does not know", async () => {
    const path = file("pbmac1.p12", await write({ ...FEW, mac: "pbmac1" }));
    const parsed = openssl("asn1parse", "-inform", "DER", "-in", path);
    expect(parsed).toMatch(/OBJECT +:PBMAC1/);
    expect(parsed).toMatch(/OCTET STRING +:NOT USED/);
  });

  it("is told apart from certificates and keys", async () => {
    const bytes = await write(FEW);
    expect(isPkcs12(bytes)).toBe(true);
    expect(isPkcs12(toBer(bytes))).toBe(true);
    const others = [first.certificates[0], first.privateKey, second.privateKey, new Uint8Array(0), Uint8Array.of(0x30)];
    for (const other of others) expect(isPkcs12(other)).toBe(false);
  });

  it.each([
    ["an empty pass phrase", () => write(FEW, ""), "ERR_TLS_OPTION"],
    ["no iterations to speak of", () => write({ iterations: 999 }), "ERR_TLS_OPTION"],
    ["an unknown MAC", () => write({ mac: "md5" as never }), "ERR_TLS_OPTION"],
    ["nothing at all", () => writePkcs12({}, "x"), "ERR_TLS_OPTION"],
    [
      "another's key",
      () => writePkcs12({ identities: [{ cert: first.certificatePem, key: second.privateKeyPem }] }, "x"),
      "ERR_OSSL_X509_KEY_VALUES_MISMATCH",
    ],
    [
      "no certificate",
      () => writePkcs12({ identities: [{ cert: first.privateKeyPem, key: first.privateKeyPem }] }, "x"),
      "ERR_TLS_PEM",
    ],
    ["a list of none", () => writePkcs12({ identities: [{ cert: [], key: first.privateKeyPem }] }, "x"), "ERR_TLS_PEM"],
    ["no key", () => writePkcs12({ identities: [{ cert: first.certificatePem, key: "" }] }, "x"), "ERR_TLS_KEY"],
    [
      "a certificate that is none",
      () => writePkcs12({ trusted: [{ cert: new Uint8Array(3) }] }, "x"),
      "CERT_PARSE_ERROR",
    ],
  ])("is not: %s", async (_, action, code) => {
    expect((await refusal(action)).code).toBe(code);
  });
});

describe("BER as Windows and Bouncy Castle write it is read", () => {
  it.each([1, 7, 1000, 100_000])("in pieces of %d bytes", async (piece) => {
    for (const name of ["windows.p12", "java17.p12", "rfc9579-a1.p12"]) {
      const der = fixture(name);
      const passphrase = name.startsWith("java") ? "changeit" : name.startsWith("rfc") ? "1234" : "windows";
      expect(await readPkcs12(toBer(der, piece), passphrase)).toEqual(await readPkcs12(der, passphrase));
    }
  });
});

describe("a key's certificate", () => {
  const key = (which: IssuedIdentity, attributes: Uint8Array[] = []) => bag(Id.keyBag, which.privateKey, attributes);
  const own = (which: IssuedIdentity, attributes: Uint8Array[] = []) =>
    certificateBag(which.certificates[0], attributes);
  const subjects = (...bags: Uint8Array[]) =>
    read(pfx([plainSafe(...bags)])).identities.map(({ cert }) => names(cert)[0]);

  it("has its localKeyId", () => {
    const bags = [
      own(second, [localKeyId(2)]),
      own(first, [localKeyId(1)]),
      key(first, [localKeyId(1)]),
      key(second, [localKeyId(2)]),
    ];
    expect(subjects(...bags)).toEqual(["CN=first", "CN=second"]);
  });

  it("has the same public key where there is no localKeyId, or one that nobody has", () => {
    expect(subjects(own(second), own(first), key(first), key(second))).toEqual(["CN=first", "CN=second"]);
    expect(subjects(own(second), own(first), key(first, [localKeyId(9)]))).toEqual(["CN=first"]);
    expect(subjects(own(second, [localKeyId(2)]), own(first), key(first))).toEqual(["CN=first"]);
  });

  it("has the same public key where several have the localKeyId", () => {
    expect(subjects(own(second, [localKeyId(1)]), own(first, [localKeyId(1)]), key(first, [localKeyId(1)]))).toEqual([
      "CN=first",
    ]);
  });

  it("is not another key's, whatever its localKeyId says", () => {
    const swapped = [own(second, [localKeyId(1)]), key(first, [localKeyId(1)])];
    expect(subjects(...swapped)).toEqual([]);
    const { keys, certificates } = read(pfx([plainSafe(...swapped)]));
    expect([keys.length, certificates.length]).toEqual([1, 1]);
    expect(subjects(...swapped, own(first, [localKeyId(2)]))).toEqual(["CN=first"]);
  });

  it("is the one with its localKeyId where several have its public key", async () => {
    const pair = await generateKeyPair("P-256");
    const old = await makeCertificate({ subject: "old", key: pair });
    const renewed = await makeCertificate({ subject: "renewed", key: pair });
    const bags = [certificateBag(old.der, [localKeyId(1)]), certificateBag(renewed.der, [localKeyId(2)])];
    expect(subjects(...bags, bag(Id.keyBag, pair.pkcs8, [localKeyId(2)]))).toEqual(["CN=renewed"]);
    expect(subjects(...bags, bag(Id.keyBag, pair.pkcs8, [localKeyId(1)]))).toEqual(["CN=old"]);
  });

  it("has its localKeyId where the key is of a kind that cannot be compared", () => {
    // DSA, which nothing here signs with.
    const dsa = derSequence(
      derNumber(0),
      derSequence(derOid("1.2.840.10040.4.1")),
      derEncode(Tag.octetString, Uint8Array.of(2, 1, 5)),
    );
    const bags = [own(first, [localKeyId(1)]), bag(Id.keyBag, dsa, [localKeyId(1)])];
    expect(subjects(...bags)).toEqual(["CN=first"]);
  });

  it.each(["P-256", "P-384", "P-521", "Ed25519", "RSA", "RSA-PSS"] as const)(
    "is found by a key of %s",
    async (kind) => {
      const issued = await authority.issue({ subject: "wanted", key: kind });
      const other = await authority.issue({ subject: "other", key: kind });
      expect(subjects(own(other), own(first), own(issued), key(issued))).toEqual(["CN=wanted"]);
    },
  );

  it("may be missing", () => {
    const found = read(pfx([plainSafe(own(second), key(first, [attribute(Id.friendlyName, bmp("alone"))]))]));
    expect(found.identities).toEqual([]);
    expect(found.keys).toEqual([{ key: first.privateKey, friendlyName: "alone" }]);
    expect(names(found.certificates.map(({ cert }) => cert))).toEqual(["CN=second"]);
  });

  it("comes with its issuers in order and without the root, in whatever order the file has them", () => {
    const [leaf, ...issuers] = first.certificates;
    const all = [authority.certificate, ...[...issuers].reverse(), leaf].map((der) => certificateBag(der));
    const found = read(pfx([plainSafe(...all, key(first))]));
    expect(found.identities[0]?.cert).toEqual(first.certificates);
    expect(found.certificates.map(({ cert }) => cert)).toEqual([authority.certificate]);
  });

  it("is told by its key identifier among issuers of one name", async () => {
    const twin = await createThrowawayAuthority({ intermediates: 2 });
    const strangers = (await twin.issue({ subject: "x" })).certificates.slice(1);
    const all = [...strangers, ...first.certificates].map((der) => certificateBag(der));
    expect(read(pfx([plainSafe(...all, key(first))])).identities[0]?.cert).toEqual(first.certificates);
  });

  it("may be trusted besides", () => {
    const mark = attribute(Id.trustedKeyUsage, derEncode(Tag.null));
    const found = read(pfx([plainSafe(own(first, [mark]), key(first))]));
    expect([found.identities.length, found.trusted.length]).toEqual([1, 1]);
  });
});

const bmp = (text: string) => derEncode(Tag.bmpString, encodeBmp(text));

describe("also read", () => {
  it("are CRLs, SafeContents in one another, and what is not known is named", () => {
    const typed = (format: string, value: Uint8Array) => concat(attributeLike(format, value));
    const crl = bag(Id.crlBag, typed(Id.x509Crl, derEncode(Tag.octetString, Uint8Array.of(1, 2, 3))));
    const sdsi = bag(Id.certBag, typed("1.2.840.113549.1.9.22.2", derEncode(0x16, Uint8Array.of(65))));
    const inner = bag(Id.safeContentsBag, derEncode(Tag.sequence, certificateBag(first.certificates[0]), crl));
    const found = read(pfx([plainSafe(inner, sdsi, bag("1.2.3.4", derEncode(Tag.null)))]));
    expect(found.crls).toEqual([Uint8Array.of(1, 2, 3)]);
    expect(found.certificates).toHaveLength(1);
    expect(found.unread).toEqual(["1.2.840.113549.1.9.22.2", "1.2.3.4"]);
    expect(found.mac).toBeUndefined();
  });
});

/** CertBag and CRLBag: an OID and [0] EXPLICIT. */
function attributeLike(format: string, value: Uint8Array): Uint8Array {
  return derEncode(Tag.sequence, oid(format), derEncode(0xa0, value));
}

const oid = (dotted: string) => attribute(dotted).subarray(2, -2);
