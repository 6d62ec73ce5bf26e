/** The choices and cross-checks of RFC 8446 4.1 and 4.2: pure functions over decoded messages. */
import { equal, latin1 } from "../bytes/bytes.ts";
import { shown } from "../bytes/text.ts";
import { type Extension, type ExtensionContext, find, type OfferedPsks } from "../codec/extensions.ts";
import { ClientHello, type HelloRetryRequest, type ServerHello } from "../codec/messages.ts";
import { CipherSuiteId, isGrease, NamedGroup, ProtocolVersion } from "../codec/registry.ts";
import { encode } from "../codec/schema.ts";
import type { CipherSuite, Group } from "../crypto/provider.ts";
import { fault } from "../errors.ts";
import { isDomainName } from "../x509/names.ts";

const TLS_1_3 = ProtocolVersion.codes["TLS 1.3"];
const LEGACY_VERSION = ProtocolVersion.codes["TLS 1.2"];

/** A ClientHello with the extensions that TLS 1.3 cannot do without, taken apart. */
export interface OpenedClientHello {
  readonly raw: ClientHello;
  readonly extensions: readonly Extension<"CH">[];
  readonly serverName: string | undefined;
  readonly alpn: readonly string[] | undefined;
  readonly groups: readonly number[];
  readonly keyShares: readonly { readonly group: number; readonly key_exchange: Uint8Array }[];
  readonly signatureSchemes: readonly number[];
  readonly certificateSignatureSchemes: readonly number[];
  /** DER distinguished names that should guide which certificate is chosen (RFC 8446 4.2.4); empty: no hint. */
  readonly authorities: readonly Uint8Array[];
  readonly psks: OfferedPsks | undefined;
  readonly pskModes: readonly number[];
  readonly earlyData: boolean;
}

/** What every TLS 1.3 ClientHello must satisfy, RFC 8446 4.1.2, 4.2.8 and 9.2. */
export function openClientHello(raw: ClientHello): OpenedClientHello {
  const block = raw.extensions ?? [];
  const versions = find(block, "supported_versions");
  if (!versions?.includes(TLS_1_3)) {
    const offered = (versions ?? [raw.legacy_version]).map(
      (code) => ProtocolVersion.name(code) ?? `0x${code.toString(16)}`,
    );
    throw fault("ERR_SSL_UNSUPPORTED_PROTOCOL", `the client offers ${shown(offered)}`);
  }
  // RFC 9846 4.2.2
  if (raw.legacy_version !== LEGACY_VERSION)
    throw fault("ERR_SSL_UNSUPPORTED_PROTOCOL", "legacy_version is not 0x0303");
  if (raw.legacy_compression_methods.length !== 1 || raw.legacy_compression_methods[0] !== 0) {
    throw fault("ERR_TLS_ILLEGAL_PARAMETER", "legacy_compression_methods is not exactly null (RFC 8446 4.1.2)");
  }
  const groups = find(block, "supported_groups");
  const keyShares = find(block, "key_share");
  const signatureSchemes = find(block, "signature_algorithms");
  // RFC 8446 9.2
  const psks = find(block, "pre_shared_key");
  if (psks === undefined) {
    if (signatureSchemes === undefined) throw fault("ERR_TLS_MISSING_EXTENSION", "signature_algorithms");
    if (groups === undefined) throw fault("ERR_TLS_MISSING_EXTENSION", "supported_groups");
  }
  if (groups === undefined && keyShares !== undefined) throw fault("ERR_TLS_MISSING_EXTENSION", "supported_groups");
  if (groups !== undefined && keyShares === undefined) throw fault("ERR_TLS_MISSING_EXTENSION", "key_share");
  checkKeyShares(groups ?? [], keyShares ?? []);
  checkPskOffer(block);
  return {
    raw,
    extensions: block,
    serverName: hostName(block),
    alpn: find(block, "application_layer_protocol_negotiation")?.map(latin1),
    groups: groups ?? [],
    keyShares: keyShares ?? [],
    signatureSchemes: signatureSchemes ?? [],
    certificateSignatureSchemes: find(block, "signature_algorithms_cert") ?? signatureSchemes ?? [],
    authorities: find(block, "certificate_authorities") ?? [],
    psks,
    pskModes: find(block, "psk_key_exchange_modes") ?? [],
    earlyData: find(block, "early_data") !== undefined,
  };
}

