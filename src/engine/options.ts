/** What users may set, resolved into what the handshake runs with. Unknown and contradictory options are refused. */
import { equal } from "../bytes/bytes.ts";
import { toHex } from "../bytes/hex.ts";
import {
  type CipherSuiteName,
  type NamedGroupName,
  SignatureScheme,
  type SignatureSchemeName,
} from "../codec/registry.ts";
import type { CryptoProvider, KeyAlgorithm } from "../crypto/provider.ts";
import { isOptional, schemeAlgorithm } from "../crypto/signatures.ts";
import { fault } from "../errors.ts";
import { type Awaitable, isPromiseLike } from "../flow.ts";
import type { CertificateCompression } from "../handshake/compression.ts";
import type {
  ClientAuth,
  ClientConfig,
  ClientHelloInfo,
  CommonConfig,
  Negotiated,
  ServerChoice,
  ServerConfig,
} from "../handshake/config.ts";
import type { CookieProtector } from "../handshake/cookie.ts";
import type { Identity, IdentityRequest, OidFilter } from "../handshake/identity.ts";
import type { PskMode } from "../handshake/psk.ts";
import type { FragmentLength } from "../handshake/record-limits.ts";
import { MAX_TICKET_LIFETIME } from "../handshake/session.ts";
import { liveSources } from "../handshake/sources.ts";
import type { AntiReplay, EarlyDataPolicy, TicketPolicy, TicketStore } from "../handshake/tickets.ts";
import { MAX_PLAINTEXT } from "../record/framing.ts";
import { parseAddress } from "../x509/address.ts";
import type { PeerIdentity } from "../x509/identity.ts";
import { referenceName } from "../x509/names.ts";
import { type TrustSource, TrustStore, trustStore } from "../x509/trust.ts";
import { acceptAnyVerifier, type CertificateVerifier, trustVerifier } from "../x509/verifier.ts";
import type { EngineLimits } from "./engine.ts";
import { resolveCompression, resolveFragmentLength, resolveRecordSizeLimit } from "./extension-options.ts";
import { type IdentityOptions, resolveIdentity } from "./identity.ts";
import type { Observer } from "./observer.ts";
import { type PskOptions, resolvePsk, resolvePsks } from "./psk.ts";
import type { SessionCache } from "./resumption.ts";
import { scopedSessions, sessionScope } from "./scope.ts";
import { within } from "./within.ts";

