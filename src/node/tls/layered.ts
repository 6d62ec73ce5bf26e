/** A net.Socket on top of another stream: addresses, options and liveness are those of what it runs over. */
import { Socket, type SocketConnectOpts, type SocketConstructorOpts } from "node:net";
import type { Duplex } from "node:stream";
import { argumentError } from "./errors.ts";

/** Of the socket underneath. */
const DELEGATED = [
  "remoteAddress",
  "remotePort",
  "remoteFamily",
  "localAddress",
  "localPort",
  "localFamily",
  "autoSelectFamilyAttemptedAddresses",
] as const;

/** What a socket that is connecting tells before it is connected. */
const FORWARDED = [
  "lookup",
  "ready",
  "connectionAttempt",
  "connectionAttemptFailed",
  "connectionAttemptTimeout",
] as const;

const MAX_DELAY = 0x7fffffff;

/** What both kinds of sockets have. */
type Underneath = Duplex & Partial<Pick<Socket, (typeof DELEGATED)[number]>> & Partial<SocketMethods>;
type SocketMethods = Pick<Socket, "setNoDelay" | "setKeepAlive" | "ref" | "unref" | "address" | "resetAndDestroy">;

export abstract class LayeredSocket extends Socket {
  readonly #raw: Underneath;
  #idle: NodeJS.Timeout | undefined;
  #bytesRead = 0;
  #bytesWritten = 0;

  static {
    for (const name of DELEGATED) define(LayeredSocket.prototype, name, (socket) => socket.#raw[name]);
    define(LayeredSocket.prototype, "bytesRead", (socket) => socket.#bytesRead);
    define(LayeredSocket.prototype, "bytesWritten", (socket) => socket.#bytesWritten + socket.writableLength);
    define(LayeredSocket.prototype, "bufferSize", (socket) => (socket.destroyed ? undefined : socket.writableLength));
    define(LayeredSocket.prototype, "pending", (socket) => socket.connecting || socket.destroyed);
    define(LayeredSocket.prototype, "readyState", (socket) => {
      if (socket.connecting) return "opening";
      if (socket.readable) return socket.writable ? "open" : "readOnly";
      return socket.writable ? "writeOnly" : "closed";
    });
  }

  constructor(raw: Duplex, options: SocketConstructorOpts) {
    super(options);
    this.#raw = raw as Underneath;
  }

  /** What this runs over; its alone. */
  protected get underneath(): Duplex {
    return this.#raw;
  }

  override connect(...args: unknown[]): this {
    const [options, listener] = args;
    const raw = this.#raw;
    if (raw instanceof Socket) {
      this.setConnecting(true);
      raw.connect(options as SocketConnectOpts);
      if (typeof listener === "function") this.once("connect", listener as () => void);
    }
    return this;
  }

  override setTimeout(timeout: number, callback?: () => void): this {
    if (typeof timeout !== "number" || !(timeout >= 0)) {
      throw argumentError("ERR_INVALID_ARG_TYPE", "a timeout is a number of milliseconds");
    }
    clearTimeout(this.#idle);
    this.#idle = undefined;
    (this as { timeout?: number }).timeout = timeout;
    if (timeout === 0) {
      if (callback !== undefined) this.removeListener("timeout", callback);
      return this;
    }
    if (callback !== undefined) this.once("timeout", callback);
    if (!this.destroyed) this.#idle = setTimeout(() => this.emit("timeout"), Math.min(timeout, MAX_DELAY)).unref();
    return this;
  }

  override setNoDelay(noDelay?: boolean): this {
    this.#raw.setNoDelay?.(noDelay);
    return this;
  }

  override setKeepAlive(enable?: boolean, initialDelay?: number): this {
    this.#raw.setKeepAlive?.(enable, initialDelay);
    return this;
  }

  override ref(): this {
    this.#raw.ref?.();
    return this;
  }

  override unref(): this {
    this.#raw.unref?.();
    return this;
  }

  override address(): ReturnType<Socket["address"]> {
    return this.#raw.address?.() ?? {};
  }

  override resetAndDestroy(): this {
    this.#raw.resetAndDestroy?.();
    return this.destroy();
  }

  protected setConnecting(connecting: boolean): void {
    (this as { connecting: boolean }).connecting = connecting;
  }

  /** Calls `begin` once there is something to run over. */
  protected whenConnected(begin: () => void): void {
    const raw = this.#raw;
    if (!(raw instanceof Socket && raw.pending && !raw.destroyed)) {
      process.nextTick(begin);
      return;
    }
    this.setConnecting(raw.connecting);
    for (const event of FORWARDED) raw.on(event, (...args: unknown[]) => this.emit(event, ...args));
    raw.once("connect", () => {
      this.setConnecting(false);
      this.emit("connect");
      begin();
    });
  }

  /** Bytes moved: the time-out begins again. */
  protected active(): void {
    this.#idle?.refresh();
  }

  protected countRead(length: number): void {
    this.#bytesRead += length;
  }

  protected countWritten(length: number): void {
    this.#bytesWritten += length;
  }

  /** The last part of `_destroy`. */
  protected finish(error: Error | null, done: (error: Error | null) => void): void {
    const raw = this.#raw;
    this.setConnecting(false);
    clearTimeout(this.#idle);
    done(error);
    const close = () => this.emit("close", error !== null);
    // After what is known by then was told, as a handle's close is.
    if (raw instanceof Socket && raw.destroyed && !raw.closed) raw.once("close", close);
    else setImmediate(close);
  }
}

/** node:net declares these as fields, which a class may not override by getters. */
function define(prototype: LayeredSocket, name: keyof Socket, get: (socket: LayeredSocket) => unknown): void {
  Object.defineProperty(prototype, name, {
    configurable: true,
    get(this: LayeredSocket) {
      return get(this);
    },
  });
}
