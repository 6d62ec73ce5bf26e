/** Connections put together from segments as networks and capture tools leave them, and recognised by what they say. */
import { beforeAll, describe, expect, it } from "vitest";
import { concat, utf8 } from "../../src/bytes/bytes.ts";
import { fromHex } from "../../src/bytes/hex.ts";
import { Flag } from "../../src/inspect/capture/frames.ts";
import type { Endpoint } from "../../src/inspect/capture/segments.ts";
import type { InspectItem, TraceItem } from "../../src/inspect/index.ts";
import { exchange } from "../support/pair.ts";
import { Random } from "../support/random.ts";
import { CLIENT, inspected, notesOf, packet, pcap, SERVER } from "./captures.ts";
import { messagesOf, recordsOf, traced } from "./support.ts";

/** What one end sent, and when: `up` is the client's. */
interface Sent {
  readonly up: boolean;
  readonly bytes: Uint8Array;
}

let keyLog = "";
/** Records of one connection in their order. */
const sent: Sent[] = [];
let wanted: readonly InspectItem[];

beforeAll(async () => {
  const ends = await traced(
    {},
    {
      client: (observation) => {
        if (observation.kind === "record")
          sent.push({ up: observation.direction === "sent", bytes: observation.wire.slice() });
        if (observation.kind !== "secret") return;
        const { label, clientRandom, secret } = observation;
        keyLog += `${label} ${Buffer.from(clientRandom).toString("hex")} ${Buffer.from(secret).toString("hex")}\n`;
      },
    },
  );
  for (let round = 0; round < 3; round++) {
    ends.client.engine.write(utf8(`ping ${round}`));
    exchange(ends.client, ends.server);
    ends.server.engine.write(utf8(`pong ${round}`));
    exchange(ends.client, ends.server);
  }
  wanted = read(packets()).items();
  expect(wanted.filter(({ kind }) => kind === "record").length).toBe(sent.length);
});

/** How segments are cut and numbered. */
interface Cutting {
  readonly size?: number;
  readonly starts?: readonly [client: number, server: number];
  readonly client?: Endpoint;
  readonly server?: Endpoint;
  /** Without the three packets that open the connection. */
  readonly inMiddle?: boolean;
}

function packets({
  size = 400,
  starts = [1000, 5000],
  client = CLIENT,
  server = SERVER,
  inMiddle,
}: Cutting = {}): Uint8Array[] {
  const next = [starts[0], starts[1]] as [number, number];
  const found = [
    packet(client, server, next[0]++, undefined, Flag.syn),
    packet(server, client, next[1]++, undefined, Flag.syn | Flag.ack),
    packet(client, server, next[0]),
  ];
  if (inMiddle) found.length = 0;
  for (const { up, bytes } of sent) {
    for (let at = 0; at < bytes.length; at += size) {
      const part = bytes.subarray(at, at + size);
      found.push(up ? packet(client, server, next[0], part) : packet(server, client, next[1], part));
      next[up ? 0 : 1] += part.length;
    }
  }
  found.push(packet(client, server, next[0], undefined, Flag.fin | Flag.ack));
  found.push(packet(server, client, next[1], undefined, Flag.fin | Flag.ack));
  return found;
}

const read = (frames: readonly Uint8Array[], form = {}) => inspected(pcap(frames, form), { keyLog });
const texts = (items: readonly InspectItem[], from: string) =>
  recordsOf(items as TraceItem[])
    .filter(
      (record) => record.from === from && record.type.name === "application_data" && record.sequence !== undefined,
    )
    .map(({ content }) => new TextDecoder().decode(content));
const pings = ["ping 0", "ping 1", "ping 2"];
const pongs = ["pong 0", "pong 1", "pong 2"];

/** Items of one side, whose order does not depend on the other's. */
const view = (items: readonly InspectItem[], from: string) =>
  [...recordsOf(items as TraceItem[]), ...messagesOf(items as TraceItem[])].filter((item) => item.from === from);

function expectWhole(items: readonly InspectItem[]): void {
  for (const side of ["client", "server"]) expect(view(items, side)).toEqual(view(wanted, side));
}

