/** x509-limbo and BetterTLS cases. */
import { readFileSync } from "node:fs";
import { readPem } from "../../src/bytes/pem.ts";
import { TlsError } from "../../src/errors.ts";
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
  readonly max_chain_depth: number | null;
  readonly expected_result: "SUCCESS" | "FAILURE";
  readonly crls: readonly string[] | null;
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
    const names = testcase.expected_peer_name === null ? [] : [testcase.expected_peer_name];
    const { identity, why } = await judge(
      {
        trust: trustStore(testcase.trusted_certs),
        profile: id.startsWith("webpki::") ? "webpki" : "rfc5280",
        maxCertificates: 200,
        ...(testcase.max_chain_depth !== null && { maxDepth: testcase.max_chain_depth }),
      },
      {
        certificates: [testcase.peer_certificate, ...testcase.untrusted_intermediates].map(der),
        role: testcase.validation_kind === "CLIENT" ? "client" : "server",
        name: names.find(({ kind }) => kind !== "RFC822")?.value,
        time: testcase.validation_time === null ? Date.now() : Date.parse(testcase.validation_time),
      },
    );
    return { id, expected, got: identity === undefined ? "FAILURE" : "SUCCESS", why };
  } catch (error) {
    // What is to be trusted cannot be read.
    if (!(error instanceof TlsError)) throw error;
    return { id, expected, got: "FAILURE", why: error.message };
  }
}
