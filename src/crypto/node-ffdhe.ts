/**
 * Finite field groups (RFC 7919) in OpenSSL, as KeyObjects: `createDiffieHellman` tests the prime anew each time on Node
 * 24 and later, which takes seconds. OpenSSL knows these primes and takes short exponents for them.
 */
import { createPublicKey, diffieHellman as deriveSecret, generateKeyPairSync, type KeyObject } from "node:crypto";
import { DerReader, derEncode, derUnsigned, Tag } from "../bytes/der.ts";
import { fromHex } from "../bytes/hex.ts";
import { fault } from "../errors.ts";
import { diffieHellman } from "./groups.ts";
import { FFDHE_PRIMES } from "./node-ffdhe-primes.ts";
import type { Group } from "./provider.ts";

/** @types/node 20 leaves Diffie-Hellman out. */
const generateKeyPair = generateKeyPairSync as unknown as (
  type: "dh",
  options: { readonly prime: Buffer; readonly generator: number },
) => { readonly publicKey: KeyObject; readonly privateKey: KeyObject };

/** The group of that name. Shares and secret are as long as the prime, zeros in front (RFC 8446 4.2.8.1, 7.4.1). */
export function ffdhe(name: keyof typeof FFDHE_PRIMES): Group {
  const length = FFDHE_PRIMES[name].length / 2;
  return diffieHellman(name, length, () => {
    const prime = fromHex(FFDHE_PRIMES[name]);
    const algorithm = dhKeyAgreement(prime);
    const { privateKey, publicKey } = generateKeyPair("dh", { prime: Buffer.from(prime), generator: 2 });
    return {
      publicKey: padded(element(publicKey), length),
      secret(peer) {
        checkElement(peer, prime);
        const key = derEncode(Tag.bitString, Uint8Array.of(0), derUnsigned(peer));
        const spki = Buffer.from(derEncode(Tag.sequence, algorithm, key));
        return padded(
          deriveSecret({ privateKey, publicKey: createPublicKey({ key: spki, format: "der", type: "spki" }) }),
          length,
        );
      },
    };
  });
}

/** 1 < Y < p - 1, RFC 8446 4.2.8.1. The two are of one length. */
function checkElement(share: Uint8Array, prime: Uint8Array): void {
  const last = prime.length - 1;
  const small = share.subarray(0, last).every((byte) => byte === 0) && (share[last] as number) <= 1;
  const different = share.findIndex((byte, index) => byte !== prime[index]);
  // The prime is odd, so p - 1 differs from it in the last byte alone.
  const large = different < 0 || (share[different] as number) > (prime[different] as number);
  const minusOne = different === last && share[last] === (prime[last] as number) - 1;
  if (small || large || minusOne) throw fault("ERR_TLS_ILLEGAL_PARAMETER", "a finite field share out of range");
}

/** AlgorithmIdentifier of PKCS#3: dhKeyAgreement with the prime and the generator 2. */
function dhKeyAgreement(prime: Uint8Array): Uint8Array {
  const parameters = derEncode(Tag.sequence, derUnsigned(prime), derUnsigned(Uint8Array.of(2)));
  return derEncode(Tag.sequence, fromHex("06092a864886f70d010301"), parameters);
}

/** The public value out of a SubjectPublicKeyInfo, without leading zeros. */
function element(publicKey: KeyObject): Uint8Array {
  const info = new DerReader(publicKey.export({ type: "spki", format: "der" })).sequence();
  info.raw();
  return new DerReader(info.bitStringBytes()).unsigned();
}

function padded(magnitude: Uint8Array, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set(magnitude, length - magnitude.length);
  return bytes;
}
