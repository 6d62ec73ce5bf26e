import { beforeAll, describe, expect, it } from "vitest";
import { fault, type TlsError } from "../../src/errors.ts";
import {
  accept,
  connect,
  type IdentityOptions,
  memoryPair,
  type RenewalEvent,
  type RenewalOptions,
  renewal,
  serverContext,
} from "../../src/index.ts";
import { makeAuthority, makeCertificate, type TestCertificate } from "../support/pki.ts";

/** When identities are renewed: hours pass in no time, since clock and timers are the test's. */

const HOUR = 3_600_000;
const MINUTE = 60_000;
const START = Date.UTC(2030, 0, 1);
const DAY = 24 * HOUR;

let root: TestCertificate;
/** One for each day from the start. */
const days: IdentityOptions[] = [];
beforeAll(async () => {
  root = await makeAuthority({ notBefore: START - DAY, notAfter: START + 1000 * DAY });
  for (let day = 0; day < 4; day++) days.push(await identity(START + day * 16 * HOUR, DAY));
});

async function identity(notBefore: number, life: number): Promise<IdentityOptions> {
  const { der, pair } = await makeCertificate({
    issuer: root,
    subject: "localhost",
    notBefore,
    notAfter: notBefore + life,
  });
  return { cert: [der], key: pair.pkcs8 };
}

/** A wall clock, which can be set, and timers, which go by the time that passes. */
class Time {
  now = START;
  #passed = 0;
  #timers = new Map<number, { readonly at: number; readonly callback: () => void }>();
  #next = 0;
  longest = 0;
  fired = 0;

  readonly timers = {
    set: (callback: () => void, delay: number) => {
      this.longest = Math.max(this.longest, delay);
      this.#timers.set(++this.#next, { at: this.#passed + delay, callback });
      return this.#next;
    },
    clear: (timer: unknown) => void this.#timers.delete(timer as number),
  };

  get pending(): number {
    return this.#timers.size;
  }

  async pass(duration: number): Promise<void> {
    const end = this.#passed + duration;
    for (;;) {
      await settle();
      const due = [...this.#timers]
        .filter(([, { at }]) => at <= end)
        .sort(([, one], [, other]) => one.at - other.at)[0];
      if (due === undefined) break;
      const [timer, { at, callback }] = due;
      this.#timers.delete(timer);
      this.#advance(at);
      this.fired++;
      callback();
    }
    this.#advance(end);
  }

  #advance(to: number): void {
    this.now += to - this.#passed;
    this.#passed = to;
  }
}

/** Promises that are ready come in. */
const settle = async () => {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
};

function run(options: Partial<RenewalOptions> = {}) {
  const time = new Time();
  const events: (RenewalEvent & { at: number })[] = [];
  const presented: IdentityOptions[] = [];
  const asked: number[] = [];
  let served = 0;
  const renewing = renewal({
    identity: days[0] as IdentityOptions,
    contexts: { replace: ({ identities: [one] }) => void presented.push(one as IdentityOptions) },
    clock: () => time.now,
    random: () => 0,
    timers: time.timers,
    onEvent: (event) => events.push({ ...event, at: time.now }),
    ...options,
    obtain: (signal) => {
      asked.push(time.now);
      return options.obtain === undefined ? Promise.resolve(days[++served] as IdentityOptions) : options.obtain(signal);
    },
  });
  return { time, events, presented, asked, renewing };
}

const never = () => new Promise<IdentityOptions>(() => {});
const refused = () => Promise.reject(new Error("the CA is on holiday"));

