/** Password-based encryption by AlgorithmIdentifier: PBES2 (RFC 8018 6.2) both ways, PKCS#12's own (RFC 7292 C) to read. */
import { wipe } from "../bytes/bytes.ts";
import { type DerReader, derContent, derEncode, derNumber, derOid, derSequence, Tag } from "../bytes/der.ts";
import { type AlgorithmIdentifier, hasNoParameters, readAlgorithmIdentifier } from "../crypto/keys.ts";
import {
  DIGEST_LENGTHS,
  type DigestName,
  decryptAes,
  encryptAes,
  type LegacyCipher,
  Purpose,
  pkcs12Derive,
} from "../crypto/passwords.ts";
import { fault, type TlsError } from "../errors.ts";
import { type Flow, wait } from "../flow.ts";
import { MAX_SALT, MAX_SCRYPT_MEMORY, type Unlocking } from "./unlock.ts";

const PBES2 = "1.2.840.113549.1.5.13";
const PBKDF2 = "1.2.840.113549.1.5.12";
const SCRYPT = "1.3.6.1.4.1.11591.4.11";
const AES_256_CBC = "2.16.840.1.101.3.4.1.42";

type Cipher = { readonly name: "aes" | LegacyCipher; readonly keyLength: number };

const BLOCK: { readonly [Name in Cipher["name"]]: number } = { aes: 16, "3des": 8, rc2: 8 };

/** encryptionScheme of PBES2, each with its IV as parameter. */
const SCHEMES: Readonly<Record<string, Cipher>> = {
  "2.16.840.1.101.3.4.1.2": { name: "aes", keyLength: 16 },
  "2.16.840.1.101.3.4.1.22": { name: "aes", keyLength: 24 },
  [AES_256_CBC]: { name: "aes", keyLength: 32 },
  "1.2.840.113549.3.7": { name: "3des", keyLength: 24 },
};

/** RFC 7292 C, all over SHA-1. */
const PKCS12_SCHEMES: Readonly<Record<string, Cipher>> = {
  "1.2.840.113549.1.12.1.3": { name: "3des", keyLength: 24 },
  "1.2.840.113549.1.12.1.4": { name: "3des", keyLength: 16 },
  "1.2.840.113549.1.12.1.5": { name: "rc2", keyLength: 16 },
  "1.2.840.113549.1.12.1.6": { name: "rc2", keyLength: 5 },
};

/** Known, in order to be refused by their names. */
const REFUSED: Readonly<Record<string, string>> = {
  "1.2.840.113549.1.5.1": "pbeWithMD2AndDES-CBC",
  "1.2.840.113549.1.5.3": "pbeWithMD5AndDES-CBC",
  "1.2.840.113549.1.5.4": "pbeWithMD2AndRC2-CBC",
  "1.2.840.113549.1.5.6": "pbeWithMD5AndRC2-CBC",
  "1.2.840.113549.1.5.10": "pbeWithSHA1AndDES-CBC",
  "1.2.840.113549.1.5.11": "pbeWithSHA1AndRC2-CBC",
  "1.2.840.113549.1.12.1.1": "pbeWithSHAAnd128BitRC4",
  "1.2.840.113549.1.12.1.2": "pbeWithSHAAnd40BitRC4",
  "1.2.840.113549.3.2": "RC2-CBC in PBES2",
  "1.2.840.113549.3.4": "RC4",
  "1.3.14.3.2.7": "DES-CBC",
  "2.16.840.1.101.3.4.1.6": "AES-128-GCM",
  "2.16.840.1.101.3.4.1.46": "AES-256-GCM",
};

/** RFC 8018 B.1.2; as prf of PBKDF2 and as messageAuthScheme of PBMAC1. */
const HMACS: Readonly<Record<string, DigestName>> = {
  "1.2.840.113549.2.7": "sha1",
  "1.2.840.113549.2.8": "sha224",
  "1.2.840.113549.2.9": "sha256",
  "1.2.840.113549.2.10": "sha384",
  "1.2.840.113549.2.11": "sha512",
};