/** Options of both roles. */
export interface CommonOptions {
  readonly provider: CryptoProvider;
  /** ms since the epoch; for certificate validity. */
  readonly clock: () => number;
  /** In order of preference. Default: the provider's, fastest first, without AES-CCM. */
  readonly cipherSuites?: readonly CipherSuiteName[] | undefined;
  /** In order of preference. Default: X25519MLKEM768, x25519, secp256r1, secp384r1, as far as the provider has them. */
  readonly groups?: readonly NamedGroupName[] | undefined;
  /** Accepted in CertificateVerify, in order of preference. Default: all that the provider verifies but Ed448 and ML-DSA. */
  readonly signatureSchemes?: readonly SignatureSchemeName[] | undefined;
  /** Protocols in order of preference. */
  readonly alpn?: readonly string[] | undefined;
  /** Trust anchors: PEM, DER, or a store. */
  readonly trust?: TrustStore | TrustSource | readonly TrustSource[] | undefined;
  /** In place of `trust`: who decides about the peer's certificate. */
  readonly verifier?: CertificateVerifier | undefined;
  /** Keys that both ends were given, in order of preference; a server also accepts clients with certificates. */
  readonly psks?: readonly PskOptions[] | undefined;
  /**
   * External keys and certificates together (RFC 8773), against those who will break the key exchange one day. A client
   * refuses servers that do only one of the two; a server does both for clients that ask. Such connections are not
   * resumed. Default false.
   */
  readonly pskWithCertificates?: boolean | undefined;
  /** With pre-shared keys and tickets: psk_ke does without a key exchange, and so without forward secrecy. Default dhe. */
  readonly pskModes?: readonly PskMode[] | undefined;
  /** A last word about an authenticated peer: `false` refuses it with access_denied. Asked before early data goes out, too. */
  readonly authorize?: ((peer: PeerIdentity | undefined, facts: Negotiated) => Awaitable<boolean>) | undefined;
  /**
   * Certificates after the handshake (RFC 8446 4.6.2): a client offers to show one at any time, a server may ask for one
   * with `requestClientCertificate`, and needs `trust` or a `verifier`. Default false.
   */
  readonly postHandshakeAuth?: boolean | undefined;
  /** Sends values that peers must ignore, so that they keep ignoring what they do not know (RFC 8701). Default false. */
  readonly grease?: boolean | undefined;
  /**
   * Asks the peer for a stapled OCSP response; a verifier with `revocation` judges it, any other passes it on as received.
   * Default: true with such a verifier, otherwise false.
   */
  readonly requestStatus?: boolean | undefined;
  /** Asks the peer for SignedCertificateTimestamps; they are passed on as received, not judged. Default false. */
  readonly requestScts?: boolean | undefined;
  /**
   * Bytes of content, type and padding that the peer may put into one record, 64 to 16385 (RFC 8449). A client asks; a
   * server answers clients that ask, and obeys them with or without this option. Default: not asked, 16385 answered.
   */
  readonly recordSizeLimit?: number | undefined;
  /** Compresses and accepts compressed certificates (RFC 8879), in order of preference. Default: none. */
  readonly certificateCompression?: readonly CertificateCompression[] | undefined;
  /** Longest handshake message accepted, in bytes. Default 131072. */
  readonly maxHandshakeMessage?: number | undefined;
  /** Longest certificate chain accepted. Default 16. */
  readonly maxCertificates?: number | undefined;
  /** Most plaintext put into one record, 1 to 16384 bytes. */
  readonly maxFragment?: number | undefined;
  /** Zero bytes added to each protected record, by content type and length (RFC 8446 5.4). Default: none. */
  readonly padding?: ((type: number, length: number) => number) | undefined;
  /** Records under one key before a KeyUpdate. Default and maximum: the suite's limit (RFC 9846 5.5). */
  readonly recordsPerKey?: number | undefined;
  /** Bytes each queue may hold. Default 147456, at least 32768. */
  readonly highWaterMark?: number | undefined;
  readonly observer?: Observer | undefined;
}

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

/** Options of a server. */
export interface ServerOptions extends CommonOptions {
  /** At least one; chosen by SNI and by the client's signature schemes. */
  readonly identities: readonly (Identity | IdentityOptions)[];
  /** Default off. Everything else needs `trust` or a `verifier`. */
  readonly clientAuth?: ClientAuth | undefined;
  /** Tells clients the trust anchors' names (certificate_authorities). Default true. */
  readonly sendAuthorities?: boolean | undefined;
  /** Refuses names that no identity carries, with unrecognized_name. Default false. */
  readonly strictServerName?: boolean | undefined;
  readonly oidFilters?: readonly OidFilter[] | undefined;
  /** Finds keys beside those in `psks`; the key found must be for the identity asked for. */
  readonly findPsk?: ((identity: Uint8Array) => Awaitable<PskOptions | undefined>) | undefined;
  /** Issues tickets and resumes from them. Default: none. */
  readonly tickets?: TicketOptions | undefined;
  /** Accepts early data on resumption. Default: none. */
  readonly acceptEarlyData?: EarlyDataOptions | undefined;
  /** Retries every handshake with its state in a cookie. Default: none. See {@link sealedCookies}. */
  readonly cookies?: CookieProtector | undefined;
  /** Called with each ClientHello; what it returns replaces identities, client authentication, trust or ALPN. */
  readonly onClientHello?: ((hello: ClientHelloInfo) => Awaitable<ServerReplacement | undefined>) | undefined;
}

/** How a server issues tickets. */
export interface TicketOptions {
  /** See {@link sealedTickets} and {@link storedTickets}. */
  readonly store: TicketStore;
  /** Tickets after each handshake, 1 to 16. Default 2. */
  readonly count?: number | undefined;
  /** Seconds a ticket may be used, up to 604800. Default 7200. */
  readonly lifetime?: number | undefined;
  /** Seconds from a client's proof of its certificate during which it may resume, however often. Default 86400. */
  readonly maxAge?: number | undefined;
  /** Tickets issued under another version are not resumed: change it when rules change. Default "". */
  readonly policyVersion?: string | undefined;
}

