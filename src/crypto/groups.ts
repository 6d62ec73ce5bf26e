/** Key exchange groups over a provider's primitives: what is the same for Diffie-Hellman everywhere, and the hybrid. */
import { concat } from "../bytes/bytes.ts";
import type { NamedGroupName } from "../codec/registry.ts";
import { fault, TlsError } from "../errors.ts";
import { type Awaitable, isPromiseLike } from "../flow.ts";
import type { Group, MlKem768 } from "./provider.ts";

/** A fresh private key as a function of the peer's share. */
export interface DiffieHellmanKey {
  readonly publicKey: Uint8Array;
  /** May throw whatever it likes when the share, whose length and form are right, is no valid element. */
  secret(peerPublicKey: Uint8Array): Uint8Array;
}

/**
 * A Diffie-Hellman group, where both sides do the same thing.
 *
 * @param shareLength - Of a share, in bytes. Curve points are uncompressed (RFC 8446 4.2.8.2).
 */
export function diffieHellman(name: NamedGroupName, shareLength: number, keygen: () => DiffieHellmanKey): Group {
  const agree = ({ secret }: DiffieHellmanKey, share: Uint8Array): Uint8Array => {
    checkShare(name, share, shareLength);
    return validShare(name, () => secret(share));
  };
  return {
    name,
    generate() {
      const key = keygen();
      return { publicKey: key.publicKey, agree: (share) => agree(key, share) };
    },
    encapsulate(share) {
      const key = keygen();
      return { publicKey: key.publicKey, sharedSecret: agree(key, share) };
    },
  };
}

/** Length and form of a Diffie-Hellman share, RFC 8446 4.2.8.1 and 4.2.8.2. */
export function checkShare(name: NamedGroupName, share: Uint8Array, length: number): void {
  checkLength(name, share, length);
  if (name !== "x25519" && share[0] !== 4) {
    throw fault("ERR_TLS_ILLEGAL_PARAMETER", `not an uncompressed point for ${name}`);
  }
}

const MLKEM_PUBLIC_LENGTH = 1184;
const MLKEM_CIPHERTEXT_LENGTH = 1088;
const X25519_LENGTH = 32;

/**
 * X25519MLKEM768 over a provider's own X25519 and any ML-KEM-768. ML-KEM comes first in shares and in the secret
 * (draft-ietf-tls-ecdhe-mlkem 4).
 */
export function x25519MlKem768(x25519: Group, mlKem768: MlKem768): Group {
  const name = "X25519MLKEM768";
  return {
    name,
    generate() {
      // A platform's own X25519 works while ML-KEM does here.
      const share = x25519.generate();
      const kem = mlKem768.keygen();
      return map(share, (ecdhe) => ({
        publicKey: concat(kem.publicKey, ecdhe.publicKey),
        agree(share) {
          checkLength(name, share, MLKEM_CIPHERTEXT_LENGTH + X25519_LENGTH);
          const ciphertext = share.subarray(0, MLKEM_CIPHERTEXT_LENGTH);
          const secret = validShare(name, () => mlKem768.decapsulate(ciphertext, kem.secretKey));
          return map(ecdhe.agree(share.subarray(MLKEM_CIPHERTEXT_LENGTH)), (second) => concat(secret, second));
        },
      }));
    },
    encapsulate(share) {
      checkLength(name, share, MLKEM_PUBLIC_LENGTH + X25519_LENGTH);
      const kem = validShare(name, () => mlKem768.encapsulate(share.subarray(0, MLKEM_PUBLIC_LENGTH)));
      return map(x25519.encapsulate(share.subarray(MLKEM_PUBLIC_LENGTH)), (ecdhe) => ({
        publicKey: concat(kem.cipherText, ecdhe.publicKey),
        sharedSecret: concat(kem.sharedSecret, ecdhe.sharedSecret),
      }));
    },
  };
}

function checkLength(group: NamedGroupName, share: Uint8Array, length: number): void {
  if (share.length === length) return;
  throw fault("ERR_TLS_ILLEGAL_PARAMETER", `a share of ${share.length} bytes for ${group}`);
}

/** What `compute` gives; its exceptions mean that the peer's share is no valid element (RFC 8446 7.4.2). */
function validShare<T>(group: NamedGroupName, compute: () => T): T {
  try {
    return compute();
  } catch (cause) {
    if (cause instanceof TlsError) throw cause;
    throw fault("ERR_TLS_ILLEGAL_PARAMETER", `not a valid share for ${group}`, { cause });
  }
}

function map<A, B>(value: Awaitable<A>, change: (value: A) => Awaitable<B>): Awaitable<B> {
  return isPromiseLike(value) ? value.then(change) : change(value);
}
