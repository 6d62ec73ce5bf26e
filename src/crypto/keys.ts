/** Keys as files and certificates hold them: PEM and DER private keys to PKCS#8, and what a SubjectPublicKeyInfo is. */
import { contextConstructed, DerReader, derContent, derEncode, Tag } from "../bytes/der.ts";
import { fromHex, toHex } from "../bytes/hex.ts";
import { readPem } from "../bytes/pem.ts";
import type { PureSchemeName } from "../codec/registry.ts";
import { fault, TlsError } from "../errors.ts";
import type { HashName, KeyAlgorithm } from "./provider.ts";

export type Curve = "P-256" | "P-384" | "P-521";

/** RSA moduli above this are refused: the work grows with the cube of the length. */
export const MAX_RSA_BITS = 8192;

/** Bytes of one coordinate, and of a scalar. */
export const COORDINATE_LENGTH: { readonly [Name in Curve]: number } = { "P-256": 32, "P-384": 48, "P-521": 66 };

/** Output length in bytes. */
export const HASH_LENGTH: { readonly [Name in HashName]: number } = { sha256: 32, sha384: 48, sha512: 64 };

const RSA_ENCRYPTION = "1.2.840.113549.1.1.1";
const RSASSA_PSS = "1.2.840.113549.1.1.10";
const MGF1 = "1.2.840.113549.1.1.8";
const EC_PUBLIC_KEY = "1.2.840.10045.2.1";

const CURVES: Readonly<Record<string, Curve>> = {
  "1.2.840.10045.3.1.7": "P-256",
  "1.3.132.0.34": "P-384",
  "1.3.132.0.35": "P-521",
};

/** Bytes of the public key, and of the private key where it is bytes too. */
const PURE_KEYS: Readonly<Record<string, readonly [PureSchemeName, number, number?]>> = {
  "1.3.101.112": ["ed25519", 32, 32],
  "1.3.101.113": ["ed448", 57, 57],
  "2.16.840.1.101.3.4.3.17": ["mldsa44", 1312],
  "2.16.840.1.101.3.4.3.18": ["mldsa65", 1952],
  "2.16.840.1.101.3.4.3.19": ["mldsa87", 2592],
};

/** What signs under this OID, of keys and of signatures, without parameters (RFC 8410 3, RFC 9881 2). */
export function pureAlgorithm(oid: string): { readonly type: PureSchemeName } | undefined {
  const known = PURE_KEYS[oid];
  return known && { type: known[0] };
}

/** RFC 4055 2.1, with the two that are recognised in order to be refused by name. */
const HASHES: Readonly<Record<string, HashName | "sha1" | "sha224">> = {
  "2.16.840.1.101.3.4.2.1": "sha256",
  "2.16.840.1.101.3.4.2.2": "sha384",
  "2.16.840.1.101.3.4.2.3": "sha512",
  "2.16.840.1.101.3.4.2.4": "sha224",
  "1.3.14.3.2.26": "sha1",
};

/**
 * A private key as PKCS#8 (PrivateKeyInfo, DER), whatever unencrypted form it has.
 *
 * @param key - PEM or DER of PKCS#8 (RFC 5208), SEC1 (RFC 5915) or PKCS#1 (RFC 8017 A.1.2). A PEM text may hold other
 * blocks besides, but one private key only.
 * @throws TlsError `ERR_TLS_KEY` when there is no private key, more than one, or an encrypted one; `ERR_TLS_PEM` when
 * it cannot be read.
 *
 * @example
 * ```ts
 * const pkcs8 = parsePrivateKey("-----BEGIN PRIVATE KEY-----\n" +
 *   "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n");
 * console.log(pkcs8.length); // 48
 * ```
 */
