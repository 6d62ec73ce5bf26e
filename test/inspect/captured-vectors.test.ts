/** Connections of others, out of captures: RFC 8448's traces and tls13.xargs.org's. */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { equal } from "../../src/bytes/bytes.ts";
import { toHex } from "../../src/bytes/hex.ts";
import type { SecretLabel } from "../../src/handshake/io.ts";
import { createCaptureWriter, type TraceItem } from "../../src/inspect/index.ts";
import { SECTIONS, type SectionNumber, trace } from "../../vectors/rfc8448/load.ts";
import { missing } from "../support/needs.ts";
import { inspected, notesOf } from "./captures.ts";
import { messagesOf, recordsOf } from "./support.ts";

const LABELS: Readonly<Record<SecretLabel, string>> = {
  CLIENT_EARLY_TRAFFIC_SECRET: "c e traffic",
  EARLY_EXPORTER_SECRET: "e exp master",
  CLIENT_HANDSHAKE_TRAFFIC_SECRET: "c hs traffic",
  SERVER_HANDSHAKE_TRAFFIC_SECRET: "s hs traffic",
  CLIENT_TRAFFIC_SECRET_0: "c ap traffic",
  SERVER_TRAFFIC_SECRET_0: "s ap traffic",
  EXPORTER_SECRET: "exp master",
};

/** A section's records and secrets in a capture. */
function captured(section: SectionNumber): Uint8Array {
  const { records, steps } = trace(section);
  const chunks: Uint8Array[] = [];
  const writer = createCaptureWriter({ write: (bytes) => chunks.push(bytes), clock: () => 0 });
  const { observer, end } = writer.connection({ side: "client" });
  const hello = records[0] as (typeof records)[number];
  for (const [label, name] of Object.entries(LABELS) as [SecretLabel, string][]) {
    const step = steps.find(({ action, names }) => action.includes(`"tls13 ${name}"`) && names.includes("expanded"));
    if (step === undefined) continue;
    const secret = step.bytes("expanded");
    observer({ kind: "secret", label, clientRandom: hello.payload.subarray(6, 38), secret });
  }
  for (const { sender, bytes } of records) {
    const direction = sender === "client" ? "sent" : "received";
    observer({
      kind: "record",
      direction,
      epoch: "initial",
      outerType: bytes[0] as number,
      type: bytes[0] as number,
      wire: bytes,
      content: bytes.subarray(5),
      padding: 0,
      sequence: undefined,
      generation: 0,
    });
  }
  end();
  return new Uint8Array(Buffer.concat(chunks));
}

describe("RFC 8448 in a capture", () => {
  it.each(SECTIONS)("section %i: every record and message is the vector's", (section) => {
    const { records } = trace(section);
    const items = inspected(captured(section)).items() as TraceItem[];
    const read = recordsOf(items);
    expect(read.map(({ from, type, content, wire }) => [from, type.name, toHex(content), toHex(wire)])).toEqual(
      records.map(({ sender, type, payload, bytes }) => [sender, type, toHex(payload), toHex(bytes)]),
    );
    const sent = (side: string) =>
      records.flatMap(({ sender, type, payload }) => (sender === side && type === "handshake" ? [payload] : []));
    for (const side of ["client", "server"]) {
      const messages = messagesOf(items).filter(({ from }) => from === side);
      expect(messages.map(({ bytes }) => toHex(bytes)).join("")).toBe(sent(side).map(toHex).join(""));
      expect(messages.filter(({ problem }) => problem !== undefined)).toEqual([]);
    }
    expect(notesOf(items)).toEqual([
      expect.stringMatching(/^verified the server's Finished is right/),
      expect.stringMatching(/^verified the client's Finished is right/),
    ]);
  });
});

const folder = fileURLToPath(new URL("../../../shared/conformance/illustrated/", import.meta.url));

describe.skipIf(missing("../shared/conformance/illustrated", existsSync(folder)))("tls13.xargs.org's capture", () => {
  it("is decrypted to the last byte", () => {
    const file = new Uint8Array(readFileSync(`${folder}capture.pcap`));
    const keyLog = readFileSync(`${folder}keylog.txt`, "utf8");
    const { connections, items, notes, secrets } = inspected(file, { keyLog });
    expect([connections.length, notes, secrets]).toEqual([1, [], 5]);
    expect(connections[0]).toMatchObject({
      client: "127.0.0.1:59219",
      server: "127.0.0.1:8400",
      began: "2022-04-01T00:48:36.286Z",
      protocol: "TLS 1.3",
      cipherSuite: "TLS_AES_256_GCM_SHA384",
      serverName: "example.ulfheim.net",
    });
    const read = recordsOf(items() as TraceItem[]);
    const isProtected = read.filter(({ outerType }) => outerType.name === "application_data");
    expect(isProtected.filter(({ sequence }) => sequence === undefined)).toEqual([]);
    const data = read.filter(({ type }) => type.name === "application_data");
    expect(data.map(({ from, content }) => [from, new TextDecoder().decode(content)])).toEqual([
      ["client", "ping"],
      ["server", "pong"],
    ]);
    expect(notesOf(items())).toHaveLength(2);
    expect(notesOf(items()).every((note) => note.startsWith("verified"))).toBe(true);
    for (const from of ["client", "server"]) {
      const ends = read.filter((record) => record.from === from).map(({ start, end }) => [start, end]);
      expect(ends.slice(1).every(([start], index) => start === ends[index]?.[1])).toBe(true);
    }
    expect(equal(file, new Uint8Array(readFileSync(`${folder}capture.pcap`)))).toBe(true);
  });
});
