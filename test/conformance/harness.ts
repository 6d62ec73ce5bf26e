/** What every set of cases has in common: cases run one by one, held against what is expected, and counted. */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { nodeProvider } from "../../src/crypto/node.ts";
import { TlsError } from "../../src/errors.ts";
import { settle } from "../../src/flow.ts";
import type { PeerIdentity } from "../../src/x509/identity.ts";
import { type TrustVerifierOptions, trustVerifier, type VerifyRequest } from "../../src/x509/verifier.ts";

/** One case and what came of it. */
export interface Outcome {
  readonly id: string;
  readonly expected: string;
  readonly got: string;
  /** Why it was rejected, for people. */
  readonly why: string;
}

/** Runs the cases in a file or folder. */
export type RunSet = (path: string) => Promise<Outcome[]>;

/** What a chain's verification comes to; anything but a TlsError is a fault of ours and ends the run. */
export async function judge(
  options: TrustVerifierOptions,
  request: Omit<VerifyRequest, "provider">,
): Promise<{ readonly identity: PeerIdentity | undefined; readonly why: string }> {
  try {
    const verifier = trustVerifier(options);
    return { identity: await settle(verifier.verify({ ...request, provider: nodeProvider })), why: "" };
  } catch (error) {
    if (!(error instanceof TlsError)) throw error;
    return { identity: undefined, why: `${error.code}: ${error.message}` };
  }
}

/** Files below a path, or the path itself, by how their names end. */
export function filesBelow(path: string, ending: string): string[] {
  if (statSync(path).isFile()) return path.endsWith(ending) ? [path] : [];
  return readdirSync(path)
    .sort()
    .flatMap((name) => filesBelow(join(path, name), ending));
}
