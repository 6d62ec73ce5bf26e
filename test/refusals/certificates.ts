/** Certificates for the refusals: one right one for each side, and one for each thing that can be wrong with it. */
import { writePem } from "../../src/bytes/pem.ts";
import { createThrowawayAuthority, type IssuedIdentity, type IssueRequest } from "../../src/pki/index.ts";
import { KeyPurpose } from "../../src/x509/certificate.ts";
import type { OpensslOptions } from "../support/openssl.ts";
import type { PemFiles } from "../support/pem-files.ts";
import { DAY, makeCertificate } from "../support/pki.ts";

/** What one side may present. */
export interface Party {
  /** Issued by an intermediate of the CA that both trust. */
  readonly good: IssuedIdentity;
  readonly stranger: IssuedIdentity;
  readonly strangerWithRoot: IssuedIdentity;
  readonly selfSigned: IssuedIdentity;
  readonly withoutIntermediate: IssuedIdentity;
  readonly expired: IssuedIdentity;
  readonly strangerExpired: IssuedIdentity;
  readonly future: IssuedIdentity;
  readonly wrongPurpose: IssuedIdentity;
  readonly elsewhere: IssuedIdentity;
}

export interface Certificates {
  /** The root that both trust, PEM. */
  readonly ca: string;
  readonly server: Party;
  readonly client: Party;
  readonly files: PemFiles;
}

export async function createCertificates(files: PemFiles): Promise<Certificates> {
  const authority = await createThrowawayAuthority({ intermediates: 1, notBefore: Date.now() - 3 * DAY });
  const unknown = await createThrowawayAuthority({ name: "a root that nobody trusts" });
  const party = async (role: "server" | "client"): Promise<Party> => {
    const request: IssueRequest = { subject: role, dnsNames: ["localhost"], [role]: true };
    const other = role === "server" ? "client" : "server";
    const good = await authority.issue(request);
    const stranger = await unknown.issue(request);
    const past = { notBefore: Date.now() - 2 * DAY, notAfter: Date.now() - DAY };
    return {
      good,
      stranger,
      strangerWithRoot: withChain(stranger, [...stranger.certificates, unknown.certificate]),
      selfSigned: await selfSigned(role),
      withoutIntermediate: withChain(good, [good.certificates[0]]),
      expired: await authority.issue({ ...request, ...past }),
      strangerExpired: await unknown.issue({ ...request, ...past }),
      future: await authority.issue({ ...request, notBefore: Date.now() + DAY / 2 }),
      wrongPurpose: await authority.issue({ ...request, [role]: false, [other]: true }),
      elsewhere: await authority.issue({ ...request, dnsNames: ["elsewhere.example"] }),
    };
  };
  return { ca: authority.certificatePem, server: await party("server"), client: await party("client"), files };
}

/** How openssl is told to present an identity. */
export function opensslIdentity(files: PemFiles, { certificates, privateKeyPem }: IssuedIdentity): OpensslOptions {
  const [leaf = "", ...chain] = certificates.map((der) => writePem("CERTIFICATE", der));
  return {
    "-cert": files.path(leaf),
    "-key": files.path(privateKeyPem),
    "-cert_chain": chain.length === 0 ? undefined : files.path(chain.join("")),
  };
}

function withChain(identity: IssuedIdentity, certificates: IssuedIdentity["certificates"]): IssuedIdentity {
  const certificatePem = certificates.map((der) => writePem("CERTIFICATE", der)).join("");
  return { ...identity, certificates, certificatePem };
}

async function selfSigned(role: "server" | "client"): Promise<IssuedIdentity> {
  const purposes = [role === "server" ? KeyPurpose.serverAuth : KeyPurpose.clientAuth];
  const { der, pem, pair, privateKeyPem } = await makeCertificate({ subject: `a ${role} of its own`, purposes });
  return { certificates: [der], certificatePem: pem, privateKey: pair.pkcs8, privateKeyPem };
}
