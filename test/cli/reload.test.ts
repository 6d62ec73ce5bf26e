/** `mutls serve --reload`: files that change under a server that runs. */
import { readFileSync, renameSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type PemBlock, readPem, writePem } from "../../src/bytes/pem.ts";
import { parsePkcs8 } from "../../src/crypto/keys.ts";
import { connect, type TlsSession } from "../../src/node/index.ts";
import { certificateFiles, type Files, type Served, served } from "../support/cli.ts";
import { makeAuthority, makeCertificate } from "../support/pki.ts";
import { codeOf } from "../support/session.ts";
import { makeCrl, serialOf } from "../support/status.ts";

let files: Files;
let server: Served | undefined;
beforeEach(async () => {
  files = await certificateFiles({ next: { subject: "next", dnsNames: ["localhost"], server: true } });
});
afterEach(async () => {
  await server?.stop();
  files.remove();
});

/** As most tools do it: aside, then in place. */
function put(name: string, content: string): void {
  renameSync(files.write(`${name}.new`, content), files.path(name));
}

const content = (name: string) => readFileSync(files.path(name), "utf8");
const pair = (name: string) => ({ cert: content(`${name}.pem`), key: content(`${name}.key`) });

function open(identity: { cert: string; key: string }): Promise<TlsSession> {
  const trust = content("trusted.pem");
  const port = (server as Served).port;
  return connect({ host: "127.0.0.1", port, serverName: "localhost", trust, identities: [identity] });
}

/** The P-256 key with a private scalar that is larger than the curve's order. */
function beyondOrder(pem: string): string {
  const [{ label, der }] = readPem(pem) as [PemBlock];
  const { key } = parsePkcs8(der) as { key: Uint8Array };
  const at = Buffer.from(der).indexOf(key);
  return writePem(label, new Uint8Array(der).fill(0xff, at, at + key.length));
}

/** Whether it is let in, by its echo. */
async function echo(session: TlsSession): Promise<string> {
  const reader = session.readable.getReader();
  const writer = session.writable.getWriter();
  try {
    await writer.write(new TextEncoder().encode("hello"));
    return new TextDecoder().decode((await reader.read()).value);
  } finally {
    reader.releaseLock();
    writer.releaseLock();
  }
}

describe("mutls serve --reload", () => {
  it("takes certificates, CAs and CRLs as they come, and cuts off who does not hold any more", async () => {
    const root = await makeAuthority();
    const leaf = await makeCertificate({ issuer: root, subject: "leaf" });
    const crl = async (...revoked: (typeof leaf)[]) =>
      writePem(
        "X509 CRL",
        await makeCrl({
          issuer: root,
          number: 1 + revoked.length,
          entries: revoked.map((one) => ({ serial: serialOf(one) })),
        }),
      );
    files.write("trusted.pem", content("ca.pem"));
    files.write("client-ca.pem", root.pem);
    files.write("crl.pem", await crl());
    server = await served([
      ...files.pair("server"),
      ...["--cacert", files.path("client-ca.pem"), "--crlfile", files.path("crl.pem")],
      ...["--client-auth", "on", "--mode", "echo", "--reload"],
    ]);
    const identity = { cert: leaf.pem, key: leaf.privateKeyPem };
    const session = await open(identity);
    expect(session.peer?.commonName).toBe("localhost");
    expect(await echo(session)).toBe("hello");

    put("server.pem", content("next.pem"));
    await server.says(
      /^mutls: not reloaded, what was in force stays: .*server\.key does not belong to .*server\.pem$/m,
    );
    put("server.key", content("next.key"));
    await server.says(/^mutls: reloaded: server\.pem, server\.key; generation 1$/m);
    const renewed = await open(identity);
    expect(renewed.peer?.commonName).toBe("next");
    expect(await echo(renewed)).toBe("hello");
    // Connections go on under the certificate that they began with.
    expect(await echo(session)).toBe("hello");

    put("crl.pem", await crl(leaf));
    await server.says(/^mutls: reloaded: crl\.pem; generation 2$/m);
    expect(await codeOf(session.closed)).toBe("ERR_SSL_SSLV3_ALERT_CERTIFICATE_REVOKED");
    expect(await codeOf(renewed.closed)).toBe("ERR_SSL_SSLV3_ALERT_CERTIFICATE_REVOKED");
    expect(await codeOf(open(identity).then(echo))).toBe("ERR_SSL_SSLV3_ALERT_CERTIFICATE_REVOKED");

    put("client-ca.pem", "nothing");
    await server.says(/not reloaded, what was in force stays: .*client-ca\.pem/);
    const { status, stderr } = await server.stop();
    expect(status).toBe(0);
    // One line for each, however often it was looked at.
    expect(stderr.match(/reloaded/g)).toHaveLength(4);
    server = undefined;
  });

  it.each(["node", "noble", "webcrypto"])(
    "refuses a key with numbers that are no key's, and goes on: %s",
    async (provider) => {
      files.write("trusted.pem", content("ca.pem"));
      server = await served([...files.pair("server"), "--mode", "echo", "--reload", "--provider", provider]);
      put("server.key", beyondOrder(content("server.key")));
      await server.says(/^mutls: not reloaded, what was in force stays: .*server\.key/m);
      const session = await open(pair("client"));
      expect(await echo(session)).toBe("hello");
      put("server.pem", content("next.pem"));
      put("server.key", content("next.key"));
      await server.says(/^mutls: reloaded: server\.pem, server\.key; generation 1$/m);
      expect((await server.stop()).status).toBe(0);
      server = undefined;
    },
  );

  it.skipIf(process.platform === "win32")("reads its files at SIGHUP, and says so", async () => {
    files.write("trusted.pem", content("ca.pem"));
    server = await served([...files.pair("server"), "--mode", "echo", "--reload"]);
    server.signal("SIGHUP");
    await server.says(/^mutls: reloaded: nothing has changed; generation 1$/m);
    files.write("server.pem", "nothing");
    server.signal("SIGHUP");
    await server.says(/not reloaded, what was in force stays: .*server\.pem/);
    const session = await open(pair("client"));
    expect(await echo(session)).toBe("hello");
  });

  it("tells in JSON where that is asked for", async () => {
    server = await served([...files.pair("server"), "--reload", "--json"]);
    put("server.pem", content("next.pem") + content("server.pem"));
    await server.says(/^\{"kind":"reload","text":"not reloaded, .*"\}$/m);
  });
});
