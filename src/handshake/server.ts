/** The server's handshake, top to bottom as RFC 8446 figure 1 and Appendix A.2 have it. */
import { utf8 } from "../bytes/bytes.ts";
import { type Extension, extension, find } from "../codec/extensions.ts";
import { CertificateRequest, decodeBody, EncryptedExtensions, encodeMessage, ServerHello } from "../codec/messages.ts";
import { CipherSuiteId, NamedGroup, ProtocolVersion, SignatureScheme } from "../codec/registry.ts";
import { empty } from "../codec/schema.ts";
import type { Group } from "../crypto/provider.ts";
import { fault } from "../errors.ts";
import { type Flow, wait } from "../flow.ts";
import { EarlySecret, type Held } from "../schedule/secrets.ts";
import { Transcript } from "../schedule/transcript.ts";
import { checkFinished, inHandshake, presentIdentity, sendFinished, wishesOf } from "./auth.ts";
import { authenticateClient } from "./client-authentication.ts";
import { concludeClient } from "./client-recheck.ts";
import { generationOf, type HandshakeResult, NOBODY, type ServerChoice, type ServerConfig } from "./config.ts";
import { withGrease } from "./grease.ts";
import { type Identity, selectServerIdentity } from "./identity.ts";
import { type HandshakeEffects, receive } from "./io.ts";
import { applicationKeys, earlyKeys, handshakeKeys, holding, type KeyContext } from "./keys.ts";
import { chooseAlpn, type OpenedClientHello } from "./negotiate.ts";
import { openHandshake } from "./opening.ts";
import { commonModes } from "./psk.ts";
import { answerLimits } from "./record-limits.ts";
import { handshakeResult } from "./result.ts";
import { type AcceptedPsk, acceptedEarlyData, asksForBoth, skippedEarlyData } from "./server-psk.ts";
import { undecided } from "./verdict.ts";

