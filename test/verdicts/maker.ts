/** Certificates that follow from a seed byte for byte, right in everything but what a chain asks to be wrong. */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { ed25519 } from "@noble/curves/ed25519.js";
import { p256, p384 } from "@noble/curves/nist.js";
import { concat } from "../../src/bytes/bytes.ts";
import { contextConstructed, derEncode, Tag } from "../../src/bytes/der.ts";
import { fromHex } from "../../src/bytes/hex.ts";
import { KeyPurpose, KeyUsage } from "../../src/x509/certificate.ts";
import {
  type ExtensionInput,
  encodeBitString,
  encodeExtension,
  encodeInteger,
  encodeName,
  encodeNumber,
  encodeOid,
  encodeSequence,
  encodeTime,
  extension,
  generalName,
  type SubjectInput,
} from "../support/der.ts";
import type { Random } from "../support/random.ts";

/** The moment at which all chains are judged, ms since the epoch. */
export const NOW = Date.UTC(2035, 4, 1, 12);
export const DAY = 86_400_000;

/** A key, and what it signs with. */
export interface Key {
  readonly spki: Uint8Array;
  /** AlgorithmIdentifier of its signatures, DER. */
  readonly algorithm: Uint8Array;
  sign(message: Uint8Array): Uint8Array;
}

/** `RSA SHA-1` and `RSA MD5`: 2048 bits, and a hash that nobody should take. */
export type KeyKind = "P-256" | "P-384" | "Ed25519" | "RSA 2048" | "RSA 1024" | "RSA SHA-1" | "RSA MD5";

/** PKCS#8, PEM, by bits: RSA keys cannot be had from a seed. */
const rsaKeys: Readonly<Record<2048 | 1024, readonly string[]>> = JSON.parse(
  readFileSync(new URL("fixtures/rsa.json", import.meta.url), "utf8"),
);

const point = (oid: string) => (bytes: Uint8Array) =>
  encodeSequence(encodeSequence(encodeOid("1.2.840.10045.2.1"), encodeOid(oid)), encodeBitString(bytes));
const p256Spki = point("1.2.840.10045.3.1.7");
const p384Spki = point("1.3.132.0.34");
const how = { prehash: true, lowS: false, format: "der" } as const;

function rsaKey(bits: 2048 | 1024, hash: string, oid: string): (random: Random, index: number) => Key {
  return (_, index) => {
    const keys = rsaKeys[bits];
    const privateKey: KeyObject = createPrivateKey(keys[index % keys.length] as string);
    return {
      spki: new Uint8Array(createPublicKey(privateKey).export({ type: "spki", format: "der" })),
      algorithm: encodeSequence(encodeOid(oid), derEncode(Tag.null)),
      sign: (message) => new Uint8Array(sign(hash, message, privateKey)),
    };
  };
}

const KEYS: { readonly [Kind in KeyKind]: (random: Random, index: number) => Key } = {
  "P-256": (random) => {
    const secret = random.bytes(32);
    return {
      spki: p256Spki(p256.getPublicKey(secret, false)),
      algorithm: encodeSequence(encodeOid("1.2.840.10045.4.3.2")),
      sign: (message) => p256.sign(message, secret, how),
    };
  },
  "P-384": (random) => {
    const secret = concat(Uint8Array.of(1), random.bytes(47));
    return {
      spki: p384Spki(p384.getPublicKey(secret, false)),
      algorithm: encodeSequence(encodeOid("1.2.840.10045.4.3.3")),
      sign: (message) => p384.sign(message, secret, how),
    };
  },
  Ed25519: (random) => {
    const secret = random.bytes(32);
    const algorithm = encodeSequence(encodeOid("1.3.101.112"));
    return {
      spki: encodeSequence(algorithm, encodeBitString(ed25519.getPublicKey(secret))),
      algorithm,
      sign: (message) => ed25519.sign(message, secret),
    };
  },
  "RSA 2048": rsaKey(2048, "sha256", "1.2.840.113549.1.1.11"),
  "RSA 1024": rsaKey(1024, "sha256", "1.2.840.113549.1.1.11"),
  "RSA SHA-1": rsaKey(2048, "sha1", "1.2.840.113549.1.1.5"),
  "RSA MD5": rsaKey(2048, "md5", "1.2.840.113549.1.1.4"),
};

/** A certificate with the key it is for. */
export interface Made {
  readonly der: Uint8Array;
  readonly name: Uint8Array;
  readonly key: Key;
  readonly keyId: Uint8Array;
}

