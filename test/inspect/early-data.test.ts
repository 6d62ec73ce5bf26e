import { describe, expect, it } from "vitest";
import { concat, utf8 } from "../../src/bytes/bytes.ts";
import { toHex } from "../../src/bytes/hex.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import {
  clientContext,
  type ServerOptions,
  sealedTickets,
  serverContext,
  sessionCache,
  strikeRegister,
} from "../../src/engine/index.ts";
import { createRenderer, createTrace, type TraceField, type TraceItem } from "../../src/inspect/index.ts";
import { createThrowawayAuthority } from "../../src/pki/index.ts";
import { end, exchange } from "../support/pair.ts";
import { messagesOf, recordsOf } from "./support.ts";

const EARLY = utf8("GET / HTTP/1.0\r\n\r\n");

/** A resumed connection with early data, seen by the server, and what the client has sent. */
async function resumed(changed: Partial<ServerOptions>): Promise<{ items: TraceItem[]; sent: Uint8Array }> {
  const authority = await createThrowawayAuthority();
  const { certificates, privateKeyPem } = await authority.issue({ subject: "localhost", dnsNames: ["localhost"] });
  const common = { provider: nobleProvider, clock: Date.now };
  const server: ServerOptions = {
    ...common,
    identities: [{ cert: certificates, key: privateKeyPem }],
    tickets: { store: sealedTickets() },
    acceptEarlyData: { antiReplay: strikeRegister() },
  };
  const sessions = sessionCache();
  const client = clientContext({
    ...common,
    serverName: "localhost",
    trust: authority.certificatePem,
    sessions,
    offerEarlyData: true,
    observer: (observation) => {
      if (observation.kind === "record" && observation.direction === "sent") sent.push(observation.wire.slice());
    },
  });
  const sent: Uint8Array[] = [];
  exchange(end(client.engine()), end(serverContext(server).engine()));
  sent.length = 0;
  const items: TraceItem[] = [];
  const observer = createTrace("server", (item) => items.push(item));
  const ours = end(client.engine());
  const theirs = end(serverContext({ ...server, ...changed, observer }).engine());
  ours.engine.start();
  expect(ours.engine.writeEarlyData(EARLY)).toBe(EARLY.length);
  exchange(ours, theirs);
  expect([ours.engine.error, theirs.engine.error, ours.engine.result?.resumed]).toEqual([undefined, undefined, true]);
  expect(ours.engine.result?.earlyData).toBe(theirs.engine.result?.earlyData);
  return { items, sent: concat(...sent) };
}

const leaves = (fields: readonly TraceField[]): TraceField[] =>
  fields.flatMap((field) => (field.children.length === 0 ? [field] : leaves(field.children)));

describe("a trace of early data", () => {
  it("shows it, and the message that ends it, under the early secret", async () => {
    const { items } = await resumed({});
    const [first, second] = recordsOf(items).filter(({ epoch }) => epoch === "early");
    expect(first).toMatchObject({ from: "client", secret: "client_early_traffic_secret", sequence: 0, content: EARLY });
    expect(second).toMatchObject({ secret: "client_early_traffic_secret", sequence: 1 });
    expect(messagesOf(items).map(({ type }) => type)).toContain("end_of_early_data");
  });

  it.each([
    ["with a HelloRetryRequest", { groups: ["secp384r1"] }],
    ["without", { acceptEarlyData: undefined }],
  ] as const)("accounts for every byte of what is thrown away, %s", async (_, changed) => {
    const { items, sent } = await resumed(changed);
    const records = recordsOf(items).filter(({ from }) => from === "client");
    expect(toHex(concat(...records.map(({ wire }) => wire)))).toBe(toHex(sent));
    let at = 0;
    for (const { start, end, number } of records) {
      expect([start, number]).toEqual([at, records.findIndex((record) => record.start === start) + 1]);
      at = end;
    }
    const [skipped, ...more] = records.filter(({ epoch }) => epoch === "early");
    expect(more).toEqual([]);
    expect(skipped).toMatchObject({
      direction: "received",
      secret: "client_early_traffic_secret",
      parts: [],
      section: "RFC 8446 4.2.10",
    });
    expect(skipped?.sequence).toBeUndefined();
    expect(skipped?.content.length).toBe(0);
    expect(leaves(skipped?.fields ?? []).map(({ name, start, end }) => [name, start, end])).toEqual([
      ["opaque_type", 0, 1],
      ["legacy_record_version", 1, 3],
      ["length", 3, 5],
      ["encrypted_record", 5, 5 + EARLY.length + 17],
    ]);
    for (const full of [false, true]) {
      const text = createRenderer({ full })(skipped as TraceItem);
      expect(text).toContain("early data that is not accepted: thrown away unopened");
      expect(text).toMatch(/encrypted_record .*35 bytes/);
    }
  });
});
