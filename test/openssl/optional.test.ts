/** What both sides have and offer only when it is named: X448, finite fields, Ed448, AES-CCM. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes/bytes.ts";
import type { CipherSuiteName, NamedGroupName, SignatureSchemeName } from "../../src/codec/registry.ts";
import { createNodeProvider } from "../../src/crypto/node.ts";
import type { CryptoProvider } from "../../src/crypto/provider.ts";
import { accept, connect, socketStream, type TlsSession } from "../../src/node/index.ts";
import { nobleWithExtras, optionalKeyPair } from "../support/extras.ts";
import { endOpenssl, type OpensslProcess, startClient, startServer, withoutOpenssl } from "../support/openssl.ts";
import { PemFiles } from "../support/pem-files.ts";
import { makeAuthority, makeCertificate, type TestCertificate } from "../support/pki.ts";
import { readAll } from "../support/session.ts";
import { acceptSocket, connectSocket, listenOnce, readBytes, writeBytes } from "../support/tcp.ts";

const node = createNodeProvider();

/** One handshake; what is left out is as both have it. */
interface Case {
  readonly provider: CryptoProvider;
  readonly group?: NamedGroupName;
  /** What OpenSSL says of the key. */
  readonly key?: string;
  /** The client's only share is of x25519 at first. */
  readonly retried?: boolean;
  readonly suite?: CipherSuiteName;
  readonly scheme?: SignatureSchemeName;
}

const CASES: readonly Case[] = [
  { provider: node, group: "x448", key: "X448, 448 bits" },
  { provider: nobleWithExtras, group: "x448", key: "X448, 448 bits" },
  { provider: nobleWithExtras, group: "x448", key: "X448, 448 bits", retried: true },
  { provider: node, group: "ffdhe2048", key: "DH, 2048 bits" },
  { provider: node, group: "ffdhe3072", key: "DH, 3072 bits", retried: true },
  { provider: node, group: "ffdhe4096", key: "DH, 4096 bits" },
  { provider: node, suite: "TLS_AES_128_CCM_SHA256" },
  { provider: node, suite: "TLS_AES_128_CCM_8_SHA256" },
  { provider: node, scheme: "ed448" },
  { provider: nobleWithExtras, scheme: "ed448" },
];

const files = new PemFiles();
const identities = new Map<string, { readonly root: TestCertificate; readonly leaf: TestCertificate }>();

beforeAll(async () => {
  for (const kind of ["P-256", "ed448"] as const) {
    const key = () => (kind === "P-256" ? kind : optionalKeyPair(kind));
    const root = await makeAuthority({ subject: `root ${kind}`, key: key() });
    identities.set(kind, { root, leaf: await makeCertificate({ subject: `leaf ${kind}`, issuer: root, key: key() }) });
  }
});

afterAll(() => {
  endOpenssl();
  files.remove();
});

describe.skipIf(withoutOpenssl)("optional parts with OpenSSL", () => {
  for (const wanted of CASES) {
    const { provider, group, suite, scheme, retried = false } = wanted;
    const name = `${group ?? suite ?? `mutual ${scheme}`}${retried ? " after HelloRetryRequest" : ""}, ${provider.name}`;

    it(`${name}, openssl s_server`, async () => {
      const { leaf, root } = identityFor(wanted);
      const { port, server: peer } = await startServer({
        ...opensslOptions(wanted),
        "-Verify": 5,
        "-groups": group,
        "-ciphersuites": suite,
      });
      const session = await connect(socketStream(await connectSocket(port, peer)), {
        provider,
        serverName: "localhost",
        trust: root.pem,
        identities: [{ cert: leaf.pem, key: leaf.privateKeyPem }],
        ...(group && { groups: retried ? ["x25519", group] : [group], keyShares: [retried ? "x25519" : group] }),
        ...(suite && { cipherSuites: [suite] }),
        ...(scheme && { signatureSchemes: [scheme] }),
      });
      await talk(wanted, session, peer);
    });

    it(`${name}, openssl s_client`, async () => {
      const { leaf, root } = identityFor(wanted);
      const { port, connection } = await listenOnce();
      const peer = startClient(port, {
        ...opensslOptions(wanted),
        "-servername": "localhost",
        "-verify_hostname": "localhost",
        "-verify": 5,
        "-no_ign_eof": true,
        "-groups": group && (retried ? `X25519:${group}` : group),
        "-ciphersuites": suite,
      });
      const session = await accept(socketStream(await acceptSocket(connection, peer)), {
        provider,
        identities: [{ cert: leaf.pem, key: leaf.privateKeyPem }],
        trust: root.pem,
        clientAuth: "on",
        ...(group && { groups: [group] }),
        ...(suite && { cipherSuites: [suite] }),
        ...(scheme && { signatureSchemes: [scheme] }),
      });
      await talk(wanted, session, peer);
      if (wanted.key !== undefined) expect(peer.summary().temporaryKey).toBe(wanted.key);
    });
  }
});

function identityFor({ scheme }: Case) {
  const found = identities.get(scheme ?? "P-256");
  if (found === undefined) throw new RangeError(`no identity for ${scheme}`);
  return found;
}

function opensslOptions(wanted: Case) {
  const { leaf, root } = identityFor(wanted);
  return {
    "-quiet": true,
    "-tls1_3": true,
    "-verify_return_error": true,
    "-cert": files.path(leaf.pem),
    "-key": files.path(leaf.privateKeyPem),
    "-CAfile": files.path(root.pem),
  } as const;
}

async function talk(wanted: Case, session: TlsSession, peer: OpensslProcess): Promise<void> {
  await writeBytes(session.writable, utf8("from mutls\n"));
  await peer.until(() => peer.stdout().toString() === "from mutls\n");
  peer.process.stdin.write("from openssl\n");
  expect(await readBytes(session.readable, 13)).toEqual(utf8("from openssl\n"));
  await session.accepted;
  if (wanted.group !== undefined) expect(session.group).toBe(wanted.group);
  if (wanted.suite !== undefined) expect(session.cipherSuite).toBe(wanted.suite);
  const scheme = wanted.scheme ?? "ecdsa_secp256r1_sha256";
  expect([session.signatureScheme, session.peerSignatureScheme]).toEqual([scheme, scheme]);
  expect(session.retried).toBe(wanted.retried ?? false);
  expect(session.verified).toBe(true);
  expect(peer.summary()).toMatchObject({ protocol: "TLSv1.3", cipherSuite: session.cipherSuite, verification: "OK" });
  if (wanted.scheme !== undefined) expect(peer.summary().signatureType).toBe(wanted.scheme);
  await session.close();
  expect(await readAll(session.readable)).toEqual(utf8(""));
  await session.closed;
  expect(await peer.exited).toBe(0);
}
