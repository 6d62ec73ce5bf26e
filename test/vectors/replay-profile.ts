/**
 * The profile under which our engines say again what RFC 8448 recorded: offered lists, extension order, randoms, key shares,
 * cookie, signatures and certificates come from the trace, everything else from the engines. For tests alone.
 */
import { type Extension, type ExtensionContext, find } from "../../src/codec/extensions.ts";
import {
  Certificate,
  CertificateRequest,
  CertificateVerify,
  ClientHello,
  EncryptedExtensions,
  HelloRetryRequest,
  messageName,
  NewSessionTicket,
  ServerHello,
} from "../../src/codec/messages.ts";
import {
  CipherSuiteId,
  type CipherSuiteName,
  NamedGroup,
  type NamedGroupName,
  SignatureScheme,
  type SignatureSchemeName,
} from "../../src/codec/registry.ts";
import { decode, type Schema } from "../../src/codec/schema.ts";
import type { CryptoProvider, Group, KeyShare } from "../../src/crypto/provider.ts";
import { clientAftermath, serverAftermath } from "../../src/engine/aftermath.ts";
import { TlsEngine } from "../../src/engine/engine.ts";
import { everyFeature } from "../../src/engine/features/index.ts";
import { resolveLimits } from "../../src/engine/limits.ts";
import type { Observation } from "../../src/engine/observer.ts";
import type { HandshakeName } from "../../src/flow.ts";
import { clientHandshake } from "../../src/handshake/client.ts";
import { clientKeys } from "../../src/handshake/client-psk.ts";
import type { ClientConfig, CommonConfig, ServerConfig } from "../../src/handshake/config.ts";
import { createIdentity, type Identity } from "../../src/handshake/identity.ts";
import { serverHandshake } from "../../src/handshake/server.ts";
import { encodeSession, type Session } from "../../src/handshake/session.ts";
import type { Sources } from "../../src/handshake/sources.ts";
import type { TicketPolicy } from "../../src/handshake/tickets.ts";
import { acceptAnyVerifier } from "../../src/x509/verifier.ts";
import { type Actor, type Trace, trace as traceOfSection } from "../../vectors/rfc8448/load.ts";
import { keyPairs } from "./key-pairs.ts";

/** Accepted in CertificateVerify: what the traces use and some more. */
const SCHEMES: readonly SignatureSchemeName[] = ["ecdsa_secp256r1_sha256", "rsa_pss_rsae_sha256"];

const NOW = Date.UTC(2017, 0, 1);

/** An engine that plays `actor` in the trace. */
export function replayEngine(
  trace: Trace,
  actor: Actor,
  provider: CryptoProvider,
  observer?: (observation: Observation) => void,
): TlsEngine {
  const limits = resolveLimits({ provider, clock: () => 0, observer });
  if (actor === "client") {
    const config = clientConfig(trace, provider);
    return new TlsEngine(
      "client",
      (effects) => clientHandshake(config, effects),
      limits,
      clientAftermath(config, everyFeature),
    );
  }
  const config = serverConfig(trace, provider);
  return new TlsEngine("server", (effects) => serverHandshake(config, effects), limits, serverAftermath(config));
}

/** Handshake messages that the actor sent, by name, from the payloads of its records. */
function sent<T>(trace: Trace, actor: Actor, name: HandshakeName, schema: Schema<T>): T[] {
  return trace.records
    .filter((record) => record.sender === actor && record.type === "handshake")
    .flatMap(({ payload }) => messages(payload))
    .filter((message) => messageName(message[0] as number, message.subarray(4)) === name)
    .map((message) => decode(schema, message.subarray(4)));
}

function messages(payload: Uint8Array): Uint8Array[] {
  const found: Uint8Array[] = [];
  for (let rest = payload; rest.length > 0; ) {
    const length = 4 + (((rest[1] as number) << 16) | ((rest[2] as number) << 8) | (rest[3] as number));
    found.push(rest.subarray(0, length));
    rest = rest.subarray(length);
  }
  return found;
}

function common(trace: Trace, actor: Actor, provider: CryptoProvider): CommonConfig {
  return {
    provider,
    sources: recordedSources(trace, actor),
    now: () => NOW,
    suites: [],
    groups: [],
    signatureSchemes: SCHEMES,
    certificateSignatureSchemes: [],
    alpn: [],
    verifier: acceptAnyVerifier(),
    maxCertificates: 4,
    requestStatus: false,
    requestScts: false,
    compression: undefined,
    authorize: undefined,
    arrange: recordedArrangement(trace, actor),
  };
}

