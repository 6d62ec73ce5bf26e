/** From a capture file to the traces of the TLS 1.3 connections in it. */
import type { CryptoProvider } from "../../crypto/provider.ts";
import type { Side } from "../../errors.ts";
import { formatAddress } from "../../x509/address.ts";
import { WatchedConnection } from "../passive/connection.ts";
import { KeyLogSecrets } from "../passive/key-log.ts";
import type { InspectItem } from "../trace.ts";
import { type CapturedPacket, type CaptureSink, readPackets } from "./packets.ts";
import { type NotSpoken, recognize, type Spoken } from "./recognize.ts";
import { type Endpoint, type NoSegment, segmentOf } from "./segments.ts";
import { type EndIndex, type TcpConnection, TcpTable } from "./tcp.ts";

/** A TCP connection of a capture. */
export interface CapturedConnection {
  readonly kind: "connection";
  /** From 1, in the order of their first packets. */
  readonly connection: number;
  /** `192.0.2.1:50000`, `[2001:db8::1]:443`; the TLS client's where that is known. */
  readonly client: string;
  readonly server: string;
  /** Of its first packet, ISO 8601. */
  readonly began: string | undefined;
  readonly packets: number;
  /** It speaks TLS 1.3, or has not got so far: a trace follows. */
  readonly dissected: boolean;
  /** `TLS 1.3`; `undefined` where no ServerHello says it. */
  readonly protocol: string | undefined;
  readonly cipherSuite: string | undefined;
  readonly serverName: string | undefined;
  /** Why there is no trace. */
  readonly reason: string | undefined;
}

/** What to do with a capture. */
export interface InspectOptions {
  /** Whose suites decrypt; one that answers later only is refused (`ERR_TLS_OPTION`) where it is needed. */
  readonly provider: CryptoProvider;
  /** SSLKEYLOGFILE lines (RFC 9850), beside those in the capture itself. */
  readonly keyLog?: string | undefined;
  /** The only connection wanted, by its number. */
  readonly only?: number | undefined;
  /** Gets each connection before its trace. */
  readonly onConnection?: ((connection: CapturedConnection) => void) | undefined;
  /** Gets each item of each trace, connection by connection; the client's records are `sent`. */
  readonly onItem: (item: InspectItem, connection: CapturedConnection) => void;
  /** Gets what is to be said about the capture as a whole. */
  readonly onNote?: ((note: string) => void) | undefined;
}

/** What was in a capture. */
export interface InspectedCapture {
  readonly connections: readonly CapturedConnection[];
  /** Secrets of TLS 1.3 in the key logs, and lines of them that hold none. */
  readonly secrets: number;
  readonly ignoredLines: number;
}

/**
 * The traces of the connections in a capture, as an observer at their client would have seen them, states left out. Nothing is verified
 * but Finished, and no certificate is trusted or distrusted.
 *
 * @param file - pcap or pcapng, at most 256 MiB; kept until this returns, and read as views.
 * @returns All connections, wanted or not.
 * @throws TlsError `ERR_TLS_CAPTURE` when it cannot be read or is beyond a limit.
 * @example
 * ```ts
 * const chunks: Uint8Array[] = [];
 * const writer = createCaptureWriter({ write: (bytes) => chunks.push(bytes) });
 * const capture = writer.connection({ side: "client" });
 * const session = await connect(stream, { serverName: "localhost", trust: ca, observer: capture.observer });
 * await session.close();
 * capture.end();
 * const { connections } = inspectCapture(concat(...chunks), { provider: nobleProvider, onItem: () => {} });
 * console.log(connections[0]?.protocol); // TLS 1.3
 * ```
 */
export function inspectCapture(file: Uint8Array, options: InspectOptions): InspectedCapture {
  const secrets = new KeyLogSecrets();
  if (options.keyLog !== undefined) secrets.add(options.keyLog);
  const table = readConnections(file, secrets, (note) => options.onNote?.(note));
  const connections: CapturedConnection[] = [];
  for (const tcp of table) {
    const number = connections.length + 1;
    const found = recognize(tcp);
    const connection = describe(number, tcp, found);
    connections.push(connection);
    if (options.only !== undefined && options.only !== number) continue;
    options.onConnection?.(connection);
    if (found.kind === "tls") watch(tcp, found, secrets, options, connection);
  }
  return { connections, secrets: secrets.count, ignoredLines: secrets.ignored };
}

