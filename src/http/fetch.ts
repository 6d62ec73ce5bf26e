/** fetch over TLS sessions of this library: HTTP/1.1, with redirects, connections that are kept, and standard Responses. */
import type { EngineContext } from "../engine/index.ts";
import { TlsError, type TlsErrorCode } from "../errors.ts";
import type { ConnectOptions } from "../transport/establish.ts";
import type { HttpConnection, Incoming } from "./connection.ts";
import { Contexts, generationOf, type PrepareClient } from "./contexts.ts";
import { HttpError } from "./errors.ts";
import { type Connector, hostOf, openConnection } from "./open.ts";
import { type Lease, Pool } from "./pool.ts";
import { followed, locationOf, redirect } from "./redirect.ts";
import { type OutgoingRequest, outgoing, type RequestOptions, refused } from "./request.ts";
import { responseOf } from "./response.ts";

/** How connections are made. */
export interface FetchTransport {
  /**
   * A client's options without the server's name, which is the URL's unless it is given; or a context, for one server. The
   * same object each time, or nothing can be kept for the next request.
   */
  readonly tls?: ConnectOptions | EngineContext | undefined;
  /** Leads to the server: through a relay, or with what the runtime has. */
  readonly connect?: Connector | undefined;
}

/** What {@link fetch} takes besides the request. */
export interface FetchInit extends RequestOptions, FetchTransport {}

/** Options of {@link createFetch}. */
export interface FetchOptions extends FetchTransport {
  /** The entry point's that is used anyway: nothing else is bundled. */
  readonly clientContext: PrepareClient;
  /** Connections to one origin at once, for one configuration; further requests wait. Default 6. */
  readonly maxConnections?: number | undefined;
  /** Connections kept in all. Default 32. */
  readonly maxIdle?: number | undefined;
  /** ms that a connection is kept for the next request. Default 4000; 0: none is kept. */
  readonly keepAliveTimeout?: number | undefined;
  /** ms for `connect` and the handshake together. Default 30000; 0: any time. */
  readonly connectTimeout?: number | undefined;
  /** ms without a byte while the request goes out and the response's head is waited for. Default 60000; 0: any time. */
  readonly headTimeout?: number | undefined;
  /** ms without a byte while the body is waited for. Default 60000; 0: any time. */
  readonly bodyTimeout?: number | undefined;
  /** Bytes of a response's heads, interim ones included, and of its trailers. Default 16384. */
  readonly maxHeadBytes?: number | undefined;
  /** Fields in them. Default 256. */
  readonly maxFields?: number | undefined;
}

/** Made by {@link createFetch}. */
export interface TlsFetch {
  (input: string | URL | Request, init?: FetchInit): Promise<Response>;
  /** Ends the connections that are kept. */
  close(): void;
}

const MAX_REDIRECTS = 20;
/** Bytes of a redirect's body that are read so that its connection can be kept. */
const MAX_DISCARDED = 0x4000;
const MAX_DELAY = 0x7fffffff;
const DEFAULTS = {
  maxConnections: 6,
  maxIdle: 32,
  keepAliveTimeout: 4000,
  connectTimeout: 30_000,
  headTimeout: 60_000,
  bodyTimeout: 60_000,
  maxHeadBytes: 16_384,
  maxFields: 256,
} as const;
type Limits = Readonly<Record<keyof typeof DEFAULTS, number>>;
const RANGES: Readonly<Record<keyof typeof DEFAULTS, readonly [number, number]>> = {
  maxConnections: [1, 65_536],
  maxIdle: [0, 65_536],
  keepAliveTimeout: [0, MAX_DELAY],
  connectTimeout: [0, MAX_DELAY],
  headTimeout: [0, MAX_DELAY],
  bodyTimeout: [0, MAX_DELAY],
  maxHeadBytes: [64, 0x1000000],
  maxFields: [0, 65_536],
};
const INIT_NAMES: readonly string[] = [
  "method",
  "headers",
  "body",
  "duplex",
  "redirect",
  "credentials",
  "signal",
  "tls",
  "connect",
];
const CHOICES: Readonly<Partial<Record<keyof FetchInit, readonly string[]>>> = {
  redirect: ["follow", "manual", "error"],
  credentials: ["same-origin", "include", "omit"],
  duplex: ["half"],
};
/** May happen twice (RFC 9110 9.2.2). */
const IDEMPOTENT: readonly string[] = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"];
/** How a connection ends that the server, or the way to it, has let go of in the meantime. */
const ENDED: readonly TlsErrorCode[] = [
  "ERR_SSL_UNEXPECTED_EOF_WHILE_READING",
  "ERR_TLS_TRANSPORT",
  "ERR_TLS_CLOSED",
  "ERR_TLS_IDLE_TIMEOUT",
  "ERR_TLS_MAX_LIFETIME",
];