/** RFC 8446 4.2.9, 4.2.10 and 4.2.11 */
function checkPskOffer(block: readonly Extension<"CH">[]): void {
  const psks = find(block, "pre_shared_key");
  if (psks === undefined) return;
  if (find(block, "psk_key_exchange_modes") === undefined) {
    throw fault("ERR_TLS_MISSING_EXTENSION", "psk_key_exchange_modes");
  }
  if (psks.identities.length !== psks.binders.length) {
    throw fault("ERR_TLS_ILLEGAL_PARAMETER", `${psks.identities.length} identities, ${psks.binders.length} binders`);
  }
}

/** RFC 8446 4.2.8: one share a group, only groups offered, in their order. */
function checkKeyShares(groups: readonly number[], shares: readonly { readonly group: number }[]): void {
  const order = new Map<number, number>();
  groups.forEach((group, index) => {
    if (!order.has(group)) order.set(group, index);
  });
  let previous = -1;
  for (const { group } of shares) {
    const index = order.get(group);
    if (index === undefined)
      throw fault("ERR_TLS_ILLEGAL_PARAMETER", "a key_share for a group not in supported_groups");
    if (index <= previous) throw fault("ERR_TLS_ILLEGAL_PARAMETER", "key_share repeats a group or changes the order");
    previous = index;
  }
}

/** RFC 6066 3: one name of a type, a host name in ASCII without a trailing dot, and no address. */
function hostName(block: readonly Extension<"CH">[]): string | undefined {
  const names = find(block, "server_name");
  if (names === undefined) return undefined;
  const name = names[0];
  const text = name === undefined ? "" : latin1(name.host_name).toLowerCase();
  if (names.length !== 1 || name?.name_type !== 0 || !isDomainName(text)) {
    throw fault(
      "ERR_TLS_ILLEGAL_PARAMETER",
      `server_name is not one host name: ${shown(names.map(({ host_name }) => latin1(host_name)))}`,
    );
  }
  return text;
}

/** The first of our suites that the client offers: the preference is this side's, whose provider knows what is fast. */
export function chooseSuite(suites: readonly CipherSuite[], offered: readonly number[]): CipherSuite {
  const suite = suites.find(({ name }) => offered.includes(CipherSuiteId.codes[name]));
  if (suite === undefined) {
    throw fault(
      "ERR_SSL_NO_SHARED_CIPHER",
      `offered: ${names(offered, CipherSuiteId.name)}; ours: ${suites.map(({ name }) => name).join(", ")}`,
    );
  }
  return suite;
}

/** The first of our groups that the client has sent a share for; failing that, the first it supports: then it must retry. */
export function chooseGroup(
  groups: readonly Group[],
  hello: OpenedClientHello,
): { readonly group: Group; readonly share: Uint8Array | undefined } {
  for (const group of groups) {
    const share = hello.keyShares.find((entry) => entry.group === NamedGroup.codes[group.name]);
    if (share !== undefined) return { group, share: share.key_exchange };
  }
  const group = groups.find(({ name }) => hello.groups.includes(NamedGroup.codes[name]));
  if (group === undefined) {
    throw fault(
      "ERR_SSL_NO_SUITABLE_KEY_SHARE",
      `offered: ${names(hello.groups, NamedGroup.name)}; ours: ${groups.map(({ name }) => name).join(", ")}`,
    );
  }
  return { group, share: undefined };
}

/** RFC 7301 3.2: the server's preference; no overlap is fatal, and a side without ALPN ignores it. */
export function chooseAlpn(ours: readonly string[], offered: readonly string[] | undefined): string | undefined {
  if (ours.length === 0 || offered === undefined) return undefined;
  const chosen = ours.find((protocol) => offered.includes(protocol));
  if (chosen === undefined) {
    throw fault("ERR_SSL_NO_APPLICATION_PROTOCOL", `offered: ${shown(offered)}; ours: ${shown(ours)}`);
  }
  return chosen;
}

/** RFC 8446 4.1.2: what a second ClientHello may change. `padding` is RFC 7685's, the PSK extension's binders move. */
const MAY_CHANGE: readonly number[] = [42 /* early_data */, 44 /* cookie */, 41 /* pre_shared_key */, 21 /* padding */];

/** Holds the second ClientHello against the first and against what was asked for. */
export function checkSecondHello(
  first: OpenedClientHello,
  second: OpenedClientHello,
  group: Group | undefined,
  cookie: Uint8Array | undefined,
): void {
  if (!equal(fixedParts(first, group), fixedParts(second, group))) {
    throw fault(
      "ERR_TLS_ILLEGAL_PARAMETER",
      `the second ClientHello changes ${changed(first, second)} (RFC 8446 4.1.2)`,
    );
  }
  checkRetriedHello(second, group);
  const echoed = find(second.extensions, "cookie");
  if (cookie === undefined ? echoed !== undefined : echoed === undefined || !equal(echoed, cookie)) {
    throw fault("ERR_TLS_ILLEGAL_PARAMETER", "the cookie is not the one that was sent");
  }
}

