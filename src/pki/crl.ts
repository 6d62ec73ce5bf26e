/** Certificate revocation lists, made by the issuer of the certificates that they list (RFC 5280 5). */
import * as asn1js from "asn1js";
import * as pkijs from "pkijs";
import { fault } from "../errors.ts";
import { KeyUsage } from "../x509/certificate.ts";
import { parseCrl, REVOCATION_REASONS, type RevocationReason } from "../x509/crl.ts";
import { parseCertificate } from "../x509/parse.ts";
import { algorithmOf, integer, isWritable, signed, time, toDer, wholeSeconds } from "./asn1.ts";
import { keyIdentifier } from "./certificate.ts";
import { authorityKeyId, type ExtensionInput, encodeExtensions } from "./extensions.ts";
import type { Issuer } from "./issuer.ts";
import { nameFrom } from "./names.ts";
import { signatureProblem } from "./strength.ts";

/** One certificate that has been revoked. */
export interface RevocationEntry {
  /** Contents of the serial number's INTEGER. */
  readonly serialNumber: Uint8Array;
  /** ms since the epoch. */
  readonly revokedAt: number;
  /** `unspecified`, the default, is not written (RFC 5280 5.3.1). */
  readonly reason?: RevocationReason | undefined;
  /** Since when the key may have been in wrong hands, ms since the epoch. */
  readonly invalidityDate?: number | undefined;
}

/** What a CRL says. */
export interface CrlInput {
  /** Higher than that of any CRL before it (RFC 5280 5.2.3). */
  readonly number: bigint;
  /** ms since the epoch; now by default. */
  readonly thisUpdate?: number | undefined;
  /** By when the next one will be there, ms since the epoch; a week later by default. */
  readonly nextUpdate?: number | undefined;
  readonly revoked: readonly RevocationEntry[];
}

const WEEK = 7 * 86_400_000;

/**
 * A complete CRL of one issuer, DER.
 *
 * @throws TlsError `ERR_TLS_OPTION` when the issuer may not sign CRLs or a value is out of its bounds; `ERR_TLS_KEY` when
 * the signer is not the issuer's.
 *
 * @example
 * ```ts
 * const key = await generateKeyPair("P-256");
 * const root = { certificate: await createRoot({ subject: "example root" }, key), signer: key };
 * const entry = { serialNumber: Uint8Array.of(7), revokedAt: Date.now(), reason: "keyCompromise" } as const;
 * const crl = parseCrl(await createCrl({ number: 1n, revoked: [entry] }, root));
 * console.log(crl.find(crl.issuer, Uint8Array.of(7))?.reason); // keyCompromise
 * ```
 */
export async function createCrl(input: CrlInput, { certificate, signer }: Issuer): Promise<Uint8Array> {
  const { number, revoked, thisUpdate = Date.now(), nextUpdate = thisUpdate + WEEK } = input;
  const parent = parseCertificate(certificate);
  if (parent.keyUsage !== undefined && (parent.keyUsage & KeyUsage.cRLSign) === 0) {
    throw fault("ERR_TLS_OPTION", "the issuer's key may not sign CRLs (RFC 5280 4.2.1.3)");
  }
  // RFC 5280 5.2.3: 20 octets at most.
  if (number < 0n || number >= 1n << 159n) throw fault("ERR_TLS_OPTION", `a CRL number of ${number}`);
  const times = revoked.flatMap(({ revokedAt, invalidityDate = revokedAt }) => [revokedAt, invalidityDate]);
  if (![thisUpdate, nextUpdate, ...times].every(isWritable)) {
    throw fault("ERR_TLS_OPTION", "a time before 1970 or after 9999");
  }
  if (nextUpdate <= thisUpdate) throw fault("ERR_TLS_OPTION", "the next CRL would be due before this one");
  if (revoked.some(({ reason }) => reason === "removeFromCRL")) {
    throw fault("ERR_TLS_OPTION", "removeFromCRL is for delta CRLs (RFC 5280 5.3.1)");
  }
  const extensions = [
    authorityKeyId(parent.subjectKeyId ?? (await keyIdentifier(parent.publicKey.spki))),
    plain("2.5.29.20", asn1js.Integer.fromBigInt(number)),
  ];
  const list = new pkijs.CertificateRevocationList({
    version: 1,
    signature: algorithmOf(signer),
    issuer: nameFrom(parent.subject.der),
    thisUpdate: time(thisUpdate),
    nextUpdate: time(nextUpdate),
    // RFC 5280 5.1.2.6: absent where nothing is revoked.
    ...(revoked.length === 0 ? {} : { revokedCertificates: revoked.map(entry) }),
    crlExtensions: new pkijs.Extensions({ extensions: encodeExtensions(extensions) }),
  });
  return signedCrl(list, signer, parent.publicKey.spki);
}

async function signedCrl(
  list: pkijs.CertificateRevocationList,
  signer: Issuer["signer"],
  spki: Uint8Array,
): Promise<Uint8Array> {
  const der = await signed(list, signer);
  const { tbs, signatureAlgorithm, signature } = parseCrl(der);
  const problem = await signatureProblem(spki, signatureAlgorithm, tbs, signature);
  if (problem !== undefined) throw fault("ERR_TLS_KEY", `the signer is not the issuer's: ${problem}`);
  return der;
}

function entry({ serialNumber, revokedAt, reason = "unspecified", invalidityDate }: RevocationEntry) {
  const extensions = [
    ...(reason === "unspecified" ? [] : [plain("2.5.29.21", enumerated(reason))]),
    // RFC 5280 5.3.2: GeneralizedTime always.
    ...(invalidityDate === undefined
      ? []
      : [plain("2.5.29.24", new asn1js.GeneralizedTime({ valueDate: wholeSeconds(invalidityDate) }))]),
  ];
  return new pkijs.RevokedCertificate({
    userCertificate: integer(serialNumber),
    revocationDate: time(revokedAt),
    ...(extensions.length === 0
      ? {}
      : { crlEntryExtensions: new pkijs.Extensions({ extensions: encodeExtensions(extensions) }) }),
  });
}

/** CRLReason, as it stands in CRLs and in OCSP responses. */
export function enumerated(reason: RevocationReason): asn1js.Enumerated {
  return new asn1js.Enumerated({ value: REVOCATION_REASONS.indexOf(reason) });
}

function plain(oid: string, value: Parameters<typeof toDer>[0]): ExtensionInput {
  return { oid, critical: false, value: toDer(value) };
}
