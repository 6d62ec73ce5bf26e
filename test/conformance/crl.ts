/** One CRL held against one certificate, everything above it trusted. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { readPem } from "../../src/bytes/pem.ts";
import { nodeProvider } from "../../src/crypto/node.ts";
import { TlsError } from "../../src/errors.ts";
import { settle } from "../../src/flow.ts";
import { parseCrl } from "../../src/x509/crl.ts";
import { type CrlSources, crlStatus } from "../../src/x509/crl-validation.ts";
import { parseCertificate } from "../../src/x509/parse.ts";
import { signatureProblem } from "../../src/x509/status-signature.ts";
import { filesBelow, type Outcome } from "./harness.ts";

/** What says what is expected of the files beside it; ocsp.json has the same form. */
export interface StatusSet {
  readonly verify_time: string;
  readonly max_age_seconds: number;
  readonly tests: readonly { readonly file: string; readonly revocation: "GOOD" | "REVOKED" | "UNKNOWN" }[];
}

export async function runCrl(path: string): Promise<Outcome[]> {
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
  const find = (wanted: string) => blocks.filter(({ label }) => label === wanted).map(({ der }) => der);
  try {
    const [certificate] = find("CERTIFICATE").map(parseCertificate);
    const above = [...find("CA CERTIFICATE"), ...find("CA CERTIFICATE 2")].map(parseCertificate);
    const crls = find("CRL").map(parseCrl);
    if (certificate === undefined) throw new Error("a case without a certificate");
    const sources: CrlSources = {
      // This family is of a verifier that knows no indirect CRLs.
      rules: {
        time: Date.parse(set.verify_time),
        tolerance: 0,
        maxAge: 1000 * set.max_age_seconds,
        indirectCrls: false,
        strictCrls: false,
      },
      issuedBy: (issuer) => crls.filter((crl) => crl.issuer.equals(issuer)),
      // biome-ignore lint/correctness/useYield: nothing is fetched
      *fetch() {
        return [];
      },
      signersNamed: () => [],
      // biome-ignore lint/correctness/useYield: nobody but those above is trusted
      *distrust() {
        return { code: "UNABLE_TO_GET_CRL_ISSUER", reason: "not in the path" };
      },
      *signatureFault(crl, { publicKey }) {
        const reason = yield* signatureProblem(crl, publicKey, nodeProvider, undefined);
        return reason === undefined ? undefined : { code: "CRL_SIGNATURE_FAILURE", reason };
      },
    };
    const status = await settle(crlStatus(certificate, above, sources));
    return { got: status.status.toUpperCase(), why: status.status === "good" ? "" : status.reason };
  } catch (error) {
    if (!(error instanceof TlsError)) throw error;
    return { got: "UNKNOWN", why: error.message };
  }
}
