/** `mutls gateway`: mutual TLS in front of a server, with a policy for every request. */
import type { ServerContext } from "../engine/index.ts";
import {
  auditLog,
  fileSink,
  type Gateway,
  type GatewayMetrics,
  type GatewayOptions,
  gatewayMetrics,
  type MetricsServer,
  serveMetrics,
  startGateway,
} from "../gateway/index.ts";
import { type FileWatch, type ServerConfiguration, sealedTickets, strikeRegister } from "../node/index.ts";
import { watchFiles } from "../node/watch.ts";
import { trustVerifier } from "../x509/verifier.ts";
import { formatTarget } from "./address.ts";
import { CliError, ExitStatus, usage } from "./exit.ts";
import { loadIdentities, loadRevocation, loadTrust } from "./files.ts";
import type { Arguments, Command } from "./flags.ts";
import { dryRun } from "./gateway-dry-run.ts";
import { expiriesOf, identityOption, listenAddress, loadPolicy, upstreamOption } from "./gateway-options.ts";
import { followFiles } from "./reload.ts";
import { onHangup, onSignals } from "./signals.ts";
import { CREDENTIAL_FLAGS, negotiationOptions, TLS_FLAGS } from "./tls-flags.ts";

/** Those of both ends that make sense here. */
const SHARED_FLAGS = ["groups", "tls13-ciphers", "sigalgs", "crlfile", "cert-compression", "provider"];

export const gatewayCommand: Command = {
  name: "gateway",
  synopsis: "--upstream URL --policy FILE",
  summary: "Mutual TLS and a policy in front of an HTTP server.",
  description: [
    "Clients are authenticated by their certificates (TLS 1.3), each HTTP/1.1 request is judged by the policy in force, and",
    "what is allowed goes to the server behind, with the client's certificate in Client-Cert (RFC 9440). Whatever clients",
    "send under that name and the like, however spelled, is removed. What the policy does not allow is denied.",
    "",
    "The policy is a JSON file:",
    '  { "version": "1", "rules": [',
    '    { "name": "read", "effect": "allow", "who": { "spiffe": "spiffe://example.org/web/**" },',
    '      "what": { "method": ["GET", "HEAD"], "path": "/books/**" }, "roles": ["reader"] } ] }',
    "who: anyone, verified, or any of spiffe, dns, uri, email, subject, issuer, certificate, key; what: method, path, host.",
    "A rule that denies wins over all that allow.",
    "",
    "One line `listening on HOST:PORT` goes to stderr. The audit log, JSON lines, goes to stdout or to a file, which is taken",
    "up anew at SIGHUP. SIGTERM stops it once the requests under way are done, or --grace is over.",
    "",
    "--check looks at the files and ends. --dry-run says what a request would come to, and why: 0 where it is allowed.",
    "",
    "exit status: 0 stopped, 2 usage or policy, 7 cannot listen, 22 denied (--dry-run), 23 cannot write the audit log,",
    "26 cannot read the policy, 58 certificate or key, 60 client certificate refused (--dry-run), 77 CA file, 82 CRL file",
  ].join("\n"),
  positionals: 0,
  flags: [
    { name: "listen", value: "HOST:PORT", help: "127.0.0.1:8443 by default; port 0 picks a free one" },
    {
      name: "upstream",
      value: "URL",
      help: "the server behind: http://127.0.0.1:3000, unix:/run/app.sock, or https://HOST:PORT",
    },
    { name: "policy", value: "FILE", help: "who may do what" },
    { name: "cert", value: "FILE", repeat: true, help: "certificate with its chain, PEM or DER; or PKCS#12" },
    { name: "key", value: "FILE", repeat: true, help: "its private key" },
    ...CREDENTIAL_FLAGS,
    { name: "ocsp", value: "FILE", repeat: true, help: "OCSP response, DER, for the --cert in the same place" },
    { name: "cacert", value: "FILE", help: "CAs that may have issued client certificates" },
    {
      name: "client-auth",
      value: "MODE",
      choices: ["optional", "on"],
      help: "whether clients need a certificate; on by default",
    },
    ...TLS_FLAGS.filter(({ name }) => SHARED_FLAGS.includes(name)),
    { name: "upstream-cacert", value: "FILE", help: "CAs of an https server behind" },
    { name: "upstream-cert", value: "FILE", help: "certificate to show it" },
    { name: "upstream-key", value: "FILE", help: "its private key" },
    { name: "upstream-servername", value: "NAME", help: "the name in its certificate; its host by default" },
    {
      name: "identity",
      value: "LIST",
      help: "how the server behind is told: client-cert, client-cert-chain, xfcc, subject=FIELD, spiffe=FIELD, roles=FIELD, or none; client-cert by default",
    },
    {
      name: "upgrade",
      value: "LIST",
      help: "protocols that connections may change to, such as websocket; none by default",
    },
    { name: "tickets", value: "N", help: "session tickets after each handshake, 0 to 16; 2 by default" },
    { name: "early-data", value: "N", help: "take this many bytes of early data from clients that resume" },
    {
      name: "early-requests",
      value: "MODE",
      choices: ["refuse", "mark"],
      help: "what to do with requests in it: 425, or pass on with Early-Data: 1 (RFC 8470); refuse by default",
    },
    { name: "max-body", value: "N", help: "longest request body, in bytes; any by default" },
    { name: "audit", value: "FILE", help: "where the audit log goes; - is stdout, the default; none for none" },
    { name: "audit-query", help: "tell the audit log the query of requests, in which secrets may be" },
    { name: "metrics", value: "HOST:PORT", help: "serve metrics for Prometheus at /metrics, on this machine only" },
    { name: "reload", help: "follow the files of --policy, --cert, --key, --ocsp, --cacert and --crlfile" },
    { name: "grace", value: "SECONDS", help: "for requests under way when it is stopped; 10 by default" },
    { name: "check", help: "look at the policy and the other files, and end" },
    { name: "dry-run", value: "REQUEST", help: 'what "GET /path" or "GET /path HOST" would come to' },
    { name: "as", value: "FILE", help: "with --dry-run: the client's certificate with its chain; none by default" },
  ],
  examples: [
    "mutls gateway --upstream http://127.0.0.1:3000 --policy policy.json --cert server.pem --key server.key --cacert ca.pem",
    "mutls gateway … --audit audit.jsonl --metrics 127.0.0.1:9090 --reload",
    "mutls gateway --policy policy.json --dry-run 'GET /books/1' --as alice.pem --cacert ca.pem",
  ],
  run,
};

