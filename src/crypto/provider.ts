/** What the handshake needs from cryptography, as interfaces. Implementations: noble.ts (anywhere), node.ts. */
import type { CipherSuiteName, NamedGroupName, PureSchemeName, SignatureSchemeName } from "../codec/registry.ts";
import type { Awaitable } from "../flow.ts";

export type HashName = "sha256" | "sha384" | "sha512";

/** A running hash that can be copied: the transcript takes a value in the middle and goes on. */
export interface HashState {
  update(data: Uint8Array): void;
  clone(): HashState;
  /** The digest of all data so far. The state is spent afterwards; clone first to go on. */
  digest(): Uint8Array;
}

/** A hash function with its HMAC; always synchronous. */
export interface Hash {
  readonly name: HashName;
  /** Output length in bytes. */
  readonly length: number;
  start(): HashState;
  digest(data: Uint8Array): Uint8Array;
  hmac(key: Uint8Array, data: Uint8Array): Uint8Array;
}

/** One direction's keyed AEAD. One that answers later has every record wait for it, those of the handshake too. */
export type Aead = PromptAead | LateAead;

/** An AEAD whose `seal` and `open` are synchronous: handshake records never wait. */
export interface PromptAead {
  readonly late?: undefined;
  /**
   * Ciphertext with its tag.
   *
   * @param nonce - 12 bytes.
   * @param target - Where to put it: a tag longer than the plaintext, which may be its beginning. Default: a fresh array.
   */
  seal(nonce: Uint8Array, additionalData: Uint8Array, plaintext: Uint8Array, target?: Uint8Array): Uint8Array;
  /** The plaintext, a fresh array, or `undefined` when the tag does not match. */
  open(nonce: Uint8Array, additionalData: Uint8Array, ciphertext: Uint8Array): Uint8Array | undefined;
  /** The asynchronous way for large application data, where the platform has a faster one than `seal` and `open`. */
  readonly bulk?: BulkAead | undefined;
}

/**
 * An AEAD that answers later only. Several calls may be in flight; their user keeps the order. What is passed is the
 * caller's again when a call returns: what is needed longer is copied.
 */
export interface LateAead {
  readonly late: true;
  /** Ciphertext with its tag, a fresh array. */
  seal(nonce: Uint8Array, additionalData: Uint8Array, plaintext: Uint8Array): Promise<Uint8Array>;
  /** The plaintext, a fresh array, or `undefined` when the tag does not match. */
  open(nonce: Uint8Array, additionalData: Uint8Array, ciphertext: Uint8Array): Promise<Uint8Array | undefined>;
}

/** The same AEAD under the same key as one that answers at once. */
export interface BulkAead extends LateAead {
  /** Plaintext bytes from which this is the faster way. */
  readonly threshold: number;
}

/** A TLS 1.3 cipher suite, RFC 8446 B.4. */
export interface CipherSuite {
  readonly name: CipherSuiteName;
  readonly hash: Hash;
  /** Key length in bytes. */
  readonly keyLength: number;
  /** Tag length in bytes. Default 16. */
  readonly tagLength?: number | undefined;
  aead(key: Uint8Array): Aead;
}

/** This side's half of a key exchange that waits for the peer's share. */
export interface KeyShare {
  /** `key_exchange` of the KeyShareEntry. */
  readonly publicKey: Uint8Array;
  /**
   * The shared secret with the server's share.
   *
   * @throws TlsError `ERR_TLS_ILLEGAL_PARAMETER` when the share is no valid element (RFC 8446 4.2.8.2, 7.4.2).
   */
  agree(peerPublicKey: Uint8Array): Awaitable<Uint8Array>;
}

/** The server's answer to a share: its own share and the secret. */
export interface Encapsulation {
  readonly publicKey: Uint8Array;
  readonly sharedSecret: Uint8Array;
}

/** A key exchange group, whether Diffie-Hellman or KEM. */
export interface Group {
  readonly name: NamedGroupName;
  /** A fresh share for the client. */
  generate(): Awaitable<KeyShare>;
  /**
   * The server's side of the exchange.
   *
   * @throws TlsError `ERR_TLS_ILLEGAL_PARAMETER` when the client's share is no valid element.
   */
  encapsulate(peerPublicKey: Uint8Array): Awaitable<Encapsulation>;
}

