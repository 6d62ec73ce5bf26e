/** `mutls bench HOST:PORT`: handshakes per second of a live server, over TCP. */
import { setMaxListeners } from "node:events";
import { connect as connectTcp, type Socket } from "node:net";
import { type Connection, type LoadReport, type Percentiles, runLoad } from "../bench/load.ts";
import { digits, tableLines } from "../bench/text.ts";
import { TlsError } from "../errors.ts";
import {
  type ClientContext,
  clientContext,
  connect,
  type SessionCache,
  sessionCache,
  socketStream,
  type TlsSession,
} from "../node/index.ts";
import { formatTarget, parseTarget, resolveTarget, type Target } from "./address.ts";
import { CliError, ExitStatus, exitStatus } from "./exit.ts";
import { bundledTrust, loadIdentities, loadTrust } from "./files.ts";
import type { Arguments, Flag } from "./flags.ts";
import { oneLine, reportError } from "./report.ts";
import { onSignals } from "./signals.ts";
import { CREDENTIAL_FLAGS, negotiationOptions, TLS_FLAGS } from "./tls-flags.ts";

/** With HOST:PORT only. */
export const LIVE_FLAGS: readonly Flag[] = [
  { name: "count", value: "N", help: "handshakes, 1 to 1000000; 1000 by default, or as many as the time allows" },
  { name: "concurrency", value: "N", help: "handshakes at a time, 1 to 256; 1 by default" },
  {
    name: "reuse",
    help: "go on from tickets, as openssl s_time -reuse; one handshake before all others gets the first",
  },
  { name: "cert", value: "FILE", repeat: true, help: "own certificate with its chain, PEM or DER; or PKCS#12" },
  { name: "key", value: "FILE", repeat: true, help: "its private key, PEM or DER; PKCS#12 has it inside" },
  ...CREDENTIAL_FLAGS,
  { name: "cacert", value: "FILE", help: "CAs that may have issued the server's certificate, PEM or DER" },
  { name: "ca-native", help: "trust the CAs of the operating system, beside those of --cacert" },
  { name: "insecure", short: "k", help: "accept any certificate: anybody could be there" },
  { name: "servername", value: "NAME", help: "the server's name for SNI and its certificate; HOST by default" },
  { name: "resolve", value: "HOST:PORT:ADDR", repeat: true, help: "connect to ADDR for HOST:PORT" },
  { name: "connect-timeout", value: "SECONDS", help: "for TCP and each handshake together; 10 by default" },
  ...["alpn", "sigalgs"].map((name) => TLS_FLAGS.find((flag) => flag.name === name) as Flag),
];

/** What `--json` writes. */
export type LiveReport = Omit<LoadReport, "firstFailure"> & {
  /** HOST:PORT. */
  readonly target: string;
  readonly concurrency: number;
  /** Of the first handshake that came to its end. */
  readonly negotiated?: { readonly cipherSuite: string; readonly group: string | undefined } | undefined;
};

type Output = (report: LiveReport, text: () => string) => void;

/** Connections that have not said goodbye yet are let go once there are more. */
const MAX_LINGERING = 64;

