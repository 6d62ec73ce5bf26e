/** PKCS#12 (RFC 7292) in and out: keys with their certificates, trusted certificates, as OpenSSL, Windows and Java have them. */
import { Tag } from "../bytes/der.ts";
import { portablePasswordCrypto } from "../crypto/passwords.ts";
import { settle } from "../flow.ts";
import { type Pkcs12ReadOptions, pkcs12Reading } from "./pkcs12-read.ts";
import { type Pkcs12Mac, type Pkcs12Options, pkcs12Writing } from "./pkcs12-write.ts";

export type { Pkcs12ReadOptions } from "./pkcs12-read.ts";
export type { Pkcs12Mac, Pkcs12Options } from "./pkcs12-write.ts";

/** A certificate with the name that people know it by. */
export interface Pkcs12Certificate {
  /** DER. */
  readonly cert: Uint8Array;
  readonly friendlyName?: string | undefined;
}

/** A private key without a certificate. */
export interface Pkcs12Key {
  /** PKCS#8, DER. */
  readonly key: Uint8Array;
  readonly friendlyName?: string | undefined;
}

/** A private key with its certificates, in the form in which `identities` takes them. */
export interface Pkcs12Identity extends Pkcs12Key {
  /** DER: the key's own, then those of its issuers as far as they are there, without a root. */
  readonly cert: readonly [Uint8Array, ...Uint8Array[]];
}

/** What a file holds. */
export interface Pkcs12 {
  readonly identities: readonly Pkcs12Identity[];
  /** Keys to which there is no certificate. */
  readonly keys: readonly Pkcs12Key[];
  /** Certificates that belong to no identity, roots among them. */
  readonly certificates: readonly Pkcs12Certificate[];
  /** Certificates that are marked as trusted, as Java's truststores do. */
  readonly trusted: readonly Pkcs12Certificate[];
  /** CertificateLists, DER. */
  readonly crls: readonly Uint8Array[];
  /** OIDs of what is in there and is not read: secret keys and whatever else. */
  readonly unread: readonly string[];
  /** What protects all of this from being changed: an HMAC or PBMAC1 (RFC 9579), or nothing. */
  readonly mac: Pkcs12Mac | undefined;
}

/** What is to be written. Of what {@link readPkcs12} gives, `keys`, `crls` and `unread` are left out. */
export interface Pkcs12Contents {
  readonly identities?: readonly Pkcs12Source[] | undefined;
  readonly certificates?: readonly Pkcs12Certificate[] | undefined;
  readonly trusted?: readonly Pkcs12Certificate[] | undefined;
}

/** A private key with its certificates, in whatever form they are at hand. */
export interface Pkcs12Source {
  /** PEM of the chain, the key's own certificate first; or DER of each. */
  readonly cert: string | Uint8Array | readonly Uint8Array[];
  /** PEM or DER, not encrypted. */
  readonly key: string | Uint8Array;
  readonly friendlyName?: string | undefined;
}

/**
 * Reads a PKCS#12 file: password integrity by the HMAC of RFC 7292 or PBMAC1 (RFC 9579), none where there is no pass phrase or
 * {@link Pkcs12ReadOptions.withoutMac} is set; password privacy by PBES2 or by the schemes of RFC 7292 C with 3DES or RC2; BER as well as DER. A key belongs to the certificate with its
 * public key, of several to the one with its localKeyId; by that alone where the two keys cannot be compared.
 *
 * @param file - At most 4 MiB.
 * @param passphrase - `""` and none are told apart by the file; both are tried then.
 * @throws TlsError `ERR_TLS_PASSPHRASE` when the pass phrase is wrong or missing; `ERR_TLS_PKCS12` for a
 * file with no MAC where one must be, what is not supported (public-key modes, RC4, single DES) and what passes a limit; `ERR_TLS_PEM` and `CERT_PARSE_ERROR` when
 * something is malformed; `ERR_TLS_KEY` for a key that must be looked into and is not supported.
 *
 * @example
 * ```ts
 * const file = await writePkcs12({ identities: [{ cert, key }] }, "secret");
 * const { identities } = await readPkcs12(file, "secret");
 * const context = clientContext({ serverName: "localhost", trust: ca, identities });
 * console.log(identities[0]?.cert.length); // 1
 * ```
 */
export async function readPkcs12(
  file: Uint8Array,
  passphrase?: string,
  options: Pkcs12ReadOptions = {},
): Promise<Pkcs12> {
  return settle(pkcs12Reading(file, passphrase, portablePasswordCrypto, options));
}

/**
 * Writes a PKCS#12 file: PBES2 with PBKDF2 over HMAC-SHA-256 and AES-256-CBC for keys and for certificates, and a MAC, all
 * with as many iterations. OpenSSL, Java 17, NSS and GnuTLS read the default; what cannot takes `mac: "sha1"`, or fewer
 * iterations, as .NET 9, which by itself refuses more than 300,000.
 *
 * @param passphrase - At least one character.
 * @throws TlsError `ERR_TLS_OPTION` for options out of bounds and when there is nothing to write;
 * `ERR_OSSL_X509_KEY_VALUES_MISMATCH` for a key that is not its certificate's; `ERR_TLS_KEY`, `ERR_TLS_PEM`,
 * `CERT_PARSE_ERROR` for what cannot be read.
 *
 * @example
 * ```ts
 * const identity = { cert, key, friendlyName: "my laptop" };
 * const file = await writePkcs12({ identities: [identity], trusted: [] }, "secret", { mac: "pbmac1" });
 * console.log((await readPkcs12(file, "secret")).identities[0]?.friendlyName); // my laptop
 * ```
 */
export async function writePkcs12(
  contents: Pkcs12Contents,
  passphrase: string,
  options: Pkcs12Options = {},
): Promise<Uint8Array> {
  return settle(pkcs12Writing(contents, passphrase, portablePasswordCrypto, options));
}

/** True for what begins as a PFX does, with the version 3: no certificate and no key does. */
export function isPkcs12(file: Uint8Array): boolean {
  const length = file[1] ?? 0;
  const start = 2 + (length > 0x80 ? length & 0x7f : 0);
  return file[0] === Tag.sequence && file[start] === Tag.integer && file[start + 1] === 1 && file[start + 2] === 3;
}
