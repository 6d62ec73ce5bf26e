/** The client's handshake, top to bottom as RFC 8446 figure 1 and Appendix A.1 have it. */
import { latin1, utf8 } from "../bytes/bytes.ts";
import { shown } from "../bytes/text.ts";
import { type Extension, extension, find } from "../codec/extensions.ts";
import {
  CertificateRequest,
  ClientHello,
  decodeBody,
  EncryptedExtensions,
  encodeMessage,
  type HandshakeMessage,
  HelloRetryRequest,
  LegacyServerHello,
  ServerHello,
} from "../codec/messages.ts";
import { CipherSuiteId, NamedGroup, type NamedGroupName, ProtocolVersion, SignatureScheme } from "../codec/registry.ts";
import type { CipherSuite, Group, KeyShare } from "../crypto/provider.ts";
import { fault } from "../errors.ts";
import { type Flow, wait } from "../flow.ts";
import type { Held } from "../schedule/secrets.ts";
import { Transcript } from "../schedule/transcript.ts";
import { parseAddress } from "../x509/address.ts";
import { checkCertificateVerify, checkFinished, presentIdentity, readCertificate, sendFinished } from "./auth.ts";
import type { ClientConfig, HandshakeResult } from "./config.ts";
import { type Identity, type IdentityRequest, selectClientIdentity, usableScheme } from "./identity.ts";
import { call, type HandshakeEffects, receive } from "./io.ts";
import { applicationKeys, handshakeKeys, holding, type KeyContext } from "./keys.ts";
import { checkResponses, checkServerHello, refuseOlderVersion } from "./negotiate.ts";
import { handshakeResult } from "./result.ts";

const NO_CONTEXT = new Uint8Array(0);

/** A ClientHello as sent, with the private halves of its shares. */
interface Offer {
  readonly hello: ClientHello;
  readonly message: Uint8Array;
  readonly block: readonly Extension<"CH">[];
  readonly shares: ReadonlyMap<number, { readonly group: Group; readonly share: KeyShare }>;
}

/**
 * Runs a client's handshake.
 *
 * @throws TlsError for whatever ends it; the engine turns that into an alert.
 */
export function clientHandshake(config: ClientConfig, effects: HandshakeEffects): Flow<HandshakeResult> {
  return holding((held) => run(config, effects, held));
}

