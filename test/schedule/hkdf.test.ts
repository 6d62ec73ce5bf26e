import { hkdfSync } from "node:crypto";
import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes/bytes.ts";
import { encode } from "../../src/codec/schema.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { nodeProvider } from "../../src/crypto/node.ts";
import type { Hash } from "../../src/crypto/provider.ts";
import { HkdfLabel, hkdfExpandLabel, hkdfExtract } from "../../src/schedule/hkdf.ts";

const key = new Uint8Array(32).fill(7);
const salt = new Uint8Array(32).fill(9);

const hashes = [nodeProvider, nobleProvider].flatMap(({ name, hashes: { sha256, sha384 } }) =>
  [sha256, sha384 as Hash].map((hash) => [`${hash.name} of ${name}`, hash] as const),
);

describe.each(hashes)("HKDF-Expand-Label with %s", (_, hash) => {
  const secret = hkdfExtract(hash, salt, key);
  const most = 255 * hash.length;

  it.each([0, 1, 12, 16, 31, 32, 33, 48, 64, 65, 96, 97, most])("gives %i bytes as node:crypto does", (length) => {
    for (const context of [new Uint8Array(0), new Uint8Array(32).fill(1), new Uint8Array(255).fill(2)]) {
      const info = encode(HkdfLabel, { length, label: utf8("tls13 a label"), context });
      const expected = new Uint8Array(hkdfSync(hash.name, key, salt, info, length));
      expect(hkdfExpandLabel(hash, secret, "a label", context, length)).toEqual(expected);
    }
  });

  it("gives memory of its own each time, and keeps the secret as it is", () => {
    const before = secret.slice();
    const once = hkdfExpandLabel(hash, secret, "key", new Uint8Array(0), hash.length);
    const again = hkdfExpandLabel(hash, secret, "key", new Uint8Array(0), hash.length);
    expect(once).toEqual(again);
    once.fill(0);
    expect(again.some((byte) => byte !== 0)).toBe(true);
    expect(secret).toEqual(before);
  });

  it.each([
    ["more than 255 blocks", "key", 0, most + 1],
    ["a context of 256 bytes", "key", 256, 32],
    ["a label of 250 bytes", "x".repeat(250), 0, 32],
  ])("refuses %s", (_what, label, contextLength, length) => {
    expect(() => hkdfExpandLabel(hash, secret, label, new Uint8Array(contextLength), length)).toThrow(RangeError);
  });
});
