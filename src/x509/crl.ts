/** Certificate revocation lists from DER, strictly, in one pass and in linear time (RFC 5280 5). */
import { equal, latin1 } from "../bytes/bytes.ts";
import { contextConstructed, contextPrimitive, DerReader, Tag } from "../bytes/der.ts";
import { fault, TlsError } from "../errors.ts";
import type { Extension } from "./certificate.ts";
import { DistinguishedName } from "./distinguished.ts";
import {
  type DistributionPoint,
  type IssuingDistributionPoint,
  readDirectoryNames,
  readDistributionPoints,
  readIssuingDistributionPoint,
} from "./distribution.ts";
import { readExtensions } from "./extensions.ts";

/** Bytes of one CRL: about a million entries. */
const MAX_CRL = 64 * 1024 * 1024;
const MAX_SERIAL = 64;
/** OIDs of critical extensions in entries that are kept for the explanation: one is enough to refuse the CRL. */
const MAX_UNHANDLED = 16;
/** RFC 5280 5.2.3: 20 octets are to be handled. */
const MAX_NUMBER = 20;

/** CRLReason by number, RFC 5280 5.3.1. */
export const REVOCATION_REASONS = [
  "unspecified",
  "keyCompromise",
  "cACompromise",
  "affiliationChanged",
  "superseded",
  "cessationOfOperation",
  "certificateHold",
  undefined,
  "removeFromCRL",
  "privilegeWithdrawn",
  "aACompromise",
] as const;

/** Why a certificate was revoked, RFC 5280 5.3.1. */
export type RevocationReason = NonNullable<(typeof REVOCATION_REASONS)[number]>;

/** One entry of a CRL. */
export interface RevokedCertificate {
  /** ms since the epoch. */
  readonly revokedAt: number;
  readonly reason: RevocationReason;
  /** Since when the key may be in wrong hands: ms since the epoch. */
  readonly invalidityDate: number | undefined;
}

/** A CRL, checked for syntax and not for trust. */
export interface CertificateRevocationList {
  readonly der: Uint8Array;
  /** What is signed. */
  readonly tbs: Uint8Array;
  readonly version: 1 | 2;
  readonly signatureAlgorithm: Uint8Array;
  readonly signature: Uint8Array;
  readonly issuer: DistinguishedName;
  /** ms since the epoch. */
  readonly thisUpdate: number;
  /** ms since the epoch. */
  readonly nextUpdate: number | undefined;
  readonly extensions: readonly Extension[];
  readonly crlNumber: bigint | undefined;
  /** BaseCRLNumber: there in a delta CRL only. */
  readonly baseCrlNumber: bigint | undefined;
  readonly authorityKeyId: Uint8Array | undefined;
  /** What it covers; `undefined`: all certificates of its issuer, for all reasons. */
  readonly scope: IssuingDistributionPoint | undefined;
  /** Where its delta CRLs are. */
  readonly freshest: readonly DistributionPoint[];
  /** OIDs of critical extensions, of the CRL or of an entry, that nothing here understands: it must not be used. */
  readonly unhandledCritical: readonly string[];
  /** Entries. */
  readonly size: number;
  /**
   * The entry for a certificate.
   *
   * @param serialNumber - Contents of the INTEGER.
   */
  find(issuer: DistinguishedName, serialNumber: Uint8Array): RevokedCertificate | undefined;
}

/**
 * A CRL as a value. Only the syntax is checked; what is returned views `der`, which must not change afterwards.
 *
 * @param der - The CRL, DER, at most 64 MiB.
 * @throws TlsError `CRL_PARSE_ERROR` when it is not DER or breaks RFC 5280 5.1.
 *
 * @example
 * ```ts
 * const key = await generateKeyPair("P-256");
 * const root = { certificate: await createRoot({ subject: "example root" }, key), signer: key };
 * console.log(parseCrl(await createCrl({ number: 8n, revoked: [] }, root)).crlNumber); // 8
 * ```
 */
export function parseCrl(der: Uint8Array): CertificateRevocationList {
  try {
    if (der.length > MAX_CRL) throw fault("ERR_TLS_PEM", `a CRL of more than ${MAX_CRL} bytes`);
    return readCrl(der);
  } catch (cause) {
    if (!(cause instanceof TlsError)) throw cause;
    throw fault("CRL_PARSE_ERROR", cause.detail, { cause });
  }
}

