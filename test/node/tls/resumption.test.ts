import { once } from "node:events";
import type tls from "node:tls";
import { beforeAll, describe, expect, it } from "vitest";
import { writePem } from "../../../src/bytes/pem.ts";
import { makeAuthority, makeCertificate, type TestCertificate } from "../../support/pki.ts";
import { makeCrl, makeOcspResponse, serialOf } from "../../support/status.ts";
import { HOST, type Identities, identities, listening, PAIRS, record, type Tls, textOf } from "./world.ts";

/** Sessions, revocation and keys from outside, over node:tls and over mutls: the same code, the same outcome. */

let p: Identities;
let authority: TestCertificate;
let leaf: TestCertificate;
let client: TestCertificate;
beforeAll(async () => {
  p = await identities();
  authority = await makeAuthority();
  leaf = await makeCertificate({ issuer: authority, subject: "localhost" });
  client = await makeCertificate({ issuer: authority, subject: "client" });
});

const credentials = ({ pem, privateKeyPem }: TestCertificate) => ({ cert: pem, key: privateKeyPem });

const open = async (module: Tls, options: tls.TlsOptions, accept: (socket: tls.TLSSocket) => void = () => {}) => {
  const server = module.createServer({ minVersion: "TLSv1.3", ...options }, (socket) => {
    socket.on("error", () => {});
    accept(socket);
  });
  return { server, port: await listening(server) };
};

