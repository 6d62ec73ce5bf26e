/** The server's handshake, top to bottom as RFC 8446 figure 1 and Appendix A.2 have it. */
import { utf8 } from "../bytes/bytes.ts";
import { type Extension, extension } from "../codec/extensions.ts";
import {
  CertificateRequest,
  ClientHello,
  decodeBody,
  EncryptedExtensions,
  encodeMessage,
  type HandshakeMessage,
  HelloRetryRequest,
  retryRandom,
  ServerHello,
} from "../codec/messages.ts";
import { CipherSuiteId, NamedGroup, ProtocolVersion, SignatureScheme } from "../codec/registry.ts";
import type { CipherSuite, Group } from "../crypto/provider.ts";
import { fault, TlsError } from "../errors.ts";
import { type Flow, wait } from "../flow.ts";
import type { Held } from "../schedule/secrets.ts";
import { Transcript } from "../schedule/transcript.ts";
import type { PeerIdentity } from "../x509/identity.ts";
import { acceptAnyVerifier } from "../x509/verifier.ts";
import { checkCertificateVerify, checkFinished, presentIdentity, readCertificate, sendFinished } from "./auth.ts";
import type { HandshakeResult, ServerChoice, ServerConfig } from "./config.ts";
import { selectServerIdentity } from "./identity.ts";
import { call, type HandshakeEffects, receive } from "./io.ts";
import { applicationKeys, handshakeKeys, holding, type KeyContext } from "./keys.ts";
import {
  checkSecondHello,
  chooseAlpn,
  chooseGroup,
  chooseSuite,
  type OpenedClientHello,
  openClientHello,
} from "./negotiate.ts";
import { handshakeResult } from "./result.ts";

const NO_CONTEXT = new Uint8Array(0);
const TLS_1_3 = ProtocolVersion.codes["TLS 1.3"];

/** Rejections that `optional_no_ca` lets pass, as nginx does: the CA is unknown, and nothing else is wrong. */
const UNKNOWN_CA_CODES: readonly string[] = [
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
];

/**
 * Runs a server's handshake.
 *
 * @throws TlsError for whatever ends it; the engine turns that into an alert.
 */
export function serverHandshake(config: ServerConfig, effects: HandshakeEffects): Flow<HandshakeResult> {
  return holding((held) => run(config, effects, held));
}

