/** What users may set on a server, resolved into what its handshake runs with. */
import { equal } from "../bytes/bytes.ts";
import { toHex } from "../bytes/hex.ts";
import { fault } from "../errors.ts";
import { type Awaitable, isPromiseLike } from "../flow.ts";
import type { ClientAuth, ClientHelloInfo, ServerChoice, ServerConfig } from "../handshake/config.ts";
import type { CookieProtector } from "../handshake/cookie.ts";
import type { Identity, OidFilter } from "../handshake/identity.ts";
import { MAX_TICKET_LIFETIME } from "../handshake/session.ts";
import type { AntiReplay, EarlyDataPolicy, TicketPolicy, TicketStore } from "../handshake/tickets.ts";
import {
  assertKnown,
  COMMON_NAMES,
  type CommonOptions,
  judgedBy,
  judges,
  resolveAlpn,
  resolveCommon,
  resolveIdentities,
  resolveVerifier,
  storeOf,
} from "./common-options.ts";
import { resolveCompression } from "./features/compression.ts";
import { resolveRecordSizeLimit } from "./features/record-limits.ts";
import type { IdentityOptions } from "./identity.ts";
import { type PskOptions, resolvePsk, resolvePskModes, resolvePsks } from "./psk.ts";
import { within } from "./within.ts";

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

const CLIENT_AUTH: readonly ClientAuth[] = ["off", "optional", "optional_no_ca", "on"];
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
    "psks",
    "pskModes",
    "pskWithCertificates",
    "postHandshakeAuth",
    "grease",
    "certificateCompression",
    "recordSizeLimit",
  ] as const satisfies readonly (keyof ServerOptions)[]),
];

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
    compression: resolveCompression(options),
    postHandshakeAuth: options.postHandshakeAuth ?? false,
    recordSizeLimit: resolveRecordSizeLimit(options.recordSizeLimit),
    grease: options.grease ?? false,
    pskModes: resolvePskModes(options.pskModes),
    pskWithCertificates: options.pskWithCertificates ?? false,
    strictServerName: options.strictServerName ?? false,
    oidFilters: options.oidFilters ?? [],
    findPsk,
    tickets: options.tickets && resolveTickets(options.tickets),
    earlyData: options.acceptEarlyData && resolveEarlyData(options),
    cookies: options.cookies,
    onClientHello:
      onClientHello &&
      ((hello) => {
        const resolve = (replaced: ServerReplacement | undefined) => {
          if (replaced === undefined) return undefined;
          const { verifier, clientAuth, ...choice } = resolveChoice({
            ...options,
            ...replaced,
            ...judgedBy(options, replaced),
          });
          // What the callback leaves alone is as it is in force when it comes to that.
          return {
            ...choice,
            ...(judges(replaced) && { verifier }),
            ...(replaced.clientAuth !== undefined && { clientAuth }),
          };
        };
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
