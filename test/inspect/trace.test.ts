import { beforeAll, describe, expect, it } from "vitest";
import { concat, utf8 } from "../../src/bytes/bytes.ts";
import { toHex } from "../../src/bytes/hex.ts";
import { fault } from "../../src/errors.ts";
import { createTrace, type TraceField, type TraceItem, traceError, traceJson } from "../../src/inspect/index.ts";
import { byteByByte, exchange } from "../support/pair.ts";
import { messagesOf, opened, recordsOf, type Traced, traced } from "./support.ts";

let plain: Traced;
let small: Traced;
let sent: { client: Uint8Array; server: Uint8Array };

beforeAll(async () => {
  plain = await traced();
  plain.client.engine.write(utf8("ping"));
  exchange(plain.client, plain.server);
  plain.client.engine.updateKeys("update_requested");
  plain.client.engine.write(utf8("after the update"));
  exchange(plain.client, plain.server);
  plain.server.engine.write(utf8("pong"));
  plain.server.engine.close();
  exchange(plain.client, plain.server);
  plain.client.engine.close();
  exchange(plain.client, plain.server);
  const up: Uint8Array[] = [];
  small = await traced(
    { client: { maxFragment: 100, padding: () => 7 }, server: { maxFragment: 61, padding: (_, length) => length % 5 } },
    {},
    (bytes) => {
      up.push(bytes.slice());
      return byteByByte(bytes);
    },
  );
  sent = { client: concat(...up), server: new Uint8Array(0) };
});

/** Leaves in order. */
function leaves(fields: readonly TraceField[]): TraceField[] {
  return fields.flatMap((field) => (field.children.length === 0 ? [field] : leaves(field.children)));
}

/** True when the ranges stand end to end from `start` to `end`. */
function tiles(ranges: readonly { start: number; end: number }[], start: number, end: number): boolean {
  let at = start;
  for (const range of ranges) {
    if (range.start !== at || range.end < range.start) return false;
    at = range.end;
  }
  return at === end;
}

