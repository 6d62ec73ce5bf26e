/** What is used of the package `node-forge`, whose files carry no types. Text stands for bytes, a character for each. */
interface ForgeBuffer {
  getBytes(): string;
}

interface ForgeCipher {
  readonly output: ForgeBuffer;
  start(iv: string): void;
  update(input: ForgeBuffer): void;
  /** False where whole blocks are wanted and missing, or where `unpad` says so. */
  finish(unpad: () => boolean): boolean;
}

declare module "node-forge/lib/des.js" {
  const des: { createDecryptionCipher(key: string, mode: "CBC"): ForgeCipher };
  export default des;
}

declare module "node-forge/lib/rc2.js" {
  const rc2: { createDecryptionCipher(key: string, effectiveBits: number): ForgeCipher };
  export default rc2;
}

declare module "node-forge/lib/util.js" {
  const util: { createBuffer(bytes: string): ForgeBuffer };
  export default util;
}
