/** Takes a PKCS#12 file apart (RFC 7292 4), within bounds on everything that the file decides. */
import { contextConstructed, type DerReader, derContent, Tag } from "../bytes/der.ts";
import { readAlgorithmIdentifier } from "../crypto/keys.ts";
import type { PasswordCrypto } from "../crypto/passwords.ts";
import { fault, TlsError } from "../errors.ts";
import type { Flow } from "../flow.ts";
import { berToDer, implicitOctets } from "./ber.ts";
import { decrypt } from "./encryption.ts";
import { decryptInfo } from "./pkcs8.ts";
import type { Pkcs12 } from "./pkcs12.ts";
import { Id } from "./pkcs12-ids.ts";
import { checkMac, type MacData, readMacData } from "./pkcs12-mac.ts";
import { type CertificateBag, type KeyBag, matchIdentities } from "./pkcs12-match.ts";
import { decodeBmp, Effort, Unlocking, type UnlockOptions } from "./unlock.ts";

/** Bytes of a file: Java's list of public roots takes 200 KB. */
const MAX_FILE = 4 * 1024 * 1024;
/** Certificates and what else there is, all together. */
const MAX_BAGS = 5000;
const MAX_KEYS = 256;
/** SafeContents within SafeContents. */
const MAX_NESTING = 8;

/** How a PKCS#12 file is read. */
export interface Pkcs12ReadOptions extends UnlockOptions {
  /**
   * True: a file without a MAC is read with a pass phrase, too, although whoever had it in hand may have put in, or taken
   * out, what he liked. Default false.
   */
  readonly withoutMac?: boolean | undefined;
}

/** `readPkcs12` with any cryptography. */
export function* pkcs12Reading(
  file: Uint8Array,
  passphrase: string | undefined,
  crypto: PasswordCrypto,
  options: Pkcs12ReadOptions,
): Flow<Pkcs12> {
  if (file.length > MAX_FILE) throw fault("ERR_TLS_PKCS12", `more than ${MAX_FILE} bytes`);
  const pfx = readPfx(file);
  // Who names a pass phrase relies on it: without a MAC even clear text beside what is encrypted would be believed.
  if (passphrase && pfx.mac === undefined && options.withoutMac !== true) {
    throw fault("ERR_TLS_PKCS12", "mac absent: with a pass phrase, only what it protects from changes is read");
  }
  const effort = new Effort(options);
  // RFC 7292 B.1 gives no pass phrase two zero bytes, others give it none; only trying tells.
  const [first, second] = passphrase ? [passphrase] : passphrase === "" ? ["", undefined] : [undefined, ""];
  try {
    return yield* open(pfx, new Unlocking(first, crypto, effort));
  } catch (error) {
    if (passphrase || !(error instanceof TlsError) || error.code !== "ERR_TLS_PASSPHRASE") throw error;
  }
  return yield* open(pfx, new Unlocking(second, crypto, effort));
}

interface Pfx {
  /** What the MAC covers. */
  readonly content: Uint8Array;
  readonly mac: MacData | undefined;
}

function readPfx(file: Uint8Array): Pfx {
  const pfx = derContent(berToDer(file), Tag.sequence, "PFX");
  const version = pfx.smallInteger();
  if (version !== 3) throw fault("ERR_TLS_PKCS12", `PFX of version ${version}`);
  const { type, content } = readContentInfo(pfx);
  if (type === Id.signedData) throw fault("ERR_TLS_PKCS12", "public-key integrity mode (SignedData) is not supported");
  if (type !== Id.data) throw fault("ERR_TLS_PKCS12", `authSafe of the type ${type} is not supported`);
  const octets = content.octetString();
  content.finish("authSafe");
  const mac = pfx.remaining > 0 ? readMacData(pfx) : undefined;
  pfx.finish("PFX");
  return { content: octets, mac };
}

/** RFC 2315 7 */
function readContentInfo(reader: DerReader): { readonly type: string; readonly content: DerReader } {
  const info = reader.sequence();
  const type = info.oid();
  const content = info.read(contextConstructed(0));
  info.finish("ContentInfo");
  return { type, content };
}

/** Everything that was in bags. */
class Contents {
  readonly unlocking: Unlocking;
  readonly keys: KeyBag[] = [];
  readonly certificates: CertificateBag[] = [];
  readonly crls: Uint8Array[] = [];
  readonly unread = new Set<string>();
  bags = 0;

  constructor(unlocking: Unlocking) {
    this.unlocking = unlocking;
  }
}

function* open({ content, mac }: Pfx, unlocking: Unlocking): Flow<Pkcs12> {
  const kind = mac && (yield* checkMac(mac, content, unlocking));
  const safes = derContent(berToDer(content), Tag.sequence, "AuthenticatedSafe");
  const contents = new Contents(unlocking);
  while (safes.remaining > 0) {
    yield* readSafeContents(yield* safeContents(safes, unlocking), contents, 0);
  }
  const { keys, certificates, crls, unread } = contents;
  return { ...matchIdentities(keys, certificates), crls, unread: [...unread], mac: kind };
}

