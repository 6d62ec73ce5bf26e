/** A WebSocket as a byte stream: plainly, or under the relay's subprotocol, which has flow control and a half-close. */
import { BASE_CREDIT, type Direction, PlainDirection, RELAY_PROTOCOL, RelayDirection } from "./relay-protocol.ts";
import { type ByteStream, bytesOf, deferred } from "./stream.ts";

/** What is needed of a WebSocket: the platform's has it, and the package `ws`'s. */
export interface WebSocketLike {
  readonly readyState: number;
  readonly protocol?: string | null;
  readonly bufferedAmount?: number;
  binaryType?: string;
  send(data: Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: string, listener: (event: object) => void): void;
  /** Where there are such, as `ws` has them, what nobody reads stays in TCP. */
  pause?(): void;
  resume?(): void;
}

/** Makes WebSockets: the platform's class, or another's. */
export type WebSocketConstructor = new (url: string, protocols?: string[]) => WebSocketLike;

/** Options of {@link webSocketStream}. */
export interface WebSocketStreamOptions {
  /** Subprotocols to offer with a URL. Default: none. */
  readonly protocols?: readonly string[] | undefined;
  /** In place of the platform's class, where a URL is given; Node has one from version 22 on. */
  readonly WebSocket?: WebSocketConstructor | undefined;
  /** The subprotocol agreed upon, for a WebSocket that does not tell, such as one end of a Worker's pair. */
  readonly protocol?: string | undefined;
  /**
   * Bytes that may have come without being read. Under the relay's subprotocol the other end keeps to it; 65536 at least,
   * default 1 MiB. Without it nothing holds a browser's WebSocket back, and more is an error; default 16 MiB.
   */
  readonly highWaterMark?: number | undefined;
  /** Ends both directions at any time. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Why a WebSocket ended, RFC 6455 7.4. It is the `cause` of the `ERR_TLS_TRANSPORT` of a session above it.
 *
 * @example
 * ```ts
 * import { WebSocket } from "ws"; // browsers, Deno, Bun, Workers and Node 22 have one of their own
 *
 * const { readable } = viaRelay(relay, { WebSocket })("elsewhere.example", 443);
 * const error = await readable.getReader().read().catch((reason: unknown) => reason);
 * if (error instanceof WebSocketError) console.log(error.closeCode, error.reason); // 4403 elsewhere.example:443 is not allowed
 * ```
 */
export class WebSocketError extends Error {
  override readonly name = "WebSocketError";
  /** 1006: without a closing handshake, and a browser tells no more. 4000 and up: see the relay's table. */
  readonly closeCode: number;
  /** What the other end says. */
  readonly reason: string;

  constructor(closeCode: number, reason: string, message?: string) {
    super(message ?? `the WebSocket was closed with ${closeCode}${reason === "" ? "" : `: ${reason}`}`);
    this.closeCode = closeCode;
    this.reason = reason;
  }
}

/** Close codes of this end; browsers let applications use none below 3000 but 1000. */
const CloseCode = { normal: 1000, aborted: 4000, protocol: 4001, unread: 4002 } as const;

/** ms between looks at what waits: a WebSocket does not tell when it has sent it. */
const LOOK = 5;
/** Bytes of an array that short messages share. */
const SHARED = 4096;
const DEFAULT_CREDIT = 0x100000;
const DEFAULT_UNREAD = 0x1000000;
const CONNECTING = 0;
const OPEN = 1;

/**
 * A WebSocket, connected or connecting, as a byte stream. Messages are binary; a text message is an error and ends it.
 *
 * Writing waits while too much is on its way: what the other end has granted under the relay's subprotocol, and 256 KiB
 * of `bufferedAmount`. A WebSocket cannot end one direction alone. Under the subprotocol a message says it; without, closing
 * the writable says nothing until the readable is over, for TLS has close_notify of its own.
 *
 * Either stream fails with a {@link WebSocketError} when the WebSocket ends otherwise than with code 1000, or 1005; under the
 * subprotocol, when it ends before that direction has. What had come by then is read first.
 *
 * @param socket - The stream's from now on; or the URL to open one to.
 * @throws TypeError where there is no WebSocket to open, `highWaterMark` is out of range, or the URL is none.
 * @example
 * ```ts
 * import { WebSocket } from "ws"; // browsers, Deno, Bun, Workers and Node 22 have one of their own
 *
 * const stream = webSocketStream(`${relay}?to=localhost:${port}`, { protocols: [RELAY_PROTOCOL], WebSocket });
 * const session = await connect(stream, { serverName: "localhost", trust: ca, identities: [{ cert, key }] });
 * console.log(session.peer?.commonName); // localhost
 * await session.close();
 * ```
 */
export function webSocketStream(
  socket: WebSocketLike | string | URL,
  options: WebSocketStreamOptions = {},
): ByteStream {
  const { highWaterMark } = options;
  if (highWaterMark !== undefined && !(highWaterMark >= BASE_CREDIT && highWaterMark <= 0x7fffffff)) {
    throw new TypeError(`highWaterMark ${highWaterMark} is not ${BASE_CREDIT} to ${0x7fffffff} bytes`);
  }
  const opened = typeof socket === "string" || socket instanceof URL ? open(socket, options) : socket;
  return new SocketStreams(opened, options);
}

function open(url: string | URL, { WebSocket = globalThis.WebSocket, protocols = [] }: WebSocketStreamOptions) {
  if (WebSocket === undefined) throw new TypeError("there is no WebSocket here: give one as an option");
  return new WebSocket(String(url), [...protocols]);
}

class SocketStreams implements ByteStream {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  readonly #socket: WebSocketLike;
  readonly #options: WebSocketStreamOptions;
  readonly #opened = deferred();
  #direction: Direction | undefined;
  #writing!: WritableStreamDefaultController;
  /** What has come and nobody has read. */
  readonly #queue: Uint8Array[] = [];
  /** The last of them, where it is made of several messages. */
  #shared: Uint8Array | undefined;
  #unread = 0;
  #paused = false;
  #discarding = false;
  #inputOver = false;
  #outputOver = false;
  #failure: unknown;
  #over = false;
  #arrived: (() => void) | undefined;
  /** Wakes a writer that waits for room. */
  #room: (() => void) | undefined;
  readonly #onAbort = () => this.#fail(this.#options.signal?.reason, CloseCode.aborted);

