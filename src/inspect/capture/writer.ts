/** Captures made from what an observer sees: pcapng with packets that never were and the secrets to decrypt them. */
import type { Observation, Observer } from "../../engine/observer.ts";
import { fault, type Side } from "../../errors.ts";
import { parseAddress } from "../../x509/address.ts";
import { keyLog } from "../keylog.ts";
import { decryptionSecrets, enhancedPacket, interfaceDescription, sectionHeader } from "./blocks.ts";
import { ETHERNET, Flag, tcpFrame } from "./frames.ts";
import type { Endpoint } from "./segments.ts";

/** Where a capture goes. */
export interface CaptureWriterOptions {
  /** Gets the file piece by piece, in memory of its own. */
  readonly write: (bytes: Uint8Array) => void;
  /** Milliseconds since 1970; `Date.now` by default. */
  readonly clock?: (() => number) | undefined;
}

/** An end of a connection as people write it. */
export interface CaptureEnd {
  /** IPv4 or IPv6; a zone is left out. */
  readonly address: string;
  readonly port: number;
}

/** One connection that is to be captured. */
export interface CaptureConnectionOptions {
  /** The engine's. */
  readonly side: Side;
  /** This end; where it or the other one is not known, addresses for documentation (RFC 5737) stand in. */
  readonly local?: CaptureEnd | undefined;
  readonly remote?: CaptureEnd | undefined;
}

/** A connection on its way into a capture. */
export interface CaptureConnection {
  readonly observer: Observer;
  /** Closes the connection in the capture, and writes what was held back; observations afterwards are ignored. */
  end(): void;
}

/** A capture on its way into a file. */
export interface CaptureWriter {
  /**
   * A connection more.
   *
   * @throws TlsError `ERR_TLS_OPTION` for an address that is none, a port out of range, or ends of two families.
   */
  connection(options: CaptureConnectionOptions): CaptureConnection;
}

/** Bytes of a connection that wait for its secrets. */
const MAX_HELD = 1024 * 1024;
/** Payload of one packet: a record stays whole, as where network cards do the cutting. */
const MAX_PAYLOAD = 0xff00;
const NOTHING = new Uint8Array(0);
/** The last secret of a handshake that was observed. */
const LAST_SECRET = "EXPORTER_SECRET";

/**
 * Writes pcapng that Wireshark opens decrypted: whoever has the file can read everything in it.
 *
 * TCP, IP and Ethernet are made up around the records; nothing is known of the packets that there were.
 *
 * @example
 * ```ts
 * const file = fs.createWriteStream("/dev/null");
 * const writer = createCaptureWriter({ write: (bytes) => file.write(bytes) });
 * const capture = writer.connection({ side: "client", remote: { address: "192.0.2.1", port: 443 } });
 * const session = await connect(stream, { serverName: "localhost", trust: ca, observer: capture.observer });
 * await session.close();
 * capture.end();
 * file.end();
 * ```
 */
export function createCaptureWriter({ write, clock = Date.now }: CaptureWriterOptions): CaptureWriter {
  write(sectionHeader());
  write(interfaceDescription(ETHERNET));
  let connections = 0;
  return {
    connection: (options) => {
      const [client, server] = endsOf(options, connections++);
      const written = new WrittenConnection(client, server, write, () => BigInt(Math.round(clock() * 1000)) * 1000n);
      return { observer: written.observer(options.side), end: () => written.end() };
    },
  };
}

/** One connection, from its SYN to its FINs. */
class WrittenConnection {
  readonly #ends: Readonly<Record<Side, Endpoint>>;
  readonly #sent: Record<Side, number> = { client: 0, server: 0 };
  readonly #write: (bytes: Uint8Array) => void;
  readonly #time: () => bigint;
  /** Packets held back: readers take a secret only where it stands before the packets that it is for. */
  #held: Uint8Array[] | undefined = [];
  #heldBytes = 0;
  #secrets = "";
  #ended = false;

  constructor(client: Endpoint, server: Endpoint, write: (bytes: Uint8Array) => void, time: () => bigint) {
    this.#ends = { client, server };
    this.#write = write;
    this.#time = time;
  }