describe("an identity is renewed", () => {
  it("at two thirds of its life, again and again", async () => {
    const { time, events, presented, asked, renewing } = run();
    expect(renewing.renewAt).toBe(START + 16 * HOUR);
    await time.pass(16 * HOUR - 1);
    expect(asked).toEqual([]);
    await time.pass(1);
    await settle();
    expect(presented).toEqual([days[1]]);
    expect(renewing.renewAt).toBe(START + 32 * HOUR);
    await time.pass(33 * HOUR);
    expect(asked).toEqual([16, 32, 48].map((hour) => START + hour * HOUR));
    expect(presented).toEqual(days.slice(1));
    expect(events.map(({ type }) => type)).toEqual(["renewed", "renewed", "renewed"]);
    expect(events[0]).toMatchObject({ notAfter: START + 40 * HOUR, renewAt: START + 32 * HOUR });
    renewing.close();
    expect(time.pending).toBe(0);
  });

  it("somewhat earlier by chance, and when one's own options say", () => {
    expect(run({ random: () => 0.5 }).renewing.renewAt).toBe(START + 16 * HOUR - 0.05 * DAY);
    expect(run({ renewAfter: 0.5 }).renewing.renewAt).toBe(START + 12 * HOUR);
    expect(run({ renewAfter: 0.5, jitter: 0.25, random: () => 1 }).renewing.renewAt).toBe(START + 6 * HOUR);
  });

  it("at once where it is late already", async () => {
    const next = await identity(START, 2 * DAY);
    const { time, presented } = run({ renewAfter: 0, obtain: async () => next });
    await time.pass(0);
    await settle();
    expect(presented).toEqual([next]);
  });

  it("in several contexts at once, among them one with others beside it", async () => {
    const told: number[] = [];
    const replace = (changes: { readonly identities: readonly IdentityOptions[] }) =>
      void told.push(changes.identities.length);
    const next = await identity(START, 2 * DAY);
    const { time } = run({ contexts: [{ replace }, { replace }], renewAfter: 0, obtain: async () => next });
    await time.pass(0);
    await settle();
    expect(told).toEqual([1, 1]);
  });

  it("when it lives for years, though timers only go for days, and for seconds", async () => {
    const years = await identity(START, 900 * DAY);
    const { time, asked } = run({ identity: years, obtain: never });
    await time.pass(599 * DAY);
    expect(asked).toEqual([]);
    await time.pass(DAY);
    expect(asked).toEqual([START + 600 * DAY]);
    expect(time.longest).toBeLessThan(2 ** 31);
    const short = run({ identity: await identity(START, 6000) });
    await short.time.pass(4000);
    expect(short.asked).toEqual([START + 4000]);
  });

  it("soon after the clock was set forward, or the machine slept", async () => {
    const { time, asked } = run();
    await time.pass(HOUR);
    time.now += 20 * HOUR;
    await time.pass(MINUTE);
    expect(asked).toHaveLength(1);
  });

  it("in its time though the clock was set back", async () => {
    const { time, asked } = run();
    await time.pass(15 * HOUR);
    time.now -= 10 * HOUR;
    await time.pass(10 * HOUR);
    expect(asked).toEqual([]);
    await time.pass(HOUR);
    expect(asked).toEqual([START + 16 * HOUR]);
  });

  it("in a context that clients meet meanwhile", async () => {
    const time = new Time();
    const context = serverContext({ identities: [days[0] as IdentityOptions] });
    const options = { serverName: "localhost", trust: root.der, clock: () => time.now };
    const notAfter = async () => {
      const [near, far] = memoryPair();
      const [client] = await Promise.all([connect(near, options), accept(far, context)]);
      return client.peer?.certificate.notAfter;
    };
    expect(await notAfter()).toBe(START + DAY);
    const renewing = renewal({
      identity: days[0] as IdentityOptions,
      obtain: async () => days[1] as IdentityOptions,
      contexts: context,
      clock: () => time.now,
      timers: time.timers,
    });
    await time.pass(17 * HOUR);
    expect(await notAfter()).toBe(START + 40 * HOUR);
    renewing.close();
  });
});

