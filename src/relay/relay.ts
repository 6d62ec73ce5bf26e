/** From WebSockets to TCP, for pages that have TLS of their own: who may come, where to, how much and for how long. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { printable } from "../bytes/text.ts";
import { fault } from "../errors.ts";
import { BASE_CREDIT, MAX_DATA, RELAY_PROTOCOL, TOKEN_PREFIX } from "../transport/relay-protocol.ts";
import { webSocketStream } from "../transport/web-socket.ts";
import { clientOf } from "./addresses.ts";
import { AllowList, parseRelayTarget, type RelayTarget } from "./allow.ts";
import { carry } from "./carry.ts";
import { dial, RelayCode, RelayEnd, type RelayResolver, systemResolver } from "./dial.ts";

/** Options of {@link createRelay}. */
export interface RelayServerOptions {
  /**
   * Where clients may connect to, nowhere else: `device.example:443`, `*.example:443` (one label more), `192.168.1.7:443`,
   * `10.0.0.0/8:443`, `[fd00::/8]:443`. A name that leads to a private or loopback address needs that address named as well;
   * `localhost` names this machine.
   */
  readonly allow: readonly string[];
  /** Pages that may use it, such as `https://app.example`; `*` for any. Default: no page. Who is no browser has no origin. */
  readonly origins?: readonly string[] | undefined;
  /** What every client must show besides. */
  readonly token?: string | undefined;
  /** Connections at once. Default 256. */
  readonly maxConnections?: number | undefined;
  /** Of one IPv4 address, or one IPv6 network of 64 bits. Default 32. */
  readonly maxPerClient?: number | undefined;
  /** Bytes of each direction that the relay holds for a connection. Default 262144; 65536 at least. */
  readonly maxQueued?: number | undefined;
  /** ms for finding the server and connecting to it. Default 10000. */
  readonly handshakeTimeout?: number | undefined;
  /** ms without a byte in either direction. Default 300000; 0: any time. */
  readonly idleTimeout?: number | undefined;
  /** ms that a connection may last. Default 86400000, a day; 0: any time. */
  readonly maxLifetime?: number | undefined;
  /** Finds a name's addresses. Default: the system. */
  readonly resolve?: RelayResolver | undefined;
  /** Told of each connection when it is over, and of those that were refused. Must not throw. */
  readonly onConnection?: ((connection: RelayedConnection) => void) | undefined;
}

/** What became of one connection. What the client chose is printable ASCII. */
export interface RelayedConnection {
  /** Address and port. */
  readonly client: string;
  readonly origin: string | undefined;
  /** `HOST:PORT` as it was asked for. */
  readonly target: string | undefined;
  /** Where that led. */
  readonly address: string | undefined;
  /** Bytes to the server, and back. */
  readonly up: number;
  readonly down: number;
  /** ms. */
  readonly duration: number;
  /** `closed`, or why it was ended or refused. */
  readonly outcome: string;
  /** An HTTP status before there was a WebSocket, a close code afterwards; 1000 where all went well. */
  readonly code: number;
}

/** A relay behind an HTTP server. */
export interface Relay {
  /** For the HTTP server's `upgrade` events. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Ends all connections in order, and takes no others. */
  close(): Promise<void>;
}

const MAX_DELAY = 0x7fffffff;
const DEFAULTS = {
  maxConnections: 256,
  maxPerClient: 32,
  maxQueued: 0x40000,
  handshakeTimeout: 10_000,
  idleTimeout: 300_000,
  maxLifetime: 86_400_000,
} as const;
const RANGES: Readonly<Record<keyof typeof DEFAULTS, readonly [number, number]>> = {
  maxConnections: [1, 1_000_000],
  maxPerClient: [1, 1_000_000],
  maxQueued: [BASE_CREDIT, 0x4000000],
  handshakeTimeout: [1, MAX_DELAY],
  idleTimeout: [0, MAX_DELAY],
  maxLifetime: [0, MAX_DELAY],
};
const OTHERS: readonly string[] = ["allow", "origins", "token", "resolve", "onConnection"];
/** Pieces of one message: each costs more than the little that may be in it. */
const MAX_FRAGMENTS = 256;
/** Bytes that wait for a client before its pings are not answered any more (RFC 6455 5.5.3 wants the last one's answer). */
const MAX_PONGS = 0x10000;
/** ms for closing handshakes when the relay closes. */
const GRACE = 2000;

/**
 * A relay for an HTTP server of one's own; {@link serveRelay} brings one.
 *
 * @throws TlsError `ERR_TLS_OPTION`.
 * @example
 * ```ts
 * import { createServer } from "node:http";
 *
 * const relay = createRelay({ allow: ["device.example:443"], origins: ["https://app.example"] });
 * const server = createServer((_, response) => response.end("a page")).on("upgrade", relay.upgrade);
 * console.log(server.listenerCount("upgrade")); // 1
 * await relay.close();
 * ```
 */
export function createRelay(options: RelayServerOptions): Relay {
  const relay = new Relaying(options);
  return { upgrade: (request, socket, head) => relay.upgrade(request, socket, head), close: () => relay.close() };
}