/** What must hold of a second ClientHello whatever the first was. */
export function checkRetriedHello(second: OpenedClientHello, group: Group | undefined): void {
  if (second.earlyData) {
    throw fault("ERR_TLS_ILLEGAL_PARAMETER", "early_data in the second ClientHello (RFC 8446 4.2.10)");
  }
  if (group === undefined) return;
  const [share, ...more] = second.keyShares;
  if (share?.group !== NamedGroup.codes[group.name] || more.length > 0) {
    throw fault("ERR_TLS_ILLEGAL_PARAMETER", `the second key_share is not the one asked for, ${group.name}`);
  }
}

/** What a second ClientHello must repeat; its key_share too, where no other was asked for. */
export function fixedParts({ raw, extensions: block }: OpenedClientHello, group: Group | undefined): Uint8Array {
  const mayChange = group === undefined ? MAY_CHANGE : [...MAY_CHANGE, 51 /* key_share */];
  return encode(ClientHello, { ...raw, extensions: block.filter(({ code }) => !mayChange.includes(code)) });
}

function changed({ raw: first }: OpenedClientHello, { raw: second }: OpenedClientHello): string {
  if (!equal(first.random, second.random)) return "random";
  if (!equal(first.legacy_session_id, second.legacy_session_id)) return "legacy_session_id";
  if (first.cipher_suites.join() !== second.cipher_suites.join()) return "cipher_suites";
  return "its extensions";
}

/** RFC 8446 4.2: no response without a request. `cookie` in a HelloRetryRequest is the exception. */
export function checkResponses<M extends ExtensionContext>(
  block: readonly Extension<M>[],
  offered: readonly { readonly code: number }[],
): void {
  for (const { code, name } of block) {
    if (name !== "cookie" && !offered.some((offer) => offer.code === code)) {
      throw fault("ERR_TLS_UNSUPPORTED_EXTENSION", `${name ?? code} was not offered`);
    }
    // RFC 8701 3.1 and 4.1
    if (isGrease(code)) throw fault("ERR_TLS_ILLEGAL_PARAMETER", `extension ${code} is GREASE`);
  }
}

const DOWNGRADE_SENTINELS = ["DOWNGRD\x00", "DOWNGRD\x01"];

/** A ServerHello without supported_versions is an older version's, RFC 8446 4.1.3. */
export function refuseOlderVersion(random: Uint8Array, version: number): never {
  if (DOWNGRADE_SENTINELS.includes(latin1(random.subarray(24)))) throw fault("ERR_TLS_DOWNGRADE");
  throw fault("ERR_SSL_UNSUPPORTED_PROTOCOL", `the server answers with ${ProtocolVersion.name(version) ?? version}`);
}

/** What ServerHello and HelloRetryRequest have in common, RFC 8446 4.1.3 and 4.1.4. Gives the suite. */
export function checkServerHello(
  hello: ServerHello | HelloRetryRequest,
  offer: ClientHello,
  suites: readonly CipherSuite[],
  retried: CipherSuite | undefined,
): CipherSuite {
  const illegal = (detail: string) => fault("ERR_TLS_ILLEGAL_PARAMETER", detail);
  const versionOf = hello.extensions.find(({ name }) => name === "supported_versions")?.value;
  if (versionOf !== TLS_1_3) throw illegal("selected_version is not TLS 1.3 (RFC 8446 4.2.1)");
  // RFC 9846 4.2.3
  if (hello.legacy_version !== LEGACY_VERSION)
    throw fault("ERR_SSL_UNSUPPORTED_PROTOCOL", "legacy_version is not 0x0303");
  if (!equal(hello.legacy_session_id_echo, offer.legacy_session_id)) throw illegal("legacy_session_id_echo differs");
  if (hello.legacy_compression_method !== 0) throw illegal("legacy_compression_method is not null");
  const suite = suites.find(({ name }) => CipherSuiteId.codes[name] === hello.cipher_suite);
  if (suite === undefined || !offer.cipher_suites.includes(hello.cipher_suite)) {
    throw illegal(`cipher suite ${CipherSuiteId.name(hello.cipher_suite) ?? hello.cipher_suite} was not offered`);
  }
  if (retried !== undefined && retried !== suite)
    throw illegal("the cipher suite changed after HelloRetryRequest (RFC 8446 4.1.4)");
  return suite;
}

function names(codes: readonly number[], name: (code: number) => string | undefined): string {
  return shown(codes.map((code) => name(code) ?? `0x${code.toString(16)}`));
}
