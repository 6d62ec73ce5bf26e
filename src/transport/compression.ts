/** Certificate compression with what browsers and edge runtimes have. */
import { join } from "../bytes/bytes.ts";
import { fault } from "../errors.ts";
import type { CertificateCompression } from "../handshake/compression.ts";

/**
 * RFC 8879 with zlib through the platform's CompressionStream, for `certificateCompression`.
 *
 * @example
 * ```ts
 * const compression = webZlibCompression();
 * const compressed = await compression.compress?.(new Uint8Array(1000));
 * console.log(compressed && compressed.length < 100); // true
 * ```
 */
export function webZlibCompression(): CertificateCompression {
  return {
    algorithm: 1,
    compress: (plain) => through(new CompressionStream("deflate"), plain, Number.POSITIVE_INFINITY),
    decompress: (compressed, length) => through(new DecompressionStream("deflate"), compressed, length),
  };
}

/** Stops as soon as more than `most` bytes come out. */
async function through(
  { readable, writable }: CompressionStream | DecompressionStream,
  input: Uint8Array,
  most: number,
): Promise<Uint8Array> {
  const writer = writable.getWriter();
  const written = writer.write(new Uint8Array(input)).then(() => writer.close());
  // What goes wrong there is told to the reader too.
  written.catch(() => {});
  const reader: ReadableStreamDefaultReader<Uint8Array> = readable.getReader();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return join(chunks);
    length += value.length;
    if (length > most) {
      await reader.cancel();
      throw fault("ERR_TLS_CERT_DECOMPRESSION", `more than ${most} bytes`);
    }
    chunks.push(value);
  }
}