function readCrl(der: Uint8Array): CertificateRevocationList {
  const input = new DerReader(der);
  const outer = input.sequence();
  input.finish("the CRL");
  const tbs = outer.raw();
  const signatureAlgorithm = outer.raw();
  const signature = outer.bitStringBytes();
  outer.finish("the signature");

  const body = new DerReader(tbs).sequence();
  // RFC 5280 5.1.2.1: what is written is version 2, whose number is 1.
  const version = body.peek() === Tag.integer ? 2 : 1;
  const number = version === 2 ? body.smallInteger() : 0;
  if (number !== version - 1) throw malformed(`the version number ${number} is not known`);
  // RFC 5280 5.1.1.2
  if (!equal(body.raw(), signatureAlgorithm)) throw malformed("the two signature algorithms differ");
  const issuer = new DistinguishedName(body.raw());
  if (issuer.empty) throw malformed("the issuer has no name");
  const thisUpdate = body.time();
  const isTime = body.peek() === Tag.utcTime || body.peek() === Tag.generalizedTime;
  const nextUpdate = isTime ? body.time() : undefined;
  const entries = body.optional(Tag.sequence);
  const extensions = readCrlExtensions(body, version);
  body.finish("tbsCertList");

  const values = readValues(extensions, issuer);
  const list = new Entries(issuer, version, values.scope?.indirectCRL ?? false);
  if (entries !== undefined) list.read(entries);
  return {
    der,
    tbs,
    version,
    signatureAlgorithm,
    signature,
    issuer,
    thisUpdate,
    nextUpdate,
    extensions,
    ...values,
    unhandledCritical: [
      ...extensions.filter(({ oid, critical }) => critical && CRL_EXTENSIONS[oid] === undefined).map(({ oid }) => oid),
      ...list.unhandledCritical,
    ],
    size: list.size,
    find: (certificateIssuer, serialNumber) => list.find(certificateIssuer, serialNumber),
  };
}

function readCrlExtensions(body: DerReader, version: number): readonly Extension[] {
  const field = body.optional(contextConstructed(0));
  if (field === undefined) return [];
  if (version !== 2) throw malformed("extensions in a CRL of version 1");
  const list = field.sequence();
  field.finish("the extensions");
  return readExtensions(list);
}

interface CrlValues {
  crlNumber: bigint | undefined;
  baseCrlNumber: bigint | undefined;
  authorityKeyId: Uint8Array | undefined;
  scope: IssuingDistributionPoint | undefined;
  freshest: readonly DistributionPoint[];
}

/** RFC 5280 5.2 */
const CRL_EXTENSIONS: Readonly<
  Record<string, (value: Uint8Array, into: CrlValues, issuer: DistinguishedName) => void>
> = {
  // issuerAltName says nothing that counts here.
  "2.5.29.18": () => undefined,
  "2.5.29.20": (value, into) => {
    into.crlNumber = readNumber(value);
  },
  "2.5.29.27": (value, into) => {
    into.baseCrlNumber = readNumber(value);
  },
  "2.5.29.28": (value, into, issuer) => {
    into.scope = readIssuingDistributionPoint(value, issuer);
  },
  "2.5.29.35": (value, into) => {
    const input = new DerReader(value);
    const identifier = input.sequence();
    input.finish("authorityKeyIdentifier");
    into.authorityKeyId = identifier.optional(contextPrimitive(0))?.rest();
  },
  "2.5.29.46": (value, into, issuer) => {
    into.freshest = readDistributionPoints(value, issuer);
  },
};

/** Reason by its number; `undefined` where there is none such. */
export function reasonName(number: number): RevocationReason | undefined {
  return REVOCATION_REASONS[number];
}

function readValues(extensions: readonly Extension[], issuer: DistinguishedName): CrlValues {
  const values: CrlValues = {
    crlNumber: undefined,
    baseCrlNumber: undefined,
    authorityKeyId: undefined,
    scope: undefined,
    freshest: [],
  };
  for (const { oid, value } of extensions) CRL_EXTENSIONS[oid]?.(value, values, issuer);
  return values;
}

