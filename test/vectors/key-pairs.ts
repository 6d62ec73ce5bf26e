/** The printed ephemeral keys in use. Providers make their own, so this goes to what stands below them. */
import { createECDH, createPrivateKey, createPublicKey, diffieHellman } from "node:crypto";
import { x25519 } from "@noble/curves/ed25519.js";
import { p256 } from "@noble/curves/nist.js";

export interface KeyPair {
  readonly publicKey: Uint8Array;
  agree(peer: Uint8Array): Uint8Array;
}

/** The same key pair in OpenSSL and in noble. */
export function keyPairs(curve: string, secret: Uint8Array): readonly KeyPair[] {
  return curve === "P-256"
    ? [opensslP256(secret), nobleP256(secret)]
    : [
        opensslX25519(secret),
        { publicKey: x25519.getPublicKey(secret), agree: (peer) => x25519.getSharedSecret(secret, peer) },
      ];
}

function nobleP256(secret: Uint8Array): KeyPair {
  // What getSharedSecret gives is a compressed point; the secret is its x-coordinate (RFC 8446 7.4.2).
  return { publicKey: p256.getPublicKey(secret, false), agree: (peer) => p256.getSharedSecret(secret, peer).slice(1) };
}

function opensslP256(secret: Uint8Array): KeyPair {
  const ecdh = createECDH("prime256v1");
  ecdh.setPrivateKey(secret);
  return { publicKey: new Uint8Array(ecdh.getPublicKey()), agree: (peer) => new Uint8Array(ecdh.computeSecret(peer)) };
}

function opensslX25519(secret: Uint8Array): KeyPair {
  // RFC 8410 7 and 4: what stands before the key in PKCS#8 and SubjectPublicKeyInfo.
  const pkcs8 = Buffer.concat([Buffer.from("302e020100300506032b656e04220420", "hex"), secret]);
  const spkiPrefix = Buffer.from("302a300506032b656e032100", "hex");
  const privateKey = createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" });
  const spki = createPublicKey(privateKey).export({ format: "der", type: "spki" });
  return {
    publicKey: new Uint8Array(spki.subarray(spkiPrefix.length)),
    agree(peer) {
      const publicKey = createPublicKey({ key: Buffer.concat([spkiPrefix, peer]), format: "der", type: "spki" });
      return new Uint8Array(diffieHellman({ privateKey, publicKey }));
    },
  };
}