const NO_CONTEXT = new Uint8Array(0);
const TLS_1_3 = ProtocolVersion.codes["TLS 1.3"];

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
  const since = generationOf(config, config.verifier);
  const { hello, choice, suite, exchange, psk, retried, offeredEarlyData } = yield* openHandshake(
    config,
    effects,
    transcript,
  );
  const { hash } = suite;

  const alpn = chooseAlpn(choice.alpn, hello.alpn);
  const both = psk !== undefined && asksForBoth(config, hello);
  const presented =
    psk === undefined || both
      ? selectServerIdentity(identitiesOf(choice, hello), hello.serverName, config.strictServerName, hello)
      : undefined;
  const negotiated = {
    cipherSuite: suite.name,
    group: exchange?.group.name,
    alpn,
    serverName: hello.serverName,
    retried,
    psk: psk && { kind: psk.kind, identity: psk.identity },
  };
  // Who comes with a key is known already, so it is decided before anything is said.
  const byKeyAlone = psk !== undefined && !both;
  const judged = { config, choice, negotiated, key: psk, since };
  const known = byKeyAlone ? yield* concludeClient(judged, psk.client) : NOBODY;
  effects.enter("NEGOTIATED");

  const random = hello.raw.random;
  const keys: KeyContext = { hash, transcript, effects, clientRandom: random, held };
  const early = new EarlySecret(hash, psk?.key);
  held.push(early);
  const maxEarlyData = yield* acceptedEarlyData(config, { hello, retried, psk, suite, alpn });
  const earlySecret = maxEarlyData > 0 ? earlyKeys(keys, early) : undefined;

  const key = exchange && (yield* wait("encapsulation", config.sources.encapsulate(exchange.group, exchange.share)));
  const limits = answerLimits(config, effects, hello.extensions);
  const serverHello = encodeMessage("server_hello", ServerHello, {
    legacy_version: ProtocolVersion.codes["TLS 1.2"],
    random: config.sources.random("server_random", 32),
    legacy_session_id_echo: hello.raw.legacy_session_id,
    cipher_suite: CipherSuiteId.codes[suite.name],
    legacy_compression_method: 0,
    extensions: arranged(config, "SH", serverHelloBlock(exchange?.group, key?.publicKey, psk?.index, both)),
  });
  transcript.add(serverHello);
  effects.send("initial", serverHello);

  const sharedSecret = key?.sharedSecret ?? new Uint8Array(hash.length);
  const { secret: handshakeSecret, traffic: handshakeTraffic } = handshakeKeys(keys, early, sharedSecret);
  if (earlySecret !== undefined) {
    effects.install("read", "early", suite, earlySecret.client.slice());
    effects.openEarlyData(maxEarlyData, { hash, secret: earlySecret.exporter.slice() });
  } else {
    effects.install("read", "handshake", suite, handshakeTraffic.client.slice());
    if (hello.earlyData) effects.skipEarlyData(skippedEarlyData(config, psk?.session));
  }
  effects.install("write", "handshake", suite, handshakeTraffic.server.slice());

  const encryptedExtensions = encodeMessage("encrypted_extensions", EncryptedExtensions, {
    extensions: arranged(config, "EE", [
      ...encryptedExtensionsBlock(hello, alpn, psk, earlySecret !== undefined),
      ...limits,
    ]),
  });
  transcript.add(encryptedExtensions);
  effects.send("handshake", encryptedExtensions);

  // RFC 8446 4.3.2: no CertificateRequest beside a pre-shared key, but where RFC 8773 5.2 lifts that.
  const requested = choice.clientAuth === "off" || byKeyAlone ? undefined : certificateRequestBlock(config, choice);
  if (requested !== undefined) {
    const request = certificateRequest(NO_CONTEXT, requested);
    transcript.add(request);
    effects.send("handshake", request);
  }
  if (presented !== undefined) {
    yield* presentIdentity(config, effects, transcript, {
      side: "server",
      context: NO_CONTEXT,
      wishes: wishesOf(hello.extensions),
      identity: presented.identity,
      scheme: presented.scheme,
    });
  }
  sendFinished(effects, transcript, hash, handshakeTraffic.server);

  const { secret: mainSecret, traffic } = applicationKeys(keys, handshakeSecret);
  effects.install("write", "application", suite, traffic.server.slice());
  // Where nothing is left to be decided about the client (RFC 8446 4.4.4).
  if (byKeyAlone || (requested === undefined && config.authorize === undefined)) {
    effects.standOn(() => concludeClient({ ...judged, since: undefined }, undecided(known)));
    effects.allowApplicationData();
  }

  if (earlySecret !== undefined) {
    const message = yield* receive("WAIT_EOED", ["end_of_early_data"]);
    decodeBody(empty, message);
    transcript.add(message.bytes);
    effects.install("read", "handshake", suite, handshakeTraffic.client.slice());
  }
  const mayDecline = choice.clientAuth !== "on";
  const shown =
    requested === undefined
      ? known
      : (yield* authenticateClient(config, choice, inHandshake({ requested, transcript, mayDecline }))).facts;

  const message = yield* receive("WAIT_FINISHED", ["finished"]);
  checkFinished(message, transcript, hash, handshakeTraffic.client);
  effects.install("read", "application", suite, traffic.client.slice());

  const client = yield* concludeClient(judged, shown, byKeyAlone);
  effects.allowApplicationData();

  const offered = find(hello.extensions, "post_handshake_auth") !== undefined;
  // RFC 8446 4.3.2: nor is one sent later, where an external key stands for the client.
  const mayAskLater = config.postHandshakeAuth && offered && (both || psk?.externalIdentity === undefined);
  return handshakeResult(
    negotiated,
    client,
    {
      clientRandom: random,
      identity: presented?.identity,
      signatureScheme: presented?.scheme,
      clientAuthRequested: requested !== undefined,
      resumed: psk?.kind === "resumption",
      resumable: !both && commonModes(config.pskModes, hello.pskModes).length > 0,
      externalIdentity: psk?.externalIdentity,
      externalFingerprint: psk?.externalFingerprint,
      authenticatedAt: psk?.authenticatedAt ?? config.now(),
      earlyData: earlySecret !== undefined ? "accepted" : offeredEarlyData ? "rejected" : undefined,
    },
    {
      exporterSecret: traffic.exporter.slice(),
      resumptionSecret: mainSecret.resumption(transcript.current()),
      afterwards: mayAskLater ? { transcript } : undefined,
      choice,
    },
  );
}

