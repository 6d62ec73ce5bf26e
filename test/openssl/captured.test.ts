/** OpenSSL's connections with itself, recorded on their way and read with the key log that OpenSSL writes. */
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createNodeProvider } from "../../src/crypto/node.ts";
import { Flag } from "../../src/inspect/capture/frames.ts";
import type { TraceItem } from "../../src/inspect/index.ts";
import { createThrowawayAuthority } from "../../src/pki/index.ts";
import { CLIENT, inspected, notesOf, packet, pcap, SERVER } from "../inspect/captures.ts";
import { messagesOf, recordsOf } from "../inspect/support.ts";
import { endOpenssl, type OpensslOptions, startClient, startServer, withoutOpenssl } from "../support/openssl.ts";
import { PemFiles } from "../support/pem-files.ts";
import { connectSocket } from "../support/tcp.ts";

const files = new PemFiles();
const folder = mkdtempSync(join(tmpdir(), "mutls-captured-"));
let server: OpensslOptions;
let client: OpensslOptions;

beforeAll(async () => {
  const authority = await createThrowawayAuthority();
  const issue = async (subject: string) => {
    const { certificatePem, privateKeyPem } = await authority.issue({ subject, dnsNames: ["localhost"] });
    return { "-cert": files.path(certificatePem), "-key": files.path(privateKeyPem) };
  };
  const trust = { "-CAfile": files.path(authority.certificatePem) };
  server = { ...(await issue("localhost")), ...trust, "-rev": true };
  client = { ...(await issue("alice")), ...trust };
});
afterAll(() => {
  endOpenssl();
  files.remove();
  rmSync(folder, { recursive: true });
});

/** A connection of both as a pcap file, with what the server has logged of its secrets. */
async function recorded(serverOptions: OpensslOptions, clientOptions: OpensslOptions) {
  const log = join(folder, `${Math.random()}.log`);
  const { port, server: peer } = await startServer({ ...server, "-keylogfile": log, ...serverOptions });
  const frames = [
    packet(CLIENT, SERVER, 0, undefined, Flag.syn),
    packet(SERVER, CLIENT, 0, undefined, Flag.syn | Flag.ack),
  ];
  const next = { up: 1, down: 1 };
  const proxy = createServer({ allowHalfOpen: true }, async (near) => {
    proxy.close();
    const far = await connectSocket(port, peer);
    near.on("data", (bytes: Buffer) => {
      frames.push(packet(CLIENT, SERVER, next.up, bytes));
      next.up += bytes.length;
    });
    far.on("data", (bytes: Buffer) => {
      frames.push(packet(SERVER, CLIENT, next.down, bytes));
      next.down += bytes.length;
    });
    near.pipe(far).pipe(near);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const)
      one.on("error", () => other.destroy());
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const asking = startClient((proxy.address() as AddressInfo).port, { ...client, ...clientOptions });
  asking.process.stdin.write("stressed\n");
  await asking.until(() => asking.stdout().includes("desserts"));
  asking.process.stdin.end();
  await Promise.all([asking.exited, peer.exited]);
  return { file: pcap(frames), keyLog: readFileSync(log, "utf8") };
}

describe.skipIf(withoutOpenssl)("OpenSSL with itself, captured", () => {
  it.each([
    ["TLS_AES_128_GCM_SHA256", {}, {}],
    ["TLS_AES_256_GCM_SHA384", { "-Verify": 1 }, {}],
    ["TLS_CHACHA20_POLY1305_SHA256", { "-Verify": 1 }, {}],
    ["TLS_AES_128_CCM_SHA256", {}, {}],
    ["TLS_AES_128_GCM_SHA256", { "-groups": "P-384" }, { "-groups": "X25519:P-384" }],
    ["TLS_AES_128_GCM_SHA256", { "-record_padding": 256, "-max_send_frag": 512 }, { "-record_padding": 128 }],
  ] as const)("is read: %s, %j, %j", async (suite, serverOptions, clientOptions) => {
    const { file, keyLog } = await recorded(
      { ...serverOptions, "-ciphersuites": suite },
      { ...clientOptions, "-ciphersuites": suite },
    );
    const { connections, items } = inspected(file, { keyLog, provider: createNodeProvider() });
    expect(connections).toMatchObject([{ protocol: "TLS 1.3", cipherSuite: suite }]);
    const read = recordsOf(items() as TraceItem[]);
    const text = (from: string) =>
      read
        .filter((record) => record.from === from && record.type.name === "application_data")
        .map(({ content }) => new TextDecoder().decode(content))
        .join("");
    expect([text("client"), text("server")]).toEqual(["stressed\n", "desserts\n"]);
    expect(read.filter(({ outerType, sequence }) => outerType.code === 23 && sequence === undefined)).toEqual([]);
    expect(notesOf(items()).map((note) => note.split(" ", 3).join(" "))).toEqual([
      "verified the server's",
      "verified the client's",
    ]);
    const names = messagesOf(items() as TraceItem[]).map(({ type }) => type);
    expect(names).toContain("new_session_ticket");
    expect(names.includes("certificate_request")).toBe("-Verify" in serverOptions);
    expect(names.includes("hello_retry_request")).toBe("-groups" in serverOptions);
    expect(read.some(({ padding }) => padding > 0)).toBe("-record_padding" in serverOptions);
    expect(messagesOf(items() as TraceItem[]).filter(({ problem }) => problem !== undefined)).toEqual([]);
  });

  it("is one line where it speaks TLS 1.2", async () => {
    const { file, keyLog } = await recorded({ "-tls1_2": true }, {});
    const { connections, items } = inspected(file, { keyLog });
    expect([connections.length, items().length]).toEqual([1, 0]);
    expect(connections[0]?.reason).toMatch(/^TLS 1\.2 \(cipher suite 0x[0-9a-f]{4}\): only TLS 1\.3/);
  });
});
