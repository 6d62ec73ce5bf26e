/** Trust anchors that the platform has: Node's own, those of the operating system, those of the environment. */
import { existsSync, readFileSync } from "node:fs";
import tls from "node:tls";
import { latin1 } from "../bytes/bytes.ts";
import { readPem } from "../bytes/pem.ts";
import { fault, TlsError } from "../errors.ts";
import type { Certificate } from "../x509/certificate.ts";
import { parseCertificate } from "../x509/parse.ts";
import { TrustStore } from "../x509/trust.ts";

/**
 * `bundled`: Mozilla's roots, which come with Node. `system`: the operating system's. `extra`: those of the file that
 * NODE_EXTRA_CA_CERTS names. `default`: what node:tls trusts, bundled and extra unless Node was started otherwise.
 */
export type PlatformSource = "bundled" | "system" | "extra" | "default";

/** How {@link platformTrust} reads them. */
export interface PlatformTrustOptions {
  /** Told of a certificate that is left out, since it cannot be read here; nobody here has chosen it. */
  readonly skipped?: ((error: TlsError) => void) | undefined;
}

/** Of node:tls, from Node 22.15 and 23.10 on. */
type CertificatesOf = (type: PlatformSource) => readonly string[];

/**
 * The trust store of this platform, of one source or several.
 *
 * @param sources - Default: `default`.
 * @throws TlsError `ERR_TLS_OPTION` for `system` where neither Node can tell nor the file of a Unix is there; `ERR_TLS_PEM`
 * when a file holds something other than PEM. Node's error where NODE_EXTRA_CA_CERTS names no file.
 *
 * @example
 * ```ts
 * const trust = trustStore([platformTrust(), ca]); // with a CA of one's own
 * console.log(trust.anchors.length > platformTrust("bundled").anchors.length); // true
 * ```
 */
export function platformTrust(
  sources: PlatformSource | readonly PlatformSource[] = "default",
  { skipped }: PlatformTrustOptions = {},
): TrustStore {
  const list = typeof sources === "string" ? [sources] : sources;
  const anchors: Certificate[] = [];
  for (const der of list.flatMap(certificatesOf)) {
    try {
      anchors.push(parseCertificate(der));
    } catch (error) {
      if (!(error instanceof TlsError)) throw error;
      skipped?.(error);
    }
  }
  return new TrustStore(anchors, 0);
}

function certificatesOf(source: PlatformSource): Uint8Array[] {
  const read = READ[source];
  if (read === undefined) {
    throw fault("ERR_TLS_OPTION", `trust source ${JSON.stringify(source)} is none of ${Object.keys(READ).join(", ")}`);
  }
  return read().flatMap((pem) => {
    const blocks = readPem(pem);
    return blocks.filter(({ label }) => CERTIFICATE_LABELS.includes(label)).map(({ der }) => der);
  });
}

/** TRUSTED CERTIFICATE has OpenSSL's own settings behind the certificate, which must not be read over. */
const CERTIFICATE_LABELS = ["CERTIFICATE", "X509 CERTIFICATE"];

/** PEM texts, by source. */
const READ: { readonly [Source in PlatformSource]: () => readonly string[] } = {
  bundled: () => tls.rootCertificates,
  extra: () => fromNode("extra") ?? extraFile(),
  default: () => fromNode("default") ?? [...tls.rootCertificates, ...extraFile()],
  system: () => fromNode("system") ?? systemFile(),
};

function fromNode(source: PlatformSource): readonly string[] | undefined {
  const { getCACertificates } = tls as { readonly getCACertificates?: CertificatesOf };
  return getCACertificates?.(source);
}

function extraFile(): string[] {
  const file = process.env.NODE_EXTRA_CA_CERTS;
  return file === undefined || file === "" ? [] : [readFileSync(file, "utf8")];
}

/** Where Unixes keep their roots, in the order in which Go looks: Debian, Fedora, openSUSE, OpenELEC, RHEL, Alpine and BSD. */
const SYSTEM_FILES = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/pki/tls/cacert.pem",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

/** SSL_CERT_FILE in their place, as for OpenSSL. */
function systemFile(): string[] {
  const file = process.env.SSL_CERT_FILE || SYSTEM_FILES.find((path) => existsSync(path));
  if (file !== undefined) return [latin1(new Uint8Array(readFileSync(file)))];
  const detail = `Node ${process.version} cannot tell the system's trust anchors, and no file of them is known here`;
  throw fault("ERR_TLS_OPTION", `${detail}: Node 22.15 or 23.10 can`);
}
