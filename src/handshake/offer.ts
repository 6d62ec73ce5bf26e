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
  SignatureScheme,
} from "../codec/registry.ts";
import type { Group, KeyShare } from "../crypto/provider.ts";
import { fault } from "../errors.ts";
import { type Flow, wait } from "../flow.ts";
import type { Transcript } from "../schedule/transcript.ts";
import { parseAddress } from "../x509/address.ts";
import type { OfferedKeys } from "./client-psk.ts";
import type { ClientConfig } from "./config.ts";
import { checkResponses } from "./negotiate.ts";

/** A ClientHello as sent, with the private halves of its shares. */
export interface Offer {
  readonly hello: ClientHello;
  readonly message: Uint8Array;
  readonly block: readonly Extension<"CH">[];
  readonly shares: ReadonlyMap<number, { readonly group: Group; readonly share: KeyShare }>;
}

export function* firstOffer(config: ClientConfig, keys: OfferedKeys | undefined, transcript: Transcript): Flow<Offer> {
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
  if (config.authorities.length > 0) block.push(extension("certificate_authorities", config.authorities));
  block.push(...(config.recordLimits?.extensions ?? []));
  if (config.requestStatus) {
    const status_type = CertificateStatusType.codes.ocsp;
    block.push(
      extension("status_request", { status_type, responder_id_list: [], request_extensions: new Uint8Array(0) }),
    );
  }
  if (config.requestScts) block.push(extension("signed_certificate_timestamp", true));
  const compressions = config.compression?.accepted ?? [];
  if (compressions.length > 0) block.push(extension("compress_certificate", compressions));
  if (config.alpn.length > 0) block.push(extension("application_layer_protocol_negotiation", config.alpn.map(utf8)));
  if (config.postHandshakeAuth) block.push(extension("post_handshake_auth", true));
  block.push(...(keys?.extensions ?? []));
  const plain = { suites: config.suites.map(({ name }) => CipherSuiteId.codes[name]), block };
  const lists = config.grease?.(config.sources, plain) ?? plain;
  const hello = {
    legacy_version: ProtocolVersion.codes["TLS 1.2"],
    random: config.sources.random("client_random", 32),
    legacy_session_id: config.compatibilityMode ? config.sources.random("legacy_session_id", 32) : new Uint8Array(0),
    cipher_suites: lists.suites,
    legacy_compression_methods: Uint8Array.of(0),
  };
  return buildOffer(config, keys, { hello, block: lists.block, shares }, transcript);
}

/** The same ClientHello but for what the HelloRetryRequest asks, RFC 8446 4.1.2 and 4.1.4. */
export function* secondOffer(
  config: ClientConfig,
  keys: OfferedKeys | undefined,
  first: Offer,
  retry: HelloRetryRequest,
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
  return buildOffer(config, keys, { hello: first.hello, block, shares }, transcript);
}

interface Parts extends Pick<Offer, "block" | "shares"> {
  readonly hello: Omit<ClientHello, "extensions">;
}

function buildOffer(
  config: ClientConfig,
  keys: OfferedKeys | undefined,
  { hello, block: plain, shares }: Parts,
  transcript: Transcript,
): Offer {
  // RFC 8446 4.2.11: the keys come last.
  const whole = [...plain, ...(keys?.identities() ?? [])];
  const block = config.arrange?.("CH", whole) ?? whole;
  const arranged = { ...hello, extensions: block };
  const message = encodeMessage("client_hello", ClientHello, arranged);
  keys?.bind(message, transcript);
  return { hello: arranged, block, shares, message };
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

/** The server's share with ours. */
export function selectedShare(
  offer: Offer,
  serverHello: ServerHello,
): { readonly group: NamedGroupName; readonly ours: KeyShare; readonly theirs: Uint8Array } {
  const share = find(serverHello.extensions, "key_share");
  if (share === undefined) throw fault("ERR_TLS_MISSING_EXTENSION", "key_share");
  const ours = offer.shares.get(share.group);
  if (ours === undefined) {
    throw fault(
      "ERR_TLS_ILLEGAL_PARAMETER",
      `no share was sent for group ${NamedGroup.name(share.group) ?? share.group}`,
    );
  }
  return { group: ours.group.name, ours: ours.share, theirs: share.key_exchange };
}
