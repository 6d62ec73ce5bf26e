/** IANA numbers and names of TLS 1.3, RFC 8446 11 and the registries it names. Data only. */
import type { AlertName } from "../errors.ts";
import type { HandshakeName } from "../flow.ts";

/** Names to numbers, and back. */
export interface Registry<Name extends string> {
  readonly codes: Readonly<Record<Name, number>>;
  /** The name of `code`, if it has one here. */
  name(code: number): Name | undefined;
}

function registry<Name extends string>(codes: Readonly<Record<Name, number>>): Registry<Name> {
  const names = new Map<number, Name>();
  for (const name of Object.keys(codes) as Name[]) names.set(codes[name], name);
  return { codes, name: (code) => names.get(code) };
}

/** RFC 8446 5.1 */
export const ContentType = /* @__PURE__ */ registry({
  change_cipher_spec: 20,
  alert: 21,
  handshake: 22,
  application_data: 23,
});

/** RFC 8446 4 */
export const HandshakeType = /* @__PURE__ */ registry<HandshakeName>({
  client_hello: 1,
  server_hello: 2,
  // Reserved and never on the wire: a HelloRetryRequest travels as server_hello (RFC 8446 4.1.4).
  hello_retry_request: 6,
  new_session_ticket: 4,
  end_of_early_data: 5,
  encrypted_extensions: 8,
  certificate: 11,
  certificate_request: 13,
  certificate_verify: 15,
  finished: 20,
  key_update: 24,
  compressed_certificate: 25,
  message_hash: 254,
});

/** RFC 9846 6 */
export const AlertDescription = /* @__PURE__ */ registry<AlertName>({
  close_notify: 0,
  unexpected_message: 10,
  bad_record_mac: 20,
  record_overflow: 22,
  handshake_failure: 40,
  bad_certificate: 42,
  unsupported_certificate: 43,
  certificate_revoked: 44,
  certificate_expired: 45,
  certificate_unknown: 46,
  illegal_parameter: 47,
  unknown_ca: 48,
  access_denied: 49,
  decode_error: 50,
  decrypt_error: 51,
  protocol_version: 70,
  insufficient_security: 71,
  internal_error: 80,
  inappropriate_fallback: 86,
  user_canceled: 90,
  missing_extension: 109,
  unsupported_extension: 110,
  unrecognized_name: 112,
  bad_certificate_status_response: 113,
  unknown_psk_identity: 115,
  certificate_required: 116,
  general_error: 117,
  no_application_protocol: 120,
});

/** RFC 8446 6 */
export const AlertLevel = /* @__PURE__ */ registry({ warning: 1, fatal: 2 });

/** Versions a ClientHello may list. */
export const ProtocolVersion = /* @__PURE__ */ registry({
  "SSL 3.0": 0x0300,
  "TLS 1.0": 0x0301,
  "TLS 1.1": 0x0302,
  "TLS 1.2": 0x0303,
  "TLS 1.3": 0x0304,
});

export type CipherSuiteName =
  | "TLS_AES_128_GCM_SHA256"
  | "TLS_AES_256_GCM_SHA384"
  | "TLS_CHACHA20_POLY1305_SHA256"
  | "TLS_AES_128_CCM_SHA256"
  | "TLS_AES_128_CCM_8_SHA256";

/** RFC 8446 B.4 */
export const CipherSuiteId = /* @__PURE__ */ registry({
  TLS_AES_128_GCM_SHA256: 0x1301,
  TLS_AES_256_GCM_SHA384: 0x1302,
  TLS_CHACHA20_POLY1305_SHA256: 0x1303,
  TLS_AES_128_CCM_SHA256: 0x1304,
  TLS_AES_128_CCM_8_SHA256: 0x1305,
  TLS_EMPTY_RENEGOTIATION_INFO_SCSV: 0x00ff,
});

