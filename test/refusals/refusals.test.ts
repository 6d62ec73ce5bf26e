import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes/bytes.ts";
import { nobleProvider } from "../../src/crypto/noble.ts";
import { createNodeProvider } from "../../src/crypto/node.ts";
import { alertReceived } from "../../src/errors.ts";
import { type End, exchange, failure, failures, type Wire, whole } from "../support/pair.ts";
import { PemFiles } from "../support/pem-files.ts";
import { type Certificates, createCertificates } from "./certificates.ts";
import { cutting, flipping, makeEnd, optionsFor } from "./ends.ts";
import { REFUSALS, type Refusal } from "./refusals.ts";

const files = new PemFiles();
let certificates: Certificates;

beforeAll(async () => {
  certificates = await createCertificates(files);
});

afterAll(() => files.remove());

const title = ({ name, offender, refuses }: Refusal) => `${refuses} refuses: ${name} (${offender})`;
const providers = [nobleProvider, createNodeProvider()];

describe("refusals, both ends in memory", () => {
  it("stand in the table once each", () => {
    expect(new Set(REFUSALS.map(title)).size).toBe(REFUSALS.length);
  });

  for (const refusal of REFUSALS) {
    it.each(providers)(`${title(refusal)}, $name`, (provider) => {
      const { code, stage, alert, noticed, refuses } = refusal;
      const setup = refusal.setup(certificates);
      const options = optionsFor(certificates, setup, provider);
      const other = refuses === "client" ? "server" : "client";
      const refusing = makeEnd(refuses, options, undefined);
      const direction = alert === undefined ? undefined : "sent";

      if (setup.plain !== undefined) {
        const hello = refusing.engine.takeOutput();
        refusing.engine.receive(setup.plain);
        expect(failure(refusing)).toEqual({ code, stage, alert, direction });
        expect([...refusing.engine.takeOutput()]).toEqual([21, 3, 3, 0, 2, 2, 10]);
        expect(hello.length > 0).toBe(refuses === "client");
        return;
      }

      const peer = makeEnd(other, options, setup.cheat);
      const { flip, cut, earlyData } = setup;
      if (earlyData !== undefined) expect(peer.engine.writeEarlyData(earlyData)).toBe(earlyData.length);
      meet(refusing, peer, flip === "first" ? flipping() : typeof cut === "number" ? cutting(cut) : whole);
      if (flip === "connected" || cut === "connected") {
        expect([failure(refusing), failure(peer)]).toEqual([undefined, undefined]);
      }
      if (flip === "connected") {
        peer.engine.write(utf8("changed on its way"));
        meet(refusing, peer, flipping());
        expect(refusing.received).toEqual([]);
      }
      if (cut !== undefined) refusing.engine.receiveEnd();

      expect(failure(refusing)).toEqual({ code, stage, alert, direction });
      expect(failures(refusing)).toBe(1);
      expect(refusing.engine.done).toBe(true);
      if (alert === undefined) {
        expect(refusing.engine.outputLength).toBe(0);
        expect(failure(peer)).toBeUndefined();
      } else {
        const received = alertReceived(alert);
        expect(failure(peer)).toEqual({ code: received.code, stage: noticed, alert, direction: "received" });
        expect(failures(peer)).toBe(1);
      }
    });
  }
});

/** Exchanges everything, with `wire` towards the refusing side. */
function meet(refusing: End, peer: End, wire: Wire): void {
  if (refusing.engine.side === "client") exchange(refusing, peer, whole, wire);
  else exchange(peer, refusing, wire, whole);
}
