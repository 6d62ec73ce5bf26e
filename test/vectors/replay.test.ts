import { describe, expect, it } from "vitest";
import { concat } from "../../src/bytes/bytes.ts";
import { toHex } from "../../src/bytes/hex.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { nodeProvider } from "../../src/crypto/node.ts";
import { type SectionNumber, trace } from "../../vectors/rfc8448/load.ts";
import { replayEngine } from "./replay-profile.ts";

/** Section 4 resumes a session, which needs tickets. */
const REPLAYED: readonly SectionNumber[] = [3, 5, 6, 7];

describe.each([nobleProvider, nodeProvider])(
  "engines of provider $name say RFC 8448 again, bit for bit",
  (provider) => {
    describe.each(REPLAYED)("section %i", (section) => {
      for (const actor of ["client", "server"] as const) {
        it(`as the ${actor}`, () => {
          const recorded = trace(section);
          const secrets = new Map<string, string>();
          const engine = replayEngine(recorded, actor, provider, (observation) => {
            if (observation.kind === "secret") secrets.set(observation.label, toHex(observation.secret));
          });
          engine.start();
          let pending = engine.takeOutput();
          let compared = 0;
          for (const record of recorded.records) {
            if (record.sender !== actor) {
              expect(engine.receive(record.bytes)).toBe(record.bytes.length);
              pending = concat(pending, engine.takeOutput());
              continue;
            }
            if (record.type === "application_data") expect(engine.write(record.payload)).toBe(record.payload.length);
            if (record.type === "alert") engine.close();
            pending = concat(pending, engine.takeOutput());
            // The server's ticket is not this engine's to send yet; what follows it has other sequence numbers.
            if (section === 3 && actor === "server" && pending.length === 0 && record.type === "handshake") break;
            expect(engine.error).toBeUndefined();
            expect(toHex(pending.subarray(0, record.bytes.length))).toBe(toHex(record.bytes));
            pending = pending.subarray(record.bytes.length);
            compared++;
          }
          expect(pending).toHaveLength(0);
          expect(engine.error).toBeUndefined();
          expect(engine.state).toBe("CONNECTED");
          expect(compared).toBe(EXPECTED_RECORDS[actor][section]);
          const derived = (whose: string) =>
            toHex(recorded.find("server", `derive secret "tls13 ${whose}"`).bytes("expanded"));
          expect(Object.fromEntries(secrets)).toEqual({
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

/** So that a replay which compares nothing cannot pass. */
const EXPECTED_RECORDS: Record<"client" | "server", Partial<Record<SectionNumber, number>>> = {
  client: { 3: 4, 5: 4, 6: 3, 7: 4 },
  server: { 3: 2, 5: 4, 6: 3, 7: 4 },
};
