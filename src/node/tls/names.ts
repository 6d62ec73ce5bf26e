/** OpenSSL's and node:tls's option strings as the names of RFC 8446. */
import { constants } from "node:crypto";
import type { CipherSuiteName, NamedGroupName, SignatureSchemeName } from "../../codec/registry.ts";
import { fault } from "../../errors.ts";
import { argumentError, nodeError } from "./errors.ts";

/** The suites there are, in the order of Node's `DEFAULT_CIPHERS`. */
export const SUITES: readonly CipherSuiteName[] = [
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
  "TLS_AES_128_GCM_SHA256",
];

/** Those that must be named. */
const OPTIONAL_SUITES: readonly CipherSuiteName[] = ["TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"];

const VERSIONS: readonly string[] = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];
/** Methods that negotiate the version. */
const NEGOTIATING = /^(TLS|SSLv23)(_client|_server)?_method$/;

/**
 * `minVersion` may be any, since all up to TLS 1.3 include it; `maxVersion` below it leaves nothing.
 *
 * @throws TlsError `ERR_TLS_OPTION` where TLS 1.3 is ruled out; Node's errors for what is no version.
 */
export function checkVersions(
  minVersion: string | undefined | null,
  maxVersion: string | undefined | null,
  secureProtocol: string | undefined | null,
): void {
  for (const [which, version] of [
    ["minimum", minVersion],
    ["maximum", maxVersion],
  ] as const) {
    if (version == null) continue;
    if (secureProtocol) {
      throw argumentError(
        "ERR_TLS_PROTOCOL_VERSION_CONFLICT",
        `TLS protocol version "${version}" conflicts with secureProtocol "${secureProtocol}"`,
      );
    }
    if (!VERSIONS.includes(version)) {
      throw argumentError(
        "ERR_TLS_INVALID_PROTOCOL_VERSION",
        `"${version}" is not a valid ${which} TLS protocol version`,
      );
    }
  }
  if (maxVersion != null && maxVersion !== "TLSv1.3") {
    throw fault("ERR_TLS_OPTION", `maxVersion ${maxVersion} rules out TLS 1.3, and there is no other version here`);
  }
  if (secureProtocol && !NEGOTIATING.test(secureProtocol)) {
    throw fault("ERR_TLS_OPTION", `secureProtocol ${secureProtocol} rules out TLS 1.3, and there is no other here`);
  }
}

/** Bits that say nothing about TLS 1.3, or ask for what is the case anyway. */
const HARMLESS =
  constants.SSL_OP_ALL |
  constants.SSL_OP_CIPHER_SERVER_PREFERENCE |
  constants.SSL_OP_LEGACY_SERVER_CONNECT |
  constants.SSL_OP_NO_COMPRESSION |
  constants.SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION |
  constants.SSL_OP_NO_SSLv2 |
  constants.SSL_OP_NO_SSLv3 |
  constants.SSL_OP_NO_TICKET |
  constants.SSL_OP_NO_TLSv1 |
  constants.SSL_OP_NO_TLSv1_1 |
  constants.SSL_OP_NO_TLSv1_2 |
  constants.SSL_OP_NO_RENEGOTIATION;

/** @throws TlsError `ERR_TLS_OPTION` for bits that would change something in OpenSSL and change nothing here. */
export function checkSecureOptions(bits: number | undefined | null): void {
  if (bits === undefined || bits === null) return;
  if (!Number.isInteger(bits)) {
    throw argumentError("ERR_INVALID_ARG_TYPE", `secureOptions must be an integer, not ${bits}`);
  }
  const others = (bits & ~HARMLESS) >>> 0;
  if (others !== 0) throw fault("ERR_TLS_OPTION", `secureOptions 0x${others.toString(16)} are not supported`);
}

/**
 * The suites in an OpenSSL cipher list. Names of older suites decide nothing in TLS 1.3, there as here.
 *
 * @returns `undefined` where the list names none of TLS 1.3: the default.
 * @throws TlsError `ERR_TLS_OPTION` for a suite of TLS 1.3 that is not supported.
 */
