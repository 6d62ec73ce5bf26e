/** Certificate compression, RFC 8879: for both roles, by whatever compressors the caller brings. */
import { CompressedCertificate, decodeBody, encodeMessage, type HandshakeMessage } from "../codec/messages.ts";
import { fault } from "../errors.ts";
import type { Awaitable, Flow } from "../flow.ts";
import type { CommonConfig } from "./config.ts";
import { call } from "./io.ts";

/** One algorithm, in both directions or one. */
export interface CertificateCompression {
  /** IANA's number: zlib 1, brotli 2, zstd 3. */
  readonly algorithm: number;
  /** Absent: nothing is sent compressed with it. */
  compress?(plain: Uint8Array): Awaitable<Uint8Array>;
  /**
   * Absent: nothing compressed with it is accepted.
   *
   * @param length - Bytes that must come out; stop when there would be more. Whatever is thrown means that the peer's
   * data is bad.
   */
  decompress?(compressed: Uint8Array, length: number): Awaitable<Uint8Array>;
}

/** What this side accepts, for the compress_certificate extension. */
export function acceptedCompressions({ certificateCompression }: CommonConfig): readonly number[] {
  return certificateCompression.filter(({ decompress }) => decompress !== undefined).map(({ algorithm }) => algorithm);
}

/** The message in place of a Certificate, if the peer accepts one of our algorithms and it is worth it. */
export function* compressCertificate(
  config: CommonConfig,
  message: Uint8Array,
  accepted: readonly number[],
): Flow<Uint8Array> {
  const found = config.certificateCompression.find(
    ({ algorithm, compress }) => compress !== undefined && accepted.includes(algorithm),
  );
  if (found === undefined) return message;
  const body = message.subarray(4);
  const compressed = yield* call(
    "compress",
    "ERR_TLS_CALLBACK_FAILED",
    () => found.compress?.(body) ?? new Uint8Array(0),
  );
  if (compressed.length === 0 || compressed.length + 8 >= body.length) return message;
  return encodeMessage("compressed_certificate", CompressedCertificate, {
    algorithm: found.algorithm,
    uncompressed_length: body.length,
    compressed_certificate_message: compressed,
  });
}

/**
 * The body of the Certificate message in a CompressedCertificate, RFC 8879 4.
 *
 * @throws TlsError `ERR_TLS_ILLEGAL_PARAMETER` for an algorithm that was not offered, `ERR_TLS_CERT_DECOMPRESSION` for
 * what does not decompress to the length it says, or is longer than this side takes.
 */
export function* decompressCertificate(config: CommonConfig, message: HandshakeMessage): Flow<Uint8Array> {
  const { algorithm, uncompressed_length, compressed_certificate_message } = decodeBody(CompressedCertificate, message);
  const found = config.certificateCompression.find((entry) => entry.algorithm === algorithm);
  if (found?.decompress === undefined) {
    throw fault("ERR_TLS_ILLEGAL_PARAMETER", `certificate compression ${algorithm} was not offered`);
  }
  if (uncompressed_length > config.maxCertificateBytes) {
    throw fault("ERR_TLS_CERT_DECOMPRESSION", `${uncompressed_length} bytes, at most ${config.maxCertificateBytes}`);
  }
  const { decompress } = found;
  let body: Uint8Array;
  try {
    body = yield* call("compress", "ERR_TLS_CERT_DECOMPRESSION", () =>
      decompress(compressed_certificate_message, uncompressed_length),
    );
  } catch (cause) {
    throw fault("ERR_TLS_CERT_DECOMPRESSION", undefined, { cause });
  }
  if (body.length !== uncompressed_length) {
    throw fault("ERR_TLS_CERT_DECOMPRESSION", `${body.length} bytes instead of ${uncompressed_length}`);
  }
  // In memory of its own, and no Buffer.
  return new Uint8Array(body);
}
