/** Output by the record is the same as output joined. */
import { beforeAll, describe, expect, it } from "vitest";
import { equal, join } from "../../src/bytes/bytes.ts";
import { exchange } from "../support/pair.ts";
import { createWorld, type World } from "../support/world.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
});

describe("takeOutputs", () => {
  it("gives one array for each record, in order, and nothing twice", () => {
    const [client, server] = [world.honestClient(), world.honestServer()];
    exchange(client, server);
    expect(client.engine.takeOutputs()).toEqual([]);
    expect(client.engine.takeOutput()).toHaveLength(0);
    const data = new Uint8Array(40_000).map((_, index) => index * 7);
    expect(client.engine.write(data)).toBe(data.length);
    const records = client.engine.takeOutputs();
    expect(records.map((record) => record[0])).toEqual([23, 23, 23]);
    for (const record of records) {
      expect(((record[3] as number) << 8) | (record[4] as number)).toBe(record.length - 5);
    }
    expect(client.engine.outputLength).toBe(0);
    expect(client.engine.takeOutputs()).toEqual([]);
    for (const record of records) expect(server.engine.receive(record)).toBe(record.length);
    const read: Uint8Array[] = [];
    for (let chunk = server.engine.read(); chunk !== undefined; chunk = server.engine.read()) read.push(chunk);
    expect(equal(join(read), data)).toBe(true);
  });
});
