/** Sets up a CA in a folder: keys, certificates, first CRL. The settings come last: until they are there, there is none. */
import { existsSync } from "node:fs";
import { mkdir, rm, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { writePem } from "../../bytes/pem.ts";
import { fault } from "../../errors.ts";
import type { ConstraintsInput } from "../../pki/extensions.ts";
import {
  checkStatusAddresses,
  createRoot,
  type Issuer,
  issueCertificate,
  type StatusAddresses,
} from "../../pki/issuer.ts";
import { generateKeyPair, type KeyKind } from "../../pki/keys.ts";
import type { SubjectInput } from "../../pki/names.ts";
import { parseCertificate } from "../../x509/parse.ts";
import { type CertificateAuthority, openAuthority } from "./authority.ts";
import { removeDrafts, replaceFile, syncFolder } from "./files.ts";
import { privateKeyPem } from "./keys.ts";
import { locked } from "./lock.ts";
import { type CaSettings, entryText, NAMES, readIssued, readOptional, serialOf, stored } from "./state.ts";

/** What the CA is to be. */
export interface CreateAuthorityOptions extends StatusAddresses {
  /** Subject of the root, or its CN; "mutls CA" by default. */
  readonly name?: SubjectInput | undefined;
  /** Kind of the CA's keys; P-256 by default. */
  readonly key?: KeyKind | undefined;
  /** Encrypts the CA's private keys. */
  readonly passphrase?: string | undefined;
  /** How long the root lives, ms; ten years by default. */
  readonly lifetime?: number | undefined;
  /** False: the root itself issues. By default an intermediate does, and the root's key can be kept elsewhere. */
  readonly intermediate?: boolean | undefined;
  /** What all that is issued must keep to. */
  readonly constraints?: ConstraintsInput | undefined;
  /** How long a CRL is good for, ms; a week by default. */
  readonly crlLifetime?: number | undefined;
}

const DAY = 86_400_000;
const OWN_FILES = [
  NAMES.rootKey,
  NAMES.rootCertificate,
  NAMES.issuingKey,
  NAMES.issuingCertificate,
  NAMES.crl,
] as const;
const WEEK = 7 * DAY;

/**
 * A new CA in a folder, which is made where it is missing.
 *
 * @throws TlsError `ERR_TLS_CA_STATE` when there is one already; `ERR_TLS_OPTION` for a name or time that cannot be.
 *
 * @example
 * ```ts
 * const folder = fs.mkdtempSync("/tmp/mutls-example-");
 * const authority = await createAuthority(folder, { name: "example CA" });
 * console.log((await authority.list()).map(({ profile }) => profile)); // ["intermediate"]
 * fs.rmSync(folder, { recursive: true });
 * ```
 */
export async function createAuthority(
  folder: string,
  options: CreateAuthorityOptions = {},
): Promise<CertificateAuthority> {
  // Later they would be refused each time that something is issued.
  checkStatusAddresses(options);
  const { crlLifetime = WEEK } = options;
  if (!(crlLifetime >= 1000 && crlLifetime <= 10 * 366 * DAY)) {
    throw fault("ERR_TLS_OPTION", `a CRL that is good for ${crlLifetime} ms`);
  }
  await stored(createFolder(folder, { ...options, crlLifetime }));
  const authority = await openAuthority(folder, options.passphrase);
  await authority.publishCrl();
  return authority;
}

async function createFolder(folder: string, options: CreateAuthorityOptions): Promise<void> {
  // An attempt that was cut off has made its lock first; keys without one are somebody else's.
  if (!existsSync(join(folder, NAMES.lock))) {
    const taken = OWN_FILES.find((name) => existsSync(join(folder, name)));
    if (taken !== undefined) throw fault("ERR_TLS_CA_STATE", `there is a ${taken} in ${folder} that would be lost`);
  }
  for (const name of ["", NAMES.lock, NAMES.certificates, NAMES.revoked]) {
    await mkdir(join(folder, name), { recursive: true, mode: 0o700 });
    // Whoever may rename the keys' files may put others in their place. On Windows the bits mean nothing.
    if (process.platform !== "win32" && ((await stat(join(folder, name))).mode & 0o002) !== 0) {
      throw fault("ERR_TLS_CA_STATE", `everybody may write to ${join(folder, name)}: chmod 700 it`);
    }
  }
  await locked(join(folder, NAMES.lock), async () => {
    if ((await readOptional(join(folder, NAMES.settings))) !== undefined) {
      throw fault("ERR_TLS_CA_STATE", `there is a CA in ${folder} already`);
    }
    await removeDrafts(folder);
    await removeAttempt(folder);
    await writeAuthority(folder, options);
  });
}

/** What an attempt has left that was cut off before the settings: keys, and at most its intermediate, but no CRL yet. */
async function removeAttempt(folder: string): Promise<void> {
  const issued = await readIssued(folder);
  // A CA that was whole once has lost its settings, and would now lose its keys.
  const hasCrl = (await readOptional(join(folder, NAMES.crl))) !== undefined;
  if (hasCrl || issued.length > 1 || issued.some(({ profile }) => profile !== "intermediate")) {
    throw fault("ERR_TLS_CA_STATE", `there was a CA in ${folder}, but no ${NAMES.settings} now: put it back`);
  }
  const entries = issued.map(({ serial }) => join(NAMES.certificates, `${serial}.pem`));
  for (const name of [NAMES.issuingCertificate, NAMES.issuingKey, ...entries])
    await rm(join(folder, name), { force: true });
}

async function writeAuthority(folder: string, options: CreateAuthorityOptions): Promise<void> {
  const { name = "mutls CA", key = "P-256", passphrase, lifetime = 3650 * DAY, intermediate = true } = options;
  const write = async (file: string, text: string, mode?: 0o600) => replaceFile(join(folder, file), text, mode);
  const pair = await generateKeyPair(key);
  const constraints = intermediate ? undefined : options.constraints;
  const root: Issuer = {
    certificate: await createRoot({ subject: name, notAfter: Date.now() + lifetime, constraints }, pair),
    signer: pair,
  };
  await write(NAMES.rootKey, await privateKeyPem(pair.pkcs8, passphrase), 0o600);
  await write(NAMES.rootCertificate, writePem("CERTIFICATE", root.certificate));
  if (intermediate) {
    const issuing = await generateKeyPair(key);
    const certificate = await issueCertificate(
      {
        profile: "intermediate",
        spki: issuing.spki,
        subject: intermediateName(name),
        notAfter: Date.now() + lifetime / 2,
        constraints: options.constraints,
      },
      root,
    );
    await write(NAMES.issuingKey, await privateKeyPem(issuing.pkcs8, passphrase), 0o600);
    await write(NAMES.issuingCertificate, writePem("CERTIFICATE", certificate));
    const serial = serialOf(parseCertificate(certificate));
    await write(join(NAMES.certificates, `${serial}.pem`), entryText("intermediate", certificate));
  }
  const { crlUrls = [], ocspUrls = [], issuerUrls = [], crlLifetime = WEEK } = options;
  const settings: CaSettings = { version: 1, crlUrls, ocspUrls, issuerUrls, crlLifetime };
  // The folder's own name, too, before there is a CA in it.
  await syncFolder(dirname(resolve(folder)));
  await write(NAMES.settings, `${JSON.stringify(settings, null, 2)}\n`);
}

/** The root's name with a CN of its own. */
function intermediateName(root: SubjectInput): SubjectInput {
  if (typeof root === "string") return `${root} issuing`;
  const isNamed = root.some(([type]) => type === "CN");
  if (!isNamed) return [...root, ["CN", "issuing CA"]];
  return root.map(([type, value]) => [type, type === "CN" ? `${value} issuing` : value] as const);
}
