/** `mutls serve`: a TLS server for trying clients out. It survives every one of them. */
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import {
  accept,
  type Observer,
  type ServerConfiguration,
  type ServerContext,
  sealedCookies,
  sealedTickets,
  serverContext,
  socketStream,
  strikeRegister,
  type TlsSession,
} from "../node/index.ts";
import { trustVerifier } from "../x509/verifier.ts";
import { formatTarget } from "./address.ts";
import { captureFile, captureSocket } from "./capture-file.ts";
import { CliError, ExitStatus, usage } from "./exit.ts";
import { keyLogFile, loadIdentities, loadRevocation, loadTrust } from "./files.ts";
import type { Arguments, Command } from "./flags.ts";
import { followFiles } from "./reload.ts";
import { errorLine, rejectionLines, sessionLines, TRACE_FLAGS, traceOutput } from "./report.ts";
import { MODES, type ModeName } from "./serve-modes.ts";
import { onSignals } from "./signals.ts";
import { CREDENTIAL_FLAGS, negotiationOptions, TLS_FLAGS } from "./tls-flags.ts";

export const serveCommand: Command = {
  name: "serve",
  synopsis: "--cert FILE --key FILE",
  summary: "Serves TLS 1.3 until SIGINT or SIGTERM.",
  description: [
    "One line `listening on HOST:PORT` goes to stdout when it does. Clients that are refused get a line on stderr that",
    "says why, and for certificates what was tried and what would mend it. Several pairs of --cert and --key: the",
    "client's server name and signature algorithms decide.",
    "",
    "Tickets are sealed under keys of this process: no other can resume what they began. A client that resumes is the one",
    "that showed its certificate before, which is verified again. With --psk alone there are no certificates at all; beside",
    "--cert, who holds one of the keys needs no certificate, whatever --client-auth says.",
    "",
    "modes: http answers a request with what was negotiated and who the client is, as JSON (GET /keyupdate: after a",
    "KeyUpdate; GET /secret: after asking for a certificate of --cacert's, 403 without one); echo sends everything back;",
    "reverse sends each line back reversed; discard only reads.",
    "",
    "With --reload a line on stderr tells of each change, and of each that cannot be used and leaves what was in force.",
    "Clients that are connected and whose CA is gone, or that are revoked, are cut off with an alert that says so.",
    "",
    "--trace and --json go to stderr, each line with the number of its connection: `mutls serve … --json 2>trace.jsonl`.",
    "",
    "exit status: 0 stopped, 2 usage, 7 cannot listen, 58 certificate or key, 77 CA file, 82 CRL file",
  ].join("\n"),
  positionals: 0,
  flags: [
    { name: "host", value: "HOST", help: "address to listen on; 127.0.0.1 by default" },
    { name: "port", value: "PORT", help: "8443 by default; 0 picks a free one" },
    { name: "cert", value: "FILE", repeat: true, help: "certificate with its chain, PEM or DER; or PKCS#12" },
    { name: "key", value: "FILE", repeat: true, help: "its private key, PEM or DER; PKCS#12 has it inside" },
    ...CREDENTIAL_FLAGS,
    {
      name: "ocsp",
      value: "FILE",
      repeat: true,
      help: "OCSP response, DER, for the --cert in the same place: sent to clients that ask, as it is",
    },
    { name: "cacert", value: "FILE", help: "CAs that may have issued client certificates" },
    {
      name: "client-auth",
      value: "MODE",
      choices: ["off", "optional", "optional_no_ca", "on"],
      help: "whether clients need a certificate; off by default",
    },
    { name: "mode", value: "MODE", choices: Object.keys(MODES), help: "what to do with data; http by default" },
    { name: "strict-sni", help: "refuse server names that no certificate carries" },
    ...TLS_FLAGS,
    { name: "tickets", value: "N", help: "session tickets after each handshake, 0 to 16; 2 by default" },
    {
      name: "early-data",
      value: "N",
      help: "take this many bytes of early data from clients that resume; each ClientHello once (RFC 8446 8)",
    },
    { name: "cookie", help: "send each client a HelloRetryRequest, with all there is to remember in its cookie" },
    {
      name: "reload",
      help: "follow the files of --cert, --key, --ocsp, --cacert and --crlfile, and read them at SIGHUP",
    },
    ...TRACE_FLAGS,
    { name: "json", help: "the trace as JSON lines on stderr" },
  ],
  examples: [
    "mutls serve --cert server.pem --key server.key",
    "mutls serve --port 0 --cert server.pem --key server.key --cacert ca.pem --client-auth on --mode echo",
    "mutls serve --cert server.p12 --pass secret",
    "mutls serve --cert server.pem --key server.key --early-data 16384",
    "mutls serve --psk bob:$(openssl rand -hex 32)",
  ],
  run,
};

