import { beforeAll, describe, expect, it } from "vitest";
import {
  accept,
  type ConnectOptions,
  connect,
  memoryPair,
  nodeProvider,
  type ServerConfiguration,
  type SessionEvent,
  type TlsSession,
} from "../../src/node/index.ts";
import { codeOf, type Parties, parties, pemOf } from "../support/session.ts";

let p: Parties;
beforeAll(async () => {
  p = await parties();
});

const events: SessionEvent[] = [];

async function pair(
  client: Partial<ConnectOptions> = {},
  server: Partial<ServerConfiguration> = {},
): Promise<[client: TlsSession, server: TlsSession]> {
  const [near, far] = memoryPair();
  events.length = 0;
  return Promise.all([
    connect(near, { ...p.clientOptions, provider: nodeProvider, postHandshakeAuth: true, ...client }),
    accept(far, {
      ...p.serverOptions,
      provider: nodeProvider,
      clientAuth: "off",
      postHandshakeAuth: true,
      onEvent: (event) => events.push(event),
      ...server,
    }),
  ]);
}

describe("a session that asks for a certificate after the handshake", () => {
  it("says who the client is, and its facts from then on, too", async () => {
    const [, server] = await pair();
    expect([server.peer, server.verified, server.peerCertificates]).toEqual([undefined, false, []]);
    const before = server.authenticatedAt;
    const [first, second] = await Promise.all([server.requestClientCertificate(), server.requestClientCertificate()]);
    expect([first?.commonName, second?.commonName]).toEqual(["client", "client"]);
    expect([server.peer?.commonName, server.verified]).toEqual(["client", true]);
    expect(server.peerCertificates.length).toBeGreaterThan(0);
    expect(server.peerSignatureScheme).toBe("ecdsa_secp256r1_sha256");
    expect(server.authenticatedAt).toBeGreaterThanOrEqual(before);
    expect(events.map(({ type }) => type)).toEqual(["client_authenticated", "client_authenticated"]);
  });

  it("gives nothing where the client declines", async () => {
    const [, server] = await pair({ identities: [] });
    expect(await server.requestClientCertificate()).toBeUndefined();
    expect(server.verified).toBe(false);
  });

  it("rejects, and asks nobody, where the client does not offer it", async () => {
    const [client, server] = await pair({ postHandshakeAuth: false });
    expect(await codeOf(server.requestClientCertificate())).toBe("ERR_TLS_POST_HANDSHAKE_AUTH");
    expect(await codeOf(client.requestClientCertificate())).toBe("ERR_TLS_POST_HANDSHAKE_AUTH");
    await Promise.all([client.close(), server.close()]);
  });

  it("rejects with what ends the connection", async () => {
    const [client, server] = await pair({ identities: [pemOf(p.stranger)], ignoreRequestHints: true });
    const asked = codeOf(server.requestClientCertificate());
    expect(await asked).toBe("UNABLE_TO_VERIFY_LEAF_SIGNATURE");
    expect(await codeOf(server.closed)).toBe("UNABLE_TO_VERIFY_LEAF_SIGNATURE");
    expect(await codeOf(client.closed)).toBe("ERR_SSL_TLSV1_ALERT_UNKNOWN_CA");
  });

  it("rejects when the client ends without an answer, and at once behind that", async () => {
    const [client, server] = await pair({ selectIdentity: () => new Promise(() => {}) });
    const asked = server.requestClientCertificate();
    await client.close();
    expect(await codeOf(asked)).toBe("ERR_TLS_CLOSED");
    expect(await codeOf(server.requestClientCertificate())).toBe("ERR_TLS_CLOSED");
  });

  it("rejects when it is aborted itself", async () => {
    const [, server] = await pair({ selectIdentity: () => new Promise(() => {}) });
    const asked = server.requestClientCertificate();
    server.abort();
    expect(await codeOf(asked)).toBe("ERR_TLS_ABORTED");
  });
});
