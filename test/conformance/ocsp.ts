/** One OCSP response held against one certificate, and the request that asks for it. */
import { equal } from "../../src/bytes/bytes.ts";
import { contextConstructed, DerReader, Tag } from "../../src/bytes/der.ts";
import { nodeProvider } from "../../src/crypto/node.ts";
import { settle } from "../../src/flow.ts";
import { DistinguishedName } from "../../src/x509/distinguished.ts";
import { encodeOcspRequest } from "../../src/x509/ocsp.ts";
import { type OcspQuestion, ocspStatus } from "../../src/x509/ocsp-validation.ts";
import { parseCertificate } from "../../src/x509/parse.ts";
import type { Outcome } from "./harness.ts";
import { sha1Signatures } from "./sha1.ts";
import { type PemBlocks, runStatusSets, type StatusSet } from "./status-set.ts";

export const runOcsp = (path: string): Promise<Outcome[]> => runStatusSets(path, runCase);

async function runCase(set: StatusSet, blocks: PemBlocks): Promise<{ readonly got: string; readonly why: string }> {
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
