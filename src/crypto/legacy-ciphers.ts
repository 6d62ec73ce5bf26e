/**
 * 3DES and RC2 for reading old files. WebCrypto and noble have neither, OpenSSL 3 has RC2 only in its legacy provider;
 * node-forge is the one well-kept library with both, and of it only these files are loaded.
 */
/// <reference path="./node-forge.d.ts" />
import des from "node-forge/lib/des.js";
import rc2 from "node-forge/lib/rc2.js";
import util from "node-forge/lib/util.js";
import { latin1 } from "../bytes/bytes.ts";
import { fault } from "../errors.ts";
import type { LegacyCipher } from "./passwords.ts";

const CIPHERS = {
  "3des": (key: Uint8Array) => des.createDecryptionCipher(latin1(key), "CBC"),
  rc2: (key: Uint8Array) => rc2.createDecryptionCipher(latin1(key), 8 * key.length),
};

/** Whole blocks to whole blocks, in CBC mode: the padding is left. */
export function decryptLegacy(cipher: LegacyCipher, key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array {
  const decryption = CIPHERS[cipher](key);
  decryption.start(latin1(iv));
  decryption.update(util.createBuffer(latin1(data)));
  // What is given takes the place of the library's own removal of padding.
  if (!decryption.finish(() => true)) throw fault("ERR_TLS_INTERNAL", `${cipher} did not take whole blocks`);
  return Uint8Array.from(decryption.output.getBytes(), (character) => character.charCodeAt(0));
}