function* run(config: ClientConfig, effects: HandshakeEffects, held: Held): Flow<HandshakeResult> {
  const transcript = new Transcript();
  let offer = yield* firstOffer(config);
  const { random, legacy_session_id } = offer.hello;
  transcript.add(offer.message);
  effects.send("initial", offer.message);
  if (legacy_session_id.length > 0) effects.compatibilityMode();

  let message = yield* receive("WAIT_SH", ["server_hello", "hello_retry_request"]);
  let retrySuite: CipherSuite | undefined;
  if (message.type === "hello_retry_request") {
    refuseTls12(message);
    const retry = decodeBody(HelloRetryRequest, message);
    retrySuite = checkServerHello(retry, offer.hello, config.suites, undefined);
    transcript.begin(retrySuite.hash);
    transcript.replaceByMessageHash();
    transcript.add(message.bytes);
    offer = yield* secondOffer(config, offer, retry);
    transcript.add(offer.message);
    effects.send("initial", offer.message);
    message = yield* receive("WAIT_SH", ["server_hello"]);
  }

  refuseTls12(message);
  const serverHello = decodeBody(ServerHello, message);
  const suite = checkServerHello(serverHello, offer.hello, config.suites, retrySuite);
  checkResponses(serverHello.extensions, offer.block);
  const serverShare = find(serverHello.extensions, "key_share");
  if (serverShare === undefined) throw fault("ERR_TLS_MISSING_EXTENSION", "key_share");
  const ours = offer.shares.get(serverShare.group);
  if (ours === undefined) {
    throw fault(
      "ERR_TLS_ILLEGAL_PARAMETER",
      `no share was sent for group ${NamedGroup.name(serverShare.group) ?? serverShare.group}`,
    );
  }
  const { hash } = suite;
  transcript.begin(hash);
  transcript.add(message.bytes);

  const sharedSecret = yield* wait("key_agreement", ours.share.agree(serverShare.key_exchange));
  const keys: KeyContext = { hash, transcript, effects, clientRandom: random, held };
  const { secret: handshakeSecret, traffic: handshakeTraffic } = handshakeKeys(keys, sharedSecret);
  effects.install("read", "handshake", suite, handshakeTraffic.server.slice());
  effects.install("write", "handshake", suite, handshakeTraffic.client.slice());

  message = yield* receive("WAIT_EE", ["encrypted_extensions"]);
  const encrypted = decodeBody(EncryptedExtensions, message);
  checkResponses(encrypted.extensions, offer.block);
  const alpn = selectedProtocol(encrypted.extensions, config.alpn);
  transcript.add(message.bytes);

  message = yield* receive("WAIT_CERT_CR", ["certificate_request", "certificate"]);
  let request: IdentityRequest | undefined;
  if (message.type === "certificate_request") {
    request = readRequest(message);
    transcript.add(message.bytes);
    message = yield* receive("WAIT_CERT", ["certificate"]);
  }

  const peerCertificates = readCertificate(config, message, NO_CONTEXT, offer.block);
  if (peerCertificates.length === 0)
    throw fault("ERR_TLS_DECODE_ERROR", "the server sent no certificate (RFC 8446 4.4.2.4)");
  const peer = yield* config.verifier.verify({
    certificates: peerCertificates,
    role: "server",
    name: config.checkName ? config.serverName : undefined,
    time: config.now(),
    provider: config.provider,
  });
  transcript.add(message.bytes);

  message = yield* receive("WAIT_CV", ["certificate_verify"]);
  const peerSignatureScheme = yield* checkCertificateVerify(config, message, peer, transcript);
  transcript.add(message.bytes);

  message = yield* receive("WAIT_FINISHED", ["finished"]);
  checkFinished(message, transcript, hash, handshakeTraffic.server);

  const { secret: mainSecret, traffic } = applicationKeys(keys, handshakeSecret);
  effects.install("read", "application", suite, traffic.server.slice());

  const negotiated = {
    cipherSuite: suite.name,
    group: ours.group.name,
    alpn,
    serverName: config.serverName,
    retried: retrySuite !== undefined,
  };
  const { authorize } = config;
  if (authorize !== undefined) {
    const allowed = yield* call("authorize", "ERR_TLS_CALLBACK_FAILED", () => authorize(peer, negotiated));
    if (allowed !== true) throw fault("ERR_TLS_ACCESS_DENIED", peer.subject);
  }

  // Only here, past every check of the server, may this side say who it is.
  let identity: Identity | undefined;
  let signatureScheme: HandshakeResult["signatureScheme"];
  if (request !== undefined) {
    identity = yield* chooseIdentity(config, effects, request);
    signatureScheme = identity && usableScheme(identity, request.signatureSchemes);
    yield* presentIdentity(config, effects, transcript, {
      side: "client",
      context: NO_CONTEXT,
      identity,
      scheme: signatureScheme,
    });
  }
  sendFinished(effects, transcript, hash, handshakeTraffic.client);
  effects.install("write", "application", suite, traffic.client.slice());
  effects.allowApplicationData();

  return handshakeResult(
    {
      ...negotiated,
      clientRandom: random,
      peer,
      peerCertificates,
      peerSignatureScheme,
      identity,
      signatureScheme,
      clientAuthRequested: request !== undefined,
    },
    { exporterSecret: traffic.exporter.slice(), resumptionSecret: mainSecret.resumption(transcript.current()) },
  );
}

/** RFC 8446 4.1.2 */
function* firstOffer(config: ClientConfig): Flow<Offer> {
  const groups = config.groups.filter(({ name }) => config.keyShareGroups.includes(name));
  const shares = yield* generateShares(config, groups);
  const schemes = config.signatureSchemes.map((name) => SignatureScheme.codes[name]);
  const block: Extension<"CH">[] = [];
  if (config.serverName !== undefined && parseAddress(config.serverName) === undefined) {
    block.push(extension("server_name", [{ name_type: 0, host_name: utf8(config.serverName) }]));
  }
  block.push(
    extension(
      "supported_groups",
      config.groups.map(({ name }) => NamedGroup.codes[name]),
    ),
    extension("signature_algorithms", schemes),
    extension("signature_algorithms_cert", config.certificateSignatureSchemes),
    extension("supported_versions", [ProtocolVersion.codes["TLS 1.3"]]),
    extension("key_share", shareEntries(shares)),
  );
  if (config.alpn.length > 0) {
    block.push(extension("application_layer_protocol_negotiation", config.alpn.map(utf8)));
  }
  return buildOffer(config, shares, {
    legacy_version: ProtocolVersion.codes["TLS 1.2"],
    random: config.sources.random("client_random", 32),
    legacy_session_id: config.compatibilityMode ? config.sources.random("legacy_session_id", 32) : new Uint8Array(0),
    cipher_suites: config.suites.map(({ name }) => CipherSuiteId.codes[name]),
    legacy_compression_methods: Uint8Array.of(0),
    extensions: block,
  });
}