type Limits = Readonly<Record<keyof typeof DEFAULTS, number>>;

class Relaying implements Relay {
  readonly #options: RelayServerOptions;
  readonly #limits: Limits;
  readonly #allow: AllowList;
  readonly #origins: ReadonlySet<string>;
  readonly #token: Buffer | undefined;
  readonly #server: WebSocketServer;
  readonly #open = new Map<Carried, Promise<void>>();
  /** Connections by client. */
  readonly #clients = new Map<string, number>();
  #closing = false;

  constructor(options: RelayServerOptions) {
    this.#options = options;
    this.#limits = limitsOf(options);
    this.#allow = new AllowList(options.allow);
    this.#origins = new Set((options.origins ?? []).map(parseOrigin));
    if (options.token === "") throw fault("ERR_TLS_OPTION", "an empty token");
    this.#token = options.token === undefined ? undefined : digest(Buffer.from(options.token));
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      // By itself it would answer however much waits already.
      autoPong: false,
      maxPayload: 1 + MAX_DATA,
      maxFragments: MAX_FRAGMENTS,
      handleProtocols: () => RELAY_PROTOCOL,
    });
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const started = performance.now();
    const { remoteAddress, remotePort = 0 } = request.socket;
    const client = clientOf(remoteAddress);
    const text = requested(request);
    const told = (rest: Pick<RelayedConnection, "outcome" | "code"> & Partial<RelayedConnection>) =>
      this.#options.onConnection?.({
        client: `${remoteAddress?.includes(":") ? `[${remoteAddress}]` : remoteAddress}:${remotePort}`,
        origin: request.headers.origin === undefined ? undefined : printed(request.headers.origin),
        target: text === undefined ? undefined : printed(text),
        address: undefined,
        up: 0,
        down: 0,
        duration: performance.now() - started,
        ...rest,
      });
    const target = parseRelayTarget(text ?? "");
    const refusal =
      this.#refusal(request, client) ?? (target === undefined ? ([400, "no HOST:PORT in ?to="] as const) : undefined);
    if (refusal !== undefined || target === undefined) {
      const [status, reason] = refusal ?? [400, ""];
      refuse(socket, status, reason);
      told({ outcome: reason, code: status });
      return;
    }
    this.#count(client, 1);
    let carried: Carried | undefined;
    let counted = true;
    // The socket may go before there is a WebSocket.
    socket.once("close", () => {
      if (counted) this.#count(client, -1);
      counted = false;
      if (carried === undefined) told({ outcome: "no WebSocket handshake", code: 400 });
    });
    this.#server.handleUpgrade(request, socket, head, (webSocket) => {
      carried = new Carried(webSocket, target, this.#allow, this.#options.resolve ?? systemResolver, this.#limits);
      const own = carried;
      const over = own.run().then((outcome) => {
        this.#open.delete(own);
        told(outcome);
      });
      this.#open.set(own, over);
      if (this.#closing) own.end(new RelayEnd(RelayCode.goingAway, "the relay is going away"));
    });
  }

  async close(): Promise<void> {
    this.#closing = true;
    for (const carried of this.#open.keys()) carried.end(new RelayEnd(RelayCode.goingAway, "the relay is going away"));
    const timer = setTimeout(() => {
      for (const carried of this.#open.keys()) carried.cut();
    }, GRACE);
    await Promise.all(this.#open.values());
    clearTimeout(timer);
    this.#server.close();
  }

  /** Before there is a WebSocket; what it is for is judged afterwards, since a page learns nothing of an HTTP status. */
  #refusal({ headers }: IncomingMessage, client: string): readonly [number, string] | undefined {
    if (this.#closing) return [503, "the relay is going away"];
    const { origin } = headers;
    if (origin !== undefined && !this.#origins.has("*") && !this.#origins.has(origin.toLowerCase())) {
      return [403, "this origin is not allowed"];
    }
    const offered = (headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim());
    if (this.#token !== undefined && !shows(offered, this.#token)) return [401, "no token, or another"];
    if (!offered.includes(RELAY_PROTOCOL)) return [400, `the subprotocol ${RELAY_PROTOCOL} is not offered`];
    const all = [...this.#clients.values()].reduce((sum, count) => sum + count, 0);
    if (all >= this.#limits.maxConnections) return [503, "too many connections"];
    if ((this.#clients.get(client) ?? 0) >= this.#limits.maxPerClient)
      return [429, "too many connections of this client"];
    return undefined;
  }

  #count(client: string, change: number): void {
    const count = (this.#clients.get(client) ?? 0) + change;
    if (count === 0) this.#clients.delete(client);
    else this.#clients.set(client, count);
  }
}

/** One connection from its WebSocket on. */
class Carried {
  readonly #socket: WebSocket;
  readonly #target: RelayTarget;
  readonly #allow: AllowList;
  readonly #resolve: RelayResolver;
  readonly #limits: Limits;
  readonly #ending = new AbortController();
  #moved = performance.now();
  #idle: NodeJS.Timeout | undefined;

  constructor(socket: WebSocket, target: RelayTarget, allow: AllowList, resolve: RelayResolver, limits: Limits) {
    this.#socket = socket;
    this.#target = target;
    this.#allow = allow;
    this.#resolve = resolve;
    this.#limits = limits;
  }

  /** Tells the client why, and lets go of the server. */
  end(reason: RelayEnd): void {
    this.#socket.close(reason.closeCode, reason.message.slice(0, 120));
    this.#ending.abort(reason);
  }

  cut(): void {
    this.#socket.terminate();
  }

  async run(): Promise<Pick<RelayedConnection, "address" | "up" | "down" | "outcome" | "code">> {
    const { signal } = this.#ending;
    const { maxQueued, handshakeTimeout, maxLifetime } = this.#limits;
    const bytes = { up: 0, down: 0 };
    let address: string | undefined;
    this.#socket.on("ping", (data) => {
      if (this.#socket.bufferedAmount < MAX_PONGS) this.#socket.pong(data);
    });
    const gone = new Promise<number>((resolve) => this.#socket.once("close", resolve));
    const near = webSocketStream(this.#socket, { highWaterMark: maxQueued, signal });
    const late = new RelayEnd(RelayCode.timeout, `no connection in ${handshakeTimeout} ms`);
    const dialing = setTimeout(() => this.end(late), handshakeTimeout);
    const old = new RelayEnd(RelayCode.tooLong, `open for ${maxLifetime} ms`);
    const lifetime = maxLifetime > 0 ? setTimeout(() => this.end(old), maxLifetime) : undefined;
    const left = new AbortController();
    this.#socket.once("close", () => left.abort(new Error("it has gone")));
    let outcome: unknown;
    try {
      const either = AbortSignal.any([signal, left.signal]);
      const socket = await dial(this.#target, this.#allow, this.#resolve, either, (tried) => {
        address = tried;
      });
      clearTimeout(dialing);
      const destroy = () => socket.destroy();
      signal.addEventListener("abort", destroy, { once: true });
      this.#watch();
      await carry(near, socket, {
        moved: (direction, count) => {
          bytes[direction] += count;
          this.#moved = performance.now();
        },
      });
    } catch (error) {
      outcome = signal.aborted ? signal.reason : error;
      if (outcome instanceof RelayEnd && !signal.aborted) this.end(outcome);
    }
    clearTimeout(dialing);
    const code = await gone;
    clearTimeout(lifetime);
    clearTimeout(this.#idle);
    const ended = outcome instanceof RelayEnd ? outcome : undefined;
    const why =
      outcome === undefined ? "closed" : (ended?.message ?? `the client: ${printable((outcome as Error).message)}`);
    return { address, ...bytes, outcome: why, code: outcome === undefined ? 1000 : (ended?.closeCode ?? code) };
  }

  #watch(): void {
    const { idleTimeout } = this.#limits;
    if (idleTimeout === 0) return;
    const left = this.#moved + idleTimeout - performance.now();
    if (left <= 0) this.end(new RelayEnd(RelayCode.idle, `nothing in ${idleTimeout} ms`));
    else this.#idle = setTimeout(() => this.#watch(), Math.ceil(left));
  }
}

function limitsOf(options: RelayServerOptions): Limits {
  const unknown = Object.keys(options).find((name) => !(name in DEFAULTS || OTHERS.includes(name)));
  if (unknown !== undefined) throw fault("ERR_TLS_OPTION", `a relay has no option "${unknown}"`);
  const entries = Object.entries(RANGES).map(([name, [min, max]]) => {
    const value = options[name as keyof typeof DEFAULTS] ?? DEFAULTS[name as keyof typeof DEFAULTS];
    if (!(value >= min && value <= max)) throw fault("ERR_TLS_OPTION", `${name} ${value} is not ${min} to ${max}`);
    return [name, value];
  });
  return Object.fromEntries(entries) as Limits;
}

/** As browsers write it. */
function parseOrigin(text: string): string {
  if (text === "*") return text;
  const origin = URL.canParse(text) ? new URL(text).origin : "null";
  if (origin === "null" || origin !== text.toLowerCase().replace(/\/$/, "")) {
    throw fault("ERR_TLS_OPTION", `"${text}" is no origin such as https://app.example`);
  }
  return origin;
}

/** Whatever was offered, it is compared whole: by digests of one length. */
function shows(offered: readonly string[], token: Buffer): boolean {
  const shown = offered.find((name) => name.startsWith(TOKEN_PREFIX));
  return (
    shown !== undefined && timingSafeEqual(digest(Buffer.from(shown.slice(TOKEN_PREFIX.length), "base64url")), token)
  );
}

function digest(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}

function requested({ url = "" }: IncomingMessage): string | undefined {
  const base = "ws://relay";
  return URL.canParse(url, base) ? (new URL(url, base).searchParams.get("to") ?? undefined) : undefined;
}

function refuse(socket: Duplex, status: number, reason: string): void {
  socket.on("error", () => {});
  socket.once("finish", () => socket.destroy());
  const body = `${reason}\n`;
  socket.end(
    `HTTP/1.1 ${status} Refused\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
}

function printed(text: string): string {
  return text.slice(0, 255).replace(/[^\x21-\x7e]/g, "?");
}
