import { describe, expect, it } from "vitest";
import { measure, percentile, ratioOf, spread } from "../../src/bench/measure.ts";

/** A clock that only what is measured moves. */
function world() {
  let time = 0;
  const order: string[] = [];
  const subject = (name: string, takes: number, runsPerRound?: number) => ({
    name,
    runsPerRound,
    run: () => {
      order.push(name);
      time += takes;
    },
  });
  return { now: () => time, order, subject };
}

describe("measuring", () => {
  it("interleaves, alternates who begins, and throws the first rounds away", async () => {
    const { now, order, subject } = world();
    const subjects = [subject("a", 2), subject("b", 3)];
    const [a, b] = await measure(subjects, { rounds: 2, runsPerRound: 2, warmupRounds: 1, now });
    expect(order.join("")).toBe("aabb" + "aabb" + "bbaa");
    expect([a?.time.median, b?.time.median, a?.runs]).toEqual([2, 3, 4]);
    expect(b?.ratio.get("a")).toEqual({ median: 1.5, p10: 1.5, p90: 1.5 });
  });

  it("takes ratios within a round, so that a machine that slows down leaves them alone", async () => {
    let slowness = 1;
    let time = 0;
    const subject = (name: string, takes: number) => ({
      name,
      run: () => {
        time += takes * slowness;
      },
      end: () => (name === "b" ? { seen: 10 * slowness++ } : {}),
    });
    const [, b] = await measure([subject("a", 1), subject("b", 4)], {
      rounds: 1,
      runsPerRound: 1,
      warmupRounds: 0,
      now: () => time,
    });
    expect(b?.ratio.get("a")?.median).toBe(4);
    expect(b?.samples.get("seen")).toEqual([10]);
  });

  it("runs what takes little more often, and asks it what it has measured", async () => {
    const { now, subject } = world();
    let begun = 0;
    const counted = { ...subject("a", 1, 5), begin: () => begun++, end: () => ({ calls: 3 }) };
    const [a, b] = await measure([counted, subject("b", 1)], { rounds: 3, runsPerRound: 1, warmupRounds: 0, now });
    expect([a?.runs, b?.runs, begun]).toEqual([15, 3, 3]);
    expect(a?.samples.get("calls")).toEqual([3, 3, 3]);
  });

  it("begins no round after the time is up, but for the first three", async () => {
    const { now, subject } = world();
    const options = { rounds: 100, runsPerRound: 1, warmupRounds: 100, now };
    const [long] = await measure([subject("a", 10)], { ...options, timeLimit: 100 });
    // Three to warm up, within a quarter of the time, and seven more.
    expect(long?.runs).toBe(7);
    const [short] = await measure([subject("a", 10)], { ...options, timeLimit: 0 });
    expect(short?.runs).toBe(3);
  });

  it("knows medians and percentiles", () => {
    expect(spread([5, 1, 3])).toEqual({ median: 3, p10: 1.4, p90: 4.6 });
    expect(percentile([1, 2, 3, 4], 0.5)).toBe(2.5);
    expect(percentile([7], 0.99)).toBe(7);
    expect(percentile([], 0.5)).toBeNaN();
    expect(ratioOf([2, 9], [1, 3])).toEqual({ median: 2.5, p10: 2.1, p90: 2.9 });
  });
});
