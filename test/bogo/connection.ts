/** One connection to the runner, from the TCP handshake to the last check. */
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { concat, equal, utf8 } from "../../src/bytes/bytes.ts";
import { readPem } from "../../src/bytes/pem.ts";
import { CipherSuiteId, NamedGroup, SignatureScheme } from "../../src/codec/registry.ts";
import { clientContext, type EngineEvent, serverContext, type TlsEngine } from "../../src/engine/index.ts";
import type { HandshakeResult } from "../../src/handshake/config.ts";
import type { Session } from "../../src/handshake/session.ts";
import { clientOptions, type Findings, type Memory, serverOptions } from "./configure.ts";
import { type Settings, Unimplemented } from "./flags.ts";

/** What the runner reads from stderr. */
export class Unexpected extends Error {}

function expect(holds: boolean, otherwise: string): void {
  if (!holds) throw new Unexpected(otherwise);
}

const TLS_1_3 = 0x0304;

export async function runConnection(
  settings: Settings,
  retry: Settings,
  memory: Memory,
  isResumption: boolean,
): Promise<void> {
  const findings: Findings = {
    selectedCredential: -1,
    peerVerifyPrefs: undefined,
    authorities: undefined,
    hello: undefined,
    verified: false,
  };
  const offered = memory.session;
  const context = settings.server
    ? serverContext(serverOptions(settings, memory, findings))
    : clientContext(clientOptions(settings, memory, findings));
  const socket = connect(settings.port, settings.ipv6 ? "::1" : "127.0.0.1");
  socket.setNoDelay(true);
  const id = new Uint8Array(8);
  new DataView(id.buffer).setBigUint64(0, settings.shimId, true);
  socket.write(id);
  const connection = new Connection(context.engine(), socket, settings, findings, { memory, isResumption, offered });
  try {
    await connection.run(retry);
  } finally {
    await connection.flush();
    await new Promise<void>((resolve) => {
      socket.once("close", () => resolve());
      socket.once("error", () => resolve());
      if (socket.destroyed) resolve();
      socket.resume();
      socket.end();
    });
  }
}

interface Setting {
  readonly memory: Memory;
  readonly isResumption: boolean;
  readonly offered: Session | undefined;
}

class Connection {
  readonly #engine: TlsEngine;
  readonly #socket: Socket;
  readonly #findings: Findings;
  readonly #around: Setting;
  #settings: Settings;
  #events: EngineEvent[] = [];
  #wake: () => void = () => {};
  #inbox: Uint8Array = new Uint8Array(0);
  #eof = false;
  #tickets = 0;
  #earlySent = false;
  #earlyOffered = false;

  constructor(engine: TlsEngine, socket: Socket, settings: Settings, findings: Findings, around: Setting) {
    this.#engine = engine;
    this.#socket = socket;
    this.#settings = settings;
    this.#findings = findings;
    this.#around = around;
    engine.listen(
      (event) => {
        this.#events.push(event);
        if (event.type === "ticket") this.#tickets++;
      },
      () => this.#wake(),
    );
    socket.on("data", (data) => {
      this.#inbox = concat(this.#inbox, data);
      this.#wake();
    });
    socket.on("end", () => {
      this.#eof = true;
      this.#wake();
    });
    socket.on("error", () => {
      this.#eof = true;
      this.#wake();
    });
  }