export function parsePrivateKey(key: string | Uint8Array): Uint8Array {
  if (typeof key !== "string" && key[0] === Tag.sequence) return toPkcs8(key, undefined);
  const blocks = readPem(key);
  const keys = blocks.filter(({ label }) => label.endsWith("PRIVATE KEY"));
  const block = keys[0];
  if (block === undefined) {
    const found = blocks.length === 0 ? "neither PEM nor DER" : `PEM of ${blocks.map(({ label }) => label).join(", ")}`;
    throw fault("ERR_TLS_KEY", `no private key in the input: it is ${found}`);
  }
  if (keys.length > 1) throw fault("ERR_TLS_KEY", `${keys.length} private keys in one PEM text`);
  if (block.label === "ENCRYPTED PRIVATE KEY" || block.headers.get("Proc-Type")?.includes("ENCRYPTED")) {
    throw encrypted();
  }
  if (!["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"].includes(block.label)) {
    throw fault("ERR_TLS_KEY", `a key of the form "${block.label}" is not supported`);
  }
  return toPkcs8(block.der, blocks.find(({ label }) => label === "EC PARAMETERS")?.der);
}

/**
 * What kind of key a SubjectPublicKeyInfo holds.
 *
 * @param spki - SubjectPublicKeyInfo, DER.
 * @throws TlsError `ERR_TLS_PEM` when it is malformed; a key of a kind that is not known here is `unknown` instead.
 *
 * @example
 * ```ts
 * const spki = fromHex("302a300506032b6570032100" + "00".repeat(32));
 * console.log(keyAlgorithm(spki).type); // ed25519
 * ```
 */
export function keyAlgorithm(spki: Uint8Array): KeyAlgorithm {
  return parseSpki(spki).algorithm;
}

/** A public key taken apart. `key`: the point (0x04, x, y), the bytes of Ed25519 and the like, or RSAPublicKey as DER. */
export type PublicKeyParts =
  | { readonly algorithm: Extract<KeyAlgorithm, { type: "ec" | PureSchemeName }>; readonly key: Uint8Array }
  | ({
      readonly algorithm: Extract<KeyAlgorithm, { type: "rsa" | "rsa-pss" }>;
      readonly key: Uint8Array;
    } & RsaNumbers)
  | { readonly algorithm: Extract<KeyAlgorithm, { type: "unknown" }> };

/** Big-endian magnitudes without leading zeros. */
export interface RsaNumbers {
  readonly modulus: Uint8Array;
  readonly exponent: Uint8Array;
}

/**
 * A SubjectPublicKeyInfo (RFC 5280 4.1.2.7) taken apart: rsaEncryption (RFC 3279 2.3.1), id-RSASSA-PSS (RFC 4055 1.2),
 * id-ecPublicKey with a named curve and an uncompressed point (RFC 5480 2), Ed25519 and Ed448 (RFC 8410), ML-DSA
 * (RFC 9881 4).
 *
 * @throws TlsError `ERR_TLS_PEM` when it is malformed.
 */
export function parseSpki(spki: Uint8Array): PublicKeyParts {
  const info = derContent(spki, Tag.sequence, "SubjectPublicKeyInfo");
  const algorithm = readAlgorithmIdentifier(info);
  const key = info.bitStringBytes();
  info.finish("SubjectPublicKeyInfo");
  const kind = keyKind(algorithm);
  switch (kind.type) {
    case "ec":
      if (key[0] !== 4 || key.length !== 1 + 2 * COORDINATE_LENGTH[kind.curve]) {
        throw fault("ERR_TLS_PEM", `not an uncompressed ${kind.curve} point`);
      }
      return { algorithm: kind, key };
    case "unknown":
      return { algorithm: kind };
    case "rsa":
    case "rsa-pss": {
      const numbers = derContent(key, Tag.sequence, "RSAPublicKey");
      const modulus = numbers.unsigned();
      const exponent = numbers.unsigned();
      numbers.finish("RSAPublicKey");
      return { algorithm: { ...kind, bits: bitLength(modulus) }, key, modulus, exponent };
    }
    default:
      checkPureLength(kind.type, key, PURE_KEYS[algorithm.oid]?.[1]);
      return { algorithm: kind, key };
  }
}

