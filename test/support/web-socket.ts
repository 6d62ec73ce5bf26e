/** WebSocket servers over loopback, by the package `ws`. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";

/** A server for one connection. */
export interface Peer {
  readonly url: string;
  readonly socket: Promise<WebSocket>;
  close(): Promise<void>;
}

/** Takes one connection, and the first subprotocol that is offered. */
export async function webSocketPeer(): Promise<Peer> {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
  const socket = once(server, "connection").then(([first]) => first as WebSocket);
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    socket,
    close: async () => {
      for (const client of server.clients) client.terminate();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The code and the reason with which a socket is closed. */
export async function closed(socket: WebSocket): Promise<[number, string]> {
  const [code, reason] = (await once(socket, "close")) as [number, Buffer];
  return [code, String(reason)];
}

/** Until a number has stood still for many turns of the event loop, and what it is then. */
export async function still(value: () => number): Promise<number> {
  let before = -1;
  for (let quiet = 0; quiet < 100; before = value()) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    quiet = before === value() ? quiet + 1 : 0;
  }
  return value();
}
