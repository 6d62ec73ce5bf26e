/** What examples may use without making it: certificates, a server to talk to, and a way to hold them to their claims. */
import { createServer, type Server } from "node:https";
import { type AddressInfo, connect as connectTcp } from "node:net";
import type { TLSSocket } from "node:tls";
import { expect } from "vitest";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { accept, type ByteStream, clientContext, memoryPair } from "../../src/index.ts";
import { serve, socketStream, type TlsServer } from "../../src/node/index.ts";
import { createThrowawayAuthority, type IssuedIdentity, type ThrowawayAuthority } from "../../src/pki/index.ts";
import { type ListeningRelay, serveRelay } from "../../src/relay/index.ts";

let made: Promise<{ readonly authority: ThrowawayAuthority; readonly identity: IssuedIdentity }> | undefined;
let echo: Promise<TlsServer> | undefined;
const relays: ListeningRelay[] = [];
let site: Promise<Server> | undefined;

function material() {
  made ??= (async () => {
    const authority = await createThrowawayAuthority();
    const identity = await authority.issue({ subject: "localhost", dnsNames: ["localhost"] });
    return { authority, identity };
  })();
  return made;
}

async function serverOptions() {
  const { authority, identity } = await material();
  const { certificatePem: cert, privateKeyPem: key } = identity;
  return { identities: [{ cert, key }], clientAuth: "optional", trust: authority.certificatePem } as const;
}

function echoing(): Promise<TlsServer> {
  echo ??= (async () => {
    const options = { host: "localhost", ...(await serverOptions()) };
    return serve(options, ({ readable, writable }) => readable.pipeTo(writable));
  })();
  return echo;
}

function website(): Promise<Server> {
  site ??= (async () => {
    const { authority, identity } = await material();
    const { certificatePem: cert, privateKeyPem: key } = identity;
    const server = createServer({ cert, key, ca: authority.certificatePem, requestCert: true }, (request, response) => {
      response.end(`hello ${(request.socket as TLSSocket).getPeerCertificate().subject.CN}`);
    });
    await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
    return server;
  })();
  return site;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

export const prelude = {
  authority: async () => (await material()).authority,
  /** PEM of the root. */
  ca: async () => (await material()).authority.certificatePem,
  /** PEM of a certificate for localhost, for servers and clients. */
  cert: async () => (await material()).identity.certificatePem,
  /** PEM of its key. */
  key: async () => (await material()).identity.privateKeyPem,
  certificates: async () => (await material()).identity.certificates,
  provider: async () => nobleProvider,
  /** Leads to a server that sends back what it gets. */
  stream: async (): Promise<ByteStream> => {
    const [near, far] = memoryPair();
    const session = accept(far, await serverOptions());
    session.then(({ readable, writable }) => readable.pipeTo(writable)).catch(() => {});
    return near;
  },
  /** Of an HTTPS server that wants certificates, and greets. */
  origin: async () => `https://localhost:${portOf(await website())}`,
  /** Leads to any port of this machine. */
  open: async () => (_host: string, port: number) => socketStream(connectTcp({ host: "localhost", port })),
  /** Of a relay to all of these. */
  relay: async () => {
    const ports = [(await echoing()).port, portOf(await website())];
    const relay = await serveRelay({ allow: ports.map((port) => `localhost:${port}`) });
    relays.push(relay);
    return `ws://localhost:${relay.port}/`;
  },
  /** Such a server's on localhost. */
  port: async (): Promise<number> => (await echoing()).port,
  clientHello: async (): Promise<Uint8Array> => {
    const engine = clientContext({
      provider: nobleProvider,
      serverName: "localhost",
      trust: (await material()).authority.certificatePem,
    }).engine();
    engine.start();
    return engine.takeOutput();
  },

  /** What an example logs is what the comment behind says: as text, or as one JavaScript expression. */
  claim(text: string, ...values: readonly unknown[]): void {
    if (values.length !== 1 || String(values[0]) === text || !/^[[{"]/.test(text)) {
      expect(values.map(String).join(" ")).toBe(text);
    } else {
      expect(values[0]).toEqual(new Function(`return (${text});`)());
    }
  },

  /** After the last example. */
  async stop(): Promise<void> {
    await Promise.all([(await echo)?.close(true), ...relays.map((relay) => relay.close())]);
    (await site)?.close();
    (await site)?.closeAllConnections();
  },
};
