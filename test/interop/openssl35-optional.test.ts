/** The hybrids of P-256 and P-384, and certificates of ML-DSA, against an OpenSSL that has them itself. */
import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes/bytes.ts";
import type { NamedGroupName, SignatureSchemeName } from "../../src/codec/registry.ts";
import { createNodeProvider } from "../../src/crypto/node.ts";
import { accept, connect, socketStream, type TlsSession } from "../../src/node/index.ts";
import { type MlDsaForm, nobleWithExtras, optionalKeyPair, webcryptoWithExtras } from "../support/extras.ts";
import { missing } from "../support/needs.ts";
import { endNodePeers, startNodePeer } from "../support/node-peer.ts";
import { makeAuthority, makeCertificate, type TestCertificate } from "../support/pki.ts";
import { readAll, writeAll } from "../support/session.ts";
import { connectTo, listenOnce } from "../support/tcp.ts";

/** A Node that carries OpenSSL 3.5. */
const node = process.env.MUTLS_NODE_OPENSSL35 ?? "";
const PROVIDERS = [createNodeProvider(), nobleWithExtras, webcryptoWithExtras];
const GROUPS: readonly NamedGroupName[] = ["SecP256r1MLKEM768", "SecP384r1MLKEM1024"];
const MLDSA = ["mldsa44", "mldsa65", "mldsa87"] as const;
const MESSAGE = "post-quantum, both ways";

interface Chain {
  readonly root: TestCertificate;
  readonly leaf: TestCertificate;
}

let classical: Chain;
const chains = new Map<string, Chain>();

beforeAll(async () => {
  const make = async (key: () => ReturnType<typeof optionalKeyPair> | "P-256"): Promise<Chain> => {
    const root = await makeAuthority({ key: key() });
    return { root, leaf: await makeCertificate({ subject: "peer", issuer: root, key: key() }) };
  };
  classical = await make(() => "P-256");
  const forms: readonly MlDsaForm[] = ["seed", "expanded", "both"];
  for (const [index, scheme] of MLDSA.entries()) {
    chains.set(scheme, await make(() => optionalKeyPair(scheme, forms[index])));
  }
});
afterAll(endNodePeers);

interface Case {
  readonly chain: Chain;
  readonly group?: NamedGroupName;
  readonly scheme?: SignatureSchemeName;
}

describe.skipIf(missing("MUTLS_NODE_OPENSSL35, a Node with OpenSSL 3.5", existsSync(node)))(
  "optional parts against OpenSSL 3.5",
  () => {
    for (const provider of PROVIDERS) {
      const roles = [
        ["mutls client", asClient],
        ["mutls server", asServer],
      ] as const;
      for (const [role, run] of roles) {
        it.each(GROUPS)(`${role}, %s, ${provider.name}`, (group) => run(provider, { chain: classical, group }));
        it.each(MLDSA)(`${role}, mutual %s, ${provider.name}`, (scheme) =>
          run(provider, { chain: chains.get(scheme) as Chain, scheme }),
        );
      }
    }
  },
);

async function asClient(provider: (typeof PROVIDERS)[number], wanted: Case): Promise<void> {
  const peer = startNodePeer(node, { role: "server", ...peerOptions(wanted) });
  const { port } = await peer.ready;
  const session = await connect(socketStream(await connectTo(port as number)), {
    serverName: "localhost",
    ...ourOptions(provider, wanted),
  });
  await writeAll(session.writable, utf8(MESSAGE));
  expect(await readAll(session.readable)).toEqual(utf8(MESSAGE));
  await session.closed;
  check(session, wanted);
  expect(await peer.next()).toMatchObject({ authorized: true, peer: "peer" });
  expect(await peer.exited).toBe(0);
}

async function asServer(provider: (typeof PROVIDERS)[number], wanted: Case): Promise<void> {
  const { port, connection } = await listenOnce();
  const about = { port, servername: "localhost", message: MESSAGE };
  const peer = startNodePeer(node, { role: "client", ...about, ...peerOptions(wanted) });
  await peer.ready;
  const session = await accept(socketStream(await connection), {
    clientAuth: "on",
    ...ourOptions(provider, wanted),
  });
  await session.readable.pipeTo(session.writable);
  await session.closed;
  check(session, wanted);
  expect(await peer.next()).toMatchObject({ authorized: true, peer: "peer" });
  expect(await peer.next()).toEqual({ received: MESSAGE });
  expect(await peer.exited).toBe(0);
}

function ourOptions(provider: (typeof PROVIDERS)[number], { chain, group, scheme }: Case) {
  return {
    provider,
    trust: chain.root.pem,
    identities: [{ cert: chain.leaf.pem, key: chain.leaf.privateKeyPem }],
    ...(group && { groups: [group] }),
    ...(scheme && { signatureSchemes: [scheme] }),
  };
}

function peerOptions({ chain: { root, leaf }, group, scheme }: Case) {
  return { ca: root.pem, cert: leaf.pem, key: leaf.privateKeyPem, ecdhCurve: group, sigalgs: scheme };
}

function check(session: TlsSession, { group, scheme = "ecdsa_secp256r1_sha256" }: Case): void {
  if (group !== undefined) expect(session.group).toBe(group);
  expect([session.signatureScheme, session.peerSignatureScheme]).toEqual([scheme, scheme]);
  expect([session.verified, session.peer?.commonName]).toEqual([true, "peer"]);
}