export const HMAC_SHA256 = "1.2.840.113549.2.9";

/**
 * What `data` was before it was encrypted.
 *
 * @throws TlsError `ERR_TLS_PASSPHRASE` when the padding is wrong, `ERR_TLS_PKCS12` for algorithms that are not supported
 * and parameters out of bounds, `ERR_TLS_PEM` when something is malformed.
 */
export function* decrypt(algorithm: AlgorithmIdentifier, data: Uint8Array, unlocking: Unlocking): Flow<Uint8Array> {
  const { cipher, key, iv } =
    algorithm.oid === PBES2 ? yield* pbes2(algorithm, unlocking) : pkcs12Scheme(algorithm, unlocking);
  try {
    return yield* decryptBlocks(cipher.name, key, iv, data, unlocking);
  } finally {
    wipe(key);
  }
}

/** CBC mode with the padding of RFC 8018 6.1.1. */
export function* decryptBlocks(
  cipher: Cipher["name"],
  key: Uint8Array,
  iv: Uint8Array,
  data: Uint8Array,
  unlocking: Unlocking,
): Flow<Uint8Array> {
  const block = BLOCK[cipher];
  if (data.length === 0 || data.length % block !== 0) {
    throw fault("ERR_TLS_PEM", `${data.length} encrypted bytes are no multiple of ${block}`);
  }
  const padded =
    cipher === "aes"
      ? decryptAes(key, iv, data)
      : yield* wait("decrypt", unlocking.crypto.decryptLegacy(cipher, key, iv, data));
  return unpadded(padded, block);
}

/**
 * PBES2 with PBKDF2 over HMAC-SHA-256 and AES-256-CBC.
 *
 * @returns The AlgorithmIdentifier, DER, and the encrypted data.
 */
export function* encrypt(data: Uint8Array, iterations: number, unlocking: Unlocking): Flow<[Uint8Array, Uint8Array]> {
  const { salt, parameters } = freshPbkdf2(iterations);
  const iv = randomBytes(16);
  const pbkdf2 = { digest: "sha256", password: unlocking.utf8, salt, iterations, length: 32 } as const;
  const key = yield* wait("derive_key", unlocking.crypto.pbkdf2(pbkdf2));
  const scheme = derSequence(derOid(AES_256_CBC), derEncode(Tag.octetString, iv));
  const algorithm = derSequence(derOid(PBES2), derSequence(parameters, scheme));
  const encrypted = encryptAes(key, iv, data);
  wipe(key);
  return [algorithm, encrypted];
}

/** The AlgorithmIdentifier of PBKDF2 over HMAC-SHA-256 with a fresh salt. `keyLength`: to be named, in bytes. */
export function freshPbkdf2(iterations: number, keyLength?: number): { salt: Uint8Array; parameters: Uint8Array } {
  const salt = randomBytes(16);
  const parameters = derSequence(
    derOid(PBKDF2),
    derSequence(
      derEncode(Tag.octetString, salt),
      derNumber(iterations),
      ...(keyLength === undefined ? [] : [derNumber(keyLength)]),
      derSequence(derOid(HMAC_SHA256), derEncode(Tag.null)),
    ),
  );
  return { salt, parameters };
}

export function randomBytes(length: number): Uint8Array {
  return globalThis.crypto.getRandomValues(new Uint8Array(length));
}

/** PBKDF2-params taken apart. `keyLength`: where they name it. */
export interface Pbkdf2 {
  readonly digest: DigestName;
  readonly salt: Uint8Array;
  readonly iterations: number;
  readonly keyLength: number | undefined;
}

/**
 * RFC 8018 A.2
 *
 * @throws TlsError `ERR_TLS_PEM` when they are malformed, `ERR_TLS_PKCS12` for another function than PBKDF2 and for a prf
 * that is not known.
 */
