/** Every way in which one side refuses the other, as one table: run between ourselves, against OpenSSL, and read by people. */
import { utf8 } from "../../src/bytes/bytes.ts";
import { ClientHello, LegacyServerHello } from "../../src/codec/messages.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import type { ClientOptions, IdentityOptions, ServerOptions } from "../../src/engine/index.ts";
import type { AlertName, CauseCode, Side } from "../../src/errors.ts";
import type { HandshakeName, StateName } from "../../src/flow.ts";
import type { IssuedIdentity } from "../../src/pki/index.ts";
import type { OpensslOptions } from "../support/openssl.ts";
import { edit, withRaw } from "../support/world.ts";
import { type Certificates, opensslIdentity, type Party } from "./certificates.ts";
import { OFFERS } from "./offers.ts";

/** One case. */
export interface Refusal {
  readonly name: string;
  /** Who does what is not allowed. */
  readonly offender: Side | "network";
  readonly refuses: Side;
  /** What the refusing side reports, where, and the alert it sends. */
  readonly code: CauseCode;
  readonly stage: StateName;
  readonly alert: AlertName | undefined;
  /** Where the other side is when the alert reaches it; `undefined`: it is no TLS peer, or nothing reaches it. */
  readonly noticed: StateName | undefined;
  /** What differs from two sides that accept each other. */
  readonly setup: (certificates: Certificates) => Setup;
  /** OpenSSL in the place of the offender, where it can offend. */
  readonly opensslOffends?: (certificates: Certificates) => OpensslOptions;
  /** OpenSSL in the place of the refusing side. */
  readonly opensslRefuses?: OpensslRefusal;
}

export interface OpensslRefusal {
  readonly options?: (certificates: Certificates) => OpensslOptions;
  /** Its own alert, where that is another. */
  readonly alert?: AlertName;
  /** What it prints. */
  readonly reason: string;
}

/** How a case differs from two sides that accept each other. */
export interface Setup {
  readonly client?: Partial<ClientOptions>;
  readonly server?: Partial<ServerOptions>;
  /** The offender's messages before protection, changed. */
  readonly cheat?: (message: Uint8Array, type: HandshakeName) => Uint8Array;
  /** What the client sends as early data. */
  readonly earlyData?: Uint8Array;
  /** What the offender sends in place of TLS. */
  readonly plain?: Uint8Array;
  /** One bit of the first protected record towards the refusing side is flipped, or the first after the handshake. */
  readonly flip?: "first" | "connected";
  /** The byte stream towards the refusing side ends after so many records; `"connected"`: after the handshake. */
  readonly cut?: number | "connected";
}

const flipLast = (bytes: Uint8Array): Uint8Array => {
  const copy = bytes.slice();
  copy[copy.length - 1] = (copy[copy.length - 1] as number) ^ 1;
  return copy;
};

const identities = (identity: IssuedIdentity): { identities: readonly IdentityOptions[] } => ({
  identities: [{ cert: identity.certificates, key: identity.privateKey }],
});

/** The same fault in the certificate of either side. */
function certificateCases(
  name: string,
  code: CauseCode,
  alert: AlertName,
  which: (party: Party) => IssuedIdentity,
  openssl: { readonly reason: string; readonly alert?: AlertName },
): Refusal[] {
  return [
    {
      name,
      offender: "server",
      refuses: "client",
      code,
      stage: "WAIT_CERT",
      alert,
      noticed: "WAIT_CERT",
      setup: ({ server }) => ({ server: identities(which(server)) }),
      opensslOffends: ({ server, files }) => opensslIdentity(files, which(server)),
      opensslRefuses: openssl,
    },
    {
      name,
      offender: "client",
      refuses: "server",
      code,
      stage: "WAIT_CERT",
      alert,
      noticed: "CONNECTED",
      setup: ({ client }) => ({ client: { ...identities(which(client)), ignoreRequestHints: true } }),
      opensslOffends: ({ client, files }) => opensslIdentity(files, which(client)),
      opensslRefuses: openssl,
    },
  ];
}

/** A handshake message of either side, changed before it is protected. */
function forgedCases(name: string, type: HandshakeName, code: CauseCode, stage: StateName, reason: string): Refusal[] {
  return (["server", "client"] as const).map((offender) => ({
    name,
    offender,
    refuses: offender === "server" ? "client" : "server",
    code,
    stage,
    alert: "decrypt_error",
    noticed: offender === "server" ? "WAIT_CERT" : "CONNECTED",
    setup: () => ({ cheat: (message, sent) => (sent === type ? flipLast(message) : message) }),
    opensslRefuses: { reason },
  }));
}

