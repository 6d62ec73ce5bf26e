/** `mutls connect`: a TLS client on stdin and stdout. */
import { connect as connectTcp, type Socket } from "node:net";
import type { Identity } from "../handshake/identity.ts";
import {
  type ClientConfiguration,
  type ClientSessionOptions,
  clientContext,
  connect,
  type EngineContext,
  type SessionEvent,
  socketStream,
  type TlsSession,
} from "../node/index.ts";
import { pinnedVerifier } from "../x509/pins.ts";
import type { RevocationChecker } from "../x509/revocation.ts";
import type { TrustStore } from "../x509/trust.ts";
import { acceptAnyVerifier, trustVerifier } from "../x509/verifier.ts";
import { formatTarget, parseTarget, resolveTarget, type Target } from "./address.ts";
import { captureFile, captureSocket } from "./capture-file.ts";
import { CliError, ExitStatus, exitStatus, usage } from "./exit.ts";
import { bundledTrust, keyLogFile, loadIdentities, loadRevocation, loadTrust } from "./files.ts";
import type { Arguments, Command } from "./flags.ts";
import { reportError, sessionLines, TRACE_FLAGS, type TraceOutput, traceOutput } from "./report.ts";
import { SESSION_FLAGS, type SessionFiles, sessionFiles } from "./session-files.ts";
import { onSignals, type Signals } from "./signals.ts";
import { CREDENTIAL_FLAGS, negotiationOptions, TLS_FLAGS } from "./tls-flags.ts";

export const connectCommand: Command = {
  name: "connect",
  synopsis: "HOST:PORT",
  summary: "Connects with TLS 1.3; stdin goes to the server, what it answers to stdout.",
  description: [
    "The end of stdin sends close_notify, and reading goes on until the server's close_notify. The server is verified",
    "against the CAs of --cacert and --ca-native, or the public ones that come with Node. Everything but data goes to",
    "stderr.",
    "",
    "With --json, stdout carries one JSON object per line instead: record, message, alert, secret, state, error.",
    "Received data is in there, as `content` of its records: `mutls connect … --json | jq .kind`.",
    "",
    "A server judges the client's certificate after the client has finished: a refusal comes with the first read.",
    "",
    "--sess-out and --sess-in resume a connection in another run, without certificates being shown again; the server's is",
    "verified again all the same. --early-data goes before the server has answered: it may be rejected, and is then sent",
    "again after the handshake; what became of it is said on stderr.",
    "",
    "exit status: 0 done, 2 usage, 6 name not found, 7 no connection, 23 cannot write, 26 cannot read, 28 time-out,",
    "35 handshake failed, 56 connection broken, 58 own certificate or key, 60 server's certificate, 77 CA file,",
    "82 CRL file, 90 pinned key, 91 OCSP response, 98 the server wants a certificate",
  ].join("\n"),
  positionals: 1,
  flags: [
    { name: "cert", value: "FILE", repeat: true, help: "own certificate with its chain, PEM or DER; or PKCS#12" },
    { name: "key", value: "FILE", repeat: true, help: "its private key, PEM or DER; PKCS#12 has it inside" },
    ...CREDENTIAL_FLAGS,
    { name: "cacert", value: "FILE", help: "CAs that may have issued the server's certificate, PEM or DER" },
    { name: "ca-native", help: "trust the CAs of the operating system, beside those of --cacert" },
    { name: "insecure", short: "k", help: "accept any certificate: anybody could be there" },
    { name: "cert-status", help: "refuse the server unless it staples an OCSP response that clears it" },
    {
      name: "pinnedpubkey",
      value: "sha256//B64",
      help: "keys of which the server's path must have one, separated by `;`; with -k it must be the server's own",
    },
    { name: "servername", value: "NAME", help: "the server's name for SNI and its certificate; HOST by default" },
    { name: "resolve", value: "HOST:PORT:ADDR", repeat: true, help: "connect to ADDR for HOST:PORT" },
    { name: "connect-timeout", value: "SECONDS", help: "for TCP and handshake together; 30 by default" },
    ...TLS_FLAGS,
    {
      name: "enable-pha",
      help: "let the server ask who you are after the handshake; the end of stdin closes nothing then",
    },
    { name: "no-middlebox", help: "do not look like TLS 1.2 to middleboxes (RFC 8446 D.4)" },
    ...SESSION_FLAGS,
    ...TRACE_FLAGS,
    { name: "json", help: "the trace as JSON lines on stdout, in place of the data" },
  ],
  examples: [
    "mutls connect example.com:443 --trace </dev/null",
    "mutls connect localhost:8443 --cacert ca.pem --cert me.pem --key me.key",
    "mutls connect localhost:8443 --cacert ca.pem --cert me.p12 --pass secret",
    "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | mutls connect localhost:8443 --cacert ca.pem",
    "mutls connect localhost:8443 --cacert ca.pem --sess-in session --sess-out session --early-data request </dev/null",
  ],
  run,
};

