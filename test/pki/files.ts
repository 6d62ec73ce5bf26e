/** Files for the tests of PKCS#12: those of others, and ones put together piece by piece. */
import { readFileSync } from "node:fs";
import { concat } from "../../src/bytes/bytes.ts";
import {
  contextConstructed,
  contextPrimitive,
  DerReader,
  derEncode,
  derNumber,
  derOid,
  derSequence,
  Tag,
} from "../../src/bytes/der.ts";
import { nodePasswordCrypto } from "../../src/crypto/node-passwords.ts";
import { TlsError } from "../../src/errors.ts";
import { settle } from "../../src/flow.ts";
import type { Pkcs12, Pkcs12ReadOptions } from "../../src/pki/pkcs12.ts";
import { Id } from "../../src/pki/pkcs12-ids.ts";
import { pkcs12Reading } from "../../src/pki/pkcs12-read.ts";
import type { Random } from "../support/random.ts";

export function fixture(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`fixtures/${name}`, import.meta.url)));
}

export const octets = (...parts: Uint8Array[]) => derEncode(Tag.octetString, ...parts);
export const explicit = (...parts: Uint8Array[]) => derEncode(contextConstructed(0), ...parts);

/** Without a MAC, unless its DER is given. */
export function pfx(safes: readonly Uint8Array[], mac: Uint8Array = new Uint8Array(0), version = 3): Uint8Array {
  return derSequence(derNumber(version), contentInfo(Id.data, octets(derSequence(...safes))), mac);
}

export function contentInfo(type: string, content: Uint8Array): Uint8Array {
  return derSequence(derOid(type), explicit(content));
}

/** The safes of a file that is DER. */
export function safesOf(file: Uint8Array): Uint8Array[] {
  const outer = new DerReader(file).sequence();
  outer.smallInteger();
  const info = outer.sequence();
  info.oid();
  const content = new DerReader(info.read(contextConstructed(0)).octetString()).sequence();
  const safes: Uint8Array[] = [];
  while (content.remaining > 0) safes.push(content.raw());
  return safes;
}

/** A safe that is not encrypted. */
export function plainSafe(...bags: readonly Uint8Array[]): Uint8Array {
  return contentInfo(Id.data, octets(derSequence(...bags)));
}

/** EncryptedData. `content`: the [0] of EncryptedContentInfo. */
export function encryptedSafe(
  algorithm: Uint8Array,
  content: Uint8Array,
  version = 0,
  type: string = Id.data,
): Uint8Array {
  const info = derSequence(derOid(type), algorithm, content);
  return contentInfo(Id.encryptedData, derSequence(derNumber(version), info));
}

export const implicit = (data: Uint8Array) => derEncode(contextPrimitive(0), data);

export function bag(type: string, value: Uint8Array, attributes: readonly Uint8Array[] = []): Uint8Array {
  const set = attributes.length === 0 ? [] : [derEncode(Tag.set, ...attributes)];
  return derSequence(derOid(type), explicit(value), ...set);
}

export function certificateBag(
  der: Uint8Array,
  attributes: readonly Uint8Array[] = [],
  format: string = Id.x509Certificate,
) {
  return bag(Id.certBag, derSequence(derOid(format), explicit(octets(der))), attributes);
}

export function attribute(type: string, ...values: readonly Uint8Array[]): Uint8Array {
  return derSequence(derOid(type), derEncode(Tag.set, ...values));
}

export const localKeyId = (...id: number[]) => attribute(Id.localKeyId, octets(Uint8Array.from(id)));

/** The same in BER: every constructed length indefinite, octet strings in pieces of at most `piece` bytes. */
export function toBer(der: Uint8Array, piece = 100): Uint8Array {
  const { tag, content, raw } = new DerReader(der).element();
  const end = new Uint8Array(2);
  if (tag === Tag.octetString) {
    const data = content.rest();
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < data.length; at += piece) pieces.push(octets(data.subarray(at, at + piece)));
    return concat(Uint8Array.of(tag | 0x20, 0x80), ...pieces, end);
  }
  if ((tag & 0x20) === 0) return raw.slice();
  const children: Uint8Array[] = [];
  while (content.remaining > 0) children.push(toBer(content.raw(), piece));
  return concat(Uint8Array.of(tag, 0x80), ...children, end);
}

/** Reads with node:crypto; a MAC need not be there, as in what `pfx` puts together. */
export function read(file: Uint8Array, passphrase?: string, options: Pkcs12ReadOptions = {}): Pkcs12 {
  return settle(pkcs12Reading(file, passphrase, nodePasswordCrypto, { withoutMac: true, ...options })) as Pkcs12;
}

/** The code and the text of the TlsError that `action` ends in. */
export async function refusal(action: () => unknown): Promise<{ code: string; text: string; alert: unknown }> {
  try {
    await action();
  } catch (error) {
    if (!(error instanceof TlsError)) throw error;
    return { code: error.code, text: error.message, alert: error.alert };
  }
  throw new Error("nothing was refused");
}

/** One to three changes of any kind. */
export function damaged(bytes: Uint8Array, random: Random): Uint8Array {
  let out: Uint8Array = bytes.slice();
  for (let times = 1 + random.integer(3); times > 0; times--) {
    const at = random.integer(out.length);
    const part = out.subarray(at, at + random.integer(40));
    out = random.pick([
      () => Uint8Array.from(out, (byte, index) => (index === at ? random.integer(256) : byte)),
      () => Uint8Array.from(out, (byte, index) => (index === at ? byte ^ (1 << random.integer(8)) : byte)),
      () => concat(out.subarray(0, at), out.subarray(at + part.length)),
      () => concat(out.subarray(0, at), part, out.subarray(at)),
      () => concat(out.subarray(0, at), random.bytes(random.integer(8)), out.subarray(at)),
      () => out.slice(0, at),
    ])();
  }
  return out;
}
