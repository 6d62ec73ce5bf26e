/** Captures that are written: the blocks, the packets made up, and where the secrets stand. */
import { describe, expect, it } from "vitest";
import { concat, utf8 } from "../../src/bytes/bytes.ts";
import type { Observation } from "../../src/engine/index.ts";
import { checksum } from "../../src/inspect/capture/frames.ts";
import { type CapturedPacket, readPackets } from "../../src/inspect/capture/packets.ts";
import { type Segment, segmentOf } from "../../src/inspect/capture/segments.ts";
import { type CaptureConnectionOptions, createCaptureWriter } from "../../src/inspect/index.ts";
import { formatAddress } from "../../src/x509/address.ts";
import { inspected } from "./captures.ts";

const record = (direction: "sent" | "received", content: Uint8Array): Observation => ({
  kind: "record",
  direction,
  epoch: "initial",
  outerType: 23,
  type: 23,
  wire: content,
  content,
  padding: 0,
  sequence: undefined,
  generation: 0,
});
const secret = (label: Extract<Observation, { kind: "secret" }>["label"]): Observation => ({
  kind: "secret",
  label,
  clientRandom: new Uint8Array(32).fill(1),
  secret: new Uint8Array(32).fill(2),
});

/** What is in a file, in its order: `packet` or `keys`. */
function contents(file: Uint8Array) {
  const order: string[] = [];
  const packets: CapturedPacket[] = [];
  readPackets(file, {
    packet: (found) => {
      order.push("packet");
      packets.push(found);
    },
    keyLog: (text) => order.push(`keys ${text.split("\n").length - 1}`),
    note: (note) => expect.fail(note),
  });
  const segments = packets.map(({ linkType, bytes, length }) => segmentOf(linkType, bytes, length) as Segment);
  return { order, packets, segments };
}

function written(options: Partial<CaptureConnectionOptions>, observations: readonly Observation[], clock = () => 1.5) {
  const chunks: Uint8Array[] = [];
  const writer = createCaptureWriter({ write: (bytes) => chunks.push(bytes), clock });
  const { observer, end } = writer.connection({ side: "client", ...options });
  for (const observation of observations) observer(observation);
  end();
  observer(record("sent", utf8("too late")));
  end();
  return { ...contents(concat(...chunks)), chunks };
}

