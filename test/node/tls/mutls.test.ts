import { once } from "node:events";
import net from "node:net";
import nodeTls from "node:tls";
import { beforeAll, describe, expect, it } from "vitest";
import { parsePrivateKey } from "../../../src/crypto/keys.ts";
import { nodeProvider } from "../../../src/crypto/node.ts";
import type { ConnectOptions } from "../../../src/node/tls/connect.ts";
import { connect, createServer, TLSSocket } from "../../../src/node/tls/index.ts";
import type { ServerOptions } from "../../../src/node/tls/server.ts";
import { createThrowawayAuthority } from "../../../src/pki/index.ts";
import { HOST, type Identities, identities, listening, mutls, record, textOf } from "./world.ts";

/** Where this shape of node:tls is its own. */

let p: Identities;
beforeAll(async () => {
  p = await identities();
});

const good = () => ({ host: HOST, ca: p.ca, ...p.client, servername: "localhost" });

describe("a client's certificate", () => {
  const secret = "known only to me";

  it.each([
    ["an unknown CA", "stranger", "localhost", /ALERT_UNKNOWN_CA$/],
    ["an expired certificate", "expired", "localhost", /ALERT_CERTIFICATE_EXPIRED$/],
    ["another name", "server", "elsewhere.test", /ALERT_BAD_CERTIFICATE$/],
  ] as const)("is not shown to a server of %s", async (_what, identity, servername, alert) => {
    const server = nodeTls.createServer({ ...p[identity], ca: p.ca, requestCert: true, minVersion: "TLSv1.3" });
    const told = once(server, "tlsClientError");
    const socket = connect({ ...good(), port: await listening(server), servername });
    socket.on("error", () => {});
    const [error, far] = await told;
    // OpenSSL has had several names for the beginning.
    expect(error.code).toMatch(alert);
    expect(far.getPeerX509Certificate()).toBe(undefined);
  });

  it("is not shown to a server that the application does not want", async () => {
    const server = nodeTls.createServer({ ...p.server, ca: p.ca, requestCert: true, minVersion: "TLSv1.3" });
    const told = once(server, "tlsClientError");
    const order: string[] = [];
    server.on("keylog", () => order.push("server"));
    const socket = connect({
      ...good(),
      port: await listening(server),
      checkServerIdentity: () => new Error(secret),
    });
    const [error] = await once(socket, "error");
    expect(error.message).toBe(secret);
    const [alert, far] = await told;
    expect(alert.code).toMatch(/ALERT_BAD_CERTIFICATE$/);
    expect(far.getPeerX509Certificate()).toBe(undefined);
  });

  it("is not shown where checkServerIdentity throws", async () => {
    const server = nodeTls.createServer({ ...p.server, ca: p.ca, requestCert: true, minVersion: "TLSv1.3" });
    const told = once(server, "tlsClientError");
    const mine = new Error(secret);
    const socket = connect({
      ...good(),
      port: await listening(server),
      checkServerIdentity() {
        throw mine;
      },
    });
    const [error] = await once(socket, "error");
    expect(error).toBe(mine);
    const [, far] = await told;
    expect(far.getPeerX509Certificate()).toBe(undefined);
  });
});

describe("a refused client", () => {
  it.each([
    ["no certificate", undefined, "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED"],
    ["an unknown CA's", "stranger", "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA"],
    ["an expired certificate", "expired", "ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED"],
  ] as const)("is told why, 50 times in the middle of a large write: %s", async (_what, identity, code) => {
    const server = createServer({ ...p.server, ca: p.ca, requestCert: true });
    const port = await listening(server);
    const { cert: _cert, key: _key, ...anonymous } = good();
    for (let round = 0; round < 50; round++) {
      const socket = connect({ ...anonymous, ...(identity && p[identity]), port });
      const seen = record(socket, "error", "close");
      socket.write(Buffer.alloc(1_000_000));
      await new Promise((resolve) => socket.once("close", resolve));
      expect(seen).toEqual([`error ${code}`, "close"]);
    }
  });

  it("is told of to the server, with the reason", async () => {
    const server = createServer({ ...p.server, ca: p.ca, requestCert: true });
    const told = once(server, "tlsClientError");
    const socket = connect({ ...good(), ...p.stranger, port: await listening(server) });
    socket.on("error", () => {});
    const [error, far] = await told;
    expect([error.code, error.cause.code]).toEqual(["ECONNRESET", "UNABLE_TO_VERIFY_LEAF_SIGNATURE"]);
    expect(error.cause.rejection.paths.length).toBeGreaterThan(0);
    expect(far).toBeInstanceOf(TLSSocket);
    expect(far.failure).toBe(error.cause);
  });
});

