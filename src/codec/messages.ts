/** The handshake messages of RFC 8446 4, one schema each, and the framing they share. */
import { equal } from "../bytes/bytes.ts";
import { fromHex } from "../bytes/hex.ts";
import { Writer } from "../bytes/writer.ts";
import type { HandshakeName } from "../flow.ts";
import { extensions } from "./extensions.ts";
import {
  AlertDescription,
  AlertLevel,
  CertificateCompressionAlgorithm,
  CipherSuiteId,
  ContentType,
  HandshakeType,
  KeyUpdateRequest,
  ProtocolVersion,
  SignatureScheme,
} from "./registry.ts";
import {
  decode,
  empty,
  fixed,
  list,
  opaque,
  optional,
  rest,
  type Schema,
  struct,
  uint,
  type ValueOf,
} from "./schema.ts";

const legacyVersion = uint(2, ProtocolVersion);
const cipherSuite = uint(2, CipherSuiteId);

/** RFC 8446 4.1.2. Extensions may be absent: then it is a TLS 1.2 ClientHello (4.1.2, last paragraphs). */
export const ClientHello = /* @__PURE__ */ struct("ClientHello", {
  legacy_version: legacyVersion,
  random: fixed(32),
  legacy_session_id: opaque(0, 32),
  cipher_suites: list(cipherSuite, "cipher_suite", 2, 0xfffe),
  legacy_compression_methods: opaque(1, 0xff),
  extensions: optional(extensions("CH")),
});
export type ClientHello = ValueOf<typeof ClientHello>;

/** RFC 8446 4.1.3 */
export const ServerHello = /* @__PURE__ */ struct("ServerHello", {
  legacy_version: legacyVersion,
  random: fixed(32),
  legacy_session_id_echo: opaque(0, 32),
  cipher_suite: cipherSuite,
  legacy_compression_method: uint(1),
  extensions: extensions("SH", 6),
});
export type ServerHello = ValueOf<typeof ServerHello>;

/** RFC 8446 4.1.4: a ServerHello with a fixed random and extensions of its own. */
export const HelloRetryRequest = /* @__PURE__ */ struct("HelloRetryRequest", {
  legacy_version: legacyVersion,
  random: fixed(32),
  legacy_session_id_echo: opaque(0, 32),
  cipher_suite: cipherSuite,
  legacy_compression_method: uint(1),
  extensions: extensions("HRR", 6),
});
export type HelloRetryRequest = ValueOf<typeof HelloRetryRequest>;

/** Any version's ServerHello, extensions unopened: enough to tell a TLS 1.2 server from a TLS 1.3 one. */
export const LegacyServerHello = /* @__PURE__ */ struct("ServerHello", {
  legacy_version: legacyVersion,
  random: fixed(32),
  legacy_session_id_echo: opaque(0, 32),
  cipher_suite: cipherSuite,
  legacy_compression_method: uint(1),
  extensions: optional(
    list(struct("Extension", { extension_type: uint(2), extension_data: opaque(0, 0xffff) }), "extension", 0, 0xffff),
  ),
});

/** RFC 8446 4.3.1 */
export const EncryptedExtensions = /* @__PURE__ */ struct("EncryptedExtensions", { extensions: extensions("EE") });
export type EncryptedExtensions = ValueOf<typeof EncryptedExtensions>;

/** RFC 8446 4.3.2, with RFC 9846's lower bound of 0 bytes of extensions. */
export const CertificateRequest = /* @__PURE__ */ struct("CertificateRequest", {
  certificate_request_context: opaque(0, 0xff),
  extensions: extensions("CR"),
});
export type CertificateRequest = ValueOf<typeof CertificateRequest>;

/** RFC 8446 4.4.2 */
export const Certificate = /* @__PURE__ */ struct("Certificate", {
  certificate_request_context: opaque(0, 0xff),
  certificate_list: list(
    struct("CertificateEntry", { cert_data: opaque(1, 0xffffff), extensions: extensions("CT") }),
    "certificate_entry",
    0,
    0xffffff,
  ),
});
export type Certificate = ValueOf<typeof Certificate>;

/** RFC 8879 4 */
export const CompressedCertificate = /* @__PURE__ */ struct("CompressedCertificate", {
  algorithm: uint(2, CertificateCompressionAlgorithm),
  uncompressed_length: uint(3),
  compressed_certificate_message: opaque(1, 0xffffff),
});
export type CompressedCertificate = ValueOf<typeof CompressedCertificate>;

