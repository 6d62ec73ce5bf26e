/** What stands in the folder of a CA, and how it is read. Whatever has been reported done is one whole file of its own. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { equal } from "../../bytes/bytes.ts";
import { toHex } from "../../bytes/hex.ts";
import { readPem, writePem } from "../../bytes/pem.ts";
import { fault, TlsError } from "../../errors.ts";
import { PROFILES, type ProfileName } from "../../pki/profiles.ts";
import type { Certificate } from "../../x509/certificate.ts";
import { REVOCATION_REASONS, type RevocationReason } from "../../x509/crl.ts";
import { parseCertificate } from "../../x509/parse.ts";

/** Names in the folder. */
export const NAMES = {
  /** Settings; written last, so that a folder without it holds no CA. */
  settings: "ca.json",
  rootCertificate: "root.pem",
  rootKey: "root.key",
  /** Of the intermediate, where there is one. */
  issuingCertificate: "issuing.pem",
  issuingKey: "issuing.key",
  /** The CRLs of all issuers, the newest ones. */
  crl: "crl.pem",
  /** The same one by one, DER. */
  rootCrl: "root.crl",
  issuingCrl: "issuing.crl",
  /** SERIAL.pem: every certificate that was issued. */
  certificates: "certs",
  /** SERIAL.json: every revocation. */
  revoked: "revoked",
  lock: "lock",
} as const;

/** Settings that hold for all that is issued. */
export interface CaSettings {
  readonly version: 1;
  readonly crlUrls: readonly string[];
  readonly ocspUrls: readonly string[];
  readonly issuerUrls: readonly string[];
  /** How long a CRL is good for, ms. */
  readonly crlLifetime: number;
}

/** Why and when a certificate was revoked. */
export interface Revocation {
  /** ms since the epoch. */
  readonly revokedAt: number;
  readonly reason: RevocationReason;
}

/** One certificate of the CA's. */
export interface IssuedCertificate {
  /** Hexadecimal contents of the serial number's INTEGER. */
  readonly serial: string;
  readonly profile: ProfileName;
  /** ms since the epoch. */
  readonly issuedAt: number;
  readonly certificate: Certificate;
  /** PEM of the certificate alone. */
  readonly pem: string;
  readonly revocation: Revocation | undefined;
}

/** A CA certificate of the folder's. */
export interface CaCertificate {
  readonly der: Uint8Array;
  readonly pem: string;
  readonly certificate: Certificate;
  /** The file with its key. */
  readonly keyFile: string;
  /** The file with its CRL, DER, as a distribution point is to serve it (RFC 5280 4.2.1.13). */
  readonly crlFile: string;
}

/**
 * Settings of the CA in a folder.
 *
 * @throws TlsError `ERR_TLS_CA_STATE` when there is none.
 */
export async function readSettings(folder: string): Promise<CaSettings> {
  const text = await readOptional(join(folder, NAMES.settings));
  if (text === undefined) throw fault("ERR_TLS_CA_STATE", `there is no CA in ${folder}`);
  const settings = parseJson(text, NAMES.settings) as unknown as CaSettings;
  if (settings.version !== 1) throw fault("ERR_TLS_CA_STATE", `${folder} is of version ${settings.version}, not 1`);
  return settings;
}

/** The CA's own certificates: who issues first, then the root where that is another. */
export async function readCaCertificates(folder: string): Promise<readonly [CaCertificate, ...CaCertificate[]]> {
  const read = async (file: string, keyFile: string, crlFile: string): Promise<CaCertificate | undefined> => {
    const pem = await readOptional(join(folder, file));
    if (pem === undefined) return undefined;
    const der = derOf(pem, file);
    return { der, pem: writePem("CERTIFICATE", der), certificate: parseCertificate(der), keyFile, crlFile };
  };
  const root = await read(NAMES.rootCertificate, NAMES.rootKey, NAMES.rootCrl);
  if (root === undefined) throw fault("ERR_TLS_CA_STATE", `${NAMES.rootCertificate} is missing in ${folder}`);
  const issuing = await read(NAMES.issuingCertificate, NAMES.issuingKey, NAMES.issuingCrl);
  return issuing === undefined ? [root] : [issuing, root];
}

const FILES_AT_ONCE = 64;

