/** PKCS#12 files that are malformed, ask for too much, or were changed: each refused by its code, and by nothing else. */
import { describe, expect, it } from "vitest";
import { concat, join } from "../../src/bytes/bytes.ts";
import { contextConstructed, DerReader, derEncode, derNumber, derOid, derSequence, Tag } from "../../src/bytes/der.ts";
import { TlsError } from "../../src/errors.ts";
import { berToDer } from "../../src/pki/ber.ts";
import { readPkcs12 } from "../../src/pki/pkcs12.ts";
import { Id } from "../../src/pki/pkcs12-ids.ts";
import { Random } from "../support/random.ts";
import {
  attribute,
  bag,
  certificateBag,
  contentInfo,
  damaged,
  encryptedSafe,
  explicit,
  fixture,
  implicit,
  octets,
  pfx,
  plainSafe,
  read,
  refusal,
  safesOf,
  toBer,
} from "./files.ts";

const { identities, certificates } = read(fixture("windows.p12"), "windows");
const [identity] = identities;
const leaf = identity?.cert[0] as Uint8Array;
const key = identity?.key as Uint8Array;
const root = certificates[0]?.cert as Uint8Array;

const NULL = derEncode(Tag.null);
const SALT = octets(new Uint8Array(8));
const identifier = (oid: string, ...parameters: Uint8Array[]) => derSequence(derOid(oid), ...parameters);
const SHA256 = identifier("1.2.840.113549.2.9", NULL);
const pbkdf2 = (...parameters: Uint8Array[]) => identifier("1.2.840.113549.1.5.12", derSequence(...parameters));
const AES = identifier("2.16.840.1.101.3.4.1.42", octets(new Uint8Array(16)));
const pbes2 = (derivation: Uint8Array) => identifier("1.2.840.113549.1.5.13", derSequence(derivation, AES));
const RC2 = (iterations: number) => identifier("1.2.840.113549.1.12.1.6", derSequence(SALT, derNumber(iterations)));
const DATA = new Uint8Array(32);

const macData = (algorithm: Uint8Array, salt = SALT, ...iterations: Uint8Array[]) =>
  derSequence(derSequence(algorithm, octets(new Uint8Array(32))), salt, ...iterations);
const pbmac1 = (...parts: Uint8Array[]) => identifier(Id.pbmac1, derSequence(...parts));
const pbmac1Key = (length: number) => pbkdf2(SALT, derNumber(1), derNumber(length), SHA256);

const nested = (levels: number): Uint8Array =>
  levels === 0 ? certificateBag(root) : bag(Id.safeContentsBag, derSequence(nested(levels - 1)));
const safe = plainSafe(certificateBag(root));
const file = pfx([safe]);
const many = (count: number, one: Uint8Array) => Array.from({ length: count }, () => one);
const unknown = bag("1.2.3", NULL);

it("the pieces make a file", () => {
  expect(read(pfx([safe, plainSafe(bag(Id.keyBag, key), certificateBag(leaf))])).identities).toHaveLength(1);
  expect(read(pfx([plainSafe(nested(8))])).certificates).toHaveLength(1);
  expect(read(pfx([plainSafe(...many(4999, unknown))])).unread).toEqual(["1.2.3"]);
});

describe("what its pass phrase does not protect from changes", () => {
  const stripped = withoutMac(fixture("windows.p12"));
  const extended = pfx([...safesOf(fixture("windows.p12")), safe]);

  it.each([
    ["the same safes", stripped],
    ["another in clear text beside them", extended],
    ["clear text alone", file],
    ["the same in BER", toBer(stripped)],
  ])("is refused: %s", async (_, bytes) => {
    for (const options of [{}, { withoutMac: undefined }, { withoutMac: false }]) {
      const found = await refusal(() => readPkcs12(bytes, "windows", options));
      expect(found).toMatchObject({ code: "ERR_TLS_PKCS12", text: expect.stringContaining("mac absent") });
      expect(found.alert).toBeUndefined();
    }
  });

  it("is read where the caller says so, or has no pass phrase", async () => {
    expect((await readPkcs12(stripped, "windows", { withoutMac: true })).identities).toHaveLength(1);
    for (const none of [undefined, ""]) expect((await readPkcs12(file, none)).certificates).toHaveLength(1);
  });
});

