/**
 * What node:crypto has beyond the defaults: X448, Ed448, and from Node 24.7 on ML-KEM and ML-DSA. Where the running Node,
 * or what takes its place, lacks one, it is noble's. Which it is, is tried out at first use with keys of our own.
 */

import type { KeyObject } from "node:crypto";
import * as crypto from "node:crypto";
import { ml_kem768, ml_kem1024 } from "@noble/post-quantum/ml-kem.js";
import { derEncode, Tag } from "../bytes/der.ts";
import { fromHex } from "../bytes/hex.ts";
import { fault } from "../errors.ts";
import type { SignatureExtra } from "./extras.ts";
import { type DiffieHellmanKey, diffieHellman } from "./groups.ts";
import { ed448, mlDsa44, mlDsa65, mlDsa87, mlDsaPrivateKey, x448 } from "./noble-extras.ts";
import type { Group, MlKem } from "./provider.ts";

/** Newer than the declarations of Node 20. */
const { encapsulate, decapsulate } = crypto as unknown as {
  readonly encapsulate?: (key: KeyObject) => { readonly sharedKey: Buffer; readonly ciphertext: Buffer };
  readonly decapsulate?: (key: KeyObject, ciphertext: Uint8Array) => Buffer;
};
const generateKeyPair = crypto.generateKeyPairSync as unknown as (type: string) => {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
};

/** True when keys of this type can be made. */
function has(type: string): boolean {
  let known = AVAILABLE.get(type);
  if (known === undefined) {
    try {
      generateKeyPair(type);
      known = true;
    } catch {
      known = false;
    }
    AVAILABLE.set(type, known);
  }
  return known;
}

/** A fact of the runtime: a handful of types, the same for everybody. */
const AVAILABLE = /* @__PURE__ */ new Map<string, boolean>();

/** Bytes of an OCTET STRING or BIT STRING in a SubjectPublicKeyInfo whose algorithm has no parameters. */
function publicKey(oid: string, key: Uint8Array): KeyObject {
  const algorithm = derEncode(Tag.sequence, fromHex(oid));
  const spki = derEncode(Tag.sequence, algorithm, derEncode(Tag.bitString, Uint8Array.of(0), key));
  return crypto.createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
}

function privateKey(oid: string, key: Uint8Array): KeyObject {
  const algorithm = derEncode(Tag.sequence, fromHex(oid));
  const version = derEncode(Tag.integer, Uint8Array.of(0));
  const pkcs8 = derEncode(Tag.sequence, version, algorithm, derEncode(Tag.octetString, key));
  try {
    return crypto.createPrivateKey({ key: Buffer.from(pkcs8), format: "der", type: "pkcs8" });
  } catch (cause) {
    throw fault("ERR_TLS_KEY", "OpenSSL does not take the private key", { cause });
  }
}

const X448_OID = "06032b656f";
const X448_LENGTH = 56;

export function x448Group(): Group {
  const native = diffieHellman("x448", X448_LENGTH, (): DiffieHellmanKey => {
    const pair = generateKeyPair("x448");
    return {
      publicKey: new Uint8Array(pair.publicKey.export({ type: "spki", format: "der" })).slice(-X448_LENGTH),
      secret: (peer) =>
        new Uint8Array(crypto.diffieHellman({ privateKey: pair.privateKey, publicKey: publicKey(X448_OID, peer) })),
    };
  });
  return {
    name: "x448",
    generate: () => (has("x448") ? native : x448).generate(),
    encapsulate: (share) => (has("x448") ? native : x448).encapsulate(share),
  };
}

/** Key of an ML-KEM key pair of whoever made it. */
type KemSecret = KeyObject | Uint8Array;

export const nodeMlKem768: MlKem<KemSecret> = /* @__PURE__ */ mlKem("ml-kem-768", "0609608648016503040402", ml_kem768);
export const nodeMlKem1024: MlKem<KemSecret> = /* @__PURE__ */ mlKem(
  "ml-kem-1024",
  "0609608648016503040403",
  ml_kem1024,
);

function mlKem(type: string, oid: string, noble: typeof ml_kem768): MlKem<KemSecret> {
  const length = noble.lengths.publicKey as number;
  const native = () => encapsulate !== undefined && decapsulate !== undefined && has(type);
  return {
    keygen() {
      if (!native()) return noble.keygen();
      const pair = generateKeyPair(type);
      const spki = pair.publicKey.export({ type: "spki", format: "der" });
      return { publicKey: new Uint8Array(spki).slice(-length), secretKey: pair.privateKey };
    },
    encapsulate(key) {
      if (!native() || encapsulate === undefined) return noble.encapsulate(key);
      const { sharedKey, ciphertext } = encapsulate(publicKey(oid, key));
      return { cipherText: new Uint8Array(ciphertext), sharedSecret: new Uint8Array(sharedKey) };
    },
    decapsulate(ciphertext, secretKey) {
      if (secretKey instanceof Uint8Array) return noble.decapsulate(ciphertext, secretKey);
      if (decapsulate === undefined) throw fault("ERR_TLS_INTERNAL", `a key of ${type} that nobody made`);
      return new Uint8Array(decapsulate(secretKey, ciphertext));
    },
  };
}

/** Ed448 and ML-DSA, native where they can be. */
export function nodeSignatures(): readonly SignatureExtra[] {
  return [
    native(ed448, "ed448", "06032b6571"),
    native(mlDsa44, "ml-dsa-44", "0609608648016503040311"),
    native(mlDsa65, "ml-dsa-65", "0609608648016503040312"),
    native(mlDsa87, "ml-dsa-87", "0609608648016503040313"),
  ];
}

function native(noble: SignatureExtra, type: string, oid: string): SignatureExtra {
  return {
    scheme: noble.scheme,
    verify(key, message, signature) {
      if (!has(type)) return noble.verify(key, message, signature);
      // OpenSSL does not check this.
      if (noble === ed448 && !usableEd448(key)) return false;
      return crypto.verify(null, message, publicKey(oid, key), signature);
    },
    signer(key) {
      if (!has(type)) return noble.signer(key);
      // OpenSSL takes more forms of ML-DSA's than RFC 9881 knows.
      if (noble !== ed448) mlDsaPrivateKey(key);
      // RFC 8410 7: CurvePrivateKey is an OCTET STRING of its own.
      const handle = privateKey(oid, noble === ed448 ? derEncode(Tag.octetString, key) : key);
      return (message) => new Uint8Array(crypto.sign(null, message, handle));
    },
  };
}

/** RFC 8032 5.2 */
const ED448_PRIME = 2n ** 448n - 2n ** 224n - 1n;

/** True for y below the prime (RFC 8032 5.2.3) that is not of a point of order 1, 2 or 4: those have y of 1, -1 and 0. */
function usableEd448(key: Uint8Array): boolean {
  let y = 0n;
  for (const byte of Uint8Array.from(key, (byte, index) => (index === 56 ? byte & 0x7f : byte)).reverse()) {
    y = (y << 8n) | BigInt(byte);
  }
  return y > 1n && y < ED448_PRIME - 1n;
}
