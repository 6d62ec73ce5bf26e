/** The tables behind describe.ts. A section without a document is RFC 8446's. */
import type { ExtensionContext, ExtensionName } from "../codec/extensions.ts";
import type { AlertName, Side } from "../errors.ts";
import type { HandshakeName, StateName } from "../flow.ts";
import type { SecretLabel } from "../handshake/io.ts";

/** Section and note. */
export type Note = readonly [section: string, note: string];

/** An extension, and what else it says in particular messages. */
export interface ExtensionNotes {
  readonly note: Note;
  readonly in?: Readonly<Partial<Record<ExtensionContext, string>>>;
}

export const MESSAGES: Readonly<Record<HandshakeName, Note>> = {
  client_hello: ["4.1.2", "the client opens: what it can do, and its half of the key exchange"],
  server_hello: ["4.1.3", "the server chooses; with its key share both sides can compute the handshake secrets"],
  hello_retry_request: ["4.1.4", "the server asks for another ClientHello, with a key share of this group"],
  encrypted_extensions: ["4.3.1", "answers to the ClientHello that need not be seen by the network"],
  certificate_request: [
    "4.3.2",
    "the server wants the client to authenticate too, and says which certificates will do",
  ],
  certificate: ["4.4.2", "a certificate chain, the sender's own first; an empty list means: I have none"],
  compressed_certificate: [
    "RFC 8879 4",
    "the Certificate message, compressed by an algorithm that the other side accepts",
  ],
  certificate_verify: [
    "4.4.3",
    "a signature over the handshake so far: the sender holds the certificate's private key",
  ],
  finished: ["4.4.4", "a MAC over the whole handshake so far: nobody has changed a byte of it"],
  end_of_early_data: ["4.5", "the client's early data ends; what follows is under the handshake keys"],
  new_session_ticket: ["4.6.1", "a ticket with which a later connection can skip the certificates"],
  key_update: ["4.6.3", "the sender moves to its next key"],
  message_hash: ["4.4.1", "stands in the transcript for the first ClientHello after a HelloRetryRequest; never sent"],
};

const legacyVersion: Note = ["4.1.2", "frozen at TLS 1.2 for old middleboxes; supported_versions says the truth"];
const serverVersion: Note = ["4.1.3", "frozen at TLS 1.2 for old middleboxes; supported_versions says the truth"];
const echo: Note = ["4.1.3", "the client's legacy_session_id sent back"];
const chosenSuite: Note = ["4.1.3", "the cipher suite chosen from the client's list"];
const noCompression: Note = ["4.1.3", "always 0: TLS 1.3 does not compress"];
const requestContext: Note = ["4.3.2", "empty during the handshake; identifies a later request"];

