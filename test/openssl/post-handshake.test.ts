/** Client certificates asked for after the handshake, with `openssl s_client` and `openssl s_server` (RFC 8446 4.6.2). */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes/bytes.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { createNodeProvider } from "../../src/crypto/node.ts";
import { accept, connect, socketStream } from "../../src/node/index.ts";
import { deferred } from "../../src/transport/stream.ts";
import { endOpenssl, startClient, startServer, withoutOpenssl } from "../support/openssl.ts";
import { PemFiles } from "../support/pem-files.ts";
import { type Parties, parties, pemOf } from "../support/session.ts";
import { acceptSocket, connectSocket, listenOnce, readBytes, writeBytes } from "../support/tcp.ts";

const PROVIDERS = [nobleProvider, createNodeProvider()];
const LINE = utf8("a line\n");

let files: PemFiles;
let p: Parties;

beforeAll(async () => {
  files = new PemFiles();
  p = await parties();
});
afterAll(() => {
  endOpenssl();
  files.remove();
});

describe.skipIf(withoutOpenssl).each(PROVIDERS.map((provider) => ({ provider, name: provider.name })))(
  "post-handshake authentication with OpenSSL, $name",
  ({ provider }) => {
    it("as a server: asks s_client -enable_pha, twice, with a KeyUpdate between", async () => {
      const { port, connection } = await listenOnce();
      const client = startClient(port, {
        "-enable_pha": true,
        "-cert": files.path(p.client.certificatePem),
        "-key": files.path(p.client.privateKeyPem),
        "-tls1_3": true,
        "-quiet": true,
      });
      const session = await accept(socketStream(await acceptSocket(connection, client)), {
        ...p.serverOptions,
        provider,
        clientAuth: "off",
        postHandshakeAuth: true,
      });
      expect(session.peer).toBeUndefined();
      // s_client reads while it waits for its input.
      expect((await session.requestClientCertificate())?.commonName).toBe("client");
      session.updateKeys("update_requested");
      expect((await session.requestClientCertificate())?.commonName).toBe("client");
      expect([session.peer?.commonName, session.verified]).toEqual(["client", true]);
      client.process.stdin.write(LINE);
      expect(await readBytes(session.readable, LINE.length)).toEqual(LINE);
      await session.close();
      client.process.kill();
      await client.exited;
    });

    it("as a server: is declined by s_client -enable_pha without a certificate, and does not ask without", async () => {
      for (const pha of [true, false]) {
        const { port, connection } = await listenOnce();
        const client = startClient(port, { "-enable_pha": pha || undefined, "-tls1_3": true, "-quiet": true });
        const session = await accept(socketStream(await acceptSocket(connection, client)), {
          ...p.serverOptions,
          provider,
          clientAuth: "off",
          postHandshakeAuth: true,
        });
        if (pha) expect(await session.requestClientCertificate()).toBeUndefined();
        else await expect(session.requestClientCertificate()).rejects.toThrow("does not offer it");
        await writeBytes(session.writable, LINE);
        await client.until(() => client.stdout().includes("a line"));
        await session.close();
        client.process.kill();
        await client.exited;
      }
    });

    it("as a client: answers s_server's command c, with and without a certificate", async () => {
      for (const identities of [[pemOf(p.client)], []]) {
        const { port, server } = await startServer({
          "-cert": files.path(p.server.certificatePem),
          "-key": files.path(p.server.privateKeyPem),
          "-CAfile": files.path(p.ca),
          "-verify": 3,
          "-tls1_3": true,
          "-brief": undefined,
        });
        const presented = deferred<string | undefined>();
        const session = await connect(socketStream(await connectSocket(port, server)), {
          ...p.clientOptions,
          provider,
          identities,
          postHandshakeAuth: true,
          onEvent: (event) => {
            if (event.type === "identity_presented") presented.resolve(event.identity?.parsed[0]?.subject.text);
          },
        });
        await writeBytes(session.writable, LINE);
        await server.until(() => server.stdout().includes("a line"));
        server.process.stdin.write("c\n");
        expect(await presented.promise).toBe(identities.length > 0 ? "CN=client" : undefined);
        await writeBytes(session.writable, utf8("behind it\n"));
        await server.until(() => server.stdout().includes("behind it"));
        server.process.stdin.write("and back\n");
        expect(await readBytes(session.readable, 9)).toEqual(utf8("and back\n"));
        // What it verified.
        expect(/depth=0 CN = client\s+verify return:1/.test(server.stderr())).toBe(identities.length > 0);
        await session.close();
        server.process.kill();
        await server.exited;
      }
    });
  },
);
