/** The CA of a folder at work: issues, renews, revokes, lists. Several processes may use one folder at the same time. */
import { join } from "node:path";
import { equal } from "../../bytes/bytes.ts";
import { readPem, writePem } from "../../bytes/pem.ts";
import { fault, TlsError } from "../../errors.ts";
import { createCrl } from "../../pki/crl.ts";
import { type CertificateInput, type Issuer, issueCertificate, SKEW } from "../../pki/issuer.ts";
import { alternativeNamesOf, encodeSubject, subjectOf } from "../../pki/names.ts";
import { PROFILES } from "../../pki/profiles.ts";
import { type CertificateRevocationList, parseCrl, REVOCATION_REASONS, type RevocationReason } from "../../x509/crl.ts";
import { DistinguishedName } from "../../x509/distinguished.ts";
import { parseCertificate } from "../../x509/parse.ts";
import { createFile, removeDrafts, replaceFile } from "./files.ts";
import { readSubjectKey } from "./keys.ts";
import { locked } from "./lock.ts";
import {
  type CaCertificate,
  type CaSettings,
  entryText,
  type IssuedCertificate,
  isIssuer,
  NAMES,
  readCaCertificates,
  readIssued,
  readOne,
  readOptional,
  readOptionalBytes,
  readSettings,
  serialOf,
  stored,
} from "./state.ts";

/** What to issue; where its status is published is the CA's own business. */
export type IssueInput = Omit<CertificateInput, "crlUrls" | "ocspUrls" | "issuerUrls">;

/** What to change when a certificate is renewed. */
export interface RenewInput {
  /** A new public key, SubjectPublicKeyInfo, DER; the old one by default. */
  readonly spki?: Uint8Array | undefined;
  /** ms since the epoch; by default it lives as long as the one before. */
  readonly notAfter?: number | undefined;
}

/** A CA in a folder. */
export interface CertificateAuthority {
  readonly folder: string;
  readonly settings: CaSettings;
  /** The CA's certificates: who issues first, the root last. */
  readonly certificates: readonly [CaCertificate, ...CaCertificate[]];
  /** PEM of what others must trust. */
  readonly rootPem: string;
  /** PEM of what goes with every certificate that is issued: the intermediate, or nothing. */
  readonly chainPem: string;
  /**
   * Issues a certificate. When this resolves it is on the disk.
   *
   * @throws TlsError as `issueCertificate` of `mutls/pki`; `ERR_TLS_KEY` when the CA's key cannot be read.
   */
  issue(input: IssueInput): Promise<IssuedCertificate>;
  /** Issues one like that of this serial number. @throws TlsError `ERR_TLS_OPTION` when it is unknown or revoked. */
  renew(serial: string, input?: RenewInput): Promise<IssuedCertificate>;
  /**
   * Revokes a certificate and publishes a CRL that says so. When this resolves both are on the disk. Revoking it again
   * leaves the first time and reason, and publishes anew.
   *
   * @throws TlsError `ERR_TLS_OPTION` when no such certificate was issued, or for a reason that is none.
   */
  revoke(serial: string, reason?: RevocationReason): Promise<IssuedCertificate>;
  /**
   * Signs the CRLs of all issuers whose keys are there, and writes them to `crl.pem`. The CRL of one whose key is kept
   * elsewhere stays as it was.
   *
   * @returns PEM, one block for each issuer.
   */
  publishCrl(): Promise<string>;
  /** All certificates that were issued. */
  list(): Promise<IssuedCertificate[]>;
  /**
   * The certificate of a serial number, or the only one whose serial number begins so.
   *
   * @param serial - Hexadecimal.
   * @throws TlsError `ERR_TLS_OPTION` when there is none, or several.
   */
  find(serial: string): Promise<IssuedCertificate>;
  /** One of the CA's certificates with its key. */
  issuer(certificate: CaCertificate): Promise<Issuer>;
}

/**
 * The CA of a folder. Its keys are read when they are needed.
 *
 * @throws TlsError `ERR_TLS_CA_STATE` when there is none, or it is broken.
 *
 * @example
 * ```ts
 * const folder = fs.mkdtempSync("/tmp/mutls-example-");
 * await createAuthority(folder);
 * const authority = await openAuthority(folder);
 * const { spki } = await generateKeyPair("P-256");
 * const { serial } = await authority.issue({ profile: "client", spki, subject: "alice" });
 * const { revocation } = await authority.revoke(serial, "superseded");
 * console.log(revocation?.reason); // superseded
 * fs.rmSync(folder, { recursive: true });
 * ```
 */