/** Struct, or extension, to its fields and list items. */
export const FIELDS: Readonly<Record<string, Readonly<Record<string, Note>>>> = {
  ClientHello: {
    legacy_version: legacyVersion,
    random: ["4.1.2", "fresh randomness: makes every handshake, and every key, different"],
    legacy_session_id: ["4.1.2", "random in compatibility mode, so that it looks like a TLS 1.2 resumption (D.4)"],
    cipher_suites: ["4.1.2", "AEAD and hash pairs the client supports, in order of preference"],
    cipher_suite: ["B.4", "a pair of AEAD (protects records) and hash (derives keys)"],
    legacy_compression_methods: ["4.1.2", "one zero byte: no compression"],
    extensions: ["4.2", "everything else the client has to say"],
  },
  ServerHello: {
    legacy_version: serverVersion,
    random: ["4.1.3", "fresh randomness; its last 8 bytes would betray a forced downgrade"],
    legacy_session_id_echo: echo,
    cipher_suite: chosenSuite,
    legacy_compression_method: noCompression,
    extensions: ["4.2", "only what is needed to agree on keys; the rest follows encrypted"],
    extension: ["4.2", "one extension of an older version's ServerHello"],
  },
  HelloRetryRequest: {
    legacy_version: serverVersion,
    random: ["4.1.3", 'SHA-256 of "HelloRetryRequest": this value is what makes it one'],
    legacy_session_id_echo: echo,
    cipher_suite: chosenSuite,
    legacy_compression_method: noCompression,
    extensions: ["4.2", "what the next ClientHello has to do differently"],
  },
  Extension: {
    extension_type: ["4.2", "which extension"],
    extension_data: ["4.2", "its content"],
  },
  EncryptedExtensions: { extensions: ["4.3.1", "the server's answers, first thing under encryption"] },
  CertificateRequest: {
    certificate_request_context: requestContext,
    extensions: ["4.3.2", "which signatures and issuers the server accepts"],
  },
  Certificate: {
    certificate_request_context: ["4.4.2", "echoes the CertificateRequest's; empty from a server"],
    certificate_list: ["4.4.2", "the sender's certificate, then those that certify it"],
    certificate_entry: ["4.4.2", "one certificate with its extensions"],
  },
  CertificateEntry: {
    cert_data: ["4.4.2", "an X.509 certificate, DER (RFC 5280 4.1)"],
    extensions: ["4.4.2", "about this certificate, such as its revocation status"],
  },
  CompressedCertificate: {
    algorithm: ["RFC 8879 4", "one of those that the receiver has offered"],
    uncompressed_length: ["RFC 8879 4", "bytes of the Certificate message inside"],
    compressed_certificate_message: ["RFC 8879 4", "the Certificate message, compressed"],
  },
  CertificateVerify: {
    algorithm: ["4.4.3", "how it was signed; one of the peer's signature_algorithms"],
    signature: ["4.4.3", "over 64 spaces, a context string, 00 and the hash of the handshake so far"],
  },
  Finished: { verify_data: ["4.4.4", "HMAC(finished_key, hash of the handshake so far)"] },
  NewSessionTicket: {
    ticket_lifetime: ["4.6.1", "seconds; at most a week"],
    ticket_age_add: ["4.6.1", "added to the ticket's age, to hide which ticket it is"],
    ticket_nonce: ["4.6.1", "makes each ticket's PSK different"],
    ticket: ["4.6.1", "opaque to the client, which sends it back as a PSK identity"],
    extensions: ["4.6.1", "limits on early data, if any"],
  },
  KeyUpdate: { request_update: ["4.6.3", "whether the receiver has to update its sending key as well"] },
  Alert: {
    level: ["6", "ignored in TLS 1.3: the description says whether it is fatal"],
    description: ["6", "what happened"],
  },
  TLSPlaintext: {
    type: ["5.1", "what the record carries"],
    legacy_record_version: ["5.1", "ignored; 0x0301 or 0x0303 for old middleboxes"],
    fragment: ["5.1", "the content, in the clear"],
  },
  TLSCiphertext: {
    opaque_type: ["5.2", "always application_data: the real type is encrypted"],
    legacy_record_version: ["5.2", "always 0x0303"],
    encrypted_record: ["5.2", "AEAD-sealed content, type and padding"],
    content: ["5.2", "the content, encrypted"],
    type: ["5.2", "the real content type, encrypted"],
    zeros: ["5.4", "padding that hides the length"],
    tag: ["5.2", "authenticates the record and its header; the nonce is the sequence number (5.3)"],
  },
  Handshake: {
    msg_type: ["4", "which handshake message"],
    length: ["4", "bytes that follow in the message"],
  },
  ChangeCipherSpec: { type: ["5", "always 1; means nothing in TLS 1.3, middleboxes like it (D.4)"] },
  ServerName: {
    name_type: ["RFC 6066 3", "host_name is the only kind there is"],
    host_name: ["RFC 6066 3", "the host the client wants, without trailing dot"],
  },
  server_name: { server_name: ["RFC 6066 3", "one name"] },
  supported_groups: { group: ["4.2.7", "a key exchange the client can do"] },
  signature_algorithms: { scheme: ["4.2.3", "a signature the sender can verify"] },
  signature_algorithms_cert: { scheme: ["4.2.3", "a signature accepted inside certificates"] },
  delegated_credential: { scheme: ["RFC 9345 4.1.1", "a signature accepted with a delegated credential"] },
  application_layer_protocol_negotiation: { protocol_name: ["RFC 7301 3.1", "an application protocol"] },
  signed_certificate_timestamp: { sct: ["RFC 6962 3.2", "a log's promise to publish the certificate"] },
  client_certificate_type: { type: ["RFC 7250 3", "0: X.509, 2: raw public key"] },
  server_certificate_type: { type: ["RFC 7250 3", "0: X.509, 2: raw public key"] },
  compress_certificate: { algorithm: ["RFC 8879 3", "a compression that the sender can undo"] },
  CertificateStatusRequest: {
    status_type: ["RFC 6066 8", "ocsp is the only kind in use"],
    responder_id_list: ["RFC 6066 8", "responders the client trusts; empty: any"],
    responder_id: ["RFC 6066 8", "one responder"],
    request_extensions: ["RFC 6066 8", "for the OCSP request"],
  },
  CertificateStatus: {
    status_type: ["4.4.2.1", "ocsp"],
    response: ["4.4.2.1", "an OCSP response about this certificate (RFC 6960)"],
  },
  supported_versions: { version: ["4.2.1", "a version the client speaks"] },
  psk_key_exchange_modes: { mode: ["4.2.9", "how a PSK may be used: psk_dhe_ke keeps forward secrecy"] },
  certificate_authorities: {
    distinguished_name: ["4.2.4", "an issuer whose certificates are accepted (RFC 5280 4.1.2.4)"],
  },
  oid_filters: { filter: ["4.2.5", "one condition"] },
  OIDFilter: {
    certificate_extension_oid: ["4.2.5", "a certificate extension, DER OBJECT IDENTIFIER"],
    certificate_extension_values: ["4.2.5", "what it has to contain"],
  },
  key_share: { client_share: ["4.2.8", "one public key"] },
  KeyShareEntry: {
    group: ["4.2.8", "the key exchange"],
    key_exchange: ["4.2.8", "the sender's ephemeral public key: only its owner can finish the exchange"],
  },
  OfferedPsks: {
    identities: ["4.2.11", "pre-shared keys the client knows"],
    identity: ["4.2.11", "one pre-shared key"],
    binders: ["4.2.11.2", "proof, one for each, that the client knows it"],
    binder: ["4.2.11.2", "a MAC over the ClientHello up to here, under this PSK"],
  },
  PskIdentity: {
    identity: ["4.2.11", "the ticket, or an agreed name"],
    obfuscated_ticket_age: ["4.2.11.1", "ms since the ticket was received, plus its ticket_age_add"],
  },
};