/**
 * A fetch with connections and defaults of its own.
 *
 * @throws HttpError `ERR_HTTP_REQUEST` for options that are out of range.
 * @example
 * ```ts
 * import { clientContext } from "mutls/lean";
 *
 * const fetch = createFetch({ clientContext, connect: open, tls: { trust: ca, identities: [{ cert, key }] } });
 * const response = await fetch(`${origin}/hello`);
 * console.log(response.status, await response.text()); // 200 hello localhost
 * fetch.close();
 * ```
 */
export function createFetch(options: FetchOptions): TlsFetch {
  const fetcher = new Fetcher(options);
  return Object.assign((input: string | URL | Request, init: FetchInit = {}) => fetcher.fetch(input, init), {
    close: () => fetcher.close(),
  });
}

/** One call's. */
interface Call {
  readonly tls: ConnectOptions | EngineContext;
  readonly connect: Connector;
  readonly signal: AbortSignal | undefined;
  /** The origin that it is for, wherever redirects lead. */
  readonly first: string;
}

class Fetcher {
  readonly #options: FetchOptions;
  readonly #limits: Limits;
  readonly #pool: Pool;
  readonly #contexts: Contexts;

  constructor(options: FetchOptions) {
    this.#options = options;
    this.#limits = limitsOf(options);
    this.#pool = new Pool(this.#limits);
    this.#contexts = new Contexts(options.clientContext);
  }

  close(): void {
    this.#pool.close();
  }