/** What to make; everything left out is as it should be. */
export interface MakeOptions {
  readonly subject?: SubjectInput | Uint8Array;
  /** Itself where left out. */
  readonly issuer?: Made;
  readonly key?: Key | KeyKind;
  readonly ca?: boolean;
  readonly pathLength?: number;
  /** ms since the epoch, or DER. */
  readonly notBefore?: number | Uint8Array;
  readonly notAfter?: number | Uint8Array;
  /** Bits; 0 for no such extension. */
  readonly keyUsage?: number;
  /** OIDs; `[]` for no such extension. */
  readonly purposes?: readonly string[];
  /** GeneralNames, DER; `[]` for no such extension. */
  readonly names?: readonly Uint8Array[];
  readonly keyIds?: boolean;
  readonly authorityKeyId?: Uint8Array;
  /** False: no such extension. */
  readonly basicConstraints?: boolean;
  readonly extensions?: readonly ExtensionInput[];
  /** Those that stand there, changed. */
  readonly rework?: (extensions: readonly ExtensionInput[]) => readonly ExtensionInput[];
  /** DER. */
  readonly serial?: Uint8Array;
  /** Contents of the version field; `null`: none, which is version 1. */
  readonly version?: number | null;
  /** Signs in the issuer's stead. */
  readonly signer?: Key;
  /** In place of the algorithm outside what is signed. */
  readonly outerAlgorithm?: Uint8Array;
  readonly spki?: Uint8Array;
  readonly issuerName?: Uint8Array;
  /** Changes what is signed, before it is. */
  readonly tbs?: (tbs: Uint8Array) => Uint8Array;
  /** Changes the finished certificate. */
  readonly damage?: (der: Uint8Array) => Uint8Array;
}

/** Makes what one chain consists of. */
export class Maker {
  readonly random: Random;
  readonly role: "server" | "client";
  #made = 0;
  #keys = 0;

  constructor(random: Random, role: "server" | "client") {
    this.random = random;
    this.role = role;
  }

  key(kind: KeyKind = this.random.pick(["P-256", "P-256", "P-256", "P-384", "Ed25519", "RSA 2048"] as const)): Key {
    return KEYS[kind](this.random, this.#keys++);
  }

  /** A certificate, an end entity's where nothing else is said. */
  make(options: MakeOptions): Made {
    const { issuer, ca = false, version = 2 } = options;
    const key = typeof options.key === "object" ? options.key : this.key(options.key);
    const name = encoded(options.subject ?? this.#subject(ca));
    const keyId = new Uint8Array(createHash("sha256").update(key.spki).digest().subarray(0, 20));
    const signer = options.signer ?? issuer?.key ?? key;
    const extensions = this.#extensions(options, keyId);
    const listed = options.rework?.(extensions) ?? extensions;
    const fields = encodeSequence(
      ...(version === null ? [] : [derEncode(contextConstructed(0), encodeNumber(version))]),
      options.serial ?? encodeInteger(concat(Uint8Array.of(0x40), this.random.bytes(15))),
      signer.algorithm,
      options.issuerName ?? issuer?.name ?? name,
      encodeSequence(time(options.notBefore ?? NOW - 30 * DAY), time(options.notAfter ?? NOW + 30 * DAY)),
      name,
      options.spki ?? key.spki,
      ...(listed.length === 0
        ? []
        : [derEncode(contextConstructed(3), encodeSequence(...listed.map(encodeExtension)))]),
    );
    const tbs = options.tbs?.(fields) ?? fields;
    const outer = options.outerAlgorithm ?? signer.algorithm;
    const der = encodeSequence(tbs, outer, encodeBitString(signer.sign(tbs)));
    return { der: options.damage?.(der) ?? der, name, key, keyId };
  }

  #subject(ca: boolean): SubjectInput {
    const number = `${++this.#made}-${this.random.integer(1_000_000)}`;
    return [
      ["O", "Example"],
      ["CN", `${ca ? "CA" : "end entity"} ${number}`],
    ];
  }

  #extensions(options: MakeOptions, keyId: Uint8Array): ExtensionInput[] {
    const { issuer, ca = false, version = 2 } = options;
    if (version !== 2) return [...(options.extensions ?? [])];
    const usage = options.keyUsage ?? (ca ? KeyUsage.keyCertSign | KeyUsage.cRLSign : KeyUsage.digitalSignature);
    const purpose = this.role === "server" ? KeyPurpose.serverAuth : KeyPurpose.clientAuth;
    const purposes = options.purposes ?? (ca ? [] : [purpose]);
    const names = options.names ?? (ca ? [] : [generalName.dns(HOST)]);
    return [
      ...(options.basicConstraints === false ? [] : [extension.basicConstraints(ca, options.pathLength)]),
      ...(usage === 0 ? [] : [extension.keyUsage(usage)]),
      ...(purposes.length === 0 ? [] : [extension.extendedKeyUsage(purposes)]),
      ...(names.length === 0 ? [] : [extension.subjectAltName(names)]),
      ...(options.keyIds === false
        ? []
        : [extension.subjectKeyId(keyId), extension.authorityKeyId(options.authorityKeyId ?? issuer?.keyId ?? keyId)]),
      ...(options.extensions ?? []),
    ];
  }
}

/** Whom servers are wanted to be, and what all certificates are for unless they say otherwise. */
export const HOST = "www.example.com";

function encoded(subject: SubjectInput | Uint8Array): Uint8Array {
  return subject instanceof Uint8Array ? subject : encodeName(subject);
}

function time(value: number | Uint8Array): Uint8Array {
  return typeof value === "number" ? encodeTime(value) : value;
}

/** An extension that nobody knows. */
export function unknownExtension(critical: boolean): ExtensionInput {
  return { oid: "1.3.6.1.4.1.55738.666.1", critical, value: fromHex("0500") };
}