/** Fields that mean the same wherever they stand. */
export const GENERIC: Readonly<Record<string, Note>> = {
  length: ["3.4", "bytes that follow in this vector"],
  data: ["3.4", "the vector's content"],
  extension_type: ["4.2", "which extension"],
  extension_data: ["4.2", "what the extension says"],
  body: ["4", "the message, which does not decode"],
};

export const EXTENSION_NOTES: Readonly<Record<ExtensionName, ExtensionNotes>> = {
  server_name: {
    note: ["RFC 6066 3", "which of the server's names the client wants (SNI); visible to the network"],
    in: { EE: "the server has used the name", CR: "not used in practice" },
  },
  max_fragment_length: { note: ["RFC 6066 4", "smaller records, by powers of two; replaced by record_size_limit"] },
  status_request: {
    note: ["RFC 6066 8", "the sender would like an OCSP staple with the certificate"],
    in: { CT: "an OCSP staple: proof that the certificate was not revoked (RFC 8446 4.4.2.1)" },
  },
  supported_groups: {
    note: ["4.2.7", "key exchanges the client can do, in order of preference"],
    in: { EE: "key exchanges the server would prefer next time" },
  },
  ec_point_formats: { note: ["RFC 8422 5.1.2", "of TLS 1.2; means nothing in TLS 1.3"] },
  signature_algorithms: { note: ["4.2.3", "signatures the sender can verify, in order of preference"] },
  use_srtp: { note: ["RFC 5764 4.1", "keys for SRTP, from DTLS"] },
  heartbeat: { note: ["RFC 6520 2", "of TLS 1.2; known for Heartbleed"] },
  application_layer_protocol_negotiation: {
    note: ["RFC 7301 3.1", "protocols the client would speak inside (ALPN), in order of preference"],
    in: { EE: "the protocol the server has chosen (ALPN)" },
  },
  signed_certificate_timestamp: {
    note: ["RFC 6962 3.3.1", "Certificate Transparency: proof that the certificate is logged"],
  },
  client_certificate_type: { note: ["RFC 7250 3", "other kinds of client certificates than X.509"] },
  server_certificate_type: { note: ["RFC 7250 3", "other kinds of server certificates than X.509"] },
  padding: { note: ["RFC 7685 3", "zeros that make the ClientHello longer, against a middlebox bug"] },
  encrypt_then_mac: { note: ["RFC 7366 2", "of TLS 1.2; means nothing in TLS 1.3"] },
  extended_master_secret: { note: ["RFC 7627 5.1", "of TLS 1.2; TLS 1.3 always does so"] },
  compress_certificate: { note: ["RFC 8879 3", "how the sender can decompress certificates"] },
  record_size_limit: { note: ["RFC 8449 4", "the longest record content the sender accepts"] },
  tls_cert_with_extern_psk: { note: ["RFC 8773 5", "certificates beside an external key, both of which authenticate"] },
  delegated_credential: { note: ["RFC 9345 4.1", "short-lived keys delegated by a certificate"] },
  session_ticket: { note: ["RFC 5077 3.2", "of TLS 1.2; pre_shared_key took its place"] },
  pre_shared_key: {
    note: ["4.2.11", "keys both sides may share from before; always the last extension"],
    in: { SH: "the index of the pre-shared key the server has chosen" },
  },
  early_data: {
    note: ["4.2.10", "application data follows at once, under a pre-shared key (0-RTT)"],
    in: { EE: "the server accepts the early data", NST: "how many bytes of early data this ticket allows" },
  },
  supported_versions: {
    note: ["4.2.1", "the versions the client really speaks"],
    in: { SH: "the version the server has chosen", HRR: "the version the server has chosen" },
  },
  cookie: { note: ["4.2.2", "state that a stateless server has the client keep for it"] },
  psk_key_exchange_modes: { note: ["4.2.9", "how pre-shared keys and tickets may be used"] },
  certificate_authorities: {
    note: ["4.2.4", "issuers the sender trusts"],
    in: { CR: "issuers the server trusts for client certificates" },
  },
  oid_filters: { note: ["4.2.5", "conditions on the client certificate's own extensions"] },
  post_handshake_auth: { note: ["4.2.6", "the client can be asked for a certificate later, too"] },
  signature_algorithms_cert: { note: ["4.2.3", "signatures accepted inside certificates, where they differ"] },
  key_share: {
    note: ["4.2.8", "the client's ephemeral public keys, so that the handshake takes one round trip"],
    in: { SH: "the server's ephemeral public key", HRR: "the group for which the server wants a key share" },
  },
  transparency_info: { note: ["RFC 9162 6.5", "Certificate Transparency version 2"] },
  quic_transport_parameters: { note: ["RFC 9001 8.2", "QUIC's own settings, carried by its handshake"] },
  ticket_request: { note: ["RFC 9149 3", "how many tickets the client would like"] },
  ech_outer_extensions: { note: ["RFC 9849 5.1", "extensions the inner ClientHello takes from the outer one"] },
  encrypted_client_hello: { note: ["RFC 9849 5", "a second ClientHello, encrypted, with the real server name"] },
  renegotiation_info: { note: ["RFC 5746 3.2", "of TLS 1.2; TLS 1.3 does not renegotiate"] },
};

