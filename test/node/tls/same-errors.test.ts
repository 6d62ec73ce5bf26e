import { once } from "node:events";
import net from "node:net";
import type tls from "node:tls";
import { beforeAll, describe, expect, it } from "vitest";
import { HOST, type Identities, identities, listening, PAIRS, record } from "./world.ts";

/** What goes wrong, over node:tls and over mutls: the same events with the same codes. */

/** @types/node has no setServername. */
const named = (socket: unknown, name: unknown) =>
  (socket as { setServername(name: unknown): void }).setServername(name);

let p: Identities;
beforeAll(async () => {
  p = await identities();
});

describe.each(PAIRS)("failures of %s", (_, client, server) => {
  const good = (): tls.ConnectionOptions => ({ host: HOST, ca: p.ca, ...p.client, servername: "localhost" });

  async function serve(
    options: tls.TlsOptions = {},
    accept: (socket: tls.TLSSocket) => void = (socket) => socket.pipe(socket),
  ) {
    const listener = server.createServer({ ...p.server, ca: p.ca, minVersion: "TLSv1.3", ...options }, (socket) => {
      // Clients here hang up as they like.
      socket.on("error", () => {});
      accept(socket);
    });
    return { listener, port: await listening(listener) };
  }

  /** The client's events up to its end. */
  async function attempt(options: tls.ConnectionOptions): Promise<{ socket: tls.TLSSocket; seen: string[] }> {
    const socket = client.connect(options);
    const seen = record(socket, "secureConnect", "error", "close");
    await new Promise((resolve) => socket.once("close", resolve));
    return { socket, seen };
  }

  it.each([
    ["an unknown CA", "stranger", "localhost", "UNABLE_TO_VERIFY_LEAF_SIGNATURE"],
    ["an expired certificate", "expired", "localhost", "CERT_HAS_EXPIRED"],
    ["another name", "server", "elsewhere.test", "ERR_TLS_CERT_ALTNAME_INVALID"],
  ] as const)("are an error of the client for %s", async (_what, identity, servername, code) => {
    const { port } = await serve(p[identity]);
    const { socket, seen } = await attempt({ ...good(), port, servername });
    expect(seen).toEqual([`error ${code}`, "close"]);
    expect(socket.authorized).toBe(false);
    expect(socket.authorizationError).toBe(code);
    expect(socket.destroyed).toBe(true);
  });

  it("tell of the name that was wanted", async () => {
    const { port } = await serve();
    const socket = client.connect({ ...good(), port, servername: "elsewhere.test" });
    const [error] = await once(socket, "error");
    expect(error).toMatchObject({
      code: "ERR_TLS_CERT_ALTNAME_INVALID",
      host: "elsewhere.test",
      reason: "Host: elsewhere.test. is not in the cert's altnames: DNS:localhost, IP Address:127.0.0.1",
    });
    expect(error.cert.subject.CN).toBe("localhost");
  });

  it("are let pass with rejectUnauthorized false, and noted", async () => {
    const { port } = await serve(p.stranger);
    const socket = client.connect({ ...good(), port, rejectUnauthorized: false });
    await once(socket, "secureConnect");
    expect(socket.authorized).toBe(false);
    expect(socket.authorizationError).toBe("UNABLE_TO_VERIFY_LEAF_SIGNATURE");
    expect(socket.getPeerCertificate().subject.CN).toBe("stranger");
    socket.destroy();
  });

  it("of the name are let pass with rejectUnauthorized false, and noted", async () => {
    const { port } = await serve();
    const socket = client.connect({ ...good(), port, servername: "elsewhere.test", rejectUnauthorized: false });
    await once(socket, "secureConnect");
    expect([socket.authorized, socket.authorizationError]).toEqual([false, "ERR_TLS_CERT_ALTNAME_INVALID"]);
    socket.destroy();
  });

  it("come from the application's own checkServerIdentity, with its error", async () => {
    const { port } = await serve();
    const mine = new Error("not that one");
    const asked: string[] = [];
    const socket = client.connect({
      ...good(),
      port,
      checkServerIdentity(hostname, { subject, issuerCertificate }: tls.DetailedPeerCertificate) {
        asked.push(hostname, String(subject.CN), String(issuerCertificate.subject.CN));
        expect(issuerCertificate.issuerCertificate).toBe(issuerCertificate);
        return mine;
      },
    } as tls.ConnectionOptions);
    const [error] = await once(socket, "error");
    expect(error).toBe(mine);
    expect(socket.authorizationError).toBe("not that one");
    expect(asked).toEqual(["localhost", "localhost", "mutls throwaway root"]);
  });

  it("reach a client without a certificate after it has finished", async () => {
    const { listener, port } = await serve({ requestCert: true });
    const refused = once(listener, "tlsClientError");
    const { cert: _cert, key: _key, ...anonymous } = good();
    const { seen } = await attempt({ ...anonymous, port });
    expect(seen).toEqual(["secureConnect", "error ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED", "close"]);
    const [error] = await refused;
    expect(error.code).toBe("ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE");
  });

  it("reach a client of an unknown CA, and the server knows why", async () => {
    const accepted: unknown[] = [];
    const { listener, port } = await serve({ requestCert: true }, (socket) => accepted.push(socket));
    const refused = once(listener, "tlsClientError");
    const socket = client.connect({ ...good(), ...p.stranger, port });
    const seen = record(socket, "secureConnect", "data", "close");
    socket.on("error", () => {
      // node:tls hangs up without a word, mutls says unknown_ca first.
    });
    const [error, refusedSocket] = await refused;
    expect(error.code).toBe("ECONNRESET");
    expect(refusedSocket.authorized).toBe(false);
    expect(refusedSocket.authorizationError).toBe("UNABLE_TO_VERIFY_LEAF_SIGNATURE");
    expect(accepted).toEqual([]);
    if (!socket.closed) await new Promise((resolve) => socket.once("close", resolve));
    expect(seen).toEqual(["secureConnect", "close"]);
  });

  it.each([
    ["a stranger's", "stranger", "UNABLE_TO_VERIFY_LEAF_SIGNATURE"],
    ["an expired", "expired", "CERT_HAS_EXPIRED"],
    ["no", undefined, "UNABLE_TO_GET_ISSUER_CERT"],
  ] as const)("are left to the server's application: %s certificate", async (_what, identity, code) => {
    const { listener, port } = await serve({ requestCert: true, rejectUnauthorized: false });
    const accepted = once(listener, "secureConnection");
    const { cert: _cert, key: _key, ...anonymous } = good();
    const socket = client.connect({ ...anonymous, ...(identity && p[identity]), port });
    const [peer] = await accepted;
    expect([peer.authorized, peer.authorizationError]).toEqual([false, code]);
    expect(peer.getPeerCertificate().subject?.CN).toBe(identity);
    socket.destroy();
  });

  it("are the socket's where nobody listens", async () => {
    const nobody = net.createServer();
    const port = await listening(nobody);
    await new Promise((resolve) => nobody.close(resolve));
    const socket = client.connect({ ...good(), port });
    const seen = record(socket, "connect", "secureConnect", "error", "close");
    const [error] = await once(socket, "error");
    expect(error).toMatchObject({ code: "ECONNREFUSED", syscall: "connect", address: HOST, port });
    await once(socket, "close");
    expect(seen).toEqual(["error ECONNREFUSED", "close"]);
  });

  it("are ECONNRESET where the server hangs up during the handshake", async () => {
    const rude = net.createServer((socket) => socket.once("data", () => socket.end()));
    const port = await listening(rude);
    const socket = client.connect({ ...good(), port });
    const [error] = await once(socket, "error");
    expect(error).toMatchObject({
      code: "ECONNRESET",
      message: "Client network socket disconnected before secure TLS connection was established",
      host: HOST,
      port,
    });
  });

  it("are ECONNRESET on the server where the client hangs up during the handshake", async () => {
    const { listener, port } = await serve();
    const raw = net.connect(port, HOST, () => raw.end(Buffer.from([22, 3, 1])));
    const [error] = await once(listener, "tlsClientError");
    expect([error.code, error.message]).toEqual(["ECONNRESET", "socket hang up"]);
  });

  it.each([
    ["HTTP", "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n", "ERR_SSL_HTTP_REQUEST"],
    ["no TLS at all", "hello there, how are you?", "ERR_SSL_WRONG_VERSION_NUMBER"],
  ])("of a server that is spoken to in %s", async (_what, text, code) => {
    const { listener, port } = await serve();
    const raw = net.connect(port, HOST, () => raw.write(text)).resume();
    raw.on("error", () => {
      // A reset will do.
    });
    const told = await new Promise((resolve) => {
      listener.once("tlsClientError", (error, socket) => {
        resolve([(error as NodeJS.ErrnoException).code, socket.remoteAddress]);
      });
    });
    expect(told).toEqual([code, HOST]);
    await once(raw, "close");
  });

  it("of a client that is answered by no TLS", async () => {
    const plain = net.createServer((socket) => socket.end("SSH-2.0-none of yours\r\n"));
    const { seen } = await attempt({ ...good(), port: await listening(plain) });
    expect(seen).toEqual(["error ERR_SSL_WRONG_VERSION_NUMBER", "close"]);
  });

  it("include a handshake that takes too long", async () => {
    const { listener, port } = await serve({ handshakeTimeout: 50 });
    const raw = net.connect(port, HOST);
    const [error, socket] = await once(listener, "tlsClientError");
    expect(error.code).toBe("ERR_TLS_HANDSHAKE_TIMEOUT");
    socket.destroy();
    await once(raw, "close");
  });

  it("include silence: an event, and nothing else", async () => {
    const { port } = await serve({}, () => {});
    const socket = client.connect({ ...good(), port, timeout: 50 });
    const seen = record(socket, "error", "close");
    await once(socket, "timeout");
    expect(socket.timeout).toBe(50);
    expect(seen).toEqual([]);
    socket.destroy();
  });

  it("do not include an end by one's own hand", async () => {
    const { listener, port } = await serve();
    const refused = once(listener, "tlsClientError");
    const socket = client.connect({ ...good(), port });
    const seen = record(socket, "secureConnect", "error", "close");
    await once(socket, "connect");
    socket.destroy();
    await once(socket, "close");
    expect(seen).toEqual(["close"]);
    const [error] = await refused;
    expect(error.code).toBe("ECONNRESET");
  });

  it("include the error that one destroys it with", async () => {
    const { port } = await serve();
    const socket = client.connect({ ...good(), port });
    const seen = record(socket, "secureConnect", "error", "close");
    await once(socket, "connect");
    socket.destroy(Object.assign(new Error("mine"), { code: "MINE" }));
    await new Promise((resolve) => socket.once("close", resolve));
    expect(seen).toEqual(["error MINE", "close"]);
  });

  it("end by a signal", async () => {
    const { port } = await serve();
    const controller = new AbortController();
    const socket = client.connect({ ...good(), port, signal: controller.signal } as tls.ConnectionOptions);
    await once(socket, "secureConnect");
    controller.abort();
    const [error] = await once(socket, "error");
    expect(error.name).toBe("AbortError");
  });

  it("name no protocol in common", async () => {
    const { listener, port } = await serve({ ALPNProtocols: ["h2"] });
    const refused = once(listener, "tlsClientError");
    const { seen } = await attempt({ ...good(), port, ALPNProtocols: ["http/1.1"] });
    expect(seen).toEqual(["error ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL", "close"]);
    const [error] = await refused;
    expect(error.code).toBe("ERR_SSL_NO_APPLICATION_PROTOCOL");
  });

  it("are SNICallback's, with its error", async () => {
    const { listener, port } = await serve({
      SNICallback: (_name, done) => done(Object.assign(new Error("no such name"), { code: "MINE" })),
    });
    const refused = once(listener, "tlsClientError");
    const { seen } = await attempt({ ...good(), port });
    expect(seen.at(-1)).toBe("close");
    expect(seen[0]).toMatch(/^error /);
    const [error] = await refused;
    expect(error.code).toBe("MINE");
  });
});