describe("a trace", () => {
  it("numbers records and gives each its place in its direction", () => {
    for (const { clientItems, serverItems } of [plain, small]) {
      for (const items of [clientItems, serverItems]) {
        for (const direction of ["sent", "received"] as const) {
          const records = recordsOf(items).filter((record) => record.direction === direction);
          expect(records.map(({ number }) => number)).toEqual(records.map((_, index) => index + 1));
          expect(tiles(records, 0, records.at(-1)?.end as number)).toBe(true);
        }
      }
    }
    const stream = concat(
      ...recordsOf(small.clientItems).flatMap(({ from, wire }) => (from === "client" ? [wire] : [])),
    );
    expect(toHex(stream)).toBe(toHex(sent.client));
  });

  it("accounts for every byte: record fields tile the record, parts its content, leaves each message", () => {
    for (const items of [plain.clientItems, plain.serverItems, small.clientItems, small.serverItems]) {
      const records = recordsOf(items);
      expect(records.length).toBeGreaterThan(5);
      for (const record of records) {
        expect(tiles(leaves(record.fields), 0, record.wire.length)).toBe(true);
        expect(tiles(record.parts, 5, 5 + record.content.length)).toBe(true);
      }
      for (const message of messagesOf(items)) {
        expect(message.problem).toBeUndefined();
        expect(tiles(leaves(message.fields), 0, message.bytes.length)).toBe(true);
      }
    }
  });

  it("says which bytes of which record carry a message, however it was cut", () => {
    let spread = 0;
    for (const items of [plain.clientItems, plain.serverItems, small.clientItems, small.serverItems]) {
      const records = recordsOf(items);
      for (const { from, spans, bytes } of messagesOf(items)) {
        const found = spans.map(({ record, start, end }) => {
          const carrier = records.find((candidate) => candidate.from === from && candidate.number === record);
          return opened(carrier as (typeof records)[number]).subarray(start, end);
        });
        expect(toHex(concat(...found))).toBe(toHex(bytes));
        if (spans.length > 1) spread++;
      }
    }
    expect(spread).toBeGreaterThan(10);
    // The server's flight: five messages, one record.
    const flight = recordsOf(plain.clientItems).find(({ from, sequence }) => from === "server" && sequence === 0);
    expect(flight?.parts.map(({ what }) => what)).toEqual(Array(5).fill("handshake"));
  });

  it("sees the same from both ends", () => {
    for (const { clientItems, serverItems } of [plain, small]) {
      for (const from of ["client", "server"] as const) {
        const view = (items: TraceItem[]) =>
          [...recordsOf(items), ...messagesOf(items)]
            .filter((item) => item.from === from)
            .map(({ direction, ...item }) => [
              direction === "sent",
              traceJson({ ...item, direction: "sent" } as TraceItem),
            ]);
        const [here, there] = [view(clientItems), view(serverItems)];
        expect(here.map(([, text]) => text)).toEqual(there.map(([, text]) => text));
        expect(here.every(([mine]) => mine === (from === "client"))).toBe(true);
        expect(there.every(([mine]) => mine === (from === "server"))).toBe(true);
      }
    }
  });

  it("names the secret in force, and follows key updates", () => {
    const secrets = recordsOf(plain.clientItems).map(({ from, type, secret, sequence }) =>
      [from, type.name, secret, sequence].join(" "),
    );
    expect(secrets).toEqual([
      "client handshake  ",
      "server handshake  ",
      "server change_cipher_spec  ",
      "server handshake server_handshake_traffic_secret 0",
      "client change_cipher_spec  ",
      "client handshake client_handshake_traffic_secret 0",
      "client application_data client_application_traffic_secret_0 0",
      "client handshake client_application_traffic_secret_0 1",
      "client application_data client_application_traffic_secret_1 0",
      "server handshake server_application_traffic_secret_0 0",
      "server application_data server_application_traffic_secret_1 0",
      "server alert server_application_traffic_secret_1 1",
      "client alert client_application_traffic_secret_1 1",
    ]);
  });

  it("lists messages, secrets, states and alerts in order", () => {
    const names = messagesOf(plain.clientItems).map(({ from, type }) => `${from} ${type}`);
    expect(names).toEqual([
      "client client_hello",
      "server server_hello",
      "server encrypted_extensions",
      "server certificate_request",
      "server certificate",
      "server certificate_verify",
      "server finished",
      "client certificate",
      "client certificate_verify",
      "client finished",
      "client key_update",
      "server key_update",
    ]);
    const of = (kind: TraceItem["kind"]) => plain.clientItems.filter((item) => item.kind === kind);
    expect(of("secret").map((item) => item.kind === "secret" && item.name)).toEqual([
      "client_handshake_traffic_secret",
      "server_handshake_traffic_secret",
      "client_application_traffic_secret_0",
      "server_application_traffic_secret_0",
      "exporter_secret",
    ]);
    expect(of("state").map((item) => item.kind === "state" && item.state)).toEqual([
      "WAIT_SH",
      "WAIT_EE",
      "WAIT_CERT_CR",
      "WAIT_CERT",
      "WAIT_CV",
      "WAIT_FINISHED",
      "CONNECTED",
    ]);
    expect(of("alert")).toMatchObject([
      { from: "server", level: { name: "warning" }, description: { code: 0, name: "close_notify" } },
      { from: "client", direction: "sent" },
    ]);
  });

  it("gives every field its section", () => {
    const all = messagesOf(plain.clientItems).flatMap(({ fields }) => leaves(fields));
    expect(all.length).toBeGreaterThan(150);
    expect(all.filter(({ section, note }) => !section.startsWith("RFC ") || note === "")).toEqual([]);
  });

  it("reads certificates and issuers' names", () => {
    const found = messagesOf(plain.clientItems).flatMap(({ fields }) => everyField(fields));
    const certificates = found.flatMap(({ certificate }) => (certificate === undefined ? [] : [certificate]));
    expect(certificates.map(({ subject }) => subject)).toEqual([
      "CN=localhost",
      "CN=mutls throwaway root\\, intermediate 1",
      "CN=client",
      "CN=mutls throwaway root\\, intermediate 1",
    ]);
    expect(certificates[0]).toMatchObject({ key: "P-256", names: ["DNS:localhost", "IP:127.0.0.1"] });
    expect(certificates[2]?.names).toEqual(["URI:spiffe://example.org/client"]);
    expect(found.find(({ name }) => name === "distinguished_name")?.label).toBe("CN=mutls throwaway root");
    expect(found.find(({ name }) => name === "host_name")?.value).toBe("localhost");
  });

  it("is JSON, bytes as hexadecimal", () => {
    const parsed = plain.clientItems.map((item) => JSON.parse(traceJson(item)) as Record<string, unknown>);
    expect(parsed.map(({ kind }) => kind)).toEqual(plain.clientItems.map(({ kind }) => kind));
    expect(parsed[0]).toMatchObject({
      kind: "record",
      wire: toHex(recordsOf(plain.clientItems)[0]?.wire as Uint8Array),
    });
    for (const item of plain.clientItems) expect(traceJson(item)).not.toContain("\n");
  });

  it("keeps its own copies", async () => {
    const items: TraceItem[] = [];
    const observer = createTrace("client", (item) => items.push(item));
    const wire = Uint8Array.of(21, 3, 3, 0, 2, 2, 40);
    const common = { epoch: "initial", generation: 0, padding: 0, sequence: undefined } as const;
    observer({
      kind: "record",
      direction: "received",
      ...common,
      outerType: 21,
      type: 21,
      wire,
      content: wire.subarray(5),
    });
    wire.fill(0);
    expect(items).toMatchObject([
      { kind: "record", alert: "handshake_failure", wire: Uint8Array.of(21, 3, 3, 0, 2, 2, 40) },
      { kind: "alert", description: { name: "handshake_failure" }, level: { name: "fatal" } },
    ]);
  });
});

