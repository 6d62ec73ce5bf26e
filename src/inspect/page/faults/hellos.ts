/** Faults of the negotiation: what a hello or its answer may not say, and what it must not leave out. */
import { concat } from "../../../bytes/bytes.ts";
import type { ExtensionName } from "../../../codec/extensions.ts";
import {
  type ClientHello,
  type EncryptedExtensions,
  encodeMessage,
  HANDSHAKE_HEADER_LENGTH,
  HelloRetryRequest,
  retryRandom,
  ServerHello,
} from "../../../codec/messages.ts";
import { decode } from "../../../codec/schema.ts";
import type { AlertName, CauseCode } from "../../../errors.ts";
import type { StateName } from "../../../flow.ts";
import type { Difference } from "../run.ts";
import { edited, inMessage, raw, rawMessage, without, withRaw } from "../tamper.ts";
import type { Fault, FaultGroup } from "./fault.ts";

type Row = Pick<Fault, "name" | "title" | "story" | "section" | "needs"> & {
  readonly code: CauseCode;
  readonly alert: AlertName;
};

/** Changed so often as it comes: with a HelloRetryRequest, the first is enough. */
const clientHello = (row: Row & { change: (hello: ClientHello) => ClientHello; stage?: StateName }): Fault => ({
  stage: "RECVD_CH",
  ...row,
  needs: { session: "full", retry: "no", ...row.needs },
  difference: (): Difference => ({
    tampering: inMessage("client", "client_hello", edited("client_hello", row.change)),
  }),
  by: "server",
});

const serverHello = (row: Row & { change: (hello: ServerHello) => ServerHello }): Fault => ({
  ...row,
  needs: { retry: "no", ...row.needs },
  difference: () => ({ tampering: inMessage("server", "server_hello", edited("server_hello", row.change)) }),
  by: "client",
  stage: "WAIT_SH",
});

const encryptedExtensions = (row: Row & { change: (body: EncryptedExtensions) => EncryptedExtensions }): Fault => ({
  ...row,
  difference: () => ({
    tampering: inMessage("server", "encrypted_extensions", edited("encrypted_extensions", row.change)),
  }),
  by: "client",
  stage: "WAIT_EE",
});

const lacking = (name: ExtensionName) => (hello: ClientHello) => ({
  ...hello,
  extensions: without(hello.extensions ?? [], name),
});

/** `server_name`, `h2`: an extension is given twice. */
const twice = <E>(block: readonly E[]): readonly E[] => [...block, ...block.slice(0, 1)];

/** RFC 8446 4.1.3 */
const SENTINEL = Uint8Array.of(0x44, 0x4f, 0x57, 0x4e, 0x47, 0x52, 0x44, 0x01);

/** A HelloRetryRequest for the group that a share was sent for. */
function retryForTheSame(message: Uint8Array): Uint8Array {
  return encodeMessage("hello_retry_request", HelloRetryRequest, {
    ...decode(ServerHello, message.subarray(HANDSHAKE_HEADER_LENGTH)),
    random: retryRandom(),
    extensions: [raw("supported_versions", 3, 4), raw("key_share", 0, 29)],
  });
}