export function readPbkdf2(algorithm: AlgorithmIdentifier): Pbkdf2 {
  if (algorithm.oid !== PBKDF2) throw unsupported(algorithm.oid, "the key derivation");
  const parameters = parametersOf(algorithm, "PBKDF2-params");
  // `otherSource` has no member to this day.
  const salt = readSalt(parameters);
  const iterations = parameters.smallInteger();
  const keyLength = parameters.peek() === Tag.integer ? parameters.smallInteger() : undefined;
  const prf = parameters.remaining > 0 ? readAlgorithmIdentifier(parameters) : undefined;
  parameters.finish("PBKDF2-params");
  return { digest: prf === undefined ? "sha1" : hmacOf(prf), salt, iterations, keyLength };
}

/** @throws TlsError `ERR_TLS_PKCS12` for others than SHA-1 and SHA-2. */
export function hmacOf(algorithm: AlgorithmIdentifier): DigestName {
  const digest = HMACS[algorithm.oid];
  if (digest === undefined || !hasNoParameters(algorithm)) throw unsupported(algorithm.oid, "the HMAC");
  return digest;
}

export function unsupported(oid: string, what: string): TlsError {
  const known = REFUSED[oid];
  const name = known === undefined ? oid : `${known} (${oid})`;
  return fault(
    "ERR_TLS_PKCS12",
    `${what} ${name} is not supported; convert the file, for instance with \`openssl pkcs12\` or \`openssl pkcs8\``,
  );
}

interface Keyed {
  readonly cipher: Cipher;
  readonly key: Uint8Array;
  readonly iv: Uint8Array;
}

function* pbes2(algorithm: AlgorithmIdentifier, unlocking: Unlocking): Flow<Keyed> {
  const parameters = parametersOf(algorithm, "PBES2-params");
  const derivation = readAlgorithmIdentifier(parameters);
  const scheme = readAlgorithmIdentifier(parameters);
  parameters.finish("PBES2-params");
  const cipher = SCHEMES[scheme.oid];
  if (cipher === undefined) throw unsupported(scheme.oid, "the cipher");
  const iv = derContent(scheme.parameters ?? new Uint8Array(0), Tag.octetString, "the IV").rest();
  if (iv.length !== BLOCK[cipher.name]) throw fault("ERR_TLS_PEM", `an IV of ${iv.length} bytes`);
  const derive = derivation.oid === SCRYPT ? scrypt : pbkdf2;
  return { cipher, key: yield* derive(derivation, cipher.keyLength, unlocking), iv };
}

function* pbkdf2(algorithm: AlgorithmIdentifier, length: number, unlocking: Unlocking): Flow<Uint8Array> {
  const { digest, salt, iterations, keyLength } = readPbkdf2(algorithm);
  checkKeyLength(keyLength, length);
  return yield* derivePbkdf2({ digest, salt, iterations, length }, unlocking);
}

/** The derivation itself, as far as the work allowed goes. */
export function* derivePbkdf2(
  parameters: { digest: DigestName; salt: Uint8Array; iterations: number; length: number },
  unlocking: Unlocking,
): Flow<Uint8Array> {
  const { digest, iterations, length } = parameters;
  unlocking.spend(iterations * Math.ceil(length / DIGEST_LENGTHS[digest].output));
  return yield* wait("derive_key", unlocking.crypto.pbkdf2({ ...parameters, password: unlocking.utf8 }));
}

