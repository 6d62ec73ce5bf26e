/** Keys from pass phrases: the same by WebCrypto, by noble and by node:crypto, and by the vectors of the RFCs. */
import { createCipheriv } from "node:crypto";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterEach, describe, expect, it, vi } from "vitest";
import { utf8 } from "../../src/bytes/bytes.ts";
import { toHex } from "../../src/bytes/hex.ts";
import { decryptLegacy } from "../../src/crypto/legacy-ciphers.ts";
import { nodePasswordCrypto } from "../../src/crypto/node-passwords.ts";
import {
  DIGEST_LENGTHS,
  type DigestName,
  decryptAes,
  encryptAes,
  hmac,
  portablePasswordCrypto,
} from "../../src/crypto/passwords.ts";

const BOTH = { portable: portablePasswordCrypto, node: nodePasswordCrypto };
const DIGESTS = Object.keys(DIGEST_LENGTHS) as DigestName[];

afterEach(() => vi.unstubAllGlobals());

describe.each(Object.entries(BOTH))("%s", (_, crypto) => {
  const pbkdf2 = async (password: string, salt: string, iterations: number, length: number) =>
    toHex(await crypto.pbkdf2({ digest: "sha1", password: utf8(password), salt: utf8(salt), iterations, length }));

  it("derives by PBKDF2 as RFC 6070 2", async () => {
    expect(await pbkdf2("password", "salt", 1, 20)).toBe("0c60c80f961f0e71f3a9b524af6012062fe037a6");
    expect(await pbkdf2("password", "salt", 4096, 20)).toBe("4b007901b765489abead49d926f721d065a429c1");
    expect(await pbkdf2("passwordPASSWORDpassword", "saltSALTsaltSALTsaltSALTsaltSALTsalt", 4096, 25)).toBe(
      "3d2eec4fe41c849b80c8d83662c0e44a8b291a964cf2f07038",
    );
  });

  it("derives by scrypt as RFC 7914 12", async () => {
    const parameters = { password: utf8("password"), salt: utf8("NaCl"), length: 64 };
    expect(toHex(await crypto.scrypt({ ...parameters, cost: 1024, blockSize: 8, parallelization: 16 }))).toBe(
      "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640",
    );
  });
});

describe("PBKDF2 anywhere", () => {
  const parameters = { password: utf8("pass"), salt: utf8("word"), iterations: 3, length: 40 };
  const expected = (digest: DigestName) => nodePasswordCrypto.pbkdf2({ ...parameters, digest });

  it.each(DIGESTS)("is WebCrypto's, or noble's where it has none: %s", async (digest) => {
    expect(await portablePasswordCrypto.pbkdf2({ ...parameters, digest })).toEqual(expected(digest));
    vi.stubGlobal("crypto", undefined);
    expect(await portablePasswordCrypto.pbkdf2({ ...parameters, digest })).toEqual(expected(digest));
  });

  it("is noble's where WebCrypto does not take so many iterations, and fails as WebCrypto does otherwise", async () => {
    const { subtle } = globalThis.crypto;
    const failing = (name: string) => ({
      subtle: {
        importKey: subtle.importKey.bind(subtle),
        deriveBits: async () => {
          throw new DOMException("iteration counts above 100000 are not supported", name);
        },
      },
    });
    vi.stubGlobal("crypto", failing("NotSupportedError"));
    expect(await portablePasswordCrypto.pbkdf2({ ...parameters, digest: "sha256" })).toEqual(expected("sha256"));
    vi.stubGlobal("crypto", failing("OperationError"));
    await expect(portablePasswordCrypto.pbkdf2({ ...parameters, digest: "sha256" })).rejects.toThrow("100000");
  });
});

describe("ciphers", () => {
  const data = Uint8Array.from({ length: 64 }, (_, index) => 7 * index);

  it("decrypt 3DES as OpenSSL encrypts", async () => {
    const key = Uint8Array.from({ length: 24 }, (_, index) => 5 * index);
    const iv = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 0xff);
    const cipher = createCipheriv("des-ede3-cbc", key, iv).setAutoPadding(false);
    const encrypted = new Uint8Array(Buffer.concat([cipher.update(data), cipher.final()]));
    expect(decryptLegacy("3des", key, iv, encrypted)).toEqual(data);
    expect(await portablePasswordCrypto.decryptLegacy("3des", key, iv, encrypted)).toEqual(data);
  });

  it("decrypt RC2 as RFC 2268 5", () => {
    const hex = (text: string) => new Uint8Array(Buffer.from(text, "hex"));
    const key = hex("88bca90e90875a7f0f79c384627bafb2");
    expect(toHex(decryptLegacy("rc2", key, new Uint8Array(8), hex("2269552ab0f85ca6")))).toBe("0000000000000000");
  });

  it.each([16, 24, 32])("encrypt AES with a key of %d bytes as they decrypt", (length) => {
    const key = new Uint8Array(length).fill(3);
    const iv = new Uint8Array(16).fill(9);
    const encrypted = encryptAes(key, iv, data);
    expect(toHex(decryptAes(key, iv, encrypted))).toBe(toHex(data) + "10".repeat(16));
  });

  it("authenticate as RFC 4231 4.2", () => {
    expect(toHex(hmac("sha256", new Uint8Array(20).fill(0x0b), utf8("Hi There")))).toBe(
      "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
    );
  });
});

describe("a bundle for browsers", () => {
  const root = fileURLToPath(new URL("../../", import.meta.url));

  it("with PKCS#12 needs nothing of Node's, and loads node-forge only when a file asks for it", async () => {
    const { metafile } = await build({
      stdin: { contents: 'export * from "./src/pki/pkcs12.ts"; export * from "./src/pki/pkcs8.ts";', resolveDir: root },
      bundle: true,
      splitting: true,
      format: "esm",
      platform: "browser",
      outdir: "out",
      write: false,
      metafile: true,
      logLevel: "silent",
    });
    expect(Object.keys(metafile.inputs).filter((path) => path.startsWith("node:"))).toEqual([]);
    const holds = (output: string) => Object.keys(metafile.outputs[output]?.inputs ?? {}).join(" ");
    const entry = Object.keys(metafile.outputs).find((output) => holds(output).includes("pki/pkcs12.ts")) as string;
    const loaded = new Set<string>();
    const follow = (output: string): void => {
      if (loaded.has(output)) return;
      loaded.add(output);
      for (const { path, kind } of metafile.outputs[output]?.imports ?? [])
        if (kind === "import-statement") follow(path);
    };
    follow(entry);
    expect([...loaded].map(holds).join(" ")).not.toContain("node-forge");
    expect(Object.keys(metafile.outputs).map(holds).join(" ")).toContain("node-forge/lib/rc2.js");
  });
});
