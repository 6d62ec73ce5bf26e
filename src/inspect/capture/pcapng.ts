/** The pcapng file format (draft-ietf-opsawg-pcapng): sections, interfaces, packets, and TLS secrets. */
import { fault } from "../../errors.ts";
import { MAX_BLOCK, MAX_INTERFACES, MAX_PACKETS } from "./limits.ts";
import type { CaptureSink } from "./packets.ts";

/** Block types that are looked into; others are passed over, as the format demands. */
export const Block = {
  sectionHeader: 0x0a0d0d0a,
  interfaceDescription: 1,
  packet: 2,
  simplePacket: 3,
  enhancedPacket: 6,
  decryptionSecrets: 0x0a,
} as const;

export const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
/** `TLSK` */
export const TLS_KEY_LOG = 0x544c534b;
/** Interface options. */
const IF_TSRESOL = 9;
const IF_TSOFFSET = 14;

/** Type and both lengths. */
const OVERHEAD = 12;

interface Interface {
  readonly linkType: number;
  /** 0: no limit. */
  readonly snapLength: number;
  /** Units per second. */
  readonly unitsPerSecond: bigint;
  /** Seconds to add. */
  readonly offset: bigint;
}

/** One block's body. */
interface Body {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly little: boolean;
}

export function isPcapng(bytes: Uint8Array): boolean {
  // The same in both byte orders.
  return bytes.length >= 4 && viewOf(bytes).getUint32(0) === Block.sectionHeader;
}

export function readPcapng(file: Uint8Array, sink: CaptureSink): void {
  const reader = new SectionReader(sink);
  const view = viewOf(file);
  let little = false;
  for (let at = 0; at < file.length; ) {
    if (file.length - at < OVERHEAD) {
      sink.note("the file ends inside a block");
      return;
    }
    if (view.getUint32(at) === Block.sectionHeader) {
      const order = [true, false].find((candidate) => view.getUint32(at + 8, candidate) === BYTE_ORDER_MAGIC);
      if (order === undefined) throw fault("ERR_TLS_CAPTURE", `a section without byte order at offset ${at}`);
      little = order;
    }
    const type = view.getUint32(at, little);
    const length = view.getUint32(at + 4, little);
    // Section 3.1 of the draft: a multiple of 4.
    if (length < OVERHEAD || length % 4 !== 0) throw fault("ERR_TLS_CAPTURE", `a block of ${length} bytes at ${at}`);
    if (length > MAX_BLOCK) throw fault("ERR_TLS_CAPTURE", `a block of more than ${MAX_BLOCK} bytes at offset ${at}`);
    if (length > file.length - at) {
      sink.note("the file ends inside a block");
      return;
    }
    if (view.getUint32(at + length - 4, little) !== length) {
      throw fault("ERR_TLS_CAPTURE", `the two lengths of the block at offset ${at} differ`);
    }
    const bytes = file.subarray(at + 8, at + length - 4);
    reader.block(type, { bytes, view: viewOf(bytes), little });
    at += length;
  }
}

class SectionReader {
  readonly #sink: CaptureSink;
  #interfaces: Interface[] = [];
  #packets = 0;

  constructor(sink: CaptureSink) {
    this.#sink = sink;
  }

  block(type: number, body: Body): void {
    this.#blocks.get(type)?.(body);
  }

  readonly #blocks: ReadonlyMap<number, (body: Body) => void> = new Map([
    [Block.sectionHeader, (body: Body) => this.#section(body)],
    [Block.interfaceDescription, (body: Body) => this.#interface(body)],
    [Block.enhancedPacket, (body: Body) => this.#enhanced(body)],
    [Block.packet, (body: Body) => this.#obsolete(body)],
    [Block.simplePacket, (body: Body) => this.#simple(body)],
    [Block.decryptionSecrets, (body: Body) => this.#secrets(body)],
  ]);

  #section({ view, little, bytes }: Body): void {
    if (bytes.length < 16) throw tooShort("section header");
    const major = view.getUint16(4, little);
    if (major !== 1) throw fault("ERR_TLS_CAPTURE", `pcapng of version ${major}, and only 1 is known`);
    this.#interfaces = [];
  }

  #interface(body: Body): void {
    const { view, little, bytes } = body;
    if (bytes.length < 8) throw tooShort("interface description");
    if (this.#interfaces.length >= MAX_INTERFACES) {
      throw fault("ERR_TLS_CAPTURE", `more than ${MAX_INTERFACES} interfaces in a section`);
    }
    const found = options(body, 8);
    const resolution = found.get(IF_TSRESOL)?.[0] ?? 6;
    const offset = found.get(IF_TSOFFSET);
    this.#interfaces.push({
      linkType: view.getUint16(0, little),
      snapLength: view.getUint32(4, little),
      unitsPerSecond: (resolution & 0x80) === 0 ? 10n ** BigInt(resolution) : 2n ** BigInt(resolution & 0x7f),
      offset: offset?.length === 8 ? viewOf(offset).getBigInt64(0, little) : 0n,
    });
  }