describe("versions", () => {
  it("below TLS 1.3 are refused to clients", async () => {
    const server = createServer(p.server);
    const told = once(server, "tlsClientError");
    const socket = nodeTls.connect({ host: HOST, port: await listening(server), ca: p.ca, maxVersion: "TLSv1.2" });
    const [error] = await once(socket, "error");
    expect(error.code).toBe("ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION");
    const [fault] = await told;
    expect(fault.code).toBe("ERR_SSL_UNSUPPORTED_PROTOCOL");
  });

  it("below TLS 1.3 are refused to servers", async () => {
    const server = nodeTls.createServer({ ...p.server, maxVersion: "TLSv1.2" });
    const socket = connect({ ...good(), port: await listening(server) });
    const [error] = await once(socket, "error");
    expect(error.code).toBe("ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION");
  });
});

describe("keys", () => {
  it("may be anything that signs", async () => {
    const own = nodeProvider.signer(parsePrivateKey(p.client.key));
    const asked: string[] = [];
    const key = {
      schemes: own.schemes,
      async sign(...args: Parameters<typeof own.sign>) {
        asked.push(args[0]);
        return own.sign(...args);
      },
    };
    const server = createServer({ ...p.server, ca: p.ca, requestCert: true }, (socket) =>
      socket.end(String(socket.getPeerCertificate().subject.CN)),
    );
    const socket = connect({ ...good(), key, port: await listening(server) });
    expect(await textOf(socket)).toBe("client");
    expect(asked).toEqual(["ecdsa_secp256r1_sha256"]);
  });

  it("find their certificates among several", async () => {
    const authority = await createThrowawayAuthority();
    const [ec, rsa] = await Promise.all([
      authority.issue({ dnsNames: ["localhost"] }),
      authority.issue({ dnsNames: ["localhost"], key: "RSA" }),
    ]);
    const server = mutls.createServer({
      cert: [rsa.certificatePem, ec.certificatePem],
      key: [ec.privateKeyPem, rsa.privateKeyPem],
    });
    const port = await listening(server);
    for (const [sigalgs, type] of [
      ["ECDSA+SHA256", "ec"],
      ["RSA-PSS+SHA256", "rsa"],
    ] as const) {
      const socket = mutls.connect({ port, ca: authority.certificatePem, host: "localhost", sigalgs });
      await once(socket, "secureConnect");
      expect(socket.getPeerX509Certificate()?.publicKey.asymmetricKeyType).toBe(type);
      socket.destroy();
    }
  });

  it("are changed by setKeyCert before they are used", async () => {
    const server = net.createServer((raw) => {
      const socket = new TLSSocket(raw, { isServer: true, ...p.server });
      socket.setKeyCert(p.one);
      socket.on("secure", () => expect(() => socket.setKeyCert(p.two)).toThrow(/after the handshake/));
    });
    const socket = connect({ ...good(), servername: "one.test", port: await listening(server) });
    await once(socket, "secureConnect");
    expect(socket.getPeerCertificate().subject.CN).toBe("one");
    socket.destroy();
  });
});

