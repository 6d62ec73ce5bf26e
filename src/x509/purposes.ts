/** TLS purposes taken strictly. */
import { KeyPurpose } from "./certificate.ts";
import type { Purpose } from "./rules.ts";

/** Purposes that a TLS end entity has no business with, by the CA/Browser Forum's Baseline Requirements 7.1.2.7.10. */
const FOREIGN: Readonly<Record<string, string>> = {
  "1.3.6.1.5.5.7.3.3": "codeSigning",
  "1.3.6.1.5.5.7.3.8": "timeStamping",
  [KeyPurpose.ocspSigning]: "OCSPSigning",
};

/**
 * TLS by an extKeyUsage that names it: its absence and anyExtendedKeyUsage do not count, the end entity serves nothing
 * but TLS and is no CA, unless it is trusted by itself.
 *
 * @param role - Whose certificate it is.
 * @param scope - `path`: issuers with extKeyUsage must name the purpose as well, and those of clients must have the
 * extension. `leaf`: only the end entity is taken strictly.
 */
export function strictTls(role: "server" | "client", scope: "path" | "leaf"): Purpose {
  const name = role === "server" ? "serverAuth" : "clientAuth";
  const wanted = KeyPurpose[name];
  return {
    name,
    refuses({ certificate: { extendedKeyUsage, basicConstraints }, below, isAnchor }) {
      const has = extendedKeyUsage?.includes(wanted);
      if (below.length > 0) {
        if (extendedKeyUsage === undefined) {
          // An anchor is trusted for all purposes that it does not exclude (RFC 5280 6.1.1 (d)).
          return scope === "path" && role === "client" && !isAnchor ? `it has no extKeyUsage with ${name}` : undefined;
        }
        if (has || (scope === "leaf" && extendedKeyUsage.includes(KeyPurpose.any))) return undefined;
        return `extKeyUsage does not have ${name}`;
      }
      if (!has) return `extKeyUsage does not have ${name}`;
      const foreign = extendedKeyUsage?.find((oid) => FOREIGN[oid] !== undefined);
      if (foreign !== undefined) return `extKeyUsage has ${FOREIGN[foreign]} beside ${name}`;
      return basicConstraints?.ca && !isAnchor ? "it is a CA certificate" : undefined;
    },
  };
}