export function parseCiphers(list: string): readonly CipherSuiteName[] | undefined {
  const names = list.split(":").filter((name) => name !== "");
  if (names.length === 0) throw argumentError("ERR_INVALID_ARG_VALUE", `ciphers "${list}" names no cipher`);
  const wanted = names.filter((name) => /^!?TLS_/.test(name));
  if (wanted.length === 0) return undefined;
  return wanted.map((name) => {
    const suite = [...SUITES, ...OPTIONAL_SUITES].find((known) => known === name);
    if (suite === undefined) throw fault("ERR_TLS_OPTION", `cipher suite ${name} is not supported`);
    return suite;
  });
}

/** OpenSSL's names of groups, in lower case. */
const GROUPS: Readonly<Record<string, NamedGroupName>> = {
  x25519: "x25519",
  "p-256": "secp256r1",
  prime256v1: "secp256r1",
  secp256r1: "secp256r1",
  "p-384": "secp384r1",
  secp384r1: "secp384r1",
  "p-521": "secp521r1",
  secp521r1: "secp521r1",
  x25519mlkem768: "X25519MLKEM768",
  x448: "x448",
  ffdhe2048: "ffdhe2048",
  ffdhe3072: "ffdhe3072",
  ffdhe4096: "ffdhe4096",
  secp256r1mlkem768: "SecP256r1MLKEM768",
  secp384r1mlkem1024: "SecP384r1MLKEM1024",
};

/**
 * The groups in `ecdhCurve`.
 *
 * @returns `undefined` for `auto`.
 * @throws Error `ERR_CRYPTO_OPERATION_FAILED`, as node:tls, for a group that is not there.
 */
export function parseCurves(list: string): readonly NamedGroupName[] | undefined {
  if (list === "auto") return undefined;
  return list.split(":").map((name) => {
    const group = GROUPS[name.toLowerCase()];
    if (group === undefined) {
      throw nodeError("ERR_CRYPTO_OPERATION_FAILED", `Failed to set ECDH curve: there is no group "${name}"`);
    }
    return group;
  });
}

/** OpenSSL's names of group keys, as `getEphemeralKeyInfo` gives them, with their size in bits. */
export const KEY_INFO: Readonly<Record<NamedGroupName, { type: string; name?: string; size?: number }>> = {
  x25519: { type: "ECDH", name: "X25519", size: 253 },
  secp256r1: { type: "ECDH", name: "prime256v1", size: 256 },
  secp384r1: { type: "ECDH", name: "secp384r1", size: 384 },
  secp521r1: { type: "ECDH", name: "secp521r1", size: 521 },
  x448: { type: "ECDH", name: "X448", size: 448 },
  ffdhe2048: { type: "DH", size: 2048 },
  ffdhe3072: { type: "DH", size: 3072 },
  ffdhe4096: { type: "DH", size: 4096 },
  // From Node 24 on; before, nothing.
  X25519MLKEM768: { type: "TLSGroup", name: "X25519MLKEM768" },
  SecP256r1MLKEM768: { type: "TLSGroup", name: "SecP256r1MLKEM768" },
  SecP384r1MLKEM1024: { type: "TLSGroup", name: "SecP384r1MLKEM1024" },
};

/** OpenSSL's `algorithm+hash`, in lower case, and what it covers in TLS 1.3. */
export const OPENSSL_SCHEMES = {
  "ecdsa+sha256": ["ecdsa_secp256r1_sha256"],
  "ecdsa+sha384": ["ecdsa_secp384r1_sha384"],
  "ecdsa+sha512": ["ecdsa_secp521r1_sha512"],
  "rsa-pss+sha256": ["rsa_pss_rsae_sha256", "rsa_pss_pss_sha256"],
  "rsa-pss+sha384": ["rsa_pss_rsae_sha384", "rsa_pss_pss_sha384"],
  "rsa-pss+sha512": ["rsa_pss_rsae_sha512", "rsa_pss_pss_sha512"],
} as const satisfies Readonly<Record<string, readonly SignatureSchemeName[]>>;

