/** node:tls's pskCallback: keys from outside TLS, with SHA-256, as OpenSSL uses those of its callbacks in TLS 1.3. */
import { nodeProvider } from "../../crypto/node.ts";
import { resolvePsk } from "../../engine/psk.ts";
import type { ExternalPsk } from "../../handshake/psk.ts";
import { argumentError } from "./errors.ts";

/** A client's: asked before the ClientHello. There is no hint in TLS 1.3. */
export type ClientPskCallback = (
  hint: null,
) => { readonly psk: NodeJS.ArrayBufferView; readonly identity: string } | null;

/** A server's: asked for each identity that a client offers, until there is a key. */
export type ServerPskCallback = (
  socket: unknown,
  identity: string,
) => NodeJS.ArrayBufferView | { readonly psk: NodeJS.ArrayBufferView } | null;

/** The keys to offer: one or none. */
export function offeredPsks(callback: ClientPskCallback | undefined): readonly ExternalPsk[] {
  const found = callback?.(null);
  if (found === undefined || found === null) return [];
  if (typeof found !== "object") throw argumentError("ERR_INVALID_ARG_TYPE", "pskCallback gives an object or null");
  const { psk, identity } = found;
  if (typeof identity !== "string") throw argumentError("ERR_INVALID_ARG_TYPE", "the identity of a PSK is a string");
  return resolvePsk({ identity, key: bytesOf(psk) }, nodeProvider);
}

/** What looks keys up for one connection. */
export function pskLookup(
  callback: ServerPskCallback | undefined,
  socket: unknown,
): ((identity: Uint8Array) => ExternalPsk | undefined) | undefined {
  if (callback === undefined) return undefined;
  return (identity) => {
    const found = callback(socket, Buffer.from(identity).toString());
    if (found === undefined || found === null) return undefined;
    const key = bytesOf(ArrayBuffer.isView(found) ? found : found.psk);
    return resolvePsk({ identity, key }, nodeProvider)[0];
  };
}

function bytesOf(psk: unknown): Uint8Array {
  if (!ArrayBuffer.isView(psk)) throw argumentError("ERR_INVALID_ARG_TYPE", "a PSK is a Buffer or TypedArray");
  return new Uint8Array(psk.buffer, psk.byteOffset, psk.byteLength);
}
