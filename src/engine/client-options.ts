/** What users may set on a client, resolved into what its handshake runs with. */
import type { NamedGroupName } from "../codec/registry.ts";
import { fault } from "../errors.ts";
import type { Awaitable } from "../flow.ts";
import type { ClientConfig } from "../handshake/config.ts";
import type { Identity, IdentityRequest } from "../handshake/identity.ts";
import type { FragmentLength } from "../handshake/record-limits.ts";
import { parseAddress } from "../x509/address.ts";
import { referenceName } from "../x509/names.ts";
import { acceptAnyVerifier } from "../x509/verifier.ts";
import type { Aftermath } from "./after.ts";
import {
  assertKnown,
  COMMON_NAMES,
  type CommonOptions,
  resolveCommon,
  resolveIdentities,
  resolveVerifier,
  storeOf,
  type Trusted,
} from "./common-options.ts";
import type { IdentityOptions } from "./identity.ts";
import type { SessionCache } from "./resumption.ts";

/** Options of a client. */
export interface ClientOptions extends CommonOptions {
  /** Host name or IP address wanted; checked against the certificate, and sent as SNI when it is a name. */
  readonly serverName?: string | undefined;
  /** `false`: accept any certificate and any name. The session's peer then says `verified: false`. Default true. */
  readonly rejectUnauthorized?: boolean | undefined;
  /**
   * `false`: any name will do, because a verifier or `authorize` looks at who it is, a SPIFFE ID for example. Default true.
   */
  readonly checkServerName?: boolean | undefined;
  /** Groups that get a share in the first ClientHello. Default: X25519MLKEM768 and x25519, or the first of `groups`. */
  readonly keyShares?: readonly NamedGroupName[] | undefined;
  /** Looks like TLS 1.2 to middleboxes (RFC 8446 D.4). Default true. */
  readonly compatibilityMode?: boolean | undefined;
  /** Identities to choose from when the server asks for a certificate. */
  readonly identities?: readonly (Identity | IdentityOptions)[] | undefined;
  /** Chooses in place of the built-in rules; `undefined` presents no certificate. */
  readonly selectIdentity?: ((request: IdentityRequest) => Awaitable<Identity | undefined>) | undefined;
  /** Presents the first usable identity even where the server's CA names or filters match none. Default false. */
  readonly ignoreRequestHints?: boolean | undefined;
  /** Tells servers the trust anchors' names (certificate_authorities), so that they can choose. Default false. */
  readonly sendAuthorities?: boolean | undefined;
  /**
   * Asks a server for records of at most this many bytes of content, each way (max_fragment_length, RFC 6066 4). One that
   * knows `recordSizeLimit`, where that is set too, takes that. Default: not asked.
   */
  readonly maxFragmentLength?: FragmentLength | undefined;
  /**
   * Keeps what servers' tickets begin, and resumes from it, as whoever `selectIdentity` chose then. Where no `serverName`
   * tells servers apart, each needs a cache of its own. Default: no resumption. See {@link sessionCache}.
   */
  readonly sessions?: SessionCache | undefined;
  /** Lets early data be sent where a session allows it (RFC 8446 2.3: it may be replayed). Default false. */
  readonly offerEarlyData?: boolean | undefined;
}

/** So that a server without the hybrid needs no retry. */
const DEFAULT_KEY_SHARES: readonly NamedGroupName[] = ["X25519MLKEM768", "x25519"];
const CLIENT_NAMES: readonly string[] = [
  ...COMMON_NAMES,
  ...([
    "serverName",
    "checkServerName",
    "rejectUnauthorized",
    "keyShares",
    "compatibilityMode",
    "identities",
    "selectIdentity",
    "ignoreRequestHints",
    "sendAuthorities",
  ] as const satisfies readonly (keyof ClientOptions)[]),
];
/**
 * Something that a client can do beyond a mutual handshake. What is not among an application's features is not in its
 * bundle.
 */
