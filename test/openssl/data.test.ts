import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import tls from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes/bytes.ts";
import type { CipherSuiteName } from "../../src/codec/registry.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { createNodeProvider } from "../../src/crypto/node.ts";
import type { CryptoProvider } from "../../src/crypto/provider.ts";
import { accept, connect, socketStream, type TlsSession } from "../../src/node/index.ts";
import { createTestIdentities, identityOptions, type TestIdentities } from "../support/identities.ts";
import { endOpenssl, type OpensslOptions, startClient, startServer, withoutOpenssl } from "../support/openssl.ts";
import { PemFiles } from "../support/pem-files.ts";
import { readAll } from "../support/session.ts";
import { acceptSocket, connectSocket, connectTo, listenOnce, readBytes, writeBytes } from "../support/tcp.ts";

const LENGTH = 5_000_000;
const SUITES: readonly CipherSuiteName[] = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
];
const PROVIDERS = [nobleProvider, createNodeProvider()];

const files = new PemFiles();
let identities: TestIdentities;

beforeAll(async () => {
  identities = await createTestIdentities();
});

afterAll(() => {
  endOpenssl();
  files.remove();
});

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const opensslIdentity = ({ certificatePem, privateKeyPem }: { certificatePem: string; privateKeyPem: string }) => ({
  "-cert": files.path(certificatePem),
  "-key": files.path(privateKeyPem),
});

const common = (): OpensslOptions => ({
  "-quiet": true,
  "-verify_return_error": true,
  "-CAfile": files.path(identities.ca),
});

const connectOver = (socket: Socket, provider: CryptoProvider, cipherSuites = SUITES) =>
  connect(socketStream(socket), {
    provider,
    cipherSuites,
    trust: identities.ca,
    serverName: "localhost",
    identities: [identityOptions(identities.client())],
  });

const acceptOver = (socket: Socket, provider: CryptoProvider, cipherSuites = SUITES) =>
  accept(socketStream(socket), {
    provider,
    cipherSuites,
    trust: identities.ca,
    identities: [identityOptions(identities.server())],
    clientAuth: "on",
  });

describe.skipIf(withoutOpenssl)("5 MB each way at once", () => {
  const ours = randomBytes(LENGTH);
  const theirs = randomBytes(LENGTH);

  SUITES.forEach((suite, index) => {
    const [first, second] = index % 2 === 0 ? PROVIDERS : [...PROVIDERS].reverse();

    it(`mutls client, openssl s_server, ${suite}, ${first?.name}`, async () => {
      const { port, server } = await startServer({
        ...common(),
        ...opensslIdentity(identities.server()),
        "-Verify": 5,
      });
      const session = await connectOver(await connectSocket(port, server), first as CryptoProvider, [suite]);
      const received = readBytes(session.readable, LENGTH);
      server.process.stdin.write(theirs);
      await writeBytes(session.writable, ours);
      expect(sha256(await received)).toBe(sha256(theirs));
      await session.close();
      expect(await readAll(session.readable)).toEqual(utf8(""));
      expect(await server.exited).toBe(0);
      expect(sha256(server.stdout())).toBe(sha256(ours));
    });

    it(`openssl s_client, mutls server, ${suite}, ${second?.name}`, async () => {
      const { port, connection } = await listenOnce();
      const client = startClient(port, {
        ...common(),
        ...opensslIdentity(identities.client()),
        "-verify": 5,
        "-no_ign_eof": true,
        // A buffer that begins with Q would be a command.
        "-nocommands": true,
      });
      const session = await acceptOver(await acceptSocket(connection, client), second as CryptoProvider, [suite]);
      const received = readBytes(session.readable, LENGTH);
      client.process.stdin.write(theirs);
      await writeBytes(session.writable, ours);
      expect(sha256(await received)).toBe(sha256(theirs));
      await client.until(() => client.stdout().length === LENGTH);
      expect(sha256(client.stdout())).toBe(sha256(ours));
      // Here it is OpenSSL that closes first.
      client.process.stdin.end();
      expect(await readAll(session.readable)).toEqual(utf8(""));
      await session.close();
      await session.closed;
      expect(await client.exited).toBe(0);
    });
  });
});