describe("more than anybody needs", () => {
  it.each([
    ["bytes", new Uint8Array(4 * 1024 * 1024 + 1), "more than 4194304 bytes"],
    ["bags", pfx([plainSafe(...many(2501, unknown)), plainSafe(...many(2500, unknown))]), "more than 5000 bags"],
    ["keys", pfx([plainSafe(...many(257, bag(Id.keyBag, key)))]), "more than 256 keys"],
    ["nesting", pfx([plainSafe(nested(9))]), "more than 8 SafeContents"],
    ["iterations", pfx([encryptedSafe(pbes2(pbkdf2(SALT, derNumber(1e7 + 1), SHA256)), implicit(DATA))]), "10000000"],
    ["iterations of RC2", pfx([encryptedSafe(RC2(5_000_001), implicit(DATA))]), "10000000 iterations"],
    [
      "iterations of its MAC",
      pfx([safe], macData(identifier("2.16.840.1.101.3.4.2.1", NULL), SALT, derNumber(1e7 + 1))),
      "10000000 iterations",
    ],
    [
      "iterations of PBMAC1",
      pfx([safe], macData(pbmac1(pbkdf2(SALT, derNumber(1e7 + 1), derNumber(32), SHA256), SHA256))),
      "10000000 iterations",
    ],
    [
      "salt of its MAC",
      pfx([safe], macData(identifier("2.16.840.1.101.3.4.2.1", NULL), octets(new Uint8Array(1025)))),
      "a salt of 1025 bytes",
    ],
    ["key of PBMAC1", pfx([safe], macData(pbmac1(pbmac1Key(65), SHA256))), "a key of 65 bytes"],
    ["key of PBMAC1", pfx([safe], macData(pbmac1(pbmac1Key(2 ** 31 - 1), SHA256))), "a key of 2147483647 bytes"],
    [
      "bytes of one key",
      pfx([plainSafe(bag(Id.shroudedKeyBag, derSequence(AES, octets(new Uint8Array(128 * 1024)))))]),
      "131072",
    ],
  ])("of %s is refused", async (_, bytes, text) => {
    const found = await refusal(() => read(bytes, "x"));
    expect([found.code, found.text, found.alert]).toEqual(["ERR_TLS_PKCS12", expect.stringContaining(text), undefined]);
  });

  it("of iterations is counted over all of a file", async () => {
    const bytes = fixture("java17.p12");
    // The MAC, the certificates, two keys; the secret key is not looked into.
    expect((await refusal(() => read(bytes, "changeit", { maxIterations: 39_999 }))).code).toBe("ERR_TLS_PKCS12");
    expect(read(bytes, "changeit", { maxIterations: 40_000 }).identities).toHaveLength(2);
  });

  it.each([
    ["sha1", "1.3.14.3.2.26", 1],
    ["sha224", "2.16.840.1.101.3.4.2.4", 1],
    ["sha256", "2.16.840.1.101.3.4.2.1", 1],
    ["sha384", "2.16.840.1.101.3.4.2.2", 3],
    ["sha512", "2.16.840.1.101.3.4.2.3", 3],
  ])("of iterations is counted by what they cost: a MAC of %s", async (_, digest, cost) => {
    const bytes = pfx([safe], macData(identifier(digest, NULL), SALT, derNumber(1000)));
    const codeOf = async (maxIterations: number) => (await refusal(() => read(bytes, "x", { maxIterations }))).code;
    expect(await codeOf(1000 * cost - 1)).toBe("ERR_TLS_PKCS12");
    expect(await codeOf(1000 * cost)).toBe("ERR_TLS_PASSPHRASE");
  });

  it("of memory is refused in a bag as elsewhere", async () => {
    const scrypt = identifier(
      "1.3.6.1.4.1.11591.4.11",
      derSequence(SALT, derNumber(2 ** 20), derNumber(8), derNumber(1)),
    );
    const shrouded = bag(Id.shroudedKeyBag, derSequence(pbes2(scrypt), octets(DATA)));
    const found = await refusal(() => read(pfx([plainSafe(shrouded)]), "x"));
    expect([found.code, found.text]).toEqual(["ERR_TLS_PKCS12", expect.stringContaining("bytes of memory")]);
  });
});

