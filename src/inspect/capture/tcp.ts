/** TCP connections of a capture: both directions put together by sequence number (RFC 9293 3.4), holes and all. */
import { toHex } from "../../bytes/hex.ts";
import { MAX_CONNECTIONS, MAX_WAITING_BYTES, MAX_WAITING_SEGMENTS } from "./limits.ts";
import type { Endpoint, Segment } from "./segments.ts";

/** Index of an end in {@link TcpConnection.ends}. */
export type EndIndex = 0 | 1;

/** What came next, in the order in which it could be told. */
export type Piece =
  | { readonly kind: "data"; readonly from: EndIndex; readonly bytes: Uint8Array }
  /** Bytes that are not in the capture; `behind` of them, so many are. */
  | { readonly kind: "gap"; readonly from: EndIndex; readonly missing: number; readonly behind: number };

/** Distances between sequence numbers that can be told from those to older ones: windows reach no further (RFC 7323 2.3). */
const REACH = 2 ** 30;

/** One connection. */
export class TcpConnection {
  /** Who sent the first packet comes first. */
  readonly ends: readonly [Endpoint, Endpoint];
  readonly pieces: Piece[] = [];
  /** Nanoseconds since 1970. */
  readonly began: bigint | undefined;
  packets = 0;
  readonly #directions: readonly [TcpDirection, TcpDirection];

  constructor(ends: readonly [Endpoint, Endpoint], began: bigint | undefined) {
    this.ends = ends;
    this.began = began;
    this.#directions = [new TcpDirection(0, this.pieces), new TcpDirection(1, this.pieces)];
  }

  /** Its beginning is not in the capture. */
  get inMiddle(): boolean {
    return this.#directions.every(({ start }) => start === undefined);
  }

  /** A segment that opens another connection between the same ends. */
  isAnew(from: EndIndex, { syn, sequence }: Segment): boolean {
    const { start, next } = this.#directions[from];
    return syn && next !== undefined && start !== sequence;
  }

  add(from: EndIndex, segment: Segment): void {
    this.packets++;
    this.#directions[from].add(segment);
  }

  /** No segments come any more. */
  finish(): void {
    for (const direction of this.#directions) direction.finish();
  }
}

/** A segment ahead of its turn. */
interface Waiting {
  /** Place in the direction's stream. */
  readonly at: number;
  readonly bytes: Uint8Array;
}

class TcpDirection {
  /** Of the SYN. */
  start: number | undefined;
  /** Sequence number of the next byte. */
  next: number | undefined;
  readonly #from: EndIndex;
  readonly #pieces: Piece[];
  #delivered = 0;
  /** Descending places: the last one is the next. */
  readonly #waiting: Waiting[] = [];
  #waitingBytes = 0;
  /** Place behind the last byte, once a FIN tells. */
  #end = 0;
  #done = false;

  constructor(from: EndIndex, pieces: Piece[]) {
    this.#from = from;
    this.#pieces = pieces;
  }

  add({ syn, fin, sequence, payload, cut }: Segment): void {
    if (syn) this.start ??= sequence;
    // A SYN takes a number of its own; what it carries comes after (RFC 7413).
    const first = syn ? (sequence + 1) >>> 0 : sequence;
    this.next ??= first;
    if (this.#done) return;
    const ahead = (first - this.next) | 0;
    if (Math.abs(ahead) > REACH) return;
    const at = this.#delivered + ahead;
    if (fin) this.#end = Math.max(this.#end, at + payload.length + cut);
    if (payload.length === 0) return;
    if (ahead > 0) this.#wait({ at, bytes: payload });
    else this.#deliver(at, payload);
    this.#catchUp();
  }

  finish(): void {
    if (!this.#done && (this.#waiting.length > 0 || this.#end > this.#delivered)) this.#giveUp();
  }

  #deliver(at: number, bytes: Uint8Array): void {
    const fresh = bytes.subarray(this.#delivered - at);
    if (fresh.length === 0) return;
    this.#pieces.push({ kind: "data", from: this.#from, bytes: fresh });
    this.#delivered += fresh.length;
    this.next = ((this.next as number) + fresh.length) >>> 0;
  }

  #wait(segment: Waiting): void {
    let [low, high] = [0, this.#waiting.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#waiting[middle] as Waiting).at > segment.at) low = middle + 1;
      else high = middle;
    }
    const same = this.#waiting[low];
    if (same?.at === segment.at && same.bytes.length >= segment.bytes.length) return;
    this.#waiting.splice(low, 0, segment);
    this.#waitingBytes += segment.bytes.length;
    if (this.#waiting.length > MAX_WAITING_SEGMENTS || this.#waitingBytes > MAX_WAITING_BYTES) this.#giveUp();
  }

  #catchUp(): void {
    for (
      let last = this.#waiting.at(-1);
      last !== undefined && last.at <= this.#delivered;
      last = this.#waiting.at(-1)
    ) {
      this.#waiting.pop();
      this.#waitingBytes -= last.bytes.length;
      this.#deliver(last.at, last.bytes);
    }
  }

  /** The hole stays. */
  #giveUp(): void {
    const next = this.#waiting.at(-1)?.at ?? this.#end;
    const missing = next - this.#delivered;
    this.#pieces.push({ kind: "gap", from: this.#from, missing, behind: this.#waitingBytes });
    this.#done = true;
    this.#waiting.length = 0;
    this.#waitingBytes = 0;
  }
}

/** Sorts segments into connections. */
export class TcpTable {
  readonly connections: TcpConnection[] = [];
  /** Segments of connections beyond the limit. */
  passedOver = 0;
  readonly #open = new Map<string, TcpConnection>();

  add(segment: Segment, time: bigint | undefined): void {
    const [source, destination] = [keyOf(segment.source), keyOf(segment.destination)];
    const key = source < destination ? `${source} ${destination}` : `${destination} ${source}`;
    let connection = this.#open.get(key);
    if (connection === undefined || connection.isAnew(fromOf(connection, source), segment)) {
      connection = this.#begin(segment, time);
      if (connection === undefined) return;
      this.#open.set(key, connection);
    }
    connection.add(fromOf(connection, source), segment);
  }

  finish(): void {
    for (const connection of this.connections) connection.finish();
  }

  #begin({ source, destination }: Segment, time: bigint | undefined): TcpConnection | undefined {
    if (this.connections.length >= MAX_CONNECTIONS) {
      this.passedOver++;
      return undefined;
    }
    const connection = new TcpConnection([source, destination], time);
    this.connections.push(connection);
    return connection;
  }
}

function fromOf({ ends: [first] }: TcpConnection, source: string): EndIndex {
  return keyOf(first) === source ? 0 : 1;
}

function keyOf({ address, port }: Endpoint): string {
  return `${toHex(address)}.${port}`;
}