export async function runLive(args: Arguments, timeLimit: number, output: Output): Promise<number> {
  const target = parseTarget(args.positionals[0] as string);
  const address = resolveTarget(args, target);
  const concurrency = args.number("concurrency", 1, 256) ?? 1;
  const negotiation = negotiationOptions(args);
  const count = args.number("count", 1, 1_000_000) ?? 1000;
  const timeout = 1000 * (args.number("connect-timeout", 1, 3600) ?? 10);
  const sessions = args.has("reuse") ? sessionCache({ perScope: 4 * concurrency }) : undefined;
  const context = clientContext({
    ...negotiation,
    serverName: args.get("servername") ?? target.host,
    trust: args.has("insecure") ? undefined : (loadTrust(args) ?? bundledTrust()),
    rejectUnauthorized: !args.has("insecure"),
    identities: await loadIdentities(args, negotiation.provider),
    sessions,
  });
  const signals = onSignals();
  // Each connection listens, and those that still close, of which there are so many and no more.
  setMaxListeners(2 * concurrency + MAX_LINGERING, signals.signal);
  const client = new Client(context, address, timeout, sessions, signals.signal);
  try {
    if (sessions !== undefined) await client.connect();
    const { firstFailure, ...report } = await runLoad(() => client.connect(), {
      count,
      concurrency,
      timeLimit,
      signal: signals.signal,
      codeOf,
    });
    const { negotiated } = client;
    const live = { target: formatTarget(target.host, target.port), concurrency, ...report, negotiated };
    output(live, () => liveText(live));
    if (firstFailure === undefined) return signals.status ?? ExitStatus.ok;
    reportError(firstFailure);
    return statusOf(firstFailure);
  } catch (error) {
    if (signals.status !== undefined) return signals.status;
    reportError(error);
    return statusOf(error);
  } finally {
    client.end();
    signals.stop();
  }
}

/** Opens connections, and remembers those that are still closing. */
class Client {
  readonly #context: ClientContext;
  readonly #address: Target;
  readonly #timeout: number;
  readonly #sessions: SessionCache | undefined;
  readonly #signal: AbortSignal;
  readonly #lingering = new Set<Socket>();
  negotiated: LiveReport["negotiated"];

  constructor(
    context: ClientContext,
    address: Target,
    timeout: number,
    sessions: SessionCache | undefined,
    signal: AbortSignal,
  ) {
    this.#context = context;
    this.#address = address;
    this.#timeout = timeout;
    this.#sessions = sessions;
    this.#signal = signal;
  }

  /** One connection: TCP, handshake, the server's verdict where there is one, and close_notify. */
  async connect(): Promise<Connection> {
    const start = performance.now();
    const socket = await open(this.#address, this.#timeout, this.#signal);
    const connected = performance.now();
    try {
      const left = Math.max(1, this.#timeout - (connected - start));
      const session = await connect(socketStream(socket), this.#context, {
        handshakeTimeout: left,
        signal: this.#signal,
      });
      const finished = performance.now();
      this.negotiated ??= { cipherSuite: session.cipherSuite, group: session.group };
      await this.#farewell(session, socket, left);
      return {
        tcp: connected - start,
        handshake: finished - connected,
        bytesSent: socket.bytesWritten,
        bytesReceived: socket.bytesRead,
        resumed: session.resumed,
      };
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  /** Ends what is still closing. */
  end(): void {
    for (const socket of this.#lingering) socket.destroy();
  }

  async #farewell(session: TlsSession, socket: Socket, timeout: number): Promise<void> {
    const { accepted, closed } = session;
    for (const late of [accepted, closed]) late.catch(() => {});
    // Nobody wants the data; a ticket or an alert among it is seen all the same.
    void session.readable.cancel().catch(() => {});
    // A server that goes in order without a word has no objection.
    const verdict = () => accepted.catch(() => closed);
    if (this.#sessions !== undefined) {
      // The ticket has to come before this side's close_notify makes the server go.
      await within(timeout, verdict(), "no ticket from the server in time", "it may issue none: leave --reuse out");
      await session.close();
    } else {
      await session.close();
      if (session.clientAuthRequested)
        await within(timeout, verdict(), "no word from the server about the certificate");
    }
    this.#lingering.add(socket);
    const release = () => {
      this.#lingering.delete(socket);
      socket.destroy();
    };
    void closed.then(release, release);
    for (const oldest of this.#lingering) {
      if (this.#lingering.size <= MAX_LINGERING) break;
      this.#lingering.delete(oldest);
      oldest.destroy();
    }
  }
}

/** A server that neither says anything nor goes has not judged anybody. */
async function within(timeout: number, verdict: Promise<void>, late: string, hint?: string): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new CliError(ExitStatus.timeout, late, hint)), timeout);
  });
  try {
    await Promise.race([verdict, limit]);
  } finally {
    clearTimeout(timer);
  }
}

