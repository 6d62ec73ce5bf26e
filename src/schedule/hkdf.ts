/** HKDF and its TLS 1.3 labels, RFC 5869 and RFC 8446 7.1. */
import { concat, utf8 } from "../bytes/bytes.ts";
import { encode, opaque, struct, uint } from "../codec/schema.ts";
import type { Hash } from "../crypto/provider.ts";

/** RFC 8446 7.1 */
export const HkdfLabel = /* @__PURE__ */ struct("HkdfLabel", {
  length: uint(2),
  label: opaque(7, 255, true),
  context: opaque(0, 255),
});

/** RFC 5869 2.2 */
export function hkdfExtract(hash: Hash, salt: Uint8Array, inputKeyMaterial: Uint8Array): Uint8Array {
  return hash.hmac(salt, inputKeyMaterial);
}

/** RFC 5869 2.3. `length` in bytes, at most 255 times the hash's. */
function hkdfExpand(hash: Hash, pseudoRandomKey: Uint8Array, info: Uint8Array, length: number): Uint8Array {
  const output = new Uint8Array(length);
  let block = new Uint8Array(0) as Uint8Array;
  for (let offset = 0, counter = 1; offset < length; offset += block.length, counter++) {
    if (counter > 255) throw new RangeError("HKDF-Expand gives at most 255 blocks");
    block = hash.hmac(pseudoRandomKey, concat(block, info, Uint8Array.of(counter)));
    output.set(block.subarray(0, Math.min(block.length, length - offset)), offset);
  }
  return output;
}

/** `HKDF-Expand-Label(secret, label, context, length)`, RFC 8446 7.1; `label` without the "tls13 " prefix. */
export function hkdfExpandLabel(
  hash: Hash,
  secret: Uint8Array,
  label: string,
  context: Uint8Array,
  length: number,
): Uint8Array {
  return hkdfExpand(hash, secret, encode(HkdfLabel, { length, label: utf8(`tls13 ${label}`), context }), length);
}

/** `Derive-Secret(secret, label, messages)`, RFC 8446 7.1, with the transcript hash already taken. */
export function deriveSecret(hash: Hash, secret: Uint8Array, label: string, transcriptHash: Uint8Array): Uint8Array {
  return hkdfExpandLabel(hash, secret, label, transcriptHash, hash.length);
}