  constructor(socket: WebSocketLike, options: WebSocketStreamOptions) {
    this.#socket = socket;
    this.#options = options;
    this.readable = new ReadableStream<Uint8Array>(
      { pull: (controller) => this.#pull(controller), cancel: () => this.#cancel() },
      { highWaterMark: 0 },
    );
    this.writable = new WritableStream<Uint8Array>({
      start: (controller) => {
        this.#writing = controller;
        // Before `abort`, which waits for a write under way; but later, since Node does not expect a stream's abort to end in
        // its error.
        const onAbort = () => this.#fail(controller.signal.reason, CloseCode.aborted);
        controller.signal.addEventListener("abort", () => queueMicrotask(onAbort));
      },
      write: (chunk) => this.#write(bytesOf(chunk)),
      close: () => this.#endOutput(),
    });
    socket.binaryType = "arraybuffer";
    socket.addEventListener("open", () => this.#onOpen());
    socket.addEventListener("message", (event) => this.#onMessage((event as MessageEvent<unknown>).data));
    socket.addEventListener("error", (event) => {
      const { message = "" } = event as { readonly message?: string };
      const text = message === "" ? "" : `: ${message}`;
      this.#fail(new WebSocketError(1006, "", `the WebSocket failed${text}`), CloseCode.aborted);
    });
    socket.addEventListener("close", (event) => {
      const { code = 1005, reason = "" } = event as Partial<CloseEvent>;
      this.#onClose(code, reason);
    });
    const { signal } = options;
    signal?.addEventListener("abort", this.#onAbort);
    if (signal?.aborted) this.#onAbort();
    else if (socket.readyState === OPEN) this.#onOpen();
    else if (socket.readyState !== CONNECTING) this.#onClose(1006, "it was closed before");
  }

  #onOpen(): void {
    if (this.#over) return;
    const relayed = (this.#options.protocol ?? this.#socket.protocol) === RELAY_PROTOCOL;
    const { highWaterMark = relayed ? DEFAULT_CREDIT : DEFAULT_UNREAD } = this.#options;
    this.#direction = relayed
      ? new RelayDirection(this.#socket, highWaterMark)
      : new PlainDirection(this.#socket, highWaterMark);
    this.#opened.resolve();
  }

  #onMessage(data: unknown): void {
    if (this.#over || this.#direction === undefined) return;
    if (!(data instanceof ArrayBuffer || ArrayBuffer.isView(data))) {
      const what = typeof data === "string" ? "a text message" : "a message that is no ArrayBuffer";
      this.#fail(new WebSocketError(CloseCode.protocol, what), CloseCode.protocol, what);
      return;
    }
    const message = data instanceof ArrayBuffer ? new Uint8Array(data) : bytesOf(data);
    const taken = this.#direction.take(message, this.#inputOver);
    switch (taken.type) {
      case "data":
        this.#arrive(taken.bytes);
        return;
      case "end":
        this.#inputOver = true;
        this.#wakeReader();
        this.#closeIfOver();
        return;
      case "credit":
        this.#wakeWriter();
        return;
      case "broken":
        this.#fail(new WebSocketError(CloseCode.protocol, taken.reason), CloseCode.protocol, taken.reason);
    }
  }

  #arrive(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (this.#discarding) {
      this.#direction?.consumed(bytes.length);
      return;
    }
    this.#enqueue(bytes);
    this.#unread += bytes.length;
    const { limit = 0 } = this.#direction ?? {};
    if (this.#unread > limit) {
      const reason = `more than ${limit} bytes that nobody reads`;
      this.#fail(new WebSocketError(CloseCode.unread, reason), CloseCode.unread, reason);
      return;
    }
    if (
      this.#unread > limit / 2 &&
      !this.#paused &&
      this.#socket.pause !== undefined &&
      this.#direction?.held === false
    ) {
      this.#paused = true;
      this.#socket.pause();
    }
    this.#wakeReader();
  }

  /** Short messages that wait share an array: one of its own costs more than what is in it. */
  #enqueue(bytes: Uint8Array): void {
    const last = this.#queue.at(-1);
    if (last === undefined || last.length + bytes.length > SHARED) {
      this.#queue.push(bytes);
      return;
    }
    const own = last === this.#shared ? new Uint8Array(last.buffer) : new Uint8Array(SHARED);
    if (last !== this.#shared) own.set(last);
    own.set(bytes, last.length);
    this.#shared = own.subarray(0, last.length + bytes.length);
    this.#queue[this.#queue.length - 1] = this.#shared;
  }

  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    for (;;) {
      const chunk = this.#queue.shift();
      if (chunk !== undefined) {
        this.#unread -= chunk.length;
        if (this.#paused && this.#queue.length === 0) {
          this.#paused = false;
          this.#socket.resume?.();
        }
        if (!this.#over) this.#direction?.consumed(chunk.length);
        controller.enqueue(chunk);
        return;
      }
      if (this.#inputOver) return controller.close();
      if (this.#over) return controller.error(this.#failure);
      await new Promise<void>((resolve) => {
        this.#arrived = resolve;
      });
    }
  }

  /** What still comes is thrown away; the writer goes on. */
  #cancel(): void {
    this.#discarding = true;
    this.#queue.length = 0;
    if (!this.#over) this.#direction?.consumed(this.#unread);
    this.#unread = 0;
    if (this.#paused) this.#socket.resume?.();
    this.#closeIfOver();
  }

  async #write(bytes: Uint8Array): Promise<void> {
    await this.#opened.promise;
    for (let rest = bytes; rest.length > 0; ) {
      await this.#waitForRoom();
      if (this.#over) throw this.#failure;
      rest = rest.subarray(this.#direction?.send(rest));
    }
  }

  async #waitForRoom(): Promise<void> {
    while (!this.#over && !this.#direction?.mayWrite) {
      await new Promise<void>((resolve) => {
        const timer = this.#direction?.crowded ? setTimeout(resolve, LOOK) : undefined;
        this.#room = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#room = undefined;
  }

  async #endOutput(): Promise<void> {
    await this.#opened.promise;
    if (this.#over) throw this.#failure;
    this.#outputOver = true;
    this.#direction?.end();
    this.#closeIfOver();
  }

  #closeIfOver(): void {
    if (this.#outputOver && (this.#inputOver || this.#discarding)) this.#finish(CloseCode.normal, "");
  }

  #onClose(code: number, reason: string): void {
    if (this.#over) return;
    // 1005: no code was given.
    const orderly = code === 1000 || code === 1005;
    if (this.#direction?.held === false && orderly) this.#inputOver = true;
    this.#fail(new WebSocketError(code, reason), CloseCode.normal);
  }

  #fail(error: unknown, code: number, reason = ""): void {
    if (this.#over) return;
    this.#failure = error;
    this.#finish(code, reason);
    this.#opened.reject(error);
    // What was closed is so already.
    this.#writing.error(error);
  }

  #finish(code: number, reason: string): void {
    this.#over = true;
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.#socket.close(code, reason);
    this.#wakeReader();
    this.#wakeWriter();
  }

  #wakeReader(): void {
    this.#arrived?.();
    this.#arrived = undefined;
  }

  #wakeWriter(): void {
    this.#room?.();
  }
}