  async run(retry: Settings): Promise<void> {
    const settings = this.#settings;
    this.#engine.start();
    while (!settings.server && this.#engine.outputLength === 0 && this.#engine.error === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#earlyOffered = this.#engine.earlyDataRoom > 0;
    expect(!(settings.expectNoOfferEarlyData && this.#earlyOffered), "early data was offered");
    // A client in early data goes on as if connected; so does a server that has accepted some.
    let later: Uint8Array | undefined;
    if (this.#earlyOffered && settings.shimWritesFirst) {
      later = this.#initialWrites();
      while (later.length > 0 && this.#engine.earlyDataRoom > 0) {
        later = later.subarray(this.#engine.writeEarlyData(later));
        this.#pump();
      }
      this.#earlySent = true;
    }
    await this.#until(() => this.#engine.result !== undefined || this.#inEarlyData());
    if (this.#earlyOffered && this.#engine.result?.earlyData === "rejected") {
      // What follows counts as another connection.
      expect(settings.expectRejectEarlyData === true, "early data was rejected");
      this.#settings = retry;
      this.#earlySent = false;
    } else if (later !== undefined) await this.#write(later);
    if (this.#engine.result !== undefined) this.#checkHandshake(this.#engine.result);
    await this.#exchange();
    const { result } = this.#engine;
    this.#around.memory.previous = { alpn: result?.alpn, early: settings.enableEarlyData === true };
    await this.#shutDown();
  }

  async #exchange(): Promise<void> {
    const settings = this.#settings;
    const engine = this.#engine;
    if (settings.exportKeyingMaterial !== undefined && settings.exportKeyingMaterial > 0) {
      await this.#until(() => engine.result !== undefined);
      const { exportKeyingMaterial, exportLabel = "", exportContext = "" } = settings;
      await this.#write(engine.exportKeyingMaterial(exportKeyingMaterial, exportLabel, bytesOf(exportContext)));
    }
    if (settings.writeDifferentRecordSizes) {
      for (const size of [0, 1, 255, 256, 257, 16383, 16384, 16385, 32767, 32768, 32769])
        await this.#write(new Uint8Array(size).fill(0x42));
      return;
    }
    if ((settings.shimWritesFirst || settings.readWithUnfinishedWrite) && !this.#earlySent) {
      await this.#write(this.#initialWrites());
    }
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

  /** Closes, and waits for the other side where that is asked for. */
  async #shutDown(): Promise<void> {
    const engine = this.#engine;
    if (engine.error === undefined) engine.close();
    await this.flush();
    if (!this.#settings.checkCloseNotify) return;
    await this.#until(() => engine.ended || this.#drained());
    expect(engine.ended, "no close_notify came");
  }

  #drained(): boolean {
    while (this.#engine.read() !== undefined) {
      // Nobody wants it.
    }
    return this.#engine.ended;
  }

  /** What there is to read, early data included; `undefined` at the end, clean or not. */
  async #read(): Promise<Uint8Array | undefined> {
    const engine = this.#engine;
    let chunk: Uint8Array | undefined;
    const over = () => engine.ended || (this.#eof && this.#truncated());
    await this.#until(() => {
      chunk = engine.readEarlyData() ?? engine.read();
      return chunk !== undefined || over();
    });
    if (chunk === undefined && this.#settings.checkCloseNotify) expect(engine.ended, "the connection was cut");
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
      this.#pump();
      if (rest.length > 0 && taken === 0) await this.#until(() => this.#engine.writable > 0);
    }
  }

  /** Moves bytes both ways until `done` holds; a failed engine throws its error. */
  async #until(done: () => boolean): Promise<void> {
    for (;;) {
      this.#pump();
      if (done()) return;
      const { error } = this.#engine;
      if (error !== undefined && !this.#truncated()) throw error;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        if (this.#feedable()) setImmediate(resolve);
      });
      this.#wake = () => {};
    }
  }

  #feedable(): boolean {
    return (this.#inbox.length > 0 && this.#engine.room > 0 && !this.#engine.busy) || (this.#eof && !this.#told);
  }
  #told = false;

  #pump(): void {
    const engine = this.#engine;
    if (this.#inbox.length > 0) {
      // With -async one byte at a time, as the original does.
      const piece = this.#settings.async ? this.#inbox.subarray(0, 1) : this.#inbox;
      const taken = engine.receive(piece);
      this.#inbox = this.#inbox.slice(taken);
    } else if (this.#eof && !this.#told) {
      this.#told = true;
      engine.receiveEnd();
    }
    const output = engine.takeOutput();
    if (output.length > 0 && this.#socket.writable) this.#socket.write(output);
  }