/** On what terms a server accepts early data, RFC 8446 8. */
export interface EarlyDataOptions {
  /** See {@link strikeRegister}. */
  readonly antiReplay: AntiReplay;
  /** Bytes of early data that a ticket allows. Default 16384. */
  readonly maxSize?: number | undefined;
  /** Seconds by which the client's and this side's view of a ticket's age may differ. Default 10. */
  readonly tolerance?: number | undefined;
}

/** What a ClientHello callback may replace. */
export type ServerReplacement = Partial<
  Pick<ServerOptions, "identities" | "clientAuth" | "trust" | "verifier" | "alpn" | "sendAuthorities">
>;

const DEFAULT_MAX_MESSAGE = 0x20000;
/** Room for eight full records with their headers and tags, so that as many can be in protection at once. */
const DEFAULT_HIGH_WATER_MARK = 0x24000;
const CLIENT_AUTH: readonly ClientAuth[] = ["off", "optional", "optional_no_ca", "on"];
/** AES-CCM is there for those who name it. */
const DEFAULT_SUITES: readonly CipherSuiteName[] = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
];
/** P-521 is there for those who name it, like X448, finite fields and the hybrids of P-256 and P-384. */
const DEFAULT_GROUPS: readonly NamedGroupName[] = ["X25519MLKEM768", "x25519", "secp256r1", "secp384r1"];
/** So that a server without the hybrid needs no retry. */
const DEFAULT_KEY_SHARES: readonly NamedGroupName[] = ["X25519MLKEM768", "x25519"];
/** Allowed in certificates only, RFC 8446 4.2.3. */
const PKCS1_SCHEMES = [
  SignatureScheme.codes.rsa_pkcs1_sha256,
  SignatureScheme.codes.rsa_pkcs1_sha384,
  SignatureScheme.codes.rsa_pkcs1_sha512,
];

const COMMON_NAMES = [
  "provider",
  "clock",
  "cipherSuites",
  "groups",
  "signatureSchemes",
  "alpn",
  "trust",
  "verifier",
  "psks",
  "pskModes",
  "pskWithCertificates",
  "authorize",
  "postHandshakeAuth",
  "grease",
  "requestStatus",
  "requestScts",
  "certificateCompression",
  "recordSizeLimit",
  "maxHandshakeMessage",
  "maxCertificates",
  "maxFragment",
  "padding",
  "recordsPerKey",
  "highWaterMark",
  "observer",
] as const satisfies readonly (keyof CommonOptions)[];
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
    "maxFragmentLength",
    "sessions",
    "offerEarlyData",
  ] as const satisfies readonly (keyof ClientOptions)[]),
];
const SERVER_NAMES: readonly string[] = [
  ...COMMON_NAMES,
  ...([
    "identities",
    "clientAuth",
    "sendAuthorities",
    "strictServerName",
    "oidFilters",
    "onClientHello",
    "findPsk",
    "tickets",
    "acceptEarlyData",
    "cookies",
  ] as const satisfies readonly (keyof ServerOptions)[]),
];

/**
 * A client's configuration.
 *
 * @throws TlsError `ERR_TLS_OPTION` for options that are unknown, contradictory or not supported by the provider.
 */
