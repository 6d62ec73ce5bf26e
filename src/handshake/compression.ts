/** Certificate compression, RFC 8879: for both roles, by whatever compressors the caller brings. */
import { CompressedCertificate, decodeBody, encodeMessage, type HandshakeMessage } from "../codec/messages.ts";
import { fault } from "../errors.ts";
import type { Awaitable, Flow } from "../flow.ts";
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

/** What one side does with the algorithms it has. */
export interface CertificateCompressions {
  /** Algorithms of compressed certificates that this side takes, for the compress_certificate extension. */
  readonly accepted: readonly number[];
  /** The message in place of a Certificate, if the peer accepts one of our algorithms and it is worth it. */
  compress(message: Uint8Array, accepted: readonly number[]): Flow<Uint8Array>;
  /**
   * The body of the Certificate message in a CompressedCertificate, RFC 8879 4.
   *
   * @throws TlsError `ERR_TLS_ILLEGAL_PARAMETER` for an algorithm that was not offered, `ERR_TLS_CERT_DECOMPRESSION` for
   * what does not decompress to the length it says, or is longer than this side takes.
   */
  decompress(message: HandshakeMessage): Flow<Uint8Array>;
}

/**
 * @param algorithms - In order of preference.
 * @param maxBytes - Longest Certificate message accepted when decompressed.
 */
export function certificateCompressions(
  algorithms: readonly CertificateCompression[],
  maxBytes: number,
): CertificateCompressions {
  return {
    accepted: algorithms.filter(({ decompress }) => decompress !== undefined).map(({ algorithm }) => algorithm),
    compress: (message, accepted) =>
      compress(
        message,
        algorithms.find(({ algorithm, compress }) => compress !== undefined && accepted.includes(algorithm)),
      ),
    decompress: (message) => decompress(message, algorithms, maxBytes),
  };
}

function* compress(message: Uint8Array, found: CertificateCompression | undefined): Flow<Uint8Array> {
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

function* decompress(
  message: HandshakeMessage,
  algorithms: readonly CertificateCompression[],
  maxBytes: number,
): Flow<Uint8Array> {
  const { algorithm, uncompressed_length, compressed_certificate_message } = decodeBody(CompressedCertificate, message);
  const found = algorithms.find((entry) => entry.algorithm === algorithm);
  if (found?.decompress === undefined) {
    throw fault("ERR_TLS_ILLEGAL_PARAMETER", `certificate compression ${algorithm} was not offered`);
  }
  if (uncompressed_length > maxBytes) {
    throw fault("ERR_TLS_CERT_DECOMPRESSION", `${uncompressed_length} bytes, at most ${maxBytes}`);
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