describe("what is not supported is refused by its name", () => {
  it.each([
    ["another version", pfx([safe], undefined, 2), "PFX of version 2"],
    ["a key, which begins alike", key, "PFX of version 0"],
    [
      "public-key integrity",
      derSequence(derNumber(3), contentInfo(Id.signedData, derSequence())),
      "public-key integrity mode (SignedData)",
    ],
    ["another authSafe", derSequence(derNumber(3), contentInfo("1.2.3", NULL)), "authSafe of the type 1.2.3"],
    [
      "public-key privacy",
      pfx([contentInfo(Id.envelopedData, derSequence())]),
      "public-key privacy mode (EnvelopedData)",
    ],
    ["another safe", pfx([contentInfo("1.2.3", NULL)]), "a safe of the type 1.2.3"],
    ["another version of EncryptedData", pfx([encryptedSafe(AES, implicit(DATA), 2)]), "EncryptedData of version 2"],
    ["another content", pfx([encryptedSafe(AES, implicit(DATA), 0, Id.envelopedData)]), `type ${Id.envelopedData}`],
    [
      "RC4",
      pfx([encryptedSafe(identifier("1.2.840.113549.1.12.1.1", derSequence(SALT, derNumber(1))), implicit(DATA))]),
      "pbeWithSHAAnd128BitRC4",
    ],
    ["an unknown encryption", pfx([encryptedSafe(identifier("1.2.3", NULL), implicit(DATA))]), "the encryption 1.2.3"],
    ["a MAC with MD5", pfx([safe], macData(identifier("1.2.840.113549.2.5", NULL))), "the MAC 1.2.840.113549.2.5"],
    ["a MAC with parameters", pfx([safe], macData(identifier("2.16.840.1.101.3.4.2.1", SALT))), "the MAC"],
    [
      "PBMAC1 with scrypt",
      pfx([safe], macData(pbmac1(identifier("1.3.6.1.4.1.11591.4.11", NULL), SHA256))),
      "the key derivation 1.3.6.1.4.1.11591.4.11",
    ],
    ["PBMAC1 with another MAC", pfx([safe], macData(pbmac1(pbmac1Key(32), identifier("1.2.3")))), "the HMAC 1.2.3"],
    [
      "PBMAC1 without the length of its key",
      pfx([safe], macData(pbmac1(pbkdf2(SALT, derNumber(1), SHA256), SHA256))),
      "without the length",
    ],
    ["PBMAC1 with a key that can be guessed", pfx([safe], macData(pbmac1(pbmac1Key(19), SHA256))), "a key of 19 bytes"],
    [
      "no iterations",
      pfx([safe], macData(identifier("2.16.840.1.101.3.4.2.1", NULL), SALT, derNumber(0))),
      "without iterations",
    ],
  ])("%s", async (_, bytes, text) => {
    const found = await refusal(() => read(bytes, "x"));
    expect([found.code, found.text]).toEqual(["ERR_TLS_PKCS12", expect.stringContaining(text)]);
  });
});

