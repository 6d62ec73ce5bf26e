/** Certificates for tests, made once a file: one authority, identities of every kind of key. */
import type { IdentityOptions } from "../../src/engine/index.ts";
import { createThrowawayAuthority, type IssuedIdentity, type IssuedKeyKind } from "../../src/pki/index.ts";

export const KEY_KINDS: readonly IssuedKeyKind[] = ["P-256", "P-384", "P-521", "Ed25519", "RSA", "RSA-PSS"];

/** An authority's root with a server and a client identity for each kind of key. */
export interface TestIdentities {
  /** PEM of the root. */
  readonly ca: string;
  server(kind?: IssuedKeyKind): IssuedIdentity;
  client(kind?: IssuedKeyKind): IssuedIdentity;
}

/** @param intermediates - CAs between the root and the identities. */
export async function createTestIdentities(
  kinds: readonly IssuedKeyKind[] = ["P-256"],
  intermediates = 0,
): Promise<TestIdentities> {
  const authority = await createThrowawayAuthority({ intermediates });
  const issued = new Map<string, IssuedIdentity>();
  for (const key of kinds) {
    issued.set(
      `server ${key}`,
      await authority.issue({ subject: "localhost", dnsNames: ["localhost"], server: true, key }),
    );
    issued.set(`client ${key}`, await authority.issue({ subject: `client ${key}`, client: true, key }));
  }
  const take = (name: string): IssuedIdentity => {
    const identity = issued.get(name);
    if (identity === undefined) throw new RangeError(`no identity for ${name}`);
    return identity;
  };
  return {
    ca: authority.certificatePem,
    server: (kind = "P-256") => take(`server ${kind}`),
    client: (kind = "P-256") => take(`client ${kind}`),
  };
}

/** What the engine's options take. */
export function identityOptions({ certificates, privateKey }: IssuedIdentity): IdentityOptions {
  return { cert: certificates, key: privateKey };
}