/** Who decides about the server's certificate. */
function judgement(
  insecure: boolean,
  trust: TrustStore | undefined,
  pins: string | undefined,
  revocation: RevocationChecker | undefined,
): Pick<ClientConfiguration, "rejectUnauthorized" | "trust" | "verifier" | "checkServerName"> {
  if (pins === undefined && (revocation === undefined || insecure)) return { rejectUnauthorized: !insecure, trust };
  const inner = trust === undefined ? acceptAnyVerifier() : trustVerifier({ trust, revocation });
  return { verifier: pins === undefined ? inner : pinnedVerifier(inner, { pins }), checkServerName: !insecure };
}

async function run(args: Arguments): Promise<number> {
  if (args.has("json") && args.has("trace")) throw usage("--json and --trace are two forms of the same: choose one");
  const target = parseTarget(args.positionals[0] as string);
  const negotiation = negotiationOptions(args);
  const seconds = args.number("connect-timeout", 1, 86_400) ?? 30;
  const address = resolveTarget(args, target);
  const serverName = args.get("servername") ?? target.host;
  const files = sessionFiles(args, serverName);
  if (args.has("psk-modes") && !args.has("psk") && files.cache === undefined) {
    throw usage("--psk-modes has no effect without --psk, --sess-in or --sess-out");
  }
  const trust = args.has("insecure") ? undefined : (loadTrust(args) ?? bundledTrust());
  const identities = await loadIdentities(args, negotiation.provider);
  const keys = keyLogFile(args);
  const captures = captureFile(args);
  const configuration: ClientConfiguration = {
    ...negotiation,
    serverName,
    ...judgement(args.has("insecure"), trust, args.get("pinnedpubkey"), loadRevocation(args)),
    identities,
    postHandshakeAuth: identities.length > 0 || args.has("enable-pha"),
    compatibilityMode: !args.has("no-middlebox"),
    sessions: files.cache,
    offerEarlyData: files.earlyData !== undefined,
    // All of it goes at once.
    highWaterMark: files.earlyData && 0x24000 + files.earlyData.length,
  };
  // Before anything is opened: an option that cannot be used costs no connection.
  const client: Client = { context: clientContext(configuration), identities, files };
  const deadline = Date.now() + 1000 * seconds;
  const signals = onSignals();
  try {
    const socket = await openSocket(address, target, deadline, signals);
    if (args.has("verbose")) note(`connected to ${formatTarget(address.host, address.port)}`);
    const handshakeTimeout = Math.max(1, deadline - Date.now());
    const { earlyData } = files;
    const capture = captures && captureSocket(captures, "client", socket);
    const output = traceOutput(args, "client", process.stdout, [keys, capture?.observer]);
    const { observer } = output;
    const options = { handshakeTimeout, earlyData, onEvent: warn, observer };
    const status = await converse(args, socket, client, options, output, signals).finally(() => capture?.end());
    if (status === ExitStatus.ok) for (const line of files.ended()) say(line);
    return status;
  } catch (error) {
    if (signals.status !== undefined) return signals.status;
    throw error;
  } finally {
    signals.stop();
  }
}

/** This side. */
interface Client {
  readonly context: EngineContext;
  readonly identities: readonly Identity[];
  readonly files: SessionFiles;
}

async function converse(
  args: Arguments,
  socket: Socket,
  client: Client,
  options: ClientSessionOptions,
  output: TraceOutput,
  signals: Signals,
): Promise<number> {
  let session: TlsSession | undefined;
  let accepted = false;
  try {
    session = await connect(socketStream(socket), client.context, { ...options, signal: signals.signal });
    if (args.has("verbose")) describeSession(session, client);
    for (const line of client.files.established(session)) say(line);
    void session.accepted.then(
      () => {
        accepted = true;
      },
      () => {},
    );
    const again = session.earlyData === "accepted" ? undefined : options.earlyData;
    await relay(session, again, args);
    return ExitStatus.ok;
  } catch (error) {
    if (signals.status !== undefined) return signals.status;
    if (isBrokenPipe(error)) {
      // Whoever read our output has gone; there is nobody left to tell.
      session?.abort();
      return ExitStatus.write;
    }
    output.end(error);
    reportError(error, advice(error, session, client, args));
    return exitStatus(error, accepted);
  } finally {
    process.stdin.destroy();
  }
}

/** Both directions until the server's close_notify. `first` goes before stdin. */
async function relay(session: TlsSession, first: Uint8Array | undefined, args: Arguments): Promise<void> {
  // Behind a close_notify there is no answer to a server that asks who this is.
  const sending = send(session, first, args.has("enable-pha"));
  // Its failure is the connection's, and comes out of reading, too.
  sending.catch(() => {});
  const reader = session.readable.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (!args.has("json")) await print(value);
  }
  await session.close();
  await session.closed;
}

async function send(session: TlsSession, first: Uint8Array | undefined, open: boolean): Promise<void> {
  const writer = session.writable.getWriter();
  if (first !== undefined) await writer.write(first);
  for await (const chunk of process.stdin) await writer.write(new Uint8Array(chunk as Buffer));
  if (open) writer.releaseLock();
  else await writer.close();
}

