/** One connection to the runner, from the TCP handshake to the last check. */
import { connect, type Socket } from "node:net";
import { concat, utf8 } from "../../src/bytes/bytes.ts";
import { clientContext, serverContext, type TlsEngine } from "../../src/engine/index.ts";
import type { Session } from "../../src/handshake/session.ts";
import { clientOptions, type Memory, type Scene, serverOptions } from "./configure.ts";
import { checkHandshake, expect } from "./expectations.ts";
import type { AllSettings, Settings } from "./flags.ts";

/** Plays one connection; throws what went wrong, the engine's error or an unmet expectation. */
export async function runConnection(all: AllSettings, memory: Memory, isResumption: boolean): Promise<void> {
  const settings = isResumption ? all.resume : all.initial;
  const scene: Scene = {
    settings,
    retry: all.retry,
    memory,
    isResumption,
    selectedCredential: -1,
    peerVerifyPrefs: undefined,
    authorities: undefined,
    advertisedAlpn: undefined,
    verified: false,
    secrets: new Map(),
  };
  const offered = memory.session;
  const context = settings.server ? serverContext(serverOptions(scene)) : clientContext(clientOptions(scene));
  const socket = connect(settings.port ?? 0, settings.ipv6 ? "::1" : "127.0.0.1");
  socket.setNoDelay(true);
  const id = new Uint8Array(8);
  new DataView(id.buffer).setBigUint64(0, BigInt(settings.shimId ?? 0), true);
  socket.write(id);
  const connection = new Connection(context.engine(), socket, scene, offered);
  try {
    await connection.run();
  } finally {
    await connection.end();
  }
}

class Connection {
  readonly #engine: TlsEngine;
  readonly #socket: Socket;
  readonly #scene: Scene;
  readonly #offered: Session | undefined;
  /** Those of the second try once early data has been rejected. */
  #settings: Settings;
  #wake: () => void = () => {};
  #inbox: Uint8Array = new Uint8Array(0);
  /** The runner sends no more; the engine knows. */
  #eof = false;
  #eofTold = false;
  #tickets = 0;

  constructor(engine: TlsEngine, socket: Socket, scene: Scene, offered: Session | undefined) {
    this.#engine = engine;
    this.#socket = socket;
    this.#scene = scene;
    this.#offered = offered;
    this.#settings = scene.settings;
    engine.listen(
      ({ type }) => {
        if (type === "ticket") this.#tickets++;
      },
      () => this.#wake(),
    );
    socket.on("data", (data) => {
      this.#inbox = concat(this.#inbox, data);
      this.#wake();
    });
    for (const ending of ["end", "error"]) {
      socket.on(ending, () => {
        this.#eof = true;
        this.#wake();
      });
    }
  }

  async run(): Promise<void> {
    const engine = this.#engine;
    const { settings, memory } = this.#scene;
    engine.start();
    while (!settings.server && engine.outputLength === 0 && engine.error === undefined) await this.#progress();
    const mayBeEarly = engine.earlyDataRoom > 0;
    expect(!(settings.expectNoOfferEarlyData && mayBeEarly), "early data was offered");
    // A client in early data goes on as if connected; so does a server that has accepted some.
    const early = mayBeEarly && settings.shimWritesFirst;
    const unsent = early ? this.#writeEarly(this.#initialWrites()) : this.#initialWrites();
    if (mayBeEarly && settings.exportKeyingMaterial) this.#keyingMaterial();
    await this.#until(() => engine.result !== undefined || this.#inEarlyData());
    const rejected = mayBeEarly && engine.result?.earlyData === "rejected";
    if (rejected) {
      // What follows counts as another connection.
      expect(settings.expectRejectEarlyData === true, "early data was rejected");
      this.#settings = this.#scene.retry;
    }
    if (engine.result !== undefined) checkHandshake(engine.result, this.#settings, this.#scene, this.#offered);
    await this.#exchange(rejected ? this.#initialWrites() : unsent);
    memory.previous = { alpn: engine.result?.alpn, early: settings.enableEarlyData === true };
    await this.#shutDown();
  }

  /** Sends what is left and waits until the runner has closed too, so that no reset destroys it. */
  async end(): Promise<void> {
    const socket = this.#socket;
    this.#flush();
    await new Promise<void>((resolve) => {
      socket.once("close", () => resolve());
      if (socket.destroyed) resolve();
      socket.resume();
      socket.end();
    });
  }

  async #exchange(initialWrites: readonly Uint8Array[]): Promise<void> {
    const settings = this.#settings;
    const engine = this.#engine;
    if (settings.exportKeyingMaterial) await this.#write(this.#keyingMaterial());
    if (settings.exportTrafficSecrets) await this.#write(this.#trafficSecrets());
    if (settings.writeDifferentRecordSizes) {
      const sizes = [0, 1, 255, 256, 257, 16383, 16384, 16385, 32767, 32768, 32769];
      for (const size of sizes) await this.#write(new Uint8Array(size).fill(0x42));
      return;
    }
    for (const data of initialWrites) await this.#write(data);
    if (settings.shimShutsDown) return;
    for (;;) {
      if (settings.keyUpdateBeforeRead) engine.updateKeys();
      const chunk = await this.#read();
      if (chunk === undefined) break;
      if (settings.keyUpdate) engine.updateKeys();
      await this.#write(chunk.map((byte) => byte ^ 0xff));
    }
    if (engine.side === "client") this.#checkTickets();
  }

