/** PKCS#12 and encrypted private keys, as `mutls/pki` and `mutls/node` offer them. */

export { type EncryptOptions, encryptPrivateKey, readPrivateKey } from "./pkcs8.ts";
export {
  type Pkcs12,
  type Pkcs12Certificate,
  type Pkcs12Contents,
  type Pkcs12Identity,
  type Pkcs12Key,
  type Pkcs12Mac,
  type Pkcs12Options,
  type Pkcs12ReadOptions,
  type Pkcs12Source,
  readPkcs12,
  writePkcs12,
} from "./pkcs12.ts";
export type { UnlockOptions } from "./unlock.ts";