function open({ host, port }: Target, timeout: number, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host, port, allowHalfOpen: true, noDelay: true });
    const fail = (error: Error) => {
      settle();
      socket.destroy();
      reject(error);
    };
    const timer = setTimeout(() => {
      fail(new CliError(ExitStatus.timeout, `no connection to ${formatTarget(host, port)} in time`));
    }, timeout);
    const onAbort = () => fail(new Error("interrupted"));
    const onError = (error: NodeJS.ErrnoException) => fail(new ConnectError(formatTarget(host, port), error));
    const settle = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      socket.off("error", onError);
    };
    signal.addEventListener("abort", onAbort);
    socket.once("error", onError);
    socket.once("connect", () => {
      settle();
      resolve(socket);
    });
    if (signal.aborted) onAbort();
  });
}

/** TCP has not come to a connection. */
class ConnectError extends CliError {
  /** Node's. */
  readonly code: string;

  constructor(where: string, cause: NodeJS.ErrnoException) {
    const unknown = cause.code === "ENOTFOUND" || cause.code === "EAI_AGAIN";
    super(
      unknown ? ExitStatus.resolve : ExitStatus.connect,
      `cannot connect to ${where}: ${cause.message || cause.code}`,
    );
    this.code = cause.code ?? "ECONNREFUSED";
  }
}

/** TlsError's code, or Node's where the network failed. */
function codeOf(error: unknown): string {
  const { code, cause } = error as { readonly code?: unknown; readonly cause?: { readonly code?: unknown } };
  if (code === "ERR_TLS_TRANSPORT" && typeof cause?.code === "string") return cause.code;
  if (typeof code === "string") return code;
  return error instanceof CliError && error.status === ExitStatus.timeout ? "ETIMEDOUT" : "unknown";
}

function statusOf(error: unknown): number {
  return exitStatus(error, error instanceof TlsError && error.stage === "CONNECTED");
}

function liveText(report: LiveReport): string {
  const { target, concurrency, attempts, completed, resumed, failed, elapsed, perSecond, negotiated } = report;
  const seconds = (elapsed / 1000).toFixed(2);
  const failures = Object.entries(failed).sort(([, a], [, b]) => b - a);
  const lines = [
    `${target}, ${concurrency} at a time${negotiated === undefined ? "" : `: TLSv1.3, ${negotiated.cipherSuite}, ${negotiated.group ?? "no key exchange"}`}`,
    "",
    completed === 0
      ? `no handshake in ${seconds} s`
      : `${digits(perSecond)} handshakes a second: ${completed} in ${seconds} s, ${resumed} of them resumed${STOPPED[report.stoppedBy]}`,
  ];
  if (report.tcp !== undefined && report.handshake !== undefined && report.bytes !== undefined) {
    const row = (name: string, { p50, p90, p99, max }: Percentiles) => [name, ...[p50, p90, p99, max].map(digits)];
    lines.push(
      "",
      ...tableLines([
        ["ms", "median", "90 %", "99 %", "longest"],
        row("TCP connection, name look-up included", report.tcp),
        row("TLS handshake, until the client has finished", report.handshake),
      ]),
      "",
      `each ${report.bytes.sent.toFixed(0)} bytes sent and ${report.bytes.received.toFixed(0)} received, on average; of tickets, what had come by its end`,
    );
  }
  if (failures.length > 0) {
    lines.push("", `${attempts - completed} of ${attempts} failed:`);
    for (const [code, times] of failures) lines.push(`  ${times} × ${oneLine(code)}`);
  }
  return `${lines.join("\n")}\n`;
}

const STOPPED = { count: "", time: "; then the time was up", signal: "; then it was interrupted" } as const;