  async flush(): Promise<void> {
    for (;;) {
      const output = this.#engine.takeOutput();
      if (output.length === 0) return;
      if (!this.#socket.writable) return;
      await new Promise<void>((resolve) => this.#socket.write(output, () => resolve()));
    }
  }

  #inEarlyData(): boolean {
    return this.#engine.side === "server" && this.#engine.state === "WAIT_EOED";
  }

  #initialWrites(): Uint8Array {
    const { shimInitialWrite = "hello", repeatShimInitialWrite = 1 } = this.#settings;
    return bytesOf(shimInitialWrite.repeat(repeatShimInitialWrite));
  }

  #checkTickets(): void {
    const settings = this.#settings;
    expect(settings.expectNoSession ? this.#tickets === 0 : this.#tickets > 0, "session was or was not cached");
    if (settings.expectNoSession) return;
    const early = (this.#around.memory.session?.maxEarlyData ?? 0) > 0;
    expect(early === (settings.expectTicketSupportsEarlyData === true), "early data support of the new session");
  }

  #checkHandshake(result: HandshakeResult): void {
    const settings = this.#settings;
    const findings = this.#findings;
    const { isResumption, memory } = this.#around;
    expect(!settings.handshakeNeverDone, "the handshake was done");
    expect((settings.expectVersion ?? TLS_1_3) === TLS_1_3, "version");
    const resumed = result.resumed;
    const expected = isResumption && !settings.expectSessionMiss;
    expect(resumed === expected, `session unexpectedly was${resumed ? "" : " not"} reused`);
    if (settings.expectServerName !== undefined) expect(result.serverName === settings.expectServerName, "server name");
    if (settings.expectNoServerName) expect(result.serverName === undefined, "no server name");
    const alpn = settings.server ? settings.selectAlpn : settings.expectAlpn;
    expect((result.alpn ?? "") === (alpn ?? ""), `ALPN ${result.alpn}, wanted ${alpn}`);
    if (settings.expectAdvertisedAlpn !== undefined) {
      const advertised = findings.hello?.alpn.map((name) => String.fromCharCode(name.length) + name).join("");
      expect(advertised === settings.expectAdvertisedAlpn, "advertised ALPN");
    }
    if (settings.expectPeerSignatureAlgorithm !== undefined) {
      const scheme = result.peerSignatureScheme;
      const code = scheme === undefined ? 0 : SignatureScheme.codes[scheme];
      expect(code === settings.expectPeerSignatureAlgorithm, `peer signature algorithm ${scheme}`);
    }
    if (settings.expectCurveId !== undefined && result.group !== undefined)
      expect(NamedGroup.codes[result.group] === settings.expectCurveId, `group ${result.group}`);
    if (settings.expectCipher !== undefined)
      expect(CipherSuiteId.codes[result.cipherSuite] === settings.expectCipher, `cipher ${result.cipherSuite}`);
    if (settings.expectHrr) expect(result.retried, "no HelloRetryRequest");
    if (settings.expectNoHrr) expect(!result.retried, "a HelloRetryRequest");
    if (settings.expectAcceptEarlyData) expect(result.earlyData === "accepted", "early data was not accepted");
    if (settings.expectRejectEarlyData) expect(result.earlyData !== "accepted", "early data was accepted");
    this.#checkPeer(result);
    const { expectOcspResponse, expectSignedCertTimestamps } = settings;
    if (expectOcspResponse !== undefined)
      expect(equal(result.peerOcspResponse ?? new Uint8Array(0), expectOcspResponse), "OCSP response");
    if (expectSignedCertTimestamps !== undefined)
      expect(equal(prefixed(result.peerScts), expectSignedCertTimestamps), "SCT list");
    if (settings.expectTicketAgeSkew !== undefined && isResumption) throw new Unimplemented("-expect-ticket-age-skew");
    if (settings.expectSelectedCredential !== undefined) {
      const index =
        result.psk?.kind === "imported" ? pskIndex(settings, result.psk.identity) : findings.selectedCredential;
      expect(index === settings.expectSelectedCredential, `credential ${index} was used`);
    }
    if (settings.expectPeerVerifyPref !== undefined) {
      expect(
        findings.peerVerifyPrefs?.join() === settings.expectPeerVerifyPref.join(),
        "the peer's verify preferences",
      );
    }
    if (settings.expectClientCaList !== undefined) this.#checkAuthorities(settings.expectClientCaList);
    if (settings.expectEarlyDataReason !== undefined) {
      const reason = this.#earlyDataReason(result, memory);
      expect(reason === settings.expectEarlyDataReason, `early data reason "${reason}"`);
    }
  }

