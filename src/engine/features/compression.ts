/** Compressed certificates, a client's feature and a server's option. */
import { fault } from "../../errors.ts";
import { type CertificateCompressions, certificateCompressions } from "../../handshake/compression.ts";
import type { ClientFeature } from "../client-options.ts";
import type { CommonOptions } from "../common-options.ts";
import { DEFAULT_MAX_MESSAGE } from "../limits.ts";

/**
 * Compressed certificates (RFC 8879), for a client's `features`: the option `certificateCompression`, which brings the
 * algorithms.
 *
 * @example
 * ```ts
 * import { compressedCertificates, connect, webZlibCompression } from "mutls/lean";
 *
 * const compression = { features: [compressedCertificates], certificateCompression: [webZlibCompression()] };
 * const session = await connect(stream, { serverName: "localhost", trust: ca, ...compression });
 * console.log(session.verified); // true
 * ```
 */
export const compressedCertificates: ClientFeature = {
  options: ["certificateCompression"],
  configure: (options) => ({ compression: resolveCompression(options) }),
};

/** `undefined` where no algorithm is given. */
export function resolveCompression({
  certificateCompression: list = [],
  maxHandshakeMessage = DEFAULT_MAX_MESSAGE,
}: CommonOptions): CertificateCompressions | undefined {
  const usable = list.every(
    ({ algorithm, compress, decompress }) =>
      Number.isInteger(algorithm) && (compress !== undefined || decompress !== undefined),
  );
  if (!usable || new Set(list.map(({ algorithm }) => algorithm)).size < list.length) {
    throw fault("ERR_TLS_OPTION", "certificateCompression holds an algorithm twice, or something else than algorithms");
  }
  return list.length === 0 ? undefined : certificateCompressions(list, maxHandshakeMessage);
}
