/** What examples may use without making it: certificates, a server to talk to, and a way to hold them to their claims. */
import { expect } from "vitest";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { accept, type ByteStream, clientContext, memoryPair } from "../../src/index.ts";
import { serve, type TlsServer } from "../../src/node/index.ts";
import { createThrowawayAuthority, type IssuedIdentity, type ThrowawayAuthority } from "../../src/pki/index.ts";

let made: Promise<{ readonly authority: ThrowawayAuthority; readonly identity: IssuedIdentity }> | undefined;
const servers: TlsServer[] = [];

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
  /** Such a server's on localhost. */
  port: async (): Promise<number> => {
    const options = { host: "localhost", ...(await serverOptions()) };
    const server = await serve(options, ({ readable, writable }) => readable.pipeTo(writable));
    servers.push(server);
    return server.port;
  },
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
    await Promise.all(servers.map((server) => server.close(true)));
  },
};
