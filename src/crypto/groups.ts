/** Key exchange groups over a provider's primitives: what is the same for Diffie-Hellman everywhere, and the hybrid. */
import { concat } from "../bytes/bytes.ts";
import type { NamedGroupName } from "../codec/registry.ts";
import { fault, TlsError } from "../errors.ts";
import { type Awaitable, isPromiseLike } from "../flow.ts";
import type { Group, MlKem } from "./provider.ts";

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
  if (name.startsWith("secp") && share[0] !== 4) {
    throw fault("ERR_TLS_ILLEGAL_PARAMETER", `not an uncompressed point for ${name}`);
  }
}

/** What a hybrid group is made of (draft-ietf-tls-ecdhe-mlkem 3.1). Lengths in bytes. */
export interface Hybrid {
  readonly name: NamedGroupName;
  readonly ecdhe: NamedGroupName;
  readonly shareLength: number;
  readonly encapsulationKeyLength: number;
  readonly ciphertextLength: number;
  /** ML-KEM comes first in shares and in the secret, which is so for historical reasons. */
  readonly kemFirst: boolean;
}

// One by one, so that a bundle has only those that it uses.
export const X25519_MLKEM768: Hybrid = {
  name: "X25519MLKEM768",
  ecdhe: "x25519",
  shareLength: 32,
  encapsulationKeyLength: 1184,
  ciphertextLength: 1088,
  kemFirst: true,
};
export const SECP256R1_MLKEM768: Hybrid = {
  name: "SecP256r1MLKEM768",
  ecdhe: "secp256r1",
  shareLength: 65,
  encapsulationKeyLength: 1184,
  ciphertextLength: 1088,
  kemFirst: false,
};
export const SECP384R1_MLKEM1024: Hybrid = {
  name: "SecP384r1MLKEM1024",
  ecdhe: "secp384r1",
  shareLength: 97,
  encapsulationKeyLength: 1568,
  ciphertextLength: 1568,
  kemFirst: false,
};

/**
 * A hybrid over a provider's own curve and any ML-KEM of the right parameter set.
 *
 * @param groups - The provider's, the curve among them.
 * @throws TlsError `ERR_TLS_OPTION` when it is not.
 */
export function hybrid<Secret>(
  { name, ecdhe: curve, shareLength, encapsulationKeyLength, ciphertextLength, kemFirst }: Hybrid,
  groups: readonly Group[],
  mlKem: MlKem<Secret>,
): Group {
  const ecdhe = groups.find((group) => group.name === curve);
  if (ecdhe === undefined) throw fault("ERR_TLS_OPTION", `${name} needs ${curve}, which the provider lacks`);
  const join = (kemPart: Uint8Array, ecdhePart: Uint8Array) =>
    kemFirst ? concat(kemPart, ecdhePart) : concat(ecdhePart, kemPart);
  const split = (share: Uint8Array, kemLength: number) => {
    checkLength(name, share, kemLength + shareLength);
    const middle = kemFirst ? kemLength : shareLength;
    const [first, second] = [share.subarray(0, middle), share.subarray(middle)];
    return kemFirst ? { kemPart: first, ecdhePart: second } : { kemPart: second, ecdhePart: first };
  };
  return {
    name,
    generate() {
      // A platform's own curve works while ML-KEM does here.
      const share = ecdhe.generate();
      const kem = mlKem.keygen();
      return map(share, (key) => ({
        publicKey: join(kem.publicKey, key.publicKey),
        agree(share) {
          const { kemPart, ecdhePart } = split(share, ciphertextLength);
          const secret = decapsulated(name, () => mlKem.decapsulate(kemPart, kem.secretKey));
          return map(key.agree(ecdhePart), (second) => join(secret, second));
        },
      }));
    },
    encapsulate(share) {
      const { kemPart, ecdhePart } = split(share, encapsulationKeyLength);
      const kem = validShare(name, () => mlKem.encapsulate(kemPart));
      return map(ecdhe.encapsulate(ecdhePart), ({ publicKey, sharedSecret }) => ({
        publicKey: join(kem.cipherText, publicKey),
        sharedSecret: join(kem.sharedSecret, sharedSecret),
      }));
    },
  };
}

/** draft-ietf-tls-ecdhe-mlkem 3.1.2: with the right length, a failure is this side's. */
function decapsulated(group: NamedGroupName, compute: () => Uint8Array): Uint8Array {
  try {
    return compute();
  } catch (cause) {
    throw fault("ERR_TLS_INTERNAL", `ML-KEM of ${group} does not decapsulate`, { cause });
  }
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