describe("a capture that is written", () => {
  it("opens, acknowledges and closes the connection", () => {
    const { segments, packets } = written({}, [
      record("sent", utf8("one")),
      record("received", utf8("three")),
      record("sent", utf8("two")),
    ]);
    const flags = segments.map(({ syn, ack, fin, payload }) =>
      [syn && "syn", ack && "ack", fin && "fin", payload.length].filter((flag) => flag !== false).join(" "),
    );
    expect(flags).toEqual([
      "syn 0",
      "syn ack 0",
      "ack 0",
      "ack 3",
      "ack 5",
      "ack 3",
      "ack fin 0",
      "ack fin 0",
      "ack 0",
    ]);
    expect(segments.map(({ sequence }) => sequence)).toEqual([0, 0, 1, 1, 1, 4, 7, 6, 8]);
    const acknowledged = packets.map(({ bytes }) => new DataView(bytes.slice().buffer).getUint32(14 + 20 + 8));
    expect(acknowledged).toEqual([0, 1, 1, 1, 4, 6, 6, 8, 7]);
    expect(packets.every(({ time }) => time === 1_500_000n)).toBe(true);
  });

  it.each([
    ["IPv4", { address: "192.0.2.7", port: 1 }, { address: "192.0.2.8", port: 65_535 }],
    ["IPv6", { address: "fe80::1%eth0", port: 5 }, { address: "[2001:db8::9]", port: 443 }],
    ["mapped IPv4", { address: "::ffff:10.0.0.1", port: 5 }, { address: "::ffff:10.0.0.2", port: 6 }],
  ])("has right checksums and lengths: %s", (_, local, remote) => {
    const { segments, packets } = written({ side: "server", local, remote }, [record("sent", utf8("odd"))]);
    const data = segments.findIndex(({ payload }) => payload.length > 0);
    const ends = (segment: Segment) =>
      [segment.source, segment.destination].map(({ address, port }) => [formatAddress(address), port]);
    const clean = (text: string) => text.replace(/^::ffff:|%.*|[[\]]/g, "");
    expect(ends(segments[data] as Segment)).toEqual([
      [clean(local.address), local.port],
      [clean(remote.address), remote.port],
    ]);
    for (const { bytes, length } of packets) {
      expect(length).toBe(bytes.length);
      const ip = bytes.subarray(14);
      const isV4 = (ip[0] as number) >> 4 === 4;
      const view = new DataView(ip.slice().buffer);
      expect(view.getUint16(isV4 ? 2 : 4)).toBe(ip.length - (isV4 ? 0 : 40));
      // A sum that includes its own checksum comes to nothing (RFC 1071).
      if (isV4) expect(checksum(ip.subarray(0, 20))).toBe(0);
      const tcp = ip.subarray(isV4 ? 20 : 40);
      const addresses = isV4 ? ip.subarray(12, 20) : ip.subarray(8, 40);
      expect(checksum(concat(addresses, Uint8Array.of(0, 6, tcp.length >> 8, tcp.length & 255), tcp))).toBe(0);
    }
  });

  it("gives ends that are not known addresses for documentation, each connection ports of its own", () => {
    const chunks: Uint8Array[] = [];
    const writer = createCaptureWriter({ write: (bytes) => chunks.push(bytes), clock: () => 0 });
    const remote = { address: "2001:db8:1::1", port: 8443 };
    const options: readonly CaptureConnectionOptions[] = [
      { side: "client" },
      { side: "server" },
      { side: "client", remote },
    ];
    for (const option of options) writer.connection(option).end();
    const { segments } = contents(concat(...chunks));
    const opened = segments.filter(({ syn, ack }) => syn && !ack);
    expect(
      opened.map(({ source, destination }) =>
        [source, destination].map(({ address, port }) => `${formatAddress(address)} ${port}`).join(", "),
      ),
    ).toEqual([
      "192.0.2.1 49152, 192.0.2.2 443",
      "192.0.2.1 49153, 192.0.2.2 443",
      "2001:db8::1 49154, 2001:db8:1::1 8443",
    ]);
    expect(inspected(concat(...chunks)).connections).toEqual([]);
  });

  it.each([
    ["no address", { local: { address: "localhost", port: 1 } }, '"localhost" is no IP address'],
    ["no port", { remote: { address: "::1", port: 65_536 } }, "65536 is no port"],
    [
      "two families",
      { local: { address: "::1", port: 1 }, remote: { address: "127.0.0.1", port: 1 } },
      "an IPv4 address, and the other",
    ],
  ] as const)("refuses ends that are none: %s", (_, options, message) => {
    const writer = createCaptureWriter({ write: () => {} });
    const refused = expect.objectContaining({ code: "ERR_TLS_OPTION", message: expect.stringContaining(message) });
    expect(() => writer.connection({ side: "client", ...options })).toThrow(refused);
  });

  it("has the secrets of a handshake before its packets, and later ones where they come", () => {
    const { order } = written({}, [
      record("sent", utf8("hello")),
      secret("CLIENT_HANDSHAKE_TRAFFIC_SECRET"),
      record("received", utf8("hello")),
      secret("EXPORTER_SECRET"),
      record("sent", utf8("data")),
      secret("CLIENT_EARLY_TRAFFIC_SECRET"),
    ]);
    expect(order).toEqual(["keys 2", ...Array(6).fill("packet"), "keys 1", ...Array(3).fill("packet")]);
  });

  it("holds back no more than a megabyte, and nothing for ever", () => {
    const chunks: Uint8Array[] = [];
    const writer = createCaptureWriter({ write: (bytes) => chunks.push(bytes), clock: () => 0 });
    const { observer, end } = writer.connection({ side: "client" });
    observer(secret("CLIENT_HANDSHAKE_TRAFFIC_SECRET"));
    observer(record("sent", utf8("few")));
    expect(chunks).toHaveLength(2);
    for (let i = 0; i < 70; i++) observer(record("sent", new Uint8Array(16_000)));
    expect(chunks.length).toBeGreaterThan(60);
    expect(contents(concat(...chunks)).order[0]).toBe("keys 1");
    end();
    const failed = written({}, [record("sent", utf8("hello")), record("received", utf8("alert"))]);
    expect(failed.order).toEqual(Array(8).fill("packet"));
  });

  it("cuts what is longer than a packet, and takes early data that was thrown away", () => {
    const long = new Uint8Array(100_000).fill(7);
    const { segments } = written({ side: "server" }, [{ kind: "skipped", wire: utf8("early") }, record("sent", long)]);
    const data = segments.filter(({ payload }) => payload.length > 0);
    expect(data.map(({ payload, source }) => [source.port, payload.length])).toEqual([
      [49152, 5],
      [443, 0xff00],
      [443, 100_000 - 0xff00],
    ]);
  });
});