export type NamedGroupName =
  | "x25519"
  | "secp256r1"
  | "secp384r1"
  | "secp521r1"
  | "X25519MLKEM768"
  | "x448"
  | "ffdhe2048"
  | "ffdhe3072"
  | "ffdhe4096"
  | "SecP256r1MLKEM768"
  | "SecP384r1MLKEM1024";

/** RFC 8446 4.2.7, draft-ietf-tls-ecdhe-mlkem */
export const NamedGroup = /* @__PURE__ */ registry({
  secp256r1: 0x0017,
  secp384r1: 0x0018,
  secp521r1: 0x0019,
  x25519: 0x001d,
  x448: 0x001e,
  ffdhe2048: 0x0100,
  ffdhe3072: 0x0101,
  ffdhe4096: 0x0102,
  ffdhe6144: 0x0103,
  ffdhe8192: 0x0104,
  SecP256r1MLKEM768: 0x11eb,
  X25519MLKEM768: 0x11ec,
  SecP384r1MLKEM1024: 0x11ed,
});

/** Schemes that need no parameters: they are named like the key and the algorithm (RFC 8446 4.2.3, draft-ietf-tls-mldsa 3). */
export type PureSchemeName = "ed25519" | "ed448" | "mldsa44" | "mldsa65" | "mldsa87";

/** Schemes that may sign a CertificateVerify here (RFC 8446 4.2.3). */
export type SignatureSchemeName =
  | PureSchemeName
  | "ecdsa_secp256r1_sha256"
  | "ecdsa_secp384r1_sha384"
  | "ecdsa_secp521r1_sha512"
  | "rsa_pss_rsae_sha256"
  | "rsa_pss_rsae_sha384"
  | "rsa_pss_rsae_sha512"
  | "rsa_pss_pss_sha256"
  | "rsa_pss_pss_sha384"
  | "rsa_pss_pss_sha512";

/** RFC 8446 4.2.3. The rsa_pkcs1 and SHA-1 entries may only sign certificates. */
export const SignatureScheme = /* @__PURE__ */ registry({
  rsa_pkcs1_sha1: 0x0201,
  ecdsa_sha1: 0x0203,
  rsa_pkcs1_sha256: 0x0401,
  ecdsa_secp256r1_sha256: 0x0403,
  rsa_pkcs1_sha384: 0x0501,
  ecdsa_secp384r1_sha384: 0x0503,
  rsa_pkcs1_sha512: 0x0601,
  ecdsa_secp521r1_sha512: 0x0603,
  rsa_pss_rsae_sha256: 0x0804,
  rsa_pss_rsae_sha384: 0x0805,
  rsa_pss_rsae_sha512: 0x0806,
  ed25519: 0x0807,
  ed448: 0x0808,
  rsa_pss_pss_sha256: 0x0809,
  rsa_pss_pss_sha384: 0x080a,
  rsa_pss_pss_sha512: 0x080b,
  mldsa44: 0x0904,
  mldsa65: 0x0905,
  mldsa87: 0x0906,
});

/** RFC 8701 2: two bytes alike, 0x0A to 0xFA. */
export function isGrease(code: number): boolean {
  return (code & 0x0f0f) === 0x0a0a && code >> 8 === (code & 0xff);
}

/** RFC 8446 4.2.9 */
export const PskKeyExchangeMode = /* @__PURE__ */ registry({ psk_ke: 0, psk_dhe_ke: 1 });

/** RFC 8879 7.3 */
export const CertificateCompressionAlgorithm = /* @__PURE__ */ registry({ zlib: 1, brotli: 2, zstd: 3 });

/** RFC 8446 4.6.3 */
export const KeyUpdateRequest = /* @__PURE__ */ registry({ update_not_requested: 0, update_requested: 1 });

/** RFC 6066 3 */
export const NameType = /* @__PURE__ */ registry({ host_name: 0 });

/** RFC 6066 8 */
export const CertificateStatusType = /* @__PURE__ */ registry({ ocsp: 1 });
