/** `npm start`: mutual handshakes on loopback, with this implementation at both ends, then with OpenSSL at either. */
import type { AddressInfo } from "node:net";
import { connect as connectTcp, createServer, type Socket } from "node:net";
import { createRenderer } from "../inspect/render.ts";
import { createTrace, traceError } from "../inspect/trace.ts";
import { accept, type ByteStream, connect, socketStream, TlsError, type TlsSession } from "../node/index.ts";
import { createThrowawayAuthority } from "../pki/index.ts";
import { type Cast, type Files, opensslClient, opensslServer, opensslVersion, withFiles } from "./demo-openssl.ts";
import type { Command } from "./flags.ts";
import { errorLine, nameOf, rejectionLines, traceWidth, wantsColor } from "./report.ts";
import { MODES } from "./serve-modes.ts";

export const demoCommand: Command = {
  name: "demo",
  synopsis: "",
  summary: "Shows a mutual handshake, byte by byte, then the same against OpenSSL both ways.",
  description: "Certificates come from an authority that lives as long as the demonstration.",
  positionals: 0,
  flags: [],
  examples: ["mutls demo"],
  run,
};

/** What one handshake came to. */
interface Outcome {
  readonly what: string;
  readonly result: "ok" | "failed" | "skipped";
  readonly detail: readonly string[];
}

/** For one handshake, everything included, in ms. */
const TIME = 10_000;

async function run(): Promise<number> {
  const { stdout } = process;
  const say = (text: string) => void stdout.write(`${text}\n`);
  const authority = await createThrowawayAuthority({ name: "mutls demo root" });
  const cast = {
    authority,
    server: await authority.issue({
      subject: "localhost",
      dnsNames: ["localhost"],
      ipAddresses: ["127.0.0.1"],
      server: true,
    }),
    client: await authority.issue({ subject: "alice", uris: ["spiffe://example.org/alice"], client: true }),
  };
  say("A mutual TLS 1.3 handshake over TCP on this machine, seen from the client: every record, message and field,");
  say("with the section of the RFC that defines it and the secret that protects it. Both certificates come from a CA");
  say("that exists for this demonstration only.");
  const outcomes = [await attempt("mutls client ↔ mutls server", () => bothEnds(cast, say))];
  const version = await opensslVersion();
  const peer = version ?? "OpenSSL";
  const against: readonly (readonly [string, (files: Files) => Promise<string[]>])[] = [
    [`mutls client ↔ ${peer} s_server`, (files) => clientAgainstOpenssl(cast, files)],
    [`${peer} s_client ↔ mutls server`, (files) => serverAgainstOpenssl(cast, files)],
  ];
  if (version === undefined) {
    for (const [what] of against)
      outcomes.push({ what, result: "skipped", detail: ["there is no openssl on the PATH"] });
  } else {
    await withFiles(cast, async (files) => {
      for (const [what, meet] of against) outcomes.push(await attempt(what, () => meet(files)));
    });
  }
  say("\nWhat was run\n");
  for (const outcome of outcomes) {
    const [first = "", ...more] = outcome.detail;
    say(`  ${outcome.result.padEnd(8)} ${outcome.what}`);
    for (const line of [first, ...more]) say(`           ${line}`);
  }
  const failed = outcomes.filter(({ result }) => result === "failed").length;
  say(`\n${failed === 0 ? "All handshakes that were run succeeded." : `${failed} of ${outcomes.length} failed.`}`);
  return failed === 0 ? 0 : 1;
}

async function attempt(what: string, meet: () => Promise<string[]>): Promise<Outcome> {
  try {
    return { what, result: "ok", detail: await meet() };
  } catch (error) {
    return { what, result: "failed", detail: [errorLine(error), ...rejectionLines(error)] };
  }
}

async function bothEnds(cast: Cast, say: (text: string) => void): Promise<string[]> {
  const { stdout } = process;
  const render = createRenderer({ color: wantsColor(stdout), width: traceWidth(stdout) });
  const trace = createTrace("client", (item) => stdout.write(render(item)));
  const listener = await listen(cast);
  try {
    const session = await connect(await socket(listener.port), {
      ...clientOptions(cast),
      alpn: ["http/1.0"],
      observer: trace,
    });
    const answer = await request(session);
    const served = await listener.served;
    say("\nThe server's answer\n");
    say(
      answer
        .replace(/\r/g, "")
        .trimEnd()
        .replace(/^(?=.)/gm, "  "),
    );
    return facts(session, served);
  } catch (error) {
    if (error instanceof TlsError) stdout.write(render(traceError(error)));
    throw error;
  } finally {
    listener.close();
  }
}

