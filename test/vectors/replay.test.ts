import { describe, expect, it } from "vitest";
import { concat } from "../../src/bytes/bytes.ts";
import { toHex } from "../../src/bytes/hex.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { nodeProvider } from "../../src/crypto/node.ts";
import type { TlsEngine } from "../../src/engine/index.ts";
import { SECTIONS, type SectionNumber, trace } from "../../vectors/rfc8448/load.ts";
import { lateProvider } from "../support/late-provider.ts";
import { replayEngine } from "./replay-profile.ts";

describe.each([nobleProvider, nodeProvider, lateProvider(nodeProvider, { seed: 1, records: "every" })])(
  "engines of provider $name say RFC 8448 again, bit for bit",
  (provider) => {
    describe.each([...SECTIONS])("section %i", (section) => {
      for (const actor of ["client", "server"] as const) {
        it(`as the ${actor}`, async () => {
          const recorded = trace(section);
          const secrets = new Map<string, string>();
          const engine = replayEngine(recorded, actor, provider, (observation) => {
            if (observation.kind === "secret") secrets.set(observation.label, toHex(observation.secret));
          });
          engine.start();
          let pending = await outputOf(engine);
          let compared = 0;
          for (const record of recorded.records) {
            if (record.sender !== actor) {
              expect(engine.receive(record.bytes)).toBe(record.bytes.length);
              pending = concat(pending, await outputOf(engine));
              const early = engine.readEarlyData();
              if (early !== undefined) expect(early).toEqual(record.payload);
              continue;
            }
            if (record.type === "application_data") {
              const write = engine.earlyDataRoom > 0 ? engine.writeEarlyData : engine.write;
              expect(write.call(engine, record.payload)).toBe(record.payload.length);
            }
            if (record.type === "alert") engine.close();
            pending = concat(pending, await outputOf(engine));
            expect(engine.error).toBeUndefined();
            expect(toHex(pending.subarray(0, record.bytes.length))).toBe(toHex(record.bytes));
            pending = pending.subarray(record.bytes.length);
            compared++;
          }
          expect(pending).toHaveLength(0);
          expect(engine.error).toBeUndefined();
          expect(engine.state).toBe("CONNECTED");
          expect(compared).toBe(EXPECTED_RECORDS[actor][section]);
          const derived = (whose: string, by: "client" | "server" = "server") =>
            toHex(recorded.find(by, `derive secret "tls13 ${whose}"`).bytes("expanded"));
          const early = {
            CLIENT_EARLY_TRAFFIC_SECRET: () => derived("c e traffic", "client"),
            EARLY_EXPORTER_SECRET: () => derived("e exp master", "client"),
          };
          expect(Object.fromEntries(secrets)).toEqual({
            ...(section === 4 && Object.fromEntries(Object.entries(early).map(([name, value]) => [name, value()]))),
            CLIENT_HANDSHAKE_TRAFFIC_SECRET: derived("c hs traffic"),
            SERVER_HANDSHAKE_TRAFFIC_SECRET: derived("s hs traffic"),
            CLIENT_TRAFFIC_SECRET_0: derived("c ap traffic"),
            SERVER_TRAFFIC_SECRET_0: derived("s ap traffic"),
            EXPORTER_SECRET: derived("exp master"),
          });
        });
      }
    });
  },
);

/** All that there is to send once nothing is under way any more. */
async function outputOf(engine: TlsEngine): Promise<Uint8Array> {
  let output = engine.takeOutput();
  while (engine.busy) {
    await new Promise((resolve) => setImmediate(resolve));
    output = concat(output, engine.takeOutput());
  }
  return output;
}

/** So that a replay which compares nothing cannot pass. */
const EXPECTED_RECORDS: Record<"client" | "server", Partial<Record<SectionNumber, number>>> = {
  client: { 3: 4, 4: 6, 5: 4, 6: 3, 7: 4 },
  server: { 3: 5, 4: 4, 5: 4, 6: 3, 7: 4 },
};