const CLIENT_CERTIFICATE: readonly Refusal[] = [
  {
    name: "no client certificate",
    offender: "client",
    refuses: "server",
    code: "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE",
    stage: "WAIT_CERT",
    alert: "certificate_required",
    noticed: "CONNECTED",
    setup: () => ({ client: { identities: [] } }),
    opensslOffends: () => ({ "-cert": undefined, "-key": undefined }),
    opensslRefuses: { reason: "peer did not return a certificate" },
  },
  {
    name: "a client certificate of a CA that the server does not name is held back",
    offender: "client",
    refuses: "server",
    code: "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE",
    stage: "WAIT_CERT",
    alert: "certificate_required",
    noticed: "CONNECTED",
    setup: ({ client }) => ({ client: identities(client.stranger) }),
    opensslRefuses: { reason: "peer did not return a certificate" },
  },
  {
    name: "no client certificate that signs what the server accepts",
    offender: "client",
    refuses: "server",
    code: "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE",
    stage: "WAIT_CERT",
    alert: "certificate_required",
    noticed: "CONNECTED",
    setup: () => ({ server: { signatureSchemes: ["ed25519"] } }),
    opensslOffends: () => ({}),
    opensslRefuses: {
      options: () => ({ "-client_sigalgs": "ed25519" }),
      reason: "peer did not return a certificate",
    },
  },
];

const CERTIFICATES: readonly Refusal[] = [
  ...certificateCases(
    "certificate of an unknown CA",
    "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    "unknown_ca",
    ({ stranger }) => stranger,
    { reason: "unable to get local issuer certificate" },
  ),
  ...certificateCases(
    "self-signed certificate",
    "DEPTH_ZERO_SELF_SIGNED_CERT",
    "unknown_ca",
    ({ selfSigned }) => selfSigned,
    { reason: "self-signed certificate" },
  ),
  ...certificateCases(
    "chain up to a self-signed root that is not trusted",
    "SELF_SIGNED_CERT_IN_CHAIN",
    "unknown_ca",
    ({ strangerWithRoot }) => strangerWithRoot,
    // It sends the end entity's certificate alone when it is given no more.
    { reason: "self-signed certificate in certificate chain" },
  ),
  ...certificateCases(
    "intermediate certificate left out",
    "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    "unknown_ca",
    ({ withoutIntermediate }) => withoutIntermediate,
    { reason: "unable to get local issuer certificate" },
  ),
  ...certificateCases("expired certificate", "CERT_HAS_EXPIRED", "certificate_expired", ({ expired }) => expired, {
    reason: "certificate has expired",
  }),
  ...certificateCases(
    "certificate not yet valid",
    "CERT_NOT_YET_VALID",
    "certificate_expired",
    ({ future }) => future,
    { reason: "certificate is not yet valid", alert: "bad_certificate" },
  ),
  ...certificateCases(
    "certificate for another purpose (extended key usage)",
    "INVALID_PURPOSE",
    "unsupported_certificate",
    ({ wrongPurpose }) => wrongPurpose,
    { reason: "unsuitable certificate purpose" },
  ),
  {
    name: "certificate for another host",
    offender: "server",
    refuses: "client",
    code: "ERR_TLS_CERT_ALTNAME_INVALID",
    stage: "WAIT_CERT",
    alert: "bad_certificate",
    noticed: "WAIT_CERT",
    setup: ({ server }) => ({ server: identities(server.elsewhere) }),
    opensslOffends: ({ server, files }) => opensslIdentity(files, server.elsewhere),
    opensslRefuses: { reason: "hostname mismatch" },
  },
];

const PROOFS: readonly Refusal[] = [
  ...(["server", "client"] as const).map(
    (offender): Refusal => ({
      name: "CertificateVerify by another key",
      offender,
      refuses: offender === "server" ? "client" : "server",
      code: "ERR_SSL_BAD_SIGNATURE",
      stage: "WAIT_CV",
      alert: "decrypt_error",
      noticed: offender === "server" ? "WAIT_CERT" : "CONNECTED",
      setup: ({ [offender]: { good, stranger } }) => ({
        [offender]: {
          identities: [{ cert: good.certificates, key: nobleProvider.signer(stranger.privateKey) }],
        },
      }),
      opensslRefuses: { reason: "bad signature" },
    }),
  ),
  ...forgedCases(
    "CertificateVerify changed",
    "certificate_verify",
    "ERR_SSL_BAD_SIGNATURE",
    "WAIT_CV",
    "bad signature",
  ),
  ...forgedCases("Finished changed", "finished", "ERR_SSL_DIGEST_CHECK_FAILED", "WAIT_FINISHED", "digest check failed"),
];

