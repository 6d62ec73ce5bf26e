/** HKDF and its TLS 1.3 labels, RFC 5869 and RFC 8446 7.1. */
import { concat, utf8 } from "../bytes/bytes.ts";
import { opaque, struct, uint } from "../codec/schema.ts";
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
  let block = hash.hmac(pseudoRandomKey, concat(info, Uint8Array.of(1)));
  if (length <= hash.length) return block.subarray(0, length);
  const output = new Uint8Array(length);
  output.set(block);
  for (let offset = block.length, counter = 2; offset < length; offset += block.length, counter++) {
    if (counter > 255) throw new RangeError("HKDF-Expand gives at most 255 blocks");
    block = hash.hmac(pseudoRandomKey, concat(block, info, Uint8Array.of(counter)));
    output.set(block.subarray(0, Math.min(block.length, length - offset)), offset);
  }
  return output;
}

/** The labels of RFC 8446 7.1 with their prefix, encoded once. */
const LABELS = new Map<string, Uint8Array>();

/**
 * `HKDF-Expand-Label(secret, label, context, length)`, RFC 8446 7.1; `label` without the "tls13 " prefix.
 *
 * {@link HkdfLabel} is put together by hand here: it never crosses the wire, and a handshake makes some fifty of them.
 */
export function hkdfExpandLabel(
  hash: Hash,
  secret: Uint8Array,
  label: string,
  context: Uint8Array,
  length: number,
): Uint8Array {
  let text = LABELS.get(label);
  if (text === undefined) {
    text = utf8(`tls13 ${label}`);
    // Exporter labels are the application's and may be many.
    if (LABELS.size < 32) LABELS.set(label, text);
  }
  if (text.length > 255 || context.length > 255 || length > 0xffff)
    throw new RangeError("an HkdfLabel field is too long");
  const info = new Uint8Array(4 + text.length + context.length);
  info[0] = length >> 8;
  info[1] = length & 0xff;
  info[2] = text.length;
  info.set(text, 3);
  info[3 + text.length] = context.length;
  info.set(context, 4 + text.length);
  return hkdfExpand(hash, secret, info, length);
}

/** `Derive-Secret(secret, label, messages)`, RFC 8446 7.1, with the transcript hash already taken. */
export function deriveSecret(hash: Hash, secret: Uint8Array, label: string, transcriptHash: Uint8Array): Uint8Array {
  return hkdfExpandLabel(hash, secret, label, transcriptHash, hash.length);
}
