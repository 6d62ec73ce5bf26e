/** What `mutls serve` does with a session once it is there. */
import { concat, latin1, utf8 } from "../bytes/bytes.ts";
import { TlsError } from "../errors.ts";
import type { TlsSession } from "../node/index.ts";
import type { PeerIdentity } from "../x509/identity.ts";
import { keyName } from "./report.ts";

/** One way to serve. */
interface Mode {
  /** ms without a byte either way; 0: any time. */
  readonly idleTimeout: number;
  run(session: TlsSession): Promise<void>;
}

export const MODES = {
  http: { idleTimeout: 30_000, run: http },
  echo: { idleTimeout: 0, run: echo },
  reverse: { idleTimeout: 0, run: reverse },
  discard: { idleTimeout: 0, run: discard },
} as const satisfies Readonly<Record<string, Mode>>;

export type ModeName = keyof typeof MODES;

/** Bytes of a request's head. */
const MAX_HEAD = 16_384;
/** Bytes of a line that is reversed; a longer one is cut here. */
const MAX_LINE = 16_384;
/** Bytes of one record. */
const MAX_ANSWER = 16_384;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/**
 * Everything from the client, early data first. Sessions exist once the client has finished, which a replay of its early
 * data cannot do (RFC 8470 3): there is no need to treat it apart.
 */
async function* plaintext({ receivedEarlyData, readable }: TlsSession): AsyncGenerator<Uint8Array, void> {
  if (receivedEarlyData.length > 0) yield receivedEarlyData;
  const reader = readable.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.releaseLock();
  }
}

async function echo({ receivedEarlyData, readable, writable }: TlsSession): Promise<void> {
  if (receivedEarlyData.length > 0) {
    const writer = writable.getWriter();
    await writer.write(receivedEarlyData);
    writer.releaseLock();
  }
  await readable.pipeTo(writable, { preventAbort: true });
}

async function http(session: TlsSession): Promise<void> {
  const head = await readHead(session);
  if (head === undefined) return;
  const refusal = isSecret(head) ? await identify(session) : undefined;
  const { status, path, method, body } = answer(session, head, refusal);
  if (path === "/keyupdate" && status === "200 OK") session.updateKeys("update_requested");
  const fields = [
    `HTTP/1.0 ${status}`,
    "Content-Type: application/json",
    `Content-Length: ${body.length}`,
    "Connection: close",
  ];
  const bytes = concat(utf8(`${fields.join("\r\n")}\r\n\r\n`), method === "HEAD" ? new Uint8Array(0) : body);
  const writer = session.writable.getWriter();
  await writer.write(bytes);
  writer.releaseLock();
}

interface Answer {
  readonly status: string;
  readonly method: string;
  readonly path: string;
  readonly body: Uint8Array;
}

const REQUEST_LINE = /^([A-Z]+) (\S+)(?: HTTP\/1\.[01])?(?:\r?\n|$)/;

function isSecret(head: string): boolean {
  return head.length <= MAX_HEAD && REQUEST_LINE.exec(head)?.[2] === "/secret";
}

/** Why the client cannot say who it is, if so: those who will say it wrongly end the connection. */
const UNASKED: readonly string[] = ["ERR_TLS_POST_HANDSHAKE_AUTH", "ERR_TLS_CLOSED"];

/** Asks for a certificate after the handshake (RFC 8446 4.6.2). Gives what stands against this client. */
async function identify(session: TlsSession): Promise<string | undefined> {
  try {
    const peer = await session.requestClientCertificate();
    if (peer === undefined) return "the client was asked for a certificate and sent none";
    return peer.verified ? undefined : "the client's certificate is from an unknown CA";
  } catch (error) {
    if (error instanceof TlsError && UNASKED.includes(error.code)) return error.message;
    throw error;
  }
}

function answer(session: TlsSession, head: string, refusal: string | undefined): Answer {
  const line = REQUEST_LINE.exec(head);
  const [, method = "", path = ""] = line ?? [];
  const refuse = (status: string, error: string) => ({ status, method, path, body: json({ error }) });
  if (head.length > MAX_HEAD) {
    return refuse("431 Request Header Fields Too Large", `a head of more than ${MAX_HEAD} bytes`);
  }
  if (line === null) return refuse("400 Bad Request", "no HTTP request line");
  if (refusal !== undefined) return refuse("403 Forbidden", refusal);
  const facts = { request: { method, path }, ...sessionFacts(session) };
  const body = json({ ...facts, client: clientFacts(session.peer) });
  if (body.length < MAX_ANSWER - 512) return { status: "200 OK", method, path, body };
  // A certificate full of names: its fingerprint has to do.
  const { verified, fingerprint256 } = session.peer ?? {};
  return {
    status: "200 OK",
    method,
    path,
    body: json({ ...facts, client: { verified, fingerprint256, omitted: true } }),
  };
}

