/** Capture files in every form that is read, and what is passed over. */
import { beforeAll, describe, expect, it } from "vitest";
import { concat, utf8 } from "../../src/bytes/bytes.ts";
import {
  decryptionSecrets,
  enhancedPacket,
  interfaceDescription,
  sectionHeader,
} from "../../src/inspect/capture/blocks.ts";
import { type CapturedPacket, readPackets } from "../../src/inspect/capture/packets.ts";
import { embedKeyLog, type InspectItem, isCapture } from "../../src/inspect/index.ts";
import { exchange } from "../support/pair.ts";
import { CLIENT, inspected, packet, pcap, recorder, SERVER } from "./captures.ts";
import { traced } from "./support.ts";

/** One connection as it is written, its frames, its key log, and what it reads as. */
let file: Uint8Array;
let frames: readonly Uint8Array[];
let keyLog = "";
let wanted: readonly InspectItem[];

beforeAll(async () => {
  const capture = recorder("client", { local: { address: "192.0.2.1", port: 50_000 } });
  const ends = await traced({}, { client: capture.observer });
  ends.client.engine.write(utf8("hello"));
  exchange(ends.client, ends.server);
  file = capture.file();
  const packets: CapturedPacket[] = [];
  readPackets(file, {
    packet: (found) => packets.push(found),
    keyLog: (text) => {
      keyLog += text;
    },
    note: (note) => expect.fail(note),
  });
  frames = packets.map(({ bytes }) => bytes);
  wanted = inspected(file).items();
  expect(wanted.length).toBeGreaterThan(20);
});

/** What a file says, with the key log beside it. */
const read = (bytes: Uint8Array, keys = keyLog) => inspected(bytes, { keyLog: keys });

/** IP out of our Ethernet frames, in another link layer. */
const inLink = (head: Uint8Array) => frames.map((frame) => concat(head, frame.subarray(14)));

describe("pcap", () => {
  const forms = [true, false].flatMap((little) => [true, false].map((nanoseconds) => ({ little, nanoseconds })));

  it.each(forms)("little-endian $little, nanoseconds $nanoseconds", (form) => {
    const { connections, items, notes } = read(pcap(frames, form));
    expect(notes).toEqual([]);
    expect(items()).toEqual(wanted);
    expect(connections).toMatchObject([
      { client: "192.0.2.1:50000", server: "192.0.2.2:443", packets: frames.length, began: "2023-11-14T22:13:20.123Z" },
    ]);
  });

  it("keeps nanoseconds", () => {
    const times: (bigint | undefined)[] = [];
    const sink = { packet: ({ time }: CapturedPacket) => times.push(time), keyLog: () => {}, note: () => {} };
    readPackets(pcap(frames.slice(0, 1), { nanoseconds: true }), sink);
    readPackets(pcap(frames.slice(0, 1)), sink);
    expect(times).toEqual([1_700_000_000_123_456_789n, 1_700_000_000_123_456_000n]);
  });

  it("is told from other files", () => {
    expect([file, pcap([]), pcap([], { little: false })].map(isCapture)).toEqual([true, true, true]);
    expect([utf8("-----BEGIN"), new Uint8Array(0), Uint8Array.of(0xa1)].map(isCapture)).toEqual([false, false, false]);
  });
});

