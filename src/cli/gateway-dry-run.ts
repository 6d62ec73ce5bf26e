/** `mutls gateway --dry-run`: what a request of a client would come to, and why, without a connection. */
import { readFileSync } from "node:fs";
import { readPem } from "../bytes/pem.ts";
import { createNodeProvider } from "../crypto/node.ts";
import { TlsError } from "../errors.ts";
import { settle } from "../flow.ts";
import { judgeRequest } from "../gateway/judge.ts";
import { isRefusal } from "../gateway/target.ts";
import { parseAddress } from "../x509/address.ts";
import type { PeerIdentity } from "../x509/identity.ts";
import { trustVerifier } from "../x509/verifier.ts";
import { CliError, ExitStatus, usage } from "./exit.ts";
import { loadRevocation, loadTrust } from "./files.ts";
import type { Arguments } from "./flags.ts";
import { loadPolicy } from "./gateway-options.ts";
import { errorLine, nameOf, oneLine, rejectionLines } from "./report.ts";

/** curl's status for an answer that is an error. */
const DENIED = 22;

interface Outcome {
  readonly status: number;
  readonly lines: readonly string[];
}

/** Prints it. */
export async function dryRun(args: Arguments): Promise<number> {
  const { status, lines } = await judge(args);
  process.stdout.write(lines.map((line) => `${oneLine(line)}\n`).join(""));
  return status;
}

async function judge(args: Arguments): Promise<Outcome> {
  if (!args.has("policy")) throw usage("--dry-run needs --policy");
  const policy = loadPolicy(args);
  const [method = "", target = "", host = "localhost", ...more] = (args.get("dry-run") ?? "").trim().split(/\s+/);
  if (target === "" || more.length > 0) throw usage('--dry-run wants "METHOD TARGET" or "METHOD TARGET HOST"');
  let client: PeerIdentity | undefined;
  try {
    client = await clientOf(args);
    if (client === undefined && (args.get("client-auth") ?? "on") === "on") {
      return refusedAtOnce(["no certificate, and --client-auth is on (alert certificate_required)"]);
    }
    policy.authorize(client);
  } catch (error) {
    if (!(error instanceof TlsError) || error.alert === undefined) throw error;
    const lines = [errorLine(error), ...rejectionLines(error)];
    return refusedAtOnce(lines, error.rejection === undefined ? DENIED : ExitStatus.peerCertificate);
  }
  const name = host.replace(/:\d+$/, "");
  const judged = judgeRequest(
    policy,
    { method, target, version: "1.1", fields: ["Host", host] },
    { client, serverName: parseAddress(name) === undefined ? name : undefined, early: false },
    "refuse",
  );
  const who = `client: ${client === undefined ? "no certificate" : `${nameOf(client)}, issued by ${client.issuer}`}`;
  if (isRefusal(judged)) {
    return { status: DENIED, lines: [who, `refused with ${judged.status}: ${judged.reason} (${judged.rule})`] };
  }
  const { allowed, reason, roles, trail } = judged.decision;
  return {
    status: allowed ? ExitStatus.ok : DENIED,
    lines: [
      who,
      `request: ${method} ${judged.target.path} at ${judged.host.field}`,
      ...trail.map(
        ({ rule, effect, fits, reason: why }) => `rule ${rule}: ${fits ? `fits: ${effect}` : `does not fit: ${why}`}`,
      ),
      allowed
        ? `allowed by policy ${policy.version}: ${reason}`
        : `denied with 403 by policy ${policy.version}: ${reason}`,
      ...(roles.length > 0 ? [`roles: ${roles.join(", ")}`] : []),
    ],
  };
}

function refusedAtOnce(reasons: readonly string[], status: number = DENIED): Outcome {
  return { status, lines: [`refused in the handshake: ${reasons[0]}`, ...reasons.slice(1).map((line) => `  ${line}`)] };
}

/** Who a certificate would be taken for. */
async function clientOf(args: Arguments): Promise<PeerIdentity | undefined> {
  const file = args.get("as");
  if (file === undefined) return undefined;
  const trust = loadTrust(args);
  if (trust === undefined) throw usage("--as needs --cacert: the CAs that issue client certificates");
  let certificates: Uint8Array[];
  try {
    const content = new Uint8Array(readFileSync(file));
    const blocks = content[0] === 0x30 ? [{ label: "CERTIFICATE", der: content }] : readPem(content);
    certificates = blocks.filter(({ label }) => label === "CERTIFICATE").map(({ der }) => der);
  } catch (error) {
    throw new CliError(ExitStatus.read, `cannot read the client's certificate: ${(error as Error).message}`);
  }
  if (certificates.length === 0) throw new CliError(ExitStatus.read, `${file} holds no certificate`);
  const verifier = trustVerifier({ trust, revocation: loadRevocation(args) });
  const request = {
    certificates,
    role: "client",
    name: undefined,
    time: Date.now(),
    provider: createNodeProvider(),
  } as const;
  return settle(verifier.verify({ ...request, ocspResponse: undefined }));
}