async function run(args: Arguments): Promise<number> {
  if (args.has("dry-run")) return dryRun(args);
  if (args.has("as")) throw usage("--as without --dry-run");
  const options = await gatewayOptions(args);
  if (args.has("check")) return check(args, options);
  return serve(args, options);
}

type Loaded = Omit<GatewayOptions, "audit" | "metrics">;

async function gatewayOptions(args: Arguments): Promise<Loaded> {
  for (const flag of ["policy", "upstream", "cert"]) {
    if (!args.has(flag)) throw usage(`mutls gateway needs --${flag}`, "see: mutls gateway --help");
  }
  const { host, port } = listenAddress(args.get("listen") ?? "127.0.0.1:8443", "listen");
  const policy = loadPolicy(args);
  const upgrades = args.list("upgrade", /,/);
  const bodySize = args.number("max-body", 1, Number.MAX_SAFE_INTEGER);
  return {
    host,
    port,
    policy,
    tls: await tlsOptions(args),
    upstream: await upstreamOption(args),
    identity: identityOption(args),
    upgrades,
    earlyRequests: args.get("early-requests") as GatewayOptions["earlyRequests"],
    auditQuery: args.has("audit-query"),
    limits: bodySize === undefined ? {} : { bodySize },
  };
}

async function tlsOptions(args: Arguments): Promise<ServerConfiguration> {
  const { provider, clock, groups, cipherSuites, signatureSchemes, certificateCompression } = negotiationOptions(args);
  if (!args.has("cacert")) throw usage("mutls gateway needs --cacert: the CAs that issue client certificates");
  const count = args.number("tickets", 0, 16) ?? 2;
  const maxSize = args.number("early-data", 1, 0x7fffffff);
  if (maxSize !== undefined && count === 0) throw usage("--early-data needs tickets, which --tickets 0 turns off");
  if (args.has("early-requests") && maxSize === undefined) throw usage("--early-requests without --early-data");
  return {
    ...{ provider, clock, groups, cipherSuites, signatureSchemes, certificateCompression },
    ...(await credentials(args)),
    clientAuth: (args.get("client-auth") ?? "on") as "on" | "optional",
    tickets: count === 0 ? undefined : { store: sealedTickets(), count },
    acceptEarlyData: maxSize === undefined ? undefined : { antiReplay: strikeRegister(), maxSize },
  };
}

/** What is in files, and may be in others later. */
async function credentials(args: Arguments) {
  const { provider } = negotiationOptions(args);
  const trust = loadTrust(args);
  const revocation = loadRevocation(args);
  return {
    identities: await loadIdentities(args, provider),
    ...(trust === undefined || revocation === undefined
      ? { trust }
      : { verifier: trustVerifier({ trust, revocation }) }),
  };
}

function check(args: Arguments, { policy, tls }: Loaded): number {
  const { certificates, crls } = expiriesOf(args, tls.identities);
  const day = (time: number) => new Date(time).toISOString().slice(0, 10);
  const lines = [
    `policy ${policy.version}: ${policy.rules.length} rules: ${policy.rules.join(", ")}`,
    ...certificates.map(({ name, notAfter }) => `certificate ${name}: valid until ${day(notAfter)}`),
    ...crls.map(({ nextUpdate }) => `CRL: due to be replaced by ${day(nextUpdate)}`),
  ];
  process.stdout.write(lines.map((line) => `${line}\n`).join(""));
  return ExitStatus.ok;
}

