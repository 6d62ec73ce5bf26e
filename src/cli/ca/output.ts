/** What the commands of `mutls ca` write: files, and a few plain lines about certificates. */
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { TlsError } from "../../errors.ts";
import { replaceFile } from "../../node/ca/files.ts";
import type { CertificateAuthority, IssuedCertificate } from "../../node/ca/index.ts";
import { NAMES } from "../../node/ca/state.ts";
import { formatAddress } from "../../x509/address.ts";
import type { Certificate } from "../../x509/certificate.ts";
import { CliError, ExitStatus, usage } from "../exit.ts";
import type { Arguments } from "../flags.ts";
import { oneLine } from "../report.ts";

/** The text of a file. */
export function readText(file: string, what: string): string {
  return readBytes(file, what).toString();
}

/** The content of a file. */
export function readBytes(file: string, what: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new CliError(ExitStatus.read, `cannot read the ${what}: ${(error as Error).message}`);
  }
}

/** Refuses to go on when a file is there that would be lost. To be asked before anything is issued. */
export function checkFree(args: Arguments, files: readonly string[], hint = "--force writes over it"): void {
  checkForeign(files);
  const taken = files.find((file) => existsSync(file));
  if (taken !== undefined && !args.has("force")) throw usage(`${taken} is there already`, hint);
}

/** Refuses names that mean something in the folder of a CA: an `issuing.pem` there would be taken for who issues. */
export function checkForeign(files: readonly string[]): void {
  const names: readonly string[] = Object.values(NAMES);
  const isOwn = (path: string) => names.includes(basename(path)) && existsSync(join(dirname(path), NAMES.settings));
  const own = files.find((file) => isOwn(resolve(file)) || isOwn(dirname(resolve(file))));
  if (own !== undefined)
    throw usage(`${own} is a file of the CA's own`, "another name or another folder keeps it whole");
}

/** Writes files, whole or not at all. Those with keys, as text or in PKCS#12, only their owner may read. */
export async function writeFiles(files: Readonly<Record<string, string | Uint8Array>>): Promise<void> {
  for (const [file, content] of Object.entries(files)) {
    const isSecret = typeof content !== "string" || content.includes("PRIVATE KEY-----");
    try {
      await replaceFile(file, content, isSecret ? 0o600 : 0o644);
    } catch (error) {
      throw new CliError(ExitStatus.write, `cannot write ${file}: ${(error as Error).message}`);
    }
  }
}

/** What belongs behind `--cert`: the certificate with its chain. */
export function chainOf(authority: CertificateAuthority, { pem }: IssuedCertificate): string {
  return pem + authority.chainPem;
}

/** One line about a certificate: serial number, kind, whom it names, until when. */
export function describe({ serial, profile, certificate, revocation }: IssuedCertificate): string {
  const now = Date.now();
  const ended = certificate.notAfter < now;
  const state =
    revocation !== undefined
      ? `revoked ${timeText(revocation.revokedAt)}, ${revocation.reason}`
      : `${ended ? "expired" : "until"} ${timeText(certificate.notAfter)}`;
  return oneLine(`${serial}  ${profile.padEnd(12)}  ${nameText(certificate)}  ${state}`);
}

/** Subject and names. */
function nameText({ subject, subjectAltName }: Certificate): string {
  const names = namesText(subjectAltName);
  return [...(subject.empty ? [] : [subject.text]), ...(names.length === 0 ? [] : [`(${names.join(", ")})`])].join(" ");
}

/** Names with their forms, as text. */
export function namesText(names: Certificate["subjectAltName"]): string[] {
  if (names === undefined) return [];
  return [...names.dns, ...names.ip.map(formatAddress), ...names.email, ...names.uri];
}

export function timeText(time: number): string {
  return new Date(time).toISOString().replace(/\.\d+Z$/, "Z");
}

export function say(...lines: readonly string[]): void {
  process.stdout.write(lines.map((line) => `${line}\n`).join(""));
}

/** What files for NAME are called unless told otherwise: it is no path. */
export function fileName(name: string): string {
  return name.replace(/[^\w@.*+-]/g, "_");
}

/** The file's name with another ending. */
export function withEnding(file: string, ending: string): string {
  return `${file.replace(/\.[^./\\]+$/, "")}.${ending}`;
}

/** A library's refusal with the file that it is about. */
export async function about<T>(file: string, status: number, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof TlsError) throw new CliError(status, `${file}: ${error.detail ?? error.message}`);
    throw error;
  }
}
