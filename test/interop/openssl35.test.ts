import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes/bytes.ts";
import type { NamedGroupName } from "../../src/codec/registry.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { createNodeProvider } from "../../src/crypto/node.ts";
import { accept, connect, socketStream, type TlsSession } from "../../src/node/index.ts";
import { createTestIdentities, identityOptions, type TestIdentities } from "../support/identities.ts";
import { missing } from "../support/needs.ts";
import { endNodePeers, startNodePeer } from "../support/node-peer.ts";
import { readAll, writeAll } from "../support/session.ts";
import { connectTo, listenOnce } from "../support/tcp.ts";

/** A Node that carries OpenSSL 3.5. */
const node = process.env.MUTLS_NODE_OPENSSL35 ?? "";
const HYBRID = "X25519MLKEM768";
const MESSAGE = "post-quantum, both ways";

/** How each side's groups are set. */
interface Case {
  readonly name: string;
  /** Ours; left out: the defaults. */
  readonly groups?: readonly NamedGroupName[];
  readonly keyShares?: readonly NamedGroupName[];
  /** OpenSSL's list; left out: its defaults. */
  readonly curves?: string;
  readonly retried: boolean;
  readonly group: NamedGroupName;
}

const AS_CLIENT: readonly Case[] = [
  { name: "defaults", retried: false, group: HYBRID },
  { name: "the hybrid alone", groups: [HYBRID], curves: HYBRID, retried: false, group: HYBRID },
  {
    name: "HelloRetryRequest to the hybrid",
    groups: ["x25519", HYBRID],
    keyShares: ["x25519"],
    curves: HYBRID,
    retried: true,
    group: HYBRID,
  },
  {
    name: "HelloRetryRequest away from the hybrid",
    groups: [HYBRID, "secp384r1"],
    keyShares: [HYBRID],
    curves: "secp384r1",
    retried: true,
    group: "secp384r1",
  },
  { name: "a server without the hybrid", curves: "X25519", retried: false, group: "x25519" },
];

const AS_SERVER: readonly Case[] = [
  { name: "defaults", retried: false, group: HYBRID },
  { name: "the hybrid alone", groups: [HYBRID], curves: HYBRID, retried: false, group: HYBRID },
  {
    name: "HelloRetryRequest to the hybrid",
    groups: [HYBRID],
    curves: `X25519:${HYBRID}`,
    retried: true,
    group: HYBRID,
  },
  {
    name: "HelloRetryRequest away from the hybrid",
    groups: ["secp384r1"],
    curves: `${HYBRID}:secp384r1`,
    retried: true,
    group: "secp384r1",
  },
  { name: "a client without the hybrid", curves: "X25519", retried: false, group: "x25519" },
];

let identities: TestIdentities;

afterAll(endNodePeers);

beforeAll(async () => {
  identities = await createTestIdentities();
});

describe.skipIf(missing("MUTLS_NODE_OPENSSL35, a Node with OpenSSL 3.5", existsSync(node)))(
  `${HYBRID} against OpenSSL 3.5`,
  () => {
    for (const provider of [nobleProvider, createNodeProvider()]) {
      for (const { name, groups, keyShares, curves, retried, group } of AS_CLIENT) {
        it(`mutls client, ${name}, ${provider.name}`, async () => {
          const peer = startNodePeer(node, { ...peerOptions("server"), ecdhCurve: curves });
          const { port } = await peer.ready;
          const session = await connect(socketStream(await connectTo(port as number)), {
            provider,
            trust: identities.ca,
            serverName: "localhost",
            alpn: ["h2"],
            identities: [identityOptions(identities.client())],
            groups,
            keyShares,
          });
          await writeAll(session.writable, utf8(MESSAGE));
          expect(await readAll(session.readable)).toEqual(utf8(MESSAGE));
          await session.closed;
          check(session, { group, retried, commonName: "localhost" });
          expect(await peer.next()).toEqual(facts(session, "client P-256"));
          expect(await peer.exited).toBe(0);
        });
      }

      for (const { name, groups, curves, retried, group } of AS_SERVER) {
        it(`mutls server, ${name}, ${provider.name}`, async () => {
          const { port, connection } = await listenOnce();
          const peer = startNodePeer(node, {
            ...peerOptions("client"),
            port,
            servername: "localhost",
            message: MESSAGE,
            ecdhCurve: curves,
          });
          await peer.ready;
          const session = await accept(socketStream(await connection), {
            provider,
            trust: identities.ca,
            alpn: ["h2"],
            identities: [identityOptions(identities.server())],
            clientAuth: "on",
            groups,
          });
          await session.readable.pipeTo(session.writable);
          await session.closed;
          check(session, { group, retried, commonName: "client P-256" });
          expect(await peer.next()).toEqual(facts(session, "localhost"));
          expect(await peer.next()).toEqual({ received: MESSAGE });
          expect(await peer.exited).toBe(0);
        });
      }
    }
  },
);

function check(
  session: TlsSession,
  { group, retried, commonName }: { group: NamedGroupName; retried: boolean; commonName: string },
): void {
  expect(session.group).toBe(group);
  expect(session.retried).toBe(retried);
  expect(session.verified).toBe(true);
  expect(session.peer?.commonName).toBe(commonName);
}

/** What the peer must have seen. */
function facts(session: TlsSession, peer: string) {
  return { protocol: session.protocol, cipherSuite: session.cipherSuite, authorized: true, peer, alpn: "h2" };
}

function peerOptions(role: "client" | "server") {
  const { certificatePem, privateKeyPem } = role === "client" ? identities.client() : identities.server();
  return { role, ca: identities.ca, cert: certificatePem, key: privateKeyPem, ALPNProtocols: ["h2"] };
}