/** RFC 7914 7.1 */
function* scrypt(algorithm: AlgorithmIdentifier, length: number, unlocking: Unlocking): Flow<Uint8Array> {
  const parameters = parametersOf(algorithm, "scrypt-params");
  const salt = readSalt(parameters);
  const cost = parameters.smallInteger();
  const blockSize = parameters.smallInteger();
  const parallelization = parameters.smallInteger();
  const keyLength = parameters.peek() === Tag.integer ? parameters.smallInteger() : undefined;
  parameters.finish("scrypt-params");
  checkKeyLength(keyLength, length);
  if (cost < 2 || (cost & (cost - 1)) !== 0 || blockSize < 1 || parallelization < 1) {
    throw fault("ERR_TLS_PEM", "scrypt parameters that RFC 7914 does not allow");
  }
  // N times r is what is mixed, p times r what goes in and out.
  if (128 * blockSize * Math.max(cost, parallelization) > MAX_SCRYPT_MEMORY) {
    throw fault("ERR_TLS_PKCS12", `scrypt would take more than ${MAX_SCRYPT_MEMORY} bytes of memory`);
  }
  unlocking.spend(cost * blockSize * parallelization);
  const password = unlocking.utf8;
  return yield* wait(
    "derive_key",
    unlocking.crypto.scrypt({ password, salt, cost, blockSize, parallelization, length }),
  );
}

function pkcs12Scheme(algorithm: AlgorithmIdentifier, unlocking: Unlocking): Keyed {
  const cipher = PKCS12_SCHEMES[algorithm.oid];
  if (cipher === undefined) throw unsupported(algorithm.oid, "the encryption");
  const parameters = parametersOf(algorithm, "pkcs-12PbeParams");
  const salt = readSalt(parameters);
  const iterations = parameters.smallInteger();
  parameters.finish("pkcs-12PbeParams");
  const derived = derivePkcs12("sha1", Purpose.key, { salt, iterations, length: cipher.keyLength }, unlocking);
  const iv = derivePkcs12("sha1", Purpose.iv, { salt, iterations, length: BLOCK[cipher.name] }, unlocking);
  // Two keys: the first is used again as the third.
  const key =
    cipher.name === "3des" ? Uint8Array.from({ length: 24 }, (_, i) => derived[i % derived.length] as number) : derived;
  return { cipher, key, iv };
}

/** What hashes of 64-bit words cost in JavaScript, beside SHA-1 and SHA-256: PKCS#12's own derivation has no native one. */
const WIDE_ROUNDS = 3;

/** RFC 7292 B.2, as far as the work allowed goes. */
export function derivePkcs12(
  digest: DigestName,
  purpose: number,
  { salt, iterations, length }: { readonly salt: Uint8Array; readonly iterations: number; readonly length: number },
  unlocking: Unlocking,
): Uint8Array {
  const { output, block } = DIGEST_LENGTHS[digest];
  unlocking.spend(iterations * Math.ceil(length / output) * (block === 128 ? WIDE_ROUNDS : 1));
  return pkcs12Derive(digest, purpose, unlocking.bmp, salt, iterations, length);
}

function parametersOf({ parameters }: AlgorithmIdentifier, what: string): DerReader {
  return derContent(parameters ?? new Uint8Array(0), Tag.sequence, what);
}

/** An OCTET STRING that is no longer than anybody's salt. */
export function readSalt(reader: DerReader): Uint8Array {
  const salt = reader.octetString();
  if (salt.length > MAX_SALT) throw fault("ERR_TLS_PKCS12", `a salt of ${salt.length} bytes`);
  return salt;
}

function checkKeyLength(named: number | undefined, length: number): void {
  if (named !== undefined && named !== length) {
    throw fault("ERR_TLS_PEM", `a key of ${named} bytes for a cipher that takes ${length}`);
  }
}

/** RFC 8018 6.1.1: as many bytes as each of them says. */
function unpadded(data: Uint8Array, block: number): Uint8Array {
  const count = data[data.length - 1] as number;
  const padding = data.subarray(data.length - count);
  if (count < 1 || count > block || padding.some((byte) => byte !== count)) {
    throw fault("ERR_TLS_PASSPHRASE", "what is decrypted does not end in padding");
  }
  return data.subarray(0, data.length - count);
}