describe("trust", () => {
  it("is that of Node's roots where ca is left out", async () => {
    const server = createServer(p.server);
    const socket = connect({ host: HOST, port: await listening(server) });
    const [error] = await once(socket, "error");
    expect(error.code).toBe("UNABLE_TO_VERIFY_LEAF_SIGNATURE");
  });

  it("asks for nobody's certificates by name where ca is left out", async () => {
    const server = createServer({ ...p.server, requestCert: true, rejectUnauthorized: false }, (socket) =>
      socket.end(socket.authorizationError as unknown as string),
    );
    const socket = connect({ ...good(), port: await listening(server) });
    expect(await textOf(socket)).toBe("UNABLE_TO_VERIFY_LEAF_SIGNATURE");
  });

  describe.each([
    ["node:tls", nodeTls],
    ["mutls", mutls],
  ])("in an intermediate CA, with %s", (_name, tls) => {
    let leaf: { cert: string; key: string };
    let chain: { cert: string; key: string };
    let intermediate: string;
    let root: string;
    beforeAll(async () => {
      const authority = await createThrowawayAuthority({ intermediates: 1 });
      const { certificatePem, privateKeyPem: key } = await authority.issue({ dnsNames: ["localhost"] });
      const pems = certificatePem.split(/(?<=-----END CERTIFICATE-----\n)/);
      chain = { cert: certificatePem, key };
      leaf = { cert: pems[0] as string, key };
      intermediate = pems[1] as string;
      root = authority.certificatePem;
    });

    async function verdict(server: nodeTls.TlsOptions, client: nodeTls.ConnectionOptions): Promise<unknown> {
      const port = await listening(tls.createServer({ minVersion: "TLSv1.3", ...server }));
      const socket = tls.connect({ port, host: "localhost", rejectUnauthorized: false, ...client });
      await once(socket, "secureConnect");
      socket.destroy();
      return socket.authorized || socket.authorizationError;
    }

    it("is not enough", async () => {
      expect(await verdict(chain, { ca: intermediate })).toMatch(/^UNABLE_TO_GET_ISSUER_CERT/);
    });

    it.skipIf(process.versions.openssl.startsWith("1."))("is enough with allowPartialTrustChain", async () => {
      expect(await verdict(chain, { ca: intermediate, allowPartialTrustChain: true })).toBe(true);
    });

    it("helps where the server sends too little", async () => {
      expect(await verdict(leaf, { ca: [root, intermediate] })).toBe(true);
      expect(await verdict(leaf, { ca: root })).toBe("UNABLE_TO_VERIFY_LEAF_SIGNATURE");
    });

    it("is sent by a server that has it among ca", async () => {
      expect(await verdict({ ...leaf, ca: intermediate }, { ca: root })).toBe(true);
    });
  });
});

