import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import net from "node:net";
import { type Duplex, duplexPair } from "node:stream";
import { pipeline } from "node:stream/promises";
import type tls from "node:tls";
import { Pool } from "undici";
import { beforeAll, describe, expect, it } from "vitest";
import { HOST, type Identities, identities, listening, PAIRS, record, textOf } from "./world.ts";

/** What node:tls's users do, over node:tls and over mutls: the same code, the same outcome. */

let p: Identities;
beforeAll(async () => {
  p = await identities();
});

describe.each(PAIRS)("%s", (_, client, server) => {
  const good = (): tls.ConnectionOptions => ({ host: HOST, ca: p.ca, ...p.client, servername: "localhost" });
  const mutual = (): tls.TlsOptions => ({ ...p.server, ca: p.ca, requestCert: true, minVersion: "TLSv1.3" });

  async function serve(options: tls.TlsOptions, accept: (socket: tls.TLSSocket) => void) {
    const listener = server.createServer(options, (socket) => {
      // Clients here hang up as they like.
      socket.on("error", () => {});
      accept(socket);
    });
    return { listener, port: await listening(listener) };
  }

  /** Both ends of one connection, finished. */
  async function pair(
    ours: tls.ConnectionOptions = {},
    theirs: tls.TlsOptions = {},
  ): Promise<{ near: tls.TLSSocket; far: tls.TLSSocket; listener: tls.Server }> {
    const { listener, port } = await serve({ ...mutual(), ...theirs }, () => {});
    const accepted = once(listener, "secureConnection");
    const near = client.connect({ ...good(), ...ours, port });
    await once(near, "secureConnect");
    const [far] = await accepted;
    return { near, far, listener };
  }

  it("echoes, both ends authenticated", async () => {
    const { port } = await serve(mutual(), (socket) => {
      expect(socket.authorized).toBe(true);
      socket.pipe(socket);
    });
    const socket = client.connect({ ...good(), port });
    const seen = record(socket, "connect", "secureConnect", "end", "close");
    const gone = new Promise((resolve) => socket.once("close", resolve));
    socket.end("hello");
    expect(await textOf(socket)).toBe("hello");
    await gone;
    expect(seen).toEqual(["connect", "secureConnect", "end", "close"]);
  });

  it("says the same of a connection at both ends", async () => {
    const { near, far } = await pair({ ALPNProtocols: ["two", "one"] }, { ALPNProtocols: ["one", "two"] });
    for (const socket of [near, far]) {
      expect(socket.encrypted).toBe(true);
      expect(socket.authorized).toBe(true);
      expect(socket.authorizationError).toBe(null);
      expect(socket.alpnProtocol).toBe("one");
      expect(socket.servername).toBe("localhost");
      expect(socket.getProtocol()).toBe("TLSv1.3");
      expect(socket.getCipher()).toEqual({
        name: "TLS_AES_256_GCM_SHA384",
        standardName: "TLS_AES_256_GCM_SHA384",
        version: "TLSv1.3",
      });
      expect(socket.isSessionReused()).toBe(false);
      expect(socket.connecting).toBe(false);
      expect(socket.readyState).toBe("open");
      expect(socket.pending).toBe(false);
    }
    expect(near.getFinished()).toEqual(far.getPeerFinished());
    expect(far.getFinished()).toEqual(near.getPeerFinished());
    expect(near.getFinished()).toHaveLength(48);
    const context = Buffer.from("context");
    const exported = near.exportKeyingMaterial(40, "EXPORTER-test", context);
    expect(exported).toHaveLength(40);
    expect(far.exportKeyingMaterial(40, "EXPORTER-test", context)).toEqual(exported);
    expect(far.exportKeyingMaterial(40, "EXPORTER-test", Buffer.from("other"))).not.toEqual(exported);
    expect(far.exportKeyingMaterial(40, "EXPORTER-else", context)).not.toEqual(exported);
    near.destroy();
  });

  it("shows certificates in node's shapes", async () => {
    const { near, far } = await pair();
    const own = new X509Certificate(p.server.cert);
    const expected = Object.assign(Object.create(null), own.toLegacyObject());
    expect(near.getPeerCertificate()).toEqual(expected);
    expect(far.getCertificate()).toEqual(expected);
    expect(near.getPeerX509Certificate()?.fingerprint256).toBe(own.fingerprint256);
    expect(far.getX509Certificate()?.fingerprint256).toBe(own.fingerprint256);
    expect(far.getPeerCertificate().subject.CN).toBe("client");
    near.destroy();
    await new Promise((resolve) => near.once("close", resolve));
    expect([near.getPeerCertificate(), near.getCipher(), near.getProtocol(), near.getCertificate()]).toEqual([
      null,
      null,
      null,
      null,
    ]);
  });

  it("shows no certificate where there is none", async () => {
    const { near, far } = await pair({ cert: undefined, key: undefined }, { requestCert: false });
    expect(far.getPeerCertificate()).toEqual({});
    expect(far.getPeerX509Certificate()).toBe(undefined);
    expect(near.getCertificate()).toEqual({});
    expect([far.authorized, far.authorizationError]).toEqual([false, null]);
    near.destroy();
  });

  it("knows the addresses of both ends", async () => {
    const { near, far } = await pair();
    expect(near.remoteAddress).toBe(HOST);
    expect(near.remoteFamily).toBe("IPv4");
    expect(near.remotePort).toBe(far.localPort);
    expect(near.localPort).toBe(far.remotePort);
    expect([far.localAddress, far.localFamily]).toEqual([HOST, "IPv4"]);
    expect(near.address()).toEqual({ address: HOST, family: "IPv4", port: far.remotePort });
    expect(near.setNoDelay(true).setKeepAlive(true, 1000).unref().ref()).toBe(near);
    near.destroy();
  });

  it("counts bytes and what waits", async () => {
    const { near, far } = await pair();
    const got = once(far, "data");
    near.write("12345");
    await got;
    expect([near.bytesWritten, far.bytesRead]).toEqual([5, 5]);
    near.destroy();
  });

  it("logs secrets in the form of a key log", async () => {
    const { listener, port } = await serve(mutual(), () => {});
    const theirs: string[] = [];
    const ours: string[] = [];
    listener.on("keylog", (line, socket) => {
      expect(socket.encrypted).toBe(true);
      theirs.push(line.toString());
    });
    const accepted = once(listener, "secureConnection");
    const socket = client.connect({ ...good(), port });
    socket.on("keylog", (line) => ours.push(line.toString()));
    await Promise.all([accepted, once(socket, "secureConnect")]);
    expect(ours.sort()).toEqual(theirs.sort());
    expect(ours).toHaveLength(5);
    for (const line of ours) expect(line).toMatch(/^[A-Z_0]+ [0-9a-f]{64} [0-9a-f]{96}\n$/);
    socket.destroy();
  });

  it.each([
    ["prime256v1", { type: "ECDH", name: "prime256v1", size: 256 }],
    ["P-384", { type: "ECDH", name: "secp384r1", size: 384 }],
    ["X25519", { type: "ECDH", name: "X25519", size: 253 }],
  ])("exchanges keys over %s where told to", async (ecdhCurve, info) => {
    const { near, far } = await pair({ ecdhCurve });
    expect(near.getEphemeralKeyInfo()).toEqual(info);
    expect(far.getEphemeralKeyInfo()).toBe(null);
    near.destroy();
  });

  it.each([
    ["TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"],
    ["ECDHE-RSA-AES128-GCM-SHA256:TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"],
  ])("uses the suites of %s", async (ciphers, name) => {
    const { near } = await pair({ ciphers }, { ciphers });
    expect(near.getCipher().name).toBe(name);
    near.destroy();
  });

  it("asks for the signature algorithms in sigalgs", async () => {
    const { near, far } = await pair({ sigalgs: "ECDSA+SHA384:ECDSA+SHA256:RSA-PSS+SHA256" });
    expect(far.getSharedSigalgs()).toContain("ECDSA+SHA256");
    expect(far.getSharedSigalgs()).not.toContain("RSA-PSS+SHA512");
    near.destroy();
  });

  it("reads an encrypted key", async () => {
    const { createPrivateKey } = await import("node:crypto");
    const key = createPrivateKey(p.client.key)
      .export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "secret" })
      .toString();
    const { near, far } = await pair({ key, passphrase: "secret" });
    expect(far.getPeerCertificate().subject.CN).toBe("client");
    near.destroy();
    const other = await pair({ key: [{ pem: key, passphrase: "secret" }] });
    other.near.destroy();
    expect(() => client.createSecureContext({ cert: p.client.cert, key, passphrase: "wrong" })).toThrow();
    expect(() => client.createSecureContext({ cert: p.client.cert, key })).toThrow();
  });

  it("shares a secure context", async () => {
    const secureContext = client.createSecureContext({ ca: p.ca, ...p.client });
    const { near, far } = await pair({ ca: undefined, cert: undefined, key: undefined, secureContext });
    expect([near.authorized, far.authorized]).toEqual([true, true]);
    near.destroy();
  });

  describe("server names", () => {
    const named = async (port: number, servername: string | undefined) => {
      const socket = client.connect({ host: HOST, port, ca: p.ca, servername, rejectUnauthorized: false });
      await once(socket, "secureConnect");
      const { CN } = socket.getPeerCertificate().subject;
      socket.destroy();
      return CN;
    };

    it("choose among contexts", async () => {
      const { listener, port } = await serve({ ...p.server, minVersion: "TLSv1.3" }, () => {});
      listener.addContext("one.test", p.one);
      listener.addContext("*.two.test", server.createSecureContext(p.two));
      expect(await named(port, "one.test")).toBe("one");
      expect(await named(port, "a.two.test")).toBe("two");
      expect(await named(port, "a.b.two.test")).toBe("localhost");
      expect(await named(port, "else.test")).toBe("localhost");
      expect(await named(port, undefined)).toBe("localhost");
      listener.addContext("one.test", p.two);
      expect(await named(port, "one.test")).toBe("two");
    });

    it("choose by SNICallback, at once or later", async () => {
      const asked: string[] = [];
      const one = server.createSecureContext(p.one);
      const two = server.createSecureContext(p.two);
      const { port } = await serve(
        {
          ...p.server,
          minVersion: "TLSv1.3",
          SNICallback(name, done) {
            asked.push(name);
            if (name === "one.test") done(null, one);
            else if (name === "two.test") setImmediate(done, null, two);
            else done(null);
          },
        },
        () => {},
      );
      expect(await named(port, "one.test")).toBe("one");
      expect(await named(port, "two.test")).toBe("two");
      expect(await named(port, "else.test")).toBe("localhost");
      expect(await named(port, undefined)).toBe("localhost");
      expect(asked).toEqual(["one.test", "two.test", "else.test"]);
    });

    it("are told at both ends", async () => {
      const { near, far } = await pair({ servername: undefined, checkServerIdentity: () => undefined });
      expect([near.servername, far.servername]).toEqual([false, false]);
      near.destroy();
    });

    it("of certificates are the host where nothing else is said", async () => {
      const { near } = await pair({ servername: undefined });
      expect(near.authorized).toBe(true);
      near.destroy();
    });
  });

  describe("ALPN", () => {
    it("is silent where one side says nothing", async () => {
      const { near, far } = await pair({ ALPNProtocols: ["h2"] });
      expect([near.alpnProtocol, far.alpnProtocol]).toEqual([false, false]);
      near.destroy();
    });

    it("takes the wire form", async () => {
      const { near } = await pair(
        { ALPNProtocols: Buffer.from("\x02h2\x08http/1.1") },
        { ALPNProtocols: ["http/1.1"] },
      );
      expect(near.alpnProtocol).toBe("http/1.1");
      near.destroy();
    });

    it("is chosen by ALPNCallback", async () => {
      const asked: unknown[] = [];
      const { near, far } = await pair(
        { ALPNProtocols: ["a", "b"] },
        {
          ALPNCallback(hello) {
            asked.push(hello);
            return "b";
          },
        },
      );
      expect([near.alpnProtocol, far.alpnProtocol]).toEqual(["b", "b"]);
      expect(asked).toEqual([{ servername: "localhost", protocols: ["a", "b"] }]);
      near.destroy();
    });
  });

  it("changes credentials under way", async () => {
    const { listener, port } = await serve({ ...p.server, minVersion: "TLSv1.3" }, () => {});
    const nameNow = async () => {
      const socket = client.connect({ host: HOST, port, ca: p.ca, rejectUnauthorized: false });
      await once(socket, "secureConnect");
      const { CN } = socket.getPeerCertificate().subject;
      socket.destroy();
      return CN;
    };
    expect(await nameNow()).toBe("localhost");
    listener.setSecureContext({ ...p.one, minVersion: "TLSv1.3" });
    expect(await nameNow()).toBe("one");
  });

  describe("streams", () => {
    it("end one way at a time with allowHalfOpen", async () => {
      const { port } = await serve({ ...mutual(), allowHalfOpen: true }, async (socket) => {
        const asked = await textOf(readable(socket));
        socket.end(`you said ${asked}`);
      });
      const socket = client.connect({ ...good(), port, allowHalfOpen: true } as tls.ConnectionOptions);
      socket.end("all I have to say");
      expect(await textOf(readable(socket))).toBe("you said all I have to say");
    });

    it("end both ways without", async () => {
      const { near, far } = await pair();
      const seen = record(far, "end", "finish", "close");
      far.resume();
      near.resume();
      near.end();
      await Promise.all([near, far].map((socket) => new Promise((resolve) => socket.once("close", resolve))));
      expect(seen).toEqual(["end", "finish", "close"]);
      expect([near.destroyed, far.destroyed, near.readyState]).toEqual([true, true, "closed"]);
    });

    it("refuse to write after the end", async () => {
      const { near, far } = await pair();
      far.resume();
      near.end("last");
      const error = await new Promise<NodeJS.ErrnoException>((resolve) => near.once("error", resolve).write("more"));
      expect(error.code).toBe("ERR_STREAM_WRITE_AFTER_END");
    });

    it("go on writing to one that has ended only half way", async () => {
      const { near, far } = await pair({ allowHalfOpen: true } as tls.ConnectionOptions, { allowHalfOpen: true });
      const heard = textOf(far);
      far.end("bye");
      expect(await textOf(readable(near))).toBe("bye");
      near.write("still here");
      near.end();
      expect(await heard).toBe("still here");
    });

    it("wait for a slow reader", async () => {
      const { near, far } = await pair();
      const chunk = Buffer.alloc(0x10000, 7);
      const sizes = { read: 0, written: 0 };
      // Until neither side nor the kernel takes any more.
      while (near.write(chunk) || (await drains(near))) sizes.written += chunk.length;
      sizes.written += chunk.length;
      expect(near.writableNeedDrain).toBe(true);
      expect(far.readableLength).toBeLessThan(0x40000);
      near.end();
      for await (const data of far) sizes.read += data.length;
      expect(sizes.read).toBe(sizes.written);
    });

    it("pause and go on", async () => {
      const { near, far } = await pair();
      const seen: string[] = [];
      far.on("data", (data: Buffer) => {
        seen.push(data.toString());
        far.pause();
      });
      near.write("one");
      await once(far, "pause");
      const written = new Promise((resolve) => near.write("two", resolve));
      await written;
      expect(seen).toEqual(["one"]);
      far.resume();
      if (seen.length < 2) await once(far, "pause");
      expect(seen).toEqual(["one", "two"]);
      near.destroy();
    });

    it("carry 8 MB each way at once", async () => {
      const size = 8_000_000;
      const data = Buffer.alloc(size);
      for (let index = 0; index < size; index += 251) data[index] = index & 0xff;
      // Without it, whoever is done first ends the other.
      const { near, far } = await pair({ allowHalfOpen: true } as tls.ConnectionOptions, { allowHalfOpen: true });
      const both = [near, far].map(async (socket) => {
        const chunks: Buffer[] = [];
        socket.on("data", (chunk: Buffer) => chunks.push(chunk));
        const ended = once(socket, "end");
        for (let offset = 0; offset < size; offset += 100_003) {
          if (!socket.write(data.subarray(offset, offset + 100_003))) await once(socket, "drain");
        }
        socket.end();
        await ended;
        return Buffer.concat(chunks).equals(data);
      });
      expect(await Promise.all(both)).toEqual([true, true]);
    });

    it("carry it through pipeline", async () => {
      const { near, far } = await pair();
      const echo = pipeline(far, far);
      near.end(Buffer.alloc(1_000_000, "x"));
      expect((await textOf(near)).length).toBe(1_000_000);
      await echo;
    });

    it("keep many small writes in order", async () => {
      const { near, far } = await pair();
      let expected = "";
      for (let index = 0; index < 2000; index++) {
        near.write(`${index},`, index % 2 === 0 ? "utf8" : "latin1");
        expected += `${index},`;
      }
      near.end();
      expect(await textOf(far)).toBe(expected);
    });

    it("take strings in their encodings", async () => {
      const { near, far } = await pair();
      near.write("ff00", "hex");
      near.end("\xe9", "latin1");
      const chunks: Buffer[] = [];
      for await (const chunk of far) chunks.push(chunk);
      expect(Buffer.concat(chunks)).toEqual(Buffer.from([0xff, 0, 0xe9]));
    });

    it("send what was written before the handshake, and in small records where told to", async () => {
      const { port } = await serve(mutual(), (socket) => socket.pipe(socket));
      const socket = client.connect({ ...good(), port });
      expect(socket.setMaxSendFragment(512)).toBe(true);
      expect(socket.setMaxSendFragment(16)).toBe(false);
      socket.end(Buffer.alloc(5000, "y"));
      expect((await textOf(socket)).length).toBe(5000);
    });

    it("flush before destroySoon", async () => {
      const { near, far } = await pair();
      near.on("error", () => {});
      far.write(Buffer.alloc(300_000, 1));
      far.destroySoon();
      expect((await textOf(near)).length).toBe(300_000);
    });

    it("run over any Duplex", async () => {
      const [a, b] = duplexPair();
      const far = new server.TLSSocket(b, { isServer: true, ...p.server });
      const near = client.connect({ ...good(), socket: a });
      await once(near, "secureConnect");
      expect(near.authorized).toBe(true);
      far.end("over a pair");
      expect(await textOf(near)).toBe("over a pair");
    });

    it("run over a socket that is there, with the data that came before", async () => {
      const plain = net.createServer((socket) => {
        socket.once("data", (greeting) => {
          expect(greeting.toString()).toBe("STARTTLS\n");
          socket.write("ready\n");
          const secure = new server.TLSSocket(socket, { isServer: true, ...p.server });
          secure.pipe(secure);
        });
      });
      const socket = net.connect(await listening(plain), HOST);
      socket.write("STARTTLS\n");
      await once(socket, "data");
      socket.removeAllListeners("data");
      const secure = client.connect({ ...good(), socket });
      await once(secure, "secureConnect");
      secure.end("upgraded");
      expect(await textOf(secure)).toBe("upgraded");
    });

    it("serve sockets that are handed to it", async () => {
      const listener = server.createServer(mutual(), (socket) =>
        socket.end(`hello ${socket.getPeerCertificate().subject.CN}`),
      );
      const plain = net.createServer((socket) => listener.emit("connection", socket));
      const socket = client.connect({ ...good(), port: await listening(plain) });
      expect(await textOf(socket)).toBe("hello client");
    });
  });

  it("takes all forms of connect", async () => {
    const { port } = await serve(mutual(), (socket) => socket.end());
    const { host: _host, ...rest } = good();
    const forms = [
      (done: () => void) => client.connect({ ...good(), port }, done),
      (done: () => void) => client.connect(port, HOST, rest, done),
      (done: () => void) => client.connect(port, good(), done),
    ];
    for (const form of forms) {
      let socket: tls.TLSSocket | undefined;
      await new Promise<void>((resolve) => {
        socket = form(resolve);
      });
      expect(socket?.authorized).toBe(true);
      socket?.destroy();
    }
  });

  it("carries 60 connections at once", async () => {
    const { port } = await serve(mutual(), (socket) => socket.pipe(socket));
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, index) => {
        const socket = client.connect({ ...good(), port });
        socket.end(`number ${index}`);
        return textOf(socket);
      }),
    );
    expect(answers).toEqual(Array.from({ length: 60 }, (_, index) => `number ${index}`));
  });

  it("closes a server when its last connection is gone", async () => {
    const { near, far, listener } = await pair();
    const gone = new Promise((resolve) => listener.close(resolve));
    expect(await connections(listener)).toBe(1);
    far.resume();
    near.end();
    near.resume();
    await gone;
    expect(await connections(listener)).toBe(0);
  });

  describe("HTTP", () => {
    /** An https server: node's http over this server's sockets. */
    async function web(handler: http.RequestListener): Promise<number> {
      const web = http.createServer(handler);
      const { port } = await serve(mutual(), (socket) => web.emit("connection", socket));
      return port;
    }

    const whoami: http.RequestListener = (request, response) => {
      const socket = request.socket as tls.TLSSocket;
      response.end(
        JSON.stringify({ client: socket.getPeerCertificate().subject.CN, path: request.url, port: socket.remotePort }),
      );
    };

    async function get(options: https.RequestOptions): Promise<{ client: string; path: string; port: number }> {
      const request = https.get(options);
      const [response] = await once(request, "response");
      return JSON.parse(await textOf(response));
    }

    it("goes through createConnection", async () => {
      const port = await web(whoami);
      const options = { ...good(), port, path: "/a", agent: false, createConnection: client.connect as never };
      expect(await get(options as https.RequestOptions)).toMatchObject({ client: "client", path: "/a" });
    });

    it("goes through an agent that keeps connections", async () => {
      const port = await web(whoami);
      const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
      Object.assign(agent, { createConnection: client.connect });
      const ports = new Set<number>();
      for (let index = 0; index < 5; index++) {
        const answer = await get({ ...good(), port, path: `/${index}`, agent } as https.RequestOptions);
        expect(answer).toMatchObject({ client: "client", path: `/${index}` });
        ports.add(answer.port);
      }
      expect(ports.size).toBe(1);
      agent.destroy();
    });

    it("tells the request of a server that is not to be trusted", async () => {
      const port = await web(whoami);
      const request = https.get({
        ...good(),
        port,
        servername: "elsewhere.test",
        agent: false,
        createConnection: client.connect as never,
      } as https.RequestOptions);
      const [error] = await once(request, "error");
      expect(error.code).toBe("ERR_TLS_CERT_ALTNAME_INVALID");
    });

    it("takes bodies both ways", async () => {
      const port = await web((request, response) => void request.pipe(response));
      const request = https.request({
        ...good(),
        port,
        method: "POST",
        agent: false,
        createConnection: client.connect as never,
      } as https.RequestOptions);
      const body = "z".repeat(1_000_000);
      request.end(body);
      const [response] = await once(request, "response");
      expect(await textOf(response)).toBe(body);
    });

    it("goes through undici: a pool of 20", async () => {
      const port = await web(whoami);
      const pool = new Pool(`https://${HOST}:${port}`, {
        connections: 20,
        connect(_options, done) {
          const socket = client.connect({ ...good(), port }, () => done(null, socket));
          socket.once("error", (error) => done(error, null));
        },
      });
      const answers = await Promise.all(
        Array.from({ length: 100 }, async (_, index) => {
          const { statusCode, body } = await pool.request({ path: `/${index}`, method: "GET" });
          return { statusCode, ...((await body.json()) as { client: string; path: string; port: number }) };
        }),
      );
      await pool.close();
      answers.forEach((answer, index) => {
        expect(answer).toMatchObject({ statusCode: 200, client: "client", path: `/${index}` });
      });
      expect(new Set(answers.map(({ port }) => port)).size).toBe(20);
    });

    it("goes over http2", async () => {
      const app = http2.createServer();
      app.on("stream", (stream, headers) => {
        stream.respond({ ":status": 200 });
        stream.end(`hello ${headers[":path"]}`);
      });
      const { port } = await serve({ ...mutual(), ALPNProtocols: ["h2"] }, (socket) => {
        expect(socket.alpnProtocol).toBe("h2");
        app.emit("connection", socket);
      });
      const session = http2.connect(`https://localhost:${port}`, {
        createConnection: () => client.connect({ ...good(), port, ALPNProtocols: ["h2"] }) as Duplex,
      });
      const answers = await Promise.all(
        ["/a", "/b", "/c"].map(async (path) => {
          const stream = session.request({ ":path": path });
          return textOf(stream);
        }),
      );
      expect(answers).toEqual(["hello /a", "hello /b", "hello /c"]);
      await new Promise<void>((resolve) => session.close(resolve));
    });

    it("goes over http2 on a connection that is there", async () => {
      const app = http2.createServer((_request, response) => void response.end("there"));
      const { port } = await serve({ ...mutual(), ALPNProtocols: ["h2"] }, (socket) => app.emit("connection", socket));
      const socket = client.connect({ ...good(), port, ALPNProtocols: ["h2"] });
      await once(socket, "secureConnect");
      const session = http2.connect(`https://localhost:${port}`, { createConnection: () => socket });
      expect(await textOf(session.request({ ":path": "/" }))).toBe("there");
      await new Promise<void>((resolve) => session.close(resolve));
    });
  });
});

function connections(listener: tls.Server): Promise<number> {
  return new Promise((resolve, reject) => {
    listener.getConnections((error, count) => (error ? reject(error) : resolve(count)));
  });
}

/** What comes, without destroying the socket at its end as iteration does. */
async function* readable(socket: tls.TLSSocket): AsyncIterable<Uint8Array> {
  yield* socket.iterator({ destroyOnReturn: false });
}

/** True when it drains; false when nothing moves any more. */
function drains(socket: tls.TLSSocket): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, 100, false);
    socket.once("drain", () => {
      clearTimeout(timer);
      resolve(true);
    });
  });
}