describe("link layers", () => {
  const vlan = (tags: readonly number[]) =>
    frames.map((frame) => {
      const tagged = tags.flatMap((tag) => [tag >> 8, tag & 255, 0, 7]);
      return concat(frame.subarray(0, 12), Uint8Array.from(tagged), frame.subarray(12));
    });
  const cooked = Uint8Array.from([0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 8, 0]);
  const cooked2 = Uint8Array.from([8, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0]);

  it.each([
    ["Ethernet with a VLAN tag", 1, () => vlan([0x8100])],
    ["Ethernet with two", 1, () => vlan([0x88a8, 0x8100])],
    ["raw IP", 101, () => inLink(new Uint8Array(0))],
    ["raw IP by another number", 12, () => inLink(new Uint8Array(0))],
    ["IPv4", 228, () => inLink(new Uint8Array(0))],
    ["BSD loopback, little-endian", 0, () => inLink(Uint8Array.of(2, 0, 0, 0))],
    ["OpenBSD loopback", 108, () => inLink(Uint8Array.of(0, 0, 0, 2))],
    ["Linux cooked", 113, () => inLink(cooked)],
    ["Linux cooked, v2", 276, () => inLink(cooked2)],
  ])("%s", (_, linkType, packets) => {
    const { items, notes } = read(pcap(packets(), { linkType }));
    expect(notes).toEqual([]);
    expect(items()).toEqual(wanted);
  });

  it("are counted where they are not known", () => {
    const { connections, notes } = read(pcap(frames, { linkType: 105 }));
    expect(connections).toEqual([]);
    expect(notes).toEqual([`passed over: ${frames.length} packets of link type 105, which is not supported`]);
  });

  it("may pad, and may leave IP's length to the network card", () => {
    const padded = frames.map((frame) => concat(frame, new Uint8Array(9)));
    expect(read(pcap(padded)).items()).toEqual(wanted);
    const offloaded = frames.map((frame) => {
      const copy = frame.slice();
      copy.fill(0, 16, 18);
      return copy;
    });
    expect(read(pcap(offloaded)).items()).toEqual(wanted);
  });

  it("and what is no TCP over IP is passed over", () => {
    const arp = concat(new Uint8Array(12), Uint8Array.of(8, 6), new Uint8Array(28));
    const udp = (frames[0] as Uint8Array).slice();
    udp[14 + 9] = 17;
    const { items, notes } = read(pcap([arp, udp, ...frames, new Uint8Array(3)]));
    expect(items()).toEqual(wanted);
    expect(notes).toEqual(["passed over: 3 packets that are not TCP over IP"]);
  });
});

describe("IP", () => {
  /** The frames as IPv6 with extension headers. */
  const v6 = (first: number, headers: Uint8Array) =>
    frames.map((frame) => {
      const tcp = frame.subarray(14 + 20);
      const ip = new Uint8Array(40);
      ip[0] = 0x60;
      new DataView(ip.buffer).setUint16(4, headers.length + tcp.length);
      ip[6] = first;
      const end = (at: number) =>
        concat(Uint8Array.of(0x20, 1, 0xd, 0xb8), new Uint8Array(11), frame.subarray(at, at + 1));
      ip.set(end(14 + 15), 8);
      ip.set(end(14 + 19), 24);
      return concat(ip, headers, tcp);
    });
  const fragment = (offset: number) => Uint8Array.of(6, 0, offset >> 8, offset & 255, 0, 0, 0, 1);

  it.each([
    ["IPv6", 6, new Uint8Array(0)],
    [
      "hop-by-hop and destination options",
      0,
      concat(Uint8Array.of(60, 1), new Uint8Array(14), Uint8Array.of(6, 0), new Uint8Array(6)),
    ],
    ["a routing header", 43, concat(Uint8Array.of(6, 2), new Uint8Array(22))],
    ["an authentication header", 51, concat(Uint8Array.of(6, 4), new Uint8Array(22))],
    ["a fragment that is the whole", 44, fragment(0)],
  ])("%s", (_, first, headers) => {
    const { connections, items, notes } = read(pcap(v6(first, headers), { linkType: 101 }));
    expect(notes).toEqual([]);
    expect(items()).toEqual(wanted);
    expect(connections[0]).toMatchObject({ client: "[2001:db8::1]:50000", server: "[2001:db8::2]:443" });
  });

  it.each([
    ["first", 1],
    ["last", 8],
  ])("says of a %s fragment of IPv6 that it is there", (_, offset) => {
    const { connections, notes } = read(pcap(v6(44, fragment(offset)), { linkType: 229 }));
    expect(connections).toEqual([]);
    expect(notes).toEqual([`passed over: ${frames.length} IP fragments, which are not put together`]);
  });

  it.each([0x2000, 0x0001])("says of fragments of IPv4 that they are there: %i", (flags) => {
    const copies = frames.map((frame) => {
      const copy = frame.slice();
      new DataView(copy.buffer).setUint16(14 + 6, flags);
      return copy;
    });
    expect(read(pcap(copies)).notes).toEqual([
      `passed over: ${frames.length} IP fragments, which are not put together`,
    ]);
  });

  it.each([
    ["IPv4", (frame: Uint8Array) => frame.subarray(0, 14 + 12)],
    ["IPv4's own length", (frame: Uint8Array) => frame.map((byte, at) => (at === 17 ? 10 : at === 16 ? 0 : byte))],
    ["IPv4's header length", (frame: Uint8Array) => frame.map((byte, at) => (at === 14 ? 0x42 : byte))],
    ["TCP", (frame: Uint8Array) => frame.subarray(0, 14 + 20 + 10)],
    ["TCP's own length", (frame: Uint8Array) => frame.map((byte, at) => (at === 14 + 20 + 12 ? 0x10 : byte))],
  ])("counts headers that are damaged: %s", (_, damage) => {
    const { connections, notes } = read(pcap(frames.map(damage)));
    expect(connections).toEqual([]);
    expect(notes).toEqual([`passed over: ${frames.length} packets that end inside their headers`]);
  });

  it("counts IPv6 headers that are damaged, and protocols behind them that are others", () => {
    const cut = v6(0, new Uint8Array(8)).map((bytes) => bytes.subarray(0, 44));
    const other = v6(50, new Uint8Array(8));
    const { notes } = read(pcap([...cut, ...other, new Uint8Array(30).fill(0x60)], { linkType: 101 }));
    expect(notes).toEqual([
      `passed over: ${frames.length + 1} packets that end inside their headers`,
      `passed over: ${frames.length} packets that are not TCP over IP`,
    ]);
  });
});