/** Longer public exponents would let a peer's key cost as much as a private operation; OpenSSL has the same limit. */
const MAX_EXPONENT_BYTES = 8;

/** True when modulus and public exponent are odd, the exponent is at least 3, and neither is too long. */
export function usableRsa({ modulus, exponent }: RsaNumbers): boolean {
  if (modulus.length > MAX_RSA_BITS / 8 || exponent.length > MAX_EXPONENT_BYTES) return false;
  const odd = (magnitude: Uint8Array) => ((magnitude[magnitude.length - 1] as number) & 1) === 1;
  return odd(modulus) && odd(exponent) && (exponent.length > 1 || (exponent[0] as number) >= 3);
}

/** y of the points of order 1, 4 and 8, little-endian, the sign of x left out. Those of order 2 and 8 have y negated, too. */
const SMALL_ORDER = [
  "0100000000000000000000000000000000000000000000000000000000000000",
  "0000000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
];

/**
 * True when an Ed25519 key has y below the prime (RFC 8032 5.1.3) and is no point of small order, under which one
 * signature holds for many messages. OpenSSL checks neither, noble both.
 */
export function usableEd25519(key: Uint8Array): boolean {
  const y = key.slice();
  y[31] = (y[31] as number) & 0x7f;
  const belowPrime = y[31] !== 0x7f || (y[0] as number) < 0xed || y.subarray(1, 31).some((byte) => byte !== 0xff);
  // The prime is edff…ff7f: none of these borrows when it is subtracted from that.
  const negated = y.map((byte, index) => (index === 0 ? 0xed : index === 31 ? 0x7f : 0xff) - byte);
  return belowPrime && ![y, negated].some((each) => SMALL_ORDER.includes(toHex(each)));
}

/** A private key taken apart. `key`: the scalar, the seed of Ed25519 or Ed448, or an ML-DSA private key as DER (RFC 9881 6). */
export type PrivateKeyParts =
  | { readonly algorithm: Extract<KeyAlgorithm, { type: "ec" | PureSchemeName }>; readonly key: Uint8Array }
  | ({
      readonly algorithm: Extract<KeyAlgorithm, { type: "rsa" | "rsa-pss" }>;
      readonly privateExponent: Uint8Array;
    } & RsaNumbers);

/**
 * A PrivateKeyInfo (RFC 5208 5, RFC 5958 2) taken apart.
 *
 * @throws TlsError `ERR_TLS_KEY` when the key is malformed or of an unsupported kind.
 */
export function parsePkcs8(pkcs8: Uint8Array): PrivateKeyParts {
  try {
    return readPkcs8(pkcs8);
  } catch (cause) {
    if (!(cause instanceof TlsError) || cause.code !== "ERR_TLS_PEM") throw cause;
    throw fault("ERR_TLS_KEY", `malformed PKCS#8: ${cause.detail}`, { cause });
  }
}

/** AlgorithmIdentifier, RFC 5280 4.1.1.2. `parameters`: the whole encoding. */
export interface AlgorithmIdentifier {
  readonly oid: string;
  readonly parameters: Uint8Array | undefined;
}

export function readAlgorithmIdentifier(reader: DerReader): AlgorithmIdentifier {
  const sequence = reader.sequence();
  const oid = sequence.oid();
  const parameters = sequence.remaining > 0 ? sequence.raw() : undefined;
  sequence.finish("AlgorithmIdentifier");
  return { oid, parameters };
}

/** True for the two ways of having no parameters (RFC 4055 2.1, 5): absent, and NULL. */
export function hasNoParameters({ parameters }: AlgorithmIdentifier): boolean {
  return parameters === undefined || (parameters.length === 2 && parameters[0] === Tag.null && parameters[1] === 0);
}

/** What RSASSA-PSS-params say. `hash`: undefined when hash and mask hash differ or are not known. */
export interface PssParameters {
  readonly hash: HashName | "sha1" | "sha224" | undefined;
  readonly saltLength: number;
}

