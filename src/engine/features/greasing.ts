/** A client's feature: values that nobody knows. */
import { greasedHello } from "../../handshake/grease.ts";
import type { ClientFeature } from "../client-options.ts";

/**
 * Values that servers must ignore (RFC 8701), for a client's `features`: the option `grease`.
 *
 * @example
 * ```ts
 * import { connect, greasing } from "mutls/lean";
 *
 * const session = await connect(stream, { serverName: "localhost", trust: ca, features: [greasing], grease: true });
 * console.log(session.verified); // true
 * ```
 */
export const greasing: ClientFeature = {
  options: ["grease"],
  configure: ({ grease }) => ({ grease: grease ? greasedHello : undefined }),
};
