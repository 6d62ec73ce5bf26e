import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { Server } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readPem } from "../../../src/bytes/pem.ts";
import {
  type CertificateAuthority,
  createAuthority,
  type IssuedCertificate,
  type IssueInput,
  ocspResponder,
  ocspServer,
  privateKeyPem,
} from "../../../src/node/ca/index.ts";
import { generateKeyPair } from "../../../src/pki/keys.ts";
import { encodeOcspRequest, parseOcspResponse } from "../../../src/x509/ocsp.ts";
import { parseCertificate } from "../../../src/x509/parse.ts";
import { withoutOpenssl } from "../../support/openssl.ts";
import { makeCertificate } from "../../support/pki.ts";

let folder: string;
let authority: CertificateAuthority;
const issued: Record<string, IssuedCertificate> = {};
let server: Server;
let url: string;

async function listen(one: Server): Promise<string> {
  await new Promise<void>((resolve) => one.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(one.address() as { port: number }).port}`;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "mutls-responder-"));
  authority = await createAuthority(folder);
  const { spki } = await generateKeyPair("P-256");
  for (const name of ["good", "bad"]) issued[name] = await authority.issue({ profile: "client", spki, subject: name });
  await authority.revoke(issued.bad?.serial as string, "keyCompromise");
  for (const [name, { pem }] of Object.entries(issued)) writeFileSync(join(folder, `${name}.pem`), pem);
  server = ocspServer(await ocspResponder(authority));
  url = await listen(server);
});
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

function ask(name: string, nonce?: Uint8Array): Uint8Array {
  const [issuer] = authority.certificates;
  return encodeOcspRequest((issued[name] as IssuedCertificate).certificate, issuer.certificate, nonce);
}

async function post(body: Uint8Array, type = "application/ocsp-request") {
  return fetch(url, { method: "POST", body: new Uint8Array(body), headers: { "content-type": type } });
}

const single = async (response: Response) =>
  parseOcspResponse(new Uint8Array(await response.arrayBuffer())).responses[0];

describe("the responder over HTTP", () => {
  it("answers POST, and nobody keeps what has a nonce", async () => {
    const response = await post(ask("good", new Uint8Array(32)));
    expect(response.headers.get("content-type")).toBe("application/ocsp-response");
    expect(response.headers.get("cache-control")).toBe("no-store");
    expect((await single(response))?.status).toBe("good");
    // RFC 9110 8.3.1: in whichever case.
    expect((await single(await post(ask("good"), "Application/OCSP-Request")))?.status).toBe("good");
    expect(await single(await post(ask("bad")))).toMatchObject({ status: "revoked", reason: "keyCompromise" });
  });

  it("answers GET, which may be kept for as long as it is good", async () => {
    const path = encodeURIComponent(Buffer.from(ask("good")).toString("base64"));
    const response = await fetch(`${url}/${path}`);
    expect(response.headers.get("cache-control")).toBe("max-age=3600, public, no-transform, must-revalidate");
    expect((await single(response))?.status).toBe("good");
  });

  it("sees at once what is revoked", async () => {
    const { spki } = await generateKeyPair("P-256");
    issued.late = await authority.issue({ profile: "client", spki, subject: "late" });
    expect((await single(await post(ask("late"))))?.status).toBe("good");
    await authority.revoke(issued.late.serial);
    expect((await single(await post(ask("late"))))?.status).toBe("revoked");
  });

  it("knows nothing of certificates that are not in the folder", async () => {
    const [issuer] = authority.certificates;
    const foreign = { issuer: issuer.certificate.subject, serialNumber: Uint8Array.of(7) };
    const unknown = await post(encodeOcspRequest(foreign, issuer.certificate));
    expect((await single(unknown))?.status).toBe("unknown");
    const other = parseCertificate((await makeCertificate()).der);
    await expect(post(encodeOcspRequest(other, other)).then(single)).rejects.toThrow("answers unauthorized");
  });

  it("speaks for the root too", async () => {
    const [issuing, root] = authority.certificates;
    const request = encodeOcspRequest(issuing.certificate, (root as typeof issuing).certificate);
    expect((await single(await post(request)))?.status).toBe("good");
  });

  it.each([
    ["what is no request", () => post(Uint8Array.of(1, 2, 3)), 200],
    ["another type", () => post(ask("good"), "text/plain"), 415],
    ["too much", () => post(new Uint8Array(8193)), 413],
    ["another method", () => fetch(url, { method: "PUT", body: "a" }), 405],
    ["a path that is no base64", () => fetch(`${url}/%zz`), 200],
    ["nothing", () => fetch(url), 200],
  ])("survives %s", async (_, request, status) => {
    const response = await request();
    expect(response.status).toBe(status);
    const body = new Uint8Array(await response.arrayBuffer());
    if (status === 200) expect(Buffer.from(body).toString("hex")).toBe("30030a0101");
    expect((await single(await post(ask("good"))))?.status).toBe("good");
  });

  it("survives too much in chunks, without waiting for the end", async () => {
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    const answer = new Promise<string>((resolve, reject) => {
      let text = "";
      socket.on("data", (chunk) => (text += chunk)).on("close", () => resolve(text));
      socket.on("error", (error) => (text === "" ? reject(error) : resolve(text)));
    });
    const head = ["POST / HTTP/1.1", "Host: a", "Content-Type: application/ocsp-request", "Transfer-Encoding: chunked"];
    socket.write(`${head.join("\r\n")}\r\n\r\n`);
    for (let i = 0; i < 3; i++) socket.write(`1000\r\n${"a".repeat(0x1000)}\r\n`);
    expect(await answer).toMatch(/^HTTP\/1\.1 413 /);
  });

  it("signs with a delegate, without the CA's keys", async () => {
    const key = await generateKeyPair("P-256");
    const { pem } = await authority.issue({ profile: "ocsp", spki: key.spki, subject: "responder" });
    const [certFile, keyFile] = [join(folder, "responder.pem"), join(folder, "responder.key")];
    writeFileSync(certFile, pem);
    writeFileSync(keyFile, await privateKeyPem(key.pkcs8, "hush"));
    const respond = await ocspResponder(authority, { delegate: { certFile, keyFile, passphrase: "hush" } });
    const response = parseOcspResponse((await respond(ask("bad"))).response);
    expect([response.responses[0]?.status, response.certificates.length]).toEqual(["revoked", 1]);
    await expect(ocspResponder(authority, { delegate: { certFile, keyFile } })).rejects.toMatchObject({
      code: "ERR_TLS_PASSPHRASE",
    });
  });

  it("is held to its delegate before anybody asks", async () => {
    const key = await generateKeyPair("P-256");
    const [certFile, keyFile] = [join(folder, "held.pem"), join(folder, "held.key")];
    const made = async (input: Partial<IssueInput>, pair = key, text?: string) => {
      const { pem } = await authority.issue({ profile: "ocsp", spki: key.spki, subject: "responder", ...input });
      writeFileSync(certFile, text ?? pem);
      writeFileSync(keyFile, await privateKeyPem(pair.pkcs8));
      return ocspResponder(authority, { delegate: { certFile, keyFile } });
    };
    const refused = (code: string, detail: string) => ({ code, detail: expect.stringContaining(detail) });
    const past = { notBefore: Date.now() - 60_000, notAfter: Date.now() - 1000 };
    await expect(made(past)).rejects.toMatchObject(refused("ERR_TLS_OPTION", "and not now"));
    await expect(made({ profile: "client" })).rejects.toMatchObject(refused("ERR_TLS_OPTION", "not one of"));
    await expect(made({}, await generateKeyPair("P-256"))).rejects.toMatchObject(refused("ERR_TLS_KEY", "not the"));
    await expect(made({}, key, "hello")).rejects.toMatchObject(refused("ERR_TLS_OPTION", "holds no certificate"));
    await expect(ocspResponder(authority, { lifetime: 0 })).rejects.toMatchObject(
      refused("ERR_TLS_OPTION", "due before"),
    );
    // No answer is good for longer than whom it is signed by.
    const respond = await made({ notAfter: Date.now() + 600_000 });
    const { response, maxAge } = await respond(ask("good"));
    const end = parseCertificate(readPem(readFileSync(certFile, "utf8"))[0]?.der as Uint8Array).notAfter;
    expect(parseOcspResponse(response).responses[0]?.nextUpdate).toBe(end);
    expect(maxAge).toBeLessThanOrEqual(600);
  });

  it("gives up on who neither asks nor reads", () => {
    expect(server.timeout).toBeGreaterThan(0);
    expect(server.requestTimeout).toBeGreaterThan(0);
    expect(server.headersTimeout).toBeGreaterThan(0);
  });

  it("tells its owner what goes wrong inside, and its client nothing", async () => {
    const broken = { ...authority, folder: join(folder, "ca.json") };
    const errors: unknown[] = [];
    const respond = await ocspResponder(broken, {}, (error) => errors.push(error));
    const { response, maxAge } = await respond(ask("good"));
    expect([Buffer.from(response).toString("hex"), maxAge]).toEqual(["30030a0102", undefined]);
    expect(errors).toMatchObject([{ code: "ERR_TLS_CA_STATE" }]);
  });
});

describe.skipIf(withoutOpenssl)("openssl ocsp", () => {
  const openssl = async (name: string, ...more: string[]) => {
    const chain = ["-CAfile", "root.pem", "-VAfile", "issuing.pem", "-issuer", "issuing.pem", "-cert", `${name}.pem`];
    const { stdout, stderr } = await promisify(execFile)("openssl", ["ocsp", ...more, ...chain, "-url", url], {
      cwd: folder,
    });
    return stdout + stderr;
  };

  it.each([[[]], [["-no_nonce"]], [["-sha256"]]])("is told, and believes: %j", async (more) => {
    const good = await openssl("good", ...more);
    expect(good).toContain("Response verify OK");
    expect(good).toContain("good.pem: good");
    const bad = await openssl("bad", ...more);
    expect(bad).toContain("bad.pem: revoked");
    expect(bad).toContain("Reason: keyCompromise");
  });
});
