import { type Duplex, duplexPair } from "node:stream";
import { beforeAll, describe, expect, it } from "vitest";
import { nodeProvider as provider } from "../../../src/crypto/node.ts";
import { clientContext, type TlsEngine } from "../../../src/engine/index.ts";
import { createSecureContext, createServer, type TLSSocket } from "../../../src/node/tls/index.ts";
import type { Server, ServerOptions } from "../../../src/node/tls/server.ts";
import { createThrowawayAuthority } from "../../../src/pki/index.ts";
import { type Identities, identities } from "./world.ts";

/** `setSecureContext` and `addContext` while handshakes are under way. */

let p: Identities;
let stranger: string;
beforeAll(async () => {
  p = await identities();
  stranger = (await createThrowawayAuthority()).certificatePem;
});

const options = (): ServerOptions => ({ ...p.server, ca: p.ca, requestCert: true });

/** A client that has got the server's flight, and keeps its own for itself. */
async function halfway(server: Server): Promise<{ client: TlsEngine; near: Duplex }> {
  const context = clientContext({
    provider,
    clock: Date.now,
    serverName: "localhost",
    trust: p.ca,
    identities: [p.client],
    ignoreRequestHints: true,
  });
  const client = context.engine();
  const [near, far] = duplexPair();
  server.emit("connection", far);
  near.on("data", (chunk) => client.receive(chunk));
  const answered = new Promise<void>((resolve) => client.listen(({ type }) => type === "handshake" && resolve()));
  client.start();
  near.write(client.takeOutput());
  await answered;
  return { client, near };
}

/** What the server makes of it in the end: its error, or how it sees the client. */
async function finish({ client, near }: { client: TlsEngine; near: Duplex }, server: Server) {
  const ended = new Promise<unknown>((resolve) => {
    server.once("tlsClientError", (error) => resolve((error as { cause?: { code?: string } }).cause?.code));
    server.once("secureConnection", (socket) => resolve(socket));
  });
  near.write(client.takeOutput());
  return ended;
}

describe("a handshake under way", () => {
  it("keeps its certificate, and its client is judged by the new ca", async () => {
    const server = createServer(options());
    const at = await halfway(server);
    server.setSecureContext({ ...p.one, ca: stranger });
    expect(at.client.result?.peer?.commonName).toBe("localhost");
    expect(await finish(at, server)).toBe("UNABLE_TO_VERIFY_LEAF_SIGNATURE");
    expect(at.client.error?.code).toBe("ERR_SSL_TLSV1_ALERT_UNKNOWN_CA");
  });

  it("ends well where the new ca still has the client's", async () => {
    const server = createServer(options());
    const at = await halfway(server);
    server.setSecureContext({ ...p.one, ca: [stranger, p.ca] });
    expect(((await finish(at, server)) as TLSSocket).authorized).toBe(true);
  });

  it("ends with a client that is not authorized where that is no reason to refuse it", async () => {
    const server = createServer({ ...options(), rejectUnauthorized: false });
    const at = await halfway(server);
    server.setSecureContext({ ...p.one, ca: stranger });
    const socket = (await finish(at, server)) as TLSSocket;
    expect(socket.authorized).toBe(false);
    expect(socket.authorizationError).toBe("UNABLE_TO_VERIFY_LEAF_SIGNATURE");
  });

  it("is judged by the context of its name", async () => {
    const server = createServer({ ...options(), ca: stranger });
    server.addContext("localhost", { ...p.server, ca: p.ca });
    const fine = await halfway(server);
    // Another name's is none of its business.
    server.addContext("elsewhere.test", { ...p.one, ca: stranger });
    server.setSecureContext({ ...p.one, ca: stranger });
    expect(((await finish(fine, server)) as TLSSocket).authorized).toBe(true);
    const late = await halfway(server);
    server.addContext("*", { ...p.one, ca: stranger });
    expect(await finish(late, server)).toBe("UNABLE_TO_VERIFY_LEAF_SIGNATURE");
  });

  it("is judged by the context that an SNICallback chose", async () => {
    const chosen = createSecureContext({ ...p.server, ca: p.ca });
    const server = createServer({ ...options(), SNICallback: (_name, done) => done(null, chosen as never) });
    const at = await halfway(server);
    server.setSecureContext({ ...p.one, ca: stranger });
    expect(((await finish(at, server)) as TLSSocket).authorized).toBe(true);
  });
});