/**
 * RSASSA-PSS-params, RFC 4055 3.1: MGF1 over the same hash, trailer field 1.
 *
 * @throws TlsError `ERR_TLS_PEM` when they are malformed.
 */
export function parsePssParameters(der: Uint8Array): PssParameters {
  const parameters = derContent(der, Tag.sequence, "RSASSA-PSS-params");
  const field = <T>(number: number, read: (reader: DerReader) => T, absent: T): T => {
    const content = parameters.optional(contextConstructed(number));
    if (content === undefined) return absent;
    const value = read(content);
    content.finish("RSASSA-PSS-params");
    return value;
  };
  const hash = field(0, (reader) => hashOf(readAlgorithmIdentifier(reader)), "sha1");
  const mask = field(1, (reader) => maskHashOf(readAlgorithmIdentifier(reader)), "sha1");
  const saltLength = field(2, (reader) => reader.smallInteger(), 20);
  const trailer = field(3, (reader) => reader.smallInteger(), 1);
  parameters.finish("RSASSA-PSS-params");
  return { hash: hash === mask && trailer === 1 ? hash : undefined, saltLength };
}

function hashOf(algorithm: AlgorithmIdentifier): PssParameters["hash"] {
  return hasNoParameters(algorithm) ? HASHES[algorithm.oid] : undefined;
}

function maskHashOf({ oid, parameters }: AlgorithmIdentifier): PssParameters["hash"] {
  if (oid !== MGF1 || parameters === undefined) return undefined;
  return hashOf(readAlgorithmIdentifier(new DerReader(parameters)));
}

/** Bits of a big-endian magnitude without leading zeros. */
function bitLength(magnitude: Uint8Array): number {
  return 8 * magnitude.length - Math.clz32(magnitude[0] as number) + 24;
}

/** The algorithm alone; `bits` of RSA is filled in by who reads the modulus. */
function keyKind({ oid, parameters }: AlgorithmIdentifier): KeyAlgorithm {
  const unknown = { type: "unknown", oid } as const;
  switch (oid) {
    case EC_PUBLIC_KEY: {
      // RFC 5480 2.1.1: namedCurve only; explicit parameters are how CVE-2020-0601 came about.
      if (parameters?.[0] !== Tag.oid) return unknown;
      const curveOid = new DerReader(parameters).oid();
      const curve = CURVES[curveOid];
      return curve === undefined ? { type: "unknown", oid: curveOid } : { type: "ec", curve };
    }
    case RSA_ENCRYPTION:
      if (!hasNoParameters({ oid, parameters })) throw fault("ERR_TLS_PEM", "rsaEncryption takes no parameters");
      return { type: "rsa", bits: 0 };
    case RSASSA_PSS: {
      if (parameters === undefined) return { type: "rsa-pss", bits: 0 };
      const { hash, saltLength } = parsePssParameters(parameters);
      if (hash === undefined || hash === "sha1" || hash === "sha224") return unknown;
      return { type: "rsa-pss", bits: 0, hash, saltLength };
    }
    default: {
      const pure = pureAlgorithm(oid);
      if (pure === undefined) return unknown;
      if (parameters !== undefined) throw fault("ERR_TLS_PEM", `${pure.type} takes no parameters`);
      return pure;
    }
  }
}

function checkPureLength(type: PureSchemeName, key: Uint8Array, length: number | undefined): void {
  if (key.length !== length) throw fault("ERR_TLS_PEM", `a key of ${key.length} bytes for ${type}`);
}