/** The `random` of each ClientHello in a capture: whose lines of a key log belong to it. */
export function clientRandoms(file: Uint8Array): Uint8Array[] {
  return readConnections(file, new KeyLogSecrets(), () => {}).flatMap((tcp) => {
    const found = recognize(tcp);
    return found.kind === "tls" && found.clientRandom !== undefined ? [found.clientRandom] : [];
  });
}

/** What packets are that are no segments. */
const PASSED_OVER: Readonly<Record<Exclude<NoSegment, "link">, string>> = {
  fragment: "IP fragments, which are not put together",
  damaged: "packets that end inside their headers",
  other: "packets that are not TCP over IP",
};

/** Those with data, in the order of their first packets. */
function readConnections(file: Uint8Array, secrets: KeyLogSecrets, note: (text: string) => void): TcpConnection[] {
  const table = new TcpTable();
  const passedOver = new Map<string, number>();
  let cut = 0;
  const sink: CaptureSink = {
    packet: ({ linkType, time, bytes, length }: CapturedPacket) => {
      const segment = segmentOf(linkType, bytes, length);
      if (typeof segment === "string") {
        const what =
          segment === "link" ? `packets of link type ${linkType}, which is not supported` : PASSED_OVER[segment];
        passedOver.set(what, (passedOver.get(what) ?? 0) + 1);
        return;
      }
      if (segment.cut > 0) cut++;
      table.add(segment, time);
    },
    keyLog: (text) => secrets.add(text),
    note,
  };
  readPackets(file, sink);
  table.finish();
  for (const [what, count] of passedOver) note(`passed over: ${count} ${what}`);
  if (cut > 0) note(`${cut} packets were captured in part only: capture with a larger snap length`);
  if (table.passedOver > 0) note(`passed over: ${table.passedOver} packets, since there are too many connections`);
  return table.connections.filter(({ pieces }) => pieces.length > 0);
}

function describe(number: number, tcp: TcpConnection, found: Spoken | NotSpoken): CapturedConnection {
  const client = found.kind === "tls" ? found.client : 0;
  return {
    kind: "connection",
    connection: number,
    client: endText(tcp.ends[client]),
    server: endText(tcp.ends[client === 0 ? 1 : 0]),
    began: tcp.began === undefined ? undefined : isoTime(tcp.began),
    packets: tcp.packets,
    dissected: found.kind === "tls",
    protocol: found.kind === "tls" ? found.version : undefined,
    cipherSuite: found.kind === "tls" ? found.cipherSuite : undefined,
    serverName: found.kind === "tls" ? found.serverName : undefined,
    reason: found.kind === "tls" ? undefined : found.reason,
  };
}

function watch(
  { pieces, inMiddle }: TcpConnection,
  { client, start, before }: Spoken,
  secrets: KeyLogSecrets,
  { provider, onItem }: InspectOptions,
  connection: CapturedConnection,
): void {
  const tell = (item: InspectItem) => onItem(item, connection);
  const remark = (note: string, from?: Side) =>
    tell({ kind: "note", level: "remark", from, section: "RFC 8446 5.1", note });
  const watched = new WatchedConnection({ provider, secrets, viewpoint: "client", onItem: tell });
  const sideOf = (end: EndIndex): Side => (end === client ? "client" : "server");
  if (inMiddle) remark("the capture does not show how the connection was opened");
  for (const end of [0, 1] as const) {
    const count = before[end];
    if (count > 0) remark(`${count} bytes of the ${sideOf(end)} in another protocol come before TLS`, sideOf(end));
  }
  if (start[client] === undefined) remark("nothing of the client's TLS is in the capture", "client");
  for (const [index, piece] of pieces.entries()) {
    const side = sideOf(piece.from);
    const first = start[piece.from];
    if (first === undefined || index < first) continue;
    if (piece.kind === "data") watched.push(side, piece.bytes);
    else watched.gap(side, piece.missing, piece.behind);
  }
  watched.end();
}

function endText({ address, port }: Endpoint): string {
  const text = formatAddress(address);
  return address.length === 4 ? `${text}:${port}` : `[${text}]:${port}`;
}

/** Nanoseconds beyond what a date holds are nobody's clock. */
function isoTime(time: bigint): string | undefined {
  const milliseconds = Number(time / 1_000_000n);
  return Math.abs(milliseconds) > 8.64e15 ? undefined : new Date(milliseconds).toISOString();
}