describe("TCP", () => {
  it.each([1, 7, 100, 60_000])("is put together from segments of %i bytes", (size) => {
    expectWhole(read(packets({ size })).items());
  });

  it("in any order, within reason: segments swapped with their neighbours and far away", () => {
    const random = new Random(1);
    for (let round = 0; round < 30; round++) {
      const shuffled = packets({ size: 150 });
      for (let i = 3; i < shuffled.length - 1; i++) {
        const other = Math.min(shuffled.length - 1, i + random.integer(round + 1));
        [shuffled[i], shuffled[other]] = [shuffled[other] as Uint8Array, shuffled[i] as Uint8Array];
      }
      expectWhole(read(shuffled).items());
    }
  });

  it("with segments sent twice, and such that overlap", () => {
    const doubled = packets({ size: 100 }).flatMap((frame, index) => (index % 3 === 0 ? [frame, frame] : [frame]));
    const { items } = read(doubled);
    expectWhole(items());
    const wide = packets({ size: 150 });
    const narrow = packets({ size: 100 });
    // One cutting's segments among the other's: each overlaps with two.
    const mixed = narrow.slice(0, 3);
    for (let i = 3; i < narrow.length; i++) mixed.push(...[wide[i], narrow[i]].filter((frame) => frame !== undefined));
    expectWhole(read(mixed).items());
  });

  it("with sequence numbers that wrap, and keep-alives before them", () => {
    expectWhole(read(packets({ starts: [0xffffff00, 0xfffffffe] })).items());
    const frames = packets();
    const alive = packet(CLIENT, SERVER, 1000, Uint8Array.of(0));
    expectWhole(read([...frames.slice(0, -2), alive, ...frames.slice(-2)]).items());
  });

  it("with strays of another age", () => {
    const frames = packets();
    const stray = packet(CLIENT, SERVER, 0x70000000, utf8("stray"));
    const { items } = read([...frames.slice(0, 8), stray, ...frames.slice(8)]);
    expectWhole(items());
    expect(notesOf(items()).filter((note) => note.includes("missing"))).toEqual([]);
  });

  it("with data in the SYN", () => {
    const hello = sent[0]?.bytes as Uint8Array;
    const frames = packets({ size: 60_000 });
    frames[0] = packet(CLIENT, SERVER, 1000, hello, Flag.syn);
    expectWhole(read(frames).items());
  });

  it("from the middle, and says so", () => {
    const { items } = read(packets({ inMiddle: true }));
    expectWhole(items());
    expect(notesOf(items())[0]).toBe("remark the capture does not show how the connection was opened");
    const { connections } = read(packets({ inMiddle: true }).slice(6));
    expect(connections).toMatchObject([{ dissected: false, reason: expect.stringContaining("begins in the middle") }]);
  });

  it("says how many bytes are missing, and ends there in that direction alone", () => {
    const frames = packets({ size: 60_000 });
    // The record with the server's first application data; three packets open the connection.
    const at = 3 + (sent.flatMap(({ up }, index) => (up ? [] : [index])).at(-pongs.length) as number);
    const { items } = read(frames.filter((_, index) => index !== at));
    const missing = (frames[at] as Uint8Array).length - 54;
    expect(notesOf(items()).find((note) => note.startsWith("problem"))).toBe(
      `problem ${missing} bytes of the server are missing here; nothing of the server behind this can be read`,
    );
    expect(texts(items(), "client")).toEqual(pings);
    expect(texts(items(), "server")).toEqual([]);
    expect(notesOf(items()).at(-1)).toMatch(/^remark \d+ bytes of the server cannot be cut into records$/);
  });

  it("loses nothing that was there before a gap, even if nothing answered it", () => {
    const up = packets({ size: 60_000 }).filter((frame) => frame[14 + 15] === 1);
    // The last but one with data is missing; before it, two records wait for a ServerHello that never comes.
    const { items } = read([...up.slice(0, -3), ...up.slice(-2)]);
    const whole = recordsOf(read(up).items() as TraceItem[]);
    expect(recordsOf(items() as TraceItem[]).map(({ wire }) => wire)).toEqual(
      whole.slice(0, -2).map(({ wire }) => wire),
    );
    expect(whole.length).toBeGreaterThan(5);
    expect(notesOf(items())).toContainEqual(expect.stringMatching(/^problem \d+ bytes of the client are missing here/));
  });

  it("says so where the end is missing, and where a record is cut by it", () => {
    const frames = packets({ size: 60_000 });
    const { items } = read([...frames.slice(0, -3), ...frames.slice(-2)]);
    expect(notesOf(items()).join()).toMatch(/\d+ bytes of the server are missing here/);
    const cut = packets({ size: 20 }).slice(0, -3);
    expect(notesOf(read(cut).items()).at(-1)).toMatch(/^remark the server's last record ends after \d+ bytes$/);
  });

  it("says that packets were cut, and takes their rest for missing", () => {
    const { items, notes } = read(packets({ size: 300 }), { snapLength: 200 });
    expect(notes).toEqual([expect.stringMatching(/^\d+ packets were captured in part only/)]);
    expect(notesOf(items()).filter((note) => note.includes("are missing here"))).toHaveLength(2);
  });

  it("keeps connections apart that are interleaved, and one that comes after another on the same ports", () => {
    const other = { address: Uint8Array.of(198, 51, 100, 7), port: 40_000 };
    const [one, two] = [packets(), packets({ client: other, size: 90 })];
    const mixed = Array.from({ length: Math.max(one.length, two.length) }, (_, i) => [one[i], two[i]]).flat();
    const again = packets({ starts: [900_000_000, 800_000_000] });
    const frames = [...mixed.filter((frame) => frame !== undefined), ...again];
    const { connections, items } = read(frames);
    expect(connections.map(({ client }) => client)).toEqual([
      "192.0.2.1:50000",
      "198.51.100.7:40000",
      "192.0.2.1:50000",
    ]);
    for (const number of [1, 2, 3]) expectWhole(items(number));
    const repeated = [frames[0] as Uint8Array, ...frames];
    expect(read(repeated).connections).toHaveLength(3);
    const alone = inspected(pcap(frames), { keyLog, only: 2 });
    expect([alone.connections.length, alone.items(1).length, alone.items(2).length > 0]).toEqual([3, 0, true]);
  });

  it("ends with a RST as well", () => {
    const frames = packets();
    const reset = packet(SERVER, CLIENT, 99_000, undefined, Flag.rst | Flag.ack);
    expectWhole(read([...frames.slice(0, -2), reset]).items());
  });

  it("understands answers that were captured before what they answer", () => {
    const frames = packets({ size: 60_000 });
    const up = frames.filter((frame) => frame[14 + 15] === 1);
    const down = frames.filter((frame) => frame[14 + 15] === 2);
    for (const order of [
      [...down, ...up],
      [...up, ...down],
    ]) {
      const { items } = read(order);
      expectWhole(items());
      expect(texts(items(), "client")).toEqual(pings);
      expect(texts(items(), "server")).toEqual(pongs);
    }
  });

  it.each(["client", "server"])("makes the best of one direction alone: the %s's", (side) => {
    const last = side === "client" ? 1 : 2;
    const { connections, items } = read(packets().filter((frame) => frame[14 + 15] === last));
    expect(connections).toMatchObject([{ dissected: true }]);
    expect(recordsOf(items() as TraceItem[]).every(({ from }) => from === side)).toBe(true);
    const reasons = new Set(recordsOf(items() as TraceItem[]).map(({ note }) => note));
    expect([...reasons].join()).toContain(
      side === "client"
        ? "its ServerHello was not seen, so that the cipher suite is not known"
        : "its ClientHello was not seen, so that no line of a key log can be matched to it",
    );
    expect(messagesOf(items() as TraceItem[]).map(({ type }) => type)).toEqual([`${side}_hello`]);
  });
});

describe("what a connection speaks", () => {
  const speak = (...said: readonly (readonly [up: boolean, bytes: Uint8Array])[]) => {
    const next = [1, 1] as [number, number];
    const frames = said.map(([up, bytes]) => {
      const frame = up ? packet(CLIENT, SERVER, next[0], bytes) : packet(SERVER, CLIENT, next[1], bytes);
      next[up ? 0 : 1] += bytes.length;
      return frame;
    });
    const syn = packet(CLIENT, SERVER, 0, undefined, Flag.syn);
    return read([syn, packet(SERVER, CLIENT, 0, undefined, Flag.syn | Flag.ack), ...frames]);
  };
  const record = (type: number, ...content: readonly number[]) =>
    Uint8Array.of(type, 3, 3, content.length >> 8, content.length & 255, ...content);
  const helloOf = () => (sent[0] as Sent).bytes;
  const serverHello = (suite: number, ...extensions: readonly number[]) => {
    const list = extensions.length === 0 ? [] : [extensions.length >> 8, extensions.length & 255, ...extensions];
    const body = [3, 3, ...Array<number>(32).fill(9), 0, suite >> 8, suite & 255, 0, ...list];
    return record(22, 2, 0, 0, body.length, ...body);
  };

  it("is TLS 1.2 in one line", () => {
    const { connections, items } = speak([true, helloOf()], [false, serverHello(0xc02f)]);
    expect(connections).toMatchObject([
      { dissected: false, reason: "TLS 1.2 (cipher suite 0xc02f): only TLS 1.3 is taken apart here" },
    ]);
    expect(items()).toEqual([]);
  });

  it("is TLS 1.3 by supported_versions alone, whatever the cipher suite", () => {
    const { connections, items } = speak([true, helloOf()], [false, serverHello(0x1305, 0, 43, 0, 2, 3, 4)]);
    expect(connections).toMatchObject([
      { dissected: true, protocol: "TLS 1.3", cipherSuite: "TLS_AES_128_CCM_8_SHA256" },
    ]);
    expect(messagesOf(items() as TraceItem[])).toHaveLength(2);
    expect(speak([true, helloOf()], [false, serverHello(0x1301, 0, 43, 0, 2, 0x7f, 0x1c)]).connections).toMatchObject([
      { dissected: false, reason: "TLS version 0x7f1c (TLS_AES_128_GCM_SHA256): only TLS 1.3 is taken apart here" },
    ]);
  });

  it("says that a suite is not to be had", () => {
    const answer = serverHello(0x1399, 0, 43, 0, 2, 3, 4);
    const { items } = speak([true, helloOf()], [false, answer], [false, record(23, ...Array<number>(30).fill(1))]);
    const opaque = recordsOf(items() as TraceItem[]).at(-1);
    expect(opaque).toMatchObject({
      epoch: "handshake",
      sequence: undefined,
      secret: "server_handshake_traffic_secret",
    });
    expect(opaque?.note).toBe("cipher suite 0x1399 is not supported by the provider noble");
  });

  it("is another protocol, by its first bytes", () => {
    const { connections } = speak([true, utf8("GET / HTTP/1.1\r\n\x1b[2J")]);
    expect(connections).toMatchObject([{ dissected: false, reason: 'not TLS: it begins with "GET / HTTP/1.1.."' }]);
    expect(speak([true, record(23, 1, 2, 3)]).connections).toMatchObject([{ reason: "TLS records without a hello" }]);
  });

  it("turns to TLS after other words, as with STARTTLS or a proxy", () => {
    const before = [
      [false, utf8("220 mail.example ESMTP\r\n")],
      [true, utf8("STARTTLS\r\n")],
      [false, utf8("220 go ahead\r\n")],
    ] as const;
    const { items, connections } = speak(...before, ...sent.map(({ up, bytes }) => [up, bytes] as const));
    expect(connections).toMatchObject([{ dissected: true, serverName: "localhost", client: "192.0.2.1:50000" }]);
    expectWhole(items());
    expect(notesOf(items()).slice(0, 2)).toEqual([
      "remark 10 bytes of the client in another protocol come before TLS",
      "remark 38 bytes of the server in another protocol come before TLS",
    ]);
  });

  it("has the TLS client at whichever end the ClientHello came from", () => {
    const { connections, items } = speak(...sent.map(({ up, bytes }) => [!up, bytes] as const));
    expect(connections).toMatchObject([{ client: "192.0.2.2:443", server: "192.0.2.1:50000" }]);
    expectWhole(items());
  });

  it("shows what is sent in the clear and breaks off where it is no TLS any more", () => {
    const garbage = utf8("HTTP/1.1 400 Bad Request\r\n");
    const { items } = speak([true, helloOf()], [false, record(21, 2, 40)], [false, garbage], [false, garbage]);
    expect(items().map(({ kind }) => kind)).toEqual(["record", "message", "record", "alert", "note", "note"]);
    expect(notesOf(items())).toEqual([
      expect.stringMatching(
        /^problem what the server sends here is no TLS record: .*72.*; nothing of the server behind/,
      ),
      "remark 26 bytes of the server cannot be cut into records",
    ]);
  });

  it("shows messages that cannot be followed, once", () => {
    const { items } = speak(
      [true, record(22, ...helloOf().subarray(5), 99, 0, 0, 1, 7)],
      [true, record(22, 99, 0, 0, 0)],
    );
    expect(items().map(({ kind }) => kind)).toEqual(["record", "message", "message", "note", "record", "message"]);
    expect(notesOf(items())).toEqual([expect.stringContaining("handshake messages cannot be followed")]);
    const half = speak([true, helloOf()], [false, record(22, 2, 0, 1, 0, 3, 3)]);
    expect(notesOf(half.items())).toEqual(["remark the server's last handshake message ends after 6 bytes"]);
  });

  it("survives hellos that contradict each other", () => {
    const retry = fromHex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c");
    const retryWith = (suite: number) => {
      const bytes = serverHello(suite, 0, 43, 0, 2, 3, 4, 0, 51, 0, 2, 0, 24);
      bytes.set(retry, 5 + 4 + 2);
      return bytes;
    };
    const { items } = speak(
      [true, helloOf()],
      [false, retryWith(0x1301)],
      [true, helloOf()],
      [false, retryWith(0x1302)],
      [false, serverHello(0x1302, 0, 43, 0, 2, 3, 4)],
      [false, serverHello(0x1301, 0, 43, 0, 2, 3, 4)],
      ...sent.slice(1).map(({ up, bytes }) => [up, bytes] as const),
    );
    expect(notesOf(items()).every((note) => !note.startsWith("verified"))).toBe(true);
    expect(recordsOf(items() as TraceItem[]).length).toBeGreaterThan(8);
  });

  it("is nothing without data", () => {
    expect(speak().connections).toEqual([]);
    expect(read([concat(new Uint8Array(60))]).connections).toEqual([]);
  });
});