describe.skipIf(withoutOpenssl)("KeyUpdate", () => {
  for (const provider of PROVIDERS) {
    it(`asked of openssl s_server, ${provider.name}`, async () => {
      const { port, server } = await startServer({ ...common(), ...opensslIdentity(identities.server()) });
      const events: string[] = [];
      const session = await connect(socketStream(await connectSocket(port, server)), {
        provider,
        trust: identities.ca,
        serverName: "localhost",
        onEvent: (event) => {
          if (event.type === "key_update") events.push(event.requested ? "asked" : "told");
        },
      });
      session.updateKeys("update_requested");
      await writeBytes(session.writable, utf8("under the second key\n"));
      await server.until(() => server.stdout().toString() === "under the second key\n");
      server.process.stdin.write("under the second key too\n");
      expect(await readBytes(session.readable, 25)).toEqual(utf8("under the second key too\n"));
      expect(events).toEqual(["told"]);
      await session.close();
      expect(await readAll(session.readable)).toEqual(utf8(""));
      expect(await server.exited).toBe(0);
    });

    it(`asked by openssl s_client, ${provider.name}`, async () => {
      const { port, connection } = await listenOnce();
      const client = startClient(port, { ...common(), "-no_ign_eof": true });
      const events: string[] = [];
      const session = await accept(socketStream(await acceptSocket(connection, client)), {
        provider,
        identities: [identityOptions(identities.server())],
        onEvent: (event) => {
          if (event.type === "key_update") events.push(event.requested ? "asked" : "told");
        },
      });
      await client.until(() => client.summary().protocol !== undefined);
      // Its command for a KeyUpdate with update_requested.
      client.process.stdin.write("K\n");
      await client.until(() => client.stderr().includes("KEYUPDATE"));
      client.process.stdin.write("under the second key\n");
      expect(await readBytes(session.readable, 21)).toEqual(utf8("under the second key\n"));
      expect(events).toEqual(["asked"]);
      await writeBytes(session.writable, utf8("under the second key too\n"));
      await client.until(() => client.stdout().toString() === "under the second key too\n");
      client.process.stdin.end();
      expect(await readAll(session.readable)).toEqual(utf8(""));
      await session.close();
      expect(await client.exited).toBe(0);
    });
  }
});

/** s_client and s_server answer close_notify by closing; OpenSSL inside Node goes on sending. */
describe("close_notify in one direction while data flows in the other, against node:tls", () => {
  const data = randomBytes(1_000_000);

  for (const provider of PROVIDERS) {
    for (const first of ["mutls", "node:tls"] as const) {
      it(`mutls client, ${first} closes first, ${provider.name}`, async () => {
        const { port, connection } = await listenOnce();
        const established = connectOver(await connectTo(port), provider);
        const peer = new tls.TLSSocket(await connection, {
          isServer: true,
          requestCert: true,
          rejectUnauthorized: true,
          ca: identities.ca,
          cert: identities.server().certificatePem,
          key: identities.server().privateKeyPem,
        });
        peer.allowHalfOpen = true;
        await closeByHalves(await established, peer, first, data);
      });

      it(`mutls server, ${first} closes first, ${provider.name}`, async () => {
        const { port, connection } = await listenOnce();
        const socket = await connectTo(port);
        const peer = tls.connect({
          socket,
          allowHalfOpen: true,
          servername: "localhost",
          ca: identities.ca,
          cert: identities.client().certificatePem,
          key: identities.client().privateKeyPem,
        } as tls.ConnectionOptions);
        const session = await acceptOver(await connection, provider);
        await closeByHalves(session, peer, first, data);
      });
    }
  }
});

async function closeByHalves(
  session: TlsSession,
  peer: tls.TLSSocket,
  first: "mutls" | "node:tls",
  data: Uint8Array,
): Promise<void> {
  const received: Buffer[] = [];
  peer.on("data", (chunk: Buffer) => received.push(chunk));
  const ended = once(peer, "end");
  if (first === "mutls") {
    await writeBytes(session.writable, utf8("all from me"));
    await session.close();
    await ended;
    expect(Buffer.concat(received).toString()).toBe("all from me");
    peer.end(data);
    expect(sha256(await readAll(session.readable))).toBe(sha256(data));
  } else {
    peer.end("all from me");
    expect(await readAll(session.readable)).toEqual(utf8("all from me"));
    await writeBytes(session.writable, data);
    await session.close();
    await ended;
    expect(sha256(Buffer.concat(received))).toBe(sha256(data));
  }
  await session.closed;
}