/** What --cacert alone does. */
const UNASKED = {
  http: "--client-auth is off: clients are asked for a certificate at GET /secret only",
  other: "--cacert has no effect without --client-auth",
};

/** Who decides about clients' certificates. */
function judgement(args: Arguments): Pick<ServerConfiguration, "trust" | "verifier"> {
  const trust = loadTrust(args);
  const revocation = loadRevocation(args);
  return trust === undefined || revocation === undefined
    ? { trust }
    : { verifier: trustVerifier({ trust, revocation }) };
}

async function run(args: Arguments): Promise<number> {
  if (args.has("json") && args.has("trace")) throw usage("--json and --trace are two forms of the same: choose one");
  if (!args.has("cert") && !args.has("psk")) {
    throw usage("mutls serve needs --cert and --key, or --psk", "see: mutls serve --help");
  }
  const clientAuth = (args.get("client-auth") ?? "off") as NonNullable<ServerConfiguration["clientAuth"]>;
  if ((clientAuth === "on" || clientAuth === "optional") && !args.has("cacert")) {
    throw usage(`--client-auth ${clientAuth} needs --cacert: the CAs that issue client certificates`);
  }
  if (args.has("crlfile") && !args.has("cacert")) throw usage("--crlfile needs --cacert: the CAs whose CRLs they are");
  if (clientAuth !== "off" && !args.has("cert")) throw usage("--client-auth needs --cert: both ends show one, or none");
  const negotiation = negotiationOptions(args);
  const host = args.get("host") ?? "127.0.0.1";
  const port = args.number("port", 0, 65_535) ?? 8443;
  const mode = (args.get("mode") ?? "http") as ModeName;
  const options: ServerConfiguration = {
    ...negotiation,
    ...resumptionOptions(args),
    ...judgement(args),
    identities: await loadIdentities(args, negotiation.provider),
    clientAuth,
    postHandshakeAuth: args.has("cacert") && mode === "http",
    strictServerName: args.has("strict-sni"),
  };
  // Before anything is opened: an option that cannot be used is no client's fault.
  const context = serverContext(options);
  // With --json, stderr is for JSON alone.
  if (args.has("cacert") && clientAuth === "off" && !args.has("json")) log(UNASKED[mode === "http" ? "http" : "other"]);
  const keys = keyLogFile(args);
  const captures = captureFile(args);
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const number = ++connections;
    const capture = captures && captureSocket(captures, "server", socket);
    const { observer, end } = traceOutput(args, "server", process.stderr, [keys, capture?.observer], number);
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    const { remoteAddress, remotePort = 0 } = socket;
    // A client that reset its connection at once has no address any more.
    const peer = remoteAddress === undefined ? "an unknown client" : formatTarget(remoteAddress, remotePort);
    const attended = attend(socket, context, observer, mode, (session) => {
      if (!args.has("verbose")) return;
      const { earlyData, receivedEarlyData } = session;
      const early = earlyData === undefined ? [] : [`early data: ${earlyData}, ${receivedEarlyData.length} bytes`];
      for (const line of [...sessionLines(session), ...early]) log(`${peer}: ${line}`);
    });
    const captured = attended.finally(() => capture?.end());
    captured.catch((error: unknown) => {
      end(error);
      // With --json, stderr is for JSON alone, and this is in it.
      if (!args.has("json")) logFailure(peer, error);
    });
  });
  const address = await listen(server, host, port);
  const load = async () => ({
    identities: await loadIdentities(args, negotiation.provider),
    ...judgement(args),
  });
  // With --json, stderr is for JSON alone.
  const tell = args.has("json") ? (line: string) => logJson({ kind: "reload", text: line }) : log;
  const unfollow = args.has("reload") ? followFiles(args, context, load, tell) : undefined;
  // Whoever reads the line may send a signal at once.
  const end = stopped(server, sockets);
  process.stdout.write(`listening on ${formatTarget(address.address, address.port)}\n`);
  await end;
  unfollow?.();
  return ExitStatus.ok;
}

