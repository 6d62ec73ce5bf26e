/** Data of a server before the client has finished: none while it is not known who the client is (DESIGN 3). */
import { beforeAll, expect, it } from "vitest";
import { utf8 } from "../../src/bytes/bytes.ts";
import { clientContext, serverContext } from "../../src/engine/index.ts";
import { end, exchange } from "../support/pair.ts";
import { createWorld, type World } from "../support/world.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
});

it.each(["on", "optional", "optional_no_ca"] as const)(
  "waits for the client's Finished, clientAuth %s",
  (clientAuth) => {
    const client = end(clientContext(world.clientOptions).engine());
    const server = end(serverContext({ ...world.serverOptions, clientAuth }).engine());
    const data = utf8("for those who have shown who they are");
    client.engine.start();
    server.engine.start();
    server.engine.receive(client.engine.takeOutput());
    expect(server.engine.write(data)).toBe(data.length);
    client.engine.receive(server.engine.takeOutput());
    expect([client.engine.state, server.engine.state]).toEqual(["CONNECTED", "WAIT_CERT"]);
    expect([client.engine.read(), server.engine.outputLength]).toEqual([undefined, 0]);
    exchange(client, server);
    expect(client.received).toEqual([data]);
  },
);

it("goes out with the server's flight where nobody is asked for anything", () => {
  const client = end(clientContext(world.clientOptions).engine());
  const server = end(serverContext({ ...world.serverOptions, clientAuth: "off" }).engine());
  const data = utf8("for anyone");
  client.engine.start();
  server.engine.start();
  server.engine.receive(client.engine.takeOutput());
  server.engine.write(data);
  client.engine.receive(server.engine.takeOutput());
  expect([client.engine.read(), server.engine.result]).toEqual([data, undefined]);
});
