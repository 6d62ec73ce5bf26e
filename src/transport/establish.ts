/** From options to a session: what the entry points share, each with a provider of its own as default. */
import type { CryptoProvider } from "../crypto/provider.ts";
import type { ClientOptions, EngineContext, ServerOptions, TlsEngine } from "../engine/index.ts";
import { fault, type Side } from "../errors.ts";
import { CertificateRequests } from "./requests.ts";
import { type ClientSessionOptions, checkDelays, establish, type SessionOptions, type TlsSession } from "./session.ts";
import type { ByteStream } from "./stream.ts";

/** What has a default in the entry points. */
export interface Defaults {
  /** Default: the entry point's. */
  readonly provider?: CryptoProvider | undefined;
  /** ms since the epoch, for certificate validity. Default: `Date.now`. */
  readonly clock?: (() => number) | undefined;
}

/** A client's configuration. */
export type ClientConfiguration = Omit<ClientOptions, keyof Defaults> & Defaults;
/** A server's configuration. */
export type ServerConfiguration = Omit<ServerOptions, keyof Defaults> & Defaults;
/** A client's configuration, and what concerns one connection. */
export type ConnectOptions = ClientConfiguration & ClientSessionOptions;
/** A server's configuration, and what concerns one connection. */
export type AcceptOptions = ServerConfiguration & SessionOptions;

const SESSION_NAMES = [
  "signal",
  "handshakeTimeout",
  "idleTimeout",
  "maxLifetime",
  "recheckInterval",
  "onEvent",
  "observer",
  "earlyData",
] as const satisfies readonly (keyof ClientSessionOptions)[];

/** What an entry point brings: how it prepares one side, and the provider that it has as default. */
export interface Entry<Options> {
  readonly prepare: (options: Options) => EngineContext;
  readonly provider: () => CryptoProvider;
}

/** A client's session; the stream is opened once the options are known to be good. */
export function openClient(
  stream: ByteStream | (() => ByteStream),
  options: ConnectOptions | EngineContext,
  session: ClientSessionOptions | undefined,
  { prepare, provider }: Entry<ClientOptions>,
): Promise<TlsSession> {
  const open = (context: EngineContext, own: ClientSessionOptions) => {
    const engine = engineFor("client", context, own);
    return establish(engine, typeof stream === "function" ? stream() : stream, own, undefined);
  };
  if (isContext(options)) return open(options, session ?? {});
  if (session !== undefined) throw fault("ERR_TLS_OPTION", "session options twice");
  const [configuration, own] = splitOptions(options);
  const early = own.earlyData === undefined ? {} : { offerEarlyData: configuration.offerEarlyData ?? true };
  return open(prepare(withDefaults({ ...configuration, ...early }, provider)), own);
}

/** A server's session. */
export function openServer(
  stream: ByteStream,
  options: AcceptOptions | EngineContext,
  session: SessionOptions | undefined,
  { prepare, provider }: Entry<ServerOptions>,
): Promise<TlsSession> {
  const open = (context: EngineContext, own: ClientSessionOptions) => {
    if (own.earlyData !== undefined) throw fault("ERR_TLS_OPTION", "a server sends no early data");
    const engine = engineFor("server", context, own);
    return establish(engine, stream, own, new CertificateRequests(engine));
  };
  if (isContext(options)) return open(options, session ?? {});
  if (session !== undefined) throw fault("ERR_TLS_OPTION", "session options twice");
  const [configuration, own] = splitOptions(options);
  return open(prepare(withDefaults(configuration, provider)), own);
}

export function isContext(options: object): options is EngineContext {
  return "engine" in options && typeof options.engine === "function";
}

/** The engine's options with what the entry points supply. */
export function withDefaults<T extends Defaults>(
  options: T,
  provider: () => CryptoProvider,
): T & { readonly provider: CryptoProvider; readonly clock: () => number } {
  return { ...options, provider: options.provider ?? provider(), clock: options.clock ?? Date.now };
}

/** The engine refuses what it does not know, so what concerns one connection is taken out first. */
export function splitOptions<T extends ClientSessionOptions>(
  options: T,
): [Omit<T, keyof ClientSessionOptions>, ClientSessionOptions] {
  const part = (own: boolean) => Object.fromEntries(Object.entries(options).filter(([name]) => isOwn(name) === own));
  return [part(false) as Omit<T, keyof ClientSessionOptions>, part(true)];
}

function isOwn(name: string): boolean {
  return SESSION_NAMES.some((known) => known === name);
}

/** A fresh engine for a session whose own options are good. */
function engineFor(side: Side, context: EngineContext, session: ClientSessionOptions): TlsEngine {
  const unknown = Object.keys(session).find((name) => !isOwn(name));
  if (unknown !== undefined) throw fault("ERR_TLS_OPTION", `a session has no option "${unknown}"`);
  checkDelays(session);
  const engine = context.engine({ observer: session.observer });
  if (engine.side !== side) throw fault("ERR_TLS_OPTION", `a ${engine.side}'s context for a ${side}`);
  return engine;
}
