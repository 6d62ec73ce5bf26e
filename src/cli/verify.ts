/** `mutls verify`: is this chain to be trusted, and if not, what was tried and what would mend it? */
import { readFileSync } from "node:fs";
import { Tag } from "../bytes/der.ts";
import { readPem } from "../bytes/pem.ts";
import { createNodeProvider } from "../crypto/node.ts";
import { TlsError } from "../errors.ts";
import { settle } from "../flow.ts";
import type { PeerIdentity } from "../x509/identity.ts";
import { pedanticProfile, rfc5280Profile, webpkiProfile } from "../x509/profiles.ts";
import { trustVerifier } from "../x509/verifier.ts";
import { CliError, ExitStatus, usage } from "./exit.ts";
import { bundledTrust, loadRevocation, loadTrust } from "./files.ts";
import type { Arguments, Command } from "./flags.ts";
import { nameOf, oneLine, rejectionLines } from "./report.ts";

const PROFILES = {
  default: undefined,
  rfc5280: rfc5280Profile,
  "rfc5280-pedantic": pedanticProfile,
  webpki: webpkiProfile,
};
const ROLES = { server: {}, client: {}, any: { purpose: "any" } };

export const verifyCommand: Command = {
  name: "verify",
  synopsis: "CHAIN.pem",
  summary: "Verifies a certificate chain, and explains why not.",
  description: [
    "CHAIN.pem holds the certificate to be judged and then, in any order, the intermediates at hand. It is verified",
    "against the CAs of --cacert and --ca-native, or the public ones that come with Node, as a peer's would be.",
    "",
    "Verdict, path and explanation go to stdout, with --json as one JSON object.",
    "",
    "exit status: 0 verified, 2 usage, 26 cannot read, 60 rejected, 77 CA file, 82 CRL file",
  ].join("\n"),
  positionals: 1,
  flags: [
    { name: "cacert", value: "FILE", help: "CAs to trust, PEM or DER" },
    { name: "ca-native", help: "trust the CAs of the operating system, beside those of --cacert" },
    { name: "hostname", value: "NAME", help: "the host name or address that the certificate must be for" },
    { name: "at", value: "TIME", help: "when, as 2026-01-31 or 2026-01-31T12:00:00Z; now by default" },
    {
      name: "purpose",
      value: "ROLE",
      choices: Object.keys(ROLES),
      help: "whose certificate it is, a TLS server's by default",
    },
    { name: "profile", value: "NAME", choices: Object.keys(PROFILES), help: "whose rules besides" },
    { name: "json", help: "one JSON object" },
    {
      name: "crlfile",
      value: "FILE",
      repeat: true,
      help: "CRLs, PEM or DER; the chain is then refused unless these say that none of it is revoked",
    },
  ],
  examples: [
    "mutls verify chain.pem --cacert ca.pem --hostname www.example.com",
    "mutls verify client.pem --cacert ca.pem --purpose client --at 2027-01-01",
    "mutls verify chain.pem --profile webpki --json | jq .paths",
  ],
  run: async (args) => {
    const verdict = await judge(args);
    const json = args.has("json");
    process.stdout.write(
      json ? `${JSON.stringify(verdict.json)}\n` : verdict.lines.map((line) => `${line}\n`).join(""),
    );
    return verdict.status;
  },
};

interface Verdict {
  readonly status: number;
  readonly lines: readonly string[];
  readonly json: object;
}

async function judge(args: Arguments): Promise<Verdict> {
  const purpose = (args.get("purpose") ?? "server") as keyof typeof ROLES;
  const profile = PROFILES[(args.get("profile") ?? "default") as keyof typeof PROFILES];
  const time = timeOf(args.get("at"));
  const certificates = readChain(args.positionals[0] as string);
  const trust = loadTrust(args) ?? bundledTrust();
  const verifier = trustVerifier({ trust, profile, ...ROLES[purpose], revocation: loadRevocation(args) });
  const role = purpose === "client" ? "client" : "server";
  const name = args.get("hostname");
  try {
    return verified(await settle(verifier.verify({ certificates, role, name, time, provider: createNodeProvider() })));
  } catch (error) {
    if (!(error instanceof TlsError) || error.code === "ERR_TLS_OPTION") throw error;
    return rejected(error);
  }
}

function verified(identity: PeerIdentity): Verdict {
  const { subject, names, spiffeId, issuerChain, serialNumber, fingerprint256 } = identity;
  const [notBefore, notAfter] = [identity.notBefore, identity.notAfter].map((time) => new Date(time).toISOString());
  return {
    status: ExitStatus.ok,
    lines: [
      `verified: ${nameOf(identity)}`,
      issuerChain.length === 0
        ? "path: it is itself a trust anchor"
        : `path: ${[nameOf(identity), ...issuerChain].join(" ← ")}`,
      `valid from ${notBefore} until ${notAfter}`,
      `SHA-256 ${fingerprint256}`,
    ].map(oneLine),
    json: {
      verdict: "verified",
      ...{ subject, names, spiffeId, issuerChain, serialNumber, fingerprint256, notBefore, notAfter },
    },
  };
}

function rejected(error: TlsError): Verdict {
  const { code, alert, message, rejection } = error;
  return {
    status: ExitStatus.peerCertificate,
    lines: [oneLine(`rejected: ${message} (${code})`), ...rejectionLines(error).map((line) => `  ${line}`)],
    json: { verdict: "rejected", code, alert, message, paths: rejection?.paths ?? [], remedy: rejection?.remedy },
  };
}

/** ISO 8601 with a date at least; without a zone it is UTC. */
function timeOf(text: string | undefined): number {
  if (text === undefined) return Date.now();
  const [, date, clock = "00:00:00", zone = "Z"] =
    /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2})?)(Z|[+-]\d{2}:\d{2})?)?$/.exec(text) ?? [];
  const time = date === undefined ? Number.NaN : Date.parse(`${date}T${clock}${zone}`);
  if (Number.isNaN(time)) throw usage(`--at: "${text}" is no time such as 2026-01-31 or 2026-01-31T12:00:00Z`);
  return time;
}

/** DER certificates, the one to be judged first. */
function readChain(file: string): Uint8Array[] {
  let content: Uint8Array;
  try {
    content = new Uint8Array(readFileSync(file));
  } catch (error) {
    throw new CliError(ExitStatus.read, `cannot read the chain: ${(error as Error).message}`);
  }
  if (content[0] === Tag.sequence) return [content];
  try {
    const chain = readPem(content).filter(({ label }) => label === "CERTIFICATE");
    if (chain.length > 0) return chain.map(({ der }) => der);
  } catch (error) {
    if (!(error instanceof TlsError)) throw error;
    throw new CliError(ExitStatus.read, `${file}: ${error.message}`);
  }
  throw new CliError(
    ExitStatus.read,
    `${file} holds no certificate`,
    "it should be PEM, or the DER of one certificate",
  );
}
