/** OpenSSL's command as the other end of a demonstration. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { IssuedIdentity, ThrowawayAuthority } from "../pki/index.ts";

/** Whom the demonstration authenticates. */
export interface Cast {
  readonly authority: ThrowawayAuthority;
  readonly server: IssuedIdentity;
  readonly client: IssuedIdentity;
}

/** Paths of PEM files. */
export interface Files {
  readonly ca: string;
  readonly serverCert: string;
  readonly serverKey: string;
  readonly clientCert: string;
  readonly clientKey: string;
}

/** `OpenSSL 3.0.2`; `undefined` where there is no such command. */
export function opensslVersion(): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile("openssl", ["version"], { timeout: 5000 }, (error, stdout) => {
      resolve(error === null ? stdout.split(" ").slice(0, 2).join(" ").trim() : undefined);
    });
  });
}

/** Certificates and keys in files that only their owner may read, and that are gone afterwards. */
export async function withFiles(cast: Cast, use: (files: Files) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "mutls-demo-"));
  const remove = () => rmSync(directory, { recursive: true, force: true });
  process.once("exit", remove);
  const file = (name: string, content: string) => {
    const path = join(directory, name);
    writeFileSync(path, content, { mode: 0o600 });
    return path;
  };
  try {
    await use({
      ca: file("ca.pem", cast.authority.certificatePem),
      serverCert: file("server.pem", cast.server.certificatePem),
      serverKey: file("server.key", cast.server.privateKeyPem),
      clientCert: file("client.pem", cast.client.certificatePem),
      clientKey: file("client.key", cast.client.privateKeyPem),
    });
  } finally {
    process.off("exit", remove);
    remove();
  }
}

/** `openssl s_server` with a required client certificate, for one connection; it listens soon. */
export async function opensslServer(files: Files, time: number) {
  const port = await freePort();
  const child = spawn("openssl", [
    ...["s_server", "-accept", `127.0.0.1:${port}`, "-naccept", "1", "-tls1_3", "-quiet"],
    ...["-cert", files.serverCert, "-key", files.serverKey],
    ...["-CAfile", files.ca, "-Verify", "1", "-verify_return_error"],
  ]);
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  const stop = () => void child.kill();
  process.once("exit", stop);
  const timer = setTimeout(stop, time);
  child.once("close", () => {
    clearTimeout(timer);
    process.off("exit", stop);
  });
  const gone = exited(child, stderr);
  return {
    port,
    send: (text: string) => void child.stdin.write(text),
    received: (text: string) => Promise.race([stdout.includes(text), gone]),
    /** The client's subject, as OpenSSL's verification callback names it. */
    verified: async () => {
      await Promise.race([stderr.includes("verify return:1"), gone]);
      const subject = /depth=0 (.*)/.exec(stderr.text())?.[1];
      if (subject === undefined) throw new Error("openssl s_server verified nobody");
      return subject;
    },
    stop,
  };
}

/** What `openssl s_client` reads in answer to a request, after verifying CA and name. */
export async function opensslClient(files: Files, port: number, time: number): Promise<string> {
  const child = spawn("openssl", [
    ...["s_client", "-connect", `127.0.0.1:${port}`, "-servername", "localhost", "-tls1_3", "-quiet"],
    ...["-CAfile", files.ca, "-verify_hostname", "localhost", "-verify_return_error"],
    ...["-cert", files.clientCert, "-key", files.clientKey],
  ]);
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  const timer = setTimeout(() => child.kill(), time);
  child.stdin.on("error", () => {});
  child.stdin.write("GET / HTTP/1.0\r\n\r\n");
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  clearTimeout(timer);
  if (status !== 0) throw new Error(`openssl s_client ended with status ${status}: ${stderr.text().slice(-300)}`);
  return stdout.text();
}

/** Rejects when the process ends, since something is still wanted of it. */
function exited(child: ChildProcess, stderr: { text(): string }): Promise<never> {
  const gone = new Promise<never>((_, reject) => {
    child.once("error", reject);
    child.once("close", (status) => {
      reject(new Error(`openssl s_server ended with status ${status}: ${stderr.text().slice(-300)}`));
    });
  });
  gone.catch(() => {});
  return gone;
}

/** A stream's text so far, and the wait for some of it. */
function collect(stream: NodeJS.ReadableStream) {
  let text = "";
  let waiting: (() => void)[] = [];
  stream.on("data", (chunk: Uint8Array) => {
    text += String(chunk);
    for (const check of waiting) check();
  });
  return {
    text: () => text,
    includes: (wanted: string) =>
      new Promise<void>((resolve) => {
        const check = () => {
          if (!text.includes(wanted)) return;
          waiting = waiting.filter((other) => other !== check);
          resolve();
        };
        waiting.push(check);
        check();
      }),
  };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen({ host: "127.0.0.1", port: 0 }, () => {
      const { port } = probe.address() as AddressInfo;
      probe.close(() => resolve(port));
    });
  });
}
