/** The pcap file format (draft-ietf-opsawg-pcap), in both byte orders, with microseconds or nanoseconds. */
import { fault } from "../../errors.ts";
import { MAX_BLOCK, MAX_PACKETS } from "./limits.ts";
import type { CaptureSink } from "./packets.ts";

const FILE_HEADER = 24;
const PACKET_HEADER = 16;
/** Magic numbers and nanoseconds per unit of the second time field. */
const MAGIC: ReadonlyMap<number, bigint> = new Map([
  [0xa1b2c3d4, 1000n],
  [0xa1b23c4d, 1n],
]);
/** Of a variant with longer packet headers. */
const PATCHED = 0xa1b2cd34;
const SECOND = 1_000_000_000n;

export function isPcap(bytes: Uint8Array): boolean {
  if (bytes.length < 4) return false;
  const view = viewOf(bytes);
  return [false, true].some((little) => {
    const magic = view.getUint32(0, little);
    return MAGIC.has(magic) || magic === PATCHED;
  });
}

export function readPcap(file: Uint8Array, sink: CaptureSink): void {
  if (file.length < FILE_HEADER) throw fault("ERR_TLS_CAPTURE", "the file ends inside its header");
  const view = viewOf(file);
  const little = [true, false].find((order) => MAGIC.has(view.getUint32(0, order)));
  if (little === undefined) throw fault("ERR_TLS_CAPTURE", "a modified pcap: let editcap make pcapng of it");
  const unit = MAGIC.get(view.getUint32(0, little)) as bigint;
  const major = view.getUint16(4, little);
  if (major !== 2) throw fault("ERR_TLS_CAPTURE", `pcap of version ${major}, and only 2 is known`);
  // The upper bits tell of frame check sequences, which IP's own length cuts off.
  const linkType = view.getUint32(20, little) & 0xffff;
  let packets = 0;
  for (let at = FILE_HEADER; at < file.length; ) {
    if (file.length - at < PACKET_HEADER) {
      sink.note("the file ends inside a packet's header");
      return;
    }
    const seconds = view.getUint32(at, little);
    const fraction = view.getUint32(at + 4, little);
    const captured = view.getUint32(at + 8, little);
    const length = view.getUint32(at + 12, little);
    if (captured > MAX_BLOCK) throw fault("ERR_TLS_CAPTURE", `a packet of ${captured} bytes at offset ${at}`);
    if (++packets > MAX_PACKETS) throw fault("ERR_TLS_CAPTURE", `more than ${MAX_PACKETS} packets`);
    const start = at + PACKET_HEADER;
    if (captured > file.length - start) sink.note(`the file ends inside packet ${packets}`);
    at = start + captured;
    const time = BigInt(seconds) * SECOND + BigInt(fraction) * unit;
    sink.packet({ linkType, time, bytes: file.subarray(start, at), length: Math.max(length, captured) });
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
