/** The client's handshake, top to bottom as RFC 8446 figure 1 and Appendix A.1 have it. */
import { latin1 } from "../bytes/bytes.ts";
import { shown } from "../bytes/text.ts";
import { type Extension, find } from "../codec/extensions.ts";
import {
  CertificateRequest,
  decodeBody,
  EncryptedExtensions,
  encodeMessage,
  type HandshakeMessage,
  HelloRetryRequest,
  LegacyServerHello,
  ServerHello,
} from "../codec/messages.ts";
import { empty } from "../codec/schema.ts";
import type { CipherSuite } from "../crypto/provider.ts";
import { fault } from "../errors.ts";
import { type Flow, wait } from "../flow.ts";
import { EarlySecret, type Held } from "../schedule/secrets.ts";
import { Transcript } from "../schedule/transcript.ts";
import {
  certificateMessages,
  checkCertificateVerify,
  checkFinished,
  inHandshake,
  presentIdentity,
  readCertificate,
  sendFinished,
  wishesOf,
} from "./auth.ts";
import { concludeServer, verifyServer } from "./client-verify.ts";
import { type ClientConfig, generationOf, type HandshakeResult, type PeerFacts } from "./config.ts";
import { type Identity, type IdentityRequest, selectClientIdentity, usableScheme } from "./identity.ts";
import { call, type Epoch, type HandshakeEffects, receive } from "./io.ts";
import { applicationKeys, handshakeKeys, holding, type KeyContext } from "./keys.ts";
import { checkResponses, checkServerHello, refuseOlderVersion } from "./negotiate.ts";
import { firstOffer, type Offer, secondOffer, selectedShare } from "./offer.ts";
import { handshakeResult } from "./result.ts";

const NO_CONTEXT = new Uint8Array(0);

/** A CertificateRequest. */
interface Request {
  readonly context: Uint8Array;
  readonly request: IdentityRequest;
}

type ClientEffects = Pick<HandshakeEffects, "send" | "emit">;

interface AuthenticatedServer {
  /** The server wants to know who the client is. */
  readonly request: IdentityRequest | undefined;
  readonly facts: PeerFacts;
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
  const keys = config.preSharedKeys && (yield* config.preSharedKeys.offer(config));
  let offer = yield* firstOffer(config, keys, transcript);
  const { random, legacy_session_id } = offer.hello;
  transcript.add(offer.message);
  effects.send("initial", offer.message);
  if (legacy_session_id.length > 0) effects.compatibilityMode();
  let early = keys?.early ? keys.openEarlyData(effects, transcript, held, offer) : undefined;

  let message = yield* receive("WAIT_SH", ["server_hello", "hello_retry_request"]);
  let retrySuite: CipherSuite | undefined;
  if (message.type === "hello_retry_request") {
    refuseTls12(message);
    const retry = decodeBody(HelloRetryRequest, message);
    retrySuite = checkServerHello(retry, offer.hello, config.suites, undefined);
    effects.assertAligned();
    transcript.begin(retrySuite.hash);
    transcript.replaceByMessageHash();
    transcript.add(message.bytes);
    if (early !== undefined) {
      effects.closeEarlyData("rejected");
      effects.discard("write");
      early = undefined;
    }
    keys?.retry(retrySuite);
    offer = yield* secondOffer(config, keys, offer, retry, transcript);
    transcript.add(offer.message);
    effects.send("initial", offer.message);
    message = yield* receive("WAIT_SH", ["server_hello"]);
  }

  refuseTls12(message);
  const serverHello = decodeBody(ServerHello, message);
  const suite = checkServerHello(serverHello, offer.hello, config.suites, retrySuite);
  checkResponses(serverHello.extensions, offer.block);
  const { hash } = suite;
  const key = keys?.selected(serverHello, hash);
  const psk = key?.psk;
  const both = keys?.besideCertificates(serverHello, key) ?? false;
  const serverShare = keys?.standAlone(serverHello, key) ? undefined : selectedShare(offer, serverHello);
  transcript.begin(hash);
  transcript.add(message.bytes);

  const sharedSecret =
    serverShare === undefined
      ? new Uint8Array(hash.length)
      : yield* wait("key_agreement", serverShare.ours.agree(serverShare.theirs));
  const context: KeyContext = { hash, transcript, effects, clientRandom: random, held };
  const { secret: handshakeSecret, traffic: handshakeTraffic } = handshakeKeys(
    context,
    new EarlySecret(hash, psk?.key),
    sharedSecret,
  );
  effects.install("read", "handshake", suite, handshakeTraffic.server.slice());
  const installWrite = () => effects.install("write", "handshake", suite, handshakeTraffic.client.slice());
  // RFC 8446 4.2.10: only the first key's early data can be accepted.
  if (early !== undefined && key !== early.key) {
    effects.closeEarlyData("rejected");
    early = undefined;
  }
  if (early === undefined) installWrite();

  message = yield* receive("WAIT_EE", ["encrypted_extensions"]);
  const encrypted = decodeBody(EncryptedExtensions, message);
  checkResponses(encrypted.extensions, offer.block);
  config.recordLimits?.accept(effects, encrypted.extensions);
  const alpn = selectedProtocol(encrypted.extensions, config.alpn);
  transcript.add(message.bytes);
  const accepted = find(encrypted.extensions, "early_data") !== undefined;
  if (accepted) keys?.checkEarlyData(early, suite, alpn);
  if (early !== undefined) {
    effects.closeEarlyData(accepted ? "accepted" : "rejected");
    if (!accepted) installWrite();
  }