export async function openAuthority(folder: string, passphrase?: string): Promise<CertificateAuthority> {
  const settings = await readSettings(folder);
  const certificates = await readCaCertificates(folder);
  const root = certificates[certificates.length - 1] as CaCertificate;
  const { crlUrls, ocspUrls, issuerUrls } = settings;

  const issuer = async ({ der, keyFile }: CaCertificate): Promise<Issuer> => {
    const pem = await readOptional(join(folder, keyFile));
    if (pem === undefined) throw fault("ERR_TLS_KEY", `the CA's key ${join(folder, keyFile)} is not there`);
    try {
      return { certificate: der, signer: await readSubjectKey(pem, passphrase) };
    } catch (cause) {
      if (!(cause instanceof TlsError)) throw cause;
      throw fault("ERR_TLS_KEY", `${join(folder, keyFile)}: ${cause.message}`, { cause });
    }
  };

  const issue = async (input: IssueInput): Promise<IssuedCertificate> => {
    const [own] = certificates;
    if ((await readOne(folder, serialOf(own.certificate)))?.revocation !== undefined) {
      throw fault("ERR_TLS_OPTION", "the issuer is revoked");
    }
    await checkName(folder, certificates, input);
    const signing = await issuer(own);
    for (;;) {
      const der = await issueCertificate({ ...input, crlUrls, ocspUrls, issuerUrls }, signing);
      const serial = serialOf(parseCertificate(der));
      const file = join(folder, NAMES.certificates, `${serial}.pem`);
      // A serial number that is taken already: by chance never, but were it so, this one is not handed out.
      if (await stored(createFile(file, entryText(input.profile, der))))
        return known(await readOne(folder, serial), serial);
    }
  };

  const find = async (written: string): Promise<IssuedCertificate> => {
    const serial = written.toLowerCase().replaceAll(":", "");
    if (!/^[0-9a-f]{2,128}$/.test(serial)) throw fault("ERR_TLS_OPTION", `"${written}" is no serial number`);
    const exact = await readOne(folder, serial);
    if (exact !== undefined) return exact;
    const alike = (await readIssued(folder)).filter((entry) => entry.serial.startsWith(serial));
    if (alike.length > 1) throw fault("ERR_TLS_OPTION", `${alike.length} serial numbers begin with ${serial}`);
    return known(alike[0], serial);
  };

  const publishCrl = () => {
    const published = locked(join(folder, NAMES.lock), async () => {
      for (const name of ["", NAMES.certificates, NAMES.revoked]) await removeDrafts(join(folder, name));
      const crls = await nextCrls(folder, settings, certificates, issuer);
      const pem = crls.map((der) => writePem("X509 CRL", der)).join("");
      await replaceFile(join(folder, NAMES.crl), pem);
      for (const [i, { crlFile }] of certificates.entries()) {
        await replaceFile(join(folder, crlFile), crls[i] as Uint8Array);
      }
      return pem;
    });
    return stored(published);
  };

  return {
    folder,
    settings,
    certificates,
    rootPem: root.pem,
    chainPem: certificates
      .slice(0, -1)
      .map(({ pem }) => pem)
      .join(""),
    issue,
    issuer,
    find,
    publishCrl,
    list: () => readIssued(folder),
    async renew(written, { spki, notAfter } = {}) {
      const { serial, profile, certificate, revocation } = await find(written);
      if (revocation !== undefined) throw fault("ERR_TLS_OPTION", `${serial} is revoked: issue a new one`);
      if (PROFILES[profile].ca) throw fault("ERR_TLS_OPTION", `${serial} is a CA: sign a request of its own`);
      const lifetime = certificate.notAfter - certificate.notBefore;
      return issue({
        profile,
        subject: subjectOf(certificate.subject),
        ...alternativeNamesOf(certificate.subjectAltName),
        spki: spki ?? certificate.publicKey.spki,
        notAfter: notAfter ?? Date.now() - SKEW + lifetime,
      });
    },
    async revoke(written, reason = "unspecified") {
      if (!REVOCATION_REASONS.includes(reason) || reason === "removeFromCRL") {
        throw fault("ERR_TLS_OPTION", `"${reason}" is no reason to revoke (RFC 5280 5.3.1)`);
      }
      const { serial } = await find(written);
      const text = `${JSON.stringify({ revokedAt: Date.now(), reason })}\n`;
      await stored(createFile(join(folder, NAMES.revoked, `${serial}.json`), text));
      await publishCrl();
      return known(await readOne(folder, serial), serial);
    },
  };
}