/** Without a certificate of its own, a server can only answer who has a key. */
function identitiesOf(choice: ServerChoice, hello: OpenedClientHello): readonly Identity[] {
  if (choice.identities.length > 0) return choice.identities;
  if (hello.psks !== undefined) throw fault("ERR_TLS_UNKNOWN_PSK");
  throw fault("ERR_SSL_NO_SHARED_CIPHER", "there is no certificate here, and the client offers no pre-shared key");
}

/** RFC 8446 4.1.3 */
function serverHelloBlock(
  group: Group | undefined,
  publicKey: Uint8Array | undefined,
  pskIndex: number | undefined,
  both: boolean,
): readonly Extension<"SH">[] {
  const block: Extension<"SH">[] = [extension("supported_versions", TLS_1_3)];
  if (group !== undefined && publicKey !== undefined) {
    block.push(extension("key_share", { group: NamedGroup.codes[group.name], key_exchange: publicKey }));
  }
  if (pskIndex !== undefined) block.push(extension("pre_shared_key", pskIndex));
  if (both) block.push(extension("tls_cert_with_extern_psk", true));
  return block;
}

/** RFC 8446 4.3.1. RFC 6066 3 has an empty server_name say that the name was used. */
function encryptedExtensionsBlock(
  hello: OpenedClientHello,
  alpn: string | undefined,
  psk: AcceptedPsk | undefined,
  earlyAccepted: boolean,
): readonly Extension<"EE">[] {
  const block: Extension<"EE">[] = [];
  // RFC 6066 3: not when a session goes on.
  if (hello.serverName !== undefined && psk?.kind !== "resumption") block.push(extension("server_name", true));
  if (alpn !== undefined) block.push(extension("application_layer_protocol_negotiation", [utf8(alpn)]));
  if (earlyAccepted) block.push(extension("early_data", true));
  return block;
}

/** RFC 8446 4.3.2 */
export function certificateRequest(context: Uint8Array, extensions: readonly Extension<"CR">[]): Uint8Array {
  return encodeMessage("certificate_request", CertificateRequest, {
    certificate_request_context: context,
    extensions,
  });
}

export function certificateRequestBlock(config: ServerConfig, choice: ServerChoice): readonly Extension<"CR">[] {
  const block: Extension<"CR">[] = [
    extension(
      "signature_algorithms",
      config.signatureSchemes.map((name) => SignatureScheme.codes[name]),
    ),
    extension("signature_algorithms_cert", config.certificateSignatureSchemes),
  ];
  if (config.requestStatus) block.push(extension("status_request", true));
  if (config.requestScts) block.push(extension("signed_certificate_timestamp", true));
  const compressions = config.compression?.accepted ?? [];
  if (compressions.length > 0) block.push(extension("compress_certificate", compressions));
  if (choice.authorities.length > 0) block.push(extension("certificate_authorities", choice.authorities));
  if (config.oidFilters.length > 0) block.push(extension("oid_filters", config.oidFilters));
  return arranged(config, "CR", withGrease(config, block));
}

function arranged<M extends "SH" | "HRR" | "EE" | "CR">(
  config: ServerConfig,
  context: M,
  block: readonly Extension<M>[],
): readonly Extension<M>[] {
  return config.arrange?.(context, block) ?? block;
}
