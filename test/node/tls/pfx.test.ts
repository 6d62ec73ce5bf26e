import { once } from "node:events";
import type tls from "node:tls";
import { beforeAll, describe, expect, it } from "vitest";
import { SecureContext } from "../../../src/node/tls/context.ts";
import { createThrowawayAuthority, type IssuedIdentity, type ThrowawayAuthority } from "../../../src/pki/index.ts";
import { writePkcs12 } from "../../../src/pki/pkcs12.ts";
import { certificateBag, fixture, pfx, plainSafe, safesOf } from "../../pki/files.ts";
import { HOST, listening, mutls, PAIRS } from "./world.ts";

/** What node:tls's users do with `pfx`, over node:tls and over mutls: the same code, the same outcome. */

let authority: ThrowawayAuthority;
let server: IssuedIdentity;
let client: IssuedIdentity;
/** With the root and the intermediate. */
let serverPfx: Buffer;
let clientPfx: Buffer;
/** With nothing but the key and its certificate. */
let bare: Buffer;

beforeAll(async () => {
  authority = await createThrowawayAuthority({ intermediates: 1 });
  server = await authority.issue({ subject: "localhost", dnsNames: ["localhost"], server: true });
  client = await authority.issue({ subject: "client", client: true });
  const certificates = [{ cert: authority.certificate }];
  const pack = async ({ certificatePem, privateKeyPem }: IssuedIdentity, passphrase: string) => {
    const identities = [{ cert: certificatePem, key: privateKeyPem }];
    return Buffer.from(await writePkcs12({ identities, certificates }, passphrase, { iterations: 1000 }));
  };
  serverPfx = await pack(server, "server");
  clientPfx = await pack(client, "client");
  const identities = [{ cert: [client.certificates[0]], key: client.privateKey }];
  bare = Buffer.from(await writePkcs12({ identities }, "bare", { iterations: 1000 }));
});

describe.each(PAIRS)("pfx: %s", (_, near, far) => {
  async function meet(ours: tls.ConnectionOptions, theirs: tls.TlsOptions) {
    const listener = far.createServer({
      requestCert: true,
      minVersion: "TLSv1.3",
      rejectUnauthorized: false,
      ...theirs,
    });
    listener.on("tlsClientError", () => {});
    const port = await listening(listener);
    const accepted = once(listener, "secureConnection");
    const socket = near.connect({ host: HOST, servername: "localhost", port, rejectUnauthorized: false, ...ours });
    await once(socket, "secureConnect");
    const [peer] = (await accepted) as [tls.TLSSocket];
    const outcome = {
      near: [socket.authorized, socket.getPeerCertificate().subject?.CN],
      far: [peer.authorized, peer.getPeerCertificate().subject?.CN],
    };
    socket.on("error", () => {});
    peer.on("error", () => {});
    socket.destroy();
    peer.destroy();
    return outcome;
  }
  const both = { near: [true, "localhost"], far: [true, "client"] };

  it("identifies both ends, and its other certificates are believed", async () => {
    const ours = { pfx: clientPfx, passphrase: "client" };
    expect(await meet(ours, { pfx: serverPfx, passphrase: "server" })).toEqual(both);
  });

  it("may be a list, each with its own pass phrase or the common one", async () => {
    const forms: tls.SecureContextOptions[] = [
      { pfx: [clientPfx], passphrase: "client" },
      { pfx: [{ buf: clientPfx, passphrase: "client" }] },
      { pfx: [{ buf: clientPfx, passphrase: "client" }], passphrase: "another" },
      { pfx: [{ buf: clientPfx }], passphrase: "client" },
    ];
    for (const ours of forms) expect(await meet(ours, { pfx: serverPfx, passphrase: "server" })).toEqual(both);
  });

  it("stands beside ca, and is believed no less", async () => {
    const other = await createThrowawayAuthority({ name: "other" });
    const ours = { pfx: clientPfx, passphrase: "client", ca: other.certificatePem };
    expect(await meet(ours, { pfx: serverPfx, passphrase: "server", ca: other.certificatePem })).toEqual(both);
  });

  it("without other certificates vouches for nobody", async () => {
    const theirs = { pfx: serverPfx, passphrase: "server" };
    const outcome = await meet({ pfx: bare, passphrase: "bare" }, theirs);
    expect(outcome.near).toEqual([false, "localhost"]);
    expect((await meet({ pfx: bare, passphrase: "bare", ca: authority.certificatePem }, theirs)).near).toEqual(
      both.near,
    );
  });

  it.each([near, far])("is refused with a wrong pass phrase, none, or nothing in it", (tls) => {
    for (const passphrase of ["wrong", "", undefined]) {
      expect(() => tls.createSecureContext({ pfx: clientPfx, passphrase })).toThrow(/mac verify failure/);
    }
    expect(() => tls.createSecureContext({ pfx: [{ buf: clientPfx, passphrase: "wrong" }] })).toThrow(
      /mac verify failure/,
    );
    expect(() => tls.createSecureContext({ pfx: "sample", passphrase: "x" })).toThrow();
  });
});

describe("pfx in mutls", () => {
  it("is refused where its MAC is gone, lest whoever had it put his own CA in", async () => {
    const { certificate } = await createThrowawayAuthority({ name: "not ours" });
    const forged = Buffer.from(pfx([...safesOf(clientPfx), plainSafe(certificateBag(certificate))]));
    const refused = expect.objectContaining({
      code: "ERR_TLS_PKCS12",
      message: expect.stringContaining("mac absent"),
    });
    for (const form of [forged, [forged], { buf: forged, passphrase: "client" }]) {
      expect(() => mutls.createSecureContext({ pfx: form as Buffer, passphrase: "client" })).toThrow(refused);
    }
  });

  it("may be of an old Windows, which OpenSSL 3 does not read", () => {
    const pfx = Buffer.from(fixture("windows.p12"));
    expect(() => mutls.createSecureContext({ pfx, passphrase: "windows" })).not.toThrow();
  });

  it("names its other certificates to clients, with those of ca", () => {
    const { authorities } = new SecureContext({ pfx: serverPfx, passphrase: "server" });
    expect(authorities).toHaveLength(2);
    const more = new SecureContext({ pfx: serverPfx, passphrase: "server", ca: authority.certificatePem });
    expect(more.authorities).toHaveLength(2);
    expect(new SecureContext({ pfx: bare, passphrase: "bare" }).authorities).toEqual([]);
  });

  it("must have a key with its certificate", async () => {
    const pfx = Buffer.from(fixture("java17-trust.p12"));
    expect(() => mutls.createSecureContext({ pfx, passphrase: "changeit" })).toThrow(
      expect.objectContaining({ code: "ERR_TLS_PKCS12" }),
    );
  });
});