async function clientAgainstOpenssl(cast: Cast, files: Files): Promise<string[]> {
  const peer = await opensslServer(files, TIME);
  try {
    const session = await connect(await socket(peer.port), clientOptions(cast));
    const writer = session.writable.getWriter();
    await writer.write(new TextEncoder().encode("hello from mutls\n"));
    await peer.received("hello from mutls");
    peer.send("hello from OpenSSL\n");
    await receive(session, "hello from OpenSSL");
    await writer.close();
    return [...facts(session, undefined), `the server authenticated ${await peer.verified()} and both sent data`];
  } finally {
    peer.stop();
  }
}

async function serverAgainstOpenssl(cast: Cast, files: Files): Promise<string[]> {
  const listener = await listen(cast);
  try {
    const [output, served] = await Promise.all([opensslClient(files, listener.port, TIME), listener.served]);
    const client = nameOf(served.peer as NonNullable<TlsSession["peer"]>);
    if (!output.startsWith("HTTP/1.0 200 OK") || !output.includes(`"subject": "${client}"`)) {
      throw new Error(`openssl s_client read ${JSON.stringify(output.slice(0, 200))}`);
    }
    return [...facts(served, undefined), "the client authenticated the server by CA and name, and read its answer"];
  } finally {
    listener.close();
  }
}

function clientOptions({ authority, client }: Cast) {
  return {
    serverName: "localhost",
    trust: authority.certificatePem,
    identities: [{ cert: client.certificates, key: client.privateKey }],
    signal: AbortSignal.timeout(TIME),
  };
}

/** A server for one connection; `served` is its session once it has answered. */
async function listen({ authority, server }: Cast) {
  const tcp = createServer({ allowHalfOpen: true });
  await new Promise<void>((resolve, reject) => {
    tcp.once("error", reject);
    tcp.listen({ host: "127.0.0.1", port: 0 }, resolve);
  });
  const served = new Promise<Socket>((resolve) => {
    tcp.once("connection", resolve);
  }).then(async (connection) => {
    const session = await accept(socketStream(connection), {
      trust: authority.certificatePem,
      identities: [{ cert: server.certificates, key: server.privateKey }],
      clientAuth: "on",
      alpn: ["http/1.0"],
      signal: AbortSignal.timeout(TIME),
    });
    await MODES.http.run(session);
    await session.close();
    return session;
  });
  // Whoever waits for it hears of it.
  served.catch(() => {});
  return { port: (tcp.address() as AddressInfo).port, served, close: () => tcp.close() };
}

/** Connects, once something listens. */
async function socket(port: number): Promise<ByteStream> {
  for (const end = Date.now() + TIME; ; ) {
    const tcp = connectTcp({ host: "127.0.0.1", port });
    const refused = await new Promise<Error | undefined>((resolve) => {
      tcp.once("connect", () => resolve(undefined));
      tcp.once("error", resolve);
    });
    if (refused === undefined) return socketStream(tcp);
    if (Date.now() > end) throw refused;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function request(session: TlsSession): Promise<string> {
  const writer = session.writable.getWriter();
  await writer.write(new TextEncoder().encode("GET / HTTP/1.0\r\n\r\n"));
  const answer = await receive(session, undefined);
  await writer.close();
  return answer;
}

/** Reads up to `wanted`, or to the end. */
async function receive(session: TlsSession, wanted: string | undefined): Promise<string> {
  const reader = session.readable.getReader();
  const decoder = new TextDecoder();
  for (let text = ""; ; ) {
    const { done, value } = await reader.read();
    if (value !== undefined) text += decoder.decode(value, { stream: true });
    if (wanted !== undefined && text.includes(wanted)) return text;
    if (done && wanted !== undefined) throw new Error(`the peer closed without "${wanted}"`);
    if (done) return text;
  }
}

/** What one end, or both, know. */
function facts(session: TlsSession, other: TlsSession | undefined): string[] {
  const { protocol, cipherSuite, group, alpn } = session;
  return [
    `${protocol}, ${cipherSuite}, ${group}${alpn === undefined ? "" : `, ALPN ${alpn}`}`,
    ...[session, ...(other === undefined ? [] : [other])].map(({ peer, verified, peerSignatureScheme }) => {
      if (peer === undefined || !verified) throw new Error("the peer was not authenticated");
      const who =
        peer.role === "server" ? "the client authenticated the server" : "the server authenticated the client";
      const names = [...peer.names.dns.map((name) => `DNS:${name}`), ...(peer.spiffeId ? [peer.spiffeId] : [])];
      return `${who}: ${nameOf(peer)} (${names.join(", ")}), issued by ${peer.issuer}, ${peerSignatureScheme}`;
    }),
  ];
}
