/** What the scenarios share: certificates, and engines that are connected over memory. */
import type { CryptoProvider } from "../src/crypto/provider.ts";
import { clientContext, serverContext, type TlsEngine } from "../src/engine/index.ts";
import { createThrowawayAuthority, type IssuedIdentity } from "../src/pki/index.ts";

/** A CA with one P-256 certificate for each end. */
export interface Material {
  /** PEM. */
  readonly ca: string;
  readonly server: IssuedIdentity;
  readonly client: IssuedIdentity;
}

export async function createMaterial(): Promise<Material> {
  const authority = await createThrowawayAuthority();
  return {
    ca: authority.certificatePem,
    server: await authority.issue({ subject: "localhost", dnsNames: ["localhost"], server: true }),
    client: await authority.issue({ subject: "client", client: true }),
  };
}

/** Makes fresh pairs of engines for mutual authentication with X25519. */
export function enginePairs(
  provider: CryptoProvider,
  { ca, server, client }: Material,
  suite: "TLS_AES_128_GCM_SHA256" | "TLS_CHACHA20_POLY1305_SHA256" = "TLS_AES_128_GCM_SHA256",
): () => readonly [client: TlsEngine, server: TlsEngine] {
  const common = { provider, clock: Date.now, trust: ca, groups: ["x25519"], cipherSuites: [suite] } as const;
  const clients = clientContext({
    ...common,
    serverName: "localhost",
    identities: [{ cert: client.certificates, key: client.privateKey }],
  });
  const servers = serverContext({
    ...common,
    identities: [{ cert: server.certificates, key: server.privateKey }],
    clientAuth: "on",
  });
  return () => [clients.engine(), servers.engine()];
}

/** Runs the handshake of a pair; synchronously where the provider is. */
export function shakeHands(a: TlsEngine, b: TlsEngine): void | Promise<void> {
  a.start();
  b.start();
  while (move(a, b) + move(b, a) > 0);
  if (a.result === undefined || b.result === undefined) return shakeHandsLater(a, b);
  assertMutual(a, b);
}

function shakeHandsLater(a: TlsEngine, b: TlsEngine): Promise<void> {
  return new Promise((resolve, reject) => {
    const pump = () => {
      while (move(a, b) + move(b, a) > 0);
      if (a.error ?? b.error) reject(a.error ?? b.error);
      if (a.result === undefined || b.result === undefined) return;
      assertMutual(a, b);
      resolve();
    };
    a.listen(() => {}, pump);
    b.listen(() => {}, pump);
    pump();
  });
}

/** Moves what one end has to say to the other; the number of bytes. */
function move(from: TlsEngine, to: TlsEngine): number {
  const bytes = from.takeOutput();
  if (bytes.length > 0) to.receive(bytes);
  return bytes.length;
}

function assertMutual(a: TlsEngine, b: TlsEngine): void {
  if (a.result?.peer?.verified !== true || b.result?.peer?.verified !== true)
    throw a.error ?? b.error ?? new Error("no peer");
}