/** The head as text; what is longer than allowed comes longer than allowed. `undefined` where the client sent nothing. */
async function readHead(session: TlsSession): Promise<string | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  const end = new HeadEnd();
  for await (const value of plaintext(session)) {
    chunks.push(value);
    length += value.length;
    if (end.seenIn(value) || length > MAX_HEAD) break;
  }
  return length === 0 ? undefined : latin1(concat(...chunks).subarray(0, MAX_HEAD + 1));
}

/** Finds the empty line that ends a head, wherever records were cut. */
class HeadEnd {
  #lineFeeds = 0;

  seenIn(bytes: Uint8Array): boolean {
    for (const byte of bytes) {
      if (byte === LINE_FEED) this.#lineFeeds++;
      else if (byte !== CARRIAGE_RETURN) this.#lineFeeds = 0;
      if (this.#lineFeeds === 2) return true;
    }
    return false;
  }
}

function sessionFacts(session: TlsSession): Readonly<Record<string, unknown>> {
  const { protocol, cipherSuite, group, alpn, serverName, retried, signatureScheme, peerSignatureScheme } = session;
  const { resumed, psk, externalIdentity, earlyData, receivedEarlyData } = session;
  return {
    protocol,
    cipherSuite,
    group: group ?? null,
    resumed,
    psk: psk?.kind ?? null,
    pskIdentity: externalIdentity === undefined ? null : keyName(externalIdentity),
    earlyData: earlyData ?? null,
    earlyDataLength: receivedEarlyData.length,
    helloRetryRequest: retried,
    serverName: serverName ?? null,
    alpn: alpn ?? null,
    signatureScheme: signatureScheme ?? null,
    clientAuthRequested: session.clientAuthRequested,
    clientSignatureScheme: peerSignatureScheme ?? null,
    authenticatedAt: new Date(session.authenticatedAt).toISOString(),
  };
}

function clientFacts(peer: PeerIdentity | undefined): Readonly<Record<string, unknown>> | null {
  if (peer === undefined) return null;
  const { verified, subject, commonName, organizations, organizationalUnits, names, spiffeId } = peer;
  return {
    verified,
    subject,
    commonName: commonName ?? null,
    organizations,
    organizationalUnits,
    names,
    spiffeId: spiffeId ?? null,
    issuer: peer.issuer,
    issuerChain: peer.issuerChain,
    serialNumber: peer.serialNumber,
    fingerprint256: peer.fingerprint256,
    notBefore: new Date(peer.notBefore).toISOString(),
    notAfter: new Date(peer.notAfter).toISOString(),
  };
}

function json(value: unknown): Uint8Array {
  return utf8(`${JSON.stringify(value, null, 2)}\n`);
}

/** Each line back to front, its end where it was. */
async function reverse(session: TlsSession): Promise<void> {
  const writer = session.writable.getWriter();
  let line: Uint8Array = new Uint8Array(0);
  for await (const value of plaintext(session)) {
    let rest = value;
    for (let at = rest.indexOf(LINE_FEED); at >= 0; at = rest.indexOf(LINE_FEED)) {
      await writer.write(reversed(concat(line, rest.subarray(0, at + 1))));
      line = new Uint8Array(0);
      rest = rest.subarray(at + 1);
    }
    line = concat(line, rest);
    if (line.length > MAX_LINE) {
      await writer.write(reversed(line));
      line = new Uint8Array(0);
    }
  }
  if (line.length > 0) await writer.write(reversed(line));
  writer.releaseLock();
}

function reversed(line: Uint8Array): Uint8Array {
  let end = line.length;
  if (line[end - 1] === LINE_FEED) end--;
  if (line[end - 1] === CARRIAGE_RETURN) end--;
  const result = line.slice();
  result.subarray(0, end).reverse();
  return result;
}

async function discard(session: TlsSession): Promise<void> {
  await session.readable.pipeTo(new WritableStream());
}
