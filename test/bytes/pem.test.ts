import { describe, expect, it } from "vitest";
import { fromHex } from "../../src/bytes/hex.ts";
import { readPem, writePem } from "../../src/bytes/pem.ts";
import { TlsError } from "../../src/errors.ts";

function codeOf(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    return error instanceof TlsError ? error.code : String(error);
  }
  return "no error";
}

describe("readPem", () => {
  const one = writePem("CERTIFICATE", new Uint8Array(100).fill(1));
  const two = writePem("EC PRIVATE KEY", fromHex("3000"));

  it("finds all blocks in order, whatever text is between them", () => {
    const blocks = readPem(`Bag Attributes\n    friendlyName: x\n${one}subject=CN=x\n\n${two}-- the end --\n`);
    expect(blocks.map(({ label }) => label)).toEqual(["CERTIFICATE", "EC PRIVATE KEY"]);
    expect(blocks[0]?.der).toEqual(new Uint8Array(100).fill(1));
    expect(blocks[1]?.der).toEqual(fromHex("3000"));
    expect(readPem("no PEM here")).toEqual([]);
    expect(readPem("")).toEqual([]);
  });

  it("takes bytes, a byte order mark, CRLF, CR, blanks at line ends and any line length", () => {
    const der = new Uint8Array(100).fill(1);
    const body = one.split("\n").slice(1, -2).join("");
    for (const text of [
      `\ufeff${one}`,
      one.replaceAll("\n", "\r\n"),
      one.replaceAll("\n", "\r"),
      one.replaceAll("\n", " \t\n"),
      `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----`,
      `-----BEGIN CERTIFICATE-----\n${body.replace(/(.)/g, "$1\n")}-----END CERTIFICATE-----`,
    ]) {
      expect(readPem(text)[0]?.der).toEqual(der);
      expect(readPem(new TextEncoder().encode(text))[0]?.der).toEqual(der);
    }
  });

  it("gives the headers of RFC 1421", () => {
    const [block] = readPem(
      "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAQID\n-----END RSA PRIVATE KEY-----\n",
    );
    expect([...(block?.headers ?? [])]).toEqual([
      ["Proc-Type", "4,ENCRYPTED"],
      ["DEK-Info", "AES-256-CBC,00"],
    ]);
    expect(block?.der).toEqual(Uint8Array.of(1, 2, 3));
  });

  it.each([
    ["no END", "-----BEGIN A-----\nAQID\n"],
    ["another END", "-----BEGIN A-----\nAQID\n-----END B-----\n"],
    ["a BEGIN inside", "-----BEGIN A-----\nAQID\n-----BEGIN A-----\nAQID\n-----END A-----\n"],
    ["nothing inside", "-----BEGIN A-----\n-----END A-----\n"],
    ["another alphabet", "-----BEGIN A-----\nAQ_-\n-----END A-----\n"],
    ["no padding", "-----BEGIN A-----\nAQI\n-----END A-----\n"],
    ["padding in the middle", "-----BEGIN A-----\nAQ==AQID\n-----END A-----\n"],
    ["text after the base64", "-----BEGIN A-----\nAQID\nhello!\n-----END A-----\n"],
    ["too much text", " ".repeat(16 * 1024 * 1024 + 1)],
    ["too many blocks", "-----BEGIN A-----\nAQID\n-----END A-----\n".repeat(10_001)],
  ])("refuses %s", (_, text) => {
    expect(codeOf(() => readPem(text))).toBe("ERR_TLS_PEM");
  });

  it("takes linear time on hostile text", () => {
    const size = 2_000_000;
    const texts = [
      "-----BEGIN ".repeat(size / 11),
      `-----BEGIN ${"A ".repeat(size / 2)}`,
      "-----BEGIN A-----\n".repeat(size / 18),
    ];
    for (const text of texts) expect(["ERR_TLS_PEM", "no error"]).toContain(codeOf(() => readPem(text)));
  });
});

describe("writePem", () => {
  it("breaks lines at 64 characters and reads back", () => {
    for (const length of [1, 47, 48, 49, 96, 97, 1000]) {
      const der = Uint8Array.from({ length }, (_, i) => i & 255);
      const text = writePem("X", der);
      expect(readPem(text)).toEqual([{ label: "X", der, headers: new Map() }]);
      expect(Math.max(...text.split("\n").map((line) => line.length))).toBeLessThanOrEqual(64);
      expect(text).not.toContain("\n\n");
    }
  });
});