export function resolveClient(options: ClientOptions): ClientConfig {
  assertKnown(options, CLIENT_NAMES);
  const common = resolveCommon(options);
  const insecure = options.rejectUnauthorized === false;
  if (insecure && options.verifier !== undefined)
    throw fault("ERR_TLS_OPTION", "rejectUnauthorized: false and a verifier");
  const checkName = !insecure && options.checkServerName !== false;
  if (checkName && options.serverName === undefined) {
    throw fault("ERR_TLS_OPTION", "serverName is needed to check whose certificate it is, or checkServerName: false");
  }
  if (options.pskWithCertificates === true && !(common.pskModes.includes("psk_dhe_ke") && options.psks?.length))
    throw fault("ERR_TLS_OPTION", "pskWithCertificates needs psks and psk_dhe_ke");
  if (options.offerEarlyData === true && options.sessions === undefined)
    throw fault("ERR_TLS_OPTION", "early data without sessions that it could go with");
  const offered = common.groups.map(({ name }) => name);
  const keyShareGroups = options.keyShares ?? offered.filter((name) => DEFAULT_KEY_SHARES.includes(name));
  const unknown = keyShareGroups.find((name) => !offered.includes(name));
  if (unknown !== undefined) throw fault("ERR_TLS_OPTION", `a key share for ${unknown}, which is not among the groups`);
  const config = {
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
    maxFragmentLength: resolveFragmentLength(options.maxFragmentLength),
    psks: resolvePsks(options.psks ?? [], options.provider),
    sessions: undefined,
    earlyData: options.offerEarlyData ?? false,
  };
  return options.sessions === undefined
    ? config
    : { ...config, sessions: scopedSessions(options.sessions, () => sessionScope(options, config)) };
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

/**
 * A server's configuration.
 *
 * @throws TlsError `ERR_TLS_OPTION` for options that are unknown, contradictory or not supported by the provider.
 */
export function resolveServer(options: ServerOptions): ServerConfig {
  assertKnown(options, SERVER_NAMES);
  const { onClientHello } = options;
  const choice = resolveChoice(options);
  const findPsk = resolvePskLookup(options);
  if (options.postHandshakeAuth && options.trust === undefined && options.verifier === undefined)
    throw fault("ERR_TLS_OPTION", "postHandshakeAuth without trust anchors");
  if (choice.identities.length === 0 && onClientHello === undefined && findPsk === undefined)
    throw fault("ERR_TLS_OPTION", "a server needs an identity");
  return {
    ...resolveCommon(options),
    ...choice,
    strictServerName: options.strictServerName ?? false,
    oidFilters: options.oidFilters ?? [],
    findPsk,
    tickets: options.tickets && resolveTickets(options.tickets),
    earlyData: options.acceptEarlyData && resolveEarlyData(options),
    cookies: options.cookies,
    onClientHello:
      onClientHello &&
      ((hello) => {
        const resolve = (replaced: ServerReplacement | undefined) =>
          replaced && resolveChoice(replacedOptions(options, replaced));
        const answer = onClientHello(hello);
        return isPromiseLike(answer)
          ? answer.then((settled) => resolve(settled as ServerReplacement | undefined))
          : resolve(answer);
      }),
  };
}

/** Static keys first, then the callback's. */
function resolvePskLookup({ psks = [], findPsk, provider }: ServerOptions): ServerConfig["findPsk"] {
  if (psks.length === 0 && findPsk === undefined) return undefined;
  const known = new Map(resolvePsks(psks, provider).map((psk) => [toHex(psk.identity), psk]));
  return (identity) => {
    const own = known.get(toHex(identity));
    if (own !== undefined || findPsk === undefined) return own;
    const matching = (found: PskOptions | undefined) =>
      found && resolvePsk(found, provider).find((psk) => equal(psk.identity, identity));
    const found = findPsk(identity);
    return isPromiseLike(found) ? found.then((later) => matching(later as PskOptions | undefined)) : matching(found);
  };
}

function resolveTickets(options: TicketOptions): TicketPolicy {
  const { store, policyVersion = "" } = options;
  if (!/^[\x20-\x7e]{0,255}$/.test(policyVersion))
    throw fault("ERR_TLS_OPTION", `policyVersion "${policyVersion}" is not up to 255 ASCII characters`);
  return {
    store,
    count: within(options.count, 1, 16, 2, "tickets.count"),
    lifetime: within(options.lifetime, 1, MAX_TICKET_LIFETIME, 7200, "tickets.lifetime"),
    maxAge: within(options.maxAge, 1, Number.MAX_SAFE_INTEGER, 86_400, "tickets.maxAge"),
    policy: policyVersion,
  };
}

function resolveEarlyData({ acceptEarlyData, tickets }: ServerOptions): EarlyDataPolicy {
  if (tickets === undefined) throw fault("ERR_TLS_OPTION", "early data without tickets that it could come with");
  const { antiReplay, maxSize, tolerance } = acceptEarlyData as EarlyDataOptions;
  if (typeof antiReplay?.claim !== "function") throw fault("ERR_TLS_OPTION", "early data without antiReplay");
  return {
    antiReplay,
    maxSize: within(maxSize, 1, 0x7fffffff, 0x4000, "acceptEarlyData.maxSize"),
    window: 1000 * within(tolerance, 1, 600, 10, "acceptEarlyData.tolerance"),
  };
}

function resolvePskModes(modes: readonly PskMode[] = ["psk_dhe_ke"]): readonly PskMode[] {
  const unknown = modes.find((mode) => mode !== "psk_dhe_ke" && mode !== "psk_ke");
  if (unknown !== undefined || modes.length === 0) throw fault("ERR_TLS_OPTION", `PSK mode ${unknown ?? "none"}`);
  return modes;
}

/** One of `trust` and `verifier` takes the other's place. */
function replacedOptions(options: ServerOptions, replaced: ServerReplacement): ServerOptions {
  const { trust, verifier, ...rest } = options;
  const judge = replaced.trust === undefined && replaced.verifier === undefined ? { trust, verifier } : {};
  return { ...rest, ...judge, ...replaced };
}

/** The engine's own part of the options. */
export function resolveLimits(options: CommonOptions & Pick<ServerOptions, "cookies">): EngineLimits {
  return {
    statelessRetries: options.cookies !== undefined,
    maxHandshakeMessage: within(options.maxHandshakeMessage, 1, 0xffffff, DEFAULT_MAX_MESSAGE, "maxHandshakeMessage"),
    maxFragment: within(options.maxFragment, 1, MAX_PLAINTEXT, MAX_PLAINTEXT, "maxFragment"),
    padding: options.padding,
    recordsPerKey: within(options.recordsPerKey, 2, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, "recordsPerKey"),
    maxKeyUpdates: 2 ** 48 - 1,
    highWaterMark: within(options.highWaterMark, 0x8000, 0x40000000, DEFAULT_HIGH_WATER_MARK, "highWaterMark"),
    observer: options.observer,
  };
}

function resolveCommon(options: CommonOptions): CommonConfig {
  const { provider } = options;
  const verifiable = verifiableSchemes(provider);
  const signatureSchemes = options.signatureSchemes ?? verifiable.filter((name) => !isOptional(name));
  const unknown = signatureSchemes.find((name) => !verifiable.includes(name));
  if (unknown !== undefined || signatureSchemes.length === 0) {
    throw fault(
      "ERR_TLS_OPTION",
      `signature scheme ${unknown ?? "none"}, provider ${provider.name} verifies ${verifiable.join(", ")}`,
    );
  }
  return {
    provider,
    sources: liveSources(provider),
    now: options.clock,
    suites: pick(options.cipherSuites, provider.suites, DEFAULT_SUITES, "cipher suite", provider),
    groups: pick(options.groups, provider.groups, DEFAULT_GROUPS, "group", provider),
    signatureSchemes,
    certificateSignatureSchemes: [...signatureSchemes.map((name) => SignatureScheme.codes[name]), ...PKCS1_SCHEMES],
    alpn: resolveAlpn(options.alpn),
    verifier: resolveVerifier(options),
    postHandshakeAuth: options.postHandshakeAuth ?? false,
    grease: options.grease ?? false,
    requestStatus: options.requestStatus ?? options.verifier?.wantsStatus ?? false,
    requestScts: options.requestScts ?? false,
    certificateCompression: resolveCompression(options.certificateCompression),
    recordSizeLimit: resolveRecordSizeLimit(options.recordSizeLimit),
    maxCertificateBytes: options.maxHandshakeMessage ?? DEFAULT_MAX_MESSAGE,
    maxCertificates: within(options.maxCertificates, 1, 1000, 16, "maxCertificates"),
    pskModes: resolvePskModes(options.pskModes),
    pskWithCertificates: options.pskWithCertificates ?? false,
    authorize: options.authorize,
    arrange: undefined,
  };
}

function resolveChoice(options: ServerOptions): ServerChoice {
  const clientAuth = options.clientAuth ?? "off";
  if (!CLIENT_AUTH.includes(clientAuth)) {
    throw fault("ERR_TLS_OPTION", `clientAuth ${JSON.stringify(clientAuth)} is none of ${CLIENT_AUTH.join(", ")}`);
  }
  if (
    clientAuth !== "off" &&
    options.trust === undefined &&
    options.verifier === undefined &&
    clientAuth !== "optional_no_ca"
  ) {
    throw fault("ERR_TLS_OPTION", `clientAuth "${clientAuth}" without trust anchors`);
  }
  const store = options.trust === undefined ? options.verifier?.trust : storeOf(options.trust);
  const sendAuthorities = options.sendAuthorities ?? true;
  return {
    identities: resolveIdentities(options.identities, options.provider),
    clientAuth,
    verifier: resolveVerifier(options),
    alpn: resolveAlpn(options.alpn),
    authorities: sendAuthorities && store !== undefined ? store.anchors.map(({ subject }) => subject.der) : [],
  };
}

function resolveVerifier({ trust, verifier }: Pick<CommonOptions, "trust" | "verifier">): CertificateVerifier {
  if (verifier !== undefined && trust !== undefined) throw fault("ERR_TLS_OPTION", "both trust and verifier");
  return verifier ?? trustVerifier({ trust: storeOf(trust ?? []) });
}

function storeOf(trust: TrustStore | TrustSource | readonly TrustSource[]): TrustStore {
  return trust instanceof TrustStore ? trust : trustStore(trust);
}

function resolveIdentities(
  identities: readonly (Identity | IdentityOptions)[],
  provider: CryptoProvider,
): readonly Identity[] {
  return identities.map((identity) => resolveIdentity(identity, provider));
}

function resolveAlpn(alpn: readonly string[] = []): readonly string[] {
  for (const protocol of alpn) {
    if (!/^[\x20-\x7e]{1,255}$/.test(protocol))
      throw fault("ERR_TLS_OPTION", `ALPN protocol "${protocol}" is not 1 to 255 ASCII characters`);
  }
  return alpn;
}

function normalizedName(name: string): string {
  return parseAddress(name) === undefined ? referenceName(name).text : name;
}

/** Those of `available` that are wanted, in the order wanted. */
function pick<T extends { readonly name: string }>(
  wanted: readonly string[] | undefined,
  available: readonly T[],
  defaults: readonly string[] | undefined,
  what: string,
  provider: CryptoProvider,
): readonly T[] {
  if (wanted === undefined)
    return defaults === undefined ? available : available.filter(({ name }) => defaults.includes(name));
  if (wanted.length === 0) throw fault("ERR_TLS_OPTION", `no ${what} at all`);
  return wanted.map((name) => {
    const found = available.find((entry) => entry.name === name);
    if (found === undefined) {
      throw fault(
        "ERR_TLS_OPTION",
        `${what} ${name} is not in provider ${provider.name}, which has ${available.map((entry) => entry.name).join(", ")}`,
      );
    }
    return found;
  });
}

const PROBES: readonly KeyAlgorithm[] = [
  { type: "ec", curve: "P-256" },
  { type: "ec", curve: "P-384" },
  { type: "ec", curve: "P-521" },
  { type: "ed25519" },
  { type: "rsa", bits: 2048 },
  { type: "rsa-pss", bits: 2048 },
  { type: "ed448" },
  { type: "mldsa44" },
  { type: "mldsa65" },
  { type: "mldsa87" },
];

function verifiableSchemes(provider: CryptoProvider): readonly SignatureSchemeName[] {
  const names = SCHEME_PREFERENCE.filter((name) =>
    PROBES.some((key) => provider.canVerify(key, schemeAlgorithm(name))),
  );
  return names;
}

/** Cheap and common first. */
const SCHEME_PREFERENCE: readonly SignatureSchemeName[] = [
  "ecdsa_secp256r1_sha256",
  "ed25519",
  "ecdsa_secp384r1_sha384",
  "ecdsa_secp521r1_sha512",
  "rsa_pss_rsae_sha256",
  "rsa_pss_rsae_sha384",
  "rsa_pss_rsae_sha512",
  "rsa_pss_pss_sha256",
  "rsa_pss_pss_sha384",
  "rsa_pss_pss_sha512",
  "ed448",
  "mldsa44",
  "mldsa65",
  "mldsa87",
];

/** Options that are not supported are refused, never ignored. */
function assertKnown(options: object, known: readonly string[]): void {
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown !== undefined) throw fault("ERR_TLS_OPTION", `there is no option "${unknown}"`);
}