export const ALERTS: Readonly<Record<AlertName, Note>> = {
  close_notify: ["6.1", "the sender will send nothing more; the regular end of a stream"],
  user_canceled: ["6.1", "the sender gives up for reasons of its own; close_notify follows"],
  unexpected_message: ["6.2", "a message that does not belong here; never seen between correct implementations"],
  bad_record_mac: ["6.2", "a record that cannot be decrypted: wrong key, or changed on its way"],
  record_overflow: ["6.2", "a record longer than allowed"],
  handshake_failure: ["6.2", "nothing acceptable to both: suites, groups or signature algorithms"],
  bad_certificate: ["6.2", "a certificate that is corrupt, or whose signature or name is wrong"],
  unsupported_certificate: ["6.2", "a certificate of an unsupported kind or purpose"],
  certificate_revoked: ["6.2", "a certificate revoked by its issuer"],
  certificate_expired: ["6.2", "a certificate that has expired or is not valid yet"],
  certificate_unknown: ["6.2", "some other problem with the certificate"],
  illegal_parameter: ["6.2", "a field that is well formed but contradicts the protocol"],
  unknown_ca: ["6.2", "no trusted issuer for the certificate"],
  access_denied: ["6.2", "a valid certificate, but its owner may not enter"],
  decode_error: ["6.2", "a message that does not follow its syntax"],
  decrypt_error: ["6.2", "a signature or Finished that does not verify"],
  protocol_version: ["6.2", "no version in common"],
  insufficient_security: ["6.2", "what the client offers is not secure enough for the server"],
  internal_error: ["6.2", "the sender failed for reasons that have nothing to do with the peer"],
  inappropriate_fallback: ["6.2", "a client that retries with an older version for no reason (RFC 7507)"],
  missing_extension: ["6.2", "a mandatory extension is missing"],
  unsupported_extension: ["6.2", "an answer to an extension that nobody offered"],
  unrecognized_name: ["6.2", "no server of that name here (RFC 6066 3)"],
  bad_certificate_status_response: ["6.2", "a bad OCSP staple (RFC 6066 8)"],
  unknown_psk_identity: ["6.2", "no pre-shared key known of those offered"],
  certificate_required: ["6.2", "a client certificate was wanted and none was sent"],
  general_error: ["RFC 9846 6.2", "an error for which no other alert fits"],
  no_application_protocol: ["6.2", "none of the client's ALPN protocols is spoken here (RFC 7301 3.2)"],
};