function* run(config: ServerConfig, effects: HandshakeEffects, held: Held): Flow<HandshakeResult> {
  const transcript = new Transcript();
  let message = yield* receive("START", ["client_hello"]);
  effects.enter("RECVD_CH");
  let hello = openClientHello(decodeBody(ClientHello, message));
  if (hello.raw.legacy_session_id.length > 0) effects.compatibilityMode();
  const choice = yield* chooseForClient(config, hello);

  const suite = chooseSuite(config.suites, hello.raw.cipher_suites);
  const { hash } = suite;
  transcript.add(message.bytes);
  transcript.begin(hash);
  let { group, share } = chooseGroup(config.groups, hello);
  const retried = share === undefined;
  if (share === undefined) {
    const cookie = config.sources.cookie?.();
    const retry = helloRetryRequest(config, hello, suite, group, cookie);
    transcript.replaceByMessageHash();
    transcript.add(retry);
    effects.send("initial", retry);
    message = yield* receive("START", ["client_hello"]);
    effects.enter("RECVD_CH");
    const second = openClientHello(decodeBody(ClientHello, message));
    checkSecondHello(hello, second, group, cookie);
    hello = second;
    transcript.add(message.bytes);
    share = (hello.keyShares[0] as { key_exchange: Uint8Array }).key_exchange;
  }
  const alpn = chooseAlpn(choice.alpn, hello.alpn);
  const { identity, scheme } = selectServerIdentity(
    choice.identities,
    hello.serverName,
    config.strictServerName,
    hello,
  );
  effects.enter("NEGOTIATED");

  const exchange = yield* wait("encapsulation", config.sources.encapsulate(group, share));
  const random = hello.raw.random;
  const serverHello = encodeMessage("server_hello", ServerHello, {
    legacy_version: ProtocolVersion.codes["TLS 1.2"],
    random: config.sources.random("server_random", 32),
    legacy_session_id_echo: hello.raw.legacy_session_id,
    cipher_suite: CipherSuiteId.codes[suite.name],
    legacy_compression_method: 0,
    extensions: arranged(config, "SH", [
      extension("supported_versions", TLS_1_3),
      extension("key_share", { group: NamedGroup.codes[group.name], key_exchange: exchange.publicKey }),
    ]),
  });
  transcript.add(serverHello);
  effects.send("initial", serverHello);

  const keys: KeyContext = { hash, transcript, effects, clientRandom: random, held };
  const { secret: handshakeSecret, traffic: handshakeTraffic } = handshakeKeys(keys, exchange.sharedSecret);
  effects.install("read", "handshake", suite, handshakeTraffic.client.slice());
  effects.install("write", "handshake", suite, handshakeTraffic.server.slice());

  const encryptedExtensions = encodeMessage("encrypted_extensions", EncryptedExtensions, {
    extensions: arranged(config, "EE", encryptedExtensionsBlock(hello, alpn)),
  });
  transcript.add(encryptedExtensions);
  effects.send("handshake", encryptedExtensions);

  const requested = choice.clientAuth === "off" ? undefined : certificateRequestBlock(config, choice);
  if (requested !== undefined) {
    const request = encodeMessage("certificate_request", CertificateRequest, {
      certificate_request_context: NO_CONTEXT,
      extensions: requested,
    });
    transcript.add(request);
    effects.send("handshake", request);
  }
  yield* presentIdentity(config, effects, transcript, { side: "server", context: NO_CONTEXT, identity, scheme });
  sendFinished(effects, transcript, hash, handshakeTraffic.server);

  const { secret: mainSecret, traffic } = applicationKeys(keys, handshakeSecret);
  effects.install("write", "application", suite, traffic.server.slice());
  // Where nothing is left to be decided about the client (RFC 8446 4.4.4).
  if (requested === undefined && config.authorize === undefined) effects.allowApplicationData();

  const client = requested === undefined ? NOBODY : yield* authenticateClient(config, choice, transcript, requested);

  message = yield* receive("WAIT_FINISHED", ["finished"]);
  checkFinished(message, transcript, hash, handshakeTraffic.client);
  effects.install("read", "application", suite, traffic.client.slice());

  const negotiated = { cipherSuite: suite.name, group: group.name, alpn, serverName: hello.serverName, retried };
  const { authorize } = config;
  if (authorize !== undefined) {
    const allowed = yield* call("authorize", "ERR_TLS_CALLBACK_FAILED", () => authorize(client.peer, negotiated));
    if (allowed !== true)
      throw fault("ERR_TLS_ACCESS_DENIED", client.peer?.subject ?? "a client without a certificate");
  }
  effects.allowApplicationData();

  return handshakeResult(
    {
      ...negotiated,
      ...client,
      clientRandom: random,
      identity,
      signatureScheme: scheme,
      clientAuthRequested: requested !== undefined,
    },
    { exporterSecret: traffic.exporter.slice(), resumptionSecret: mainSecret.resumption(transcript.current()) },
  );
}

/** The callback's word over the configuration's. */
function* chooseForClient(config: ServerConfig, hello: OpenedClientHello): Flow<ServerChoice> {
  const { onClientHello } = config;
  if (onClientHello === undefined) return config;
  const replaced = yield* call("client_hello", "ERR_TLS_CALLBACK_FAILED", () =>
    onClientHello({
      serverName: hello.serverName,
      alpn: hello.alpn ?? [],
      signatureSchemes: hello.signatureSchemes,
      cipherSuites: hello.raw.cipher_suites,
      groups: hello.groups,
      raw: hello.raw,
    }),
  );
  return { ...config, ...replaced };
}

type AuthenticatedClient = Pick<HandshakeResult, "peer" | "peerCertificates" | "peerSignatureScheme">;
const NOBODY: AuthenticatedClient = { peer: undefined, peerCertificates: [], peerSignatureScheme: undefined };

