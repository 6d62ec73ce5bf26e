/** The ClientHello, first and second (RFC 8446 4.1.2), with key shares and pre-shared keys. */
import { utf8 } from "../bytes/bytes.ts";
import { type Extension, extension, find } from "../codec/extensions.ts";
import { ClientHello, encodeMessage, type HelloRetryRequest, type ServerHello } from "../codec/messages.ts";
import {
  CertificateStatusType,
  CipherSuiteId,
  NamedGroup,
  type NamedGroupName,
  ProtocolVersion,
  PskKeyExchangeMode,
  SignatureScheme,
} from "../codec/registry.ts";
import type { CipherSuite, Group, Hash, KeyShare } from "../crypto/provider.ts";
import { fault } from "../errors.ts";
import { type Flow, wait } from "../flow.ts";
import type { Transcript } from "../schedule/transcript.ts";
import { parseAddress } from "../x509/address.ts";
import type { KnownKey, KnownKeys } from "./client-psk.ts";
import { acceptedCompressions } from "./compression.ts";
import type { ClientConfig } from "./config.ts";
import { drawGrease, greasedProtocol, greaseExtension } from "./grease.ts";
import { checkResponses } from "./negotiate.ts";
import { bindersLength, pskBinder } from "./psk.ts";
import { helloLimits } from "./record-limits.ts";

/** A ClientHello as sent, with the private halves of its shares. */
export interface Offer {
  readonly hello: ClientHello;
  readonly message: Uint8Array;
  readonly block: readonly Extension<"CH">[];
  readonly shares: ReadonlyMap<number, { readonly group: Group; readonly share: KeyShare }>;
  /** In the order of the identities. */
  readonly keys: readonly KnownKey[];
}

export function* firstOffer(config: ClientConfig, known: KnownKeys, transcript: Transcript): Flow<Offer> {
  const groups = config.groups.filter(({ name }) => config.keyShareGroups.includes(name));
  const shares = yield* generateShares(config, groups);
  const schemes = config.signatureSchemes.map((name) => SignatureScheme.codes[name]);
  const grease = drawGrease(config);
  const greased = (code: number | undefined): readonly number[] => (code === undefined ? [] : [code]);
  const block: Extension<"CH">[] = grease === undefined ? [] : [greaseExtension(grease.extensions[0])];
  if (config.serverName !== undefined && parseAddress(config.serverName) === undefined) {
    block.push(extension("server_name", [{ name_type: 0, host_name: utf8(config.serverName) }]));
  }
  block.push(
    extension("supported_groups", [
      ...greased(grease?.group),
      ...config.groups.map(({ name }) => NamedGroup.codes[name]),
    ]),
    extension("signature_algorithms", [...greased(grease?.scheme), ...schemes]),
    extension("signature_algorithms_cert", config.certificateSignatureSchemes),
    extension("supported_versions", [...greased(grease?.version), ProtocolVersion.codes["TLS 1.3"]]),
    extension("key_share", [
      ...greased(grease?.group).map((group) => ({ group, key_exchange: Uint8Array.of(0) })),
      ...shareEntries(shares),
    ]),
  );
  if (config.authorities.length > 0) block.push(extension("certificate_authorities", config.authorities));
  block.push(...helloLimits(config));
  if (config.requestStatus) {
    const status_type = CertificateStatusType.codes.ocsp;
    block.push(
      extension("status_request", { status_type, responder_id_list: [], request_extensions: new Uint8Array(0) }),
    );
  }
  if (config.requestScts) block.push(extension("signed_certificate_timestamp", true));
  const compressions = acceptedCompressions(config);
  if (compressions.length > 0) block.push(extension("compress_certificate", compressions));
  if (config.alpn.length > 0) {
    block.push(
      extension("application_layer_protocol_negotiation", [...greasedProtocol(grease), ...config.alpn.map(utf8)]),
    );
  }
  // Without it a server would send no tickets either.
  if (known.keys.length > 0 || config.sessions !== undefined) {
    const modes = config.pskModes.map((mode) => PskKeyExchangeMode.codes[mode]);
    block.push(extension("psk_key_exchange_modes", [...modes, ...greased(grease?.pskMode)]));
  }
  if (config.postHandshakeAuth) block.push(extension("post_handshake_auth", true));
  if (config.pskWithCertificates) block.push(extension("tls_cert_with_extern_psk", true));
  if (known.early) block.push(extension("early_data", true));
  if (grease !== undefined) block.push(greaseExtension(grease.extensions[1], 0));
  const hello = {
    legacy_version: ProtocolVersion.codes["TLS 1.2"],
    random: config.sources.random("client_random", 32),
    legacy_session_id: config.compatibilityMode ? config.sources.random("legacy_session_id", 32) : new Uint8Array(0),
    cipher_suites: [...greased(grease?.suite), ...config.suites.map(({ name }) => CipherSuiteId.codes[name])],
    legacy_compression_methods: Uint8Array.of(0),
  };
  return buildOffer(config, { hello, block, shares, keys: known.keys }, transcript);
}