/**
 * A name for one CA alone: to verifiers that go by names, the CRLs of whoever shares it are as good as its own (RFC 5280
 * 6.3.3). The same CA may be certified again.
 */
async function checkName(
  folder: string,
  certificates: readonly CaCertificate[],
  { profile, subject = [], spki }: IssueInput,
): Promise<void> {
  const name = new DistinguishedName(encodeSubject(subject));
  const below = Object.hasOwn(PROFILES, profile) && PROFILES[profile].ca ? await readIssued(folder) : [];
  const others = [
    ...certificates.map(({ certificate }) => certificate),
    ...below.filter((entry) => PROFILES[entry.profile].ca).map(({ certificate }) => certificate),
  ];
  const other = others.find((one) => one.subject.equals(name) && !equal(one.publicKey.spki, spki));
  if (other !== undefined) throw fault("ERR_TLS_OPTION", `there is a CA of the name ${other.subject.text} already`);
}

/** The CRLs that follow those in the folder. Under the lock, so that no number is given twice. */
async function nextCrls(
  folder: string,
  { crlLifetime }: CaSettings,
  certificates: readonly CaCertificate[],
  issuer: (certificate: CaCertificate) => Promise<Issuer>,
): Promise<Uint8Array[]> {
  const revocations = await readIssued(folder, NAMES.revoked);
  const now = Date.now();
  const crls = certificates.map(async (one) => {
    const last = await lastCrlOf(folder, one);
    const isKeyHere = (await readOptional(join(folder, one.keyFile))) !== undefined;
    if (!isKeyHere && last !== undefined) return last.der;
    const revoked = revocations.flatMap(({ certificate, revocation }) =>
      revocation !== undefined &&
      isIssuer(one.certificate, certificate) &&
      !isOver(certificate.notAfter, last?.thisUpdate, now)
        ? [{ serialNumber: certificate.serialNumber, ...revocation }]
        : [],
    );
    // The clock as a floor: should the file be lost, numbers still go up (RFC 5280 5.2.3).
    const number = [BigInt(Math.floor(now / 1000)), (last?.crlNumber ?? 0n) + 1n].reduce((a, b) => (a > b ? a : b));
    return createCrl({ number, revoked, thisUpdate: now, nextUpdate: now + crlLifetime }, await issuer(one));
  });
  return Promise.all(crls);
}

/**
 * RFC 5280 3.3: an entry stays until a CRL that was issued after the certificate's end has held it. A clock that ran ahead
 * for a while has dated CRLs after the end of what is valid still.
 */
function isOver(notAfter: number, lastCrl: number | undefined, now: number): boolean {
  return lastCrl !== undefined && lastCrl > notAfter && now > notAfter;
}

/** The newest CRL of an issuer's in the folder, which holds each twice: either may have been lost, or come from a backup. */
async function lastCrlOf(folder: string, { certificate, crlFile }: CaCertificate) {
  const text = (await readOptional(join(folder, NAMES.crl))) ?? "";
  const own = await readOptionalBytes(join(folder, crlFile));
  const ders = [...readPem(text).map(({ der }) => der), ...(own === undefined ? [] : [own])];
  return ders
    .map(parseCrl)
    .filter(({ issuer }) => issuer.equals(certificate.subject))
    .reduce<CertificateRevocationList | undefined>(
      (a, b) => (a !== undefined && (a.crlNumber ?? 0n) >= (b.crlNumber ?? 0n) ? a : b),
      undefined,
    );
}

function known(entry: IssuedCertificate | undefined, serial: string): IssuedCertificate {
  if (entry === undefined) throw fault("ERR_TLS_OPTION", `no certificate ${serial} was issued here`);
  return entry;
}
