import { beforeAll, describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes/bytes.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { nodeProvider } from "../../src/crypto/node.ts";
import { accept, connect, memoryPair, type TlsSession } from "../../src/index.ts";
import { type Parties, parties, pattern, readAll, writeAll } from "../support/session.ts";

let p: Parties;

beforeAll(async () => {
  p = await parties();
});

async function pair(highWaterMark?: number): Promise<[TlsSession, TlsSession]> {
  const [near, far] = memoryPair({ highWaterMark });
  return Promise.all([
    connect(near, { ...p.clientOptions, provider: nodeProvider }),
    accept(far, { ...p.serverOptions, provider: nodeProvider }),
  ]);
}

describe("a session over memory", () => {
  for (const provider of [nobleProvider, nodeProvider]) {
    it(`says who the peer is, carries data and closes, ${provider.name}`, async () => {
      const [near, far] = memoryPair();
      const [client, server] = await Promise.all([
        connect(near, { ...p.clientOptions, provider }),
        accept(far, { ...p.serverOptions, provider }),
      ]);
      expect([client.peer?.commonName, server.peer?.commonName]).toEqual(["localhost", "client"]);
      expect([client.verified, server.verified, client.clientAuthRequested]).toEqual([true, true, true]);
      await server.accepted;
      const [toServer] = await Promise.all([readAll(server.readable), writeAll(client.writable, utf8("hello"))]);
      expect(toServer).toEqual(utf8("hello"));
      const [toClient] = await Promise.all([readAll(client.readable), writeAll(server.writable, utf8("world"))]);
      expect(toClient).toEqual(utf8("world"));
      await Promise.all([client.accepted, client.closed, server.closed]);
    });
  }

  it("carries 5 MB both ways at the same time", async () => {
    const [client, server] = await pair();
    const up = pattern(5_000_000);
    const down = pattern(4_999_999);
    const [toServer, toClient] = await Promise.all([
      readAll(server.readable),
      readAll(client.readable),
      writeAll(client.writable, up),
      writeAll(server.writable, down),
    ]);
    expect([toServer.length, toClient.length]).toEqual([up.length, down.length]);
    expect([Buffer.compare(toServer, up), Buffer.compare(toClient, down)]).toEqual([0, 0]);
    await Promise.all([client.closed, server.closed]);
  });
});
