/** Private keys under a pass phrase: those of OpenSSL read, ours read by OpenSSL, and everything a file may ask for bounded. */
import { execFileSync } from "node:child_process";
import { createPrivateKey } from "node:crypto";
import { beforeAll, describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes/bytes.ts";
import { derEncode, derNumber, derOid, derSequence, Tag } from "../../src/bytes/der.ts";
import { readPem, writePem } from "../../src/bytes/pem.ts";
import { parsePrivateKey } from "../../src/crypto/keys.ts";
import { TlsError } from "../../src/errors.ts";
import { readPrivateKeySync } from "../../src/node/pkcs12.ts";
import { encryptPrivateKey, readPrivateKey } from "../../src/pki/pkcs8.ts";
import { withoutOpenssl } from "../support/openssl.ts";
import { Random } from "../support/random.ts";
import { damaged, fixture, octets, refusal } from "./files.ts";

const PEM = new TextDecoder().decode(fixture("key.pem"));
const PKCS8 = parsePrivateKey(PEM);

const openssl = (input: string | Uint8Array, ...parameters: string[]): Uint8Array =>
  new Uint8Array(execFileSync("openssl", parameters, { input, stdio: ["pipe", "pipe", "pipe"] }));

/** Both ways of computing, each with both forms. */
async function readings(file: string | Uint8Array, passphrase: string): Promise<readonly Uint8Array[]> {
  return [await readPrivateKey(file, passphrase), readPrivateKeySync(file, passphrase)];
}

describe.skipIf(withoutOpenssl)("a key encrypted by openssl", () => {
  const topk8 = (...parameters: string[]) => openssl(PEM, "pkcs8", "-topk8", "-passout", "pass:s€cret", ...parameters);

  it.each([
    ["by default"],
    ["-v2", "aes-128-cbc"],
    ["-v2", "aes-192-cbc"],
    ["-v2", "aes-256-cbc", "-iter", "100000"],
    ["-v2", "des3"],
    ["-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA1"],
    ["-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA1"],
    ["-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA224"],
    ["-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA256"],
    ["-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA384"],
    ["-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA512"],
    ["-scrypt"],
    ["-scrypt", "-scrypt_N", "1024", "-scrypt_r", "4", "-scrypt_p", "3"],
    ["-v1", "PBE-SHA1-3DES"],
    ["-v1", "PBE-SHA1-2DES"],
  ])("%s %s %s %s is read", async (...parameters) => {
    const options = parameters[0] === "by default" ? [] : parameters;
    const pem = topk8(...options);
    const der = topk8(...options, "-outform", "DER");
    for (const file of [pem, der, new TextDecoder().decode(pem)]) {
      for (const key of await readings(file, "s€cret")) expect(key).toEqual(PKCS8);
    }
    for (const wrong of ["secret", ""]) {
      const attempts = await Promise.all([
        refusal(() => readPrivateKey(pem, wrong)),
        refusal(() => readPrivateKeySync(der, wrong)),
      ]);
      for (const { code, alert } of attempts) expect([code, alert]).toEqual(["ERR_TLS_PASSPHRASE", undefined]);
    }
    for (const file of [pem, der]) {
      expect(await refusal(() => readPrivateKey(file))).toMatchObject({
        code: "ERR_TLS_PASSPHRASE",
        text: expect.stringContaining("the private key is encrypted"),
      });
    }
  });

  it.each([
    ["ec", "-aes128"],
    ["ec", "-aes192"],
    ["ec", "-aes256"],
    ["ec", "-des3"],
  ])("as traditional PEM is read: openssl %s %s", async (command, cipher) => {
    const pem = openssl(PEM, command, cipher, "-passout", "pass:s€cret");
    expect(new TextDecoder().decode(pem)).toContain("Proc-Type: 4,ENCRYPTED");
    // OpenSSL leaves the curve out of the key where a block of its own names it.
    for (const key of await readings(pem, "s€cret")) {
      const readBack = createPrivateKey({ key: Buffer.from(key), format: "der", type: "pkcs8" });
      expect(readBack.export({ format: "jwk" })).toEqual(createPrivateKey(PEM).export({ format: "jwk" }));
    }
    expect((await refusal(() => readPrivateKey(pem, "secret"))).code).toBe("ERR_TLS_PASSPHRASE");
    expect((await refusal(() => readPrivateKey(pem))).code).toBe("ERR_TLS_PASSPHRASE");
  });

  it("as traditional PEM with its curve in a block of its own is read", async () => {
    const parameters = openssl("", "ecparam", "-name", "prime256v1");
    const pem = new TextDecoder().decode(openssl(PEM, "ec", "-aes256", "-passout", "pass:x"));
    const key = await readPrivateKey(new TextDecoder().decode(parameters) + pem, "x");
    expect(createPrivateKey({ key: Buffer.from(key), format: "der", type: "pkcs8" }).asymmetricKeyType).toBe("ec");
  });

  it("traditionally in RSA is read", async () => {
    const rsa = openssl("", "genrsa", "-traditional", "-aes256", "-passout", "pass:x", "1024");
    expect(parsePrivateKey(await readPrivateKey(rsa, "x")).length).toBeGreaterThan(600);
  });
});

describe("a key encrypted with RC2 by an old OpenSSL", () => {
  it.each(["PBE-SHA1-RC2-40.pem", "PBE-SHA1-RC2-128.pem"])("is read: %s", async (name) => {
    for (const key of await readings(fixture(name), "secret")) expect(key).toEqual(PKCS8);
    expect((await refusal(() => readPrivateKey(fixture(name), "Secret"))).code).toBe("ERR_TLS_PASSPHRASE");
  });
});

describe("an encryption that is not supported is refused by its name", () => {
  it.each([
    ["PBE-SHA1-RC4-128.pem", "the encryption pbeWithSHAAnd128BitRC4 "],
    ["PBE-SHA1-RC4-40.pem", "the encryption pbeWithSHAAnd40BitRC4 "],
    ["PBE-MD5-DES.pem", "the encryption pbeWithMD5AndDES-CBC "],
    ["PBE-SHA1-DES.pem", "the encryption pbeWithSHA1AndDES-CBC "],
    ["PBES2-RC2.pem", "the cipher RC2-CBC in PBES2 "],
    ["PBES2-DES.pem", "the cipher DES-CBC "],
  ])("%s", async (name, text) => {
    const found = await refusal(() => readPrivateKey(fixture(name), "secret"));
    expect(found.code).toBe("ERR_TLS_PKCS12");
    expect(found.text).toContain(text);
    expect(found.text).toContain("convert the file");
  });
});

describe("a key encrypted here", () => {
  it("takes PBES2 with AES-256-CBC, PBKDF2 over HMAC-SHA-256 and 600,000 iterations, and is read back", async () => {
    const pem = await encryptPrivateKey(PEM, "s€cret");
    for (const key of await readings(pem, "s€cret")) expect(key).toEqual(PKCS8);
    const der = readPem(pem)[0]?.der as Uint8Array;
    const includes = (part: Uint8Array) => Buffer.from(der).includes(Buffer.from(part));
    for (const oid of [
      "1.2.840.113549.1.5.13",
      "1.2.840.113549.1.5.12",
      "1.2.840.113549.2.9",
      "2.16.840.1.101.3.4.1.42",
    ]) {
      expect(includes(derOid(oid)), oid).toBe(true);
    }
    expect(includes(derNumber(600_000))).toBe(true);
  });

  it("is read by node:crypto", async () => {
    const pem = await encryptPrivateKey(PKCS8, "s€cret", { iterations: 1000 });
    const key = createPrivateKey({ key: pem, passphrase: "s€cret" });
    expect(new Uint8Array(key.export({ type: "pkcs8", format: "der" }))).toEqual(PKCS8);
    expect(await encryptPrivateKey(PKCS8, "s€cret", { iterations: 1000 })).not.toBe(pem);
  });

  it.skipIf(withoutOpenssl)("is read by openssl", async () => {
    const pem = await encryptPrivateKey(PKCS8, "s€cret", { iterations: 1000 });
    expect(openssl(pem, "pkey", "-passin", "pass:s€cret", "-outform", "DER")).toEqual(
      openssl(PEM, "pkey", "-outform", "DER"),
    );
  });

  it.each([0, 999, 1e4 + 0.5, Number.NaN, 2 ** 31])("takes no %s iterations", async (iterations) => {
    expect((await refusal(() => encryptPrivateKey(PEM, "x", { iterations }))).code).toBe("ERR_TLS_OPTION");
  });

  it("must be a key", async () => {
    expect((await refusal(() => encryptPrivateKey("nothing", "x"))).code).toBe("ERR_TLS_KEY");
  });
});

describe("a key that is not encrypted", () => {
  it("is read whatever the pass phrase", async () => {
    for (const file of [PEM, PKCS8]) {
      for (const key of await readings(file, "any")) expect(key).toEqual(PKCS8);
      expect(await readPrivateKey(file)).toEqual(PKCS8);
    }
  });

  it.each([
    ["nothing", "", "ERR_TLS_KEY"],
    ["two keys", PEM + PEM, "ERR_TLS_KEY"],
    ["another form", writePem("OPENSSH PRIVATE KEY", PKCS8), "ERR_TLS_KEY"],
    ["half of DER", PKCS8.subarray(0, 20), "ERR_TLS_PEM"],
  ])("is refused where it is %s", async (_, file, code) => {
    expect((await refusal(() => readPrivateKey(file, "x"))).code).toBe(code);
  });
});

const PBES2 = "1.2.840.113549.1.5.13";
const PBKDF2 = "1.2.840.113549.1.5.12";
const SCRYPT = "1.3.6.1.4.1.11591.4.11";
const AES = derSequence(derOid("2.16.840.1.101.3.4.1.42"), octets(new Uint8Array(16)));
const SALT = octets(new Uint8Array(8));
const NULL = derEncode(Tag.null);
const SHA256 = derSequence(derOid("1.2.840.113549.2.9"), NULL);

const info = (algorithm: Uint8Array, data: Uint8Array = new Uint8Array(32)) => derSequence(algorithm, octets(data));
const pbes2 = (derivation: Uint8Array, scheme = AES, data?: Uint8Array) =>
  info(derSequence(derOid(PBES2), derSequence(derivation, scheme)), data);
const pbkdf2 = (...parameters: Uint8Array[]) => derSequence(derOid(PBKDF2), derSequence(...parameters));
const scrypt = (n: number, r: number, p: number, ...more: Uint8Array[]) =>
  derSequence(derOid(SCRYPT), derSequence(SALT, derNumber(n), derNumber(r), derNumber(p), ...more));
const cipher = (oid: string, parameters: Uint8Array) => derSequence(derOid(oid), parameters);
const pkcs12 = (...parameters: Uint8Array[]) => cipher("1.2.840.113549.1.12.1.3", derSequence(...parameters));

const dek = (header: string) =>
  `-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n${header}\n\nAAAAAAAAAAAAAAAAAAAAAA==\n-----END EC PRIVATE KEY-----\n`;

describe("a file asks for too much", () => {
  it.each([
    ["iterations of PBKDF2", pbes2(pbkdf2(SALT, derNumber(10_000_001), SHA256)), "10000000 iterations"],
    ["iterations of two blocks", pbes2(pbkdf2(SALT, derNumber(5_000_001))), "10000000 iterations"],
    ["iterations of PKCS#12's", info(pkcs12(SALT, derNumber(9_000_000))), "10000000 iterations"],
    ["no iterations", pbes2(pbkdf2(SALT, derNumber(0), SHA256)), "without iterations"],
    ["no iterations of PKCS#12's", info(pkcs12(SALT, derNumber(0))), "without iterations"],
    ["memory: N", pbes2(scrypt(2 ** 17, 8, 1)), "bytes of memory"],
    ["memory: r", pbes2(scrypt(2, 2 ** 19, 1)), "bytes of memory"],
    ["memory: p", pbes2(scrypt(2, 1, 2 ** 20)), "bytes of memory"],
    ["work: N times r times p", pbes2(scrypt(2 ** 14, 8, 80)), "10000000 iterations"],
    ["a salt", pbes2(pbkdf2(octets(new Uint8Array(1025)), derNumber(1), SHA256)), "a salt of 1025 bytes"],
    ["a salt of PKCS#12's", info(pkcs12(octets(new Uint8Array(1025)), derNumber(1))), "a salt of 1025 bytes"],
    ["bytes", info(AES, new Uint8Array(128 * 1024)), "more than 131072 bytes"],
  ])("%s", async (_, file, text) => {
    for (const form of [file, writePem("ENCRYPTED PRIVATE KEY", file)]) {
      const found = await refusal(() => readPrivateKey(form, "x"));
      expect(found.code).toBe("ERR_TLS_PKCS12");
      expect(found.text).toContain(text);
    }
  });

  it("unless more is allowed, or less", async () => {
    const pem = await encryptPrivateKey(PEM, "x", { iterations: 2000 });
    expect((await refusal(() => readPrivateKey(pem, "x", { maxIterations: 1999 }))).code).toBe("ERR_TLS_PKCS12");
    expect(await readPrivateKey(pem, "x", { maxIterations: 2000 })).toEqual(PKCS8);
    expect((await refusal(() => readPrivateKey(pem, "x", { maxIterations: 0 }))).code).toBe("ERR_TLS_OPTION");
    expect((await refusal(() => readPrivateKey(pem, "x", { maxIterations: 1.5 }))).code).toBe("ERR_TLS_OPTION");
  });
});

describe("a file is malformed", () => {
  const ok = pbkdf2(SALT, derNumber(1), SHA256);
  it.each([
    ["without data", pbes2(ok, AES, new Uint8Array(0)), "ERR_TLS_PEM"],
    ["with part of a block", pbes2(ok, AES, new Uint8Array(17)), "ERR_TLS_PEM"],
    ["with a short IV", pbes2(ok, cipher("2.16.840.1.101.3.4.1.42", octets(new Uint8Array(8)))), "ERR_TLS_PEM"],
    ["without an IV", pbes2(ok, derSequence(derOid("2.16.840.1.101.3.4.1.42"))), "ERR_TLS_PEM"],
    ["with a key that is too long", pbes2(pbkdf2(SALT, derNumber(1), derNumber(33), SHA256)), "ERR_TLS_PEM"],
    ["with another key of scrypt", pbes2(scrypt(2, 1, 1, derNumber(16))), "ERR_TLS_PEM"],
    ["with N that is no power of two", pbes2(scrypt(3, 1, 1)), "ERR_TLS_PEM"],
    ["with N of one", pbes2(scrypt(1, 1, 1)), "ERR_TLS_PEM"],
    ["with r of zero", pbes2(scrypt(2, 0, 1)), "ERR_TLS_PEM"],
    ["with p of zero", pbes2(scrypt(2, 1, 0)), "ERR_TLS_PEM"],
    ["with a salt from elsewhere", pbes2(pbkdf2(SHA256, derNumber(1))), "ERR_TLS_PEM"],
    ["with an unknown prf", pbes2(pbkdf2(SALT, derNumber(1), cipher("1.2.840.113549.2.13", NULL))), "ERR_TLS_PKCS12"],
    [
      "with parameters of the prf",
      pbes2(pbkdf2(SALT, derNumber(1), cipher("1.2.840.113549.2.9", SALT))),
      "ERR_TLS_PKCS12",
    ],
    ["with an unknown derivation", pbes2(cipher("1.2.3.4", NULL)), "ERR_TLS_PKCS12"],
    ["with an unknown cipher", pbes2(ok, cipher("1.2.3.4", SALT)), "ERR_TLS_PKCS12"],
    ["without parameters", info(derSequence(derOid(PBES2))), "ERR_TLS_PEM"],
    ["without those of PKCS#12", info(derSequence(derOid("1.2.840.113549.1.12.1.3"))), "ERR_TLS_PEM"],
    ["with more than it should have", derSequence(AES, SALT, SALT), "ERR_TLS_PEM"],
  ])("%s", async (_, file, code) => {
    expect((await refusal(() => readPrivateKey(file, "x"))).code).toBe(code);
  });

  it.each([
    ["DEK-Info: DES-CBC,0011223344556677", "ERR_TLS_PKCS12"],
    ["DEK-Info: AES-256-CBC,00112233445566", "ERR_TLS_PEM"],
    ["DEK-Info: AES-256-CBC,xx112233445566778899aabbccddeeff", "ERR_TLS_PEM"],
    ["DEK-Info: AES-256-CBC", "ERR_TLS_PEM"],
    ["X: Y", "ERR_TLS_PKCS12"],
  ])("as traditional PEM: %s", async (header, code) => {
    expect((await refusal(() => readPrivateKey(dek(header), "x"))).code).toBe(code);
  });
});

/** One pass phrase in 256 leaves what looks like padding; all the others must say the same. */
describe("a wrong pass phrase", () => {
  let pem: string;
  beforeAll(async () => {
    pem = await encryptPrivateKey(PEM, "right", { iterations: 1000 });
  });

  it("is called wrong, whatever comes out", async () => {
    const texts = new Set<string>();
    for (let i = 0; i < 1500; i++) {
      const { code, text } = await refusal(() => readPrivateKeySync(pem, `wrong ${i}`));
      expect(code).toBe("ERR_TLS_PASSPHRASE");
      texts.add(text.replace(/.*: /, ""));
    }
    expect([...texts].sort()).toEqual([
      "what is decrypted does not end in padding",
      "what is decrypted is no private key",
    ]);
  });
});

describe("damage ends in a TlsError or in nothing", () => {
  it.each(["PBE-SHA1-RC2-40.pem", "PBES2", "scrypt", "traditional PEM"])("%s", async (name) => {
    const pem = name.endsWith(".pem")
      ? fixture(name)
      : utf8(await encryptPrivateKey(PEM, "secret", { iterations: 1000 }));
    const der = readPem(pem)[0]?.der as Uint8Array;
    const file =
      { scrypt: pbes2(scrypt(16, 8, 1)), "traditional PEM": utf8(dek(`DEK-Info: AES-256-CBC,${"01".repeat(16)}`)) }[
        name
      ] ?? der;
    const codes = new Set<string>();
    for (let seed = 0; seed < 400; seed++) {
      try {
        readPrivateKeySync(damaged(file, new Random(seed)), "secret", { maxIterations: 20_000 });
      } catch (error) {
        if (!(error instanceof TlsError)) throw error;
        codes.add(error.code);
      }
    }
    expect([...codes]).toEqual(expect.arrayContaining(["ERR_TLS_PEM", "ERR_TLS_PASSPHRASE"]));
  });
});
