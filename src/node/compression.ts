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
    decompress: (compressed, maxOutputLength) => zlib.inflateSync(compressed, { maxOutputLength }),
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
    compress: (plain) => zlib.brotliCompressSync(plain),
    decompress: (compressed, maxOutputLength) => zlib.brotliDecompressSync(compressed, { maxOutputLength }),
  };
}

/** Node has it from 22.15 on; the declarations of Node 20 do not. */
interface Zstd {
  readonly zstdCompressSync?: (plain: Uint8Array) => Uint8Array;
  readonly zstdDecompressSync?: (compressed: Uint8Array, options: { maxOutputLength: number }) => Uint8Array;
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
    decompress: (compressed, maxOutputLength) => zstdDecompressSync(compressed, { maxOutputLength }),
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
