/** What users may set on either side, resolved into what the handshake runs with. */
import {
  type CipherSuiteName,
  type NamedGroupName,
  SignatureScheme,
  type SignatureSchemeName,
} from "../codec/registry.ts";
import type { CryptoProvider } from "../crypto/provider.ts";
import { isOptional, verifiableSchemes } from "../crypto/signatures.ts";
import { fault } from "../errors.ts";
import type { Awaitable } from "../flow.ts";
import type { CertificateCompression } from "../handshake/compression.ts";
import type { CommonConfig, Negotiated } from "../handshake/config.ts";
import type { Identity } from "../handshake/identity.ts";
import type { PskMode } from "../handshake/psk.ts";
import { liveSources } from "../handshake/sources.ts";
import type { PeerIdentity } from "../x509/identity.ts";
import { type TrustSource, TrustStore, trustStore } from "../x509/trust.ts";
import { type CertificateVerifier, trustVerifier } from "../x509/verifier.ts";
import { type IdentityOptions, resolveIdentity } from "./identity.ts";
import type { Observer } from "./observer.ts";
import type { PskOptions } from "./psk.ts";
import { within } from "./within.ts";

/** Options of both roles. */
export interface CommonOptions {
  readonly provider: CryptoProvider;
  /** ms since the epoch; for certificate validity. */
  readonly clock: () => number;
  /** In order of preference. Default: the provider's, fastest first, without AES-CCM. */
  readonly cipherSuites?: readonly CipherSuiteName[] | undefined;
  /** In order of preference. Default: X25519MLKEM768, x25519, secp256r1, secp384r1, as far as the provider has them. */
  readonly groups?: readonly NamedGroupName[] | undefined;
  /** Accepted in CertificateVerify, in order of preference. Default: all that the provider verifies but Ed448 and ML-DSA. */
  readonly signatureSchemes?: readonly SignatureSchemeName[] | undefined;
  /** Protocols in order of preference. */
  readonly alpn?: readonly string[] | undefined;
  /** Trust anchors: PEM, DER, or a store. */
  readonly trust?: TrustStore | TrustSource | readonly TrustSource[] | undefined;
  /** In place of `trust`: who decides about the peer's certificate. */
  readonly verifier?: CertificateVerifier | undefined;
  /** Keys that both ends were given, in order of preference; a server also accepts clients with certificates. */
  readonly psks?: readonly PskOptions[] | undefined;
  /**
   * External keys and certificates together (RFC 8773), against those who will break the key exchange one day. A client
   * refuses servers that do only one of the two; a server does both for clients that ask. Such connections are not
   * resumed. Default false.
   */
  readonly pskWithCertificates?: boolean | undefined;
  /** With pre-shared keys and tickets: psk_ke does without a key exchange, and so without forward secrecy. Default dhe. */
  readonly pskModes?: readonly PskMode[] | undefined;
  /** A last word about an authenticated peer: `false` refuses it with access_denied. Asked before early data goes out, too. */
  readonly authorize?: ((peer: PeerIdentity | undefined, facts: Negotiated) => Awaitable<boolean>) | undefined;
  /**
   * Certificates after the handshake (RFC 8446 4.6.2): a client offers to show one at any time, a server may ask for one
   * with `requestClientCertificate`, and needs `trust` or a `verifier`. Default false.
   */
  readonly postHandshakeAuth?: boolean | undefined;
  /** Sends values that peers must ignore, so that they keep ignoring what they do not know (RFC 8701). Default false. */
  readonly grease?: boolean | undefined;
  /**
   * Asks the peer for a stapled OCSP response; a verifier with `revocation` judges it, any other passes it on as received.
   * Default: true with such a verifier, otherwise false.
   */
  readonly requestStatus?: boolean | undefined;
  /** Asks the peer for SignedCertificateTimestamps; they are passed on as received, not judged. Default false. */
  readonly requestScts?: boolean | undefined;
  /**
   * Bytes of content, type and padding that the peer may put into one record, 64 to 16385 (RFC 8449). A client asks; a
   * server answers clients that ask, and obeys them with or without this option. Default: not asked, 16385 answered.
   */
  readonly recordSizeLimit?: number | undefined;
  /** Compresses and accepts compressed certificates (RFC 8879), in order of preference. Default: none. */
  readonly certificateCompression?: readonly CertificateCompression[] | undefined;
  /** Longest handshake message accepted, in bytes. Default 131072. */
  readonly maxHandshakeMessage?: number | undefined;
  /** Longest certificate chain accepted. Default 16. */
  readonly maxCertificates?: number | undefined;
  /** Most plaintext put into one record, 1 to 16384 bytes. */
  readonly maxFragment?: number | undefined;
  /** Zero bytes added to each protected record, by content type and length (RFC 8446 5.4). Default: none. */
  readonly padding?: ((type: number, length: number) => number) | undefined;
  /** Records under one key before a KeyUpdate. Default and maximum: the suite's limit (RFC 9846 5.5). */
  readonly recordsPerKey?: number | undefined;
  /** Bytes each queue may hold. Default 147456, at least 32768. */
  readonly highWaterMark?: number | undefined;
  readonly observer?: Observer | undefined;
}