  #initialWrites(): readonly Uint8Array[] {
    const { shimWritesFirst, readWithUnfinishedWrite, shimInitialWrite, repeatShimInitialWrite = 1 } = this.#settings;
    if (!shimWritesFirst && !readWithUnfinishedWrite) return [];
    return new Array<Uint8Array>(repeatShimInitialWrite).fill(utf8(shimInitialWrite ?? "hello"));
  }

  /** Each write as far as it may be early; gives the rest. */
  #writeEarly(writes: readonly Uint8Array[]): readonly Uint8Array[] {
    return writes.flatMap((data) => {
      const taken = this.#engine.writeEarlyData(data);
      this.#flush();
      return taken < data.length ? [data.subarray(taken)] : [];
    });
  }

  #keyingMaterial(): Uint8Array {
    const { exportKeyingMaterial = 0, exportLabel = "", exportContext = "" } = this.#settings;
    return this.#engine.exportKeyingMaterial(exportKeyingMaterial, exportLabel, utf8(exportContext));
  }

  /** As the runner reads them: the length in this machine's byte order, the secret read with, the secret written with. */
  #trafficSecrets(): Uint8Array {
    const { secrets, settings } = this.#scene;
    const [client, server] = ["CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"].map((name) => secrets.get(name));
    const ordered = settings.server ? [client, server] : [server, client];
    const [read, write] = ordered.map((secret) => secret ?? new Uint8Array(0)) as [Uint8Array, Uint8Array];
    return concat(new Uint8Array(Uint16Array.of(read.length).buffer), read, write);
  }

  /** Closes, and waits for the other side where that is asked for. */
  async #shutDown(): Promise<void> {
    const engine = this.#engine;
    if (engine.error === undefined) engine.close();
    this.#flush();
    if (!this.#settings.checkCloseNotify) return;
    await this.#until(() => {
      while (engine.read() !== undefined) {
        // Nobody wants it.
      }
      return engine.ended || this.#truncated();
    });
    expect(engine.ended, "no close_notify came");
  }

  /** What there is to read, early data included; `undefined` at the end, clean or not. */
  async #read(): Promise<Uint8Array | undefined> {
    const engine = this.#engine;
    let chunk: Uint8Array | undefined;
    await this.#until(() => {
      chunk = engine.readEarlyData() ?? engine.read();
      return chunk !== undefined || engine.ended || this.#truncated();
    });
    if (engine.result === undefined) expect(chunk !== undefined, "the handshake was cut");
    return chunk;
  }

  /** The runner often closes without a word once it has what it wants. */
  #truncated(): boolean {
    return this.#engine.error?.code === "ERR_SSL_UNEXPECTED_EOF_WHILE_READING" && this.#engine.result !== undefined;
  }

  async #write(data: Uint8Array): Promise<void> {
    for (let rest = data; rest.length > 0; ) {
      const taken = this.#engine.write(rest);
      rest = rest.subarray(taken);
      this.#flush();
      if (rest.length > 0 && taken === 0) await this.#until(() => this.#engine.writable > 0);
    }
  }

  /** Moves bytes both ways until `done` holds; a failed engine throws its error. */
  async #until(done: () => boolean): Promise<void> {
    for (;;) {
      this.#feed();
      this.#flush();
      if (done()) return;
      const { error } = this.#engine;
      if (error !== undefined && !this.#truncated()) throw error;
      await this.#progress();
    }
  }

  async #progress(): Promise<void> {
    const { room, busy } = this.#engine;
    const feedable = (this.#inbox.length > 0 && room > 0 && !busy) || (this.#eof && !this.#eofTold);
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      if (feedable) setImmediate(resolve);
    });
    this.#wake = () => {};
  }

  #feed(): void {
    if (this.#inbox.length > 0) {
      // With -async one byte at a time, as the original does.
      const piece = this.#scene.settings.async ? this.#inbox.subarray(0, 1) : this.#inbox;
      this.#inbox = this.#inbox.subarray(this.#engine.receive(piece));
    } else if (this.#eof && !this.#eofTold) {
      this.#eofTold = true;
      this.#engine.receiveEnd();
    }
  }

  /** Hands on what is to be sent. Where there is nothing, a KeyUpdate that is owed waits for the next write. */
  #flush(): void {
    if (this.#engine.outputLength === 0) return;
    const output = this.#engine.takeOutput();
    if (this.#socket.writable) this.#socket.write(output);
  }

  #inEarlyData(): boolean {
    return this.#engine.side === "server" && this.#engine.state === "WAIT_EOED";
  }

  #checkTickets(): void {
    const settings = this.#settings;
    expect(settings.expectNoSession ? this.#tickets === 0 : this.#tickets > 0, "a session was or was not kept");
    if (settings.expectNoSession) return;
    const early = (this.#scene.memory.session?.maxEarlyData ?? 0) > 0;
    expect(early === (settings.expectTicketSupportsEarlyData === true), "early data support of the new session");
  }
}