/** The same ClientHello but for what the HelloRetryRequest asks, RFC 8446 4.1.2 and 4.1.4. */
export function* secondOffer(
  config: ClientConfig,
  first: Offer,
  retry: HelloRetryRequest,
  suite: CipherSuite,
  transcript: Transcript,
): Flow<Offer> {
  checkResponses(retry.extensions, first.block);
  const code = find(retry.extensions, "key_share");
  const cookie = find(retry.extensions, "cookie");
  if (code === undefined && cookie === undefined) {
    throw fault("ERR_TLS_ILLEGAL_PARAMETER", "a HelloRetryRequest that changes nothing (RFC 8446 4.1.4)");
  }
  let { shares } = first;
  let block = first.block.filter(({ name }) => name !== "early_data" && name !== "pre_shared_key");
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
  // RFC 8446 4.1.2: keys that do not go with the suite chosen are left out.
  const keys = first.keys.filter(({ psk }) => psk.hash === suite.hash.name);
  return buildOffer(config, { hello: first.hello, block, shares, keys }, transcript);
}

interface Parts extends Pick<Offer, "block" | "shares" | "keys"> {
  readonly hello: Omit<ClientHello, "extensions">;
}

function buildOffer(config: ClientConfig, { hello, block: plain, shares, keys }: Parts, transcript: Transcript): Offer {
  const hashOf = ({ psk }: KnownKey): Hash => config.provider.hashes[psk.hash];
  const binders = keys.map((key) => new Uint8Array(hashOf(key).length));
  const identities = keys.map(({ psk, obfuscatedAge }) => ({
    identity: psk.identity,
    obfuscated_ticket_age: obfuscatedAge(config.now()),
  }));
  // RFC 8446 4.2.11: the last extension.
  const whole =
    keys.length === 0
      ? plain
      : [...plain, extension<"CH", "pre_shared_key">("pre_shared_key", { identities, binders })];
  const block = config.arrange?.("CH", whole) ?? whole;
  const arranged = { ...hello, extensions: block };
  const message = encodeMessage("client_hello", ClientHello, arranged);
  if (keys.length > 0) {
    let position = message.length - bindersLength(binders);
    const partial = message.slice(0, position);
    position += 2;
    for (const key of keys) {
      const binder = pskBinder(hashOf(key), key.psk, transcript, partial);
      message.set(binder, position + 1);
      position += 1 + binder.length;
    }
  }
  return { hello: arranged, block, shares, keys, message };
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

/**
 * The server's share with ours; `undefined` when a pre-shared key does without (RFC 8446 4.2.9, 4.2.11).
 */
export function selectedShare(
  { pskModes }: ClientConfig,
  offer: Offer,
  serverHello: ServerHello,
  withKey: boolean,
): { readonly group: NamedGroupName; readonly ours: KeyShare; readonly theirs: Uint8Array } | undefined {
  const share = find(serverHello.extensions, "key_share");
  if (share === undefined) {
    if (!withKey) throw fault("ERR_TLS_MISSING_EXTENSION", "key_share");
    if (!pskModes.includes("psk_ke")) throw fault("ERR_TLS_ILLEGAL_PARAMETER", "no key_share, which psk_dhe_ke needs");
    return undefined;
  }
  if (withKey && !pskModes.includes("psk_dhe_ke")) {
    throw fault("ERR_TLS_ILLEGAL_PARAMETER", "a key_share beside a key that was offered without (psk_ke)");
  }
  const ours = offer.shares.get(share.group);
  if (ours === undefined) {
    throw fault(
      "ERR_TLS_ILLEGAL_PARAMETER",
      `no share was sent for group ${NamedGroup.name(share.group) ?? share.group}`,
    );
  }
  return { group: ours.group.name, ours: ours.share, theirs: share.key_exchange };
}
