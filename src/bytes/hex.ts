/** Hexadecimal and base64, without the platform's help: `Buffer` and `Uint8Array.fromHex` are not everywhere. */
import { fault } from "../errors.ts";

const DIGITS = "0123456789abcdef";

/** Lower-case hexadecimal of `bytes`. */
export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += DIGITS.charAt(byte >> 4) + DIGITS.charAt(byte & 15);
  return text;
}

/**
 * The bytes of a hexadecimal string; white space is allowed between them.
 *
 * @throws TlsError `ERR_TLS_PEM` when it is not hexadecimal.
 */
export function fromHex(text: string): Uint8Array {
  const digits = text.replace(/\s+/g, "").toLowerCase();
  if (digits.length % 2 !== 0 || !/^[0-9a-f]*$/.test(digits)) throw fault("ERR_TLS_PEM", "not hexadecimal");
  const bytes = new Uint8Array(digits.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

/** Standard base64 (RFC 4648 4) with padding. */
export function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += 0x2000) text += String.fromCharCode(...bytes.subarray(i, i + 0x2000));
  return btoa(text);
}

/**
 * The bytes of a base64 string; white space is ignored.
 *
 * @throws TlsError `ERR_TLS_PEM` when it is not base64.
 */
export function fromBase64(text: string): Uint8Array {
  let binary: string;
  try {
    binary = atob(text.replace(/\s+/g, ""));
  } catch (cause) {
    throw fault("ERR_TLS_PEM", "not base64", { cause });
  }
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}