describe("a trace of what breaks the rules", () => {
  const record = (type: number, ...content: number[]) => {
    const items: TraceItem[] = [];
    createTrace("server", (item) => items.push(item))({
      kind: "record",
      direction: "received",
      epoch: "initial",
      outerType: type,
      type,
      wire: Uint8Array.of(type, 3, 1, 0, content.length, ...content),
      content: Uint8Array.from(content),
      padding: 0,
      sequence: undefined,
      generation: 0,
    });
    return items;
  };

  it("shows a message that does not decode as its bytes", () => {
    expect(record(22, 1, 0, 0, 2, 3, 3)).toMatchObject([
      { kind: "record" },
      {
        kind: "message",
        type: "client_hello",
        problem: expect.stringContaining("does not follow its syntax"),
        fields: [{ name: "msg_type" }, { name: "length" }, { name: "body", start: 4, end: 6 }],
      },
    ]);
  });

  it("shows a message of no known type", () => {
    expect(record(22, 77, 0, 0, 0)[1]).toMatchObject({ kind: "message", type: undefined, problem: expect.any(String) });
  });

  it("shows a TLS 1.2 ServerHello", () => {
    const hello = [2, 0, 0, 38, 3, 3, ...Array(32).fill(9), 0, 0xc0, 0x2f, 0];
    expect(record(22, ...hello)[1]).toMatchObject({ type: "server_hello", problem: undefined });
  });

  it("shows alerts and types that do not exist, and alerts that are none", () => {
    expect(record(21, 2, 255)[1]).toMatchObject({ kind: "alert", description: { code: 255, name: undefined } });
    expect(record(21, 2)).toMatchObject([{ kind: "record", alert: undefined, parts: [{ what: "alert" }] }]);
    expect(record(99, 1)).toMatchObject([{ kind: "record", type: { code: 99, name: undefined } }]);
    expect(record(22)).toMatchObject([{ kind: "record", parts: [] }]);
  });

  it("ends with the error", () => {
    expect(traceError(fault("ERR_SSL_BAD_SIGNATURE"))).toMatchObject({
      kind: "error",
      code: "ERR_SSL_BAD_SIGNATURE",
      alert: "decrypt_error",
      direction: "sent",
    });
  });
});

function everyField(fields: readonly TraceField[]): TraceField[] {
  return fields.flatMap((field) => [field, ...everyField(field.children)]);
}