/** AES-CCM is there for those who name it. */
const DEFAULT_SUITES: readonly CipherSuiteName[] = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
];
/** P-521 is there for those who name it, like X448, finite fields and the hybrids of P-256 and P-384. */
const DEFAULT_GROUPS: readonly NamedGroupName[] = ["X25519MLKEM768", "x25519", "secp256r1", "secp384r1"];
/** Allowed in certificates only, RFC 8446 4.2.3. */
const PKCS1_SCHEMES = [
  SignatureScheme.codes.rsa_pkcs1_sha256,
  SignatureScheme.codes.rsa_pkcs1_sha384,
  SignatureScheme.codes.rsa_pkcs1_sha512,
];

export const COMMON_NAMES = [
  "provider",
  "clock",
  "cipherSuites",
  "groups",
  "signatureSchemes",
  "alpn",
  "trust",
  "verifier",
  "authorize",
  "requestStatus",
  "requestScts",
  "maxHandshakeMessage",
  "maxCertificates",
  "maxFragment",
  "padding",
  "recordsPerKey",
  "highWaterMark",
  "observer",
] as const satisfies readonly (keyof CommonOptions)[];
/** What both roles run with. */
export function resolveCommon(options: CommonOptions): CommonConfig {
  const { provider } = options;
  const verifiable = verifiableSchemes(provider);
  const signatureSchemes = options.signatureSchemes ?? verifiable.filter((name) => !isOptional(name));
  const unknown = signatureSchemes.find((name) => !verifiable.includes(name));
  if (unknown !== undefined || signatureSchemes.length === 0) {
    throw fault(
      "ERR_TLS_OPTION",
      `signature scheme ${unknown ?? "none"}, provider ${provider.name} verifies ${verifiable.join(", ")}`,
    );
  }
  return {
    provider,
    sources: liveSources(provider),
    now: options.clock,
    suites: pick(options.cipherSuites, provider.suites, DEFAULT_SUITES, "cipher suite", provider),
    groups: pick(options.groups, provider.groups, DEFAULT_GROUPS, "group", provider),
    signatureSchemes,
    certificateSignatureSchemes: [...signatureSchemes.map((name) => SignatureScheme.codes[name]), ...PKCS1_SCHEMES],
    alpn: resolveAlpn(options.alpn),
    verifier: resolveVerifier(options),
    requestStatus: options.requestStatus ?? options.verifier?.wantsStatus ?? false,
    requestScts: options.requestScts ?? false,
    compression: undefined,
    maxCertificates: within(options.maxCertificates, 1, 1000, 16, "maxCertificates"),
    authorize: options.authorize,
    arrange: undefined,
  };
}

/** Whom to trust: one of the two. */
export type Trusted = Pick<CommonOptions, "trust" | "verifier">;

export function judges({ trust, verifier }: Trusted): boolean {
  return trust !== undefined || verifier !== undefined;
}

/** One of `trust` and `verifier` takes the other's place. */
export function judgedBy(before: Trusted, replaced: Trusted): Trusted {
  const { trust, verifier } = judges(replaced) ? replaced : before;
  return { trust, verifier };
}

export function resolveVerifier({ trust, verifier }: Trusted): CertificateVerifier {
  if (verifier !== undefined && trust !== undefined) throw fault("ERR_TLS_OPTION", "both trust and verifier");
  return verifier ?? trustVerifier({ trust: storeOf(trust ?? []) });
}

export function storeOf(trust: TrustStore | TrustSource | readonly TrustSource[]): TrustStore {
  return trust instanceof TrustStore ? trust : trustStore(trust);
}

export function resolveIdentities(
  identities: readonly (Identity | IdentityOptions)[],
  provider: CryptoProvider,
): readonly Identity[] {
  if (!Array.isArray(identities)) throw fault("ERR_TLS_OPTION", "identities is not a list");
  return identities.map((identity) => resolveIdentity(identity, provider));
}

export function resolveAlpn(alpn: readonly string[] = []): readonly string[] {
  for (const protocol of alpn) {
    if (!/^[\x20-\x7e]{1,255}$/.test(protocol))
      throw fault("ERR_TLS_OPTION", `ALPN protocol "${protocol}" is not 1 to 255 ASCII characters`);
  }
  return alpn;
}

/** Those of `available` that are wanted, in the order wanted. */
function pick<T extends { readonly name: string }>(
  wanted: readonly string[] | undefined,
  available: readonly T[],
  defaults: readonly string[] | undefined,
  what: string,
  provider: CryptoProvider,
): readonly T[] {
  if (wanted === undefined)
    return defaults === undefined ? available : available.filter(({ name }) => defaults.includes(name));
  if (wanted.length === 0) throw fault("ERR_TLS_OPTION", `no ${what} at all`);
  return wanted.map((name) => {
    const found = available.find((entry) => entry.name === name);
    if (found === undefined) {
      throw fault(
        "ERR_TLS_OPTION",
        `${what} ${name} is not in provider ${provider.name}, which has ${available.map((entry) => entry.name).join(", ")}`,
      );
    }
    return found;
  });
}

/** Options that are not supported are refused, never ignored. */
export function assertKnown(options: object, known: readonly string[]): void {
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown !== undefined) throw fault("ERR_TLS_OPTION", `there is no option "${unknown}"`);
}
