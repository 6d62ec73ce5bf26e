import { fault } from "../errors.ts";
import { MAX_PLAINTEXT } from "../record/framing.ts";

/**
 * A policy for the option `padding`: content and padding of each protected record are a multiple of `block` together, as
 * far as the record limit allows (RFC 8446 5.4). Hides lengths to that grain; it costs half a block for each record.
 *
 * @param block - Bytes, 2 to 16384.
 * @throws TlsError `ERR_TLS_OPTION` for another number.
 * @example
 * ```ts
 * const session = await connect(stream, { serverName: "localhost", trust: ca, identities: [{ cert, key }], padding: padTo(256) });
 * console.log(padTo(256)(23, 300)); // 212
 * ```
 */
export function padTo(block: number): (type: number, length: number) => number {
  if (!Number.isInteger(block) || block < 2 || block > MAX_PLAINTEXT) {
    throw fault("ERR_TLS_OPTION", `padding to ${block}, which is not 2 to ${MAX_PLAINTEXT} bytes`);
  }
  return (_type, length) => (block - (length % block)) % block;
}
