/** Extensions as a conforming CA issues them (RFC 5280 4.2, RFC 6960 4.2.2.2.1). */
import * as asn1js from "asn1js";
import * as pkijs from "pkijs";
import { StatusExtension } from "../x509/distribution.ts";
import { bufferOf, octetString, toDer } from "./asn1.ts";
import { type AlternativeNames, generalNames, subtrees } from "./names.ts";

/** An extension to be issued. `value`: DER of the extension's own type. */
export interface ExtensionInput {
  /** Dotted decimal. */
  readonly oid: string;
  readonly critical: boolean;
  readonly value: Uint8Array;
}

/** Subtrees that a CA's certificates must keep to, and keep out of. For URIs: hosts. For addresses: ranges. */
export interface ConstraintsInput {
  readonly permitted?: AlternativeNames | undefined;
  readonly excluded?: AlternativeNames | undefined;
}

/** As pkijs has them. */
export function encodeExtensions(extensions: readonly ExtensionInput[]): pkijs.Extension[] {
  return extensions.map(
    ({ oid, critical, value }) => new pkijs.Extension({ extnID: oid, critical, extnValue: bufferOf(value) }),
  );
}

/** RFC 5280 4.2.1.9: critical in a CA's certificate, and here in every one. */
export function basicConstraints(ca: boolean, pathLength?: number): ExtensionInput {
  const limit = pathLength === undefined ? {} : { pathLenConstraint: pathLength };
  return critical("2.5.29.19", new pkijs.BasicConstraints({ cA: ca, ...limit }));
}

/** RFC 5280 4.2.1.3. `usage`: bits as in `KeyUsage`, bit 0 of the number being bit 0 of the string. */
export function keyUsage(usage: number): ExtensionInput {
  const bits = [...Array(16).keys()].map((bit) => (usage >> bit) & 1);
  const bytes = [bits.slice(0, 8), bits.slice(8)]
    .map((octet) => octet.reduce((byte, bit) => (byte << 1) | bit, 0))
    .slice(0, usage > 0xff ? 2 : 1);
  // The named bits end at the last one set (X.690 11.2.2).
  const last = bytes[bytes.length - 1] as number;
  const unusedBits = last === 0 ? 0 : 31 - Math.clz32(last & -last);
  return critical("2.5.29.15", new asn1js.BitString({ valueHex: bufferOf(Uint8Array.from(bytes)), unusedBits }));
}

/** RFC 5280 4.2.1.12 */
export function extendedKeyUsage(keyPurposes: readonly string[]): ExtensionInput {
  return plain("2.5.29.37", new pkijs.ExtKeyUsage({ keyPurposes: [...keyPurposes] }));
}

/** RFC 5280 4.2.1.6: critical where the subject is empty. */
export function subjectAltName(names: AlternativeNames, isCritical: boolean): ExtensionInput {
  const value = toDer(new pkijs.GeneralNames({ names: generalNames(names) }));
  return { oid: "2.5.29.17", critical: isCritical, value };
}

/** RFC 5280 4.2.1.2 */
export function subjectKeyId(keyId: Uint8Array): ExtensionInput {
  return plain("2.5.29.14", octetString(keyId));
}

/** RFC 5280 4.2.1.1 */
export function authorityKeyId(keyId: Uint8Array): ExtensionInput {
  return plain("2.5.29.35", new pkijs.AuthorityKeyIdentifier({ keyIdentifier: octetString(keyId) }));
}

/** RFC 5280 4.2.1.10: critical, and not empty. */
export function nameConstraints({ permitted = {}, excluded = {} }: ConstraintsInput): ExtensionInput {
  const [permittedSubtrees, excludedSubtrees] = [subtrees(permitted), subtrees(excluded)];
  const value = new pkijs.NameConstraints({
    ...(permittedSubtrees.length > 0 ? { permittedSubtrees } : {}),
    ...(excludedSubtrees.length > 0 ? { excludedSubtrees } : {}),
  });
  return critical("2.5.29.30", value);
}

/** RFC 5280 4.2.1.13: each address is a place where the whole CRL is. */
export function crlDistributionPoints(urls: readonly string[]): ExtensionInput {
  const distributionPoints = urls.map(
    (value) => new pkijs.DistributionPoint({ distributionPoint: [new pkijs.GeneralName({ type: 6, value })] }),
  );
  return plain(StatusExtension.cRLDistributionPoints, new pkijs.CRLDistributionPoints({ distributionPoints }));
}

/** RFC 5280 4.2.2.1 */
export function authorityInfoAccess({ ocsp = [], issuers = [] }: AccessInput): ExtensionInput {
  const describe = (accessMethod: string) => (value: string) =>
    new pkijs.AccessDescription({ accessMethod, accessLocation: new pkijs.GeneralName({ type: 6, value }) });
  const accessDescriptions = [
    ...ocsp.map(describe("1.3.6.1.5.5.7.48.1")),
    ...issuers.map(describe("1.3.6.1.5.5.7.48.2")),
  ];
  return plain(StatusExtension.authorityInfoAccess, new pkijs.InfoAccess({ accessDescriptions }));
}

/** Addresses, of which none is needed but one at least must be there. */
export interface AccessInput {
  readonly ocsp?: readonly string[];
  readonly issuers?: readonly string[];
}

/** id-pkix-ocsp-nocheck, RFC 6960 4.2.2.2.1: for as long as it lives, nobody asks whether it is revoked. */
export function ocspNoCheck(): ExtensionInput {
  return plain(StatusExtension.ocspNoCheck, new asn1js.Null());
}

function critical(oid: string, value: Parameters<typeof toDer>[0]): ExtensionInput {
  return { oid, critical: true, value: toDer(value) };
}

function plain(oid: string, value: Parameters<typeof toDer>[0]): ExtensionInput {
  return { oid, critical: false, value: toDer(value) };
}