describe("pcapng", () => {
  const block = (type: number, body: Uint8Array, little = true) => {
    const bytes = new Uint8Array(12 + 4 * Math.ceil(body.length / 4));
    const view = new DataView(bytes.buffer);
    view.setUint32(0, type, little);
    view.setUint32(4, bytes.length, little);
    bytes.set(body, 8);
    view.setUint32(bytes.length - 4, bytes.length, little);
    return bytes;
  };
  const ints = (little: boolean, ...values: readonly (readonly [width: 2 | 4, value: number])[]) => {
    const bytes = new Uint8Array(values.reduce((sum, [width]) => sum + width, 0));
    const view = new DataView(bytes.buffer);
    let at = 0;
    for (const [width, value] of values) {
      if (width === 2) view.setUint16(at, value, little);
      else view.setUint32(at, value, little);
      at += width;
    }
    return bytes;
  };
  const section = (little = true) =>
    block(0x0a0d0d0a, ints(little, [4, 0x1a2b3c4d], [2, 1], [2, 0], [4, 0xffffffff], [4, 0xffffffff]), little);
  const describeInterface = (little = true, options: Uint8Array = new Uint8Array(0), snapLength = 0, linkType = 1) =>
    block(1, concat(ints(little, [2, linkType], [2, 0], [4, snapLength]), options), little);
  const enhanced = (frame: Uint8Array, little = true, number = 0, [high, low] = [0, 0]) =>
    block(
      6,
      concat(ints(little, [4, number], [4, high ?? 0], [4, low ?? 0], [4, frame.length], [4, frame.length]), frame),
      little,
    );
  const obsolete = (frame: Uint8Array) =>
    block(2, concat(ints(true, [2, 0], [2, 9], [4, 0], [4, 0], [4, frame.length], [4, frame.length]), frame));
  const simple = (frame: Uint8Array, kept = frame) => block(3, concat(ints(true, [4, frame.length]), kept));
  const timesOf = (bytes: Uint8Array) => {
    const times: (bigint | undefined)[] = [];
    readPackets(bytes, { packet: ({ time }) => times.push(time), keyLog: () => {}, note: () => {} });
    return times;
  };

  it("has its key log inside", () => {
    expect(inspected(file).items()).toEqual(wanted);
    expect(inspected(file).secrets).toBe(5);
  });

  it.each([true, false])("in both byte orders: little-endian %s", (little) => {
    const bytes = concat(section(little), describeInterface(little), ...frames.map((frame) => enhanced(frame, little)));
    expect(read(bytes).items()).toEqual(wanted);
  });

  it("takes the simple and the obsolete packet block, and passes over what it does not know", () => {
    const blocks = frames.map((frame, index) => (index % 2 === 0 ? simple(frame) : obsolete(frame)));
    const unknown = block(0x0bad, Uint8Array.of(1, 2, 3));
    const bytes = concat(section(), unknown, describeInterface(), ...blocks.flatMap((packet) => [packet, unknown]));
    expect(read(bytes).items()).toEqual(wanted);
    expect(timesOf(concat(section(), describeInterface(), simple(frames[0] as Uint8Array)))).toEqual([undefined]);
  });

  it("cuts simple packets where their interface does", () => {
    const [first = new Uint8Array(0)] = frames;
    const bytes = concat(
      section(),
      describeInterface(true, new Uint8Array(0), 60),
      simple(first, first.subarray(0, 60)),
    );
    const packets: CapturedPacket[] = [];
    readPackets(bytes, { packet: (found) => packets.push(found), keyLog: () => {}, note: () => {} });
    expect(packets.map(({ length, bytes: kept }) => [length, kept.length])).toEqual([
      [first.length, Math.min(60, first.length)],
    ]);
  });

  it("takes several sections, each with its own order and interfaces", () => {
    const half = Math.floor(frames.length / 2);
    const raw = (frame: Uint8Array) => enhanced(frame.subarray(14), false, 1);
    const bytes = concat(
      section(true),
      describeInterface(true),
      ...frames.slice(0, half).map((frame) => enhanced(frame, true)),
      section(false),
      describeInterface(false),
      describeInterface(false, new Uint8Array(0), 0, 101),
      ...frames.slice(half).map(raw),
    );
    expect(read(bytes).items()).toEqual(wanted);
  });

  it.each([
    ["microseconds by default", [], [0, 1_500_000], 1_500_000_000n],
    ["milliseconds", [9, 0, 1, 0, 3, 0, 0, 0], [0, 1500], 1_500_000_000n],
    ["nanoseconds", [9, 0, 1, 0, 9, 0, 0, 0], [0, 1_500_000_000], 1_500_000_000n],
    ["powers of 2", [9, 0, 1, 0, 0x80 | 10, 0, 0, 0], [0, 1536], 1_500_000_000n],
    ["upper half of the time", [9, 0, 1, 0, 9, 0, 0, 0], [1, 0], 4_294_967_296n],
    ["an offset in seconds", [14, 0, 8, 0, 100, 0, 0, 0, 0, 0, 0, 0], [0, 1_500_000], 101_500_000_000n],
    [
      "other options before",
      [2, 0, 3, 0, 108, 111, 48, 0, 9, 0, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0],
      [0, 2000],
      2_000_000_000n,
    ],
  ] as const)("counts time in %s", (_, options, time, nanoseconds) => {
    const bytes = concat(
      section(),
      describeInterface(true, Uint8Array.from(options)),
      enhanced(frames[0] as Uint8Array, true, 0, [...time]),
    );
    expect(timesOf(bytes)).toEqual([nanoseconds]);
  });

  it("leaves secrets of other protocols alone", () => {
    const wireguard = block(0x0a, concat(ints(true, [4, 0x57474b4c], [4, 4]), utf8("keys")));
    const bytes = concat(section(), wireguard, describeInterface(), ...frames.map((frame) => enhanced(frame)));
    expect(inspected(bytes).secrets).toBe(0);
  });

  it.each([
    ["a section without a byte order", () => block(0x0a0d0d0a, new Uint8Array(16)), "a section without byte order"],
    ["a section too short", () => block(0x0a0d0d0a, ints(true, [4, 0x1a2b3c4d])), "too short: section header"],
    [
      "another version",
      () => block(0x0a0d0d0a, ints(true, [4, 0x1a2b3c4d], [2, 2], [2, 0], [4, 0], [4, 0])),
      "version 2",
    ],
    [
      "an interface too short",
      () => concat(section(), block(1, new Uint8Array(4))),
      "too short: interface description",
    ],
    [
      "a packet of no interface",
      () => concat(section(), enhanced(new Uint8Array(4))),
      "interface 0, which is not described",
    ],
    [
      "a packet too short",
      () => concat(section(), describeInterface(), block(6, new Uint8Array(16))),
      "too short: enhanced packet",
    ],
    [
      "an obsolete packet too short",
      () => concat(section(), describeInterface(), block(2, new Uint8Array(16))),
      "too short: packet",
    ],
    [
      "a simple packet too short",
      () => concat(section(), describeInterface(), block(3, new Uint8Array(0))),
      "too short: simple packet",
    ],
    [
      "a packet beyond its block",
      () => concat(section(), describeInterface(), block(3, ints(true, [4, 99]))),
      "beyond its block",
    ],
    ["secrets too short", () => concat(section(), block(0x0a, new Uint8Array(4))), "too short: decryption secrets"],
    [
      "secrets beyond their block",
      () => concat(section(), block(0x0a, ints(true, [4, 0x544c534b], [4, 99]))),
      "reach beyond their block",
    ],
    ["a length that is none", () => concat(section(), ints(true, [4, 1], [4, 13], [4, 0])), "a block of 13 bytes"],
    ["a length of nothing", () => concat(section(), ints(true, [4, 1], [4, 0], [4, 0])), "a block of 0 bytes"],
    ["lengths that differ", () => concat(section(), ints(true, [4, 1], [4, 12], [4, 16])), "two lengths"],
    [
      "a block beyond the limit",
      () => concat(section(), ints(true, [4, 1], [4, 0x2000000], [4, 0])),
      "more than 16777216 bytes",
    ],
  ])("refuses %s", (_, bytes, message) => {
    expect(() => inspected(bytes())).toThrow(expect.objectContaining({ code: "ERR_TLS_CAPTURE" }));
    expect(() => inspected(bytes())).toThrow(message);
  });

  it("reads what is there of a file that was cut off", () => {
    for (const end of [file.length - 1, file.length - 40]) {
      const { items, notes } = inspected(file.subarray(0, end));
      expect(notes).toEqual(["the file ends inside a block"]);
      expect(items().slice(0, 20)).toEqual(wanted.slice(0, 20));
    }
    expect(inspected(concat(file, Uint8Array.of(6, 0, 0, 0))).notes).toEqual(["the file ends inside a block"]);
    const cut = pcap(frames);
    expect(read(cut.subarray(0, cut.length - 1)).notes[0]).toBe(`the file ends inside packet ${frames.length}`);
    expect(read(concat(cut, new Uint8Array(3))).notes).toEqual(["the file ends inside a packet's header"]);
  });
});