/** One parameter set of ML-KEM, FIPS 203 7; what @noble/post-quantum's `ml_kem768` is. */
export interface MlKem<Secret = Uint8Array> {
  keygen(): { readonly publicKey: Uint8Array; readonly secretKey: Secret };
  /** Throws when the key fails the check of FIPS 203 7.2. */
  encapsulate(publicKey: Uint8Array): { readonly cipherText: Uint8Array; readonly sharedSecret: Uint8Array };
  /** The length of the ciphertext has been checked: nothing the peer can do makes it fail (FIPS 203 6.3). */
  decapsulate(cipherText: Uint8Array, secretKey: Secret): Uint8Array;
}

/** Makes X25519MLKEM768 of an X25519 group (draft-ietf-tls-ecdhe-mlkem), and brings its ML-KEM-768 along. */
export type HybridOfX25519 = (x25519: Group) => Group;

/** A public key as found in a certificate: SubjectPublicKeyInfo, DER. */
export interface PublicKey {
  /** The whole SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  readonly algorithm: KeyAlgorithm;
}

/** What kind of key a SubjectPublicKeyInfo holds, and of which size. */
export type KeyAlgorithm =
  | { readonly type: "ec"; readonly curve: "P-256" | "P-384" | "P-521" }
  | { readonly type: PureSchemeName }
  | { readonly type: "rsa"; readonly bits: number }
  | { readonly type: "rsa-pss"; readonly bits: number; readonly hash?: HashName; readonly saltLength?: number }
  | { readonly type: "unknown"; readonly oid: string };

/**
 * How a signature is made, in certificates and in CertificateVerify alike. `ecdsa` uses the key's own curve,
 * which a TLS 1.3 scheme fixes and a certificate signature does not.
 */
export type SignatureAlgorithm =
  | { readonly type: "ecdsa"; readonly hash: HashName }
  | { readonly type: PureSchemeName }
  | { readonly type: "rsa-pss"; readonly hash: HashName; readonly saltLength: number }
  | { readonly type: "rsa-pkcs1"; readonly hash: HashName };

/**
 * A private key, wherever it lives: a PEM file, a CryptoKey, a key management service. Nothing but this is asked of it,
 * and it may answer late. What it throws fails the handshake with `ERR_TLS_SIGNING_FAILED`.
 *
 * @example
 * ```ts
 * const { privateKey } = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);
 * const vault = signerFromCryptoKey(privateKey); // stands for what is far away
 * const signer: Signer = {
 *   schemes: ["ecdsa_secp256r1_sha256"],
 *   sign: async (scheme, message) => vault.sign(scheme, message), // a request, say; its answer is DER
 * };
 * const signature = await signer.sign("ecdsa_secp256r1_sha256", new Uint8Array(130));
 * console.log(signature[0]); // 48
 * ```
 */
export interface Signer {
  /** What it can sign, in order of preference. */
  readonly schemes: readonly SignatureSchemeName[];
  /** The signature over `message`, which is not hashed yet. ECDSA as DER (RFC 8446 4.2.3). */
  sign(scheme: SignatureSchemeName, message: Uint8Array): Awaitable<Uint8Array>;
}

/** A bundle of capabilities. What is not offered by default must be named: P-521, X448, Ed448 and the like. */
export interface CryptoProvider {
  readonly name: string;
  /** Every operation answers at once; signers that come from elsewhere may not. */
  readonly synchronous: boolean;
  /** Cryptographically strong random bytes. */
  random(length: number): Uint8Array;
  /** SHA-256, and those that its suites need. */
  readonly hashes: { readonly sha256: Hash } & { readonly [Name in HashName]?: Hash | undefined };
  /** In order of preference: the provider's fastest first. */
  readonly suites: readonly CipherSuite[];
  /** In order of preference. */
  readonly groups: readonly Group[];
  /** For a hybrid over another provider's X25519. */
  readonly mlKem768?: HybridOfX25519 | undefined;
  /**
   * True when `signature` is valid. False for anything else, malformed keys and signatures included; never throws on
   * peer data. Keys too weak for the hash are refused by the caller, not here.
   */
  verify(key: PublicKey, algorithm: SignatureAlgorithm, message: Uint8Array, signature: Uint8Array): Awaitable<boolean>;
  /**
   * False for a key that can be nobody's: a point that is not on its curve. Never throws on peer data. A provider that
   * leaves it out finds such keys when it is to verify with them.
   */
  usableKey?(key: PublicKey): Awaitable<boolean>;
  /** True when {@link CryptoProvider.verify} knows this combination. */
  canVerify(key: KeyAlgorithm, algorithm: SignatureAlgorithm): boolean;
  /**
   * A signer for a private key.
   *
   * @param pkcs8 - PrivateKeyInfo, DER (RFC 5208, RFC 5958).
   * @throws TlsError `ERR_TLS_KEY` when the key is of an unsupported kind.
   */
  signer(pkcs8: Uint8Array): Signer;
}
