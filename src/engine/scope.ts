/** What must be the same for a client's session to go on: a fingerprint of everything that decided who trusts whom. */
import { concat, utf8 } from "../bytes/bytes.ts";
import { toHex } from "../bytes/hex.ts";
import type { CryptoProvider } from "../crypto/provider.ts";
import type { ClientConfig, ClientSessions } from "../handshake/config.ts";
import { TrustStore, trustStore } from "../x509/trust.ts";
import type { ClientOptions } from "./client-options.ts";
import type { SessionCache } from "./resumption.ts";

/** Objects and functions have no content to compare: each is its own, in caches that outlive this process too. */
const NAMES = /* @__PURE__ */ new WeakMap<object, string>();

/**
 * Server name and whether it is checked, trust anchors, verifier, own identities and who chooses among them, the last word,
 * protocols. What trust decides is decided again before a session is used; this keeps sessions from being tried, and known
 * to be one client's, where another one speaks.
 */
export function sessionScope(options: ClientOptions, config: ClientConfig): string {
  const { sha256 } = config.provider.hashes;
  const anchors = options.trust === undefined ? [] : anchorsOf(options.trust).map(({ der }) => sha256.digest(der));
  const identities = config.identities.map(({ certificates }) => sha256.digest(concat(...certificates)));
  const facts = [
    config.serverName ?? "",
    config.checkName,
    options.rejectUnauthorized !== false,
    anchors.map(toHex),
    identities.map(toHex),
    config.alpn,
    config.ignoreRequestHints,
    [options.verifier, options.selectIdentity, options.authorize].map((value) => nameOf(value, config.provider)),
  ];
  return toHex(sha256.digest(utf8(JSON.stringify(facts))));
}

function anchorsOf(trust: NonNullable<ClientOptions["trust"]>): TrustStore["anchors"] {
  return (trust instanceof TrustStore ? trust : trustStore(trust)).anchors;
}

function nameOf(value: object | undefined, provider: CryptoProvider): string {
  if (value === undefined) return "";
  const known = NAMES.get(value) ?? toHex(provider.random(16));
  NAMES.set(value, known);
  return known;
}

/** The part of a cache that belongs to one scope, which is made at first use: it may need randomness, and contexts not. */
export function scopedSessions(cache: SessionCache, makeScope: () => string): ClientSessions {
  let made: string | undefined;
  const scope = () => {
    made ??= makeScope();
    return made;
  };
  return { take: () => cache.take(scope()), put: (session) => cache.put(scope(), session) };
}