export interface ClientFeature {
  /** The options that it makes something of. */
  readonly options: readonly (keyof ClientOptions)[];
  /**
   * What it adds to a configuration.
   *
   * @param options - `trust` and `verifier` are those that the context was made with, whatever has replaced them.
   */
  configure(options: ClientOptions, config: ClientConfig): Partial<ClientConfig>;
  /** What it does after the handshake. */
  aftermath?(config: ClientConfig): Aftermath;
}

/** The feature, as it is exported, that each option needs which not every client has. */
export const FEATURE_NAMES: Readonly<Partial<Record<string, string>>> = {
  psks: "preSharedKeys",
  pskModes: "preSharedKeys",
  pskWithCertificates: "preSharedKeys",
  sessions: "preSharedKeys",
  offerEarlyData: "preSharedKeys",
  postHandshakeAuth: "postHandshakeAuthentication",
  certificateCompression: "compressedCertificates",
  recordSizeLimit: "recordLimits",
  maxFragmentLength: "recordLimits",
  grease: "greasing",
} satisfies { readonly [Name in keyof ClientOptions]?: string };

/**
 * A client's configuration.
 *
 * @param first - Whom the context was made to trust.
 * @throws TlsError `ERR_TLS_OPTION` for options that are unknown, contradictory or not supported by the provider.
 */
export function resolveClient(
  options: ClientOptions,
  features: readonly ClientFeature[],
  first: Trusted = options,
): ClientConfig {
  const known = [...CLIENT_NAMES, ...features.flatMap((feature) => feature.options)];
  for (const [name, value] of Object.entries(options)) {
    const feature = FEATURE_NAMES[name];
    if (feature !== undefined && value !== undefined && !known.includes(name))
      throw fault("ERR_TLS_OPTION", `"${name}" needs ${feature} among the features`);
  }
  assertKnown(options, [...known, ...Object.keys(FEATURE_NAMES)]);
  const common = resolveCommon(options);
  const insecure = options.rejectUnauthorized === false;
  if (insecure && options.verifier !== undefined)
    throw fault("ERR_TLS_OPTION", "rejectUnauthorized: false and a verifier");
  const checkName = !insecure && options.checkServerName !== false;
  if (checkName && options.serverName === undefined) {
    throw fault("ERR_TLS_OPTION", "serverName is needed to check whose certificate it is, or checkServerName: false");
  }
  const offered = common.groups.map(({ name }) => name);
  const keyShareGroups = options.keyShares ?? offered.filter((name) => DEFAULT_KEY_SHARES.includes(name));
  const unknown = keyShareGroups.find((name) => !offered.includes(name));
  if (unknown !== undefined) throw fault("ERR_TLS_OPTION", `a key share for ${unknown}, which is not among the groups`);
  const config: ClientConfig = {
    ...common,
    verifier: insecure ? acceptAnyVerifier() : resolveVerifier(options),
    serverName: options.serverName === undefined ? undefined : normalizedName(options.serverName),
    checkName,
    keyShareGroups: keyShareGroups.length > 0 || options.keyShares !== undefined ? keyShareGroups : offered.slice(0, 1),
    compatibilityMode: options.compatibilityMode ?? true,
    identities: resolveIdentities(options.identities ?? [], options.provider),
    selectIdentity: options.selectIdentity,
    ignoreRequestHints: options.ignoreRequestHints ?? false,
    authorities: resolveAuthorities(options),
    preSharedKeys: undefined,
    assertKey: undefined,
    postHandshakeAuth: false,
    recordLimits: undefined,
    grease: undefined,
  };
  const seen = { ...options, trust: first.trust, verifier: first.verifier };
  for (const feature of features) Object.assign(config, feature.configure(seen, config));
  return config;
}

function resolveAuthorities({
  sendAuthorities = false,
  verifier,
  trust = verifier?.trust,
}: ClientOptions): readonly Uint8Array[] {
  if (!sendAuthorities) return [];
  if (trust === undefined) throw fault("ERR_TLS_OPTION", "sendAuthorities without trust anchors to name");
  return storeOf(trust).anchors.map(({ subject }) => subject.der);
}

function normalizedName(name: string): string {
  return parseAddress(name) === undefined ? referenceName(name).text : name;
}
