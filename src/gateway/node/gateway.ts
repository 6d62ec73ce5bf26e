/** The gateway: TLS in front, a policy for every request, the server behind, and a line for everything that happens. */
import { createHash } from "node:crypto";
import {
  createServer as createHttpServer,
  type Server as HttpServer,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { createNodeProvider } from "../../crypto/node.ts";
import { type Recheck, type ServerContext, serverContext, type TicketOptions } from "../../engine/index.ts";
import { fault, TlsError } from "../../errors.ts";
import { accept } from "../../node/index.ts";
import { type ServerConfiguration, withDefaults } from "../../transport/establish.ts";
import { socketStream } from "../../transport/node-socket.ts";
import type { TlsSession } from "../../transport/session.ts";
import { timeLimit } from "../../transport/timers.ts";
import type { AuditLog } from "../audit/log.ts";
import { errorFacts } from "../audit/record.ts";
import { type IdentityFieldOptions, identityFields } from "../fields/identity.ts";
import { type ForwardedField, forwardedFields } from "../fields/request.ts";
import type { EarlyRequests } from "../judge.ts";
import { type Expiries, type GatewayMetrics, REGISTERED } from "../metrics/gateway.ts";
import type { Policy } from "../policy/policy.ts";
import { SessionSocket } from "./connection.ts";
import { type GatewayLimits, resolveGatewayLimits } from "./limits.ts";
import { attendMalformed, attendRequest, attendUpgrade } from "./requests.ts";
import { type Client, countBytes, type Service, tell } from "./service.ts";
import { openUpstream, type UpstreamOptions } from "./upstream.ts";

/** Options of {@link startGateway}. */
export interface GatewayOptions {
  /** Address to listen on. Default: all. */
  readonly host?: string | undefined;
  /** 0, the default: the system picks one, see {@link Gateway.port}. */
  readonly port?: number | undefined;
  /**
   * Certificates, trust, tickets and the rest; `authorize` and a policy version are the gateway's. ALPN: `http/1.1` and
   * `http/1.0`.
   */
  readonly tls: ServerConfiguration;
  readonly upstream: UpstreamOptions;
  readonly policy: Policy;
  /** How the server behind is told who the client is. Default: RFC 9440's `Client-Cert`. */
  readonly identity?: IdentityFieldOptions | undefined;
  /** How it is told where a request comes from. Default: `Forwarded` and `X-Forwarded-…`. */
  readonly forwarded?: readonly ForwardedField[] | undefined;
  /** Protocols that connections may be upgraded to, such as `websocket`. Default: none. */
  readonly upgrades?: readonly string[] | undefined;
  /**
   * What becomes of requests in early data, where `tls` accepts any: `refuse` answers 425, `mark` passes them on with
   * `Early-Data: 1` (RFC 8470). Default `refuse`.
   */
  readonly earlyRequests?: EarlyRequests | undefined;
  readonly limits?: Partial<GatewayLimits> | undefined;
  readonly audit?: AuditLog | undefined;
  /** Tells the audit log the query of requests, in which secrets may be. Default false. */
  readonly auditQuery?: boolean | undefined;
  readonly metrics?: GatewayMetrics | undefined;
  /** When certificates and CRLs end that are in force, for the metrics. */
  readonly expiries?: (() => Expiries) | undefined;
}

/** A gateway that runs. */
export interface Gateway {
  readonly host: string;
  readonly port: number;
  /** Where certificates, trust and CRLs can be replaced: `credentialFiles(…).follow(gateway.context)`. */
  readonly context: ServerContext;
  /** In force now. */
  readonly policy: Policy;
  /** Connections open, in their handshake or after it. */
  readonly connections: number;
  /**
   * Puts another policy in the place of the one in force, all of it at once: each request is judged by one of them. Clients
   * to whom it would allow nothing are cut off, tunnels that it would not allow are ended, and no session that began
   * before is resumed.
   */
  replacePolicy(policy: Policy): Promise<Recheck>;
  /**
   * Stops listening, lets requests under way come to their end, and ends what is left then. Once it is closing, it goes on.
   *
   * @param grace - ms. Default 10000.
   */
  close(grace?: number): Promise<void>;
}

const OPTIONS: readonly string[] = [
  "host",
  "port",
  "tls",
  "upstream",
  "policy",
  "identity",
  "forwarded",
  "upgrades",
  "earlyRequests",
  "limits",
  "audit",
  "auditQuery",
  "metrics",
  "expiries",
] satisfies readonly (keyof GatewayOptions)[];

/** Looks at what is late, in ms. */
const CHECK_INTERVAL = 500;
const GRACE = 10_000;

/**
 * Starts a gateway. It survives whatever clients and the server behind do.
 *
 * @returns Resolves when it listens.
 * @throws TlsError `ERR_TLS_OPTION` and the like for the options; Node's error when it cannot listen.
 * @example
 * ```ts
 * import http from "node:http";
 * import { connect } from "mutls/node";
 *
 * const behind = http.createServer((request, response) => response.end(request.headers["x-client"]));
 * await new Promise<void>((done) => behind.listen(0, "127.0.0.1", done));
 * const { port: portBehind } = behind.address() as net.AddressInfo;
 * const gateway = await startGateway({
 *   host: "127.0.0.1",
 *   tls: { identities: [{ cert, key }], trust: ca, clientAuth: "on" },
 *   upstream: { host: "127.0.0.1", port: portBehind },
 *   policy: compilePolicy({ version: "1", rules: [{ name: "all", effect: "allow", who: "verified" }] }),
 *   identity: { subject: "X-Client" },
 * });
 * const { port } = gateway;
 * const session = await connect({ host: "127.0.0.1", port, serverName: "localhost", trust: ca, identities: [{ cert, key }] });
 * const writer = session.writable.getWriter();
 * await writer.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
 * const answer = await new Response(session.readable).text();
 * console.log(answer.split("\r\n")[0], answer.endsWith("CN=localhost")); // HTTP/1.1 200 OK true
 * await gateway.close();
 * behind.close();
 * ```
 */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const unknown = Object.keys(options).find((name) => !OPTIONS.includes(name));
  if (unknown !== undefined) throw fault("ERR_TLS_OPTION", `a gateway has no option "${unknown}"`);
  const gateway = new RunningGateway(options);
  await gateway.listen(options.host, options.port ?? 0);
  return gateway;
}

