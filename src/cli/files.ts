/** Certificates, keys and trust anchors from files, with the errors that people make. */
import { openSync, readFileSync, writeSync } from "node:fs";
import { utf8 } from "../bytes/bytes.ts";
import { Tag } from "../bytes/der.ts";
import { readPem } from "../bytes/pem.ts";
import type { CryptoProvider } from "../crypto/provider.ts";
import { schemeAlgorithm } from "../crypto/signatures.ts";
import { trialSignature } from "../engine/identity.ts";
import { type IdentityOptions, resolveIdentity } from "../engine/index.ts";
import type { Observer } from "../engine/observer.ts";
import { TlsError } from "../errors.ts";
import type { Identity } from "../handshake/identity.ts";
import { keyLog } from "../inspect/keylog.ts";
import { platformTrust } from "../node/trust.ts";
import { readPrivateKey } from "../pki/pkcs8.ts";
import { isPkcs12, readPkcs12 } from "../pki/pkcs12.ts";
import { type RevocationChecker, revocationChecker } from "../x509/revocation.ts";
import { type TrustStore, trustStore } from "../x509/trust.ts";
import { CliError, ExitStatus, usage } from "./exit.ts";
import type { Arguments } from "./flags.ts";

/** Values of `--cert-type`: curl's words. */
export const CERT_TYPES = ["PEM", "DER", "P12"] as const;

type CertType = (typeof CERT_TYPES)[number];

/**
 * The identities of `--cert` and `--key`, pair by pair. A file that holds both may be given once, as `--cert`; PKCS#12
 * always does, and may hold several.
 */
export async function loadIdentities(args: Arguments, provider: CryptoProvider): Promise<readonly Identity[]> {
  const files = args
    .all("cert")
    .map((name) => ({ name, content: read(name, "certificate", ExitStatus.localCertificate) }));
  const keys = args.all("key");
  const pairs = files.filter(({ content }) => !isPkcs12(content)).length;
  if (keys.length > pairs) {
    throw usage(files.length > pairs ? "a --key beside PKCS#12, which has its own" : "a --key without its --cert");
  }
  if (keys.length > 0 && keys.length < pairs) throw usage("a --cert without its --key: repeat them in pairs");
  const staples = args.all("ocsp");
  if (staples.length > files.length) throw usage("an --ocsp without its --cert");
  for (const flag of ["pass", "cert-type"]) {
    if (args.has(flag) && files.length === 0) throw usage(`--${flag} without --cert`);
  }
  const passphrases = args.all("pass");
  if (passphrases.length > 1 && passphrases.length !== files.length) {
    throw usage("--pass is given once for all, or once for each --cert");
  }
  for (const { name, content } of files) checkType(args.get("cert-type"), name, content);
  const remaining = [...keys];
  const loaded = files.map(({ name, content }, index) => {
    const passphrase = passphrases[passphrases.length > 1 ? index : 0];
    return isPkcs12(content)
      ? loadPkcs12(name, content, staples[index], passphrase, provider)
      : loadIdentity(name, content, remaining.shift() ?? name, staples[index], passphrase, provider);
  });
  return (await Promise.all(loaded)).flat();
}

function checkType(wanted: string | undefined, name: string, content: Uint8Array): void {
  const found: CertType = isPkcs12(content) ? "P12" : content[0] === Tag.sequence ? "DER" : "PEM";
  if (wanted === undefined || wanted === found) return;
  throw new CliError(ExitStatus.localCertificate, `${name}: is ${found}, not ${wanted}`, "leave --cert-type out");
}

async function loadPkcs12(
  name: string,
  content: Uint8Array,
  ocspFile: string | undefined,
  passphrase: string | undefined,
  provider: CryptoProvider,
): Promise<readonly Identity[]> {
  const ocspResponse = readStaple(ocspFile);
  const { identities } = await naming(name, passphrase, () => readPkcs12(content, passphrase));
  if (identities.length === 0) {
    throw new CliError(ExitStatus.localCertificate, `${name}: no private key with its certificate in there`);
  }
  if (ocspResponse !== undefined && identities.length > 1) {
    throw usage(`an --ocsp for ${name}, in which there are ${identities.length} certificates with keys`);
  }
  return Promise.all(
    identities.map(({ cert, key }) => resolved({ cert, key, ocspResponse }, name, name, ocspFile, provider)),
  );
}

async function loadIdentity(
  certFile: string,
  cert: Uint8Array,
  keyFile: string,
  ocspFile: string | undefined,
  passphrase: string | undefined,
  provider: CryptoProvider,
): Promise<readonly Identity[]> {
  const file = keyFile === certFile ? cert : read(keyFile, "private key", ExitStatus.localCertificate);
  const ocspResponse = readStaple(ocspFile);
  if (cert[0] !== Tag.sequence) expectCertificate(certFile, cert);
  const hint = certFile === keyFile ? "give the file with the private key as --key" : PAIR_HINT;
  const key = await naming(keyFile, passphrase, () => readPrivateKey(file, passphrase), hint);
  return [await resolved({ cert, key, ocspResponse }, certFile, keyFile, ocspFile, provider)];
}

const PAIR_HINT = "--cert wants the certificate, --key the private key";

/** Says what a file is that was given for a certificate: most often the key. */
function expectCertificate(file: string, content: Uint8Array): void {
  const labels = pemLabels(file, ExitStatus.localCertificate, content);
  if (labels.some((label) => label.endsWith("CERTIFICATE"))) return;
  throw new CliError(ExitStatus.localCertificate, `${file} holds no certificate: ${kindOf(labels)}`, PAIR_HINT);
}

