/** The certificates that the runtimes are given. */
import { readFileSync } from "node:fs";
import { createThrowawayAuthority, type IssuedIdentity } from "../../src/pki/index.ts";
import { KEY_KINDS } from "../support/identities.ts";
import type { Kind, Material, Pem } from "./core.ts";

export async function createMaterial(): Promise<Material> {
  const authority = await createThrowawayAuthority();
  const other = await createThrowawayAuthority({ name: "another root" });
  const client = (subject: string, key: Kind = "P-256") => authority.issue({ subject, client: true, key }).then(pem);
  const server = (key: Kind) =>
    authority.issue({ subject: "localhost", dnsNames: ["localhost"], server: true, key }).then(pem);
  return {
    ca: authority.certificatePem,
    server: await each(server),
    client: await each((kind) => client(`client ${kind}`, kind)),
    alice: await client("alice"),
    bob: await client("bob"),
    windows: readFileSync(new URL("../pki/fixtures/windows.p12", import.meta.url), "base64"),
    stranger: pem(await other.issue({ subject: "localhost", dnsNames: ["localhost"] })),
  };
}

function pem({ certificatePem, privateKeyPem }: IssuedIdentity): Pem {
  return { cert: certificatePem, key: privateKeyPem };
}

async function each(make: (kind: Kind) => Promise<Pem>): Promise<Record<Kind, Pem>> {
  return Object.fromEntries(
    await Promise.all(KEY_KINDS.map(async (kind) => [kind, await make(kind)] as const)),
  ) as Record<Kind, Pem>;
}
