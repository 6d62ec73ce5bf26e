/** mutls and a peer talk: one handshake or several, two lines each way. */
import { expect } from "vitest";
import { utf8 } from "../../src/bytes/bytes.ts";
import { toHex } from "../../src/bytes/hex.ts";
import type { Side } from "../../src/errors.ts";
import {
  clientContext,
  connect,
  type Observation,
  type Observer,
  serve,
  serverContext,
  socketStream,
  type TlsSession,
} from "../../src/node/index.ts";
import { connectTo } from "../support/tcp.ts";
import { EXPORTER, type Feature } from "./features.ts";
import type { Peer } from "./peers.ts";
import { type PeerProcess, type Said, startPeer } from "./process.ts";

/** The common names, and each side's files and options. */
export interface Parties {
  readonly ca: string;
  readonly files: { readonly ca: string } & Readonly<Record<Side, { readonly cert: string; readonly key: string }>>;
  readonly pem: Readonly<Record<Side, { readonly cert: string; readonly key: string }>>;
  readonly names: Readonly<Record<Side, string>>;
}

/** What both ends saw of the last connection. */
export interface Met {
  readonly session: TlsSession;
  readonly exported: string;
  /** Handshake messages as `sent finished`. */
  readonly messages: readonly string[];
  readonly peer: Said;
  readonly version: string;
}

const LINES = ["first\n", "second\n"];
const REQUEST = "GET / HTTP/1.0\r\n\r\n";

/** @param side - mutls's. */
export async function meet(peer: Peer, side: Side, feature: Feature, parties: Parties): Promise<Met> {
  const messages: string[] = [];
  const observer: Observer = (observation: Observation) => {
    if (observation.kind === "message") messages.push(`${observation.direction} ${observation.type}`);
  };
  const met = await (side === "client" ? asClient : asServer)(peer, feature, parties, observer);
  const { session, said } = met;
  const other = side === "client" ? "server" : "client";
  if (feature.anonymous !== true) {
    expect([session.verified, session.peer?.commonName]).toEqual([true, parties.names[other]]);
    expect(said.peer ?? parties.names[side]).toBe(parties.names[side]);
  }
  expect(session.protocol).toBe("TLSv1.3");
  // What the peer tells agrees; what it does not tell, it cannot.
  expect([undefined, "TLSv1.3", "TLSv1_3", "TLS 1.3"]).toContain(said.protocol);
  for (const [theirs, ours] of [
    [said.suite?.replace(/^TLS13_/, "TLS_"), session.cipherSuite],
    [said.group && canonical(said.group), session.group && canonical(session.group)],
    [said.retried, session.retried],
    [said.resumed, session.resumed],
    [said.alpn || undefined, session.alpn],
  ]) {
    if (theirs !== undefined) expect(theirs).toBe(ours);
  }
  if (said.lines !== undefined) expect(said.lines).toBe(LINES.length);
  return { session, exported: met.exported, messages, peer: said, version: met.version };
}

interface Outcome {
  readonly session: TlsSession;
  readonly exported: string;
  readonly said: Said;
  readonly version: string;
}

async function asClient(peer: Peer, feature: Feature, parties: Parties, observer: Observer): Promise<Outcome> {
  const { connections = 1, earlyData } = feature;
  const process = startPeer([...peer.command, ...command("server", feature, parties)]);
  try {
    const { port, version } = await process.next();
    const context = clientContext({
      serverName: "localhost",
      observer,
      ...credentials("client", feature, parties),
      ...feature.ours?.(),
      ...feature.client?.(),
    });
    let outcome: Outcome | undefined;
    for (let connection = 0; connection < connections; connection++) {
      const early = connection > 0 && earlyData !== undefined ? { earlyData: utf8(earlyData) } : {};
      const session = await connect(socketStream(await connectTo(port as number)), context, early);
      const exported = toHex(session.exportKeyingMaterial(32, EXPORTER));
      const lines = peer.speaks === "http" ? [REQUEST] : LINES;
      const reader = new LineReader(session);
      const writer = session.writable.getWriter();
      for (const [index, line] of lines.entries()) {
        if (feature.updateKeys && index === lines.length - 1) session.updateKeys("update_requested");
        await writer.write(utf8(line));
        if (peer.speaks !== "http") expect(await reader.next()).toBe(line);
      }
      const rest = peer.speaks === "http" ? reader.rest() : undefined;
      if (rest === undefined) await writer.close();
      else expect(await rest).toContain("HTTP/1.0 200");
      if (rest === undefined) await reader.rest();
      else await writer.close();
      await session.closed;
      outcome = { session, exported, version: version ?? "", said: await process.next() };
    }
    if (outcome === undefined) throw new RangeError("no connection at all");
    return outcome;
  } finally {
    await settle(process);
  }
}

