import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes/bytes.ts";
import { writePem } from "../../src/bytes/pem.ts";
import type { CipherSuiteName, SignatureSchemeName } from "../../src/codec/registry.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { createNodeProvider } from "../../src/crypto/node.ts";
import type { CryptoProvider } from "../../src/crypto/provider.ts";
import { accept, connect, socketStream, type TlsSession } from "../../src/node/index.ts";
import { createThrowawayAuthority, type IssuedIdentity, type IssuedKeyKind } from "../../src/pki/index.ts";
import {
  endOpenssl,
  OPENSSL_GROUPS,
  type OpensslOptions,
  type OpensslProcess,
  startClient,
  startServer,
  withoutOpenssl,
} from "../support/openssl.ts";
import { PemFiles } from "../support/pem-files.ts";
import { readAll } from "../support/session.ts";
import { acceptSocket, connectSocket, listenOnce, readBytes, writeBytes } from "../support/tcp.ts";

type GroupName = keyof typeof OPENSSL_GROUPS;
type Role = "client" | "server";

/** One handshake; what is left out is as OpenSSL and the library have it. */
interface Handshake {
  /** Whose part the library plays. */
  readonly role: Role;
  readonly provider: CryptoProvider;
  readonly suite?: CipherSuiteName;
  /** The only group both sides allow. */
  readonly group?: GroupName;
  /** The client first sends a share of this group, which the server does not take. */
  readonly firstShare?: GroupName;
  readonly server: Credentials;
  /** Left out: the server does not ask. */
  readonly client?: Credentials;
}

/** An identity and the root that issued it. */
interface Credentials {
  readonly kind: IssuedKeyKind;
  readonly identity: IssuedIdentity;
  readonly ca: string;
}

const SUITES: readonly CipherSuiteName[] = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
];
const GROUPS = Object.keys(OPENSSL_GROUPS) as GroupName[];
const PROVIDERS = [nobleProvider, createNodeProvider()];

/** For each kind of key: the scheme that both sides choose, and what OpenSSL calls it. */
const KINDS: Readonly<
  Record<IssuedKeyKind, { readonly scheme: SignatureSchemeName; readonly type: string; readonly hash: string }>
> = {
  "P-256": { scheme: "ecdsa_secp256r1_sha256", type: "ECDSA", hash: "SHA256" },
  "P-384": { scheme: "ecdsa_secp384r1_sha384", type: "ECDSA", hash: "SHA384" },
  "P-521": { scheme: "ecdsa_secp521r1_sha512", type: "ECDSA", hash: "SHA512" },
  Ed25519: { scheme: "ed25519", type: "ed25519", hash: "UNDEF" },
  RSA: { scheme: "rsa_pss_rsae_sha256", type: "RSA-PSS", hash: "SHA256" },
  "RSA-PSS": { scheme: "rsa_pss_pss_sha256", type: "RSA-PSS", hash: "SHA256" },
};
const KEY_KINDS = Object.keys(KINDS) as IssuedKeyKind[];

const TEMPORARY_KEYS: Readonly<Record<GroupName, string>> = {
  x25519: "X25519, 253 bits",
  secp256r1: "ECDH, prime256v1, 256 bits",
  secp384r1: "ECDH, secp384r1, 384 bits",
  secp521r1: "ECDH, secp521r1, 521 bits",
};
const files = new PemFiles();
const servers = new Map<IssuedKeyKind, Credentials>();
const clients = new Map<IssuedKeyKind, Credentials>();
const chains: { readonly server: Credentials; readonly client: Credentials }[] = [];
let succeeded = 0;

