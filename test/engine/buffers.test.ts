import { expect, it } from "vitest";
import { concat, utf8 } from "../../src/bytes/bytes.ts";
import { nodeProvider } from "../../src/crypto/node.ts";
import { clientContext, serverContext } from "../../src/engine/index.ts";
import { createThrowawayAuthority } from "../../src/pki/index.ts";
import { end, exchange } from "../support/pair.ts";

it("what is written before the handshake is done is a copy, of a Buffer too", async () => {
  const authority = await createThrowawayAuthority();
  const { certificates: cert, privateKey: key } = await authority.issue({ dnsNames: ["localhost"], server: true });
  const common = { provider: nodeProvider, clock: Date.now };
  const client = end(clientContext({ ...common, serverName: "localhost", trust: authority.certificatePem }).engine());
  const server = end(serverContext({ ...common, identities: [{ cert, key }] }).engine());
  const data = Buffer.from("hello");
  expect(client.engine.write(data)).toBe(5);
  data.fill(0);
  exchange(client, server);
  expect(concat(...server.received)).toEqual(utf8("hello"));
});
