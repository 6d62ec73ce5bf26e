/** A provider whose every random byte and key share follows from a seed. Its shares are no secret to anyone. */
import { createECDH, createPrivateKey, createPublicKey, diffieHellman as derive } from "node:crypto";
import { fromHex } from "../../src/bytes/hex.ts";
import { diffieHellman } from "../../src/crypto/groups.ts";
import type { CryptoProvider } from "../../src/crypto/provider.ts";
import type { Random } from "./random.ts";

const X25519_PKCS8 = fromHex("302e020100300506032b656e04220420");
const X25519_SPKI = fromHex("302a300506032b656e032100");

/** The same as `provider` but for randomness, and with x25519 and secp256r1 for groups. */
export function seededProvider(provider: CryptoProvider, random: Random): CryptoProvider {
  const x25519 = diffieHellman("x25519", 32, () => {
    const key = Buffer.concat([X25519_PKCS8, random.bytes(32)]);
    const privateKey = createPrivateKey({ key, format: "der", type: "pkcs8" });
    const spki = createPublicKey(privateKey).export({ format: "der", type: "spki" });
    return {
      publicKey: new Uint8Array(spki.subarray(-32)),
      secret: (peer) => {
        const publicKey = createPublicKey({ key: Buffer.concat([X25519_SPKI, peer]), format: "der", type: "spki" });
        return new Uint8Array(derive({ privateKey, publicKey }));
      },
    };
  });
  const secp256r1 = diffieHellman("secp256r1", 65, () => {
    const key = createECDH("prime256v1");
    key.setPrivateKey(random.bytes(32));
    return {
      publicKey: new Uint8Array(key.getPublicKey()),
      secret: (peer) => new Uint8Array(key.computeSecret(peer)),
    };
  });
  return { ...provider, random: (length) => random.bytes(length), groups: [x25519, secp256r1] };
}