function* safeContents(safes: DerReader, unlocking: Unlocking): Flow<DerReader> {
  const { type, content } = readContentInfo(safes);
  switch (type) {
    case Id.data: {
      const octets = content.octetString();
      content.finish("Data");
      return sequence(octets);
    }
    case Id.encryptedData: {
      const decrypted = yield* decryptData(content, unlocking);
      try {
        return sequence(decrypted);
      } catch (cause) {
        // Without a MAC, one wrong pass phrase in 256 gets as far as this.
        throw fault("ERR_TLS_PASSPHRASE", "what is decrypted is no SafeContents", { cause });
      }
    }
    case Id.envelopedData:
      throw fault("ERR_TLS_PKCS12", "public-key privacy mode (EnvelopedData) is not supported");
    default:
      throw fault("ERR_TLS_PKCS12", `a safe of the type ${type} is not supported`);
  }
}

function sequence(ber: Uint8Array): DerReader {
  return derContent(berToDer(ber), Tag.sequence, "SafeContents");
}

/** RFC 2315 13 */
function* decryptData(content: DerReader, unlocking: Unlocking): Flow<Uint8Array> {
  const data = content.sequence();
  content.finish("EncryptedData");
  const version = data.smallInteger();
  if (version !== 0) throw fault("ERR_TLS_PKCS12", `EncryptedData of version ${version}`);
  const info = data.sequence();
  const type = info.oid();
  if (type !== Id.data) throw fault("ERR_TLS_PKCS12", `EncryptedData of the type ${type}`);
  const algorithm = readAlgorithmIdentifier(info);
  const octets = implicitOctets(info, 0);
  info.finish("EncryptedContentInfo");
  // unprotectedAttrs, which nobody has.
  data.optional(contextConstructed(1));
  data.finish("EncryptedData");
  return yield* decrypt(algorithm, octets, unlocking);
}

/** RFC 7292 4.2 */
function* readSafeContents(bags: DerReader, contents: Contents, nesting: number): Flow<void> {
  if (nesting > MAX_NESTING) throw fault("ERR_TLS_PKCS12", `more than ${MAX_NESTING} SafeContents in one another`);
  while (bags.remaining > 0) {
    if (++contents.bags > MAX_BAGS) throw fault("ERR_TLS_PKCS12", `more than ${MAX_BAGS} bags`);
    const bag = bags.sequence();
    const type = bag.oid();
    const value = bag.read(contextConstructed(0));
    const attributes = readAttributes(bag);
    bag.finish("SafeBag");
    yield* readBag(type, value, attributes, contents, nesting);
  }
}

function* readBag(
  type: string,
  value: DerReader,
  attributes: Attributes,
  contents: Contents,
  nesting: number,
): Flow<void> {
  switch (type) {
    case Id.keyBag:
    case Id.shroudedKeyBag: {
      if (contents.keys.length === MAX_KEYS) throw fault("ERR_TLS_PKCS12", `more than ${MAX_KEYS} keys`);
      const info = value.raw();
      const key = type === Id.keyBag ? info.slice() : yield* decryptInfo(info, contents.unlocking);
      contents.keys.push({ ...attributes, key });
      break;
    }
    case Id.certBag:
    case Id.crlBag: {
      const [format, octets] = readTyped(value.sequence());
      if (format === Id.x509Certificate && type === Id.certBag)
        contents.certificates.push({ ...attributes, cert: octets });
      else if (format === Id.x509Crl && type === Id.crlBag) contents.crls.push(octets);
      else contents.unread.add(format);
      break;
    }
    case Id.safeContentsBag:
      yield* readSafeContents(value.sequence(), contents, nesting + 1);
      break;
    default:
      contents.unread.add(type);
      return;
  }
  value.finish("the bag's value");
}

/** CertBag and CRLBag, RFC 7292 4.2.3 and 4.2.4. */
function readTyped(bag: DerReader): [string, Uint8Array] {
  const format = bag.oid();
  const value = bag.read(contextConstructed(0));
  bag.finish("CertBag");
  return [format, format === Id.x509Certificate || format === Id.x509Crl ? value.octetString() : value.rest()];
}

interface Attributes {
  readonly friendlyName: string | undefined;
  readonly localKeyId: Uint8Array | undefined;
  readonly trusted: boolean;
}

/** Others are Microsoft's key containers and the like: nothing to go by. */
function readAttributes(bag: DerReader): Attributes {
  const attributes = bag.optional(Tag.set);
  let friendlyName: string | undefined;
  let localKeyId: Uint8Array | undefined;
  let trusted = false;
  while (attributes !== undefined && attributes.remaining > 0) {
    const attribute = attributes.sequence();
    const type = attribute.oid();
    const values = attribute.set();
    attribute.finish("PKCS12Attribute");
    if (type === Id.friendlyName && values.remaining > 0) friendlyName = decodeBmp(values.read(Tag.bmpString).rest());
    if (type === Id.localKeyId && values.remaining > 0) localKeyId = values.octetString();
    if (type === Id.trustedKeyUsage) trusted = true;
  }
  return { friendlyName, localKeyId, trusted };
}