  #checkPeer(result: HandshakeResult): void {
    const settings = this.#settings;
    const chain = result.peerCertificates;
    const byKey = result.psk !== undefined && result.psk.kind !== "resumption";
    if (settings.expectNoPeerCert || byKey) expect(chain.length === 0, "an unexpected peer certificate");
    else if (!settings.server || settings.requireAnyClientCertificate) expect(chain.length > 0, "no peer certificate");
    if (settings.expectPeerCertFile === undefined) return;
    const wanted = readPem(readFileSync(settings.expectPeerCertFile, "utf8"));
    const same = wanted.length === chain.length && wanted.every(({ der }, i) => equal(der, chain[i] as Uint8Array));
    expect(same, "another peer certificate");
  }

  #checkAuthorities(wanted: string): void {
    const names = this.#findings.authorities ?? [];
    const texts = names.map((name) => Buffer.from(name).toString("hex")).join();
    expect(texts === (wanted === "<EMPTY>" || wanted === "<NULL>" ? "" : wanted), "the list of authorities");
  }

  /** In BoringSSL's words, from what both ends did. */
  #earlyDataReason(result: HandshakeResult, memory: Memory): string {
    const { offered, isResumption } = this.#around;
    const settings = this.#settings;
    if (!settings.enableEarlyData) return "disabled";
    if (result.earlyData === "accepted") return settings.server ? "accepted" : "accept";
    if (settings.server) {
      const { previous } = memory;
      if (previous === undefined || !isResumption) return "no_session_offered";
      if (!result.resumed) return "session_not_resumed";
      if (!previous.early) return "unsupported_for_session";
      if (result.retried) return "hello_retry_request";
      if (previous.alpn !== result.alpn) return "alpn_mismatch";
      return result.earlyData === undefined ? "peer_declined" : "ticket_age_skew";
    }
    if (offered === undefined || !isResumption) return "no_session_offered";
    if (offered.maxEarlyData === 0) return "unsupported_for_session";
    if (!result.resumed) return "session_not_resumed";
    if (result.retried) return "hello_retry_request";
    if (offered.alpn !== result.alpn) return "alpn_mismatch";
    return "peer_declined";
  }
}

/** An ImportedIdentity begins with the name it was made from, RFC 9258 5.1. */
function pskIndex(settings: Settings, identity: Uint8Array): number {
  const external = identity.subarray(2, 2 + (((identity[0] as number) << 8) | (identity[1] as number)));
  return settings.credentials.findIndex(
    ({ pskImporterIdentity }) => pskImporterIdentity !== undefined && equal(pskImporterIdentity, external),
  );
}

/** A list of SCTs as the wire has it. */
function prefixed(scts: readonly Uint8Array[]): Uint8Array {
  const parts = scts.map((sct) => concat(Uint8Array.of(sct.length >> 8, sct.length & 0xff), sct));
  const all = concat(...parts);
  return concat(Uint8Array.of(all.length >> 8, all.length & 0xff), all);
}

/** Arguments are bytes that Node has read as UTF-8. */
function bytesOf(text: string): Uint8Array {
  return utf8(text);
}
