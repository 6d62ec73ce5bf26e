/** The flags that both ends share, and what they mean to an engine. */
import {
  CipherSuiteId,
  type CipherSuiteName,
  NamedGroup,
  type NamedGroupName,
  SignatureScheme,
  type SignatureSchemeName,
} from "../codec/registry.ts";
import {
  ed448,
  mlDsa44,
  mlDsa65,
  mlDsa87,
  nobleProvider,
  secP256r1MlKem768,
  secP384r1MlKem1024,
  withExtras,
  x448,
} from "../crypto/noble.ts";
import { createNodeProvider } from "../crypto/node.ts";
import type { CryptoProvider } from "../crypto/provider.ts";
import { createWebCryptoProvider } from "../crypto/webcrypto.ts";
import type { PskOptions } from "../engine/index.ts";
import type { CertificateCompression } from "../handshake/compression.ts";
import type { PskMode } from "../handshake/psk.ts";
import { brotliCompression, hasZstd, zlibCompression, zstdCompression } from "../node/compression.ts";
import { OPENSSL_SCHEMES } from "../node/tls/names.ts";
import { usage } from "./exit.ts";
import { CERT_TYPES } from "./files.ts";
import { type Arguments, type Flag, nearest } from "./flags.ts";
import { pskModes, psks } from "./psk-flags.ts";

/** Of a bundle nobody counts the bytes here. The finite fields are node's alone. */
const EXTRAS = {
  groups: [x448, secP256r1MlKem768, secP384r1MlKem1024],
  signatures: [ed448, mlDsa44, mlDsa65, mlDsa87],
};

/** Who computes, by name. */
export const PROVIDERS = {
  node: (): CryptoProvider => createNodeProvider(),
  noble: (): CryptoProvider => withExtras(nobleProvider, EXTRAS),
  webcrypto: (): CryptoProvider => withExtras(createWebCryptoProvider({ fallback: nobleProvider }), EXTRAS),
};

const COMPRESSIONS = {
  zlib: zlibCompression,
  brotli: brotliCompression,
  zstd: (): CertificateCompression => {
    if (!hasZstd()) throw usage("--cert-compression: zstd is not supported by this Node; 22.15 and newer have it");
    return zstdCompression();
  },
};

/** What stands beside --cert and --key at both ends. */
export const CREDENTIAL_FLAGS: readonly Flag[] = [
  {
    name: "cert-type",
    value: "TYPE",
    choices: CERT_TYPES,
    help: "what --cert is; its content says so by default",
  },
  {
    name: "pass",
    value: "P",
    repeat: true,
    help: "pass phrase of encrypted keys and PKCS#12 files, one for all or one for each --cert; other users see command lines",
  },
];

export const PROVIDER_FLAG: Flag = {
  name: "provider",
  value: "NAME",
  choices: Object.keys(PROVIDERS),
  help: "who computes; node by default",
};

/** Negotiation, diagnosis, provider. */
export const TLS_FLAGS: readonly Flag[] = [
  { name: "alpn", value: "A,B", help: "application protocols, in order of preference" },
  { name: "groups", value: "A,B", help: "key exchange groups, in order of preference, such as x25519,secp256r1,x448" },
  {
    name: "tls13-ciphers",
    value: "A:B",
    help: "cipher suites, in order of preference, such as TLS_AES_128_GCM_SHA256",
  },
  { name: "sigalgs", value: "A,B", help: "signature algorithms accepted from the peer, such as ed25519,mldsa65" },
  {
    name: "record-size-limit",
    value: "N",
    help: "longest record taken from the peer, 64 to 16385 bytes of content, type and padding (RFC 8449)",
  },
  {
    name: "cert-compression",
    value: "A,B",
    help: "compress certificates and take compressed ones, in order of preference: zlib,brotli,zstd (RFC 8879)",
  },
  {
    name: "psk",
    value: "ID:HEX[:sha384]",
    repeat: true,
    help: "a key that both ends were given, 16 bytes at least, and its name; other users see command lines (RFC 8446 4.2.11)",
  },
  {
    name: "psk-modes",
    value: "A,B",
    help: "with keys and tickets: dhe, ke (no forward secrecy) or both, in order of preference; dhe by default",
  },
  {
    name: "crlfile",
    value: "FILE",
    repeat: true,
    help: "CRLs, PEM or DER; the peer's certificates are then refused unless these say that none is revoked",
  },
  { name: "grease", help: "send values that peers must ignore (RFC 8701)" },
  {
    name: "keylogfile",
    value: "FILE",
    help: "append the connection's secrets, for Wireshark (RFC 9850); never in production",
  },
  PROVIDER_FLAG,
  { name: "verbose", short: "v", help: "say on stderr what was negotiated, and with whom" },
];

