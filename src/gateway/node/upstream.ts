/** Where requests go: HTTP to this machine, or over TLS with this side's certificate; connections are kept. */
import { Agent, type RequestOptions } from "node:http";
import { connect as connectTcp, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { createNodeProvider } from "../../crypto/node.ts";
import { type ClientContext, clientContext } from "../../engine/index.ts";
import { fault } from "../../errors.ts";
import { connect } from "../../node/index.ts";
import { type ClientConfiguration, isContext, withDefaults } from "../../transport/establish.ts";
import { socketStream } from "../../transport/node-socket.ts";
import { parseAddress } from "../../x509/address.ts";
import { SessionSocket } from "./connection.ts";
import type { GatewayLimits } from "./limits.ts";

/** The server behind. Without TLS it must be on this machine: what is passed on there says who somebody is. */
export type UpstreamOptions =
  /** A UNIX socket. */
  | { readonly socketPath: string }
  /** A loopback address, or `localhost`. */
  | { readonly host: string; readonly port: number; readonly tls?: undefined }
  /** Anywhere; `tls` says whom to trust, and may hold this side's certificate. Its `serverName` is the host by default. */
  | { readonly host: string; readonly port: number; readonly tls: ClientConfiguration | ClientContext };

/** A server behind that is ready to be asked. */
export interface Upstream {
  /** For node:http's `request`. */
  readonly options: RequestOptions;
  /** For people. */
  readonly name: string;
  /** Ends all connections. */
  close(): void;
}

/** Kept between requests, ms: less than most servers keep theirs. */
const KEPT_MS = 4000;

/** @throws TlsError `ERR_TLS_OPTION` for a server without TLS that is not on this machine. */
export function openUpstream(to: UpstreamOptions, limits: GatewayLimits): Upstream {
  const { upstreamConnections: maxSockets } = limits;
  const kept = { keepAlive: true, maxSockets, maxFreeSockets: Math.min(32, maxSockets), timeout: KEPT_MS } as const;
  const known = "socketPath" in to ? ["socketPath"] : ["host", "port", "tls"];
  const unknown = Object.keys(to).find((key) => !known.includes(key));
  if (unknown !== undefined) throw fault("ERR_TLS_OPTION", `upstream: "${unknown}" beside ${known.join(" or ")}`);
  if ("socketPath" in to) {
    const agent = new Agent(kept);
    return {
      options: { agent, socketPath: to.socketPath },
      name: `unix:${to.socketPath}`,
      close: () => agent.destroy(),
    };
  }
  const { host, port, tls } = to;
  if (!Number.isInteger(port) || port < 1 || port > 0xffff) throw fault("ERR_TLS_OPTION", `upstream: port ${port}`);
  const name = `${tls === undefined ? "http" : "https"}://${host.includes(":") ? `[${host}]` : host}:${port}`;
  if (tls === undefined && !isLoopback(host)) {
    throw fault("ERR_TLS_OPTION", `upstream ${name} is not on this machine: it needs TLS`);
  }
  const agent = tls === undefined ? new Agent(kept) : new TlsAgent(kept, contextOf(tls, host), to, limits);
  return { options: { agent, host, port }, name, close: () => agent.destroy() };
}

/** Whether a host is this machine and no other. */
export function isLoopback(host: string): boolean {
  const address = parseAddress(host);
  if (address === undefined) return host.toLowerCase() === "localhost";
  return address.length === 4 ? address[0] === 127 : address.every((byte, index) => byte === (index === 15 ? 1 : 0));
}

function contextOf(tls: ClientConfiguration | ClientContext, host: string): ClientContext {
  if (isContext(tls)) return tls as ClientContext;
  return clientContext(
    withDefaults({ alpn: ["http/1.1"], ...tls, serverName: tls.serverName ?? host }, createNodeProvider),
  );
}

type Created = (error: Error | null, stream: Duplex) => void;

/** Connections over this library's own TLS. */
class TlsAgent extends Agent {
  readonly #context: ClientContext;
  readonly #to: { readonly host: string; readonly port: number };
  readonly #limits: GatewayLimits;

  constructor(
    options: ConstructorParameters<typeof Agent>[0],
    context: ClientContext,
    to: { readonly host: string; readonly port: number },
    limits: GatewayLimits,
  ) {
    super(options);
    this.#context = context;
    this.#to = to;
    this.#limits = limits;
  }

  override createConnection(_options: unknown, created?: Created): undefined {
    const { host, port } = this.#to;
    const { connectTime: handshakeTimeout, recheckTime: recheckInterval } = this.#limits;
    const socket: Socket = connectTcp({ host, port });
    connect(socketStream(socket), this.#context, { handshakeTimeout, recheckInterval }).then(
      (session) => created?.(null, new SessionSocket(session, socket, { allowHalfOpen: false })),
      // Which has no stream then; the types have.
      (error: Error) => created?.(error, undefined as never),
    );
    return undefined;
  }
}
