/** Whether a connection speaks TLS, and which: by its bytes, never by its ports. */
import { latin1 } from "../../bytes/bytes.ts";
import { shown } from "../../bytes/text.ts";
import { find } from "../../codec/extensions.ts";
import { ClientHello, decodeBody, type HandshakeMessage, LegacyServerHello } from "../../codec/messages.ts";
import { CipherSuiteId, ContentType, HandshakeType, ProtocolVersion } from "../../codec/registry.ts";
import { TlsError } from "../../errors.ts";
import { HandshakeReader, MAX_CIPHERTEXT, RecordReader } from "../../record/framing.ts";
import type { EndIndex, Piece, TcpConnection } from "./tcp.ts";

/** A hello of TLS is looked for in so many pieces of each direction: STARTTLS and proxies speak another protocol first. */
const MAX_PIECES = 256;
/** The longest hello that is looked into, in bytes. */
const MAX_HELLO = 0x10000;

/** TLS 1.3, or a handshake that has not come to a version. */
export interface Spoken {
  readonly kind: "tls";
  readonly client: EndIndex;
  /** Pieces in which each end's TLS begins; undefined where there is none. */
  readonly start: readonly [number | undefined, number | undefined];
  /** Bytes of another protocol before it, by end. */
  readonly before: readonly [number, number];
  readonly clientRandom: Uint8Array | undefined;
  readonly serverName: string | undefined;
  /** `undefined` where no ServerHello says it. */
  readonly version: "TLS 1.3" | undefined;
  readonly cipherSuite: string | undefined;
}

/** What is not dissected. */
export interface NotSpoken {
  readonly kind: "other";
  /** In one line. */
  readonly reason: string;
}

export function recognize(connection: TcpConnection): Spoken | NotSpoken {
  const { pieces } = connection;
  const hello = findHello(pieces, HandshakeType.codes.client_hello);
  const answer = findHello(pieces, HandshakeType.codes.server_hello, hello && other(hello.from));
  if (hello === undefined && answer === undefined) return { kind: "other", reason: describe(connection) };
  const client = hello?.from ?? other((answer as Found).from);
  const version = answer && versionOf(firstMessage(pieces, answer));
  if (version !== undefined && version.name !== "TLS 1.3") {
    return { kind: "other", reason: `${version.name} (${version.suite}): only TLS 1.3 is taken apart here` };
  }
  // A server that refuses at once answers with an alert.
  const server = answer ?? findRecord(pieces, other(client), ContentType.codes.alert);
  const at = (end: EndIndex) => (end === client ? hello : server);
  const clientHello = hello && helloOf(firstMessage(pieces, hello));
  const names = find(clientHello?.extensions ?? [], "server_name");
  return {
    kind: "tls",
    client,
    start: [at(0)?.piece, at(1)?.piece],
    before: [at(0)?.before ?? 0, at(1)?.before ?? 0],
    clientRandom: clientHello?.random,
    serverName: names?.[0]?.host_name === undefined ? undefined : shown([latin1(names[0].host_name)]),
    version: version === undefined ? undefined : "TLS 1.3",
    cipherSuite: version?.suite,
  };
}

function other(end: EndIndex): EndIndex {
  return end === 0 ? 1 : 0;
}

/** Where TLS begins in a direction. */
interface Found {
  readonly from: EndIndex;
  readonly piece: number;
  readonly before: number;
}

function findHello(pieces: readonly Piece[], type: number, from?: EndIndex): Found | undefined {
  return findStart(pieces, from, (start) => start[0] === ContentType.codes.handshake && start[5] === type);
}

function findRecord(pieces: readonly Piece[], from: EndIndex, type: number): Found | undefined {
  return findStart(pieces, from, (start) => start[0] === type);
}

