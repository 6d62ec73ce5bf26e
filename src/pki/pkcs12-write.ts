/** Puts a PKCS#12 file together (RFC 7292 5). */
import { join } from "../bytes/bytes.ts";
import { contextConstructed, contextPrimitive, derEncode, derNumber, derOid, derSequence, Tag } from "../bytes/der.ts";
import { toHex } from "../bytes/hex.ts";
import { readPem } from "../bytes/pem.ts";
import { parsePrivateKey } from "../crypto/keys.ts";
import { privateKeyId, publicKeyId } from "../crypto/noble-public.ts";
import type { PasswordCrypto } from "../crypto/passwords.ts";
import { sha1 } from "../crypto/sha1.ts";
import { fault } from "../errors.ts";
import type { Flow } from "../flow.ts";
import { parseCertificate } from "../x509/parse.ts";
import { encrypt } from "./encryption.ts";
import { checkedIterations, type EncryptOptions, encryptedInfo } from "./pkcs8.ts";
import type { Pkcs12Certificate, Pkcs12Contents, Pkcs12Source } from "./pkcs12.ts";
import { Id } from "./pkcs12-ids.ts";
import { type Pkcs12Mac, writeMacData } from "./pkcs12-mac.ts";
import { Effort, encodeBmp, Unlocking } from "./unlock.ts";

export type { Pkcs12Mac } from "./pkcs12-mac.ts";

/** How to protect what is written. */
export interface Pkcs12Options extends EncryptOptions {
  /** "sha256" by default. "pbmac1" is for readers that know RFC 9579, such as OpenSSL 3.4; "sha1" for old ones. */
  readonly mac?: Pkcs12Mac | undefined;
}

/** Java asks for the mark, and for no purpose but this. */
const TRUSTED = /* @__PURE__ */ attribute(Id.trustedKeyUsage, /* @__PURE__ */ derOid(Id.anyExtendedKeyUsage));

const MACS: readonly Pkcs12Mac[] = ["sha1", "sha224", "sha256", "sha384", "sha512", "pbmac1"];

/** `writePkcs12` with any cryptography. */
export function* pkcs12Writing(
  { identities = [], certificates = [], trusted = [] }: Pkcs12Contents,
  passphrase: string,
  crypto: PasswordCrypto,
  options: Pkcs12Options,
): Flow<Uint8Array> {
  const iterations = checkedIterations(options);
  const { mac = "sha256" } = options;
  if (!MACS.includes(mac)) throw fault("ERR_TLS_OPTION", `mac is none of ${MACS.join(", ")}`);
  if (typeof passphrase !== "string" || passphrase === "") throw fault("ERR_TLS_OPTION", "the pass phrase is empty");
  if (identities.length + certificates.length + trusted.length === 0) {
    throw fault("ERR_TLS_OPTION", "there is nothing to write");
  }
  // What is written is this side's own: it sets the amount of work itself.
  const unlocking = new Unlocking(passphrase, crypto, new Effort({ maxIterations: Number.MAX_SAFE_INTEGER }));
  const read = identities.map(readSource);
  const certificateBags = [
    ...read.map((each) => certificateBag(each.chain[0], keyAttributes(each))),
    ...issuersOf(read).map((issuer) => certificateBag(issuer, [])),
    ...certificates.map((each) => certificateBag(each.cert, nameOf(each))),
    ...trusted.map((each) => certificateBag(each.cert, [...nameOf(each), TRUSTED])),
  ];
  const keyBags: Uint8Array[] = [];
  for (const each of read) {
    const info = yield* encryptedInfo(each.pkcs8, iterations, unlocking);
    keyBags.push(safeBag(Id.shroudedKeyBag, info, keyAttributes(each)));
  }
  const safes = derSequence(
    ...(certificateBags.length === 0 ? [] : [yield* encryptedSafe(certificateBags, iterations, unlocking)]),
    ...(keyBags.length === 0 ? [] : [contentInfo(derSequence(...keyBags))]),
  );
  const macData = yield* writeMacData(mac, safes, iterations, unlocking);
  return derSequence(derNumber(3), contentInfo(safes), macData);
}

