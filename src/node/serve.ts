/** A TLS 1.3 server on a TCP port that outlives every bad client. */
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import type { CryptoProvider } from "../crypto/provider.ts";
import { type EngineContext, serverContext } from "../engine/index.ts";
import { fault } from "../errors.ts";
import type { Awaitable } from "../flow.ts";
import { isContext, openServer, type ServerConfiguration, splitOptions, withDefaults } from "../transport/establish.ts";
import { socketStream } from "../transport/node-socket.ts";
import type { SessionOptions, TlsSession } from "../transport/session.ts";
import { ignore } from "../transport/stream.ts";

/** Where to listen, and whom to tell of failures. */
export interface ListenOptions extends SessionOptions {
  /** Address to listen on. Default: all. */
  readonly host?: string | undefined;
  /** 0, the default: the system picks one, see {@link TlsServer.port}. */
  readonly port?: number | undefined;
  /** In place of a configuration among these options. */
  readonly context?: EngineContext | undefined;
  /**
   * Told of each connection that failed, in the handshake or in the handler; without a socket, one that could not be
   * taken at all. It must not throw.
   */
  readonly onError?: ((error: unknown, socket?: Socket) => void) | undefined;
}

/** A listening configuration: {@link ListenOptions} and the server's own options. */
export type ServeOptions = ListenOptions & (ServerConfiguration | { readonly context: EngineContext });

/** A server that listens. */
export interface TlsServer {
  readonly host: string;
  readonly port: number;
  /**
   * Stops listening.
   *
   * @param force - Ends the connections that are left, too; otherwise they are waited for.
   * @returns Resolves when the last connection is gone.
   */
  close(force?: boolean): Promise<void>;
}

/** Called once per connection; the session is closed when what it returns is settled. */
export type SessionHandler = (session: TlsSession, socket: Socket) => Awaitable<void>;

/** How long a client may take to close after its handler has returned and left the session's reader locked, in ms. */
const LINGER_MS = 2000;

/** Starts the server; `node/index.ts` supplies the provider. */
export async function listen(
  options: ServeOptions,
  handler: SessionHandler,
  provider: CryptoProvider,
): Promise<TlsServer> {
  const { host, port = 0, context, onError, ...rest } = options;
  const [configuration, session] = splitOptions(rest);
  if (context !== undefined && Object.keys(configuration).length > 0) {
    throw fault("ERR_TLS_OPTION", `a context and ${Object.keys(configuration).join(", ")}`);
  }
  const ready = context ?? serverContext(withDefaults(configuration as ServerConfiguration, () => provider));
  if (!isContext(ready)) throw fault("ERR_TLS_OPTION", "context is not an engine context");
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    attend(socket, ready, session, handler, provider).catch((error: unknown) => onError?.(error, socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port, host }, () => {
      server.off("error", reject);
      resolve();
    });
  });
  // Accepting one connection failed, for want of file descriptors; the next may not.
  server.on("error", (error) => onError?.(error));
  const address = server.address() as AddressInfo;
  return { host: address.address, port: address.port, close: (force = false) => close(server, sockets, force) };
}

async function attend(
  socket: Socket,
  context: EngineContext,
  options: SessionOptions,
  handler: SessionHandler,
  provider: CryptoProvider,
): Promise<void> {
  const session = await openServer(socketStream(socket), context, options, {
    prepare: serverContext,
    provider: () => provider,
  });
  try {
    await handler(session, socket);
    await session.close();
    await leave(session);
  } catch (error) {
    session.abort(fault("ERR_TLS_CALLBACK_FAILED", "the handler", { cause: error }));
    throw error;
  }
}

/** What the client still sends, nobody will read; it has a moment to close, too. */
async function leave(session: TlsSession): Promise<void> {
  if (!session.readable.locked) {
    await session.readable.cancel();
    return;
  }
  const timer = setTimeout(() => session.abort(), LINGER_MS);
  await session.closed.finally(() => clearTimeout(timer)).catch(ignore);
}

function close(server: Server, sockets: ReadonlySet<Socket>, force: boolean): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    if (force) for (const socket of sockets) socket.destroy();
  });
}