/** All certificates, or only those that were revoked, in the order in which they were issued. */
export async function readIssued(
  folder: string,
  which: typeof NAMES.certificates | typeof NAMES.revoked = NAMES.certificates,
): Promise<IssuedCertificate[]> {
  const serials = (await stored(readdir(join(folder, which)))).flatMap(
    (name) => /^([0-9a-f]+)\.\w+$/.exec(name)?.[1] ?? [],
  );
  const all: IssuedCertificate[] = [];
  // No more at a time: certificates that live for a day become many, and a process may have few files open.
  for (let i = 0; i < serials.length; i += FILES_AT_ONCE) {
    const some = serials.slice(i, i + FILES_AT_ONCE).map(async (serial) => {
      const entry = await readOne(folder, serial);
      // Passed over, it would be good again.
      if (entry === undefined) throw broken(`${which}/${serial}`, `there is no ${NAMES.certificates}/${serial}.pem`);
      return entry;
    });
    all.push(...(await Promise.all(some)));
  }
  return all.sort((a, b) => a.issuedAt - b.issuedAt || (a.serial < b.serial ? -1 : 1));
}

/** The certificate of that serial number, if it was issued here. */
export async function readOne(folder: string, serial: string): Promise<IssuedCertificate | undefined> {
  const file = join(NAMES.certificates, `${serial}.pem`);
  const text = await readOptional(join(folder, file));
  if (text === undefined) return undefined;
  const der = derOf(text, file);
  const profile = /^profile: (\w+)$/m.exec(text)?.[1];
  if (profile === undefined || !Object.hasOwn(PROFILES, profile)) throw broken(file, "it names no profile");
  const issuedAt = Date.parse(/^issued: (\S+)$/m.exec(text)?.[1] ?? "");
  if (Number.isNaN(issuedAt)) throw broken(file, "it does not say when it was issued");
  const certificate = parseCertificate(der);
  if (serialOf(certificate) !== serial) throw broken(file, "it holds a certificate of another serial number");
  return {
    serial,
    profile: profile as ProfileName,
    issuedAt,
    certificate,
    pem: writePem("CERTIFICATE", der),
    revocation: await readRevocation(folder, serial),
  };
}

/** As {@link readOne} reads it. */
export function entryText(profile: ProfileName, certificate: Uint8Array): string {
  const { subject } = parseCertificate(certificate);
  const lines = [`profile: ${profile}`, `issued: ${new Date().toISOString()}`, `subject: ${subject.text}`];
  return `${lines.join("\n")}\n${writePem("CERTIFICATE", certificate)}`;
}

async function readRevocation(folder: string, serial: string): Promise<Revocation | undefined> {
  const file = join(NAMES.revoked, `${serial}.json`);
  const text = await readOptional(join(folder, file));
  if (text === undefined) return undefined;
  const { revokedAt, reason } = parseJson(text, file) as unknown as Revocation;
  if (!Number.isSafeInteger(revokedAt) || !REVOCATION_REASONS.includes(reason)) throw broken(file, "it says nothing");
  return { revokedAt, reason };
}

/** Hexadecimal contents of the serial number. */
export function serialOf({ serialNumber }: Pick<Certificate, "serialNumber">): string {
  return toHex(serialNumber);
}

/** True when `issuer` has issued it, going by key identifiers and names (RFC 5280 4.2.1.1). */
export function isIssuer(issuer: Certificate, { authorityKeyId, issuer: name }: Certificate): boolean {
  const { subjectKeyId, subject } = issuer;
  return (
    subject.equals(name) && authorityKeyId !== undefined && equal(subjectKeyId ?? new Uint8Array(), authorityKeyId)
  );
}

/** What the file system refuses, as an error about the folder. */
export async function stored<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    if (cause instanceof TlsError || (cause as NodeJS.ErrnoException).syscall === undefined) throw cause;
    throw fault("ERR_TLS_CA_STATE", (cause as Error).message, { cause });
  }
}

/** The text of a file; `undefined` where there is none. */
export async function readOptional(path: string): Promise<string | undefined> {
  const content = await readOptionalBytes(path);
  return content && Buffer.from(content).toString();
}

/** The content of a file; `undefined` where there is none. */
export async function readOptionalBytes(path: string): Promise<Uint8Array | undefined> {
  try {
    return new Uint8Array(await readFile(path));
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    throw fault("ERR_TLS_CA_STATE", message, { cause });
  }
}

function derOf(text: string, file: string): Uint8Array {
  try {
    const block = readPem(text).find(({ label }) => label === "CERTIFICATE");
    if (block !== undefined) return block.der;
  } catch (error) {
    if (!(error instanceof TlsError)) throw error;
    throw broken(file, error.message);
  }
  throw broken(file, "it holds no certificate");
}

function parseJson(text: string, file: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw broken(file, (error as Error).message);
  }
  if (typeof value !== "object" || value === null) throw broken(file, "it is no JSON object");
  return value as Record<string, unknown>;
}

function broken(file: string, why: string): TlsError {
  return fault("ERR_TLS_CA_STATE", `${file} is broken: ${why}`);
}
