/** Certificate compression with what Node has. */
import * as zlib from "node:zlib";
import { fault } from "../errors.ts";
import type { CertificateCompression } from "../handshake/compression.ts";

/**
 * RFC 8879 with zlib, for `certificateCompression`.
 *
 * @example
 * ```ts
 * const compression = zlibCompression();
 * const compressed = await compression.compress?.(new Uint8Array(1000));
 * console.log(compressed && compressed.length < 100); // true
 * ```
 */
export function zlibCompression(): CertificateCompression {
  return {
    algorithm: 1,
    compress: (plain) => zlib.deflateSync(plain),
    decompress: (compressed, length) => whole(zlib.inflateSync, compressed, length),
  };
}

/**
 * RFC 8879 with brotli, for `certificateCompression`.
 *
 * @example
 * ```ts
 * const compression = brotliCompression();
 * const compressed = await compression.compress?.(new Uint8Array(1000));
 * console.log(compressed && compressed.length < 100); // true
 * ```
 */
export function brotliCompression(): CertificateCompression {
  return {
    algorithm: 2,
    compress: (plain) =>
      zlib.brotliCompressSync(plain, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY } }),
    decompress: (compressed, length) => whole(zlib.brotliDecompressSync, compressed, length),
  };
}

type Decompressor = (compressed: Uint8Array, options: { readonly maxOutputLength: number }) => Uint8Array;

/** Certificates are small and sent often: the best quality takes many times as long for a few bytes. */
const BROTLI_QUALITY = 5;

/** Node stops once more than `length` bytes come out, but passes over bytes behind the end. */
function whole(decompress: Decompressor, compressed: Uint8Array, length: number): Uint8Array {
  // `info` is not in the declarations: it makes the result carry the engine with its count of bytes taken.
  const options = { maxOutputLength: Math.max(1, length), info: true };
  const { buffer, engine } = decompress(compressed, options) as unknown as {
    readonly buffer: Uint8Array;
    readonly engine: { readonly bytesWritten: number };
  };
  if (engine.bytesWritten !== compressed.length) throw new RangeError("bytes behind the end of what was compressed");
  return buffer;
}

/** Node has it from 22.15 on; the declarations of Node 20 do not. */
interface Zstd {
  readonly zstdCompressSync?: (plain: Uint8Array) => Uint8Array;
  readonly zstdDecompressSync?: Decompressor;
}

/**
 * RFC 8879 with zstd, for `certificateCompression`, where this Node has it.
 *
 * @throws TlsError `ERR_TLS_OPTION` before Node 22.15.
 * @example
 * ```ts
 * if (hasZstd()) console.log(zstdCompression().algorithm); // 3
 * ```
 */
export function zstdCompression(): CertificateCompression {
  const { zstdCompressSync, zstdDecompressSync } = zlib as Zstd;
  if (zstdCompressSync === undefined || zstdDecompressSync === undefined) {
    throw fault("ERR_TLS_OPTION", `Node ${process.version} has no zstd`);
  }
  return {
    algorithm: 3,
    compress: (plain) => zstdCompressSync(plain),
    decompress: (compressed, length) => whole(zstdDecompressSync, compressed, length),
  };
}

/**
 * True where {@link zstdCompression} works.
 *
 * @example
 * ```ts
 * const compressions = hasZstd() ? [zstdCompression(), zlibCompression()] : [zlibCompression()];
 * console.log(compressions.at(-1)?.algorithm); // 1
 * ```
 */
export function hasZstd(): boolean {
  return (zlib as Zstd).zstdCompressSync !== undefined;
}