interface Read {
  readonly chain: readonly [Uint8Array, ...Uint8Array[]];
  readonly pkcs8: Uint8Array;
  readonly friendlyName: string | undefined;
}

function readSource({ cert, key, friendlyName }: Pkcs12Source): Read {
  const chain = certificateChain(cert);
  const pkcs8 = parsePrivateKey(key);
  const leaf = parseCertificate(chain[0]);
  const id = privateKeyId(pkcs8);
  if (id !== undefined && id !== publicKeyId(leaf.publicKey.spki)) {
    throw fault("ERR_OSSL_X509_KEY_VALUES_MISMATCH", `certificate of ${leaf.subject.text}`);
  }
  return { chain, pkcs8, friendlyName };
}

function certificateChain(cert: Pkcs12Source["cert"]): readonly [Uint8Array, ...Uint8Array[]] {
  const [first, ...rest] =
    typeof cert !== "string" && !(cert instanceof Uint8Array)
      ? cert
      : typeof cert !== "string" && cert[0] === Tag.sequence
        ? [cert]
        : readPem(cert).flatMap(({ label, der }) => (/^(X509 )?CERTIFICATE$/.test(label) ? [der] : []));
  if (first === undefined) throw fault("ERR_TLS_PEM", "no certificate for the key");
  return [first, ...rest];
}

/** Of all chains, none twice. */
function issuersOf(read: readonly Read[]): readonly Uint8Array[] {
  return [...new Map(read.flatMap(({ chain }) => chain.slice(1)).map((der) => [toHex(der), der])).values()];
}

/** localKeyId as OpenSSL and Windows have it. */
function keyAttributes({ chain, friendlyName }: Read): Uint8Array[] {
  const keyId = attribute(Id.localKeyId, derEncode(Tag.octetString, sha1(chain[0])));
  return [keyId, ...nameOf({ friendlyName })];
}

function nameOf({ friendlyName }: Pick<Pkcs12Certificate, "friendlyName">): Uint8Array[] {
  if (friendlyName === undefined) return [];
  return [attribute(Id.friendlyName, derEncode(Tag.bmpString, encodeBmp(friendlyName)))];
}

function attribute(oid: string, value: Uint8Array): Uint8Array {
  return derSequence(derOid(oid), derEncode(Tag.set, value));
}

function certificateBag(der: Uint8Array, attributes: readonly Uint8Array[]): Uint8Array {
  parseCertificate(der);
  const octets = derEncode(contextConstructed(0), derEncode(Tag.octetString, der));
  return safeBag(Id.certBag, derSequence(derOid(Id.x509Certificate), octets), attributes);
}

function safeBag(type: string, value: Uint8Array, attributes: readonly Uint8Array[]): Uint8Array {
  return derSequence(
    derOid(type),
    derEncode(contextConstructed(0), value),
    ...(attributes.length === 0 ? [] : [derEncode(Tag.set, join(sorted(attributes)))]),
  );
}

/** X.690 11.6: a SET OF in DER is in ascending order. */
function sorted(encodings: readonly Uint8Array[]): Uint8Array[] {
  return [...encodings].sort((a, b) => {
    const at = a.findIndex((byte, index) => byte !== b[index]);
    return at < 0 ? 0 : (a[at] as number) - (b[at] ?? -1);
  });
}

/** A ContentInfo with Data. */
function contentInfo(content: Uint8Array): Uint8Array {
  const octets = derEncode(contextConstructed(0), derEncode(Tag.octetString, content));
  return derSequence(derOid(Id.data), octets);
}

/** A ContentInfo with EncryptedData (RFC 2315 13). */
function* encryptedSafe(bags: readonly Uint8Array[], iterations: number, unlocking: Unlocking): Flow<Uint8Array> {
  const [algorithm, encrypted] = yield* encrypt(derSequence(...bags), iterations, unlocking);
  const info = derSequence(derOid(Id.data), algorithm, derEncode(contextPrimitive(0), encrypted));
  const data = derSequence(derNumber(0), info);
  return derSequence(derOid(Id.encryptedData), derEncode(contextConstructed(0), data));
}