function readNumber(value: Uint8Array): bigint {
  const input = new DerReader(value);
  const magnitude = input.unsigned();
  input.finish("a CRL number");
  if (magnitude.length > MAX_NUMBER) throw malformed(`a CRL number of more than ${MAX_NUMBER} octets`);
  return magnitude.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

interface EntryValues {
  reason: RevocationReason;
  invalidityDate: number | undefined;
  issuer: number;
}

/** revokedCertificates by issuer and serial number. */
class Entries {
  readonly #indirect: boolean;
  readonly #version: number;
  readonly #unhandled = new Set<string>();
  /** By {@link DistinguishedName.key}; the CRL's own issuer has number 0. */
  readonly #issuers = new Map<string, number>();
  readonly #entries = new Map<string, RevokedCertificate>();
  size = 0;

  constructor(issuer: DistinguishedName, version: number, indirect: boolean) {
    this.#issuers.set(issuer.key, 0);
    this.#version = version;
    this.#indirect = indirect;
  }

  get unhandledCritical(): string[] {
    return [...this.#unhandled];
  }

  find(issuer: DistinguishedName, serialNumber: Uint8Array): RevokedCertificate | undefined {
    const number = this.#issuers.get(issuer.key);
    return number === undefined ? undefined : this.#entries.get(entryKey(number, serialNumber));
  }

  read(list: DerReader): void {
    if (list.remaining === 0) throw malformed("an empty list of revoked certificates (RFC 5280 5.1.2.6)");
    // RFC 5280 5.3.3: an entry without certificateIssuer has that of the entry before it.
    let issuer = 0;
    while (list.remaining > 0) {
      const entry = list.sequence();
      const serialNumber = entry.integer();
      if (serialNumber.length > MAX_SERIAL) throw malformed(`a serial number of ${serialNumber.length} bytes`);
      const values: EntryValues = { reason: "unspecified", invalidityDate: undefined, issuer };
      const revokedAt = entry.time();
      if (entry.remaining > 0) this.#extensions(entry.sequence(), values);
      entry.finish("an entry");
      issuer = values.issuer;
      const key = entryKey(issuer, serialNumber);
      const before = this.#entries.get(key);
      this.size++;
      // Listed twice: what revokes it counts.
      if (before !== undefined && before.reason !== "removeFromCRL") continue;
      this.#entries.set(key, { revokedAt, reason: values.reason, invalidityDate: values.invalidityDate });
    }
  }

  /** RFC 5280 5.3 */
  #extensions(list: DerReader, into: EntryValues): void {
    if (this.#version === 1) throw malformed("extensions of an entry in a CRL of version 1");
    for (const { oid, critical, value } of readExtensions(list)) {
      const input = new DerReader(value);
      if (oid === "2.5.29.21") {
        const number = input.smallInteger(Tag.enumerated);
        const reason = reasonName(number);
        if (reason === undefined) throw malformed(`reason ${number} is not known`);
        into.reason = reason;
      } else if (oid === "2.5.29.24") {
        if (input.peek() !== Tag.generalizedTime) throw malformed("the invalidity date is no GeneralizedTime");
        into.invalidityDate = input.time();
      } else if (oid === "2.5.29.29") {
        into.issuer = this.#issuer(input.sequence());
      } else {
        if (critical && this.#unhandled.size < MAX_UNHANDLED) this.#unhandled.add(oid);
        continue;
      }
      input.finish(`extension ${oid}`);
    }
  }

  #issuer(names: DerReader): number {
    const [name, ...others] = readDirectoryNames(names);
    if (name === undefined || others.length > 0) throw malformed("certificateIssuer is not one directory name");
    if (!this.#indirect) throw malformed("certificateIssuer in a CRL that is not indirect (RFC 5280 5.3.3)");
    const known = this.#issuers.get(name.key);
    if (known !== undefined) return known;
    this.#issuers.set(name.key, this.#issuers.size);
    return this.#issuers.size - 1;
  }
}

function entryKey(issuer: number, serialNumber: Uint8Array): string {
  return `${issuer}/${latin1(serialNumber)}`;
}

function malformed(detail: string): TlsError {
  return fault("ERR_TLS_PEM", detail);
}