/** That of `--provider`. */
export function createProvider(args: Arguments): CryptoProvider {
  return PROVIDERS[(args.get("provider") ?? "node") as keyof typeof PROVIDERS]();
}

/** What the shared flags say. */
export interface NegotiationOptions {
  readonly provider: CryptoProvider;
  readonly clock: () => number;
  readonly alpn: readonly string[] | undefined;
  readonly groups: readonly NamedGroupName[] | undefined;
  readonly cipherSuites: readonly CipherSuiteName[] | undefined;
  readonly signatureSchemes: readonly SignatureSchemeName[] | undefined;
  readonly recordSizeLimit: number | undefined;
  readonly certificateCompression: readonly CertificateCompression[] | undefined;
  readonly psks: readonly PskOptions[];
  readonly pskModes: readonly PskMode[] | undefined;
  readonly grease: boolean;
}

/** Reads the shared flags. */
export function negotiationOptions(args: Arguments): NegotiationOptions {
  const provider = createProvider(args);
  return {
    provider,
    clock: Date.now,
    alpn: args.list("alpn", /,/),
    groups: names(
      args,
      "groups",
      "key exchange group",
      provider.groups.map(({ name }) => name),
      GROUP_ALIASES,
    ),
    cipherSuites: names(
      args,
      "tls13-ciphers",
      "cipher suite",
      provider.suites.map(({ name }) => name),
      {},
    ),
    signatureSchemes: names(args, "sigalgs", "signature algorithm", SCHEMES, SCHEME_ALIASES),
    recordSizeLimit: args.number("record-size-limit", 64, 16_385),
    certificateCompression: names(
      args,
      "cert-compression",
      "compression",
      Object.keys(COMPRESSIONS) as (keyof typeof COMPRESSIONS)[],
      {},
    )?.map((name) => COMPRESSIONS[name]()),
    psks: psks(args),
    pskModes: pskModes(args),
    grease: args.has("grease"),
  };
}

/** openssl's names for the same groups. */
const GROUP_ALIASES: Readonly<Record<string, readonly NamedGroupName[]>> = {
  "p-256": ["secp256r1"],
  prime256v1: ["secp256r1"],
  "p-384": ["secp384r1"],
  "p-521": ["secp521r1"],
};

/** openssl's, and so curl's, names for signature algorithms. */
const SCHEME_ALIASES: Readonly<Record<string, readonly SignatureSchemeName[]>> = {
  ...OPENSSL_SCHEMES,
  "ml-dsa-44": ["mldsa44"],
  "ml-dsa-65": ["mldsa65"],
  "ml-dsa-87": ["mldsa87"],
};

const SCHEMES: readonly SignatureSchemeName[] = [
  "ecdsa_secp256r1_sha256",
  "ecdsa_secp384r1_sha384",
  "ecdsa_secp521r1_sha512",
  "ed25519",
  "rsa_pss_rsae_sha256",
  "rsa_pss_rsae_sha384",
  "rsa_pss_rsae_sha512",
  "rsa_pss_pss_sha256",
  "rsa_pss_pss_sha384",
  "rsa_pss_pss_sha512",
  "ed448",
  "mldsa44",
  "mldsa65",
  "mldsa87",
];

/** Registered all the same: then what is missing is support, not a letter. */
const REGISTERED = new Set(
  [CipherSuiteId, NamedGroup, SignatureScheme].flatMap(({ codes }) =>
    Object.keys(codes).map((name) => name.toLowerCase()),
  ),
);

function names<Name extends string>(
  args: Arguments,
  flag: string,
  what: string,
  known: readonly Name[],
  aliases: Readonly<Record<string, readonly Name[]>>,
): readonly Name[] | undefined {
  const chosen = args.list(flag)?.flatMap((written) => {
    const lower = written.toLowerCase();
    const name = known.find((candidate) => candidate.toLowerCase() === lower);
    const named = name === undefined ? aliases[lower] : [name];
    if (named !== undefined) return named;
    const close = nearest(written, known);
    throw usage(
      REGISTERED.has(lower) ? `--${flag}: ${written} is not supported` : `--${flag}: there is no ${what} ${written}`,
      close === undefined ? `there are ${known.join(", ")}` : `did you mean ${close}?`,
    );
  });
  return chosen === undefined ? undefined : [...new Set(chosen)];
}