describe("a session", () => {
  const serverOptions = () => ({ ...p.server, ca: p.ca, requestCert: true, ticketKeys: Buffer.alloc(48, 1) });

  async function open(options: ServerOptions = serverOptions()) {
    const server = createServer(options, (socket) => {
      socket.on("error", () => {});
      socket.write(String(socket.getPeerCertificate().subject.CN));
    });
    return { server, port: await listening(server) };
  }

  /** Until the server has said something, or has refused; with the session that it gave. */
  async function meet(options: ConnectOptions) {
    const socket = connect({ ...good(), ...options });
    let failure: NodeJS.ErrnoException | undefined;
    socket.on("error", (error) => {
      failure = error;
    });
    await new Promise((resolve) => {
      socket.once("data", resolve);
      socket.once("close", resolve);
    });
    const outcome = { reused: socket.isSessionReused(), peer: socket.getPeerCertificate()?.subject?.CN, failure };
    const session = socket.getSession();
    socket.destroy();
    return { ...outcome, session };
  }

  it("knows the server again", async () => {
    const { port } = await open();
    const { session } = await meet({ port });
    expect(await meet({ port, session })).toMatchObject({ reused: true, peer: "localhost", failure: undefined });
  });

  it("is not another's: with other certificates the client says who it is", async () => {
    const { port } = await open();
    const { session } = await meet({ port });
    const other = await meet({ port, session, cert: undefined, key: undefined });
    expect(other.reused).toBe(false);
    expect(other.failure?.code).toBe("ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED");
  });

  it("is not another's by setKeyCert either", async () => {
    const { port } = await open();
    const { session } = await meet({ port });
    let late: unknown;
    const socket = connect({
      ...good(),
      port,
      session,
      checkServerIdentity: () => {
        try {
          socket.setKeyCert(p.client);
        } catch (error) {
          late = error;
        }
        return undefined;
      },
    });
    expect(Buffer.isBuffer(socket.getSession())).toBe(true);
    socket.setKeyCert(p.stranger);
    expect(socket.getSession()).toBe(undefined);
    const [error] = await once(socket, "error");
    expect(error.code).toBe("ERR_SSL_TLSV1_ALERT_UNKNOWN_CA");
    expect(socket.isSessionReused()).toBe(false);
    expect(late).toMatchObject({ message: expect.stringMatching(/has begun/) });
  });

  it("does not outlive the client's trust in the server", async () => {
    const { port } = await open();
    const { session } = await meet({ port });
    const ca = (await createThrowawayAuthority()).certificatePem;
    expect(await meet({ port, session, ca })).toMatchObject({
      reused: false,
      failure: { code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE" },
    });
  });

  it("does not outlive the server's trust in the client, whatever keys the tickets have", async () => {
    const { server, port } = await open();
    const { session } = await meet({ port });
    server.setSecureContext({ ...serverOptions(), ca: (await createThrowawayAuthority()).certificatePem });
    const { reused, failure } = await meet({ port, session });
    expect(reused).toBe(false);
    expect(failure?.code).toBe("ERR_SSL_TLSV1_ALERT_UNKNOWN_CA");
  });

  it("is offered only to a server that checkServerIdentity wants, and a full handshake may still convince it", async () => {
    const { port } = await open();
    const { session } = await meet({ port });
    const asked: string[] = [];
    const checkServerIdentity = (name: string) => {
      asked.push(name);
      return asked.length === 1 ? new Error("not now") : undefined;
    };
    const socket = connect({ ...good(), port, session, checkServerIdentity });
    await once(socket, "secureConnect");
    expect([socket.isSessionReused(), socket.authorized, socket.authorizationError]).toEqual([false, true, null]);
    expect(asked).toEqual(["localhost", "localhost"]);
    socket.destroy();
  });

  it("ends with sessionTimeout, and is none at 0", async () => {
    const { port } = await open({ ...serverOptions(), sessionTimeout: 0 });
    expect((await meet({ port })).session).toBe(undefined);
    for (const sessionTimeout of [-1, 0.5]) {
      expect(() => createServer({ ...serverOptions(), sessionTimeout })).toThrow(/sessionTimeout/);
    }
  });

  it("needs bytes", () => {
    expect(() => connect({ ...good(), port: 1, session: 5 as never })).toThrow(/a session is a Buffer/);
    expect(() => createServer({ ...p.server, sessionIdContext: 5 as never })).toThrow(/must be a string/);
    expect(() => createServer({ ...p.server, ticketKeys: "x".repeat(48) as never })).toThrow(/ticket keys are bytes/);
    expect(() => createServer({ ...p.server, ticketKeys: Buffer.alloc(32) })).toThrow(/48-byte/);
  });

  it("may be left where it is: a server whose tickets come too late for a client does not fail", async () => {
    const server = createServer(serverOptions());
    const failures: Error[] = [];
    server.on("secureConnection", (socket) => socket.on("error", (error: Error) => failures.push(error)));
    const port = await listening(server);
    for (let round = 0; round < 20; round++) {
      const closed = new Promise((resolve) =>
        server.once("secureConnection", (socket) => socket.once("close", resolve)),
      );
      const socket = connect({ ...good(), port });
      await once(socket, "secureConnect");
      socket.destroy();
      await closed;
    }
    // A reset that is read is an error, in node:tls too; a write that nobody asked for is none.
    expect(failures.filter((error) => (error as NodeJS.ErrnoException).syscall === "write")).toEqual([]);
  });
});

describe("a pre-shared key", () => {
  it("of the wrong kind ends the connection with an error", async () => {
    const port = await listening(createServer(p.server));
    for (const [given, message] of [
      [5, /an object or null/],
      [{ psk: Buffer.alloc(32), identity: 5 }, /identity of a PSK is a string/],
      [{ psk: "secret", identity: "a" }, /a Buffer or TypedArray/],
      [{ psk: Buffer.alloc(3), identity: "a" }, /at least 16/],
    ] as const) {
      const socket = connect({ ...good(), port, pskCallback: (() => given) as never });
      const [error] = await once(socket, "error");
      expect(error.message).toMatch(message);
    }
  });

  it("that the server's callback cannot give ends the handshake", async () => {
    const server = createServer({
      pskCallback: () => {
        throw new Error("no store");
      },
    });
    const told = once(server, "tlsClientError");
    const pskCallback = () => ({ psk: Buffer.alloc(32), identity: "a" });
    const socket = connect({ host: HOST, port: await listening(server), pskCallback });
    socket.on("error", () => {});
    const [error] = await told;
    expect(error.message).toBe("no store");
  });
});

describe("callbacks that fail", () => {
  it.each([
    [
      "SNICallback throws",
      {
        SNICallback: () => {
          throw Object.assign(new Error("no"), { code: "MINE" });
        },
      },
      "MINE",
    ],
    [
      "ALPNCallback throws",
      {
        ALPNCallback: () => {
          throw Object.assign(new Error("no"), { code: "MINE" });
        },
      },
      "MINE",
    ],
    ["ALPNCallback invents a protocol", { ALPNCallback: () => "other" }, "ERR_TLS_ALPN_CALLBACK_INVALID_RESULT"],
    ["ALPNCallback wants none", { ALPNCallback: () => undefined }, "ERR_SSL_NO_APPLICATION_PROTOCOL"],
    [
      "SNICallback gives no context",
      { SNICallback: (_: string, done: (error: null, context: object) => void) => done(null, {}) },
      "ERR_TLS_INVALID_CONTEXT",
    ],
  ])("fail the one connection: %s", async (_what, options, code) => {
    const server = createServer({ ...p.server, ...(options as object) });
    const told = once(server, "tlsClientError");
    const socket = connect({ ...good(), ALPNProtocols: ["h2"], port: await listening(server) });
    const [error] = await once(socket, "error");
    expect(error.code).toMatch(/^ERR_SSL_/);
    const [fault] = await told;
    expect(fault.code).toBe(code);
  });
});

it("leaves a server's process alone when nobody listens for an error", async () => {
  const server = createServer(p.server, () => {});
  const accepted = once(server, "secureConnection");
  const socket = connect({ ...good(), port: await listening(server) });
  socket.on("error", () => {});
  const [peer] = await accepted;
  const gone = new Promise((resolve) => peer.once("close", resolve));
  peer.destroy(new Error("nobody hears"));
  await gone;
});

describe("streams underneath", () => {
  it("that are TLS themselves carry it too", async () => {
    const inner = createServer(p.two, (socket) => socket.end("within"));
    const outer = createServer(p.server, (socket) => inner.emit("connection", socket));
    const tunnel = connect({ ...good(), port: await listening(outer) });
    const socket = connect({ socket: tunnel, ca: p.ca, servername: "two.test" });
    expect(await textOf(socket)).toBe("within");
  });

  it("that are destroyed end it", async () => {
    const server = createServer(p.server);
    const raw = net.connect(await listening(server), HOST);
    const socket = connect({ ...good(), socket: raw });
    await once(socket, "secureConnect");
    raw.destroy();
    await new Promise((resolve) => socket.once("close", resolve));
    expect(socket.destroyed).toBe(true);
  });

  it("that fail pass their error on", async () => {
    const server = createServer(p.server);
    const raw = net.connect(await listening(server), HOST);
    const socket = connect({ ...good(), socket: raw });
    await once(socket, "secureConnect");
    const broken = new Error("broken");
    raw.destroy(broken);
    const [error] = await once(socket, "error");
    expect(error).toBe(broken);
  });

  it("that end without close_notify end it, as in node:tls", async () => {
    const server = createServer(p.server, (socket) => socket.resume());
    const raw = net.connect(await listening(server), HOST);
    const accepted = once(server, "secureConnection");
    const socket = connect({ ...good(), socket: raw });
    await once(socket, "secureConnect");
    const [far] = await accepted;
    const seen = record(far, "end", "error", "close");
    // Its own close_notify finds the stream ended.
    socket.on("error", () => {});
    raw.end();
    await new Promise((resolve) => far.once("close", resolve));
    expect(seen).toEqual(["end", "close"]);
  });
});

describe("a connection that ends", () => {
  it("leaves no open handle and no timer", async () => {
    const server = createServer({ ...p.server, ca: p.ca, requestCert: true }, (socket) => socket.pipe(socket));
    const port = await listening(server);
    const before = process
      .getActiveResourcesInfo()
      .filter((name) => name === "Timeout" || name === "TCPSocketWrap").length;
    for (let round = 0; round < 10; round++) {
      const socket = connect({ ...good(), port, timeout: 60_000 });
      const gone = new Promise((resolve) => socket.once("close", resolve));
      socket.end("x");
      await textOf(socket);
      await gone;
    }
    await new Promise((resolve) => server.close(resolve));
    const after = process
      .getActiveResourcesInfo()
      .filter((name) => name === "Timeout" || name === "TCPSocketWrap").length;
    expect(after).toBeLessThanOrEqual(before);
  });
});