function findStart(
  pieces: readonly Piece[],
  from: EndIndex | undefined,
  fits: (start: Uint8Array) => boolean,
): Found | undefined {
  const before = [0, 0];
  const seen = [0, 0];
  for (const [index, piece] of pieces.entries()) {
    if (piece.kind === "gap") continue;
    const end = piece.from;
    if ((seen[end] as number) < MAX_PIECES && (from === undefined || from === end)) {
      seen[end] = (seen[end] as number) + 1;
      const start = bytesFrom(pieces, index, 6);
      if (start.length === 6 && isRecordHeader(start) && fits(start)) {
        return { from: end, piece: index, before: before[end] as number };
      }
    }
    before[end] = (before[end] as number) + piece.bytes.length;
    if (seen.every((count) => count >= MAX_PIECES)) break;
  }
  return undefined;
}

/** RFC 8446 5.1, with any legacy version there ever was. */
function isRecordHeader(bytes: Uint8Array): boolean {
  const [type = 0, major, minor = 99, high = 0, low = 0] = bytes;
  const length = high * 256 + low;
  return ContentType.name(type) !== undefined && major === 3 && minor <= 4 && length > 0 && length <= MAX_CIPHERTEXT;
}

/** At most `count` bytes of one direction, from a piece on. */
function bytesFrom(pieces: readonly Piece[], index: number, count: number): Uint8Array {
  const from = (pieces[index] as Piece).from;
  const found = new Uint8Array(count);
  let length = 0;
  // However little each piece has, looking costs no more than this.
  const last = Math.min(pieces.length, index + 64 + count);
  for (let i = index; i < last && length < count; i++) {
    const piece = pieces[i] as Piece;
    if (piece.from !== from) continue;
    if (piece.kind === "gap") break;
    const part = piece.bytes.subarray(0, count - length);
    found.set(part, length);
    length += part.length;
  }
  return found.subarray(0, length);
}

/** The first handshake message of a direction, if it is whole and can be read. */
function firstMessage(pieces: readonly Piece[], { piece }: Found): HandshakeMessage | undefined {
  const records = new RecordReader();
  const messages = new HandshakeReader(MAX_HELLO);
  records.push(bytesFrom(pieces, piece, MAX_HELLO));
  return quietly(() => {
    for (let record = records.next(true); record !== undefined; record = records.next(true)) {
      if (record.type !== ContentType.codes.handshake) continue;
      messages.push(record.fragment);
      const message = messages.next();
      if (message !== undefined) return message;
    }
    return undefined;
  });
}

function helloOf(message: HandshakeMessage | undefined) {
  return message && quietly(() => decodeBody(ClientHello, message));
}

/** What a ServerHello of any version has chosen. */
function versionOf(
  message: HandshakeMessage | undefined,
): { readonly name: string; readonly suite: string } | undefined {
  const hello = message && quietly(() => decodeBody(LegacyServerHello, message));
  if (hello === undefined) return undefined;
  const chosen = hello.extensions?.find(({ extension_type }) => extension_type === SUPPORTED_VERSIONS)?.extension_data;
  const code = chosen?.length === 2 ? (chosen[0] as number) * 256 + (chosen[1] as number) : hello.legacy_version;
  const suite = CipherSuiteId.name(hello.cipher_suite) ?? `cipher suite ${hex16(hello.cipher_suite)}`;
  return { name: ProtocolVersion.name(code) ?? `TLS version ${hex16(code)}`, suite };
}

const SUPPORTED_VERSIONS = 43;

/** What stands in a capture need not be what it looks like. */
function quietly<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof TlsError) return undefined;
    throw error;
  }
}

function describe({ pieces, inMiddle }: TcpConnection): string {
  const first = pieces.findIndex(({ kind }) => kind === "data");
  if (first < 0) return "no data";
  const start = bytesFrom(pieces, first, 16);
  if (isRecordHeader(start)) {
    return `TLS records without a hello${inMiddle ? ": the capture begins in the middle of the connection" : ""}`;
  }
  const text = latin1(start).replace(/[^\x20-\x7e]/g, ".");
  return `not TLS: it begins with "${text}"${inMiddle ? "; the capture begins in the middle of the connection" : ""}`;
}

function hex16(code: number): string {
  return `0x${code.toString(16).padStart(4, "0")}`;
}