describe("what is malformed is refused", () => {
  const wrongString = attribute(Id.friendlyName, derEncode(Tag.boolean, Uint8Array.of(0xff)));
  const cert = (...parts: Uint8Array[]) => pfx([plainSafe(bag(Id.certBag, derSequence(...parts)))]);
  it.each([
    ["nothing", new Uint8Array(0)],
    ["a certificate", leaf],
    ["bytes behind it", concat(file, Uint8Array.of(0))],
    ["part of it", file.subarray(0, -1)],
    ["more than a MAC", derSequence(derNumber(3), contentInfo(Id.data, octets(derSequence())), macData(SHA256), NULL)],
    [
      "more than the content",
      derSequence(derNumber(3), derSequence(derOid(Id.data), explicit(octets(derSequence()), NULL))),
    ],
    ["a sequence for the content", derSequence(derNumber(3), contentInfo(Id.data, derSequence()))],
    ["a safe that is none", pfx([NULL])],
    ["a safe with more", pfx([contentInfo(Id.data, concat(octets(derSequence()), NULL))])],
    ["a bag without a value", pfx([plainSafe(derSequence(derOid(Id.certBag)))])],
    ["a bag with more", pfx([plainSafe(derSequence(derOid(Id.keyBag), explicit(key), derEncode(Tag.set), NULL))])],
    ["a bag with two values", pfx([plainSafe(bag(Id.keyBag, concat(key, key)))])],
    ["a friendlyName that is a BOOLEAN", pfx([plainSafe(certificateBag(leaf, [wrongString]))])],
    [
      "half a character",
      pfx([plainSafe(certificateBag(leaf, [attribute(Id.friendlyName, derEncode(Tag.bmpString, Uint8Array.of(0)))]))]),
    ],
    ["a localKeyId that is no octets", pfx([plainSafe(certificateBag(leaf, [attribute(Id.localKeyId, NULL)]))])],
    ["a NULL for a certificate", cert(derOid(Id.x509Certificate), explicit(NULL))],
    ["a certificate bag with more", cert(derOid(Id.x509Certificate), explicit(octets(leaf)), NULL)],
    [
      "no encrypted content",
      pfx([contentInfo(Id.encryptedData, derSequence(derNumber(0), derSequence(derOid(Id.data), RC2(1))))]),
    ],
    ["part of a block", pfx([encryptedSafe(RC2(1), implicit(new Uint8Array(9)))])],
    ["pieces that are none", pfx([encryptedSafe(RC2(1), derEncode(contextConstructed(0), NULL))])],
  ])("%s", async (_, bytes) => {
    expect(await refusal(() => read(bytes, "x"))).toMatchObject({ code: "ERR_TLS_PEM", alert: undefined });
  });

  it("a certificate that is none", async () => {
    expect((await refusal(() => read(pfx([plainSafe(certificateBag(NULL))])))).code).toBe("CERT_PARSE_ERROR");
  });

  it("a key that must be compared and is none", async () => {
    const bags = [bag(Id.keyBag, derSequence()), certificateBag(leaf)];
    expect((await refusal(() => read(pfx([plainSafe(...bags)])))).code).toBe("ERR_TLS_KEY");
    const scalar = derSequence(derNumber(1), octets(new Uint8Array(32)));
    const algorithm = identifier("1.2.840.10045.2.1", derOid("1.2.840.10045.3.1.7"));
    const zero = bag(Id.keyBag, derSequence(derNumber(0), algorithm, octets(scalar)));
    expect((await refusal(() => read(pfx([plainSafe(zero, certificateBag(root))])))).code).toBe("ERR_TLS_KEY");
  });
});