/** Made once, so that every connection knows what the others began. */
function resumptionOptions(args: Arguments): Pick<ServerConfiguration, "tickets" | "acceptEarlyData" | "cookies"> {
  const count = args.number("tickets", 0, 16) ?? 2;
  const maxSize = args.number("early-data", 1, 0x7fffffff);
  if (maxSize !== undefined && count === 0) throw usage("--early-data needs tickets, which --tickets 0 turns off");
  if (maxSize !== undefined && args.has("cookie")) {
    throw usage("--early-data with --cookie: a HelloRetryRequest rejects all early data (RFC 8446 4.2.10)");
  }
  if (args.has("psk-modes") && !args.has("psk") && count === 0) {
    throw usage("--psk-modes has no effect without --psk or tickets");
  }
  return {
    tickets: count === 0 ? undefined : { store: sealedTickets(), count },
    acceptEarlyData: maxSize === undefined ? undefined : { antiReplay: strikeRegister(), maxSize },
    cookies: args.has("cookie") ? sealedCookies() : undefined,
  };
}

async function attend(
  socket: Socket,
  context: ServerContext,
  observer: Observer | undefined,
  mode: ModeName,
  onSession: (session: TlsSession) => void,
): Promise<void> {
  const { run: serveMode, idleTimeout } = MODES[mode];
  const session = await accept(socketStream(socket), context, { idleTimeout, observer });
  onSession(session);
  try {
    await serveMode(session);
    await session.close();
    // What the client still sends, nobody will read.
    if (!session.readable.locked) await session.readable.cancel();
    await session.closed;
  } catch (error) {
    session.abort(error);
    throw error;
  }
}

export function listen(server: Server, host: string, port: number): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    const onError = (error: Error) => {
      const taken = "code" in error && error.code === "EADDRINUSE";
      const hint = taken ? "give another --port, or 0 for a free one" : undefined;
      reject(new CliError(ExitStatus.connect, `cannot listen on ${formatTarget(host, port)}: ${error.message}`, hint));
    };
    server.once("error", onError);
    server.listen({ host, port }, () => {
      server.off("error", onError);
      // Accepting one connection failed, for want of file descriptors; the next may not.
      server.on("error", (error) => log(`cannot accept a connection: ${error.message}`));
      resolve(server.address() as AddressInfo);
    });
  });
}

/** Until a signal comes; connections that are open then are cut. */
export function stopped(server: Server, sockets: ReadonlySet<Socket>): Promise<void> {
  const signals = onSignals();
  return new Promise((resolve) => {
    server.once("close", () => {
      signals.stop();
      resolve();
    });
    signals.signal.addEventListener("abort", () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    });
  });
}

/** One line for one client that was refused, or went. */
function logFailure(peer: string, error: unknown): void {
  const { direction } = error as { readonly direction?: string };
  const what =
    direction === "sent" ? `refused ${peer}` : direction === "received" ? `refused by ${peer}` : `lost ${peer}`;
  log([`${what}: ${errorLine(error)}`, ...rejectionLines(error)].join("; "));
}

function logJson(item: object): void {
  process.stderr.write(`${JSON.stringify(item)}\n`);
}

function log(text: string): void {
  process.stderr.write(`mutls: ${text}\n`);
}
