/** The MAC of a PKCS#12 file: HMAC under a key of RFC 7292 B, or PBMAC1 (RFC 9579). */

import { equalConstantTime, utf8, wipe } from "../bytes/bytes.ts";
import { type DerReader, derContent, derEncode, derNumber, derOid, derSequence, Tag } from "../bytes/der.ts";
import { type AlgorithmIdentifier, hasNoParameters, readAlgorithmIdentifier } from "../crypto/keys.ts";
import { DIGEST_LENGTHS, type DigestName, hmac, Purpose } from "../crypto/passwords.ts";
import { fault } from "../errors.ts";
import type { Flow } from "../flow.ts";
import {
  derivePbkdf2,
  derivePkcs12,
  freshPbkdf2,
  HMAC_SHA256,
  hmacOf,
  randomBytes,
  readPbkdf2,
  readSalt,
  unsupported,
} from "./encryption.ts";
import { DIGEST_IDS, Id } from "./pkcs12-ids.ts";
import type { Unlocking } from "./unlock.ts";

/** The digest of an HMAC, or PBMAC1 whatever its digests. */
export type Pkcs12Mac = DigestName | "pbmac1";

/** MacData (RFC 7292 4) taken apart. */
export interface MacData {
  readonly algorithm: AlgorithmIdentifier;
  readonly digest: Uint8Array;
  readonly salt: Uint8Array;
  readonly iterations: number;
}

/** @throws TlsError `ERR_TLS_PEM` when it is malformed. */
export function readMacData(pfx: DerReader): MacData {
  const macData = pfx.sequence();
  const digestInfo = macData.sequence();
  const algorithm = readAlgorithmIdentifier(digestInfo);
  const digest = digestInfo.octetString();
  digestInfo.finish("DigestInfo");
  const salt = readSalt(macData);
  const iterations = macData.remaining > 0 ? macData.smallInteger() : 1;
  macData.finish("MacData");
  return { algorithm, digest, salt, iterations };
}

/**
 * Checks the MAC over `content`.
 *
 * @throws TlsError `ERR_TLS_PASSPHRASE` when it is another; `ERR_TLS_PKCS12` for an algorithm that is not supported.
 */
export function* checkMac(mac: MacData, content: Uint8Array, unlocking: Unlocking): Flow<Pkcs12Mac> {
  const { name, value } = yield* mac.algorithm.oid === Id.pbmac1
    ? pbmac1(mac.algorithm, content, unlocking)
    : pkcs12Mac(mac, content, unlocking);
  if (!equalConstantTime(value, mac.digest)) throw fault("ERR_TLS_PASSPHRASE", "mac verify failure");
  return name;
}

/** MacData, DER, over `content`. */
export function* writeMacData(
  kind: Pkcs12Mac,
  content: Uint8Array,
  iterations: number,
  unlocking: Unlocking,
): Flow<Uint8Array> {
  if (kind === "pbmac1") {
    const { salt, parameters } = freshPbkdf2(iterations, 32);
    const key = yield* derivePbkdf2({ digest: "sha256", salt, iterations, length: 32 }, unlocking);
    const scheme = derSequence(derOid(HMAC_SHA256), derEncode(Tag.null));
    const algorithm = derSequence(derOid(Id.pbmac1), derSequence(parameters, scheme));
    // RFC 9579: what stands in the older fields is not looked at.
    return macData(algorithm, hmacOnce("sha256", key, content), utf8("NOT USED"), 1);
  }
  const salt = randomBytes(16);
  const { output: length } = DIGEST_LENGTHS[kind];
  const key = derivePkcs12(kind, Purpose.mac, { salt, iterations, length }, unlocking);
  const algorithm = derSequence(derOid(DIGEST_IDS[kind]), derEncode(Tag.null));
  return macData(algorithm, hmacOnce(kind, key, content), salt, iterations);
}

function macData(algorithm: Uint8Array, digest: Uint8Array, salt: Uint8Array, iterations: number): Uint8Array {
  return derSequence(
    derSequence(algorithm, derEncode(Tag.octetString, digest)),
    derEncode(Tag.octetString, salt),
    ...(iterations === 1 ? [] : [derNumber(iterations)]),
  );
}

interface Computed {
  readonly name: Pkcs12Mac;
  readonly value: Uint8Array;
}

function* pkcs12Mac(
  { algorithm, salt, iterations }: MacData,
  content: Uint8Array,
  unlocking: Unlocking,
): Flow<Computed> {
  const name = (Object.keys(DIGEST_IDS) as DigestName[]).find((digest) => DIGEST_IDS[digest] === algorithm.oid);
  if (name === undefined || !hasNoParameters(algorithm)) throw unsupported(algorithm.oid, "the MAC");
  const { output: length } = DIGEST_LENGTHS[name];
  const key = derivePkcs12(name, Purpose.mac, { salt, iterations, length }, unlocking);
  return { name, value: hmacOnce(name, key, content) };
}

/** Shorter keys would let somebody without the pass phrase find one that fits; longer ones than digests make no sense. */
const PBMAC1_KEY_BYTES = { min: 20, max: 64 };

/** RFC 9579: PBKDF2, with the length of the key named. */
function* pbmac1(algorithm: AlgorithmIdentifier, content: Uint8Array, unlocking: Unlocking): Flow<Computed> {
  const parameters = derContent(algorithm.parameters ?? new Uint8Array(0), Tag.sequence, "PBMAC1-params");
  const { keyLength, ...derivation } = readPbkdf2(readAlgorithmIdentifier(parameters));
  const digest = hmacOf(readAlgorithmIdentifier(parameters));
  parameters.finish("PBMAC1-params");
  if (keyLength === undefined) throw fault("ERR_TLS_PKCS12", "PBMAC1 without the length of its key");
  if (keyLength < PBMAC1_KEY_BYTES.min || keyLength > PBMAC1_KEY_BYTES.max) {
    throw fault("ERR_TLS_PKCS12", `PBMAC1 with a key of ${keyLength} bytes`);
  }
  const key = yield* derivePbkdf2({ ...derivation, length: keyLength }, unlocking);
  return { name: "pbmac1", value: hmacOnce(digest, key, content) };
}

/** The key is of no more use. */
function hmacOnce(digest: DigestName, key: Uint8Array, content: Uint8Array): Uint8Array {
  const value = hmac(digest, key, content);
  wipe(key);
  return value;
}
