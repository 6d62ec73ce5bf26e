/** Chain verification cases, one folder each. */
import { readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { readPem } from "../../src/bytes/pem.ts";
import { TlsError } from "../../src/errors.ts";
import { trustStore } from "../../src/x509/trust.ts";
import type { TrustVerifierOptions } from "../../src/x509/verifier.ts";
import { filesBelow, judge, type Outcome } from "./harness.ts";
import { PURPOSES } from "./purposes.ts";
import { sha1Signatures } from "./sha1.ts";

export async function runChains(path: string): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const file of filesBelow(path, ".test")) outcomes.push(await runCase(file));
  return outcomes;
}

async function runCase(file: string): Promise<Outcome> {
  const [head, tail = ""] = readFileSync(file, "utf8").split("expected_errors:");
  const lines = new Map(
    (head as string)
      .split("\n")
      .map((line) => [line.split(":")[0] as string, line.slice(line.indexOf(":") + 1).trim()]),
  );
  const id = `${basename(dirname(file))}/${basename(file, ".test")}`;
  const expected = /^ERROR: /m.test(tail) ? "rejected" : "verified";
  const chain = readPem(readFileSync(join(dirname(file), lines.get("chain") ?? "chain.pem"), "utf8")).map(
    ({ der }) => der,
  );
  const time = timeOf(lines.get("utc_time") ?? "DEFAULT");
  const kind = lines.get("last_cert_trust") ?? "";
  const purpose = lines.get("key_purpose") ?? "ANY_EKU";
  if (PURPOSES[purpose] === undefined)
    return { id, expected, got: "skipped", why: `key_purpose ${purpose} is not known` };
  try {
    const last = chain[chain.length - 1] as Uint8Array;
    const issues = kind.startsWith("TRUSTED_ANCHOR") || chain.length === 1;
    const trusted = issues && kind.startsWith("TRUSTED_") ? [last] : [];
    const { identity, why } = await judge(
      {
        trust: trustStore(trusted),
        ...anchorOf(kind),
        purpose: PURPOSES[purpose],
        ...policiesOf(lines),
        minRsaBits: 1024,
        legacySignatures: lines.get("digest_policy") === "STRONG" ? undefined : sha1Signatures,
      },
      {
        certificates: chain.length === 1 ? chain : chain.slice(0, -1),
        role: purpose.includes("CLIENT_AUTH") ? "client" : "server",
        name: undefined,
        time,
      },
    );
    return { id, expected, got: identity === undefined ? "rejected" : "verified", why };
  } catch (error) {
    if (!(error instanceof TlsError)) throw error;
    return { id, expected, got: "rejected", why: error.message };
  }
}

/** What counts of the last certificate besides its name and key, and whether it may be the target itself. */
function anchorOf(kind: string): Partial<TrustVerifierOptions> {
  const leaf = kind.includes("LEAF");
  const constrains = /(?<!BASIC)_CONSTRAINTS/.test(kind);
  return {
    anchorsExpire: kind.includes("WITH_EXPIRATION"),
    anchorsConstrain: constrains,
    // Said of an anchor whose constraints do not count, it has no effect there.
    anchorsNeedBasicConstraints: constrains && kind.includes("REQUIRE_BASIC_CONSTRAINTS"),
    directTrust: !leaf ? "none" : kind.includes("REQUIRE_SELF_SIGNED") ? "self-signed" : "any",
  };
}

function policiesOf(lines: ReadonlyMap<string, string>): Partial<TrustVerifierOptions> {
  const flag = (name: string) => lines.get(name) === "true";
  const initial = lines.get("initial_policy_set") ?? lines.get("user_initial_policy_set");
  return {
    policies: {
      policies: initial?.split(",").map((oid) => oid.trim()),
      requireExplicit: flag("initial_explicit_policy"),
      inhibitMapping: flag("initial_policy_mapping_inhibit"),
      inhibitAny: flag("initial_any_policy_inhibit"),
    },
  };
}

/** `YYMMDDHHMMSSZ` */
function timeOf(text: string): number {
  const digits = text === "DEFAULT" ? "211005120000Z" : text;
  const [year, month, day, hour, minute, second] = (digits.match(/\d\d/g) ?? []).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return Date.UTC(year < 50 ? 2000 + year : 1900 + year, month - 1, day, hour, minute, second);
}
