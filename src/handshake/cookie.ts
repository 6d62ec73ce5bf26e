/** The state of a retried handshake in a cookie: for servers that keep nothing between two ClientHellos (RFC 8446 4.2.2). */
import { equal } from "../bytes/bytes.ts";
import { CipherSuiteId, NamedGroup } from "../codec/registry.ts";
import { decode, encode, opaque, struct, uint } from "../codec/schema.ts";
import type { CipherSuite, Group } from "../crypto/provider.ts";
import { fault } from "../errors.ts";
import type { Awaitable, Flow } from "../flow.ts";
import type { ServerConfig } from "./config.ts";
import { call } from "./io.ts";
import { fixedParts, type OpenedClientHello } from "./negotiate.ts";
import type { StoreContext } from "./tickets.ts";

/** Seals what goes into a cookie, so that nobody else can make one, and for a while only. */
export interface CookieProtector {
  seal(state: Uint8Array, context: StoreContext): Awaitable<Uint8Array>;
  /** The state; `undefined` for what is forged or too old. Never throws on what a peer sends. */
  open(cookie: Uint8Array, context: StoreContext): Awaitable<Uint8Array | undefined>;
}

/** What a HelloRetryRequest was made from, and what the second ClientHello is held against. */
export interface Retry {
  readonly suite: CipherSuite;
  /** `undefined`: the client had sent a share that will do. */
  readonly group: Group | undefined;
  /** Transcript hash of the first ClientHello. */
  readonly helloHash: Uint8Array;
}

export const CookieState = /* @__PURE__ */ struct("CookieState", {
  cipher_suite: uint(2),
  group: uint(2),
  hello_hash: opaque(32, 64),
  fixed: opaque(32, 32),
});

/** The cookie for a retry. */
export function sealCookie(config: ServerConfig, hello: OpenedClientHello, retry: Retry): Flow<Uint8Array> {
  const state = encode(CookieState, {
    cipher_suite: CipherSuiteId.codes[retry.suite.name],
    group: retry.group === undefined ? 0 : NamedGroup.codes[retry.group.name],
    hello_hash: retry.helloHash,
    fixed: digestOf(config, hello, retry.group),
  });
  return call("client_hello", "ERR_TLS_CALLBACK_FAILED", () => protector(config).seal(state, contextOf(config)));
}

/**
 * The retry behind a cookie.
 *
 * @throws TlsError `ERR_TLS_ILLEGAL_PARAMETER` when it is forged or too old, or the ClientHello that brings it is not the
 * one it was made for (RFC 8446 4.1.2).
 */
export function* openCookie(config: ServerConfig, hello: OpenedClientHello, cookie: Uint8Array): Flow<Retry> {
  const bytes = yield* call("client_hello", "ERR_TLS_CALLBACK_FAILED", () =>
    protector(config).open(cookie, contextOf(config)),
  );
  if (bytes === undefined) throw fault("ERR_TLS_ILLEGAL_PARAMETER", "the cookie is not this server's, or too old");
  const state = decode(CookieState, bytes, "the cookie's state");
  const suite = config.suites.find(({ name }) => CipherSuiteId.codes[name] === state.cipher_suite);
  const group = config.groups.find(({ name }) => NamedGroup.codes[name] === state.group);
  if (suite === undefined || (group === undefined && state.group !== 0)) {
    throw fault("ERR_TLS_ILLEGAL_PARAMETER", "the cookie is from before the configuration changed");
  }
  if (!equal(digestOf(config, hello, group), state.fixed)) {
    throw fault("ERR_TLS_ILLEGAL_PARAMETER", "the ClientHello is not the one that was retried (RFC 8446 4.1.2)");
  }
  return { suite, group, helloHash: state.hello_hash };
}

function digestOf(config: ServerConfig, hello: OpenedClientHello, group: Group | undefined): Uint8Array {
  return config.provider.hashes.sha256.digest(fixedParts(hello, group));
}

function contextOf({ provider, now }: ServerConfig): StoreContext {
  return { provider, now: now() };
}

function protector(config: ServerConfig): CookieProtector {
  if (config.cookies === undefined) throw fault("ERR_TLS_INTERNAL", "no cookies are configured");
  return config.cookies;
}
