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

/**
 * RFC 5869 2.3.
 *
 * @param first - What the first block is made of: `info`, and the byte 1.
 * @param length - In bytes, at most 255 times the hash's.
 */
function hkdfExpand(hash: Hash, pseudoRandomKey: Uint8Array, first: Uint8Array, length: number): Uint8Array {
  let block = hash.hmac(pseudoRandomKey, first);
  // As it is nearly always: a copy or a view would cost a tenth of the HMAC.
  if (length === block.length) return block;
  const output = new Uint8Array(length);
  for (let counter = 1, offset = 0; ; ) {
    output.set(block.subarray(0, length - offset), offset);
    offset += block.length;
    if (offset >= length) return output;
    block = hash.hmac(pseudoRandomKey, concat(block, first.subarray(0, -1), Uint8Array.of(++counter)));
  }
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
  // RFC 5869 2.3: at most 255 blocks.
  if (text.length > 255 || context.length > 255 || length > 255 * hash.length)
    throw new RangeError("an HkdfLabel field is too long");
  const first = new Uint8Array(5 + text.length + context.length);
  first[0] = length >> 8;
  first[1] = length & 0xff;
  first[2] = text.length;
  first.set(text, 3);
  first[3 + text.length] = context.length;
  first.set(context, 4 + text.length);
  first[first.length - 1] = 1;
  return hkdfExpand(hash, secret, first, length);
}

/** `Derive-Secret(secret, label, messages)`, RFC 8446 7.1, with the transcript hash already taken. */
export function deriveSecret(hash: Hash, secret: Uint8Array, label: string, transcriptHash: Uint8Array): Uint8Array {
  return hkdfExpandLabel(hash, secret, label, transcriptHash, hash.length);
}
