import { describe, expect, it } from "vitest";
import { concat } from "../../src/bytes/bytes.ts";
import { toHex } from "../../src/bytes/hex.ts";
import { messageFields } from "../../src/inspect/fields.ts";
import { certificateTree } from "../../src/inspect/page/certificate-tree.ts";
import { type Choices, DEFAULT_CHOICES } from "../../src/inspect/page/choices.ts";
import { conversationOf } from "../../src/inspect/page/conversation.ts";
import { costOf } from "../../src/inspect/page/cost.ts";
import { Stage } from "../../src/inspect/page/run.ts";
import { inByte } from "../../src/inspect/page/tamper.ts";
import { leavesOf, pathTo, type TreeNode } from "../../src/inspect/page/tree.ts";
import { SCENARIOS } from "./scenarios.ts";
import { castFor, expectTiles } from "./support.ts";

const stageOf = async (different: Partial<Choices> = {}) => {
  const choices = { ...DEFAULT_CHOICES, ...different };
  return new Stage(choices, await castFor(choices.key));
};

describe.each(SCENARIOS)("a handshake with %s", (_, choices) => {
  it("succeeds on both sides, as chosen", async () => {
    const { client, server } = (await stageOf(choices)).run();
    expect([client.error, server.error]).toEqual([undefined, undefined]);
    expect([client.state, server.state]).toEqual(["CONNECTED", "CONNECTED"]);
    expect([client.ended, server.ended]).toEqual([true, true]);
    expect(client.result).toMatchObject({
      cipherSuite: choices.suite,
      group: choices.group,
      retried: choices.retry === "yes",
      resumed: choices.session !== "full",
      alpn: choices.alpn === "" ? undefined : "h2",
    });
    expect(client.result?.peer?.names.dns).toEqual(["server.example"]);
    expect(server.result?.peer?.spiffeId).toBe(choices.auth === "mutual" ? "spiffe://example.org/alice" : undefined);
    const early = choices.session === "early" && choices.retry === "no" ? "early data: GET /weather" : "";
    expect([client.read, server.read]).toEqual(["HTTP/1.0 200 OK", `${early}GET / HTTP/1.0`]);
  });

  it("is the same when it is run again, and a middle that changes nothing is not noticed", async () => {
    const stage = await stageOf(choices);
    const run = stage.run();
    const wire = run.passed.map(({ sealed }) => toHex(sealed.wire));
    expect(wire).toEqual(run.passed.map(({ original }) => toHex(original?.wire ?? new Uint8Array(0))));
    expect(stage.run().passed.map(({ sealed }) => toHex(sealed.wire))).toEqual(wire);
  });

  it("gives every byte of every record one name", async () => {
    const { flights } = conversationOf("", (await stageOf(choices)).run(), choices.suite);
    const entries = flights.flatMap((flight) => flight.entries);
    expect(entries.length).toBeGreaterThan(6);
    for (const { tree, record, opened, fate, changed, messages } of entries) {
      expectTiles(tree, record.wire.length);
      expect(opened.length).toBe(record.wire.length);
      expect([fate, changed.size]).toEqual(["as sent", 0]);
      for (const { type, bytes } of messages) expect(messageFields(type, bytes).problem).toBeUndefined();
    }
    // A message's bytes are those of its node.
    const [hello] = entries;
    expect(toHex(hello?.opened.subarray(5) ?? new Uint8Array(0))).toBe(toHex(hello?.messages[0]?.bytes as Uint8Array));
  });

  it("has the key schedule that both sides have used", async () => {
    const run = (await stageOf(choices)).run();
    const { schedule, serverSchedule } = conversationOf("", run, choices.suite);
    expect(schedule.map(({ name }) => name)).toEqual(["Early Secret", "Handshake Secret", "Main Secret"]);
    // A server that asks for another ClientHello never makes the keys of the early data that came with the first.
    const unread = choices.session === "early" && choices.retry === "yes" ? /early/ : /^$/;
    expect(serverSchedule).toEqual(
      schedule.map((stage) => ({ ...stage, derived: stage.derived.filter(({ name }) => !unread.test(name)) })),
    );
    const computed = new Map(schedule.flatMap(({ derived }) => derived).map(({ name, value }) => [name, toHex(value)]));
    let compared = 0;
    for (const item of run.client.items) {
      if (item.kind !== "secret") continue;
      expect(computed.get(item.name), item.name).toBe(toHex(item.secret));
      compared++;
    }
    expect(compared).toBe(choices.session === "early" ? 7 : 5);
    // Wiped where the connection is over; RFC 8448 has one to compare.
    expect(computed.get("resumption_secret")).toMatch(/^([0-9a-f]{64}|[0-9a-f]{96})$/);
  });

  it("costs what was counted", async () => {
    const { passed, ...run } = (await stageOf(choices)).run();
    const { flights } = conversationOf("", { ...run, passed }, choices.suite);
    const cost = costOf(flights);
    const total = passed.reduce((sum, { sealed }) => sum + sealed.wire.length, 0);
    expect(cost.flights.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(total);
    for (const { bytes, overhead, messages } of cost.flights) {
      expect(overhead + messages.reduce((sum, one) => sum + one.bytes, 0)).toBe(bytes);
    }
    const handshakes = passed.filter(({ sealed }) => sealed.epoch !== "application" && sealed.type !== 23);
    const { client, server } = cost.handshakeBytes;
    expect(client + server).toBe(handshakes.reduce((sum, { sealed }) => sum + sealed.wire.length, 0));
    expect(cost.roundTrips).toBe(choices.retry === "yes" ? 2 : 1);
  });
});

describe("both key schedules of a broken handshake", () => {
  const names = (stages: readonly { readonly derived: readonly { readonly name: string }[] }[]) =>
    stages.flatMap(({ derived }) => derived.map(({ name }) => name.replace(/_secret.*/, "")));

  it("go as far as each side has gone", async () => {
    const byte = { from: "server", record: 3, offset: 5, value: 99, where: "inside" } as const;
    const run = (await stageOf()).run({ tampering: inByte(byte) });
    const { schedule, serverSchedule } = conversationOf("", run, DEFAULT_CHOICES.suite);
    const handshake = ["client_handshake_traffic", "server_handshake_traffic"];
    expect(names(schedule)).toEqual(handshake);
    expect(names(serverSchedule)).toEqual([
      ...handshake,
      "client_application_traffic",
      "server_application_traffic",
      "exporter",
    ]);
  });
});

describe("certificates", () => {
  const find = (node: TreeNode, name: string): TreeNode | undefined =>
    node.name === name ? node : node.children.map((child) => find(child, name)).find((found) => found !== undefined);

  it.each(["P-256", "P-384", "Ed25519", "RSA"] as const)(
    "of %s are told apart down to the fields of RFC 5280",
    async (key) => {
      const { flights } = conversationOf("", (await stageOf({ key })).run(), DEFAULT_CHOICES.suite);
      const trees = flights.flatMap(({ entries }) => entries.map(({ tree }) => find(tree, "Certificate")));
      const certificates = trees.flatMap((tree) => (tree === undefined ? [] : [find(tree, "tbsCertificate")]));
      expect(certificates.map((one) => one?.children.slice(1).map(({ name }) => name))).toEqual(
        Array.from({ length: 2 }, () => [
          "version",
          "serialNumber",
          "signature",
          "issuer",
          "validity",
          "subject",
          "subjectPublicKeyInfo",
          "extensions",
        ]),
      );
    },
  );
});

describe("what is no certificate", () => {
  const nested = (depth: number) => {
    let der: Uint8Array = Uint8Array.of(5, 0);
    for (let level = 0; level < depth; level++)
      der = concat(Uint8Array.of(0x30, 0x82, der.length >> 8, der.length & 255), der);
    return der;
  };

  it("is bytes, where it is no DER", () => {
    for (const bytes of [new Uint8Array(0), Uint8Array.of(0x30, 5, 1), Uint8Array.of(0x30, 0, 0)]) {
      expect(certificateTree(bytes, 0, bytes.length)).toBeUndefined();
    }
  });

  it("is looked into no deeper than certificates go", () => {
    const der = nested(1000);
    // 0x82 with a small length is no DER: the innermost are broken on purpose, and never reached.
    const tree = certificateTree(der, 0, der.length);
    expectTiles(tree as TreeNode, der.length);
    expect(leavesOf(tree as TreeNode).length).toBeLessThan(40);
  });
});

describe("a byte changed on its way", () => {
  it.each([
    ["in the clear", { from: "client", record: 1, offset: 0x0b, value: 0 }, "inside", "server", "bad_record_mac"],
    [
      "inside the protection",
      { from: "server", record: 3, offset: 5, value: 99 },
      "inside",
      "client",
      "unexpected_message",
    ],
    ["on the wire", { from: "server", record: 3, offset: 9, value: 0 }, "wire", "client", "bad_record_mac"],
    ["in a tag", { from: "client", record: 3, offset: 600, value: 0 }, "inside", "server", "bad_record_mac"],
  ] as const)("%s is found", async (_, change, where, by, alert) => {
    const stage = await stageOf();
    const byte = { ...change, where };
    const run = stage.run({ tampering: inByte(byte) });
    expect(run[by].error).toMatchObject({ alert, direction: "sent" });
    const { flights } = conversationOf("", run, DEFAULT_CHOICES.suite);
    const [entry, ...more] = flights.flatMap(({ entries }) => entries).filter(({ fate }) => fate === "changed");
    expect(more).toEqual([]);
    expect([entry?.from, entry?.sentNumber, [...(entry?.changed ?? [])]]).toEqual([
      byte.from,
      byte.record,
      [byte.offset],
    ]);
    expect(pathTo(entry?.tree as TreeNode, byte.offset).length).toBeGreaterThan(1);
    const before = conversationOf("", stage.run(), DEFAULT_CHOICES.suite).flights.flatMap(({ entries }) => entries);
    expect(entry?.sent).toEqual(before.find(({ id }) => id === entry?.id)?.opened);
  });

  it("in a record's padding becomes its type", async () => {
    // The type of the client's request, set to that of an alert: what stands before it is none.
    const request = { from: "client", record: 4, offset: 5 + "GET / HTTP/1.0".length, value: 21 } as const;
    const { server } = (await stageOf()).run({ tampering: inByte({ ...request, where: "inside" }) });
    expect(server.error).toMatchObject({ alert: "decode_error" });
  });

  it("shows different keys at both ends where they rest on it", async () => {
    const run = (await stageOf()).run({
      tampering: inByte({ from: "client", record: 1, offset: 0x0b, value: 0, where: "inside" }),
    });
    const { schedule, serverSchedule } = conversationOf("", run, DEFAULT_CHOICES.suite);
    const values = (stages: typeof schedule) => stages[1]?.derived.map(({ value }) => toHex(value));
    expect(schedule[1]?.value).toEqual(serverSchedule[1]?.value);
    expect(values(schedule)).not.toEqual(values(serverSchedule));
  });
});

describe("any byte", () => {
  /** Where nobody can notice, however it is changed. */
  const FREE = [
    // Ignored for all purposes (RFC 8446 5.1).
    "legacy_record_version",
    // Read by the client alone, who believes whoever has the server's keys.
    "NewSessionTicket",
    "application_data",
    // RFC 8446 6: ignored.
    "level",
  ];

  it("can be changed: one of each field, and somebody notices", async () => {
    const stage = await stageOf();
    const { flights } = conversationOf("", stage.run(), DEFAULT_CHOICES.suite);
    const entries = flights.flatMap((flight) => flight.entries);
    let changes = 0;
    const unnoticed = new Set<string>();
    for (const { from, sentNumber, tree, opened, record } of entries) {
      for (const [index, { start }] of leavesOf(tree).entries()) {
        // Certificates have most of the fields: some of those will do.
        if (index % 5 > 0 && pathTo(tree, start).some(({ name }) => name === "tbsCertificate")) continue;
        const byte = {
          from,
          record: sentNumber,
          offset: start,
          value: (opened[start] as number) ^ 0x15,
          where: "inside",
        } as const;
        const run = stage.run({ tampering: inByte(byte) });
        const shown = conversationOf("", run, DEFAULT_CHOICES.suite).flights.flatMap((flight) => flight.entries);
        for (const { fate, tree, record } of shown) if (fate === "changed") expectTiles(tree, record.wire.length);
        const noticed = run.client.error ?? run.server.error;
        const waiting = !run.client.ended || !run.server.ended;
        const path = pathTo(tree, start).map(({ name }) => name);
        const isFree = path.some((name) => FREE.includes(name)) && (record.sequence === undefined || start >= 5);
        if (noticed === undefined && !waiting && !isFree) unnoticed.add(path.join("."));
        changes++;
      }
    }
    expect(changes).toBeGreaterThan(150);
    expect([...unnoticed]).toEqual([]);
  });

  it("can leave both ends waiting", async () => {
    const byte = { from: "client", record: 1, offset: 3, value: 1, where: "inside" } as const;
    const run = (await stageOf()).run({ tampering: inByte(byte) });
    expect([run.client.error, run.server.error]).toEqual([undefined, undefined]);
    expect([run.client.state, run.server.state]).toEqual(["WAIT_SH", "START"]);
  });
});