describe("when it cannot be renewed", () => {
  it("is tried again, later and later within bounds, and told of well before its end, once", async () => {
    const { time, events, asked, presented } = run({ obtain: refused, random: () => 1, jitter: 0 });
    await time.pass(DAY);
    const delays = asked.slice(1).map((at, index) => at - (asked[index] as number));
    expect(delays.slice(0, 9)).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256].map((seconds) => 1000 * seconds));
    expect(new Set(delays.slice(9))).toEqual(new Set([300_000]));
    expect(presented).toEqual([]);
    const failed = events.filter((event) => event.type === "failed");
    expect(failed).toHaveLength(asked.length);
    expect(failed[0]).toMatchObject({
      attempts: 1,
      retryAt: START + 16 * HOUR + 1000,
      error: { code: "ERR_TLS_CALLBACK_FAILED", message: expect.stringContaining("on holiday") },
    });
    const expiring = events.filter((event) => event.type === "expiring");
    expect(expiring).toMatchObject([{ at: START + 20 * HOUR, notAfter: START + DAY }]);
    expect(expiring[0]?.error?.message).toContain("on holiday");
  });

  it("is tried more often where its life is short, and at half the delay by chance", async () => {
    const short = await identity(START, 10 * MINUTE);
    const { time, asked } = run({ identity: short, obtain: refused });
    await time.pass(10 * MINUTE);
    const delays = asked.slice(1).map((at, index) => at - (asked[index] as number));
    expect(Math.max(...delays)).toBe(15_000);
    expect(delays.slice(0, 3)).toEqual([500, 1000, 2000]);
  });

  it("tells what is the matter when it comes right", async () => {
    let fine = false;
    const { time, events } = run({ obtain: () => (fine ? Promise.resolve(days[1] as IdentityOptions) : refused()) });
    await time.pass(21 * HOUR);
    fine = true;
    await time.pass(6 * MINUTE);
    expect(events.at(-1)?.type).toBe("renewed");
    const before = events.length;
    fine = false;
    await time.pass(13 * HOUR);
    // The next certificate has a count and a warning of its own.
    const later = events.slice(before);
    expect(later[0]).toMatchObject({ type: "failed", attempts: 1 });
    await time.pass(5 * HOUR);
    expect(events.slice(before).filter(({ type }) => type === "expiring")).toHaveLength(1);
  });

  it("is tried again in time though the clock is set back by a year", async () => {
    const { time, asked } = run({ obtain: refused });
    await time.pass(17 * HOUR);
    const before = asked.length;
    time.now -= 365 * DAY;
    await time.pass(10 * MINUTE);
    expect(asked.length).toBeGreaterThan(before);
  });

  it("gives up an attempt that takes too long, and tells it so", async () => {
    const signals: AbortSignal[] = [];
    const { time, events, asked } = run({
      obtain: (signal) => {
        signals.push(signal);
        return never();
      },
      attemptTimeout: 30_000,
    });
    await time.pass(16 * HOUR + 29_999);
    expect([asked.length, events.length, signals[0]?.aborted]).toEqual([1, 0, false]);
    await time.pass(1);
    await settle();
    expect(signals[0]?.aborted).toBe(true);
    expect(events).toMatchObject([{ type: "failed", error: { message: expect.stringContaining("30000 ms") } }]);
    await time.pass(1000);
    expect(asked.length).toBe(2);
  });

  it("warns while an attempt hangs", async () => {
    const { time, events } = run({ obtain: never, attemptTimeout: DAY });
    await time.pass(21 * HOUR);
    expect(events).toMatchObject([{ type: "expiring", error: undefined }]);
  });

  const useless: readonly [string, () => Promise<IdentityOptions> | IdentityOptions, string][] = [
    ["the same again", () => days[0] as IdentityOptions, "ERR_TLS_CALLBACK_FAILED"],
    ["one that has ended", () => identity(START - 2 * DAY, DAY), "ERR_TLS_CALLBACK_FAILED"],
    ["no certificate", () => ({ cert: "nothing", key: "nothing" }), "ERR_TLS_PEM"],
    ["a certificate that is none", () => ({ cert: Uint8Array.of(0x30, 0), key: "nothing" }), "CERT_PARSE_ERROR"],
  ];
  it.each(useless)("goes on with what it has after %s", async (_, given, code) => {
    const answer = await given();
    const { time, events, presented } = run({ obtain: async () => answer });
    await time.pass(16 * HOUR);
    await settle();
    expect(presented).toEqual([]);
    expect(events.map((event) => event.type === "failed" && event.error.code)).toEqual([code]);
  });

  it("goes on with what it has where a context refuses", async () => {
    const refusal = fault("ERR_OSSL_X509_KEY_VALUES_MISMATCH");
    const { time, events } = run({
      contexts: {
        replace: () => {
          throw refusal;
        },
      },
    });
    await time.pass(16 * HOUR);
    await settle();
    expect(events).toMatchObject([{ type: "failed", error: refusal }]);
  });

  it("goes on with what it has where the next is not valid yet, and takes it once it is", async () => {
    const next = await identity(START + 16 * HOUR + MINUTE, DAY);
    const { time, events, presented } = run({ obtain: async () => next, retryDelay: 40_000 });
    await time.pass(16 * HOUR);
    await settle();
    expect(events).toMatchObject([{ type: "failed", error: { code: "ERR_TLS_CALLBACK_FAILED" } }]);
    expect((events[0] as { error: TlsError }).error.message).toContain("not valid before");
    expect(presented).toEqual([]);
    await time.pass(5 * MINUTE);
    await settle();
    expect(events.at(-1)).toMatchObject({ type: "renewed" });
    expect(presented).toHaveLength(1);
  });

  it("does not ask without end for certificates that are old when they come", async () => {
    const old = await Promise.all(
      Array.from({ length: 6 }, (_, n) => identity(START - 300 * DAY, 302 * DAY + n * 1000)),
    );
    const { time, asked } = run({ obtain: async () => old[asked.length] as IdentityOptions, retryDelay: 10_000 });
    await time.pass(16 * HOUR + 35_000);
    expect(asked.map((at) => at - START - 16 * HOUR)).toEqual([0, 10_000, 20_000, 30_000]);
  });
});

