/** Whatever stands in a file: a trace, or a TlsError, and nothing else. */
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { concat, utf8 } from "../../src/bytes/bytes.ts";
import { toHex } from "../../src/bytes/hex.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { TlsError } from "../../src/errors.ts";
import { enhancedPacket, interfaceDescription, sectionHeader } from "../../src/inspect/capture/blocks.ts";
import { readPackets } from "../../src/inspect/capture/packets.ts";
import { createRenderer, inspectCapture, inspectPasted, traceJson } from "../../src/inspect/index.ts";
import { exchange } from "../support/pair.ts";
import { CLIENT, packet, pcap, recorder, SERVER } from "./captures.ts";
import { traced } from "./support.ts";

const RUNS = process.env.CI ? 1000 : 300;

let file: Uint8Array;
let keyLog = "";
let frames: Uint8Array[];
let certificate: Uint8Array;

beforeAll(async () => {
  const capture = recorder("client");
  const ends = await traced({ server: { maxFragment: 300 } }, { client: capture.observer });
  ends.client.engine.write(utf8("hello"));
  ends.client.engine.updateKeys("update_requested");
  exchange(ends.client, ends.server);
  file = capture.file();
  frames = [];
  readPackets(file, {
    packet: ({ bytes }) => frames.push(bytes),
    keyLog: (text) => {
      keyLog += text;
    },
    note: () => {},
  });
  certificate = ends.client.engine.result?.peerCertificates[0] as Uint8Array;
});

/** Everything that is said about a file, rendered both ways; true where it was refused. */
function survives(run: (onItem: (item: Parameters<typeof traceJson>[0]) => void) => void): boolean {
  const render = createRenderer({ full: true });
  try {
    run((item) => {
      expect(traceJson(item).length + render(item).length).toBeGreaterThan(0);
    });
    return false;
  } catch (error) {
    expect(error).toBeInstanceOf(TlsError);
    return true;
  }
}

const capture = (bytes: Uint8Array) =>
  survives((onItem) => inspectCapture(bytes, { provider: nobleProvider, keyLog, onItem }));
const pasted = (bytes: Uint8Array) =>
  survives((onItem) => inspectPasted(bytes, { provider: nobleProvider, keyLog, onItem }));

/** A few changes: a byte, a cut, a stretch moved to another place. */
const changes = fc.array(
  fc.tuple(fc.constantFrom("set", "cut", "copy"), fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(255), fc.nat(40)),
  { minLength: 1, maxLength: 6 },
);

function changed(bytes: Uint8Array, list: readonly (readonly [string, number, number, number])[]): Uint8Array {
  let result: Uint8Array = bytes.slice();
  for (const [how, place, value, length] of list) {
    const at = Math.floor(place * result.length);
    if (how === "set" && at < result.length) result[at] = value;
    else if (how === "cut") result = concat(result.subarray(0, at), result.subarray(at + length));
    else result = concat(result.subarray(0, at), result.subarray(value, value + length), result.subarray(at));
  }
  return result;
}

/** In a file whose blocks are right, so that what is inside is reached. */
const framed = (packets: readonly Uint8Array[], linkType = 1) =>
  concat(
    sectionHeader(),
    interfaceDescription(linkType),
    ...packets.map((bytes) => enhancedPacket(0, 0n, bytes, bytes.length)),
  );

const run = <T>(arbitrary: fc.Arbitrary<T>, check: (value: T) => void) =>
  fc.assert(fc.property(arbitrary, check), { numRuns: RUNS });

describe("a capture that is damaged", { timeout: 120_000 }, () => {
  it("in its file", () => {
    let refused = 0;
    run(changes, (list) => {
      if (capture(changed(file, list))) refused++;
      if (capture(changed(pcap(frames), list))) refused++;
    });
    expect(refused).toBeGreaterThan(RUNS / 20);
  });

  it("in its packets, in their number and order", () => {
    run(
      fc.tuple(changes, fc.array(fc.nat(200), { maxLength: 30 }), fc.constantFrom(1, 0, 101, 113, 276)),
      ([list, order, link]) => {
        const picked = order.map((index) => frames[index % frames.length] as Uint8Array);
        expect(capture(framed([...frames.slice(0, 4), ...picked, ...frames.slice(4)], link))).toBe(false);
        const damaged = frames.map((frame, index) => (index % 5 === list.length % 5 ? changed(frame, list) : frame));
        expect(capture(framed(damaged, link))).toBe(false);
      },
    );
  });

  it("in its streams", () => {
    run(fc.tuple(changes, fc.integer({ min: 1, max: 900 })), ([list, size]) => {
      const payloads = frames.map((frame) => [frame[14 + 15] === 1, frame.subarray(54)] as const);
      const next = [1, 1] as [number, number];
      const packets = payloads.flatMap(([up, payload], index) => {
        const bytes = index % 4 === list.length % 4 ? changed(payload, list) : payload;
        return Array.from({ length: Math.ceil(bytes.length / size) }, (_, part) => {
          const piece = bytes.subarray(part * size, (part + 1) * size);
          const at = next[up ? 0 : 1];
          next[up ? 0 : 1] += piece.length;
          return up ? packet(CLIENT, SERVER, at, piece) : packet(SERVER, CLIENT, at, piece);
        });
      });
      expect(capture(framed(packets))).toBe(false);
    });
  });

  it("or is nothing but chance", () => {
    const starts = fc.constantFrom(sectionHeader(), pcap([]), pcap([], { little: false }), new Uint8Array(0));
    run(fc.tuple(starts, fc.uint8Array({ maxLength: 400 })), ([start, bytes]) => void capture(concat(start, bytes)));
    run(fc.array(fc.uint8Array({ maxLength: 120 }), { maxLength: 8 }), (packets) => {
      for (const link of [0, 1, 101, 108, 113, 276]) expect(capture(framed(packets, link))).toBe(false);
    });
  });
});

describe("what is pasted and damaged", { timeout: 120_000 }, () => {
  it("as bytes", () => {
    const hello = (frames.find(({ length }) => length > 200) as Uint8Array).subarray(54);
    run(changes, (list) => {
      for (const bytes of [hello, hello.subarray(5), certificate, frames[3] as Uint8Array])
        pasted(changed(bytes, list));
    });
    run(fc.uint8Array({ maxLength: 200 }), (bytes) => void pasted(bytes));
    run(fc.uint8Array({ maxLength: 200 }), (bytes) => void pasted(concat(Uint8Array.of(22, 3, 3, 0, 90), bytes)));
    run(fc.uint8Array({ maxLength: 200 }), (bytes) => void pasted(concat(certificate.subarray(0, 8), bytes)));
  });

  it("as text", () => {
    const hello = (frames.find(({ length }) => length > 200) as Uint8Array).subarray(54);
    const rows = Array.from({ length: 20 }, (_, row) => {
      const bytes = toHex(hello.subarray(16 * row, 16 * row + 16)).replace(/..(?=.)/g, "$& ");
      return `${(16 * row).toString(16).padStart(8, "0")}  ${bytes}  |................|\n`;
    });
    run(changes, (list) => void pasted(changed(utf8(rows.join("")), list)));
    run(changes, (list) => void pasted(changed(utf8(toHex(hello)), list)));
    run(fc.string({ maxLength: 200 }), (text) => void pasted(utf8(text)));
    run(fc.string({ maxLength: 100 }), (text) => void pasted(utf8(`0000 16 03 ${text}`)));
  });
});