class RunningGateway implements Gateway, Service {
  readonly context: ServerContext;
  readonly limits: GatewayLimits;
  readonly upstream: Service["upstream"];
  readonly identity: Service["identity"];
  readonly forwarded: Service["forwarded"];
  readonly upgrades: Service["upgrades"];
  readonly earlyRequests: EarlyRequests;
  readonly audit: AuditLog | undefined;
  readonly auditQuery: boolean;
  readonly clock: () => number;
  readonly metrics: GatewayMetrics | undefined;
  policy: Policy;
  draining = false;
  host = "";
  port = 0;
  readonly #tickets: TicketOptions | undefined;
  readonly #server: Server;
  readonly #http: HttpServer;
  readonly #sockets = new Set<Socket>();
  /** In their handshake. */
  readonly #arriving = new Set<Socket>();
  readonly #clients = new Map<unknown, Client>();
  #accepted = 0;
  #over: (() => void) | undefined;
  #closed: Promise<void> | undefined;

  constructor(options: GatewayOptions) {
    const { tls, policy } = options;
    for (const name of ["authorize", "psks", "findPsk"] as const) {
      if (tls[name] !== undefined) throw fault("ERR_TLS_OPTION", `tls.${name}: the policy decides, by certificates`);
    }
    if (tls.tickets?.policyVersion !== undefined) {
      throw fault("ERR_TLS_OPTION", "tls.tickets.policyVersion: it is the policy's");
    }
    this.limits = resolveGatewayLimits(options.limits);
    this.policy = policy;
    this.identity = identityFields(options.identity);
    this.forwarded = forwardedFields(options.forwarded);
    this.upgrades = (options.upgrades ?? []).map(protocolName);
    this.earlyRequests = options.earlyRequests ?? "refuse";
    if (!["refuse", "mark"].includes(this.earlyRequests)) {
      throw fault("ERR_TLS_OPTION", `earlyRequests: "${this.earlyRequests}" is neither "refuse" nor "mark"`);
    }
    this.audit = options.audit;
    this.auditQuery = options.auditQuery ?? false;
    this.metrics = options.metrics;
    this.clock = tls.clock ?? Date.now;
    this.#tickets = tls.tickets;
    this.context = serverContext(
      withDefaults({ alpn: ["http/1.1", "http/1.0"], ...tls, ...this.#ruledBy(policy) }, createNodeProvider),
    );
    this.upstream = openUpstream(options.upstream, this.limits);
    this.#http = this.#makeHttp();
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#attend(socket));
    this.#server.maxConnections = this.limits.connections;
    this.metrics?.follow({
      connections: () => this.connections,
      policyVersion: () => this.policy.version,
      expiries: options.expiries ?? (() => ({ certificates: [], crls: [] })),
      auditWritten: () => this.audit?.written ?? 0,
      auditDropped: () => this.audit?.dropped ?? 0,
    });
    this.#server.on("drop", () => this.metrics?.rejectedConnections.add());
  }

  get connections(): number {
    return this.#sockets.size;
  }

  async listen(host: string | undefined, port: number): Promise<void> {
    const server = this.#server;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host, port }, () => {
        server.off("error", reject);
        resolve();
      });
    });
    // Accepting one connection failed, for want of file descriptors; the next may not.
    server.on("error", (error) => this.audit?.write({ event: "lost", ...errorFacts(error) }));
    const address = server.address() as AddressInfo;
    this.host = address.address;
    this.port = address.port;
    this.audit?.write({ event: "started", host: this.host, port: this.port, policy: this.policy.version });
  }

  async replacePolicy(policy: Policy): Promise<Recheck> {
    this.context.replace(this.#ruledBy(policy));
    this.policy = policy;
    this.audit?.write({ event: "policy", policy: policy.version, rules: policy.rules.length });
    for (const { rejudge } of this.#clients.values()) rejudge?.();
    return this.context.recheck(() => new Promise((resolve) => setImmediate(resolve)), timeLimit());
  }

  close(grace = GRACE): Promise<void> {
    this.#closed ??= this.#close(grace);
    return this.#closed;
  }

  async #close(grace: number): Promise<void> {
    this.draining = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const { pending, socket } of this.#clients.values()) if (pending === 0) socket.destroySoon();
    for (const socket of this.#arriving) socket.destroy();
    const timer = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, grace);
    await closed;
    // What there is to say of the last ones is said.
    await new Promise<void>((resolve) => {
      this.#over = resolve;
      this.#left();
    });
    clearTimeout(timer);
    this.#http.close();
    this.upstream.close();
    this.audit?.write({ event: "stopped" });
  }

  /** A connection is gone, or all that is to be said of it. */
  #left(): void {
    if (this.#sockets.size === 0 && this.#clients.size === 0) this.#over?.();
  }

  /** What of TLS follows the policy. A version may name two policies by mistake: what they say is part of it, too. */
  #ruledBy(policy: Policy): Pick<ServerConfiguration, "authorize" | "tickets"> {
    const digest = createHash("sha256").update(JSON.stringify(policy.document)).digest("hex");
    const policyVersion = `${policy.version} ${digest}`;
    return {
      authorize: (client) => policy.authorize(client),
      ...(this.#tickets && { tickets: { ...this.#tickets, policyVersion } }),
    };
  }

  #makeHttp(): HttpServer {
    const { headTime, headSize, keepAliveTime, idleTime } = this.limits;
    const http = createHttpServer({
      maxHeaderSize: headSize,
      headersTimeout: headTime,
      // Bodies have a limit of their own: that they go on.
      requestTimeout: 0,
      keepAliveTimeout: keepAliveTime,
      connectionsCheckingInterval: Math.min(CHECK_INTERVAL, headTime),
      requireHostHeader: false,
      insecureHTTPParser: false,
    });
    // Counted where they are judged: here, those beyond would be overlooked.
    http.maxHeadersCount = 0;
    http.timeout = idleTime;
    // Who has asked may close its side at once, and gets its answer all the same. Node's types do not know it.
    (http as { httpAllowHalfOpen?: boolean }).httpAllowHalfOpen = true;
    const attend = (attended: (client: Client) => void, { socket }: IncomingMessage) => {
      const client = this.#clients.get(socket);
      // node:http reads to the end of what it was given, also where that has cost the client its connection.
      if (client === undefined || socket.destroyed) socket.destroy();
      else attended(client);
    };
    const answered = (expects: boolean) => (incoming: IncomingMessage, response: ServerResponse) =>
      attend((client) => attendRequest(this, client, incoming, response, expects), incoming);
    const upgraded = (incoming: IncomingMessage, _: unknown, head: Buffer) =>
      attend((client) => attendUpgrade(this, client, incoming, head), incoming);
    http.on("request", answered(false));
    http.on("checkContinue", answered(true));
    // Expectations that are none (RFC 9110 10.1.1) are ignored.
    http.on("checkExpectation", answered(false));
    http.on("connect", upgraded);
    // Without this, requests for other protocols are served as what else they are.
    if (this.upgrades.length > 0) http.on("upgrade", upgraded);
    http.on("clientError", (error, socket) => {
      attendMalformed(this, this.#clients.get(socket), error, socket);
    });
    // It listens to nothing of its own, but begins to look after the times of what it is given.
    http.emit("listening");
    return http;
  }

  #attend(raw: Socket): void {
    const number = ++this.#accepted;
    this.#sockets.add(raw);
    this.#arriving.add(raw);
    raw.once("close", () => {
      this.#sockets.delete(raw);
      this.#arriving.delete(raw);
      this.#left();
    });
    const { remoteAddress } = raw;
    const began = performance.now();
    const { handshakeTime: handshakeTimeout, recheckTime: recheckInterval, lifetime: maxLifetime } = this.limits;
    accept(socketStream(raw), this.context, { handshakeTimeout, recheckInterval, maxLifetime }).then(
      (session) => this.#serve(raw, session, number, began),
      (error: unknown) => this.#refused(error, number, remoteAddress, began),
    );
  }

  #refused(error: unknown, connection: number, client: string | undefined, began: number): void {
    const { direction, code } = error as TlsError;
    const event = direction === undefined ? "lost" : "refused";
    this.metrics?.handshakes.add({ outcome: event, code: error instanceof TlsError ? code : "ERR_UNKNOWN" });
    const ms = Math.round(performance.now() - began);
    this.audit?.write({ event, connection, client, ...errorFacts(error), ms });
  }

  #serve(raw: Socket, session: TlsSession, number: number, began: number): void {
    this.#arriving.delete(raw);
    const time = performance.now() - began;
    const { receivedEarlyData, resumed, group, cipherSuite, serverName, alpn } = session;
    const isEarly = receivedEarlyData.length > 0;
    const socket = new SessionSocket(session, raw, {
      first: isEarly ? receivedEarlyData : undefined,
      allowHalfOpen: true,
    });
    const client: Client = {
      number,
      socket,
      requests: 0,
      pending: 0,
      counted: { in: 0, out: 0 },
      last: undefined,
      early: isEarly ? "all" : "none",
      turn: Promise.resolve(),
      rejudge: undefined,
    };
    this.#clients.set(socket, client);
    this.#measure(session, time);
    const facts = { serverName, alpn, resumed, group, cipherSuite, ms: Math.round(time) };
    tell(this, client, { event: "accepted", ...facts });
    let failure: unknown;
    socket.on("error", (error) => {
      failure = error;
    });
    socket.once("close", () => {
      this.#clients.delete(socket);
      const { bytesRead, bytesWritten } = socket;
      countBytes(this, client);
      const why = failure === undefined ? {} : errorFacts(failure);
      const { requests } = client;
      tell(this, client, { event: "ended", requests, bytesIn: bytesRead, bytesOut: bytesWritten, ...why });
      this.#left();
    });
    this.#http.emit("connection", socket);
    if (isEarly) this.#watchEarly(client, receivedEarlyData);
  }

  /** node:http has read the early data when this is told of it, too; a head that goes on behind it is early as well. */
  #watchEarly(client: Client, data: Uint8Array): void {
    const isWhole = new TextDecoder("latin1").decode(data.subarray(-4)) === "\r\n\r\n";
    client.socket.once("data", () => {
      client.early = isWhole ? "none" : "next";
    });
  }

  #measure({ resumed, group, cipherSuite }: TlsSession, time: number): void {
    const known = (name: string) => (REGISTERED.has(name) ? name : "other");
    this.metrics?.handshakes.add({ outcome: "accepted" });
    this.metrics?.handshakeSeconds.observe(time / 1000, { resumed: String(resumed) });
    this.metrics?.negotiated.add({
      group: group === undefined ? "none" : known(group),
      cipher_suite: known(cipherSuite),
      resumed: String(resumed),
    });
  }
}

function protocolName(name: string): string {
  if (!/^[A-Za-z0-9!#$%&'*+.^_`|~/-]{1,32}$/.test(name)) throw fault("ERR_TLS_OPTION", `upgrades: "${name}"`);
  return name.toLowerCase();
}