describe("close", () => {
  it("stops everything, and leaves what comes late unused", async () => {
    let answer: ((identity: IdentityOptions) => void) | undefined;
    let signal: AbortSignal | undefined;
    const { time, events, presented, renewing } = run({
      obtain: (given) => {
        signal = given;
        return new Promise((done) => {
          answer = done;
        });
      },
    });
    await time.pass(16 * HOUR);
    renewing.close();
    expect(signal?.aborted).toBe(true);
    answer?.(days[1] as IdentityOptions);
    await settle();
    await time.pass(DAY);
    expect([events, presented, time.pending]).toEqual([[], [], 0]);
  });

  it("may be called from an event", async () => {
    const failing = run({ obtain: refused, onEvent: () => failing.renewing.close() });
    await failing.time.pass(DAY);
    expect([failing.asked.length, failing.time.pending]).toEqual([1, 0]);
    // The warning comes when the next attempt is due as well.
    const late = run({ warnAfter: 0, renewAfter: 0, onEvent: () => late.renewing.close() });
    await late.time.pass(DAY);
    expect([late.asked.length, late.time.pending]).toEqual([0, 0]);
  });
});

it.each([
  { renewAfter: 1.1 },
  { renewAfter: Number.NaN },
  { jitter: -0.1 },
  { warnAfter: 2 },
  { retryDelay: 0 },
  { attemptTimeout: 2 ** 31 },
])("refuses %o", (options) => {
  let code: string | undefined;
  try {
    run(options);
  } catch (error) {
    ({ code } = error as TlsError);
  }
  expect(code).toBe("ERR_TLS_OPTION");
});
