/** x509-limbo and BetterTLS cases. */
import { readFileSync } from "node:fs";
import { readPem } from "../../src/bytes/pem.ts";
import { TlsError } from "../../src/errors.ts";
import { KeyPurpose, KeyUsage } from "../../src/x509/certificate.ts";
import type { PeerIdentity } from "../../src/x509/identity.ts";
import { matchesHost } from "../../src/x509/names.ts";
import { pedanticProfile, rfc5280Profile, webpkiProfile } from "../../src/x509/profiles.ts";
import { revocationChecker } from "../../src/x509/revocation.ts";
import type { Profile } from "../../src/x509/rules.ts";
import { trustStore } from "../../src/x509/trust.ts";
import { filesBelow, judge, type Outcome } from "./harness.ts";

interface PeerName {
  readonly kind: "DNS" | "IP" | "RFC822";
  readonly value: string;
}

interface LimboCase {
  readonly id: string;
  readonly validation_kind: "SERVER" | "CLIENT";
  readonly trusted_certs: readonly string[];
  readonly untrusted_intermediates: readonly string[];
  readonly peer_certificate: string;
  readonly validation_time: string | null;
  readonly expected_peer_name: PeerName | null;
  readonly expected_peer_names: readonly PeerName[] | null;
  readonly extended_key_usage: readonly string[];
  readonly key_usage: readonly string[];
  readonly max_chain_depth: number | null;
  readonly expected_result: "SUCCESS" | "FAILURE";
  readonly crls: readonly string[] | null;
  readonly features: readonly string[];
}

export async function runLimbo(path: string): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const file of filesBelow(path, ".json")) {
    const { testcases = [] } = JSON.parse(readFileSync(file, "utf8")) as { testcases?: readonly LimboCase[] };
    for (const testcase of testcases) outcomes.push(await runCase(testcase));
  }
  return outcomes;
}

async function runCase(testcase: LimboCase): Promise<Outcome> {
  const { id, expected_result: expected } = testcase;
  const der = (pem: string) => readPem(pem).map((block) => block.der)[0] as Uint8Array;
  try {
    const names = [testcase.expected_peer_name ?? [], testcase.expected_peer_names ?? []].flat();
    const role = testcase.validation_kind === "CLIENT" ? "client" : "server";
    const purposes = testcase.extended_key_usage.map((name) => PURPOSES[name] ?? name);
    const { identity, why } = await judge(
      {
        trust: trustStore(testcase.trusted_certs),
        profile: profileOf(testcase),
        purpose: purposes[0] ?? KeyPurpose[role === "server" ? "serverAuth" : "clientAuth"],
        maxCertificates: 200,
        // A case with CRLs is about them, and the family's CRLs are held against the letter of RFC 5280 5.
        ...(testcase.crls !== null &&
          testcase.crls.length > 0 && {
            revocation: revocationChecker({ mode: "hard-fail", crls: testcase.crls, strictCrls: true }),
          }),
        ...(testcase.max_chain_depth !== null && { maxDepth: testcase.max_chain_depth }),
      },
      {
        certificates: [testcase.peer_certificate, ...testcase.untrusted_intermediates].map(der),
        role,
        name: undefined,
        time: testcase.validation_time === null ? Date.now() : Date.parse(testcase.validation_time),
      },
    );
    if (identity === undefined) return { id, expected, got: "FAILURE", why };
    const missing = names.find((name) => !isNamed(identity, name));
    if (missing !== undefined) return { id, expected, got: "FAILURE", why: `${missing.value} is not named` };
    if (!allows(identity, purposes, testcase.key_usage)) return { id, expected, got: "FAILURE", why: "wrong usage" };
    return { id, expected, got: "SUCCESS", why };
  } catch (error) {
    // What is to be trusted cannot be read.
    if (!(error instanceof TlsError)) throw error;
    return { id, expected, got: "FAILURE", why: error.message };
  }
}

function profileOf({ id, features }: LimboCase): Profile {
  if (id.startsWith("webpki::")) return webpkiProfile;
  return features.includes("pedantic-rfc5280") ? pedanticProfile : rfc5280Profile;
}

/** As extended_key_usage spells them; others are OIDs. */
const PURPOSES: Readonly<Record<string, string>> = {
  anyExtendedKeyUsage: KeyPurpose.any,
  serverAuth: KeyPurpose.serverAuth,
  clientAuth: KeyPurpose.clientAuth,
  codeSigning: "1.3.6.1.5.5.7.3.3",
  emailProtection: "1.3.6.1.5.5.7.3.4",
  timeStamping: "1.3.6.1.5.5.7.3.8",
  OCSPSigning: KeyPurpose.ocspSigning,
};

function isNamed({ certificate, names }: PeerIdentity, { kind, value }: PeerName): boolean {
  return kind === "RFC822" ? names.email.includes(value) : matchesHost(certificate, value);
}

/** All purposes and usages asked for, beside the first purpose, which path validation has looked at. */
function allows({ certificate }: PeerIdentity, purposes: readonly string[], usages: readonly string[]): boolean {
  const { extendedKeyUsage, keyUsage } = certificate;
  const bits: Readonly<Record<string, number>> = { ...KeyUsage, contentCommitment: KeyUsage.nonRepudiation };
  return (
    (extendedKeyUsage === undefined ||
      purposes.every((oid) => extendedKeyUsage.includes(oid) || extendedKeyUsage.includes(KeyPurpose.any))) &&
    (keyUsage === undefined || usages.every((usage) => (keyUsage & (bits[usage] ?? 0)) !== 0))
  );
}
