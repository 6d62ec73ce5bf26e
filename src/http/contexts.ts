/** Which TLS configuration a request goes with: one for each host that options are used for, and one without identities. */
import type { ClientContext, EngineContext } from "../engine/index.ts";
import type { Awaitable } from "../flow.ts";
import { type ClientConfiguration, type ConnectOptions, isContext, splitOptions } from "../transport/establish.ts";
import type { ClientSessionOptions } from "../transport/session.ts";
import { HttpError } from "./errors.ts";
import { refused } from "./request.ts";

/** Prepares a client: an entry point's `clientContext`. */
export type PrepareClient = (options: ClientConfiguration) => Awaitable<EngineContext>;

/** What a connection is made with. */
export interface Prepared {
  readonly context: EngineContext;
  readonly session: ClientSessionOptions;
  /** Connections are kept: who this side is does not change from one to the next. */
  readonly pooled: boolean;
}

/** What says who this side is; a fetch without credentials goes without (fetch 2.2.6: TLS client certificates are some). */
const CREDENTIALS = [
  "identities",
  "selectIdentity",
  "psks",
  "sessions",
  "offerEarlyData",
  "postHandshakeAuth",
] as const;
/** What concerns one connection, of which several requests know nothing. */
const NOT_HERE = ["signal", "earlyData"] as const;
/** Hosts for which one options object is kept prepared. */
const MAX_HOSTS = 64;
const ALPN = "http/1.1";

export class Contexts {
  readonly #prepare: PrepareClient;
  /** By options object, then by host and whether there are credentials. */
  readonly #made = new WeakMap<object, Map<string, Promise<Prepared>>>();

  constructor(prepare: PrepareClient) {
    this.#prepare = prepare;
  }

  /**
   * @param credentials - False: nobody in particular.
   * @param first - It is the server that the request was for, not one that a redirect leads to.
   * @throws HttpError where a context cannot do that; TlsError for options that cannot be used.
   */
  async for(
    tls: ConnectOptions | EngineContext,
    host: string,
    credentials: boolean,
    first: boolean,
  ): Promise<Prepared> {
    if (isContext(tls)) {
      if (credentials && first) return { context: tls, session: {}, pooled: true };
      throw new HttpError(
        "ERR_HTTP_REDIRECT",
        "a context is for one server, and comes with its identities: give options",
      );
    }
    const known = this.#made.get(tls) ?? new Map<string, Promise<Prepared>>();
    this.#made.set(tls, known);
    const key = `${credentials} ${first} ${host}`;
    const made = known.get(key) ?? this.#make(tls, host, credentials, first);
    // To its end as the one used last; servers choose hosts, too, by redirects.
    known.delete(key);
    known.set(key, made);
    const [oldest] = known.keys();
    if (known.size > MAX_HOSTS && oldest !== undefined) known.delete(oldest);
    try {
      return await made;
    } catch (error) {
      if (known.get(key) === made) known.delete(key);
      throw error;
    }
  }

  async #make(tls: ConnectOptions, host: string, credentials: boolean, first: boolean): Promise<Prepared> {
    const [configuration, session] = splitOptions(tls);
    const given = configuration as ClientConfiguration;
    const wrong = NOT_HERE.find((name) => session[name] !== undefined);
    if (wrong !== undefined) throw refused(`${wrong} among the TLS options, which are for many requests`);
    if (given.alpn !== undefined && !(given.alpn.length === 1 && given.alpn[0] === ALPN)) {
      throw refused(`ALPN ${given.alpn.join(", ")}: HTTP/1.1 is all there is here`);
    }
    const kept = Object.entries(given).filter(([name]) => credentials || !CREDENTIALS.some((own) => own === name));
    const context = await this.#prepare({
      ...Object.fromEntries(kept),
      // Whoever names the server means that one; another is what its URL says.
      serverName: first ? (given.serverName ?? host) : host,
      alpn: [ALPN],
    });
    return { context, session, pooled: !credentials || given.selectIdentity === undefined };
  }
}

/** What the context is at now, where it can be replaced. */
export function generationOf(context: EngineContext): number | undefined {
  return "generation" in context ? (context as ClientContext).generation : undefined;
}
