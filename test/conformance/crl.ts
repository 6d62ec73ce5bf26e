/** One CRL held against one certificate, everything above it trusted. */
import { nodeProvider } from "../../src/crypto/node.ts";
import { TlsError } from "../../src/errors.ts";
import { settle } from "../../src/flow.ts";
import { parseCrl } from "../../src/x509/crl.ts";
import { type CrlSources, crlStatus } from "../../src/x509/crl-validation.ts";
import { parseCertificate } from "../../src/x509/parse.ts";
import { signatureProblem } from "../../src/x509/status-signature.ts";
import type { Outcome } from "./harness.ts";
import { type PemBlocks, runStatusSets, type StatusSet } from "./status-set.ts";

export const runCrl = (path: string): Promise<Outcome[]> => runStatusSets(path, runCase);

async function runCase(set: StatusSet, blocks: PemBlocks): Promise<{ readonly got: string; readonly why: string }> {
  const find = (wanted: string) => blocks.filter(({ label }) => label === wanted).map(({ der }) => der);
  try {
    const [certificate] = find("CERTIFICATE").map(parseCertificate);
    const above = [...find("CA CERTIFICATE"), ...find("CA CERTIFICATE 2")].map(parseCertificate);
    const crls = find("CRL").map(parseCrl);
    if (certificate === undefined) throw new Error("a case without a certificate");
    const sources: CrlSources = {
      // This family is of a verifier that knows no indirect CRLs, and looks at a certificate's points where it has some.
      rules: {
        time: Date.parse(set.verify_time),
        tolerance: 0,
        maxAge: 1000 * set.max_age_seconds,
        indirectCrls: false,
        pointsAlone: true,
        strictCrls: false,
      },
      issuedBy: (issuer) => crls.filter((crl) => crl.issuer.equals(issuer)),
      // biome-ignore lint/correctness/useYield: nothing is fetched
      *fetch() {
        return [];
      },
      signersNamed: () => ({ configured: [], sent: [] }),
      // biome-ignore lint/correctness/useYield: nobody but those above is trusted
      *distrust() {
        return { code: "UNABLE_TO_GET_CRL_ISSUER", reason: "not in the path" };
      },
      *signatureFault(crl, { publicKey }) {
        const reason = yield* signatureProblem(crl, publicKey, nodeProvider, undefined);
        return reason === undefined ? undefined : { code: "CRL_SIGNATURE_FAILURE", reason };
      },
      // Nothing is kept.
      attribute() {},
    };
    const status = await settle(crlStatus(certificate, above, sources));
    return { got: status.status.toUpperCase(), why: status.status === "good" ? "" : status.reason };
  } catch (error) {
    if (!(error instanceof TlsError)) throw error;
    return { got: "UNKNOWN", why: error.message };
  }
}