describe.each(PAIRS.slice(0, 2))("arguments of %s", (_, tls) => {
  it.each([
    [
      "a version that does not exist",
      () => tls.createSecureContext({ minVersion: "SSLv9" as never }),
      "ERR_TLS_INVALID_PROTOCOL_VERSION",
    ],
    [
      "two ways to name a version",
      () => tls.createSecureContext({ secureProtocol: "TLS_method", minVersion: "TLSv1.2" }),
      "ERR_TLS_PROTOCOL_VERSION_CONFLICT",
    ],
    [
      "another's key",
      () => tls.createSecureContext({ cert: p.server.cert, key: p.client.key }),
      "ERR_OSSL_X509_KEY_VALUES_MISMATCH",
    ],
    ["a key that is none", () => tls.createSecureContext({ key: "no key" }), "ERR_OSSL_UNSUPPORTED"],
    [
      "a curve that does not exist",
      () => tls.connect({ host: HOST, port: 1, ecdhCurve: "P-1" }),
      "ERR_CRYPTO_OPERATION_FAILED",
    ],
    [
      "SNI from a server",
      () => named(new tls.TLSSocket(new net.Socket(), { isServer: true }), "x"),
      "ERR_TLS_SNI_FROM_SERVER",
    ],
    [
      "two ways to choose a protocol",
      () => tls.createServer({ ALPNProtocols: ["a"], ALPNCallback: () => "a" }),
      "ERR_TLS_ALPN_CALLBACK_WITH_PROTOCOLS",
    ],
    ["a context without a name", () => tls.createServer().addContext("", {}), "ERR_TLS_REQUIRED_SERVER_NAME"],
    [
      "a context that is none",
      () => tls.connect({ host: HOST, port: 1, secureContext: {} as never }),
      "ERR_TLS_INVALID_CONTEXT",
    ],
    [
      "keying material before the handshake",
      () => new tls.TLSSocket(new net.Socket()).exportKeyingMaterial(16, "x", Buffer.alloc(0)),
      "ERR_TLS_INVALID_STATE",
    ],
    ["a server name that is none", () => named(new tls.TLSSocket(new net.Socket()), 1), "ERR_INVALID_ARG_TYPE"],
    ["options that are none", () => tls.createServer(1 as never), "ERR_INVALID_ARG_TYPE"],
  ])("refuse %s", (_what, act, code) => {
    expect(act).toThrow(expect.objectContaining({ code }));
  });
});
