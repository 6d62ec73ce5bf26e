/**
 * node:tls's shape over this engine: change the import and keep the code. TLS 1.3 only; an option that node:tls has and
 * this has not is refused, never ignored. `MEMBERS` lists all of them.
 *
 * What differs, on purpose: a client's certificate is not sent to a server that was not verified; a refused client gets
 * the alert that says why; options that cannot be honoured throw.
 */
import "../../explained.ts";
import type { SecureVersion } from "node:tls";
import nodeTls from "node:tls";
import { connect } from "./connect.ts";
import { createSecureContext, SecureContext } from "./context.ts";
import { defaults } from "./defaults.ts";
import { SUITES } from "./names.ts";
import { createServer, Server } from "./server.ts";
import { TLSSocket } from "./socket.ts";
import { checkServerIdentity } from "./verify.ts";

export { type ConnectOptions, connect } from "./connect.ts";
export { type ContextOptions, createSecureContext, SecureContext } from "./context.ts";
export { MEMBERS, type Support } from "./members.ts";
export { createServer, Server, type ServerOptions } from "./server.ts";
export { type ClientRole, type SocketOptions, TLSSocket } from "./socket.ts";
export { checkServerIdentity } from "./verify.ts";

/**
 * As in node:tls; TLS 1.3 has no renegotiation to limit.
 *
 * @example
 * ```ts
 * console.log(CLIENT_RENEG_LIMIT, CLIENT_RENEG_WINDOW); // 3 600
 * ```
 */
export const CLIENT_RENEG_LIMIT = 3;

/**
 * See {@link CLIENT_RENEG_LIMIT}. Seconds.
 *
 * @example
 * ```ts
 * console.log(CLIENT_RENEG_WINDOW); // 600
 * ```
 */
export const CLIENT_RENEG_WINDOW = 600;

/**
 * The suites offered where `ciphers` is left out, in Node's order.
 *
 * @example
 * ```ts
 * console.log(DEFAULT_CIPHERS.split(":")[0]); // TLS_AES_256_GCM_SHA384
 * ```
 */
export const DEFAULT_CIPHERS: string = defaults.DEFAULT_CIPHERS;

/**
 * `auto`: X25519MLKEM768, X25519, P-256 and P-384.
 *
 * @example
 * ```ts
 * console.log(DEFAULT_ECDH_CURVE); // auto
 * ```
 */
export const DEFAULT_ECDH_CURVE: string = defaults.DEFAULT_ECDH_CURVE;

/**
 * The only version there is.
 *
 * @example
 * ```ts
 * console.log(DEFAULT_MAX_VERSION); // TLSv1.3
 * ```
 */
export const DEFAULT_MAX_VERSION: SecureVersion = defaults.DEFAULT_MAX_VERSION;

/**
 * The only version there is; a lower `minVersion` is accepted all the same.
 *
 * @example
 * ```ts
 * console.log(DEFAULT_MIN_VERSION); // TLSv1.3
 * ```
 */
export const DEFAULT_MIN_VERSION: SecureVersion = defaults.DEFAULT_MIN_VERSION;

/**
 * Mozilla's roots as Node bundles them, PEM: whom clients believe where `ca` is left out.
 *
 * @example
 * ```ts
 * console.log(rootCertificates.length > 100); // true
 * ```
 */
export const rootCertificates: readonly string[] = nodeTls.rootCertificates;

/**
 * The suites there are, in lower case as node:tls has them.
 *
 * @example
 * ```ts
 * console.log(getCiphers()[0]); // tls_aes_256_gcm_sha384
 * ```
 */
export function getCiphers(): string[] {
  return SUITES.map((name) => name.toLowerCase());
}

/**
 * The module as one object, whose `DEFAULT_…` members may be assigned to.
 *
 * @example
 * ```ts
 * import tls from "mutls/tls"; // was "node:tls"
 *
 * const tlsServer = tls.createServer({ cert, key }, (socket) => socket.end("hello"));
 * tlsServer.listen(0, "localhost", () => tlsServer.close());
 * ```
 */
const tls = {
  CLIENT_RENEG_LIMIT,
  CLIENT_RENEG_WINDOW,
  SecureContext,
  Server,
  TLSSocket,
  checkServerIdentity,
  connect,
  createSecureContext,
  createServer,
  getCiphers,
  rootCertificates,
  get DEFAULT_CIPHERS(): string {
    return defaults.DEFAULT_CIPHERS;
  },
  set DEFAULT_CIPHERS(list: string) {
    defaults.DEFAULT_CIPHERS = list;
  },
  get DEFAULT_ECDH_CURVE(): string {
    return defaults.DEFAULT_ECDH_CURVE;
  },
  set DEFAULT_ECDH_CURVE(list: string) {
    defaults.DEFAULT_ECDH_CURVE = list;
  },
  get DEFAULT_MAX_VERSION(): SecureVersion {
    return defaults.DEFAULT_MAX_VERSION;
  },
  set DEFAULT_MAX_VERSION(version: SecureVersion) {
    defaults.DEFAULT_MAX_VERSION = version;
  },
  get DEFAULT_MIN_VERSION(): SecureVersion {
    return defaults.DEFAULT_MIN_VERSION;
  },
  set DEFAULT_MIN_VERSION(version: SecureVersion) {
    defaults.DEFAULT_MIN_VERSION = version;
  },
};

export default tls;
