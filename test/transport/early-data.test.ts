import { expect, it } from "vitest";
import { concat, utf8 } from "../../src/bytes/bytes.ts";
import { nodeProvider } from "../../src/crypto/node.ts";
import { accept, connect, memoryPair, sealedTickets, sessionCache, strikeRegister } from "../../src/index.ts";
import { parties } from "../support/session.ts";

it("early data that comes in one piece with the client's Finished is all there", async () => {
  const p = await parties();
  const client = { ...p.clientOptions, provider: nodeProvider, sessions: sessionCache() };
  const server = {
    ...p.serverOptions,
    provider: nodeProvider,
    tickets: { store: sealedTickets() },
    acceptEarlyData: { antiReplay: strikeRegister() },
  };
  const [near, far] = memoryPair();
  const [first] = await Promise.all([connect(near, client), accept(far, server)]);
  await first.accepted;

  const [own, clientSide] = memoryPair();
  const [peer, serverSide] = memoryPair();
  const connecting = connect(clientSide, { ...client, earlyData: utf8("early") });
  const accepting = accept(serverSide, server);
  const [fromClient, fromServer] = [own.readable.getReader(), peer.readable.getReader()];
  const [toClient, toServer] = [own.writable.getWriter(), peer.writable.getWriter()];
  const read = async (reader: typeof fromClient) => (await reader.read()).value as Uint8Array;
  const flight = await read(fromClient);
  const hello = 5 + (((flight[3] as number) << 8) | (flight[4] as number));
  expect(flight.length).toBeGreaterThan(hello);
  await toServer.write(flight.slice(0, hello));
  await toClient.write(await read(fromServer));
  await toServer.write(concat(flight.slice(hello), await read(fromClient)));
  const [, accepted] = await Promise.all([connecting, accepting]);
  expect(accepted.earlyData).toBe("accepted");
  expect(accepted.receivedEarlyData).toEqual(utf8("early"));
});