describe.each(PAIRS)("%s", (_, near, far) => {
  const asClient = (): tls.ConnectionOptions => ({ host: HOST, ca: p.ca, ...p.client, servername: "localhost" });
  const asServer = (): tls.TlsOptions => ({ ...p.server, ca: p.ca, requestCert: true });
  /** Once the client has spoken: node:tls's servers that end earlier send no tickets. */
  const answer = (socket: tls.TLSSocket) =>
    socket.once("data", () =>
      socket.end(`${socket.isSessionReused()} ${socket.authorized} ${socket.getPeerCertificate().subject?.CN}`),
    );

  /** One connection to its end, with its last session. */
  async function meet(options: tls.ConnectionOptions) {
    const socket = near.connect({ ...asClient(), ...options });
    const sessions: Buffer[] = [];
    socket.on("session", (session) => sessions.push(session));
    await once(socket, "secureConnect");
    const { authorized } = socket;
    const reused = socket.isSessionReused();
    socket.write("x");
    const said = await textOf(socket);
    // node:tls's servers give no new ticket to those who come with one.
    const session = sessions.at(-1) ?? (options.session as Buffer);
    return { authorized, reused, said, session, count: sessions.length };
  }

  it("goes on from a session, with both ends known", async () => {
    const { port } = await open(far, asServer(), answer);
    const first = await meet({ port });
    expect(first).toMatchObject({ reused: false, authorized: true, said: "false true client", count: 2 });
    const second = await meet({ port, session: first.session });
    expect(second).toMatchObject({ reused: true, authorized: true, said: "true true client" });
    const third = await meet({ port, session: second.session });
    expect(third).toMatchObject({ reused: true, authorized: true, said: "true true client" });
  });

  it("gives the last session to whoever asks", async () => {
    const { port } = await open(far, asServer(), (socket) => socket.write("x"));
    const socket = near.connect({ ...asClient(), port });
    const seen = record(socket, "secureConnect", "session");
    await once(socket, "session");
    await once(socket, "data");
    expect(seen[0]).toBe("secureConnect");
    expect(Buffer.isBuffer(socket.getSession())).toBe(true);
    expect(socket.getTLSTicket()?.length).toBeGreaterThan(100);
    socket.destroy();
    expect(socket.getSession()).toBeFalsy();
  });

  it("does not go on where keys, names of the session or bytes are others", async () => {
    const one = await open(far, { ...asServer(), sessionIdContext: "one" }, answer);
    const two = await open(far, { ...asServer(), sessionIdContext: "two" }, answer);
    const { session } = await meet({ port: one.port });
    expect((await meet({ port: two.port, session })).reused).toBe(false);
    expect((await meet({ port: one.port, session: Buffer.from("none") })).reused).toBe(false);
    expect((await meet({ port: one.port, session })).reused).toBe(true);
  });

  it("goes on at servers with the same keys", async () => {
    const one = await open(far, asServer(), answer);
    const ticketKeys = one.server.getTicketKeys();
    expect(ticketKeys).toHaveLength(48);
    const two = await open(far, { ...asServer(), ticketKeys }, answer);
    const three = await open(far, asServer(), answer);
    const { session } = await meet({ port: one.port });
    expect((await meet({ port: two.port, session })).reused).toBe(true);
    expect((await meet({ port: three.port, session })).reused).toBe(false);
    three.server.setTicketKeys(ticketKeys);
    expect((await meet({ port: three.port, session })).reused).toBe(true);
    expect(() => three.server.setTicketKeys(Buffer.alloc(47))).toThrow(/48-byte/);
  });

  it("goes over all tickets of a setSecureContext that keeps the keys", async () => {
    const ticketKeys = Buffer.alloc(48, 7);
    const { server, port } = await open(far, { ...asServer(), ticketKeys }, answer);
    const { session } = await meet({ port });
    server.setSecureContext({ ...p.server, ca: p.ca, ticketKeys });
    expect((await meet({ port, session })).reused).toBe(true);
  });

  describe("certificate revocation lists", () => {
    const crl = async (revoked: readonly TestCertificate[], times: { nextUpdate?: number } = {}) =>
      writePem(
        "X509 CRL",
        await makeCrl({ issuer: authority, entries: revoked.map((it) => ({ serial: serialOf(it) })), ...times }),
      );
    const attempt = async (options: tls.ConnectionOptions) => {
      const socket = near.connect({ host: HOST, servername: "localhost", ca: authority.pem, ...options });
      socket.on("error", () => {});
      await Promise.race([once(socket, "secureConnect"), once(socket, "close")]).catch(() => {});
      const outcome = [socket.authorized, socket.authorizationError];
      socket.destroy();
      return outcome;
    };

    it("are checked by a client", async () => {
      const { port } = await open(far, credentials(leaf));
      expect(await attempt({ port, crl: await crl([client]) })).toEqual([true, null]);
      expect(await attempt({ port, crl: await crl([leaf]) })).toEqual([false, "CERT_REVOKED"]);
      const old = await crl([], { nextUpdate: Date.now() - 3_600_000 });
      expect(await attempt({ port, crl: [old] })).toEqual([false, "CRL_HAS_EXPIRED"]);
      const other = await makeAuthority({ subject: "other CA" });
      const elsewhere = writePem("X509 CRL", await makeCrl({ issuer: other }));
      expect(await attempt({ port, crl: elsewhere })).toEqual([false, "UNABLE_TO_GET_CRL"]);
    });

    it("are checked by a server", async () => {
      const options = { ...credentials(leaf), ca: authority.pem, requestCert: true, rejectUnauthorized: false };
      for (const [revoked, said] of [
        [leaf, "null"],
        [client, "CERT_REVOKED"],
      ] as const) {
        const { port } = await open(far, { ...options, crl: await crl([revoked]) }, (socket) =>
          socket.end(String(socket.authorizationError)),
        );
        const socket = near.connect({
          host: HOST,
          servername: "localhost",
          ca: authority.pem,
          ...credentials(client),
          port,
        });
        expect(await textOf(socket)).toBe(said);
      }
    });
  });

  describe("certificate status", () => {
    it("is stapled by a server that is asked, and told to the client", async () => {
      const { server, port } = await open(far, { ...credentials(leaf), ca: authority.pem });
      const response = Buffer.from(await makeOcspResponse({ issuer: authority, certificate: leaf }));
      const asked: Buffer[] = [];
      server.on("OCSPRequest", (certificate, issuer, done) => {
        asked.push(certificate, issuer);
        setImmediate(() => done(null, response));
      });
      const options = { host: HOST, servername: "localhost", ca: authority.pem, port };
      const socket = near.connect({ ...options, requestOCSP: true } as tls.ConnectionOptions);
      const seen = record(socket, "OCSPResponse", "secureConnect");
      const told: unknown[] = [];
      socket.on("OCSPResponse" as "session", (status) => told.push(status));
      await once(socket, "secureConnect");
      expect(told).toEqual([response]);
      expect(seen).toEqual(["OCSPResponse", "secureConnect"]);
      expect(asked.map((der) => Buffer.from(der))).toEqual([Buffer.from(leaf.der), Buffer.from(authority.der)]);
      socket.destroy();
      // Who does not ask is not told.
      const silent = near.connect(options);
      const heard = record(silent, "OCSPResponse", "secureConnect");
      await once(silent, "secureConnect");
      expect(heard).toEqual(["secureConnect"]);
      expect(asked).toHaveLength(2);
      silent.destroy();
    });

    it("is null where the server has none", async () => {
      const { port } = await open(far, credentials(leaf));
      const options = { host: HOST, servername: "localhost", ca: authority.pem, port, requestOCSP: true };
      const socket = near.connect(options as tls.ConnectionOptions);
      const [told] = await once(socket, "OCSPResponse");
      expect(told).toBe(null);
      socket.destroy();
    });

    it("that cannot be had ends the handshake", async () => {
      const { server, port } = await open(far, credentials(leaf));
      server.on("OCSPRequest", (_certificate, _issuer, done) => done(new Error("no responder"), null as never));
      const refused = once(server, "tlsClientError");
      const options = { host: HOST, servername: "localhost", ca: authority.pem, port, requestOCSP: true };
      const socket = near.connect(options as tls.ConnectionOptions);
      socket.on("error", () => {});
      const [error] = await refused;
      expect(error.message).toBe("no responder");
      expect(socket.authorized).toBe(false);
    });
  });

  describe("a pre-shared key", () => {
    const key = Buffer.alloc(32, 3);
    const ciphers = "TLS_AES_128_GCM_SHA256:PSK";
    const server = (): tls.TlsOptions => ({
      ciphers,
      requestCert: true,
      pskCallback: (_socket, identity) => (identity === "device 1" ? key : null),
    });

    it("stands in place of certificates", async () => {
      const { port } = await open(far, server(), (socket) => socket.end(`${socket.authorized}`));
      const pskCallback = () => ({ psk: key, identity: "device 1" });
      const socket = near.connect({ host: HOST, port, ciphers, minVersion: "TLSv1.3", pskCallback });
      await once(socket, "secureConnect");
      expect(socket.authorized).toBe(true);
      expect(socket.getPeerCertificate()).toEqual({});
      expect(await textOf(socket)).toBe("true");
    });

    it("that is another is refused", async () => {
      const { port } = await open(far, server());
      const pskCallback = () => ({ psk: Buffer.alloc(32, 4), identity: "device 1" });
      const socket = near.connect({ host: HOST, port, ciphers, minVersion: "TLSv1.3", pskCallback });
      const [error] = await once(socket, "error");
      expect(error).toBeInstanceOf(Error);
      expect(socket.authorized).toBe(false);
    });

    it("that nobody knows leaves the certificate to decide", async () => {
      const { port } = await open(far, { ...server(), ...p.server, requestCert: false }, (socket) =>
        socket.end("by certificate"),
      );
      const pskCallback = () => ({ psk: key, identity: "device 2" });
      const options = { host: HOST, port, ciphers, ca: p.ca, minVersion: "TLSv1.3", pskCallback } as const;
      expect(await textOf(near.connect(options))).toBe("by certificate");
    });
  });
});
