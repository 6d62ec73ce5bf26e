import { describe, expect, it } from "vitest";
import { createCrl } from "../../../src/pki/crl.ts";
import { createRoot, type Issuer, issueCertificate } from "../../../src/pki/issuer.ts";
import { generateKeyPair, type KeyKind } from "../../../src/pki/keys.ts";
import type { ProfileName } from "../../../src/pki/profiles.ts";
import { createThrowawayAuthority } from "../../../src/pki/throwaway.ts";
import { parseCertificate } from "../../../src/x509/parse.ts";
import { makeAuthority } from "../../support/pki.ts";
import { makeCrl } from "../../support/status.ts";
import { CRL_RULES } from "./crl-rules.ts";
import { dissectCertificate, dissectCrl } from "./dissect.ts";
import { BROKEN, CA_BELOW, FAULTLESS, FORGED_ISSUER } from "./forge.ts";
import { CERTIFICATE_RULES } from "./rules.ts";

/** `rule: what is wrong` for each rule that a certificate breaks. */
function lint(der: Uint8Array, issuer?: Uint8Array): string[] {
  const certificate = dissectCertificate(der);
  const context = { issuer: issuer && dissectCertificate(issuer) };
  return CERTIFICATE_RULES.flatMap(({ id, check }) => {
    const problem = check(certificate, context);
    return problem === undefined ? [] : [`${id}: ${problem}`];
  });
}

const KINDS: readonly KeyKind[] = ["P-256", "P-384", "P-521", "Ed25519", "RSA", "RSA-3072", "RSA-4096", "RSA-PSS"];

const subject = [
  ["C", "DE"],
  ["O", "Exämple"],
  ["serialNumber", "17-a"],
  ["emailAddress", "pki@example.com"],
  ["CN", "lint"],
] as const;
/** Nobody else is issued the name of a CA. */
const rootSubject = [...subject, ["OU", "root"]] as const;
const status = {
  crlUrls: ["http://pki.example.com/issuing.crl"],
  ocspUrls: ["http://ocsp.example.com"],
  issuerUrls: ["http://pki.example.com/issuing.cer"],
};
const names = {
  dnsNames: ["www.example.com", "*.example.com"],
  ipAddresses: ["192.0.2.1", "2001:db8::1"],
  emails: ["pki@example.com"],
  uris: ["https://example.com/a"],
};

/** Something of every profile, with as much in it as it may have. */
const INPUTS: { readonly [Name in ProfileName]: object } = {
  server: { subject, ...names, ...status },
  client: { dnsNames: ["client.example.com"] },
  both: { subject: "both", ...names },
  spiffe: { uris: ["spiffe://example.org/web"], ...status },
  intermediate: {
    subject,
    ...status,
    constraints: {
      permitted: { dnsNames: ["example.com"], ipAddresses: ["192.0.2.0/24", "2001:db8::/32"], emails: ["example.com"] },
      excluded: { uris: [".example.net"], dnsNames: ["no.example.com"] },
    },
  },
  ocsp: { subject: "responder", ...status },
};

describe("every rule for certificates", () => {
  it("has a source, and a name of its own", () => {
    expect(CERTIFICATE_RULES.length).toBeGreaterThanOrEqual(40);
    expect(new Set(CERTIFICATE_RULES.map(({ id }) => id)).size).toBe(CERTIFICATE_RULES.length);
    for (const { source } of CERTIFICATE_RULES) expect(source).toMatch(/^(RFC \d+|X\.690|CA\/B BR) [A-Z\d]/);
  });

  it("finds nothing in a certificate without fault", () => {
    expect(lint(FAULTLESS, FORGED_ISSUER)).toEqual([]);
    expect(lint(FORGED_ISSUER)).toEqual([]);
  });

  it.each(CERTIFICATE_RULES.map(({ id }) => id))("%s catches a certificate that breaks it", (id) => {
    const { issuer, certificate } =
      id === "path_length_left" ? CA_BELOW : { issuer: FORGED_ISSUER, certificate: BROKEN[id] as Uint8Array };
    expect(lint(certificate, issuer).map((line) => line.split(":")[0])).toContain(id);
  });
});

describe.each(KINDS)("what a CA with a key of %s issues breaks no rule", (kind) => {
  const made = (async () => {
    const key = await generateKeyPair(kind);
    const certificate = await createRoot({ subject: rootSubject }, key);
    return { root: { certificate, signer: key } satisfies Issuer, spki: key.spki };
  })();

  it("as a root", async () => {
    const { root } = await made;
    expect(lint(root.certificate)).toEqual([]);
  });

  it.each(Object.keys(INPUTS) as ProfileName[])("under the profile %s", async (profile) => {
    const { root, spki } = await made;
    const der = await issueCertificate({ profile, spki, ...INPUTS[profile] }, root);
    expect(lint(der, root.certificate)).toEqual([]);
    // Beyond 2050 the encoding of times changes.
    const far = {
      ...root,
      certificate: await createRoot({ subject: rootSubject, notAfter: Date.UTC(2060, 0) }, await rootKey(root)),
    };
    const late = { notBefore: Date.UTC(2049, 11, 31, 23, 59, 59), notAfter: Date.UTC(2050, 0, 1) };
    const long = await issueCertificate({ profile, spki, ...INPUTS[profile], ...late }, far);
    expect(lint(long, far.certificate)).toEqual([]);
    expect(parseCertificate(long)).toMatchObject(late);

    async function rootKey({ signer }: Issuer) {
      return { ...signer, spki };
    }
  });

  it("as CRLs", async () => {
    const { root } = await made;
    const revoked = [
      { serialNumber: Uint8Array.of(7), revokedAt: Date.now() },
      { serialNumber: Uint8Array.of(8), revokedAt: Date.UTC(2051, 0), reason: "keyCompromise", invalidityDate: 0 },
    ] as const;
    expect(lintCrl(await createCrl({ number: 1n, revoked: [] }, root))).toEqual([]);
    expect(lintCrl(await createCrl({ number: (1n << 159n) - 1n, revoked }, root))).toEqual([]);
  });
});

it("what the throwaway authority issues breaks no rule", async () => {
  const authority = await createThrowawayAuthority();
  const { certificates } = await authority.issue({ subject: "localhost", dnsNames: ["localhost"] });
  expect(lint(authority.certificate)).toEqual([]);
  expect(lint(certificates[0], authority.certificate)).toEqual([]);
});

function lintCrl(der: Uint8Array): string[] {
  const crl = dissectCrl(der);
  return CRL_RULES.flatMap(({ id, check }) => {
    const problem = check(crl);
    return problem === undefined ? [] : [`${id}: ${problem}`];
  });
}

describe("every rule for CRLs", () => {
  const broken = Object.fromEntries(CRL_RULES.map(({ id, broken }) => [id, broken]));

  it("finds nothing in a CRL without fault", async () => {
    expect(lintCrl(await makeCrl({ issuer: await makeAuthority() }))).toEqual([]);
  });

  it.each(CRL_RULES.map(({ id }) => id))("%s catches a CRL that breaks it", async (id) => {
    const der = await (broken[id] as () => Promise<Uint8Array>)();
    expect(lintCrl(der).map((line) => line.split(":")[0])).toContain(id);
  });
});
