/** NIST's PKITS: path validation of RFC 5280 with policies and CRLs. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { TlsError } from "../../src/errors.ts";
import { parseCrl } from "../../src/x509/crl.ts";
import { revocationChecker } from "../../src/x509/revocation.ts";
import { trustStore } from "../../src/x509/trust.ts";
import { filesBelow, judge, type Outcome } from "./harness.ts";

interface Pkits {
  readonly time: string;
  readonly certs_dir: string;
  readonly certs_ext: string;
  readonly crls_dir: string;
  readonly crls_ext: string;
  readonly policy_oids: Readonly<Record<string, string>>;
  readonly tests: readonly PkitsCase[];
}

interface PkitsCase {
  readonly number: string;
  readonly name: string;
  readonly certs: readonly string[];
  readonly crls: readonly string[];
  readonly should_validate: boolean;
  readonly initial_policy_set: readonly string[];
  readonly initial_explicit_policy: boolean;
  readonly initial_policy_mapping_inhibit: boolean;
  readonly initial_inhibit_any_policy: boolean;
}

export async function runPkits(path: string): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const file of filesBelow(path, ".json")) {
    const set = JSON.parse(readFileSync(file, "utf8")) as Pkits;
    for (const testcase of set.tests) outcomes.push(await runCase(set, testcase, dirname(file)));
  }
  return outcomes;
}

async function runCase(set: Pkits, testcase: PkitsCase, folder: string): Promise<Outcome> {
  const certificate = (name: string) => read(folder, set.certs_dir, name + set.certs_ext);
  const [anchor, ...others] = testcase.certs.map(certificate);
  const target = others.pop() as Uint8Array;
  const wanted = testcase.initial_policy_set;
  const { identity, why } = await judge(
    {
      trust: trustStore(anchor as Uint8Array),
      purpose: "any",
      revocation: revocationChecker({
        mode: "hard-fail",
        crls: testcase.crls.map((name) => read(folder, set.crls_dir, name + set.crls_ext)).filter(isCrl),
      }),
      minRsaBits: 1024,
      policies: {
        policies: wanted.includes("anyPolicy") ? undefined : wanted.map((name) => set.policy_oids[name] ?? name),
        requireExplicit: testcase.initial_explicit_policy,
        inhibitMapping: testcase.initial_policy_mapping_inhibit,
        inhibitAny: testcase.initial_inhibit_any_policy,
      },
    },
    { certificates: [target, ...others], role: "server", name: undefined, time: Date.parse(set.time) },
  );
  const text = (valid: boolean) => (valid ? "valid" : "invalid");
  const { number, name, should_validate } = testcase;
  return { id: `${number} ${name}`, expected: text(should_validate), got: text(identity !== undefined), why };
}

/** One of the CRLs with a bad signature is no DER either: whoever gets it has no CRL. */
function isCrl(der: Uint8Array): boolean {
  try {
    parseCrl(der);
    return true;
  } catch (error) {
    if (!(error instanceof TlsError)) throw error;
    return false;
  }
}

function read(...parts: string[]): Uint8Array {
  return new Uint8Array(readFileSync(join(...parts)));
}
