/** max_fragment_length and OCSP staples with OpenSSL, both roles. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes/bytes.ts";
import { createNodeProvider } from "../../src/crypto/node.ts";
import type { Observation } from "../../src/engine/index.ts";
import { accept, connect, socketStream } from "../../src/node/index.ts";
import { createThrowawayAuthority, type IssuedIdentity, type ThrowawayAuthority } from "../../src/pki/index.ts";
import { endOpenssl, startClient, startServer, withoutOpenssl } from "../support/openssl.ts";
import { PemFiles } from "../support/pem-files.ts";
import { acceptSocket, connectSocket, listenOnce, readBytes, writeBytes } from "../support/tcp.ts";

const provider = createNodeProvider();
const files = new PemFiles();
let authority: ThrowawayAuthority;
let identity: IssuedIdentity;
const own = () => ({ cert: identity.certificates, key: identity.privateKeyPem });
const LINE = utf8(`${"x".repeat(2999)}\n`);

/** OCSPResponse with responseStatus tryLater, RFC 6960 4.2.1. */
const STAPLE = Uint8Array.of(0x30, 3, 0x0a, 1, 3);

beforeAll(async () => {
  authority = await createThrowawayAuthority();
  identity = await authority.issue({ subject: "localhost", dnsNames: ["localhost"] });
});
afterAll(() => {
  endOpenssl();
  files.remove();
});

/** Bytes of content in the protected records that were sent, and that were received. */
function measuring() {
  const lengths = { sent: [] as number[], received: [] as number[] };
  const observer = (record: Observation) => {
    if (record.kind === "record" && record.sequence !== undefined)
      lengths[record.direction].push(record.content.length);
  };
  return { lengths, observer };
}

const identityFiles = () => ({
  "-cert": files.path(identity.certificatePem),
  "-key": files.path(identity.privateKeyPem),
});

describe.skipIf(withoutOpenssl)("extensions with OpenSSL", () => {
  it.each([512, 1024] as const)("as a client: max_fragment_length %i, both ways", async (maxFragmentLength) => {
    const { lengths, observer } = measuring();
    const { port, server } = await startServer({ ...identityFiles(), "-rev": true, "-tls1_3": true });
    const session = await connect(socketStream(await connectSocket(port, server)), {
      provider,
      serverName: "localhost",
      trust: authority.certificatePem,
      maxFragmentLength,
      observer,
    });
    await writeBytes(session.writable, LINE);
    expect(await readBytes(session.readable, LINE.length)).toEqual(LINE);
    expect(Math.max(...lengths.received)).toBe(maxFragmentLength);
    expect(Math.max(...lengths.sent)).toBe(maxFragmentLength - 1);
    await session.close();
    server.process.kill();
    await server.exited;
  });

  it.each([512, 1024] as const)("as a server: max_fragment_length %i, both ways", async (length) => {
    const { lengths, observer } = measuring();
    const { port, connection } = await listenOnce();
    const client = startClient(port, { "-quiet": true, "-maxfraglen": length, "-tls1_3": true });
    const session = await accept(socketStream(await acceptSocket(connection, client)), {
      provider,
      identities: [own()],
      observer,
    });
    await writeBytes(session.writable, LINE);
    await client.until(() => client.stdout().length === LINE.length);
    client.process.stdin.write(LINE);
    expect(await readBytes(session.readable, LINE.length)).toEqual(LINE);
    expect(Math.max(...lengths.sent)).toBe(length - 1);
    expect(Math.max(...lengths.received)).toBe(length);
    await session.close();
    client.process.kill();
    await client.exited;
  });

  it("as a client: takes a staple", async () => {
    const status = files.path(String.fromCharCode(...STAPLE));
    const { port, server } = await startServer({ ...identityFiles(), "-status_file": status, "-tls1_3": true });
    const session = await connect(socketStream(await connectSocket(port, server)), {
      provider,
      serverName: "localhost",
      trust: authority.certificatePem,
      requestStatus: true,
    });
    expect(session.peerOcspResponse).toEqual(STAPLE);
    await session.close();
    server.process.kill();
    await server.exited;
  });

  it("as a server: staples", async () => {
    const { port, connection } = await listenOnce();
    const client = startClient(port, { "-status": true, "-tls1_3": true, "-brief": undefined });
    const session = await accept(socketStream(await acceptSocket(connection, client)), {
      provider,
      identities: [{ ...own(), ocspResponse: STAPLE }],
    });
    const said = () => `${client.stdout()}${client.stderr()}`;
    await client.until(() => /OCSP Response Status: trylater/i.test(said()));
    await session.close();
    client.process.kill();
    await client.exited;
  });
});
