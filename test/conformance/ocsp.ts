/** One OCSP response held against one certificate, and the request that asks for it. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { equal } from "../../src/bytes/bytes.ts";
import { contextConstructed, DerReader, Tag } from "../../src/bytes/der.ts";
import { readPem } from "../../src/bytes/pem.ts";
import { nodeProvider } from "../../src/crypto/node.ts";
import { settle } from "../../src/flow.ts";
import { DistinguishedName } from "../../src/x509/distinguished.ts";
import { encodeOcspRequest } from "../../src/x509/ocsp.ts";
import { type OcspQuestion, ocspStatus } from "../../src/x509/ocsp-validation.ts";
import { parseCertificate } from "../../src/x509/parse.ts";
import type { StatusSet } from "./crl.ts";
import { filesBelow, type Outcome } from "./harness.ts";
import { sha1Signatures } from "./sha1.ts";

export async function runOcsp(path: string): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const file of filesBelow(path, ".json")) {
    const set = JSON.parse(readFileSync(file, "utf8")) as StatusSet;
    for (const { file: name, revocation } of set.tests) {
      const { got, why } = await runCase(set, readPem(readFileSync(join(dirname(file), name), "utf8")));
      outcomes.push({ id: name, expected: revocation, got, why });
    }
  }
  return outcomes;
}

async function runCase(
  set: StatusSet,
  blocks: ReturnType<typeof readPem>,
): Promise<{ readonly got: string; readonly why: string }> {
  const find = (wanted: string) => blocks.find(({ label }) => label === wanted)?.der ?? new Uint8Array(0);
  const subject = readSubject(find("CERTIFICATE"));
  const issuer = parseCertificate(find("CA CERTIFICATE"));
  if (!equal(encodeOcspRequest(subject, issuer), find("OCSP REQUEST"))) {
    return { got: "another request", why: "the request is not the one expected" };
  }
  const rules = { time: Date.parse(set.verify_time), tolerance: 0, maxAge: 1000 * set.max_age_seconds };
  // This family is signed with SHA-1.
  const question: OcspQuestion = { subject, issuer, rules, provider: nodeProvider, legacySignatures: sha1Signatures };
  const status = await settle(ocspStatus(find("OCSP RESPONSE"), question));
  return { got: status.status.toUpperCase(), why: status.status === "good" ? "" : status.reason };
}

/** What OCSP needs of a certificate, of one too whose serial number is no DER: this set has such. */
function readSubject(der: Uint8Array): OcspQuestion["subject"] {
  const tbs = new DerReader(der).sequence().sequence();
  tbs.optional(contextConstructed(0));
  const serialNumber = tbs.read(Tag.integer).rest();
  tbs.raw();
  const issuer = new DistinguishedName(tbs.raw());
  return { issuer, serialNumber, notBefore: tbs.sequence().time() };
}
