/** Sockets over loopback for tests, and what a session has to say. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { concat } from "../../src/bytes/bytes.ts";
import type { OpensslProcess } from "./openssl.ts";

/** A server socket for one connection. */
export interface Listener {
  readonly port: number;
  readonly connection: Promise<Socket>;
}

/** Listens on a free port for one connection. */
export async function listenOnce(): Promise<Listener> {
  const server: Server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const connection = once(server, "connection").then(([socket]) => {
    server.close();
    return socket as Socket;
  });
  return { port: (server.address() as AddressInfo).port, connection };
}

/** A connection to a port of this machine. */
export async function connectTo(port: number): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  await once(socket, "connect");
  return socket;
}

/** A connection to a process that may not listen yet. */
export async function connectSocket(port: number, peer: OpensslProcess): Promise<Socket> {
  let ended = false;
  void peer.exited.then(() => {
    ended = true;
  });
  for (;;) {
    try {
      return await connectTo(port);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ECONNREFUSED") throw error;
      if (ended) throw new Error(`it ended before it listened: ${peer.stderr()}`);
      await delay(2);
    }
  }
}

/** The connection that a process makes. */
export function acceptSocket(connection: Promise<Socket>, peer: OpensslProcess): Promise<Socket> {
  const gone = peer.exited.then(() => {
    throw new Error(`it ended before it connected: ${peer.stderr()}`);
  });
  gone.catch(() => {});
  return Promise.race([connection, gone]);
}

/** At least `length` bytes, or what there is before the end. */
export async function readBytes(readable: ReadableStream<Uint8Array>, length: number): Promise<Uint8Array> {
  const reader = readable.getReader();
  const chunks: Uint8Array[] = [];
  for (let left = length; left > 0; ) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    left -= value.length;
  }
  reader.releaseLock();
  return concat(...chunks);
}

/** Writes without closing. */
export async function writeBytes(writable: WritableStream<Uint8Array>, bytes: Uint8Array): Promise<void> {
  const writer = writable.getWriter();
  await writer.write(bytes);
  writer.releaseLock();
}
