/** A capture is anybody's: what is too much of anything is refused or passed over by name. */
import { describe, expect, it } from "vitest";
import { concat, join, utf8 } from "../../src/bytes/bytes.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { interfaceDescription, sectionHeader } from "../../src/inspect/capture/blocks.ts";
import { Flag } from "../../src/inspect/capture/frames.ts";
import {
  MAX_CONNECTIONS,
  MAX_FILE,
  MAX_INTERFACES,
  MAX_PACKETS,
  MAX_WAITING_BYTES,
  MAX_WAITING_SEGMENTS,
} from "../../src/inspect/capture/limits.ts";
import { certificateFields, type InspectItem, inspectPasted } from "../../src/inspect/index.ts";
import { KeyLogSecrets } from "../../src/inspect/passive/key-log.ts";
import { CLIENT, inspected, notesOf, packet, pcap, SERVER } from "./captures.ts";

const refusal = (message: string) =>
  expect.objectContaining({ code: "ERR_TLS_CAPTURE", message: expect.stringContaining(message) });

/** What begins as a ClientHello and goes on for ever. */
const HELLO = Uint8Array.of(22, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xfc);

describe("there is a limit to", () => {
  it("files", () => {
    // Pages that nobody touches cost nothing.
    const file = new Uint8Array(MAX_FILE + 1);
    file.set(pcap([]));
    expect(() => inspected(file)).toThrow(refusal(`a file of more than ${MAX_FILE} bytes`));
  });

  it("packets, in both formats", () => {
    const empty = new Uint8Array(16 * (MAX_PACKETS + 1));
    expect(() => inspected(concat(pcap([]), empty))).toThrow(refusal(`more than ${MAX_PACKETS} packets`));
    const blocks = new Uint8Array(16 * (MAX_PACKETS + 1));
    const view = new DataView(blocks.buffer);
    for (let at = 0; at < blocks.length; at += 16) {
      view.setUint32(at, 3, true);
      view.setUint32(at + 4, 16, true);
      view.setUint32(at + 12, 16, true);
    }
    const file = concat(sectionHeader(), interfaceDescription(1), blocks);
    expect(() => inspected(file)).toThrow(refusal(`more than ${MAX_PACKETS} packets`));
  });

  it("interfaces of a section", () => {
    const many = Array.from({ length: MAX_INTERFACES + 1 }, () => interfaceDescription(1));
    expect(() => inspected(concat(sectionHeader(), join(many)))).toThrow(
      refusal(`more than ${MAX_INTERFACES} interfaces`),
    );
  });

  it("connections: those beyond are passed over, and counted", () => {
    const frames = Array.from({ length: MAX_CONNECTIONS + 7 }, (_, index) => {
      const client = { address: Uint8Array.of(10, index >> 16, (index >> 8) & 255, index & 255), port: 1000 };
      return packet(client, SERVER, 1, Uint8Array.of(1));
    });
    const { connections, notes } = inspected(pcap(frames));
    expect(connections).toHaveLength(MAX_CONNECTIONS);
    expect(notes).toEqual(["passed over: 7 packets, since there are too many connections"]);
  });

  const opening = [packet(CLIENT, SERVER, 0, undefined, Flag.syn), packet(CLIENT, SERVER, 1, HELLO)];

  it("segments that wait for one before them", () => {
    const ahead = (count: number) =>
      Array.from({ length: count }, (_, i) => packet(CLIENT, SERVER, 100 + 2 * (count - i), Uint8Array.of(i)));
    const missing = packet(CLIENT, SERVER, 1 + HELLO.length, new Uint8Array(120));
    const within = inspected(pcap([...opening, ...ahead(MAX_WAITING_SEGMENTS), missing]));
    expect(notesOf(within.items()).filter((note) => /\d{3} bytes of the client are missing/.test(note))).toEqual([]);
    const beyond = inspected(pcap([...opening, ...ahead(MAX_WAITING_SEGMENTS + 1), missing]));
    expect(notesOf(beyond.items())).toContainEqual(expect.stringMatching(/92 bytes of the client are missing here/));
  });

  it("their bytes", () => {
    const payload = new Uint8Array(60_000);
    const count = Math.floor(MAX_WAITING_BYTES / payload.length) + 1;
    const ahead = Array.from({ length: count }, (_, i) => packet(CLIENT, SERVER, 20 + i * payload.length, payload));
    const missing = packet(CLIENT, SERVER, 1 + HELLO.length, new Uint8Array(10));
    const { items } = inspected(pcap([...opening, ...ahead, missing]));
    expect(notesOf(items())).toContainEqual(expect.stringMatching(/10 bytes of the client are missing here/));
    const fewer = inspected(pcap([...opening, ...ahead.slice(1), missing]));
    expect(notesOf(fewer.items())).not.toContainEqual(expect.stringMatching(/10 bytes of the client are missing/));
  });

  it("key logs", () => {
    const secrets = new KeyLogSecrets();
    const half = "#".repeat(32 * 1024 * 1024);
    secrets.add(half);
    secrets.add(half);
    expect(() => secrets.add("#")).toThrow(refusal("67108864 characters of key logs"));
  });

  it("dumps, what is pasted, and certificates", () => {
    const options = { provider: nobleProvider, onItem: () => {} };
    expect(() => inspectPasted(new Uint8Array(64 * 1024 * 1024 + 1), options)).toThrow(refusal("more than 67108864"));
    expect(() => inspectPasted(utf8("00000000  16 03 01\n*\n40000000\n"), options)).toThrow(
      refusal("a dump of more than"),
    );
    // Each of them is within the limit; together they would stand for a hundred times as much.
    const repeated = "00000000  16 03\n*\n00100000\n";
    expect(() => inspectPasted(utf8(repeated.repeat(100)), options)).toThrow(refusal("a dump of more than"));
    expect(() => certificateFields(new Uint8Array(256 * 1024 + 1))).toThrow(refusal("at most 262144 are taken apart"));
  });
});