export const HELLO_FAULTS: FaultGroup = {
  title: "Negotiation",
  faults: [
    clientHello({
      name: "no-signature-algorithms",
      title: "Missing extension",
      story: "The ClientHello arrives without signature_algorithms, which a handshake with certificates needs.",
      section: "RFC 8446 9.2",
      change: lacking("signature_algorithms"),
      code: "ERR_TLS_MISSING_EXTENSION",
      alert: "missing_extension",
    }),
    clientHello({
      name: "no-key-share",
      title: "Groups without a key share",
      story: "The ClientHello arrives with supported_groups but without the key_share that belongs to it.",
      section: "RFC 8446 9.2",
      change: lacking("key_share"),
      code: "ERR_TLS_MISSING_EXTENSION",
      alert: "missing_extension",
    }),
    clientHello({
      name: "only-tls12",
      title: "A client of TLS 1.2",
      story: "The ClientHello arrives without supported_versions: that is how TLS 1.2 looks.",
      section: "RFC 8446 D.2",
      change: lacking("supported_versions"),
      code: "ERR_SSL_UNSUPPORTED_PROTOCOL",
      alert: "protocol_version",
    }),
    clientHello({
      name: "duplicate-extension",
      title: "Duplicate extension",
      story: "The ClientHello's first extension stands in it twice.",
      section: "RFC 8446 4.2",
      change: (hello) => ({ ...hello, extensions: twice(hello.extensions ?? []) }),
      code: "ERR_TLS_ILLEGAL_PARAMETER",
      alert: "illegal_parameter",
    }),
    clientHello({
      name: "compression",
      title: "Compression offered",
      story: "legacy_compression_methods says DEFLATE. TLS 1.3 knows none.",
      section: "RFC 8446 4.1.2",
      change: (hello) => ({ ...hello, legacy_compression_methods: Uint8Array.of(1) }),
      code: "ERR_TLS_ILLEGAL_PARAMETER",
      alert: "illegal_parameter",
    }),
    clientHello({
      name: "zero-key-share",
      title: "A key share of zeros",
      story: "The client's X25519 share is all zeros, with which everybody's shared secret would be zero.",
      section: "RFC 8446 7.4.2",
      needs: { group: "x25519" },
      change: (hello) => ({
        ...hello,
        extensions: withRaw(hello.extensions ?? [], "key_share", 0, 36, 0, 29, 0, 32, ...new Uint8Array(32)),
      }),
      stage: "NEGOTIATED",
      code: "ERR_TLS_ILLEGAL_PARAMETER",
      alert: "illegal_parameter",
    }),
    clientHello({
      name: "point-off-curve",
      title: "A point that is not on the curve",
      story: "The client's P-256 share has the right length and form, and is no point of the curve.",
      section: "RFC 8446 4.2.8.2",
      needs: { group: "secp256r1" },
      change: (hello) => ({
        ...hello,
        extensions: withRaw(hello.extensions ?? [], "key_share", 0, 69, 0, 23, 0, 65, 4, ...new Uint8Array(64).fill(1)),
      }),
      stage: "NEGOTIATED",
      code: "ERR_TLS_ILLEGAL_PARAMETER",
      alert: "illegal_parameter",
    }),
    {
      name: "psk-not-last",
      title: "pre_shared_key not at the end",
      story: "Another extension comes behind pre_shared_key, whose binders must cover everything before them.",
      section: "RFC 8446 4.2.11",
      needs: { session: "resumed", retry: "no" },
      difference: () => ({
        tampering: inMessage(
          "client",
          "client_hello",
          edited("client_hello", (hello) => ({ ...hello, extensions: [...(hello.extensions ?? []), raw(0xff00)] })),
        ),
      }),
      by: "server",
      stage: "RECVD_CH",
      code: "ERR_TLS_ILLEGAL_PARAMETER",
      alert: "illegal_parameter",
    },
    {
      name: "no-suite-in-common",
      title: "No cipher suite in common",
      story: "The client offers one cipher suite, and the server has another.",
      section: "RFC 8446 4.1.1",
      needs: { session: "full", suite: "TLS_AES_128_GCM_SHA256" },
      difference: () => ({ client: { cipherSuites: ["TLS_CHACHA20_POLY1305_SHA256"] } }),
      by: "server",
      stage: "RECVD_CH",
      code: "ERR_SSL_NO_SHARED_CIPHER",
      alert: "handshake_failure",
    },
    {
      name: "no-group-in-common",
      title: "No group in common",
      story: "The client can do P-384 and nothing else, which the server has not.",
      section: "RFC 8446 4.1.1",
      needs: { session: "full", retry: "no" },
      difference: () => ({ client: { groups: ["secp384r1"], keyShares: ["secp384r1"] } }),
      by: "server",
      stage: "RECVD_CH",
      code: "ERR_SSL_NO_SUITABLE_KEY_SHARE",
      alert: "handshake_failure",
    },
    {
      name: "no-protocol-in-common",
      title: "No application protocol in common",
      story: "The client wants h2, the server speaks http/1.1 only.",
      section: "RFC 7301 3.2",
      needs: { session: "full" },
      difference: () => ({ client: { alpn: ["h2"] }, server: { alpn: ["http/1.1"] } }),
      by: "server",
      stage: "RECVD_CH",
      code: "ERR_SSL_NO_APPLICATION_PROTOCOL",
      alert: "no_application_protocol",
    },
    serverHello({
      name: "illegal-group",
      title: "Illegal group",
      story: "The server's share is for P-521, which the client has not offered.",
      section: "RFC 8446 4.2.8",
      change: (hello) => ({
        ...hello,
        extensions: withRaw(hello.extensions, "key_share", 0, 25, 0, 133, 4, ...new Uint8Array(132)),
      }),
      code: "ERR_TLS_ILLEGAL_PARAMETER",
      alert: "illegal_parameter",
    }),
    serverHello({
      name: "illegal-suite",
      title: "Illegal cipher suite",
      story: "The server chooses TLS_AES_128_CCM_SHA256, which the client has not offered.",
      section: "RFC 8446 4.1.3",
      change: (hello) => ({ ...hello, cipher_suite: 0x1304 }),
      code: "ERR_TLS_ILLEGAL_PARAMETER",
      alert: "illegal_parameter",
    }),
    serverHello({
      name: "wrong-echo",
      title: "Wrong session ID echo",
      story: "legacy_session_id_echo is not what the client has sent.",
      section: "RFC 8446 4.1.3",
      change: (hello) => ({ ...hello, legacy_session_id_echo: new Uint8Array(32) }),
      code: "ERR_TLS_ILLEGAL_PARAMETER",
      alert: "illegal_parameter",
    }),
    serverHello({
      name: "downgrade",
      title: "Downgrade to TLS 1.2",
      story:
        "The ServerHello answers with TLS 1.2, and its random ends in DOWNGRD: a server of TLS 1.3 says so when it was made to.",
      section: "RFC 8446 4.1.3",
      change: (hello) => ({
        ...hello,
        random: concat(hello.random.subarray(0, 24), SENTINEL),
        extensions: [raw("renegotiation_info", 0), raw("extended_master_secret")],
      }),
      code: "ERR_TLS_DOWNGRADE",
      alert: "illegal_parameter",
    }),
    serverHello({
      name: "psk-out-of-range",
      title: "A pre-shared key nobody offered",
      story: "The server selects the eighth of the client's one pre-shared key.",
      section: "RFC 8446 4.2.11",
      needs: { session: "resumed" },
      change: (hello) => ({ ...hello, extensions: withRaw(hello.extensions, "pre_shared_key", 0, 7) }),
      code: "ERR_TLS_ILLEGAL_PARAMETER",
      alert: "illegal_parameter",
    }),
    {
      name: "pointless-retry",
      title: "A retry that changes nothing",
      story:
        "In place of the ServerHello comes a HelloRetryRequest for the very group that the client sent a share for.",
      section: "RFC 8446 4.1.4",
      needs: { group: "x25519", retry: "no" },
      difference: () => ({ tampering: inMessage("server", "server_hello", retryForTheSame) }),
      by: "client",
      stage: "WAIT_SH",
      code: "ERR_TLS_ILLEGAL_PARAMETER",
      alert: "illegal_parameter",
    },
    encryptedExtensions({
      name: "unsolicited-extension",
      title: "Unsolicited extension",
      story: "EncryptedExtensions answers early_data, which the client has not offered.",
      section: "RFC 8446 4.2",
      needs: { session: "full" },
      change: ({ extensions }) => ({ extensions: [...extensions, raw("early_data")] }),
      code: "ERR_TLS_UNSUPPORTED_EXTENSION",
      alert: "unsupported_extension",
    }),
    encryptedExtensions({
      name: "misplaced-extension",
      title: "Extension in the wrong message",
      story: "EncryptedExtensions carries a key_share, which belongs into the ServerHello.",
      section: "RFC 8446 4.2",
      change: ({ extensions }) => ({ extensions: [...extensions, raw("key_share", 0, 29)] }),
      code: "ERR_TLS_ILLEGAL_PARAMETER",
      alert: "illegal_parameter",
    }),
    {
      name: "length-too-long",
      title: "A length that does not fit",
      story: "EncryptedExtensions has one byte more than its vector says.",
      section: "RFC 8446 6.2",
      difference: () => ({
        tampering: inMessage("server", "encrypted_extensions", (message) =>
          rawMessage(message[0] as number, concat(message.subarray(4), Uint8Array.of(0))),
        ),
      }),
      by: "client",
      stage: "WAIT_EE",
      code: "ERR_TLS_DECODE_ERROR",
      alert: "decode_error",
    },
  ],
};
