/** A TCP relay between a client and a server that changes or ends what one of them is sent. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import type { Side } from "../../src/errors.ts";
import type { Wire } from "./pair.ts";

export interface Relay {
  /** Where the client connects. */
  readonly port: number;
  /** Changes what becomes of the bytes towards the victim from now on. */
  disturb(wire: Wire): void;
  /** Ends the byte stream towards the victim, and sends it nothing more. */
  cut(): void;
}

/**
 * @param open - Connects to the server.
 * @param wire - What becomes of the bytes towards the victim.
 */
export async function startRelay(open: () => Promise<Socket>, victim: Side, wire: Wire): Promise<Relay> {
  let toVictim: Socket | undefined;
  let isCut = false;
  let current = wire;
  const cut = () => {
    isCut = true;
    toVictim?.end();
  };
  const disturb = (next: Wire) => {
    current = next;
  };
  const server = createServer({ allowHalfOpen: true }, (client) => {
    server.close();
    void open().then((upstream) => {
      const sockets = { client, server: upstream };
      toVictim = sockets[victim];
      const fromVictim = sockets[victim === "client" ? "server" : "client"];
      fromVictim.on("data", (bytes: Buffer) => {
        if (isCut) return;
        for (const piece of current(bytes)) toVictim?.write(piece);
      });
      fromVictim.on("end", () => toVictim?.end());
      toVictim.pipe(fromVictim);
      for (const [one, other] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        one.on("error", () => other.destroy());
        one.on("close", () => other.destroy());
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { port: (server.address() as AddressInfo).port, cut, disturb };
}