beforeAll(async () => {
  const make = async (kind: IssuedKeyKind, intermediates: number) => {
    const authority = await createThrowawayAuthority({ key: kind, intermediates, name: `root ${kind}` });
    const issue = async (subject: string, role: Role): Promise<Credentials> => {
      const identity = await authority.issue({ subject, dnsNames: ["localhost"], [role]: true, key: kind });
      return { kind, identity, ca: authority.certificatePem };
    };
    return { server: await issue("localhost", "server"), client: await issue("client", "client") };
  };
  for (const kind of KEY_KINDS) {
    const { server, client } = await make(kind, 0);
    servers.set(kind, server);
    clients.set(kind, client);
  }
  for (const intermediates of [0, 1, 2]) chains.push(await make("P-256", intermediates));
});

afterAll(() => {
  endOpenssl();
  files.remove();
});

describe.skipIf(withoutOpenssl)("handshakes with OpenSSL", () => {
  for (const role of ["client", "server"] as const) {
    describe.concurrent(role === "client" ? "mutls client, openssl s_server" : "openssl s_client, mutls server", () => {
      for (const provider of PROVIDERS) {
        SUITES.forEach((suite, row) => {
          GROUPS.forEach((group, column) => {
            const mutual = (row + column + PROVIDERS.indexOf(provider)) % 2 === 0;
            it(`${suite}, ${group}, ${mutual ? "mutual" : "one-way"}, ${provider.name}`, () =>
              handshake({
                role,
                provider,
                suite,
                group,
                server: credentials(servers, "P-256"),
                ...(mutual ? { client: credentials(clients, "P-256") } : {}),
              }));
          });
        });
      }

      KEY_KINDS.forEach((serverKind, row) => {
        KEY_KINDS.forEach((clientKind, column) => {
          const provider = PROVIDERS[(row + column) % PROVIDERS.length] as CryptoProvider;
          it(`server certificate ${serverKind}, client certificate ${clientKind}, ${provider.name}`, () =>
            handshake({
              role,
              provider,
              server: credentials(servers, serverKind),
              client: credentials(clients, clientKind),
            }));
        });
      });

      for (const depth of [1, 2, 3]) {
        it(`chains of ${depth} certificates`, () =>
          handshake({ role, provider: nobleProvider, ...(chains[depth - 1] as (typeof chains)[number]) }));
      }

      for (const provider of PROVIDERS) {
        GROUPS.forEach((group, index) => {
          const firstShare = GROUPS[(index + 1) % GROUPS.length] as GroupName;
          it(`HelloRetryRequest from ${firstShare} to ${group}, ${provider.name}`, () =>
            handshake({
              role,
              provider,
              group,
              firstShare,
              server: credentials(servers, "P-256"),
              client: credentials(clients, "P-256"),
            }));
        });
      }
    });
  }

  it("were many", () => {
    console.info(`${succeeded} handshakes with OpenSSL succeeded`);
    expect(succeeded).toBeGreaterThanOrEqual(80);
  });
});

function credentials(of: ReadonlyMap<IssuedKeyKind, Credentials>, kind: IssuedKeyKind): Credentials {
  const found = of.get(kind);
  if (found === undefined) throw new RangeError(`no certificate of kind ${kind}`);
  return found;
}

async function handshake(wanted: Handshake): Promise<void> {
  const { session, peer } = wanted.role === "client" ? await asClient(wanted) : await asServer(wanted);
  await writeBytes(session.writable, utf8("from mutls\n"));
  await peer.until(() => peer.stdout().toString() === "from mutls\n");
  peer.process.stdin.write("from openssl\n");
  expect(await readBytes(session.readable, 13)).toEqual(utf8("from openssl\n"));
  await session.accepted;
  checkOurs(wanted, session);
  checkTheirs(wanted, peer);
  await session.close();
  expect(await readAll(session.readable)).toEqual(utf8(""));
  await session.closed;
  expect(await peer.exited).toBe(0);
  succeeded++;
}