/** The same ClientHello but for what the HelloRetryRequest asks, RFC 8446 4.1.2 and 4.1.4. */
function* secondOffer(config: ClientConfig, first: Offer, retry: HelloRetryRequest): Flow<Offer> {
  checkResponses(retry.extensions, first.block);
  const code = find(retry.extensions, "key_share");
  const cookie = find(retry.extensions, "cookie");
  if (code === undefined && cookie === undefined) {
    throw fault("ERR_TLS_ILLEGAL_PARAMETER", "a HelloRetryRequest that changes nothing (RFC 8446 4.1.4)");
  }
  let { shares } = first;
  let block = first.block;
  if (code !== undefined) {
    const group = config.groups.find(({ name }) => NamedGroup.codes[name] === code);
    // RFC 8446 4.2.8: a group that was offered and that no share was sent for.
    if (group === undefined || first.shares.has(code)) {
      throw fault("ERR_TLS_ILLEGAL_PARAMETER", `HelloRetryRequest asks for group ${NamedGroup.name(code) ?? code}`);
    }
    shares = yield* generateShares(config, [group]);
    const entries = extension<"CH", "key_share">("key_share", shareEntries(shares));
    block = block.map((entry) => (entry.name === "key_share" ? entries : entry));
  }
  if (cookie !== undefined) block = [...block, extension("cookie", cookie)];
  return buildOffer(config, shares, { ...first.hello, extensions: block });
}

function buildOffer(config: ClientConfig, shares: Offer["shares"], hello: ClientHello): Offer {
  const plain = hello.extensions ?? [];
  const block = config.arrange?.("CH", plain) ?? plain;
  const arranged = { ...hello, extensions: block };
  return { hello: arranged, block, shares, message: encodeMessage("client_hello", ClientHello, arranged) };
}

function* generateShares(config: ClientConfig, groups: readonly Group[]): Flow<Offer["shares"]> {
  const shares = new Map<number, { group: Group; share: KeyShare }>();
  for (const group of groups) {
    const share = yield* wait("key_share", config.sources.keyShare(group));
    shares.set(NamedGroup.codes[group.name as NamedGroupName], { group, share });
  }
  return shares;
}

function shareEntries(shares: Offer["shares"]): { group: number; key_exchange: Uint8Array }[] {
  return [...shares].map(([group, { share }]) => ({ group, key_exchange: share.publicKey }));
}

/** Looks at the version before the extensions: a TLS 1.2 server's are not legal in TLS 1.3, and that is not the news. */
function refuseTls12(message: HandshakeMessage): void {
  const { extensions = [], random, legacy_version } = decodeBody(LegacyServerHello, message);
  if (!extensions.some(({ extension_type }) => extension_type === 43)) refuseOlderVersion(random, legacy_version);
}

/** RFC 7301 3.1: exactly one protocol, and one that was offered. */
function selectedProtocol(block: readonly Extension<"EE">[], offered: readonly string[]): string | undefined {
  const protocols = find(block, "application_layer_protocol_negotiation")?.map(latin1);
  if (protocols === undefined) return undefined;
  const [protocol] = protocols;
  if (protocols.length !== 1 || protocol === undefined || !offered.includes(protocol)) {
    throw fault("ERR_TLS_ILLEGAL_PARAMETER", `the server selected ${shown(protocols)}`);
  }
  return protocol;
}

/** RFC 8446 4.3.2 */
function readRequest(message: HandshakeMessage): IdentityRequest {
  const { certificate_request_context, extensions } = decodeBody(CertificateRequest, message);
  if (certificate_request_context.length > 0) {
    throw fault("ERR_TLS_ILLEGAL_PARAMETER", "certificate_request_context during the handshake (RFC 8446 4.3.2)");
  }
  const signatureSchemes = find(extensions, "signature_algorithms");
  if (signatureSchemes === undefined) throw fault("ERR_TLS_MISSING_EXTENSION", "signature_algorithms");
  return {
    signatureSchemes,
    certificateSignatureSchemes: find(extensions, "signature_algorithms_cert") ?? signatureSchemes,
    authorities: find(extensions, "certificate_authorities") ?? [],
    oidFilters: find(extensions, "oid_filters") ?? [],
  };
}

function* chooseIdentity(
  config: ClientConfig,
  effects: HandshakeEffects,
  request: IdentityRequest,
): Flow<Identity | undefined> {
  const { selectIdentity } = config;
  if (selectIdentity === undefined) return selectClientIdentity(config, request, (event) => effects.emit(event));
  const chosen = yield* call("select_identity", "ERR_TLS_CALLBACK_FAILED", () => selectIdentity(request));
  if (chosen !== undefined && usableScheme(chosen, request.signatureSchemes) === undefined) {
    throw fault("ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM", "the identity chosen cannot sign what the server accepts");
  }
  return chosen;
}
