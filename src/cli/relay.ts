/** `mutls relay`: from WebSockets to TCP, for pages that have TLS of their own. */
import { type RelayedConnection, serveRelay } from "../relay/index.ts";
import { formatTarget, parseListen } from "./address.ts";
import { CliError, ExitStatus, usage } from "./exit.ts";
import type { Arguments, Command } from "./flags.ts";
import { onSignals } from "./signals.ts";

const DEFAULT_LISTEN = "127.0.0.1:8480";

export const relayCommand: Command = {
  name: "relay",
  synopsis: "",
  summary: "Takes WebSockets from pages to the TCP servers that are allowed.",
  description: [
    "A page cannot open TCP. It opens ws://HOST:PORT/?to=SERVER:PORT here, and speaks TLS with that server through it: the",
    "relay has no key, and sees nothing but who talks to whom, when and how much. viaRelay() in the library is the client.",
    "",
    "Nothing is allowed but what is named: --allow device.example:443, *.example:443 (one label more), 192.168.1.7:443,",
    "10.0.0.0/8:443, [fd00::/8]:443. A name that leads to a private or loopback address needs that address named, too;",
    "localhost names this machine. Pages may use it if their origin is named; what is no browser sends none.",
    "",
    "Prints `listening on HOST:PORT` when it is ready, and a line on stderr for each connection that has ended. SIGTERM and",
    "SIGINT end it in order. For wss: put it behind a server that has a certificate.",
    "",
    "exit status: 0 done, 2 usage, 7 cannot listen",
  ].join("\n"),
  positionals: 0,
  flags: [
    { name: "listen", value: "HOST:PORT", help: `where; port 0 picks one; ${DEFAULT_LISTEN} by default` },
    { name: "allow", value: "HOST:PORT", repeat: true, help: "a server, or servers, that may be connected to" },
    { name: "origin", value: "ORIGIN", repeat: true, help: "pages that may use it, as https://app.example; * for any" },
    {
      name: "token",
      value: "TOKEN",
      help: "what clients must know besides; other users see command lines, so MUTLS_RELAY_TOKEN may hold it instead",
    },
    { name: "max-connections", value: "N", help: "at once; 256 by default" },
    { name: "max-per-client", value: "N", help: "of one address, or IPv6 network, at once; 32 by default" },
    { name: "max-queued", value: "BYTES", help: "held for each direction of a connection; 262144 by default" },
    {
      name: "connect-timeout",
      value: "SECONDS",
      help: "for a client's request, and for reaching its server; 10 by default",
    },
    { name: "idle-timeout", value: "SECONDS", help: "without a byte; 300 by default, 0 for any time" },
    { name: "max-lifetime", value: "SECONDS", help: "of a connection; 86400 by default, 0 for any time" },
  ],
  examples: [
    "mutls relay --allow device.example:443 --origin https://app.example",
    "mutls relay --listen 127.0.0.1:0 --allow localhost:8443 --origin http://localhost:5173",
    "mutls relay --allow '*.devices.example:443' --allow 10.0.0.0/8:443 --origin https://app.example --token s3cret",
  ],
  run,
};

const MAX_SECONDS = 2_147_483;

async function run(args: Arguments): Promise<number> {
  if (!args.has("allow"))
    throw usage("nothing is allowed: mutls relay needs --allow HOST:PORT", "see: mutls relay --help");
  const { host, port } = parseListen(args.get("listen") ?? DEFAULT_LISTEN);
  const seconds = (name: string, min: number) => {
    const value = args.number(name, min, MAX_SECONDS);
    return value === undefined ? undefined : 1000 * value;
  };
  // Whoever reads the line may send a signal at once.
  const signals = onSignals();
  const relay = await serveRelay({
    host,
    port,
    allow: args.all("allow"),
    origins: args.all("origin"),
    token: args.get("token") ?? process.env.MUTLS_RELAY_TOKEN,
    maxConnections: args.number("max-connections", 1, 1_000_000),
    maxPerClient: args.number("max-per-client", 1, 1_000_000),
    maxQueued: args.number("max-queued", 0x10000, 0x4000000),
    handshakeTimeout: seconds("connect-timeout", 1),
    idleTimeout: seconds("idle-timeout", 0),
    maxLifetime: seconds("max-lifetime", 0),
    onConnection: (connection) => log(line(connection)),
  }).catch((error: NodeJS.ErrnoException) => {
    signals.stop();
    if (error.syscall === undefined) throw error;
    const hint = error.code === "EADDRINUSE" ? "give another --listen, or port 0 for a free one" : undefined;
    throw new CliError(ExitStatus.connect, `cannot listen on ${formatTarget(host, port)}: ${error.message}`, hint);
  });
  process.stdout.write(`listening on ${formatTarget(relay.host, relay.port)}\n`);
  await new Promise((resolve) => {
    if (signals.signal.aborted) resolve(undefined);
    signals.signal.addEventListener("abort", resolve);
  });
  await relay.close();
  signals.stop();
  return ExitStatus.ok;
}

/** One line, in which nothing is a client's but printable ASCII. */
function line({ client, origin, target, address, up, down, duration, outcome, code }: RelayedConnection): string {
  const from = origin === undefined ? client : `${client} ${origin}`;
  const to = `${target ?? "nowhere"}${address === undefined ? "" : ` (${address})`}`;
  const amounts = `${up} bytes up, ${down} down, ${(duration / 1000).toFixed(3)} s`;
  return `${from} -> ${to}: ${amounts}: ${outcome} (${code})`;
}

function log(text: string): void {
  process.stderr.write(`mutls: ${text}\n`);
}
