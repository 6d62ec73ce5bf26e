/** Certificates, keys and trust anchors from files, with the errors that people make. */
import { openSync, readFileSync, writeSync } from "node:fs";
import { rootCertificates } from "node:tls";
import { utf8 } from "../bytes/bytes.ts";
import type { CryptoProvider } from "../crypto/provider.ts";
import { schemeAlgorithm } from "../crypto/signatures.ts";
import { resolveIdentity } from "../engine/index.ts";
import type { Observer } from "../engine/observer.ts";
import { TlsError } from "../errors.ts";
import type { Identity } from "../handshake/identity.ts";
import { keyLog } from "../inspect/keylog.ts";
import { type RevocationChecker, revocationChecker } from "../x509/revocation.ts";
import { type TrustStore, trustStore } from "../x509/trust.ts";
import { CliError, ExitStatus, usage } from "./exit.ts";
import type { Arguments } from "./flags.ts";

/** The identities of `--cert` and `--key`, pair by pair. A file that holds both may be given once, as `--cert`. */
export async function loadIdentities(args: Arguments, provider: CryptoProvider): Promise<readonly Identity[]> {
  const certs = args.all("cert");
  const keys = args.all("key");
  if (keys.length > certs.length) throw usage("a --key without its --cert");
  if (keys.length > 0 && keys.length < certs.length) throw usage("a --cert without its --key: repeat them in pairs");
  const staples = args.all("ocsp");
  if (staples.length > certs.length) throw usage("an --ocsp without its --cert");
  return Promise.all(certs.map((cert, index) => loadIdentity(cert, keys[index] ?? cert, staples[index], provider)));
}

async function loadIdentity(
  certFile: string,
  keyFile: string,
  ocspFile: string | undefined,
  provider: CryptoProvider,
): Promise<Identity> {
  const cert = read(certFile, "certificate", ExitStatus.localCertificate);
  const key = keyFile === certFile ? cert : read(keyFile, "private key", ExitStatus.localCertificate);
  const ocspResponse =
    ocspFile === undefined ? undefined : read(ocspFile, "OCSP response", ExitStatus.localCertificate);
  let identity: Identity;
  try {
    identity = resolveIdentity({ cert, key, ocspResponse }, provider);
  } catch (error) {
    if (!(error instanceof TlsError)) throw error;
    if (error.code === "ERR_OSSL_X509_KEY_VALUES_MISMATCH") throw foreignKey(certFile, keyFile);
    const file = { ERR_TLS_KEY: keyFile, ERR_TLS_OPTION: ocspFile }[error.code as string] ?? certFile;
    throw new CliError(ExitStatus.localCertificate, `${file}: ${error.message}`, keyHint(error, certFile, keyFile));
  }
  if (!(await belongTogether(identity, provider))) throw foreignKey(certFile, keyFile);
  return identity;
}

function foreignKey(certFile: string, keyFile: string): CliError {
  return new CliError(
    ExitStatus.localCertificate,
    `the private key in ${keyFile} does not belong to the certificate in ${certFile}`,
    "the key file must be the one the certificate was requested with",
  );
}

function keyHint(error: TlsError, certFile: string, keyFile: string): string | undefined {
  return error.code === "ERR_TLS_KEY" && certFile === keyFile
    ? "give the file with the private key as --key"
    : undefined;
}

/** Better now than as the peer's decrypt_error. The engine itself can only ask a provider that answers at once. */
async function belongTogether(identity: Identity, provider: CryptoProvider): Promise<boolean> {
  const [scheme] = identity.schemes;
  const [certificate] = identity.parsed;
  if (scheme === undefined || certificate === undefined) return false;
  const message = utf8("mutls: do this key and this certificate belong together?");
  const signature = await identity.signer.sign(scheme, message);
  return provider.verify(certificate.publicKey, schemeAlgorithm(scheme), message, signature);
}

/** Trust anchors of `--cacert`; `undefined` without it. */
export function loadTrust(args: Arguments): TrustStore | undefined {
  const file = args.get("cacert");
  if (file === undefined) return undefined;
  const content = read(file, "CA file", ExitStatus.caFile);
  try {
    return trustStore(content);
  } catch (error) {
    if (error instanceof TlsError) throw new CliError(ExitStatus.caFile, `${file}: ${error.message}`);
    throw error;
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
  return trustStore(rootCertificates);
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