function clientConfig(trace: Trace, provider: CryptoProvider): ClientConfig {
  const [hello] = sent(trace, "client", "client_hello", ClientHello) as [ClientHello];
  const block = hello.extensions ?? [];
  const suite = (code: number) => provider.suites.find(({ name }) => CipherSuiteId.codes[name] === code);
  const groups = (find(block, "supported_groups") ?? []).map((code) => groupNamed(provider, NamedGroup.name(code)));
  const session = sessionOf(trace);
  const firstShares = (find(block, "key_share") ?? []).map(({ group }) => NamedGroup.name(group) as NamedGroupName);
  return {
    ...common(trace, "client", provider),
    suites: hello.cipher_suites.map(suite).filter((found) => found !== undefined),
    groups: groups.filter((group) => group !== undefined),
    serverName: "server",
    checkName: false,
    keyShareGroups: firstShares,
    compatibilityMode: hello.legacy_session_id.length > 0,
    identities: identityOf(trace, "client"),
    selectIdentity: undefined,
    ignoreRequestHints: true,
    authorities: [],
    ...clientKeys({
      psks: [],
      sessions: session && { take: () => session, put: () => {} },
      pskModes: ["psk_dhe_ke"],
      pskWithCertificates: false,
      earlyData: session !== undefined,
    }),
    postHandshakeAuth: false,
    recordLimits: undefined,
    grease: undefined,
  };
}

function serverConfig(trace: Trace, provider: CryptoProvider): ServerConfig {
  const [hello] = sent(trace, "server", "server_hello", ServerHello) as [ServerHello];
  const share = find(hello.extensions, "key_share");
  const suite = provider.suites.find(({ name }) => CipherSuiteId.codes[name as CipherSuiteName] === hello.cipher_suite);
  const group = groupNamed(provider, NamedGroup.name(share?.group ?? 0));
  if (suite === undefined || group === undefined) throw new Error("the trace uses something the provider lacks");
  return {
    ...common(trace, "server", provider),
    suites: [suite],
    groups: [group],
    identities: identityOf(trace, "server"),
    clientAuth: sent(trace, "server", "certificate_request", CertificateRequest).length > 0 ? "on" : "off",
    authorities: [],
    strictServerName: false,
    oidFilters: [],
    postHandshakeAuth: false,
    recordSizeLimit: undefined,
    grease: false,
    pskModes: ["psk_dhe_ke"],
    pskWithCertificates: false,
    onClientHello: undefined,
    findPsk: undefined,
    tickets: ticketsOf(trace),
    earlyData: { maxSize: 1024, window: 0, antiReplay: { claim: () => true } },
    cookies: undefined,
  };
}

function groupNamed(provider: CryptoProvider, name: string | undefined): Group | undefined {
  return provider.groups.find((group) => group.name === name);
}

function identityOf(trace: Trace, actor: Actor): Identity[] {
  const [certificate] = sent(trace, actor, "certificate", Certificate);
  const [verify] = sent(trace, actor, "certificate_verify", CertificateVerify);
  if (certificate === undefined || verify === undefined) return [];
  const scheme = SignatureScheme.name(verify.algorithm) as SignatureSchemeName;
  return [
    createIdentity(
      certificate.certificate_list.map(({ cert_data }) => cert_data),
      { schemes: [scheme], sign: () => Promise.reject(new Error("the signature comes from the trace")) },
    ),
  ];
}

function recordedSources(trace: Trace, actor: Actor): Sources {
  const shares = trace.steps.filter((step) => step.actor === actor && /^create an ephemeral/.test(step.action));
  const hellos = sent(trace, "client", "client_hello", ClientHello);
  const serverHello = sent(trace, "server", "server_hello", ServerHello)[0] as ServerHello;
  const retry = sent(trace, "server", "hello_retry_request", HelloRetryRequest)[0];
  const verify = sent(trace, actor, "certificate_verify", CertificateVerify)[0];
  let next = 0;
  const keyShare = (group: Group): KeyShare => {
    const step = shares[next++];
    if (step === undefined) throw new Error("the trace has no more key shares");
    const [pair] = keyPairs(group.name === "x25519" ? "x25519" : "P-256", step.bytes("private key"));
    if (pair === undefined) throw new Error("no key pair");
    return pair;
  };
  const cookie = retry && find(retry.extensions, "cookie");
  return {
    random: (purpose) => {
      if (purpose === "server_random") return serverHello.random.slice();
      if (purpose === "ticket_age_add") return ageAddOf(trace);
      return (purpose === "client_random" ? hellos[0]?.random : hellos[0]?.legacy_session_id)?.slice() as Uint8Array;
    },
    keyShare,
    encapsulate: (group, peer) => {
      const share = keyShare(group);
      return { publicKey: share.publicKey, sharedSecret: share.agree(peer) as Uint8Array };
    },
    sign: () => {
      if (verify === undefined) throw new Error("the trace has no signature");
      return verify.signature.slice();
    },
    cookie: () => cookie,
    ticket: () => sent(trace, "server", "new_session_ticket", NewSessionTicket)[0]?.ticket,
  };
}