/** The client's Certificate and CertificateVerify, RFC 8446 4.4.2.4. */
function* authenticateClient(
  config: ServerConfig,
  choice: ServerChoice,
  transcript: Transcript,
  requested: readonly Extension<"CR">[],
): Flow<AuthenticatedClient> {
  let message: HandshakeMessage = yield* receive("WAIT_CERT", ["certificate"]);
  const peerCertificates = readCertificate(config, message, NO_CONTEXT, requested);
  if (peerCertificates.length === 0) {
    if (choice.clientAuth !== "optional" && choice.clientAuth !== "optional_no_ca")
      throw fault("ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE");
    transcript.add(message.bytes);
    return NOBODY;
  }
  const peer = yield* verifyClient(config, choice, peerCertificates);
  transcript.add(message.bytes);
  message = yield* receive("WAIT_CV", ["certificate_verify"]);
  const peerSignatureScheme = yield* checkCertificateVerify(config, message, peer, transcript);
  transcript.add(message.bytes);
  return { peer, peerCertificates, peerSignatureScheme };
}

function* verifyClient(
  config: ServerConfig,
  choice: ServerChoice,
  certificates: readonly Uint8Array[],
): Flow<PeerIdentity> {
  const request = {
    certificates,
    role: "client",
    name: undefined,
    time: config.now(),
    provider: config.provider,
  } as const;
  try {
    return yield* choice.verifier.verify(request);
  } catch (error) {
    const unknownCa = error instanceof TlsError && UNKNOWN_CA_CODES.includes(error.code);
    if (choice.clientAuth !== "optional_no_ca" || !unknownCa) throw error;
    return yield* acceptAnyVerifier().verify(request);
  }
}

/** RFC 8446 4.1.4 */
function helloRetryRequest(
  config: ServerConfig,
  hello: OpenedClientHello,
  suite: CipherSuite,
  group: Group,
  cookie: Uint8Array | undefined,
): Uint8Array {
  const block: Extension<"HRR">[] = [
    extension("supported_versions", TLS_1_3),
    extension("key_share", NamedGroup.codes[group.name]),
  ];
  if (cookie !== undefined) block.push(extension("cookie", cookie));
  return encodeMessage("hello_retry_request", HelloRetryRequest, {
    legacy_version: ProtocolVersion.codes["TLS 1.2"],
    random: retryRandom(),
    legacy_session_id_echo: hello.raw.legacy_session_id,
    cipher_suite: CipherSuiteId.codes[suite.name],
    legacy_compression_method: 0,
    extensions: arranged(config, "HRR", block),
  });
}

/** RFC 8446 4.3.1. RFC 6066 3 has an empty server_name say that the name was used. */
function encryptedExtensionsBlock(hello: OpenedClientHello, alpn: string | undefined): readonly Extension<"EE">[] {
  const block: Extension<"EE">[] = [];
  if (hello.serverName !== undefined) block.push(extension("server_name", true));
  if (alpn !== undefined) block.push(extension("application_layer_protocol_negotiation", [utf8(alpn)]));
  return block;
}

/** RFC 8446 4.3.2 */
function certificateRequestBlock(config: ServerConfig, choice: ServerChoice): readonly Extension<"CR">[] {
  const block: Extension<"CR">[] = [
    extension(
      "signature_algorithms",
      config.signatureSchemes.map((name) => SignatureScheme.codes[name]),
    ),
    extension("signature_algorithms_cert", config.certificateSignatureSchemes),
  ];
  if (choice.authorities.length > 0) block.push(extension("certificate_authorities", choice.authorities));
  if (config.oidFilters.length > 0) block.push(extension("oid_filters", config.oidFilters));
  return arranged(config, "CR", block);
}

function arranged<M extends "SH" | "HRR" | "EE" | "CR">(
  config: ServerConfig,
  context: M,
  block: readonly Extension<M>[],
): readonly Extension<M>[] {
  return config.arrange?.(context, block) ?? block;
}