  observer(side: Side): Observer {
    const peer = side === "client" ? "server" : "client";
    const secrets = keyLog((line) => this.#secret(line));
    return (observation: Observation) => {
      if (this.#ended) return;
      if (observation.kind === "record") this.#data(observation.direction === "sent" ? side : peer, observation.wire);
      else if (observation.kind === "skipped") this.#data(peer, observation.wire);
      else secrets(observation);
    };
  }

  end(): void {
    if (this.#ended) return;
    this.#open();
    this.#packet("client", Flag.fin | Flag.ack);
    this.#packet("server", Flag.fin | Flag.ack);
    this.#packet("client", Flag.ack);
    this.#release();
    this.#ended = true;
  }

  #secret(line: string): void {
    if (this.#held === undefined) {
      this.#write(decryptionSecrets(line));
      return;
    }
    this.#secrets += line;
    if (line.startsWith(`${LAST_SECRET} `)) this.#release();
  }

  #data(from: Side, bytes: Uint8Array): void {
    this.#open();
    for (let at = 0; at < bytes.length; at += MAX_PAYLOAD) {
      this.#packet(from, Flag.psh | Flag.ack, bytes.subarray(at, at + MAX_PAYLOAD));
    }
  }

  #open(): void {
    if (this.#sent.client > 0) return;
    this.#packet("client", Flag.syn);
    this.#packet("server", Flag.syn | Flag.ack);
    this.#packet("client", Flag.ack);
  }

  #packet(from: Side, flags: number, payload: Uint8Array = NOTHING): void {
    const to = from === "client" ? "server" : "client";
    const acknowledgment = (flags & Flag.ack) === 0 ? 0 : this.#sent[to];
    const sequence = this.#sent[from];
    const ends = { source: this.#ends[from], destination: this.#ends[to] };
    const frame = tcpFrame({ ...ends, sequence, acknowledgment, flags, payload });
    this.#sent[from] += payload.length + ((flags & (Flag.syn | Flag.fin)) === 0 ? 0 : 1);
    this.#pass(enhancedPacket(0, this.#time(), frame, frame.length));
  }

  #pass(block: Uint8Array): void {
    if (this.#held === undefined) {
      this.#write(block);
      return;
    }
    this.#held.push(block);
    this.#heldBytes += block.length;
    if (this.#heldBytes > MAX_HELD) this.#release();
  }

  #release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    if (this.#secrets !== "") this.#write(decryptionSecrets(this.#secrets));
    this.#secrets = "";
    for (const block of held) this.#write(block);
  }
}

/** RFC 5737 3; ports of a range for what is ephemeral (RFC 6335 6). */
const UNKNOWN = { client: Uint8Array.of(192, 0, 2, 1), server: Uint8Array.of(192, 0, 2, 2) };
/** The same for IPv6, RFC 3849. */
const UNKNOWN_V6 = "2001:db8::";

function endsOf({ side, local, remote }: CaptureConnectionOptions, index: number): readonly [Endpoint, Endpoint] {
  const [near, far] = side === "client" ? [local, remote] : [remote, local];
  const [given, opposite] = [near && endOf(near), far && endOf(far)];
  const isV6 = (given ?? opposite)?.address.length === 16;
  const unknown = (name: Side, last: number) =>
    isV6 ? (parseAddress(UNKNOWN_V6 + last) as Uint8Array) : UNKNOWN[name];
  const client = given ?? { address: unknown("client", 1), port: 49152 + (index % 16384) };
  const server = opposite ?? { address: unknown("server", 2), port: 443 };
  if (client.address.length !== server.address.length) {
    throw fault("ERR_TLS_OPTION", "one end of a connection has an IPv4 address, and the other an IPv6 address");
  }
  return [client, server];
}

function endOf({ address, port }: CaptureEnd): Endpoint {
  const bytes = parseAddress(address.replace(/%.*$/, ""));
  if (bytes === undefined) throw fault("ERR_TLS_OPTION", `"${address}" is no IP address`);
  if (!Number.isInteger(port) || port < 0 || port > 0xffff) throw fault("ERR_TLS_OPTION", `${port} is no port`);
  return { address: isMapped(bytes) ? bytes.subarray(12) : bytes, port };
}

/** An IPv4 address of a socket that takes both (RFC 4291 2.5.5.2). */
function isMapped(address: Uint8Array): boolean {
  return address.length === 16 && address.subarray(0, 12).every((byte, index) => byte === (index < 10 ? 0 : 0xff));
}
