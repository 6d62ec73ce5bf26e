import { createPrivateKey, createPublicKey, sign, verify } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { toHex } from "../../src/bytes/hex.ts";
import { Certificate } from "../../src/codec/messages.ts";
import { decode } from "../../src/codec/schema.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { nodeProvider } from "../../src/crypto/node.ts";
import { parseCertificate } from "../../src/x509/parse.ts";
import { extract } from "../../vectors/rfc8448/extract.ts";
import { rsaPrivateKey, SECTIONS, type Trace, trace, traceData, traceOf } from "../../vectors/rfc8448/load.ts";
import { missing } from "../support/needs.ts";
import { recompute } from "./recompute.ts";

const text = new URL("../../../shared/specs/rfc8448.txt", import.meta.url);
const file = (name: string): string => new URL(`../../vectors/rfc8448/${name}.json`, import.meta.url).pathname;
const json = (data: unknown): string => `${JSON.stringify(data, null, 2)}\n`;

/** Section 4 resumes from the ticket of section 3. */
const psk = trace(3).find("server", "generate resumption secret").bytes("expanded");

/** Every value that a trace prints, named as `recompute` names what it has compared. */
function printed({ steps }: Trace): string[] {
  return steps.flatMap((step, index) => step.names.map((name) => `${index} ${name}`));
}

describe("RFC 8448 as data", () => {
  it.skipIf(missing("../shared/specs/rfc8448.txt", existsSync(text)))(
    "is what ../shared/specs/rfc8448.txt says",
    async () => {
      const { privateKeys, traces } = extract(readFileSync(text, "utf8"));
      await expect(json(privateKeys)).toMatchFileSnapshot(file("private-keys"));
      for (const data of traces) await expect(json(data)).toMatchFileSnapshot(file(`section-${data.section}`));
    },
  );

  it("has the values that are in the text", () => {
    const counts = SECTIONS.map((section) => [section, trace(section).records.length, printed(trace(section)).length]);
    expect(counts).toEqual([
      [3, 9, 109],
      [4, 10, 125],
      [5, 8, 106],
      [6, 6, 101],
      [7, 8, 102],
    ]);
  });
});

describe("the extraction refuses", () => {
  const page = (...lines: string[]): string =>
    [
      "2.  Private Keys",
      "   modulus (public):  01 02",
      "3.  Simple",
      ...lines,
      "4.  A",
      "5.  B",
      "6.  C",
      "7.  D",
    ].join("\n");
  const step = "   {client}  send alert record:";

  it.each([
    ["a wrong octet count", [step, "      payload (3 octets):  01 00"], "2 octets where 3 are announced"],
    ["a broken octet", [step, "      payload (2 octets):  01 0"], "not octets"],
    ["a stray line", [step, "      payload (2 octets):  01 00", "  stray"], 'cannot read "  stray"'],
    ["a step without values", [step], "values of"],
    ["a value twice", [step, "      payload (1 octets):  01", "      payload (1 octets):  01"], "a second payload"],
  ])("%s", (_, lines, message) => {
    expect(() => extract(page(...lines))).toThrow(message);
  });
});

describe.each([nobleProvider, nodeProvider])("RFC 8448 with $name", (provider) => {
  it.each(SECTIONS)("section %i: every printed value comes out again", async (section) => {
    const subject = trace(section);
    const checked = await recompute(subject, provider, section === 4 ? psk : undefined);
    expect([...checked].sort()).toEqual(printed(subject).sort());
  });
});

describe("RFC 8448 changed in one place", () => {
  it.each(SECTIONS)("section %i: no printed value can change unnoticed", { timeout: 120_000 }, async (section) => {
    const data = traceData(section);
    for (const [index, step] of data.steps.entries()) {
      for (const [name, hex] of Object.entries(step.values)) {
        const changed = { ...step, values: { ...step.values, [name]: flip(hex) } };
        const steps = data.steps.map((other) => (other === step ? changed : other));
        const outcome = recompute(traceOf({ ...data, steps }), nobleProvider, section === 4 ? psk : undefined);
        await expect(outcome, `step ${index}, ${name}`).rejects.toThrow();
      }
    }
  });
});

/** Another value of the same length where that can be. The middle, since X25519 ignores bits at either end. */
function flip(hex: string): string {
  if (hex.length < 2) return "01";
  const middle = 2 * Math.floor(hex.length / 4);
  const byte = Number.parseInt(hex.slice(middle, middle + 2), 16) ^ 1;
  return hex.slice(0, middle) + byte.toString(16).padStart(2, "0") + hex.slice(middle + 2);
}

describe("RFC 8448 section 2", () => {
  const numbers = rsaPrivateKey();
  const number = (name: string): bigint => BigInt(`0x${toHex(numbers.get(name) ?? new Uint8Array(0))}`);

  it("is a whole RSA key", () => {
    const [n, e, d] = [number("modulus"), number("public exponent"), number("private exponent")];
    const [p, q] = [number("prime1"), number("prime2")];
    expect(p * q).toBe(n);
    expect((e * d) % (p - 1n)).toBe(1n);
    expect((e * d) % (q - 1n)).toBe(1n);
    expect(number("exponent1")).toBe(d % (p - 1n));
    expect(number("exponent2")).toBe(d % (q - 1n));
    expect((number("coefficient") * q) % p).toBe(1n);
  });

  it.each([3, 5, 7] as const)("is the server's key in section %i", (section) => {
    const message = trace(section).find("server", "construct a Certificate handshake").bytes("Certificate");
    const [entry] = decode(Certificate, message.subarray(4)).certificate_list;
    const { publicKey } = parseCertificate(entry?.cert_data ?? new Uint8Array(0));
    const base64url = (name: string): string => Buffer.from(numbers.get(name) ?? "").toString("base64url");
    const privateKey = createPrivateKey({
      format: "jwk",
      key: {
        kty: "RSA",
        n: base64url("modulus"),
        e: base64url("public exponent"),
        d: base64url("private exponent"),
        p: base64url("prime1"),
        q: base64url("prime2"),
        dp: base64url("exponent1"),
        dq: base64url("exponent2"),
        qi: base64url("coefficient"),
      },
    });
    const spki = createPublicKey({ key: Buffer.from(publicKey.spki), format: "der", type: "spki" });
    const data = Buffer.from("signed with the printed key");
    expect(verify("sha256", data, spki, sign("sha256", data, privateKey))).toBe(true);
  });
});