/** What `sigalgs` takes. PKCS#1 v1.5 is for certificates alone (RFC 8446 4.2.3). */
const SIGNATURE_ALGORITHMS: Readonly<Record<string, readonly SignatureSchemeName[]>> = {
  ...OPENSSL_SCHEMES,
  "rsa+sha256": [],
  "rsa+sha384": [],
  "rsa+sha512": [],
  rsa_pkcs1_sha256: [],
  rsa_pkcs1_sha384: [],
  rsa_pkcs1_sha512: [],
  ed25519: ["ed25519"],
  ed448: ["ed448"],
  mldsa44: ["mldsa44"],
  mldsa65: ["mldsa65"],
  mldsa87: ["mldsa87"],
};

/** OpenSSL's names for schemes, as `getSharedSigalgs` gives them. */
export function signatureAlgorithmName(scheme: SignatureSchemeName): string {
  const rsa = /^rsa_pss_(?:rsae|pss)_(sha\d+)$/.exec(scheme);
  if (rsa !== null) return `RSA-PSS+${rsa[1]?.toUpperCase()}`;
  const ecdsa = /^ecdsa_\w+_(sha\d+)$/.exec(scheme);
  if (ecdsa !== null) return `ECDSA+${ecdsa[1]?.toUpperCase()}`;
  return scheme.startsWith("ed") ? `${scheme.replace("ed", "Ed")}+UNDEF` : scheme;
}

/**
 * The schemes in `sigalgs`.
 *
 * @param supported - What the provider verifies.
 * @throws TlsError `ERR_TLS_OPTION` for a name that is not known or a list with nothing for TLS 1.3.
 */
export function parseSigalgs(list: string, supported: readonly SignatureSchemeName[]): readonly SignatureSchemeName[] {
  const schemes = list.split(":").flatMap((name) => {
    const lower = name.toLowerCase();
    const known = SIGNATURE_ALGORITHMS[lower] ?? supported.filter((scheme) => scheme === lower);
    if (known.length === 0 && !(lower in SIGNATURE_ALGORITHMS)) {
      throw fault("ERR_TLS_OPTION", `signature algorithm "${name}" in sigalgs is not supported`);
    }
    return known;
  });
  if (schemes.length === 0) throw fault("ERR_TLS_OPTION", `sigalgs "${list}" leaves nothing for CertificateVerify`);
  return [...new Set(schemes)];
}

/** ALPN protocols, in whatever form node:tls takes them; RFC 7301 3.1 for the wire form. */
export function parseAlpn(protocols: unknown): readonly string[] {
  if (protocols === undefined || protocols === null) return [];
  if (Array.isArray(protocols))
    return protocols.map((protocol, index) => checkedProtocol(protocolName(protocol), index));
  if (!ArrayBuffer.isView(protocols)) {
    throw argumentError("ERR_INVALID_ARG_TYPE", "ALPNProtocols must be an array of names or their wire form");
  }
  const wire = Buffer.from(protocols.buffer, protocols.byteOffset, protocols.byteLength);
  const names: string[] = [];
  for (let offset = 0; offset < wire.length; ) {
    const end = offset + 1 + (wire[offset] as number);
    if (end > wire.length) throw argumentError("ERR_INVALID_ARG_VALUE", "ALPNProtocols ends within a name");
    names.push(checkedProtocol(wire.toString("latin1", offset + 1, end), names.length));
    offset = end;
  }
  return names;
}

function protocolName(protocol: unknown): string {
  if (!ArrayBuffer.isView(protocol)) return String(protocol);
  return Buffer.from(protocol.buffer, protocol.byteOffset, protocol.byteLength).toString("latin1");
}

function checkedProtocol(name: string, index: number): string {
  if (name.length > 0 && /^[\x20-\x7e]*$/.test(name) && name.length <= 255) return name;
  throw Object.assign(new RangeError(`ALPN protocol ${index} is not 1 to 255 ASCII characters`), {
    code: "ERR_OUT_OF_RANGE",
  });
}
