/** Who the client is, as header fields for the servers behind: RFC 9440, Envoy's X-Forwarded-Client-Cert, single facts. */
import { latin1, utf8 } from "../../bytes/bytes.ts";
import { toBase64 } from "../../bytes/hex.ts";
import { writePem } from "../../bytes/pem.ts";
import { fault } from "../../errors.ts";
import type { PeerIdentity } from "../../x509/identity.ts";
import { foldedName } from "./names.ts";

/** Which fields say who the client is. Nothing is said of a client that was not verified. */
export interface IdentityFieldOptions {
  /** RFC 9440 2.2: the certificate. Default true. */
  readonly clientCert?: boolean | undefined;
  /** RFC 9440 2.3: the path that verified it, with its anchor, without the certificate itself. Default false. */
  readonly clientCertChain?: boolean | undefined;
  /** `X-Forwarded-Client-Cert`: what Envoy sends. Default false. */
  readonly xfcc?: boolean | undefined;
  /** Name of the field for the subject, an RFC 4514 string. Default: none. */
  readonly subject?: string | undefined;
  /** Name of the field for the SPIFFE ID. Default: none. */
  readonly spiffeId?: string | undefined;
  /** Name of the field for the roles that the policy gives, separated by commas. Default: none. */
  readonly roles?: string | undefined;
}

/** Makes the fields of a request. */
export interface IdentityFields {
  /** Names of its own that are configured: whatever a client sends under them is removed. */
  readonly names: readonly string[];
  /** Names and values in turn. */
  fields(client: PeerIdentity | undefined, roles: readonly string[]): readonly string[];
}

const CUSTOM = ["subject", "spiffeId", "roles"] as const;
const NAMES: readonly string[] = ["clientCert", "clientCertChain", "xfcc", ...CUSTOM];
/** A certificate's fields are made once as long as it is the same. */
const MAX_KEPT = 256;

/** @throws TlsError `ERR_TLS_OPTION` for names that are none, or those of fields that mean something else. */
export function identityFields(options: IdentityFieldOptions = {}): IdentityFields {
  const unknown = Object.keys(options).find((name) => !NAMES.includes(name));
  if (unknown !== undefined) throw fault("ERR_TLS_OPTION", `identity has no option "${unknown}"`);
  if (options.clientCertChain && options.clientCert === false) {
    // RFC 9440 2.3.
    throw fault("ERR_TLS_OPTION", "clientCertChain without clientCert");
  }
  const names = CUSTOM.flatMap((key) => (options[key] === undefined ? [] : [checkedName(key, options[key])]));
  const folded = names.map(foldedName);
  const twice = names.find((_, index) => folded.indexOf(folded[index] as string) !== index);
  if (twice !== undefined) throw fault("ERR_TLS_OPTION", `identity: two facts under the name ${twice}`);
  const kept = new Map<string, readonly string[]>();
  return {
    names,
    fields(client, roles) {
      if (client === undefined || !client.verified) return [];
      const key = client.fingerprint256;
      // Of the same certificate, another path may have been found.
      const known = options.clientCertChain ? undefined : kept.get(key);
      const own = known ?? certificateFields(options, client);
      if (known === undefined && !options.clientCertChain) {
        if (kept.size >= MAX_KEPT) kept.clear();
        kept.set(key, own);
      }
      return options.roles === undefined || roles.length === 0 ? own : [...own, options.roles, roles.join(", ")];
    },
  };
}

/** Fields whose meaning is not this side's to change, as they fold. */
const TAKEN =
  /^(?:host|content-.*|transfer-encoding|connection|te|upgrade|cookie|authorization|forwarded|via|date|expect|x-forwarded-for|x-forwarded-host|x-forwarded-proto|x-forwarded-client-cert|client-cert|client-cert-chain|early-data)$/;

function checkedName(key: string, name: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9-]{0,63}$/.test(name) || TAKEN.test(foldedName(name))) {
    throw fault("ERR_TLS_OPTION", `identity.${key}: "${name}" is no name for a field of its own`);
  }
  return name;
}

function certificateFields(options: IdentityFieldOptions, client: PeerIdentity): readonly string[] {
  const { clientCert = true, clientCertChain = false, xfcc = false, subject, spiffeId } = options;
  const [leaf, ...issuers] = client.path;
  if (leaf === undefined) return [];
  return [
    ...(clientCert ? ["Client-Cert", byteSequence(leaf.der)] : []),
    ...(clientCertChain && issuers.length > 0
      ? ["Client-Cert-Chain", issuers.map(({ der }) => byteSequence(der)).join(", ")]
      : []),
    ...(xfcc ? ["X-Forwarded-Client-Cert", xfccElement(client)] : []),
    ...(subject === undefined ? [] : [subject, ascii(client.subject)]),
    ...(spiffeId === undefined || client.spiffeId === undefined ? [] : [spiffeId, client.spiffeId]),
  ];
}

/** RFC 8941 4.1.8. */
export function byteSequence(bytes: Uint8Array): string {
  return `:${toBase64(bytes)}:`;
}

/** One element in Envoy's form: values with separators in them are quoted, quotes escaped, the certificate URL-encoded. */
function xfccElement({ certificate, fingerprint256, subject, names }: PeerIdentity): string {
  const quoted = (value: string) => `"${ascii(value).replace(/["\\]/g, "\\$&")}"`;
  const value = (text: string) => (/[,;="\\\s]|[^\x21-\x7e]/.test(text) ? quoted(text) : text);
  return [
    `Hash=${fingerprint256}`,
    `Cert="${encodeURIComponent(writePem("CERTIFICATE", certificate.der))}"`,
    `Subject=${quoted(subject)}`,
    ...names.uri.map((uri) => `URI=${value(uri)}`),
    ...names.dns.map((dns) => `DNS=${value(dns)}`),
  ].join(";");
}

/** RFC 4514 2.4: what is not printable ASCII as a backslash and the two digits of each octet. */
function ascii(text: string): string {
  return text.replace(/[^\x20-\x7e]+/gu, (part) =>
    [...latin1(utf8(part))]
      .map((octet) => `\\${octet.charCodeAt(0).toString(16).padStart(2, "0").toUpperCase()}`)
      .join(""),
  );
}