  const negotiated = {
    cipherSuite: suite.name,
    group: serverShare?.group,
    alpn,
    serverName: config.serverName,
    retried: retrySuite !== undefined,
    psk: psk && { kind: psk.kind, identity: psk.identity },
  };
  const byKeyAlone = key !== undefined && !both;
  const authentication: AuthenticatedServer = byKeyAlone
    ? { request: undefined, facts: key.server }
    : yield* authenticateServer(config, transcript, offer);
  const { request, facts } = authentication;

  message = yield* receive("WAIT_FINISHED", ["finished"]);
  checkFinished(message, transcript, hash, handshakeTraffic.server);

  const { secret: mainSecret, traffic } = applicationKeys(context, handshakeSecret);
  effects.install("read", "application", suite, traffic.server.slice());

  const judged = { config, negotiated, key };
  let server = yield* concludeServer(judged, facts);
  if (accepted) {
    const end = encodeMessage("end_of_early_data", empty, true);
    transcript.add(end);
    effects.send("early", end);
    installWrite();
  }
  // Only here, past every check of the server, may this side say who it is.
  let identity: Identity | undefined;
  let signatureScheme: HandshakeResult["signatureScheme"];
  if (request !== undefined) {
    ({ identity, signatureScheme } = yield* presentClient(config, effects, transcript, {
      context: NO_CONTEXT,
      request,
    }));
  }
  // A key may have taken its time to sign.
  server = yield* concludeServer(judged, server, true);
  sendFinished(effects, transcript, hash, handshakeTraffic.client);
  effects.install("write", "application", suite, traffic.client.slice());
  effects.allowApplicationData();

  return handshakeResult(
    negotiated,
    server,
    {
      clientRandom: random,
      identity,
      signatureScheme,
      clientAuthRequested: request !== undefined,
      resumed: psk?.kind === "resumption",
      resumable: keys?.resumable === true && !both,
      externalIdentity: key?.externalIdentity,
      externalFingerprint: key?.externalFingerprint,
      authenticatedAt: key?.authenticatedAt ?? config.now(),
      earlyData: accepted ? "accepted" : keys?.early ? "rejected" : undefined,
    },
    {
      exporterSecret: traffic.exporter.slice(),
      resumptionSecret: mainSecret.resumption(transcript.current()),
      afterwards: config.postHandshakeAuth ? { transcript } : undefined,
      choice: undefined,
    },
  );
}

/** CertificateRequest, Certificate and CertificateVerify, RFC 8446 4.3.2 and 4.4. */
function* authenticateServer(config: ClientConfig, transcript: Transcript, offer: Offer): Flow<AuthenticatedServer> {
  let message = yield* receive("WAIT_CERT_CR", ["certificate_request", ...certificateMessages(config)]);
  let request: IdentityRequest | undefined;
  if (message.type === "certificate_request") {
    const asked = readRequest(message);
    if (asked.context.length > 0) {
      throw fault("ERR_TLS_ILLEGAL_PARAMETER", "certificate_request_context during the handshake (RFC 8446 4.3.2)");
    }
    request = asked.request;
    transcript.add(message.bytes);
    message = yield* receive("WAIT_CERT", certificateMessages(config));
  }
  const received = readCertificate(config, message, inHandshake({ requested: offer.block }));
  const { peerCertificates, peerOcspResponse, peerScts } = yield* received;
  if (peerCertificates.length === 0)
    throw fault("ERR_TLS_DECODE_ERROR", "the server sent no certificate (RFC 8446 4.4.2.4)");
  const generation = generationOf(config, config.verifier);
  const peer = yield* verifyServer(config, peerCertificates, peerOcspResponse);
  transcript.add(message.bytes);

  message = yield* receive("WAIT_CV", ["certificate_verify"]);
  const peerSignatureScheme = yield* checkCertificateVerify(config, message, peer, transcript);
  transcript.add(message.bytes);
  return { request, facts: { generation, peer, peerCertificates, peerSignatureScheme, peerOcspResponse, peerScts } };
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
export function readRequest(message: HandshakeMessage): Request {
  const { certificate_request_context, extensions } = decodeBody(CertificateRequest, message);
  const signatureSchemes = find(extensions, "signature_algorithms");
  if (signatureSchemes === undefined) throw fault("ERR_TLS_MISSING_EXTENSION", "signature_algorithms");
  const request = {
    signatureSchemes,
    certificateSignatureSchemes: find(extensions, "signature_algorithms_cert") ?? signatureSchemes,
    authorities: find(extensions, "certificate_authorities") ?? [],
    oidFilters: find(extensions, "oid_filters") ?? [],
    wishes: wishesOf(extensions),
  };
  return { context: certificate_request_context, request };
}

/** Chooses who this side is, and says so: Certificate and, unless it is nobody, CertificateVerify. */
export function* presentClient(
  config: ClientConfig,
  effects: ClientEffects,
  transcript: Transcript,
  { context, request }: Request,
  epoch: Epoch = "handshake",
): Flow<Pick<HandshakeResult, "identity" | "signatureScheme">> {
  const identity = yield* chooseIdentity(config, effects, request);
  const scheme = identity && usableScheme(identity, request.signatureSchemes);
  const presented = { side: "client", context, identity, scheme, wishes: request.wishes, epoch } as const;
  yield* presentIdentity(config, effects, transcript, presented);
  return { identity, signatureScheme: scheme };
}

function* chooseIdentity(
  config: ClientConfig,
  effects: ClientEffects,
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
