import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Cast, get, makeCast, makeWorld, statusOf, type World } from "./world.ts";

let cast: Cast;
let world: World | undefined;
beforeAll(async () => {
  cast = await makeCast();
});
afterEach(async () => {
  await world?.stop();
  world = undefined;
});

describe("a gateway", () => {
  it("passes on a request and its answer", async () => {
    world = await makeWorld(cast);
    const answer = await world.ask(get("/a?b=c"));
    expect(statusOf(answer)).toBe(200);
    expect(answer).toContain('{"method":"GET","url":"/a?b=c","body":""}');
    const line = await world.audited(({ event }) => event === "request");
    console.log(line, world.audit, world.seen[0]?.request.rawHeaders, world.metrics.text("openmetrics"));
  });
});
