/** Purposes of the chain cases that are none of TLS. */
import { KeyPurpose, KeyUsage } from "../../src/x509/certificate.ts";
import { strictTls } from "../../src/x509/purposes.ts";
import type { Purpose } from "../../src/x509/rules.ts";

const Oid = {
  emailProtection: "1.3.6.1.5.5.7.3.4",
  timeStamping: "1.3.6.1.5.5.7.3.8",
  documentSigning: "1.3.6.1.5.5.7.3.36",
  applicationPolicies: "1.3.6.1.4.1.311.21.10",
  mlsClient: "2.23.146.2.1.3",
} as const;

/** RCC.16 A.3.8.3: this purpose and no other in every certificate, and an end entity that only signs. */
const mlsClient: Purpose = {
  name: "rcsMlsClient",
  understands: () => ["2.23.146.2.1.4", "2.23.146.2.1.5"],
  refuses({ certificate: { extendedKeyUsage, keyUsage }, below }) {
    if (extendedKeyUsage?.length !== 1 || extendedKeyUsage[0] !== Oid.mlsClient) {
      return "extKeyUsage is not rcsMlsClient alone";
    }
    if (below.length > 0 || keyUsage === KeyUsage.digitalSignature) return undefined;
    return "keyUsage is not digitalSignature alone";
  },
};

/** C2PA 2.1, 14.5.1: an end entity is for one of manifests, time stamps and OCSP; issuers' purposes do not count. */
function c2pa(name: string, wanted: readonly string[], prohibited: readonly string[]): Purpose {
  return {
    name,
    refuses({ certificate: { extendedKeyUsage = [] }, below }) {
      if (below.length > 0) return undefined;
      if (!extendedKeyUsage.some((oid) => wanted.includes(oid))) return `extKeyUsage does not have ${name}`;
      const never = [KeyPurpose.any, KeyPurpose.ocspSigning, ...prohibited];
      return extendedKeyUsage.some((oid) => never.includes(oid)) ? "extKeyUsage has a prohibited purpose" : undefined;
    },
  };
}

/**
 * TLS by extKeyUsage. Microsoft's application policies say the same in another form: beside extKeyUsage, which is what
 * counts then, they may be critical.
 */
function tls(role: "server" | "client"): Purpose {
  const name = role === "server" ? "serverAuth" : "clientAuth";
  return {
    name,
    understands: ({ extendedKeyUsage }) => (extendedKeyUsage === undefined ? [] : [Oid.applicationPolicies]),
    refuses({ certificate: { extendedKeyUsage } }) {
      const fits = extendedKeyUsage?.some((oid) => oid === KeyPurpose[name] || oid === KeyPurpose.any) ?? true;
      return fits ? undefined : `extKeyUsage does not have ${name}`;
    },
  };
}

const MANIFEST = [Oid.emailProtection, Oid.documentSigning];

/** By their names in the cases. */
export const PURPOSES: Readonly<Record<string, string | Purpose>> = {
  ANY_EKU: "any",
  SERVER_AUTH: tls("server"),
  SERVER_AUTH_STRICT: strictTls("server", "path"),
  SERVER_AUTH_STRICT_LEAF: strictTls("server", "leaf"),
  CLIENT_AUTH: tls("client"),
  CLIENT_AUTH_STRICT: strictTls("client", "path"),
  CLIENT_AUTH_STRICT_LEAF: strictTls("client", "leaf"),
  MLS_CLIENT_AUTH: mlsClient,
  RCS_MLS_CLIENT_AUTH: mlsClient,
  C2PA_TIMESTAMPING: c2pa("timeStamping", [Oid.timeStamping], MANIFEST),
  C2PA_MANIFEST: c2pa("C2PA manifests", MANIFEST, [Oid.timeStamping]),
};