function readPkcs8(pkcs8: Uint8Array): PrivateKeyParts {
  const info = derContent(pkcs8, Tag.sequence, "PrivateKeyInfo");
  if (info.smallInteger() > 1) throw fault("ERR_TLS_PEM", "PrivateKeyInfo of an unknown version");
  const algorithm = readAlgorithmIdentifier(info);
  const privateKey = info.octetString();
  const kind = keyKind(algorithm);
  switch (kind.type) {
    case "ec": {
      const ecPrivateKey = derContent(privateKey, Tag.sequence, "ECPrivateKey");
      if (ecPrivateKey.smallInteger() !== 1) throw fault("ERR_TLS_PEM", "ECPrivateKey of an unknown version");
      const scalar = ecPrivateKey.octetString();
      // RFC 5915 3 fixes the length; files with a shorter or longer one exist.
      const leading = scalar.findIndex((byte) => byte !== 0);
      const magnitude = scalar.subarray(leading < 0 ? scalar.length : leading);
      const key = new Uint8Array(COORDINATE_LENGTH[kind.curve]);
      if (magnitude.length > key.length) throw fault("ERR_TLS_PEM", "the scalar is longer than the curve's order");
      key.set(magnitude, key.length - magnitude.length);
      return { algorithm: kind, key };
    }
    case "unknown":
      throw fault("ERR_TLS_KEY", `a private key with the algorithm ${kind.oid} is not supported`);
    case "rsa":
    case "rsa-pss": {
      const numbers = derContent(privateKey, Tag.sequence, "RSAPrivateKey");
      if (numbers.smallInteger() !== 0) throw fault("ERR_TLS_KEY", "multi-prime RSA is not supported");
      const modulus = numbers.unsigned();
      const exponent = numbers.unsigned();
      const bits = bitLength(modulus);
      if (bits > MAX_RSA_BITS) throw fault("ERR_TLS_KEY", `RSA of ${bits} bits is not supported`);
      return { algorithm: { ...kind, bits }, modulus, exponent, privateExponent: numbers.unsigned() };
    }
    default: {
      const length = PURE_KEYS[algorithm.oid]?.[2];
      // The forms of ML-DSA are the business of who can sign with it.
      if (length === undefined) return { algorithm: kind, key: privateKey };
      const key = derContent(privateKey, Tag.octetString, "CurvePrivateKey").rest();
      checkPureLength(kind.type, key, length);
      return { algorithm: kind, key };
    }
  }
}

/** The three forms differ in what follows the version: an algorithm, an OCTET STRING, an INTEGER. */
function toPkcs8(der: Uint8Array, ecParameters: Uint8Array | undefined): Uint8Array {
  const sequence = derContent(der, Tag.sequence, "a private key");
  if (sequence.peek() === Tag.sequence) throw encrypted();
  sequence.smallInteger();
  switch (sequence.peek()) {
    case Tag.sequence:
      return der.slice();
    case Tag.octetString: {
      sequence.octetString();
      const inside = sequence.optional(contextConstructed(0))?.rest();
      const parameters = inside ?? ecParameters;
      if (parameters === undefined) throw fault("ERR_TLS_KEY", "an EC private key does not name its curve");
      return wrapPkcs8(EC_PUBLIC_KEY_DER, parameters, der);
    }
    case Tag.integer:
      return wrapPkcs8(RSA_ENCRYPTION_DER, Uint8Array.of(Tag.null, 0), der);
    default:
      throw fault("ERR_TLS_KEY", "DER that is neither PKCS#8, SEC1 nor PKCS#1");
  }
}

const EC_PUBLIC_KEY_DER = "06072a8648ce3d0201";
const RSA_ENCRYPTION_DER = "06092a864886f70d010101";

function wrapPkcs8(oid: string, parameters: Uint8Array, privateKey: Uint8Array): Uint8Array {
  return derEncode(
    Tag.sequence,
    derEncode(Tag.integer, Uint8Array.of(0)),
    derEncode(Tag.sequence, fromHex(oid), parameters),
    derEncode(Tag.octetString, privateKey),
  );
}

function encrypted(): TlsError {
  return fault("ERR_TLS_KEY", "the private key is encrypted: decrypt it with readPrivateKey, or `openssl pkey`");
}