  async fetch(input: string | URL | Request, init: FetchInit): Promise<Response> {
    checkInit(init);
    const given = typeof input === "string" || input instanceof URL ? undefined : input;
    const signal = (init.signal === undefined ? given?.signal : init.signal) ?? undefined;
    signal?.throwIfAborted();
    const mode = init.redirect ?? given?.redirect ?? "follow";
    const policy = init.credentials ?? given?.credentials ?? "same-origin";
    const { tls = this.#options.tls, connect = this.#options.connect } = init;
    if (tls === undefined) throw refused("no tls: whom to trust, and who this side is");
    if (connect === undefined) throw refused("no connect: a way to the server, such as viaRelay or a socket");
    let request = await outgoing(input, init);
    const first = request.url.origin;
    const call = { tls, connect, signal, first };
    let credentials = policy !== "omit";
    for (let redirects = 0; ; redirects++) {
      const exchange = await this.#exchange(request, call, credentials);
      const { head } = exchange.incoming;
      const location = mode === "manual" ? undefined : exchange.guarded(() => locationOf(head));
      if (location === undefined) return exchange.respond(request.url.href, redirects > 0);
      const next = exchange.guarded(() => {
        if (mode === "error") throw redirect("redirects are errors here");
        if (redirects === MAX_REDIRECTS) throw redirect(`more than ${MAX_REDIRECTS} in a row`);
        return followed(request, head.status, location);
      });
      await exchange.discard();
      // Nothing of this side's goes where another origin sends it, and none comes back.
      credentials &&= policy === "include" || next.url.origin === first;
      request = next;
    }
  }

  /** Once more, on a new connection, where one that was kept had been closed before a byte of the response. */
  async #exchange(request: OutgoingRequest, call: Call, credentials: boolean): Promise<Exchange> {
    const again = IDEMPOTENT.includes(request.method) && !request.body?.once;
    const lease = await this.#lease(request.url, call, credentials, false);
    const kept = lease.connection.used > 0;
    try {
      return await Exchange.begin(lease, request, call.signal);
    } catch (error) {
      if (!kept || !again || !isEnded(error) || call.signal?.aborted) throw error;
      return Exchange.begin(await this.#lease(request.url, call, credentials, true), request, call.signal);
    }
  }

  async #lease(url: URL, call: Call, credentials: boolean, fresh: boolean): Promise<Lease> {
    const { tls, connect, signal, first } = call;
    const prepared = await this.#contexts.for(tls, hostOf(url.hostname), credentials, url.origin === first);
    const open = () => openConnection(url, connect, prepared, this.#limits, signal);
    const { context } = prepared;
    if (!prepared.pooled || this.#limits.keepAliveTimeout === 0) return unkept(await open());
    return this.#pool.acquire({ origin: url.origin, context, connect }, generationOf(context), fresh, open, signal);
  }
}

/** A request and its response on a leased connection, up to the end of the body. */
class Exchange {
  readonly incoming: Incoming;
  readonly #lease: Lease;
  readonly #stop: () => void;

  private constructor(incoming: Incoming, lease: Lease, signal: AbortSignal | undefined) {
    this.incoming = incoming;
    this.#lease = lease;
    // Who aborts need not read on: nobody else would give the connection back.
    const onAbort = () => this.#abandon(signal?.reason);
    this.#stop = () => signal?.removeEventListener("abort", onAbort);
    signal?.addEventListener("abort", onAbort);
    if (signal?.aborted) onAbort();
  }

  static async begin(lease: Lease, request: OutgoingRequest, signal: AbortSignal | undefined): Promise<Exchange> {
    const { connection } = lease;
    const onAbort = () => connection.fail(signal?.reason);
    signal?.addEventListener("abort", onAbort);
    if (signal?.aborted) onAbort();
    try {
      return new Exchange(await connection.exchange(request), lease, signal);
    } catch (error) {
      lease.release(false);
      throw error;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  respond(url: string, redirected: boolean): Response {
    const { head, body } = this.incoming;
    const ends = { complete: () => this.#complete(), abandon: (reason: unknown) => this.#abandon(reason) };
    return this.guarded(() => responseOf(head, body, ends, { url, redirected }));
  }

  /** A redirect's body, which nobody wants. */
  async discard(): Promise<void> {
    const { body } = this.incoming;
    try {
      for (let length = 0; length <= MAX_DISCARDED; ) {
        const piece = await body();
        if (piece === undefined) return this.#complete();
        length += piece.length;
      }
    } catch (error) {
      this.#abandon(error);
      throw error;
    }
    this.#abandon(new HttpError("ERR_HTTP_REDIRECT", "a redirect with a long body"));
  }

  /** What throws lets go of the connection. */
  guarded<T>(run: () => T): T {
    try {
      return run();
    } catch (error) {
      this.#abandon(error);
      throw error;
    }
  }

  #complete(): void {
    this.#stop();
    this.#lease.release(this.#lease.connection.reusable(this.incoming.head));
  }

  #abandon(reason: unknown): void {
    this.#stop();
    this.#lease.connection.fail(reason);
    this.#lease.release(false);
  }
}

/** Of a connection that nobody keeps. */
function unkept(connection: HttpConnection): Lease {
  return { connection, release: () => connection.close() };
}

function isEnded(error: unknown): boolean {
  if (error instanceof HttpError) return error.code === "ERR_HTTP_CLOSED";
  return error instanceof TlsError && error.direction !== "received" && ENDED.includes(error.code);
}

function checkInit(init: FetchInit): void {
  for (const [name, value] of Object.entries(init)) {
    if (value === undefined) continue;
    if (!INIT_NAMES.includes(name)) throw refused(`"${name}" is not supported`);
    const choices = CHOICES[name as keyof FetchInit];
    if (choices !== undefined && !choices.includes(value))
      throw refused(`${name} "${value}" is not ${choices.join(", ")}`);
  }
}

function limitsOf(options: FetchOptions): Limits {
  const known = [...Object.keys(DEFAULTS), "tls", "connect", "clientContext"];
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown !== undefined) throw refused(`createFetch has no option "${unknown}"`);
  const entries = Object.entries(RANGES).map(([name, [min, max]]) => {
    const value = options[name as keyof Limits] ?? DEFAULTS[name as keyof Limits];
    if (!(value >= min && value <= max)) throw refused(`${name} ${value} is not ${min} to ${max}`);
    return [name, value];
  });
  return Object.fromEntries(entries) as Limits;
}
