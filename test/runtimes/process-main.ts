/**
 * What Node, Deno and Bun run: `core MATERIAL`, `dial MATERIAL PORT WHO` or `listen MATERIAL`, MATERIAL being a file. Prints
 * one line of JSON for each thing it has to say.
 */
import { readFileSync } from "node:fs";
import { connect as connectTcp, createServer } from "node:net";
import { nodeProvider } from "../../src/crypto/node.ts";
import { type BufferConnection, type ByteStream, connectionStream } from "../../src/index.ts";
import { socketStream } from "../../src/transport/node-socket.ts";
import { addProvider, type Material, runCases } from "./core.ts";
import { answer, dial } from "./sockets.ts";

/** Sockets as the runtime has them. */
interface Sockets {
  dial(port: number): Promise<ByteStream>;
  /** One connection; `listening` is told the port. */
  take(listening: (port: number) => void): Promise<ByteStream>;
}

const viaNode: Sockets = {
  dial: async (port) => socketStream(connectTcp({ port, host: "127.0.0.1" })),
  take: (listening) =>
    new Promise((resolve) => {
      const server = createServer({ allowHalfOpen: true }, (socket) => {
        server.close();
        resolve(socketStream(socket));
      });
      server.listen(0, "127.0.0.1", () => listening((server.address() as { port: number }).port));
    }),
};

interface DenoSockets {
  connect(to: { hostname: string; port: number }): Promise<BufferConnection>;
  listen(at: { hostname: string; port: number }): {
    addr: { port: number };
    accept(): Promise<BufferConnection>;
    close(): void;
  };
}

const viaDeno = (deno: DenoSockets): Sockets => ({
  dial: async (port) => connectionStream(await deno.connect({ hostname: "127.0.0.1", port })),
  async take(listening) {
    const listener = deno.listen({ hostname: "127.0.0.1", port: 0 });
    listening(listener.addr.port);
    const stream = connectionStream(await listener.accept());
    listener.close();
    return stream;
  },
});

const { Deno: deno } = globalThis as { Deno?: DenoSockets };
const sockets = deno === undefined ? viaNode : viaDeno(deno);
const say = (what: unknown) => console.log(JSON.stringify(what));

const [mode, file, port, who] = process.argv.slice(2);
const material = JSON.parse(readFileSync(file as string, "utf8")) as Material;

switch (mode) {
  case "core":
    addProvider("node", () => nodeProvider);
    await runCases(material, say);
    break;
  case "dial":
    say(await dial(() => sockets.dial(Number(port)), material, who as "client" | "stranger"));
    break;
  case "listen":
    say(await answer(await sockets.take((at) => say({ port: at })), material));
    break;
  default:
    throw new Error(`no mode ${mode}`);
}
