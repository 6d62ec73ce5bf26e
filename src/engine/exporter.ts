/** Keying material for applications, RFC 8446 7.5. */
import { fault } from "../errors.ts";
import type { ExporterSecret } from "../handshake/io.ts";
import { exportKeyingMaterial } from "../schedule/secrets.ts";

/** @throws TlsError `ERR_TLS_OPTION` for lengths and labels that HKDF cannot have. */
export function exportFrom(
  { hash, secret }: ExporterSecret,
  length: number,
  label: string,
  context: Uint8Array,
): Uint8Array {
  if (!Number.isInteger(length) || length < 1 || length > 255 * hash.length)
    throw fault("ERR_TLS_OPTION", `${length} bytes of keying material, not 1 to ${255 * hash.length}`);
  if (!/^[\x20-\x7e]{1,249}$/.test(label)) throw fault("ERR_TLS_OPTION", "a label is 1 to 249 ASCII characters");
  return exportKeyingMaterial(hash, secret, label, context, length);
}
