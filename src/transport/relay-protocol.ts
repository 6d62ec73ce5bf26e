/**
 * The relay's subprotocol: binary messages that begin with their type. Both ends speak it alike.
 *
 * | first byte | what follows |
 * | --- | --- |
 * | 0 | data: 1 to 65535 bytes of the stream |
 * | 1 | end: nothing; this direction is over, the other goes on |
 * | 2 | credit: 4 bytes, big-endian: so many more bytes of data may be sent |
 *
 * Each end may send 65536 bytes before it has been granted more. When both directions are over, either end closes.
 */

/**
 * The relay's subprotocol, as it is offered in Sec-WebSocket-Protocol. A relay of one's own agrees to it, and
 * {@link webSocketStream} speaks it.
 *
 * @example
 * ```ts
 * // In Deno: Deno.upgradeWebSocket(request, { protocol: RELAY_PROTOCOL })
 * console.log(RELAY_PROTOCOL); // relay.mutls.1
 * ```
 */
export const RELAY_PROTOCOL: string = "relay.mutls.1";
/** How a token is offered beside it, in base64url: a page can send no other header. The answer never names it. */
export const TOKEN_PREFIX = "token.mutls.";
/** Bytes that may be sent at first. */
export const BASE_CREDIT = 0x10000;
/** Bytes of the stream in one message. */
export const MAX_DATA = 0xffff;

const DATA = 0;
const END = 1;
const CREDIT = 2;
const CREDIT_LENGTH = 5;
const MAX_CREDIT = 0x7fffffff;
/** Bytes of one message without the subprotocol. */
const MAX_MESSAGE = 0x10000;
/** Bytes that wait in the WebSocket before its writer has to. */
const MAX_BUFFERED = 0x40000;

/** What a message is. */
export type Taken =
  | { readonly type: "data"; readonly bytes: Uint8Array }
  | { readonly type: "end" | "credit" }
  | { readonly type: "broken"; readonly reason: string };

interface Sender {
  readonly bufferedAmount?: number;
  send(data: Uint8Array<ArrayBuffer>): void;
}

/** How bytes go into messages and come out of them. */
export interface Direction {
  /** Bytes that may be unread. */
  readonly limit: number;
  /** The other end is held back by what it was granted. */
  readonly held: boolean;
  readonly mayWrite: boolean;
  /** What keeps from writing is what waits in the WebSocket, which does not tell when it has gone. */
  readonly crowded: boolean;
  /** @param over - The end has come. */
  take(message: Uint8Array, over: boolean): Taken;
  /** So many bytes have been read. */
  consumed(length: number): void;
  /** Sends what it may. Returns how much that was. */
  send(bytes: Uint8Array): number;
  end(): void;
}

/** Messages are the stream's bytes and nothing else. */
export class PlainDirection implements Direction {
  readonly held = false;
  readonly limit: number;
  readonly #socket: Sender;

  constructor(socket: Sender, limit: number) {
    this.#socket = socket;
    this.limit = limit;
  }

  get crowded(): boolean {
    return isCrowded(this.#socket);
  }

  get mayWrite(): boolean {
    return !this.crowded;
  }

  take(message: Uint8Array): Taken {
    return { type: "data", bytes: message };
  }

  consumed(): void {}

  send(bytes: Uint8Array): number {
    // A copy: whoever wrote it may use the array again before it has gone.
    const piece = new Uint8Array(bytes.subarray(0, MAX_MESSAGE));
    this.#socket.send(piece);
    return piece.length;
  }

  end(): void {}
}

/** With flow control and a half-close. */
export class RelayDirection implements Direction {
  readonly held = true;
  readonly limit: number;
  readonly #socket: Sender;
  /** What this end may send. */
  #credit = BASE_CREDIT;
  /** What the other end may send. */
  #granted = BASE_CREDIT;
  /** What has been read since credit was last given. */
  #consumed = 0;

  constructor(socket: Sender, limit: number) {
    this.#socket = socket;
    this.limit = limit;
    if (limit > BASE_CREDIT) this.#grant(limit - BASE_CREDIT);
  }

  /** Credit alone would let an end that grants much and reads nothing fill this one's memory. */
  get crowded(): boolean {
    return this.#credit > 0 && isCrowded(this.#socket);
  }

  get mayWrite(): boolean {
    return this.#credit > 0 && !this.crowded;
  }

  take(message: Uint8Array, over: boolean): Taken {
    const [type] = message;
    if (type === CREDIT && message.length === CREDIT_LENGTH) {
      const more = new DataView(message.buffer, message.byteOffset).getUint32(1);
      this.#credit += more;
      return this.#credit > MAX_CREDIT ? broken("too much credit") : { type: "credit" };
    }
    if (over) return broken("a message after the end");
    if (type === END && message.length === 1) return { type: "end" };
    if (type !== DATA || message.length < 2) return broken("a message of no known type");
    this.#granted -= message.length - 1;
    return this.#granted < 0 ? broken("more than was granted") : { type: "data", bytes: message.subarray(1) };
  }

  consumed(length: number): void {
    this.#consumed += length;
    // Not for every message: a quarter at a time.
    if (this.#consumed < this.limit / 4) return;
    this.#grant(this.#consumed);
    this.#consumed = 0;
  }

  send(bytes: Uint8Array): number {
    const length = Math.min(bytes.length, this.#credit, MAX_DATA);
    const message = new Uint8Array(1 + length);
    message.set(bytes.subarray(0, length), 1);
    this.#credit -= length;
    this.#socket.send(message);
    return length;
  }

  end(): void {
    this.#socket.send(Uint8Array.of(END));
  }

  #grant(length: number): void {
    this.#granted += length;
    const message = new Uint8Array(CREDIT_LENGTH);
    message[0] = CREDIT;
    new DataView(message.buffer).setUint32(1, length);
    this.#socket.send(message);
  }
}

function isCrowded({ bufferedAmount = 0 }: Sender): boolean {
  return bufferedAmount >= MAX_BUFFERED;
}

function broken(reason: string): Taken {
  return { type: "broken", reason };
}
