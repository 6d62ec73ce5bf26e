/** Exported keying material (RFC 8446 7.5), held against what `openssl` derives from the same connection. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { toHex } from "../../src/bytes/hex.ts";
import { accept, connect, socketStream, type TlsSession } from "../../src/node/index.ts";
import { createTestIdentities, identityOptions, type TestIdentities } from "../support/identities.ts";
import { endOpenssl, type OpensslProcess, startClient, startServer, withoutOpenssl } from "../support/openssl.ts";
import { PemFiles } from "../support/pem-files.ts";
import { acceptSocket, connectSocket, listenOnce } from "../support/tcp.ts";

const files = new PemFiles();
let identities: TestIdentities;

beforeAll(async () => {
  identities = await createTestIdentities();
});

afterAll(() => {
  endOpenssl();
  files.remove();
});

const exporting = (label: string, length: number) => ({
  "-brief": undefined,
  "-keymatexport": label,
  "-keymatexportlen": length,
});

/** What `openssl` printed. */
async function derived(peer: OpensslProcess): Promise<string | undefined> {
  const find = () => /Keying material: ([0-9A-F]+)\n/.exec(peer.stdout().toString())?.[1];
  await peer.until(() => find() !== undefined);
  return find()?.toLowerCase();
}

async function compare(session: TlsSession, peer: OpensslProcess, label: string, length: number): Promise<void> {
  expect(await derived(peer)).toBe(toHex(session.exportKeyingMaterial(length, label)));
  if (label === "EXPORTER-Channel-Binding") {
    expect(await derived(peer)).toBe(toHex(session.channelBinding("tls-exporter")));
  }
  session.abort();
  await session.closed.catch(() => undefined);
}

describe.skipIf(withoutOpenssl).each([
  ["EXPORTER-Channel-Binding", 32],
  ["EXPORTER-mutls-test", 20],
  ["EXPORTER-mutls-test", 400],
])("%s, %d bytes", (label, length) => {
  it("is what openssl s_server has", async () => {
    const { certificatePem, privateKeyPem } = identities.server();
    const own = { "-cert": files.path(certificatePem), "-key": files.path(privateKeyPem) };
    const { port, server } = await startServer({ ...own, ...exporting(label, length) });
    const stream = socketStream(await connectSocket(port, server));
    const session = await connect(stream, { trust: identities.ca, serverName: "localhost" });
    await compare(session, server, label, length);
  });

  it("is what openssl s_client has", async () => {
    const { port, connection } = await listenOnce();
    const client = startClient(port, exporting(label, length));
    const stream = socketStream(await acceptSocket(connection, client));
    const session = await accept(stream, { identities: [identityOptions(identities.server())] });
    await compare(session, client, label, length);
  });
});