  #enhanced({ view, little, bytes }: Body): void {
    if (bytes.length < 20) throw tooShort("enhanced packet");
    this.#timed(bytes, view.getUint32(0, little), view, little);
  }

  /** As enhanced ones, but for the interface's number and a drop count in its place. */
  #obsolete({ view, little, bytes }: Body): void {
    if (bytes.length < 20) throw tooShort("packet");
    this.#timed(bytes, view.getUint16(0, little), view, little);
  }

  #timed(bytes: Uint8Array, number: number, view: DataView, little: boolean): void {
    const from = this.#interfaceAt(number);
    const units = (BigInt(view.getUint32(4, little)) << 32n) | BigInt(view.getUint32(8, little));
    const time = (from.offset + units / from.unitsPerSecond) * SECOND;
    const fraction = ((units % from.unitsPerSecond) * SECOND) / from.unitsPerSecond;
    this.#packet(from, time + fraction, bytes.subarray(20), view.getUint32(12, little), view.getUint32(16, little));
  }

  /** Of the first interface, without a time; how much was captured follows from the interface's limit. */
  #simple({ view, little, bytes }: Body): void {
    if (bytes.length < 4) throw tooShort("simple packet");
    const from = this.#interfaceAt(0);
    const length = view.getUint32(0, little);
    const limit = from.snapLength === 0 ? length : Math.min(length, from.snapLength);
    this.#packet(from, undefined, bytes.subarray(4), limit, length);
  }

  #packet(from: Interface, time: bigint | undefined, data: Uint8Array, captured: number, length: number): void {
    if (captured > data.length) throw fault("ERR_TLS_CAPTURE", "a packet reaches beyond its block");
    if (++this.#packets > MAX_PACKETS) throw fault("ERR_TLS_CAPTURE", `more than ${MAX_PACKETS} packets`);
    const bytes = data.subarray(0, captured);
    this.#sink.packet({ linkType: from.linkType, time, bytes, length: Math.max(length, captured) });
  }

  #secrets({ view, little, bytes }: Body): void {
    if (bytes.length < 8) throw tooShort("decryption secrets");
    const length = view.getUint32(4, little);
    if (length > bytes.length - 8) throw fault("ERR_TLS_CAPTURE", "decryption secrets reach beyond their block");
    if (view.getUint32(0, little) !== TLS_KEY_LOG) return;
    this.#sink.keyLog(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  }

  #interfaceAt(number: number): Interface {
    const found = this.#interfaces[number];
    if (found === undefined) throw fault("ERR_TLS_CAPTURE", `a packet of interface ${number}, which is not described`);
    return found;
  }
}

const SECOND = 1_000_000_000n;

/** Options by their code, the first of each; what breaks their syntax ends them. */
function options({ bytes, view, little }: Body, start: number): ReadonlyMap<number, Uint8Array> {
  const found = new Map<number, Uint8Array>();
  for (let at = start; at + 4 <= bytes.length; ) {
    const code = view.getUint16(at, little);
    const length = view.getUint16(at + 2, little);
    if (code === 0 || length > bytes.length - at - 4) break;
    if (!found.has(code)) found.set(code, bytes.subarray(at + 4, at + 4 + length));
    at += 4 + 4 * Math.ceil(length / 4);
  }
  return found;
}

function tooShort(what: string): Error {
  return fault("ERR_TLS_CAPTURE", `a block is too short: ${what}`);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