const RECORDS: readonly Refusal[] = (
  [
    ["client", "the server's first protected record", "first", "WAIT_EE", "WAIT_CERT"],
    ["server", "the client's first protected record", "first", "WAIT_CERT", "CONNECTED"],
    ["client", "the server's application data", "connected", "CONNECTED", "CONNECTED"],
    ["server", "the client's application data", "connected", "CONNECTED", "CONNECTED"],
  ] as const
).map(
  ([refuses, what, flip, stage, noticed]): Refusal => ({
    name: `a bit of ${what} flipped`,
    offender: "network",
    refuses,
    code: "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
    stage,
    alert: "bad_record_mac",
    noticed,
    setup: () => ({ flip }),
    opensslOffends: () => ({}),
    opensslRefuses: { reason: "decryption failed or bad record mac" },
  }),
);

const NEGOTIATION: readonly Refusal[] = [
  {
    name: "a name that no certificate carries, under strictServerName",
    offender: "client",
    refuses: "server",
    code: "ERR_TLS_UNRECOGNIZED_NAME",
    stage: "RECVD_CH",
    alert: "unrecognized_name",
    noticed: "WAIT_SH",
    setup: () => ({ client: { serverName: "elsewhere.example" }, server: { strictServerName: true } }),
    opensslOffends: () => ({ "-servername": "elsewhere.example" }),
    opensslRefuses: {
      options: ({ server, files }) => ({
        "-servername": "localhost",
        "-servername_fatal": true,
        "-cert2": files.path(server.good.certificatePem),
        "-key2": files.path(server.good.privateKeyPem),
      }),
      reason: "callback failed",
    },
  },
  {
    name: "no cipher suite in common",
    offender: "client",
    refuses: "server",
    code: "ERR_SSL_NO_SHARED_CIPHER",
    stage: "RECVD_CH",
    alert: "handshake_failure",
    noticed: "WAIT_SH",
    setup: () => ({
      client: { cipherSuites: ["TLS_AES_128_GCM_SHA256"] },
      server: { cipherSuites: ["TLS_CHACHA20_POLY1305_SHA256"] },
    }),
    opensslOffends: () => ({ "-ciphersuites": "TLS_AES_128_GCM_SHA256" }),
    opensslRefuses: {
      options: () => ({ "-ciphersuites": "TLS_CHACHA20_POLY1305_SHA256" }),
      reason: "no shared cipher",
    },
  },
  {
    name: "no group in common",
    offender: "client",
    refuses: "server",
    code: "ERR_SSL_NO_SUITABLE_KEY_SHARE",
    stage: "RECVD_CH",
    alert: "handshake_failure",
    noticed: "WAIT_SH",
    setup: () => ({ client: { groups: ["x25519"] }, server: { groups: ["secp384r1"] } }),
    opensslOffends: () => ({ "-groups": "X25519" }),
    opensslRefuses: { options: () => ({ "-groups": "P-384" }), reason: "no suitable key share" },
  },
  {
    name: "no signature scheme in common",
    offender: "client",
    refuses: "server",
    code: "ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM",
    stage: "RECVD_CH",
    alert: "handshake_failure",
    noticed: "WAIT_SH",
    setup: () => ({ client: { signatureSchemes: ["ed25519"] } }),
    opensslOffends: () => ({ "-sigalgs": "ed25519" }),
    opensslRefuses: { reason: "no suitable signature algorithm" },
  },
  {
    name: "no application protocol in common",
    offender: "client",
    refuses: "server",
    code: "ERR_SSL_NO_APPLICATION_PROTOCOL",
    stage: "RECVD_CH",
    alert: "no_application_protocol",
    noticed: "WAIT_SH",
    setup: () => ({ client: { alpn: ["h2"] }, server: { alpn: ["http/1.1"] } }),
    opensslOffends: () => ({ "-alpn": "h2" }),
    opensslRefuses: { options: () => ({ "-alpn": "http/1.1" }), reason: "no application protocol" },
  },
  ...(["server", "client"] as const).map(
    (refuses): Refusal => ({
      name: "an authenticated peer that `authorize` turns down",
      offender: refuses === "server" ? "client" : "server",
      refuses,
      code: "ERR_TLS_ACCESS_DENIED",
      stage: "WAIT_FINISHED",
      alert: "access_denied",
      noticed: refuses === "server" ? "CONNECTED" : "WAIT_CERT",
      setup: () => ({ [refuses]: { authorize: () => false } }),
      opensslOffends: () => ({}),
    }),
  ),
];