function pemLabels(file: string, status: number, content: Uint8Array): readonly string[] {
  try {
    return readPem(content).map(({ label }) => label);
  } catch (error) {
    if (error instanceof TlsError) throw new CliError(status, `${file}: ${error.message}`);
    throw error;
  }
}

function kindOf(labels: readonly string[]): string {
  return labels.length === 0 ? "it is neither PEM nor DER" : `it is PEM of ${[...new Set(labels)].join(", ")}`;
}

function readStaple(file: string | undefined): Uint8Array | undefined {
  return file === undefined ? undefined : read(file, "OCSP response", ExitStatus.localCertificate);
}

/** What cannot be read says where it stands. `hint`: for a file without a usable key. */
async function naming<T>(
  file: string,
  passphrase: string | undefined,
  reading: () => Promise<T>,
  hint?: string,
): Promise<T> {
  try {
    return await reading();
  } catch (error) {
    if (!(error instanceof TlsError)) throw error;
    const opening = passphrase === undefined ? "give its pass phrase with --pass" : "what --pass says does not open it";
    const mending = { ERR_TLS_PASSPHRASE: opening, ERR_TLS_KEY: hint }[error.code as string];
    throw new CliError(ExitStatus.localCertificate, `${file}: ${error.message}`, mending);
  }
}

async function resolved(
  options: IdentityOptions,
  certFile: string,
  keyFile: string,
  ocspFile: string | undefined,
  provider: CryptoProvider,
): Promise<Identity> {
  try {
    const identity = resolveIdentity(options, provider);
    if (await belongTogether(identity, provider)) return identity;
  } catch (error) {
    if (!(error instanceof TlsError)) throw error;
    if (error.code === "ERR_OSSL_X509_KEY_VALUES_MISMATCH") throw foreignKey(certFile, keyFile);
    const file = { ERR_TLS_KEY: keyFile, ERR_TLS_OPTION: ocspFile }[error.code as string] ?? certFile;
    throw new CliError(ExitStatus.localCertificate, `${file}: ${error.message}`);
  }
  throw foreignKey(certFile, keyFile);
}

function foreignKey(certFile: string, keyFile: string): CliError {
  return new CliError(
    ExitStatus.localCertificate,
    `the private key in ${keyFile} does not belong to the certificate in ${certFile}`,
    "the key file must be the one the certificate was requested with",
  );
}

/** Better now than as the peer's decrypt_error. The engine itself can only ask a provider that answers at once. */
async function belongTogether(identity: Identity, provider: CryptoProvider): Promise<boolean> {
  const [scheme] = identity.schemes;
  const [certificate] = identity.parsed;
  if (scheme === undefined || certificate === undefined) return false;
  const message = utf8("mutls: do this key and this certificate belong together?");
  const signature = await trialSignature(identity.signer, scheme, message);
  return provider.verify(certificate.publicKey, schemeAlgorithm(scheme), message, signature);
}

/** Trust anchors of `--cacert` and `--ca-native`, together where both are given; `undefined` without either. */
export function loadTrust(args: Arguments): TrustStore | undefined {
  const file = args.get("cacert");
  const native = args.has("ca-native") ? nativeTrust() : undefined;
  if (file === undefined) return native;
  const content = read(file, "CA file", ExitStatus.caFile);
  const labels = content[0] === Tag.sequence ? ["CERTIFICATE"] : pemLabels(file, ExitStatus.caFile, content);
  if (!labels.some((label) => label.endsWith("CERTIFICATE"))) {
    throw new CliError(ExitStatus.caFile, `${file} holds no certificate: ${kindOf(labels)}`);
  }
  try {
    return trustStore(native === undefined ? content : [native, content]);
  } catch (error) {
    if (error instanceof TlsError) throw new CliError(ExitStatus.caFile, `${file}: ${error.message}`);
    throw error;
  }
}

function nativeTrust(): TrustStore {
  try {
    return platformTrust("system");
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CliError(ExitStatus.caFile, `--ca-native: ${reason}`, "give the CAs as --cacert");
  }
}

/** The checker of `--crlfile` and `--cert-status`, which are as strict as curl's; `undefined` without them. */
export function loadRevocation(args: Arguments): RevocationChecker | undefined {
  const files = args.all("crlfile");
  const mustStaple = args.has("cert-status") ? "always" : true;
  if (files.length === 0) return mustStaple === true ? undefined : revocationChecker({ mode: "soft-fail", mustStaple });
  const revocation = revocationChecker({ mode: "hard-fail", mustStaple });
  const crls = files.map((file) => {
    const content = read(file, "CRL file", ExitStatus.crlFile);
    try {
      revocation.replaceCrls(content);
    } catch (error) {
      if (error instanceof TlsError) throw new CliError(ExitStatus.crlFile, `${file}: ${error.message}`);
      throw error;
    }
    return content;
  });
  revocation.replaceCrls(crls);
  return revocation;
}

/** The public roots that come with Node. */
export function bundledTrust(): TrustStore {
  return platformTrust("bundled");
}

/** The observer of `--keylogfile`, which only its owner may read. */
export function keyLogFile(args: Arguments): Observer | undefined {
  const file = args.get("keylogfile");
  if (file === undefined) return undefined;
  let descriptor: number;
  try {
    descriptor = openSync(file, "a", 0o600);
  } catch (error) {
    throw new CliError(ExitStatus.write, `cannot write the key log: ${(error as Error).message}`);
  }
  return keyLog((line) => writeSync(descriptor, line));
}

function read(file: string, what: string, status: number): Uint8Array {
  try {
    return new Uint8Array(readFileSync(file));
  } catch (error) {
    throw new CliError(status, `cannot read the ${what}: ${(error as Error).message}`);
  }
}