describe("a file that is no capture, or is of a kind that is not read", () => {
  const modified = () => {
    const bytes = pcap(frames);
    new DataView(bytes.buffer).setUint32(0, 0xa1b2cd34, true);
    return bytes;
  };
  const version = () => {
    const bytes = pcap(frames);
    bytes[4] = 3;
    return bytes;
  };
  const huge = () => concat(pcap([]), new Uint8Array(8), Uint8Array.of(1, 0, 0, 1), new Uint8Array(4));

  it.each([
    ["text", () => utf8("hello, world"), "neither pcap nor pcapng"],
    ["nothing", () => new Uint8Array(0), "neither pcap nor pcapng"],
    ["a header cut off", () => pcap([]).subarray(0, 20), "ends inside its header"],
    ["a modified pcap", modified, "a modified pcap"],
    ["another version", version, "pcap of version 3"],
    ["a packet beyond the limit", huge, "a packet of 16777217 bytes"],
  ])("is refused: %s", (_, bytes, message) => {
    expect(() => inspected(bytes())).toThrow(expect.objectContaining({ code: "ERR_TLS_CAPTURE", alert: undefined }));
    expect(() => inspected(bytes())).toThrow(message);
  });
});

describe("a key log put into a capture", () => {
  it("has the secrets of its connections and of no others", () => {
    const stranger = `EXPORTER_SECRET ${"ab".repeat(32)} ${"cd".repeat(32)}\n`;
    const parts: Uint8Array[] = [];
    expect(embedKeyLog(pcap(frames, { nanoseconds: true }), keyLog + stranger, (bytes) => parts.push(bytes))).toBe(1);
    const whole = concat(...parts);
    expect(new TextDecoder("latin1").decode(whole)).not.toContain("abababab");
    const { items, secrets, connections } = inspected(whole);
    expect([secrets, connections[0]?.began]).toEqual([5, "2023-11-14T22:13:20.123Z"]);
    expect(items()).toEqual(wanted);
    // Once more: the secrets are taken from inside.
    const again: Uint8Array[] = [];
    expect(embedKeyLog(whole, "", (bytes) => again.push(bytes))).toBe(1);
    expect(concat(...again)).toEqual(whole);
  });

  it("keeps link types, and adds nothing where there is nothing", () => {
    const parts: Uint8Array[] = [];
    const raw = pcap(inLink(Uint8Array.of(2, 0, 0, 0)), { linkType: 0 });
    expect(embedKeyLog(raw, "", (bytes) => parts.push(bytes))).toBe(0);
    expect(inspected(concat(...parts), { keyLog }).items()).toEqual(wanted);
    const other = concat(
      sectionHeader(),
      decryptionSecrets(keyLog),
      interfaceDescription(1),
      enhancedPacket(0, 5n, packet(CLIENT, SERVER, 1, utf8("GET /")), 59),
    );
    expect(embedKeyLog(other, "", () => {})).toBe(0);
  });

  it("writes nothing where the capture cannot be read", () => {
    expect(() => embedKeyLog(file.subarray(0, 3), keyLog, () => expect.fail("written"))).toThrow("neither pcap");
  });
});
