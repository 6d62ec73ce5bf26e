import { duplexPair } from "node:stream";
import { expect, it } from "vitest";
import { createSecureContext, TLSSocket } from "../../../src/node/tls/index.ts";
import { createWorld, rawMessage } from "../../support/world.ts";

it("a client that asks for KeyUpdates and never reads the answers cannot make a server's output grow", async () => {
  const world = await createWorld();
  const [near, far] = duplexPair();
  const secureContext = createSecureContext({ cert: world.server.certificatePem, key: world.server.privateKeyPem });
  const server = new TLSSocket(far as never, { isServer: true, secureContext });
  server.on("error", () => {});
  server.resume();
  const rogue = world.rogueClient({}, { identities: [] });
  const hear = (chunk: Uint8Array) => {
    rogue.receive(chunk);
    const answer = rogue.takeOutput();
    if (answer.length > 0) near.write(answer);
  };
  near.on("data", hear);
  near.write(rogue.takeOutput());
  await new Promise((resolve) => server.once("secure", resolve));
  near.off("data", hear);
  near.pause();
  let most = 0;
  for (let i = 0; i < 6000; i++) {
    rogue.sendMessage(rawMessage(24, Uint8Array.of(1)));
    rogue.updateWriteKey();
    rogue.send({ type: 23, content: Uint8Array.of(1) });
    near.write(rogue.takeOutput());
    await new Promise((resolve) => setImmediate(resolve));
    most = Math.max(most, far.writableLength);
  }
  expect([server.destroyed, most > 0]).toEqual([false, true]);
  // Each answer is 27 bytes: 162,000 in all.
  expect(most).toBeLessThan(100_000);
  server.destroy();
});