describe("BER", () => {
  const hex = (text: string) => new Uint8Array(Buffer.from(text.replace(/ /g, ""), "hex"));
  it.each([
    ["indefinite lengths", "30 80 02 01 03 00 00", "30 03 02 01 03"],
    ["in one another", "30 80 30 80 05 00 00 00 00 00", "30 04 30 02 05 00"],
    ["lengths that are not minimal", "30 81 03 02 01 03", "30 03 02 01 03"],
    ["lengths with leading zeros", "30 84 00 00 00 03 02 01 03", "30 03 02 01 03"],
    ["pieces of octets", "24 80 04 01 01 04 02 02 03 00 00", "04 03 01 02 03"],
    ["pieces in pieces", "24 0b 24 80 04 01 01 00 00 04 02 02 03", "04 03 01 02 03"],
    ["no pieces", "24 00", "04 00"],
    ["DER", "04 03 24 80 00", "04 03 24 80 00"],
  ])("becomes DER: %s", (_, from, to) => {
    expect(berToDer(hex(from))).toEqual(hex(to));
  });

  it.each([
    ["without an end", "30 80 02 01 03"],
    ["with half an end", "30 80 02 01 03 00"],
    ["with an end alone", "00 00"],
    ["with bytes behind it", "30 80 00 00 00"],
    ["of a primitive", "04 80 01 00 00"],
    ["longer than its structure", "30 03 04 02 00"],
    ["with a length of many bytes", "30 8f ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff"],
    ["with a length that ends too early", "30 84 00"],
    ["with a long tag", "3f 81 00 00"],
    ["with pieces that are no octets", "24 02 05 00"],
    ["too deep", `${"3080".repeat(34)}${"0000".repeat(34)}`],
  ])("is refused %s", async (_, bytes) => {
    expect((await refusal(() => berToDer(hex(bytes)))).code).toBe("ERR_TLS_PEM");
  });

  it("is bounded in elements", async () => {
    const elements = (count: number) => derEncode(Tag.sequence, join(many(count, NULL)));
    expect(berToDer(elements(99_999))).toEqual(elements(99_999));
    const { code, text } = await refusal(() => berToDer(elements(100_000)));
    expect([code, text]).toEqual(["ERR_TLS_PEM", expect.stringContaining("more than 100000 elements")]);
  });

  it("goes all the way down", () => {
    const inner = toBer(derSequence(certificateBag(leaf), bag(Id.keyBag, key)), 64);
    const whole = toBer(
      derSequence(derNumber(3), contentInfo(Id.data, octets(toBer(derSequence(contentInfo(Id.data, octets(inner))))))),
    );
    expect(read(whole).identities).toHaveLength(1);
    // [0] IMPLICIT in pieces, which nothing but its place tells from a structure.
    const { mac: _, ...plain } = read(fixture("windows.p12"), "windows");
    expect(read(withoutMac(fixture("windows.p12"), true), "windows")).toMatchObject(plain);
  });
});

/** The same without its MAC, and with the encrypted content in pieces where that is wanted. */
function withoutMac(bytes: Uint8Array, pieces = false): Uint8Array {
  const safes = safesOf(bytes);
  return pfx(pieces ? safes.map(inPieces) : safes);
}

function inPieces(der: Uint8Array): Uint8Array {
  const { tag, content, raw } = new DerReader(der).element();
  if (tag === 0x80) {
    const data = content.rest();
    return derEncode(contextConstructed(0), octets(data.subarray(0, 11)), octets(data.subarray(11)));
  }
  if ((tag & 0x20) === 0) return raw.slice();
  const children: Uint8Array[] = [];
  while (content.remaining > 0) children.push(inPieces(content.raw()));
  return derEncode(tag, ...children);
}

/**
 * Damage of all kinds. With a MAC next to nothing is read of a file that was changed, so there are files without one, and
 * some without encryption, too.
 */
describe("damage ends in a TlsError or in nothing", () => {
  const plain = pfx([
    plainSafe(bag(Id.keyBag, key, [attribute(Id.localKeyId, octets(Uint8Array.of(1)))]), certificateBag(leaf)),
    plainSafe(bag(Id.safeContentsBag, derSequence(certificateBag(root)))),
  ]);
  const SUBJECTS: readonly (readonly [string, Uint8Array, string])[] = [
    ["windows.p12", fixture("windows.p12"), "windows"],
    ["windows.p12 without its MAC", withoutMac(fixture("windows.p12")), "windows"],
    ["windows.p12 in BER", toBer(withoutMac(fixture("windows.p12"), true)), "windows"],
    ["java17.p12 without its MAC", withoutMac(fixture("java17.p12")), "changeit"],
    ["PBMAC1", fixture("rfc9579-a1.p12"), "1234"],
    ["a file without protection", plain, ""],
    ["the same in BER", toBer(plain), ""],
  ];

  it.each(SUBJECTS)("%s", (_, bytes, passphrase) => {
    const codes = new Map<string, number>();
    for (let seed = 0; seed < 400; seed++) {
      const code = outcome(damaged(bytes, new Random(seed)), passphrase);
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
    expect(codes.get("ERR_TLS_PEM")).toBeGreaterThan(20);
  });

  function outcome(bytes: Uint8Array, passphrase: string): string {
    try {
      read(bytes, passphrase, { maxIterations: 50_000 });
      return "read";
    } catch (error) {
      if (error instanceof TlsError) return error.code;
      throw error;
    }
  }
});