/** For the audit log's last lines, in ms. */
const AUDIT_PATIENCE = 2000;

async function serve(args: Arguments, options: Loaded): Promise<number> {
  const grace = 1000 * (args.number("grace", 0, 86_400) ?? 10);
  const metricsAt = args.get("metrics");
  const audit = await openAudit(args);
  let expiries = expiriesOf(args, options.tls.identities);
  const metrics = metricsAt === undefined ? undefined : gatewayMetrics();
  // First: what cannot be served keeps nothing open.
  const metricsServer = metrics && metricsAt ? await serveMetricsAt(metrics, metricsAt) : undefined;
  let gateway: Gateway;
  try {
    gateway = await listening(() => startGateway({ ...options, audit, metrics, expiries: () => expiries }));
  } catch (error) {
    await Promise.all([metricsServer?.close(), audit?.close()]);
    throw error;
  }
  const tell = (line: string) => {
    log(line);
    audit?.write({ event: "reloaded", message: line });
  };
  const unfollow = args.has("reload") ? follow(args, gateway, tell, (next) => (expiries = next)) : () => {};
  const unhang = onHangup(() => {
    audit?.reopen().catch((error: Error) => log(`cannot take up the audit log anew: ${error.message}`));
  });
  // Whoever reads the line may send a signal at once.
  const signals = onSignals();
  log(`listening on ${formatTarget(gateway.host, gateway.port)}`);
  await new Promise<void>((resolve) => signals.signal.addEventListener("abort", () => resolve()));
  unfollow();
  unhang();
  await gateway.close(grace);
  // Lines that wait for a reader who reads no more would keep the process for ever.
  const stalled = setTimeout(() => {
    log("the audit log does not take its last lines");
    process.exit(ExitStatus.write);
  }, AUDIT_PATIENCE);
  await Promise.all([metricsServer?.close(), audit?.close()]);
  clearTimeout(stalled);
  signals.stop();
  return ExitStatus.ok;
}

async function serveMetricsAt(metrics: GatewayMetrics, text: string): Promise<MetricsServer> {
  const { host, port } = listenAddress(text, "metrics");
  const server = await listening(() => serveMetrics(metrics, host, port));
  log(`metrics on http://${formatTarget(server.host, server.port)}/metrics`);
  return server;
}

async function openAudit(args: Arguments) {
  const file = args.get("audit") ?? "-";
  if (file === "none") return undefined;
  try {
    return auditLog({ sink: file === "-" ? stdoutSink : await fileSink(file) });
  } catch (error) {
    throw new CliError(ExitStatus.write, `cannot write the audit log: ${(error as Error).message}`);
  }
}

const stdoutSink = {
  write: (lines: string) =>
    new Promise<void>((resolve, reject) => {
      process.stdout.write(lines, (error) => (error ? reject(error) : resolve()));
    }),
};

/** What follows the files: what cannot be used leaves what was in force. */
function follow(
  args: Arguments,
  gateway: Gateway,
  tell: (line: string) => void,
  found: (expiries: ReturnType<typeof expiriesOf>) => void,
): () => void {
  const load = async () => {
    const next = await credentials(args);
    found(expiriesOf(args, next.identities));
    return next;
  };
  const unfollow = followFiles(args, gateway.context as ServerContext, load, tell);
  let refusal: string | undefined;
  const policyChanged = (asked: boolean) => {
    try {
      const policy = loadPolicy(args);
      if (!asked && JSON.stringify(policy.document) === JSON.stringify(gateway.policy.document)) return true;
      gateway
        .replacePolicy(policy)
        .catch((error: Error) => tell(`connections were not all judged again: ${error.message}`));
      tell(`reloaded: policy ${policy.version}, ${policy.rules.length} rules`);
      refusal = undefined;
    } catch (error) {
      const { message } = error as Error;
      if (asked || message !== refusal) tell(`not reloaded, the policy in force stays: ${message}`);
      refusal = message;
    }
    return true;
  };
  const watch: FileWatch = watchFiles(args.all("policy"), () => policyChanged(false));
  const unhang = onHangup(() => policyChanged(true));
  return () => {
    unfollow();
    watch.close();
    unhang();
  };
}

async function listening<T>(start: () => Promise<T>): Promise<T> {
  try {
    return await start();
  } catch (error) {
    const { code, message, syscall } = error as NodeJS.ErrnoException;
    if (syscall === undefined) throw error;
    const hint = code === "EADDRINUSE" ? "give another port, or 0 for a free one" : undefined;
    throw new CliError(ExitStatus.connect, `cannot listen: ${message}`, hint);
  }
}

function log(text: string): void {
  process.stderr.write(`mutls: ${text}\n`);
}
