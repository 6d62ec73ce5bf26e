/** Packets of a capture file, whichever of the two formats it is in. */
import { fault } from "../../errors.ts";
import { MAX_FILE } from "./limits.ts";
import { isPcap, readPcap } from "./pcap.ts";
import { isPcapng, readPcapng } from "./pcapng.ts";

/** A packet as it was captured. */
export interface CapturedPacket {
  /** LINKTYPE_ value of its interface. */
  readonly linkType: number;
  /** Nanoseconds since 1970; `undefined` where the block has none. */
  readonly time: bigint | undefined;
  /** A view of the file: perhaps less than there was. */
  readonly bytes: Uint8Array;
  /** Bytes that there were. */
  readonly length: number;
}

/** Who takes what a capture holds, in its order. */
export interface CaptureSink {
  packet(packet: CapturedPacket): void;
  /** Decryption secrets: a TLS key log. */
  keyLog(text: string): void;
  /** What was passed over, and what is odd. */
  note(text: string): void;
}

/**
 * True for the beginning of a capture file, pcap or pcapng.
 *
 * @example
 * ```ts
 * console.log(isCapture(Uint8Array.of(0x0a, 0x0d, 0x0d, 0x0a))); // true
 * ```
 */
export function isCapture(bytes: Uint8Array): boolean {
  return isPcap(bytes) || isPcapng(bytes);
}

/**
 * Reads a capture file.
 *
 * @throws TlsError `ERR_TLS_CAPTURE` when it is none, or a limit is passed. A file that ends inside a packet is read up to there, and
 * the sink is told.
 */
export function readPackets(file: Uint8Array, sink: CaptureSink): void {
  if (file.length > MAX_FILE) throw fault("ERR_TLS_CAPTURE", `a file of more than ${MAX_FILE} bytes`);
  if (isPcap(file)) readPcap(file, sink);
  else if (isPcapng(file)) readPcapng(file, sink);
  else throw fault("ERR_TLS_CAPTURE", "neither pcap nor pcapng");
}
