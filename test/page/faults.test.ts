import { beforeAll, describe, expect, it } from "vitest";
import { type Cast, createCast } from "../../src/inspect/page/cast.ts";
import { DEFAULT_CHOICES } from "../../src/inspect/page/choices.ts";
import { FAULTS } from "../../src/inspect/page/faults/index.ts";
import { Stage } from "../../src/inspect/page/run.ts";

describe("a handshake that is broken on purpose", () => {
  let cast: Cast;

  beforeAll(async () => {
    cast = await createCast("P-256");
  });

  it("is told in at least twenty ways, each under a name of its own", () => {
    expect(FAULTS.length).toBeGreaterThanOrEqual(20);
    expect(new Set(FAULTS.map(({ name }) => name)).size).toBe(FAULTS.length);
    for (const { name, story, section } of FAULTS) {
      expect(name).toMatch(/^[a-z0-9-]{1,64}$/);
      expect(story).toMatch(/\.$/);
      expect(section).toMatch(/^RFC \d+ [\dA-E]/);
    }
  });

  it.each(FAULTS)("by $name: $by says $alert", (fault) => {
    const { needs, difference, by, code, alert, heard } = fault;
    const stage = new Stage({ ...DEFAULT_CHOICES, ...needs }, cast);
    const honest = stage.run();
    expect([honest.client.error, honest.server.error]).toEqual([undefined, undefined]);
    const run = stage.run(difference(cast));
    const { error } = run[by];
    expect({ code: error?.code, stage: error?.stage, alert: error?.alert }).toEqual({
      code,
      stage: fault.stage,
      alert,
    });
    expect(error?.direction).toBe(alert && "sent");
    const other = run[by === "client" ? "server" : "client"];
    const received = alert !== undefined && heard !== false;
    expect(other.error?.direction === "received" ? other.error.alert : undefined).toBe(received ? alert : undefined);
  });
});
