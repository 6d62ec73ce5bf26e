import { describe, expect, it } from "vitest";
import { fromHex, toHex } from "../../src/bytes/hex.ts";
import { EXAMPLES, exampleConversation } from "../../src/inspect/page/examples.ts";
import { SECTIONS, type SectionNumber, trace, traceData } from "../../vectors/rfc8448/load.ts";
import { expectTiles } from "./support.ts";

describe("the examples", () => {
  it("are those of RFC 8448, by their titles", () => {
    expect(EXAMPLES).toEqual(SECTIONS.map((section) => ({ section, title: traceData(section).title })));
  });

  describe.each(SECTIONS)("section %i", (section: SectionNumber) => {
    const data = traceData(section);
    const conversation = exampleConversation(data);
    const entries = conversation.flights.flatMap((flight) => flight.entries);

    it("has the records of the text, and a name for every byte of them", () => {
      expect(entries.map(({ from, record }) => [from, record.type.name, toHex(record.wire)])).toEqual(
        trace(section).records.map(({ sender, type, bytes }) => [sender, type, toHex(bytes)]),
      );
      for (const { tree, record } of entries) expectTiles(tree, record.wire.length);
    });

    it("has the secrets that the text prints", () => {
      const labels = new Map(
        conversation.schedule.flatMap(({ derived }) =>
          derived.map((one) => [`derive secret "tls13 ${one.label}"`, one]),
        ),
      );
      let compared = 0;
      for (const { action, values } of data.steps) {
        const known = labels.get(action);
        if (known === undefined || values.expanded === undefined) continue;
        expect(toHex(known.value), action).toBe(values.expanded);
        expect(toHex(known.transcriptHash), action).toBe(values.hash);
        compared++;
      }
      expect(compared).toBe(section === 4 ? 8 : 6);
      const printed = data.steps
        .filter(({ action }) => /^extract secret/.test(action))
        .flatMap(({ values }) => values.secret ?? []);
      expect(conversation.schedule.map(({ value }) => toHex(value))).toEqual(printed);
    });

    it("has the keys that the text prints", () => {
      const keys = conversation.schedule.flatMap(({ derived }) => derived.flatMap(({ keys }) => keys ?? []));
      const printed = data.steps.flatMap(({ values }) => values["key expanded"] ?? []);
      expect(keys.map(({ key }) => toHex(key)).sort()).toEqual([...printed].sort());
      expect(keys.every(({ iv }) => iv.length === 12)).toBe(true);
    });
  });

  it("do not hide a byte that is wrong", () => {
    const data = traceData(3);
    const steps = data.steps.map((step) =>
      step.action === 'extract secret "handshake"' && step.values.IKM !== undefined
        ? { ...step, values: { ...step.values, IKM: toHex(fromHex(step.values.IKM).fill(1)) } }
        : step,
    );
    const changed = exampleConversation({ ...data, steps });
    expect(toHex(changed.schedule[1]?.value as Uint8Array)).not.toBe(
      toHex(exampleConversation(data).schedule[1]?.value as Uint8Array),
    );
  });
});