async function asClient(wanted: Handshake): Promise<{ session: TlsSession; peer: OpensslProcess }> {
  const { provider, suite, group, firstShare, server, client } = wanted;
  const { port, server: peer } = await startServer({
    ...opensslOptions(server, client),
    "-Verify": client && 5,
    "-ciphersuites": suite,
    "-groups": group && OPENSSL_GROUPS[group],
  });
  const session = await connect(socketStream(await connectSocket(port, peer)), {
    provider,
    serverName: "localhost",
    trust: server.ca,
    ...(group && { groups: firstShare === undefined ? [group] : [firstShare, group] }),
    ...(firstShare && { keyShares: [firstShare] }),
    ...(client && { identities: [identityOptions(client)] }),
  });
  return { session, peer };
}

async function asServer(wanted: Handshake): Promise<{ session: TlsSession; peer: OpensslProcess }> {
  const { provider, suite, group, firstShare, server, client } = wanted;
  const { port, connection } = await listenOnce();
  const peer = startClient(port, {
    ...opensslOptions(client, server),
    "-servername": "localhost",
    "-verify_hostname": "localhost",
    "-verify": 5,
    "-no_ign_eof": true,
    // It sends a share for the first only.
    "-groups": group && [firstShare, group].flatMap((name) => (name ? [OPENSSL_GROUPS[name]] : [])).join(":"),
  });
  const session = await accept(socketStream(await acceptSocket(connection, peer)), {
    provider,
    identities: [identityOptions(server)],
    ...(suite && { cipherSuites: [suite] }),
    ...(group && { groups: [group] }),
    ...(client && { trust: client.ca, clientAuth: "on" }),
  });
  return { session, peer };
}

/** What both commands take. */
function opensslOptions(own: Credentials | undefined, peer: Credentials | undefined): OpensslOptions {
  const [leaf = "", ...chain] = (own?.identity.certificates ?? []).map((der) => writePem("CERTIFICATE", der));
  return {
    "-quiet": true,
    "-tls1_3": true,
    "-verify_return_error": true,
    "-cert": own && files.path(leaf),
    "-key": own && files.path(own.identity.privateKeyPem),
    "-cert_chain": chain.length === 0 ? undefined : files.path(chain.join("")),
    "-CAfile": peer && files.path(peer.ca),
  };
}

function identityOptions({ identity }: Credentials) {
  return { cert: identity.certificates, key: identity.privateKeyPem };
}

function checkOurs(wanted: Handshake, session: TlsSession): void {
  const { role, suite, group, firstShare, server, client } = wanted;
  const [own, peer] = role === "client" ? [client, server] : [server, client];
  expect(session.protocol).toBe("TLSv1.3");
  if (suite !== undefined) expect(session.cipherSuite).toBe(suite);
  if (group !== undefined) expect(session.group).toBe(group);
  expect(session.retried).toBe(firstShare !== undefined);
  expect(session.serverName).toBe("localhost");
  expect(session.clientAuthRequested).toBe(client !== undefined);
  expect(session.signatureScheme).toBe(own && KINDS[own.kind].scheme);
  expect(session.peerSignatureScheme).toBe(peer && KINDS[peer.kind].scheme);
  expect(session.verified).toBe(peer !== undefined);
  expect(session.peer?.commonName).toBe(peer && (role === "client" ? "localhost" : "client"));
  expect(session.peer?.path.length).toBe(peer && peer.identity.certificates.length + 1);
}

function checkTheirs({ role, suite, group, firstShare, server, client }: Handshake, process: OpensslProcess): void {
  const own = role === "client" ? client : server;
  const summary = process.summary();
  expect(summary.protocol).toBe("TLSv1.3");
  expect(summary.cipherSuite).toBe(suite ?? summary.cipherSuite);
  expect(summary.verification).toBe(own && "OK");
  expect(summary.signatureType).toBe(own && KINDS[own.kind].type);
  expect(summary.signatureHash).toBe(own && KINDS[own.kind].hash);
  if (group === undefined) return;
  if (role === "server") expect(summary.temporaryKey).toBe(TEMPORARY_KEYS[group]);
  // It was told to take the last of them only.
  else expect(summary.offeredGroups).toBe(firstShare === undefined ? group : `${firstShare}:${group}`);
}
