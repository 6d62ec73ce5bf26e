/** Blocks of pcapng as they are written: little-endian, nanoseconds. */
import { concat, utf8 } from "../../bytes/bytes.ts";
import { Block, BYTE_ORDER_MAGIC, TLS_KEY_LOG } from "./pcapng.ts";

/** The block that opens a file. */
export function sectionHeader(): Uint8Array {
  const body = new Uint8Array(16);
  const view = new DataView(body.buffer);
  view.setUint32(0, BYTE_ORDER_MAGIC, true);
  view.setUint16(4, 1, true);
  // Its length is not known before it is written.
  view.setBigInt64(8, -1n, true);
  return block(Block.sectionHeader, body, option(SHB_USERAPPL, utf8("mutls")));
}

const SHB_USERAPPL = 4;
const IF_TSRESOL = 9;

/** @param linkType - LINKTYPE_ value. */
export function interfaceDescription(linkType: number): Uint8Array {
  const body = new Uint8Array(8);
  new DataView(body.buffer).setUint16(0, linkType, true);
  return block(Block.interfaceDescription, body, option(IF_TSRESOL, Uint8Array.of(9)));
}

/**
 * One packet.
 *
 * @param time - Nanoseconds since 1970.
 * @param length - Bytes that there were.
 */
export function enhancedPacket(interfaceNumber: number, time: bigint, bytes: Uint8Array, length: number): Uint8Array {
  const body = new Uint8Array(20);
  const view = new DataView(body.buffer);
  view.setUint32(0, interfaceNumber, true);
  view.setUint32(4, Number((time >> 32n) & 0xffffffffn), true);
  view.setUint32(8, Number(time & 0xffffffffn), true);
  view.setUint32(12, bytes.length, true);
  view.setUint32(16, length, true);
  return block(Block.enhancedPacket, body, padded(bytes));
}

/** TLS secrets; they stand before the packets that they decrypt. */
export function decryptionSecrets(keyLog: string): Uint8Array {
  const text = utf8(keyLog);
  const body = new Uint8Array(8);
  const view = new DataView(body.buffer);
  view.setUint32(0, TLS_KEY_LOG, true);
  view.setUint32(4, text.length, true);
  return block(Block.decryptionSecrets, body, padded(text));
}

function block(type: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const body = concat(...parts);
  const bytes = new Uint8Array(12 + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  view.setUint32(4, bytes.length, true);
  bytes.set(body, 8);
  view.setUint32(8 + body.length, bytes.length, true);
  return bytes;
}

/** One option, and the end of options. */
function option(code: number, value: Uint8Array): Uint8Array {
  const head = new Uint8Array(4);
  const view = new DataView(head.buffer);
  view.setUint16(0, code, true);
  view.setUint16(2, value.length, true);
  return concat(head, padded(value), new Uint8Array(4));
}

function padded(bytes: Uint8Array): Uint8Array {
  const target = new Uint8Array(4 * Math.ceil(bytes.length / 4));
  target.set(bytes);
  return target;
}