async function asServer(peer: Peer, feature: Feature, parties: Parties, observer: Observer): Promise<Outcome> {
  const { connections = 1 } = feature;
  const failures: unknown[] = [];
  const sessions: { session: TlsSession; exported: string }[] = [];
  const context = serverContext({
    observer,
    clientAuth: feature.anonymous ? "off" : "on",
    ...credentials("server", feature, parties),
    ...feature.ours?.(),
    ...feature.server?.(),
  });
  const onError = (error: unknown) => failures.push(error);
  const server = await serve({ host: "127.0.0.1", context, onError }, async (session) => {
    sessions.push({ session, exported: toHex(session.exportKeyingMaterial(32, EXPORTER)) });
    const reader = new LineReader(session);
    const writer = session.writable.getWriter();
    for (let lines = 0; lines < LINES.length || peer.speaks !== "http"; lines++) {
      const line = await reader.next();
      if (line === undefined) return;
      if (feature.updateKeys && lines === 0) session.updateKeys("update_requested");
      await writer.write(utf8(line));
    }
  });
  const flags = ["--port", String(server.port), ...command("client", feature, parties)];
  const process = startPeer([...peer.command, ...flags]);
  try {
    const { version = "" } = await process.next();
    let said: Said = {};
    for (let connection = 0; connection < connections; connection++) said = await process.next().catch(explained);
    const last = sessions.at(-1);
    if (last === undefined) throw new Error("nobody connected");
    await last.session.closed;
    expect(failures).toEqual([]);
    expect(sessions.length).toBe(connections);
    return { ...last, said, version };
  } finally {
    await settle(process);
    await server.close(true);
  }

  function explained(error: Error): never {
    throw new Error(`${error.message}; mutls: ${failures.join("; ")}`, { cause: error });
  }
}

/** It has said all it was asked for; what waits for more connections is told to end. */
async function settle(process: PeerProcess): Promise<void> {
  process.end();
  await process.ended;
}

function command(role: Side, { flags = [], connections = 1 }: Feature, { files }: Parties): string[] {
  const { cert, key } = files[role];
  const own = "client" in flags ? flags[role === "client" ? "server" : "client"] : flags;
  return [
    ...["--role", role, "--cert", cert, "--key", key, "--ca", files.ca, "--connections", String(connections)],
    ...own,
  ];
}

function credentials(side: Side, { anonymous = false }: Feature, { ca, pem }: Parties) {
  return anonymous ? { identities: [], trust: ca } : { identities: [pem[side]], trust: ca };
}

/** `CurveP256`, `P-256` and `secp256r1` are one. */
function canonical(group: string): string {
  return group
    .toLowerCase()
    .replace(/^curvep|^p-/, "secp")
    .replace(/^(secp\d+)$/, "$1r1")
    .replace(/^prime256v1$/, "secp256r1");
}

/** What comes, by lines. */
class LineReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #text = "";

  constructor(session: TlsSession) {
    this.#reader = session.readable.getReader();
  }

  /** With its end; `undefined` after the last. */
  async next(): Promise<string | undefined> {
    for (;;) {
      const end = this.#text.indexOf("\n") + 1;
      if (end > 0) {
        const line = this.#text.slice(0, end);
        this.#text = this.#text.slice(end);
        return line;
      }
      const { done, value } = await this.#reader.read();
      if (done) return undefined;
      this.#text += String.fromCharCode(...value);
    }
  }

  async rest(): Promise<string> {
    for (let all = ""; ; ) {
      const line = await this.next();
      if (line === undefined) return all + this.#text;
      all += line;
    }
  }
}