const OTHER_PROTOCOLS: readonly Refusal[] = [
  {
    name: "a client that speaks only TLS 1.2",
    offender: "client",
    refuses: "server",
    code: "ERR_SSL_UNSUPPORTED_PROTOCOL",
    stage: "RECVD_CH",
    alert: "protocol_version",
    noticed: "WAIT_SH",
    setup: () => ({ cheat: (message, type) => (type === "client_hello" ? asTls12ClientHello(message) : message) }),
    opensslOffends: () => ({ "-tls1_3": undefined, "-tls1_2": true }),
  },
  {
    name: "a server that answers with TLS 1.2",
    offender: "server",
    refuses: "client",
    code: "ERR_SSL_UNSUPPORTED_PROTOCOL",
    stage: "WAIT_SH",
    alert: "protocol_version",
    noticed: "WAIT_CERT",
    setup: () => ({ cheat: (message, type) => (type === "server_hello" ? asTls12ServerHello(message) : message) }),
  },
  {
    name: "a server that was made to answer with TLS 1.2 (downgrade sentinel)",
    offender: "network",
    refuses: "client",
    code: "ERR_TLS_DOWNGRADE",
    stage: "WAIT_SH",
    alert: "illegal_parameter",
    noticed: "WAIT_CERT",
    setup: () => ({
      cheat: (message, type) => (type === "server_hello" ? asTls12ServerHello(message, "DOWNGRD\x01") : message),
    }),
  },
  {
    name: "plain HTTP sent to the TLS port",
    offender: "client",
    refuses: "server",
    code: "ERR_SSL_HTTP_REQUEST",
    stage: "START",
    alert: "unexpected_message",
    noticed: undefined,
    setup: () => ({ plain: utf8("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") }),
  },
  {
    name: "an HTTP server that answers a TLS client",
    offender: "server",
    refuses: "client",
    code: "ERR_SSL_WRONG_VERSION_NUMBER",
    stage: "WAIT_SH",
    alert: "unexpected_message",
    noticed: undefined,
    setup: () => ({ plain: utf8("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n") }),
  },
];

const TRUNCATION: readonly Refusal[] = (
  [
    ["client", "before the ServerHello", 0, "WAIT_SH"],
    ["client", "after the ServerHello", 1, "WAIT_EE"],
    ["client", "after the handshake, without close_notify", "connected", "CONNECTED"],
    ["server", "before the ClientHello", 0, "START"],
    ["server", "before the client's Certificate", 1, "WAIT_CERT"],
    ["server", "after the handshake, without close_notify", "connected", "CONNECTED"],
  ] as const
).map(
  ([refuses, when, cut, stage]): Refusal => ({
    name: `the byte stream ends ${when}`,
    offender: "network",
    refuses,
    code: "ERR_SSL_UNEXPECTED_EOF_WHILE_READING",
    stage,
    alert: undefined,
    noticed: undefined,
    setup: () => ({ cut }),
    opensslOffends: () => ({}),
    opensslRefuses: { reason: "unexpected eof while reading" },
  }),
);

/** All of them. */
export const REFUSALS: readonly Refusal[] = [
  ...CLIENT_CERTIFICATE,
  ...CERTIFICATES,
  ...PROOFS,
  ...RECORDS,
  ...NEGOTIATION,
  ...OFFERS,
  ...OTHER_PROTOCOLS,
  ...TRUNCATION,
];

/** A ClientHello whose supported_versions has only TLS 1.2. */
function asTls12ClientHello(message: Uint8Array): Uint8Array {
  return edit(message, ClientHello, (hello) => ({
    ...hello,
    extensions: withRaw(hello.extensions, "supported_versions", 2, 3, 3),
  }));
}

/** A ServerHello without supported_versions. */
function asTls12ServerHello(message: Uint8Array, sentinel = ""): Uint8Array {
  return edit(message, LegacyServerHello, (hello) => {
    const random = hello.random.slice();
    random.set(utf8(sentinel), random.length - sentinel.length);
    const extensions = (hello.extensions ?? []).filter(({ extension_type }) => extension_type !== 43);
    return { ...hello, random, extensions };
  });
}
