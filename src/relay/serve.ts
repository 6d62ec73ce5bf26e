/** A relay with an HTTP server of its own. */
import { createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { createRelay, type RelayServerOptions } from "./relay.ts";

/** Options of {@link serveRelay}. */
export interface RelayListenOptions extends RelayServerOptions {
  /** Address to listen on. Default: 127.0.0.1, so that only this machine can reach it. */
  readonly host?: string | undefined;
  /** 0, the default: the system picks one, see {@link ListeningRelay.port}. */
  readonly port?: number | undefined;
}

/** A relay that listens. */
export interface ListeningRelay {
  readonly host: string;
  readonly port: number;
  /** Stops listening, and ends all connections in order. */
  close(): Promise<void>;
}

const DEFAULT_HANDSHAKE_TIMEOUT = 10_000;
/** ms between looks for clients that are too slow with their request. */
const LOOK = 1000;
/** Bytes of a request's head. */
const MAX_HEAD = 16_384;

/**
 * Listens for WebSockets and relays them to the servers that are allowed. Over TLS (`wss:`) it is reached through a reverse
 * proxy, or with {@link createRelay} behind a server of `node:https`.
 *
 * @throws TlsError `ERR_TLS_OPTION`; Node's error where it cannot listen.
 * @example
 * ```ts
 * const relay = await serveRelay({ allow: ["device.example:443"], origins: ["https://app.example"] });
 * console.log(relay.host); // 127.0.0.1
 * await relay.close();
 * ```
 */
export async function serveRelay({
  host = "127.0.0.1",
  port = 0,
  ...options
}: RelayListenOptions): Promise<ListeningRelay> {
  const relay = createRelay(options);
  const { handshakeTimeout = DEFAULT_HANDSHAKE_TIMEOUT } = options;
  const sockets = new Set<Socket>();
  const server = createServer(
    {
      headersTimeout: handshakeTimeout,
      requestTimeout: handshakeTimeout,
      connectionsCheckingInterval: Math.min(LOOK, handshakeTimeout),
      maxHeaderSize: MAX_HEAD,
    },
    (_, response) => {
      response.writeHead(426, { Connection: "close, Upgrade", Upgrade: "websocket", "Content-Type": "text/plain" });
      response.end("a relay for WebSockets\n");
    },
  );
  // Those that have not sent their request are not counted by the relay yet.
  server.maxConnections = 2 * (options.maxConnections ?? 256) + 16;
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.on("upgrade", relay.upgrade);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port }, () => {
      server.off("error", reject);
      // Accepting one connection failed, for want of file descriptors; the next may not.
      server.on("error", () => {});
      resolve();
    });
  });
  const address = server.address() as AddressInfo;
  return {
    host: address.address,
    port: address.port,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      await relay.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
