import { connect, createServer } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, it } from "vitest";
import { socketStream } from "../../src/transport/node-socket.ts";

setFlagsFromString("--expose_gc");
const collect = runInNewContext("gc") as () => void;

it("a socket keeps nothing of the writes that are done", async () => {
  const server = createServer((socket) => socket.resume()).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as { port: number };
  const socket = connect(port, "127.0.0.1");
  const writer = socketStream(socket).writable.getWriter();
  const chunk = new Uint8Array(1);
  const write = async (count: number) => {
    for (let i = 0; i < count; i++) await writer.write(chunk);
    collect();
    return process.memoryUsage().heapUsed;
  };
  const before = await write(2000);
  const after = await write(20_000);
  // A promise that hangs on to each write would keep some 300 bytes of it.
  expect((after - before) / 20_000).toBeLessThan(60);
  await writer.close();
  server.close();
});