function print(bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
}

function isBrokenPipe(error: unknown): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === "EPIPE" && !("alert" in error);
}

/** Connection failures by Node's code. */
const CONNECT_STATUS: Readonly<Record<string, number>> = {
  ENOTFOUND: ExitStatus.resolve,
  EAI_AGAIN: ExitStatus.resolve,
  ETIMEDOUT: ExitStatus.timeout,
};

function openSocket({ host, port }: Target, target: Target, deadline: number, signals: Signals): Promise<Socket> {
  const where = formatTarget(target.host, target.port);
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host, port, allowHalfOpen: true });
    const timer = setTimeout(() => {
      fail(new CliError(ExitStatus.timeout, `no connection to ${where} in time`));
    }, deadline - Date.now());
    const onAbort = () => fail(new Error("interrupted"));
    signals.signal.addEventListener("abort", onAbort);
    const settle = () => {
      clearTimeout(timer);
      signals.signal.removeEventListener("abort", onAbort);
      socket.off("error", onError);
    };
    const fail = (error: Error) => {
      settle();
      socket.destroy();
      reject(error);
    };
    const onError = (error: NodeJS.ErrnoException) => {
      const status = CONNECT_STATUS[error.code ?? ""] ?? ExitStatus.connect;
      fail(new CliError(status, `cannot connect to ${where}: ${error.message || error.code}`));
    };
    socket.once("error", onError);
    socket.once("connect", () => {
      settle();
      resolve(socket);
    });
  });
}

function describeSession(session: TlsSession, { identities }: Client): void {
  for (const line of sessionLines(session)) note(line);
  const { clientAuthRequested, signatureScheme, psk } = session;
  if (psk !== undefined) {
    note(`own certificate: ${session.resumed ? "known to the server from before, if it was shown" : "not needed"}`);
  } else if (!clientAuthRequested) {
    note(`own certificate: not asked for${identities.length > 0 ? ", not sent" : ""}`);
  } else {
    note(
      `own certificate: asked for, ${signatureScheme === undefined ? "none sent" : `sent, signed with ${signatureScheme}`}`,
    );
  }
}

function warn(event: SessionEvent): void {
  if (event.type === "ticket_failed") say(`a ticket came to nothing: ${event.error.message}`);
  if (event.type === "identity_presented") {
    say(`the server has asked for a certificate: ${event.identity === undefined ? "none sent" : "sent"}`);
  }
  if (event.type !== "identity_mismatch") return;
  const { reason, sent, authorities, issuers } = event;
  const why =
    reason === "certificate_authorities"
      ? `the server accepts certificates from ${authorities.join("; ")}; yours come from ${issuers.join("; ")}`
      : `your certificates do not match the server's ${reason}`;
  say(`${why}: ${sent ? "one was sent all the same" : "none was sent"}`);
}

/** What the user can do about it. */
function advice(
  error: unknown,
  session: TlsSession | undefined,
  { identities }: Client,
  args: Arguments,
): string | undefined {
  const { code } = error as { readonly code?: string };
  switch (code) {
    case "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED":
      return identities.length > 0
        ? "the server wants a client certificate, and none of yours fitted what it asked for"
        : "the server wants a client certificate: give --cert and --key";
    case "ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED":
      return session === undefined ? undefined : lapsed(identities, Date.now());
    case "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA":
      return session === undefined ? undefined : "the server does not trust the issuer of your certificate";
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "SELF_SIGNED_CERT_IN_CHAIN":
      return args.has("cacert")
        ? `who issued it is not in ${args.get("cacert")}: is that the right CA? -k would accept anybody`
        : "name the CA with --cacert FILE; -k would accept anybody";
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return "name the server with --servername NAME if that is who you want";
    case "ERR_SSL_TLSV1_ALERT_UNKNOWN_PSK_IDENTITY":
      return "the server has no certificate, and knows none of the keys that were offered";
    case "ERR_SSL_TLSV1_ALERT_DECRYPT_ERROR":
      return args.has("psk") ? "is it the server's key that --psk gives?" : undefined;
    case "ERR_SSL_WRONG_VERSION_NUMBER":
      return "there seems to be no TLS on this port";
    default:
      return undefined;
  }
}

/** Which of one's own certificates the server may mean. */
function lapsed(identities: readonly Identity[], now: number): string {
  const moment = (time: number) => new Date(time).toISOString();
  for (const { subject, notBefore, notAfter } of identities.flatMap(({ parsed }) => parsed)) {
    if (now > notAfter) return `your certificate ${subject.text} expired at ${moment(notAfter)}: renew it`;
    if (now < notBefore) return `your certificate ${subject.text} is valid from ${moment(notBefore)} on only`;
  }
  return "by this machine's clock your certificate is valid: one of the two clocks is wrong";
}

function say(text: string): void {
  process.stderr.write(`mutls: ${text}\n`);
}

function note(text: string): void {
  process.stderr.write(`* ${text}\n`);
}