/** RFC 8446 4.4.3 */
export const CertificateVerify = /* @__PURE__ */ struct("CertificateVerify", {
  algorithm: uint(2, SignatureScheme),
  signature: opaque(0, 0xffff),
});
export type CertificateVerify = ValueOf<typeof CertificateVerify>;

/** RFC 8446 4.4.4; the length is the hash's and is checked where the hash is known. */
export const Finished = /* @__PURE__ */ struct("Finished", { verify_data: rest });
export type Finished = ValueOf<typeof Finished>;

/** RFC 8446 4.6.1 */
export const NewSessionTicket = /* @__PURE__ */ struct("NewSessionTicket", {
  ticket_lifetime: uint(4),
  ticket_age_add: uint(4),
  ticket_nonce: opaque(0, 0xff),
  ticket: opaque(1, 0xffff),
  extensions: extensions("NST"),
});
export type NewSessionTicket = ValueOf<typeof NewSessionTicket>;

/** RFC 8446 4.6.3 */
export const KeyUpdate = /* @__PURE__ */ struct("KeyUpdate", { request_update: uint(1, KeyUpdateRequest) });
export type KeyUpdate = ValueOf<typeof KeyUpdate>;

/** RFC 8446 6 */
export const Alert = /* @__PURE__ */ struct("Alert", {
  level: uint(1, AlertLevel),
  description: uint(1, AlertDescription),
});
export type Alert = ValueOf<typeof Alert>;

/** RFC 8446 5.1 and 5.2: both TLSPlaintext and TLSCiphertext on the wire. */
export const Record = /* @__PURE__ */ struct("TLSPlaintext", {
  type: uint(1, ContentType),
  legacy_record_version: legacyVersion,
  fragment: opaque(0, 0xffff),
});

/** The body of each handshake message. */
export const BODIES = {
  client_hello: ClientHello,
  server_hello: ServerHello,
  hello_retry_request: HelloRetryRequest,
  new_session_ticket: NewSessionTicket,
  end_of_early_data: empty,
  encrypted_extensions: EncryptedExtensions,
  certificate: Certificate,
  compressed_certificate: CompressedCertificate,
  certificate_request: CertificateRequest,
  certificate_verify: CertificateVerify,
  finished: Finished,
  key_update: KeyUpdate,
  message_hash: rest,
} as const satisfies Record<HandshakeName, Schema<never> | Schema<unknown>>;

/** SHA-256 of "HelloRetryRequest", RFC 8446 4.1.3. */
const RETRY_RANDOM = "cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c";
let retryRandomBytes: Uint8Array | undefined;

/** The `random` that makes a ServerHello a HelloRetryRequest. */
export function retryRandom(): Uint8Array {
  retryRandomBytes ??= fromHex(RETRY_RANDOM);
  return retryRandomBytes;
}

/** A handshake message as received: the transcript takes `bytes`, the schemas `body`. */
export interface HandshakeMessage {
  readonly type: HandshakeName;
  /** Header and body, as on the wire. */
  readonly bytes: Uint8Array;
  /** A view of the body. */
  readonly body: Uint8Array;
}

/** Bytes of type and length before each handshake message. */
export const HANDSHAKE_HEADER_LENGTH = 4;

/**
 * The name of a message: its type's, except that the random makes a ServerHello a HelloRetryRequest (RFC 8446 4.1.3).
 * `undefined` for types that do not exist on the wire, the internal message_hash among them (4.4.1).
 */
export function messageName(type: number, body: Uint8Array): HandshakeName | undefined {
  const name = HandshakeType.name(type);
  if (name === "message_hash" || name === "hello_retry_request") return undefined;
  return name === "server_hello" && body.length >= 34 && equal(body.subarray(2, 34), retryRandom())
    ? "hello_retry_request"
    : name;
}

/** Decodes a message's body with the schema given; trailing bytes are a decode_error. */
export function decodeBody<T>(schema: Schema<T>, message: HandshakeMessage): T {
  return decode(schema, message.body, message.type);
}

/** A whole handshake message: type, 24-bit length, body. */
export function encodeMessage<T>(type: HandshakeName, schema: Schema<T>, value: T): Uint8Array {
  const writer = new Writer(512);
  writer.uint(1, HandshakeType.codes[type === "hello_retry_request" ? "server_hello" : type]);
  writer.block(3, () => schema.write(writer, value));
  return writer.result();
}