export const CONTENT_TYPES: Readonly<Record<number, Note>> = {
  20: ["5", "change_cipher_spec: a dummy for middleboxes, dropped by the receiver (D.4)"],
  21: ["6", "alert: the end of the stream, or an error"],
  22: ["5.1", "handshake: parts of the handshake's own stream of messages"],
  23: ["5.2", "application_data: what the application sends; also the outside of every encrypted record"],
};

/** Appendix A. */
export const STATES: { readonly [S in Side]: Readonly<Partial<Record<StateName, string>>> } = {
  client: {
    START: "nothing sent yet",
    WAIT_SH: "waits for ServerHello or HelloRetryRequest",
    WAIT_EE: "waits for EncryptedExtensions; from here on the handshake is encrypted",
    WAIT_CERT_CR: "waits for CertificateRequest or the server's Certificate",
    WAIT_CERT: "waits for the server's Certificate",
    WAIT_CV: "waits for the server's CertificateVerify",
    WAIT_FINISHED: "waits for the server's Finished",
    CONNECTED: "done; if the client has sent a certificate, the server has not judged it yet",
  },
  server: {
    START: "waits for a ClientHello",
    RECVD_CH: "chooses parameters",
    NEGOTIATED: "sends its flight, ServerHello to Finished",
    WAIT_EOED: "waits for EndOfEarlyData",
    WAIT_FLIGHT2: "waits for the client's second flight",
    WAIT_CERT: "waits for the client's Certificate",
    WAIT_CV: "waits for the client's CertificateVerify",
    WAIT_FINISHED: "waits for the client's Finished",
    CONNECTED: "done; the client is authenticated if it had to be",
  },
};

/** RFC 9850's labels to the key schedule's names. */
export const SECRETS: Readonly<Record<SecretLabel, readonly [name: string, note: string]>> = {
  CLIENT_EARLY_TRAFFIC_SECRET: ["client_early_traffic_secret", "protects early data"],
  EARLY_EXPORTER_SECRET: ["early_exporter_secret", "for keys the application derives from the first ClientHello"],
  CLIENT_HANDSHAKE_TRAFFIC_SECRET: ["client_handshake_traffic_secret", "protects the client's handshake records"],
  SERVER_HANDSHAKE_TRAFFIC_SECRET: ["server_handshake_traffic_secret", "protects the server's handshake records"],
  CLIENT_TRAFFIC_SECRET_0: ["client_application_traffic_secret_0", "protects the client's application data"],
  SERVER_TRAFFIC_SECRET_0: ["server_application_traffic_secret_0", "protects the server's application data"],
  EXPORTER_SECRET: ["exporter_secret", "for keys the application derives from this connection"],
};
