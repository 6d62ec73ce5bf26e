/** SHA-1 for identifiers that RFC 6960 4.1.1 and 4.2.1 make of it. Nothing that is signed rests on it. */
import { sha1 as digest } from "@noble/hashes/legacy.js";

/** 20 bytes. */
export function sha1(data: Uint8Array): Uint8Array {
  return digest(data);
}