function ageAddOf(trace: Trace): Uint8Array {
  const bytes = new Uint8Array(4);
  const [ticket] = sent(trace, "server", "new_session_ticket", NewSessionTicket);
  new DataView(bytes.buffer).setUint32(0, ticket?.ticket_age_add ?? 0);
  return bytes;
}

/** The session that the trace goes on from; its ticket comes at the age that the ClientHello says. */
function sessionOf(trace: Trace): Session | undefined {
  const [hello] = sent(trace, "client", "client_hello", ClientHello) as [ClientHello];
  const offered = find(hello.extensions ?? [], "pre_shared_key")?.identities[0];
  if (offered === undefined) return undefined;
  const [certificate] = sent(traceOfSection(3), "server", "certificate", Certificate) as [Certificate];
  return {
    ticket: offered.identity,
    key: trace.find("client", 'extract secret "early"').bytes("IKM"),
    cipherSuite: "TLS_AES_128_GCM_SHA256",
    createdAt: NOW,
    authenticatedAt: NOW,
    generation: 0,
    lifetime: 30,
    ageAdd: offered.obfuscated_ticket_age,
    maxEarlyData: 1024,
    serverName: "server",
    alpn: undefined,
    peerCertificates: certificate.certificate_list.map(({ cert_data }) => cert_data),
    peerSignatureScheme: undefined,
    peerOcspResponse: undefined,
    peerScts: [],
    externalIdentity: undefined,
    externalFingerprint: undefined,
    policy: "",
  };
}

/** One ticket where the trace has one, and the session behind the one that it goes on from. */
function ticketsOf(trace: Trace): TicketPolicy {
  const session = sessionOf(trace);
  return {
    store: {
      issue: () => {
        throw new Error("the ticket comes from the trace");
      },
      redeem: () => session && encodeSession({ ...session, ticket: new Uint8Array(0), peerCertificates: [] }),
    },
    count: sent(trace, "server", "new_session_ticket", NewSessionTicket).length,
    lifetime: 30,
    maxAge: 30,
    policy: "",
  };
}

/** Extensions whose content is ours even so; of the others the trace has what this library does not send. */
const OURS: readonly string[] = [
  "key_share",
  "supported_versions",
  "cookie",
  "server_name",
  "early_data",
  "pre_shared_key",
  "psk_key_exchange_modes",
];

/** Brings our extensions into the recorded order and completes them with the recorded ones, message by message. */
function recordedArrangement(trace: Trace, actor: Actor): CommonConfig["arrange"] {
  const recorded: Record<string, (readonly Extension<ExtensionContext>[])[]> = {
    CH: sent(trace, actor, "client_hello", ClientHello).map(({ extensions }) => extensions ?? []),
    HRR: sent(trace, actor, "hello_retry_request", HelloRetryRequest).map(({ extensions }) => extensions),
    SH: sent(trace, actor, "server_hello", ServerHello).map(({ extensions }) => extensions),
    EE: sent(trace, actor, "encrypted_extensions", EncryptedExtensions).map(({ extensions }) => extensions),
    CR: sent(trace, actor, "certificate_request", CertificateRequest).map(({ extensions }) => extensions),
    NST: sent(trace, actor, "new_session_ticket", NewSessionTicket).map(({ extensions }) => extensions),
  };
  return (context, block) => {
    const wanted = recorded[context]?.shift();
    if (wanted === undefined) throw new Error(`the trace has no further ${context}`);
    return wanted.map((entry) => {
      const own = block.find(({ code }) => code === entry.code);
      return own !== undefined && OURS.includes(own.name ?? "") ? own : entry;
    }) as typeof block;
  };
}
