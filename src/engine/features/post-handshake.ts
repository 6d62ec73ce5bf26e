/** A client's feature: certificates after the handshake. */
import { Answers } from "../answers.ts";
import type { ClientFeature } from "../client-options.ts";

/**
 * Certificates after the handshake (RFC 8446 4.6.2), for a client's `features`: the option `postHandshakeAuth`.
 *
 * @example
 * ```ts
 * import { connect, postHandshakeAuthentication } from "mutls/lean";
 *
 * const features = [postHandshakeAuthentication];
 * const options = { serverName: "localhost", trust: ca, identities: [{ cert, key }], features, postHandshakeAuth: true };
 * const session = await connect(stream, options);
 * console.log(session.verified); // true
 * ```
 */
export const postHandshakeAuthentication: ClientFeature = {
  options: ["postHandshakeAuth"],
  configure: ({ postHandshakeAuth = false }) => ({ postHandshakeAuth }),
  aftermath: (config) => ({ authentication: (host, result) => new Answers(host, config, result) }),
};