describe("what comes in the longest or the most pieces", () => {
  const options = { provider: nobleProvider, onItem: () => {} };

  it("is one row of a dump", () => {
    // Handshake messages without content, end to end.
    const row = `00000000  ${"05000000".repeat(0x10000)}\n00040000  05000000\n`;
    expect(inspectPasted(utf8(row), options)).toBe("messages");
  });

  it("is one message in records of one byte", () => {
    const message = concat(Uint8Array.of(1, 3, 0, 0), new Uint8Array(0x30000));
    const records = new Uint8Array(6 * message.length);
    for (const [index, byte] of message.entries()) records.set([22, 3, 3, 0, 1, byte], 6 * index);
    const spans: number[] = [];
    const onItem = (item: InspectItem) => {
      if (item.kind === "message") spans.push(item.spans.length);
    };
    expect(inspectPasted(records, { ...options, onItem })).toBe("records");
    expect(spans).toEqual([message.length]);
  });
});

describe("what comes in the smallest pieces", () => {
  it("is looked for a hello, and put together where it has one", () => {
    const bytes = new Uint8Array(40_000);
    const single = Array.from({ length: bytes.length }, (_, i) =>
      packet(CLIENT, SERVER, 1 + i, bytes.subarray(i, i + 1)),
    );
    expect(inspected(pcap(single)).connections).toMatchObject([{ dissected: false }]);
    const hello = concat(HELLO, new Uint8Array(0x4000 - 4));
    const tiny = Array.from({ length: hello.length }, (_, i) =>
      packet(CLIENT, SERVER, 1 + i, hello.subarray(i, i + 1)),
    );
    expect(
      inspected(pcap([packet(CLIENT, SERVER, 1, hello.subarray(0, 6)), ...tiny]))
        .items()
        .map(({ kind }) => kind),
    ).toEqual(["note", "record", "message", "note"]);
  });
});
